// VolumeClient: the methods about the FT sets of Windows NT.
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/ft_changes.hpp"
#include "reference_server/methods/volume_client.hpp"

namespace dmrp::server {
namespace {

// All of these leave storageId 0 in their TASK_INFO: it is not required (3.2.4.4.1.12 to .17).
Outcome<LdmObjectId> Answer(const Outcome<void>& done) {
  return done ? Outcome<LdmObjectId>(0) : tl::unexpected(done.error());
}

template <typename Request>
FtReplacement ReplacementOf(const Request& request) {
  return {.volumeId = request.volumeId,
          .volumeLastKnownState = request.volumeLastKnownState,
          .newRegionId = request.newRegionId,
          .newRegionLastKnownState = request.newRegionLastKnownState,
          .flags = request.flags};
}

}  // namespace

HRESULT VolumeClient::FTEnumVolumes(dcom::CallContext& /*call*/, const FTEnumVolumesRequest& /*request*/,
                                    FTEnumVolumesReply& reply) {
  for (const VolumeObject& volume : server_->model().State()->Volumes()) {
    if (volume.info.type == VOLUMETYPE_FT) {
      reply.ftVolumeList.push_back(volume.info);
    }
  }
  return 0;
}

HRESULT VolumeClient::FTEnumLogicalDiskMembers(dcom::CallContext& /*call*/,
                                               const FTEnumLogicalDiskMembersRequest& request,
                                               FTEnumLogicalDiskMembersReply& reply) {
  const auto state = server_->model().State();
  const auto valid = Validate({{LDM_E_NORECORD, "volumeId names an FT volume in the list", [&] {
                                  const auto* volume = state->FindAs<VolumeObject>(request.volumeId);
                                  return volume != nullptr && volume->info.type == VOLUMETYPE_FT;
                                }}});
  if (!valid) {
    return Report("FTEnumLogicalDiskMembers", valid.error());
  }
  for (const RegionObject& region : state->MembersOf(request.volumeId)) {
    reply.memberList.push_back(region.info.id);
  }
  return 0;
}

HRESULT VolumeClient::FTDeleteVolume(dcom::CallContext& /*call*/, const FTDeleteVolumeRequest& request,
                                     FTDeleteVolumeReply& reply) {
  return RunTask("FTDeleteVolume", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return Answer(DeleteFtVolume(*server_, operation, request));
  });
}

HRESULT VolumeClient::FTBreakMirror(dcom::CallContext& /*call*/, const FTBreakMirrorRequest& request,
                                    FTBreakMirrorReply& reply) {
  return RunTask("FTBreakMirror", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return Answer(BreakFtMirror(*server_, operation, request));
  });
}

HRESULT VolumeClient::FTResyncMirror(dcom::CallContext& /*call*/, const FTResyncMirrorRequest& request,
                                     FTResyncMirrorReply& reply) {
  return RunTask("FTResyncMirror", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return Answer(ResyncFtMirror(*server_, operation, request));
  });
}

HRESULT VolumeClient::FTRegenerateParityStripe(dcom::CallContext& /*call*/,
                                               const FTRegenerateParityStripeRequest& request,
                                               FTRegenerateParityStripeReply& reply) {
  return RunTask("FTRegenerateParityStripe", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return Answer(RegenerateFtParity(*server_, operation, request));
  });
}

HRESULT VolumeClient::FTReplaceMirrorPartition(dcom::CallContext& /*call*/,
                                               const FTReplaceMirrorPartitionRequest& request,
                                               FTReplaceMirrorPartitionReply& reply) {
  return RunTask("FTReplaceMirrorPartition", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return Answer(ReplaceFtMember(*server_, operation, ft::FtType::kMirror, ReplacementOf(request)));
  });
}

HRESULT VolumeClient::FTReplaceParityStripePartition(dcom::CallContext& /*call*/,
                                                     const FTReplaceParityStripePartitionRequest& request,
                                                     FTReplaceParityStripePartitionReply& reply) {
  return RunTask(
      "FTReplaceParityStripePartition", reply.tinfo, [&](const StorageModel::Operation& operation) {
        return Answer(
            ReplaceFtMember(*server_, operation, ft::FtType::kStripeWithParity, ReplacementOf(request)));
      });
}

}  // namespace dmrp::server
