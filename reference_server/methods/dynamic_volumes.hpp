// CreateVolume, CreateVolumeAssignAndFormat(Ex) and DeleteVolume ([MS-DMRP] 3.2.4.4.1.26 to .28, .31).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

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

/// Answers the deleted volume.
Outcome<LdmObjectId> DeleteVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  const DeleteVolumeRequest& request, bool& validated);

}  // namespace dmrp::server
