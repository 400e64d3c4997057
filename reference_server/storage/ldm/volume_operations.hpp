// Changes of the volumes of a disk group, as values: each takes the records before and gives those after, for
// DiskGroup::Commit. Nothing is read or written here, and what is refused changes nothing.
//
//   auto change = CreateVolume(group.Current(), SpacesOf(group), request);
//   if (change) group.Commit(change->after);
//
// Lengths are 512-octet blocks. Members are placed by Allocate (allocation.hpp).
#pragma once

#include "reference_server/storage/ldm/allocation.hpp"
#include "reference_server/storage/ldm/disk_group.hpp"
#include "reference_server/storage/ldm/volume_state.hpp"

#include <span>
#include <string>
#include <vector>

namespace dmrp::server::ldm {

/// The public regions of the members of a group.
[[nodiscard]] std::vector<DiskSpace> SpacesOf(const DiskGroup& group);
/// The extents of the subdisks on a disk, ascending.
[[nodiscard]] std::vector<Extent> UsedExtents(const Database& database, ObjectId disk);

/// DISK_SPEC ([MS-DMRP] 2.2.12).
struct MemberRequest {
  ObjectId disk = 0;
  std::uint64_t blocks = 0;
  bool contiguous = false;  ///< needContiguous
};

/// VOLUME_SPEC and what else a new volume needs ([MS-DMRP] 2.2.10).
struct VolumeRequest {
  VolumeLayout layout = VolumeLayout::kSimple;
  /// The length of the volume; 0: as long as the members make it.
  std::uint64_t blocks = 0;
  std::vector<MemberRequest> members{};
  std::uint8_t partitionType = 0x06;  ///< until a file system is made
  std::optional<std::string> hint{};
  bool noDriveLetter = false;
};

struct VolumeChange {
  Database after;
  ObjectId volume = 0;  ///< created, changed, or split off
  /// Subdisks that the change created or lengthened. They hold what the disk held: new members of mirrors and
  /// parity have to be made before the volume is one.
  std::vector<ObjectId> subdisks{};
};

/// Makes a volume (3.2.4.4.1.26).
/// - simple, spanned: the members one after the other; a member that need not be contiguous may lie in
/// several
///   pieces. Members longer than the volume asked for are cut from the last one on.
/// - striped, RAID-5: columns of equal length, a multiple of 64 KiB, rounded down; each in one piece.
/// - mirrored: plexes of the length of the volume; each in one piece. All but the first are stale.
/// A RAID-5 volume begins in state SYNC.
/// kTooFewMembers (2 for spanned, striped and mirrored volumes, 3 for RAID-5, 1 for all), kTooManyMembers
/// (32, 1 for simple ones), kSameDisk, kUnequalMembers (a member shorter than its share of the volume's
/// length), kMisaligned, kTooSmall, kNoSpace, kFragmented, kDiskMissing, kNotFound (no such disk),
/// kTooManyVolumes.
StorageResult<VolumeChange> CreateVolume(const Database& database, std::span<const DiskSpace> spaces,
                                         const VolumeRequest& request);

/// Makes a simple volume of an extent that is in use already: a partition that becomes dynamic in place.
StorageResult<VolumeChange> AdoptExtent(const Database& database, ObjectId disk, const Extent& extent,
                                        std::uint8_t partition_type, std::uint32_t flags);

/// Makes one volume of simple volumes of one extent each, in the order of its members, without moving data:
/// what becomes of the members of a fault-tolerant set once their disks are dynamic. The new volume takes the
/// place of the first one (id, name, GUID, letter); members longer than the layout uses are cut. `stale`
/// names those of `members` whose data are old (mirrors and RAID-5 only). kNotFound, kWrongLayout (a member
/// that is not simple and in one piece, or a set of layout simple), kRetainedExists, and as CreateVolume.
StorageResult<VolumeChange> CombineVolumes(const Database& database, VolumeLayout layout,
                                           std::span<const ObjectId> members,
                                           const std::set<ObjectId>& stale = {});

/// Removes a volume, its plexes and its subdisks (3.2.4.4.1.31).
StorageResult<Database> DeleteVolume(Database database, ObjectId volume);

/// Makes a volume longer (3.2.4.4.1.30).
/// - simple, spanned: each member is appended: in place where the space behind the last extent is free, else
///   onto other space.
/// - striped, RAID-5: one member for each column, of which the shortest counts, rounded down to 64 KiB; in
/// place
///   only (kNotAdjacent), since readers want one subdisk for each column.
/// `blocks` is the new length of the volume, 0: as the members make it; members beyond it are cut.
/// kWrongLayout for mirrors, kRetainedExists when the volume has table entries, and as CreateVolume.
StorageResult<VolumeChange> GrowVolume(const Database& database, std::span<const DiskSpace> spaces,
                                       ObjectId volume, std::span<const MemberRequest> members,
                                       std::uint64_t blocks = 0);

/// Adds a plex on another disk, stale until it is brought up to date (3.2.4.4.1.32). The volume must be
/// simple, in one piece, or a mirror (kWrongLayout).
StorageResult<VolumeChange> AddMirror(const Database& database, std::span<const DiskSpace> spaces,
                                      ObjectId volume, ObjectId disk);

/// Removes the plex on a disk, which may be missing (3.2.4.4.1.33). kWrongLayout when there is one plex only,
/// kNotAMember, kLastCopy when no other plex is healthy.
StorageResult<VolumeChange> RemoveMirror(const Database& database, ObjectId volume, ObjectId disk,
                                         const std::set<ObjectId>& missing = {});

/// Makes the plex on a disk a simple volume of its own, with a new name, number and GUID and the same
/// partition type (3.2.4.4.1.34). Refused like RemoveMirror, and with kLastCopy when the plex itself is not
/// healthy.
StorageResult<VolumeChange> SplitMirror(const Database& database, ObjectId volume, ObjectId disk,
                                        const std::set<ObjectId>& missing = {},
                                        std::optional<std::string> hint = std::nullopt);

/// Puts the failed column of a RAID-5 volume on another disk, stale until it is regenerated (3.2.4.4.1.42).
/// kNotRaid5, kNotFailed, kTooManyFailed, kSameDisk, and as Allocate.
StorageResult<VolumeChange> ReplaceRaid5Column(const Database& database, std::span<const DiskSpace> spaces,
                                               ObjectId volume, ObjectId disk,
                                               const std::set<ObjectId>& missing = {});

/// The longest in-place growth of the last extent, or of every column, of a volume; blocks.
[[nodiscard]] std::uint64_t RoomBehind(const Database& database, std::span<const DiskSpace> spaces,
                                       ObjectId volume);

}  // namespace dmrp::server::ldm
