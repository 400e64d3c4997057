// The changes that the protocol makes to the partition table of a basic disk.
//
// Each reads the table afresh, validates (a refusal changes nothing), and writes in an order in which the
// disk reads as the old table or as the new one at every write boundary: what is not yet linked first,
// then a barrier, then one sector that makes it count. A GPT is written backup first, then primary.
#pragma once

#include "reference_server/storage/disk_layout.hpp"
#include "reference_server/storage/file_system.hpp"

#include <functional>
#include <optional>

namespace dmrp::server {

/// How start and length of a new MBR partition are taken. GPT partitions are always kSector.
enum class Alignment : std::uint8_t {
  /// Exactly as asked for; both must be multiples of the sector size (kMisaligned).
  kSector,
  /// As Windows before 2008: start up to a cylinder boundary unless it is the start of the free region
  /// (the boot record of a logical drive then lies on the boundary, its data one track later), end up to
  /// the next cylinder boundary, yet never beyond the end of the free region.
  kCylinder,
};

/// True when no other disk of the system has this MBR signature.
using SignatureIsFree = std::function<bool(std::uint32_t)>;

/// What an operation did.
struct Change {
  DiskLayout before;
  DiskLayout after;  ///< read back from the disk
  Region region;     ///< the partition created, deleted (as it was), made active or retyped; else empty
};

/// REGION_SPEC as far as it concerns the table ([MS-DMRP] 2.2.13).
struct CreateRequest {
  RegionKind kind = RegionKind::kPrimary;  ///< kPrimary, kLogical or kExtended
  /// Start of the free region that the caller named; kOutOfRange when the range leaves that region.
  std::uint64_t freeRegion = 0;
  std::int64_t start = 0;
  std::int64_t length = 0;
  Alignment alignment = Alignment::kSector;
};

/// Makes a partition in a free region (3.2.4.4.1.3). Primary and extended partitions go into kFree,
/// logical drives into kExtendedFree (kWrongType otherwise). New partitions get type 07 (IFS), extended
/// ones 05, those of a GPT disk the basic data type, and their first 4096 octets are zeroed before the
/// table names them, so that no earlier file system comes back.
StorageResult<Change> CreatePartition(BlockDevice& device, const CreateRequest& request);

/// Deletes the primary, logical or extended partition that starts at `start` and has `kind`
/// (3.2.4.4.1.6). An extended one must hold no logical drive (kExtendedNotEmpty). Whether the partition
/// is in use is the caller's question (platform/partition_use.hpp).
StorageResult<Change> DeletePartition(BlockDevice& device, RegionKind kind, std::uint64_t start);

/// Marks a primary MBR partition active and any other one inactive, in one sector (3.2.4.4.1.8); nothing is
/// written when it is the one active partition already. kWrongStyle on GPT disks, kWrongType for logical and
/// extended partitions.
StorageResult<Change> MarkActive(BlockDevice& device, std::uint64_t start);

/// The MBR type of a partition with a file system: 01 for FAT12, 04 and 06 for FAT16 below and from 32 MiB,
/// 0B and 0C for FAT32 before and beyond cylinder 1023, 07 (IFS) for all else.
[[nodiscard]] std::uint8_t MbrTypeOf(FileSystemType type, const Region& region, const DiskGeometry& geometry);

/// Gives the primary MBR partition or logical drive that starts at `start` the type that goes with a file
/// system (MbrTypeOf), in one sector, and leaves all else as it is; nothing is written when it has that type
/// already. kWrongStyle on GPT disks, whose basic data type says nothing of the file system; kWrongType for
/// an extended partition.
StorageResult<Change> SetPartitionType(BlockDevice& device, std::uint64_t start, FileSystemType type);

/// Gives that partition any type, such as one with the bits of an FT set. Else as SetPartitionType.
/// kWrongType, too, for the types that mean unused and extended.
StorageResult<Change> SetMbrType(BlockDevice& device, std::uint64_t start, std::uint8_t type);

/// Writes a signature and an empty MBR (3.2.4.4.1.7): InitializeStyle(kMbr), except that an MBR disk with
/// partitions and no signature (zero) only gets the signature.
StorageResult<Change> WriteSignature(BlockDevice& device, const SignatureIsFree& signature_is_free);

struct InitializeOptions {
  PartitionStyle style = PartitionStyle::kMbr;
  SignatureIsFree signatureIsFree{};  ///< empty: any nonzero signature will do
  /// Windows makes a Microsoft reserved partition (32 MB, 128 MB from 16 GB on) on each new GPT disk.
  /// The specification asks for an empty table (3.2.4.4.3.7), so it is left out unless asked for, and
  /// where it would take more than a quarter of the disk.
  bool microsoftReserved = false;
};

/// Gives the disk an empty table of a style (3.2.4.4.3.7). kNotEmpty while it has partitions (a Microsoft
/// reserved partition alone does not count), kDynamicDisk, kWrongStyle for kUnknown. The boot code of an
/// MBR is kept; sector 0 of a disk without a table is cleared.
StorageResult<Change> InitializeStyle(BlockDevice& device, const InitializeOptions& options);

/// Replaces the signature of an MBR disk, or the disk GUID of a GPT disk by a random one, and nothing
/// else: for a disk that came with the identity of another one.
StorageResult<Change> ReplaceIdentity(BlockDevice& device, const SignatureIsFree& signature_is_free);

}  // namespace dmrp::server
