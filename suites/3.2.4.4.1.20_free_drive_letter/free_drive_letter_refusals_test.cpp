// FreeDriveLetter of both revisions: each listed check by itself.
#include "suites/support/drive_letters.hpp"

namespace dmrp::suites {
namespace {

std::vector<BrokenLetterRequest> BrokenRequests() {
  using Scene = LetterScene;
  auto broken = BrokenLetterRequests("DMRP-0854", "DMRP-0855", "DMRP-0496");
  const auto volume = [](LetterRequest& r, const REGION_INFO_EX& region) {
    r.storageId = region.id;
    r.storageLastKnownState = region.lastKnownState;
  };
  const auto letter = [](LetterRequest& r, const DRIVE_LETTER_INFO& entry) {
    r.letter = entry.letter;
    r.letterLastKnownState = entry.lastKnownState;
  };
  broken.push_back({"LetterOfAnotherVolume", "DMRP-0856",
                    [=](LetterRequest& r, const Scene& scene) { letter(r, scene.other_letter); }});
  broken.push_back({"VolumeWithAnotherLetter", "DMRP-0856",
                    [=](LetterRequest& r, const Scene& scene) { volume(r, scene.other); }});
  broken.push_back({"VolumeWithoutALetter", "DMRP-0856",
                    [=](LetterRequest& r, const Scene& scene) { volume(r, scene.bare); }});
  broken.push_back({"LetterThatIsFree", "DMRP-0856", [=](LetterRequest& r, const Scene& scene) {
                      for (const DRIVE_LETTER_INFO& each : *scene.view.letters) {
                        if (!each.isUsed) letter(r, each);
                      }
                    }});
  return broken;
}

class FreeDriveLetterRefuses
    : public DriveLetterTest,
      public ::testing::WithParamInterface<std::tuple<Revision, BrokenLetterRequest>> {
 protected:
  void SetUp() override { StartGivenLetters("letters-to-keep"); }
};

// Of kPrimary and of kLogical.
struct GivenLetters {
  char16_t letter = 0;
  char16_t other = 0;
};

// A request that is right but for one thing is refused, forced or not: both volumes keep their letters, and
// nothing else changes.
TEST_P(FreeDriveLetterRefuses, Because) {
  const auto& [revision, broken] = GetParam();
  Checks(broken.id, "DMRP-0858", "DMRP-0495", "DMRP-0853", "DMRP-1626");
  Session& session = SessionOf(revision);
  const auto [letter, other_letter] = Once([&] {
    const GivenLetters given{FreeLetter(session, 0), FreeLetter(session, 1)};
    Give(session, given.letter, kPrimary);
    Give(session, given.other, kLogical);
    return given;
  });
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    const Observation before = ObserveAll(session, force == NO_FORCE_OPERATION);
    LetterRequest request = Prepare(session, letter, Storage(session, kPrimary), force);
    broken.spoil(request, {.view = before.view,
                           .disk = lab().DiskId(0),
                           .other = Storage(session, kLogical),
                           .other_letter = LetterNow(session, other_letter),
                           .bare = Storage(session, kSecondPrimary)});

    EXPECT_THAT(Free(session, request), Refused());

    EXPECT_THAT(ObserveAll(session, force == NO_FORCE_OPERATION), Unchanged(before));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, FreeDriveLetterRefuses,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(BrokenRequests())),
                         BrokenLetterRequestName());

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
