// AssignDriveLetter of IVolumeClient (3.2.4.4.1.19) and IVolumeClient3 (3.2.4.4.3.19): what an accepted call
// does, on partitions of every kind.
#include "suites/support/drive_letters.hpp"
#include "suites/support/mounted_devices.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AssignDriveLetter : public LetterSetupTest {
 protected:
  // The frames about letters, in order.
  static std::vector<DRIVE_LETTER_INFO> LetterFrames(Session& session, std::uint64_t mark) {
    std::vector<DRIVE_LETTER_INFO> letters;
    for (const ReceivedObject& object : session.sink().Objects(mark)) {
      if (object.type == DMNOTIFY_DL_INFO && object.action == LDMACTION_MODIFIED && object.letter) {
        letters.push_back(*object.letter);
      }
    }
    return letters;
  }
};

// The letter is the object's when the reply comes, with and without force.
TEST_P(AssignDriveLetter, GivesTheLetterToTheObject) {
  Checks("DMRP-0846", "DMRP-0847", "DMRP-0851", "DMRP-0837", third() ? "DMRP-1621" : "DMRP-0076",
         "DMRP-0077");
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    const char16_t letter = FreeLetter(session());
    const REGION_INFO_EX target = storage();
    ASSERT_THAT(Assign(session(), Prepare(session(), letter, target, force)), Succeeds());
    const DRIVE_LETTER_INFO now = LetterNow(session(), letter);
    EXPECT_TRUE(now.isUsed);
    EXPECT_EQ(now.storageId, target.id);
    EXPECT_EQ(LettersOf(session(), target.id), std::u16string{letter});
    Take(session(), letter, GetParam().place);
  }
}

// tinfo: a fresh id, the final status, no error, the rest zero; storageId may be left out.
TEST_P(AssignDriveLetter, FillsTheTaskInfo) {
  Checks("DMRP-0848", "DMRP-0849", "DMRP-0551", "DMRP-0557", "DMRP-0558");
  const REGION_INFO_EX target = storage();
  const auto reply = Assign(session(), Prepare(session(), FreeLetter(session()), target));
  ASSERT_THAT(reply, Succeeds());
  ExpectCompletedTask(reply->tinfo, session(), target.id);
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  EXPECT_THAT(tasks->taskList, IsEmpty()) << "a synchronous task is no running one";
}

// Clients of both interfaces are told of the letter, with the contents that the enumeration has; nothing else
// changes.
TEST_P(AssignDriveLetter, NotifiesTheLetter) {
  Checks("DMRP-0851", "DMRP-0459", "DMRP-0528", "DMRP-0531", "DMRP-0532", "DMRP-0524");
  const char16_t letter = FreeLetter(session());
  const LetterRequest request = Prepare(session(), letter, storage());
  Session& first = SessionOf(Revision::kIVolumeClient);
  Session& third = SessionOf(Revision::kIVolumeClient3);
  const std::uint64_t mark_first = first.sink().Count();
  const std::uint64_t mark_third = third.sink().Count();

  const auto reply = Assign(session(), request);

  ASSERT_THAT(reply, Succeeds());
  const DRIVE_LETTER_INFO now = LetterNow(session(), letter);
  EXPECT_GT(now.lastKnownState, request.letterLastKnownState);
  EXPECT_THAT(LetterFrames(first, mark_first), ElementsAre(now));
  EXPECT_THAT(LetterFrames(third, mark_third), ElementsAre(now));
  for (const harness::ReceivedNotification& notification : third.sink().All()) {
    if (notification.number <= mark_third) continue;
    EXPECT_LE(notification.received, reply.call.replied) << "notifications come before the reply";
    for (const ReceivedObject& object : notification.objects) {
      EXPECT_TRUE(object.type == DMNOTIFY_DL_INFO || object.type == DMNOTIFY_REGION_INFO ||
                  object.type == DMNOTIFY_FS_INFO || object.type == DMNOTIFY_TASK_INFO)
          << object.ToString();
    }
  }
}

