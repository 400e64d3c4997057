// Finds what changed: compares what storage sees now with the list of storage objects. Every path that alters
// the list uses it (methods after their storage operation, Refresh, local events), so that the notifications
// are by construction the difference between two enumerations.
#pragma once

#include "reference_server/objects/change_set.hpp"

#include <optional>
#include <string>
#include <vector>

namespace dmrp::server {

/// A region as storage sees it. Identifiers, lastKnownState and taskId of `info` have no meaning here.
struct ObservedRegion {
  REGION_INFO_EX info;
  std::optional<FileSystemObject> file_system;
  char16_t letter = 0;     ///< the drive letter that the mount manager keeps for it, a capital; 0 for none
  std::string volume_key;  ///< VolumeObject::key of the volume whose member it is; empty for none
};

/// A disk as storage sees it, with its regions. Identifiers, lastKnownState and taskId have no meaning here.
struct ObservedDisk {
  std::string key;  ///< as DiskObject::key
  DISK_INFO_EX info;
  std::vector<ObservedRegion> regions;
  /// The letter of a drive without a medium, or whose medium has nothing that could carry it: it leads to the
  /// disk itself (3.2.4.4.1.9); 0 for none.
  char16_t letter = 0;
};

/// A dynamic or FT volume as storage sees it. Identifiers, lastKnownState and taskId of `info` have no
/// meaning here.
struct ObservedVolume {
  std::string key;  ///< as VolumeObject::key
  VOLUME_INFO info;
  std::optional<FileSystemObject> file_system;
  char16_t letter = 0;  ///< as ObservedRegion::letter
};

/// Everything that storage sees.
struct ObservedSystem {
  std::vector<ObservedDisk> disks;
  std::vector<ObservedVolume> volumes;
};

/// The drive letters of a server that starts, C to Z (note 75), all free.
[[nodiscard]] ChangeSet InitialDriveLetters();

/// The changes that turn the list into what was observed, for all disks and volumes of the system: disks that
/// are not in `observed` are removed (3.2.6.2), new ones added (3.2.6.1), others compared (3.2.6.3, 3.2.6.7,
/// 3.2.6.8), then the volumes. A disk that goes is the last of all: its regions and the volumes that used
/// them change before.
///
/// Regions keep their identity by type and start, partitions of GPT disks by partitionId as well; a free
/// region that shrank or grew is the one that it overlaps most. A disk that is converted between basic and
/// dynamic keeps its identity and none of its regions (3.2.4.4.1.35, .36). Letters follow the regions and
/// volumes; letters that are not in the list are passed over.
[[nodiscard]] ChangeSet ReconcileSystem(const ObjectState& state, const std::vector<ObservedDisk>& observed,
                                        const std::vector<ObservedVolume>& volumes = {});

/// The same for one disk that is in the list or is new. Its regions stay with the volumes that the list has;
/// the volumes themselves are not looked at.
[[nodiscard]] ChangeSet ReconcileDisk(const ObjectState& state, const ObservedDisk& observed);

/// The changes by which a disk leaves the list, its regions and file systems first (3.2.6.2).
[[nodiscard]] ChangeSet RemoveDisk(const ObjectState& state, LdmObjectId disk_id);

}  // namespace dmrp::server
