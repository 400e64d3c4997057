#include "reference_server/methods/dynamic_volumes_test_support.hpp"

#include <algorithm>

namespace dmrp::server {
namespace {

class VolumeGrowthTest : public DynamicVolumesTest {
 protected:
  GrowVolumeRequest GrowRequest(LdmObjectId id, LONGLONG growth,
                                const std::vector<std::pair<std::size_t, LONGLONG>>& members) {
    GrowVolumeRequest request;
    const VOLUME_INFO volume = Volume(id);
    request.volumeId = id;
    request.volumeSpec.layout = volume.layout;
    request.volumeSpec.length = volume.length + growth;
    request.volumeSpec.lastKnownState = volume.lastKnownState;
    for (const auto& [disk, length] : members) {
      request.diskList.push_back(Member(disk, length));
    }
    return request;
  }
  GrowVolumeReply Grow(const GrowVolumeRequest& request) {
    GrowVolumeReply reply;
    reply.result = client->GrowVolume(late_call, request, reply);
    return reply;
  }
  LdmObjectId MakeFormatted(LONGLONG length, std::int32_t type) {
    const CreateVolumeRequest base = Request(VOLUMELAYOUT_SIMPLE, length, {length});
    CreateVolumeAssignAndFormatRequest request;
    request.volumeSpec = base.volumeSpec;
    request.diskList = base.diskList;
    request.fsSpec.fsType = type;
    request.quickFormat = true;
    CreateVolumeAssignAndFormatReply reply;
    EXPECT_EQ(client->CreateVolumeAssignAndFormat(late_call, request, reply), 0);
    EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
    return reply.tinfo.storageId;
  }
  std::uint64_t FileSystemLength(LdmObjectId id) {
    for (const FILE_SYSTEM_INFO& system : FileSystems()) {
      if (system.storageId == id) {
        return static_cast<std::uint64_t>(system.totalAllocationUnits) *
               static_cast<std::uint64_t>(system.allocationUnitSize);
      }
    }
    return 0;
  }
};

TEST_F(VolumeGrowthTest, VolumesGrowAndKeepWhatTheyHold) {
  struct Case {
    VOLUMELAYOUT before;
    std::vector<LONGLONG> members;
    LONGLONG growth;
    std::vector<std::pair<std::size_t, LONGLONG>> added;
    VOLUMELAYOUT after;
  };
  const std::vector<Case> cases = {
      {VOLUMELAYOUT_SIMPLE, {8 * kMiB}, 4 * kMiB, {{0, 4 * kMiB}}, VOLUMELAYOUT_SIMPLE},
      {VOLUMELAYOUT_SIMPLE, {8 * kMiB}, 4 * kMiB, {{1, 4 * kMiB}}, VOLUMELAYOUT_SPANNED},
      {VOLUMELAYOUT_SPANNED,
       {4 * kMiB, 4 * kMiB},
       3 * kMiB,
       {{2, kMiB}, {1, 2 * kMiB}},
       VOLUMELAYOUT_SPANNED},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.growth);
    const LdmObjectId id = Make(each.before, 8 * kMiB, each.members);
    const Bytes pattern = Pattern(8 * kMiB, 5);
    Put(id, pattern);
    TakeFrames();
    const GrowVolumeReply grown = Grow(GrowRequest(id, each.growth, each.added));
    ASSERT_EQ(grown.result, 0);
    EXPECT_EQ(grown.tinfo.status, REQ_COMPLETED);
    EXPECT_EQ(TakeFrames().substr(0, 5), "disk*");
    const VOLUME_INFO volume = Volume(id);
    EXPECT_EQ(volume.length, 8 * kMiB + each.growth);
    EXPECT_EQ(volume.layout, each.after);
    EXPECT_EQ(Get(id, 8 * kMiB), pattern);
    const Bytes whole = Pattern(volume.length, 6);
    Put(id, whole);
    EXPECT_EQ(Get(id, volume.length), whole);
    ASSERT_EQ(Delete(id), 0);
  }
}

TEST_F(VolumeGrowthTest, TheParityOfNewRowsFitsTheirData) {
  const LdmObjectId id = Make(VOLUMELAYOUT_RAID5, 8 * kMiB, {4 * kMiB, 4 * kMiB, 4 * kMiB});
  const Bytes pattern = Pattern(8 * kMiB, 7);
  Put(id, pattern);
  // What the new rows lie on is not zero before.
  const LdmObjectId old = Make(VOLUMELAYOUT_SIMPLE, 4 * kMiB, {4 * kMiB});
  Put(old, Pattern(4 * kMiB, 8));
  ASSERT_EQ(Delete(old), 0);
  ASSERT_EQ(Grow(GrowRequest(id, 4 * kMiB, {{0, 2 * kMiB}, {1, 2 * kMiB}, {2, 2 * kMiB}})).result, 0);
  server->Refresh();
  EXPECT_EQ(Volume(id).status, VOLUME_STATUS_HEALTHY);
  ASSERT_EQ(Volume(id).length, 12 * kMiB);
  const Bytes whole = Get(id, 12 * kMiB);
  EXPECT_TRUE(std::equal(pattern.begin(), pattern.end(), whole.begin()));
  std::filesystem::remove(folder / "a.img");
  server->Refresh();
  EXPECT_EQ(Get(id, 12 * kMiB), whole);
}

TEST_F(VolumeGrowthTest, RefusesWhatCannotGrowAndChangesNothing) {
  const LdmObjectId id = Make(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB});
  const LdmObjectId mirror = Make(VOLUMELAYOUT_MIRROR, 8 * kMiB, {8 * kMiB, 8 * kMiB});
  TakeFrames();
  const View before = Look();
  const auto with = [&](auto change) {
    GrowVolumeRequest request = GrowRequest(id, 4 * kMiB, {{1, 4 * kMiB}});
    change(request);
    return Grow(request).result;
  };
  EXPECT_EQ(with([](auto& r) { r.volumeId = 12345; }), LDM_E_NORECORD);
  EXPECT_EQ(with([](auto& r) { ++r.volumeSpec.lastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(with([](auto& r) { r.diskList.clear(); }), E_INVALIDARG);
  EXPECT_EQ(with([](auto& r) { r.diskList[0].diskId = 12345; }), LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(with([](auto& r) { ++r.diskList[0].lastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(with([](auto& r) { r.volumeSpec.length = 8 * kMiB; }), LDM_E_TOO_SMALL);
  EXPECT_EQ(with([](auto& r) { r.diskList[0].length = 2 * kMiB; }), LDM_E_DIFF_SIZE);
  EXPECT_EQ(Look(), before);
  EXPECT_EQ(Grow(GrowRequest(mirror, kMiB, {{0, kMiB}})).result, LDM_E_INVALID);
  EXPECT_EQ(Grow(GrowRequest(id, 4096 * kMiB, {{1, 4096 * kMiB}})).result, LDM_E_SPC_SETUP_FAIL);
  EXPECT_EQ(TakeFrames(), "task* task*");
  EXPECT_EQ(Volume(id).length, 8 * kMiB);
}

TEST_F(VolumeGrowthTest, NtfsGrowsWithItsVolumeAndFatKeepsItFromGrowing) {
  const LdmObjectId ntfs = MakeFormatted(16 * kMiB, FSTYPE_NTFS);
  const std::uint64_t before = FileSystemLength(ntfs);
  EXPECT_LE(before, static_cast<std::uint64_t>(16 * kMiB));
  for (int i = 1; i <= 2; ++i) {
    ASSERT_EQ(Grow(GrowRequest(ntfs, 8 * kMiB, {{1, 8 * kMiB}})).result, 0);
    EXPECT_EQ(Volume(ntfs).length, (16 + 8 * i) * kMiB);
    EXPECT_EQ(FileSystemLength(ntfs), before + static_cast<std::uint64_t>(8 * i * kMiB));
  }
  const LdmObjectId fat = MakeFormatted(8 * kMiB, FSTYPE_FAT);
  TakeFrames();
  EXPECT_EQ(Grow(GrowRequest(fat, 4 * kMiB, {{1, 4 * kMiB}})).result, LDM_E_VOLUME_GROW_FAILED_FS);
  EXPECT_EQ(TakeFrames(), "task*");
  EXPECT_EQ(Volume(fat).length, 8 * kMiB);
}

TEST_F(VolumeGrowthTest, ADamagedNtfsKeepsItsVolumeFromGrowing) {
  const LdmObjectId id = MakeFormatted(16 * kMiB, FSTYPE_NTFS);
  const auto open = Open(id);
  Bytes boot(512);
  ASSERT_TRUE(open.device->Read(open.start, boot).has_value());
  const std::uint64_t unit =
      static_cast<std::uint64_t>(boot[13]) *
      (static_cast<std::uint64_t>(boot[11]) | static_cast<std::uint64_t>(boot[12]) << 8U);
  const std::uint64_t mft = static_cast<std::uint64_t>(boot[48]) * unit;
  const Bytes zeros(4096);
  ASSERT_TRUE(open.device->Write(open.start + mft, zeros).has_value());
  ASSERT_TRUE(open.device->Flush().has_value());
  EXPECT_EQ(Grow(GrowRequest(id, 8 * kMiB, {{1, 8 * kMiB}})).result, LDM_E_VOLUME_GROW_FAILED_FS);
  EXPECT_EQ(Volume(id).length, 16 * kMiB);
}

}  // namespace
}  // namespace dmrp::server
