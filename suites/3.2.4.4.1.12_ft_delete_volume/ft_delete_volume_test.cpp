// FTDeleteVolume (3.2.4.4.1.12, 3.2.4.4.3.12).
#include "suites/support/ft_sets.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

class FtDelete : public FtRevisionTest {
 protected:
  Outcome<FTDeleteVolumeReply> DeleteNow(bool force = false) {
    const VOLUME_INFO set = SetNow(session());
    return Delete(session(), set.id, set.lastKnownState, force);
  }
};

// Record, partitions and objects of the set are gone; disks, letter and free regions tell of it.
TEST_P(FtDelete, RemovesTheSetWithItsPartitions) {
  Checks("DMRP-0731", "DMRP-0735", "DMRP-0736", "DMRP-0737", "DMRP-0738", "DMRP-0739", "DMRP-0740",
         "DMRP-0741", "DMRP-0742", "DMRP-0743", "DMRP-1593", "DMRP-1594");
  StartOwnSet(MirrorsAndParity(), 'E');
  const std::size_t sets = RecordNow().sets.size();
  const StorageView before = Need(session().View());
  const VOLUME_INFO set = SetNow(session());
  ASSERT_NE(set.fsId, 0);
  ASSERT_EQ(before.FindLetter(u'E')->storageId, set.id);
  const std::uint64_t mark = session().sink().Count();
  const auto reply = DeleteNow();
  ASSERT_THAT(reply, Succeeds());
  ExpectCompleted(reply->tinfo);
  const auto told = session().sink().Objects(mark);
  const StorageView after = Need(session().View());
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_DELETED, set.id)));
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_DELETED, set.fsId)));
  EXPECT_EQ(after.FindVolume(set.id), nullptr);
  EXPECT_EQ(after.FindFileSystem(set.fsId), nullptr);
  EXPECT_FALSE(after.FindLetter(u'E')->isUsed);
  for (const REGION_INFO_EX& region : before.RegionsOfVolume(set.id)) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, region.diskId)));
    EXPECT_EQ(after.FindRegion(region.id), nullptr);
    EXPECT_GE(after.FindDisk(region.diskId)->freeBytes,
              before.FindDisk(region.diskId)->freeBytes + region.length);
  }
  const harness::FtRecord record = RecordNow();
  EXPECT_EQ(SetIn(record), nullptr);
  EXPECT_EQ(record.sets.size(), sets - 1);
  const std::vector<REGION_INFO_EX> members = before.RegionsOfVolume(set.id);
  ASSERT_THAT(members, SizeIs(2));
  ExpectOnDisk(session(), "a", members[0], std::nullopt);
  ExpectOnDisk(session(), "b", members[1], std::nullopt);
}

TEST_P(FtDelete, OfASetInUseNeedsForce) {
  Checks("DMRP-0730", "DMRP-0735", "DMRP-0744", "DMRP-0731", "DMRP-1593", "DMRP-1595");
  StartOwnSet(MirrorsAndParity(), 'F');
  HoldFileOpen();
  const auto refused = DeleteNow();
  EXPECT_THAT(refused, FailsWith(LDM_E_VOLUME_IN_USE));
  ExpectFailed(refused->tinfo, refused->result);
  EXPECT_NE(SetIn(RecordNow()), nullptr);
  EXPECT_THAT(DeleteNow(true), Succeeds());
  EXPECT_EQ(SetNow(session()).id, 0);
  EXPECT_EQ(SetIn(RecordNow()), nullptr);
}

TEST_P(FtDelete, RefusesWhatIsNoSetOrAStaleState) {
  Checks("DMRP-0732", "DMRP-0734", "DMRP-0731", "DMRP-0495", "DMRP-1593");
  StartWithSet(MirrorsAndParity(), 'G');
  const VOLUME_INFO set = SetNow(session());
  const Observation before = ObserveAll(session());
  const LdmObjectId region = PartitionsNow(session(), "a").at(0).id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(0)}) {
    EXPECT_THAT(Delete(session(), id, set.lastKnownState), Refused()) << id;
  }
  for (const std::int64_t state : {set.lastKnownState - 1, set.lastKnownState + 1}) {
    EXPECT_THAT(Delete(session(), set.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, FtDelete, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
