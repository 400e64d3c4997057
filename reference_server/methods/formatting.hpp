// Format and CreatePartitionAssignAndFormat(Ex) ([MS-DMRP] 3.2.4.4.1.23, .4, .5, 3.2.4.4.3.4, .5): the part
// before the reply. What they return is run as an asynchronous task.
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

#include <string>
#include <vector>

namespace dmrp::server {

/// IFILE_SYSTEM_INFO of every file system that the server knows (3.2.4.4.1.22).
std::vector<IFILE_SYSTEM_INFO> ListInstalledFileSystems();

Outcome<TaskJob> Format(DiskManagementServer& server, const StorageModel::Operation& operation,
                        const dmrp::FormatRequest& request);

/// CreatePartitionAssignAndFormat, and with dwFlags CreatePartitionAssignAndFormatEx. All is checked before
/// the partition is made.
Outcome<TaskJob> CreatePartitionAssignAndFormat(DiskManagementServer& server,
                                                const StorageModel::Operation& operation, Revision revision,
                                                const CreatePartitionAssignAndFormatExRequest& request);

}  // namespace dmrp::server
