// GetMaxAdjustedFreeSpace: the largest partition that can be made.
#include "reference_server/methods/methods_test_support.hpp"

namespace dmrp::server {
namespace {

class FreeSpaceTest : public MethodsTest {
 protected:
  GetMaxAdjustedFreeSpaceReply Ask(LdmObjectId disk_id) {
    GetMaxAdjustedFreeSpaceReply reply;
    reply.result = client->GetMaxAdjustedFreeSpace(late_call, {.diskId = disk_id}, reply);
    return reply;
  }
  LONGLONG Largest() {
    const auto reply = Ask(Disk().id);
    EXPECT_EQ(reply.result, 0);
    return reply.maxAdjustedFreeSpace;
  }
};

TEST_F(FreeSpaceTest, NamesNothingOnADiskWithoutATable) { EXPECT_EQ(Largest(), 0); }

TEST_F(FreeSpaceTest, NamesThePartitionThatFillsTheLargestGap) {
  for (const PARTITIONSTYLE style : {PARTITIONSTYLE_MBR, PARTITIONSTYLE_GPT}) {
    SCOPED_TRACE(style);
    ASSERT_EQ(InitializeDisk(style), 0);
    const REGION_INFO_EX free = Region(REGION_FREE);
    // A partition in the middle leaves a smaller gap before it and a larger one behind.
    CreatePartitionReply made;
    ASSERT_EQ(
        client->CreatePartition(
            late_call, {.partitionSpec = Spec(free, REGION_PRIMARY, free.start + 8 * kMiB, 8 * kMiB)}, made),
        0);
    const auto regions = Regions(Disk().id);
    ASSERT_EQ(regions.size(), 3);
    EXPECT_EQ(Largest(), regions[2].length);
    EXPECT_LT(Largest(), Disk().freeBytes);
    CreatePartitionReply filled;
    EXPECT_EQ(client->CreatePartition(
                  late_call, {.partitionSpec = Spec(regions[2], REGION_PRIMARY, regions[2].start, Largest())},
                  filled),
              0);
    EXPECT_EQ(Largest(), regions[0].length);
    for (int left = 2; left > 0; --left) {
      DeletePartitionReply gone;
      ASSERT_EQ(client->DeletePartition(late_call, {.partitionSpec = Spec(Region(REGION_PRIMARY))}, gone), 0);
    }
  }
}

TEST_F(FreeSpaceTest, CountsOnlySpaceThatAnEntryIsLeftFor) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(MakePartition(kMiB).result, 0);
  }
  ASSERT_EQ(MakePartition(16 * kMiB, REGION_EXTENDED).result, 0);
  EXPECT_GT(Region(REGION_FREE).length, Region(REGION_EXTENDED_FREE).length);
  EXPECT_EQ(Largest(), Region(REGION_EXTENDED_FREE).length);
}

TEST_F(FreeSpaceTest, RefusesWhatIsNoDiskAndGptThroughTheFirstInterface) {
  EXPECT_EQ(Ask(Disk().id + 1000).result, LDM_E_DISK_NOT_FOUND);
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT), 0);
  EXPECT_EQ(Ask(Region(REGION_FREE).id).result, LDM_E_DISK_NOT_FOUND);
  early_call.iid = IID_IVolumeClient2;
  GetMaxAdjustedFreeSpaceReply reply;
  EXPECT_EQ(early_client->GetMaxAdjustedFreeSpace(early_call, {.diskId = Disk().id}, reply), LDM_E_NOSUPPORT);
}

}  // namespace
}  // namespace dmrp::server
