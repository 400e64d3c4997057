// The readers behind ReadLayout, one a file.
#pragma once

#include "harness/layout/readers.hpp"

#include <chrono>

namespace dmrp::harness::internal {

Result<DiskLayout> ReadWithLibfdisk(const std::filesystem::path& image, std::uint32_t sector_bytes);
Result<DiskLayout> ReadWithLibblkid(const std::filesystem::path& image, std::uint32_t sector_bytes);
Result<DiskLayout> ReadWithSgdisk(const std::filesystem::path& image, std::uint32_t sector_bytes);
Result<DiskLayout> ReadWithParted(const std::filesystem::path& image, std::uint32_t sector_bytes);

/// What a program said.
struct ProgramOutput {
  int exit_status = 0;  ///< 128 + n when signal n ended it
  std::string out, err;
};

/// Runs a program with an empty standard input, LC_ALL=C.UTF-8 and a deadline.
/// @return kSystem if it cannot be started, kTimeout (and the program killed) when it does not end in time.
Result<ProgramOutput> RunProgram(const std::vector<std::string>& argv,
                                 std::chrono::milliseconds deadline = std::chrono::seconds(20));

}  // namespace dmrp::harness::internal
