// AssignDriveLetter of both revisions: each listed check by itself.
#include "suites/support/drive_letters.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

// What the request is spoilt with: a region that cannot have a letter is found in the view.
struct Broken {
  const char* name;
  const char* id;  ///< of the rule that refuses it
  std::function<void(LetterRequest& request, const StorageView& view, LdmObjectId disk)> spoil;
};

LdmObjectId OfType(const StorageView& view, LdmObjectId disk, REGIONTYPE type) {
  for (const REGION_INFO_EX& region : view.RegionsOf(disk)) {
    if (region.regionType == type) return region.id;
  }
  return 0;
}

std::int64_t StateOf(const StorageView& view, LdmObjectId region) {
  const REGION_INFO_EX* found = view.FindRegion(region);
  return found == nullptr ? 0 : found->lastKnownState;
}

const std::vector<Broken>& BrokenRequests() {
  using View = StorageView;
  auto letter = [](char16_t letter) {
    return [letter](LetterRequest& r, const View&, LdmObjectId) { r.letter = letter; };
  };
  auto region = [](REGIONTYPE type) {
    return [type](LetterRequest& r, const View& v, LdmObjectId disk) {
      r.storageId = OfType(v, disk, type);
      r.storageLastKnownState = StateOf(v, r.storageId);
    };
  };
  static const std::vector<Broken> kBroken = {
      {"LetterNull", "DMRP-0838", letter(u'\0')},
      {"LetterSpace", "DMRP-0838", letter(u' ')},
      {"LetterDigit", "DMRP-0838", letter(u'5')},
      {"LetterControl", "DMRP-0838", letter(u'\x1b')},
      {"LetterBeforeA", "DMRP-0838", letter(u'@')},
      {"LetterAfterZ", "DMRP-0838", letter(u'[')},
      {"LetterBeforeSmallA", "DMRP-0838", letter(u'`')},
      {"LetterAfterSmallZ", "DMRP-0838", letter(u'{')},
      {"LetterUmlaut", "DMRP-0838", letter(u'\u00c4')},
      {"LetterFullWidth", "DMRP-0838", letter(u'\uff3a')},
      {"LetterWhoseLowByteIsOne", "DMRP-0838", letter(u'\u015a')},
      {"LetterStateOneBelow", "DMRP-0838",
       [](LetterRequest& r, const View&, LdmObjectId) { --r.letterLastKnownState; }},
      {"LetterStateOneAbove", "DMRP-0838",
       [](LetterRequest& r, const View&, LdmObjectId) { ++r.letterLastKnownState; }},
      {"LetterStateFarOff", "DMRP-0496",
       [](LetterRequest& r, const View&, LdmObjectId) { r.letterLastKnownState += std::int64_t{1} << 32; }},
      {"StorageZero", "DMRP-0839", [](LetterRequest& r, const View&, LdmObjectId) { r.storageId = 0; }},
      {"StorageMinusOne", "DMRP-0839", [](LetterRequest& r, const View&, LdmObjectId) { r.storageId = -1; }},
      {"StorageUnknown", "DMRP-0839",
       [](LetterRequest& r, const View&, LdmObjectId) {
         r.storageId = std::numeric_limits<LdmObjectId>::max();
       }},
      {"StorageIsADisk", "DMRP-0839",
       [](LetterRequest& r, const View& v, LdmObjectId disk) {
         r.storageId = disk;
         r.storageLastKnownState = v.FindDisk(disk)->lastKnownState;
       }},
      {"StorageIsFreeSpace", "DMRP-0839", region(REGION_FREE)},
      {"StorageIsFreeSpaceOfTheExtended", "DMRP-0839", region(REGION_EXTENDED_FREE)},
      {"StorageIsTheExtended", "DMRP-0839", region(REGION_EXTENDED)},
      {"StorageStateOneBelow", "DMRP-0839",
       [](LetterRequest& r, const View&, LdmObjectId) { --r.storageLastKnownState; }},
      {"StorageStateOneAbove", "DMRP-0839",
       [](LetterRequest& r, const View&, LdmObjectId) { ++r.storageLastKnownState; }},
      {"StorageStateFarOff", "DMRP-0496",
       [](LetterRequest& r, const View&, LdmObjectId) { r.storageLastKnownState += std::int64_t{1} << 32; }},
  };
  return kBroken;
}

