#include "reference_server/storage/installed_file_systems.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;

constexpr std::uint32_t kSmallestUnit = 512;
constexpr std::uint32_t kGreatestFlaggedUnit = 256 * kKiB;
constexpr std::uint32_t kUnitsTo64K = FSF_FS_ALLOC_SZ_512 | FSF_FS_ALLOC_SZ_1K | FSF_FS_ALLOC_SZ_2K |
                                      FSF_FS_ALLOC_SZ_4K | FSF_FS_ALLOC_SZ_8K | FSF_FS_ALLOC_SZ_16K |
                                      FSF_FS_ALLOC_SZ_32K | FSF_FS_ALLOC_SZ_64K;
constexpr std::uint32_t kFormattable =
    FSF_FMT_OPTION_LABEL | FSF_REMOVABLE_MEDIA_SUPPORT | FSF_FS_QUICK_FORMAT_ENABLE | FSF_FS_FORMAT_SUPPORTED;
constexpr std::u16string_view kForbiddenInFat = u"*?/\\|.,;:+=[]<>\"\t";

// The type of a FAT follows from its number of units: below 4085 it is FAT12, below 65,525 FAT16. mkfs.fat
// keeps away from these borders, and so do the limits here.
constexpr std::uint64_t kFat12Units = 4076;
constexpr std::uint64_t kFat16MinUnits = 4087;
constexpr std::uint64_t kFat16Units = 65516;
constexpr std::uint64_t kFat32MinUnits = 65527;
constexpr std::uint64_t kFat32Units = 4177918;
/// Units that a volume may have too many: they are left to the reserved sectors, so that a volume of exactly
/// 4 GiB can have units of 64 KiB.
constexpr std::uint64_t kGivenUp = 24;
constexpr std::uint32_t kFatTables = 2;
constexpr std::uint32_t kFatReserved = 1;
constexpr std::uint32_t kFat32Reserved = 32;
constexpr std::uint32_t kRootEntries = 512;
constexpr std::uint32_t kRootEntrySize = 32;

constexpr std::uint64_t kNtfsUnits = (std::uint64_t{1} << 32) - 1;

constexpr std::array kTable{
    InstalledFileSystem{.fsType = FSTYPE_FAT,
                        .fsName = u"FAT",
                        .fsFlags = kFormattable | kUnitsTo64K,
                        .labelLimit = 11,
                        .forbidden = kForbiddenInFat,
                        .minVolume = 128 * kKiB,
                        .maxVolume = 4 * kGiB},
    InstalledFileSystem{.fsType = FSTYPE_FAT32,
                        .fsName = u"FAT32",
                        .fsFlags = kFormattable | kUnitsTo64K,
                        .labelLimit = 11,
                        .forbidden = kForbiddenInFat,
                        .minVolume = kFat32MinUnits * kSmallestUnit,
                        .maxVolume = 32 * kGiB},
    InstalledFileSystem{.fsType = FSTYPE_NTFS,
                        .fsName = u"NTFS",
                        .fsFlags = kFormattable | kUnitsTo64K | FSF_FMT_OPTION_COMPRESS |
                                   FSF_MNT_POINT_SUPPORT | FSF_FS_GROW_SUPPORT,
                        .fsCompressionFlags = FSF_FS_ALLOC_SZ_1K | FSF_FS_ALLOC_SZ_2K | FSF_FS_ALLOC_SZ_4K,
                        .labelLimit = 32,
                        .greatestCompressedUnit = 4 * kKiB,
                        .minVolume = 2 * kMiB,
                        .maxVolume = kNtfsUnits * 64 * kKiB},
    InstalledFileSystem{.fsType = FSTYPE_CDFS, .fsName = u"CDFS", .fsFlags = FSF_REMOVABLE_MEDIA_SUPPORT},
    InstalledFileSystem{.fsType = FSTYPE_UDF, .fsName = u"UDF", .fsFlags = FSF_REMOVABLE_MEDIA_SUPPORT},
};

