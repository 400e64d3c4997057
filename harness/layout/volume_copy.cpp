#include "harness/layout/volume_copy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::harness::internal {

namespace {

bool CopyData(int from, int to, off_t offset, off_t length) {
  std::vector<char> buffer(1U << 20U);
  const off_t end = offset + length;
  off_t at = offset;
  while (at < end) {
    const off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0) return errno == ENXIO;
    if (data >= end) return true;
    const off_t hole = std::min(lseek(from, data, SEEK_HOLE), end);
    for (at = data; at < hole;) {
      const auto want = std::min<off_t>(static_cast<off_t>(buffer.size()), hole - at);
      const ssize_t got = pread(from, buffer.data(), static_cast<std::size_t>(want), at);
      if (got <= 0) return false;
      if (pwrite(to, buffer.data(), static_cast<std::size_t>(got), at - offset) != got) return false;
      at += got;
    }
  }
  return true;
}

}  // namespace

Result<VolumeCopy> VolumeCopy::Make(const std::filesystem::path& image, std::uint64_t offset,
                                    std::uint64_t length) {
  std::error_code failure;
  const std::uint64_t size = std::filesystem::file_size(image, failure);
  if (failure) return FailErrno("look at " + image.string(), failure.value());
  if (offset > size || length > size - offset) {
    return Fail(ErrorKind::kUsage, fmt::format("{} has {} octets, the volume lies at {} and has {}",
                                               image.string(), size, offset, length));
  }
  std::string name = (std::filesystem::temp_directory_path() / "dmrp-volume-XXXXXX").string();
  const int to = mkostemp(name.data(), O_CLOEXEC);
  if (to < 0) return FailErrno("make " + name, errno);
  VolumeCopy copy(name);
  const int from = open(image.c_str(), O_RDONLY | O_CLOEXEC);
  const bool copied = from >= 0 && ftruncate(to, static_cast<off_t>(length)) == 0 &&
                      CopyData(from, to, static_cast<off_t>(offset), static_cast<off_t>(length));
  const int reason = errno;
  if (from >= 0) close(from);
  close(to);
  if (!copied) return FailErrno("copy a volume of " + image.string(), reason);
  return copy;
}

VolumeCopy::~VolumeCopy() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove(path_, ignored);
}

}  // namespace dmrp::harness::internal
