// Free space of dynamic disks and how new subdisks are placed in it.
//
// Unit: the 512-octet block, counted from the start of the public region, as VBLK records count on disks of
// any sector size.
#pragma once

#include "reference_server/storage/ldm/records.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace dmrp::server::ldm {

/// Windows' stripe unit for striped and RAID-5 volumes: 64 KiB.
inline constexpr std::uint64_t kStripeBlocks = 128;
/// Plexes, columns, or extents of a plex that a volume can have.
inline constexpr std::size_t kMaxMembers = 32;

/// A stretch of a public region; blocks.
struct Extent {
  std::uint64_t start = 0;
  std::uint64_t blocks = 0;

  [[nodiscard]] std::uint64_t End() const { return start + blocks; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// The public region of a disk.
struct DiskSpace {
  ObjectId diskId = 0;            ///< object id of the disk record
  std::uint64_t publicStart = 0;  ///< block of the disk where the public region starts
  std::uint64_t publicBlocks = 0;
  std::uint32_t sectorBlocks = 1;  ///< blocks of a device sector: 1, or 8 on disks of 4096 octets a sector

  /// What the absolute start of a new subdisk is a multiple of where room allows it: 64 KiB, from 4 GiB on
  /// 1 MiB. In blocks.
  [[nodiscard]] std::uint64_t Alignment() const;
};

/// What the used extents (of whatever order) leave of the public region, ascending, in whole device sectors.
std::vector<Extent> FreeExtents(const DiskSpace& disk, std::span<const Extent> used);

/// The sum of FreeExtents.
std::uint64_t FreeBlocks(const DiskSpace& disk, std::span<const Extent> used);

/// The longest member that Allocate places in one piece, a multiple of `unit` blocks.
std::uint64_t LargestContiguous(const DiskSpace& disk, std::span<const Extent> used, std::uint64_t unit = 1);

struct Wanted {
  std::uint64_t blocks = 0;
  bool contiguous = true;
  std::size_t maxPieces = kMaxMembers;
};

/// Places a member: at the first aligned place where it fits in one piece, else at the first place, else,
/// when it need not be contiguous, in as few pieces as possible. Ascending. kMisaligned when the length is no
/// multiple of the device sector, kFragmented when only several pieces would do, kTooManyMembers when more
/// than maxPieces would, kNoSpace, kTooSmall for a length of 0.
StorageResult<std::vector<Extent>> Allocate(const DiskSpace& disk, std::span<const Extent> used,
                                            const Wanted& wanted);

}  // namespace dmrp::server::ldm
