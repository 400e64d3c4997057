#include "suites/support/drive_letters.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace dmrp::suites {

namespace {

constexpr std::string_view kGptTable = R"(label: gpt
start=2048, size=16384, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
start=20480, size=16384, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
)";
constexpr std::string_view kUsbTable = R"(label: dos
label-id: 0x5eed0020
start=2048, size=16384, type=7
)";
template <typename Request>
Request As(const LetterRequest& from) {
  Request request;
  request.letter = from.letter;
  request.forceOption = from.forceOption;
  request.letterLastKnownState = from.letterLastKnownState;
  request.storageId = from.storageId;
  request.storageLastKnownState = from.storageLastKnownState;
  return request;
}

constexpr DiskKind kBlankGpt{"BlankGpt", "size=60M", PARTITIONSTYLE_GPT};

std::vector<BedDiskRequest> LetterDisks() {
  return {{kBlank.Spec(), Table(FourVolumes(0x5eed0019, {7, 7, 7, 7}))},
          {kBlankGpt.Spec(), Table(std::string(kGptTable))},
          {kBlankUsb.Spec(), Table(std::string(kUsbTable))}};
}

}  // namespace

std::vector<LetterSetup> AllLetterSetups() {
  std::vector<LetterSetup> setups;
  for (const Place& place : {kPrimary, kLogical, kUsbDisk}) {
    setups.push_back({Revision::kIVolumeClient, place});
    setups.push_back({Revision::kIVolumeClient3, place});
  }
  setups.push_back({Revision::kIVolumeClient3, kGptPartition});
  return setups;
}

void DriveLetterTest::StartLetters() {
  StartSharedWith("letters", LetterDisks());
  LettersAreOurs();
}

void DriveLetterTest::StartGivenLetters(const std::string& key) {
  StartSharedWith(key, LetterDisks());
  if (!lab().once.has_value()) FreeAllLetters();
}

void DriveLetterTest::LettersAreOurs() {
  // A target that gives letters to new volumes by itself has done so by now.
  FreeAllLetters(kept_letters_);
  letters_are_ours_ = true;
}

void DriveLetterTest::TearDown() {
  if (letters_are_ours_ && !HasFailure()) FreeAllLetters(kept_letters_);
  ConformanceTest::TearDown();
}

void DriveLetterTest::FreeAllLetters(std::u16string_view but) {
  Session& session = SessionOf(Revision::kIVolumeClient3);
  for (const DRIVE_LETTER_INFO& letter : LettersNow(session)) {
    if (!letter.isUsed || but.find(letter.letter) != but.npos) continue;
    for (std::size_t disk = 0; disk < lab().bed().disks().size(); ++disk) {
      for (const REGION_INFO_EX& region : RegionsNow(session, disk)) {
        if (region.id != letter.storageId) continue;
        const auto freed = session.Call<FreeDriveLetterReply>(
            session.interface(), "FreeDriveLetter",
            As<FreeDriveLetterRequest>(Prepare(session, letter.letter, region, FORCE_OPERATION)));
        [&] { ASSERT_THAT(freed, Succeeds()); }();
      }
    }
  }
}

REGION_INFO_EX DriveLetterTest::Storage(Session& session, const Place& place) {
  std::size_t number = 0;
  for (const REGION_INFO_EX& region : RegionsNow(session, place.disk)) {
    if (region.regionType == place.type && number++ == place.number) return region;
  }
  [&] { FAIL() << "disk " << place.disk << " has no " << NameOf(place.type) << " " << place.number; }();
  throw std::logic_error("unreachable");
}

std::vector<DRIVE_LETTER_INFO> DriveLetterTest::LettersNow(Session& session) {
  auto letters = session.EnumDriveLetters();
  [&] { ASSERT_THAT(letters, Succeeds()); }();
  return std::move(letters.value.driveLetterList);
}

DRIVE_LETTER_INFO DriveLetterTest::LetterNow(Session& session, char16_t letter) {
  const auto letters = LettersNow(session);
  auto found = std::ranges::find(letters, harness::LetterId(letter), [](const DRIVE_LETTER_INFO& each) {
    return harness::LetterId(each.letter);
  });
  [&] { ASSERT_NE(found, letters.end()) << "letter " << static_cast<char>(letter) << " is not listed"; }();
  return *found;
}

std::u16string DriveLetterTest::LettersOf(Session& session, LdmObjectId storage) {
  std::u16string text;
  for (const DRIVE_LETTER_INFO& letter : LettersNow(session)) {
    if (letter.isUsed && letter.storageId == storage) {
      text += static_cast<char16_t>(harness::LetterId(letter.letter));
    }
  }
  return text;
}

char16_t DriveLetterTest::FreeLetter(Session& session, std::size_t number) {
  auto letters = LettersNow(session);
  std::erase_if(letters, [](const DRIVE_LETTER_INFO& letter) { return letter.isUsed; });
  std::ranges::sort(letters, std::greater(), &DRIVE_LETTER_INFO::letter);
  [&] { ASSERT_GT(letters.size(), number) << "too few letters are free"; }();
  return letters[number].letter;
}

