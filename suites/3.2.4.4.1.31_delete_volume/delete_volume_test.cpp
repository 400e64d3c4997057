// DeleteVolume (3.2.4.4.1.31, 3.2.4.4.3.31).
#include "harness/guest/guest.hpp"
#include "harness/guest/held_file.hpp"
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/dynamic_volumes.hpp"
#include "suites/support/formatting.hpp"

#include <algorithm>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Case = std::tuple<Revision, VolumeShape>;

class DeleteVolume : public DynamicTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartScenario(3); }
  Session& session() { return SessionOf(Asked()); }
  [[nodiscard]] static Revision Asked() { return std::get<0>(GetParam()); }
  // The only volume goes.
  const WatchedDynamicOperation& Deleted() {
    return Once([this] {
      const VOLUME_INFO volume = Make(session(), std::get<1>(GetParam()));
      return Watch(session(),
                   [&] { return DynamicTest::DeleteVolume(session(), volume.id, volume.lastKnownState); });
    });
  }
  LdmObjectId VolumeId() { return Deleted().before.volumes->at(0).id; }
};

// The readers find the group without the volume, its members and its plexes.
TEST_P(DeleteVolume, RemovesItFromTheDisks) {
  Checks("DMRP-1028", "DMRP-1032", "DMRP-1033", "DMRP-1035", "DMRP-1660", "DMRP-1661");
  const harness::DynamicLayout& found = GroupsAfter(Deleted());
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_THAT(found.groups[0].volumes, IsEmpty());
  EXPECT_THAT(found.groups[0].disks, SizeIs(3));
  EXPECT_THAT(BrokenInvariants({0, 1, 2}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

TEST_P(DeleteVolume, FillsTheTaskInfo) {
  Checks("DMRP-1034", "DMRP-0279", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Deleted().tinfo);
  EXPECT_THAT(Deleted().tinfo.storageId, ::testing::AnyOf(0, VolumeId()));
}

TEST_P(DeleteVolume, SendsTheCompletionNotification) {
  Checks("DMRP-1036", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(session(), Deleted().tinfo, Deleted().marks.at(Asked()));
}

// Volume and regions leave the list; the disks are modified; the space is free again.
TEST_P(DeleteVolume, DeletesTheObjects) {
  Checks("DMRP-1037", "DMRP-1038", "DMRP-1039", "DMRP-1040", "DMRP-0530");
  const StorageView& before = Deleted().before;
  const StorageView& after = Deleted().after;
  const std::vector<REGION_INFO_EX> members = before.RegionsOfVolume(VolumeId());
  ASSERT_FALSE(members.empty());
  const auto& told = Deleted().notified.at(Asked());
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_DELETED, VolumeId())));
  EXPECT_EQ(after.FindVolume(VolumeId()), nullptr);
  for (const REGION_INFO_EX& region : members) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
    EXPECT_EQ(after.FindRegion(region.id), nullptr);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, region.diskId)));
    EXPECT_GT(after.FindDisk(region.diskId)->freeBytes, before.FindDisk(region.diskId)->freeBytes);
    EXPECT_TRUE(std::ranges::any_of(after.RegionsOf(region.diskId),
                                    [&](const REGION_INFO_EX& free) {
                                      return harness::IsFree(free) && free.start <= region.start &&
                                             free.start + free.length >= region.start + region.length;
                                    }))
        << "the space of " << ToText(region);
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, DeleteVolume, ::testing::ValuesIn(Dealt(ShapesOfEachLayout())),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::string(std::get<1>(info.param).name);
                         });

// A volume with a file system and a letter.
class DeleteFormattedVolume : public DynamicTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override {
    StartDynamic(2);
    volume_ = Make(session(), ShapesOfEachLayout()[1]);
    FormatRequest request;
    request.storageId = volume_.id;
    request.storageLastKnownState = volume_.lastKnownState;
    request.fsSpec = FileSystemSpec(FSTYPE_FAT, 4096, u"SPAN");
    request.quickFormat = true;
    const std::uint64_t mark = session().sink().Count();
    const auto reply = session().Format(request);
    ASSERT_THAT(reply, StartsTask());
    TASK_INFO end = reply->tinfo;
    end.error = 0;
    ExpectCompletion(session(), end, mark);
    volume_ = VolumeNow(session(), volume_.id);
  }
  Session& session() { return SessionOf(GetParam()); }
  // A program of the guest keeps a file on the volume open, which is mounted for reading only, so that
  // nothing changes on it any more.
  harness::HeldFile HoldAFile() {
    harness::AgentClient& agent = lab().bed().guest()->agent();
    Need(
        agent.Shell("mkdir -p /held && mount -t vfat /dev/mapper/dmrp-* /held && echo precious > /held/file "
                    "&& umount /held "
                    "&& mount -t vfat -o ro /dev/mapper/dmrp-* /held"));
    return Need(harness::HeldFile::Hold(agent, "/held/file"));
  }

  VOLUME_INFO volume_;
};

