#pragma once

#include "reference_server/platform/device_scanner.hpp"

#include <string>
#include <vector>

namespace dmrp::server {

/// Who uses a partition (or a whole disk). Any use means that Windows could not lock the volume.
struct PartitionUse {
  std::vector<std::string> mountPoints;
  bool swap = false;
  std::vector<std::string> holders;     ///< device-mapper or md devices built on it
  std::vector<std::int32_t> processes;  ///< processes that have the device node itself open
  bool claimed = false;                 ///< an exclusive open was refused

  [[nodiscard]] bool InUse() const {
    return !mountPoints.empty() || swap || !holders.empty() || !processes.empty() || claimed;
  }
  /// "mounted on /mnt/data, held by dm-0"; empty when not in use.
  [[nodiscard]] std::string ToString() const;
};

/// The kernel name of the partition of `disk` that starts at `start` octets ("sda3"); for start 0 without
/// such a partition the disk itself. kUnavailable when the kernel knows none.
Result<std::string> PartitionNameAt(const std::string& disk, std::uint64_t start,
                                    const SystemRoots& roots = {});

/// Finds the users of a block device by its kernel name.
Result<PartitionUse> FindUse(const std::string& device_name, const SystemRoots& roots = {});

/// Takes a partition from its users by force: ends its mounts so that no driver of the old file system writes
/// to it any more (UnmountByForce), turns its swap off. What remains in use afterwards is returned: files
/// that can only be read, programs that have the node itself open. kUnavailable when the file system stays
/// writable.
Result<PartitionUse> ReleaseByForce(const std::string& device_name, const SystemRoots& roots = {});

}  // namespace dmrp::server
