#include "reference_server/methods/volume_access.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/table_change.hpp"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// The partition, logical drive or medium, when `region` is one.
Outcome<void> FillFromRegion(DiskManagementServer& server, const RegionObject& region, VolumeTarget& target) {
  const auto valid = Validate({
      {LDM_E_INVALID, "the region is one that can hold a file system",
       [&] { return target.state->FileSystemOn(target.id) != nullptr; }},
  });
  if (!valid) {
    return valid;
  }
  target.region = &region;
  target.disk = target.state->FindAs<DiskObject>(region.info.diskId);
  const DeviceInfo* device = target.disk == nullptr ? nullptr : server.inventory().Device(target.disk->key);
  if (device == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("the disk of region {} is not attached", target.id));
  }
  target.volume = {target.disk->key, static_cast<std::uint64_t>(region.info.start)};
  target.length = static_cast<std::uint64_t>(region.info.length);
  target.bytesPerSector = target.disk->info.bytesPerSector;
  target.devices = {*device};
  target.fixed = target.disk->info.deviceType == DEVICETYPE_FDISK;
  target.holdsSystem = (region.info.rflags & REGION_IS_SYSTEM_PARTITION) != 0;
  target.holdsPagefile = (region.info.rflags & REGION_HAS_PAGEFILE) != 0;
  return {};
}

void FillFromVolume(DiskManagementServer& server, const VolumeObject& volume, VolumeTarget& target) {
  target.volume.volume_key = volume.key;
  target.length = static_cast<std::uint64_t>(volume.info.length);
  target.fixed = true;
  target.holdsSystem = (volume.info.vflags & VOLUME_IS_SYSTEM_VOLUME) != 0;
  target.holdsPagefile = (volume.info.vflags & VOLUME_HAS_PAGEFILE) != 0;
  for (const RegionObject& member : target.state->MembersOf(target.id)) {
    const auto* disk = target.state->FindAs<DiskObject>(member.info.diskId);
    if (disk == nullptr) {
      continue;
    }
    target.bytesPerSector = std::max(target.bytesPerSector, disk->info.bytesPerSector);
    if (const DeviceInfo* device = server.inventory().Device(disk->key)) {
      target.devices.push_back(*device);
    }
  }
}

Outcome<VolumeTarget> Find(DiskManagementServer& server, LdmObjectId storage_id,
                           const std::function<bool(LONGLONG)>& is_current) {
  VolumeTarget target;
  target.state = server.model().State();
  target.id = storage_id;
  const auto* region = target.state->FindAs<RegionObject>(storage_id);
  const auto* volume = target.state->FindAs<VolumeObject>(storage_id);
  const auto valid = Validate({
      {LDM_E_NORECORD, "storageId names a volume, partition or logical drive in the list",
       [&] { return region != nullptr || volume != nullptr; }},
      {LDM_E_OBJECT_STALED, "storageLastKnownState is that of the object",
       [&] {
         return is_current(region != nullptr ? region->info.lastKnownState : volume->info.lastKnownState);
       }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  if (volume != nullptr) {
    FillFromVolume(server, *volume, target);
  } else if (auto filled = FillFromRegion(server, *region, target); !filled) {
    return tl::unexpected(filled.error());
  }
  return target;
}

}  // namespace

Outcome<VolumeTarget> FindVolumeTarget(DiskManagementServer& server, LdmObjectId storage_id) {
  return Find(server, storage_id, [](LONGLONG) { return true; });
}

Outcome<VolumeTarget> FindVolumeTarget(DiskManagementServer& server, LdmObjectId storage_id,
                                       LONGLONG last_known_state) {
  return Find(server, storage_id,
              [last_known_state](LONGLONG current) { return current == last_known_state; });
}

Outcome<Guid> VolumeNameOf(DiskManagementServer& server, const DiskInventory::Volume& volume) {
  const auto id = server.inventory().IdOf(volume);
  if (!id) {
    return Reject(LDM_E_BAD_DISK, fmt::format("{} has nothing to be known by again", volume.ToString()));
  }
  const auto name = server.mounts().VolumeName(*id);
  if (!name) {
    return Reject(name.error());
  }
  return *name;
}

Outcome<void> TryLock(DiskManagementServer& server, LdmObjectId id, const DiskInventory::Volume& volume) {
  if (server.inventory().IsFormatting(volume)) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("{} is being formatted", id));
  }
  const auto use = server.inventory().Use(volume);
  if (!use) {
    return use.error().kind == ErrorKind::kUnavailable ? Reject(LDM_E_DISK_NOT_FOUND, use.error().ToString())
                                                       : Reject(LDM_E_NT_IF_ERROR, use.error().ToString());
  }
  if (use->InUse()) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("{} is {}", id, use->ToString()));
  }
  return {};
}

Outcome<void> Release(DiskManagementServer& server, LdmObjectId id, const DiskInventory::Volume& volume,
                      bool force) {
  auto locked = TryLock(server, id, volume);
  if (locked || !force || locked.error().hr != LDM_E_VOLUME_IN_USE) {
    return locked;
  }
  if (!server.tasks().StopWorkOn(id)) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("work on {} does not end", id));
  }
  const auto left = server.inventory().ReleaseByForce(volume);
  if (!left) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("{} cannot be taken: {}", id, left.error().ToString()));
  }
  if (left->InUse()) {
    server.Log(fmt::format("{} is taken although {}", id, left->ToString()));
  }
  return {};
}

Outcome<void> TakeOffline(DiskManagementServer& server, const DiskInventory::Volume& volume, bool force) {
  const auto gone = server.inventory().TakeOffline(volume, force);
  if (!gone) {
    const bool busy = gone.error().kind == ErrorKind::kSystem && gone.error().status == EBUSY;
    return Reject(busy ? LDM_E_VOLUME_IN_USE : LDM_E_NT_IF_ERROR, gone.error().ToString());
  }
  return {};
}

void CommitTarget(DiskManagementServer& server, const StorageModel::Operation& operation,
                  const VolumeTarget& target, std::initializer_list<LdmObjectId> touched) {
  if (target.disk != nullptr) {
    CommitDisk(server, operation, *target.disk, touched);
  } else {
    CommitSystem(server, operation, touched);
  }
}

}  // namespace dmrp::server
