#include "reference_server/platform/image_device.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/file_io.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace dmrp::server {
namespace {

class ImageDevice final : public BlockDevice {
 public:
  ImageDevice(FileDescriptor fd, const DiskGeometry& geometry, bool writable)
      : fd_(std::move(fd)), geometry_(geometry), writable_(writable) {}

  [[nodiscard]] const DiskGeometry& Geometry() const override { return geometry_; }
  [[nodiscard]] bool ReadOnly() const override { return !writable_; }

 private:
  Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) override {
    return ReadFully(fd_.Get(), offset, out);
  }
  Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) override {
    return WriteFully(fd_.Get(), offset, data);
  }
  Result<void> DoFlush() override {
    if (writable_ && ::fdatasync(fd_.Get()) != 0) return FailErrno("fdatasync of an image", errno);
    return {};
  }

  FileDescriptor fd_;
  DiskGeometry geometry_;
  bool writable_;
};

}  // namespace

Result<std::unique_ptr<BlockDevice>> OpenImage(const std::filesystem::path& path, DiskGeometry geometry,
                                               bool writable) {
  if (!IsValid(geometry)) return Fail(ErrorKind::kUsage, "geometry of an image is out of range");
  FileDescriptor fd(::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (!fd) return FailErrno(fmt::format("opening {}", path.string()), errno);
  struct stat status{};
  if (::fstat(fd.Get(), &status) != 0) return FailErrno(fmt::format("stat of {}", path.string()), errno);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (geometry.sizeBytes == 0) geometry.sizeBytes = size;
  if (size < geometry.sizeBytes) {
    return Fail(ErrorKind::kUsage, fmt::format("{} holds {} octets, its declared geometry {}", path.string(),
                                               size, geometry.sizeBytes));
  }
  return std::make_unique<ImageDevice>(std::move(fd), geometry, writable);
}

Result<std::unique_ptr<BlockDevice>> CreateImage(const std::filesystem::path& path,
                                                 const DiskGeometry& geometry) {
  {
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return FailErrno(fmt::format("creating {}", path.string()), errno);
    if (::ftruncate(fd.Get(), static_cast<off_t>(geometry.sizeBytes)) != 0) {
      return FailErrno(fmt::format("sizing {} to {} octets", path.string(), geometry.sizeBytes), errno);
    }
  }
  return OpenImage(path, geometry, true);
}

}  // namespace dmrp::server
