// What is written onto a fresh image: its partition table, broken on purpose or not, or a file system.
// Private to this folder.
#pragma once

#include "harness/disks/disk_spec.hpp"
#include "harness/guest/process.hpp"
#include "protocol/base/error.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::harness {

/// Runs a program on an image; kUnavailable with its output when it is missing or refuses. `input` is what it
/// reads.
Result<void> RunTool(Launcher& launcher, const std::vector<std::string>& argv, const std::string& input,
                     const std::filesystem::path& image);

/// Writes the label of the spec with its damage, or its file system, into the raw image.
Result<void> WriteContents(Launcher& launcher, const DiskSpec& spec, const std::filesystem::path& image);

}  // namespace dmrp::harness
