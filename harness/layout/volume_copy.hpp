// A volume on its own, as programs want it that know nothing of partition tables.
#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <utility>

namespace dmrp::harness::internal {

/// A sparse copy of a part of a disk image; the file goes away with this value.
class VolumeCopy {
 public:
  /// `offset`, `length`: octets. kUsage for a part that does not lie in the image, kSystem when a file cannot
  /// be read or written.
  static Result<VolumeCopy> Make(const std::filesystem::path& image, std::uint64_t offset,
                                 std::uint64_t length);

  VolumeCopy(VolumeCopy&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  VolumeCopy& operator=(VolumeCopy&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~VolumeCopy();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit VolumeCopy(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace dmrp::harness::internal
