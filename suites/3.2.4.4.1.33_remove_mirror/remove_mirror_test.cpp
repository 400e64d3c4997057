// RemoveMirror (3.2.4.4.1.33, 3.2.4.4.3.36).
#include "suites/support/dynamic_volumes.hpp"

#include <array>
#include <functional>
#include <limits>
#include <utility>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RemoveMirrorTest : public DynamicTest {
 protected:
  // A request to remove what lies of the volume on that disk.
  RemoveMirrorRequest Ask(Session& session, LdmObjectId volume, std::size_t index) {
    const DISK_INFO_EX disk = DiskNow(session, index);
    RemoveMirrorRequest request;
    request.volumeId = volume;
    request.volumeLastKnownState = VolumeNow(session, volume).lastKnownState;
    request.diskId = disk.id;
    request.diskLastKnownState = disk.lastKnownState;
    return request;
  }
  // The mirror on disks 0 and 1.
  LdmObjectId MakeMirror(Session& session) { return Make(session, ShapesOfEachLayout()[3]).id; }
  static Outcome<RemoveMirrorReply> Remove(Session& session, const RemoveMirrorRequest& request) {
    return session.Change<RemoveMirrorReply>(session.interface(), "RemoveMirror", request);
  }
};

struct Removal : WatchedDynamicOperation {
  RemoveMirrorRequest request;
  std::vector<std::string> broken_invariants;
};

class RemoveMirror : public RemoveMirrorTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartScenario(3); }
  Session& session() { return SessionOf(GetParam()); }
  // The half on disk 0 goes, and of another mirror, made when what was left is deleted, the half on disk 1.
  const std::array<Removal, 2>& Removed() {
    return Once([this] {
      std::array<Removal, 2> seen;
      for (const std::size_t index : {0U, 1U}) {
        seen.at(index) = RemoveHalf(index);
        if (index == 1) break;
        const VOLUME_INFO left = VolumeNow(session(), seen.at(index).request.volumeId);
        [&] { ASSERT_THAT(DeleteVolume(session(), left.id, left.lastKnownState), Succeeds()); }();
      }
      return seen;
    });
  }

 private:
  Removal RemoveHalf(std::size_t index) {
    Removal seen;
    seen.request = Ask(session(), MakeMirror(session()), index);
    static_cast<WatchedDynamicOperation&>(seen) =
        Watch(session(), [&] { return Remove(session(), seen.request); });
    seen.broken_invariants = BrokenInvariants({0, 1, 2}, {.degraded = false, .complete = true, .data = true});
    return seen;
  }
};

// What is left is a simple volume on the other disk, whichever half goes.
TEST_P(RemoveMirror, DeletesTheHalfOnTheDisk) {
  Checks("DMRP-1071", "DMRP-1076", "DMRP-1077", "DMRP-1079", "DMRP-1702", "DMRP-1703");
  for (const std::size_t index : {0U, 1U}) {
    SCOPED_TRACE(index);
    const harness::DynamicLayout& found = GroupsAfter(Removed().at(index));
    ASSERT_THAT(found.groups, SizeIs(1));
    ASSERT_THAT(found.groups[0].volumes, SizeIs(1));
    const harness::DynamicVolume& left = found.groups[0].volumes[0];
    EXPECT_EQ(left.type, harness::DynamicVolumeType::kSimple);
    ASSERT_THAT(left.plexes, SizeIs(1));
    EXPECT_EQ(left.plexes[0].extents.at(0).disk, index == 0 ? "Disk2" : "Disk1");
    EXPECT_THAT(Removed().at(index).broken_invariants, IsEmpty());
  }
}

