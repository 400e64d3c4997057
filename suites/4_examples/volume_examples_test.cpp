// The exchanges of section 4 about dynamic volumes, step by step: 4.5 creating one, 4.6 deleting one; with
// IVolumeClient, and the same with IVolumeClient3.
#include "suites/support/dynamic_volumes.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;

class VolumeExample : public DynamicTest, public ::testing::WithParamInterface<Revision> {
 protected:
  // Step 1: a client, which has seen nothing yet.
  Session& NewClient() {
    Session& session = Open(
        {.revision = GetParam(), .initialize = false, .name = "example", .account = {}, .auth_level = {}});
    [&] { ASSERT_THAT(session.Initialize(), Succeeds()); }();
    return session;
  }
};

// No disk has room for the volume, two have.
TEST_P(VolumeExample, CreatingAVolume) {
  Checks("DMRP-0932", "DMRP-0938", "DMRP-0939", "DMRP-0940", "DMRP-0943", "DMRP-0944", "DMRP-1642",
         "DMRP-1643");
  StartDynamic(2);
  constexpr std::int64_t kWanted = MiB(72);
  Session& session = NewClient();          // step 1
  const auto disks = session.EnumDisks();  // steps 2 and 3
  ASSERT_THAT(disks, Succeeds());
  CreateVolumeRequest request;
  request.volumeSpec.layout = VOLUMELAYOUT_SPANNED;
  request.volumeSpec.length = kWanted;
  std::int64_t missing = kWanted;
  for (const DISK_INFO_EX& disk : disks.value.disks) {
    if (disk.deviceType != DWORD{DEVICETYPE_VM} || missing == 0) continue;
    const auto regions = session.EnumDiskRegions(disk.id);  // steps 4 and 5
    ASSERT_THAT(regions, Succeeds());
    const auto free = std::ranges::find_if(regions.value.regions, harness::IsFree);
    ASSERT_NE(free, regions.value.regions.end());
    ASSERT_LT(free->length, kWanted);
    DISK_SPEC spec;
    spec.diskId = disk.id;
    spec.length = std::min(missing, free->length / MiB(1) * MiB(1));
    spec.needContiguous = false;
    spec.lastKnownState = disk.lastKnownState;
    request.diskList.push_back(spec);
    missing -= spec.length;
  }
  ASSERT_EQ(missing, 0) << "the disks are too small for this test";
  const std::uint64_t mark = session.sink().Count();
  const auto made = CreateVolume(session, request);  // steps 6 and 7
  ASSERT_THAT(made, Succeeds());                     // step 8
  EXPECT_EQ(made->tinfo.status, REQ_COMPLETED);
  const auto objects = session.sink().Objects(mark);  // steps 9 to 12
  for (const DISK_SPEC& spec : request.diskList) {
    EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, spec.diskId)));
  }
  EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, made->tinfo.storageId)));
  const VOLUME_INFO volume = VolumeNow(session, made->tinfo.storageId);
  EXPECT_EQ(volume.layout, VOLUMELAYOUT_SPANNED);
  EXPECT_EQ(volume.length, kWanted);
}

TEST_P(VolumeExample, DeletingAVolume) {
  Checks("DMRP-1033", "DMRP-1034", "DMRP-1037", "DMRP-1039", "DMRP-1660", "DMRP-1661");
  StartDynamic(2);
  const LdmObjectId id = Make(SessionOf(Revision::kIVolumeClient3), ShapesOfEachLayout().front()).id;
  Session& session = NewClient();              // step 1
  const auto volumes = session.EnumVolumes();  // steps 2 and 3
  ASSERT_THAT(volumes, Succeeds());
  const auto victim = std::ranges::find(volumes->LdmVolumeList, id, &VOLUME_INFO::id);
  ASSERT_NE(victim, volumes->LdmVolumeList.end());
  const std::uint64_t mark = session.sink().Count();
  const auto deleted = DeleteVolume(session, victim->id, victim->lastKnownState);  // steps 4 and 5
  ASSERT_THAT(deleted, Succeeds());                                                // step 6
  EXPECT_EQ(deleted->tinfo.status, REQ_COMPLETED);
  EXPECT_THAT(deleted->tinfo.storageId, AnyOf(0, victim->id));
  const auto objects = session.sink().Objects(mark);  // steps 7 to 10
  EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, lab().DiskId(0))));
  EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_DELETED, victim->id)));
  EXPECT_EQ(VolumeNow(session, victim->id).id, 0);
}

INSTANTIATE_TEST_SUITE_P(Both, VolumeExample, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
