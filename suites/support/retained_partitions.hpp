// What the suites about CreatePartitionsForVolume and DeletePartitionsForVolume share: volumes that get
// entries of their own in the partition tables, and lose them again.
#pragma once

#include "suites/support/volume_data.hpp"

#include <cstdint>
#include <ostream>
#include <string_view>
#include <vector>

namespace dmrp::suites {

/// A volume that is to have entries of its own.
struct RetainedCase {
  std::string_view name;  ///< part of test names
  VOLUMELAYOUT layout = VOLUMELAYOUT_SIMPLE;
  PARTITIONSTYLE style = PARTITIONSTYLE_MBR;
  bool active = false;
  bool behind_another = false;  ///< a volume without entries lies in front of it

  friend void PrintTo(const RetainedCase& each, std::ostream* out) { *out << each.name; }
};

std::vector<RetainedCase> RetainedCases();

/// What creating or deleting the entries of a volume did.
struct RetainedChange {
  WatchedOperation seen;
  harness::DynamicLayout on_disk;  ///< right after the reply
  LdmObjectId volume = 0;
  std::vector<harness::DiskLayout> tables_before;  ///< of each disk
  std::vector<harness::DiskLayout> tables_after;
  std::vector<std::string> broken;         ///< invariants of the on-disk format, afterwards
  std::vector<std::string> data_problems;  ///< what is not as it was written through the volume before
};

class RetainedTest : public VolumeDataTest {
 protected:
  /// Two dynamic disks of the case's style for what the tests of this suite do Once.
  void StartRetained(const RetainedCase& each);
  /// The same disks, MBR, for one test.
  void StartRetainedAlone();
  /// Makes the volume of the case and writes a pattern through it.
  VOLUME_INFO MakeVolume(const RetainedCase& each);

  Outcome<CreatePartitionsForVolumeReply> CreateEntries(LdmObjectId volume, std::int64_t state, bool active);
  Outcome<DeletePartitionsForVolumeReply> DeleteEntries(LdmObjectId volume, std::int64_t state);

  /// Does one of the two, with all that is to be seen of it.
  template <typename Act>
  RetainedChange Change(LdmObjectId volume, Act act) {
    RetainedChange change;
    change.volume = volume;
    change.tables_before = Tables();
    change.seen = Need(suites::Watch(lab(), third(), act, [&] { change.on_disk = GroupsOnDisk(); }));
    change.tables_after = Tables();
    change.broken = BrokenInvariants({0, 1}, {.degraded = false, .complete = true, .data = true});
    change.data_problems = DataProblems(change.seen.before.RegionsOfVolume(volume).at(0));
    return change;
  }

  std::vector<harness::DiskLayout> Tables();
  /// The two methods are of this revision only.
  Session& third() { return SessionOf(Revision::kIVolumeClient3); }
  /// The entry of a member in the table of its disk; null: none.
  const harness::DiskPartition* EntryOf(const REGION_INFO_EX& member,
                                        const std::vector<harness::DiskLayout>& tables);
  /// Volume and disks were told to be modified to all clients, the volume with that mark or without it.
  void ExpectModified(const RetainedChange& change, bool retained);

 private:
  void MakeDisksDynamic(PARTITIONSTYLE style);
  std::vector<std::string> DataProblems(const REGION_INFO_EX& member);
};

}  // namespace dmrp::suites
