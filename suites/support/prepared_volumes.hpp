// Disks whose volumes were formatted by other programs than the server, before it starts.
#pragma once

#include "harness/target/test_bed.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace dmrp::suites {

/// A volume and the program that makes its file system.
struct PreparedVolume {
  std::uint64_t start = 0;   ///< octets
  std::uint64_t length = 0;  ///< octets
  /// Such as "mkfs.fat -F 16 -n DATA"; the image of the volume follows as the last argument. Empty: none is
  /// made.
  std::string command;
};

/// A partition table by sfdisk from its script, then the file systems.
harness::PrepareImage Volumes(std::string script, std::vector<PreparedVolume> volumes);

}  // namespace dmrp::suites
