// A volume that a method works on, and what keeps it from being locked.
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

#include <vector>

namespace dmrp::server {

/// A partition, a logical drive, a medium without partitions, or a volume over several regions. The pointers
/// hold as long as `state`.
struct VolumeTarget {
  std::shared_ptr<const ObjectState> state;
  LdmObjectId id = 0;
  DiskInventory::Volume volume;
  std::uint64_t length = 0;          ///< octets
  std::uint32_t bytesPerSector = 0;  ///< the largest of its disks
  std::vector<DeviceInfo> devices;   ///< the disks it lies on, without those that are missing
  bool fixed = false;                ///< lies on fixed disks
  bool holdsSystem = false;          ///< has the system directory
  bool holdsPagefile = false;
  const DiskObject* disk = nullptr;      ///< of a partition or medium; null for others
  const RegionObject* region = nullptr;  ///< likewise
};

/// Finds the volume, partition or logical drive that `storage_id` names: LDM_E_NORECORD when there is no such
/// object, LDM_E_INVALID for a region that cannot hold a file system, LDM_E_DISK_NOT_FOUND when the disk
/// went.
Outcome<VolumeTarget> FindVolumeTarget(DiskManagementServer& server, LdmObjectId storage_id);
/// The same, and LDM_E_OBJECT_STALED when `last_known_state` is not the object's.
Outcome<VolumeTarget> FindVolumeTarget(DiskManagementServer& server, LdmObjectId storage_id,
                                       LONGLONG last_known_state);

/// The GUID of the volume's name, made and kept when it has none yet; LDM_E_BAD_DISK where the volume has
/// nothing by which it could be known again.
Outcome<Guid> VolumeNameOf(DiskManagementServer& server, const DiskInventory::Volume& volume);

/// LDM_E_VOLUME_IN_USE when a volume, or a region without one, cannot be locked because somebody uses it.
/// `id` is that of its object.
Outcome<void> TryLock(DiskManagementServer& server, LdmObjectId id, const DiskInventory::Volume& volume);

/// As TryLock; with `force` the volume is taken from its users instead: work on it is stopped, mounts and
/// swapping end, nothing writes to it through its old file system any more. Where that cannot be had it stays
/// LDM_E_VOLUME_IN_USE; programs that have the device itself open are left and logged.
Outcome<void> Release(DiskManagementServer& server, LdmObjectId id, const DiskInventory::Volume& volume,
                      bool force);

/// Takes the device of a volume over several regions away, before its records are deleted; with `force` what
/// its users still have open fails from then on. LDM_E_VOLUME_IN_USE while somebody has it open.
Outcome<void> TakeOffline(DiskManagementServer& server, const DiskInventory::Volume& volume, bool force);

/// Compares what the target lies on with the list of storage objects and commits what changed; `touched` as
/// for CommitDisk.
void CommitTarget(DiskManagementServer& server, const StorageModel::Operation& operation,
                  const VolumeTarget& target, std::initializer_list<LdmObjectId> touched);

}  // namespace dmrp::server
