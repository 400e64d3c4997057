#include "reference_server/storage/fat.hpp"

#include "reference_server/storage/little_endian.hpp"
#include "reference_server/storage/mbr.hpp"

#include <algorithm>
#include <string_view>

namespace dmrp::server {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;
constexpr std::uint64_t kMaxTableBytes = std::uint64_t{64} << 20;
constexpr std::uint32_t kMaxRootClusters = 256;
constexpr std::size_t kDirectoryEntry = 32;
constexpr std::size_t kLabelSize = 11;

struct Fat {
  FileSystemType type = FileSystemType::kUnknown;
  std::uint32_t sector = 0;      // octets
  std::uint32_t cluster = 0;     // octets
  std::uint64_t tableAt = 0;     // octets
  std::uint64_t tableBytes = 0;  // of one table
  std::uint64_t rootAt = 0;      // octets; FAT12 and FAT16
  std::uint32_t rootBytes = 0;
  std::uint64_t dataAt = 0;  // octets
  std::uint32_t clusters = 0;
  std::uint32_t rootCluster = 0;  // FAT32
  std::uint32_t infoSector = 0;   // FAT32
  std::string_view bootLabel;     // view into the boot sector
  std::uint32_t serial = 0;
};

std::optional<Fat> ParseBootSector(std::span<const std::byte> boot) {
  if (!IsFileSystemBootSector(boot)) return std::nullopt;
  const auto octet = [&](std::size_t at) { return static_cast<std::uint8_t>(boot[at]); };
  Fat fat;
  fat.sector = LoadLe<std::uint16_t>(boot, 11);
  if (fat.sector < kMinSectorSize || fat.sector > kMaxSectorSize || octet(13) == 0) return std::nullopt;
  fat.cluster = fat.sector * octet(13);
  const std::uint32_t reserved = LoadLe<std::uint16_t>(boot, 14);
  const std::uint32_t tables = octet(16);
  const std::uint32_t root_entries = LoadLe<std::uint16_t>(boot, 17);
  const std::uint32_t small_total = LoadLe<std::uint16_t>(boot, 19);
  const std::uint32_t small_table = LoadLe<std::uint16_t>(boot, 22);
  const std::uint64_t total = small_total != 0 ? small_total : LoadLe<std::uint32_t>(boot, 32);
  const std::uint64_t table = small_table != 0 ? small_table : LoadLe<std::uint32_t>(boot, 36);
  if (reserved == 0 || tables == 0 || table == 0) return std::nullopt;

  fat.rootBytes = root_entries * static_cast<std::uint32_t>(kDirectoryEntry);
  const std::uint64_t root_sectors = (std::uint64_t{fat.rootBytes} + fat.sector - 1) / fat.sector;
  const std::uint64_t data_sector = reserved + tables * table + root_sectors;
  if (total <= data_sector) return std::nullopt;
  fat.tableAt = std::uint64_t{reserved} * fat.sector;
  fat.tableBytes = table * fat.sector;
  fat.rootAt = (reserved + tables * table) * fat.sector;
  fat.dataAt = data_sector * fat.sector;
  const std::uint64_t clusters = (total - data_sector) / octet(13);
  if (clusters == 0 || clusters > 0x0FFFFFF5) return std::nullopt;
  fat.clusters = static_cast<std::uint32_t>(clusters);
  fat.type = clusters < 4085 ? FileSystemType::kFat12 : FileSystemType::kFat16;
  std::size_t label_at = 43;
  if (small_table == 0) {
    fat.type = FileSystemType::kFat32;
    fat.rootCluster = LoadLe<std::uint32_t>(boot, 44);
    fat.infoSector = LoadLe<std::uint16_t>(boot, 48);
    label_at = 71;
  } else if (clusters >= 65525) {
    return std::nullopt;
  }
  if (octet(label_at - 5) == 0x29) {
    fat.serial = LoadLe<std::uint32_t>(boot, label_at - 4);
    fat.bootLabel = {reinterpret_cast<const char*>(boot.data()) + label_at, kLabelSize};
  }
  return fat;
}

std::u16string LabelText(std::string_view octets) {
  while (!octets.empty() && octets.back() == ' ') octets.remove_suffix(1);
  std::u16string text;
  for (const char c : octets) {
    const auto value = static_cast<unsigned char>(c);
    text.push_back(value < 0x80 ? static_cast<char16_t>(value) : u'\uFFFD');
  }
  return text;
}

/// The entry of a cluster in the table; nothing when the table does not reach that far.
StorageResult<std::optional<std::uint32_t>> NextCluster(const VolumeWindow& volume, const Fat& fat,
                                                        std::uint32_t cluster) {
  const std::uint64_t at = std::uint64_t{cluster} * 4;
  if (at + 4 > fat.tableBytes) return std::optional<std::uint32_t>{};
  const auto octets = volume.Read(fat.tableAt + at, 4);
  if (!octets) return tl::unexpected(octets.error());
  if (!*octets) return std::optional<std::uint32_t>{};
  return std::optional<std::uint32_t>(LoadLe<std::uint32_t>(**octets, 0) & 0x0FFFFFFF);
}

/// The label in a stretch of a directory. `ended` is set at the mark behind the last entry.
std::optional<std::u16string> FindLabel(std::span<const std::byte> directory, bool& ended) {
  for (std::size_t at = 0; at + kDirectoryEntry <= directory.size(); at += kDirectoryEntry) {
    const auto first = static_cast<std::uint8_t>(directory[at]);
    const auto attributes = static_cast<std::uint8_t>(directory[at + 11]);
    if (first == 0) {
      ended = true;
      return std::nullopt;
    }
    const bool long_name = (attributes & 0x0F) == 0x0F;
    if (first == 0xE5 || long_name || (attributes & 0x08) == 0) continue;
    return LabelText({reinterpret_cast<const char*>(directory.data()) + at, kLabelSize});
  }
  return std::nullopt;
}

StorageResult<std::optional<std::u16string>> ReadLabel(const VolumeWindow& volume, const Fat& fat) {
  bool ended = false;
  if (fat.type != FileSystemType::kFat32) {
    const auto root = volume.Read(fat.rootAt, fat.rootBytes);
    if (!root) return tl::unexpected(root.error());
    return *root ? FindLabel(**root, ended) : std::nullopt;
  }
  std::uint32_t cluster = fat.rootCluster;
  for (std::uint32_t i = 0; i < kMaxRootClusters && cluster >= 2 && cluster - 2 < fat.clusters; ++i) {
    const auto part = volume.Read(fat.dataAt + std::uint64_t{cluster - 2} * fat.cluster, fat.cluster);
    if (!part) return tl::unexpected(part.error());
    if (!*part) break;
    if (auto label = FindLabel(**part, ended)) return label;
    if (ended) break;
    const auto next = NextCluster(volume, fat, cluster);
    if (!next) return tl::unexpected(next.error());
    cluster = next->value_or(0);
  }
  return std::optional<std::u16string>{};
}

StorageResult<std::uint64_t> CountFree(const VolumeWindow& volume, const Fat& fat) {
  if (fat.type == FileSystemType::kFat32 && fat.infoSector != 0) {
    const auto info = volume.Read(std::uint64_t{fat.infoSector} * fat.sector, kMinSectorSize);
    if (!info) return tl::unexpected(info.error());
    if (*info && LoadLe<std::uint32_t>(**info, 0) == 0x41615252 &&
        LoadLe<std::uint32_t>(**info, 484) == 0x61417272) {
      const auto free = LoadLe<std::uint32_t>(**info, 488);
      if (free <= fat.clusters) return free;
    }
  }
  const std::uint64_t entries = std::uint64_t{fat.clusters} + 2;
  const unsigned bits = fat.type == FileSystemType::kFat12   ? 12
                        : fat.type == FileSystemType::kFat16 ? 16
                                                             : 32;
  const std::uint64_t needed = (entries * bits + 7) / 8;
  if (needed > fat.tableBytes || needed > kMaxTableBytes) return std::uint64_t{0};
  // Chunks of 3 MiB hold whole entries of every width.
  std::uint64_t free = 0;
  std::uint64_t entry = 0;
  for (std::uint64_t at = 0; at < needed; at += 3 * kChunk) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(3 * kChunk, needed - at));
    const auto table = volume.Read(fat.tableAt + at, size);
    if (!table) return tl::unexpected(table.error());
    if (!*table) return std::uint64_t{0};
    const std::span<const std::byte> octets(**table);
    for (std::size_t bit = 0; bit + bits <= size * 8 && entry < entries; bit += bits, ++entry) {
      std::uint32_t value = 0;
      if (bits == 12) {
        value = LoadLe<std::uint16_t>(octets, bit / 8);
        value = (bit % 8) != 0 ? value >> 4 : value & 0x0FFF;
      } else if (bits == 16) {
        value = LoadLe<std::uint16_t>(octets, bit / 8);
      } else {
        value = LoadLe<std::uint32_t>(octets, bit / 8) & 0x0FFFFFFF;
      }
      if (entry >= 2 && value == 0) ++free;
    }
  }
  return free;
}

}  // namespace

StorageResult<std::optional<FileSystemDescription>> DescribeFat(const VolumeWindow& volume) {
  const auto boot = volume.Read(0, kMinSectorSize);
  if (!boot) return tl::unexpected(boot.error());
  if (!*boot) return std::optional<FileSystemDescription>{};
  const auto fat = ParseBootSector(**boot);
  if (!fat) return std::optional<FileSystemDescription>{};
  FileSystemDescription description;
  description.type = fat->type;
  description.totalAllocationUnits = fat->clusters;
  description.allocationUnitSize = fat->cluster;
  description.serialNumber = fat->serial;
  const auto free = CountFree(volume, *fat);
  if (!free) return tl::unexpected(free.error());
  description.availableAllocationUnits = *free;
  const auto label = ReadLabel(volume, *fat);
  if (!label) return tl::unexpected(label.error());
  if (*label) {
    description.label = **label;
  } else if (fat->bootLabel != "NO NAME    ") {
    description.label = LabelText(fat->bootLabel);
  }
  return std::optional<FileSystemDescription>(std::move(description));
}

}  // namespace dmrp::server