LetterRequest DriveLetterTest::Prepare(Session& session, char16_t letter, const REGION_INFO_EX& storage,
                                       std::uint32_t force) {
  return {.letter = letter,
          .forceOption = force,
          .letterLastKnownState = LetterNow(session, letter).lastKnownState,
          .storageId = storage.id,
          .storageLastKnownState = storage.lastKnownState};
}

Outcome<AssignDriveLetterReply> DriveLetterTest::Assign(Session& session, const LetterRequest& request) {
  return session.Change<AssignDriveLetterReply>(session.interface(), "AssignDriveLetter",
                                                As<AssignDriveLetterRequest>(request));
}

Outcome<FreeDriveLetterReply> DriveLetterTest::Free(Session& session, const LetterRequest& request) {
  return session.Change<FreeDriveLetterReply>(session.interface(), "FreeDriveLetter",
                                              As<FreeDriveLetterRequest>(request));
}

void DriveLetterTest::Give(Session& session, char16_t letter, const Place& place) {
  const auto given = session.Call<AssignDriveLetterReply>(
      session.interface(), "AssignDriveLetter",
      As<AssignDriveLetterRequest>(Prepare(session, letter, Storage(session, place))));
  [&] { ASSERT_THAT(given, Succeeds()); }();
}

void DriveLetterTest::Take(Session& session, char16_t letter, const Place& place) {
  const auto taken = session.Call<FreeDriveLetterReply>(
      session.interface(), "FreeDriveLetter",
      As<FreeDriveLetterRequest>(Prepare(session, letter, Storage(session, place))));
  [&] { ASSERT_THAT(taken, Succeeds()); }();
}

std::vector<BrokenLetterRequest> BrokenLetterRequests(const char* letter, const char* storage,
                                                      const char* state) {
  using Scene = LetterScene;
  const auto asking = [](char16_t wrong) {
    return [wrong](LetterRequest& r, const Scene&) { r.letter = wrong; };
  };
  const auto letter_state = [](std::int64_t change) {
    return [change](LetterRequest& r, const Scene&) { r.letterLastKnownState += change; };
  };
  const auto named = [](LdmObjectId id) {
    return [id](LetterRequest& r, const Scene&) { r.storageId = id; };
  };
  const auto storage_state = [](std::int64_t change) {
    return [change](LetterRequest& r, const Scene&) { r.storageLastKnownState += change; };
  };
  constexpr std::int64_t kFarOff = std::int64_t{1} << 32;
  return {{"LetterNull", letter, asking(u'\0')},
          {"LetterSpace", letter, asking(u' ')},
          {"LetterDigit", letter, asking(u'5')},
          {"LetterControl", letter, asking(u'\x1b')},
          {"LetterBeforeA", letter, asking(u'@')},
          {"LetterAfterZ", letter, asking(u'[')},
          {"LetterBeforeSmallA", letter, asking(u'`')},
          {"LetterAfterSmallZ", letter, asking(u'{')},
          {"LetterUmlaut", letter, asking(u'\u00c4')},
          {"LetterFullWidth", letter, asking(u'\uff3a')},
          {"LetterWhoseLowByteIsOne", letter, asking(u'\u015a')},
          {"LetterStateOneBelow", letter, letter_state(-1)},
          {"LetterStateOneAbove", letter, letter_state(1)},
          {"LetterStateFarOff", state, letter_state(kFarOff)},
          {"StorageZero", storage, named(0)},
          {"StorageMinusOne", storage, named(-1)},
          {"StorageUnknown", storage, named(std::numeric_limits<LdmObjectId>::max())},
          {"StorageIsADisk", storage,
           [](LetterRequest& r, const Scene& scene) {
             r.storageId = scene.disk;
             r.storageLastKnownState = scene.view.FindDisk(scene.disk)->lastKnownState;
           }},
          {"StorageStateOneBelow", storage, storage_state(-1)},
          {"StorageStateOneAbove", storage, storage_state(1)},
          {"StorageStateFarOff", state, storage_state(kFarOff)}};
}

std::string FourVolumes(std::uint32_t signature, std::array<std::uint8_t, 4> types) {
  return fmt::format(
      "label: dos\nlabel-id: {:#010x}\nstart=2048, size=16384, type={:x}\nstart=20480, size=16384, "
      "type={:x}\n"
      "start=40960, size=49152, type=f\nstart=43008, size=16384, type={:x}\nstart=61440, size=16384, "
      "type={:x}\n",
      signature, types[0], types[1], types[2], types[3]);
}

void ExpectCompletedTask(const TASK_INFO& task, const Session& session, LdmObjectId storage) {
  EXPECT_NE(task.id, 0);
  EXPECT_TRUE(task.storageId == 0 || task.storageId == storage) << task.storageId;
  EXPECT_EQ(task.createTime, 0);
  EXPECT_TRUE(task.clientID == 0 || task.clientID == session.client_id()) << task.clientID;
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.status, REQ_COMPLETED);
  EXPECT_EQ(task.type, PROGRESS_UNKNOWN);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.tflag, 0U);
}

}  // namespace dmrp::suites
