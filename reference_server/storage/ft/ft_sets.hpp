// The fault-tolerant (FT) sets of Windows NT on basic disks, as the registry's record of them and the disks
// that are present tell together.
//
// The record says which partitions make up a set and in what state each is. A disk says by bit 80 of a
// partition's type that the partition is a member of some set, by bits 80 and 40 together that it is one that
// was put out of its set. Where the two contradict each other, that is reported (FtProblem) and the member
// in question is used for nothing; no set is ever made up from types alone.
#pragma once

#include "reference_server/storage/disk_layout.hpp"
#include "reference_server/storage/ft/disk_registry.hpp"
#include "reference_server/storage/volume_map.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server::ft {

/// PARTITION_NTFT: the bit of a member's partition type ([MS-DMRP] 2.3.1.3).
inline constexpr std::uint8_t kMemberBit = 0x80;
/// Both bits of VALID_NTFT: a member that is out of its set. The specification calls 0xC0 "a valid FT
/// partition", the headers use it as a mask; NT sets both bits on members that it disabled.
inline constexpr std::uint8_t kDisabledBits = 0xC0;
/// Octets that lie on one member before the next one's turn, in both kinds of stripe sets.
inline constexpr std::uint64_t kStripeUnit = 64 * 1024;

/// The type without its FT bits, for types that can carry them: 01, 04, 06, 07, 0B, 0C with bit 80 or both.
/// 84 and 42 | 80 and their like are other things and stay as they are.
[[nodiscard]] std::uint8_t PlainType(std::uint8_t type);
/// Whether the type carries FT bits. 84 (an OEM type by itself) and C4 count only where the record names the
/// partition: `listed`.
[[nodiscard]] bool IsMarked(std::uint8_t type, bool listed);

/// The type of a member: PlainType with bit 80, or with both when the member is out of the set.
[[nodiscard]] std::uint8_t MarkedType(std::uint8_t type, bool disabled);

/// Where a set and the world disagree.
enum class FtProblemKind : std::uint8_t {
  kUnknownType,     ///< the set has no type of the four
  kMemberCount,     ///< a mirror has two members, a parity set 3 to 32, the others 2 to 32
  kUnknownState,    ///< a state that is none
  kEntryDisagrees,  ///< type, group or place in a member's DISK_PARTITION is not that of the set
  kSharedMember,    ///< a partition is a member twice
  kSignature,       ///< the member names another disk than the entry it leads to
  kAmbiguousDisk,   ///< several disks that are present have the member's signature
  kNoPartition,     ///< the disk is there, but no partition starts where the member should
  kLengthDiffers,   ///< the partition there has another length
  kMark,            ///< the partition's type lacks bit 80, or 40 does not go with the state: see Mend
  kMarkedDisabled,  ///< the type says out of the set, the record says healthy: taken for orphaned
  kDuplicateGroup,  ///< two sets of one type have one group number
  kTooSmall,        ///< a member has no room for a single stripe unit
};

std::string_view FtProblemName(FtProblemKind kind);

struct FtProblem {
  FtProblemKind kind = FtProblemKind::kUnknownType;
  std::optional<std::size_t> member;  ///< the place in the set; nothing: the set as a whole
  std::string message;

  /// Whether the set cannot be changed while this is so. The others leave no doubt about what an operation
  /// does: the member concerned is missing or orphaned, or its type is put right by Mend (ft_operations.hpp).
  [[nodiscard]] bool Blocks() const;
};

/// A disk that is present. Disks without an MBR can be among them and have no members.
struct FtDisk {
  DiskLayout layout;
};

/// What a member is good for.
enum class FtMemberHealth : std::uint8_t {
  kHealthy,   ///< holds what it should
  kStale,     ///< present and in the set, but being rebuilt or waiting for that: written to, not read from
  kOrphaned,  ///< out of the set, by its state or by its partition type
  kMissing,   ///< not there, or not for certain: see the problems
};

