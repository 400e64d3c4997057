#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/linux_device.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/blkpg.h>
#include <sys/ioctl.h>

namespace dmrp::server {
namespace {

/// sysfs counts in units of 512 octets, whatever the sector size.
constexpr std::uint64_t kSysfsUnit = 512;

Result<void> ChangePartition(int fd, int operation, const KernelPartition& partition) {
  blkpg_partition data{};
  data.pno = static_cast<int>(partition.number);
  data.start = static_cast<long long>(partition.start);
  data.length = static_cast<long long>(partition.length);
  blkpg_ioctl_arg argument{};
  argument.op = operation;
  argument.datalen = sizeof(data);
  argument.data = &data;
  if (::ioctl(fd, BLKPG, &argument) == 0) return {};
  return FailErrno(fmt::format("{} partition {} in the kernel",
                               operation == BLKPG_ADD_PARTITION ? "adding" : "deleting", partition.number),
                   errno);
}

}  // namespace

std::vector<KernelPartition> KernelPartitions(const std::string& name, const std::filesystem::path& sys) {
  const auto disk = sys / "block" / name;
  std::vector<KernelPartition> partitions;
  for (const std::string& child : ListDirectory(disk)) {
    const auto number = ReadNumber(disk / child / "partition");
    const auto start = ReadNumber(disk / child / "start");
    const auto size = ReadNumber(disk / child / "size");
    if (!number || !start || !size) continue;
    partitions.push_back({static_cast<std::uint32_t>(*number), *start * kSysfsUnit, *size * kSysfsUnit});
  }
  std::ranges::sort(partitions, {}, &KernelPartition::number);
  return partitions;
}

Result<void> SyncKernelPartitions(const std::filesystem::path& node, const std::string& name,
                                  const std::vector<KernelPartition>& wanted,
                                  const std::filesystem::path& sys) {
  const FileDescriptor fd(::open(node.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return FailErrno(fmt::format("opening {}", node.string()), errno);
  Result<void> outcome;
  const auto keep_first_error = [&](Result<void> done) {
    if (!done && outcome) outcome = std::move(done);
  };
  const auto present = KernelPartitions(name, sys);
  const auto holds = [](const std::vector<KernelPartition>& list, const KernelPartition& partition) {
    return std::ranges::find(list, partition) != list.end();
  };
  for (const KernelPartition& partition : present) {
    if (!holds(wanted, partition)) {
      keep_first_error(ChangePartition(fd.Get(), BLKPG_DEL_PARTITION, partition));
    }
  }
  for (const KernelPartition& partition : wanted) {
    if (!holds(present, partition)) {
      keep_first_error(ChangePartition(fd.Get(), BLKPG_ADD_PARTITION, partition));
    }
  }
  return outcome;
}

}  // namespace dmrp::server
