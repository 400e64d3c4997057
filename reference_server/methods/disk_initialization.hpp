// WriteSignature and InitializeDiskStyle ([MS-DMRP] 3.2.4.4.1.7, 3.2.4.4.3.7). Each validates, changes the
// disk, commits, and answers the value of tinfo.storageId.
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

namespace dmrp::server {

Outcome<LdmObjectId> WriteSignature(DiskManagementServer& server, const StorageModel::Operation& operation,
                                    LdmObjectId disk_id, LONGLONG last_known_state);

Outcome<LdmObjectId> InitializeDiskStyle(DiskManagementServer& server,
                                         const StorageModel::Operation& operation, LdmObjectId disk_id,
                                         PARTITIONSTYLE style, LONGLONG last_known_state);

}  // namespace dmrp::server