/// Up to `volume` octets, `unit` octets are the default.
struct DefaultUnit {
  std::uint64_t volume;
  std::uint32_t unit;
};

constexpr std::array kFatDefaults{
    DefaultUnit{2 * kMiB, 512},      DefaultUnit{4 * kMiB, 1024},    DefaultUnit{16 * kMiB, 2048},
    DefaultUnit{32 * kMiB, 512},     DefaultUnit{64 * kMiB, 1024},   DefaultUnit{128 * kMiB, 2048},
    DefaultUnit{256 * kMiB, 4096},   DefaultUnit{512 * kMiB, 8192},  DefaultUnit{1024 * kMiB, 16384},
    DefaultUnit{2048 * kMiB, 32768}, DefaultUnit{UINT64_MAX, 65536},
};
constexpr std::array kFat32Defaults{
    DefaultUnit{64 * kMiB, 512}, DefaultUnit{128 * kMiB, 1024}, DefaultUnit{256 * kMiB, 2048},
    DefaultUnit{8 * kGiB, 4096}, DefaultUnit{16 * kGiB, 8192},  DefaultUnit{UINT64_MAX, 16384},
};
constexpr std::array kNtfsDefaults{
    DefaultUnit{512 * kMiB, 512},
    DefaultUnit{1024 * kMiB, 1024},
    DefaultUnit{2048 * kMiB, 2048},
    DefaultUnit{UINT64_MAX, 4096},
};

std::uint32_t LookUp(std::span<const DefaultUnit> table, std::uint64_t volume) {
  return std::ranges::find_if(table, [&](const DefaultUnit& row) { return volume <= row.volume; })->unit;
}

bool IsSurrogate(char16_t c, char16_t first) { return (c & 0xFC00) == first; }

/// Whether every surrogate has its partner: other text cannot be handed to a program.
bool IsWellFormed(std::u16string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == 0 || IsSurrogate(text[i], 0xDC00)) return false;
    if (!IsSurrogate(text[i], 0xD800)) continue;
    if (++i == text.size() || !IsSurrogate(text[i], 0xDC00)) return false;
  }
  return true;
}

StorageResult<std::u16string> CheckLabel(const InstalledFileSystem& system, std::u16string label) {
  const bool fat = system.fsType != FSTYPE_NTFS;
  if (fat) {
    while (!label.empty() && label.back() == u' ') label.pop_back();
    label.erase(0, std::min(label.find_first_not_of(u' '), label.size()));
  }
  const std::string name = ToUtf8(system.fsName);
  if (label.size() > system.labelLimit) {
    return Refuse(StorageErrorCode::kBadLabel,
                  fmt::format("label of {} characters, {} allows {}", label.size(), name, system.labelLimit));
  }
  if (!IsWellFormed(label)) {
    return Refuse(StorageErrorCode::kBadLabel, "label with a null character or half a surrogate pair");
  }
  for (char16_t& c : label) {
    const bool forbidden = system.forbidden.find(c) != std::u16string_view::npos;
    if (forbidden || (fat && (c < 0x20 || c > 0x7E))) {
      return Refuse(
          StorageErrorCode::kBadLabel,
          fmt::format("label with the character U+{:04X}, which {} forbids", static_cast<unsigned>(c), name));
    }
    if (fat && c >= u'a' && c <= u'z') c = static_cast<char16_t>(c - u'a' + u'A');
  }
  return label;
}

/// Allocation units of a FAT with tables of `bits` wide entries.
std::uint64_t FatUnits(std::uint64_t sectors, std::uint32_t sector, std::uint32_t unit, unsigned bits,
                       std::uint64_t reserved, std::uint32_t root_entries) {
  const std::uint64_t root = (std::uint64_t{root_entries} * kRootEntrySize + sector - 1) / sector;
  if (sectors <= reserved + root) return 0;
  const std::uint64_t left = sectors - reserved - root;
  const std::uint64_t per_unit = unit / sector;
  // Two tables of (units + 2) entries and the units themselves share what is left.
  std::uint64_t table = 1;
  while (left > kFatTables * table) {
    const std::uint64_t units = (left - kFatTables * table) / per_unit;
    const std::uint64_t needed = ((units + 2) * bits + 8 * sector - 1) / (8 * std::uint64_t{sector});
    if (needed <= table) return units;
    table = needed;
  }
  return 0;
}

