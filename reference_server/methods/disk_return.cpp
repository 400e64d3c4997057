#include "reference_server/methods/disk_return.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/synchronisation.hpp"
#include "reference_server/methods/table_change.hpp"

#include <algorithm>
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
// one copy, and those that are `trusted` are taken as they are.
StorageResult<ldm::Database> Revive(ldm::Database database, const std::vector<ldm::ObjectId>& subdisks,
                                    const std::vector<ldm::ObjectId>& trusted = {}) {
  for (const ldm::ObjectId id : subdisks) {
    const ldm::SubdiskRecord* subdisk = database.FindSubdisk(id);
    const ldm::PlexRecord* plex = subdisk == nullptr ? nullptr : database.FindPlex(subdisk->plexId);
    if (plex == nullptr || ldm::HealthOf(database, *subdisk) == ldm::Health::kHealthy) {
      continue;
    }
    const auto layout = ldm::LayoutOf(database, plex->volumeId);
    const bool stale = (layout == ldm::VolumeLayout::kMirrored || layout == ldm::VolumeLayout::kRaid5) &&
                       std::ranges::find(trusted, id) == trusted.end();
    auto marked =
        ldm::MarkSubdisk(std::move(database), id, stale ? ldm::Health::kStale : ldm::Health::kHealthy);
    if (!marked) {
      return marked;
    }
    database = std::move(*marked);
  }
  return database;
}

std::vector<ldm::ObjectId> PresentSubdisks(const ldm::MapPlex& plex) {
  std::vector<ldm::ObjectId> subdisks;
  for (const ldm::MapColumn& column : plex.columns) {
    for (const ldm::MapExtent& extent : column.extents) {
      if (extent.health != ldm::Health::kMissing) {
        subdisks.push_back(extent.subdisk);
      }
    }
  }
  return subdisks;
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

Outcome<void> BringBack(DiskGroups& groups, const std::string& disk_key) {
  const DiskGroups::Place place = groups.Find(disk_key);
  if (place.member == nullptr) {
    return Reject(LDM_E_DAOFFLINE, "the disk is not there any more");
  }
  return groups.Update([disk = place.member->disk](DiskGroups::OpenGroup& open) {
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
    // Members that are all there went at one moment: a mirror begins with its first plex, RAID-5 with what
    // its columns hold.
    std::vector<ldm::ObjectId> subdisks;
    std::vector<ldm::ObjectId> trusted;
    for (const ldm::MapPlex& plex : found->map.plexes) {
      const std::vector<ldm::ObjectId> present = PresentSubdisks(plex);
      subdisks.insert(subdisks.end(), present.begin(), present.end());
      if (trusted.empty() && plex.health != ldm::Health::kMissing) {
        trusted = present;
      }
    }
    const auto revived = groups.Update(
        [&](DiskGroups::OpenGroup& open) { return Revive(open.group.Current(), subdisks, trusted); });
    if (!revived) {
      CommitSystem(server, operation, {});
      return tl::unexpected(revived.error());
    }
  }
  CommitSystem(server, operation, {volume_id});
  const GroupVolume* now = groups.FindVolume(volume->key);
  const auto online = Validate({{LDM_E_V_NOT_ENABLED, "the volume is online",
                                 [&] { return now != nullptr && now->status.has_value(); }}});
  if (!online) {
    return tl::unexpected(online.error());
  }
  return volume_id;
}

}  // namespace dmrp::server
