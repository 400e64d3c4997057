#pragma once

#include "reference_server/platform/block_device.hpp"

#include <filesystem>
#include <memory>
#include <vector>

namespace dmrp::server {

struct LinuxOpenOptions {
  bool writable = false;
  /// The geometry to use; without it, what the kernel says at this moment (see DeviceInfo::geometry on
  /// why that may change).
  DiskGeometry geometry{};
};

/// Opens a Linux block device past the page cache (O_DIRECT; the whole disk and its partitions are cached
/// apart, so that only direct reads see what a mounted file system has written). Does not lock the door
/// of a removable medium longer than the object lives: open, work, close. kUnavailable when there is no
/// medium, kDenied when write access is refused.
Result<std::unique_ptr<BlockDevice>> OpenLinuxDevice(const std::filesystem::path& node,
                                                     const LinuxOpenOptions& options = {});

/// A partition as the kernel should know it.
struct KernelPartition {
  std::uint32_t number = 0;
  std::uint64_t start = 0;   ///< octets
  std::uint64_t length = 0;  ///< octets
  friend bool operator==(const KernelPartition&, const KernelPartition&) = default;
};

/// Makes the kernel's list of a disk's partitions equal to `wanted` (BLKPG, partition by partition, so
/// that those that stay may be in use). Without udevd: the device nodes come from devtmpfs. Fails with
/// kSystem EBUSY when one that has to go is still open; the others are brought in line nevertheless.
Result<void> SyncKernelPartitions(const std::filesystem::path& node, const std::string& name,
                                  const std::vector<KernelPartition>& wanted,
                                  const std::filesystem::path& sys = "/sys");

/// The kernel's list, from /sys/block/NAME/*/start and size.
std::vector<KernelPartition> KernelPartitions(const std::string& name,
                                              const std::filesystem::path& sys = "/sys");

}  // namespace dmrp::server
