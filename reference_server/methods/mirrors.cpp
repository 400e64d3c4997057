#include "reference_server/methods/mirrors.hpp"

#include "protocol/base/text.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/drive_letters.hpp"
#include "reference_server/methods/dynamic_volumes.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/synchronisation.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_access.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// A volume and a disk, as a request names them.
struct Named {
  std::shared_ptr<const ObjectState> state;
  const VolumeObject* volume = nullptr;
  const DiskObject* disk = nullptr;
};

// Both are in the list and as the client knows them; between the two, that the volume has the layout.
Outcome<Named> CheckNamed(DiskManagementServer& server, LdmObjectId volume_id, LONGLONG volume_state,
                          LdmObjectId disk_id, LONGLONG disk_state, const Check& layout_of_volume,
                          const std::function<bool(const VolumeObject&)>& has_layout) {
  Named named{.state = server.model().State()};
  named.volume = named.state->FindAs<VolumeObject>(volume_id);
  named.disk = named.state->FindAs<DiskObject>(disk_id);
  const auto valid = Validate({
      {LDM_E_NORECORD, "volumeId names a dynamic volume in the list",
       [&] { return named.volume != nullptr && named.volume->info.type == VOLUMETYPE_VM; }},
      {LDM_E_OBJECT_STALED, "volumeLastKnownState is that of the volume",
       [&] { return volume_state == named.volume->info.lastKnownState; }},
      {layout_of_volume.error, layout_of_volume.rule, [&] { return has_layout(*named.volume); }},
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return named.disk != nullptr; }},
      {LDM_E_OBJECT_STALED, "diskLastKnownState is that of the disk",
       [&] { return disk_state == named.disk->info.lastKnownState; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return named;
}

bool IsMirror(const VolumeObject& volume) { return volume.info.layout == VOLUMELAYOUT_MIRROR; }

// The record of a disk of the primary group, there or missing; 0 for other disks.
ldm::ObjectId RecordOf(const DiskGroups& groups, const DiskObject& disk) {
  const FoundGroup* primary = groups.Primary();
  if (primary == nullptr) {
    return 0;
  }
  for (const ldm::DiskRecord& record : primary->database.disks) {
    const GroupMember* member = primary->MemberOf(record.id);
    const std::string key = member == nullptr ? MissingDiskKey(record.guid) : member->key;
    if (key == disk.key) {
      return record.id;
    }
  }
  return 0;
}

// The volume as its group has it now, by value: an observation replaces what the group has.
Outcome<GroupVolume> FindInGroup(DiskManagementServer& server, const VolumeObject& volume) {
  const GroupVolume* found = server.inventory().groups().FindVolume(volume.key);
  if (found == nullptr) {
    return Reject(LDM_E_NOENT, fmt::format("volume {} is in no disk group any more", volume.info.id));
  }
  return *found;
}

std::set<ldm::ObjectId> MissingDisks(const DiskGroups& groups) {
  const FoundGroup* primary = groups.Primary();
  return primary == nullptr ? std::set<ldm::ObjectId>() : primary->missing;
}

// A disk that a mirror is taken from: it is a member, and the interface may be used with it.
Outcome<ldm::ObjectId> CheckMirrorOn(DiskManagementServer& server, Revision revision, const Named& named) {
  const ldm::ObjectId record = RecordOf(server.inventory().groups(), *named.disk);
  const auto found = FindInGroup(server, *named.volume);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const auto valid = Validate({
      {LDM_E_NO_ASSOC, "the disk has a mirror of the volume",
       [&] {
         for (const ldm::MapPlex& plex : found->map.plexes) {
           for (const ldm::MapColumn& column : plex.columns) {
             for (const ldm::MapExtent& extent : column.extents) {
               if (record != 0 && extent.disk == record) {
                 return true;
               }
             }
           }
         }
         return false;
       }},
      {LDM_E_NOSUPPORT, "the interface can be used with the disk",
       [&] { return MayUse(revision, named.disk->info); }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return record;
}

// Table entries of retained partitions follow the mirrors of their volume.
void MendTables(DiskManagementServer& server) {
  if (auto tables = server.inventory().groups().Mend(); !tables) {
    server.Log("the entries of retained partitions do not fit their volumes: " + tables.error().reason);
  }
}

using MakeChange = std::function<StorageResult<ldm::VolumeChange>(DiskGroups::OpenGroup&)>;

// Changes the records of the group; answers the volume that the change is about.
Outcome<ldm::ObjectId> Apply(DiskManagementServer& server, const MakeChange& make, std::string& key) {
  ldm::ObjectId volume = 0;
  const auto updated =
      server.inventory().groups().Update([&](DiskGroups::OpenGroup& open) -> StorageResult<ldm::Database> {
        auto change = make(open);
        if (!change) {
          return tl::unexpected(change.error());
        }
        volume = change->volume;
        key = DynamicVolumeKey(change->after.FindVolume(volume)->guid);
        return std::move(change->after);
      });
  if (!updated) {
    return tl::unexpected(updated.error());
  }
  return volume;
}

}  // namespace

Outcome<LdmObjectId> AddMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                               Revision revision, const AddMirrorRequest& request, bool& validated,
                               std::optional<TaskJob>& copying) {
  const auto named =
      CheckNamed(server, request.volumeId, request.volumeLastKnownState, request.diskSpec.diskId,
                 request.diskSpec.lastKnownState, {}, [](const VolumeObject&) { return true; });
  if (!named) {
    return tl::unexpected(named.error());
  }
  const auto ground = CheckGround(server, revision, *named->disk);
  if (!ground) {
    return tl::unexpected(ground.error());
  }
  validated = true;
  const auto found = FindInGroup(server, *named->volume);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const auto online =
      Validate({{LDM_E_VOLUME_DISABLED, "the volume is online", [&] { return found->status.has_value(); }}});
  if (!online) {
    return tl::unexpected(online.error());
  }
  std::string key;
  const auto added = Apply(
      server,
      [&](DiskGroups::OpenGroup& open) {
        return ldm::AddMirror(open.group.Current(), ldm::SpacesOf(open.group), found->map.volume, *ground);
      },
      key);
  if (added) {
    MendTables(server);
  }
  CommitSystem(server, operation, {});
  if (!added) {
    return tl::unexpected(added.error());
  }
  copying = AwaitSynchronisation(server, request.volumeId, {found->name});
  return request.volumeId;
}

Outcome<LdmObjectId> RemoveMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  Revision revision, const RemoveMirrorRequest& request, bool& validated) {
  const auto named =
      CheckNamed(server, request.volumeId, request.volumeLastKnownState, request.diskId,
                 request.diskLastKnownState, {LDM_E_INVALID, "the volume is a mirror", {}}, IsMirror);
  if (!named) {
    return tl::unexpected(named.error());
  }
  const auto disk = CheckMirrorOn(server, revision, *named);
  if (!disk) {
    return tl::unexpected(disk.error());
  }
  validated = true;
  const auto found = FindInGroup(server, *named->volume);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const std::set<ldm::ObjectId> missing = MissingDisks(server.inventory().groups());
  std::string key;
  const auto removed = Apply(
      server,
      [&](DiskGroups::OpenGroup& open) {
        return ldm::RemoveMirror(open.group.Current(), found->map.volume, *disk, missing);
      },
      key);
  if (removed) {
    MendTables(server);
  }
  CommitSystem(server, operation, {});
  if (!removed) {
    return tl::unexpected(removed.error());
  }
  return request.volumeId;
}

Outcome<LdmObjectId> SplitMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                                 Revision revision, const SplitMirrorRequest& request, bool& validated) {
  const auto named =
      CheckNamed(server, request.volumeId, request.volumeLastKnownState, request.diskId,
                 request.diskLastKnownState, {LDM_E_INVALID, "the volume is a mirror", {}}, IsMirror);
  if (!named) {
    return tl::unexpected(named.error());
  }
  const bool has_letter = request.letter != u'\0' && request.letter != u' ';
  if (has_letter) {
    const auto letter = FindLetter(*named->state, request.letter, request.letterLastKnownState);
    if (!letter) {
      return tl::unexpected(letter.error());
    }
    if (auto available = CheckAvailable(**letter, 0); !available) {
      return tl::unexpected(available.error());
    }
  }
  const auto disk = CheckMirrorOn(server, revision, *named);
  if (!disk) {
    return tl::unexpected(disk.error());
  }
  validated = true;
  const auto found = FindInGroup(server, *named->volume);
  if (!found) {
    return tl::unexpected(found.error());
  }
  // The users of a volume that is in use keep it, and what they wrote is on both sides.
  const DiskInventory::Volume place{.volume_key = named->volume->key};
  const bool force = request.tinfo.error == LDM_E_VOLUME_IN_USE;
  if (auto locked = TryLock(server, request.volumeId, place); !locked && !force) {
    return tl::unexpected(locked.error());
  }
  const std::set<ldm::ObjectId> missing = MissingDisks(server.inventory().groups());
  std::string key;
  const auto split = Apply(
      server,
      [&](DiskGroups::OpenGroup& open) {
        return ldm::SplitMirror(open.group.Current(), found->map.volume, *disk, missing);
      },
      key);
  if (split) {
    MendTables(server);
  }
  CommitSystem(server, operation, {});
  if (!split) {
    return tl::unexpected(split.error());
  }
  const VolumeObject* made = server.model().State()->FindVolumeByKey(key);
  if (made == nullptr) {
    return Reject(LDM_E_VOL_SETUP_FAIL, "the volume that was split off is not there");
  }
  const LdmObjectId id = made->info.id;
  if (has_letter) {
    const auto led = LeadLetterTo(server, request.letter, {.volume_key = key});
    CommitSystem(server, operation, {});
    if (!led) {
      return tl::unexpected(led.error());
    }
  }
  return id;
}

Outcome<LdmObjectId> ReplaceRaid5Column(DiskManagementServer& server,
                                        const StorageModel::Operation& operation, Revision revision,
                                        const ReplaceRaid5ColumnRequest& request, bool& validated,
                                        std::optional<TaskJob>& copying) {
  const auto named =
      CheckNamed(server, request.volumeId, request.volumeLastKnownState, request.newDiskId,
                 request.diskLastKnownState, {LDM_E_NOTRAIDVOL, "the volume is RAID-5", {}},
                 [](const VolumeObject& volume) { return volume.info.layout == VOLUMELAYOUT_RAID5; });
  if (!named) {
    return tl::unexpected(named.error());
  }
  const auto ground = CheckGround(server, revision, *named->disk);
  if (!ground) {
    return tl::unexpected(ground.error());
  }
  validated = true;
  const auto found = FindInGroup(server, *named->volume);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const std::set<ldm::ObjectId> missing = MissingDisks(server.inventory().groups());
  std::string key;
  const auto replaced = Apply(
      server,
      [&](DiskGroups::OpenGroup& open) {
        return ldm::ReplaceRaid5Column(open.group.Current(), ldm::SpacesOf(open.group), found->map.volume,
                                       *ground, missing);
      },
      key);
  CommitSystem(server, operation, {});
  if (!replaced) {
    return tl::unexpected(replaced.error());
  }
  copying = AwaitSynchronisation(server, request.volumeId, {found->name});
  return request.volumeId;
}

}  // namespace dmrp::server
