#pragma once

#include "reference_server/storage/file_system.hpp"
#include "reference_server/storage/volume_window.hpp"

#include <optional>

namespace dmrp::server {

/// UDF (ECMA-167, OSTA UDF) by its volume recognition sequence; nothing when there is none. Label, block size
/// and blocks come from the volume descriptors, free blocks from the integrity descriptor. When no anchor
/// leads to the descriptors: blocks of 2048 octets and no label.
StorageResult<std::optional<FileSystemDescription>> DescribeUdf(const VolumeWindow& volume);

}  // namespace dmrp::server
