// VolumeClient: the methods that import and merge disk groups, convert disks with partitions, and give
// volumes entries in the partition table.
#include "reference_server/methods/disk_group_merge.hpp"
#include "reference_server/methods/encapsulation.hpp"
#include "reference_server/methods/retained_partitions.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/volume_client.hpp"
#include "reference_server/objects/revision_view.hpp"

namespace dmrp::server {
namespace {

// The reply of either revision. The structures differ, their meaning does not.
template <typename Reply, typename ToDisk, typename ToRegion>
void Fill(const EncapsulationInfo& info, const ToDisk& to_disk, const ToRegion& to_region, Reply& reply) {
  reply.encapInfoFlags = info.flags;
  reply.affectedDiskFlags = info.diskFlags;
  for (const DiskObject& disk : info.disks) {
    reply.affectedDiskList.push_back(to_disk(disk.info));
  }
  for (const VolumeObject& volume : info.volumes) {
    reply.affectedVolumeList.push_back(volume.info);
  }
  for (const RegionObject& region : info.regions) {
    reply.affectedRegionList.push_back(to_region(region.info));
  }
}

template <typename Request>
EncapsulationRequest RequestOf(const Request& request) {
  EncapsulationRequest wanted;
  for (const auto& disk : request.affectedDiskList) {
    wanted.disks.push_back({disk.id, disk.lastKnownState});
  }
  for (const VOLUME_INFO& volume : request.affectedVolumeList) {
    wanted.volumes.push_back(volume.id);
  }
  return wanted;
}

}  // namespace

HRESULT VolumeClient::ImportDiskGroup(dcom::CallContext& call, const ImportDiskGroupRequest& request,
                                      ImportDiskGroupReply& reply) {
  return StartTask(call, "ImportDiskGroup", reply.tinfo, [&](const StorageModel::Operation&) {
    return server::ImportDiskGroup(*server_, request.dgid);
  });
}

HRESULT VolumeClient::DiskMergeQuery(dcom::CallContext& call, const DiskMergeQueryRequest& request,
                                     DiskMergeQueryReply& reply) {
  return RunNotifiedTask(call, "DiskMergeQuery", reply.tinfo,
                         [&](const StorageModel::Operation&, bool& validated) {
                           return server::DiskMergeQuery(*server_, request, reply, validated);
                         });
}

HRESULT VolumeClient::DiskMerge(dcom::CallContext& call, const DiskMergeRequest& request,
                                DiskMergeReply& reply) {
  return RunNotifiedTask(call, "DiskMerge", reply.tinfo,
                         [&](const StorageModel::Operation& operation, bool& validated) {
                           return server::DiskMerge(*server_, operation, request, validated);
                         });
}

HRESULT VolumeClient::GetEncapsulateDiskInfo(dcom::CallContext& call,
                                             const GetEncapsulateDiskInfoRequest& request,
                                             GetEncapsulateDiskInfoReply& reply) {
  return RunTask(
      "GetEncapsulateDiskInfo", reply.tinfo, [&](const StorageModel::Operation&) -> Outcome<LdmObjectId> {
        const auto info = server::GetEncapsulateDiskInfo(*server_, RevisionOf(call), request.diskSpecList);
        if (!info) {
          return tl::unexpected(info.error());
        }
        Fill(*info, ToDiskInfo, ToRegionInfo, reply);
        return 0;
      });
}

HRESULT VolumeClient::GetEncapsulateDiskInfoEx(dcom::CallContext& call,
                                               const GetEncapsulateDiskInfoExRequest& request,
                                               GetEncapsulateDiskInfoExReply& reply) {
  return RunTask(
      "GetEncapsulateDiskInfoEx", reply.tinfo, [&](const StorageModel::Operation&) -> Outcome<LdmObjectId> {
        const auto info = server::GetEncapsulateDiskInfo(*server_, RevisionOf(call), request.diskSpecList);
        if (!info) {
          return tl::unexpected(info.error());
        }
        const auto as_it_is = [](const auto& object) { return object; };
        Fill(*info, as_it_is, as_it_is, reply);
        return 0;
      });
}

HRESULT VolumeClient::EncapsulateDisk(dcom::CallContext& call, const EncapsulateDiskRequest& request,
                                      EncapsulateDiskReply& reply) {
  return RunNotifiedTask(
      call, "EncapsulateDisk", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::EncapsulateDisk(*server_, operation, RevisionOf(call), RequestOf(request),
                                       reply.encapInfoFlags, validated);
      });
}

HRESULT VolumeClient::EncapsulateDiskEx(dcom::CallContext& call, const EncapsulateDiskExRequest& request,
                                        EncapsulateDiskExReply& reply) {
  return RunNotifiedTask(
      call, "EncapsulateDiskEx", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::EncapsulateDisk(*server_, operation, RevisionOf(call), RequestOf(request),
                                       reply.encapInfoFlags, validated);
      });
}

HRESULT VolumeClient::CreatePartitionsForVolume(dcom::CallContext& call,
                                                const CreatePartitionsForVolumeRequest& request,
                                                CreatePartitionsForVolumeReply& reply) {
  return RunNotifiedTask(call, "CreatePartitionsForVolume", reply.tinfo,
                         [&](const StorageModel::Operation& operation, bool& validated) {
                           return server::CreatePartitionsForVolume(*server_, operation, request, validated);
                         });
}

HRESULT VolumeClient::DeletePartitionsForVolume(dcom::CallContext& call,
                                                const DeletePartitionsForVolumeRequest& request,
                                                DeletePartitionsForVolumeReply& reply) {
  return RunNotifiedTask(call, "DeletePartitionsForVolume", reply.tinfo,
                         [&](const StorageModel::Operation& operation, bool& validated) {
                           return server::DeletePartitionsForVolume(*server_, operation, request, validated);
                         });
}

}  // namespace dmrp::server
