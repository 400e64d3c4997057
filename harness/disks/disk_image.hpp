// Makes the image file of a virtual hard disk, with its first partition table written by sfdisk or sgdisk.
#pragma once

#include "harness/disks/disk_spec.hpp"
#include "protocol/base/error.hpp"

#include <filesystem>
#include <string>

namespace dmrp::harness {

/// An image file on the host. The file belongs to whoever owns its directory; this value does not remove it.
struct DiskImage {
  DiskSpec spec;               ///< as created: serial is filled in, format is what was chosen
  std::filesystem::path path;  ///< the image; raw images are read as they are
};

/// Creates `directory`/NAME-SERIAL.raw or .qcow2, sparse. Disks above kMaxRawSize become qcow2.
/// An empty serial gets a fresh one of 12 characters. Fails with kUsage on an invalid spec, kSystem when a
/// file cannot be made, kUnavailable when a tool is missing or refuses.
Result<DiskImage> CreateDiskImage(const DiskSpec& spec, const std::filesystem::path& directory);

}  // namespace dmrp::harness
