// What the suites of DiskMergeQuery and DiskMerge share: a machine with a disk group of its own and the disks
// of another one, and what has to become of that one's volumes.
#pragma once

#include "suites/support/foreign_groups.hpp"

#include <optional>
#include <ostream>
#include <set>
#include <string_view>
#include <vector>

namespace dmrp::suites {

/// A foreign group, and which of its disks there are named in diskList.
struct MergeCase {
  std::string_view name;  ///< part of test names
  ForeignGroup group;
  std::set<std::string> chosen;  ///< names in the group, "Disk1"
  bool stale = false;            ///< what the chosen disks hold of mirrors is old

  friend void PrintTo(const MergeCase& merge, std::ostream* out) { *out << merge.name; }
};

/// All disks of a group, all that are there, some of them, a stale one alone, and both sector sizes.
std::vector<MergeCase> MergeCases();

/// What has to become of a volume.
struct MergedVolume {
  harness::DynamicVolume volume;
  bool related = false;  ///< it has members on the chosen disks
  bool deleted = false;
  bool redundancy_deleted = false;
  bool stale = false;
  VOLUMELAYOUT layout = VOLUMELAYOUT_UNKNOWN;   ///< the new one
  VOLUMESTATUS status = VOLUME_STATUS_UNKNOWN;  ///< afterwards
};
std::vector<MergedVolume> Predict(const harness::DynamicGroup& group, const MergeCase& merge);

class MergeTest : public ForeignGroupTest {
 protected:
  /// Disk 0 is our group with a volume, disk 1 is blank and basic, the foreign disks follow.
  static constexpr std::size_t kOwn = 0;
  static constexpr std::size_t kBasic = 1;
  static constexpr std::size_t kForeign = 2;
  static std::vector<BedDiskRequest> Disks(std::vector<BedDiskRequest> foreign);
  /// Makes our group, with a volume of 7 MiB that has the letter S.
  VOLUME_INFO MakeOurs(Session& session);

  /// The foreign group as its disks tell it.
  harness::DynamicGroup ForeignNow();
  /// diskList: the objects of the chosen disks that are there.
  std::vector<LdmObjectId> DiskList(const harness::DynamicGroup& group, const MergeCase& merge);
  Bytes ForeignId(Session& session);

  static Outcome<DiskMergeQueryReply> Query(Session& session, const DiskMergeQueryRequest& request);
  static Outcome<DiskMergeReply> Merge(Session& session, const DiskMergeRequest& request);
  /// What the query answered, passed on.
  static DiskMergeRequest Confirm(const DiskMergeQueryRequest& asked, const DiskMergeQueryReply& told);
};

}  // namespace dmrp::suites
