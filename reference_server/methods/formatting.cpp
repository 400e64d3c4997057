#include "reference_server/methods/formatting.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/access_paths.hpp"
#include "reference_server/methods/drive_letters.hpp"
#include "reference_server/methods/partitions.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_access.hpp"
#include "reference_server/storage/format.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// dwFlags of CreatePartitionAssignAndFormatEx and CreateVolumeAssignAndFormatEx.
constexpr DWORD kCreateAssignAccessPath = 1;

FormatRequest RequestOf(const FILE_SYSTEM_INFO& spec, bool quick) {
  std::u16string label = spec.label.value_or(std::u16string());
  label.resize(std::min(label.size(), label.find(u'\0')));
  return {.fsType = spec.fsType,
          .label = std::move(label),
          .allocationUnitSize = spec.allocationUnitSize,
          .compression = (spec.fsflags & ENABLE_VOLUME_COMPRESSION) != 0,
          .quick = quick};
}

Outcome<void> CheckFileSystem(const FormatRequest& request, std::uint64_t length,
                              std::uint32_t bytes_per_sector) {
  if (const auto plan = PlanFormat(request, {.length = length, .bytesPerSector = bytes_per_sector}); !plan) {
    return Reject(plan.error());
  }
  return {};
}

Outcome<void> CheckMedia(const std::vector<DeviceInfo>& devices) {
  const auto optical = [](const DeviceInfo& device) {
    return device.kind == DeviceKind::kCdrom || device.kind == DeviceKind::kDvd;
  };
  return Validate({
      {LDM_E_BAD_MEDIA, "the medium is one that can be formatted",
       [&] { return std::ranges::none_of(devices, optical); }},
      {LDM_E_WRITE_PROTECTED, "the medium is not write-protected",
       [&] { return std::ranges::none_of(devices, &DeviceInfo::readOnly); }},
  });
}

// In a damaged table the sectors of a partition may be those of another one too.
Outcome<void> CheckTable(DiskManagementServer& server, const VolumeTarget& target) {
  if (target.disk == nullptr) {
    return {};
  }
  const auto opened = server.inventory().source().Open(target.devices.front(), false);
  if (!opened) {
    return RejectDevice(opened.error());
  }
  const auto layout = ReadLayout(**opened);
  if (!layout) {
    return Reject(layout.error());
  }
  if (const TableAnomaly* anomaly = layout->BlockingAnomaly()) {
    return Reject(LDM_E_BAD_DISK, fmt::format("disk {}: {}", target.disk->info.id, anomaly->message));
  }
  return {};
}

// A failed volume has nothing that could be formatted.
Outcome<void> CheckOnline(DiskManagementServer& server, const VolumeTarget& target) {
  return Validate({{LDM_E_VOLUME_DISABLED, "the volume is online",
                    [&] { return !server.inventory().IsOffline(target.volume); }}});
}

// A format under way. Shared by the two halves of its task.
struct FormatWork {
  DiskManagementServer& server;
  FormatRequest request;
  VolumeTarget target;
  DiskInventory::Opener open;
  std::uint32_t hidden_sectors = 0;
  std::filesystem::path node;
  std::uint64_t token = 0;
  FileSystemType made = FileSystemType::kUnknown;
};

Outcome<void> Make(FormatWork& work, const TaskJob::ReportProgress& report, const std::stop_token& stop) {
  auto opened = work.open(true);
  if (!opened) {
    return RejectDevice(opened.error());
  }
  const FormatTarget target{.device = *opened->device,
                            .start = opened->start,
                            .length = opened->length,
                            .hiddenSectors = work.hidden_sectors,
                            .node = work.node};
  const auto made = server::Format(target, work.request, report, stop);
  if (!made) {
    return Reject(made.error());
  }
  work.made = made->type;
  return {};
}

