// FreeDriveLetter of IVolumeClient (3.2.4.4.1.20) and IVolumeClient3 (3.2.4.4.3.20): what an accepted call
// does, and what forceOption decides.
#include "suites/support/mounted_devices.hpp"
#include "suites/support/volume_in_use.hpp"

namespace dmrp::suites {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FreeDriveLetter : public LetterSetupTest {
 protected:
  void SetUp() override {
    LetterSetupTest::SetUp();
    letter_ = FreeLetter(session());
    Give(session(), letter_, GetParam().place);
  }
  char16_t letter_ = 0;
};

// The letter is free when the reply comes, with and without force.
TEST_P(FreeDriveLetter, TakesTheLetterFromTheObject) {
  Checks("DMRP-0859", "DMRP-0863", "DMRP-0866", "DMRP-0853", third() ? "DMRP-1626" : "DMRP-0077",
         "DMRP-0076");
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    if (force == FORCE_OPERATION) Give(session(), letter_, GetParam().place);
    const REGION_INFO_EX target = storage();
    ASSERT_THAT(Free(session(), Prepare(session(), letter_, target, force)), Succeeds());
    const DRIVE_LETTER_INFO now = LetterNow(session(), letter_);
    EXPECT_FALSE(now.isUsed);
    EXPECT_EQ(now.storageId, 0);
    EXPECT_EQ(LettersOf(session(), target.id), u"");
  }
}

// tinfo: a fresh id, the final status, no error, the rest zero; storageId may be left out.
TEST_P(FreeDriveLetter, FillsTheTaskInfo) {
  Checks("DMRP-0864", "DMRP-0865", "DMRP-0551", "DMRP-0557", "DMRP-0558");
  const REGION_INFO_EX target = storage();
  const auto reply = Free(session(), Prepare(session(), letter_, target));
  ASSERT_THAT(reply, Succeeds());
  ExpectCompletedTask(reply->tinfo, session(), target.id);
}

// Clients of both interfaces are told that the letter is free, before the reply, with what the enumeration
// says.
TEST_P(FreeDriveLetter, NotifiesTheLetter) {
  Checks("DMRP-0866", "DMRP-0459", "DMRP-0528", "DMRP-0531", "DMRP-0532", "DMRP-0524");
  const LetterRequest request = Prepare(session(), letter_, storage());
  Session& first = SessionOf(Revision::kIVolumeClient);
  Session& third = SessionOf(Revision::kIVolumeClient3);
  const std::uint64_t mark_first = first.sink().Count();
  const std::uint64_t mark_third = third.sink().Count();

  const auto reply = Free(session(), request);

  ASSERT_THAT(reply, Succeeds());
  const DRIVE_LETTER_INFO now = LetterNow(session(), letter_);
  EXPECT_GT(now.lastKnownState, request.letterLastKnownState);
  for (const auto& [watcher, mark] : {std::pair(&first, mark_first), std::pair(&third, mark_third)}) {
    std::vector<DRIVE_LETTER_INFO> letters;
    for (const harness::ReceivedNotification& notification : watcher->sink().All()) {
      if (notification.number <= mark) continue;
      for (const ReceivedObject& object : notification.objects) {
        if (object.type != DMNOTIFY_DL_INFO) continue;
        EXPECT_EQ(object.action, LDMACTION_MODIFIED);
        EXPECT_LE(notification.received, reply.call.replied) << "notifications come before the reply";
        if (object.letter) letters.push_back(*object.letter);
      }
    }
    EXPECT_THAT(letters, ElementsAre(now)) << watcher->name();
  }
}

// A lower-case letter names the same letter.
TEST_P(FreeDriveLetter, TakesALetterInEitherCase) {
  Checks("DMRP-0075", "DMRP-0854", "DMRP-0859");
  LetterRequest request = Prepare(session(), letter_, storage());
  request.letter = static_cast<char16_t>(harness::LetterId(letter_) - u'A' + u'a');
  ASSERT_THAT(Free(session(), request), Succeeds());
  EXPECT_FALSE(LetterNow(session(), letter_).isUsed);
}

