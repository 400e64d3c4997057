// FTRegenerateParityStripe (3.2.4.4.1.15, 3.2.4.4.3.15).
#include "suites/support/ft_sets.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class FtRegenerate : public FtTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
  Outcome<FTRegenerateParityStripeReply> Begin() {
    const VOLUME_INFO set = SetNow(session());
    return Regenerate(session(), set.id, set.lastKnownState);
  }
  // Begins, waits for the end, and judges the members.
  void ExpectMadeWhole() {
    const auto reply = Begin();
    ASSERT_THAT(reply, Succeeds());
    ExpectCompleted(reply->tinfo);
    AwaitStatus(session(), VOLUME_STATUS_HEALTHY);
    const harness::FtRecord record = RecordNow();
    const harness::FtRecordSet* set = record.Find("parity");
    ASSERT_NE(set, nullptr);
    EXPECT_EQ(set->state, 0U) << ToText(*set);
    for (const auto& member : set->members) EXPECT_EQ(member.state, 0U) << ToText(*set);
    EXPECT_THAT(DataProblems("parity"), IsEmpty());
  }
};

// A member that was put out of the set is taken back with what the others have.
TEST_P(FtRegenerate, TakesAnOrphanBack) {
  Checks("DMRP-0771", "DMRP-0775", "DMRP-0776", "DMRP-0777", "DMRP-0778", "DMRP-1601", "DMRP-1602");
  StartSets(ParityOf(R"("state": "orphaned", "garbage": true)"));
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  ExpectMadeWhole();
}

// So is the second member.
TEST_P(FtRegenerate, TakesTheLastMemberBack) {
  Checks("DMRP-0775", "DMRP-0776");
  StartSets(ParityOf("", R"("state": "orphaned", "garbage": true)"));
  ExpectMadeWhole();
}

// With all members in the set, what is redundant is made anew from the data.
TEST_P(FtRegenerate, MakesTheRedundantDataAnew) {
  Checks("DMRP-0775", "DMRP-0776");
  StartSets(ParityOf());
  ExpectMadeWhole();
}

// A member whose disk is away cannot be rebuilt.
TEST_P(FtRegenerate, FailsWithoutTheMember) {
  Checks("DMRP-0771", "DMRP-0777", "DMRP-1601", "DMRP-0776", "DMRP-0778");
  StartSharedSets(ParityOf("", R"("state": "orphaned")", "", R"("absent": true)"));
  const auto reply = Begin();
  ASSERT_THAT(reply, Refused());
  ExpectFailed(reply->tinfo, reply->result);
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_FAILED_REDUNDANCY);
}

TEST_P(FtRegenerate, RefusesWhatIsNoSuchSetOrAStaleState) {
  Checks("DMRP-0772", "DMRP-0774", "DMRP-0771", "DMRP-0495", "DMRP-1601");
  StartSharedSets(ParityOf());
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
  StartSharedSets(MirrorOf());
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Begin(), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, FtRegenerate, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
