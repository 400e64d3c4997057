// ReplaceRaid5Column (3.2.4.4.1.42, 3.2.4.4.3.45).
#include "harness/guest/guest.hpp"
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/volume_data.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kSeed = 42;

// What became of the disk of the failed member by the time it is replaced.
struct Fate {
  const char* name;
  bool returned = false;
};

class ReplaceColumnTest : public VolumeDataTest {
 protected:
  static const VolumeShape& Raid5() {
    static const VolumeShape kRaid5 = ShapesOfEachLayout()[4];
    return kRaid5;
  }
  static Outcome<ReplaceRaid5ColumnReply> Replace(Session& session,
                                                  const ReplaceRaid5ColumnRequest& request) {
    return session.Change<ReplaceRaid5ColumnReply>(session.interface(), "ReplaceRaid5Column", request);
  }
};

struct ReplaceOperation : WatchedDynamicOperation {
  LdmObjectId volume = 0;
  LdmObjectId new_disk = 0;
  LdmObjectId old_disk = 0;           ///< as it is listed when its member is replaced
  VOLUME_INFO settled;                ///< when the volume is healthy again
  harness::DynamicLayout at_rest;     ///< on the disks then
  std::vector<std::string> problems;  ///< of the pattern, on the disks then
  std::vector<std::string> broken;    ///< invariants then
};

using Case = std::tuple<Revision, Fate>;

// RAID-5 on disks 0, 1 and 2 with a file system and a pattern; disk 1 goes, and its column is made anew on
// the last disk.
class ReplaceRaid5Column : public ReplaceColumnTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartScenario(4); }
  Session& session() { return SessionOf(Asked()); }
  [[nodiscard]] static Revision Asked() { return std::get<0>(GetParam()); }
  [[nodiscard]] static bool Returned() { return std::get<1>(GetParam()).returned; }

  const ReplaceOperation& Done() {
    return Once([this] { return FailAndReplace(); });
  }
  ReplaceOperation FailAndReplace() {
    ReplaceOperation seen;
    seen.volume = Make(session(), Raid5()).id;
    FormatVolume(session(), seen.volume, u"COLUMNS");
    if (lab().bed().guest() != nullptr) WritePattern(session(), seen.volume, kSeed);
    seen.new_disk = lab().DiskId(3);
    const PulledDisk pulled = PullDisk(session(), 1, seen.volume, VOLUME_STATUS_FAILED_REDUNDANCY);
    // What is written now is in the columns that are left only.
    if (lab().bed().guest() != nullptr) WritePattern(session(), seen.volume, kSeed + 1);
    if (Returned()) ReturnDisk(session(), pulled);
    const ReplaceRaid5ColumnRequest request = ColumnRequest(session(), seen.volume, seen.new_disk);
    static_cast<WatchedDynamicOperation&>(seen) =
        Watch(session(), [&] { return Replace(session(), request); });
    for (const REGION_INFO_EX& region : seen.before.RegionsOfVolume(seen.volume)) {
      if (region.diskId != lab().DiskId(0) && region.diskId != lab().DiskId(2)) seen.old_disk = region.diskId;
    }
    seen.settled = AwaitHealthy(session(), seen.volume, seen.marks.at(Asked()));
    const GroupImages images = GroupImagesNow();
    seen.at_rest = images.layout;
    const harness::DynamicGroup& group = images.layout.groups.at(0);
    if (lab().bed().guest() != nullptr) {
      seen.problems = PatternProblemsOnDisk(group, group.volumes.at(0), kSeed + 1);
    }
    // The old disk is away, or back but not attached again.
    seen.broken = BrokenInvariants({0, 1, 2}, {.degraded = true, .complete = false, .data = true});
    return seen;
  }
  static std::vector<REGION_INFO_EX> MembersOn(const StorageView& view, LdmObjectId volume,
                                               LdmObjectId disk) {
    std::vector<REGION_INFO_EX> members = view.RegionsOfVolume(volume);
    std::erase_if(members, [&](const REGION_INFO_EX& region) { return region.diskId != disk; });
    return members;
  }
};

