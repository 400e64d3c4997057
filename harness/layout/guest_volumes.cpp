#include "harness/layout/guest_volumes.hpp"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

constexpr std::uint64_t kBlock = 512;  // what sysfs counts in, whatever the disk's sectors
constexpr std::uint64_t kMostRead = 4U << 20U;
constexpr const char* kEmptyTocSlot = "Cannot find TOCBLOCK";
constexpr auto kDeadline = std::chrono::milliseconds(60'000);

}  // namespace

Result<KernelPartitions> ReadKernelPartitions(AgentClient& agent, const std::string& device) {
  const std::string script = fmt::format(
      "cd /sys/block/{} || exit 1; for p in */partition; do [ -e $p ] || continue; d=${{p%/partition}}; "
      "echo $(cat $p) $(cat $d/start) $(cat $d/size); done; echo; dmesg | grep ldm_ || true",
      device);
  auto output = agent.Shell(script, kDeadline);
  if (!output) return tl::unexpected(output.error());
  KernelPartitions kernel;
  std::istringstream lines(*output);
  std::string line;
  while (std::getline(lines, line) && !line.empty()) {
    std::istringstream fields(line);
    KernelPartition partition;
    if (!(fields >> partition.number >> partition.start >> partition.length)) {
      return Fail(ErrorKind::kMalformed, fmt::format("partitions of {}: \"{}\"", device, line));
    }
    partition.start *= kBlock;
    partition.length *= kBlock;
    kernel.partitions.push_back(partition);
  }
  while (std::getline(lines, line)) {
    if (line.find(kEmptyTocSlot) == std::string::npos) kernel.complaints.push_back(line);
  }
  std::ranges::sort(kernel.partitions, {}, &KernelPartition::number);
  return kernel;
}

std::vector<std::string> Dissents(const DynamicGroup& group, std::string_view disk,
                                  const KernelPartitions& kernel) {
  std::vector<KernelPartition> expected;
  for (const DynamicVolume& volume : group.volumes) {
    for (const DynamicPlex& plex : volume.plexes) {
      for (const DynamicExtent& extent : plex.extents) {
        if (extent.disk == disk && extent.start) expected.push_back({0, *extent.start, extent.length});
      }
    }
  }
  std::ranges::sort(expected, {}, &KernelPartition::start);
  const auto text = [](const std::vector<KernelPartition>& partitions) {
    std::vector<std::string> texts;
    for (const KernelPartition& each : partitions)
      texts.push_back(fmt::format("{} + {}", each.start, each.length));
    return fmt::format("{}", fmt::join(texts, ", "));
  };
  std::vector<KernelPartition> seen = kernel.partitions;
  std::ranges::sort(seen, {}, &KernelPartition::start);
  if (text(seen) == text(expected)) return {};
  return {fmt::format("disk {}: the kernel sees partitions at [{}], the subdisks are at [{}]", disk,
                      text(seen), text(expected))};
}

OctetAccess DeviceInGuest(AgentClient& agent, std::string path) {
  const auto read = [&agent, path](std::uint64_t offset, std::uint64_t length) -> Result<Bytes> {
    Bytes octets;
    while (length > 0) {
      const auto count = static_cast<std::uint32_t>(std::min(length, kMostRead));
      auto part = agent.ReadFile(path, offset, count, kDeadline);
      if (!part) return tl::unexpected(part.error());
      if (part->empty()) return Fail(ErrorKind::kUsage, fmt::format("{} ends at {}", path, offset));
      const auto* first = reinterpret_cast<const std::byte*>(part->data());
      octets.insert(octets.end(), first, first + part->size());
      offset += part->size();
      length -= std::min<std::uint64_t>(length, part->size());
    }
    return octets;
  };
  const auto write = [&agent, path](std::uint64_t offset, std::span<const std::byte> octets) -> Result<void> {
    const std::string_view input(reinterpret_cast<const char*>(octets.data()), octets.size());
    auto done = agent.Exec({"dd", "of=" + path, "bs=64K", fmt::format("seek={}", offset), "oflag=seek_bytes",
                            "iflag=fullblock", "conv=notrunc,fsync", "status=none"},
                           input, kDeadline);
    if (!done) return tl::unexpected(done.error());
    if (done->status != 0) {
      return Fail(ErrorKind::kFault, fmt::format("writing {} at {}: {}", path, offset, done->errors));
    }
    return {};
  };
  return {read, write};
}

}  // namespace dmrp::harness
