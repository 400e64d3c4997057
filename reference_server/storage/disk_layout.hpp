// What a basic disk holds, read from its partition table: the model behind DISK_INFO(_EX) and
// REGION_INFO(_EX).
//
// Which bytes belong to which region:
// - MBR: the first track (table and boot code) belongs to no region, so the first free region starts at
//   BytesPerTrack(), sector 63 of a 255/63 disk. Nothing beyond sector 2^32 belongs to a region.
// - A logical drive needs a boot record of its own (EBR) in front of it, for which one track is taken.
//   An EXTENDED_FREE region therefore starts one track after the space that is really free, at the first
//   offset a logical drive can have.
// - GPT: regions lie between the first and the last usable sector of the header.
// So start and length of any free region, taken as they are, make a partition that fills it.
// - A disk without a table has no regions, and no free bytes, until a table is written to it.
// - A file system without any table (removable media, CDs) is one region of kind kWhole.
#pragma once

#include "protocol/base/guid.hpp"
#include "reference_server/platform/block_device.hpp"
#include "reference_server/platform/linux_device.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// [MS-DMRP] 2.5.1.1.
enum class PartitionStyle : std::uint8_t { kUnknown, kMbr, kGpt };

/// What a region is ([MS-DMRP] 2.2.3); kWhole covers a whole medium without a table and becomes
/// REGION_REMOVABLE or REGION_CDROM by the kind of device.
enum class RegionKind : std::uint8_t { kFree, kExtendedFree, kPrimary, kLogical, kExtended, kWhole };

/// "Free", "ExtendedFree", ...: for messages and tests.
std::string_view RegionKindName(RegionKind kind);

/// True for the kinds that hold data of their own: primary, logical and whole.
[[nodiscard]] constexpr bool HoldsData(RegionKind kind) {
  return kind == RegionKind::kPrimary || kind == RegionKind::kLogical || kind == RegionKind::kWhole;
}
[[nodiscard]] constexpr bool IsFree(RegionKind kind) {
  return kind == RegionKind::kFree || kind == RegionKind::kExtendedFree;
}

/// One region of a disk. All offsets and lengths are octets.
struct Region {
  RegionKind kind = RegionKind::kFree;
  std::uint64_t start = 0;
  std::uint64_t length = 0;

  /// REGION_INFO.currentPartitionNumber as Windows counts: from 1, used MBR entries other than extended
  /// ones in table order, then logical drives in chain order; GPT entries in use in table order. 0 for
  /// free regions and the extended partition.
  std::uint32_t number = 0;
  /// The number by which Linux names the partition's device; 0 when it makes none.
  std::uint32_t kernelNumber = 0;
  /// MBR: slot 0 to 3; logical drive: place in the chain of EBRs; GPT: index of the entry.
  std::uint32_t entry = 0;
  /// Offset of the boot record of a logical drive or of the first one of an extended partition.
  std::uint64_t ebr = 0;

  std::uint8_t mbrType = 0;  ///< REGION_INFO.partitionType; 0 for free regions
  bool active = false;       ///< REGION_INFO.isActive

  /// Shares sectors with a partition that an earlier entry of the table (or an earlier EBR) names, or lies in
  /// an extended partition that does. Regions of a disk have their sectors for themselves, so it is not
  /// shown.
  bool contested = false;

  Guid gptType{};                   ///< REGION_INFO_EX.gpt.partitionType; null for free regions
  Guid gptId{};                     ///< REGION_INFO_EX.gpt.partitionId
  std::uint64_t gptAttributes = 0;  ///< REGION_INFO_EX.gpt.attributes
  std::u16string gptName{};         ///< REGION_INFO_EX.name, without a terminating null

  [[nodiscard]] std::uint64_t End() const { return start + length; }
  friend bool operator==(const Region&, const Region&) = default;
};

