// FTRegenerateParityStripe (3.2.4.4.1.15, 3.2.4.4.3.15).
#include "suites/support/ft_sets.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

class FtRegenerate : public FtRevisionTest {
 protected:
  // Parity sets without their first member, without their last one, and whole; a mirror; a parity set whose
  // last member's disk is away.
  static std::string Sets() {
    const std::vector<std::string_view> disks = {"a", "b", "c"};
    return SetsOn(R"({"name": "a", "size": "56M"}, {"name": "b", "size": "64M"}, {"name": "c", "size": "40M"},
{"name": "d", "size": "24M"}, {"name": "away", "size": "32M", "absent": true})",
                  {{"parity", disks, kOut},
                   {"parity", disks, "", kOut},
                   {"parity", disks},
                   {"mirror", {"a", "b"}},
                   {"parity", {"c", "d", "away"}, "", kAway}});
  }
  Outcome<FTRegenerateParityStripeReply> Begin() {
    const VOLUME_INFO set = SetNow(session());
    return Regenerate(session(), set.id, set.lastKnownState);
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
TEST_P(FtRegenerate, TakesAnOrphanBack) {
  Checks("DMRP-0771", "DMRP-0775", "DMRP-0776", "DMRP-0777", "DMRP-0778", "DMRP-1601", "DMRP-1602");
  StartOwnSet(Sets(), 'E');
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  ExpectToMakeWhole();
}

// So is the second member.
TEST_P(FtRegenerate, TakesTheLastMemberBack) {
  Checks("DMRP-0775", "DMRP-0776");
  StartOwnSet(Sets(), 'F');
  ExpectToMakeWhole();
}

// With all members in the set, what is redundant is made anew from the data.
TEST_P(FtRegenerate, MakesTheRedundantDataAnew) {
  Checks("DMRP-0775", "DMRP-0776");
  StartOwnSet(Sets(), 'G');
  ExpectToMakeWhole();
}

// A member whose disk is away cannot be rebuilt.
TEST_P(FtRegenerate, FailsWithoutTheMember) {
  Checks("DMRP-0771", "DMRP-0777", "DMRP-1601", "DMRP-0776", "DMRP-0778");
  StartWithSet(Sets(), 'I');
  const auto reply = Begin();
  ASSERT_THAT(reply, Refused());
  ExpectFailed(reply->tinfo, reply->result);
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_FAILED_REDUNDANCY);
}

TEST_P(FtRegenerate, RefusesWhatIsNoSuchSetOrAStaleState) {
  Checks("DMRP-0772", "DMRP-0774", "DMRP-0771", "DMRP-0495", "DMRP-1601");
  StartWithSet(Sets(), 'G');
  const VOLUME_INFO set = SetNow(session());
  const Observation before = ObserveAll(session());
  const LdmObjectId region = PartitionsNow(session(), "a").at(0).id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(0)}) {
    EXPECT_THAT(Regenerate(session(), id, set.lastKnownState), Refused()) << id;
  }
  for (const std::int64_t state : {set.lastKnownState - 1, set.lastKnownState + 1}) {
    EXPECT_THAT(Regenerate(session(), set.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

TEST_P(FtRegenerate, RefusesASetOfAnotherType) {
  Checks("DMRP-0772", "DMRP-0774", "DMRP-0771", "DMRP-0495", "DMRP-1601");
  StartWithSet(Sets(), 'H');
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Begin(), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, FtRegenerate, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
