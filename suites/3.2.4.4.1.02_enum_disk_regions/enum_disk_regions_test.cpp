// IVolumeClient::EnumDiskRegions (3.2.4.4.1.2) and IVolumeClient3::EnumDiskRegionsEx (3.2.4.4.3.2).
#include "suites/support/conformance_test.hpp"
#include "suites/support/partition_layout.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

// A disk with everything that a basic MBR disk can have: two primaries, a gap, an extended partition with two
// logical drives and free space between them, and a tail.
constexpr std::string_view kFullTable = R"(label: dos
label-id: 0x5eed1234
start=2048, size=16384, type=7, bootable
start=20480, size=8192, type=b
start=40960, size=65536, type=f
start=43008, size=8192, type=7
start=61440, size=8192, type=6
)";

class EnumDiskRegions : public RevisionTest {
 protected:
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  void SetUp() override {
    StartSharedWith("full-table", {{kBlank.Spec(), Table(std::string(kFullTable))}, {kMbr512e.Spec(), {}}});
  }
};

// The call succeeds with an HRESULT that is no error, and the reply carries array, count and outcome.
TEST_P(EnumDiskRegions, SucceedsWithAnArray) {
  Checks(third() ? "DMRP-1548" : "DMRP-0593", third() ? "DMRP-1556" : "DMRP-0602",
         third() ? "DMRP-1558" : "DMRP-0604");
  const auto reply = session().EnumDiskRegions(lab().DiskId(0));
  EXPECT_THAT(reply, Succeeds());
  EXPECT_FALSE(reply.value.regions.empty());
}

// Every region of the disk is listed, free ones included, and nothing else: partitions are those that
// independent readers find, free regions lie in the gaps.
TEST_P(EnumDiskRegions, ListsEveryRegionOfTheDisk) {
  Checks(third() ? "DMRP-1552" : "DMRP-0597", third() ? "DMRP-1555" : "DMRP-0601",
         third() ? "DMRP-0225" : "DMRP-0169", "DMRP-0033", "DMRP-0513");
  const auto regions = RegionsNow(session());
  EXPECT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
  auto count = [&](REGIONTYPE type) {
    return std::ranges::count(regions, type, &REGION_INFO_EX::regionType);
  };
  EXPECT_EQ(count(REGION_PRIMARY), 2);
  EXPECT_EQ(count(REGION_EXTENDED), 1);
  EXPECT_EQ(count(REGION_LOGICAL), 2);
  EXPECT_GE(count(REGION_FREE), 2) << "the gap between the primaries and the tail";
  EXPECT_GE(count(REGION_EXTENDED_FREE), 1) << "the gap between the logical drives";
}

// Each region's place, type byte and active flag are those of the partition table.
TEST_P(EnumDiskRegions, FillsEachEntryFromThePartitionTable) {
  Checks(third() ? "DMRP-0223" : "DMRP-0167", third() ? "DMRP-0224" : "DMRP-0168",
         third() ? "DMRP-0228" : "DMRP-0170", third() ? "DMRP-0229" : "DMRP-0171");
  const auto regions = RegionsNow(session());
  ASSERT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
  auto first = std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
  ASSERT_NE(first, regions.end());
  EXPECT_EQ(first->start, 2048 * 512);
  EXPECT_EQ(first->length, 16384 * 512);
  EXPECT_EQ(first->mbr->partitionType, 7U);
  EXPECT_TRUE(first->mbr->isActive);
}

// Regions come in ascending order of their offset on the disk; the extended partition precedes what lies in
// it.
TEST_P(EnumDiskRegions, AscendsByOffset) {
  Checks(third() ? "DMRP-1554" : "DMRP-0599");
  std::int64_t last = -1;
  REGIONTYPE last_type = REGION_UNKNOWN;
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    EXPECT_TRUE(region.start > last || (region.start == last && last_type == REGION_EXTENDED))
        << ToText(region);
    last = region.start;
    last_type = region.regionType;
  }
}

// numRegions returns the number of entries; its in-value is not used.
TEST_P(EnumDiskRegions, IgnoresTheCountSent) {
  Checks(third() ? "DMRP-1557" : "DMRP-0603", "DMRP-0521", "DMRP-0025");
  const auto plain = session().EnumDiskRegions(lab().DiskId(0), 0);
  ASSERT_THAT(plain, Succeeds());
  for (std::uint32_t count : {1U, 3U, 1000U, 0xFFFFFFFFU}) {
    const auto reply = session().EnumDiskRegions(lab().DiskId(0), count);
    ASSERT_THAT(reply, Succeeds()) << "numRegions " << count;
    EXPECT_EQ(reply.value.regions, plain.value.regions) << "numRegions " << count;
  }
  EXPECT_EQ(DiskNow(session()).regionCount, plain.value.regions.size());
}

