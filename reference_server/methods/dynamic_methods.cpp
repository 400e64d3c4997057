// VolumeClient: the methods that make and remove dynamic disks and volumes.
#include "reference_server/methods/disk_conversion.hpp"
#include "reference_server/methods/disk_return.hpp"
#include "reference_server/methods/dynamic_volumes.hpp"
#include "reference_server/methods/mirrors.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/volume_client.hpp"
#include "reference_server/methods/volume_growth.hpp"

#include <optional>
#include <utility>

namespace dmrp::server {

HRESULT VolumeClient::InitializeDisk(dcom::CallContext& call, const InitializeDiskRequest& request,
                                     InitializeDiskReply& reply) {
  return RunNotifiedTask(
      call, "InitializeDisk", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::InitializeDiskEx(*server_, operation, request.diskId, PARTITIONSTYLE_MBR,
                                        request.diskLastKnownState, validated);
      });
}

HRESULT VolumeClient::InitializeDiskEx(dcom::CallContext& call, const InitializeDiskExRequest& request,
                                       InitializeDiskExReply& reply) {
  return RunNotifiedTask(call, "InitializeDiskEx", reply.tinfo,
                         [&](const StorageModel::Operation& operation, bool& validated) {
                           return server::InitializeDiskEx(*server_, operation, request.diskId, request.style,
                                                           request.diskLastKnownState, validated);
                         });
}

HRESULT VolumeClient::UninitializeDisk(dcom::CallContext& call, const UninitializeDiskRequest& request,
                                       UninitializeDiskReply& reply) {
  return StartTask(call, "UninitializeDisk", reply.tinfo, [&](const StorageModel::Operation&) {
    return server::UninitializeDisk(*server_, request.diskId, request.diskLastKnownState);
  });
}

HRESULT VolumeClient::CreateVolume(dcom::CallContext& call, const CreateVolumeRequest& request,
                                   CreateVolumeReply& reply) {
  return RunNotifiedTask(
      call, "CreateVolume", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::CreateVolume(*server_, operation, RevisionOf(call), request, validated);
      });
}

HRESULT VolumeClient::CreateVolumeAssignAndFormat(dcom::CallContext& call,
                                                  const CreateVolumeAssignAndFormatRequest& request,
                                                  CreateVolumeAssignAndFormatReply& reply) {
  CreateVolumeAssignAndFormatExRequest extended;
  extended.volumeSpec = request.volumeSpec;
  extended.diskList = request.diskList;
  extended.letter = request.letter;
  extended.letterLastKnownState = request.letterLastKnownState;
  extended.fsSpec = request.fsSpec;
  extended.quickFormat = request.quickFormat;
  return StartTask(
      call, "CreateVolumeAssignAndFormat", reply.tinfo, [&](const StorageModel::Operation& operation) {
        return server::CreateVolumeAssignAndFormat(*server_, operation, RevisionOf(call), extended);
      });
}

HRESULT VolumeClient::CreateVolumeAssignAndFormatEx(dcom::CallContext& call,
                                                    const CreateVolumeAssignAndFormatExRequest& request,
                                                    CreateVolumeAssignAndFormatExReply& reply) {
  return StartTask(
      call, "CreateVolumeAssignAndFormatEx", reply.tinfo, [&](const StorageModel::Operation& operation) {
        return server::CreateVolumeAssignAndFormat(*server_, operation, RevisionOf(call), request);
      });
}

HRESULT VolumeClient::DeleteVolume(dcom::CallContext& call, const DeleteVolumeRequest& request,
                                   DeleteVolumeReply& reply) {
  return RunNotifiedTask(call, "DeleteVolume", reply.tinfo,
                         [&](const StorageModel::Operation& operation, bool& validated) {
                           return server::DeleteVolume(*server_, operation, request, validated);
                         });
}

HRESULT VolumeClient::ReAttachDisk(dcom::CallContext& call, const ReAttachDiskRequest& request,
                                   ReAttachDiskReply& reply) {
  return RunNotifiedTask(call, "ReAttachDisk", reply.tinfo,
                         [&](const StorageModel::Operation& operation, bool& validated) {
                           return server::ReAttachDisk(*server_, operation, request.diskId,
                                                       request.diskLastKnownState, validated);
                         });
}

HRESULT VolumeClient::ReConnectDisk(dcom::CallContext& call, const ReConnectDiskRequest& request,
                                    ReConnectDiskReply& reply) {
  return StartTask(call, "ReConnectDisk", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::ReConnectDisk(*server_, operation, request.diskId);
  });
}

HRESULT VolumeClient::RestartVolume(dcom::CallContext& call, const RestartVolumeRequest& request,
                                    RestartVolumeReply& reply) {
  return RunNotifiedTask(call, "RestartVolume", reply.tinfo,
                         [&](const StorageModel::Operation& operation, bool& validated) {
                           return server::RestartVolume(*server_, operation, request.volumeId,
                                                        request.volumeLastKnownState, validated);
                         });
}

HRESULT VolumeClient::GrowVolume(dcom::CallContext& call, const GrowVolumeRequest& request,
                                 GrowVolumeReply& reply) {
  return RunNotifiedTask(
      call, "GrowVolume", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::GrowVolume(*server_, operation, RevisionOf(call), request, validated);
      });
}

// No partition number: the boot volume never is a dynamic one here.
HRESULT VolumeClient::AddMirror(dcom::CallContext& call, const AddMirrorRequest& request,
                                AddMirrorReply& reply) {
  std::optional<TaskJob> copying;
  reply.diskNumber = request.diskNumber;
  reply.partitionNumber = 0;
  const HRESULT result = RunNotifiedTask(
      call, "AddMirror", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::AddMirror(*server_, operation, RevisionOf(call), request, validated, copying);
      });
  if (copying) {
    server_->tasks().Start(call, std::move(*copying));
  }
  return result;
}

HRESULT VolumeClient::RemoveMirror(dcom::CallContext& call, const RemoveMirrorRequest& request,
                                   RemoveMirrorReply& reply) {
  return RunNotifiedTask(
      call, "RemoveMirror", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::RemoveMirror(*server_, operation, RevisionOf(call), request, validated);
      });
}

HRESULT VolumeClient::SplitMirror(dcom::CallContext& call, const SplitMirrorRequest& request,
                                  SplitMirrorReply& reply) {
  return RunNotifiedTask(
      call, "SplitMirror", reply.tinfo, [&](const StorageModel::Operation& operation, bool& validated) {
        return server::SplitMirror(*server_, operation, RevisionOf(call), request, validated);
      });
}

HRESULT VolumeClient::ReplaceRaid5Column(dcom::CallContext& call, const ReplaceRaid5ColumnRequest& request,
                                         ReplaceRaid5ColumnReply& reply) {
  std::optional<TaskJob> copying;
  const HRESULT result = RunNotifiedTask(
      call, "ReplaceRaid5Column", reply.tinfo,
      [&](const StorageModel::Operation& operation, bool& validated) {
        return server::ReplaceRaid5Column(*server_, operation, RevisionOf(call), request, validated, copying);
      });
  if (copying) {
    server_->tasks().Start(call, std::move(*copying));
  }
  return result;
}

}  // namespace dmrp::server