StorageResult<void> TooManyUnits(const InstalledFileSystem& system, std::uint64_t units, std::uint32_t unit,
                                 std::uint64_t limit) {
  return Refuse(StorageErrorCode::kTooManyUnits,
                fmt::format("{} allocation units of {} octets, {} has at most {}", units, unit,
                            ToUtf8(system.fsName), limit));
}

StorageResult<void> TooFewUnits(const InstalledFileSystem& system, const VolumeShape& volume,
                                std::uint64_t units, std::uint32_t unit, std::uint64_t limit) {
  const bool smallest = unit <= volume.bytesPerSector;
  return Refuse(smallest ? StorageErrorCode::kVolumeTooSmall : StorageErrorCode::kUnitTooBig,
                fmt::format("{} allocation units of {} octets on a volume of {}, {} needs {}", units, unit,
                            volume.length, ToUtf8(system.fsName), limit));
}

StorageResult<void> PlanFat(const InstalledFileSystem& system, const VolumeShape& volume, FormatPlan& plan) {
  const std::uint64_t sectors = volume.length / volume.bytesPerSector;
  const std::uint32_t unit = plan.allocationUnitSize;
  const bool fat32 = system.fsType == FSTYPE_FAT32;
  plan.reservedSectors = fat32 ? kFat32Reserved : kFatReserved;
  plan.rootEntries = fat32 ? 0 : kRootEntries;
  if (const FloppyFormat* floppy = FindFloppyFormat(volume.length); floppy != nullptr && !fat32) {
    plan.rootEntries = floppy->rootEntries;
  }
  const auto units = [&](unsigned bits) {
    return FatUnits(sectors, volume.bytesPerSector, unit, bits, plan.reservedSectors, plan.rootEntries);
  };
  if (fat32) {
    plan.type = FileSystemType::kFat32;
    if (const auto count = units(32); count < kFat32MinUnits) {
      return TooFewUnits(system, volume, count, unit, kFat32MinUnits);
    } else if (count > kFat32Units) {
      return TooManyUnits(system, count, unit, kFat32Units);
    }
    return {};
  }
  unsigned bits = 12;
  std::uint64_t limit = kFat12Units;
  plan.type = FileSystemType::kFat12;
  if (units(12) > kFat12Units && units(16) >= kFat16MinUnits) {
    bits = 16;
    limit = kFat16Units;
    plan.type = FileSystemType::kFat16;
  }
  const auto count = units(bits);
  if (count == 0) return TooFewUnits(system, volume, count, unit, 1);
  if (count > limit + kGivenUp) return TooManyUnits(system, count, unit, limit);
  while (units(bits) > limit) {
    plan.reservedSectors += static_cast<std::uint32_t>(units(bits) - limit) * (unit / volume.bytesPerSector);
  }
  return {};
}

StorageResult<void> PlanNtfs(const InstalledFileSystem& system, const VolumeShape& volume, FormatPlan& plan) {
  plan.type = FileSystemType::kNtfs;
  const std::uint64_t units = volume.length / plan.allocationUnitSize;
  if (units > kNtfsUnits) return TooManyUnits(system, units, plan.allocationUnitSize, kNtfsUnits);
  return {};
}

}  // namespace

const FloppyFormat* FindFloppyFormat(std::uint64_t length) {
  static constexpr std::array kFormats{
      FloppyFormat{720 * kKiB, 0xF9, 112, 9},
      FloppyFormat{1200 * kKiB, 0xF9, 224, 15},
      FloppyFormat{1440 * kKiB, 0xF0, 224, 18},
      FloppyFormat{2880 * kKiB, 0xF0, 240, 36},
  };
  const auto* const found = std::ranges::find(kFormats, length, &FloppyFormat::length);
  return found != kFormats.end() ? found : nullptr;
}

