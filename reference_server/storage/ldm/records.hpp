// The records of an LDM database: disk group, disk, volume, plex (component) and subdisk (extent).
//
// Fields stand in the order of the disk. Sizes, starts and offsets are 512-byte blocks whatever the sector
// size of the disk. A record is at most four slots long (kMaxRecordBytes), names are at most 255 octets.
// Where a record lies among the slots is no part of it: vblk.hpp.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace dmrp::server::ldm {

/// Identifies a record of any kind within its group: not 0, below 2^32, never used again.
using ObjectId = std::uint64_t;

/// The unit of every size and place in a record.
inline constexpr std::uint64_t kBlockBytes = 512;
/// Octets of a slot that carry a record.
inline constexpr std::size_t kSlotPayload = 112;
/// Slots that a record takes at most; the Linux kernel reads no more.
inline constexpr std::size_t kMaxFragments = 4;
/// The longest record, its 8-octet header counted.
inline constexpr std::size_t kMaxRecordBytes = kMaxFragments * kSlotPayload;

/// What a version of a record is in a transaction; at rest all are active.
enum class RecordStatus : std::uint16_t {
  kActive = 0,
  kToBeDeleted = 1,    ///< active until the transaction commits: replaced or deleted
  kToBeActivated = 2,  ///< becomes active when the transaction commits
};

/// The disk group itself (kinds 35 and 45). Exactly one.
struct DiskGroupRecord {
  ObjectId id = 0;
  std::string name;
  Guid guid{};
  std::optional<Guid> diskSetGuid{};  ///< present: kind 45, GUIDs in binary. Read, and kept when rewritten
  std::uint32_t unknown = 0;          ///< zero on every disk seen
  std::uint64_t commitTransaction = 0;
  /// Number of copies of config and log (flag 08); FFFFFFFF is "all". Server 2003 writes both, 2008 neither.
  struct Copies {
    std::uint64_t config = 0;
    std::uint64_t log = 0;
    friend bool operator==(const Copies&, const Copies&) = default;
  };
  std::optional<Copies> copies{};
  std::optional<std::uint64_t> minors{};  ///< flag 10

  friend bool operator==(const DiskGroupRecord&, const DiskGroupRecord&) = default;
};
/// DiskGroupRecord::Copies: as many as there are disks.
inline constexpr std::uint64_t kAllCopies = 0xFFFFFFFF;

/// Bits of DiskRecord::flags.
inline constexpr std::uint32_t kDiskReserved = 0x1;
inline constexpr std::uint32_t kDiskSpare = 0x2;
inline constexpr std::uint32_t kDiskFailing = 0x4;
inline constexpr std::uint32_t kDiskEncapsulationPending = 0x8;
inline constexpr std::uint32_t kDiskMergeRequired = 0x10;
inline constexpr std::uint32_t kDiskRemoved = 0x100;
inline constexpr std::uint32_t kDiskDetached = 0x200;

/// A disk of the group (kinds 34 and 44).
struct DiskRecord {
  ObjectId id = 0;
  std::string name;                   ///< "Disk1"
  Guid guid{};                        ///< that of its private header
  std::optional<Guid> diskSetGuid{};  ///< present: kind 44
  std::string lastDeviceName;         ///< Server 2003: path of the device; 2008: empty
  std::uint32_t flags = 0;
  std::uint64_t commitTransaction = 0;

  friend bool operator==(const DiskRecord&, const DiskRecord&) = default;
};

/// Values of VolumeRecord::type.
inline constexpr std::string_view kVolumeGeneric = "gen";  ///< simple, spanned, striped, mirrored
inline constexpr std::string_view kVolumeRaid5 = "raid5";
/// Values of VolumeRecord::state and PlexRecord::state.
inline constexpr std::string_view kStateActive = "ACTIVE";
inline constexpr std::string_view kStateSync = "SYNC";  ///< a RAID-5 volume that is being initialised
/// Value of VolumeRecord::noDriveLetter: assign no drive letter.
inline constexpr std::string_view kNoDriveLetter = "8000000000000000";
/// Values of VolumeRecord::readPolicy.
inline constexpr std::uint8_t kReadRound = 1;
inline constexpr std::uint8_t kReadPrefer = 2;
inline constexpr std::uint8_t kReadSelect = 3;  ///< every generic volume
inline constexpr std::uint8_t kReadRaid = 4;    ///< every RAID-5 volume
/// Bits of VolumeRecord::flags.
inline constexpr std::uint32_t kVolumeWriteBack = 0x1;
inline constexpr std::uint32_t kVolumeWriteCopy = 0x2;
inline constexpr std::uint32_t kVolumeCrashed = 0x4;
inline constexpr std::uint32_t kVolumeAlways = 0x10;  ///< meaning unknown; set in all
inline constexpr std::uint32_t kVolumeBadLog = 0x100;
inline constexpr std::uint32_t kVolumeKernelDetach = 0x400;
inline constexpr std::uint32_t kVolumeStorage = 0x800;
inline constexpr std::uint32_t kVolumeApplicationRecover = 0x1000;
inline constexpr std::uint32_t kVolumePending = 0x2000;
inline constexpr std::uint32_t kVolumeRaidNtft = 0x100000;
inline constexpr std::uint32_t kVolumeBoot = 0x200000;
inline constexpr std::uint32_t kVolumeSystem = 0x400000;
inline constexpr std::uint32_t kVolumeRetainPartition = 0x800000;

