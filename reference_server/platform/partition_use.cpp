#include "reference_server/platform/partition_use.hpp"

#include "reference_server/platform/file_descriptor.hpp"
#include "reference_server/platform/linux_device.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <cerrno>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mount.h>
#include <sys/swap.h>
#include <unistd.h>

namespace dmrp::server {
namespace fs = std::filesystem;

namespace {

/// /proc escapes blanks and backslashes in paths as three octal digits.
std::string Unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size() &&
                        std::all_of(text.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                    text.begin() + static_cast<std::ptrdiff_t>(i) + 4,
                                    [](char c) { return c >= '0' && c <= '7'; });
    if (!escape) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
    i += 3;
  }
  return out;
}

std::vector<std::string> MountPoints(const std::string& device_number, const fs::path& node,
                                     const SystemRoots& roots) {
  std::vector<std::string> points;
  std::istringstream lines(ReadWholeFile(roots.proc / "self" / "mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, number, root, point, word, type, source;
    words >> id >> parent >> number >> root >> point;
    while (words >> word && word != "-") {
    }
    words >> type >> source;
    if ((!device_number.empty() && number == device_number) || Unescape(source) == node.string()) {
      points.push_back(Unescape(point));
    }
  }
  return points;
}

bool IsSwap(const fs::path& node, const SystemRoots& roots) {
  std::istringstream lines(ReadWholeFile(roots.proc / "swaps"));
  std::string line;
  std::getline(lines, line);  // headings
  while (std::getline(lines, line)) {
    if (Unescape(line.substr(0, line.find_first_of(" \t"))) == node.string()) return true;
  }
  return false;
}

std::vector<std::int32_t> OpenBy(const fs::path& node, const SystemRoots& roots) {
  std::vector<std::int32_t> processes;
  for (const std::string& name : ListDirectory(roots.proc)) {
    const auto pid = ParseDecimal(name);
    if (!pid || *pid == static_cast<std::uint64_t>(::getpid())) continue;
    const fs::path open_files = roots.proc / name / "fd";
    for (const std::string& fd : ListDirectory(open_files)) {
      std::error_code error;
      if (fs::read_symlink(open_files / fd, error) == node) {
        processes.push_back(static_cast<std::int32_t>(*pid));
        break;
      }
    }
  }
  return processes;
}

}  // namespace

std::string PartitionUse::ToString() const {
  std::vector<std::string> parts;
  if (!mountPoints.empty()) parts.push_back(fmt::format("mounted on {}", fmt::join(mountPoints, ", ")));
  if (swap) parts.emplace_back("used as swap");
  if (!holders.empty()) parts.push_back(fmt::format("held by {}", fmt::join(holders, ", ")));
  if (!processes.empty()) parts.push_back(fmt::format("open in process {}", fmt::join(processes, ", ")));
  if (claimed && parts.empty()) parts.emplace_back("claimed exclusively");
  return fmt::format("{}", fmt::join(parts, "; "));
}

Result<std::string> PartitionNameAt(const std::string& disk, std::uint64_t start, const SystemRoots& roots) {
  const fs::path block = roots.sys / "block" / disk;
  for (const std::string& child : ListDirectory(block)) {
    const auto number = ReadNumber(block / child / "partition");
    const auto begin = ReadNumber(block / child / "start");
    if (number && begin && *begin * 512 == start) return child;
  }
  std::error_code error;
  if (start == 0 && fs::exists(block, error)) return disk;
  return Fail(ErrorKind::kUnavailable, fmt::format("the kernel has no partition of {} at {}", disk, start));
}

Result<PartitionUse> FindUse(const std::string& device_name, const SystemRoots& roots) {
  const fs::path device = roots.sys / "class" / "block" / device_name;
  std::error_code error;
  if (!fs::exists(device, error)) {
    return Fail(ErrorKind::kUnavailable, fmt::format("no block device {}", device_name));
  }
  const fs::path node = roots.dev / device_name;
  PartitionUse use;
  use.mountPoints = MountPoints(ReadAttribute(device / "dev"), node, roots);
  use.swap = IsSwap(node, roots);
  use.holders = ListDirectory(device / "holders");
  use.processes = OpenBy(node, roots);
  const FileDescriptor fd(::open(node.c_str(), O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC));
  use.claimed = !fd && errno == EBUSY;
  return use;
}

Result<PartitionUse> ReleaseByForce(const std::string& device_name, const SystemRoots& roots) {
  auto use = FindUse(device_name, roots);
  if (!use) return use;
  for (const std::string& point : use->mountPoints) {
    if (::umount2(point.c_str(), MNT_DETACH) != 0 && errno != EINVAL) {
      return FailErrno(fmt::format("unmounting {}", point), errno);
    }
  }
  const fs::path node = roots.dev / device_name;
  if (use->swap && ::swapoff(node.c_str()) != 0) {
    return FailErrno(fmt::format("turning off swap on {}", node.string()), errno);
  }
  return FindUse(device_name, roots);
}

}  // namespace dmrp::server
