#pragma once

#include "reference_server/platform/block_device.hpp"

#include <filesystem>
#include <memory>

namespace dmrp::server {

/// Opens a raw image file as a disk of the declared geometry. `geometry.sizeBytes` 0 means the size of
/// the file; a file shorter than the declared size is refused (kUsage).
Result<std::unique_ptr<BlockDevice>> OpenImage(const std::filesystem::path& path, DiskGeometry geometry,
                                               bool writable);

/// Makes a sparse image file of `geometry.sizeBytes` zero octets, replacing any file of that name, and
/// opens it for writing.
Result<std::unique_ptr<BlockDevice>> CreateImage(const std::filesystem::path& path,
                                                 const DiskGeometry& geometry);

}  // namespace dmrp::server
