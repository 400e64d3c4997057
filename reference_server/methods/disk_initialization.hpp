// WriteSignature and InitializeDiskStyle ([MS-DMRP] 3.2.4.4.1.7, 3.2.4.4.3.7). Each validates, changes the
// disk, commits, and answers the value of tinfo.storageId.
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/storage/operations.hpp"

#include <memory>
#include <optional>

namespace dmrp::server {

/// True for signatures that no disk in the list has: they are unique on a machine (note 8).
[[nodiscard]] SignatureIsFree UnusedSignature(std::shared_ptr<const ObjectState> state);
/// Nothing for PARTITIONSTYLE_UNKNOWN and values that are not defined.
[[nodiscard]] std::optional<PartitionStyle> StorageStyle(PARTITIONSTYLE style);

Outcome<LdmObjectId> WriteSignature(DiskManagementServer& server, const StorageModel::Operation& operation,
                                    LdmObjectId disk_id, LONGLONG last_known_state);

Outcome<LdmObjectId> InitializeDiskStyle(DiskManagementServer& server,
                                         const StorageModel::Operation& operation, LdmObjectId disk_id,
                                         PARTITIONSTYLE style, LONGLONG last_known_state);

}  // namespace dmrp::server
