// FTReplaceParityStripePartition (3.2.4.4.1.17, 3.2.4.4.3.17).
#include "suites/support/ft_replacement.hpp"

namespace dmrp::suites {
namespace {

class FtReplaceParity : public FtReplacementTest {
 protected:
  FtReplaceParity() : FtReplacementTest("parity") {}
};

TEST_P(FtReplaceParity, PutsThePartitionInThePlaceOfTheFailedMember) {
  Checks("DMRP-0802", "DMRP-0803", "DMRP-0805", "DMRP-0811", "DMRP-0812", "DMRP-0813", "DMRP-0815",
         "DMRP-0816", "DMRP-0817", "DMRP-0818", "DMRP-0819", "DMRP-0820", "DMRP-1611", "DMRP-1612",
         "DMRP-1616", "DMRP-1617");
  ExpectReplaced();
}

TEST_P(FtReplaceParity, TakesAPartitionThatChangedOnlyWithForce) {
  Checks("DMRP-0804", "DMRP-0807", "DMRP-0808", "DMRP-1618");
  ExpectForceNeeded();
}

TEST_P(FtReplaceParity, DeletesThePartitionAfterAFailureOnlyOnRequest) {
  Checks("DMRP-0804", "DMRP-0814", "DMRP-0815", "DMRP-0821", "DMRP-0822", "DMRP-0823", "DMRP-1618");
  ExpectDeletedOnlyOnRequest();
}

TEST_P(FtReplaceParity, RefusesAPartitionOfAnotherType) {
  Checks("DMRP-1613", "DMRP-0812", "DMRP-1611");
  StartForRefusal();
  ExpectOtherRefused(1);
}

TEST_P(FtReplaceParity, RefusesAPartitionThatIsTooSmall) {
  Checks("DMRP-1615", "DMRP-0812", "DMRP-1611");
  StartForRefusal();
  ExpectOtherRefused(2);
}

// A GPT has no types that could say member.
TEST_P(FtReplaceParity, RefusesAPartitionOfAGptDisk) {
  Checks("DMRP-1614", "DMRP-0812", "DMRP-1611");
  StartForRefusal();
  ExpectGptPartitionRefused();
}

TEST_P(FtReplaceParity, RefusesWhatIsNoSetOrNoPartitionOrStale) {
  Checks("DMRP-0805", "DMRP-0806", "DMRP-0807", "DMRP-0810", "DMRP-0495", "DMRP-1611");
  StartForRefusal();
  ExpectWrongIdsRefused();
}

TEST_P(FtReplaceParity, RefusesASetOfAnotherType) {
  Checks("DMRP-0806", "DMRP-0810");
  StartForRefusal(/*other_type=*/true);
  ExpectOtherRefused(0);
}

INSTANTIATE_TEST_SUITE_P(Both, FtReplaceParity, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
