#include "reference_server/methods/access_paths.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/storage/mount_point.hpp"
#include "reference_server/storage/volume_name.hpp"

#include <functional>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

bool IsNtfs(const ObjectState& state, LdmObjectId storage_id) {
  const FileSystemObject* system = state.FileSystemOn(storage_id);
  return system != nullptr && system->info.fsType == FSTYPE_NTFS;
}

// Opens an NTFS volume, on its disks or, where the system has mounted it, through that mount.
template <typename T>
Outcome<T> OnNtfs(DiskManagementServer& server, const VolumeTarget& host, bool writable,
                  const std::function<MountResult<T>(const NtfsVolume&)>& work) {
  NtfsVolume volume;
  const auto use = server.inventory().Use(host.volume);
  if (!use) {
    return Reject(LDM_E_NT_IF_ERROR, use.error().ToString());
  }
  std::unique_ptr<BlockDevice> device;
  if (!use->mountPoints.empty()) {
    volume.mountedAt = use->mountPoints.front();
  } else {
    if (writable && use->InUse()) {
      return Reject(LDM_E_VOLUME_IN_USE, fmt::format("{} is {}", host.id, use->ToString()));
    }
    auto opened = server.inventory().OpenerOf(host.volume)(writable);
    if (!opened) {
      return RejectDevice(opened.error());
    }
    device = std::move(opened->device);
    volume.device = device.get();
    volume.start = opened->start;
    volume.length = opened->length;
  }
  auto done = work(volume);
  if (!done) {
    return Reject(done.error());
  }
  return done.value();
}

// For work without a value of its own.
struct Done {};

// The object of a volume: its region, or for one over several regions the volume object.
LdmObjectId ObjectOf(const ObjectState& state, const DiskInventory::Volume& volume) {
  if (!volume.volume_key.empty()) {
    const VolumeObject* object = state.FindVolumeByKey(volume.volume_key);
    return object == nullptr ? 0 : object->info.id;
  }
  const DiskObject* disk = state.FindDiskByKey(volume.disk_key);
  if (disk == nullptr) {
    return 0;
  }
  for (const RegionObject& region : state.RegionsOf(disk->info.id)) {
    if (static_cast<std::uint64_t>(region.info.start) == volume.start &&
        state.FileSystemOn(region.info.id) != nullptr) {
      return region.info.id;
    }
  }
  return 0;
}

// The NTFS volumes: those on regions by disk and start, then those over several regions.
std::vector<LdmObjectId> PossibleHosts(const ObjectState& state) {
  std::vector<LdmObjectId> hosts;
  for (const DiskObject& disk : state.Disks()) {
    for (const RegionObject& region : state.RegionsOf(disk.info.id)) {
      hosts.push_back(region.info.id);
    }
  }
  for (const VolumeObject& volume : state.Volumes()) {
    hosts.push_back(volume.info.id);
  }
  std::erase_if(hosts, [&state](LdmObjectId id) { return !IsNtfs(state, id); });
  return hosts;
}

Outcome<LdmObjectId> FindHost(DiskManagementServer& server, const AccessPath& path) {
  const auto state = server.model().State();
  if (path.letter) {
    const DriveLetterObject* letter = state->FindLetter(*path.letter);
    if (letter == nullptr || !letter->info.isUsed) {
      return Reject(LDM_E_INVALID_PATH, "the letter of the path leads nowhere");
    }
    return letter->info.storageId;
  }
  if (path.volume) {
    const auto id = server.mounts().FindVolume(*path.volume);
    if (!id) {
      return Reject(id.error());
    }
    const auto volume = *id ? server.inventory().FindVolume(**id) : std::nullopt;
    const LdmObjectId object = volume ? ObjectOf(*state, *volume) : 0;
    if (object == 0) {
      return Reject(LDM_E_INVALID_PATH, "the volume of the path is not there");
    }
    return object;
  }
  return Reject(LDM_E_INVALID_NAME, "the path names no volume that has the folder");
}

}  // namespace

