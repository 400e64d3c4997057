// RestartVolume (3.2.4.4.1.43, 3.2.4.4.3.46).
#include "harness/guest/guest.hpp"
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/volume_data.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kSeed = 43;

// A volume that fails: which one, and which of its disks go and come back.
struct Failure {
  const char* name;
  std::size_t shape = 0;            ///< of ShapesOfEachLayout
  std::vector<VOLUMESTATUS> steps;  ///< after each disk that goes, from disk 0 on
};

class RestartVolumeTest : public VolumeDataTest {
 protected:
  static Outcome<RestartVolumeReply> Restart(Session& session, LdmObjectId volume, std::int64_t state) {
    return session.Change<RestartVolumeReply>(session.interface(), "RestartVolume",
                                              RestartVolumeRequest{volume, state});
  }
};

struct RestartOperation : WatchedDynamicOperation {
  VOLUME_INFO volume;            ///< while it was whole
  std::int64_t file_system = 0;  ///< its file system then
  char16_t letter = 0;
  std::uint64_t seed = kSeed;         ///< of the pattern that was written last
  VOLUME_INFO settled;                ///< when it is healthy again
  std::vector<std::string> problems;  ///< of the pattern, on the disks
  std::vector<std::string> broken;    ///< invariants
};

using Case = std::tuple<Revision, Failure>;

// A volume with a file system, a letter and a pattern fails as its disks go. They come back; then it is
// restarted.
class RestartVolume : public RestartVolumeTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartScenario(4); }
  Session& session() { return SessionOf(Asked()); }
  [[nodiscard]] static Revision Asked() { return std::get<0>(GetParam()); }
  [[nodiscard]] static const Failure& failure() { return std::get<1>(GetParam()); }
  static const VolumeShape& shape() {
    static const std::vector<VolumeShape> kShapes = ShapesOfEachLayout();
    return kShapes[failure().shape];
  }

  const RestartOperation& Done() {
    return Once([this] { return FailAndRestart(); });
  }
  RestartOperation FailAndRestart() {
    RestartOperation seen;
    const LdmObjectId id = Make(session(), shape()).id;
    FormatVolume(session(), id, u"BACK");
    seen.letter = GiveLetter(session(), id).letter;
    if (lab().bed().guest() != nullptr) WritePattern(session(), id, kSeed);
    seen.volume = VolumeNow(session(), id);
    seen.file_system = seen.volume.fsId;
    std::vector<PulledDisk> pulled;
    for (const VOLUMESTATUS status : failure().steps) {
      pulled.push_back(PullDisk(session(), 0, id, status));
      // A disk that goes first misses this.
      if (status == VOLUME_STATUS_FAILED || lab().bed().guest() == nullptr) continue;
      WritePattern(session(), id, ++seen.seed);
    }
    for (const PulledDisk& disk : pulled) ReturnDisk(session(), disk);
    const VOLUME_INFO failed = VolumeNow(session(), id);
    [&] { ASSERT_EQ(failed.status, VOLUME_STATUS_FAILED) << "nothing to restart: " << ToText(failed); }();
    static_cast<WatchedDynamicOperation&>(seen) =
        Watch(session(), [&] { return Restart(session(), id, failed.lastKnownState); });
    seen.settled = AwaitHealthy(session(), id, seen.marks.at(Asked()));
    const GroupImages images = GroupImagesNow();
    const harness::DynamicGroup& group = images.layout.groups.at(0);
    if (lab().bed().guest() != nullptr) {
      seen.problems = PatternProblemsOnDisk(group, group.volumes.at(0), seen.seed);
    }
    seen.broken = BrokenInvariants({0, 1, 2, 3}, {.degraded = false, .complete = true, .data = true});
    return seen;
  }
};

// The volume is the one that it was, and online: healthy, or being made whole.
TEST_P(RestartVolume, BringsTheVolumeOnline) {
  Checks("DMRP-1260", "DMRP-1261", "DMRP-1256", "DMRP-1744", "DMRP-1745");
  const VOLUME_INFO* now = Done().after.FindVolume(Done().volume.id);
  ASSERT_NE(now, nullptr);
  EXPECT_THAT(now->status,
              ::testing::AnyOf(VOLUME_STATUS_HEALTHY, VOLUME_STATUS_SYNCHING, VOLUME_STATUS_REGENERATING));
  EXPECT_EQ(now->layout, shape().layout);
  EXPECT_EQ(now->length, shape().length);
  EXPECT_EQ(now->memberCount, shape().members.size());
  EXPECT_EQ(Done().settled.status, VOLUME_STATUS_HEALTHY);
  EXPECT_THAT(Done().broken, IsEmpty());
}

// What was written before the disks went is there, through the volume and on its members.
TEST_P(RestartVolume, KeepsTheData) {
  Checks("DMRP-1260");
  GuestOrSkip();
  EXPECT_THAT(Done().problems, IsEmpty());
  EXPECT_THAT(PatternProblems(Done().volume.id, Done().seed), IsEmpty());
  harness::AgentClient& agent = GuestOrSkip().agent();
  Need(agent.Shell("mkdir -p /back && mount -t vfat -o ro " + DeviceOf(Done().volume.id) +
                   " /back && umount /back"));
}

TEST_P(RestartVolume, FillsTheTaskInfo) {
  Checks("DMRP-1262", "DMRP-1263", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Done().tinfo);
}

