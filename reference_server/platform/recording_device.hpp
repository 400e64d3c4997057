#pragma once

#include "reference_server/platform/block_device.hpp"

#include <optional>
#include <vector>

namespace dmrp::server {

/// One write of one sector, or a barrier.
struct RecordedWrite {
  std::uint64_t offset = 0;
  Bytes data;            ///< one sector; empty for a barrier
  bool barrier = false;  ///< a Flush: what stands before it is on the medium before what follows
};

/// Passes everything on and keeps each write, cut into sectors (a sector is the unit that a power cut
/// cannot tear), so that a test can rebuild the disk as it was at every write boundary.
class RecordingDevice final : public BlockDevice {
 public:
  explicit RecordingDevice(BlockDevice& inner) : inner_(inner) {}

  [[nodiscard]] const DiskGeometry& Geometry() const override { return inner_.Geometry(); }
  [[nodiscard]] bool ReadOnly() const override { return inner_.ReadOnly(); }

  [[nodiscard]] const std::vector<RecordedWrite>& Writes() const { return writes_; }
  /// From now on the device fails (EIO) once `sectors` more sectors were written.
  void FailAfter(std::uint64_t sectors) { fail_after_ = sectors; }

 private:
  Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> DoFlush() override;

  BlockDevice& inner_;
  std::vector<RecordedWrite> writes_;
  std::optional<std::uint64_t> fail_after_;
};

}  // namespace dmrp::server
