#include "harness/disks/disk_image.hpp"

#include "harness/disks/disk_contents.hpp"
#include "harness/guest/process.hpp"
#include "protocol/base/guid.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

std::string FreshSerial() {
  std::string text = Guid::Random().ToString();
  text.erase(std::remove(text.begin(), text.end(), '-'), text.end());
  text.resize(10);
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return "DM" + text;
}

}  // namespace

Result<DiskImage> CreateDiskImage(const DiskSpec& spec, const std::filesystem::path& directory) {
  if (auto valid = Validate(spec); !valid) {
    return tl::unexpected(valid.error());
  }
  DiskImage image{.spec = spec, .path = {}};
  if (image.spec.serial.empty()) {
    image.spec.serial = FreshSerial();
  }
  if (!spec.medium) {
    return image;
  }
  const std::string stem = (spec.name.empty() ? "disk" : spec.name) + "-" + image.spec.serial;
  const auto raw = directory / (stem + ".raw");
  const auto qcow2 = directory / (stem + ".qcow2");
  image.path = spec.format == DiskFormat::kRaw ? raw : qcow2;
  std::error_code trouble;
  if (std::filesystem::exists(image.path, trouble)) {
    return Fail(ErrorKind::kUsage, fmt::format("{} exists already", image.path.string()));
  }
  Launcher launcher;
  if (spec.label != DiskLabel::kNone || spec.format == DiskFormat::kRaw) {
    std::ofstream(raw, std::ios::binary).close();
    std::filesystem::resize_file(raw, spec.size, trouble);
    if (trouble) {
      return FailErrno(fmt::format("making {} of {} octets", raw.string(), spec.size), trouble.value());
    }
  }
  if (auto done = WriteContents(launcher, spec, raw); !done) {
    return tl::unexpected(done.error());
  }
  if (spec.format == DiskFormat::kQcow2) {
    const std::vector<std::string> argv =
        spec.label == DiskLabel::kNone
            ? std::vector<std::string>{"qemu-img",
                                       "create",
                                       "-q",
                                       "-f",
                                       "qcow2",
                                       qcow2.string(),
                                       std::to_string(spec.size)}
            : std::vector<std::string>{"qemu-img", "convert", "-f",         "raw",
                                       "-O",       "qcow2",   raw.string(), qcow2.string()};
    auto done = RunTool(launcher, argv, "", qcow2);
    std::error_code ignored;
    std::filesystem::remove(raw, ignored);
    if (!done) {
      return tl::unexpected(done.error());
    }
  }
  return image;
}

Result<void> CopySparse(const std::filesystem::path& from, const std::filesystem::path& to) {
  FileDescriptor source(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) return FailErrno("open " + from.string(), errno);
  FileDescriptor copy(open(to.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!copy) return FailErrno("create " + to.string(), errno);
  struct stat status{};
  if (fstat(source.Get(), &status) != 0) return FailErrno("stat " + from.string(), errno);
  if (ftruncate(copy.Get(), status.st_size) != 0) return FailErrno("resize " + to.string(), errno);
  off_t position = 0;
  while (position < status.st_size) {
    const off_t data = lseek(source.Get(), position, SEEK_DATA);
    if (data < 0) {
      if (errno == ENXIO) break;  // only a hole is left
      return FailErrno("seek in " + from.string(), errno);
    }
    off_t hole = lseek(source.Get(), data, SEEK_HOLE);
    if (hole < 0) return FailErrno("seek in " + from.string(), errno);
    off_t in = data;
    off_t out = data;
    while (in < hole) {
      const ssize_t moved =
          copy_file_range(source.Get(), &in, copy.Get(), &out, static_cast<std::size_t>(hole - in), 0);
      if (moved < 0) return FailErrno("copy " + from.string(), errno);
      if (moved == 0) break;
    }
    position = hole;
  }
  return {};
}

}  // namespace dmrp::harness
