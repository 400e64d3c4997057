// CreatePartition, DeletePartition and MarkActivePartition ([MS-DMRP] 3.2.4.4.1.3, .6, .8). Each validates,
// changes the disk, commits, and answers the value of tinfo.storageId.
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

namespace dmrp::server {

Outcome<LdmObjectId> CreatePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const REGION_SPEC& spec);

Outcome<LdmObjectId> DeletePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const REGION_SPEC& spec, bool force);

Outcome<LdmObjectId> MarkActivePartition(DiskManagementServer& server,
                                         const StorageModel::Operation& operation, LdmObjectId region_id,
                                         LONGLONG last_known_state);

}  // namespace dmrp::server