// When the reply comes the old column is off the record and one of its length lies on the disk given.
TEST_P(ReplaceRaid5Column, MovesTheColumnOnDisk) {
  Checks("DMRP-1241", "DMRP-1242", "DMRP-1243", "DMRP-1245", "DMRP-1236", "DMRP-1742", "DMRP-1743");
  const harness::DynamicLayout& found = GroupsAfter(Done());
  ASSERT_THAT(found.groups, SizeIs(1));
  ASSERT_THAT(found.groups[0].volumes, SizeIs(1));
  const harness::DynamicVolume& volume = found.groups[0].volumes[0];
  EXPECT_EQ(volume.type, harness::DynamicVolumeType::kRaid5);
  EXPECT_EQ(volume.size, static_cast<std::uint64_t>(Raid5().length));
  ASSERT_THAT(volume.plexes, SizeIs(1));
  std::vector<std::string> disks;
  for (const harness::DynamicExtent& extent : volume.plexes[0].extents) {
    EXPECT_EQ(extent.length, static_cast<std::uint64_t>(Raid5().members[0].second));
    disks.push_back(extent.disk);
  }
  EXPECT_THAT(disks, ::testing::ElementsAre("Disk1", "Disk4", "Disk3"));
}

// In the end the volume is healthy, each row adds up to zero, and what was written, with and without the old
// column, is where the columns in their order say.
TEST_P(ReplaceRaid5Column, RegeneratesTheColumn) {
  Checks("DMRP-1244", "DMRP-0041");
  EXPECT_EQ(Done().settled.status, VOLUME_STATUS_HEALTHY);
  EXPECT_THAT(Done().problems, IsEmpty());
  EXPECT_THAT(Done().broken, IsEmpty());
  const StorageView now = Need(session().View());
  for (const REGION_INFO_EX& region : now.RegionsOfVolume(Done().volume)) {
    EXPECT_EQ(region.status, REGIONSTATUS_OK) << ToText(region);
  }
  if (lab().bed().guest() == nullptr) return;
  EXPECT_THAT(PatternProblems(Done().volume, kSeed + 1), IsEmpty());
  Need(GuestOrSkip().agent().Shell("mkdir -p /column && mount -t vfat -o ro " + DeviceOf(Done().volume) +
                                   " /column && umount /column"));
}

TEST_P(ReplaceRaid5Column, FillsTheTaskInfo) {
  Checks("DMRP-1246", "DMRP-1247", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Done().tinfo);
}

TEST_P(ReplaceRaid5Column, SendsTheCompletionNotification) {
  Checks("DMRP-1248", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(session(), Done().tinfo, Done().marks.at(Asked()));
}

// Another task regenerates the column, and ends.
TEST_P(ReplaceRaid5Column, StartsATaskThatRegenerates) {
  Checks("DMRP-1244");
  const auto ended = session().sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.task && object.id != Done().tinfo.id && IsFinal(object.task->status) &&
               object.task->storageId == Done().volume;
      },
      target().notification_timeout, Done().marks.at(Asked()));
  if (!ended) {
    // A volume that is whole when the reply comes needs no task any more.
    for (const ReceivedObject& object : session().sink().Objects(Done().marks.at(Asked()))) {
      EXPECT_FALSE(object.volume && object.id == Done().volume &&
                   object.volume->status == VOLUME_STATUS_REGENERATING)
          << "the column is regenerated, and no task tells of it";
    }
    return;
  }
  EXPECT_EQ(ended->task->status, REQ_COMPLETED);
  EXPECT_EQ(ended->task->error, 0);
}

TEST_P(ReplaceRaid5Column, ModifiesTheVolume) {
  Checks("DMRP-1249", "DMRP-0529");
  const LdmObjectId id = Done().volume;
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, id)))
        << harness::ToString(revision);
  }
  const VOLUME_INFO* now = Done().after.FindVolume(id);
  ASSERT_NE(now, nullptr);
  EXPECT_GT(now->lastKnownState, Done().before.FindVolume(id)->lastKnownState);
  EXPECT_THAT(now->status, AnyOf(VOLUME_STATUS_REGENERATING, VOLUME_STATUS_HEALTHY));
  EXPECT_EQ(Done().before.FindVolume(id)->status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(now->layout, VOLUMELAYOUT_RAID5);
  EXPECT_EQ(now->length, Raid5().length);
  EXPECT_EQ(now->memberCount, 3U);
  EXPECT_THAT(MembersOn(Done().after, id, Done().new_disk), SizeIs(1));
  EXPECT_THAT(MembersOn(Done().after, id, Done().old_disk), IsEmpty());
}

