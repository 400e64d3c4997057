// mkfs.fat and mkntfs, told everything: what they would take by themselves differs from what Windows takes.
#pragma once

#include "reference_server/platform/geometry.hpp"
#include "reference_server/storage/installed_file_systems.hpp"

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

namespace dmrp::server {

/// The volume as its boot sector describes it.
struct FormatVolume {
  std::uint64_t length = 0;         ///< octets
  DiskGeometry geometry{};          ///< of the disk: sector size, heads, sectors per track
  std::uint32_t hiddenSectors = 0;  ///< 0 for a medium without a table
};

/// Program and arguments that make what was planned on `path`; the first word is the program's name.
[[nodiscard]] std::vector<std::string> FormatCommand(const FormatPlan& plan, const FormatVolume& volume,
                                                     const std::filesystem::path& path);

/// Runs FormatCommand. `descriptor` (-1: none) is handed on as kChildDescriptor. kToolFailed with the words
/// of the program, kAborted when `stop` was requested and the program was killed.
StorageResult<void> RunFormatCommand(const std::vector<std::string>& command, int descriptor,
                                     const std::stop_token& stop);

}  // namespace dmrp::server
