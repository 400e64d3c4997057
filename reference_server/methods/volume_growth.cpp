#include "reference_server/methods/volume_growth.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/dynamic_volumes.hpp"
#include "reference_server/methods/ntfs_growth.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_access.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

using ldm::kBlockBytes;

// What the volume is asked to become.
struct Wanted {
  std::uint64_t blocks = 0;  // the new length
  std::vector<ldm::MemberRequest> members;
};

Outcome<Wanted> CheckGrowVolume(DiskManagementServer& server, const ObjectState& state, Revision revision,
                                const GrowVolumeRequest& request) {
  const auto* volume = state.FindAs<VolumeObject>(request.volumeId);
  const auto listed = Validate({
      {LDM_E_NORECORD, "volumeId names a dynamic volume in the list",
       [&] { return volume != nullptr && volume->info.type == VOLUMETYPE_VM; }},
      {LDM_E_OBJECT_STALED, "volumeSpec.lastKnownState is that of the volume",
       [&] { return request.volumeSpec.lastKnownState == volume->info.lastKnownState; }},
  });
  if (!listed) {
    return tl::unexpected(listed.error());
  }
  const auto disks = CheckDisks(state, request.diskList);
  if (!disks) {
    return tl::unexpected(disks.error());
  }
  const LONGLONG length = request.volumeSpec.length;
  const auto valid = Validate({
      {LDM_E_NEG_SIZE, "volumeSpec.length is positive", [&] { return length > 0; }},
      {E_INVALIDARG, "volumeSpec.length is a multiple of the sector",
       [&] {
         return std::ranges::all_of(*disks, [&](const DiskObject* disk) {
           return disk->info.bytesPerSector != 0 &&
                  length % static_cast<LONGLONG>(disk->info.bytesPerSector) == 0;
         });
       }},
      {LDM_E_TOO_SMALL, "volumeSpec.length exceeds the length of the volume",
       [&] { return length > volume->info.length; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  Wanted wanted{.blocks = static_cast<std::uint64_t>(length) / kBlockBytes, .members = {}};
  std::uint64_t offered = 0;
  for (std::size_t i = 0; i < disks->size(); ++i) {
    auto member = CheckMember(server, revision, request.diskList[i], *(*disks)[i]);
    if (!member) {
      return tl::unexpected(member.error());
    }
    offered += member->blocks;
    wanted.members.push_back(*member);
  }
  const std::uint64_t growth = static_cast<std::uint64_t>(length - volume->info.length) / kBlockBytes;
  const auto enough = Validate(
      {{LDM_E_DIFF_SIZE, "the new members are as long as the growth", [&] { return offered >= growth; }}});
  if (!enough) {
    return tl::unexpected(enough.error());
  }
  return wanted;
}

// What keeps a volume that is listed from growing now.
Outcome<void> CheckState(const VolumeObject& volume, const GroupVolume& found) {
  return Validate({
      {LDM_E_VOLUME_DISABLED, "the volume is online", [&] { return found.status.has_value(); }},
      {LDM_E_V_NOT_ENABLED, "a volume with parity has all its columns and is not being synchronised",
       [&] {
         return found.map.layout != ldm::VolumeLayout::kRaid5 ||
                (found.map.health == ldm::VolumeHealth::kHealthy && found.status->sync == SyncKind::kNone);
       }},
      {LDM_E_INVALID, "the volume is no mirror", [&] { return volume.info.layout != VOLUMELAYOUT_MIRROR; }},
  });
}

// The lock; with `force` the volume is taken only where its file system has to stand still.
Outcome<void> Lock(DiskManagementServer& server, LdmObjectId id, const DiskInventory::Volume& place,
                   bool has_file_system, bool force) {
  if (force && !has_file_system && !server.inventory().IsFormatting(place)) {
    return {};
  }
  return Release(server, id, place, force);
}

}  // namespace

Outcome<LdmObjectId> GrowVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                Revision revision, const GrowVolumeRequest& request, bool& validated) {
  const auto state = server.model().State();
  const auto wanted = CheckGrowVolume(server, *state, revision, request);
  if (!wanted) {
    return tl::unexpected(wanted.error());
  }
  validated = true;
  const auto* volume = state->FindAs<VolumeObject>(request.volumeId);
  DiskInventory& inventory = server.inventory();
  const GroupVolume* found = inventory.groups().FindVolume(volume->key);
  if (found == nullptr) {
    return Reject(LDM_E_NOENT, fmt::format("volume {} is in no disk group any more", request.volumeId));
  }
  if (auto can = CheckState(*volume, *found); !can) {
    return tl::unexpected(can.error());
  }
  const FileSystemObject* system = state->FileSystemOn(request.volumeId);
  const std::int32_t type = system == nullptr ? FSTYPE_UNKNOWN : system->info.fsType;
  const DiskInventory::Volume place{.volume_key = volume->key};
  const bool formatting = inventory.IsFormatting(place);
  if (type != FSTYPE_UNKNOWN && type != FSTYPE_NTFS && !formatting) {
    return Reject(LDM_E_VOLUME_GROW_FAILED_FS, "the file system of the volume cannot become longer");
  }
  if (auto locked = Lock(server, request.volumeId, place, type != FSTYPE_UNKNOWN, request.force); !locked) {
    return tl::unexpected(locked.error());
  }
  std::optional<NtfsGrowth> ntfs;
  if (type == FSTYPE_NTFS) {
    ntfs.emplace(inventory.OpenerOf(place), inventory.NodeOf(place));
  }
  bool refused_by_ntfs = false;
  const auto grown =
      inventory.groups().Update([&](DiskGroups::OpenGroup& open) -> StorageResult<ldm::Database> {
        auto change = ldm::GrowVolume(open.group.Current(), ldm::SpacesOf(open.group), found->map.volume,
                                      wanted->members, wanted->blocks);
        if (!change) {
          return tl::unexpected(change.error());
        }
        if (ntfs) {
          const std::uint64_t length = change->after.FindVolume(change->volume)->size * kBlockBytes;
          if (auto prepared = ntfs->Prepare(length); !prepared) {
            refused_by_ntfs = true;
            return tl::unexpected(prepared.error());
          }
        }
        // The new rows have no parity yet.
        return found->map.layout == ldm::VolumeLayout::kRaid5
                   ? ldm::MarkInitializing(std::move(change->after), change->volume, true)
                   : StorageResult<ldm::Database>(std::move(change->after));
      });
  if (!grown) {
    CommitSystem(server, operation, {});
    return refused_by_ntfs ? Reject(LDM_E_VOLUME_GROW_FAILED_FS, grown.error().reason)
                           : tl::unexpected(grown.error());
  }
  if (ntfs) {
    // The file system follows once the device of the volume has its new length.
    CommitSystem(server, operation, {});
    const auto followed = ntfs->Finish(inventory.OpenerOf(place));
    CommitSystem(server, operation, {request.volumeId});
    if (!followed) {
      return Reject(LDM_E_VOLUME_GROW_FAILED_FS, followed.error().ToString());
    }
    return request.volumeId;
  }
  CommitSystem(server, operation, {request.volumeId});
  return request.volumeId;
}

}  // namespace dmrp::server
