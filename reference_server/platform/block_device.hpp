// What the storage code needs of a disk: sectors to read and write, a barrier, and the geometry.
//
//   auto device = OpenLinuxDevice("/dev/sda", {.writable = true});   (linux_device.hpp, in a guest)
//   auto device = OpenImage("disk.img", geometry, true);             (image_device.hpp, anywhere)
//   MemoryDevice device(geometry);                                   (memory_device.hpp, tests and fuzzing)
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"
#include "reference_server/platform/geometry.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace dmrp::server {

/// A disk, open. Not thread-safe: one owner at a time.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;

  [[nodiscard]] virtual const DiskGeometry& Geometry() const = 0;
  /// True when writes are refused by the device or by the way it was opened.
  [[nodiscard]] virtual bool ReadOnly() const = 0;

  /// Fills `out` from byte `offset`. Any offset and length inside the disk; kLimit outside of it,
  /// kSystem with errno when the device fails.
  Result<void> Read(std::uint64_t offset, std::span<std::byte> out);
  /// Read into fresh octets.
  Result<Bytes> Read(std::uint64_t offset, std::size_t length);

  /// Writes whole sectors: offset and length are multiples of the sector size, else kUsage. kLimit
  /// outside of the disk, kDenied when read-only. Lasting only after Flush.
  Result<void> Write(std::uint64_t offset, std::span<const std::byte> data);
  /// Returns once everything written so far is on the medium: a barrier between writes.
  Result<void> Flush();

 protected:
  BlockDevice() = default;
  BlockDevice(const BlockDevice&) = default;
  BlockDevice& operator=(const BlockDevice&) = default;

 private:
  virtual Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) = 0;
  virtual Result<void> DoFlush() = 0;
};

}  // namespace dmrp::server