Outcome<std::vector<COUNTED_STRING>> EnumerateAccessPaths(DiskManagementServer& server,
                                                          LdmObjectId target_id) {
  std::vector<COUNTED_STRING> paths;
  const auto state = server.model().State();
  for (const LdmObjectId host_id : PossibleHosts(*state)) {
    const auto host = FindVolumeTarget(server, host_id);
    if (!host) {
      continue;
    }
    const auto points = OnNtfs<std::vector<MountPoint>>(
        server, *host, false, [](const NtfsVolume& volume) { return ListMountPoints(volume); });
    if (!points) {
      server.Log(fmt::format("the mounted folders of {} are not listed: {}", host_id, points.error().reason));
      continue;
    }
    if (points->empty()) {
      continue;
    }
    std::u16string root;
    if (const DriveLetterObject* letter = state->LetterOf(host_id)) {
      root = {letter->info.letter, u':', u'\\'};
    } else {
      const auto name = VolumeNameOf(server, host->volume);
      if (!name) {
        return tl::unexpected(name.error());
      }
      root = VolumeMountName(*name) + u'\\';
    }
    for (const MountPoint& point : *points) {
      const auto id = server.mounts().FindVolume(point.target);
      const auto volume = id && *id ? server.inventory().FindVolume(**id) : std::nullopt;
      const LdmObjectId target = volume ? ObjectOf(*state, *volume) : 0;
      if (target != 0 && (target_id == 0 || target == target_id)) {
        paths.push_back({.sourceId = host_id, .targetId = target, .sstring = root + point.path + u'\0'});
      }
    }
  }
  return paths;
}

Outcome<FolderPath> FindFolder(DiskManagementServer& server, std::u16string_view path) {
  const auto terminated =
      Validate({{LDM_E_INVALID_NAME, "the path ends with a null", [&] { return path.ends_with(u'\0'); }}});
  if (!terminated) {
    return tl::unexpected(terminated.error());
  }
  auto parsed = ParseAccessPath(path);
  if (!parsed) {
    return Reject(parsed.error());
  }
  const auto host_id = FindHost(server, *parsed);
  if (!host_id) {
    return tl::unexpected(host_id.error());
  }
  auto host = FindVolumeTarget(server, *host_id);
  if (!host) {
    return tl::unexpected(host.error());
  }
  const auto valid = Validate({
      {LDM_E_MEDIA_DOESNT_SUPPORT_MOUNT_POINTS, "the folder lies on a fixed disk",
       [&] { return host->fixed; }},
      {LDM_E_INVALID_FS, "the folder lies on NTFS", [&] { return IsNtfs(*host->state, host->id); }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return FolderPath{std::move(*host), std::move(*parsed)};
}

Outcome<void> CheckMountTarget(const VolumeTarget& target) {
  return Validate({{LDM_E_MEDIA_DOESNT_SUPPORT_MOUNT_POINTS, "the volume lies on a fixed disk",
                    [&] { return target.fixed; }}});
}

Outcome<void> MountAt(DiskManagementServer& server, const FolderPath& folder,
                      const DiskInventory::Volume& target) {
  const auto name = VolumeNameOf(server, target);
  if (!name) {
    return tl::unexpected(name.error());
  }
  const auto added =
      OnNtfs<Done>(server, folder.host, true, [&](const NtfsVolume& volume) -> MountResult<Done> {
        return AddMountPoint(volume, folder.path.folders, *name).map([] { return Done{}; });
      });
  if (!added) {
    return tl::unexpected(added.error());
  }
  return {};
}

Outcome<void> AddAccessPath(DiskManagementServer& server, const AddAccessPathRequest& request) {
  const auto target = FindVolumeTarget(server, request.targetId);
  if (!target) {
    return tl::unexpected(target.error());
  }
  if (auto possible = CheckMountTarget(*target); !possible) {
    return possible;
  }
  const auto folder = FindFolder(server, request.path);
  if (!folder) {
    return tl::unexpected(folder.error());
  }
  return MountAt(server, *folder, target->volume);
}

Outcome<void> DeleteAccessPath(DiskManagementServer& server, const DeleteAccessPathRequest& request) {
  const auto target = FindVolumeTarget(server, request.volumeId);
  if (!target) {
    return tl::unexpected(target.error());
  }
  const auto folder = FindFolder(server, request.path);
  if (!folder) {
    return tl::unexpected(folder.error());
  }
  const auto name = VolumeNameOf(server, target->volume);
  if (!name) {
    return tl::unexpected(name.error());
  }
  const auto removed =
      OnNtfs<Done>(server, folder->host, true, [&](const NtfsVolume& volume) -> MountResult<Done> {
        return RemoveMountPoint(volume, folder->path.folders, *name).map([] { return Done{}; });
      });
  if (!removed) {
    const bool refused = removed.error().hr == LDM_E_WRITE_PROTECTED;
    return tl::unexpected(refused ? Refusal{LDM_E_DELETE_NOACCESS, removed.error().reason} : removed.error());
  }
  return {};
}

}  // namespace dmrp::server
