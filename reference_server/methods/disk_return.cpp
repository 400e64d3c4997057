#include "reference_server/methods/disk_return.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/synchronisation.hpp"
#include "reference_server/methods/table_change.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

Outcome<void> CheckReturned(const DISK_INFO_EX& disk) {
  return Validate({
      {LDM_E_NOTVMDISK, "the disk is dynamic", [&] { return disk.deviceType == DEVICETYPE_VM; }},
      {LDM_E_DISK_OTHER_DG, "the disk belongs to the primary disk group",
       [&] { return (disk.deviceState & DEVICESTATE_UNCLAIMED) == 0; }},
      {LDM_E_BAD_DISK, "the database on the disk can be used",
       [&] { return (disk.deviceState & DEVICESTATE_BAD) == 0; }},
      {LDM_E_DAOFFLINE, "the disk is there", [&] { return (disk.deviceState & DEVICESTATE_MISSING) == 0; }},
  });
}

// Members that failed become such that have to be made whole; of volumes without redundancy there is but the
// one copy, which is taken as it is.
StorageResult<ldm::Database> Revive(ldm::Database database, const std::vector<ldm::ObjectId>& subdisks) {
  for (const ldm::ObjectId id : subdisks) {
    const ldm::SubdiskRecord* subdisk = database.FindSubdisk(id);
    const ldm::PlexRecord* plex = subdisk == nullptr ? nullptr : database.FindPlex(subdisk->plexId);
    if (plex == nullptr || ldm::HealthOf(database, *subdisk) == ldm::Health::kHealthy) {
      continue;
    }
    const auto layout = ldm::LayoutOf(database, plex->volumeId);
    const bool redundant = layout == ldm::VolumeLayout::kMirrored || layout == ldm::VolumeLayout::kRaid5;
    auto marked =
        ldm::MarkSubdisk(std::move(database), id, redundant ? ldm::Health::kStale : ldm::Health::kHealthy);
    if (!marked) {
      return marked;
    }
    database = std::move(*marked);
  }
  return database;
}

StorageResult<ldm::Database> BringBack(const ldm::Database& before, ldm::ObjectId disk) {
  auto returned = ldm::MarkDiskReturned(before, disk);
  if (returned) {
    returned = ldm::MarkDiskFailing(std::move(*returned), disk, false);
  }
  if (!returned) {
    return returned;
  }
  std::vector<ldm::ObjectId> subdisks;
  for (const ldm::SubdiskRecord* subdisk : returned->SubdisksOn(disk)) {
    subdisks.push_back(subdisk->id);
  }
  return Revive(std::move(*returned), subdisks);
}

// Members of a mirror or a RAID-5 volume none of which is known to be current: what the volume holds from now
// on is what the best copy holds, or the columns that are there; all others have to be made whole from it.
StorageResult<ldm::Database> Trust(ldm::Database database, ldm::ObjectId volume,
                                   const std::set<ldm::ObjectId>& missing) {
  std::vector<ldm::ObjectId> trusted;
  std::vector<ldm::ObjectId> others;
  const auto plexes = database.PlexesOf(volume);
  const auto health = [&](const ldm::PlexRecord* plex) { return ldm::PlexHealth(database, *plex, missing); };
  const auto best = std::ranges::min_element(plexes, {}, health);
  for (const ldm::PlexRecord* plex : plexes) {
    for (const ldm::SubdiskRecord* subdisk : database.SubdisksOf(plex->id)) {
      const bool here = ldm::HealthOf(database, *subdisk, missing) != ldm::Health::kMissing;
      (here && plex == *best ? trusted : others).push_back(subdisk->id);
    }
  }
  for (const auto& [subdisks, state] :
       {std::pair(&trusted, ldm::Health::kHealthy), std::pair(&others, ldm::Health::kStale)}) {
    for (const ldm::ObjectId subdisk : *subdisks) {
      auto marked = ldm::MarkSubdisk(std::move(database), subdisk, state);
      if (!marked) {
        return marked;
      }
      database = std::move(*marked);
    }
  }
  return database;
}

// The records with the volume online: its disks that are here are taken back, as ReAttachDisk does.
StorageResult<ldm::Database> BringVolumeBack(const FoundGroup& group, ldm::Database database,
                                             ldm::ObjectId volume) {
  std::set<ldm::ObjectId> disks;
  for (const ldm::PlexRecord* plex : database.PlexesOf(volume)) {
    for (const ldm::SubdiskRecord* subdisk : database.SubdisksOf(plex->id)) {
      if (!group.missing.contains(subdisk->diskId)) {
        disks.insert(subdisk->diskId);
      }
    }
  }
  for (const ldm::ObjectId disk : disks) {
    auto returned = BringBack(database, disk);
    if (!returned) {
      return returned;
    }
    database = std::move(*returned);
  }
  const auto layout = ldm::LayoutOf(database, volume);
  const bool redundant = layout == ldm::VolumeLayout::kMirrored || layout == ldm::VolumeLayout::kRaid5;
  if (redundant && ldm::HealthOfVolume(database, volume, group.missing) == ldm::VolumeHealth::kFailed) {
    return Trust(std::move(database), volume, group.missing);
  }
  return database;
}

