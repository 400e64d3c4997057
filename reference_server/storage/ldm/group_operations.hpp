// Changes that concern whole disks of a group: conversion, joining, leaving, import, merge, retained
// partitions. Each plans first, then writes in an order in which a power cut leaves every disk as it was or
// as it shall be; what a cut leaves between the disks of a group, DiskGroup::Load and ResumeGroup mend.
#pragma once

#include "reference_server/storage/ldm/disk_group.hpp"
#include "reference_server/storage/ldm/dynamic_table.hpp"
#include "reference_server/storage/ldm/volume_operations.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::server::ldm {

/// "<HOST>Dg0" with at most 15 characters of the host's name; characters that are not printable ASCII become
/// '-'.
[[nodiscard]] std::string GroupNameOf(std::string_view host);

/// The failure of the LDM layer as a storage error: kDamagedGroup for what is malformed, kDatabaseFull for
/// what does not fit, else as DeviceFailed.
[[nodiscard]] tl::unexpected<StorageError> GroupFailed(const Error& error);

/// How a disk becomes dynamic.
struct ConvertOptions {
  std::string groupName;  ///< of a new group: GroupNameOf
  ConversionOptions table{};
  /// Noted in the private header of the first disk of a group; others take what the group has.
  std::uint32_t hostSignature = 0;
  /// Asked right before the write by which a new group begins to count; false ends the conversion there.
  std::function<bool(const DiskGroupRecord& group)> announceGroup{};
};

/// A converted disk.
struct Converted {
  DiskGroup group;                ///< to be used from now on
  ObjectId disk = 0;              ///< its record
  std::vector<ObjectId> volumes;  ///< one for each partition of the plan, in its order
};

/// Makes a basic disk dynamic; its partitions become simple volumes where they lie (3.2.4.4.1.35, .45).
/// Without a group it founds one, else it joins it. `group` is left as it was when the result is an error
/// that came before the write that counts, and has to be loaded again when it came after. kCannotConvert with
/// the plan's reason, or because a new group was not welcome, and as PlanConversion.
///
/// Order: the private region of the new disk with the records as they shall be; the announcement of a new
/// group; the disk's table, which makes all of it count; the other members, which load as older copies.
StorageResult<Converted> ConvertDisk(BlockDevice& device, const DiskGroup* group,
                                     const ConvertOptions& options);

/// Makes an empty dynamic disk basic (3.2.4.4.1.36). kNotEmpty, kNotFound.
/// Order: its table; the records of the other members; its private region. A cut after the first leaves an
/// empty disk that is missing in the group: ForgetDisk. The group without the disk; nothing when it was the
/// last one.
StorageResult<std::optional<DiskGroup>> UnconvertDisk(DiskGroup group, ObjectId disk);

/// Removes the record of a disk that is missing and holds no subdisk. kNotEmpty, kNotFound.
StorageResult<Database> ForgetDisk(Database database, ObjectId disk);
/// Gives a disk that was away the host signature of the others, which they may have got meanwhile.
StorageResult<void> TakeHostSignature(DiskGroup& group, ObjectId disk);

/// Makes a foreign group the group of this host (3.2.4.4.1.38): brings the copies to one state and gives the
/// headers a new sequence. Disks that are not there are noted as missing.
StorageResult<DiskGroup> ImportGroup(std::vector<Member> members, std::uint32_t host_signature = 0);

/// What a merge would do to a volume of the foreign group: MERGE_OBJECT_INFO ([MS-DMRP] 2.2.20).
struct MergedVolume {
  ObjectId foreignVolume = 0;
  bool deleted = false;            ///< DSKMERGE_DELETE: data are missing
  bool redundancyDeleted = false;  ///< DSKMERGE_DELETE_REDUNDANCY
  bool stale = false;              ///< DSKMERGE_STALE_DATA: the only copies left are stale
  bool related = false;            ///< DSKMERGE_RELATED: it has subdisks on the disks asked for
  VolumeLayout layout = VolumeLayout::kSimple;
  std::uint64_t blocks = 0;
};

struct MergePlan {
  std::uint64_t foreignTransaction = 0;  ///< merge_config_tid
  std::vector<ObjectId> foreignDisks;    ///< disk records that would be merged (merge_dm_rids)
  std::vector<MergedVolume> volumes;     ///< all of the foreign group
  Database after;                        ///< of our group, merged disks flagged merge-required
  std::vector<ObjectId> disks;           ///< ids in `after`, in the order of foreignDisks
};

/// Plans to take disks of a foreign group into ours (3.2.4.4.1.39). `disks` are records of the foreign group,
/// empty: all that are there. Disk and volume GUIDs stay, ids are new, names, numbers and letters that clash
/// are changed. kNotFound, kDiskMissing, kGroupMismatch (a disk or volume of the same GUID is in our group).
StorageResult<MergePlan> PlanMerge(const Database& ours, const DiskGroup& foreign,
                                   std::span<const ObjectId> disks);

/// Does it (3.2.4.4.1.40): commits the records in our group, takes each disk over, commits that it is done.
/// kGroupChanged when either group is no longer what was planned with.
StorageResult<void> Merge(DiskGroup& ours, const DiskGroup& foreign, const MergePlan& plan);

/// Makes an end of what a power cut left: disks of other groups whose records ours has as merge-required are
/// taken over, table entries of members are brought into line with the retained partitions.
StorageResult<void> ResumeGroup(DiskGroup& ours, std::span<const Member> foreign = {});

/// The extents of a disk that have a table entry of their own: subdisks of volumes with a retained partition.
[[nodiscard]] std::vector<RetainedExtent> RetainedExtentsOf(const Database& database, const Member& member);

/// Gives the subdisks of a volume table entries (3.2.4.4.3.32). The volume is simple or a mirror, each plex
/// in one piece (kWrongLayout). kRetainedExists, kTableFull, kDiskMissing. Order: tables, then the record.
StorageResult<void> CreatePartitionsForVolume(DiskGroup& group, ObjectId volume, bool active);
/// Takes them away (3.2.4.4.3.33). kNotRetained. Order: the record, then the tables.
StorageResult<void> DeletePartitionsForVolume(DiskGroup& group, ObjectId volume);
/// Brings the table entries of all members into line with the records: to be called after a volume with a
/// retained partition was deleted, split, or lost a mirror.
StorageResult<void> UpdateTables(DiskGroup& group);

}  // namespace dmrp::server::ldm
