// AddMirror, RemoveMirror, SplitMirror and ReplaceRaid5Column ([MS-DMRP] 3.2.4.4.1.32 to .34, .42).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

#include <optional>

namespace dmrp::server {

// `validated` as for CreateVolume. `copying` is set once the new member is in place: the task that lasts
// until it holds what the others say, to be started beside the method's own.

/// The new mirror is as long as the volume, whatever the length in diskSpec. Answers the volume.
Outcome<LdmObjectId> AddMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                               Revision revision, const AddMirrorRequest& request, bool& validated,
                               std::optional<TaskJob>& copying);

/// Answers the volume. The disk may be missing.
Outcome<LdmObjectId> RemoveMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  Revision revision, const RemoveMirrorRequest& request, bool& validated);

/// Answers the volume that was split off. A volume in use is split only if tinfo.error of the request is
/// LDM_E_VOLUME_IN_USE (the text has LDM_DEVICE_IN_USE, which is defined nowhere).
Outcome<LdmObjectId> SplitMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                                 Revision revision, const SplitMirrorRequest& request, bool& validated);

/// Answers the volume.
Outcome<LdmObjectId> ReplaceRaid5Column(DiskManagementServer& server,
                                        const StorageModel::Operation& operation, Revision revision,
                                        const ReplaceRaid5ColumnRequest& request, bool& validated,
                                        std::optional<TaskJob>& copying);

}  // namespace dmrp::server