Outcome<void> BringBack(DiskGroups& groups, const std::string& disk_key) {
  const DiskGroups::Place place = groups.Find(disk_key);
  if (place.member == nullptr) {
    return Reject(LDM_E_DAOFFLINE, "the disk is not there any more");
  }
  return groups.Update(
      [disk = place.member->disk](DiskGroups::OpenGroup& open) -> StorageResult<ldm::Database> {
        if (auto taken = ldm::TakeHostSignature(open.group, disk); !taken) {
          return tl::unexpected(taken.error());
        }
        return BringBack(open.group.Current(), disk);
      });
}

bool LiesOn(const GroupVolume& volume, const Guid& disk) {
  for (const ldm::MapPlex& plex : volume.map.plexes) {
    for (const ldm::MapColumn& column : plex.columns) {
      if (std::ranges::any_of(column.extents,
                              [&](const ldm::MapExtent& extent) { return extent.diskGuid == disk; })) {
        return true;
      }
    }
  }
  return false;
}

// The names of the volumes on a disk.
std::vector<std::string> VolumesOn(const DiskGroups& groups, const std::string& disk_key) {
  std::vector<std::string> names;
  const DiskGroups::Place place = groups.Find(disk_key);
  if (place.member == nullptr) {
    return names;
  }
  for (const GroupVolume& volume : place.group->volumes) {
    if (volume.status && LiesOn(volume, place.member->header.diskGuid)) {
      names.push_back(volume.name);
    }
  }
  return names;
}

}  // namespace

Outcome<LdmObjectId> ReAttachDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  LdmObjectId disk_id, LONGLONG last_known_state, bool& validated) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(disk_id);
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
      {LDM_E_OBJECT_STALED, "diskLastKnownState is that of the disk",
       [&] { return last_known_state == disk->info.lastKnownState; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  if (auto returned = CheckReturned(disk->info); !returned) {
    return tl::unexpected(returned.error());
  }
  validated = true;
  const auto done = BringBack(server.inventory().groups(), disk->key);
  if (!done) {
    CommitSystem(server, operation, {});
    return tl::unexpected(done.error());
  }
  CommitSystem(server, operation, {disk_id});
  return 0;
}

Outcome<TaskJob> ReConnectDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                               LdmObjectId disk_id) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(disk_id);
  const auto valid =
      Validate({{LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }}});
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  if (auto returned = CheckReturned(disk->info); !returned) {
    return tl::unexpected(returned.error());
  }
  DiskGroups& groups = server.inventory().groups();
  const auto done = BringBack(groups, disk->key);
  if (!done) {
    CommitSystem(server, operation, {});
    return tl::unexpected(done.error());
  }
  CommitSystem(server, operation, {disk_id});
  return AwaitSynchronisation(server, disk_id, VolumesOn(groups, disk->key));
}

Outcome<LdmObjectId> RestartVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                   LdmObjectId volume_id, LONGLONG last_known_state, bool& validated) {
  const auto state = server.model().State();
  const auto* volume = state->FindAs<VolumeObject>(volume_id);
  const auto valid = Validate({
      {LDM_E_NORECORD, "volumeId names a dynamic volume in the list",
       [&] { return volume != nullptr && volume->info.type == VOLUMETYPE_VM; }},
      {LDM_E_OBJECT_STALED, "volumeLastKnownState is that of the volume",
       [&] { return last_known_state == volume->info.lastKnownState; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  validated = true;
  DiskGroups& groups = server.inventory().groups();
  const GroupVolume* found = groups.FindVolume(volume->key);
  if (found == nullptr) {
    return Reject(LDM_E_NOENT, fmt::format("volume {} is in no disk group any more", volume_id));
  }
  if (!found->status) {
    const ldm::ObjectId record = found->map.volume;
    const FoundGroup* primary = groups.Primary();
    auto back = BringVolumeBack(*primary, primary->database, record);
    const bool whole =
        back && ldm::HealthOfVolume(*back, record, primary->missing) != ldm::VolumeHealth::kFailed;
    const auto possible =
        Validate({{LDM_E_V_NOT_ENABLED, "enough of the volume's disks are there", [&] { return whole; }}});
    if (!possible) {
      return tl::unexpected(possible.error());
    }
    const auto revived = groups.Update([&](DiskGroups::OpenGroup&) { return std::move(back); });
    if (!revived) {
      CommitSystem(server, operation, {});
      return tl::unexpected(revived.error());
    }
  }
  CommitSystem(server, operation, {});
  const GroupVolume* now = groups.FindVolume(volume->key);
  const auto online = Validate({{LDM_E_V_NOT_ENABLED, "the volume is online",
                                 [&] { return now != nullptr && now->status.has_value(); }}});
  if (!online) {
    return tl::unexpected(online.error());
  }
  return volume_id;
}

}  // namespace dmrp::server
