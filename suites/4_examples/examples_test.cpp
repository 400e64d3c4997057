// The exchanges of section 4, step by step: 4.1 starting a session, 4.3 creating a partition, 4.4 deleting
// one.
#include "suites/support/conformance_test.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::Contains;

// 4.1: activation with the class GUID for IUnknown, the request for IVolumeClient3, and Initialize with the
// client's IDMNotify; the server stores it and answers success.
class Examples : public ConformanceTest {};

TEST_F(Examples, StartingASessionOnAServer) {
  Checks("DMRP-0001", "DMRP-0007", "DMRP-1431", "DMRP-1439");
  Start({kMbr512});
  auto host = Need(lab().Host());
  constexpr Guid kIUnknown{0, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};
  const auto unknown = host->Activate(kIUnknown);  // steps 1 and 2
  ASSERT_TRUE(unknown) << unknown.error().ToString();
  const auto client3 = unknown->QueryInterface(IID_IVolumeClient3);  // steps 3 and 4
  ASSERT_TRUE(client3) << client3.error().ToString();
  EXPECT_EQ(client3->oid(), unknown->oid());
  Session& session = Open({.revision = Revision::kIVolumeClient3,
                           .initialize = false,
                           .name = "example",
                           .account = {},
                           .auth_level = {}});
  ASSERT_THAT(session.Initialize(), Succeeds());  // steps 5 and 6
  EXPECT_THAT(session.EnumDisks(), Succeeds());
}

// 4.3 and 4.4 with IVolumeClient, and the same with IVolumeClient3.
class PartitionExample : public RevisionTest {
 protected:
  void SetUp() override { Start({kMbr512}); }
};

TEST_P(PartitionExample, CreatingAPartition) {
  Checks("DMRP-0612", "DMRP-0615", "DMRP-0617", "DMRP-0618", "DMRP-0532");
  Session& session =
      Open({.revision = GetParam(), .initialize = false, .name = "example", .account = {}, .auth_level = {}});
  ASSERT_THAT(session.Initialize(), Succeeds());  // step 1
  const auto disks = session.EnumDisks();         // steps 2 and 3
  ASSERT_THAT(disks, Succeeds());
  auto disk = std::ranges::find(disks.value.disks, lab().DiskId(0), &DISK_INFO_EX::id);
  ASSERT_NE(disk, disks.value.disks.end());
  const auto regions = session.EnumDiskRegions(disk->id);  // steps 4 and 5
  ASSERT_THAT(regions, Succeeds());
  auto free = std::ranges::find_if(regions.value.regions, [](const REGION_INFO_EX& region) {
    return region.regionType == REGION_FREE && region.length >= MiB(16);
  });
  ASSERT_NE(free, regions.value.regions.end());
  const auto made =
      session.CreatePartition(Spec(*free, REGION_PRIMARY, free->start, MiB(16)));  // steps 6 and 7
  ASSERT_THAT(made, Succeeds());                                                   // step 8
  EXPECT_EQ(made->tinfo.status, REQ_COMPLETED);
  const auto after = session.EnumDiskRegions(disk->id);
  EXPECT_EQ(std::ranges::count(after.value.regions, made->tinfo.storageId, &REGION_INFO_EX::id), 1);
  const auto objects = session.sink().Objects();  // steps 9 to 12
  EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk->id)));
  EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made->tinfo.storageId)));
}

TEST_P(PartitionExample, DeletingAPartition) {
  Checks("DMRP-0665", "DMRP-0667", "DMRP-0669", "DMRP-0670", "DMRP-0532");
  {
    Session& other = SessionOf(Revision::kIVolumeClient3);
    const REGION_INFO_EX free = FreeRegion(other);
    ASSERT_THAT(other.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(16))), Succeeds());
  }
  Session& session =
      Open({.revision = GetParam(), .initialize = false, .name = "example", .account = {}, .auth_level = {}});
  ASSERT_THAT(session.Initialize(), Succeeds());  // step 1
  const auto disks = session.EnumDisks();         // steps 2 and 3
  ASSERT_THAT(disks, Succeeds());
  const auto regions = session.EnumDiskRegions(lab().DiskId(0));  // steps 4 and 5
  ASSERT_THAT(regions, Succeeds());
  auto victim = std::ranges::find(regions.value.regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
  ASSERT_NE(victim, regions.value.regions.end());
  const auto deleted = session.DeletePartition(SpecOf(*victim), false);  // steps 6 and 7
  ASSERT_THAT(deleted, Succeeds());                                      // step 8
  EXPECT_EQ(deleted->tinfo.status, REQ_COMPLETED);
  EXPECT_TRUE(deleted->tinfo.storageId == 0 || deleted->tinfo.storageId == victim->id);
  const auto objects = session.sink().Objects();  // steps 9 to 12
  EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, lab().DiskId(0))));
  EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, victim->id)));
}

INSTANTIATE_TEST_SUITE_P(Both, PartitionExample, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
