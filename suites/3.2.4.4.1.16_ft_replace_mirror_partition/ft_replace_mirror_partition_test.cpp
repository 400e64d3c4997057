// FTReplaceMirrorPartition (3.2.4.4.1.16, 3.2.4.4.3.16).
#include "suites/support/ft_replacement.hpp"

namespace dmrp::suites {
namespace {

class FtReplaceMirror : public FtReplacementTest {
 protected:
  FtReplaceMirror() : FtReplacementTest("mirror") {}
};

TEST_P(FtReplaceMirror, PutsThePartitionInThePlaceOfTheFailedMember) {
  Checks("DMRP-0779", "DMRP-0780", "DMRP-0783", "DMRP-0789", "DMRP-0790", "DMRP-0791", "DMRP-0793",
         "DMRP-0794", "DMRP-0795", "DMRP-0796", "DMRP-0797", "DMRP-0798", "DMRP-1603", "DMRP-1604",
         "DMRP-1608", "DMRP-1609");
  ExpectReplaced();
}

TEST_P(FtReplaceMirror, TakesAPartitionThatChangedOnlyWithForce) {
  Checks("DMRP-0781", "DMRP-0782", "DMRP-0785", "DMRP-0786", "DMRP-1610");
  ExpectForceNeeded();
}

TEST_P(FtReplaceMirror, DeletesThePartitionAfterAFailureOnlyOnRequest) {
  Checks("DMRP-0781", "DMRP-0782", "DMRP-0792", "DMRP-0793", "DMRP-0799", "DMRP-0800", "DMRP-0801",
         "DMRP-1610");
  ExpectDeletedOnlyOnRequest();
}

TEST_P(FtReplaceMirror, RefusesAPartitionOfAnotherType) {
  Checks("DMRP-1605", "DMRP-0790", "DMRP-1603");
  StartForRefusal();
  ExpectOtherRefused(1);
}

TEST_P(FtReplaceMirror, RefusesAPartitionThatIsTooSmall) {
  Checks("DMRP-1607", "DMRP-0790", "DMRP-1603");
  StartForRefusal();
  ExpectOtherRefused(2);
}

// A GPT has no types that could say member.
TEST_P(FtReplaceMirror, RefusesAPartitionOfAGptDisk) {
  Checks("DMRP-1606", "DMRP-0790", "DMRP-1603");
  StartForRefusal();
  ExpectGptPartitionRefused();
}

TEST_P(FtReplaceMirror, RefusesWhatIsNoSetOrNoPartitionOrStale) {
  Checks("DMRP-0783", "DMRP-0784", "DMRP-0785", "DMRP-0788", "DMRP-0495", "DMRP-1603");
  StartForRefusal();
  ExpectWrongIdsRefused();
}

TEST_P(FtReplaceMirror, RefusesASetOfAnotherType) {
  Checks("DMRP-0784", "DMRP-0788");
  StartForRefusal(/*other_type=*/true);
  ExpectOtherRefused(0);
}

INSTANTIATE_TEST_SUITE_P(Both, FtReplaceMirror, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