// A lower-case letter is taken as its capital.
TEST_P(AssignDriveLetter, TakesALetterInEitherCase) {
  Checks("DMRP-0842", "DMRP-0075", third() ? "DMRP-1623" : "DMRP-0842");
  const char16_t letter = FreeLetter(session());
  const auto capital = static_cast<char16_t>(harness::LetterId(letter));
  const REGION_INFO_EX target = storage();
  LetterRequest request = Prepare(session(), letter, target);
  for (const char16_t asked : {capital, static_cast<char16_t>(capital - u'A' + u'a')}) {
    request = Prepare(session(), letter, Storage(session(), GetParam().place));
    request.letter = asked;
    ASSERT_THAT(Assign(session(), request), Succeeds());
    EXPECT_EQ(LettersOf(session(), target.id), std::u16string{capital});
    EXPECT_EQ(LettersNow(session()).size(), LettersNow(SessionOf(Revision::kIVolumeClient3)).size());
    Take(session(), letter, GetParam().place);
  }
}

// The letter that the object had becomes free: both letters are notified, and one is left.
TEST_P(AssignDriveLetter, ReplacesTheFormerLetter) {
  Checks("DMRP-0845", "DMRP-0850", "DMRP-0851", third() ? "DMRP-1625" : "DMRP-0845");
  const char16_t old_letter = FreeLetter(session(), 0);
  const char16_t new_letter = FreeLetter(session(), 1);
  Give(session(), old_letter, GetParam().place);
  const DRIVE_LETTER_INFO before = LetterNow(session(), old_letter);
  const REGION_INFO_EX target = storage();
  const std::uint64_t mark = session().sink().Count();

  ASSERT_THAT(Assign(session(), Prepare(session(), new_letter, target)), Succeeds());

  const DRIVE_LETTER_INFO old_now = LetterNow(session(), old_letter);
  EXPECT_FALSE(old_now.isUsed);
  EXPECT_EQ(old_now.storageId, 0);
  EXPECT_GT(old_now.lastKnownState, before.lastKnownState);
  EXPECT_EQ(LettersOf(session(), target.id), std::u16string{new_letter});
  const auto frames = LetterFrames(session(), mark);
  EXPECT_THAT(frames, SizeIs(2));
  EXPECT_THAT(frames, Contains(old_now));
  EXPECT_THAT(frames, Contains(LetterNow(session(), new_letter)));
}

// What Windows calls MountedDevices has the letter for exactly this partition, and its mark of having none is
// gone.
TEST_P(AssignDriveLetter, WritesTheMountDatabase) {
  Checks("DMRP-0846", "DMRP-0847", "DMRP-0828", "DMRP-0845", "DMRP-0077");
  const char16_t old_letter = FreeLetter(session(), 0);
  const char16_t letter = FreeLetter(session(), 1);
  const REGION_INFO_EX target = storage();
  const std::string id =
      UniqueIdOf(target, DiskNow(SessionOf(Revision::kIVolumeClient3), GetParam().place.disk));
  Give(session(), old_letter, GetParam().place);
  EXPECT_THAT(Need(harness::ReadMountedDevices(lab().bed())).LettersOf(id), ElementsAre(old_letter));

  ASSERT_THAT(Assign(session(), Prepare(session(), letter, storage())), Succeeds());

  const MountedDevices database = Need(harness::ReadMountedDevices(lab().bed()));
  EXPECT_THAT(database.LettersOf(id), ElementsAre(letter)) << database.ToText();
  EXPECT_FALSE(database.RefusesLetter(id)) << database.ToText();
  EXPECT_TRUE(database.strange.empty()) << database.ToText();
}

INSTANTIATE_TEST_SUITE_P(Places, AssignDriveLetter, ::testing::ValuesIn(AllLetterSetups()),
                         LetterSetupName());

// The number of the region's state from EnumDiskRegions is the one to be passed, for volumes on basic disks.
class AssignDriveLetterToMany : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {};

// Letters of several volumes do not touch each other.
TEST_P(AssignDriveLetterToMany, KeepsTheOtherLetters) {
  Checks("DMRP-0846", "DMRP-0285", "DMRP-0851");
  StartLetters();
  Session& session = SessionOf(GetParam());
  const std::vector<Place> places = {kPrimary, kSecondPrimary, kLogical, kUsbDisk};
  std::u16string given;
  for (const Place& place : places) {
    given += FreeLetter(session);
    Give(session, given.back(), place);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    EXPECT_EQ(LettersOf(session, Storage(session, places[i]).id), given.substr(i, 1)) << places[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Both, AssignDriveLetterToMany, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
