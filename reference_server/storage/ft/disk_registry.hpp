// The value `Information` of HKLM\SYSTEM\DISK, in which Windows NT keeps what it knows of basic disks: their
// partitions, and which of them make up fault-tolerant (FT) sets. Written by NT's Disk Administrator, read by
// its driver ftdisk (ntdskreg.h, ntddft.h of the public Windows headers).
//
// All numbers are little-endian, all structures packed to 4 octets, all offsets count from the start of the
// value:
//   DISK_CONFIG_HEADER, 44 octets: where the three parts that follow lie
//   DISK_REGISTRY: count of disks; each DISK_DESCRIPTION has a signature and its DISK_PARTITIONs, 52 octets
//   FT_REGISTRY: count of sets; each FT_DESCRIPTION has its FT_MEMBER_DESCRIPTIONs, 16 octets, which lead to
//                DISK_PARTITIONs
//   names: of no meaning here, carried as they are
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace dmrp::server::ft {

/// FT_TYPE. Values beyond these occur in damaged records and are carried as they are.
enum class FtType : std::uint16_t {
  kMirror = 0,
  kStripe = 1,
  kStripeWithParity = 2,
  kVolumeSet = 3,
  kNotAnFtMember = 4,  ///< of DISK_PARTITION alone
  kWholeDisk = 5,      ///< of DISK_PARTITION alone
};

/// FT_PARTITION_STATE: what a member of a set holds.
enum class FtMemberState : std::uint16_t {
  kHealthy = 0,
  kOrphaned = 1,           ///< out of the set: its data is stale, nothing is read from it or written to it
  kRegenerating = 2,       ///< being rebuilt from the others
  kInitializing = 3,       ///< being filled for the first time
  kSyncRedundantCopy = 4,  ///< the second copy of a mirror is being made equal to the first again
};

/// FT_STATE: FtVolumeState of FT_DESCRIPTION.
enum class FtSetState : std::uint32_t {
  kOk = 0,
  kHasOrphan = 1,
  kDisabled = 2,
  kRegenerating = 3,
  kInitializing = 4,
  kCheckParity = 5,
  kNoCheckData = 6,
};

/// DISK_PARTITION.
struct DiskPartition {
  FtType ftType = FtType::kNotAnFtMember;  ///< 32 bits in the value; more than 16 of them are malformed
  std::uint32_t ftState = 0;               ///< an FtMemberState; only written here, see FtMemberRecord
  std::uint64_t startingOffset = 0;        ///< octets
  std::uint64_t length = 0;                ///< octets
  std::uint64_t ftLength = 0;              ///< octets; Windows leaves 0
  std::array<std::uint32_t, 2> reserved32{};
  std::uint8_t driveLetter = 0;  ///< 'C'; 0 or a blank: none
  std::uint8_t assignDriveLetter = 0;
  std::uint16_t logicalNumber = 0;  ///< of the partition on its disk, from 1
  std::uint16_t ftGroup = 0;        ///< tells sets of one type apart
  std::uint16_t ftMember = 0;       ///< place in the set, from 0
  std::uint8_t modified = 0;
  std::array<std::uint8_t, 3> reserved48{};
  friend bool operator==(const DiskPartition&, const DiskPartition&) = default;
};

/// DISK_DESCRIPTION.
struct DiskDescription {
  std::uint16_t reserved2 = 0;
  std::uint32_t signature = 0;  ///< of the MBR, 0x1B8
  std::vector<DiskPartition> partitions;
  friend bool operator==(const DiskDescription&, const DiskDescription&) = default;
};

/// Names a DISK_PARTITION: DiskRegistry::disks[disk].partitions[partition].
struct PartitionRef {
  std::size_t disk = 0;
  std::size_t partition = 0;
  friend auto operator<=>(const PartitionRef&, const PartitionRef&) = default;
};

/// FT_MEMBER_DESCRIPTION. OffsetToPartitionInfo became `partition`.
struct FtMemberRecord {
  FtMemberState state = FtMemberState::kHealthy;
  std::uint16_t reserved2 = 0;
  std::uint32_t signature = 0;  ///< of the disk
  PartitionRef partition;
  std::uint32_t logicalNumber = 0;
  friend bool operator==(const FtMemberRecord&, const FtMemberRecord&) = default;
};

/// FT_DESCRIPTION.
struct FtSetRecord {
  FtType type = FtType::kMirror;
  std::uint32_t reserved4 = 0;
  FtSetState state = FtSetState::kOk;
  std::vector<FtMemberRecord> members;  ///< in the order in which data lies on them
  friend bool operator==(const FtSetRecord&, const FtSetRecord&) = default;
};

/// The longest value taken; hives hold less than a megabyte in one value.
inline constexpr std::size_t kMaxDiskRegistry = 1'000'000;

/// The whole value.
class DiskRegistry {
 public:
  /// kMalformed when an offset, a size or a count leaves the part of the value that it has to lie in, when
  /// the parts overlap, or when a member leads to no DISK_PARTITION; kLimit beyond kMaxDiskRegistry;
  /// kUnsupported for a version other than 3. What the numbers mean is not judged here.
  static Result<DiskRegistry> Parse(std::span<const std::byte> value);

  /// The octets that were parsed if nothing was changed since. Else header, disks, sets and names one after
  /// the other, without what lay between or behind them, and with a CheckSum of 0, whose rule is not
  /// published. kLimit when a count does not fit its 16 bits or the value is longer than kMaxDiskRegistry;
  /// kUsage when a member's `partition` names none.
  [[nodiscard]] Result<Bytes> Serialize() const;

  /// The DISK_PARTITION named, or null.
  [[nodiscard]] const DiskPartition* Find(const PartitionRef& ref) const;
  [[nodiscard]] DiskPartition* Find(const PartitionRef& ref);

  std::uint32_t checkSum = 0;  ///< as found
  std::uint8_t dirtyShutdown = 0;
  std::array<std::uint8_t, 3> reserved9{};
  std::uint32_t ftStripeWidth = 0;
  std::uint32_t ftPoolSize = 0;
  std::uint16_t disksReserved2 = 0;
  std::vector<DiskDescription> disks;
  std::uint16_t setsReserved2 = 0;
  std::vector<FtSetRecord> sets;
  Bytes names;

  /// Whether both say the same; where in the value it lies does not count.
  friend bool operator==(const DiskRegistry& one, const DiskRegistry& other) {
    return one.checkSum == other.checkSum && one.dirtyShutdown == other.dirtyShutdown &&
           one.reserved9 == other.reserved9 && one.ftStripeWidth == other.ftStripeWidth &&
           one.ftPoolSize == other.ftPoolSize && one.disksReserved2 == other.disksReserved2 &&
           one.disks == other.disks && one.setsReserved2 == other.setsReserved2 && one.sets == other.sets &&
           one.names == other.names;
  }

 private:
  Bytes parsed_;  // what Parse was given; empty for a value made here
};

/// "Mirror", "Stripe", ...; "Unknown" beyond the values known. The same for states.
std::string_view FtTypeName(FtType type);
std::string_view FtMemberStateName(FtMemberState state);
std::string_view FtSetStateName(FtSetState state);

}  // namespace dmrp::server::ft
