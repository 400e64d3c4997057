#include "reference_server/methods/dynamic_volumes_test_support.hpp"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>

namespace dmrp::server {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;

struct Layout {
  VOLUMELAYOUT layout;
  LONGLONG length;
  std::vector<LONGLONG> members;
};

const std::vector<Layout>& AllLayouts() {
  static const std::vector<Layout> kLayouts = {
      {VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB}},
      {VOLUMELAYOUT_SPANNED, 12 * kMiB, {8 * kMiB, 4 * kMiB}},
      {VOLUMELAYOUT_STRIPE, 12 * kMiB, {4 * kMiB, 4 * kMiB, 4 * kMiB}},
      {VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB}},
      {VOLUMELAYOUT_RAID5, 8 * kMiB, {4 * kMiB, 4 * kMiB, 4 * kMiB}},
  };
  return kLayouts;
}

TEST_F(DynamicVolumesTest, EveryLayoutIsMadeOnTheDisksNamed) {
  for (const Layout& layout : AllLayouts()) {
    SCOPED_TRACE(layout.layout);
    const CreateVolumeReply made = Create(Request(layout.layout, layout.length, layout.members));
    ASSERT_EQ(made.result, 0);
    EXPECT_EQ(made.tinfo.status, REQ_COMPLETED);
    const VOLUME_INFO volume = Volume(made.tinfo.storageId);
    EXPECT_EQ(volume.type, VOLUMETYPE_VM);
    EXPECT_EQ(volume.layout, layout.layout);
    EXPECT_EQ(volume.length, layout.length);
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(volume.fsId, 0);
    EXPECT_EQ(volume.memberCount, layout.members.size());
    const auto members = Members(volume.id);
    ASSERT_EQ(members.size(), layout.members.size());
    std::size_t found = 0;
    for (std::size_t i = 0; i < layout.members.size(); ++i) {
      for (const REGION_INFO_EX& region : Regions(Disk(i).id)) {
        if (region.volId == volume.id) {
          EXPECT_EQ(region.regionType, REGION_SUBDISK);
          EXPECT_EQ(region.length, layout.members[i]);
          EXPECT_EQ(region.status, REGIONSTATUS_OK);
          EXPECT_EQ(region.mbr->partitionType, 0x42U);
          EXPECT_NE(std::ranges::find(members, region.id), members.end());
          ++found;
        }
      }
    }
    EXPECT_EQ(found, layout.members.size());
  }
  EXPECT_EQ(Volumes().size(), AllLayouts().size());
}

// The member is aligned, so that a small free region stays in front of it.
TEST_F(DynamicVolumesTest, ClientsSeeDiskRegionsAndVolumeThenTheCompletion) {
  const auto made = Create(Request(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB}));
  ASSERT_EQ(made.result, 0);
  const std::vector<Notification> items = sink->items;
  EXPECT_EQ(TakeFrames(), "disk* region+ region* region+ volume+ task*");
  const auto* task = std::get_if<TASK_INFO>(&items.back().object);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->id, made.tinfo.id);
  EXPECT_EQ(task->status, REQ_COMPLETED);
  ASSERT_EQ(Delete(made.tinfo.storageId), 0);
  EXPECT_EQ(TakeFrames(), "disk* region- region- region* volume- task*");
  EXPECT_TRUE(Volumes().empty());
}