class AssignDriveLetterRefuses : public DriveLetterTest,
                                 public ::testing::WithParamInterface<std::tuple<Revision, Broken>> {
 protected:
  void SetUp() override { StartLetters(); }
};

// A request that is right but for one thing is refused at once, forced or not: objects, notifications,
// letters and disks are as before.
TEST_P(AssignDriveLetterRefuses, Because) {
  const auto& [revision, broken] = GetParam();
  Checks(broken.id, "DMRP-0841", "DMRP-0495", "DMRP-0837", "DMRP-1621");
  Session& session = SessionOf(revision);
  const REGION_INFO_EX storage = Storage(session, kPrimary);
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    LetterRequest request = Prepare(session, FreeLetter(session), storage, force);
    const Observation before = ObserveAll(session, force == NO_FORCE_OPERATION);
    broken.spoil(request, before.view, lab().DiskId(0));

    EXPECT_THAT(Assign(session, request), Refused());

    EXPECT_THAT(ObserveAll(session, force == NO_FORCE_OPERATION), Unchanged(before));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, AssignDriveLetterRefuses,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(BrokenRequests())),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

class AssignDriveLetterConflict : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartLetters(); }
  Session& session() { return SessionOf(GetParam()); }
};

// A letter that another volume has is not taken away from it, with force neither: force is about volumes in
// use.
TEST_P(AssignDriveLetterConflict, RefusesALetterThatIsTaken) {
  Checks("DMRP-0844", "DMRP-0028", "DMRP-0837");
  const char16_t letter = FreeLetter(session());
  Give(session(), letter, kLogical);
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    const Observation before = ObserveAll(session(), false);
    EXPECT_THAT(Assign(session(), Prepare(session(), letter, Storage(session(), kPrimary), force)),
                RefusedAs(std::vector{LDM_E_MOUNTPOINT_BUSY}));
    EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
  }
}

// A request that another client's change overtook is refused as stale, though it was right when it was
// prepared.
TEST_P(AssignDriveLetterConflict, RefusesWhatAnotherClientOvertook) {
  Checks("DMRP-0838", "DMRP-0495", "DMRP-0496", "DMRP-0028");
  const char16_t letter = FreeLetter(session());
  const LetterRequest prepared = Prepare(session(), letter, Storage(session(), kPrimary));
  Session& other = SessionOf(GetParam() == Revision::kIVolumeClient ? Revision::kIVolumeClient3
                                                                    : Revision::kIVolumeClient);
  Give(other, letter, kLogical);
  Take(other, letter, kLogical);
  const Observation before = ObserveAll(session(), false);
  EXPECT_THAT(Assign(session(), prepared), RefusedAs(std::vector{LDM_E_OBJECT_STALED}));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
}

// tinfo of a refused call, where it has an id at all, is that of a failed task.
TEST_P(AssignDriveLetterConflict, TellsTheFailureInTheTaskInfo) {
  Checks("DMRP-0848", "DMRP-0849", "DMRP-0557");
  LetterRequest request = Prepare(session(), FreeLetter(session()), Storage(session(), kPrimary));
  --request.letterLastKnownState;
  const auto reply = Assign(session(), request);
  ASSERT_THAT(reply, Refused());
  if (reply->tinfo.id != 0) {
    EXPECT_EQ(reply->tinfo.status, REQ_FAILED);
    EXPECT_LT(reply->tinfo.error, 0);
    EXPECT_EQ(reply->tinfo.tflag, 0U);
    EXPECT_EQ(reply->tinfo.createTime, 0);
  } else {
    EXPECT_EQ(reply->tinfo, TASK_INFO{});
  }
}

INSTANTIATE_TEST_SUITE_P(Both, AssignDriveLetterConflict, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