std::vector<std::uint32_t> InstalledFileSystem::Units() const {
  std::vector<std::uint32_t> units;
  for (std::uint32_t unit = kSmallestUnit; unit <= kGreatestFlaggedUnit; unit *= 2) {
    if ((fsFlags & AllocationUnitFlag(unit)) != 0) units.push_back(unit);
  }
  return units;
}

std::span<const InstalledFileSystem> InstalledFileSystems() { return kTable; }

const InstalledFileSystem* FindInstalledFileSystem(std::int32_t fs_type) {
  const auto* const found = std::ranges::find(kTable, fs_type, &InstalledFileSystem::fsType);
  return found != kTable.end() ? found : nullptr;
}

std::uint32_t AllocationUnitFlag(std::uint32_t unit) {
  if (!std::has_single_bit(unit) || unit < kSmallestUnit || unit > kGreatestFlaggedUnit) return 0;
  return FSF_FS_ALLOC_SZ_512 * (unit / kSmallestUnit);
}

std::uint32_t DefaultAllocationUnit(std::int32_t fs_type, const VolumeShape& volume) {
  std::uint32_t unit = fs_type == FSTYPE_FAT     ? LookUp(kFatDefaults, volume.length)
                       : fs_type == FSTYPE_FAT32 ? LookUp(kFat32Defaults, volume.length)
                                                 : LookUp(kNtfsDefaults, volume.length);
  unit = std::max(unit, volume.bytesPerSector);
  while (fs_type == FSTYPE_NTFS && volume.length / unit > kNtfsUnits && unit < 64 * kKiB) unit *= 2;
  return unit;
}

StorageResult<FormatPlan> PlanFormat(const FormatRequest& request, const VolumeShape& volume) {
  const InstalledFileSystem* system = FindInstalledFileSystem(request.fsType);
  if (system == nullptr || !system->Formattable()) {
    return Refuse(StorageErrorCode::kNotFormattable,
                  fmt::format("fsType {} is no file system that can be made", request.fsType));
  }
  const std::string name = ToUtf8(system->fsName);
  auto label = CheckLabel(*system, request.label);
  if (!label) return tl::unexpected(label.error());
  FormatPlan plan;
  plan.label = std::move(*label);
  plan.allocationUnitSize = request.allocationUnitSize;
  if (plan.allocationUnitSize == 0) plan.allocationUnitSize = DefaultAllocationUnit(request.fsType, volume);
  const std::uint32_t unit = plan.allocationUnitSize;
  if ((system->fsFlags & AllocationUnitFlag(unit)) == 0) {
    return Refuse(StorageErrorCode::kBadUnit,
                  fmt::format("allocationUnitSize {}, {} has 512 to 65536, powers of two", unit, name));
  }
  if (unit < volume.bytesPerSector) {
    return Refuse(StorageErrorCode::kUnitTooSmall,
                  fmt::format("allocationUnitSize {} on sectors of {} octets", unit, volume.bytesPerSector));
  }
  if (volume.length < system->minVolume) {
    return Refuse(StorageErrorCode::kVolumeTooSmall,
                  fmt::format("a volume of {} octets, {} needs {}", volume.length, name, system->minVolume));
  }
  if (volume.length > system->maxVolume) {
    return Refuse(StorageErrorCode::kVolumeTooBig,
                  fmt::format("a volume of {} octets, {} allows {}", volume.length, name, system->maxVolume));
  }
  const auto fits =
      request.fsType == FSTYPE_NTFS ? PlanNtfs(*system, volume, plan) : PlanFat(*system, volume, plan);
  if (!fits) return tl::unexpected(fits.error());
  plan.compression = request.compression;
  if (request.compression && unit > system->greatestCompressedUnit) {
    return Refuse(StorageErrorCode::kNoCompression,
                  fmt::format("compression with allocationUnitSize {}, {} compresses up to {}", unit, name,
                              system->greatestCompressedUnit));
  }
  return plan;
}

}  // namespace dmrp::server