// The letter is free afterwards, and the file system object is gone with the volume.
TEST_P(DeleteFormattedVolume, FreesTheLetterAndDeletesTheFileSystem) {
  Checks("DMRP-1041", "DMRP-1042", "DMRP-0530", "DMRP-0056", "DMRP-0278", "DMRP-0281");
  const StorageView lettered = Need(session().View());
  const auto free = std::ranges::find(*lettered.letters, false, &DRIVE_LETTER_INFO::isUsed);
  ASSERT_NE(free, lettered.letters->end());
  AssignDriveLetterRequest assign;
  assign.letter = free->letter;
  assign.letterLastKnownState = free->lastKnownState;
  assign.storageId = volume_.id;
  assign.storageLastKnownState = volume_.lastKnownState;
  ASSERT_THAT(session().Change<AssignDriveLetterReply>(session().interface(), "AssignDriveLetter", assign),
              Succeeds());
  const StorageView before = Need(session().View());
  ASSERT_EQ(before.FindLetter(free->letter)->storageId, volume_.id);
  volume_ = *before.FindVolume(volume_.id);
  ASSERT_NE(volume_.fsId, 0);
  const std::uint64_t mark = session().sink().Count();

  ASSERT_THAT(DynamicTest::DeleteVolume(session(), volume_.id, volume_.lastKnownState), Succeeds());

  const auto told = session().sink().Objects(mark);
  const StorageView after = Need(session().View());
  const DRIVE_LETTER_INFO* letter = after.FindLetter(free->letter);
  ASSERT_NE(letter, nullptr);
  EXPECT_FALSE(letter->isUsed);
  EXPECT_GT(letter->lastKnownState, before.FindLetter(free->letter)->lastKnownState);
  EXPECT_THAT(told,
              Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(free->letter))));
  EXPECT_EQ(after.FindFileSystem(volume_.fsId), nullptr);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_DELETED, volume_.fsId)));
}

// Without force a volume that another program uses stays, with its data; with force it goes.
TEST_P(DeleteFormattedVolume, AsksForForceWhileTheVolumeIsInUse) {
  Checks("DMRP-1027", "DMRP-1662");
  GuestOrSkip();
  harness::HeldFile holder = HoldAFile();
  ASSERT_THAT(session().RefreshFileSys(), Succeeds());
  volume_ = VolumeNow(session(), volume_.id);
  const Observation before = ObserveAll(session(), false);
  EXPECT_THAT(DynamicTest::DeleteVolume(session(), volume_.id, volume_.lastKnownState),
              FailsWith(LDM_E_VOLUME_IN_USE));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
  EXPECT_EQ(Need(lab().bed().guest()->agent().ReadFile("/held/file")), "precious\n");
  EXPECT_THAT(DynamicTest::DeleteVolume(session(), volume_.id, volume_.lastKnownState, true), Succeeds());
  EXPECT_EQ(VolumeNow(session(), volume_.id).id, 0);
  EXPECT_THAT(GroupsOnDisk().groups.at(0).volumes, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, DeleteFormattedVolume, kBothRevisions, RevisionName());

class DeleteVolumeRefuses : public DynamicTest, public ::testing::WithParamInterface<Revision> {};

// What names no dynamic volume, or a volume that has changed since.
TEST_P(DeleteVolumeRefuses, WhatIsNoVolumeOrAStaleState) {
  Checks("DMRP-1029", "DMRP-1031", "DMRP-1028", "DMRP-0495", "DMRP-1660");
  StartDynamic(1);
  Session& session = SessionOf(GetParam());
  const VOLUME_INFO volume = Make(session, ShapesOfEachLayout().front());
  const Observation before = ObserveAll(session);
  const LdmObjectId region = before.view.RegionsOfVolume(volume.id).front().id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(0)}) {
    EXPECT_THAT(DynamicTest::DeleteVolume(session, id, volume.lastKnownState), Refused()) << id;
  }
  for (const std::int64_t state : {volume.lastKnownState - 1, volume.lastKnownState + 1}) {
    EXPECT_THAT(DynamicTest::DeleteVolume(session, volume.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, DeleteVolumeRefuses, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
