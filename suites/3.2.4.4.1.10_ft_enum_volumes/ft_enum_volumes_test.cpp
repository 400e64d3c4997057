// FTEnumVolumes (3.2.4.4.1.10, 3.2.4.4.3.10).
#include "suites/support/ft_sets.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// One set of each type. Three disks, so that members of several sets share a disk.
constexpr const char* kAllTypes =
    R"({"disks": [{"name": "a", "size": "40M"}, {"name": "b", "size": "48M"}, {"name": "c", "size": "56M"}],
"sets": [{"type": "mirror", "letter": "E", "filesystem": "fat", "members": [{"disk": "a", "size": "16M"}, {"disk": "b", "size": "16M"}]},
{"type": "stripe", "members": [{"disk": "a", "size": "4M"}, {"disk": "c", "size": "4M"}]},
{"type": "parity", "members": [{"disk": "a", "size": "4M"}, {"disk": "b", "size": "4M"}, {"disk": "c", "size": "4M"}]},
{"type": "volume", "members": [{"disk": "b", "size": "4M"}, {"disk": "c", "size": "6M"}]}]})";

VOLUMELAYOUT LayoutOfType(const std::string& type) {
  if (type == "mirror") return VOLUMELAYOUT_MIRROR;
  if (type == "stripe") return VOLUMELAYOUT_STRIPE;
  return type == "parity" ? VOLUMELAYOUT_RAID5 : VOLUMELAYOUT_SPANNED;
}

using FtEnumVolumes = FtRevisionTest;

// All sets of the machine's record, with what the record and the disks say of them, and nothing else.
TEST_P(FtEnumVolumes, ListsEverySetAsItIs) {
  Checks("DMRP-0708", "DMRP-0711", "DMRP-0712", "DMRP-0713", "DMRP-0714", "DMRP-0715", "DMRP-0716",
         "DMRP-1589", "DMRP-1590", "DMRP-0484");
  StartSharedSets(kAllTypes);
  const auto reply = session().FTEnumVolumes();
  ASSERT_THAT(reply, Succeeds());
  const auto& sets = reply->ftVolumeList;
  ASSERT_THAT(sets, SizeIs(made().sets.size()));
  for (const harness::FtMadeSet& made_set : made().sets) {
    SCOPED_TRACE(made_set.type);
    const auto found = std::ranges::find(sets, LayoutOfType(made_set.type), &VOLUME_INFO::layout);
    ASSERT_NE(found, sets.end());
    EXPECT_EQ(found->type, VOLUMETYPE_FT);
    EXPECT_EQ(found->length, static_cast<std::int64_t>(made_set.length));
    EXPECT_EQ(found->memberCount, made_set.members.size());
    EXPECT_EQ(found->status, VOLUME_STATUS_HEALTHY);
    EXPECT_NE(found->id, 0);
    EXPECT_EQ(found->fsId != 0, made_set.type == "mirror");
  }
  const auto dynamic = session().EnumVolumes();
  ASSERT_THAT(dynamic, Succeeds());
  EXPECT_THAT(dynamic->LdmVolumeList, IsEmpty());
}

// What comes in as volumeCount means nothing, and looking changes nothing.
TEST_P(FtEnumVolumes, IgnoresTheCountAndChangesNothing) {
  Checks("DMRP-0717", "DMRP-0715", "DMRP-0521");
  StartSharedSets(kAllTypes);
  const Observation before = ObserveAll(session());
  for (const std::uint32_t count : {0U, 1U, 0xFFFFFFFFU}) {
    const auto reply = session().FTEnumVolumes(count);
    ASSERT_THAT(reply, Succeeds());
    EXPECT_THAT(reply->ftVolumeList, SizeIs(4)) << "count " << count;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// A set that lost a member goes on without it; one that has no redundancy fails.
TEST_P(FtEnumVolumes, TellsWhatAMissingDiskDoesToTheSets) {
  Checks("DMRP-0711", "DMRP-0713");
  StartSharedSets(
      R"({"disks": [{"name": "a", "size": "40M"}, {"name": "b", "size": "48M"}, {"name": "c", "size": "56M", "absent": true}],
"sets": [{"type": "parity", "filesystem": "fat", "members": [{"disk": "a", "size": "8M"}, {"disk": "b", "size": "8M"}, {"disk": "c", "size": "8M"}]},
{"type": "stripe", "members": [{"disk": "a", "size": "4M"}, {"disk": "c", "size": "4M"}]}]})");
  for (const VOLUME_INFO& set : SetsNow(session())) {
    const bool parity = set.layout == VOLUMELAYOUT_RAID5;
    EXPECT_EQ(set.status, parity ? VOLUME_STATUS_FAILED_REDUNDANCY : VOLUME_STATUS_FAILED);
    EXPECT_EQ(set.fsId != 0, parity);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, FtEnumVolumes, kBothRevisions, RevisionName());

// Without a record there is none, whatever the disks' types say.
TEST_P(FtEnumVolumes, ListsNoneWithoutARecord) {
  Checks("DMRP-0708", "DMRP-0711");
  StartShared("a disk without sets", {kMbr512});
  const auto reply = session().FTEnumVolumes();
  ASSERT_THAT(reply, Succeeds());
  EXPECT_THAT(reply->ftVolumeList, IsEmpty());
}

}  // namespace
}  // namespace dmrp::suites
