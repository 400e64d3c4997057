// RemoveMirror (3.2.4.4.1.33, 3.2.4.4.3.36).
#include "suites/support/dynamic_volumes.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RemoveMirrorTest : public DynamicTest {
 protected:
  // The mirror on disks 0 and 1, and a request to remove what lies on that disk.
  RemoveMirrorRequest Ask(Session& session, std::size_t index) {
    volume_ = Make(session, ShapesOfEachLayout()[3]);
    const DISK_INFO_EX disk = DiskNow(session, index);
    RemoveMirrorRequest request;
    request.volumeId = volume_.id;
    request.volumeLastKnownState = volume_.lastKnownState;
    request.diskId = disk.id;
    request.diskLastKnownState = disk.lastKnownState;
    return request;
  }
  static Outcome<RemoveMirrorReply> Remove(Session& session, const RemoveMirrorRequest& request) {
    return session.Change<RemoveMirrorReply>(session.interface(), "RemoveMirror", request);
  }

  VOLUME_INFO volume_;
};

class RemoveMirror : public RemoveMirrorTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartDynamic(3); }
  Session& session() { return SessionOf(GetParam()); }
};

// What is left is a simple volume on the other disk, whichever half goes.
TEST_P(RemoveMirror, DeletesTheHalfOnTheDisk) {
  Checks("DMRP-1071", "DMRP-1076", "DMRP-1077", "DMRP-1079", "DMRP-1702", "DMRP-1703");
  for (const std::size_t index : {0U, 1U}) {
    SCOPED_TRACE(index);
    const RemoveMirrorRequest request = Ask(session(), index);
    ASSERT_THAT(Remove(session(), request), Succeeds());
    const harness::DynamicLayout found = GroupsOnDisk();
    ASSERT_THAT(found.groups, SizeIs(1));
    ASSERT_THAT(found.groups[0].volumes, SizeIs(1));
    const harness::DynamicVolume& left = found.groups[0].volumes[0];
    EXPECT_EQ(left.type, harness::DynamicVolumeType::kSimple);
    ASSERT_THAT(left.plexes, SizeIs(1));
    EXPECT_EQ(left.plexes[0].extents.at(0).disk, index == 0 ? "Disk2" : "Disk1");
    EXPECT_THAT(BrokenInvariants({0, 1, 2}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
    const VOLUME_INFO now = VolumeNow(session(), volume_.id);
    ASSERT_THAT(DeleteVolume(session(), now.id, now.lastKnownState), Succeeds());
  }
}

TEST_P(RemoveMirror, FillsTheTaskInfoAndSendsTheCompletion) {
  Checks("DMRP-1078", "DMRP-1080", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  const RemoveMirrorRequest request = Ask(session(), 1);
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Remove(session(), request);
  ASSERT_THAT(reply, Succeeds());
  ExpectCompleted(reply->tinfo);
  ExpectCompletion(session(), reply->tinfo, mark);
}

TEST_P(RemoveMirror, ModifiesVolumeAndDiskAndDeletesTheRegion) {
  Checks("DMRP-1081", "DMRP-1082", "DMRP-1083", "DMRP-1084");
  const RemoveMirrorRequest request = Ask(session(), 1);
  const StorageView before = Need(session().View());
  const std::uint64_t mark = session().sink().Count();
  ASSERT_THAT(Remove(session(), request), Succeeds());
  const auto told = session().sink().Objects(mark);
  const StorageView after = Need(session().View());
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, volume_.id)));
  ASSERT_NE(after.FindVolume(volume_.id), nullptr);
  EXPECT_EQ(after.FindVolume(volume_.id)->layout, VOLUMELAYOUT_SIMPLE);
  EXPECT_EQ(after.FindVolume(volume_.id)->memberCount, 1U);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, request.diskId)));
  for (const REGION_INFO_EX& region : before.RegionsOfVolume(volume_.id)) {
    if (region.diskId != request.diskId) continue;
    EXPECT_EQ(after.FindRegion(region.id), nullptr);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
    EXPECT_EQ(after.FindDisk(request.diskId)->freeBytes - before.FindDisk(request.diskId)->freeBytes,
              region.length);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RemoveMirror, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(RemoveMirrorRequest& request, const DISK_INFO_EX& third)> spoil;
};

class RemoveMirrorRefuses : public RemoveMirrorTest,
                            public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

TEST_P(RemoveMirrorRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1071", "DMRP-1075", "DMRP-1702");
  StartDynamic(3);
  Session& session = SessionOf(revision);
  RemoveMirrorRequest request = Ask(session, 1);
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
  StartDynamic(1);
  Session& session = SessionOf(GetParam());
  const VOLUME_INFO volume = Make(session, ShapesOfEachLayout().front());
  const DISK_INFO_EX disk = DiskNow(session);
  const Observation before = ObserveAll(session);
  EXPECT_THAT(Remove(session, {volume.id, volume.lastKnownState, disk.id, disk.lastKnownState}), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, RemoveMirrorOfASimpleVolume, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
