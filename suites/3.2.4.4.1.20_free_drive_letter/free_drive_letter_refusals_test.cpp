// FreeDriveLetter of both revisions: each listed check by itself.
#include "suites/support/drive_letters.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

struct Broken {
  const char* name;
  const char* id;  ///< of the rule that refuses it
  /// `other` has a letter of its own, `bare` has none.
  std::function<void(LetterRequest& request, const StorageView& view, const REGION_INFO_EX& other,
                     const DRIVE_LETTER_INFO& other_letter, const REGION_INFO_EX& bare)>
      spoil;
};

const std::vector<Broken>& BrokenRequests() {
  using View = StorageView;
  using Region = REGION_INFO_EX;
  using Letter = DRIVE_LETTER_INFO;
  auto letter = [](char16_t letter) {
    return [letter](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) {
      r.letter = letter;
    };
  };
  static const std::vector<Broken> kBroken = {
      {"LetterNull", "DMRP-0854", letter(u'\0')},
      {"LetterSpace", "DMRP-0854", letter(u' ')},
      {"LetterDigit", "DMRP-0854", letter(u'0')},
      {"LetterAfterZ", "DMRP-0854", letter(u'[')},
      {"LetterUmlaut", "DMRP-0854", letter(u'\u00e4')},
      {"LetterFullWidth", "DMRP-0854", letter(u'\uff3a')},
      {"LetterStateOneBelow", "DMRP-0854",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) {
         --r.letterLastKnownState;
       }},
      {"LetterStateOneAbove", "DMRP-0854",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) {
         ++r.letterLastKnownState;
       }},
      {"LetterStateFarOff", "DMRP-0496",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) {
         r.letterLastKnownState += std::int64_t{1} << 32;
       }},
      {"StorageZero", "DMRP-0855",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) { r.storageId = 0; }},
      {"StorageUnknown", "DMRP-0855",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) {
         r.storageId = std::numeric_limits<LdmObjectId>::max();
       }},
      {"StorageIsADisk", "DMRP-0855",
       [](LetterRequest& r, const View& v, const Region& other, const Letter&, const Region&) {
         r.storageId = other.diskId;
         r.storageLastKnownState = v.FindDisk(other.diskId)->lastKnownState;
       }},
      {"StorageStateOneBelow", "DMRP-0855",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) {
         --r.storageLastKnownState;
       }},
      {"StorageStateOneAbove", "DMRP-0855",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region&) {
         ++r.storageLastKnownState;
       }},
      {"LetterOfAnotherVolume", "DMRP-0856",
       [](LetterRequest& r, const View&, const Region&, const Letter& letter, const Region&) {
         r.letter = letter.letter;
         r.letterLastKnownState = letter.lastKnownState;
       }},
      {"VolumeWithAnotherLetter", "DMRP-0856",
       [](LetterRequest& r, const View&, const Region& other, const Letter&, const Region&) {
         r.storageId = other.id;
         r.storageLastKnownState = other.lastKnownState;
       }},
      {"VolumeWithoutALetter", "DMRP-0856",
       [](LetterRequest& r, const View&, const Region&, const Letter&, const Region& bare) {
         r.storageId = bare.id;
         r.storageLastKnownState = bare.lastKnownState;
       }},
      {"LetterThatIsFree", "DMRP-0856",
       [](LetterRequest& r, const View& v, const Region&, const Letter&, const Region&) {
         for (const Letter& each : *v.letters) {
           if (each.isUsed) continue;
           r.letter = each.letter;
           r.letterLastKnownState = each.lastKnownState;
         }
       }},
  };
  return kBroken;
}

class FreeDriveLetterRefuses : public DriveLetterTest,
                               public ::testing::WithParamInterface<std::tuple<Revision, Broken>> {
 protected:
  void SetUp() override { StartLetters(); }
};

// A request that is right but for one thing is refused, forced or not: both volumes keep their letters, and
// nothing else changes.
TEST_P(FreeDriveLetterRefuses, Because) {
  const auto& [revision, broken] = GetParam();
  Checks(broken.id, "DMRP-0858", "DMRP-0495", "DMRP-0853", "DMRP-1626");
  Session& session = SessionOf(revision);
  const char16_t letter = FreeLetter(session, 0);
  const char16_t other_letter = FreeLetter(session, 1);
  Give(session, letter, kPrimary);
  Give(session, other_letter, kLogical);
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    const Observation before = ObserveAll(session, force == NO_FORCE_OPERATION);
    LetterRequest request = Prepare(session, letter, Storage(session, kPrimary), force);
    broken.spoil(request, before.view, Storage(session, kLogical), LetterNow(session, other_letter),
                 Storage(session, kSecondPrimary));

    EXPECT_THAT(Free(session, request), Refused());

    EXPECT_THAT(ObserveAll(session, force == NO_FORCE_OPERATION), Unchanged(before));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, FreeDriveLetterRefuses,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(BrokenRequests())),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

class FreeDriveLetterRace : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {};

// What was right when it was prepared is stale once another client has moved the letter.
TEST_P(FreeDriveLetterRace, RefusesWhatAnotherClientOvertook) {
  Checks("DMRP-0854", "DMRP-0856", "DMRP-0496", "DMRP-0028");
  StartLetters();
  Session& session = SessionOf(GetParam());
  Session& other = SessionOf(GetParam() == Revision::kIVolumeClient ? Revision::kIVolumeClient3
                                                                    : Revision::kIVolumeClient);
  const char16_t letter = FreeLetter(session);
  Give(session, letter, kPrimary);
  const LetterRequest prepared = Prepare(session, letter, Storage(session, kPrimary));
  Take(other, letter, kPrimary);
  Give(other, letter, kPrimary);
  const Observation before = ObserveAll(session, false);
  EXPECT_THAT(Free(session, prepared), RefusedAs(std::vector{LDM_E_OBJECT_STALED}));
  EXPECT_THAT(ObserveAll(session, false), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, FreeDriveLetterRace, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
