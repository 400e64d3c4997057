// Drive letters that another program gives (3.2.6.5) and takes (3.2.6.6), in the mount database of the
// target's machine.
#include "suites/support/drive_letters.hpp"
#include "suites/support/mounted_devices.hpp"

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DriveLetterEvents : public LetterSetupTest {
 protected:
  void SetUp() override {
    NeedsCapability("execute");
    LetterSetupTest::SetUp();
    first_ = &SessionOf(Revision::kIVolumeClient);
    third_ = &SessionOf(Revision::kIVolumeClient3);
    // The database is there once the server has written to it.
    letter_ = FreeLetter(session());
    Give(session(), letter_, GetParam().place);
    id_ = UniqueIdOf(storage(), DiskNow(*third_, GetParam().place.disk));
  }
  static std::string ValueName(char16_t letter) {
    return fmt::format("\\DosDevices\\{}:", static_cast<char>(letter));
  }
  // Waits for the frame that shows the letter used or free.
  void ExpectFrame(Session& session, std::uint64_t mark, char16_t letter, LdmObjectId owner) {
    const auto seen = session.sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.type == DMNOTIFY_DL_INFO && object.id == harness::LetterId(letter) && object.letter &&
                 object.letter->isUsed == (owner != 0);
        },
        target().notification_timeout, mark);
    ASSERT_TRUE(seen) << session.name() << " was not told of letter " << static_cast<char>(letter);
    EXPECT_EQ(seen->action, LDMACTION_MODIFIED);
    EXPECT_EQ(seen->letter->storageId, owner);
    // Reading 35: the object is modified too, so that both agree.
    EXPECT_EQ(*seen->letter, LetterNow(session, letter));
  }
  Session* first_ = nullptr;
  Session* third_ = nullptr;
  char16_t letter_ = 0;
  std::string id_;  ///< of the place in the mount database
};

// Another program takes the letter away: all clients are told, and the letter is free.
TEST_P(DriveLetterEvents, TellOfALetterThatAnotherProgramTook) {
  Checks("DMRP-1913", "DMRP-1888", "DMRP-0459", "DMRP-0527");
  const std::uint64_t mark_first = first_->sink().Count();
  const std::uint64_t mark_third = third_->sink().Count();
  Need(harness::EditMountedDevices(lab().bed(), {}, {ValueName(letter_)}));
  ExpectFrame(*first_, mark_first, letter_, 0);
  ExpectFrame(*third_, mark_third, letter_, 0);
  EXPECT_EQ(LettersOf(session(), storage().id), u"");
}

// Another program gives a letter: all clients are told which object has it.
TEST_P(DriveLetterEvents, TellOfALetterThatAnotherProgramGave) {
  Checks("DMRP-1912", "DMRP-1888", "DMRP-0459", "DMRP-0527");
  Take(session(), letter_, GetParam().place);
  const LdmObjectId id = storage().id;
  const std::uint64_t mark_first = first_->sink().Count();
  const std::uint64_t mark_third = third_->sink().Count();
  Need(harness::EditMountedDevices(lab().bed(), {{ValueName(letter_), Need(FromHex(id_))}}, {}));
  ExpectFrame(*first_, mark_first, letter_, id);
  ExpectFrame(*third_, mark_third, letter_, id);
  EXPECT_EQ(LettersOf(session(), id), std::u16string{letter_});
}

// Another program moves the volume to another letter: both letters are told of.
TEST_P(DriveLetterEvents, TellOfALetterThatAnotherProgramChanged) {
  Checks("DMRP-1912", "DMRP-1913");
  const char16_t other = FreeLetter(session());
  const LdmObjectId id = storage().id;
  const std::uint64_t mark = third_->sink().Count();
  Need(harness::EditMountedDevices(lab().bed(), {{ValueName(other), Need(FromHex(id_))}},
                                   {ValueName(letter_)}));
  ExpectFrame(*third_, mark, letter_, 0);
  ExpectFrame(*third_, mark, other, id);
}

// What a client prepared before is stale afterwards, and what it learns then is accepted.
TEST_P(DriveLetterEvents, MakeEarlierStatesStale) {
  Checks("DMRP-1913", "DMRP-0496", "DMRP-0527");
  const LetterRequest prepared = Prepare(session(), letter_, storage());
  const std::uint64_t mark = third_->sink().Count();
  Need(harness::EditMountedDevices(lab().bed(), {}, {ValueName(letter_)}));
  ExpectFrame(*third_, mark, letter_, 0);
  EXPECT_THAT(Free(session(), prepared), Refused());
  EXPECT_THAT(Assign(session(), Prepare(session(), letter_, storage())), Succeeds());
}

INSTANTIATE_TEST_SUITE_P(Places, DriveLetterEvents,
                         ::testing::Values(LetterSetup{Revision::kIVolumeClient, kPrimary},
                                           LetterSetup{Revision::kIVolumeClient3, kLogical},
                                           LetterSetup{Revision::kIVolumeClient3, kGptPartition}),
                         LetterSetupName());

}  // namespace
}  // namespace dmrp::suites
