// ReAttachDisk, ReConnectDisk and RestartVolume ([MS-DMRP] 3.2.4.4.1.41, .37, .43): what was away or failed
// comes back online.
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

namespace dmrp::server {

/// A disk of the primary group that was missing and is back counts as present again; members of mirrors and
/// RAID-5 volumes on it are made whole from then on. `validated` as for CreateVolume.
Outcome<LdmObjectId> ReAttachDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  LdmObjectId disk_id, LONGLONG last_known_state, bool& validated);

/// The same for a disk that failed, as an asynchronous task that lasts until all members on it are whole.
Outcome<TaskJob> ReConnectDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                               LdmObjectId disk_id);

/// Brings a failed volume online whose disks are all there. One that is online stays as it is.
Outcome<LdmObjectId> RestartVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                   LdmObjectId volume_id, LONGLONG last_known_state, bool& validated);

}  // namespace dmrp::server
