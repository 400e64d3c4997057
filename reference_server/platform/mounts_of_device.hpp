#pragma once

#include "reference_server/platform/device_scanner.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::server {

/// One mount of a block device, as this process sees it.
struct DeviceMount {
  std::uint64_t id = 0;  ///< what /proc/PID/fdinfo calls mnt_id
  std::string point;
  std::string type;  ///< "vfat", "fuseblk", ...
};

/// The mounts of the device with this number ("8:1") or node, in the order in which they were made.
std::vector<DeviceMount> MountsOfDevice(const std::string& device_number, const std::filesystem::path& node,
                                        const SystemRoots& roots = {});

/// A path as /proc writes it: blanks and backslashes stand there as three octal digits.
[[nodiscard]] std::string UnescapeProcPath(const std::string& text);

}  // namespace dmrp::server
