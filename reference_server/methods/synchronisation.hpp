// The wait for members of dynamic volumes that are made whole, as an asynchronous task.
#pragma once

#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

#include <string>
#include <vector>

namespace dmrp::server {

/// A task on `storage_id` that lasts until no synchronisation goes on in the volumes (VolumeMap::name) and
/// tells how far they are (PROGRESS_SYNCHING). To be made under the operation that began it. Stopping it
/// stops no synchronisation. It fails with LDM_E_TASK_IOERROR when a member cannot be made whole, and when
/// one of the volumes goes offline.
TaskJob AwaitSynchronisation(DiskManagementServer& server, LdmObjectId storage_id,
                             const std::vector<std::string>& names);

}  // namespace dmrp::server
