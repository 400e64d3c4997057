#include "reference_server/methods/volume_access.hpp"

#include "protocol/dmrp/hresult.hpp"

#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

DiskInventory::Volume VolumeOf(const DiskObject& disk, const REGION_INFO_EX& region) {
  return {disk.key, static_cast<std::uint64_t>(region.start)};
}

Outcome<VolumeTarget> Find(DiskManagementServer& server, LdmObjectId storage_id,
                           const std::function<bool(const RegionObject&)>& is_current) {
  VolumeTarget target;
  target.state = server.model().State();
  target.region = target.state->FindAs<RegionObject>(storage_id);
  const auto valid = Validate({
      {LDM_E_NORECORD, "storageId names a volume, partition or logical drive in the list",
       [&] { return target.region != nullptr; }},
      {LDM_E_OBJECT_STALED, "storageLastKnownState is that of the object",
       [&] { return is_current(*target.region); }},
      {LDM_E_INVALID, "the region is one that can hold a file system",
       [&] { return target.state->FileSystemOn(storage_id) != nullptr; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  target.disk = target.state->FindAs<DiskObject>(target.region->info.diskId);
  const DeviceInfo* device = target.disk == nullptr ? nullptr : server.inventory().Device(target.disk->key);
  if (device == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("the disk of region {} is not attached", storage_id));
  }
  target.device = *device;
  target.volume = VolumeOf(*target.disk, target.region->info);
  return target;
}

}  // namespace

Outcome<VolumeTarget> FindVolumeTarget(DiskManagementServer& server, LdmObjectId storage_id) {
  return Find(server, storage_id, [](const RegionObject&) { return true; });
}

Outcome<VolumeTarget> FindVolumeTarget(DiskManagementServer& server, LdmObjectId storage_id,
                                       LONGLONG last_known_state) {
  return Find(server, storage_id, [last_known_state](const RegionObject& region) {
    return region.info.lastKnownState == last_known_state;
  });
}

Outcome<Guid> VolumeNameOf(DiskManagementServer& server, const DiskInventory::Volume& volume) {
  const auto id = server.inventory().IdOf(volume);
  if (!id) {
    return Reject(LDM_E_BAD_DISK, fmt::format("the volume at {} of {} has nothing to be known by again",
                                              volume.start, volume.disk_key));
  }
  const auto name = server.mounts().VolumeName(*id);
  if (!name) {
    return Reject(name.error());
  }
  return *name;
}

Outcome<void> TryLock(DiskManagementServer& server, const DiskObject& disk, const REGION_INFO_EX& region) {
  const DeviceInfo* device = server.inventory().Device(disk.key);
  if (device == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("disk {} is not attached", disk.info.id));
  }
  if (server.inventory().IsFormatting(VolumeOf(disk, region))) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("region {} is being formatted", region.id));
  }
  const auto use = server.inventory().source().Use(*device, static_cast<std::uint64_t>(region.start));
  if (!use) {
    return Reject(LDM_E_NT_IF_ERROR, use.error().ToString());
  }
  if (use->InUse()) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("region {} is {}", region.id, use->ToString()));
  }
  return {};
}

Outcome<void> Release(DiskManagementServer& server, const DiskObject& disk, const REGION_INFO_EX& region,
                      bool force) {
  auto locked = TryLock(server, disk, region);
  if (locked || !force || locked.error().hr != LDM_E_VOLUME_IN_USE) {
    return locked;
  }
  if (!server.tasks().StopWorkOn(region.id)) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("work on region {} does not end", region.id));
  }
  const DeviceInfo* device = server.inventory().Device(disk.key);
  const auto left =
      server.inventory().source().ReleaseByForce(*device, static_cast<std::uint64_t>(region.start));
  if (!left || left->InUse()) {
    server.Log(fmt::format("region {} is taken although {}", region.id,
                           left ? left->ToString() : left.error().ToString()));
  }
  return {};
}

}  // namespace dmrp::server
