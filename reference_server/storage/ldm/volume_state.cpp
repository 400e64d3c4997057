#include "reference_server/storage/ldm/volume_state.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

tl::unexpected<StorageError> NoSuch(std::string_view kind, ObjectId id) {
  return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no {} {}", kind, id));
}

constexpr std::uint32_t kStaleBit = kSubdiskRecover;
constexpr std::uint32_t kFailedBit = kSubdiskKernelDetach;

void SetSubdisk(SubdiskRecord& subdisk, Health health) {
  subdisk.flags &= ~(kStaleBit | kFailedBit);
  if (health == Health::kStale) subdisk.flags |= kStaleBit;
  if (health == Health::kFailed) subdisk.flags |= kStaleBit | kFailedBit;
}

/// Brings the record of a mirror's plex into line with its subdisks. Other plexes bear no state of their own:
/// that of a RAID-5 volume works as long as one column at most is not healthy.
void FollowSubdisks(Database& database, ObjectId plex_id) {
  PlexRecord* plex = database.FindPlex(plex_id);
  if (plex == nullptr) return;
  std::uint32_t bits = 0;
  if (database.PlexesOf(plex->volumeId).size() > 1) {
    for (const SubdiskRecord& subdisk : database.subdisks) {
      if (subdisk.plexId != plex_id) continue;
      if ((subdisk.flags & kFailedBit) != 0) bits |= kPlexIoFail | kPlexRecover;
      if ((subdisk.flags & kStaleBit) != 0) bits |= kPlexRecover;
    }
  }
  plex->flags = (plex->flags & ~(kPlexIoFail | kPlexRecover)) | bits;
}

bool Redundant(const Database& database, const PlexRecord& plex) {
  return plex.layout == PlexLayout::kRaid5 || database.PlexesOf(plex.volumeId).size() > 1;
}

}  // namespace

std::string_view VolumeLayoutName(VolumeLayout layout) {
  switch (layout) {
    case VolumeLayout::kSimple:
      return "Simple";
    case VolumeLayout::kSpanned:
      return "Spanned";
    case VolumeLayout::kStriped:
      return "Striped";
    case VolumeLayout::kMirrored:
      return "Mirrored";
    case VolumeLayout::kRaid5:
      return "Raid5";
  }
  return "Unknown";
}

std::string_view HealthName(Health health) {
  switch (health) {
    case Health::kHealthy:
      return "Healthy";
    case Health::kStale:
      return "Stale";
    case Health::kFailed:
      return "Failed";
    case Health::kMissing:
      return "Missing";
  }
  return "Unknown";
}

std::string_view VolumeHealthName(VolumeHealth health) {
  switch (health) {
    case VolumeHealth::kHealthy:
      return "Healthy";
    case VolumeHealth::kInitializing:
      return "Initializing";
    case VolumeHealth::kFailedRedundancy:
      return "FailedRedundancy";
    case VolumeHealth::kFailed:
      return "Failed";
  }
  return "Unknown";
}

VolumeLayout LayoutOf(const Database& database, ObjectId volume) {
  const auto plexes = database.PlexesOf(volume);
  if (plexes.empty()) return VolumeLayout::kSimple;
  if (plexes.size() > 1) return VolumeLayout::kMirrored;
  if (plexes.front()->layout == PlexLayout::kRaid5) return VolumeLayout::kRaid5;
  if (plexes.front()->layout == PlexLayout::kStripe) return VolumeLayout::kStriped;
  std::set<ObjectId> disks;
  for (const SubdiskRecord* subdisk : database.SubdisksOf(plexes.front()->id)) disks.insert(subdisk->diskId);
  return disks.size() > 1 ? VolumeLayout::kSpanned : VolumeLayout::kSimple;
}

Health HealthOf(const Database& database, const SubdiskRecord& subdisk, const std::set<ObjectId>& missing) {
  const DiskRecord* disk = database.FindDisk(subdisk.diskId);
  if (disk == nullptr || missing.contains(subdisk.diskId) ||
      (disk->flags & (kDiskDetached | kDiskRemoved)) != 0) {
    return Health::kMissing;
  }
  if ((subdisk.flags & kFailedBit) != 0) return Health::kFailed;
  if ((subdisk.flags & kStaleBit) != 0) return Health::kStale;
  return Health::kHealthy;
}

Health PlexHealth(const Database& database, const PlexRecord& plex, const std::set<ObjectId>& missing) {
  Health worst = Health::kHealthy;
  if ((plex.flags & kPlexRecover) != 0) worst = Health::kStale;
  if ((plex.flags & kPlexIoFail) != 0) worst = Health::kFailed;
  for (const SubdiskRecord& subdisk : database.subdisks) {
    if (subdisk.plexId == plex.id) worst = std::max(worst, HealthOf(database, subdisk, missing));
  }
  return worst;
}

