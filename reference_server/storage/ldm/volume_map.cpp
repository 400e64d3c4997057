#include "reference_server/storage/ldm/volume_map.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server::ldm {

Health MapColumn::ColumnHealth() const {
  Health worst = Health::kHealthy;
  for (const MapExtent& extent : extents) worst = std::max(worst, extent.health);
  return worst;
}

StorageResult<VolumeMap> MapVolume(const DiskGroup& group, ObjectId volume) {
  const Database& database = group.Current();
  const VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no volume {}", volume));
  }
  const std::vector<ObjectId> absent = group.MissingDisks();
  const std::set<ObjectId> missing(absent.begin(), absent.end());
  VolumeMap map{.volume = volume,
                .guid = record->guid,
                .layout = LayoutOf(database, volume),
                .length = record->size * kBlockBytes,
                .health = HealthOfVolume(database, volume, missing)};
  for (const PlexRecord* plex : database.PlexesOf(volume)) {
    MapPlex& out = map.plexes.emplace_back();
    out.plex = plex->id;
    out.layout = plex->layout;
    out.health = PlexHealth(database, *plex, missing);
    if (plex->stripe && plex->layout != PlexLayout::kConcat) {
      out.stripeBytes = plex->stripe->size * kBlockBytes;
      out.columns.resize(plex->stripe->columns);
    } else {
      out.columns.resize(1);
    }
    for (const SubdiskRecord* subdisk : database.SubdisksOf(plex->id)) {
      if (subdisk->column >= out.columns.size()) {
        return Refuse(StorageErrorCode::kDamagedGroup,
                      fmt::format("subdisk {} has column {} of {}", subdisk->name, subdisk->column,
                                  out.columns.size()));
      }
      MapColumn& column = out.columns[subdisk->column];
      const DiskRecord* disk = database.FindDisk(subdisk->diskId);
      const Member* member = group.MemberOf(subdisk->diskId);
      MapExtent extent{.subdisk = subdisk->id,
                       .disk = subdisk->diskId,
                       .diskGuid = disk != nullptr ? disk->guid : Guid{},
                       .offset = subdisk->offset * kBlockBytes,
                       .length = subdisk->size * kBlockBytes,
                       .health = HealthOf(database, *subdisk, missing)};
      if (member != nullptr) {
        extent.device = member->device;
        extent.diskOffset = (member->header.PublicStartBlocks() + subdisk->start) * kBlockBytes;
      }
      column.length += extent.length;
      column.extents.push_back(extent);
    }
  }
  return map;
}

ColumnRange Locate(const MapPlex& plex, std::uint64_t offset, std::uint64_t length) {
  if (plex.layout == PlexLayout::kConcat) return {0, offset, length};
  const std::uint64_t columns = plex.columns.size();
  const bool raid = plex.layout == PlexLayout::kRaid5;
  const std::uint64_t data_columns = raid ? columns - 1 : columns;
  const std::uint64_t unit = offset / plex.stripeBytes;
  const std::uint64_t within = offset % plex.stripeBytes;
  const std::uint64_t row = unit / data_columns;
  const std::uint64_t nth = unit % data_columns;
  const std::uint64_t column = raid ? (ParityColumn(plex, row * plex.stripeBytes) + 1 + nth) % columns : nth;
  return {static_cast<std::size_t>(column), row * plex.stripeBytes + within,
          std::min(length, plex.stripeBytes - within)};
}

std::size_t ParityColumn(const MapPlex& plex, std::uint64_t column_offset) {
  const std::uint64_t row = column_offset / plex.stripeBytes;
  return static_cast<std::size_t>(plex.columns.size() - 1 - row % plex.columns.size());
}

StorageResult<void> ReadColumn(const MapColumn& column, std::uint64_t offset, std::span<std::byte> out) {
  for (const MapExtent& extent : column.extents) {
    if (out.empty()) return {};
    if (offset >= extent.offset + extent.length) continue;
    if (extent.device == nullptr) {
      return Refuse(StorageErrorCode::kDiskMissing,
                    fmt::format("disk {} is not there", extent.diskGuid.ToString()));
    }
    const std::uint64_t within = offset - extent.offset;
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), extent.length - within));
    if (auto done = extent.device->Read(extent.diskOffset + within, out.first(part)); !done) {
      return DeviceFailed(done.error());
    }
    out = out.subspan(part);
    offset += part;
  }
  if (!out.empty()) {
    return Refuse(StorageErrorCode::kOutOfRange, fmt::format("octet {} lies behind the column", offset));
  }
  return {};
}

StorageResult<void> ReadVolume(const VolumeMap& map, std::uint64_t offset, std::span<std::byte> out) {
  if (offset > map.length || out.size() > map.length - offset) {
    return Refuse(StorageErrorCode::kOutOfRange,
                  fmt::format("{} octets at {} leave the volume of {}", out.size(), offset, map.length));
  }
  const auto best = std::ranges::min_element(map.plexes, {}, &MapPlex::health);
  if (best == map.plexes.end()) return Refuse(StorageErrorCode::kDamagedGroup, "a volume without a plex");
  while (!out.empty()) {
    const ColumnRange range = Locate(*best, offset, out.size());
    const auto part = static_cast<std::size_t>(range.length);
    if (auto done = ReadColumn(best->columns[range.column], range.offset, out.first(part)); !done) {
      return done;
    }
    out = out.subspan(part);
    offset += part;
  }
  return {};
}

}  // namespace dmrp::server::ldm
