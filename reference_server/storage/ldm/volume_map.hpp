// Where the data of a volume lie on its disks: what a device-mapper table, or a test that looks for a
// pattern, needs. All lengths and places are octets.
#pragma once

#include "reference_server/storage/ldm/disk_group.hpp"
#include "reference_server/storage/ldm/volume_state.hpp"

#include <vector>

namespace dmrp::server::ldm {

/// A piece of a disk.
struct MapExtent {
  ObjectId subdisk = 0;
  ObjectId disk = 0;
  Guid diskGuid{};
  BlockDevice* device = nullptr;  ///< null when the disk is not there
  std::uint64_t diskOffset = 0;   ///< from the start of the disk; meaningless without a device
  std::uint64_t offset = 0;       ///< within the column
  std::uint64_t length = 0;
  Health health = Health::kHealthy;
};

/// The extents of a column one after the other, without a gap.
struct MapColumn {
  std::vector<MapExtent> extents;
  std::uint64_t length = 0;

  [[nodiscard]] Health ColumnHealth() const;
};

struct MapPlex {
  ObjectId plex = 0;
  PlexLayout layout = PlexLayout::kConcat;
  std::uint64_t stripeBytes = 0;   ///< 0 for kConcat
  std::vector<MapColumn> columns;  ///< kConcat: one
  Health health = Health::kHealthy;
};

struct VolumeMap {
  ObjectId volume = 0;
  Guid guid{};
  VolumeLayout layout = VolumeLayout::kSimple;
  std::uint64_t length = 0;
  std::vector<MapPlex> plexes{};  ///< more than one: copies of each other
  VolumeHealth health = VolumeHealth::kHealthy;
};

/// kNotFound. Of the volume's disks only those count that the group has as members.
StorageResult<VolumeMap> MapVolume(const DiskGroup& group, ObjectId volume);

/// A run of octets of a column.
struct ColumnRange {
  std::size_t column = 0;
  std::uint64_t offset = 0;  ///< within the column
  std::uint64_t length = 0;
};

/// The run that holds octet `offset` of a volume in a plex, as long as it goes without a break, at most
/// `length`: Windows' rows of stripe units, for RAID-5 left-symmetric: parity of row r in column n-1 - r mod
/// n, data from the column behind it on. `offset` must be inside the volume.
[[nodiscard]] ColumnRange Locate(const MapPlex& plex, std::uint64_t offset, std::uint64_t length);

/// The column that holds the parity of the row with octet `column_offset` of a RAID-5 plex.
[[nodiscard]] std::size_t ParityColumn(const MapPlex& plex, std::uint64_t column_offset);

/// Reads from a column through its extents. kDiskMissing, kIoError.
StorageResult<void> ReadColumn(const MapColumn& column, std::uint64_t offset, std::span<std::byte> out);

/// Reads from a volume: from the first plex that is healthy, else from the first that is whole; a RAID-5
/// volume only with all columns (regeneration belongs to who keeps the volume online).
StorageResult<void> ReadVolume(const VolumeMap& map, std::uint64_t offset, std::span<std::byte> out);

}  // namespace dmrp::server::ldm
