// CreatePartitionsForVolume and DeletePartitionsForVolume ([MS-DMRP] 3.2.4.4.3.32, .33).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

namespace dmrp::server {

/// Gives the members of a dynamic volume entries of their own in the tables of their disks. `validated` as
/// for CreateVolume. LDM_E_EXIST when they have some, LDM_E_INVALID when the volume is not in one piece.
Outcome<LdmObjectId> CreatePartitionsForVolume(DiskManagementServer& server,
                                               const StorageModel::Operation& operation,
                                               const CreatePartitionsForVolumeRequest& request,
                                               bool& validated);

/// Takes those entries away; the volume stays. LDM_E_NO_ASSOC when it has none.
Outcome<LdmObjectId> DeletePartitionsForVolume(DiskManagementServer& server,
                                               const StorageModel::Operation& operation,
                                               const DeletePartitionsForVolumeRequest& request,
                                               bool& validated);

}  // namespace dmrp::server
