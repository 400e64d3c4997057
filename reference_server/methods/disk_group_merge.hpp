// ImportDiskGroup, DiskMergeQuery and DiskMerge ([MS-DMRP] 3.2.4.4.1.38 to .40, 3.2.4.4.3.41 to .43).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

namespace dmrp::server {

/// Makes a foreign disk group this machine's, as an asynchronous task. `dgid` is DISK_INFO::dgid of its
/// disks, with its terminating null. LDM_E_PRIMARY_EXISTS with the failure bit while a disk of a primary
/// group is there.
Outcome<TaskJob> ImportDiskGroup(DiskManagementServer& server, const Bytes& dgid);

/// What DiskMerge would do; fills in everything of `reply` but tinfo. An empty diskList stands for all disks
/// of the group that are there. `validated` as for CreateVolume.
Outcome<LdmObjectId> DiskMergeQuery(DiskManagementServer& server, const DiskMergeQueryRequest& request,
                                    DiskMergeQueryReply& reply, bool& validated);

/// Takes disks of a foreign group, with the volumes that are whole on them, into the primary group.
Outcome<LdmObjectId> DiskMerge(DiskManagementServer& server, const StorageModel::Operation& operation,
                               const DiskMergeRequest& request, bool& validated);

}  // namespace dmrp::server
