// VolumeClient: enumerations of volumes, letters and file systems, names of volumes, mounted folders.
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/access_paths.hpp"
#include "reference_server/methods/drive_letters.hpp"
#include "reference_server/methods/formatting.hpp"
#include "reference_server/methods/volume_access.hpp"
#include "reference_server/methods/volume_client.hpp"
#include "reference_server/storage/volume_name.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

Outcome<void> CheckDynamicVolume(const ObjectState& state, LdmObjectId volume_id) {
  return Validate({{LDM_E_NORECORD, "volumeId names a dynamic volume in the list", [&] {
                      const auto* volume = state.FindAs<VolumeObject>(volume_id);
                      return volume != nullptr && volume->info.type == VOLUMETYPE_VM;
                    }}});
}

}  // namespace

HRESULT VolumeClient::EnumDriveLetters(dcom::CallContext& /*call*/,
                                       const EnumDriveLettersRequest& /*request*/,
                                       EnumDriveLettersReply& reply) {
  for (const DriveLetterObject& letter : server_->model().State()->DriveLetters()) {
    reply.driveLetterList.push_back(letter.info);
  }
  return 0;
}

HRESULT VolumeClient::EnumLocalFileSystems(dcom::CallContext& /*call*/,
                                           const EnumLocalFileSystemsRequest& /*request*/,
                                           EnumLocalFileSystemsReply& reply) {
  for (const FileSystemObject& system : server_->model().State()->FileSystems()) {
    reply.fileSystemList.push_back(system.info);
  }
  return 0;
}

HRESULT VolumeClient::GetInstalledFileSystems(dcom::CallContext& /*call*/,
                                              const GetInstalledFileSystemsRequest& /*request*/,
                                              GetInstalledFileSystemsReply& reply) {
  reply.fsList = ListInstalledFileSystems();
  return 0;
}

HRESULT VolumeClient::EnumVolumes(dcom::CallContext& /*call*/, const EnumVolumesRequest& /*request*/,
                                  EnumVolumesReply& reply) {
  for (const VolumeObject& volume : server_->model().State()->Volumes()) {
    if (volume.info.type == VOLUMETYPE_VM) {
      reply.LdmVolumeList.push_back(volume.info);
    }
  }
  return 0;
}

HRESULT VolumeClient::EnumVolumeMembers(dcom::CallContext& /*call*/, const EnumVolumeMembersRequest& request,
                                        EnumVolumeMembersReply& reply) {
  const auto state = server_->model().State();
  if (auto valid = CheckDynamicVolume(*state, request.volumeId); !valid) {
    return Report("EnumVolumeMembers", valid.error());
  }
  for (const RegionObject& region : state->MembersOf(request.volumeId)) {
    reply.memberList.push_back(region.info.id);
  }
  return 0;
}

HRESULT VolumeClient::GetVolumeMountName(dcom::CallContext& /*call*/,
                                         const GetVolumeMountNameRequest& request,
                                         GetVolumeMountNameReply& reply) {
  const auto operation = server_->model().BeginOperation();
  const auto target = FindVolumeTarget(*server_, request.volumeId);
  if (!target) {
    return Report("GetVolumeMountName", target.error());
  }
  const auto name = VolumeNameOf(*server_, target->volume);
  if (!name) {
    return Report("GetVolumeMountName", name.error());
  }
  reply.mountName = VolumeMountName(*name) + u'\0';
  return 0;
}

HRESULT VolumeClient::GetVolumeDeviceName(dcom::CallContext& /*call*/,
                                          const GetVolumeDeviceNameRequest& request,
                                          GetVolumeDeviceNameReply& reply) {
  const auto operation = server_->model().BeginOperation();
  const auto state = server_->model().State();
  if (auto valid = CheckDynamicVolume(*state, request._volumeId); !valid) {
    return Report("GetVolumeDeviceName", valid.error());
  }
  const auto* volume = state->FindAs<VolumeObject>(request._volumeId);
  const GroupVolume* found = server_->inventory().groups().FindVolume(volume->key);
  if (found == nullptr) {
    return Report("GetVolumeDeviceName",
                  Refusal{LDM_E_NOENT, fmt::format("volume {} is gone", request._volumeId)});
  }
  reply.pwszVolumeDevice = u"\\Device\\" + ToUtf16(found->name).value_or(u"") + u'\0';
  return 0;
}

HRESULT VolumeClient::EnumAccessPath(dcom::CallContext& /*call*/, const EnumAccessPathRequest& /*request*/,
                                     EnumAccessPathReply& reply) {
  const auto operation = server_->model().BeginOperation();
  auto paths = EnumerateAccessPaths(*server_, 0);
  if (!paths) {
    return Report("EnumAccessPath", paths.error());
  }
  reply.paths = std::move(*paths);
  return 0;
}

HRESULT VolumeClient::EnumAccessPathForVolume(dcom::CallContext& /*call*/,
                                              const EnumAccessPathForVolumeRequest& request,
                                              EnumAccessPathForVolumeReply& reply) {
  const auto operation = server_->model().BeginOperation();
  if (const auto target = FindVolumeTarget(*server_, request.VolumeId); !target) {
    return Report("EnumAccessPathForVolume", target.error());
  }
  auto paths = EnumerateAccessPaths(*server_, request.VolumeId);
  if (!paths) {
    return Report("EnumAccessPathForVolume", paths.error());
  }
  reply.paths = std::move(*paths);
  return 0;
}

HRESULT VolumeClient::AddAccessPath(dcom::CallContext& /*call*/, const AddAccessPathRequest& request,
                                    AddAccessPathReply& /*reply*/) {
  const auto operation = server_->model().BeginOperation();
  const auto added = server::AddAccessPath(*server_, request);
  return added ? 0 : Report("AddAccessPath", added.error());
}

HRESULT VolumeClient::DeleteAccessPath(dcom::CallContext& /*call*/, const DeleteAccessPathRequest& request,
                                       DeleteAccessPathReply& /*reply*/) {
  const auto operation = server_->model().BeginOperation();
  const auto deleted = server::DeleteAccessPath(*server_, request);
  return deleted ? 0 : Report("DeleteAccessPath", deleted.error());
}

}  // namespace dmrp::server
