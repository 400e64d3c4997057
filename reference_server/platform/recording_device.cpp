#include "reference_server/platform/recording_device.hpp"

#include <cerrno>

namespace dmrp::server {

Result<void> RecordingDevice::DoRead(std::uint64_t offset, std::span<std::byte> out) {
  return inner_.Read(offset, out);
}

Result<void> RecordingDevice::DoWrite(std::uint64_t offset, std::span<const std::byte> data) {
  const std::size_t sector = Geometry().bytesPerSector;
  for (; !data.empty(); data = data.subspan(sector), offset += sector) {
    if (fail_after_) {
      if (*fail_after_ == 0) return FailErrno("writing to a device told to fail", EIO);
      --*fail_after_;
    }
    const auto one = data.first(sector);
    if (auto written = inner_.Write(offset, one); !written) return written;
    writes_.push_back({offset, Bytes(one.begin(), one.end()), false});
  }
  return {};
}

Result<void> RecordingDevice::DoFlush() {
  writes_.push_back({0, {}, true});
  return inner_.Flush();
}

}  // namespace dmrp::server
