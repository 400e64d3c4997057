#pragma once

#include "reference_server/storage/file_system.hpp"
#include "reference_server/storage/volume_window.hpp"

#include <optional>

namespace dmrp::server {

/// NTFS by its boot sector; nothing when it is none. The label comes from $Volume, free clusters from
/// $Bitmap, compression from the root directory.
StorageResult<std::optional<FileSystemDescription>> DescribeNtfs(const VolumeWindow& volume);

}  // namespace dmrp::server
