#pragma once

#include "reference_server/platform/block_device.hpp"

#include <map>

namespace dmrp::server {

/// A sparse disk in memory: terabytes cost what was written to them. Copies are independent snapshots.
class MemoryDevice final : public BlockDevice {
 public:
  explicit MemoryDevice(const DiskGeometry& geometry) : geometry_(geometry) {}

  [[nodiscard]] const DiskGeometry& Geometry() const override { return geometry_; }
  [[nodiscard]] bool ReadOnly() const override { return read_only_; }
  void SetReadOnly(bool read_only) { read_only_ = read_only; }

  /// Stores octets at any offset inside the disk, without the rules of Write: to prepare a test's disk.
  void Poke(std::uint64_t offset, std::span<const std::byte> data);
  /// Calls `visit(offset, octets)` for each stored stretch in ascending order; the rest is zero.
  template <typename Visit>
  void ForEachStored(Visit&& visit) const {
    for (const auto& [index, block] : blocks_) visit(index * kBlock, std::span<const std::byte>(block));
  }

 private:
  static constexpr std::uint64_t kBlock = 4096;

  Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> DoFlush() override { return {}; }

  DiskGeometry geometry_;
  bool read_only_ = false;
  std::map<std::uint64_t, Bytes> blocks_;
};

}  // namespace dmrp::server
