// What keeps disks from being converted: the flags of GetEncapsulateDiskInfo(Ex) (3.2.4.4.1.44, 3.2.4.4.3.47)
// and what EncapsulateDisk(Ex) (3.2.4.4.1.45, 3.2.4.4.3.48) makes of such disks.
#include "harness/guest/guest.hpp"
#include "harness/guest/held_file.hpp"
#include "suites/support/encapsulation.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::SizeIs;

struct Obstacle {
  const char* name;
  std::string_view size;
  std::string_view script;  ///< of sfdisk
  std::uint32_t info = 0;   ///< ENCAP_INFO_* besides CANT_PROCEED
  std::uint32_t disk = 0;   ///< of affectedDiskFlags: at least these
  HRESULT code = 0;         ///< of 2.2.1, for the conversion that fails
  bool gpt = false;
};

// Some codes of 2.2.1 are printed without the bit of failures; such a one counts as failure where the state
// of the task and the disks prove it.
MATCHER_P(FailsBecauseOf, code, "a failure; of the codes of 2.2.1 the one that names the reason") {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  if (!arg.answered()) return false;
  constexpr std::uint32_t kFailure = 0x80000000;
  constexpr std::uint32_t kFacility = 0x0FFF0000;
  constexpr std::uint32_t kOfThisProtocol = 0x01000000;
  const auto result = static_cast<std::uint32_t>(arg.value.result);
  if ((result & kFacility) != kOfThisProtocol) return arg.refused();
  return (result | kFailure) == (static_cast<std::uint32_t>(code) | kFailure);
}

std::vector<Obstacle> Obstacles() {
  return {
      {"NoRoomForTheDatabase", "40M", "label: dos\nlabel-id: 0x5eed0051\nstart=2048, size=79872, type=6\n",
       ENCAP_INFO_NO_FREE_SPACE, CONTAINS_NO_FREE_SPACE, LDM_E_INSUFFICIENT_SPACE},
      {"ActivePartition", "44M",
       "label: dos\nlabel-id: 0x5eed0052\nstart=2048, size=16384, type=6, bootable\n", ENCAP_INFO_BAD_ACTIVE,
       CONTAINS_BOOTINDICATOR | CONTAINS_BOOTABLE_PARTITION, LDM_E_BAD_ACTIVEPARTITION},
      {"UnknownType", "52M",
       "label: dos\nlabel-id: 0x5eed0053\nstart=2048, size=16384, type=6\nstart=18432, size=16384, type=83\n",
       ENCAP_INFO_UNKNOWN_PART, CONTAINS_MIXED_PARTITIONS, LDM_E_BAD_PARTITION},
      {"FtTypeWithoutASet", "60M", "label: dos\nlabel-id: 0x5eed0054\nstart=2048, size=16384, type=86\n",
       ENCAP_INFO_FT_QUERY_FAILED | ENCAP_INFO_CONTAINS_FT, CONTAINS_FT, LDM_E_FT_QUERY_FAIL},
      {"ForeignGptPartitionBetween", "68M",
       "label: gpt\nstart=2048, size=16384, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
       "start=18432, size=16384, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n"
       "start=34816, size=16384, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n",
       ENCAP_INFO_MIXED_PARTITIONS, CONTAINS_MIXED_PARTITIONS, LDM_MIXED_PARTITIONS, true},
  };
}

// One disk for each obstacle, and one with a file system and none.
constexpr std::size_t kSound = 5;

std::vector<BedDiskRequest> Disks() {
  std::vector<BedDiskRequest> disks;
  for (const Obstacle& each : Obstacles()) {
    disks.push_back(
        {harness::ParseDiskSpec(fmt::format("size={}", each.size)).value(), Table(std::string(each.script))});
  }
  disks.push_back({harness::ParseDiskSpec("size=76M").value(),
                   Volumes("label: dos\nlabel-id: 0x5eed0056\nstart=2048, size=16384, type=6\n",
                           {{2048 * 512, 16384 * 512, "mkfs.fat -F 16 -s 1"}})});
  disks.push_back(GptDiskWithPartitions());
  return disks;
}
constexpr std::size_t kSoundGpt = 6;

class EncapsulationObstacles : public EncapsulationTest {
 protected:
  void SetUp() override { StartSharedWith("disks-not-to-encapsulate", Disks()); }

