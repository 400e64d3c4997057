#pragma once

#include "reference_server/storage/file_system.hpp"
#include "reference_server/storage/volume_window.hpp"

#include <optional>

namespace dmrp::server {

/// FAT12, FAT16 or FAT32 by its boot sector; nothing when it is none. Free clusters of FAT32 come from the
/// FSInfo sector when that is valid, else from the table; the label from the root directory, else from the
/// boot sector.
StorageResult<std::optional<FileSystemDescription>> DescribeFat(const VolumeWindow& volume);

}  // namespace dmrp::server
