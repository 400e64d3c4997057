#include "reference_server/methods/describe_dynamic.hpp"

#include "reference_server/methods/describe.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

using ldm::Health;
using ldm::kBlockBytes;

constexpr std::uint8_t kMbrLdm = 0x42;
constexpr Guid kGptLdmData{0xaf9b60a0, 0x1431, 0x4f62, {0xbc, 0x68, 0x33, 0x11, 0x71, 0x4a, 0x69, 0xad}};

std::u16string Terminated(std::string_view text) { return ToUtf16(text).value_or(u"") + u'\0'; }

Bytes TerminatedBytes(std::string_view text) {
  Bytes octets;
  for (const char c : text) {
    octets.push_back(static_cast<std::byte>(c));
  }
  octets.push_back(std::byte{0});
  return octets;
}

void NameGroup(const FoundGroup& group, DISK_INFO_EX& info) {
  info.dgid = TerminatedBytes(group.database.group.guid.ToString());
  info.dgName = Terminated(group.database.group.name);
}

std::uint32_t DeviceState(const FoundGroup& group, const ldm::DiskRecord& record) {
  if (!group.primary) {
    return DEVICESTATE_UNCLAIMED;
  }
  if ((record.flags & ldm::kDiskDetached) != 0) {
    return DEVICESTATE_OFFLINE;
  }
  return (record.flags & ldm::kDiskFailing) != 0 ? DEVICESTATE_FAILING : DEVICESTATE_HEALTHY;
}

const GroupVolume* VolumeOfPlex(const FoundGroup& group, ldm::ObjectId plex) {
  for (const GroupVolume& volume : group.volumes) {
    if (std::ranges::any_of(volume.map.plexes, [plex](const ldm::MapPlex& p) { return p.plex == plex; })) {
      return &volume;
    }
  }
  return nullptr;
}

bool IsBusySynchronising(const GroupVolume& volume) {
  return volume.status &&
         (volume.status->sync != SyncKind::kNone || volume.status->Has(MemberState::kRebuilding));
}

REGIONSTATUS RegionStatus(const FoundGroup& group, const ldm::SubdiskRecord& subdisk,
                          const GroupVolume& volume) {
  switch (ldm::HealthOf(group.database, subdisk, group.missing)) {
    case Health::kMissing:
    case Health::kFailed:
      return REGIONSTATUS_FAILED;
    case Health::kStale:
      if (volume.map.layout == ldm::VolumeLayout::kRaid5 && IsBusySynchronising(volume)) {
        return REGIONSTATUS_REGENERATING;
      }
      return REGIONSTATUS_NEEDSRESYNC;
    case Health::kHealthy:
      break;
  }
  if (!volume.status) {
    return REGIONSTATUS_FAILED;
  }
  const ldm::DiskRecord* disk = group.database.FindDisk(subdisk.diskId);
  const bool failing = disk != nullptr && (disk->flags & ldm::kDiskFailing) != 0;
  return failing ? REGIONSTATUS_FAILING : REGIONSTATUS_OK;
}

// A region of a disk of which `observed` says the partition style; `public_start` is in 512-octet blocks.
ObservedRegion DescribeSubdisk(const FoundGroup& group, const ldm::SubdiskRecord& subdisk,
                               std::uint64_t public_start, const DISK_INFO_EX& disk) {
  ObservedRegion region;
  region.info.start = static_cast<LONGLONG>((public_start + subdisk.start) * kBlockBytes);
  region.info.length = static_cast<LONGLONG>(subdisk.size * kBlockBytes);
  region.info.regionType = REGION_SUBDISK;
  region.info.partitionStyle = disk.partitionStyle;
  if (disk.partitionStyle == PARTITIONSTYLE_MBR) {
    region.info.mbr.emplace().partitionType = kMbrLdm;
  } else if (disk.partitionStyle == PARTITIONSTYLE_GPT) {
    region.info.gpt.emplace().partitionType = kGptLdmData;
    region.info.name = Terminated("");
  }
  region.info.status = REGIONSTATUS_FAILED;
  if (const GroupVolume* volume = VolumeOfPlex(group, subdisk.plexId)) {
    region.volume_key = volume->key;
    region.info.status = RegionStatus(group, subdisk, *volume);
  }
  return region;
}

