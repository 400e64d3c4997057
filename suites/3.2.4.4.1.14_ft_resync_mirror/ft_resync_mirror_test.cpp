// FTResyncMirror (3.2.4.4.1.14, 3.2.4.4.3.14).
#include "harness/disks/dynamic_disks.hpp"
#include "suites/support/ft_sets.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class FtResync : public FtRevisionTest {
 protected:
  // Mirrors without their first member, without their last one, and whole; a parity set; a mirror on disks of
  // which one is taken away, and one whose last member's disk is away.
  static std::string Sets() {
    const std::vector<std::string_view> disks = {"a", "b"};
    return SetsOn(R"({"name": "a", "size": "56M"}, {"name": "b", "size": "64M"}, {"name": "c", "size": "40M"},
{"name": "d", "size": "24M"}, {"name": "away", "size": "32M", "absent": true})",
                  {{"mirror", disks, kOut},
                   {"mirror", disks, "", kOut},
                   {"mirror", disks},
                   {"parity", {"a", "b", "c"}},
                   {"mirror", {"c", "d"}},
                   {"mirror", {"c", "away"}, "", kAway}});
  }
  Outcome<FTResyncMirrorReply> Begin() {
    const VOLUME_INFO set = SetNow(session());
    return Resync(session(), set.id, set.lastKnownState);
  }
  // Begins, waits for the end, and judges the members.
  void ExpectToMakeWhole() {
    const auto reply = Begin();
    ASSERT_THAT(reply, Succeeds());
    ExpectCompleted(reply->tinfo);
    ExpectMadeWhole(session());
  }
};

// A member that was put out of the set is taken back with what the others have.
TEST_P(FtResync, TakesAnOrphanBack) {
  Checks("DMRP-0763", "DMRP-0767", "DMRP-0768", "DMRP-0769", "DMRP-0770", "DMRP-1599", "DMRP-1600",
         "DMRP-0039");
  StartOwnSet(Sets(), 'E');
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(MemberNow(session(), 0).status, REGIONSTATUS_FAILED);
  EXPECT_EQ(MemberNow(session(), 1).status, REGIONSTATUS_OK);
  ExpectToMakeWhole();
  EXPECT_EQ(MemberNow(session(), 0).status, REGIONSTATUS_OK);
}

// So is the second member.
TEST_P(FtResync, TakesTheLastMemberBack) {
  Checks("DMRP-0767", "DMRP-0768");
  StartOwnSet(Sets(), 'F');
  ExpectToMakeWhole();
}

// With all members in the set, what is redundant is made anew from the data.
TEST_P(FtResync, MakesTheRedundantDataAnew) {
  Checks("DMRP-0767", "DMRP-0768");
  StartOwnSet(Sets(), 'G');
  ExpectToMakeWhole();
}

// A member whose disk is away cannot be rebuilt.
TEST_P(FtResync, FailsWithoutTheMember) {
  Checks("DMRP-0763", "DMRP-0769", "DMRP-1599", "DMRP-0768", "DMRP-0770");
  StartWithSet(Sets(), 'J');
  const auto reply = Begin();
  ASSERT_THAT(reply, Refused());
  ExpectFailed(reply->tinfo, reply->result);
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_FAILED_REDUNDANCY);
}

TEST_P(FtResync, RefusesWhatIsNoSuchSetOrAStaleState) {
  Checks("DMRP-0764", "DMRP-0766", "DMRP-0763", "DMRP-0495", "DMRP-1599");
  StartWithSet(Sets(), 'G');
  const VOLUME_INFO set = SetNow(session());
  const Observation before = ObserveAll(session());
  const LdmObjectId region = PartitionsNow(session(), "a").at(0).id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(0)}) {
    EXPECT_THAT(Resync(session(), id, set.lastKnownState), Refused()) << id;
  }
  for (const std::int64_t state : {set.lastKnownState - 1, set.lastKnownState + 1}) {
    EXPECT_THAT(Resync(session(), set.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

TEST_P(FtResync, RefusesASetOfAnotherType) {
  Checks("DMRP-0764", "DMRP-0766", "DMRP-0763", "DMRP-0495", "DMRP-1599");
  StartWithSet(Sets(), 'H');
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Begin(), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// A disk that was away comes back with what it had: it is no copy until it has what was written since.
// Later tests would not find the machine as they know it.
TEST_P(FtResync, BringsAMemberUpToDateThatWasAway) {
  Checks("DMRP-0767", "DMRP-0768", "DMRP-0041");
  StartOwnSet(Sets(), 'I');
  GiveMachineUp();
  const BedDisk away = lab().bed().disks().at(DiskNamed("d"));
  const ImageCopy copy(Need(lab().bed().Snapshot(away.id)), 512);
  Need(lab().bed().Detach(away.id));
  AwaitStatus(session(), VOLUME_STATUS_FAILED_REDUNDANCY);
  WriteFile();
  // The set knows the disk by its signature, whatever drive it is in.
  harness::DiskSpec spec = away.spec;
  spec.serial.clear();
  const std::uint64_t mark = session().sink().Count();
  const BedDisk back = Need(lab().bed().Attach({spec, harness::ContentsOf(copy.path())}));
  ASSERT_TRUE(session().sink().WaitFor(
      [](const ReceivedObject& object) {
        return object.type == DMNOTIFY_DISK_INFO && object.action == LDMACTION_CREATED;
      },
      target().notification_timeout, mark))
      << "disk " << back.id << " does not come back";
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  ASSERT_THAT(Begin(), Succeeds());
  AwaitStatus(session(), VOLUME_STATUS_HEALTHY);
  EXPECT_THAT(RedundancyProblems(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, FtResync, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