// The mount database has no letter for the partition any more; its volume name stays what it was.
TEST_P(FreeDriveLetter, WritesTheMountDatabase) {
  Checks("DMRP-0859", "DMRP-0863", "DMRP-0828", "DMRP-0077");
  const std::string id =
      UniqueIdOf(storage(), DiskNow(SessionOf(Revision::kIVolumeClient3), GetParam().place.disk));
  const MountedDevices before = Need(harness::ReadMountedDevices(lab().bed()));
  ASSERT_THAT(before.LettersOf(id), ElementsAre(letter_)) << before.ToText();
  ASSERT_THAT(Free(session(), Prepare(session(), letter_, storage())), Succeeds());
  const MountedDevices after = Need(harness::ReadMountedDevices(lab().bed()));
  EXPECT_THAT(after.LettersOf(id), IsEmpty()) << after.ToText();
  EXPECT_EQ(after.NamesOf(id), before.NamesOf(id));
  EXPECT_FALSE(after.letters.contains(letter_)) << after.ToText();
}

// A letter that was freed can be given to another volume at once.
TEST_P(FreeDriveLetter, LeavesTheLetterForOthers) {
  Checks("DMRP-0859", "DMRP-0866");
  ASSERT_THAT(Free(session(), Prepare(session(), letter_, storage())), Succeeds());
  Give(session(), letter_, kSecondPrimary);
  EXPECT_EQ(LetterNow(session(), letter_).storageId, Storage(session(), kSecondPrimary).id);
}

INSTANTIATE_TEST_SUITE_P(Places, FreeDriveLetter, ::testing::ValuesIn(AllLetterSetups()), LetterSetupName());

// Volumes in use, or with the page file: without force the letter stays, with force it goes at once or is
// marked to go with the next start.
class FreeDriveLetterInUse : public VolumeInUseTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartWithFileSystems(); }
  Session& session() { return SessionOf(GetParam()); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }

  void ExpectFreed(const Outcome<FreeDriveLetterReply>& reply, char16_t letter) {
    ASSERT_THAT(reply, Succeeds());
    const DRIVE_LETTER_INFO now = LetterNow(session(), letter);
    if (reply->result == LDM_S_REBOOT_PENDING) {
      EXPECT_EQ(now.dlflags, DL_PENDING_REMOVAL);
    } else {
      EXPECT_FALSE(now.isUsed);
      EXPECT_EQ(now.storageId, 0);
      EXPECT_EQ(now.dlflags, 0U);
    }
  }
};

TEST_P(FreeDriveLetterInUse, KeepsTheLetterWithoutForce) {
  Checks("DMRP-0852", "DMRP-0860", "DMRP-0861", "DMRP-0028", third() ? "DMRP-1628" : "DMRP-0853",
         third() ? "DMRP-1629" : "DMRP-0852");
  const char16_t letter = FreeLetter(session());
  Give(session(), letter, kPrimary);
  HoldFileOpen(kPrimary);
  const Observation before = ObserveAll(session(), false);
  EXPECT_THAT(Free(session(), Prepare(session(), letter, Storage(session(), kPrimary))),
              RefusedAs(std::vector{LDM_E_VOLUME_IN_USE}));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
  EXPECT_TRUE(LetterNow(session(), letter).isUsed);
}

TEST_P(FreeDriveLetterInUse, TakesTheLetterWithForce) {
  Checks("DMRP-0852", "DMRP-0860", "DMRP-0862", "DMRP-0031", "DMRP-0080",
         third() ? "DMRP-1629" : "DMRP-0866");
  const char16_t letter = FreeLetter(session());
  Give(session(), letter, kLogical);
  HoldFileOpen(kLogical);
  ExpectFreed(Free(session(), Prepare(session(), letter, Storage(session(), kLogical), FORCE_OPERATION)),
              letter);
}

