// What a client sees of a server's storage: disks and regions of both revisions in one form.
//
// IVolumeClient's DISK_INFO and REGION_INFO hold less than IVolumeClient3's structures of the same purpose;
// widened, the missing members have their default values and PARTITIONSTYLE_UNKNOWN stands where the style is
// not told.
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "protocol/dmrp/notification.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

/// "IVolumeClient", "IVolumeClient3".
std::string_view ToString(Revision revision);

DISK_INFO_EX Widen(const DISK_INFO& disk);
/// partitionType and isActive become the members of `mbr`.
REGION_INFO_EX Widen(const REGION_INFO& region);
/// What IVolumeClient tells of a disk.
DISK_INFO Narrow(const DISK_INFO_EX& disk);
/// What IVolumeClient tells of a region; partitionType and isActive are 0 for one without `mbr`.
REGION_INFO Narrow(const REGION_INFO_EX& region);

/// "\device\Harddisk1" without the terminating null; empty for a null pointer.
std::string Text(const std::optional<std::u16string>& counted);

/// Everything that the enumerations of one client returned, taken together.
struct StorageView {
  Revision seen_through = Revision::kIVolumeClient3;
  std::vector<DISK_INFO_EX> disks;                             ///< in the order of the reply
  std::map<LdmObjectId, std::vector<REGION_INFO_EX>> regions;  ///< by disk, in the order of the reply

  [[nodiscard]] const DISK_INFO_EX* FindDisk(LdmObjectId id) const;
  [[nodiscard]] const REGION_INFO_EX* FindRegion(LdmObjectId id) const;
  /// The regions of that disk, none if it is not there.
  [[nodiscard]] const std::vector<REGION_INFO_EX>& RegionsOf(LdmObjectId disk) const;

  friend bool operator==(const StorageView&, const StorageView&) = default;
};

/// One object that differs between two views.
struct ObjectDifference {
  DMNOTIFY_INFO_TYPE type = DMNOTIFY_UNKNOWN_INFO;
  LDMACTION action = LDMACTION_UNKNOWN;
  LdmObjectId id = 0;
  std::int64_t state_before = 0;  ///< lastKnownState; 0 for an object that was not there
  std::int64_t state_after = 0;   ///< likewise
  bool contents_changed = false;  ///< for LDMACTION_MODIFIED: a member besides lastKnownState differs
  std::string text;               ///< "REGION 7 MODIFIED: length 1024 -> 512"

  friend bool operator==(const ObjectDifference&, const ObjectDifference&) = default;
};

/// Which objects were created, deleted and modified from `before` to `after`.
std::vector<ObjectDifference> Compare(const StorageView& before, const StorageView& after);

/// "length 1024 -> 512, lastKnownState 3 -> 4"; empty for equal ones.
std::string DifferenceText(const DISK_INFO_EX& before, const DISK_INFO_EX& after);
std::string DifferenceText(const REGION_INFO_EX& before, const REGION_INFO_EX& after);

bool IsFree(const REGION_INFO_EX& region);

}  // namespace dmrp::harness
