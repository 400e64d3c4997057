#include "reference_server/storage/ldm/allocation.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::uint64_t kLargeDiskBlocks = (std::uint64_t{4} << 30) / kBlockBytes;
constexpr std::uint64_t kLargeAlignment = (std::uint64_t{1} << 20) / kBlockBytes;
constexpr std::uint64_t kSmallAlignment = (std::uint64_t{64} << 10) / kBlockBytes;

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }
std::uint64_t RoundDown(std::uint64_t value, std::uint64_t unit) { return value / unit * unit; }

/// The part of an extent that starts on an aligned block of the disk.
std::optional<Extent> Aligned(const DiskSpace& disk, const Extent& extent) {
  const std::uint64_t start = RoundUp(disk.publicStart + extent.start, disk.Alignment()) - disk.publicStart;
  if (start >= extent.End()) return std::nullopt;
  return Extent{start, extent.End() - start};
}

}  // namespace

std::uint64_t DiskSpace::Alignment() const {
  return publicStart + publicBlocks >= kLargeDiskBlocks ? kLargeAlignment : kSmallAlignment;
}

std::vector<Extent> FreeExtents(const DiskSpace& disk, std::span<const Extent> used) {
  std::vector<Extent> sorted(used.begin(), used.end());
  std::ranges::sort(sorted, {}, &Extent::start);
  std::vector<Extent> free;
  const auto add = [&](std::uint64_t from, std::uint64_t to) {
    const std::uint64_t start = RoundUp(from, disk.sectorBlocks);
    const std::uint64_t end = RoundDown(std::min(to, disk.publicBlocks), disk.sectorBlocks);
    if (start < end) free.push_back({start, end - start});
  };
  std::uint64_t next = 0;
  for (const Extent& extent : sorted) {
    add(next, extent.start);
    next = std::max(next, extent.End());
  }
  add(next, disk.publicBlocks);
  return free;
}

std::uint64_t FreeBlocks(const DiskSpace& disk, std::span<const Extent> used) {
  std::uint64_t sum = 0;
  for (const Extent& extent : FreeExtents(disk, used)) sum += extent.blocks;
  return sum;
}

std::uint64_t LargestContiguous(const DiskSpace& disk, std::span<const Extent> used, std::uint64_t unit) {
  std::uint64_t largest = 0;
  for (const Extent& extent : FreeExtents(disk, used)) {
    largest = std::max(largest, RoundDown(extent.blocks, unit));
  }
  return largest;
}

StorageResult<std::vector<Extent>> Allocate(const DiskSpace& disk, std::span<const Extent> used,
                                            const Wanted& wanted) {
  if (wanted.blocks == 0) return Refuse(StorageErrorCode::kTooSmall, "a member of no length");
  if (wanted.blocks % disk.sectorBlocks != 0) {
    return Refuse(StorageErrorCode::kMisaligned,
                  fmt::format("{} octets are no multiple of the sector of {}", wanted.blocks * kBlockBytes,
                              disk.sectorBlocks * kBlockBytes));
  }
  std::vector<Extent> free = FreeExtents(disk, used);
  for (const Extent& extent : free) {
    const auto aligned = Aligned(disk, extent);
    if (aligned && aligned->blocks >= wanted.blocks) {
      return std::vector<Extent>{{aligned->start, wanted.blocks}};
    }
  }
  for (const Extent& extent : free) {
    if (extent.blocks >= wanted.blocks) return std::vector<Extent>{{extent.start, wanted.blocks}};
  }
  std::uint64_t sum = 0;
  for (const Extent& extent : free) sum += extent.blocks;
  if (sum < wanted.blocks) {
    return Refuse(StorageErrorCode::kNoSpace,
                  fmt::format("{} octets are wanted, {} are free on disk {}", wanted.blocks * kBlockBytes,
                              sum * kBlockBytes, disk.diskId));
  }
  if (wanted.contiguous) {
    return Refuse(StorageErrorCode::kFragmented,
                  fmt::format("{} octets are wanted in one piece, disk {} has them in {}",
                              wanted.blocks * kBlockBytes, disk.diskId, free.size()));
  }
  std::ranges::sort(free, [](const Extent& a, const Extent& b) {
    return a.blocks != b.blocks ? a.blocks > b.blocks : a.start < b.start;
  });
  std::vector<Extent> pieces;
  std::uint64_t left = wanted.blocks;
  for (const Extent& extent : free) {
    if (left == 0) break;
    pieces.push_back({extent.start, std::min(extent.blocks, left)});
    left -= pieces.back().blocks;
  }
  if (pieces.size() > wanted.maxPieces) {
    return Refuse(StorageErrorCode::kTooManyMembers,
                  fmt::format("{} pieces are needed, {} are possible", pieces.size(), wanted.maxPieces));
  }
  std::ranges::sort(pieces, {}, &Extent::start);
  return pieces;
}

}  // namespace dmrp::server::ldm
