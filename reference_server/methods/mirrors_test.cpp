#include "reference_server/methods/dynamic_volumes_test_support.hpp"

#include <algorithm>

namespace dmrp::server {
namespace {

class MirrorsTest : public DynamicVolumesTest {
 protected:
  void SetUp() override {
    more_images = {"d.img"};
    DynamicVolumesTest::SetUp();
  }
  AddMirrorReply Add(LdmObjectId volume, std::size_t disk) {
    AddMirrorReply reply;
    reply.result = client->AddMirror(late_call,
                                     {.volumeId = volume,
                                      .volumeLastKnownState = Volume(volume).lastKnownState,
                                      .diskSpec = Member(disk, 0),
                                      .diskNumber = 0},
                                     reply);
    return reply;
  }
  RemoveMirrorReply Remove(LdmObjectId volume, const DISK_INFO_EX& disk) {
    RemoveMirrorReply reply;
    reply.result = client->RemoveMirror(late_call,
                                        {.volumeId = volume,
                                         .volumeLastKnownState = Volume(volume).lastKnownState,
                                         .diskId = disk.id,
                                         .diskLastKnownState = disk.lastKnownState},
                                        reply);
    return reply;
  }
  SplitMirrorRequest SplitRequest(LdmObjectId volume, std::size_t disk, char16_t letter = 0) {
    return {.volumeId = volume,
            .volumeLastKnownState = Volume(volume).lastKnownState,
            .diskId = Disk(disk).id,
            .diskLastKnownState = Disk(disk).lastKnownState,
            .letter = letter,
            .letterLastKnownState = letter == 0 ? 0 : Letter(letter).lastKnownState,
            .tinfo = {}};
  }
  SplitMirrorReply Split(const SplitMirrorRequest& request) {
    SplitMirrorReply reply;
    reply.result = client->SplitMirror(late_call, request, reply);
    return reply;
  }
  ReplaceRaid5ColumnReply Replace(LdmObjectId volume, const DISK_INFO_EX& disk) {
    ReplaceRaid5ColumnReply reply;
    reply.result = client->ReplaceRaid5Column(late_call,
                                              {.volumeId = volume,
                                               .volumeLastKnownState = Volume(volume).lastKnownState,
                                               .newDiskId = disk.id,
                                               .diskLastKnownState = disk.lastKnownState},
                                              reply);
    return reply;
  }
  // After TakeFrames: the end of the task that copies, which is another one than the method's.
  TASK_INFO AwaitCopy(LdmObjectId method_task) {
    return sink->AwaitAnyTask([&](const TASK_INFO& task) {
      return task.id != method_task && task.status != REQ_STARTED && task.status != REQ_IN_PROGRESS;
    });
  }
};

TEST_F(MirrorsTest, AnAddedMirrorHoldsWhatTheVolumeHolds) {
  const LdmObjectId id = Make(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB});
  const Bytes pattern = Pattern(8 * kMiB, 1);
  Put(id, pattern);
  TakeFrames();
  const AddMirrorReply added = Add(id, 1);
  ASSERT_EQ(added.result, 0);
  EXPECT_EQ(added.tinfo.status, REQ_COMPLETED);
  EXPECT_EQ(added.partitionNumber, 0);
  const TASK_INFO copy = AwaitCopy(added.tinfo.id);
  EXPECT_EQ(copy.status, REQ_COMPLETED);
  EXPECT_EQ(copy.storageId, id);
  EXPECT_EQ(copy.type, PROGRESS_SYNCHING);
  const VOLUME_INFO volume = Volume(id);
  EXPECT_EQ(volume.layout, VOLUMELAYOUT_MIRROR);
  EXPECT_EQ(volume.memberCount, 2U);
  EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(MemberOctets(1, id, "b.img"), pattern);
  const Bytes later = Pattern(kMiB, 99);
  Put(id, later);
  Bytes expected = pattern;
  std::ranges::copy(later, expected.begin());
  EXPECT_EQ(MemberOctets(0, id, "a.img"), expected);
  EXPECT_EQ(MemberOctets(1, id, "b.img"), expected);
}

TEST_F(MirrorsTest, RefusesWhatCannotBeMirroredOrUnmirrored) {
  const LdmObjectId id = Make(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB});
  const LdmObjectId raid = Make(VOLUMELAYOUT_RAID5, 8 * kMiB, {4 * kMiB, 4 * kMiB, 4 * kMiB});
  TakeFrames();
  AddMirrorRequest request{.volumeId = id,
                           .volumeLastKnownState = Volume(id).lastKnownState,
                           .diskSpec = Member(1, 0),
                           .diskNumber = 0};
  const auto with = [&](auto change) {
    AddMirrorRequest changed = request;
    change(changed);
    AddMirrorReply reply;
    return client->AddMirror(late_call, changed, reply);
  };
  EXPECT_EQ(with([](auto& r) { r.volumeId = 12345; }), LDM_E_NORECORD);
  EXPECT_EQ(with([](auto& r) { ++r.volumeLastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(with([](auto& r) { r.diskSpec.diskId = 12345; }), LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(with([](auto& r) { ++r.diskSpec.lastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(Remove(id, Disk(0)).result, LDM_E_INVALID);
  EXPECT_EQ(Split(SplitRequest(id, 0)).result, LDM_E_INVALID);
  EXPECT_EQ(Replace(id, Disk(1)).result, LDM_E_NOTRAIDVOL);
  EXPECT_EQ(TakeFrames(), "");
  EXPECT_EQ(Add(id, 0).result, LDM_E_ASSOC);
  EXPECT_EQ(Add(raid, 1).result, LDM_E_INVALID);
  EXPECT_EQ(Replace(raid, Disk(1)).result, LDM_E_NOT_DIS);
  EXPECT_EQ(TakeFrames(), "task* task* task*");
}

TEST_F(MirrorsTest, ARemovedMirrorLeavesTheOtherAsASimpleVolume) {
  const LdmObjectId id = Make(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB});
  const Bytes pattern = Pattern(8 * kMiB, 2);
  Put(id, pattern);
  EXPECT_EQ(Remove(id, Disk(2)).result, LDM_E_NO_ASSOC);
  const RemoveMirrorReply removed = Remove(id, Disk(0));
  ASSERT_EQ(removed.result, 0);
  EXPECT_EQ(removed.tinfo.status, REQ_COMPLETED);
  EXPECT_EQ(Volume(id).layout, VOLUMELAYOUT_SIMPLE);
  EXPECT_EQ(Volume(id).memberCount, 1U);
  EXPECT_EQ(Get(id, 8 * kMiB), pattern);
  EXPECT_TRUE(std::ranges::none_of(Regions(Disk(0).id),
                                   [&](const REGION_INFO_EX& region) { return region.volId == id; }));
}

TEST_F(MirrorsTest, TheMirrorOnAMissingDiskCanBeRemoved) {
  const LdmObjectId id = Make(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB});
  std::filesystem::remove(folder / "b.img");
  server->Refresh();
  ASSERT_EQ(Volume(id).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  const auto disks = Disks();
  const auto gone = std::ranges::find_if(
      disks, [](const DISK_INFO_EX& disk) { return (disk.deviceState & DEVICESTATE_MISSING) != 0; });
  ASSERT_NE(gone, disks.end());
  EXPECT_EQ(Remove(id, *std::ranges::find_if(disks,
                                             [](const DISK_INFO_EX& disk) {
                                               return (disk.deviceState & DEVICESTATE_MISSING) == 0;
                                             }))
                .result,
            LDM_E_ENABLED);
  EXPECT_EQ(Remove(id, *gone).result, 0);
  EXPECT_EQ(Volume(id).status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Volume(id).layout, VOLUMELAYOUT_SIMPLE);
}

TEST_F(MirrorsTest, AFailedMirrorIsRestartedWithWhatItHeldLast) {
  const LdmObjectId id = Make(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB});
  Put(id, Pattern(8 * kMiB, 5));
  const auto restart = [&](LONGLONG state) {
    RestartVolumeReply reply;
    return client->RestartVolume(late_call, {.volumeId = id, .volumeLastKnownState = state}, reply);
  };
  std::filesystem::rename(folder / "a.img", folder / "first");
  server->Refresh();
  const Bytes last = Pattern(8 * kMiB, 6);
  Put(id, last);
  std::filesystem::rename(folder / "b.img", folder / "second");
  server->Refresh();
  ASSERT_EQ(Volume(id).status, VOLUME_STATUS_FAILED);
  EXPECT_EQ(restart(Volume(id).lastKnownState - 1), LDM_E_OBJECT_STALED);
  TakeFrames();
  EXPECT_EQ(restart(Volume(id).lastKnownState), LDM_E_V_NOT_ENABLED);
  EXPECT_EQ(TakeFrames(), "task*");
  std::filesystem::rename(folder / "first", folder / "a.img");
  std::filesystem::rename(folder / "second", folder / "b.img");
  server->Refresh();
  ASSERT_EQ(Volume(id).status, VOLUME_STATUS_FAILED);
  EXPECT_EQ(restart(Volume(id).lastKnownState), 0);
  EXPECT_EQ(Volume(id).status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Get(id, 8 * kMiB), last);
  TakeFrames();
  EXPECT_EQ(restart(Volume(id).lastKnownState), 0);
  EXPECT_EQ(TakeFrames(), "task*");
}

// With the member that was away longer alone there is nothing newer; what comes back later is no copy of it.
TEST_F(MirrorsTest, AMirrorRestartedWithItsOlderHalfCopiesIt) {
  const LdmObjectId id = Make(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB});
  const Bytes older = Pattern(8 * kMiB, 5);
  Put(id, older);
  std::filesystem::rename(folder / "a.img", folder / "first");
  server->Refresh();
  Put(id, Pattern(8 * kMiB, 6));
  std::filesystem::rename(folder / "b.img", folder / "second");
  server->Refresh();
  std::filesystem::rename(folder / "first", folder / "a.img");
  server->Refresh();
  RestartVolumeReply reply;
  const RestartVolumeRequest request{.volumeId = id, .volumeLastKnownState = Volume(id).lastKnownState};
  ASSERT_EQ(client->RestartVolume(late_call, request, reply), 0);
  EXPECT_EQ(Volume(id).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(Get(id, 8 * kMiB), older);
  std::filesystem::rename(folder / "second", folder / "b.img");
  server->Refresh();
  EXPECT_EQ(Get(id, 8 * kMiB), older);
  const auto disks = Disks();
  const auto offline = std::ranges::find(disks, DWORD{DEVICESTATE_OFFLINE}, &DISK_INFO_EX::deviceState);
  ASSERT_NE(offline, disks.end());
  ReAttachDiskReply attached;
  ASSERT_EQ(client->ReAttachDisk(
                late_call, {.diskId = offline->id, .diskLastKnownState = offline->lastKnownState}, attached),
            0);
  EXPECT_EQ(Volume(id).status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Get(id, 8 * kMiB), older);
  EXPECT_EQ(MemberOctets(1, id, "b.img"), older);
}

TEST_F(MirrorsTest, ASplitMirrorIsTwoVolumesThatHoldTheSame) {
  const LdmObjectId id = Make(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB});
  const Bytes pattern = Pattern(8 * kMiB, 3);
  Put(id, pattern);
  SplitMirrorRequest stale = SplitRequest(id, 1, u'P');
  ++stale.letterLastKnownState;
  EXPECT_EQ(Split(stale).result, LDM_E_OBJECT_STALED);
  const SplitMirrorReply split = Split(SplitRequest(id, 1, u'P'));
  ASSERT_EQ(split.result, 0);
  EXPECT_EQ(split.tinfo.status, REQ_COMPLETED);
  const LdmObjectId other = Letter(u'P').storageId;
  EXPECT_EQ(split.tinfo.storageId, other);
  ASSERT_NE(other, id);
  for (const LdmObjectId volume : {id, other}) {
    EXPECT_EQ(Volume(volume).layout, VOLUMELAYOUT_SIMPLE);
    EXPECT_EQ(Volume(volume).memberCount, 1U);
    EXPECT_EQ(Volume(volume).status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(Get(volume, 8 * kMiB), pattern);
  }
  const Bytes later = Pattern(kMiB, 77);
  Put(other, later);
  EXPECT_EQ(MemberOctets(1, other, "b.img").front(), later.front());
  EXPECT_EQ(Get(id, 8 * kMiB), pattern);
}

TEST_F(MirrorsTest, AColumnIsReplacedAndHoldsWhatTheOthersSay) {
  MakeFile("d.img");
  server->Refresh();
  const DISK_INFO_EX fourth = Disk(3);
  InitializeDiskReply initialized;
  ASSERT_EQ(client->InitializeDisk(
                late_call, {.diskId = fourth.id, .diskLastKnownState = fourth.lastKnownState}, initialized),
            0);
  const LdmObjectId id = Make(VOLUMELAYOUT_RAID5, 8 * kMiB, {4 * kMiB, 4 * kMiB, 4 * kMiB});
  const Bytes pattern = Pattern(8 * kMiB, 4);
  Put(id, pattern);
  std::filesystem::remove(folder / "b.img");
  server->Refresh();
  ASSERT_EQ(Volume(id).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  const auto disks = Disks();
  const auto replacement = std::ranges::find(disks, fourth.id, &DISK_INFO_EX::id);
  ASSERT_NE(replacement, disks.end());
  TakeFrames();
  const ReplaceRaid5ColumnReply replaced = Replace(id, *replacement);
  ASSERT_EQ(replaced.result, 0);
  EXPECT_EQ(AwaitCopy(replaced.tinfo.id).status, REQ_COMPLETED);
  EXPECT_EQ(Volume(id).status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Volume(id).memberCount, 3U);
  EXPECT_EQ(Get(id, 8 * kMiB), pattern);
  // What one more disk had comes from the new column.
  std::filesystem::remove(folder / "c.img");
  server->Refresh();
  EXPECT_EQ(Get(id, 8 * kMiB), pattern);
}

}  // namespace
}  // namespace dmrp::server