struct FtMember {
  FtMemberState state = FtMemberState::kHealthy;  ///< as the record says
  FtMemberHealth health = FtMemberHealth::kMissing;
  std::uint32_t signature = 0;  ///< of its disk, as the record says
  std::uint64_t start = 0;      ///< octets
  std::uint64_t length = 0;     ///< octets, of the whole partition
  /// Octets that the set uses: FtLength where a replacement is bigger than what it replaced, else all.
  std::uint64_t used = 0;
  PartitionRef entry;  ///< in the record
  /// Index of the disk that has the partition; nothing when it is missing.
  std::optional<std::size_t> disk;
  std::uint8_t partitionType = 0;                ///< of the partition found, with its FT bits; 0 when missing
  RegionKind partitionKind = RegionKind::kFree;  ///< kPrimary or kLogical when found
};

/// What the whole is good for.
enum class FtStatus : std::uint8_t {
  kHealthy,
  kFailedRedundancy,  ///< works, but the next failure loses data
  kNeedsResync,       ///< all members are there; the redundant data may not match
  kRebuilding,        ///< a rebuild was begun and not completed
  kFailed,            ///< data is missing, or what it is cannot be told
};

std::string_view FtMemberHealthName(FtMemberHealth health);
std::string_view FtStatusName(FtStatus status);

struct FtVolume {
  FtType type = FtType::kMirror;
  std::size_t index = 0;    ///< in DiskRegistry::sets
  std::uint16_t group = 0;  ///< of the first member's entry
  FtSetState state = FtSetState::kOk;
  FtStatus status = FtStatus::kFailed;
  std::uint64_t length = 0;       ///< octets of data; 0 when it cannot be told
  std::optional<char> letter;     ///< 'A' to 'Z', as the record has it
  std::vector<FtMember> members;  ///< in their order in the set
  std::vector<FtProblem> problems;

  /// What tells the set from others as long as it exists, whatever happens to its members: "mirror-0".
  [[nodiscard]] std::string Key() const;
  /// The first problem that forbids changes, or null.
  [[nodiscard]] const FtProblem* BlockingProblem() const;
  [[nodiscard]] bool Redundant() const {
    return type == FtType::kMirror || type == FtType::kStripeWithParity;
  }
};

/// A partition whose type says member, but which no set claims: of another system, or left by a power cut
/// while its set was deleted.
struct UnclaimedMember {
  std::size_t disk = 0;
  std::uint64_t start = 0;
  std::uint8_t partitionType = 0;
  friend bool operator==(const UnclaimedMember&, const UnclaimedMember&) = default;
};

struct FtConfiguration {
  std::vector<FtVolume> volumes;  ///< in the order of the record
  std::vector<UnclaimedMember> unclaimed;

  /// The set that has the partition at `start` of that disk; or null.
  [[nodiscard]] const FtVolume* VolumeAt(std::size_t disk, std::uint64_t start) const&;
  const FtVolume* VolumeAt(std::size_t disk, std::uint64_t start) const&& = delete;
};

/// Puts the record and the disks together. Never fails: what does not fit is a problem of its set.
[[nodiscard]] FtConfiguration ReadFtSets(const DiskRegistry& registry, std::span<const FtDisk> disks);

/// How the data of a set lies on its members, for device-mapper: members being rebuilt are kStale, those that
/// are missing or out of the set kMissing. `devices` are the nodes of the disks that ReadFtSets was given.
/// Nothing when the set failed. Stripe sets use whole stripe units of each member, as many as the smallest
/// one has. Parity sets are left-symmetric as Windows' dynamic RAID-5; for ftdisk that is not published and
/// taken to be the same.
[[nodiscard]] std::optional<VolumeMap> MapOf(const FtVolume& volume, std::string name,
                                             std::span<const std::filesystem::path> devices);

/// Whether the redundant data of the set, all of whose members are there, may not match and has to be made
/// anew (VolumeDevices::Resynchronise): after a dirty shutdown, or while the parity is computed for the first
/// time.
[[nodiscard]] bool ParityUnknown(const FtVolume& volume);

}  // namespace dmrp::server::ft
