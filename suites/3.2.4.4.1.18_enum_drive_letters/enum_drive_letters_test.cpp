// EnumDriveLetters of IVolumeClient (3.2.4.4.1.18) and IVolumeClient3 (3.2.4.4.3.18), and DRIVE_LETTER_INFO
// (2.2.14): what the list of drive letters says.
#include "suites/support/drive_letters.hpp"

#include <algorithm>
#include <set>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

class EnumDriveLetters : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartLetters(); }
  Session& session() { return SessionOf(GetParam()); }
  // Letters on two partitions, the second one on a disk that this interface knows.
  void GiveTwo() {
    first_ = FreeLetter(session(), 0);
    second_ = FreeLetter(session(), 1);
    Give(session(), first_, kPrimary);
    Give(session(), second_, kLogical);
  }
  char16_t first_ = 0;
  char16_t second_ = 0;
};

// Used and free letters are listed, each once, each an alphabetical character.
TEST_P(EnumDriveLetters, ListsUsedAndFreeLetters) {
  Checks("DMRP-0075", "DMRP-0828", "DMRP-0830", "DMRP-0831", "DMRP-0832", "DMRP-0833", "DMRP-0486",
         "DMRP-0825", "DMRP-1619");
  GiveTwo();
  const auto reply = session().EnumDriveLetters();
  ASSERT_THAT(reply, Succeeds());
  ASSERT_THAT(reply->driveLetterList, Not(IsEmpty()));
  std::set<LdmObjectId> seen;
  for (const DRIVE_LETTER_INFO& entry : reply->driveLetterList) {
    const LdmObjectId capital = harness::LetterId(entry.letter);
    EXPECT_TRUE(capital >= u'A' && capital <= u'Z') << "letter " << capital;
    EXPECT_TRUE(seen.insert(capital).second) << "letter " << capital << " is listed twice";
  }
  // A and B may be left out (note 75); what a volume can have is there.
  for (char16_t letter = u'C'; letter <= u'Z'; ++letter) {
    EXPECT_TRUE(seen.contains(letter)) << "letter " << static_cast<char>(letter) << " is missing";
  }
}

// A used letter names the partition or logical drive that has it; a free one names none.
TEST_P(EnumDriveLetters, TellsWhichObjectHasALetter) {
  Checks("DMRP-0074", "DMRP-0076", "DMRP-0077", "DMRP-0828", "DMRP-0830");
  GiveTwo();
  const REGION_INFO_EX primary = Storage(session(), kPrimary);
  const REGION_INFO_EX logical = Storage(session(), kLogical);
  for (const DRIVE_LETTER_INFO& entry : LettersNow(session())) {
    const LdmObjectId letter = harness::LetterId(entry.letter);
    const LdmObjectId owner = letter == harness::LetterId(first_)    ? primary.id
                              : letter == harness::LetterId(second_) ? logical.id
                                                                     : 0;
    if (owner != 0) {
      EXPECT_TRUE(entry.isUsed) << ToText(entry);
      EXPECT_EQ(entry.storageId, owner) << ToText(entry);
    } else if (!entry.isUsed) {
      EXPECT_EQ(entry.storageId, 0) << ToText(entry);
    } else {
      EXPECT_NE(entry.storageId, primary.id) << ToText(entry);
      EXPECT_NE(entry.storageId, logical.id) << ToText(entry);
    }
  }
}

// No task is at work and no removal waits: taskId and dlflags are zero.
TEST_P(EnumDriveLetters, HasNoTaskAndNoFlagsAtRest) {
  Checks("DMRP-0079", "DMRP-0080");
  GiveTwo();
  for (const DRIVE_LETTER_INFO& entry : LettersNow(session())) {
    EXPECT_EQ(entry.taskId, 0) << ToText(entry);
    EXPECT_EQ(entry.dlflags & ~DL_PENDING_REMOVAL, 0U) << ToText(entry);
    if (!entry.isUsed) {
      EXPECT_EQ(entry.dlflags, 0U) << ToText(entry);
    }
  }
}

