#include "reference_server/methods/media.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_client.hpp"
#include "reference_server/platform/media.hpp"

#include <cerrno>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

tl::unexpected<Refusal> RejectEjection(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kUnsupported:
      return Reject(LDM_E_NOSUPPORT, error.ToString());
    case ErrorKind::kUnavailable:
      return Reject(LDM_E_DISK_NOT_FOUND, error.ToString());
    case ErrorKind::kSystem:
      return Reject(error.status == EBUSY ? LDM_E_VOLUME_IN_USE : LDM_E_IO_ERROR, error.ToString());
    default:
      return Reject(LDM_E_IO_ERROR, error.ToString());
  }
}

// Nobody may use the disk as a whole or anything on it.
Outcome<void> NeedUnused(DiskSource& source, const DeviceInfo& device,
                         const std::vector<RegionObject>& regions) {
  std::vector<std::uint64_t> starts = {0};
  for (const RegionObject& region : regions) {
    if (!IsFree(region.info.regionType)) {
      starts.push_back(static_cast<std::uint64_t>(region.info.start));
    }
  }
  for (const std::uint64_t start : starts) {
    const auto use = source.Use(device, start);
    if (!use) {
      return Reject(LDM_E_NT_IF_ERROR, use.error().ToString());
    }
    if (use->InUse()) {
      return Reject(LDM_E_VOLUME_IN_USE, fmt::format("{} at {} is {}", device.name, start, use->ToString()));
    }
  }
  return {};
}

}  // namespace

Outcome<LdmObjectId> Eject(DiskManagementServer& server, const StorageModel::Operation& operation,
                           LdmObjectId disk_id, LONGLONG last_known_state) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(disk_id);
  const DeviceInfo* found = disk == nullptr ? nullptr : server.inventory().Device(disk->key);
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
      {LDM_E_OBJECT_STALED, "diskLastKnownState is that of the disk",
       [&] { return last_known_state == disk->info.lastKnownState; }},
      {LDM_E_DISK_NOT_FOUND, "the drive is attached", [&] { return found != nullptr; }},
      {LDM_E_NOSUPPORT, "the drive opens by command", [&] { return CanEject(*found); }},
      {LDM_E_BAD_DISK, "a medium is in the drive",
       [&] { return (disk->info.deviceState & DEVICESTATE_NO_MEDIA) == 0; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  const DeviceInfo device = *found;
  DiskSource& source = server.inventory().source();
  if (auto unused = NeedUnused(source, device, state->RegionsOf(disk_id)); !unused) {
    return tl::unexpected(unused.error());
  }
  const auto ejected = source.Eject(device);
  // Whatever happened, the list follows what is in the drive now; only a success modifies the disk in any
  // case.
  if (!ejected) {
    CommitDisk(server, operation, *disk, {});
    return RejectEjection(ejected.error());
  }
  CommitDisk(server, operation, *disk, {disk_id});
  return 0;
}

HRESULT VolumeClient::Eject(dcom::CallContext& /*call*/, const EjectRequest& request, EjectReply& reply) {
  return RunTask("Eject", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::Eject(*server_, operation, request.diskId, request.diskLastKnownState);
  });
}

}  // namespace dmrp::server