// The entry of the table that a subdisk lies in says the rest: all of it where the entry is the subdisk's
// own.
void TakeFromEntry(const DiskLayout& layout, REGION_INFO_EX& info) {
  const auto start = static_cast<std::uint64_t>(info.start);
  const auto length = static_cast<std::uint64_t>(info.length);
  for (const Region& entry : layout.regions) {
    if (!IsPublicEntry(entry) || start < entry.start || start >= entry.End()) {
      continue;
    }
    const bool own = entry.start == start && entry.length == length;
    if (info.gpt) {
      info.gpt->partitionId = entry.gptId;
      info.gpt->attributes = entry.gptAttributes;
    }
    if (info.mbr && own) {
      info.mbr->isActive = entry.active;
    }
    if (own) {
      info.currentPartitionNumber = entry.number;
    }
  }
}

ObservedRegion DescribeFree(const ldm::DiskSpace& space, const ldm::Extent& extent,
                            const DISK_INFO_EX& disk) {
  ObservedRegion region;
  region.info.start = static_cast<LONGLONG>((space.publicStart + extent.start) * kBlockBytes);
  region.info.length = static_cast<LONGLONG>(extent.blocks * kBlockBytes);
  region.info.regionType = REGION_FREE;
  region.info.partitionStyle = disk.partitionStyle;
  if (disk.partitionStyle == PARTITIONSTYLE_MBR) {
    region.info.mbr.emplace();
  } else if (disk.partitionStyle == PARTITIONSTYLE_GPT) {
    region.info.gpt.emplace();
  }
  region.info.status = REGIONSTATUS_OK;
  return region;
}

bool AnyDisk(const FoundGroup& group, const GroupVolume& volume, std::uint32_t flag) {
  for (const ldm::MapPlex& plex : volume.map.plexes) {
    for (const ldm::MapColumn& column : plex.columns) {
      for (const ldm::MapExtent& extent : column.extents) {
        const ldm::DiskRecord* disk = group.database.FindDisk(extent.disk);
        if (disk != nullptr && (disk->flags & flag) != 0) {
          return true;
        }
      }
    }
  }
  return false;
}

VOLUMESTATUS VolumeStatusOf(const FoundGroup& group, const GroupVolume& volume) {
  const bool raid = volume.map.layout == ldm::VolumeLayout::kRaid5;
  const bool redundant = raid || volume.map.layout == ldm::VolumeLayout::kMirrored;
  if (volume.map.health == ldm::VolumeHealth::kFailed || !volume.status) {
    return VOLUME_STATUS_FAILED;
  }
  if (volume.map.health == ldm::VolumeHealth::kInitializing) {
    return VOLUME_STATUS_INITIALIZING;
  }
  if (redundant && IsBusySynchronising(volume)) {
    return raid ? VOLUME_STATUS_REGENERATING : VOLUME_STATUS_SYNCHING;
  }
  const bool failing = AnyDisk(group, volume, ldm::kDiskFailing);
  if (volume.map.health == ldm::VolumeHealth::kFailedRedundancy) {
    return failing ? VOLUME_STATUS_FAILED_REDUNDANCY_FAILING : VOLUME_STATUS_FAILED_REDUNDANCY;
  }
  if (failing) {
    return redundant ? VOLUME_STATUS_FAILING_REDUNDANCY : VOLUME_STATUS_FAILING;
  }
  return VOLUME_STATUS_HEALTHY;
}

}  // namespace

bool IsPublicEntry(const Region& region) {
  return !IsFree(region.kind) && (region.mbrType == kMbrLdm || region.gptType == kGptLdmData);
}

void DescribeGroupDisk(const FoundGroup& group, const GroupMember& member, const DiskLayout& layout,
                       ObservedDisk& observed) {
  const ldm::DiskRecord* record = group.database.FindDisk(member.disk);
  DISK_INFO_EX& info = observed.info;
  NameGroup(group, info);
  info.deviceState = DeviceState(group, *record);
  info.isUpgradeable = false;
  info.maySwitchStyle = false;
  info.freeBytes = 0;
  if (group.primary) {
    const ldm::DiskSpace space{
        .diskId = member.disk,
        .publicStart = member.header.PublicStartBlocks(),
        .publicBlocks = member.header.PublicBlocks(),
        .sectorBlocks = static_cast<std::uint32_t>(member.header.bytesPerSector / kBlockBytes)};
    for (const ldm::SubdiskRecord* subdisk : group.database.SubdisksOn(member.disk)) {
      ObservedRegion region = DescribeSubdisk(group, *subdisk, space.publicStart, info);
      TakeFromEntry(layout, region.info);
      observed.regions.push_back(std::move(region));
    }
    for (const ldm::Extent& extent : ldm::FreeExtents(space, ldm::UsedExtents(group.database, member.disk))) {
      info.freeBytes += static_cast<LONGLONG>(extent.blocks * kBlockBytes);
      observed.regions.push_back(DescribeFree(space, extent, info));
    }
  }
  info.regionCount = static_cast<std::uint32_t>(observed.regions.size());
}