TEST_P(RestartVolume, SendsTheCompletionNotification) {
  Checks("DMRP-1264", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(session(), Done().tinfo, Done().marks.at(Asked()));
}

TEST_P(RestartVolume, ModifiesTheVolume) {
  Checks("DMRP-1265", "DMRP-0529", "DMRP-0041");
  const LdmObjectId id = Done().volume.id;
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, id)))
        << harness::ToString(revision);
  }
  EXPECT_EQ(Done().before.FindVolume(id)->status, VOLUME_STATUS_FAILED);
  EXPECT_GT(Done().after.FindVolume(id)->lastKnownState, Done().before.FindVolume(id)->lastKnownState);
}

// The letter is told to lead to the volume.
TEST_P(RestartVolume, ModifiesTheLetter) {
  Checks("DMRP-1266");
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told,
                Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(Done().letter))))
        << harness::ToString(revision);
  }
  const DRIVE_LETTER_INFO* letter = Done().after.FindLetter(Done().letter);
  ASSERT_NE(letter, nullptr);
  EXPECT_TRUE(letter->isUsed);
  EXPECT_EQ(letter->storageId, Done().volume.id);
  EXPECT_GT(letter->lastKnownState, Done().before.FindLetter(Done().letter)->lastKnownState);
}

// The file system of a volume that is online again is a new object.
TEST_P(RestartVolume, CreatesTheFileSystem) {
  Checks("DMRP-1267");
  const FILE_SYSTEM_INFO* file_system = Done().after.FileSystemOf(Done().volume.id);
  ASSERT_NE(file_system, nullptr);
  EXPECT_EQ(Done().before.FindFileSystem(file_system->id), nullptr);
  EXPECT_NE(file_system->id, Done().file_system);
  EXPECT_EQ(file_system->fsType, FSTYPE_FAT);
  EXPECT_EQ(LabelOf(*file_system), "BACK");
  EXPECT_EQ(Done().after.FindVolume(Done().volume.id)->fsId, file_system->id);
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_CREATED, file_system->id)))
        << harness::ToString(revision);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Failures, RestartVolume,
    ::testing::ValuesIn(Dealt<Failure>(
        {Failure{"Simple", 0, {VOLUME_STATUS_FAILED}},
         Failure{"StripedWithoutOne", 2, {VOLUME_STATUS_FAILED}},
         Failure{"MirroredWithoutBoth", 3, {VOLUME_STATUS_FAILED_REDUNDANCY, VOLUME_STATUS_FAILED}},
         Failure{"Raid5WithoutTwo", 4, {VOLUME_STATUS_FAILED_REDUNDANCY, VOLUME_STATUS_FAILED}}})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

// A failed volume whose disk is still away, in a lab of all that is refused.
class RestartVolumeRefuses : public RestartVolumeTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartSharedDynamic(2, "restart-volume-refusals"); }
  Session& session() { return SessionOf(GetParam()); }
  VOLUME_INFO Failed() {
    const LdmObjectId id = Once([this] {
      const LdmObjectId made = Make(session(), ShapesOfEachLayout().front()).id;
      PullDisk(session(), 0, made, VOLUME_STATUS_FAILED);
      return made;
    });
    return VolumeNow(session(), id);
  }
};

TEST_P(RestartVolumeRefuses, WhatIsNoVolumeOrAStaleState) {
  Checks("DMRP-1257", "DMRP-1259", "DMRP-1256", "DMRP-1744");
  const VOLUME_INFO volume = Failed();
  const Observation before = ObserveAll(session());
  const LdmObjectId region = before.view.RegionsOfVolume(volume.id).front().id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(1)}) {
    EXPECT_THAT(Restart(session(), id, volume.lastKnownState), Refused()) << id;
  }
  for (const std::int64_t state : {volume.lastKnownState - 1, volume.lastKnownState + 1}) {
    EXPECT_THAT(Restart(session(), volume.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// Nothing brings a volume online whose only disk is away: the call fails, and says so in its notification
// too.
TEST_P(RestartVolumeRefuses, FailsWithoutTheDisk) {
  Checks("DMRP-1260", "DMRP-1262", "DMRP-1263", "DMRP-1264");
  const VOLUME_INFO volume = Failed();
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Restart(session(), volume.id, volume.lastKnownState);
  ASSERT_THAT(reply, Refused());
  EXPECT_EQ(reply->tinfo.status, REQ_FAILED);
  EXPECT_EQ(reply->tinfo.error, reply->result);
  ExpectCompletion(session(), reply->tinfo, mark);
  EXPECT_EQ(VolumeNow(session(), volume.id).status, VOLUME_STATUS_FAILED);
}

INSTANTIATE_TEST_SUITE_P(Both, RestartVolumeRefuses, kBothRevisions, RevisionName());

// A volume that is online is left as it is, whatever the answer.
class RestartVolumeOnline : public RestartVolumeTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(RestartVolumeOnline, ChangesNothingOnDisk) {
  Checks("DMRP-1260", "DMRP-1256", "DMRP-1744");
  StartDynamic(2);
  Session& session = SessionOf(GetParam());
  const VOLUME_INFO volume = Make(session, ShapesOfEachLayout()[3]);
  FormatVolume(session, volume.id, u"ONLINE");
  WritePattern(session, volume.id, kSeed);
  const auto reply = Restart(session, volume.id, VolumeNow(session, volume.id).lastKnownState);
  EXPECT_TRUE(reply.succeeded() || reply.refused()) << reply.call.text;
  EXPECT_EQ(VolumeNow(session, volume.id).status, VOLUME_STATUS_HEALTHY);
  EXPECT_THAT(PatternProblems(volume.id, kSeed), IsEmpty());
  EXPECT_THAT(BrokenInvariants({0, 1}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, RestartVolumeOnline, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
