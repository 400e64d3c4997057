#pragma once

#include "reference_server/storage/file_system.hpp"
#include "reference_server/storage/volume_window.hpp"

#include <optional>

namespace dmrp::server {

/// ISO 9660 (ECMA-119) by its volume descriptors from octet 32,768 on; nothing when there is none. The label
/// is that of the Joliet descriptor where there is one, as Windows shows it. Nothing is available: it is
/// full.
StorageResult<std::optional<FileSystemDescription>> DescribeIso9660(const VolumeWindow& volume);

}  // namespace dmrp::server
