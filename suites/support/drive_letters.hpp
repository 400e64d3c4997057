// What tests of drive letters and mounted folders share: volumes on all kinds of basic disks, prepared before
// the target starts, and the calls with their state numbers filled in.
#pragma once

#include "suites/support/conformance_test.hpp"

#include <array>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace dmrp::suites {

/// A partition of DriveLetterTest's disks.
struct Place {
  const char* name;  ///< part of test names
  std::size_t disk;  ///< number of the bed's disk
  REGIONTYPE type;
  std::size_t number = 0;  ///< among the disk's regions of that type
};

inline constexpr Place kPrimary{"Primary", 0, REGION_PRIMARY};
inline constexpr Place kSecondPrimary{"SecondPrimary", 0, REGION_PRIMARY, 1};
inline constexpr Place kLogical{"Logical", 0, REGION_LOGICAL};
inline constexpr Place kGptPartition{"Gpt", 1, REGION_PRIMARY};
inline constexpr Place kUsbDisk{"UsbDisk", 2, REGION_PRIMARY};

/// The interface that is called and the partition that gets or loses a letter.
struct LetterSetup {
  Revision revision = Revision::kIVolumeClient3;
  Place place = kPrimary;

  friend void PrintTo(const LetterSetup& setup, std::ostream* out) {
    *out << harness::ToString(setup.revision) << "_" << setup.place.name;
  }
};
struct LetterSetupName {
  std::string operator()(const ::testing::TestParamInfo<LetterSetup>& info) const {
    return ::testing::PrintToString(info.param);
  }
};
/// Every place through every interface that knows its disk: GPT disks are IVolumeClient3's alone.
std::vector<LetterSetup> AllLetterSetups();

/// The parameters that AssignDriveLetter and FreeDriveLetter have in common.
struct LetterRequest {
  char16_t letter = 0;
  std::uint32_t forceOption = NO_FORCE_OPERATION;
  std::int64_t letterLastKnownState = 0;
  LdmObjectId storageId = 0;
  std::int64_t storageLastKnownState = 0;
};

/// Each test begins and ends with no letter on any partition of the disks, so that one lab serves many, but
/// after StartGivenLetters.
class DriveLetterTest : public ConformanceTest {
 protected:
  void TearDown() override;

  /// Disk 0: MBR, two primaries and an extended partition with two logical drives; disk 1: GPT, two
  /// partitions; disk 2: a USB disk with one primary. None has a file system.
  void StartLetters();
  /// The same disks for refusals that need letters in use: those that the first test of `key` gave (Once)
  /// stay given.
  void StartGivenLetters(const std::string& key);
  /// After a start of another kind.
  void LettersAreOurs();

  REGION_INFO_EX Storage(Session& session, const Place& place);
  std::vector<DRIVE_LETTER_INFO> LettersNow(Session& session);
  /// The entry of a letter; the test ends when it is not listed.
  DRIVE_LETTER_INFO LetterNow(Session& session, char16_t letter);
  /// Letters in use by that storage object.
  std::u16string LettersOf(Session& session, LdmObjectId storage);
  /// A letter that is free, from Z downwards; `number` tells several apart.
  char16_t FreeLetter(Session& session, std::size_t number = 0);

  /// A request with current states.
  LetterRequest Prepare(Session& session, char16_t letter, const REGION_INFO_EX& storage,
                        std::uint32_t force = NO_FORCE_OPERATION);
  static Outcome<AssignDriveLetterReply> Assign(Session& session, const LetterRequest& request);
  static Outcome<FreeDriveLetterReply> Free(Session& session, const LetterRequest& request);
  /// Both, for tests of something else, unwatched: the test ends when the call fails.
  void Give(Session& session, char16_t letter, const Place& place);
  void Take(Session& session, char16_t letter, const Place& place);
  /// Frees what the disks' partitions have, but for these letters.
  void FreeAllLetters(std::u16string_view but = {});
  /// These letters stay given when the test ends.
  void KeepLetters(std::u16string letters) { kept_letters_ = std::move(letters); }

 private:
  bool letters_are_ours_ = false;
  std::u16string kept_letters_;
};

class LetterSetupTest : public DriveLetterTest, public ::testing::WithParamInterface<LetterSetup> {
 protected:
  void SetUp() override { StartLetters(); }
  Session& session() { return SessionOf(GetParam().revision); }
  REGION_INFO_EX storage() { return Storage(session(), GetParam().place); }
  [[nodiscard]] bool third() const { return GetParam().revision == Revision::kIVolumeClient3; }
};

/// What a request that is to be refused can be spoilt with, besides itself.
struct LetterScene {
  const StorageView& view;
  LdmObjectId disk = 0;    ///< of the request's volume
  REGION_INFO_EX other{};  ///< a volume with other_letter, where the test gave it one
  DRIVE_LETTER_INFO other_letter{};
  REGION_INFO_EX bare{};  ///< a volume without a letter, likewise
};

/// One thing that is wrong with a request.
struct BrokenLetterRequest {
  const char* name;  ///< part of test names
  const char* id;    ///< of the rule that refuses it
  std::function<void(LetterRequest& request, const LetterScene& scene)> spoil;
};

/// What AssignDriveLetter and FreeDriveLetter check alike: `letter` is the rule about letter and state,
/// `storage` that about the object and its state, `state` that about stale states.
std::vector<BrokenLetterRequest> BrokenLetterRequests(const char* letter, const char* storage,
                                                      const char* state);
struct BrokenLetterRequestName {
  std::string operator()(
      const ::testing::TestParamInfo<std::tuple<Revision, BrokenLetterRequest>>& info) const {
    return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
  }
};

/// A script for sfdisk: two primary partitions and two logical drives of 8 MiB, of these types, with gaps.
std::string FourVolumes(std::uint32_t signature, std::array<std::uint8_t, 4> types);

/// What the member tables ask of the tinfo of a synchronous method that succeeded: id and final status, the
/// rest zero. `storage` is the value that storageId may have besides 0.
void ExpectCompletedTask(const TASK_INFO& task, const Session& session, LdmObjectId storage = 0);

/// A refusal for a reason that 2.2.1 lists: codes of the protocol's own facility have to be one of these,
/// while other codes of [MS-ERREF] are the server's choice.
MATCHER_P(RefusedAs, codes, "a refusal; of the codes of 2.2.1 those that name the reason") {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  if (!arg.refused()) return false;
  constexpr std::uint32_t kFacility = 0x0FFF0000;
  constexpr std::uint32_t kOfThisProtocol = 0x01000000;
  const auto result = static_cast<std::uint32_t>(arg.value.result);
  if ((result & kFacility) != kOfThisProtocol) return true;
  for (const HRESULT code : codes) {
    if (code == arg.value.result) return true;
  }
  return false;
}

}  // namespace dmrp::suites
