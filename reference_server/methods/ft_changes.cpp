#include "reference_server/methods/ft_changes.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/partitions.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_access.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// A set that a method works on. The pointer holds as long as `state`.
struct Target {
  std::shared_ptr<const ObjectState> state;
  const VolumeObject* volume = nullptr;
  FtSet set;
  DiskInventory::Volume place;
};

// The validation that all these methods share; `type` nothing: any set will do.
Outcome<Target> FindSet(DiskManagementServer& server, LdmObjectId volume_id, LONGLONG last_known_state,
                        std::optional<ft::FtType> type) {
  Target target;
  target.state = server.model().State();
  target.volume = target.state->FindAs<VolumeObject>(volume_id);
  const FtSet* set = target.volume == nullptr ? nullptr : server.inventory().ft().Find(target.volume->key);
  const auto valid = Validate({
      {LDM_E_NORECORD, "volumeId names an FT volume in the list",
       [&] { return target.volume != nullptr && target.volume->info.type == VOLUMETYPE_FT; }},
      {LDM_E_OBJECT_STALED, "volumeLastKnownState is that of the volume",
       [&] { return target.volume->info.lastKnownState == last_known_state; }},
      {LDM_E_NOENT, "the record of FT sets has the volume", [&] { return set != nullptr; }},
      {LDM_E_INVALID, "the volume is an FT set of the type that the method is for",
       [&] { return !type || set->volume.type == *type; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  target.set = *set;
  target.place.volume_key = set->key;
  return target;
}

// Takes the set from its users, and its device away. The change comes next; when it is refused, the next
// observation brings the set online again.
Outcome<void> TakeSet(DiskManagementServer& server, const Target& target, bool force) {
  if (auto released = Release(server, target.volume->info.id, target.place, force); !released) {
    return released;
  }
  return TakeOffline(server, target.place, force);
}

void LogUnless(DiskManagementServer& server, const MountResult<void>& done, std::string_view what) {
  if (!done) {
    server.Log(fmt::format("{}: {}", what, done.error().ToString()));
  }
}

using Beginning = StorageResult<ft::FtChange> (*)(const ft::DiskRegistry&, std::span<const ft::FtDisk>,
                                                  std::size_t);

Outcome<void> MakeWhole(DiskManagementServer& server, const StorageModel::Operation& operation,
                        const Target& target, Beginning begin) {
  FtVolumes& sets = server.inventory().ft();
  // The device of a set whose members were all whole sees no difference in its map: it has to be told.
  const bool afresh = target.set.status && target.set.volume.status != ft::FtStatus::kRebuilding &&
                      std::ranges::all_of(target.set.volume.members, [](const ft::FtMember& member) {
                        return member.health == ft::FtMemberHealth::kHealthy;
                      });
  auto begun = sets.Update(target.set.key, begin);
  if (begun && afresh) {
    begun = sets.Resynchronise(target.set.key);
  }
  CommitSystem(server, operation, {});
  return begun;
}

Outcome<void> DeleteReplacement(DiskManagementServer& server, const StorageModel::Operation& operation,
                                LdmObjectId region_id) {
  const auto state = server.model().State();
  const auto* region = state->FindAs<RegionObject>(region_id);
  if (region == nullptr) {
    return {};
  }
  const REGION_SPEC spec{.regionId = region_id,
                         .regionType = region->info.regionType,
                         .diskId = region->info.diskId,
                         .start = region->info.start,
                         .length = region->info.length,
                         .lastKnownState = region->info.lastKnownState};
  const auto deleted = DeletePartition(server, operation, Revision::kIVolumeClient3, spec, true);
  return deleted ? Outcome<void>() : tl::unexpected(deleted.error());
}

}  // namespace

Outcome<void> DeleteFtVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                             const FTDeleteVolumeRequest& request) {
  const auto target = FindSet(server, request.volumeId, request.volumeLastKnownState, std::nullopt);
  if (!target) {
    return tl::unexpected(target.error());
  }
  if (auto taken = TakeSet(server, *target, request.force); !taken) {
    return taken;
  }
  const UniqueId id = FtVolumeId(target->set.volume);
  const auto deleted = server.inventory().ft().Update(target->set.key, ft::DeleteSet);
  if (deleted) {
    // What is made there later is another volume.
    LogUnless(server, server.mounts().Forget(id), "letter and name of a deleted FT volume stay");
  }
  CommitSystem(server, operation, {});
  return deleted;
}

Outcome<void> BreakFtMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                            const FTBreakMirrorRequest& request) {
  const auto target = FindSet(server, request.volumeId, request.volumeLastKnownState, ft::FtType::kMirror);
  if (!target) {
    return tl::unexpected(target.error());
  }
  if (auto taken = TakeSet(server, *target, request.bForce); !taken) {
    return taken;
  }
  std::size_t keeper = 0;
  const auto broken = server.inventory().ft().Update(
      target->set.key,
      [&keeper](const ft::DiskRegistry& registry, std::span<const ft::FtDisk> disks,
                std::size_t set) -> StorageResult<ft::FtChange> {
        auto change = ft::BreakMirror(registry, disks, set);
        if (!change) {
          return tl::unexpected(change.error());
        }
        keeper = change->keeper;
        return static_cast<ft::FtChange&>(*change);
      });
  if (broken) {
    const ft::FtMember& member = target->set.volume.members.at(keeper);
    LogUnless(
        server,
        server.mounts().Rekey(FtVolumeId(target->set.volume), MbrPartitionId(member.signature, member.start)),
        "the letter of a broken mirror goes to neither partition");
  }
  CommitSystem(server, operation, {});
  return broken;
}

Outcome<void> ResyncFtMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                             const FTResyncMirrorRequest& request) {
  const auto target = FindSet(server, request.volumeId, request.volumeLastKnownState, ft::FtType::kMirror);
  if (!target) {
    return tl::unexpected(target.error());
  }
  return MakeWhole(server, operation, *target, ft::ResyncMirror);
}