  // The query names the obstacle, in bits that its revision has; the conversion fails for the same reason and
  // leaves everything as it was.
  void ExpectObstacle(Session& session, std::size_t disk, std::uint32_t info, std::uint32_t of_disk,
                      HRESULT code) {
    const Observation before = ObserveAll(session);
    const auto query = Query(session, {disk});
    ASSERT_THAT(query, Succeeds());
    EXPECT_EQ(query->encapInfoFlags, ENCAP_INFO_CANT_PROCEED | info);
    ASSERT_THAT(query->affectedDiskFlags, SizeIs(1));
    EXPECT_EQ(query->affectedDiskFlags[0] & of_disk, of_disk);
    EXPECT_EQ(query->affectedDiskFlags[0] & ~EncapsulationDiskFlagsOf(session.revision()), 0U);
    const std::uint64_t mark = session.sink().Count();
    const auto reply = Encapsulate(session, query.value);
    EXPECT_THAT(reply, FailsBecauseOf(code));
    EXPECT_EQ(reply->encapInfoFlags, ENCAP_INFO_CANT_PROCEED | info);
    EXPECT_EQ(reply->encapInfoFlags & ~EncapsulationFlagsOf(session.revision()), 0U);
    EXPECT_NE(reply->tinfo.id, 0);
    EXPECT_EQ(reply->tinfo.status, REQ_FAILED);
    EXPECT_EQ(reply->tinfo.error, reply->result);
    ExpectCompletion(session, reply->tinfo, mark);
    EXPECT_THAT(ObserveAll(session), Unchanged(before));
  }
};

class EncapsulationObstacle : public EncapsulationObstacles,
                              public ::testing::WithParamInterface<std::tuple<Revision, std::size_t>> {};

TEST_P(EncapsulationObstacle, IsNamedAndForbidsTheConversion) {
  const auto& [revision, disk] = GetParam();
  if (revision == Revision::kIVolumeClient) {
    Checks("DMRP-1269", "DMRP-1270", "DMRP-1288", "DMRP-1300", "DMRP-1301", "DMRP-1310", "DMRP-1311",
           "DMRP-1325", "DMRP-1326", "DMRP-1327", "DMRP-1329", "DMRP-0564", "DMRP-0029");
  } else {
    Checks("DMRP-1746", "DMRP-1747", "DMRP-1763", "DMRP-1775", "DMRP-1776", "DMRP-1783", "DMRP-1784",
           "DMRP-1796", "DMRP-1797", "DMRP-1799", "DMRP-0564", "DMRP-0029");
  }
  const Obstacle obstacle = Obstacles().at(disk);
  ExpectObstacle(SessionOf(revision), disk, obstacle.info, obstacle.disk, obstacle.code);
}

std::vector<std::tuple<Revision, std::size_t>> ObstacleCases() {
  std::vector<std::tuple<Revision, std::size_t>> cases;
  const auto obstacles = Obstacles();
  for (std::size_t i = 0; i < obstacles.size(); ++i) {
    if (!obstacles[i].gpt) cases.emplace_back(Revision::kIVolumeClient, i);
    cases.emplace_back(Revision::kIVolumeClient3, i);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Both, EncapsulationObstacle, ::testing::ValuesIn(ObstacleCases()),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  Obstacles().at(std::get<1>(info.param)).name;
                         });

class EncapsulationOfDisksInUse : public EncapsulationObstacles,
                                  public ::testing::WithParamInterface<Revision> {
 protected:
  void TearDown() override {
    if (held_) {
      held_.reset();
      lab().bed().guest()->agent().Shell("umount -l /tmp/kept");
    }
    EncapsulationObstacles::TearDown();
  }
  std::optional<harness::HeldFile> held_;
};

// A disk one of whose file systems a program uses stays as it is.
TEST_P(EncapsulationOfDisksInUse, FailsAndSaysSo) {
  if (GetParam() == Revision::kIVolumeClient) {
    Checks("DMRP-1269", "DMRP-1270", "DMRP-1300", "DMRP-1310", "DMRP-1326");
  } else {
    Checks("DMRP-1746", "DMRP-1747", "DMRP-1775", "DMRP-1783");
  }
  harness::Guest& guest = GuestOrSkip();
  const std::string device = guest.disks().at(kSound).guest_device;
  Need(guest.agent().Shell(
      fmt::format("mkdir -p /tmp/kept && mount -t vfat -o ro /dev/{}1 /tmp/kept", device)));
  held_.emplace(Need(harness::HeldFile::Hold(guest.agent(), "/tmp/kept")));
  ExpectObstacle(SessionOf(GetParam()), kSound, ENCAP_INFO_VOLUME_BUSY, CONTAINS_LOCKED_PARTITION,
                 LDM_E_VOLUME_IN_USE);
}

INSTANTIATE_TEST_SUITE_P(Both, EncapsulationOfDisksInUse, kBothRevisions, RevisionName());

// Of several disks that are to be converted together one is enough to stop them all.
class EncapsulationOfSeveralDisks : public EncapsulationObstacles,
                                    public ::testing::WithParamInterface<Revision> {};

