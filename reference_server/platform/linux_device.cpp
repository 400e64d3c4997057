#include "reference_server/platform/linux_device.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/file_io.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <sys/ioctl.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kBounce = std::size_t{1} << 20;
constexpr std::size_t kBounceAlignment = 4096;

class LinuxDevice final : public BlockDevice {
 public:
  LinuxDevice(FileDescriptor fd, const DiskGeometry& geometry, bool read_only)
      : fd_(std::move(fd)),
        geometry_(geometry),
        read_only_(read_only),
        bounce_(static_cast<std::byte*>(std::aligned_alloc(kBounceAlignment, kBounce)), &std::free) {}

  [[nodiscard]] const DiskGeometry& Geometry() const override { return geometry_; }
  [[nodiscard]] bool ReadOnly() const override { return read_only_; }

 private:
  Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) override {
    const std::uint64_t sector = geometry_.bytesPerSector;
    while (!out.empty()) {
      const std::uint64_t first = offset / sector * sector;
      const std::size_t skip = offset - first;
      const std::size_t wanted = std::min(out.size(), kBounce - skip);
      const std::size_t whole = (skip + wanted + sector - 1) / sector * sector;
      const std::span<std::byte> bounce(bounce_.get(), whole);
      if (auto done = ReadFully(fd_.Get(), first, bounce); !done) return done;
      std::memcpy(out.data(), bounce.data() + skip, wanted);
      out = out.subspan(wanted);
      offset += wanted;
    }
    return {};
  }

  Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) override {
    while (!data.empty()) {
      const std::size_t count = std::min(data.size(), kBounce);
      std::memcpy(bounce_.get(), data.data(), count);
      if (auto done = WriteFully(fd_.Get(), offset, {bounce_.get(), count}); !done) return done;
      data = data.subspan(count);
      offset += count;
    }
    return {};
  }

  Result<void> DoFlush() override {
    if (!read_only_ && ::fsync(fd_.Get()) != 0) return FailErrno("fsync of a block device", errno);
    return {};
  }

  FileDescriptor fd_;
  DiskGeometry geometry_;
  bool read_only_;
  std::unique_ptr<std::byte, decltype(&std::free)> bounce_;
};

}  // namespace

Result<std::unique_ptr<BlockDevice>> OpenLinuxDevice(const std::filesystem::path& node,
                                                     const LinuxOpenOptions& options) {
  const int mode = (options.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC;
  FileDescriptor fd(::open(node.c_str(), mode | O_DIRECT));
  if (!fd && errno == EINVAL) fd = FileDescriptor(::open(node.c_str(), mode));
  if (!fd) {
    const int error = errno;
    const std::string what = fmt::format("opening {}: {}", node.string(), std::strerror(error));
    const auto status = static_cast<std::uint32_t>(error);
    if (error == ENOMEDIUM || error == ENXIO || error == ENODEV || error == ENOENT) {
      return Fail(ErrorKind::kUnavailable, what, status);
    }
    if (error == EROFS || error == EACCES || error == EPERM) return Fail(ErrorKind::kDenied, what, status);
    return FailErrno(fmt::format("opening {}", node.string()), error);
  }
  DiskGeometry geometry = options.geometry;
  std::uint64_t size = 0;
  int sector = 0;
  if (::ioctl(fd.Get(), BLKGETSIZE64, &size) != 0 || ::ioctl(fd.Get(), BLKSSZGET, &sector) != 0) {
    return FailErrno(fmt::format("asking {} for its size", node.string()), errno);
  }
  if (geometry.sizeBytes == 0) {
    hd_geometry asked{};
    if (::ioctl(fd.Get(), HDIO_GETGEO, &asked) == 0 && asked.heads != 0 && asked.sectors != 0) {
      geometry.heads = asked.heads;
      geometry.sectorsPerTrack = asked.sectors;
    }
  }
  geometry.sizeBytes = size;
  geometry.bytesPerSector = static_cast<std::uint32_t>(sector);
  if (!IsValid(geometry)) {
    return Fail(ErrorKind::kUnsupported, fmt::format("{} has sectors of {} octets", node.string(), sector));
  }
  int read_only = 0;
  if (::ioctl(fd.Get(), BLKROGET, &read_only) != 0) read_only = 0;
  return std::make_unique<LinuxDevice>(std::move(fd), geometry, !options.writable || read_only != 0);
}

}  // namespace dmrp::server
