// Mount points of an NTFS volume that the system has mounted with ntfs-3g, through the extended attribute in
// which that driver shows reparse points. What mount_point.hpp does for a volume with `mountedAt`.
#pragma once

#include "protocol/base/guid.hpp"
#include "reference_server/storage/mount_error.hpp"
#include "reference_server/storage/mount_point.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::server {

inline constexpr std::size_t kMaxMountPoints = 65'536;  ///< of one volume

MountResult<std::vector<MountPoint>> ListMountPointsOfMounted(const std::filesystem::path& root);
MountResult<void> AddMountPointToMounted(const std::filesystem::path& root,
                                         const std::vector<std::u16string>& folders, const Guid& target);
MountResult<void> RemoveMountPointFromMounted(const std::filesystem::path& root,
                                              const std::vector<std::u16string>& folders, const Guid& target);

}  // namespace dmrp::server