Outcome<void> RegenerateFtParity(DiskManagementServer& server, const StorageModel::Operation& operation,
                                 const FTRegenerateParityStripeRequest& request) {
  const auto target =
      FindSet(server, request.volumeId, request.volumeLastKnownState, ft::FtType::kStripeWithParity);
  if (!target) {
    return tl::unexpected(target.error());
  }
  return MakeWhole(server, operation, *target, ft::RegenerateParityStripe);
}

Outcome<void> ReplaceFtMember(DiskManagementServer& server, const StorageModel::Operation& operation,
                              ft::FtType type, const FtReplacement& request) {
  const auto target = FindSet(server, request.volumeId, request.volumeLastKnownState, type);
  if (!target) {
    return tl::unexpected(target.error());
  }
  const auto* region = target->state->FindAs<RegionObject>(request.newRegionId);
  const auto* disk = region == nullptr ? nullptr : target->state->FindAs<DiskObject>(region->info.diskId);
  const auto valid = Validate({
      {LDM_E_NORECORD, "newRegionId names a partition in the list",
       [&] {
         return disk != nullptr &&
                (region->info.regionType == REGION_PRIMARY || region->info.regionType == REGION_LOGICAL);
       }},
      {LDM_E_OBJECT_STALED, "newRegionLastKnownState is that of the partition",
       [&] {
         return (request.flags & FTREPLACE_FORCE) != 0 ||
                request.newRegionLastKnownState == region->info.lastKnownState;
       }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  FtVolumes& sets = server.inventory().ft();
  const auto start = static_cast<std::uint64_t>(region->info.start);
  const DiskInventory::Volume partition{.disk_key = disk->key, .start = start};
  const auto partition_id = server.inventory().IdOf(partition);
  const bool is_member = region->info.volId != 0;
  UniqueId first;
  auto replaced = is_member ? Outcome<void>() : TryLock(server, request.newRegionId, partition);
  if (replaced) {
    const auto index = sets.IndexOf(disk->key);
    replaced = sets.Update(
        target->set.key,
        [&](const ft::DiskRegistry& registry, std::span<const ft::FtDisk> disks,
            std::size_t set) -> StorageResult<ft::FtChange> {
          if (!index || *index >= disks.size()) {
            return Refuse(StorageErrorCode::kWrongStyle, "the partition does not lie on a hard disk");
          }
          auto change = ft::ReplaceMember(registry, disks, set, {.disk = *index, .start = start});
          if (change) {
            const ft::FtMemberRecord& member = change->after.sets[set].members.front();
            first = MbrPartitionId(member.signature, change->after.Find(member.partition)->startingOffset);
          }
          return change;
        });
  }
  if (!replaced) {
    CommitSystem(server, operation, {});
    if ((request.flags & FTREPLACE_DELETE_ON_FAIL) != 0 && !is_member) {
      if (auto deleted = DeleteReplacement(server, operation, request.newRegionId); !deleted) {
        server.Log("a partition that replaced nothing stays: " + deleted.error().reason);
      }
    }
    return replaced;
  }
  // The partition is no volume of its own any more; and the set goes by its first member.
  if (partition_id) {
    LogUnless(server, server.mounts().Forget(*partition_id), "letter and name of a new member stay");
  }
  LogUnless(server, server.mounts().Rekey(FtVolumeId(target->set.volume), first),
            "an FT volume loses its letter");
  CommitSystem(server, operation, {});
  return {};
}

}  // namespace dmrp::server
