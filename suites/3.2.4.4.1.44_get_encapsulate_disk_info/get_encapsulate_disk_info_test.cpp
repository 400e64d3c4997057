// IVolumeClient::GetEncapsulateDiskInfo (3.2.4.4.1.44) and IVolumeClient3::GetEncapsulateDiskInfoEx
// (3.2.4.4.3.47). Of disks with FT sets: encapsulate_ft_sets_test.cpp.
#include "harness/guest/guest.hpp"
#include "suites/support/encapsulation.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

enum Disk : std::size_t { kMbr, kSecond, kEmpty, kGptDisk };

std::vector<BedDiskRequest> Disks() {
  return {MbrDiskWithPartitions(), MbrDiskWithOnePartition(), MbrDiskWithoutPartitions(),
          GptDiskWithPartitions()};
}

struct Asked {
  const char* name;
  Revision revision = Revision::kIVolumeClient3;
  std::vector<std::size_t> disks;

  friend void PrintTo(const Asked& each, std::ostream* out) { *out << each.name; }
};

class GetEncapsulateDiskInfo : public EncapsulationTest, public ::testing::WithParamInterface<Asked> {
 protected:
  void SetUp() override { StartSharedWith("disks-to-encapsulate", Disks()); }
  Session& session() { return SessionOf(GetParam().revision); }
  [[nodiscard]] bool first() const { return GetParam().revision == Revision::kIVolumeClient; }
};

