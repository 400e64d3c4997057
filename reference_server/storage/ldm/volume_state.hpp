// What a volume is and how well it is, told from the records of its group; and the changes of state that
// records note.
//
// A member (plex of a mirror, column of a RAID-5 volume) is stale when its data are older than the rest,
// failed when its disk did not read or write, missing when its disk is not there. The words that Windows
// writes are not known; the bits are those of the records (README.md).
#pragma once

#include "reference_server/storage/ldm/database.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <set>
#include <span>
#include <string_view>

namespace dmrp::server::ldm {

/// VOLUMELAYOUT as far as dynamic volumes have it.
enum class VolumeLayout : std::uint8_t { kSimple, kSpanned, kStriped, kMirrored, kRaid5 };

/// "Simple", ...: for messages and tests.
std::string_view VolumeLayoutName(VolumeLayout layout);

/// A volume whose one plex lies on one disk is simple, however many extents it has there; more than one plex
/// make a mirror. kSimple for a volume that does not exist.
[[nodiscard]] VolumeLayout LayoutOf(const Database& database, ObjectId volume);

enum class Health : std::uint8_t {
  kHealthy,
  kStale,    ///< to be resynchronised or regenerated
  kFailed,   ///< its disk failed to read or write
  kMissing,  ///< its disk is not there
};

std::string_view HealthName(Health health);

/// Of one subdisk. `missing` names disks that are known not to be there, beside those that a record says it
/// of.
[[nodiscard]] Health HealthOf(const Database& database, const SubdiskRecord& subdisk,
                              const std::set<ObjectId>& missing = {});
/// Of a plex: the worst of its subdisks and what its own record says.
[[nodiscard]] Health PlexHealth(const Database& database, const PlexRecord& plex,
                                const std::set<ObjectId>& missing = {});

enum class VolumeHealth : std::uint8_t {
  kHealthy,
  kInitializing,      ///< RAID-5 whose parity is being made (state SYNC)
  kFailedRedundancy,  ///< all data are there, without redundancy
  kFailed,            ///< data are not there
};

std::string_view VolumeHealthName(VolumeHealth health);

[[nodiscard]] VolumeHealth HealthOfVolume(const Database& database, ObjectId volume,
                                          const std::set<ObjectId>& missing = {});

/// A stale or failed member of a volume that has redundancy: plexes of a mirror, subdisks of RAID-5 columns.
/// What resynchronisation has to bring back, in the order of plexes and columns.
[[nodiscard]] std::vector<ObjectId> StaleMembers(const Database& database, ObjectId volume);

/// Notes the health of a plex and all its subdisks. kMissing is a property of disks: MarkDiskMissing.
StorageResult<Database> MarkPlex(Database database, ObjectId plex, Health health);
/// Notes the health of a subdisk; a mirror's plex goes with its subdisks.
StorageResult<Database> MarkSubdisk(Database database, ObjectId subdisk, Health health);
/// The disk is gone: detached, its subdisks need recovery when it returns. Not so a member that takes a
/// mirror or a RAID-5 volume down with it, since nothing is written without it.
StorageResult<Database> MarkDiskMissing(Database database, ObjectId disk);
/// The disk is back. Subdisks of volumes without redundancy are what they were; members of mirrors and RAID-5
/// volumes stay stale until MarkPlex or MarkSubdisk says that they were brought up to date.
StorageResult<Database> MarkDiskReturned(Database database, ObjectId disk);
/// The failing bit of a disk that gives errors.
StorageResult<Database> MarkDiskFailing(Database database, ObjectId disk, bool failing);

/// SYNC while parity is being made, else ACTIVE.
StorageResult<Database> MarkInitializing(Database database, ObjectId volume, bool initializing);
/// The partition type of an MBR that goes with the file system of a volume.
StorageResult<Database> SetPartitionType(Database database, ObjectId volume, std::uint8_t type);
/// The drive letter that the record notes for another host, "E:"; nothing for none. No other volume keeps it.
StorageResult<Database> SetHint(Database database, ObjectId volume, std::optional<std::string> hint);
/// Sets and clears bits of VolumeRecord::flags.
StorageResult<Database> SetVolumeFlags(Database database, ObjectId volume, std::uint32_t set,
                                       std::uint32_t clear);

}  // namespace dmrp::server::ldm
