#include "reference_server/platform/block_device.hpp"

#include <fmt/format.h>

namespace dmrp::server {
namespace {

bool Inside(const DiskGeometry& geometry, std::uint64_t offset, std::size_t length) {
  return offset <= geometry.sizeBytes && length <= geometry.sizeBytes - offset;
}

}  // namespace

Result<void> BlockDevice::Read(std::uint64_t offset, std::span<std::byte> out) {
  if (!Inside(Geometry(), offset, out.size())) {
    return Fail(ErrorKind::kLimit, fmt::format("reading {} octets at {} of a disk of {} octets", out.size(),
                                               offset, Geometry().sizeBytes));
  }
  if (out.empty()) return {};
  return DoRead(offset, out);
}

Result<Bytes> BlockDevice::Read(std::uint64_t offset, std::size_t length) {
  if (!Inside(Geometry(), offset, length)) {
    return Fail(ErrorKind::kLimit, fmt::format("reading {} octets at {} of a disk of {} octets", length,
                                               offset, Geometry().sizeBytes));
  }
  Bytes out(length);
  if (auto read = Read(offset, std::span<std::byte>(out)); !read) return tl::unexpected(read.error());
  return out;
}

Result<void> BlockDevice::Write(std::uint64_t offset, std::span<const std::byte> data) {
  const std::uint32_t sector = Geometry().bytesPerSector;
  if (ReadOnly()) return Fail(ErrorKind::kDenied, "writing to a read-only disk");
  if (offset % sector != 0 || data.size() % sector != 0) {
    return Fail(ErrorKind::kUsage, fmt::format("writing {} octets at {}: not whole sectors of {} octets",
                                               data.size(), offset, sector));
  }
  if (!Inside(Geometry(), offset, data.size())) {
    return Fail(ErrorKind::kLimit, fmt::format("writing {} octets at {} of a disk of {} octets", data.size(),
                                               offset, Geometry().sizeBytes));
  }
  if (data.empty()) return {};
  return DoWrite(offset, data);
}

Result<void> BlockDevice::Flush() { return DoFlush(); }

}  // namespace dmrp::server
