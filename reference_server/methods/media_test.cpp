// Eject: what it refuses, what it changes.
#include "reference_server/methods/methods_test_support.hpp"

#include <filesystem>

namespace dmrp::server {
namespace {

class EjectTest : public MethodsTest {
 protected:
  // A third disk, removable, with two partitions.
  void SetUp() override {
    MethodsTest::SetUp();
    MakeFile("removable.img");
    server->Refresh();
    ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR, kRemovable), 0);
    for (int i = 0; i < 2; ++i) {
      const auto regions = Regions(Disk(kRemovable).id);
      CreatePartitionReply reply;
      ASSERT_EQ(
          client->CreatePartition(
              late_call,
              {.partitionSpec = Spec(regions.back(), REGION_PRIMARY, regions.back().start, 4 * kMiB)}, reply),
          0);
    }
    TakeFrames();
  }

  EjectReply Ask(LdmObjectId disk_id, LONGLONG state) {
    EjectReply reply;
    reply.result = client->Eject(late_call, {.diskId = disk_id, .diskLastKnownState = state}, reply);
    EXPECT_EQ(reply.tinfo.error, reply.result);
    EXPECT_EQ(reply.tinfo.status, reply.result == 0 ? REQ_COMPLETED : REQ_FAILED);
    EXPECT_NE(reply.tinfo.id, 0);
    EXPECT_EQ(reply.tinfo.storageId, 0);
    return reply;
  }

  static constexpr std::size_t kRemovable = 2;
};

TEST_F(EjectTest, TakesTheMediumOutWithAllThatLiesOnIt) {
  const DISK_INFO_EX before = Disk(kRemovable);
  EXPECT_EQ(Ask(before.id, before.lastKnownState).result, 0);
  const DISK_INFO_EX after = Disk(kRemovable);
  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.deviceState, static_cast<std::uint32_t>(DEVICESTATE_NO_MEDIA));
  EXPECT_EQ(after.length, 0);
  EXPECT_EQ(after.lastKnownState, before.lastKnownState + 1);
  EXPECT_TRUE(Regions(after.id).empty());
  EXPECT_EQ(TakeFrames(), "region- region- region- fs- fs- disk*");
}

TEST_F(EjectTest, AMediumPutInAgainIsSeen) {
  const DISK_INFO_EX before = Disk(kRemovable);
  ASSERT_EQ(Ask(before.id, before.lastKnownState).result, 0);
  std::filesystem::copy_file(folder / "removable.img", folder / "again.img");
  std::filesystem::rename(folder / "again.img", folder / "removable.img");
  server->Refresh();
  EXPECT_EQ(Disk(kRemovable).deviceState, static_cast<std::uint32_t>(DEVICESTATE_HEALTHY));
  EXPECT_EQ(Regions(before.id).size(), 3);
}

TEST_F(EjectTest, RefusesUnknownAndStaleDisks) {
  const DISK_INFO_EX disk = Disk(kRemovable);
  const View before = Look();
  EXPECT_EQ(Ask(disk.id + 1000, disk.lastKnownState).result, LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(Ask(Regions(disk.id).front().id, disk.lastKnownState).result, LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(Ask(disk.id, disk.lastKnownState - 1).result, LDM_E_OBJECT_STALED);
  EXPECT_EQ(Look(), before);
}

TEST_F(EjectTest, RefusesFixedDisks) {
  const View before = Look();
  EXPECT_EQ(Ask(Disk().id, Disk().lastKnownState).result, LDM_E_NOSUPPORT);
  EXPECT_EQ(Look(), before);
}

TEST_F(EjectTest, RefusesAnEmptyDrive) {
  ASSERT_EQ(Ask(Disk(kRemovable).id, Disk(kRemovable).lastKnownState).result, 0);
  const View before = Look();
  EXPECT_EQ(Ask(Disk(kRemovable).id, Disk(kRemovable).lastKnownState).result, LDM_E_BAD_DISK);
  EXPECT_EQ(Look(), before);
}

TEST_F(EjectTest, RefusesWhileAnyPartitionIsInUse) {
  const DISK_INFO_EX disk = Disk(kRemovable);
  const auto regions = Regions(disk.id);
  source->busy_start = static_cast<std::uint64_t>(regions.at(1).start);
  server->Refresh();
  const View before = Look();
  EXPECT_EQ(Ask(disk.id, Disk(kRemovable).lastKnownState).result, LDM_E_VOLUME_IN_USE);
  EXPECT_EQ(Look(), before);
}

}  // namespace
}  // namespace dmrp::server
