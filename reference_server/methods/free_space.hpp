// GetMaxAdjustedFreeSpace ([MS-DMRP] 3.2.4.4.2.1, 3.2.4.4.3.34).
#pragma once

#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/objects/object_state.hpp"

namespace dmrp::server {

/// The length in bytes of the largest single partition that CreatePartition would make on the disk now; 0
/// when it would make none. Free regions already leave out what the partition table and alignment take.
Outcome<LONGLONG> MaxAdjustedFreeSpace(const ObjectState& state, Revision revision, LdmObjectId disk_id);

}  // namespace dmrp::server
