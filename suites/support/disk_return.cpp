#include "suites/support/disk_return.hpp"

#include "harness/guest/guest.hpp"

#include <algorithm>

namespace dmrp::suites {

using ::testing::Contains;

bool DiskReturnTest::Redundant(const VolumeShape& shape) {
  return shape.layout == VOLUMELAYOUT_MIRROR || shape.layout == VOLUMELAYOUT_RAID5;
}

ReturnOperation DiskReturnTest::PullAndReturn(Session& session, const VolumeShape& shape) {
  ReturnOperation seen;
  const LdmObjectId id = Make(session, shape).id;
  FormatVolume(session, id, std::u16string(kLabel));
  seen.letter = GiveLetter(session, id).letter;
  const bool machine = lab().bed().guest() != nullptr;
  if (machine) WritePattern(session, id, seen.seed);
  seen.whole = VolumeNow(session, id);
  const PulledDisk pulled =
      PullDisk(session, shape.members.back().first, id,
               Redundant(shape) ? VOLUME_STATUS_FAILED_REDUNDANCY : VOLUME_STATUS_FAILED);
  if (machine && Redundant(shape)) WritePattern(session, id, ++seen.seed);
  seen.back = ReturnDisk(session, pulled);
  return seen;
}

void DiskReturnTest::Settle(Session& session, ReturnOperation& seen, std::uint64_t mark) {
  seen.settled = AwaitHealthy(session, seen.whole.id, mark);
  const GroupImages images = GroupImagesNow();
  [&] { ASSERT_EQ(images.layout.groups.size(), 1U); }();
  const harness::DynamicGroup& group = images.layout.groups[0];
  if (lab().bed().guest() != nullptr) {
    seen.problems = PatternProblemsOnDisk(group, group.volumes.at(0), seen.seed);
  }
  seen.broken = BrokenInvariants({}, {.degraded = false, .complete = true, .data = true});
}

void DiskReturnTest::ExpectDiskOnline(const ReturnOperation& seen, Revision asked) {
  EXPECT_NE(seen.back.deviceState, DWORD{DEVICESTATE_HEALTHY}) << "nothing to bring online";
  const DISK_INFO_EX* disk = seen.after.FindDisk(seen.back.id);
  ASSERT_NE(disk, nullptr);
  EXPECT_EQ(disk->deviceState, DWORD{DEVICESTATE_HEALTHY}) << ToText(*disk);
  EXPECT_GT(disk->lastKnownState, seen.back.lastKnownState);
  EXPECT_THAT(seen.notified.at(asked), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk->id)));
  for (const DISK_INFO_EX& other : seen.after.disks) {
    EXPECT_EQ(other.deviceState & DWORD{DEVICESTATE_MISSING}, 0U) << ToText(other);
  }
}

void DiskReturnTest::ExpectVolumeOnline(const ReturnOperation& seen, const VolumeShape& shape,
                                        Revision asked) {
  const VOLUME_INFO* volume = seen.after.FindVolume(seen.whole.id);
  ASSERT_NE(volume, nullptr);
  EXPECT_EQ(volume->layout, shape.layout);
  EXPECT_EQ(volume->length, shape.length);
  EXPECT_EQ(volume->memberCount, shape.members.size());
  if (Redundant(shape)) {
    EXPECT_THAT(volume->status,
                ::testing::AnyOf(VOLUME_STATUS_HEALTHY, VOLUME_STATUS_SYNCHING, VOLUME_STATUS_REGENERATING));
  } else {
    EXPECT_EQ(volume->status, VOLUME_STATUS_HEALTHY);
  }
  EXPECT_THAT(seen.notified.at(asked),
              Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, volume->id)));
  EXPECT_GT(volume->lastKnownState, seen.before.FindVolume(volume->id)->lastKnownState);
  EXPECT_EQ(seen.settled.status, VOLUME_STATUS_HEALTHY);
}

void DiskReturnTest::ExpectLetterInUse(const ReturnOperation& seen, Revision asked) {
  const DRIVE_LETTER_INFO* before = seen.before.FindLetter(seen.letter);
  const DRIVE_LETTER_INFO* after = seen.after.FindLetter(seen.letter);
  ASSERT_NE(before, nullptr);
  ASSERT_NE(after, nullptr);
  EXPECT_TRUE(after->isUsed);
  EXPECT_EQ(after->storageId, seen.whole.id);
  if (*before == *after) return;  // it was the volume's all the time
  EXPECT_GT(after->lastKnownState, before->lastKnownState);
  EXPECT_THAT(seen.notified.at(asked),
              Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(seen.letter))));
}

void DiskReturnTest::ExpectFileSystem(const ReturnOperation& seen, Revision asked) {
  const FILE_SYSTEM_INFO* system = seen.after.FileSystemOf(seen.whole.id);
  ASSERT_NE(system, nullptr);
  EXPECT_EQ(system->fsType, FSTYPE_FAT);
  EXPECT_EQ(LabelOf(*system), ToUtf8(kLabel));
  EXPECT_EQ(seen.after.FindVolume(seen.whole.id)->fsId, system->id);
  if (seen.before.FindFileSystem(system->id) != nullptr) return;  // the volume was online without the disk
  EXPECT_THAT(seen.notified.at(asked), Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_CREATED, system->id)));
}

}  // namespace dmrp::suites
