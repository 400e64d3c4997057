#include "reference_server/methods/partitions.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/table_change.hpp"

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

// Whether the partition may be taken from its users, and taking it when it has to be.
Outcome<void> Release(DiskManagementServer& server, const DiskObject& disk, const REGION_INFO_EX& region,
                      bool force) {
  const DeviceInfo* device = server.inventory().Device(disk.key);
  if (device == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("disk {} is not attached", disk.info.id));
  }
  DiskSource& source = server.inventory().source();
  const auto start = static_cast<std::uint64_t>(region.start);
  const auto use = source.Use(*device, start);
  if (!use) {
    return Reject(LDM_E_NT_IF_ERROR, use.error().ToString());
  }
  if (!use->InUse()) {
    return {};
  }
  if (!force) {
    return Reject(LDM_E_VOLUME_IN_USE, fmt::format("region {} is {}", region.id, use->ToString()));
  }
  const auto left = source.ReleaseByForce(*device, start);
  if (!left || left->InUse()) {
    server.Log(fmt::format("region {} is deleted although {}", region.id,
                           left ? left->ToString() : left.error().ToString()));
  }
  return {};
}

}  // namespace

Outcome<LdmObjectId> CreatePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const REGION_SPEC& spec) {
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
      {LDM_E_NO_ASSOC, "the region lies on the disk named",
       [&] { return region->info.diskId == spec.diskId; }},
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
  const CreateRequest request{.kind = *kind,
                              .freeRegion = static_cast<std::uint64_t>(region->info.start),
                              .start = spec.start,
                              .length = spec.length,
                              .alignment = Alignment::kSector};
  const auto change = ChangeTable(
      server, operation, *disk,
      [&request](BlockDevice& device) { return server::CreatePartition(device, request); }, {spec.diskId});
  if (!change) {
    return tl::unexpected(change.error());
  }
  return RegionAt(*server.model().State(), spec.diskId, static_cast<LONGLONG>(change->region.start),
                  spec.regionType);
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
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  if (auto released = Release(server, *disk, region->info, force); !released) {
    return tl::unexpected(released.error());
  }
  const auto start = static_cast<std::uint64_t>(region->info.start);
  const auto change = ChangeTable(
      server, operation, *disk,
      [&](BlockDevice& device) { return server::DeletePartition(device, *kind, start); }, {spec.diskId});
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
  const auto change =
      ChangeTable(server, operation, *disk,
                  [start](BlockDevice& device) { return MarkActive(device, start); }, {region_id});
  if (!change) {
    return tl::unexpected(change.error());
  }
  return 0;
}

}  // namespace dmrp::server