TEST_P(FreeDriveLetterInUse, KeepsTheLetterOfThePageFileWithoutForce) {
  Checks("DMRP-0852", "DMRP-0860", "DMRP-0861", "DMRP-0028", third() ? "DMRP-1629" : "DMRP-0852");
  const char16_t letter = FreeLetter(session());
  Give(session(), letter, kSecondPrimary);
  UseAsPageFile(kSecondPrimary);
  EXPECT_EQ(Storage(session(), kSecondPrimary).rflags & REGION_HAS_PAGEFILE, REGION_HAS_PAGEFILE);
  const Observation before = ObserveAll(session(), false);
  EXPECT_THAT(Free(session(), Prepare(session(), letter, Storage(session(), kSecondPrimary))),
              RefusedAs(std::vector{LDM_E_VOLUME_IN_USE, LDM_E_PAGEFILE_VOLUME,
                                    LDM_E_CRASHDUMP_PAGEFILE_BOOT_SYSTEM_VOLUME}));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
}

TEST_P(FreeDriveLetterInUse, TakesTheLetterOfThePageFileWithForce) {
  Checks("DMRP-0852", "DMRP-0860", "DMRP-0862", "DMRP-0031", "DMRP-0080",
         third() ? "DMRP-1629" : "DMRP-0866");
  const char16_t letter = FreeLetter(session());
  Give(session(), letter, kSecondPrimary);
  UseAsPageFile(kSecondPrimary);
  ExpectFreed(
      Free(session(), Prepare(session(), letter, Storage(session(), kSecondPrimary), FORCE_OPERATION)),
      letter);
}

// The region that holds the system directory of the target's machine.
class FreeDriveLetterOfTheSystem : public FreeDriveLetterInUse {
 protected:
  void SetUp() override {
    NeedsCapability("execute");
    StartWith({{kMbr512.Spec(), {}}}, {.system_disk = true});
    GuestOrSkip();
  }
  REGION_INFO_EX SystemRegion() {
    const auto regions = session().EnumDiskRegions(lab().SystemDiskId());
    [&] { ASSERT_THAT(regions, Succeeds()); }();
    for (const REGION_INFO_EX& region : regions->regions) {
      if ((region.rflags & REGION_IS_SYSTEM_PARTITION) != 0) return region;
    }
    [&] { FAIL() << "no region of the system disk is flagged as the system's"; }();
    throw std::logic_error("unreachable");
  }
};

TEST_P(FreeDriveLetterOfTheSystem, NeedsForce) {
  Checks("DMRP-0852", "DMRP-0860", "DMRP-0861", "DMRP-0028", third() ? "DMRP-1629" : "DMRP-0852");
  const std::u16string had = LettersOf(session(), SystemRegion().id);
  const char16_t letter = had.empty() ? FreeLetter(session()) : had.front();
  if (had.empty()) {
    const auto given = Assign(session(), Prepare(session(), letter, SystemRegion(), FORCE_OPERATION));
    ASSERT_THAT(given, Succeeds());
  }
  const Observation before = ObserveAll(session(), false);
  EXPECT_THAT(Free(session(), Prepare(session(), letter, SystemRegion())),
              RefusedAs(std::vector{LDM_E_VOLUME_IN_USE, LDM_E_SYSTEM_VOLUME,
                                    LDM_E_CRASHDUMP_PAGEFILE_BOOT_SYSTEM_VOLUME}));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));

  Checks("DMRP-0852", "DMRP-0860", "DMRP-0862", "DMRP-0031", "DMRP-0080",
         third() ? "DMRP-1629" : "DMRP-0866");
  ExpectFreed(Free(session(), Prepare(session(), letter, SystemRegion(), FORCE_OPERATION)), letter);
}

INSTANTIATE_TEST_SUITE_P(Both, FreeDriveLetterOfTheSystem, kBothRevisions, RevisionName());

INSTANTIATE_TEST_SUITE_P(Both, FreeDriveLetterInUse, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