// The new disk has less free space and a region more.
TEST_P(ReplaceRaid5Column, TakesTheSpaceOnTheNewDisk) {
  Checks("DMRP-1250", "DMRP-1251", "DMRP-1252");
  const LdmObjectId disk = Done().new_disk;
  const auto members = MembersOn(Done().after, Done().volume, disk);
  ASSERT_THAT(members, SizeIs(1));
  EXPECT_EQ(members[0].length, Raid5().members[0].second);
  EXPECT_EQ(Done().before.FindRegion(members[0].id), nullptr);
  EXPECT_EQ(Done().before.FindDisk(disk)->freeBytes - Done().after.FindDisk(disk)->freeBytes,
            members[0].length);
  for (const auto& [revision, told] : Done().notified) {
    SCOPED_TRACE(harness::ToString(revision));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, members[0].id)));
    EXPECT_TRUE(std::ranges::any_of(told, [&](const ReceivedObject& object) {
      const REGION_INFO_EX* free = Done().before.FindRegion(object.id);
      return object.type == DMNOTIFY_REGION_INFO && free != nullptr && harness::IsFree(*free) &&
             free->diskId == disk;
    })) << "no frame about the free region of the new disk";
  }
}

// The old disk has the region no more; where the disk is there, its space is free again.
TEST_P(ReplaceRaid5Column, FreesTheSpaceOnTheOldDisk) {
  Checks("DMRP-1253", "DMRP-1254", "DMRP-1255");
  const LdmObjectId disk = Done().old_disk;
  const auto members = MembersOn(Done().before, Done().volume, disk);
  ASSERT_THAT(members, SizeIs(1));
  EXPECT_EQ(Done().after.FindRegion(members[0].id), nullptr);
  for (const auto& [revision, told] : Done().notified) {
    SCOPED_TRACE(harness::ToString(revision));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, members[0].id)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk)));
  }
  ASSERT_NE(Done().after.FindDisk(disk), nullptr);
  EXPECT_GT(Done().after.FindDisk(disk)->lastKnownState, Done().before.FindDisk(disk)->lastKnownState);
  if (!Returned()) return;
  EXPECT_EQ(Done().after.FindDisk(disk)->freeBytes - Done().before.FindDisk(disk)->freeBytes,
            members[0].length);
  const auto free = std::ranges::find_if(Done().after.RegionsOf(disk), [&](const REGION_INFO_EX& region) {
    return harness::IsFree(region) && region.start <= members[0].start &&
           region.start + region.length >= members[0].start + members[0].length;
  });
  ASSERT_NE(free, Done().after.RegionsOf(disk).end());
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told, Contains(AnyOf(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, free->id),
                                     Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, free->id))));
  }
}

