#include "reference_server/methods/methods_test_support.hpp"
#include "reference_server/storage/ldm/member.hpp"
#include "reference_server/storage/ldm/vmdb.hpp"
#include "reference_server/storage/server_settings.hpp"

#include <algorithm>

namespace dmrp::server {
namespace {

class DynamicDisksTest : public MethodsTest {
 protected:
  HRESULT MakeDynamic(std::size_t index = 0, PARTITIONSTYLE style = PARTITIONSTYLE_MBR) {
    const DISK_INFO_EX disk = Disk(index);
    InitializeDiskExReply reply;
    return client->InitializeDiskEx(
        late_call, {.diskId = disk.id, .style = style, .diskLastKnownState = disk.lastKnownState}, reply);
  }
  UninitializeDiskReply Uninitialize(const DISK_INFO_EX& disk) {
    UninitializeDiskReply reply;
    reply.result = client->UninitializeDisk(
        late_call, {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply);
    return reply;
  }
};

TEST_F(DynamicDisksTest, AnEmptyDiskBecomesDynamicAndStaysTheSameObject) {
  for (const PARTITIONSTYLE style : {PARTITIONSTYLE_MBR, PARTITIONSTYLE_GPT}) {
    const std::size_t index = style == PARTITIONSTYLE_MBR ? 0 : 1;
    const DISK_INFO_EX before = Disk(index);
    TakeFrames();
    ASSERT_EQ(MakeDynamic(index, style), 0);
    const DISK_INFO_EX after = Disk(index);
    EXPECT_EQ(after.id, before.id);
    EXPECT_GT(after.lastKnownState, before.lastKnownState);
    EXPECT_EQ(after.deviceType, DWORD{DEVICETYPE_VM});
    EXPECT_EQ(after.deviceState, DWORD{DEVICESTATE_HEALTHY});
    EXPECT_EQ(after.partitionStyle, style);
    EXPECT_FALSE(after.isUpgradeable);
    LONGLONG free = 0;
    for (const REGION_INFO_EX& region : Regions(after.id)) {
      if (region.regionType == REGION_FREE) {
        free += region.length;
      }
    }
    EXPECT_EQ(after.freeBytes, free);
    EXPECT_GT(free, 60 * kMiB);
    EXPECT_EQ(after.regionCount, Regions(after.id).size());
    const std::string frames = TakeFrames();
    EXPECT_TRUE(frames.starts_with("disk* region+")) << frames;
    EXPECT_TRUE(frames.ends_with("task*")) << frames;
  }
  EXPECT_EQ(Disk(0).dgid, Disk(1).dgid);
  EXPECT_EQ(Disk(0).dgName, Disk(1).dgName);
  const auto primary = ReadPrimaryDiskGroup(server->registry());
  ASSERT_TRUE(primary && *primary);
  EXPECT_EQ(Disk(0).dgName, ToUtf16((*primary)->name).value() + u'\0');
}

TEST_F(DynamicDisksTest, AFreeRegionOfTheBasicDiskGoesWhenTheDiskIsConverted) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  const LdmObjectId free = Region(REGION_FREE).id;
  ASSERT_EQ(MakeDynamic(), 0);
  for (const REGION_INFO_EX& region : Regions(Disk().id)) {
    EXPECT_NE(region.id, free);
  }
}

TEST_F(DynamicDisksTest, RefusesWhatCannotBecomeDynamicAndChangesNothing) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(16 * kMiB).result, 0);
  TakeFrames();
  const View before = Look();
  const DISK_INFO_EX disk = Disk();
  InitializeDiskExReply reply;
  const auto call = [&](LdmObjectId id, PARTITIONSTYLE style, LONGLONG state) {
    return client->InitializeDiskEx(late_call, {.diskId = id, .style = style, .diskLastKnownState = state},
                                    reply);
  };
  EXPECT_EQ(call(12345, PARTITIONSTYLE_MBR, 1), LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(call(disk.id, PARTITIONSTYLE_MBR, disk.lastKnownState + 1), LDM_E_OBJECT_STALED);
  EXPECT_EQ(call(Disk(1).id, PARTITIONSTYLE_UNKNOWN, Disk(1).lastKnownState), E_INVALIDARG);
  EXPECT_EQ(call(disk.id, PARTITIONSTYLE_MBR, disk.lastKnownState), LDM_E_NOT_EMPTY);
  EXPECT_EQ(reply.tinfo.status, REQ_FAILED);
  EXPECT_EQ(Look(), before);
  ASSERT_EQ(MakeDynamic(1), 0);
  EXPECT_EQ(MakeDynamic(1), LDM_E_NOSUPPORT);
}

TEST_F(DynamicDisksTest, AnEmptyDynamicDiskBecomesBasicAndTheLastOneEndsTheGroup) {
  ASSERT_EQ(MakeDynamic(0), 0);
  ASSERT_EQ(MakeDynamic(1, PARTITIONSTYLE_GPT), 0);
  for (const std::size_t index : {1U, 0U}) {
    const DISK_INFO_EX before = Disk(index);
    const UninitializeDiskReply reply = Uninitialize(before);
    ASSERT_EQ(reply.result, 0);
    EXPECT_EQ(reply.tinfo.status, REQ_STARTED);
    EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
    EXPECT_EQ(Disk(index).id, before.id);
    EXPECT_EQ(Disk(index).deviceType, DWORD{DEVICETYPE_FDISK});
    EXPECT_FALSE(Disk(index).dgName);
  }
  EXPECT_EQ(ReadPrimaryDiskGroup(server->registry()).value(), std::nullopt);
  EXPECT_EQ(Uninitialize(Disk()).result, LDM_E_NOTVMDISK);
}

TEST_F(DynamicDisksTest, ADiskThatGoesBecomesAMissingOneAndComesBackOffline) {
  ASSERT_EQ(MakeDynamic(0), 0);
  ASSERT_EQ(MakeDynamic(1), 0);
  TakeFrames();
  std::filesystem::rename(folder / "b.img", folder / "away");
  server->Refresh();
  EXPECT_EQ(TakeFrames(), "region- disk+ disk-");
  ASSERT_EQ(Disks().size(), 2U);
  const DISK_INFO_EX missing = Disk(1);
  EXPECT_EQ(missing.deviceState, DWORD{DEVICESTATE_MISSING});
  EXPECT_EQ(missing.deviceType, DWORD{DEVICETYPE_VM});
  EXPECT_EQ(missing.dgid, Disk(0).dgid);
  std::filesystem::rename(folder / "away", folder / "b.img");
  server->Refresh();
  ASSERT_EQ(Disks().size(), 2U);
  EXPECT_EQ(Disk(1).deviceState, DWORD{DEVICESTATE_OFFLINE});
}

TEST_F(DynamicDisksTest, AMissingDiskWithoutVolumesLeavesTheGroup) {
  ASSERT_EQ(MakeDynamic(0), 0);
  ASSERT_EQ(MakeDynamic(1), 0);
  std::filesystem::remove(folder / "b.img");
  server->Refresh();
  const UninitializeDiskReply reply = Uninitialize(Disk(1));
  ASSERT_EQ(reply.result, 0);
  EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
  EXPECT_EQ(Disks().size(), 1U);
}

TEST_F(DynamicDisksTest, AGroupThatIsNotNamedInTheRegistryIsForeign) {
  ASSERT_EQ(MakeDynamic(0), 0);
  ASSERT_TRUE(DeletePrimaryDiskGroup(server->registry()));
  server->Refresh();
  const DISK_INFO_EX disk = Disk();
  EXPECT_EQ(disk.deviceState, DWORD{DEVICESTATE_UNCLAIMED});
  EXPECT_EQ(disk.deviceType, DWORD{DEVICETYPE_VM});
  EXPECT_EQ(disk.freeBytes, 0);
  EXPECT_TRUE(disk.dgid);
  EXPECT_EQ(Uninitialize(disk).result, LDM_E_DISK_OTHER_DG);
}

// What a power cut leaves between the name of a first group and the table that makes its disk dynamic.
TEST_F(DynamicDisksTest, ANameWithoutAGroupGivesWayToTheNextGroup) {
  ASSERT_TRUE(WritePrimaryDiskGroup(server->registry(), {Guid::Random(), "NEVERDg0"}));
  server->Refresh();
  EXPECT_EQ(Disk().deviceType, DWORD{DEVICETYPE_FDISK});
  ASSERT_EQ(MakeDynamic(0), 0);
  EXPECT_EQ(Disk().deviceState, DWORD{DEVICESTATE_HEALTHY});
  ASSERT_EQ(MakeDynamic(1), 0);
  EXPECT_EQ(Disk(1).dgid, Disk(0).dgid);
}

// A client's Refresh reads the databases anew; what the server does by itself goes by the transaction.
TEST_F(DynamicDisksTest, ADatabaseThatChangedWithoutATransactionIsSeenWhenAClientAsks) {
  ASSERT_EQ(MakeDynamic(0), 0);
  const auto opened = OpenImage(folder / "a.img", {}, true);
  ASSERT_TRUE(opened.has_value());
  const auto member = ldm::OpenMember(**opened);
  ASSERT_TRUE(member && *member);
  const std::uint64_t slots = (*member)->RelativeOffset((*member)->Config().start) + ldm::kVmdbBytes;
  ASSERT_TRUE((*opened)->Write(slots, Bytes(512, std::byte{0xEE})).has_value());
  server->Refresh();
  EXPECT_EQ(Disk().deviceState, DWORD{DEVICESTATE_HEALTHY});
  RefreshReply reply;
  ASSERT_EQ(client->Refresh(late_call, {}, reply), 0);
  EXPECT_NE(Disk().deviceState, DWORD{DEVICESTATE_HEALTHY});
}

}  // namespace
}  // namespace dmrp::server
