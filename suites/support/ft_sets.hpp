// What suites about FT sets share: machines that start with sets of Windows NT in their registry and on their
// disks, the calls, and the sets as independent readers find them afterwards.
#pragma once

#include "harness/ft/ft_disks.hpp"
#include "harness/ft/ft_record.hpp"
#include "harness/ft/ft_volume.hpp"
#include "harness/guest/held_file.hpp"
#include "suites/support/watched_operation.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::suites {

/// The parameters of FTReplaceMirrorPartition and FTReplaceParityStripePartition.
struct FtReplacementRequest {
  LdmObjectId volumeId = 0;
  std::int64_t volumeLastKnownState = 0;
  LdmObjectId oldMemberId = 0;
  std::int64_t oldMemberLastKnownState = 0;
  LdmObjectId newRegionId = 0;
  std::int64_t newRegionLastKnownState = 0;
  DWORD flags = 0;
};

class FtTest : public ConformanceTest {
 protected:
  void TearDown() override;

  /// Starts a machine of the test's own with the disks and the record of that description
  /// (harness/ft/ft_image.py), and with `more` disks behind them.
  void StartSets(const std::string& description, std::vector<BedDiskRequest> more = {});
  /// The same, but takes a machine over that an earlier test of that description left unchanged, as
  /// StartShared does: for tests that change nothing. `more` is the same for each test of a description.
  void StartSharedSets(const std::string& description, std::vector<BedDiskRequest> more = {});
  /// Takes over the machine in which earlier tests with the same parameter have changed other sets of that
  /// description, for a test that changes the set with that letter, and what is said to go with it, alone. A
  /// machine in which that set is no longer as it was made is not taken.
  void StartOwnSet(const std::string& description, char letter, std::vector<BedDiskRequest> more = {});
  /// No other test takes this one's machine over.
  void GiveMachineUp() { own_machine_ = true; }
  /// The same machine for a test that uses the set with that letter and changes nothing.
  void StartWithSet(const std::string& description, char letter, std::vector<BedDiskRequest> more = {});
  [[nodiscard]] const harness::FtDisks& made() const;
  /// Index of the bed's disk of that name in the description.
  [[nodiscard]] std::size_t DiskNamed(std::string_view name) const;

  std::vector<VOLUME_INFO> SetsNow(Session& session);
  /// The test's set, the first one where none was chosen; a value with id 0 when it is gone.
  VOLUME_INFO SetNow(Session& session);
  /// The test's set as it was made.
  [[nodiscard]] const harness::FtMadeSet& MadeSet() const;
  /// The region where that member of the test's set was made; a value with id 0 when there is none.
  REGION_INFO_EX MemberNow(Session& session, std::size_t place);
  /// The partitions of a disk, in the order of the enumeration.
  std::vector<REGION_INFO_EX> PartitionsNow(Session& session, std::string_view disk);
  /// Waits until the set has that status: for the end of a rebuild.
  VOLUME_INFO AwaitStatus(Session& session, VOLUMESTATUS status);

  Outcome<FTDeleteVolumeReply> Delete(Session& session, LdmObjectId volume, std::int64_t state,
                                      bool force = false);
  Outcome<FTBreakMirrorReply> Break(Session& session, LdmObjectId volume, std::int64_t state,
                                    bool force = false);
  Outcome<FTResyncMirrorReply> Resync(Session& session, LdmObjectId volume, std::int64_t state);
  Outcome<FTRegenerateParityStripeReply> Regenerate(Session& session, LdmObjectId volume, std::int64_t state);
  Outcome<FTReplaceMirrorPartitionReply> ReplaceMirror(Session& session, const FtReplacementRequest& request);
  Outcome<FTReplaceParityStripePartitionReply> ReplaceParity(Session& session,
                                                             const FtReplacementRequest& request);
  /// The test's set and that partition, as they are now.
  FtReplacementRequest RequestFor(Session& session, const REGION_INFO_EX& partition);

  /// The record in the machine's registry; the test ends undecided when there is none.
  harness::FtRecord RecordNow();
  /// The test's set in a record; null when it is not there.
  [[nodiscard]] const harness::FtRecordSet* SetIn(const harness::FtRecord& record) const;
  /// What is wrong with the data of the test's set, judged on the members themselves: copies that differ,
  /// rows that do not add up, octets other than those that the disks were made with. Empty: nothing.
  std::vector<std::string> DataProblems();
  /// The same without a look at what the octets are: for sets that were written to.
  std::vector<std::string> RedundancyProblems();
  /// The octets that a set was made with.
  Bytes DataMade(std::string_view type, std::uint16_t group = 0);
  /// Readers find that partition on the disk with that type, or not at all, and the others that the server
  /// shows there.
  void ExpectOnDisk(Session& session, std::string_view disk, const REGION_INFO_EX& partition,
                    std::optional<std::uint8_t> type);
  /// Waits for the end of a rebuild of the test's set, and judges its record and its members.
  void ExpectMadeWhole(Session& session);

  /// Writes a file to the file system of the test's set in the machine.
  void WriteFile();
  /// Mounts the set's file system in the machine and keeps a file of it open, until LetGo.
  void HoldFileOpen();
  void LetGo();

  static void ExpectFailed(const TASK_INFO& tinfo, HRESULT result);

 private:
  harness::FtVolumeView ViewNow(std::vector<std::shared_ptr<ImageCopy>>& copies);
  std::map<std::uint32_t, std::filesystem::path> ImagesNow(std::vector<std::shared_ptr<ImageCopy>>& copies);

  struct Made;
  /// Makes the disks of the description, and the requests for them.
  std::vector<BedDiskRequest> MakeSets(const std::string& description, std::vector<BedDiskRequest> more);
  /// Gives the machine the record, with which it starts anew.
  void InstallRecord();
  /// A machine that is kept under the key.
  void StartUnder(const std::string& key, const std::string& description, std::vector<BedDiskRequest> more);
  void Use(char letter);
  /// A command that mounts the file system of the test's set in the machine.
  [[nodiscard]] std::string MountSet() const;

  std::shared_ptr<Made> made_;
  std::size_t set_ = 0;     ///< of made().sets
  LdmObjectId set_id_ = 0;  ///< 0: not looked for yet
  std::string key_;         ///< of the machine
  bool own_machine_ = false;
  std::optional<harness::HeldFile> held_;
};

/// A suite about FT sets that runs through both revisions.
class FtRevisionTest : public FtTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
};

/// One set of a description.
struct FtPlannedSet {
  std::string_view type;                ///< "mirror" or "parity"
  std::vector<std::string_view> disks;  ///< where its members are
  std::string_view first{};             ///< what is said of the first member
  std::string_view last{};              ///< and of the last one
};

/// A description of these sets, with file systems and letters from E on. `disks` are those of the sets and
/// others, as the description lists them.
std::string SetsOn(std::string_view disks, const std::vector<FtPlannedSet>& sets);
/// Sets that are whole: mirrors E to G on disks a and b, and a parity set H on these and c.
std::string MirrorsAndParity();
/// What a description says of a member that is out of its set and holds something else.
inline constexpr std::string_view kOut = R"("state": "orphaned", "garbage": true)";
/// What it says of one that is out of its set and whose disk is away.
inline constexpr std::string_view kAway = R"("state": "orphaned")";

}  // namespace dmrp::suites