INSTANTIATE_TEST_SUITE_P(Fates, ReplaceRaid5Column,
                         ::testing::ValuesIn(Dealt<Fate>({Fate{"DiskAway", false}, Fate{"DiskBack", true}})),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

// A RAID-5 volume whose second disk is away, a mirror, a spare disk, and a basic one.
struct Scene {
  LdmObjectId raid5 = 0;
  LdmObjectId mirror = 0;
  LdmObjectId first_disk = 0;  ///< has a column
};
struct Wrong {
  const char* name;
  const char* id;
  std::function<void(ReplaceRaid5ColumnRequest& request, const StorageView& view, const Scene& scene)> spoil;
};

class ReplaceRaid5ColumnRefuses : public ReplaceColumnTest,
                                  public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(ReplaceRaid5ColumnRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1240", "DMRP-1236", "DMRP-1742");
  StartSharedDynamic(4, "replace-raid5-column-refusals");
  Session& session = SessionOf(revision);
  const Scene& scene = Once([&] {
    Scene made;
    made.raid5 = Make(session, Raid5()).id;
    made.mirror = Make(session, {"Mirrored", VOLUMELAYOUT_MIRROR, {{0, MiB(8)}, {2, MiB(8)}}, MiB(8)}).id;
    made.first_disk = lab().DiskId(0);
    PullDisk(session, 1, made.raid5, VOLUME_STATUS_FAILED_REDUNDANCY);
    return made;
  });
  const Observation before = ObserveAll(session);
  ReplaceRaid5ColumnRequest request = ColumnRequest(session, scene.raid5, lab().DiskId(3));
  wrong.spoil(request, before.view, scene);
  EXPECT_THAT(Replace(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

using R = ReplaceRaid5ColumnRequest;
using V = StorageView;

INSTANTIATE_TEST_SUITE_P(
    Both, ReplaceRaid5ColumnRefuses,
    ::testing::
        Combine(kBothRevisions,
                ::testing::Values(Wrong{"VolumeUnknown", "DMRP-1237",
                                        [](R& r, const V&, const Scene&) {
                                          r.volumeId = std::numeric_limits<LdmObjectId>::max();
                                        }},
                                  Wrong{"VolumeIsTheDisk", "DMRP-1237",
                                        [](R& r, const V&, const Scene&) { r.volumeId = r.newDiskId; }},
                                  Wrong{"VolumeStateOneBelow", "DMRP-1237",
                                        [](R& r, const V&, const Scene&) { --r.volumeLastKnownState; }},
                                  Wrong{"VolumeStateOneAbove", "DMRP-1237",
                                        [](R& r, const V&, const Scene&) { ++r.volumeLastKnownState; }},
                                  Wrong{"VolumeIsAMirror", "DMRP-1237",
                                        [](R& r, const V& view, const Scene& scene) {
                                          r.volumeId = scene.mirror;
                                          r.volumeLastKnownState =
                                              view.FindVolume(scene.mirror)->lastKnownState;
                                        }},
                                  Wrong{
                                      "DiskUnknown",
                                      "DMRP-1238",
                                      [](R& r, const V&, const Scene&) {
                                        r.newDiskId = std::numeric_limits<LdmObjectId>::max();
                                      }},
                                  Wrong{"DiskIsTheVolume", "DMRP-1238",
                                        [](R& r, const V&, const Scene&) { r.newDiskId = r.volumeId; }},
                                  Wrong{"DiskStateOneBelow", "DMRP-1238",
                                        [](R& r, const V&, const Scene&) { --r.diskLastKnownState; }},
                                  Wrong{"DiskStateOneAbove", "DMRP-1238",
                                        [](R& r, const V&, const Scene&) { ++r.diskLastKnownState; }},
                                  Wrong{"DiskHasAColumn", "DMRP-1243",
                                        [](R& r, const V& view, const Scene& scene) {
                                          r.newDiskId = scene.first_disk;
                                          r.diskLastKnownState =
                                              view.FindDisk(scene.first_disk)->lastKnownState;
                                        }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

// There is nothing to replace in a volume that is whole.
class ReplaceRaid5ColumnOfAHealthyVolume : public ReplaceColumnTest,
                                           public ::testing::WithParamInterface<Revision> {};

TEST_P(ReplaceRaid5ColumnOfAHealthyVolume, IsRefused) {
  Checks("DMRP-1241", "DMRP-1236", "DMRP-1742", "DMRP-1247");
  StartDynamic(4);
  Session& session = SessionOf(GetParam());
  const LdmObjectId volume = Make(session, Raid5()).id;
  const Observation before = ObserveAll(session);
  const std::uint64_t mark = session.sink().Count();
  const auto reply = Replace(session, ColumnRequest(session, volume, lab().DiskId(3)));
  ASSERT_THAT(reply, Refused());
  EXPECT_EQ(reply->tinfo.status, REQ_FAILED);
  EXPECT_EQ(reply->tinfo.error, reply->result);
  ExpectCompletion(session, reply->tinfo, mark);
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, ReplaceRaid5ColumnOfAHealthyVolume, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