TEST_F(DynamicVolumesTest, RefusesWhatTheDisksCannotHoldAndChangesNothing) {
  const View before = Look();
  const auto with = [&](auto change) {
    CreateVolumeRequest request = Request(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB});
    change(request);
    return Create(request).result;
  };
  EXPECT_EQ(with([](auto& r) { r.diskList.clear(); }), E_INVALIDARG);
  EXPECT_EQ(with([](auto& r) { r.diskList[0].diskId = 12345; }), LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(with([](auto& r) { ++r.diskList[0].lastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(with([](auto& r) { r.volumeSpec.layout = VOLUMELAYOUT_PARTITION; }), LDM_E_INVALID_FIELD);
  EXPECT_EQ(with([](auto& r) { r.volumeSpec.length = -512; }), LDM_E_NEG_SIZE);
  EXPECT_EQ(with([](auto& r) { r.volumeSpec.length -= 256; }), E_INVALIDARG);
  EXPECT_EQ(with([](auto& r) { r.diskList[0].length = 0; }), LDM_E_NEG_SIZE);
  EXPECT_EQ(with([](auto& r) { r.diskList[0].length += 1; }), E_INVALIDARG);
  EXPECT_EQ(Look(), before);
  EXPECT_LT(with([](auto& r) { r.volumeSpec.layout = VOLUMELAYOUT_RAID5; }), 0);
  EXPECT_LT(with([](auto& r) { r.volumeSpec.length = r.diskList[0].length = 4096 * kMiB; }), 0);
  EXPECT_EQ(TakeFrames(), "task* task*");
  EXPECT_TRUE(Volumes().empty());
}

TEST_F(DynamicVolumesTest, ABasicDiskIsNoGroundForAVolume) {
  MakeFile("removable.img");
  UninitializeDiskReply reply;
  const DISK_INFO_EX disk = Disk(2);
  ASSERT_EQ(client->UninitializeDisk(late_call,
                                     {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply),
            0);
  sink->AwaitEnd(reply.tinfo.id);
  CreateVolumeRequest request;
  request.volumeSpec.layout = VOLUMELAYOUT_SIMPLE;
  request.volumeSpec.length = kMiB;
  request.diskList = {Member(2, kMiB)};
  EXPECT_EQ(Create(request).result, LDM_E_NOTVMDISK);
}

TEST_F(DynamicVolumesTest, ADiskWithAVolumeStaysDynamic) {
  ASSERT_EQ(Create(Request(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB})).result, 0);
  UninitializeDiskReply reply;
  const DISK_INFO_EX disk = Disk();
  EXPECT_EQ(client->UninitializeDisk(late_call,
                                     {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply),
            LDM_E_NOT_EMPTY);
}

TEST_F(DynamicVolumesTest, EveryLayoutIsFormattedAndGetsItsLetter) {
  char16_t letter = u'P';
  for (const Layout& layout : AllLayouts()) {
    SCOPED_TRACE(layout.layout);
    const CreateVolumeRequest base = Request(layout.layout, layout.length, layout.members);
    CreateVolumeAssignAndFormatRequest request;
    request.volumeSpec = base.volumeSpec;
    request.diskList = base.diskList;
    request.letter = letter;
    request.letterLastKnownState = Letter(letter).lastKnownState;
    request.fsSpec.fsType = FSTYPE_FAT;
    request.fsSpec.label = u"VOL\0"s;
    request.quickFormat = true;
    CreateVolumeAssignAndFormatReply reply;
    ASSERT_EQ(client->CreateVolumeAssignAndFormat(late_call, request, reply), 0);
    EXPECT_EQ(reply.tinfo.status, REQ_STARTED);
    EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
    const VOLUME_INFO volume = Volume(reply.tinfo.storageId);
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(volume.vflags, 0U);
    EXPECT_EQ(Letter(letter).storageId, volume.id);
    const auto systems = FileSystems();
    const auto found = std::ranges::find(systems, volume.id, &FILE_SYSTEM_INFO::storageId);
    ASSERT_NE(found, systems.end());
    EXPECT_EQ(found->id, volume.fsId);
    EXPECT_EQ(found->fsType, FSTYPE_FAT);
    EXPECT_EQ(found->label, u"VOL\0"s);
    ++letter;
  }
  ASSERT_EQ(Delete(Letter(u'P').storageId), 0);
  EXPECT_FALSE(Letter(u'P').isUsed);
}

// Another machine that gets the disks gives the volumes their letters again.
TEST_F(DynamicVolumesTest, TheRecordsNoteTheLastLetters) {
  const LdmObjectId one = Make(VOLUMELAYOUT_SIMPLE, 4 * kMiB, {4 * kMiB});
  const LdmObjectId other = Make(VOLUMELAYOUT_STRIPE, 8 * kMiB, {4 * kMiB, 4 * kMiB});
  EXPECT_THAT(RecordedLetters("a.img"), ElementsAre(std::nullopt, std::nullopt));
  ASSERT_EQ(Assign(u'p', one), 0);
  ASSERT_EQ(Assign(u'Q', other), 0);
  EXPECT_THAT(RecordedLetters("a.img"), ElementsAre("P:", "Q:"));
  ASSERT_EQ(Assign(u'R', one), 0);
  EXPECT_THAT(RecordedLetters("a.img"), ElementsAre("R:", "Q:"));
  FreeDriveLetterReply freed;
  ASSERT_EQ(client->FreeDriveLetter(late_call,
                                    {.letter = u'R',
                                     .forceOption = 0,
                                     .letterLastKnownState = Letter(u'R').lastKnownState,
                                     .storageId = one,
                                     .storageLastKnownState = Volume(one).lastKnownState},
                                    freed),
            0);
  EXPECT_THAT(RecordedLetters("a.img"), ElementsAre("R:", "Q:")) << "the last letter";
  ASSERT_EQ(Assign(u'R', other), 0);
  EXPECT_THAT(RecordedLetters("a.img"), ElementsAre(std::nullopt, "R:")) << "no letter stands twice";
}

TEST_F(DynamicVolumesTest, ALetterThatIsTakenKeepsAVolumeFromBeingMade) {
  const CreateVolumeRequest base = Request(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB});
  CreateVolumeAssignAndFormatRequest request;
  request.volumeSpec = base.volumeSpec;
  request.diskList = base.diskList;
  request.letter = u'P';
  request.letterLastKnownState = Letter(u'P').lastKnownState + 1;
  request.fsSpec.fsType = FSTYPE_FAT;
  request.quickFormat = true;
  CreateVolumeAssignAndFormatReply reply;
  EXPECT_EQ(client->CreateVolumeAssignAndFormat(late_call, request, reply), LDM_E_OBJECT_STALED);
  request.letter = u'1';
  EXPECT_EQ(client->CreateVolumeAssignAndFormat(late_call, request, reply), LDM_E_NORECORD);
  EXPECT_TRUE(Volumes().empty());
}

TEST_F(DynamicVolumesTest, AMirrorLosesItsRedundancyWithADiskAndASimpleVolumeFails) {
  const auto mirror = Create(Request(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB}));
  ASSERT_EQ(mirror.result, 0);
  CreateVolumeRequest simple;
  simple.volumeSpec.layout = VOLUMELAYOUT_SIMPLE;
  simple.volumeSpec.length = kMiB;
  simple.diskList = {Member(1, kMiB)};
  const auto lost = Create(simple);
  ASSERT_EQ(lost.result, 0);
  std::filesystem::remove(folder / "b.img");
  server->Refresh();
  EXPECT_EQ(Volume(mirror.tinfo.storageId).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(Volume(lost.tinfo.storageId).status, VOLUME_STATUS_FAILED);
  EXPECT_EQ(Members(mirror.tinfo.storageId).size(), 2U);
}

TEST_F(DynamicVolumesTest, ADiskThatIsBackHasToBeAttachedBeforeItsVolumesAreWholeAgain) {
  const auto mirror = Create(Request(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB}));
  ASSERT_EQ(mirror.result, 0);
  CreateVolumeRequest request;
  request.volumeSpec.layout = VOLUMELAYOUT_SIMPLE;
  request.volumeSpec.length = kMiB;
  request.diskList = {Member(1, kMiB)};
  const auto simple = Create(request);
  ASSERT_EQ(simple.result, 0);
  for (const bool reconnect : {false, true}) {
    std::filesystem::rename(folder / "b.img", folder / "away");
    server->Refresh();
    EXPECT_EQ(Volume(simple.tinfo.storageId).status, VOLUME_STATUS_FAILED);
    std::filesystem::rename(folder / "away", folder / "b.img");
    server->Refresh();
    EXPECT_EQ(Volume(mirror.tinfo.storageId).status, VOLUME_STATUS_FAILED_REDUNDANCY);
    EXPECT_EQ(Volume(simple.tinfo.storageId).status, VOLUME_STATUS_FAILED);
    const auto disks = Disks();
    const auto found = std::ranges::find(disks, DWORD{DEVICESTATE_OFFLINE}, &DISK_INFO_EX::deviceState);
    ASSERT_NE(found, disks.end());
    const DISK_INFO_EX disk = *found;
    if (reconnect) {
      ReConnectDiskReply reply;
      ASSERT_EQ(client->ReConnectDisk(late_call, {.diskId = disk.id}, reply), 0);
      EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
    } else {
      ReAttachDiskReply reply;
      ASSERT_EQ(client->ReAttachDisk(late_call,
                                     {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply),
                0);
    }
    EXPECT_TRUE(std::ranges::all_of(
        Disks(), [](const DISK_INFO_EX& now) { return now.deviceState == DEVICESTATE_HEALTHY; }));
    EXPECT_EQ(Volume(mirror.tinfo.storageId).status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(Volume(simple.tinfo.storageId).status, VOLUME_STATUS_HEALTHY);
  }
}

TEST_F(DynamicVolumesTest, AVolumeHasADeviceNameAndAMountName) {
  const auto made = Create(Request(VOLUMELAYOUT_RAID5, 8 * kMiB, {4 * kMiB, 4 * kMiB, 4 * kMiB}));
  ASSERT_EQ(made.result, 0);
  GetVolumeDeviceNameReply name;
  ASSERT_EQ(client->GetVolumeDeviceName(late_call, {._volumeId = made.tinfo.storageId}, name), 0);
  EXPECT_TRUE(name.pwszVolumeDevice.starts_with(u"\\Device\\"));
  EXPECT_TRUE(name.pwszVolumeDevice.ends_with(u'\0'));
  GetVolumeMountNameReply mount;
  ASSERT_EQ(client->GetVolumeMountName(late_call, {.volumeId = made.tinfo.storageId}, mount), 0);
  EXPECT_TRUE(mount.mountName.starts_with(u"\\\\?\\Volume{"));
}

// A disk that answers only so many times any more, from the start of an observation on.
class DisksThatStopAnswering : public DynamicVolumesTest, public testing::WithParamInterface<int> {};

TEST_P(DisksThatStopAnswering, LeaveNoVolumeOnlineWithoutItsRegions) {
  const auto simple = Create(Request(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB}));
  ASSERT_EQ(simple.result, 0);
  source->opens_left.emplace(source->Scan().at(0).name, GetParam());
  server->Refresh();
  const bool answered_to_the_end = source->opens_left->second >= 0;
  EXPECT_EQ(Volume(simple.tinfo.storageId).status,
            answered_to_the_end ? VOLUME_STATUS_HEALTHY : VOLUME_STATUS_FAILED);
  EXPECT_EQ(Members(simple.tinfo.storageId).size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Opens, DisksThatStopAnswering, testing::Range(0, 4));

}  // namespace
}  // namespace dmrp::server
