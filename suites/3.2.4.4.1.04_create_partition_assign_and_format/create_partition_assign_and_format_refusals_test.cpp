// CreatePartitionAssignAndFormat and Ex of both revisions: each listed check by itself, and letters that
// cannot be assigned.
#include "suites/support/partition_makers.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

struct Broken {
  const char* name;
  const char* id;  ///< of the rule that refuses it
  std::function<void(MakeRequest& request, LdmObjectId other_disk)> spoil;
};

const std::vector<Broken>& BrokenRequests() {
  using R = MakeRequest;
  static const std::vector<Broken> kBroken = {
      {"disk 0", "DMRP-0626", [](R& r, LdmObjectId) { r.partitionSpec.diskId = 0; }},
      {"disk unknown", "DMRP-0626",
       [](R& r, LdmObjectId) { r.partitionSpec.diskId = std::numeric_limits<LdmObjectId>::max(); }},
      {"disk is a region", "DMRP-0626",
       [](R& r, LdmObjectId) { r.partitionSpec.diskId = r.partitionSpec.regionId; }},
      {"region 0", "DMRP-0627", [](R& r, LdmObjectId) { r.partitionSpec.regionId = 0; }},
      {"region unknown", "DMRP-0627",
       [](R& r, LdmObjectId) { r.partitionSpec.regionId = std::numeric_limits<LdmObjectId>::max(); }},
      {"region is a disk", "DMRP-0627",
       [](R& r, LdmObjectId) { r.partitionSpec.regionId = r.partitionSpec.diskId; }},
      {"region's state one below", "DMRP-0627", [](R& r, LdmObjectId) { --r.partitionSpec.lastKnownState; }},
      {"region's state one above", "DMRP-0627", [](R& r, LdmObjectId) { ++r.partitionSpec.lastKnownState; }},
      {"region of another disk", "DMRP-0628",
       [](R& r, LdmObjectId other) { r.partitionSpec.diskId = other; }},
      {"letter is a digit", "DMRP-0629", [](R& r, LdmObjectId) { r.letter = u'7'; }},
      {"letter is not of the alphabet", "DMRP-0629", [](R& r, LdmObjectId) { r.letter = u'\u00C9'; }},
      {"letter is a sign", "DMRP-0629", [](R& r, LdmObjectId) { r.letter = u'['; }},
      {"letter's state one below", "DMRP-0629", [](R& r, LdmObjectId) { --r.letterLastKnownState; }},
      {"letter's state one above", "DMRP-0629", [](R& r, LdmObjectId) { ++r.letterLastKnownState; }},
      {"letter's state far off", "DMRP-0629",
       [](R& r, LdmObjectId) { r.letterLastKnownState += std::int64_t{1} << 32; }},
  };
  return kBroken;
}

class CreatePartitionAssignAndFormatRefuses : public MakerTest {
 protected:
  void SetUp() override { StartShared("two-blank-tables", {kMbr512, kMbr512e}); }
};

// Each request is right but for one thing: it is refused at once, and objects, notifications, disks and tasks
// are as before.
TEST_P(CreatePartitionAssignAndFormatRefuses, WhatTheListedChecksFind) {
  Checks("DMRP-0631", "DMRP-0495", "DMRP-0496", One("DMRP-0625", "DMRP-1562", "DMRP-0652", "DMRP-1565"),
         One("DMRP-0631", "DMRP-1563", "DMRP-0653", "DMRP-1566"));
  const Observation before = ObserveAll(session());
  for (const Broken& broken : BrokenRequests()) {
    Checks(broken.id, "DMRP-0631");
    SCOPED_TRACE(broken.name);
    MakeRequest request = Right(MiB(8));
    broken.spoil(request, lab().DiskId(1));
    EXPECT_THAT(Make(request), Refused());
  }
  Checks("DMRP-0626", "DMRP-0627", "DMRP-0628", "DMRP-0629", "DMRP-0631");
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  EXPECT_THAT(tasks->taskList, ::testing::IsEmpty());
}

// A partition that cannot be made is neither given a letter nor formatted.
TEST_P(CreatePartitionAssignAndFormatRefuses, PartitionsThatCannotBeMade) {
  Checks("DMRP-0632", "DMRP-0634", "DMRP-0631", One("DMRP-0625", "DMRP-1562", "DMRP-0652", "DMRP-1565"));
  const Observation before = ObserveAll(session());
  for (const auto& spoil : std::vector<std::function<void(REGION_SPEC&)>>{
           [](REGION_SPEC& s) { s.length = 0; }, [](REGION_SPEC& s) { s.length = std::int64_t{1} << 50; },
           [](REGION_SPEC& s) { s.start = std::int64_t{1} << 50; }, [](REGION_SPEC& s) { s.start = -512; },
           [](REGION_SPEC& s) { s.regionType = REGION_FREE; },
           [](REGION_SPEC& s) { s.regionType = REGION_LOGICAL; }}) {
    MakeRequest request = Right(MiB(8));
    spoil(request.partitionSpec);
    EXPECT_THAT(Make(request), Refused());
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Methods, CreatePartitionAssignAndFormatRefuses, kAllMakers, MakerName());

// A letter that another partition has cannot be assigned: it stays where it is, and what is not given its
// letter is not formatted.
class CreatePartitionAssignAndFormatWithALetterInUse : public MakerTest {};

TEST_P(CreatePartitionAssignAndFormatWithALetterInUse, DoesNotFormat) {
  Checks("DMRP-0636", "DMRP-0634", One("DMRP-0636", "DMRP-1563", "DMRP-0653", "DMRP-1566"));
  Start({kMbr512});
  const std::uint64_t mark = session().sink().Count();
  const auto owner = Make(Right(MiB(8)));
  ASSERT_THAT(owner, StartsTask());
  ASSERT_EQ(EndOf(session(), owner->tinfo).status, REQ_COMPLETED);
  SettledRegion(session(), owner->tinfo.storageId, mark);
  const std::string letter = LettersOf(owner->tinfo.storageId);
  ASSERT_EQ(letter.size(), 1U);

  MakeRequest request = Right(MiB(8));
  request.letter = static_cast<char16_t>(letter.front());
  request.letterLastKnownState = LetterNow(request.letter).lastKnownState;
  const auto reply = Make(request);
  EXPECT_TRUE(reply.refused() || (reply.succeeded() && EndOf(session(), reply->tinfo).status == REQ_FAILED))
      << reply.call.text;
  EXPECT_EQ(LettersOf(owner->tinfo.storageId), letter) << "the letter was taken away from its owner";
  for (const REGION_INFO_EX& region : RegionsOfType(session(), REGION_PRIMARY)) {
    if (region.id != owner->tinfo.storageId) {
      EXPECT_EQ(FsTypeOf(OnDisk(region)), FSTYPE_UNKNOWN) << ToText(region);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, CreatePartitionAssignAndFormatWithALetterInUse, kAllMakers, MakerName());

}  // namespace
}  // namespace dmrp::suites
