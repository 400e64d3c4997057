// VolumeClient: EnumDisks(Ex) and EnumDiskRegions(Ex) ([MS-DMRP] 3.2.4.4.1.1, .2, 3.2.4.4.3.1, .2).
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/volume_client.hpp"
#include "reference_server/objects/revision_view.hpp"

#include <fmt/format.h>

namespace dmrp::server {
namespace {

Outcome<std::vector<RegionObject>> RegionsOfDisk(const ObjectState& state, LdmObjectId disk_id) {
  const auto valid = Validate({{LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list",
                                [&] { return state.FindAs<DiskObject>(disk_id) != nullptr; }}});
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return state.RegionsOf(disk_id);
}

}  // namespace

HRESULT VolumeClient::EnumDisks(dcom::CallContext& /*call*/, const EnumDisksRequest& /*request*/,
                                EnumDisksReply& reply) {
  for (const DiskObject& disk : server_->model().State()->Disks()) {
    reply.diskList.push_back(ToDiskInfo(disk.info));
  }
  return 0;
}

HRESULT VolumeClient::EnumDisksEx(dcom::CallContext& /*call*/, const EnumDisksExRequest& /*request*/,
                                  EnumDisksExReply& reply) {
  for (const DiskObject& disk : server_->model().State()->Disks()) {
    reply.diskList.push_back(disk.info);
  }
  return 0;
}

HRESULT VolumeClient::EnumDiskRegions(dcom::CallContext& /*call*/, const EnumDiskRegionsRequest& request,
                                      EnumDiskRegionsReply& reply) {
  const auto regions = RegionsOfDisk(*server_->model().State(), request.diskId);
  if (!regions) {
    return Report("EnumDiskRegions", regions.error());
  }
  for (const RegionObject& region : *regions) {
    reply.regionList.push_back(ToRegionInfo(region.info));
  }
  return 0;
}

HRESULT VolumeClient::EnumDiskRegionsEx(dcom::CallContext& /*call*/, const EnumDiskRegionsExRequest& request,
                                        EnumDiskRegionsExReply& reply) {
  const auto regions = RegionsOfDisk(*server_->model().State(), request.diskId);
  if (!regions) {
    return Report("EnumDiskRegionsEx", regions.error());
  }
  for (const RegionObject& region : *regions) {
    reply.regionList.push_back(region.info);
  }
  return 0;
}

}  // namespace dmrp::server
