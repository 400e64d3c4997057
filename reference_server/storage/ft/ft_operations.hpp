// What the protocol does to FT sets, as values: from the record and the disks to a new record and to changes
// of partition tables. Commit makes them real.
//
// The record says which sets there are; types and partitions on the disks follow it. So the record is written
// first, in one step (a renamed file), and counts from then on; a power cut before it leaves the old set, one
// after it the new one. What the disks lack then, Mend names: partition types that do not go with the record.
// Partitions of a deleted set that were not deleted any more carry FT bits but belong to no set
// (FtConfiguration::unclaimed); they are left to whoever sees them, since a disk of another system looks the
// same.
#pragma once

#include "reference_server/platform/registry.hpp"
#include "reference_server/storage/ft/ft_sets.hpp"
#include "reference_server/storage/operations.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace dmrp::server::ft {

/// A change of one disk's partition table.
struct PartitionChange {
  std::size_t disk = 0;  ///< index in the disks given
  std::uint64_t start = 0;
  RegionKind kind = RegionKind::kPrimary;  ///< of the partition
  std::optional<std::uint8_t> type;        ///< the new type; nothing: the partition is deleted
  friend bool operator==(const PartitionChange&, const PartitionChange&) = default;
};

struct FtChange {
  DiskRegistry before;
  DiskRegistry after;
  std::vector<PartitionChange> partitions;  ///< in the order in which they are to be made
};

struct BreakChange : FtChange {
  /// Place of the member that keeps the letter, which is the volume that goes on: the first one that is
  /// whole, else the first one present.
  std::size_t keeper = 0;
};

/// The partition that shall replace a member.
struct Replacement {
  std::size_t disk = 0;
  std::uint64_t start = 0;
};

// `set` is FtVolume::index. All refuse with kNotFound when there is no such set, kFtInconsistent when a
// problem of the set blocks changes, and kFtWrongSet when the operation is none of that type's.

/// Deletes the set and the partitions of its members that are present (3.2.4.4.1.12).
StorageResult<FtChange> DeleteSet(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                  std::size_t set);

/// Makes two plain partitions of a mirror (3.2.4.4.1.13). The letter stays with `keeper`, the other one has
/// none. kFtMemberMissing when neither is present.
StorageResult<BreakChange> BreakMirror(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                       std::size_t set);

/// Begins the resynchronization of a mirror (3.2.4.4.1.14): an orphan is taken back and rebuilt; a rebuild
/// that was begun is gone on with (nothing changes); of two whole copies the second is made anew from the
/// first. kFtFailed without a whole copy, kFtMemberMissing when a member is not there.
StorageResult<FtChange> ResyncMirror(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                     std::size_t set);

/// Begins the regeneration of a parity set (3.2.4.4.1.15): an orphan is taken back and rebuilt from the
/// others; a rebuild that was begun is gone on with; with all members whole, all parity is computed anew.
/// kFtFailed when more than one member is not whole, kFtMemberMissing when one is not there.
StorageResult<FtChange> RegenerateParityStripe(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                               std::size_t set);

/// Puts a partition into the place of the failed member and begins to rebuild it (3.2.4.4.1.16, .17); the
/// partition of the failed member is deleted if it is there. The set keeps its length if the partition is
/// bigger. kFtHealthy when no member failed, kFtBusy while one is being rebuilt, kFtFailed when the others do
/// not have all data. Of the partition: kNotFound, kWrongStyle (only MBR), kDynamicDisk, kNotInitialized (no
/// signature), kDamagedTable, kFtMember, kFtSameDisk, kWrongType (primary or logical, of the type that the
/// other members have), kTooSmall.
StorageResult<FtChange> ReplaceMember(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                      std::size_t set, const Replacement& replacement);

/// Ends a rebuild: what was stale is healthy. Nothing changes when nothing was.
StorageResult<FtChange> CompleteRebuild(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                        std::size_t set);

/// Puts a member out of a mirror or parity set, which failed. kFtFailed when the others do not have all data.
StorageResult<FtChange> OrphanMember(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                     std::size_t set, std::size_t member);

/// Gives the set a letter ('A' to 'Z') or none, in the record.
StorageResult<FtChange> AssignLetter(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                     std::size_t set, std::optional<char> letter);

/// The changes after which all members that are present have the type of a file system (MbrTypeOf) and their
/// bits: for a set that was formatted.
[[nodiscard]] std::vector<PartitionChange> TypesFor(const FtVolume& volume, std::uint8_t plain);

/// The changes after which the partition types go with the record: of members of sets that no problem blocks,
/// and of partitions that the record lists as plain ones. Empty when all is as it should be.
[[nodiscard]] std::vector<PartitionChange> Mend(const DiskRegistry& registry, std::span<const FtDisk> disks);

/// The record in the registry, nothing when there is none. kFtBadRegistry when it cannot be read.
StorageResult<std::optional<DiskRegistry>> ReadRecord(Registry& registry);

/// Writes `after` in place of `before`; when this returns, it lasts. kFtChanged when the registry says
/// something else than `before` by now, kFtBadRegistry when it cannot be read or written.
StorageResult<void> ReplaceRecord(Registry& registry, const DiskRegistry& before, const DiskRegistry& after);

/// One change of a partition table and how it went.
struct CommittedPartition {
  PartitionChange change;
  StorageResult<Change> outcome;
};

/// Makes a change real: the record first, then each partition table, all of them even when one fails. An
/// error says that nothing was changed; what failed on a disk afterwards stands in the outcomes, and the set
/// is as the record says all the same. `device` opens a disk by its index, null when it cannot.
StorageResult<std::vector<CommittedPartition>> Commit(Registry& registry, const FtChange& change,
                                                      const std::function<BlockDevice*(std::size_t)>& device);

/// Makes one change of a partition table.
StorageResult<Change> Apply(BlockDevice& device, const PartitionChange& change);

}  // namespace dmrp::server::ft