// Members without a meaning are 0: no volume and no file system on free space, no task while none runs.
TEST_P(EnumDiskRegions, HasZerosWhereNothingIsAssociated) {
  Checks("DMRP-0600", third() ? "DMRP-0221" : "DMRP-0165", third() ? "DMRP-0222" : "DMRP-0166",
         third() ? "DMRP-0235" : "DMRP-0174");
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    EXPECT_EQ(region.taskId, 0) << ToText(region);
    EXPECT_EQ(region.volId, 0) << "a basic disk has no volumes: " << ToText(region);
    if (harness::IsFree(region)) {
      EXPECT_EQ(region.fsId, 0) << ToText(region);
    }
    EXPECT_EQ(region.status, REGIONSTATUS_OK) << ToText(region);
  }
}

// Enumerating is no change.
TEST_P(EnumDiskRegions, LeavesTheObjectListUntouched) {
  Checks(third() ? "DMRP-1559" : "DMRP-0605");
  Session& watcher = SessionOf(third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3);
  const Observation before = ObserveAll(watcher);
  ASSERT_THAT(session().EnumDiskRegions(lab().DiskId(0)), Succeeds());
  EXPECT_THAT(ObserveAll(watcher), Unchanged(before));
}

// Both revisions tell the same of the same regions, under the same ids.
TEST_P(EnumDiskRegions, AgreesWithTheOtherRevision) {
  Checks(third() ? "DMRP-0219" : "DMRP-0163", third() ? "DMRP-0226" : "DMRP-0164", "DMRP-0488");
  const auto mine = RegionsNow(session());
  const auto theirs = RegionsNow(SessionOf(third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3));
  ASSERT_EQ(mine.size(), theirs.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    EXPECT_EQ(harness::Narrow(mine[i]), harness::Narrow(theirs[i]));
  }
  if (third()) {
    for (const REGION_INFO_EX& region : mine) {
      EXPECT_EQ(region.partitionStyle, DiskNow(session()).partitionStyle);
    }
  }
}

// Partition numbers are those by which the machine knows the partitions; free space has none.
TEST_P(EnumDiskRegions, NumbersPartitions) {
  Checks(third() ? "DMRP-0237" : "DMRP-0176");
  const harness::DiskLayout layout = LayoutOf();
  std::set<std::uint32_t> numbers;
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    if (harness::IsFree(region) || region.regionType == REGION_EXTENDED) {
      EXPECT_EQ(region.currentPartitionNumber, 0U) << ToText(region);
      continue;
    }
    EXPECT_NE(region.currentPartitionNumber, 0U) << ToText(region);
    EXPECT_TRUE(numbers.insert(region.currentPartitionNumber).second) << "twice: " << ToText(region);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, EnumDiskRegions, kBothRevisions, RevisionName());

// diskId has to name a disk of the list: anything else is refused at once, without any effect.
struct WrongDisk {
  const char* name;
  std::function<LdmObjectId(const StorageView&)> id;
};

class EnumDiskRegionsRefuses : public ConformanceTest,
                               public ::testing::WithParamInterface<std::tuple<Revision, WrongDisk>> {};

TEST_P(EnumDiskRegionsRefuses, ADiskThatDoesNotExist) {
  const auto& [revision, wrong] = GetParam();
  const bool third = revision == Revision::kIVolumeClient3;
  Checks(third ? "DMRP-1550" : "DMRP-0594", third ? "DMRP-1551" : "DMRP-0596",
         third ? "DMRP-1548" : "DMRP-0593");
  StartSharedWith("full-table", {{kBlank.Spec(), Table(std::string(kFullTable))}, {kMbr512e.Spec(), {}}});
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);

  EXPECT_THAT(session.EnumDiskRegions(wrong.id(before.view)), Refused());

  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, EnumDiskRegionsRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            WrongDisk{"Zero", [](const StorageView&) { return LdmObjectId{0}; }},
            WrongDisk{"MinusOne", [](const StorageView&) { return LdmObjectId{-1}; }},
            WrongDisk{"Greatest", [](const StorageView&) { return std::numeric_limits<LdmObjectId>::max(); }},
            WrongDisk{"ARegion",
                      [](const StorageView& view) { return view.regions.begin()->second.front().id; }},
            WrongDisk{"OnlyTheLowHalfOfADisk",
                      [](const StorageView& view) {
                        return static_cast<LdmObjectId>(static_cast<std::uint64_t>(view.disks.front().id) ^
                                                        (std::uint64_t{1} << 40U));
                      }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
