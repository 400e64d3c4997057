#pragma once

#include "reference_server/platform/block_device.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <optional>

namespace dmrp::server {

/// A stretch of a disk, read by offsets of its own. A range outside of it is no error but nothing: what a
/// damaged file system points at may lie anywhere.
class VolumeWindow {
 public:
  VolumeWindow(BlockDevice& device, std::uint64_t start, std::uint64_t length)
      : device_(device), start_(start), length_(length) {}

  [[nodiscard]] std::uint64_t Length() const { return length_; }

  [[nodiscard]] StorageResult<std::optional<Bytes>> Read(std::uint64_t offset, std::size_t length) const {
    if (offset > length_ || length > length_ - offset) return std::optional<Bytes>{};
    auto octets = device_.Read(start_ + offset, length);
    if (!octets) return DeviceFailed(octets.error());
    return std::optional<Bytes>(std::move(*octets));
  }

 private:
  BlockDevice& device_;
  std::uint64_t start_;
  std::uint64_t length_;
};

}  // namespace dmrp::server
