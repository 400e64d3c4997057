#pragma once

#include <cstdint>

namespace dmrp::server {

/// Size and geometry of a disk as DISK_INFO reports them ([MS-DMRP] 2.3.1.2). Heads and sectors are the
/// translated geometry that partition tables are aligned to, not anything physical; 255 heads and 63
/// sectors, what Windows shows for every disk of today, are the default.
struct DiskGeometry {
  std::uint64_t sizeBytes = 0;         ///< DISK_INFO.length; a tail shorter than a sector is never used
  std::uint32_t bytesPerSector = 512;  ///< logical sector: a power of two, 512 to 4096
  std::uint32_t sectorsPerTrack = 63;
  std::uint32_t heads = 255;

  [[nodiscard]] std::uint64_t BytesPerTrack() const {
    return std::uint64_t{bytesPerSector} * sectorsPerTrack;
  }
  [[nodiscard]] std::uint64_t BytesPerCylinder() const { return BytesPerTrack() * heads; }
  [[nodiscard]] std::uint64_t Sectors() const { return sizeBytes / bytesPerSector; }
  [[nodiscard]] std::uint64_t Cylinders() const { return sizeBytes / BytesPerCylinder(); }

  friend bool operator==(const DiskGeometry&, const DiskGeometry&) = default;
};

/// The smallest and the greatest logical sector that the storage code reads and writes.
inline constexpr std::uint32_t kMinSectorSize = 512;
inline constexpr std::uint32_t kMaxSectorSize = 4096;

/// True when every member lies in the range its description names.
[[nodiscard]] constexpr bool IsValid(const DiskGeometry& geometry) {
  const std::uint32_t sector = geometry.bytesPerSector;
  return sector >= kMinSectorSize && sector <= kMaxSectorSize && (sector & (sector - 1)) == 0 &&
         geometry.sectorsPerTrack >= 1 && geometry.sectorsPerTrack <= 255 && geometry.heads >= 1 &&
         geometry.heads <= 256;
}

}  // namespace dmrp::server
