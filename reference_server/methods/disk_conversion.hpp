// InitializeDisk, InitializeDiskEx and UninitializeDisk ([MS-DMRP] 3.2.4.4.1.35, .36, 3.2.4.4.3.38).
#pragma once

#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

#include <string>

namespace dmrp::server {

/// The name of this machine, after which a new disk group is called.
[[nodiscard]] std::string HostName();

/// Tells the operating system which partitions a disk has now. Only logs when it does not take them over.
void PublishTable(DiskManagementServer& server, const DeviceInfo& device, BlockDevice& opened);

/// Makes an empty disk dynamic; InitializeDisk is this with PARTITIONSTYLE_MBR. `validated` becomes true when
/// the call passed its validation: from then on its end is notified (3.2.4.3).
Outcome<LdmObjectId> InitializeDiskEx(DiskManagementServer& server, const StorageModel::Operation& operation,
                                      LdmObjectId disk_id, PARTITIONSTYLE style, LONGLONG last_known_state,
                                      bool& validated);

/// Makes an empty dynamic disk basic again, or removes a missing one without volumes from its group, as an
/// asynchronous task.
Outcome<TaskJob> UninitializeDisk(DiskManagementServer& server, LdmObjectId disk_id,
                                  LONGLONG last_known_state);

/// How disks are converted on this host. A group that a conversion founds becomes the primary one in the
/// registry right before the write that makes it count: a cut in between leaves a name without a group, which
/// the next group takes over, and never a group of this host that is foreign to it. `named` tells whether the
/// registry took the name.
ldm::ConvertOptions ConversionOf(DiskManagementServer& server, Outcome<void>& named);

}  // namespace dmrp::server
