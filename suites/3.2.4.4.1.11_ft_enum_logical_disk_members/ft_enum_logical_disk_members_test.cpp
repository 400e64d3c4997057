// FTEnumLogicalDiskMembers (3.2.4.4.1.11, 3.2.4.4.3.11).
#include "suites/support/ft_sets.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

using FtEnumMembers = FtRevisionTest;

// The regions where the set was made, and they name it; the count that comes in means nothing.
TEST_P(FtEnumMembers, ListsTheRegionsOfTheSet) {
  Checks("DMRP-0719", "DMRP-0723", "DMRP-0724", "DMRP-0725", "DMRP-0726", "DMRP-0727", "DMRP-0728",
         "DMRP-1591", "DMRP-1592");
  StartWithSet(MirrorsAndParity(), 'H');
  const VOLUME_INFO set = SetNow(session());
  std::vector<LdmObjectId> expected;
  for (const harness::FtMadeMember& member : MadeSet().members) {
    for (const REGION_INFO_EX& region : PartitionsNow(session(), member.disk)) {
      if (region.start == static_cast<std::int64_t>(member.start)) {
        EXPECT_EQ(region.volId, set.id);
        EXPECT_EQ(region.fsId, 0);
        EXPECT_EQ(region.length, static_cast<std::int64_t>(member.length));
        expected.push_back(region.id);
      }
    }
  }
  ASSERT_THAT(expected, SizeIs(3));
  for (const std::uint32_t count : {0U, 2U, 0xFFFFFFFFU}) {
    const auto reply = session().FTEnumLogicalDiskMembers(set.id, count);
    ASSERT_THAT(reply, Succeeds());
    EXPECT_THAT(reply->memberList, UnorderedElementsAreArray(expected)) << "count " << count;
  }
}

TEST_P(FtEnumMembers, RefusesWhatIsNoSetAndChangesNothing) {
  Checks("DMRP-0720", "DMRP-0722", "DMRP-0719", "DMRP-0729", "DMRP-1591");
  StartWithSet(MirrorsAndParity(), 'G');
  const Observation before = ObserveAll(session());
  const LdmObjectId region = PartitionsNow(session(), "a").at(0).id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(0)}) {
    const auto reply = session().FTEnumLogicalDiskMembers(id);
    EXPECT_THAT(reply, Refused()) << id;
    EXPECT_THAT(reply->memberList, IsEmpty()) << id;
  }
  ASSERT_THAT(session().FTEnumLogicalDiskMembers(SetNow(session()).id), Succeeds());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, FtEnumMembers, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