TEST_P(RemoveMirror, FillsTheTaskInfoAndSendsTheCompletion) {
  Checks("DMRP-1078", "DMRP-1080", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  for (const Removal& removal : Removed()) {
    ExpectCompleted(removal.tinfo);
    ExpectCompletion(session(), removal.tinfo, removal.marks.at(GetParam()));
  }
}

TEST_P(RemoveMirror, ModifiesVolumeAndDiskAndDeletesTheRegion) {
  Checks("DMRP-1081", "DMRP-1082", "DMRP-1083", "DMRP-1084");
  for (const Removal& removal : Removed()) {
    const auto& [volume, disk] = std::pair(removal.request.volumeId, removal.request.diskId);
    const StorageView& before = removal.before;
    const StorageView& after = removal.after;
    const auto& told = removal.notified.at(GetParam());
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, volume)));
    ASSERT_NE(after.FindVolume(volume), nullptr);
    EXPECT_EQ(after.FindVolume(volume)->layout, VOLUMELAYOUT_SIMPLE);
    EXPECT_EQ(after.FindVolume(volume)->memberCount, 1U);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk)));
    std::size_t gone = 0;
    for (const REGION_INFO_EX& region : before.RegionsOfVolume(volume)) {
      if (region.diskId != disk) continue;
      ++gone;
      EXPECT_EQ(after.FindRegion(region.id), nullptr);
      EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
      EXPECT_EQ(after.FindDisk(disk)->freeBytes - before.FindDisk(disk)->freeBytes, region.length);
    }
    EXPECT_EQ(gone, 1U);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RemoveMirror, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(RemoveMirrorRequest& request, const DISK_INFO_EX& third)> spoil;
};

class RemoveMirrorRefuses : public RemoveMirrorTest,
                            public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {
 protected:
  void SetUp() override { StartSharedDynamic(3, "mirror-to-keep"); }
};

TEST_P(RemoveMirrorRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1071", "DMRP-1075", "DMRP-1702");
  Session& session = SessionOf(revision);
  RemoveMirrorRequest request = Ask(session, Once([&] { return MakeMirror(session); }), 1);
  const DISK_INFO_EX third = DiskNow(session, 2);
  const Observation before = ObserveAll(session);
  wrong.spoil(request, third);
  EXPECT_THAT(Remove(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, RemoveMirrorRefuses,
    ::testing::Combine(kBothRevisions,
                       ::testing::Values(Wrong{"VolumeUnknown", "DMRP-1072",
                                               [](RemoveMirrorRequest& r, const DISK_INFO_EX&) {
                                                 r.volumeId = std::numeric_limits<LdmObjectId>::max();
                                               }},
                                         Wrong{"VolumeStateOneBelow", "DMRP-1072",
                                               [](RemoveMirrorRequest& r, const DISK_INFO_EX&) {
                                                 --r.volumeLastKnownState;
                                               }},
                                         Wrong{"DiskUnknown", "DMRP-1073",
                                               [](RemoveMirrorRequest& r, const DISK_INFO_EX&) {
                                                 r.diskId = std::numeric_limits<LdmObjectId>::max();
                                               }},
                                         Wrong{"DiskStateOneAbove", "DMRP-1073",
                                               [](RemoveMirrorRequest& r, const DISK_INFO_EX&) {
                                                 ++r.diskLastKnownState;
                                               }},
                                         Wrong{"DiskIsNoPartOfTheMirror", "DMRP-1073",
                                               [](RemoveMirrorRequest& r, const DISK_INFO_EX& third) {
                                                 r.diskId = third.id;
                                                 r.diskLastKnownState = third.lastKnownState;
                                               }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

// A volume that is no mirror has no half to remove.
class RemoveMirrorOfASimpleVolume : public RemoveMirrorTest,
                                    public ::testing::WithParamInterface<Revision> {};

TEST_P(RemoveMirrorOfASimpleVolume, IsRefused) {
  Checks("DMRP-1072", "DMRP-1075");
  StartSharedDynamic(1, "simple-volume-to-keep");
  Session& session = SessionOf(GetParam());
  const LdmObjectId volume = Once([&] { return Make(session, ShapesOfEachLayout().front()).id; });
  const Observation before = ObserveAll(session);
  EXPECT_THAT(Remove(session, Ask(session, volume, 0)), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, RemoveMirrorOfASimpleVolume, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
