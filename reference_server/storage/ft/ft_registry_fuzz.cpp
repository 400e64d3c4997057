#include "reference_server/storage/ft/disk_registry.hpp"
#include "reference_server/storage/ft/ft_sets.hpp"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::server;
  const auto value = std::as_bytes(std::span(data, size));
  auto registry = ft::DiskRegistry::Parse(value);
  if (!registry) return 0;
  // Unchanged, it comes back octet for octet; changed, it reads as it was changed.
  const auto same = registry->Serialize();
  if (!same || !std::ranges::equal(*same, value)) __builtin_trap();
  registry->checkSum = 0;
  registry->ftPoolSize ^= 1;
  if (const auto octets = registry->Serialize()) {
    const auto again = ft::DiskRegistry::Parse(*octets);
    if (!again || *again != *registry) __builtin_trap();
  }
  // Whatever it says of members, disks that have them all are looked at without harm.
  std::vector<ft::FtDisk> disks;
  for (const ft::DiskDescription& disk : registry->disks) {
    DiskLayout layout;
    layout.style = PartitionStyle::kMbr;
    layout.mbrSignature = disk.signature;
    for (const ft::DiskPartition& entry : disk.partitions) {
      Region region;
      region.kind = RegionKind::kPrimary;
      region.start = entry.startingOffset;
      region.length = entry.length;
      region.mbrType = 0x87;
      layout.regions.push_back(std::move(region));
    }
    disks.push_back({std::move(layout)});
  }
  for (const ft::FtVolume& volume : ft::ReadFtSets(*registry, disks).volumes) {
    static_cast<void>(ft::MapOf(volume, "set", {}));
  }
  return 0;
}
