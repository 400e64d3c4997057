// Partition tables of dynamic disks: where the two regions of the Logical Disk Manager (LDM) lie and which
// table entries cover them.
//
// All positions are device sectors. Planning reads nothing and writes nothing; WriteTable makes the plan
// count with one sector (the MBR) or one header (the primary GPT), so a power cut leaves the old table or
// the new one.
#pragma once

#include "reference_server/storage/disk_table.hpp"
#include "reference_server/storage/operations.hpp"

#include <optional>
#include <span>
#include <vector>

namespace dmrp::server::ldm {

/// Octets of the private region of a disk that we convert: 1 MiB whatever the sector size.
inline constexpr std::uint64_t kPrivateBytes = 1024 * 1024;
/// Least octets of a public region that we make.
inline constexpr std::uint64_t kMinPublicBytes = 1024 * 1024;

/// The private region (the database) and the public region (the data); device sectors.
struct DiskRegions {
  std::uint64_t publicStart = 0;
  std::uint64_t publicSectors = 0;
  std::uint64_t privateStart = 0;
  std::uint64_t privateSectors = 0;

  [[nodiscard]] std::uint64_t PublicEnd() const { return publicStart + publicSectors; }
  friend bool operator==(const DiskRegions&, const DiskRegions&) = default;
};

/// A stretch of the public region with a table entry of its own: the subdisk of a volume with a retained
/// partition. Absolute device sectors.
struct RetainedExtent {
  std::uint64_t start = 0;
  std::uint64_t sectors = 0;
  /// The boot flag of an MBR entry; absent: as the entry of the same start and length has it now.
  std::optional<bool> active{};
};

/// One table entry of the public region.
struct Tile {
  std::uint64_t start = 0;
  std::uint64_t sectors = 0;
  bool retained = false;
  bool active = false;
  friend bool operator==(const Tile&, const Tile&) = default;
};

/// Cuts the public region into retained extents and what lies between them, in ascending order and without a
/// gap. kOutOfRange when an extent leaves the region, kNotFree when two overlap.
StorageResult<std::vector<Tile>> TilePublicRegion(const DiskRegions& regions,
                                                  std::span<const RetainedExtent> retained);

/// A table as it is and as it shall be.
struct TableChange {
  DiskRegions regions;  ///< of the dynamic disk, before or after
  DiskTable before;
  Bytes mbr;                    ///< sector 0 of an MBR disk
  std::optional<GptTable> gpt;  ///< of a GPT disk
};

/// Why a basic disk cannot become dynamic, and what a caller should know; the members are the reasons that
/// GetEncapsulateDiskInfo(Ex) lists ([MS-DMRP] 3.2.4.4.1.44, 3.2.4.4.3.47).
struct ConversionFindings {
  bool noFreeSpace = false;        ///< ENCAP_INFO_NO_FREE_SPACE: no free 1 MiB where the database has to lie
  bool badActive = false;          ///< ENCAP_INFO_BAD_ACTIVE: active, and not the system partition
  bool unknownPartition = false;   ///< ENCAP_INFO_UNKNOWN_PART: type, place or table not understood
  bool containsFt = false;         ///< ENCAP_INFO_CONTAINS_FT: a type with the bit of fault-tolerant sets
  bool mixedPartitions = false;    ///< ENCAP_INFO_MIXED_PARTITIONS: foreign GPT partitions between basic ones
  bool tooManyPartitions = false;  ///< more than four MBR entries would be needed (LDM_E_TOO_MANY_PARTITIONS)
  bool hasExtended = false;        ///< CONTAINS_EXTENDED_PARTITION
  bool hasActive = false;          ///< CONTAINS_BOOTINDICATOR
  std::string reason;              ///< of the first finding that forbids the conversion, for people

  [[nodiscard]] bool CannotProceed() const {
    return noFreeSpace || badActive || unknownPartition || mixedPartitions || tooManyPartitions;
  }
};

/// A partition that becomes a simple volume where it lies.
struct ConvertedPartition {
  Region region;        ///< as the basic disk had it
  bool system = false;  ///< keeps a table entry; volume flag "system"
  bool boot = false;    ///< keeps a table entry; volume flag "boot"
};

struct ConversionPlan {
  ConversionFindings findings;
  TableChange change;                          ///< meaningless when findings.CannotProceed()
  std::vector<ConvertedPartition> partitions;  ///< in ascending order of start
};

struct ConversionOptions {
  /// True for the partition from which the computer was started (the active one): it keeps an entry.
  std::function<bool(const Region&)> isSystem{};
  /// True for the partition that holds the running operating system.
  std::function<bool(const Region&)> isBoot{};
  /// FT types are taken like their plain ones: the caller has made their sets volumes.
  bool acceptFt = false;
  SignatureIsFree signatureIsFree{};  ///< for MBR disks whose signature is zero
};

/// Plans the conversion of a basic disk, empty or not. Refused outright (no findings): kNotInitialized,
/// kDynamicDisk, kDiskTooSmall.
/// - MBR: the private region is the last 1 MiB of the disk, the public one reaches from sector 63, or from
///   the end of an OEM partition at the front, to the private one, yet not beyond sector 2^32.
/// - GPT: the first 1 MiB of the Microsoft reserved partition, or, without a reserved partition that is
///   larger than that, the last 1 MiB of the usable stretch that holds the basic partitions.
StorageResult<ConversionPlan> PlanConversion(const DiskTable& table, const DiskGeometry& geometry,
                                             const ConversionOptions& options = {});

/// Plans the entries of a dynamic disk anew for a set of retained extents. kTableFull when an MBR would need
/// more than four entries, or a GPT more than it has.
StorageResult<TableChange> PlanRetained(const DiskTable& table, const DiskGeometry& geometry,
                                        const DiskRegions& regions, std::span<const RetainedExtent> retained);

/// Plans the way back: all LDM entries go, the private region returns to the reserved partition behind it.
StorageResult<TableChange> PlanBasicTable(const DiskTable& table, const DiskGeometry& geometry,
                                          const DiskRegions& regions);

/// Writes a plan; nothing when the table is as planned already.
StorageResult<void> WriteTable(BlockDevice& device, const TableChange& change);

/// True for the MBR types that Windows leaves alone as an OEM's: 12, 84, A0, DE, FE.
[[nodiscard]] bool IsOemType(std::uint8_t type);

}  // namespace dmrp::server::ldm
