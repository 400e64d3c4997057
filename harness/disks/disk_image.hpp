// Makes the image file of a virtual disk or medium, with its partition table written by util-linux or its
// file system by that one's own tool.
#pragma once

#include "harness/disks/disk_spec.hpp"
#include "protocol/base/error.hpp"

#include <filesystem>
#include <string>

namespace dmrp::harness {

/// An image file on the host. The file belongs to whoever owns its directory; this value does not remove it.
struct DiskImage {
  DiskSpec spec;  ///< as created: serial is filled in, format is what was chosen
  std::filesystem::path
      path;  ///< the image; raw images are read as they are; empty for a drive without medium
};

/// Creates `directory`/NAME-SERIAL.raw or .qcow2, sparse. Disks above kMaxRawSize become qcow2.
/// An empty serial gets a fresh one of 12 characters. Fails with kUsage on an invalid spec, kSystem when a
/// file cannot be made, kUnavailable when a tool is missing or refuses.
Result<DiskImage> CreateDiskImage(const DiskSpec& spec, const std::filesystem::path& directory);

/// Copies a file with its holes; the copy of a mostly empty disk costs what its contents cost.
Result<void> CopySparse(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace dmrp::harness