ObservedDisk DescribeMissingDisk(const FoundGroup& group, const ldm::DiskRecord& record,
                                 const std::optional<DISK_INFO_EX>& known, std::uint32_t number) {
  ObservedDisk disk;
  disk.key = MissingDiskKey(record.guid);
  DISK_INFO_EX& info = disk.info;
  if (known) {
    info = *known;
  } else {
    const DiskGeometry geometry;
    info.bytesPerSector = geometry.bytesPerSector;
    info.bytesPerTrack = static_cast<std::uint32_t>(geometry.BytesPerTrack());
    info.bytesPerCylinder = static_cast<std::uint32_t>(geometry.BytesPerCylinder());
    info.vendor = Terminated(record.name);
    info.adapterName = Terminated("");
    info.devInstId = Terminated(record.lastDeviceName);
    info.length =
        static_cast<LONGLONG>(ldm::kMbrPublicStart * kBlockBytes + ldm::kMinPublicBytes + ldm::kPrivateBytes);
  }
  NameGroup(group, info);
  info.deviceType = DEVICETYPE_VM;
  info.deviceState = DEVICESTATE_MISSING;
  info.isUpgradeable = false;
  info.maySwitchStyle = false;
  info.freeBytes = 0;
  info.name = Terminated(fmt::format("\\device\\Harddisk{}", number));
  for (const ldm::SubdiskRecord* subdisk : group.database.SubdisksOn(record.id)) {
    disk.regions.push_back(DescribeSubdisk(group, *subdisk, ldm::kMbrPublicStart, info));
    const REGION_INFO_EX& region = disk.regions.back().info;
    info.length = std::max(info.length, region.start + region.length);
  }
  info.regionCount = static_cast<std::uint32_t>(disk.regions.size());
  return disk;
}

ObservedVolume DescribeVolume(const FoundGroup& group, const GroupVolume& volume) {
  ObservedVolume observed;
  observed.key = volume.key;
  observed.info.type = VOLUMETYPE_VM;
  observed.info.layout = LayoutOf(volume.map.layout);
  observed.info.length = static_cast<LONGLONG>(volume.map.length);
  bool complete = true;
  for (const ldm::MapPlex& plex : volume.map.plexes) {
    for (const ldm::MapColumn& column : plex.columns) {
      observed.info.memberCount += static_cast<std::uint32_t>(column.extents.size());
      complete = complete && std::ranges::none_of(column.extents, [](const ldm::MapExtent& extent) {
                   return extent.health == Health::kMissing;
                 });
    }
  }
  if (!volume.status && complete) {
    observed.info.vflags |= VOLUME_IS_RESTARTABLE;
  }
  observed.info.status = VolumeStatusOf(group, volume);
  if (const ldm::VolumeRecord* record = group.database.FindVolume(volume.map.volume)) {
    if ((record->flags & ldm::kVolumeRetainPartition) != 0) {
      observed.info.vflags |= VOLUME_HAS_RETAIN_PARTITION;
    }
    if ((record->flags & ldm::kVolumeBoot) != 0) {
      observed.info.vflags |= VOLUME_IS_BOOT_VOLUME;
    }
  }
  return observed;
}

VOLUMELAYOUT LayoutOf(ldm::VolumeLayout layout) {
  switch (layout) {
    case ldm::VolumeLayout::kSimple:
      return VOLUMELAYOUT_SIMPLE;
    case ldm::VolumeLayout::kSpanned:
      return VOLUMELAYOUT_SPANNED;
    case ldm::VolumeLayout::kStriped:
      return VOLUMELAYOUT_STRIPE;
    case ldm::VolumeLayout::kMirrored:
      return VOLUMELAYOUT_MIRROR;
    case ldm::VolumeLayout::kRaid5:
      return VOLUMELAYOUT_RAID5;
  }
  return VOLUMELAYOUT_UNKNOWN;
}

std::optional<ldm::VolumeLayout> LdmLayoutOf(VOLUMELAYOUT layout) {
  switch (layout) {
    case VOLUMELAYOUT_SIMPLE:
      return ldm::VolumeLayout::kSimple;
    case VOLUMELAYOUT_SPANNED:
      return ldm::VolumeLayout::kSpanned;
    case VOLUMELAYOUT_STRIPE:
      return ldm::VolumeLayout::kStriped;
    case VOLUMELAYOUT_MIRROR:
      return ldm::VolumeLayout::kMirrored;
    case VOLUMELAYOUT_RAID5:
      return ldm::VolumeLayout::kRaid5;
    default:
      return std::nullopt;
  }
}

}  // namespace dmrp::server
