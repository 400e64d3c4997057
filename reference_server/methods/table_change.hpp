#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/storage/operations.hpp"

#include <functional>
#include <initializer_list>

namespace dmrp::server {

/// Opens a disk for writing, has `work` change its partition table, tells the operating system, and commits
/// what changed to the list of storage objects. `touched` are objects that the method's text modifies in any
/// case. After a device error in the middle the list follows what the disk then holds.
Outcome<Change> ChangeTable(DiskManagementServer& server, const StorageModel::Operation& operation,
                            const DiskObject& disk,
                            const std::function<StorageResult<Change>(BlockDevice&)>& work,
                            std::initializer_list<LdmObjectId> touched);

/// Compares everything with the list of storage objects and commits what changed, with `touched` as above.
void CommitSystem(DiskManagementServer& server, const StorageModel::Operation& operation,
                  std::initializer_list<LdmObjectId> touched);

/// The same for one disk; for everything when the disk is not attached any more or belongs to a disk group,
/// since that changes volumes too.
void CommitDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                const DiskObject& disk, std::initializer_list<LdmObjectId> touched);

}  // namespace dmrp::server
