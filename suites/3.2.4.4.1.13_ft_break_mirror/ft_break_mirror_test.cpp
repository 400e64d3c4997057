// FTBreakMirror (3.2.4.4.1.13, 3.2.4.4.3.13).
#include "suites/support/ft_sets.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

class FtBreak : public FtRevisionTest {
 protected:
  Outcome<FTBreakMirrorReply> BreakNow(bool force = false) {
    const VOLUME_INFO set = SetNow(session());
    return Break(session(), set.id, set.lastKnownState, force);
  }
};

// The members become partitions with the data of the set; one of them gets its letter.
TEST_P(FtBreak, MakesTwoPartitionsOfTheMirror) {
  Checks("DMRP-0746", "DMRP-0750", "DMRP-0751", "DMRP-0752", "DMRP-0753", "DMRP-0754", "DMRP-0755",
         "DMRP-0756", "DMRP-0757", "DMRP-0758", "DMRP-0759", "DMRP-0760", "DMRP-1596", "DMRP-1597");
  StartOwnSet(MirrorsAndParity(), 'E');
  const std::size_t sets = RecordNow().sets.size();
  const StorageView before = Need(session().View());
  const VOLUME_INFO set = SetNow(session());
  const std::uint64_t mark = session().sink().Count();
  const auto reply = BreakNow();
  ASSERT_THAT(reply, Succeeds());
  ExpectCompleted(reply->tinfo);
  const auto told = session().sink().Objects(mark);
  const StorageView after = Need(session().View());
  EXPECT_EQ(after.FindVolume(set.id), nullptr);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_DELETED, set.fsId)));
  const auto members = before.RegionsOfVolume(set.id);
  ASSERT_THAT(members, SizeIs(2));
  std::size_t with_letter = 0;
  for (const REGION_INFO_EX& member : members) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, member.id)));
    // What a disk tells of itself need not change; what it tells is so afterwards.
    EXPECT_EQ(after.FindDisk(member.diskId)->regionCount, after.RegionsOf(member.diskId).size());
    const REGION_INFO_EX* region = after.FindRegion(member.id);
    ASSERT_NE(region, nullptr);
    EXPECT_EQ(region->volId, 0);
    EXPECT_EQ(region->regionType, member.regionType);
    const FILE_SYSTEM_INFO* system = after.FileSystemOf(member.id);
    ASSERT_NE(system, nullptr);
    EXPECT_EQ(system->fsType, FSTYPE_FAT);
    with_letter += after.FindLetter(u'E')->storageId == member.id ? 1 : 0;
  }
  EXPECT_EQ(with_letter, 1U);
  const harness::FtRecord record = RecordNow();
  EXPECT_EQ(SetIn(record), nullptr);
  EXPECT_EQ(record.sets.size(), sets - 1);
  ExpectOnDisk(session(), "a", members[0], 0x06);
  ExpectOnDisk(session(), "b", members[1], 0x06);
}

TEST_P(FtBreak, OfAMirrorInUseNeedsForce) {
  Checks("DMRP-0745", "DMRP-0750", "DMRP-0751", "DMRP-0761", "DMRP-0746", "DMRP-1596", "DMRP-1598");
  StartOwnSet(MirrorsAndParity(), 'F');
  HoldFileOpen();
  const auto refused = BreakNow();
  EXPECT_THAT(refused, FailsWith(LDM_E_VOLUME_IN_USE));
  ExpectFailed(refused->tinfo, refused->result);
  EXPECT_NE(SetIn(RecordNow()), nullptr);
  EXPECT_THAT(BreakNow(true), Succeeds());
  EXPECT_EQ(SetNow(session()).id, 0);
  EXPECT_EQ(SetIn(RecordNow()), nullptr);
}

TEST_P(FtBreak, RefusesOtherSetsAndStaleStates) {
  Checks("DMRP-0747", "DMRP-0749", "DMRP-0746", "DMRP-0495", "DMRP-1596");
  StartWithSet(MirrorsAndParity(), 'H');
  const VOLUME_INFO set = SetNow(session());
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Break(session(), set.id, set.lastKnownState), Refused()) << "a RAID-5 set";
  for (const LdmObjectId id : {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), lab().DiskId(0)}) {
    EXPECT_THAT(Break(session(), id, set.lastKnownState), Refused()) << id;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

TEST_P(FtBreak, RefusesAStaleState) {
  Checks("DMRP-0747", "DMRP-0749", "DMRP-0495");
  StartWithSet(MirrorsAndParity(), 'G');
  const VOLUME_INFO set = SetNow(session());
  const Observation before = ObserveAll(session());
  for (const std::int64_t state : {set.lastKnownState - 1, set.lastKnownState + 1}) {
    EXPECT_THAT(Break(session(), set.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, FtBreak, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