// What names the file system beside itself, where anything does: the partition table, or the records of the
// disk group. True when the list of storage objects followed.
Outcome<bool> NameFileSystem(FormatWork& work, const StorageModel::Operation& operation) {
  const VolumeTarget& target = work.target;
  DiskGroups& groups = work.server.inventory().groups();
  if (const GroupVolume* volume = groups.FindVolume(target.volume.volume_key)) {
    const std::uint8_t type = MbrTypeOf(work.made, Region{.length = volume->map.length}, DiskGeometry{});
    const auto named = groups.Update([id = volume->map.volume, type](DiskGroups::OpenGroup& open) {
      return ldm::SetPartitionType(open.group.Current(), id, type);
    });
    if (!named) {
      return tl::unexpected(named.error());
    }
    return false;
  }
  FtVolumes& sets = work.server.inventory().ft();
  if (const FtSet* set = sets.Find(target.volume.volume_key)) {
    const std::uint8_t type = MbrTypeOf(work.made, Region{.length = set->volume.length}, set->geometry);
    if (auto named = sets.SetType(set->key, type); !named) {
      return tl::unexpected(named.error());
    }
    return false;
  }
  const Region* region = work.server.inventory().RegionOf(target.volume);
  if (region == nullptr || region->kind == RegionKind::kWhole || region->mbrType == 0) {
    return false;
  }
  const std::uint64_t start = region->start;
  const auto typed = ChangeTable(
      work.server, operation, *target.disk,
      [&](BlockDevice& device) { return SetPartitionType(device, start, work.made); }, {target.id});
  if (!typed) {
    return tl::unexpected(typed.error());
  }
  return true;
}

// The list shows the file system.
Outcome<void> Finish(FormatWork& work, const StorageModel::Operation& operation, Outcome<void> worked) {
  work.server.inventory().EndFormat(work.token);
  if (worked) {
    const auto named = NameFileSystem(work, operation);
    if (named && *named) {
      return {};
    }
    if (!named) {
      worked = tl::unexpected(named.error());
    }
  }
  CommitTarget(work.server, operation, work.target, {work.target.id});
  return worked;
}

// Shows the volume as being formatted and makes the task that does it.
Outcome<TaskJob> BeginFormat(DiskManagementServer& server, const StorageModel::Operation& operation,
                             const VolumeTarget& target, FormatRequest request) {
  DiskInventory& inventory = server.inventory();
  auto work =
      std::make_shared<FormatWork>(FormatWork{.server = server,
                                              .request = std::move(request),
                                              .target = target,
                                              .open = inventory.OpenerOf(target.volume),
                                              .hidden_sectors = inventory.HiddenSectorsOf(target.volume),
                                              .node = inventory.NodeOf(target.volume)});
  work->token = inventory.BeginFormat(target.volume);
  CommitTarget(server, operation, target, {target.id});
  return TaskJob{.storage_id = target.id,
                 .type = PROGRESS_FORMAT,
                 .work = [work](const TaskJob::ReportProgress& report,
                                const std::stop_token& stop) { return Make(*work, report, stop); },
                 .finish = [work](const StorageModel::Operation& later,
                                  Outcome<void> worked) { return Finish(*work, later, std::move(worked)); }};
}

}  // namespace

std::vector<IFILE_SYSTEM_INFO> ListInstalledFileSystems() {
  std::vector<IFILE_SYSTEM_INFO> list;
  for (const InstalledFileSystem& system : InstalledFileSystems()) {
    IFILE_SYSTEM_INFO info;
    info.fsType = system.fsType;
    std::ranges::copy(system.fsName, info.fsName.begin());
    info.fsFlags = system.fsFlags;
    info.fsCompressionFlags = system.fsCompressionFlags;
    info.cchLabelLimit = static_cast<std::int32_t>(system.labelLimit);
    info.iLabelChSet = std::u16string(system.forbidden);
    list.push_back(std::move(info));
  }
  return list;
}

Outcome<TaskJob> Format(DiskManagementServer& server, const StorageModel::Operation& operation,
                        const dmrp::FormatRequest& request) {
  const auto target = FindVolumeTarget(server, request.storageId, request.storageLastKnownState);
  if (!target) {
    return tl::unexpected(target.error());
  }
  const FormatRequest wanted = RequestOf(request.fsSpec, request.quickFormat);
  if (auto medium = CheckMedia(target->devices); !medium) {
    return tl::unexpected(medium.error());
  }
  if (auto table = CheckTable(server, *target); !table) {
    return tl::unexpected(table.error());
  }
  if (auto possible = CheckFileSystem(wanted, target->length, target->bytesPerSector); !possible) {
    return tl::unexpected(possible.error());
  }
  const auto dispensable = Validate({{LDM_E_SYSTEM_VOLUME, "the volume does not hold the system directory",
                                      [&] { return !target->holdsSystem; }}});
  if (!dispensable) {
    return tl::unexpected(dispensable.error());
  }
  if (auto online = CheckOnline(server, *target); !online) {
    return tl::unexpected(online.error());
  }
  const bool formatting = server.inventory().IsFormatting(target->volume);
  if (formatting && !request.force) {
    return Reject(LDM_E_FORMATINPROGRESS, fmt::format("{} is being formatted", request.storageId));
  }
  if (auto released = Release(server, target->id, target->volume, request.force); !released) {
    return tl::unexpected(released.error());
  }
  return BeginFormat(server, operation, *target, wanted);
}

