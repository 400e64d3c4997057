#include "reference_server/platform/file_io.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::server {

Result<void> ReadFully(int fd, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t count = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno(fmt::format("reading {} octets at {}", out.size(), offset), errno);
    if (count == 0) return FailErrno(fmt::format("reading beyond the end at {}", offset), EIO);
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> WriteFully(int fd, std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t count = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno(fmt::format("writing {} octets at {}", data.size(), offset), errno);
    if (count == 0) return FailErrno(fmt::format("writing beyond the end at {}", offset), EIO);
    data = data.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

}  // namespace dmrp::server
