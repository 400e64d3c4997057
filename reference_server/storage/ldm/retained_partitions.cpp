#include "reference_server/storage/ldm/group_operations.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

/// The entries that cover the public region now.
std::vector<Tile> TilesOf(const DiskTable& table) {
  std::vector<Tile> tiles;
  if (table.gpt) {
    for (std::uint32_t index = 0; index < table.gpt->entryCount; ++index) {
      const GptEntry entry = table.gpt->Entry(index);
      if (entry.type != kGptTypeLdmData) continue;
      tiles.push_back({.start = entry.firstSector, .sectors = entry.lastSector - entry.firstSector + 1});
    }
  } else {
    for (std::size_t slot = 0; slot < 4; ++slot) {
      const MbrEntry entry = GetEntry(table.mbr, slot);
      if (!entry.Used() || entry.type != kMbrTypeLdm) continue;
      tiles.push_back({.start = entry.start, .sectors = entry.sectors, .active = entry.bootFlag == 0x80});
    }
  }
  std::ranges::sort(tiles, {}, &Tile::start);
  return tiles;
}

/// What must change in the table of a member so that it has entries for `extents`; nothing when it has.
StorageResult<std::optional<TableChange>> PlanMember(const Member& member,
                                                     std::span<const RetainedExtent> extents) {
  auto table = ReadTable(*member.device);
  if (!table) return tl::unexpected(table.error());
  const PrivateHeader& header = member.header;
  const DiskRegions regions{header.publicStart, header.publicSize, header.privateStart, header.privateSize};
  auto change = PlanRetained(*table, member.device->Geometry(), regions, extents);
  if (!change) return tl::unexpected(change.error());
  DiskTable planned;
  planned.mbr = change->mbr;
  planned.gpt = change->gpt;
  if (TilesOf(*table) == TilesOf(planned)) return std::nullopt;
  return std::move(*change);
}

StorageResult<void> CommitFlags(DiskGroup& group, ObjectId volume, std::uint32_t set, std::uint32_t clear) {
  auto next = SetVolumeFlags(group.Current(), volume, set, clear);
  if (!next) return tl::unexpected(next.error());
  if (auto committed = group.Commit(std::move(*next)); !committed) return GroupFailed(committed.error());
  return {};
}

}  // namespace

std::vector<RetainedExtent> RetainedExtentsOf(const Database& database, const Member& member) {
  std::vector<RetainedExtent> extents;
  const DiskRecord* disk = database.FindDisk(member.header.diskGuid);
  if (disk == nullptr) return extents;
  const std::uint64_t sector_blocks = member.header.bytesPerSector / kBlockBytes;
  for (const SubdiskRecord* subdisk : database.SubdisksOn(disk->id)) {
    const PlexRecord* plex = database.FindPlex(subdisk->plexId);
    const VolumeRecord* volume = plex == nullptr ? nullptr : database.FindVolume(plex->volumeId);
    if (volume == nullptr || (volume->flags & kVolumeRetainPartition) == 0) continue;
    extents.push_back({.start = member.header.publicStart + subdisk->start / sector_blocks,
                       .sectors = subdisk->size / sector_blocks});
  }
  return extents;
}

StorageResult<void> CreatePartitionsForVolume(DiskGroup& group, ObjectId volume, bool active) {
  const Database& database = group.Current();
  const VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no volume {}", volume));
  }
  if ((record->flags & kVolumeRetainPartition) != 0) {
    return Refuse(StorageErrorCode::kRetainedExists,
                  fmt::format("volume {} has partition table entries already", record->name));
  }
  std::vector<std::pair<const Member*, TableChange>> changes;
  for (const PlexRecord* plex : database.PlexesOf(volume)) {
    const auto subdisks = database.SubdisksOf(plex->id);
    if (plex->layout != PlexLayout::kConcat || subdisks.size() != 1) {
      return Refuse(StorageErrorCode::kWrongLayout,
                    fmt::format("volume {} is not in one piece", record->name));
    }
    const SubdiskRecord& subdisk = *subdisks.front();
    const Member* member = group.MemberOf(subdisk.diskId);
    if (member == nullptr) {
      return Refuse(StorageErrorCode::kDiskMissing, fmt::format("disk {} is missing", subdisk.diskId));
    }
    std::vector<RetainedExtent> extents = RetainedExtentsOf(database, *member);
    const std::uint64_t sector_blocks = member->header.bytesPerSector / kBlockBytes;
    extents.push_back({.start = member->header.publicStart + subdisk.start / sector_blocks,
                       .sectors = subdisk.size / sector_blocks,
                       .active = active});
    auto change = PlanMember(*member, extents);
    if (!change) return tl::unexpected(change.error());
    if (*change) changes.emplace_back(member, std::move(**change));
  }
  for (const auto& [member, change] : changes) {
    if (auto done = WriteTable(*member->device, change); !done) return done;
  }
  return CommitFlags(group, volume, kVolumeRetainPartition, 0);
}

StorageResult<void> DeletePartitionsForVolume(DiskGroup& group, ObjectId volume) {
  const VolumeRecord* record = group.Current().FindVolume(volume);
  if (record == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no volume {}", volume));
  }
  if ((record->flags & kVolumeRetainPartition) == 0) {
    return Refuse(StorageErrorCode::kNotRetained,
                  fmt::format("volume {} has no partition table entries", record->name));
  }
  if (auto done = CommitFlags(group, volume, 0, kVolumeRetainPartition); !done) return done;
  return UpdateTables(group);
}

StorageResult<void> UpdateTables(DiskGroup& group) {
  for (const Member& member : group.Members()) {
    auto change = PlanMember(member, RetainedExtentsOf(group.Current(), member));
    if (!change) return tl::unexpected(change.error());
    if (!*change) continue;
    if (auto done = WriteTable(*member.device, **change); !done) return done;
  }
  return {};
}

}  // namespace dmrp::server::ldm