Outcome<void> CheckLetter(const ObjectState& state, const AssignAndFormatSpec& spec) {
  if (!spec.HasLetter()) {
    return {};
  }
  const auto letter = FindLetter(state, spec.letter, spec.letterLastKnownState);
  if (!letter) {
    return tl::unexpected(letter.error());
  }
  return CheckAvailable(**letter, 0);
}

Outcome<std::optional<FolderPath>> CheckFormat(DiskManagementServer& server, const AssignAndFormatSpec& spec,
                                               const FormatGround& ground) {
  if (auto media = CheckMedia(ground.devices); !media) {
    return tl::unexpected(media.error());
  }
  if (auto possible =
          CheckFileSystem(RequestOf(spec.fsSpec, spec.quickFormat), ground.length, ground.bytesPerSector);
      !possible) {
    return tl::unexpected(possible.error());
  }
  if ((spec.dwFlags & kCreateAssignAccessPath) == 0) {
    return std::optional<FolderPath>{};
  }
  if (!ground.fixed) {
    return Reject(LDM_E_MEDIA_DOESNT_SUPPORT_MOUNT_POINTS, "the partition would lie on removable media");
  }
  auto folder = FindFolder(server, spec.AccessPath);
  if (!folder) {
    return tl::unexpected(folder.error());
  }
  return std::optional(std::move(*folder));
}

Outcome<TaskJob> AssignAndFormat(DiskManagementServer& server, const StorageModel::Operation& operation,
                                 LdmObjectId storage_id, const AssignAndFormatSpec& spec,
                                 const std::optional<FolderPath>& folder) {
  const auto target = FindVolumeTarget(server, storage_id);
  if (!target) {
    return tl::unexpected(target.error());
  }
  if (spec.HasLetter()) {
    if (auto led = LeadLetterTo(server, spec.letter, target->volume); !led) {
      return tl::unexpected(led.error());
    }
  }
  if (folder) {
    if (auto mounted = MountAt(server, *folder, target->volume); !mounted) {
      CommitTarget(server, operation, *target, {});
      return tl::unexpected(mounted.error());
    }
  }
  return BeginFormat(server, operation, *target, RequestOf(spec.fsSpec, spec.quickFormat));
}

Outcome<TaskJob> CreatePartitionAssignAndFormat(DiskManagementServer& server,
                                                const StorageModel::Operation& operation, Revision revision,
                                                const CreatePartitionAssignAndFormatExRequest& request) {
  const REGION_SPEC& region = request.partitionSpec;
  const AssignAndFormatSpec spec = AssignAndFormatSpec::Of(request);
  const auto state = server.model().State();
  const auto partition =
      CheckCreatePartition(*state, revision, region, [&] { return CheckLetter(*state, spec); });
  if (!partition) {
    return tl::unexpected(partition.error());
  }
  const auto* disk = state->FindAs<DiskObject>(region.diskId);
  const DeviceInfo* device = server.inventory().Device(disk->key);
  if (device == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("disk {} is not attached", region.diskId));
  }
  const auto valid = Validate({{LDM_E_INVALID_FIELD, "partitionSpec.regionType is one that can be formatted",
                                [&] { return partition->kind != RegionKind::kExtended; }}});
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  const auto folder = CheckFormat(server, spec,
                                  {.devices = {*device},
                                   .fixed = disk->info.deviceType == DEVICETYPE_FDISK,
                                   .length = static_cast<std::uint64_t>(region.length),
                                   .bytesPerSector = disk->info.bytesPerSector});
  if (!folder) {
    return tl::unexpected(folder.error());
  }
  const auto region_id = MakePartition(server, operation, region, *partition);
  if (!region_id) {
    return tl::unexpected(region_id.error());
  }
  return AssignAndFormat(server, operation, *region_id, spec, *folder);
}

}  // namespace dmrp::server