// lastKnownState rises when a letter is given and again when it is taken; letters that nobody touched keep
// theirs.
TEST_P(EnumDriveLetters, CountsTheChangesOfALetter) {
  Checks("DMRP-0078", "DMRP-0493", "DMRP-0494", "DMRP-0527");
  const char16_t letter = FreeLetter(session(), 0);
  const char16_t other = FreeLetter(session(), 1);
  const DRIVE_LETTER_INFO untouched = LetterNow(session(), other);
  const std::int64_t free = LetterNow(session(), letter).lastKnownState;
  Give(session(), letter, kPrimary);
  const std::int64_t used = LetterNow(session(), letter).lastKnownState;
  EXPECT_GT(used, free);
  Take(session(), letter, kPrimary);
  EXPECT_GT(LetterNow(session(), letter).lastKnownState, used);
  EXPECT_EQ(LetterNow(session(), other), untouched);
}

// driveLetterCount means nothing on input.
TEST_P(EnumDriveLetters, IgnoresTheCountThatComesIn) {
  Checks("DMRP-0824", "DMRP-0832", "DMRP-0521", "DMRP-0025");
  const auto none = session().EnumDriveLetters(0);
  ASSERT_THAT(none, Succeeds());
  for (const std::uint32_t count : {1U, 26U, 1000U, 0xFFFFFFFFU}) {
    const auto reply = session().EnumDriveLetters(count);
    ASSERT_THAT(reply, Succeeds());
    EXPECT_EQ(reply->driveLetterList, none->driveLetterList) << "count " << count;
  }
}

// Looking changes nothing.
TEST_P(EnumDriveLetters, ChangesNothing) {
  Checks("DMRP-0834");
  GiveTwo();
  const Observation before = ObserveAll(session());
  ASSERT_THAT(session().EnumDriveLetters(), Succeeds());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, EnumDriveLetters, kBothRevisions, RevisionName());

// Both interfaces show one list: what was made through one is seen through the other.
class EnumDriveLettersOfBoth : public DriveLetterTest {};

TEST_F(EnumDriveLettersOfBoth, ShowOneList) {
  Checks("DMRP-0828", "DMRP-0830", "DMRP-1620", "DMRP-1622", "DMRP-1627");
  StartLetters();
  Session& first = SessionOf(Revision::kIVolumeClient);
  Session& third = SessionOf(Revision::kIVolumeClient3);
  const char16_t letter = FreeLetter(first, 0);
  const char16_t other = FreeLetter(first, 1);
  Give(first, letter, kPrimary);
  EXPECT_EQ(LettersOf(third, Storage(third, kPrimary).id), std::u16string{letter});
  Give(third, other, kLogical);
  EXPECT_EQ(LettersOf(first, Storage(first, kLogical).id), std::u16string{other});
  EXPECT_EQ(LettersNow(first), LettersNow(third));
  Take(third, letter, kPrimary);
  EXPECT_FALSE(LetterNow(first, letter).isUsed);
}

// A letter on a GPT partition has to be told to clients of IVolumeClient too: the list has all letters.
TEST_F(EnumDriveLettersOfBoth, ShowLettersOfGptPartitions) {
  Checks("DMRP-0828", "DMRP-0077");
  StartLetters();
  Session& first = SessionOf(Revision::kIVolumeClient);
  Session& third = SessionOf(Revision::kIVolumeClient3);
  const char16_t letter = FreeLetter(third);
  Give(third, letter, kGptPartition);
  const DRIVE_LETTER_INFO shown = LetterNow(first, letter);
  EXPECT_TRUE(shown.isUsed);
  EXPECT_EQ(shown, LetterNow(third, letter));
}

}  // namespace
}  // namespace dmrp::suites
