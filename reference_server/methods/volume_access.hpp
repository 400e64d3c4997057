// A volume that a method works on, and what keeps it from being locked.
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

namespace dmrp::server {

/// A partition, a logical drive or a medium without partitions, with the disk that it lies on. The pointers
/// hold as long as `state`.
struct VolumeTarget {
  std::shared_ptr<const ObjectState> state;
  const DiskObject* disk = nullptr;
  const RegionObject* region = nullptr;
  DeviceInfo device;
  DiskInventory::Volume volume;
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

/// LDM_E_VOLUME_IN_USE when a region cannot be locked because somebody uses it.
Outcome<void> TryLock(DiskManagementServer& server, const DiskObject& disk, const REGION_INFO_EX& region);

/// As TryLock; with `force` the region is taken from its users instead: work on it is stopped, mounts are
/// detached, swapping ends. What cannot be taken is left and logged.
Outcome<void> Release(DiskManagementServer& server, const DiskObject& disk, const REGION_INFO_EX& region,
                      bool force);

}  // namespace dmrp::server
