#include "reference_server/platform/partition_use.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/forced_unmount.hpp"
#include "reference_server/platform/linux_device.hpp"
#include "reference_server/platform/mounts_of_device.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <cerrno>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/swap.h>
#include <unistd.h>

namespace dmrp::server {
namespace fs = std::filesystem;

namespace {

bool IsSwap(const fs::path& node, const SystemRoots& roots) {
  std::istringstream lines(ReadWholeFile(roots.proc / "swaps"));
  std::string line;
  std::getline(lines, line);  // headings
  while (std::getline(lines, line)) {
    if (UnescapeProcPath(line.substr(0, line.find_first_of(" \t"))) == node.string()) return true;
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
  for (DeviceMount& mount : MountsOfDevice(ReadAttribute(device / "dev"), node, roots)) {
    use.mountPoints.push_back(std::move(mount.point));
  }
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
  const fs::path node = roots.dev / device_name;
  const std::string number = ReadAttribute(roots.sys / "class" / "block" / device_name / "dev");
  if (auto done = UnmountByForce(MountsOfDevice(number, node, roots), number, node, roots); !done) {
    return tl::unexpected(done.error());
  }
  if (use->swap && ::swapoff(node.c_str()) != 0) {
    return FailErrno(fmt::format("turning off swap on {}", node.string()), errno);
  }
  return FindUse(device_name, roots);
}

}  // namespace dmrp::server
