#include "reference_server/methods/methods_test_support.hpp"

namespace dmrp::server {
namespace {

class InitializationTest : public MethodsTest {
 protected:
  HRESULT WriteSignature(const DISK_INFO_EX& disk) {
    WriteSignatureReply reply;
    const HRESULT result = early_client->WriteSignature(
        early_call, {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply);
    EXPECT_EQ(reply.tinfo.status, result == 0 ? REQ_COMPLETED : REQ_FAILED);
    EXPECT_EQ(reply.tinfo.error, result);
    EXPECT_NE(reply.tinfo.id, 0);
    return result;
  }
};

TEST_F(InitializationTest, ABlankDiskIsNotInitializedAndHasNoRegions) {
  const DISK_INFO_EX disk = Disk();
  EXPECT_EQ(disk.deviceState, std::uint32_t{DEVICESTATE_NOSIG});
  EXPECT_EQ(disk.deviceType, std::uint32_t{DEVICETYPE_FDISK});
  EXPECT_EQ(disk.partitionStyle, PARTITIONSTYLE_UNKNOWN);
  EXPECT_EQ(disk.length, static_cast<LONGLONG>(kDiskSize));
  EXPECT_EQ(disk.freeBytes, 0);
  EXPECT_FALSE(disk.isUpgradeable);
  EXPECT_TRUE(Regions(disk.id).empty());
}

TEST_F(InitializationTest, WriteSignatureMakesAnEmptyMbrDisk) {
  const DISK_INFO_EX before = Disk();
  ASSERT_EQ(WriteSignature(before), 0);
  EXPECT_EQ(TakeFrames(), "disk* region+");
  const DISK_INFO_EX disk = Disk();
  EXPECT_EQ(disk.id, before.id);
  EXPECT_EQ(disk.lastKnownState, before.lastKnownState + 1);
  EXPECT_EQ(disk.deviceState, std::uint32_t{DEVICESTATE_HEALTHY});
  EXPECT_EQ(disk.partitionStyle, PARTITIONSTYLE_MBR);
  EXPECT_NE(disk.mbr->signature, 0U);
  EXPECT_EQ(disk.maxPartitionCount, 4U);
  EXPECT_TRUE(disk.isUpgradeable);
  EXPECT_TRUE(disk.maySwitchStyle);
  const auto regions = Regions(disk.id);
  ASSERT_EQ(regions.size(), 1U);
  EXPECT_EQ(regions[0].regionType, REGION_FREE);
  EXPECT_EQ(regions[0].length, disk.freeBytes);
}

TEST_F(InitializationTest, WriteSignatureGivesAnInitializedDiskANewSignature) {
  ASSERT_EQ(WriteSignature(Disk()), 0);
  const DISK_INFO_EX before = Disk();
  TakeFrames();
  ASSERT_EQ(WriteSignature(before), 0);
  EXPECT_EQ(TakeFrames(), "disk*");
  EXPECT_NE(Disk().mbr->signature, before.mbr->signature);
}

TEST_F(InitializationTest, WriteSignatureRefusesUnknownDisksStaleStatesAndDisksInUse) {
  const View before = Look();
  DISK_INFO_EX disk = Disk();
  disk.id = 42;
  EXPECT_EQ(WriteSignature(disk), LDM_E_DISK_NOT_FOUND);
  disk = Disk();
  disk.lastKnownState += 1;
  EXPECT_EQ(WriteSignature(disk), LDM_E_OBJECT_STALED);
  EXPECT_TRUE(Look() == before);

  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(kMiB).result, 0);
  const View with_partition = Look();
  EXPECT_EQ(WriteSignature(Disk()), LDM_E_NOT_EMPTY);
  EXPECT_TRUE(Look() == with_partition);

  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT, 1), 0);
  EXPECT_EQ(WriteSignature(Disk(1)), LDM_E_NOSUPPORT);
}

TEST_F(InitializationTest, InitializeDiskStyleMakesAnEmptyGptDisk) {
  const DISK_INFO_EX before = Disk();
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT), 0);
  EXPECT_EQ(TakeFrames(), "disk* region+");
  const DISK_INFO_EX disk = Disk();
  EXPECT_EQ(disk.id, before.id);
  EXPECT_EQ(disk.partitionStyle, PARTITIONSTYLE_GPT);
  EXPECT_FALSE(disk.gpt->diskId.IsNull());
  EXPECT_EQ(disk.maxPartitionCount, 128U);
  EXPECT_EQ(disk.regionCount, 1U);
}

TEST_F(InitializationTest, InitializeDiskStyleSwitchesAnEmptyDisk) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT), 0);
  EXPECT_EQ(Disk().partitionStyle, PARTITIONSTYLE_GPT);
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  EXPECT_EQ(Disk().partitionStyle, PARTITIONSTYLE_MBR);
}

TEST_F(InitializationTest, InitializeDiskStyleRefusesOtherStylesAndDisksWithPartitions) {
  const View before = Look();
  EXPECT_EQ(InitializeDisk(PARTITIONSTYLE_UNKNOWN), E_INVALIDARG);
  EXPECT_EQ(InitializeDisk(PARTITIONSTYLE{3}), E_INVALIDARG);
  InitializeDiskStyleReply reply;
  EXPECT_EQ(client->InitializeDiskStyle(late_call, {.diskId = 42, .style = PARTITIONSTYLE_GPT}, reply),
            LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(
      client->InitializeDiskStyle(
          late_call,
          {.diskId = Disk().id, .style = PARTITIONSTYLE_GPT, .diskLastKnownState = Disk().lastKnownState - 1},
          reply),
      LDM_E_OBJECT_STALED);
  EXPECT_TRUE(Look() == before);

  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(kMiB).result, 0);
  EXPECT_FALSE(Disk().maySwitchStyle);
  EXPECT_EQ(InitializeDisk(PARTITIONSTYLE_GPT), LDM_E_NOT_EMPTY);
}

TEST_F(InitializationTest, SignaturesOfTheMachineDiffer) {
  ASSERT_EQ(WriteSignature(Disk(0)), 0);
  ASSERT_EQ(WriteSignature(Disk(1)), 0);
  EXPECT_NE(Disk(0).mbr->signature, Disk(1).mbr->signature);
}

}  // namespace
}  // namespace dmrp::server
