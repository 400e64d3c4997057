// The input is the beginning of a disk, with a copy of its last part at the disk's end: MBR, EBR chain and
// both GPTs are in reach. Reading must not fail, free regions must be free, and operations must keep the
// table readable.
#include "reference_server/platform/memory_device.hpp"
#include "reference_server/storage/operations.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::server;
  constexpr std::uint64_t kDisk = 1 << 20;
  constexpr std::size_t kTail = 33 * 512;
  if (size == 0 || size > kDisk) return 0;
  DiskGeometry geometry{.sizeBytes = kDisk, .bytesPerSector = 512, .sectorsPerTrack = 4, .heads = 4};
  if ((data[0] & 1) != 0) geometry.bytesPerSector = 4096;
  const auto octets = std::as_bytes(std::span(data + 1, size - 1));
  MemoryDevice device(geometry);
  const std::size_t tail = (data[0] & 2) != 0 && octets.size() > kTail ? kTail : 0;
  device.Poke(0, octets.first(octets.size() - tail));
  device.Poke(kDisk - tail, octets.last(tail));

  const auto layout = ReadLayout(device);
  if (!layout) std::abort();
  const Region* previous = nullptr;
  for (const Region& region : layout->regions) {
    if (previous != nullptr && previous->start > region.start) std::abort();
    previous = &region;
    if (!IsFree(region.kind)) continue;
    if (region.length == 0 || region.End() > kDisk) std::abort();
    const RegionKind kind = region.kind == RegionKind::kFree ? RegionKind::kPrimary : RegionKind::kLogical;
    MemoryDevice copy = device;
    const auto change = CreatePartition(copy, {.kind = kind,
                                               .freeRegion = region.start,
                                               .start = static_cast<std::int64_t>(region.start),
                                               .length = static_cast<std::int64_t>(region.length)});
    if (!change) continue;
    if (change->region.start != region.start || change->region.length != region.length) std::abort();
    if (!DeletePartition(copy, kind, region.start)) std::abort();
    const auto back = ReadLayout(copy);
    if (!back || back->FreeBytes() != layout->FreeBytes()) std::abort();
  }
  return 0;
}