VolumeHealth HealthOfVolume(const Database& database, ObjectId volume, const std::set<ObjectId>& missing) {
  const VolumeRecord* record = database.FindVolume(volume);
  const auto plexes = database.PlexesOf(volume);
  if (record == nullptr || plexes.empty()) return VolumeHealth::kFailed;
  const bool initializing = record->state == kStateSync;
  if (plexes.front()->layout == PlexLayout::kRaid5) {
    std::set<std::uint64_t> columns;
    for (const SubdiskRecord* subdisk : database.SubdisksOf(plexes.front()->id)) {
      if (HealthOf(database, *subdisk, missing) != Health::kHealthy) columns.insert(subdisk->column);
    }
    // Without parity every column counts.
    if (columns.size() > 1 || (initializing && !columns.empty())) return VolumeHealth::kFailed;
    if (!columns.empty()) return VolumeHealth::kFailedRedundancy;
    return initializing ? VolumeHealth::kInitializing : VolumeHealth::kHealthy;
  }
  std::size_t healthy = 0;
  for (const PlexRecord* plex : plexes) {
    if (PlexHealth(database, *plex, missing) == Health::kHealthy) ++healthy;
  }
  if (healthy == plexes.size()) return initializing ? VolumeHealth::kInitializing : VolumeHealth::kHealthy;
  return healthy == 0 ? VolumeHealth::kFailed : VolumeHealth::kFailedRedundancy;
}

std::vector<ObjectId> StaleMembers(const Database& database, ObjectId volume) {
  std::vector<ObjectId> members;
  const auto plexes = database.PlexesOf(volume);
  for (const PlexRecord* plex : plexes) {
    if (plexes.size() > 1) {
      const Health health = PlexHealth(database, *plex);
      if (health == Health::kStale || health == Health::kFailed) members.push_back(plex->id);
    } else if (plex->layout == PlexLayout::kRaid5) {
      for (const SubdiskRecord* subdisk : database.SubdisksOf(plex->id)) {
        const Health health = HealthOf(database, *subdisk);
        if (health == Health::kStale || health == Health::kFailed) members.push_back(subdisk->id);
      }
    }
  }
  return members;
}

StorageResult<Database> MarkPlex(Database database, ObjectId plex, Health health) {
  if (database.FindPlex(plex) == nullptr) return NoSuch("plex", plex);
  for (SubdiskRecord& subdisk : database.subdisks) {
    if (subdisk.plexId == plex) SetSubdisk(subdisk, health);
  }
  FollowSubdisks(database, plex);
  return database;
}

StorageResult<Database> MarkSubdisk(Database database, ObjectId subdisk, Health health) {
  SubdiskRecord* record = database.FindSubdisk(subdisk);
  if (record == nullptr) return NoSuch("subdisk", subdisk);
  SetSubdisk(*record, health);
  FollowSubdisks(database, record->plexId);
  return database;
}

StorageResult<Database> MarkDiskMissing(Database database, ObjectId disk) {
  DiskRecord* record = database.FindDisk(disk);
  if (record == nullptr) return NoSuch("disk", disk);
  record->flags |= kDiskDetached;
  for (SubdiskRecord& subdisk : database.subdisks) {
    if (subdisk.diskId != disk) continue;
    const PlexRecord* plex = database.FindPlex(subdisk.plexId);
    const bool last = plex != nullptr && Redundant(database, *plex) &&
                      HealthOfVolume(database, plex->volumeId) == VolumeHealth::kFailed;
    if (last) continue;
    subdisk.flags |= kStaleBit;
    FollowSubdisks(database, subdisk.plexId);
  }
  return database;
}

StorageResult<Database> MarkDiskReturned(Database database, ObjectId disk) {
  DiskRecord* record = database.FindDisk(disk);
  if (record == nullptr) return NoSuch("disk", disk);
  record->flags &= ~kDiskDetached;
  for (SubdiskRecord& subdisk : database.subdisks) {
    if (subdisk.diskId != disk) continue;
    const PlexRecord* plex = database.FindPlex(subdisk.plexId);
    if (plex != nullptr && !Redundant(database, *plex)) SetSubdisk(subdisk, Health::kHealthy);
  }
  return database;
}

StorageResult<Database> MarkDiskFailing(Database database, ObjectId disk, bool failing) {
  DiskRecord* record = database.FindDisk(disk);
  if (record == nullptr) return NoSuch("disk", disk);
  record->flags = failing ? record->flags | kDiskFailing : record->flags & ~kDiskFailing;
  return database;
}

StorageResult<Database> MarkInitializing(Database database, ObjectId volume, bool initializing) {
  VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) return NoSuch("volume", volume);
  record->state = initializing ? kStateSync : kStateActive;
  return database;
}

StorageResult<Database> SetPartitionType(Database database, ObjectId volume, std::uint8_t type) {
  VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) return NoSuch("volume", volume);
  record->partitionType = type;
  return database;
}

StorageResult<Database> SetHint(Database database, ObjectId volume, std::optional<std::string> hint) {
  VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) return NoSuch("volume", volume);
  for (VolumeRecord& other : database.volumes) {
    if (hint && other.hint == hint) other.hint.reset();
  }
  record->hint = std::move(hint);
  return database;
}

StorageResult<Database> SetVolumeFlags(Database database, ObjectId volume, std::uint32_t set,
                                       std::uint32_t clear) {
  VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) return NoSuch("volume", volume);
  record->flags = (record->flags & ~clear) | set;
  return database;
}

}  // namespace dmrp::server::ldm