TEST_P(EncapsulationOfSeveralDisks, StopsAtAnObstacleOnOne) {
  if (GetParam() == Revision::kIVolumeClient) {
    Checks("DMRP-1300", "DMRP-1288", "DMRP-1311", "DMRP-1326");
  } else {
    Checks("DMRP-1775", "DMRP-1763", "DMRP-1784", "DMRP-1783");
  }
  Session& session = SessionOf(GetParam());
  const Observation before = ObserveAll(session);
  const auto query = Query(session, {kSound, 0});
  ASSERT_THAT(query, Succeeds());
  EXPECT_EQ(query->encapInfoFlags, ENCAP_INFO_CANT_PROCEED | ENCAP_INFO_NO_FREE_SPACE);
  ASSERT_THAT(query->affectedDiskFlags, SizeIs(2));
  for (std::size_t i = 0; i < 2; ++i) {
    const bool full = query->affectedDiskList.at(i).id == lab().DiskId(0);
    EXPECT_EQ(query->affectedDiskFlags[i] & CONTAINS_NO_FREE_SPACE, full ? CONTAINS_NO_FREE_SPACE : 0U);
  }
  const auto reply = Encapsulate(session, query.value);
  EXPECT_THAT(reply, Refused());
  EXPECT_EQ(reply->encapInfoFlags, query->encapInfoFlags);
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, EncapsulationOfSeveralDisks, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  const char* first;  ///< the rule of IVolumeClient
  const char* third;  ///< that of IVolumeClient3
  std::function<void(EncapsulateDiskExRequest& request, const StorageView& view)> spoil;
};

class EncapsulateDiskRefuses : public EncapsulationObstacles,
                               public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// What the parameter checks refuse has no effect at all, not even a task that ends.
TEST_P(EncapsulateDiskRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  if (revision == Revision::kIVolumeClient) {
    Checks("DMRP-1322", "DMRP-1311", wrong.first);
  } else {
    Checks("DMRP-1793", "DMRP-1784", wrong.third);
  }
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  const auto query = Query(session, {kSound});
  ASSERT_THAT(query, Succeeds());
  EncapsulateDiskExRequest request = RequestOf(query.value);
  wrong.spoil(request, before.view);
  EXPECT_THAT(Encapsulate(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

using Request = EncapsulateDiskExRequest;

INSTANTIATE_TEST_SUITE_P(
    Both, EncapsulateDiskRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(Wrong{"NoDisk", "DMRP-1312", "DMRP-1785",
                                [](Request& request, const StorageView&) {
                                  request.affectedDiskList.clear();
                                }},
                          Wrong{"DiskZero", "DMRP-1313", "DMRP-1786",
                                [](Request& request, const StorageView&) {
                                  request.affectedDiskList[0].id = 0;
                                }},
                          Wrong{"DiskUnknown", "DMRP-1313", "DMRP-1786",
                                [](Request& request, const StorageView&) {
                                  request.affectedDiskList[0].id = std::numeric_limits<LdmObjectId>::max();
                                }},
                          Wrong{"DiskIsARegion", "DMRP-1313", "DMRP-1786",
                                [](Request& request, const StorageView& view) {
                                  request.affectedDiskList[0].id =
                                      view.RegionsOf(request.affectedDiskList[0].id).front().id;
                                }},
                          Wrong{"StateOneBelow", "DMRP-1313", "DMRP-1786",
                                [](Request& request, const StorageView&) {
                                  --request.affectedDiskList[0].lastKnownState;
                                }},
                          Wrong{"StateOneAbove", "DMRP-1313", "DMRP-1786",
                                [](Request& request, const StorageView&) {
                                  ++request.affectedDiskList[0].lastKnownState;
                                }},
                          Wrong{"VolumeThatIsNotThere", "DMRP-1319", "DMRP-1790",
                                [](Request& request, const StorageView&) {
                                  request.affectedVolumeList.resize(1);
                                  request.affectedVolumeList[0].id = std::numeric_limits<LdmObjectId>::max();
                                }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

// The earlier revision knows no GPT disks.
TEST_F(EncapsulationObstacles, GptDisksAreNotConvertedThroughTheEarlierRevision) {
  Checks("DMRP-1314", "DMRP-1322", "DMRP-1311");
  Session& session = SessionOf(Revision::kIVolumeClient);
  const auto query = Query(SessionOf(Revision::kIVolumeClient3), {kSoundGpt});
  ASSERT_THAT(query, Succeeds());
  ASSERT_EQ(query->encapInfoFlags, 0U);
  const Observation before = ObserveAll(session);
  EXPECT_THAT(Encapsulate(session, query.value), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

}  // namespace
}  // namespace dmrp::suites