/// A fault in a partition table. DiskLayout::BlockingAnomaly says which of them forbid changes.
enum class TableFault : std::uint8_t {
  kEbrSignature,    ///< a link leads to a sector without the 55 AA mark; not followed
  kEbrLoop,         ///< a link leads back to an EBR already read; not followed
  kEbrOutside,      ///< a link or a logical drive lies outside of the extended partition; not followed
  kEbrTooMany,      ///< more EBRs than kMaxLogicalDrives; the rest is not followed
  kEbrExtraEntry,   ///< an EBR describes more than one drive or more than one link
  kOverlap,         ///< two partitions share sectors
  kOutsideDisk,     ///< an entry starts or ends beyond the disk; not shown when it starts there
  kManyExtended,    ///< more than one extended partition; only the first is followed
  kManyActive,      ///< more than one entry is marked active (MarkActive mends it)
  kBadBootFlag,     ///< a boot flag other than 00 and 80: the sector is no MBR, style unknown
  kInsideReserved,  ///< a partition covers the table itself
  kGptCopyBad,      ///< one of the two GPTs is unusable, the other one is used
  kGptBothBad,      ///< protective MBR, but neither GPT is usable: style unknown
  kGptEntry,        ///< a GPT entry ends before it starts or leaves the usable sectors
  kHybridMbr,       ///< partitions beside the protective entry of a GPT disk
};

std::string_view TableFaultName(TableFault fault);

struct TableAnomaly {
  TableFault fault = TableFault::kOverlap;
  std::uint64_t offset = 0;  ///< octet on the disk where the fault was seen
  std::string message;
};

/// Which of the two GPTs of a disk hold.
enum class GptCopies : std::uint8_t { kNone, kBoth, kPrimaryOnly, kBackupOnly };

struct DiskLayout {
  PartitionStyle style = PartitionStyle::kUnknown;
  bool dynamic = false;            ///< LDM partitions: listed as primaries, never changed here
  std::uint32_t mbrSignature = 0;  ///< at 0x1B8 of the MBR; meaningful for MBR disks. 0: none written yet
  Guid gptDiskId;                  ///< meaningful for GPT disks
  GptCopies gptCopies = GptCopies::kNone;
  /// DISK_INFO_EX.maxPartitionCount: 4 for MBR, the entry count for GPT, 0 without a table.
  std::uint32_t maxPartitionCount = 0;
  /// In ascending order of start; the extended partition stands before what it holds.
  std::vector<Region> regions;
  std::vector<TableAnomaly> anomalies;

  /// DISK_INFO.freeBytes: the sum of all free regions, those of the extended partition too.
  [[nodiscard]] std::uint64_t FreeBytes() const;
  /// True when any primary, logical or extended partition exists other than a Microsoft reserved one.
  [[nodiscard]] bool HasPartitions() const;
  /// DISK_INFO_EX.maySwitchStyle: a basic disk with a table and without partitions.
  [[nodiscard]] bool MaySwitchStyle() const;
  /// The first anomaly that forbids changes, or null: any but kGptCopyBad, kHybridMbr, kOutsideDisk and
  /// kManyActive, which leave no doubt about what is free, and those that make the style unknown.
  [[nodiscard]] const TableAnomaly* BlockingAnomaly() const;
  /// The used region that starts at `start` (for equal starts: a partition before the extended one).
  [[nodiscard]] const Region* FindPartition(std::uint64_t start) const;
};

/// Chains of EBRs longer than this are cut (kEbrTooMany).
inline constexpr std::uint32_t kMaxLogicalDrives = 256;

/// Reads the table of a disk. Malformed tables give anomalies, never an error: kIoError only.
StorageResult<DiskLayout> ReadLayout(BlockDevice& device);

/// The layout of a medium that never has a table (CD, DVD, floppy): one region over all of it.
DiskLayout WholeMedium(const DiskGeometry& geometry);

/// The partitions of a layout as the kernel should know them; an extended one counts with at most 1024
/// octets or one sector, as the kernel's own reader gives it.
std::vector<KernelPartition> KernelPartitionsOf(const DiskLayout& layout, const DiskGeometry& geometry);

}  // namespace dmrp::server
