// CreateVolume, CreateVolumeAssignAndFormat(Ex) and DeleteVolume ([MS-DMRP] 3.2.4.4.1.26 to .28, .31).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

#include <vector>

namespace dmrp::server {

/// `validated` becomes true when the call passed its validation: from then on its end is notified (3.2.4.3).
/// Answers the new volume.
Outcome<LdmObjectId> CreateVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  Revision revision, const CreateVolumeRequest& request, bool& validated);

/// CreateVolumeAssignAndFormat, and with dwFlags CreateVolumeAssignAndFormatEx. All is checked before the
/// volume is made.
Outcome<TaskJob> CreateVolumeAssignAndFormat(DiskManagementServer& server,
                                             const StorageModel::Operation& operation, Revision revision,
                                             const CreateVolumeAssignAndFormatExRequest& request);

/// The part of a method's validation that concerns a list of disks: E_INVALIDARG when it is empty,
/// LDM_E_DISK_NOT_FOUND, LDM_E_OBJECT_STALED. The pointers hold as long as `state`.
Outcome<std::vector<const DiskObject*>> CheckDisks(const ObjectState& state,
                                                   const std::vector<DISK_SPEC>& specs);
/// The record of a disk on which members of volumes can be made: LDM_E_NOSUPPORT, LDM_E_NOTVMDISK,
/// LDM_E_DISK_OTHER_DG, LDM_E_DAOFFLINE, LDM_E_RDONLY.
Outcome<ldm::ObjectId> CheckGround(DiskManagementServer& server, Revision revision, const DiskObject& disk);
/// The same for a member as long as `spec` says: LDM_E_NEG_SIZE, E_INVALIDARG for broken sectors.
Outcome<ldm::MemberRequest> CheckMember(DiskManagementServer& server, Revision revision,
                                        const DISK_SPEC& spec, const DiskObject& disk);

/// Answers the deleted volume.
Outcome<LdmObjectId> DeleteVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  const DeleteVolumeRequest& request, bool& validated);

}  // namespace dmrp::server
