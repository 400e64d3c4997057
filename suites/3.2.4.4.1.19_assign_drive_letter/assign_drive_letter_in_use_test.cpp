// AssignDriveLetter on a volume that a program of the target's machine uses: forceOption decides.
#include "suites/support/mounted_devices.hpp"
#include "suites/support/volume_in_use.hpp"

namespace dmrp::suites {
namespace {

class AssignDriveLetterInUse : public VolumeInUseTest, public ::testing::WithParamInterface<LetterSetup> {
 protected:
  void SetUp() override { StartWithFileSystems(); }
  Session& session() { return SessionOf(GetParam().revision); }
  [[nodiscard]] bool third() const { return GetParam().revision == Revision::kIVolumeClient3; }
  const Place& place() { return GetParam().place; }
  REGION_INFO_EX storage() { return Storage(session(), place()); }
  // The first revision names the code; the second only wants an error (its reading of the same table).
  void ExpectInUse(const Outcome<AssignDriveLetterReply>& reply) {
    if (third()) {
      EXPECT_THAT(reply, RefusedAs(std::vector{LDM_E_VOLUME_IN_USE}));
    } else {
      EXPECT_THAT(reply, FailsWith(LDM_E_VOLUME_IN_USE));
    }
  }
};

// Without force the volume stays without a letter, and no client is told of anything.
TEST_P(AssignDriveLetterInUse, FailsWithoutForce) {
  Checks("DMRP-0836", "DMRP-0843", "DMRP-0844", third() ? "DMRP-1624" : "DMRP-0028");
  HoldFileOpen(place());
  const Observation before = ObserveAll(session(), false);
  ExpectInUse(Assign(session(), Prepare(session(), FreeLetter(session()), storage())));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
  EXPECT_EQ(LettersOf(session(), storage().id), u"");
}

// With force it gets the letter all the same.
TEST_P(AssignDriveLetterInUse, GivesTheLetterWithForce) {
  Checks("DMRP-0836", "DMRP-0844", "DMRP-0846");
  HoldFileOpen(place());
  const char16_t letter = FreeLetter(session());
  EXPECT_THAT(Assign(session(), Prepare(session(), letter, storage(), FORCE_OPERATION)), Succeeds());
  EXPECT_EQ(LettersOf(session(), storage().id), std::u16string{letter});
}

// Without force a volume in use keeps the letter that it has.
TEST_P(AssignDriveLetterInUse, KeepsTheFormerLetterWithoutForce) {
  Checks("DMRP-0836", "DMRP-0844", "DMRP-0845", third() ? "DMRP-1625" : "DMRP-0836");
  const char16_t old_letter = FreeLetter(session(), 0);
  const char16_t new_letter = FreeLetter(session(), 1);
  Give(session(), old_letter, place());
  HoldFileOpen(place());
  const Observation before = ObserveAll(session(), false);
  ExpectInUse(Assign(session(), Prepare(session(), new_letter, storage())));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
  EXPECT_EQ(LettersOf(session(), storage().id), std::u16string{old_letter});
}

// With force the former letter is taken away and the new one given.
TEST_P(AssignDriveLetterInUse, ReplacesTheFormerLetterWithForce) {
  Checks("DMRP-0836", "DMRP-0844", "DMRP-0845", "DMRP-0850", third() ? "DMRP-1625" : "DMRP-0846");
  const char16_t old_letter = FreeLetter(session(), 0);
  const char16_t new_letter = FreeLetter(session(), 1);
  Give(session(), old_letter, place());
  HoldFileOpen(place());
  ASSERT_THAT(Assign(session(), Prepare(session(), new_letter, storage(), FORCE_OPERATION)), Succeeds());
  EXPECT_EQ(LettersOf(session(), storage().id), std::u16string{new_letter});
  EXPECT_FALSE(LetterNow(session(), old_letter).isUsed);
}

// Once nothing uses the volume any more, force is not needed.
TEST_P(AssignDriveLetterInUse, SucceedsOnceTheVolumeIsLetGo) {
  Checks("DMRP-0843", "DMRP-0844");
  HoldFileOpen(place());
  const char16_t letter = FreeLetter(session());
  ASSERT_THAT(Assign(session(), Prepare(session(), letter, storage())), Refused());
  LetGo();
  EXPECT_THAT(Assign(session(), Prepare(session(), letter, storage())), Succeeds());
}

INSTANTIATE_TEST_SUITE_P(Places, AssignDriveLetterInUse,
                         ::testing::Values(LetterSetup{Revision::kIVolumeClient, kPrimary},
                                           LetterSetup{Revision::kIVolumeClient3, kPrimary},
                                           LetterSetup{Revision::kIVolumeClient3, kLogical}),
                         LetterSetupName());

}  // namespace
}  // namespace dmrp::suites
