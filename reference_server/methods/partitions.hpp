// CreatePartition, DeletePartition and MarkActivePartition ([MS-DMRP] 3.2.4.4.1.3, .6, .8). Each validates,
// changes the disk, commits, and answers the value of tinfo.storageId.
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/storage/operations.hpp"

#include <functional>

namespace dmrp::server {

/// Checks that a method makes between those of identity and those of the request itself.
using LaterChecks = std::function<Outcome<void>()>;

/// The validation of CreatePartition, without any change: what storage is to be asked for.
Outcome<CreateRequest> CheckCreatePartition(const ObjectState& state, Revision revision,
                                            const REGION_SPEC& spec, const LaterChecks& later = {});

/// The rest of CreatePartition after CheckCreatePartition; answers the new region.
Outcome<LdmObjectId> MakePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                   const REGION_SPEC& spec, const CreateRequest& request);

Outcome<LdmObjectId> CreatePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const REGION_SPEC& spec);

Outcome<LdmObjectId> DeletePartition(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const REGION_SPEC& spec, bool force);

Outcome<LdmObjectId> MarkActivePartition(DiskManagementServer& server,
                                         const StorageModel::Operation& operation, LdmObjectId region_id,
                                         LONGLONG last_known_state);

}  // namespace dmrp::server
