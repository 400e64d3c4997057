// Media that come and go by request: Eject ([MS-DMRP] 3.2.4.4.1.9, 3.2.4.4.3.9).
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

namespace dmrp::server {

/// Puts the medium of a CD, DVD or removable disk drive out and commits what that changes. The result is the
/// disk's id. Refused while anybody uses the medium: a volume on it could not be locked.
Outcome<LdmObjectId> Eject(DiskManagementServer& server, const StorageModel::Operation& operation,
                           LdmObjectId disk_id, LONGLONG last_known_state);

}  // namespace dmrp::server
