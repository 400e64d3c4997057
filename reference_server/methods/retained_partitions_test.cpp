#include "reference_server/methods/methods_test_support.hpp"

#include <algorithm>
#include <string>

namespace dmrp::server {
namespace {

class RetainedPartitionsTest : public MethodsTest {
 protected:
  void Prepare(PARTITIONSTYLE style) {
    for (const std::size_t index : {0U, 1U}) {
      const DISK_INFO_EX disk = Disk(index);
      InitializeDiskExReply reply;
      ASSERT_EQ(client->InitializeDiskEx(
                    late_call, {.diskId = disk.id, .style = style, .diskLastKnownState = disk.lastKnownState},
                    reply),
                0);
    }
  }
  LdmObjectId MakeVolume(VOLUMELAYOUT layout, LONGLONG length, std::vector<std::size_t> disks) {
    CreateVolumeRequest request;
    request.volumeSpec.layout = layout;
    request.volumeSpec.length = length;
    const auto each = layout == VOLUMELAYOUT_STRIPE ? length / static_cast<LONGLONG>(disks.size()) : length;
    for (const std::size_t index : disks) {
      request.diskList.push_back({.diskId = Disk(index).id,
                                  .length = each,
                                  .needContiguous = true,
                                  .lastKnownState = Disk(index).lastKnownState});
    }
    CreateVolumeReply reply;
    EXPECT_EQ(client->CreateVolume(late_call, request, reply), 0);
    TakeFrames();
    return reply.tinfo.storageId;
  }
  VOLUME_INFO Volume(LdmObjectId id) {
    EnumVolumesReply reply;
    EXPECT_EQ(client->EnumVolumes(late_call, {}, reply), 0);
    const auto found = std::ranges::find(reply.LdmVolumeList, id, &VOLUME_INFO::id);
    EXPECT_NE(found, reply.LdmVolumeList.end());
    return found == reply.LdmVolumeList.end() ? VOLUME_INFO{} : *found;
  }
  CreatePartitionsForVolumeReply Create(LdmObjectId id, bool active, LONGLONG state) {
    CreatePartitionsForVolumeReply reply;
    reply.result = client->CreatePartitionsForVolume(
        late_call, {.volumeId = id, .active = active, .volumeLastKnownState = state}, reply);
    return reply;
  }
  DeletePartitionsForVolumeReply Delete(LdmObjectId id, LONGLONG state) {
    DeletePartitionsForVolumeReply reply;
    reply.result =
        client->DeletePartitionsForVolume(late_call, {.volumeId = id, .volumeLastKnownState = state}, reply);
    return reply;
  }
  std::vector<REGION_INFO_EX> MembersOf(LdmObjectId id) {
    std::vector<REGION_INFO_EX> members;
    for (const DISK_INFO_EX& disk : Disks()) {
      for (const REGION_INFO_EX& region : Regions(disk.id)) {
        if (region.volId == id) {
          members.push_back(region);
        }
      }
    }
    return members;
  }
  // An entry of that place in the MBR of an image: its first octet, or -1 without one.
  int EntryAt(const std::string& image, LONGLONG start, LONGLONG length) {
    std::ifstream file(folder / image, std::ios::binary);
    std::string sector(512, '\0');
    file.read(sector.data(), 512);
    const auto number = [&](std::size_t at) {
      LONGLONG value = 0;
      for (std::size_t i = 4; i-- > 0;) {
        value = value << 8 | static_cast<unsigned char>(sector[at + i]);
      }
      return value;
    };
    for (std::size_t at = 0x1BE; at < 0x1FE; at += 16) {
      if (number(at + 8) * 512 == start && number(at + 12) * 512 == length && sector[at + 4] == 0x42) {
        return static_cast<unsigned char>(sector[at]);
      }
    }
    return -1;
  }
};

TEST_F(RetainedPartitionsTest, TheMemberGetsAnEntryOfItsOwnAndLosesItAgain) {
  Prepare(PARTITIONSTYLE_MBR);
  for (const bool active : {false, true}) {
    const LdmObjectId id = MakeVolume(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {0});
    const VOLUME_INFO before = Volume(id);
    const auto made = Create(id, active, before.lastKnownState);
    ASSERT_EQ(made.result, 0);
    EXPECT_EQ(made.tinfo.status, REQ_COMPLETED);
    const VOLUME_INFO retained = Volume(id);
    EXPECT_GT(retained.lastKnownState, before.lastKnownState);
    EXPECT_NE(retained.vflags & VOLUME_HAS_RETAIN_PARTITION, 0U);
    const REGION_INFO_EX member = MembersOf(id).front();
    EXPECT_EQ(EntryAt("a.img", member.start, member.length), active ? 0x80 : 0);
    EXPECT_EQ(member.mbr->isActive, active);
    EXPECT_EQ(TakeFrames(), "region* volume* disk* task*");
    ASSERT_EQ(Delete(id, retained.lastKnownState).result, 0);
    EXPECT_EQ(EntryAt("a.img", member.start, member.length), -1);
    EXPECT_EQ(Volume(id).vflags & VOLUME_HAS_RETAIN_PARTITION, 0U);
    EXPECT_EQ(Volume(id).status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(TakeFrames(), "region* volume* disk* task*");
    DeleteVolumeReply reply;
    ASSERT_EQ(client->DeleteVolume(
                  late_call, {.volumeId = id, .volumeLastKnownState = Volume(id).lastKnownState}, reply),
              0);
  }
}

TEST_F(RetainedPartitionsTest, BothCopiesOfAMirrorGetOne) {
  Prepare(PARTITIONSTYLE_MBR);
  const LdmObjectId id = MakeVolume(VOLUMELAYOUT_MIRROR, 8 * kMiB, {0, 1});
  ASSERT_EQ(Create(id, true, Volume(id).lastKnownState).result, 0);
  const auto members = MembersOf(id);
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(EntryAt("a.img", members[0].start, members[0].length), 0x80);
  EXPECT_EQ(EntryAt("b.img", members[1].start, members[1].length), 0x80);
}

TEST_F(RetainedPartitionsTest, GptDisksToo) {
  Prepare(PARTITIONSTYLE_GPT);
  const LdmObjectId id = MakeVolume(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {0});
  ASSERT_EQ(Create(id, false, Volume(id).lastKnownState).result, 0);
  EXPECT_NE(MembersOf(id).front().currentPartitionNumber, 0U);
  ASSERT_EQ(Delete(id, Volume(id).lastKnownState).result, 0);
  EXPECT_EQ(MembersOf(id).front().currentPartitionNumber, 0U);
}

TEST_F(RetainedPartitionsTest, RefusesWhatHasNoOrAnotherState) {
  Prepare(PARTITIONSTYLE_MBR);
  const LdmObjectId id = MakeVolume(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {0});
  const LdmObjectId stripe = MakeVolume(VOLUMELAYOUT_STRIPE, 8 * kMiB, {0, 1});
  const LONGLONG state = Volume(id).lastKnownState;
  const View before = Look();
  EXPECT_EQ(Create(12345, false, 1).result, LDM_E_NORECORD);
  EXPECT_EQ(Create(id, false, state + 1).result, LDM_E_OBJECT_STALED);
  EXPECT_EQ(Delete(12345, 1).result, LDM_E_NORECORD);
  EXPECT_EQ(Delete(id, state + 1).result, LDM_E_OBJECT_STALED);
  EXPECT_EQ(Look(), before);
  EXPECT_EQ(Delete(id, state).result, LDM_E_NO_ASSOC);
  EXPECT_EQ(Create(stripe, false, Volume(stripe).lastKnownState).result, LDM_E_INVALID);
  EXPECT_EQ(TakeFrames(), "task* task*");
  ASSERT_EQ(Create(id, false, state).result, 0);
  EXPECT_EQ(Create(id, false, Volume(id).lastKnownState).result, LDM_E_EXIST);
}

}  // namespace
}  // namespace dmrp::server
