// Mounted folders ([MS-DMRP] 3.2.4.4.1.61 to .64).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/volume_access.hpp"
#include "reference_server/storage/access_path.hpp"

#include <string_view>
#include <vector>

namespace dmrp::server {

/// All mounted folders whose target is in the list, or those of `target_id` alone (0: all). The path of each
/// begins with the letter of the volume that has the folder, or with its volume name where it has none:
/// `D:\data\old`, so that it can be passed back as it is.
Outcome<std::vector<COUNTED_STRING>> EnumerateAccessPaths(DiskManagementServer& server,
                                                          LdmObjectId target_id);

/// Takes a client's path apart and finds the volume that has the folder: LDM_E_INVALID_NAME for a path that
/// names none, LDM_E_INVALID_PATH for one on a volume that is not there.
struct FolderPath {
  VolumeTarget host;
  AccessPath path;
};
Outcome<FolderPath> FindFolder(DiskManagementServer& server, std::u16string_view path);

/// Whether the volume can be the target of a mounted folder: LDM_E_MEDIA_DOESNT_SUPPORT_MOUNT_POINTS on
/// removable media.
Outcome<void> CheckMountTarget(const VolumeTarget& target);

/// Mounts `target` at the folder.
Outcome<void> MountAt(DiskManagementServer& server, const FolderPath& folder,
                      const DiskInventory::Volume& target);

Outcome<void> AddAccessPath(DiskManagementServer& server, const AddAccessPathRequest& request);
Outcome<void> DeleteAccessPath(DiskManagementServer& server, const DeleteAccessPathRequest& request);

}  // namespace dmrp::server
