#include "reference_server/methods/partitions.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_access.hpp"

#include <optional>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

std::optional<RegionKind> PartitionKind(REGIONTYPE type) {
  switch (type) {
    case REGION_PRIMARY:
      return RegionKind::kPrimary;
    case REGION_LOGICAL:
      return RegionKind::kLogical;
    case REGION_EXTENDED:
      return RegionKind::kExtended;
    default:
      return std::nullopt;
  }
}

LdmObjectId RegionAt(const ObjectState& state, LdmObjectId disk_id, LONGLONG start, REGIONTYPE type) {
  for (const RegionObject& region : state.RegionsOf(disk_id)) {
    if (region.info.start == start && region.info.regionType == type) {
      return region.info.id;
    }
  }
  return 0;
}

}  // namespace

Outcome<CreateRequest> CheckCreatePartition(const ObjectState& state, Revision revision,
                                            const REGION_SPEC& spec, const LaterChecks& later) {
  const auto* disk = state.FindAs<DiskObject>(spec.diskId);
  const auto* region = state.FindAs<RegionObject>(spec.regionId);
  const auto kind = PartitionKind(spec.regionType);
  const auto known = Validate({
      {LDM_E_DISK_NOT_FOUND, "partitionSpec.diskId names a disk in the list",
       [&] { return disk != nullptr; }},
      {LDM_E_NORECORD, "partitionSpec.regionId names a region in the list",
       [&] { return region != nullptr; }},
      {LDM_E_OBJECT_STALED, "partitionSpec.lastKnownState is that of the region",
       [&] { return spec.lastKnownState == region->info.lastKnownState; }},
      {LDM_E_NO_ASSOC, "the region lies on the disk named",
       [&] { return region->info.diskId == spec.diskId; }},
  });
  if (!known) {
    return tl::unexpected(known.error());
  }
  if (later) {
    if (auto passed = later(); !passed) {
      return tl::unexpected(passed.error());
    }
  }
  const auto valid = Validate({
      {LDM_E_NOSUPPORT, "the interface can be used with the disk",
       [&] { return MayUse(revision, disk->info); }},
      {LDM_E_INVALID, "the region is free", [&] { return IsFree(region->info.regionType); }},
      {LDM_E_INVALID_FIELD, "partitionSpec.regionType is primary, logical or extended",
       [&] { return kind.has_value(); }},
      {LDM_E_NEG_SIZE, "partitionSpec.start is not negative and length is positive",
       [&] { return spec.start >= 0 && spec.length > 0; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return CreateRequest{.kind = *kind,
                       .freeRegion = static_cast<std::uint64_t>(region->info.start),
                       .start = spec.start,
                       .length = spec.length,
                       .alignment = Alignment::kSector};
}

Outcome<LdmObjectId> MakePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                   const REGION_SPEC& spec, const CreateRequest& request) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(spec.diskId);
  const auto change = ChangeTable(
      server, operation, *disk,
      [&request](BlockDevice& device) { return server::CreatePartition(device, request); }, {spec.diskId});
  if (!change) {
    return tl::unexpected(change.error());
  }
  return RegionAt(*server.model().State(), spec.diskId, static_cast<LONGLONG>(change->region.start),
                  spec.regionType);
}

Outcome<LdmObjectId> CreatePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const REGION_SPEC& spec) {
  const auto request = CheckCreatePartition(*server.model().State(), revision, spec);
  if (!request) {
    return tl::unexpected(request.error());
  }
  return MakePartition(server, operation, spec, *request);
}

Outcome<LdmObjectId> DeletePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const REGION_SPEC& spec, bool force) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(spec.diskId);
  const auto* region = state->FindAs<RegionObject>(spec.regionId);
  const auto kind = PartitionKind(spec.regionType);
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "partitionSpec.diskId names a disk in the list",
       [&] { return disk != nullptr; }},
      {LDM_E_NORECORD, "partitionSpec.regionId names a region in the list",
       [&] { return region != nullptr; }},
      {LDM_E_OBJECT_STALED, "partitionSpec.lastKnownState is that of the region",
       [&] { return spec.lastKnownState == region->info.lastKnownState; }},
      {LDM_E_INVALID_FIELD, "partitionSpec.regionType is that of the region",
       [&] { return spec.regionType == region->info.regionType; }},
      {E_INVALIDARG, "partitionSpec.start is that of the region",
       [&] { return spec.start == region->info.start; }},
      {LDM_E_TOO_SMALL, "partitionSpec.length is at least that of the region",
       [&] { return spec.length >= region->info.length; }},
      {LDM_E_NO_ASSOC, "the region lies on the disk named",
       [&] { return region->info.diskId == spec.diskId; }},
      {LDM_E_NOSUPPORT, "the interface can be used with the disk",
       [&] { return MayUse(revision, disk->info); }},
      {LDM_E_INVALID, "the region is a partition", [&] { return kind.has_value(); }},
      {LDM_E_ASSOC, "the partition is no member of an FT set", [&] { return region->info.volId == 0; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  const auto start = static_cast<std::uint64_t>(region->info.start);
  const DiskInventory::Volume volume{disk->key, start};
  if (auto released = Release(server, spec.regionId, volume, force); !released) {
    return tl::unexpected(released.error());
  }
  const auto id = server.inventory().IdOf(volume);
  const auto change = ChangeTable(
      server, operation, *disk,
      [&](BlockDevice& device) {
        auto deleted = server::DeletePartition(device, *kind, start);
        if (deleted && id) {
          // A partition that is made at the same place later is another one.
          if (auto forgotten = server.mounts().Forget(*id); !forgotten) {
            server.Log("letter and name of a deleted partition stay: " + forgotten.error().ToString());
          }
        }
        return deleted;
      },
      {spec.diskId});
  if (!change) {
    return tl::unexpected(change.error());
  }
  return spec.regionId;
}

Outcome<LdmObjectId> MarkActivePartition(DiskManagementServer& server,
                                         const StorageModel::Operation& operation, LdmObjectId region_id,
                                         LONGLONG last_known_state) {
  const auto state = server.model().State();
  const auto* region = state->FindAs<RegionObject>(region_id);
  const auto valid = Validate({
      {LDM_E_NORECORD, "regionId names a region in the list", [&] { return region != nullptr; }},
      {LDM_E_OBJECT_STALED, "regionLastKnownState is that of the region",
       [&] { return last_known_state == region->info.lastKnownState; }},
      {LDM_E_NOSUPPORT, "the disk has an MBR, which alone has an active partition",
       [&] { return region->info.partitionStyle == PARTITIONSTYLE_MBR; }},
      {LDM_E_INVALID, "the region is a primary partition",
       [&] { return region->info.regionType == REGION_PRIMARY; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  const auto* disk = state->FindAs<DiskObject>(region->info.diskId);
  if (disk == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("region {} has lost its disk", region_id));
  }
  const auto start = static_cast<std::uint64_t>(region->info.start);
  const auto change = ChangeTable(server, operation, *disk,
                                  [start](BlockDevice& device) { return MarkActive(device, start); }, {});
  if (!change) {
    return tl::unexpected(change.error());
  }
  return 0;
}

}  // namespace dmrp::server
