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
  /// Starts a machine with the disks and the record of that description (harness/ft/ft_image.py), and with
  /// `more` disks behind them.
  void StartSets(const std::string& description, std::vector<BedDiskRequest> more = {});
  /// The same, but takes a machine over that an earlier test of that description left unchanged, as
  /// StartShared does: for tests that change nothing. `more` is the same for each test of a description.
  void StartSharedSets(const std::string& description, std::vector<BedDiskRequest> more = {});
  [[nodiscard]] const harness::FtDisks& made() const;
  /// Index of the bed's disk of that name in the description.
  [[nodiscard]] std::size_t DiskNamed(std::string_view name) const;

  std::vector<VOLUME_INFO> SetsNow(Session& session);
  /// The first set; a value with id 0 when there is none.
  VOLUME_INFO SetNow(Session& session);
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
  /// The first set and that partition, as they are now.
  FtReplacementRequest RequestFor(Session& session, const REGION_INFO_EX& partition);

  /// The record in the machine's registry; the test ends undecided when there is none.
  harness::FtRecord RecordNow();
  /// What is wrong with the data of a set, judged on the members themselves: copies that differ, rows that do
  /// not add up, octets other than those that the disks were made with. Empty: nothing.
  std::vector<std::string> DataProblems(std::string_view type);
  /// The same without a look at what the octets are: for sets that were written to.
  std::vector<std::string> RedundancyProblems(std::string_view type);
  /// The octets that the set was made with.
  Bytes DataMade(std::string_view type);

  /// Writes a file to the set's file system in the machine.
  void WriteFile();
  /// Mounts the set's file system in the machine and keeps a file of it open, until LetGo.
  void HoldFileOpen();
  void LetGo();

  static void ExpectFailed(const TASK_INFO& tinfo, HRESULT result);

 private:
  harness::FtVolumeView ViewNow(std::string_view type, std::vector<std::shared_ptr<ImageCopy>>& copies);
  std::map<std::uint32_t, std::filesystem::path> ImagesNow(std::vector<std::shared_ptr<ImageCopy>>& copies);

  struct Made;
  /// Makes the disks of the description, and the requests for them.
  std::vector<BedDiskRequest> MakeSets(const std::string& description, std::vector<BedDiskRequest> more);
  /// Gives the machine the record, with which it starts anew.
  void InstallRecord();

  std::shared_ptr<const Made> made_;
  std::optional<harness::HeldFile> held_;
};

/// A mirror of disks a and b with a file system and the letter E; `more` are further members of the
/// description's objects: `"disks"` beside a and b, what is said of the members.
std::string MirrorOf(std::string_view member_a = "", std::string_view member_b = "",
                     std::string_view more_disks = "", std::string_view of_disk_b = "");
/// A parity set of disks a, b and c, likewise.
std::string ParityOf(std::string_view member_a = "", std::string_view member_c = "",
                     std::string_view more_disks = "", std::string_view of_disk_c = "");

}  // namespace dmrp::suites
