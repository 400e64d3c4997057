#include "reference_server/methods/disk_conversion.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/disk_initialization.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/storage/operations.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::server {

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("host");
}

void PublishTable(DiskManagementServer& server, const DeviceInfo& device, BlockDevice& opened) {
  const auto layout = ReadLayout(opened);
  if (!layout) {
    return;
  }
  if (auto published = server.inventory().source().PublishLayout(device, *layout); !published) {
    server.Log(fmt::format("{}: the system did not take over the new table: {}", device.name,
                           published.error().ToString()));
  }
}

ldm::ConvertOptions ConversionOf(DiskManagementServer& server, Outcome<void>& named) {
  ldm::ConvertOptions options;
  options.groupName = ldm::GroupNameOf(HostName());
  options.table.signatureIsFree = UnusedSignature(server.model().State());
  options.announceGroup = [&](const ldm::DiskGroupRecord& group) {
    named = server.inventory().groups().SetPrimary(PrimaryDiskGroup{group.guid, group.name});
    return named.has_value();
  };
  return options;
}

namespace {

Outcome<void> Convert(DiskManagementServer& server, const DeviceInfo& device, PartitionStyle style) {
  DiskGroups& groups = server.inventory().groups();
  std::optional<DiskGroups::OpenGroup> joined;
  if (const FoundGroup* primary = groups.Primary()) {
    auto open = groups.Open(*primary);
    if (!open) {
      return tl::unexpected(open.error());
    }
    joined = std::move(*open);
  }
  auto opened = server.inventory().source().Open(device, true);
  if (!opened) {
    return RejectDevice(opened.error());
  }
  Outcome<void> named;
  const ldm::ConvertOptions options = ConversionOf(server, named);
  const auto emptied = InitializeStyle(
      **opened,
      {.style = style, .signatureIsFree = options.table.signatureIsFree, .microsoftReserved = false});
  if (!emptied) {
    return Reject(emptied.error());
  }
  const auto converted = ldm::ConvertDisk(**opened, joined ? &joined->group : nullptr, options);
  PublishTable(server, device, **opened);
  if (!converted) {
    return named ? Reject(converted.error()) : tl::unexpected(named.error());
  }
  return {};
}

// The checks of UninitializeDisk: before the reply, and once more when its turn has come.
Outcome<const DiskObject*> CheckUninitialize(const ObjectState& state, LdmObjectId disk_id,
                                             LONGLONG last_known_state) {
  const auto* disk = state.FindAs<DiskObject>(disk_id);
  const auto empty = [&] {
    return std::ranges::none_of(state.RegionsOf(disk_id), [](const RegionObject& region) {
      return region.info.regionType == REGION_SUBDISK;
    });
  };
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
      {LDM_E_OBJECT_STALED, "diskLastKnownState is that of the disk",
       [&] { return last_known_state == disk->info.lastKnownState; }},
      {LDM_E_NOT_EMPTY, "no volume lies on the disk", empty},
      {LDM_E_NOTVMDISK, "the disk is dynamic", [&] { return disk->info.deviceType == DEVICETYPE_VM; }},
      {LDM_E_DISK_OTHER_DG, "the disk belongs to the primary disk group",
       [&] { return (disk->info.deviceState & DEVICESTATE_UNCLAIMED) == 0; }},
      {LDM_E_RDONLY, "the disk is not write-protected",
       [&] { return (disk->info.attributes & DEVICEATTR_RDONLY) == 0; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return disk;
}

// Removes a disk that is not there.
Outcome<void> ForgetMissing(DiskGroups& groups, const std::string& key) {
  return groups.Update([&key](DiskGroups::OpenGroup& open) -> StorageResult<ldm::Database> {
    const ldm::Database& database = open.group.Current();
    for (const ldm::DiskRecord& record : database.disks) {
      if (MissingDiskKey(record.guid) == key) {
        return ldm::ForgetDisk(database, record.id);
      }
    }
    return Refuse(StorageErrorCode::kNotFound, "the disk group has no such disk any more");
  });
}

Outcome<void> Unconvert(DiskManagementServer& server, const DiskObject& disk) {
  DiskGroups& groups = server.inventory().groups();
  if ((disk.info.deviceState & DEVICESTATE_MISSING) != 0) {
    return ForgetMissing(groups, disk.key);
  }
  const DiskGroups::Place place = groups.Find(disk.key);
  if (place.member == nullptr) {
    return Reject(LDM_E_BAD_DISK, fmt::format("the database on disk {} cannot be used", disk.info.id));
  }
  const GroupMember member = *place.member;
  auto open = groups.Open(*place.group);
  if (!open) {
    return tl::unexpected(open.error());
  }
  const auto rest = ldm::UnconvertDisk(std::move(open->group), member.disk);
  if (auto opened = server.inventory().source().Open(member.device, false)) {
    PublishTable(server, member.device, **opened);
  }
  if (!rest) {
    return Reject(rest.error());
  }
  return *rest ? Outcome<void>() : groups.SetPrimary(std::nullopt);
}

}  // namespace

Outcome<LdmObjectId> InitializeDiskEx(DiskManagementServer& server, const StorageModel::Operation& operation,
                                      LdmObjectId disk_id, PARTITIONSTYLE style, LONGLONG last_known_state,
                                      bool& validated) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(disk_id);
  const auto wanted = StorageStyle(style);
  const auto has_partitions = [&] {
    return std::ranges::any_of(state->RegionsOf(disk_id),
                               [](const RegionObject& region) { return !IsFree(region.info.regionType); });
  };
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
      {LDM_E_OBJECT_STALED, "diskLastKnownState is that of the disk",
       [&] { return last_known_state == disk->info.lastKnownState; }},
      {E_INVALIDARG, "style is PARTITIONSTYLE_MBR or PARTITIONSTYLE_GPT", [&] { return wanted.has_value(); }},
      {LDM_E_NOSUPPORT, "the disk is a basic fixed disk",
       [&] { return disk->info.deviceType == DEVICETYPE_FDISK; }},
      {LDM_E_RDONLY, "the disk is not write-protected",
       [&] { return (disk->info.attributes & DEVICEATTR_RDONLY) == 0; }},
      {LDM_E_NOT_EMPTY, "the disk has no partitions", [&] { return !has_partitions(); }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  const DeviceInfo* device = server.inventory().Device(disk->key);
  if (device == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("disk {} is not attached", disk_id));
  }
  validated = true;
  const auto converted = Convert(server, DeviceInfo(*device), *wanted);
  CommitSystem(server, operation, {});
  if (!converted) {
    return tl::unexpected(converted.error());
  }
  return 0;
}

Outcome<TaskJob> UninitializeDisk(DiskManagementServer& server, LdmObjectId disk_id,
                                  LONGLONG last_known_state) {
  if (const auto disk = CheckUninitialize(*server.model().State(), disk_id, last_known_state); !disk) {
    return tl::unexpected(disk.error());
  }
  // All of it is short and belongs under the operation lock.
  return TaskJob{
      .storage_id = disk_id,
      .type = PROGRESS_UNKNOWN,
      .work = [](const TaskJob::ReportProgress&, const std::stop_token&) { return Outcome<void>(); },
      .finish = [&server, disk_id, last_known_state](const StorageModel::Operation& operation,
                                                     Outcome<void> worked) -> Outcome<void> {
        if (!worked) {
          return worked;
        }
        const auto state = server.model().State();
        const auto disk = CheckUninitialize(*state, disk_id, last_known_state);
        if (!disk) {
          return tl::unexpected(disk.error());
        }
        auto done = Unconvert(server, **disk);
        CommitSystem(server, operation, {});
        return done;
      }};
}

}  // namespace dmrp::server
