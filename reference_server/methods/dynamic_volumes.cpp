#include "reference_server/methods/dynamic_volumes.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/describe_dynamic.hpp"
#include "reference_server/methods/formatting.hpp"
#include "reference_server/methods/partitions.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_access.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

using ldm::kBlockBytes;

// Zeroed at the front of what becomes part of a volume, so that an earlier file system does not come back.
constexpr std::size_t kFront = 4096;

bool IsWhole(LONGLONG length, std::uint32_t unit) { return length % static_cast<LONGLONG>(unit) == 0; }

}  // namespace

Outcome<std::vector<const DiskObject*>> CheckDisks(const ObjectState& state,
                                                   const std::vector<DISK_SPEC>& specs) {
  const auto any = Validate({{E_INVALIDARG, "diskCount is not 0", [&] { return !specs.empty(); }}});
  if (!any) {
    return tl::unexpected(any.error());
  }
  std::vector<const DiskObject*> disks;
  for (const DISK_SPEC& spec : specs) {
    const auto* disk = state.FindAs<DiskObject>(spec.diskId);
    const auto valid = Validate({
        {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
        {LDM_E_OBJECT_STALED, "lastKnownState is that of the disk",
         [&] { return spec.lastKnownState == disk->info.lastKnownState; }},
    });
    if (!valid) {
      return tl::unexpected(valid.error());
    }
    disks.push_back(disk);
  }
  return disks;
}

Outcome<ldm::ObjectId> CheckGround(DiskManagementServer& server, Revision revision, const DiskObject& disk) {
  const DiskGroups::Place place = server.inventory().groups().Find(disk.key);
  const DISK_INFO_EX& info = disk.info;
  const auto valid = Validate({
      {LDM_E_NOSUPPORT, "the interface can be used with the disk", [&] { return MayUse(revision, info); }},
      {LDM_E_NOTVMDISK, "the disk is dynamic", [&] { return info.deviceType == DEVICETYPE_VM; }},
      {LDM_E_DISK_OTHER_DG, "the disk belongs to the primary disk group",
       [&] { return (info.deviceState & DEVICESTATE_UNCLAIMED) == 0; }},
      {LDM_E_DAOFFLINE, "the disk is there and online",
       [&] {
         return place.member != nullptr &&
                (info.deviceState & (DEVICESTATE_MISSING | DEVICESTATE_OFFLINE)) == 0;
       }},
      {LDM_E_RDONLY, "the disk is not write-protected",
       [&] { return (info.attributes & DEVICEATTR_RDONLY) == 0; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return place.member->disk;
}

Outcome<ldm::MemberRequest> CheckMember(DiskManagementServer& server, Revision revision,
                                        const DISK_SPEC& spec, const DiskObject& disk) {
  const auto ground = CheckGround(server, revision, disk);
  if (!ground) {
    return tl::unexpected(ground.error());
  }
  const auto valid = Validate({
      {LDM_E_NEG_SIZE, "the length of the member is positive", [&] { return spec.length > 0; }},
      {E_INVALIDARG, "the length of the member is a multiple of the sector",
       [&] { return IsWhole(spec.length, disk.info.bytesPerSector); }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return ldm::MemberRequest{.disk = *ground,
                            .blocks = static_cast<std::uint64_t>(spec.length) / kBlockBytes,
                            .contiguous = spec.needContiguous};
}

namespace {

// The validation of CreateVolume, without any change: what the disk group is to be asked for.
Outcome<ldm::VolumeRequest> CheckCreateVolume(DiskManagementServer& server, const ObjectState& state,
                                              Revision revision, const VOLUME_SPEC& spec,
                                              const std::vector<DISK_SPEC>& specs,
                                              const LaterChecks& later = {}) {
  const auto disks = CheckDisks(state, specs);
  if (!disks) {
    return tl::unexpected(disks.error());
  }
  if (later) {
    if (auto passed = later(); !passed) {
      return tl::unexpected(passed.error());
    }
  }
  const auto layout = LdmLayoutOf(spec.layout);
  const auto valid = Validate({
      {LDM_E_INVALID_FIELD, "volumeSpec.layout is one of dynamic volumes",
       [&] { return layout.has_value(); }},
      {LDM_E_NEG_SIZE, "volumeSpec.length is positive", [&] { return spec.length > 0; }},
      {E_INVALIDARG, "volumeSpec.length is a multiple of the sector",
       [&] {
         return std::ranges::all_of(*disks, [&](const DiskObject* disk) {
           return disk->info.bytesPerSector != 0 && IsWhole(spec.length, disk->info.bytesPerSector);
         });
       }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  ldm::VolumeRequest request{.layout = *layout,
                             .blocks = static_cast<std::uint64_t>(spec.length) / kBlockBytes};
  for (std::size_t i = 0; i < specs.size(); ++i) {
    auto member = CheckMember(server, revision, specs[i], *(*disks)[i]);
    if (!member) {
      return tl::unexpected(member.error());
    }
    request.members.push_back(*member);
  }
  return request;
}

StorageResult<void> ClearFronts(const ldm::DiskGroup& group, const ldm::VolumeChange& change) {
  for (const ldm::ObjectId id : change.subdisks) {
    const ldm::SubdiskRecord* subdisk = change.after.FindSubdisk(id);
    const ldm::Member* member = subdisk == nullptr ? nullptr : group.MemberOf(subdisk->diskId);
    if (member == nullptr) {
      continue;
    }
    const std::uint64_t start = (member->header.PublicStartBlocks() + subdisk->start) * kBlockBytes;
    const Bytes zeros(static_cast<std::size_t>(std::min<std::uint64_t>(kFront, subdisk->size * kBlockBytes)));
    if (auto cleared = member->device->Write(start, zeros); !cleared) {
      return DeviceFailed(cleared.error());
    }
    if (auto flushed = member->device->Flush(); !flushed) {
      return DeviceFailed(flushed.error());
    }
  }
  return {};
}

Outcome<LdmObjectId> MakeVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                const ldm::VolumeRequest& request) {
  std::string key;
  const auto made =
      server.inventory().groups().Update([&](DiskGroups::OpenGroup& open) -> StorageResult<ldm::Database> {
        auto change = ldm::CreateVolume(open.group.Current(), ldm::SpacesOf(open.group), request);
        if (!change) {
          return tl::unexpected(change.error());
        }
        if (auto cleared = ClearFronts(open.group, *change); !cleared) {
          return tl::unexpected(cleared.error());
        }
        key = DynamicVolumeKey(change->after.FindVolume(change->volume)->guid);
        return std::move(change->after);
      });
  CommitSystem(server, operation, {});
  if (!made) {
    return tl::unexpected(made.error());
  }
  const VolumeObject* volume = server.model().State()->FindVolumeByKey(key);
  if (volume == nullptr) {
    return Reject(LDM_E_VOL_SETUP_FAIL, "the new volume is not there");
  }
  return volume->info.id;
}

}  // namespace

Outcome<LdmObjectId> CreateVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  Revision revision, const CreateVolumeRequest& request, bool& validated) {
  const auto wanted =
      CheckCreateVolume(server, *server.model().State(), revision, request.volumeSpec, request.diskList);
  if (!wanted) {
    return tl::unexpected(wanted.error());
  }
  validated = true;
  return MakeVolume(server, operation, *wanted);
}

Outcome<TaskJob> CreateVolumeAssignAndFormat(DiskManagementServer& server,
                                             const StorageModel::Operation& operation, Revision revision,
                                             const CreateVolumeAssignAndFormatExRequest& request) {
  const AssignAndFormatSpec spec = AssignAndFormatSpec::Of(request);
  const auto state = server.model().State();
  const auto wanted = CheckCreateVolume(server, *state, revision, request.volumeSpec, request.diskList,
                                        [&] { return CheckLetter(*state, spec); });
  if (!wanted) {
    return tl::unexpected(wanted.error());
  }
  FormatGround ground{
      .devices = {}, .fixed = true, .length = wanted->blocks * kBlockBytes, .bytesPerSector = kMinSectorSize};
  for (const DISK_SPEC& disk_spec : request.diskList) {
    const auto* disk = state->FindAs<DiskObject>(disk_spec.diskId);
    ground.bytesPerSector = std::max(ground.bytesPerSector, disk->info.bytesPerSector);
    if (const DeviceInfo* device = server.inventory().Device(disk->key)) {
      ground.devices.push_back(*device);
    }
  }
  const auto folder = CheckFormat(server, spec, ground);
  if (!folder) {
    return tl::unexpected(folder.error());
  }
  const auto volume_id = MakeVolume(server, operation, *wanted);
  if (!volume_id) {
    return tl::unexpected(volume_id.error());
  }
  return AssignAndFormat(server, operation, *volume_id, spec, *folder);
}

Outcome<LdmObjectId> DeleteVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                                  const DeleteVolumeRequest& request, bool& validated) {
  const auto state = server.model().State();
  const auto* volume = state->FindAs<VolumeObject>(request.volumeId);
  const auto valid = Validate({
      {LDM_E_NORECORD, "volumeId names a dynamic volume in the list",
       [&] { return volume != nullptr && volume->info.type == VOLUMETYPE_VM; }},
      {LDM_E_OBJECT_STALED, "volumeLastKnownState is that of the volume",
       [&] { return request.volumeLastKnownState == volume->info.lastKnownState; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  validated = true;
  DiskGroups& groups = server.inventory().groups();
  const GroupVolume* found = groups.FindVolume(volume->key);
  if (found == nullptr) {
    return Reject(LDM_E_NOENT, fmt::format("volume {} is in no disk group any more", request.volumeId));
  }
  const GroupVolume known = *found;
  const DiskInventory::Volume place{.volume_key = volume->key};
  if (auto released = Release(server, request.volumeId, place, request.force); !released) {
    return tl::unexpected(released.error());
  }
  if (auto offline = TakeOffline(server, place, request.force); !offline) {
    return tl::unexpected(offline.error());
  }
  const auto deleted = groups.Update([&known](DiskGroups::OpenGroup& open) {
    return ldm::DeleteVolume(open.group.Current(), known.map.volume);
  });
  if (deleted) {
    // A volume that is made later is another one.
    if (auto forgotten = server.mounts().Forget(GuidVolumeId(known.map.guid)); !forgotten) {
      server.Log("letter and name of a deleted volume stay: " + forgotten.error().ToString());
    }
    if (auto tables = groups.Mend(); !tables) {
      server.Log("the tables still have entries of a deleted volume: " + tables.error().reason);
    }
  }
  CommitSystem(server, operation, {});
  if (!deleted) {
    return tl::unexpected(deleted.error());
  }
  return request.volumeId;
}

}  // namespace dmrp::server