/// A volume (kind 51).
struct VolumeRecord {
  ObjectId id = 0;
  std::string name;           ///< "Volume1"
  std::string type;           ///< kVolumeGeneric or kVolumeRaid5
  std::string noDriveLetter;  ///< empty, or kNoDriveLetter
  std::string state;          ///< at most 14 octets
  std::uint8_t readPolicy = kReadSelect;
  std::uint64_t volumeNumber = 0;  ///< minor number, 1 to 255
  std::uint32_t flags = 0;
  std::uint64_t plexCount = 0;  ///< DiskGroup::Commit sets it
  std::uint64_t commitTransaction = 0;
  std::uint64_t updateId = 0;      ///< a transaction id not above commitTransaction; 2008: 0
  std::uint64_t size = 0;          ///< blocks
  std::uint32_t unknown = 0;       ///< zero on every disk seen
  std::uint8_t partitionType = 0;  ///< of an MBR: 07 NTFS, 06 raw or FAT16, 0B FAT32
  Guid guid{};
  std::optional<std::uint64_t> id1{};         ///< flag 08, meaning unknown
  std::optional<std::uint64_t> id2{};         ///< flag 20, meaning unknown: RAID-5 on Server 2003
  std::optional<std::uint64_t> columnSize{};  ///< flag 80, blocks
  std::optional<std::string> hint{};          ///< flag 02: drive letter, "E:"

  friend bool operator==(const VolumeRecord&, const VolumeRecord&) = default;
};

enum class PlexLayout : std::uint8_t { kStripe = 1, kConcat = 2, kRaid5 = 3 };

/// Bits of PlexRecord::flags.
inline constexpr std::uint32_t kPlexRecover = 0x2;
inline constexpr std::uint32_t kPlexIoFail = 0x4;
inline constexpr std::uint32_t kPlexPending = 0x8;

/// One copy of a volume's data, or all of it when the volume is no mirror (kind 32).
struct PlexRecord {
  ObjectId id = 0;
  std::string name;   ///< "Volume1-01"
  std::string state;  ///< "ACTIVE"
  PlexLayout layout = PlexLayout::kConcat;
  std::uint32_t flags = 0;
  std::uint64_t subdiskCount = 0;  ///< DiskGroup::Commit sets it
  std::uint64_t commitTransaction = 0;
  std::uint64_t unknown = 0;  ///< zero on every disk seen
  ObjectId volumeId = 0;
  ObjectId logSubdiskId = 0;  ///< 0: none
  /// Flag 10: exactly with the layouts stripe and RAID-5.
  struct Stripe {
    std::uint64_t size = 0;  ///< blocks in one column before the next follows: 128
    std::uint64_t columns = 0;
    friend bool operator==(const Stripe&, const Stripe&) = default;
  };
  std::optional<Stripe> stripe{};

  friend bool operator==(const PlexRecord&, const PlexRecord&) = default;
};

/// Bits of SubdiskRecord::flags.
inline constexpr std::uint32_t kSubdiskRecover = 0x8;
inline constexpr std::uint32_t kSubdiskKernelDetach = 0x10;
inline constexpr std::uint32_t kSubdiskRelocate = 0x20;
inline constexpr std::uint32_t kSubdiskBootExtended = 0x40;
inline constexpr std::uint32_t kSubdiskOriginalBoot = 0x100;
inline constexpr std::uint32_t kSubdiskVolatile = 0x1000;

/// A contiguous part of a disk that belongs to a plex (kind 33).
struct SubdiskRecord {
  ObjectId id = 0;
  std::string name;  ///< "Disk1-01"
  std::uint32_t flags = 0;
  std::uint64_t commitTransaction = 0;
  std::uint64_t start = 0;   ///< blocks from the start of the disk's public region
  std::uint64_t offset = 0;  ///< blocks within the plex (concat) or the column (stripe, RAID-5)
  std::uint64_t size = 0;    ///< blocks
  ObjectId plexId = 0;
  ObjectId diskId = 0;
  std::uint64_t column = 0;                          ///< flag 08; column 0 is not stored
  std::optional<std::uint64_t> secondTransaction{};  ///< flag 20
  std::optional<std::uint64_t> unknown40{};          ///< flag 40: Vista and later, 0
  std::optional<std::uint64_t> hidden{};             ///< flag 02, blocks

  friend bool operator==(const SubdiskRecord&, const SubdiskRecord&) = default;
};

using Record = std::variant<DiskGroupRecord, DiskRecord, VolumeRecord, PlexRecord, SubdiskRecord>;

[[nodiscard]] ObjectId IdOf(const Record& record);
/// "Volume 'Volume1' (1057)", for messages.
[[nodiscard]] std::string Describe(const Record& record);

/// A record and what its header says of it.
struct StoredRecord {
  RecordStatus status = RecordStatus::kActive;
  Record record;
};

/// Reads a record from its joined payloads, header first. What lies behind the record must be zero.
/// kMalformed names record and field; kUnsupported for kinds, revisions and flag bits whose fields are not
/// known.
Result<StoredRecord> ParseRecord(std::span<const std::byte> payload);
/// The record with its header, without padding. kLimit when a name or the whole is too long.
Result<Bytes> SerializeRecord(const Record& record, RecordStatus status = RecordStatus::kActive);

}  // namespace dmrp::server::ldm
