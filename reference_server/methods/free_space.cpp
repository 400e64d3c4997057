#include "reference_server/methods/free_space.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/volume_client.hpp"

#include <algorithm>
#include <vector>

namespace dmrp::server {
namespace {

// Whether the partition table has an entry left for a primary partition.
bool HasFreeEntry(const DISK_INFO_EX& disk, const std::vector<RegionObject>& regions) {
  const auto used = std::ranges::count_if(regions, [](const RegionObject& region) {
    return region.info.regionType == REGION_PRIMARY || region.info.regionType == REGION_EXTENDED;
  });
  return static_cast<std::uint32_t>(used) < disk.maxPartitionCount;
}

}  // namespace

Outcome<LONGLONG> MaxAdjustedFreeSpace(const ObjectState& state, Revision revision, LdmObjectId disk_id) {
  const auto* disk = state.FindAs<DiskObject>(disk_id);
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
      {LDM_E_NOSUPPORT, "the interface can be used with the disk",
       [&] { return MayUse(revision, disk->info); }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  if ((disk->info.attributes & DEVICEATTR_RDONLY) != 0) {
    return 0;
  }
  const std::vector<RegionObject> regions = state.RegionsOf(disk_id);
  // Volumes take no entry of the table.
  const bool primary = disk->info.deviceType == DEVICETYPE_VM || HasFreeEntry(disk->info, regions);
  LONGLONG largest = 0;
  for (const RegionObject& region : regions) {
    const bool usable =
        region.info.regionType == REGION_EXTENDED_FREE || (region.info.regionType == REGION_FREE && primary);
    if (usable) {
      largest = std::max(largest, region.info.length);
    }
  }
  return largest;
}

HRESULT VolumeClient::GetMaxAdjustedFreeSpace(dcom::CallContext& call,
                                              const GetMaxAdjustedFreeSpaceRequest& request,
                                              GetMaxAdjustedFreeSpaceReply& reply) {
  const auto largest = MaxAdjustedFreeSpace(*server_->model().State(), RevisionOf(call), request.diskId);
  if (!largest) {
    return Report("GetMaxAdjustedFreeSpace", largest.error());
  }
  reply.maxAdjustedFreeSpace = *largest;
  return 0;
}

}  // namespace dmrp::server