// Disks and regions as the enumerations show them, one bitmap for each disk, no FT volumes; nothing is
// changed by the question.
TEST_P(GetEncapsulateDiskInfo, DescribesWhatWouldBeConverted) {
  if (first()) {
    Checks("DMRP-1272", "DMRP-1281", "DMRP-1284", "DMRP-1285", "DMRP-1286", "DMRP-1290", "DMRP-1293",
           "DMRP-1294", "DMRP-1295", "DMRP-1297", "DMRP-1298", "DMRP-1299", "DMRP-1302", "DMRP-1304");
  } else {
    Checks("DMRP-1748", "DMRP-1757", "DMRP-1759", "DMRP-1760", "DMRP-1761", "DMRP-1765", "DMRP-1768",
           "DMRP-1769", "DMRP-1770", "DMRP-1772", "DMRP-1773", "DMRP-1774", "DMRP-1777", "DMRP-1778");
  }
  const Observation before = ObserveAll(session());
  const auto reply = Query(session(), GetParam().disks);
  ASSERT_THAT(reply, Succeeds());
  ASSERT_THAT(reply->affectedDiskList, SizeIs(GetParam().disks.size()));
  EXPECT_THAT(reply->affectedVolumeList, IsEmpty());
  std::vector<REGION_INFO_EX> regions = reply->affectedRegionList;
  std::erase_if(regions, [](const REGION_INFO_EX& region) { return harness::IsFree(region); });
  std::size_t expected = 0;
  for (std::size_t i = 0; i < GetParam().disks.size(); ++i) {
    const LdmObjectId disk = lab().DiskId(GetParam().disks[i]);
    const auto told = std::ranges::find(reply->affectedDiskList, disk, &DISK_INFO_EX::id);
    ASSERT_NE(told, reply->affectedDiskList.end());
    EXPECT_EQ(harness::DifferenceText(*before.view.FindDisk(disk), *told), "");
    for (const REGION_INFO_EX& region : before.view.RegionsOf(disk)) {
      if (harness::IsFree(region)) continue;
      ++expected;
      const auto listed = std::ranges::find(regions, region.id, &REGION_INFO_EX::id);
      ASSERT_NE(listed, regions.end()) << ToText(region);
      EXPECT_EQ(harness::DifferenceText(region, *listed), "");
    }
  }
  EXPECT_THAT(regions, SizeIs(expected));
  if (first()) {
    EXPECT_THAT(reply->affectedRegionList, SizeIs(expected)) << "free regions are listed";
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// All of these disks can be converted; the one with logical drives says so.
TEST_P(GetEncapsulateDiskInfo, FindsNoObstacle) {
  if (first()) {
    Checks("DMRP-1269", "DMRP-1270", "DMRP-1288", "DMRP-1289", "DMRP-1300", "DMRP-1301");
  } else {
    Checks("DMRP-1746", "DMRP-1747", "DMRP-1763", "DMRP-1764", "DMRP-1775", "DMRP-1776");
  }
  const auto reply = Query(session(), GetParam().disks);
  ASSERT_THAT(reply, Succeeds());
  EXPECT_EQ(reply->encapInfoFlags, 0U);
  ASSERT_THAT(reply->affectedDiskFlags, SizeIs(reply->affectedDiskList.size()));
  for (std::size_t i = 0; i < reply->affectedDiskList.size(); ++i) {
    const bool extended = reply->affectedDiskList[i].id == lab().DiskId(kMbr);
    EXPECT_EQ(reply->affectedDiskFlags[i], extended ? CONTAINS_EXTENDED_PARTITION : 0U);
  }
}

TEST_P(GetEncapsulateDiskInfo, FillsTheTaskInfo) {
  if (first()) {
    Checks("DMRP-1271", "DMRP-1303", "DMRP-0556", "DMRP-0557", "DMRP-0558", "DMRP-0560");
  } else {
    Checks("DMRP-1777", "DMRP-0556", "DMRP-0557", "DMRP-0558", "DMRP-0560");
  }
  const auto reply = Query(session(), GetParam().disks);
  ASSERT_THAT(reply, Succeeds());
  ExpectCompleted(reply->tinfo);
  EXPECT_EQ(reply->tinfo.storageId, 0);
  const auto again = Query(session(), GetParam().disks);
  EXPECT_NE(again->tinfo.id, reply->tinfo.id);
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  EXPECT_THAT(tasks->taskList, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Disks, GetEncapsulateDiskInfo,
    ::testing::Values(Asked{"IVolumeClient_Mbr", Revision::kIVolumeClient, {kMbr}},
                      Asked{"IVolumeClient_Several", Revision::kIVolumeClient, {kMbr, kSecond, kEmpty}},
                      Asked{"IVolumeClient3_Mbr", Revision::kIVolumeClient3, {kMbr}},
                      Asked{"IVolumeClient3_Gpt", Revision::kIVolumeClient3, {kGptDisk}},
                      Asked{
                          "IVolumeClient3_BothStyles", Revision::kIVolumeClient3, {kGptDisk, kEmpty, kMbr}}),
    [](const auto& info) { return info.param.name; });

struct Wrong {
  const char* name;
  std::function<void(std::vector<DISK_SPEC>& disks, const StorageView& view)> spoil;
};

class GetEncapsulateDiskInfoRefuses : public EncapsulationTest,
                                      public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

TEST_P(GetEncapsulateDiskInfoRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  const bool none = std::string_view(wrong.name) == "NoDisk";
  if (revision == Revision::kIVolumeClient) {
    Checks(none ? "DMRP-1273" : "DMRP-1274", "DMRP-1280", "DMRP-1272");
  } else {
    Checks(none ? "DMRP-1749" : "DMRP-1750", "DMRP-1756", "DMRP-1748");
  }
  StartSharedWith("disks-to-encapsulate", Disks());
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  std::vector<DISK_SPEC> specs{DiskSpecOf(session, kMbr), DiskSpecOf(session, kSecond)};
  wrong.spoil(specs, before.view);
  const auto reply = QueryEncapsulation(session, specs);
  EXPECT_THAT(reply, Refused());
  EXPECT_THAT(reply->affectedDiskList, IsEmpty());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

using Specs = std::vector<DISK_SPEC>;

INSTANTIATE_TEST_SUITE_P(
    Both, GetEncapsulateDiskInfoRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(Wrong{"NoDisk", [](Specs& specs, const StorageView&) { specs.clear(); }},
                          Wrong{"DiskZero", [](Specs& specs, const StorageView&) { specs[0].diskId = 0; }},
                          Wrong{"SecondUnknown",
                                [](Specs& specs, const StorageView&) {
                                  specs[1].diskId = std::numeric_limits<LdmObjectId>::max();
                                }},
                          Wrong{"DiskIsARegion",
                                [](Specs& specs, const StorageView& view) {
                                  specs[0].diskId = view.RegionsOf(specs[0].diskId).front().id;
                                }},
                          Wrong{"StateOneBelow",
                                [](Specs& specs, const StorageView&) { --specs[0].lastKnownState; }},
                          Wrong{"SecondStateOneAbove",
                                [](Specs& specs, const StorageView&) { ++specs[1].lastKnownState; }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
