// GrowVolume ([MS-DMRP] 3.2.4.4.1.30, 3.2.4.4.3.30): a dynamic volume and its file system become longer.
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

namespace dmrp::server {

/// Answers the volume. `validated` as for CreateVolume. NTFS grows with its volume; volumes with any other
/// file system are LDM_E_VOLUME_GROW_FAILED_FS before anything changes, raw ones just become longer.
Outcome<LdmObjectId> GrowVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                Revision revision, const GrowVolumeRequest& request, bool& validated);

}  // namespace dmrp::server
