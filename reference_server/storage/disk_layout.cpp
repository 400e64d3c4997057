#include "reference_server/storage/disk_layout.hpp"

#include "reference_server/storage/gpt.hpp"

#include <algorithm>

namespace dmrp::server {

std::string_view RegionKindName(RegionKind kind) {
  switch (kind) {
    case RegionKind::kFree:
      return "Free";
    case RegionKind::kExtendedFree:
      return "ExtendedFree";
    case RegionKind::kPrimary:
      return "Primary";
    case RegionKind::kLogical:
      return "Logical";
    case RegionKind::kExtended:
      return "Extended";
    case RegionKind::kWhole:
      return "Whole";
  }
  return "Unknown";
}

std::string_view TableFaultName(TableFault fault) {
  switch (fault) {
    case TableFault::kEbrSignature:
      return "EbrSignature";
    case TableFault::kEbrLoop:
      return "EbrLoop";
    case TableFault::kEbrOutside:
      return "EbrOutside";
    case TableFault::kEbrTooMany:
      return "EbrTooMany";
    case TableFault::kEbrExtraEntry:
      return "EbrExtraEntry";
    case TableFault::kOverlap:
      return "Overlap";
    case TableFault::kOutsideDisk:
      return "OutsideDisk";
    case TableFault::kManyExtended:
      return "ManyExtended";
    case TableFault::kManyActive:
      return "ManyActive";
    case TableFault::kBadBootFlag:
      return "BadBootFlag";
    case TableFault::kInsideReserved:
      return "InsideReserved";
    case TableFault::kGptCopyBad:
      return "GptCopyBad";
    case TableFault::kGptBothBad:
      return "GptBothBad";
    case TableFault::kGptEntry:
      return "GptEntry";
    case TableFault::kHybridMbr:
      return "HybridMbr";
  }
  return "Unknown";
}

std::uint64_t DiskLayout::FreeBytes() const {
  std::uint64_t sum = 0;
  for (const Region& region : regions) {
    if (IsFree(region.kind)) sum += region.length;
  }
  return sum;
}

bool DiskLayout::HasPartitions() const {
  return std::ranges::any_of(regions, [&](const Region& region) {
    return !IsFree(region.kind) &&
           !(style == PartitionStyle::kGpt && region.gptType == kGptTypeMicrosoftReserved);
  });
}

bool DiskLayout::MaySwitchStyle() const {
  return style != PartitionStyle::kUnknown && !dynamic && !HasPartitions() && BlockingAnomaly() == nullptr;
}

const TableAnomaly* DiskLayout::BlockingAnomaly() const {
  const auto found = std::ranges::find_if(anomalies, [](const TableAnomaly& anomaly) {
    switch (anomaly.fault) {
      case TableFault::kGptCopyBad:
      case TableFault::kHybridMbr:
      case TableFault::kOutsideDisk:
      case TableFault::kManyActive:
      case TableFault::kBadBootFlag:
      case TableFault::kGptBothBad:
        return false;
      default:
        return true;
    }
  });
  return found == anomalies.end() ? nullptr : &*found;
}

const Region* DiskLayout::FindPartition(std::uint64_t start) const {
  const Region* extended = nullptr;
  for (const Region& region : regions) {
    if (region.start != start || IsFree(region.kind)) continue;
    if (region.kind != RegionKind::kExtended) return &region;
    extended = &region;
  }
  return extended;
}

DiskLayout WholeMedium(const DiskGeometry& geometry) {
  DiskLayout layout;
  const std::uint64_t length = geometry.Sectors() * geometry.bytesPerSector;
  if (length != 0) layout.regions.push_back({.kind = RegionKind::kWhole, .start = 0, .length = length});
  return layout;
}

std::vector<KernelPartition> KernelPartitionsOf(const DiskLayout& layout, const DiskGeometry& geometry) {
  std::vector<KernelPartition> partitions;
  for (const Region& region : layout.regions) {
    if (region.kernelNumber == 0) continue;
    std::uint64_t length = region.length;
    if (region.kind == RegionKind::kExtended) {
      length = std::min<std::uint64_t>(length, std::max<std::uint64_t>(1024, geometry.bytesPerSector));
    }
    partitions.push_back({region.kernelNumber, region.start, length});
  }
  std::ranges::sort(partitions, {}, &KernelPartition::number);
  return partitions;
}

}  // namespace dmrp::server
