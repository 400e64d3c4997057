#include "reference_server/storage/ldm/dynamic_table.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::size_t kMbrSlots = 4;
constexpr std::size_t kMbrEntriesAt = 0x1BE;
constexpr std::size_t kMbrEntrySize = 16;
constexpr std::size_t kEndChsAt = 5;  ///< within an entry
/// The public region of an MBR disk starts here; Windows before Vista relies on it.
constexpr std::uint64_t kMbrPublicStart = 63;
constexpr std::uint8_t kFtBit = 0x80;
constexpr const char16_t* kMetadataName = u"LDM metadata partition";
constexpr const char16_t* kDataName = u"LDM data partition";

constexpr std::array<std::uint8_t, 5> kOemTypes{0x12, 0x84, 0xA0, 0xDE, 0xFE};
/// FAT12, FAT16, NTFS, big FAT16, FAT32 and the two for sectors beyond CHS: what becomes a volume.
constexpr std::array<std::uint8_t, 7> kBasicTypes{0x01, 0x04, 0x06, 0x07, 0x0B, 0x0C, 0x0E};

bool IsBasicType(std::uint8_t type) { return std::ranges::find(kBasicTypes, type) != kBasicTypes.end(); }

bool IsFtType(std::uint8_t type) {
  return !IsOemType(type) && (type & kFtBit) != 0 && IsBasicType(static_cast<std::uint8_t>(type & 0x3F));
}

std::uint32_t FreshSignature(const SignatureIsFree& is_free) {
  while (true) {
    const std::uint32_t candidate = Guid::Random().Data1;
    if (candidate != 0 && (!is_free || is_free(candidate))) return candidate;
  }
}

/// Writes the entries of the public region into a sector 0 whose other entries are what stays. Their CHS
/// fields are of 255 heads and 63 sectors, whatever the disk says of its geometry: the public region begins
/// at 0/1/1 on all disks that Windows made.
StorageResult<void> PlaceTiles(std::span<std::byte> mbr, std::span<const Tile> tiles,
                               const DiskGeometry& disk) {
  const DiskGeometry geometry{.sizeBytes = disk.sizeBytes, .bytesPerSector = disk.bytesPerSector};
  std::vector<std::size_t> free;
  for (std::size_t slot = 0; slot < kMbrSlots; ++slot) {
    if (!GetEntry(mbr, slot).Used()) free.push_back(slot);
  }
  if (tiles.size() > free.size()) {
    return Refuse(StorageErrorCode::kTableFull,
                  fmt::format("{} entries are needed for the public region, {} of the MBR are left",
                              tiles.size(), free.size()));
  }
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const Tile& tile = tiles[i];
    const std::size_t slot = free[i];
    SetEntry(mbr, slot,
             {tile.active ? std::uint8_t{0x80} : std::uint8_t{0}, kMbrTypeLdm,
              static_cast<std::uint32_t>(tile.start), static_cast<std::uint32_t>(tile.sectors)},
             tile.start, geometry);
  }
  const std::uint64_t cylinder = geometry.BytesPerCylinder() / geometry.bytesPerSector;
  const std::uint64_t whole = std::max<std::uint64_t>(geometry.Sectors() / cylinder, 1) * cylinder;
  if (tiles.size() == 1 && free.size() == kMbrSlots) {
    // Windows lets a sole entry end on the last whole cylinder of the disk as far as CHS tells.
    const auto end = EncodeChs(whole - 1, geometry);
    for (std::size_t i = 0; i < end.size(); ++i) {
      mbr[kMbrEntriesAt + free[0] * kMbrEntrySize + kEndChsAt + i] = static_cast<std::byte>(end[i]);
    }
  }
  return {};
}

StorageResult<void> PlaceTiles(GptTable& gpt, std::span<const Tile> tiles, const GptTable& before) {
  std::uint32_t index = 0;
  for (const Tile& tile : tiles) {
    while (index < gpt.entryCount && !gpt.Entry(index).type.IsNull()) ++index;
    if (index == gpt.entryCount) {
      return Refuse(StorageErrorCode::kTableFull,
                    fmt::format("all {} entries of the GPT are in use", gpt.entryCount));
    }
    Guid id = Guid::Random();
    for (std::uint32_t old = 0; old < before.entryCount; ++old) {
      const GptEntry entry = before.Entry(old);
      if (entry.type == kGptTypeLdmData && entry.firstSector == tile.start) id = entry.id;
    }
    gpt.SetEntry(index, {.type = kGptTypeLdmData,
                         .id = id,
                         .firstSector = tile.start,
                         .lastSector = tile.start + tile.sectors - 1,
                         .attributes = 0,
                         .name = kDataName});
  }
  return {};
}

struct Stretch {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  [[nodiscard]] std::uint64_t Sectors() const { return end - start; }
};

class Planner {
 public:
  Planner(const DiskTable& table, const DiskGeometry& geometry, const ConversionOptions& options)
      : table_(table), geometry_(geometry), options_(options), sector_(geometry.bytesPerSector) {}

  StorageResult<ConversionPlan> Plan() {
    const DiskLayout& layout = table_.layout;
    if (layout.style == PartitionStyle::kUnknown) {
      return Refuse(StorageErrorCode::kNotInitialized, "the disk has no partition table");
    }
    if (layout.dynamic) return Refuse(StorageErrorCode::kDynamicDisk, "the disk is dynamic already");
    if (const TableAnomaly* anomaly = layout.BlockingAnomaly()) {
      Find(findings().unknownPartition,
           fmt::format("{} at {}: {}", TableFaultName(anomaly->fault), anomaly->offset, anomaly->message));
      return std::move(plan_);
    }
    if (std::ranges::any_of(layout.anomalies, [](const TableAnomaly& anomaly) {
          return anomaly.fault == TableFault::kOutsideDisk || anomaly.fault == TableFault::kHybridMbr;
        })) {
      Find(findings().unknownPartition, "the table has entries that leave the disk or that a GPT hides");
      return std::move(plan_);
    }
    plan_.change.before = table_;
    auto done = layout.style == PartitionStyle::kMbr ? PlanMbr() : PlanGpt();
    if (!done) return tl::unexpected(done.error());
    return std::move(plan_);
  }

 private:
  ConversionFindings& findings() { return plan_.findings; }
  DiskRegions& regions() { return plan_.change.regions; }

  void Find(bool& finding, std::string reason) {
    if (findings().reason.empty()) findings().reason = std::move(reason);
    finding = true;
  }

  void Convert(const Region& region) {
    ConvertedPartition partition{.region = region};
    partition.system = options_.isSystem && options_.isSystem(region);
    partition.boot = options_.isBoot && options_.isBoot(region);
    if (region.active) {
      findings().hasActive = true;
      if (!partition.system) {
        Find(findings().badActive,
             fmt::format("the active partition at {} is not the system partition", region.start));
      }
    }
    plan_.partitions.push_back(std::move(partition));
  }

  std::vector<RetainedExtent> Retained() const {
    std::vector<RetainedExtent> retained;
    for (const ConvertedPartition& partition : plan_.partitions) {
      if (!partition.system && !partition.boot) continue;
      retained.push_back({.start = partition.region.start / sector_,
                          .sectors = partition.region.length / sector_,
                          .active = partition.region.active});
    }
    return retained;
  }

  StorageResult<void> TooSmall(std::uint64_t have) {
    return Refuse(StorageErrorCode::kDiskTooSmall,
                  fmt::format("{} octets hold no database of {} octets and a public region of {}",
                              have * sector_, kPrivateBytes, kMinPublicBytes));
  }

  StorageResult<void> PlanMbr() {
    const std::uint64_t total = geometry_.Sectors();
    const std::uint64_t private_sectors = kPrivateBytes / sector_;
    if (total < kMbrPublicStart + private_sectors + kMinPublicBytes / sector_) return TooSmall(total);
    const std::uint64_t private_start = total - private_sectors;
    std::uint64_t public_start = kMbrPublicStart;
    const Region* previous = nullptr;
    Bytes mbr = table_.mbr;
    for (std::size_t slot = 0; slot < kMbrSlots; ++slot) {
      if (!IsOemType(GetEntry(mbr, slot).type)) ClearEntry(mbr, slot);
    }
    for (const Region& region : table_.layout.regions) {
      if (IsFree(region.kind)) continue;
      if (region.kind == RegionKind::kExtended) {
        findings().hasExtended = true;
        continue;
      }
      if (region.start / sector_ < kMbrPublicStart) {
        Find(findings().noFreeSpace,
             fmt::format("the partition at {} lies in the first {} sectors", region.start, kMbrPublicStart));
      }
      if (IsOemType(region.mbrType)) {
        if (previous != nullptr && !IsOemType(previous->mbrType)) {
          Find(findings().unknownPartition,
               fmt::format("the OEM partition at {} is not at the beginning of the disk", region.start));
        }
        public_start = region.End() / sector_;
      } else if (IsFtType(region.mbrType)) {
        findings().containsFt = true;
        if (!options_.acceptFt) {
          Find(findings().unknownPartition,
               fmt::format("the partition at {} has the type {:02X} of a fault-tolerant set", region.start,
                           region.mbrType));
        }
        Convert(region);
      } else if (IsBasicType(region.mbrType)) {
        Convert(region);
      } else {
        Find(findings().unknownPartition,
             fmt::format("the partition at {} has the unknown type {:02X}", region.start, region.mbrType));
      }
      if (region.End() > private_start * sector_) {
        Find(findings().noFreeSpace,
             fmt::format("the partition at {} reaches into the last {} octets of the disk", region.start,
                         kPrivateBytes));
      }
      previous = &region;
    }
    // An entry counts sectors with 32 bits.
    const std::uint64_t public_end = std::min(private_start, kMbrSectorLimit - 1);
    if (public_end < public_start + kMinPublicBytes / sector_) {
      if (!findings().CannotProceed()) {
        Find(findings().noFreeSpace, "nothing is left between the OEM partition and the database");
      }
      return {};
    }
    regions() = {public_start, public_end - public_start, private_start, private_sectors};
    if (findings().CannotProceed()) return {};
    if (GetSignature(mbr) == 0) SetSignature(mbr, FreshSignature(options_.signatureIsFree));
    // Boot code that begins like a file system would be taken for one.
    if (IsFileSystemBootSector(mbr)) ClearBootCode(mbr);
    auto tiles = TilePublicRegion(regions(), Retained());
    if (!tiles) return tl::unexpected(tiles.error());
    if (auto placed = PlaceTiles(mbr, *tiles, geometry_); !placed) {
      Find(findings().tooManyPartitions, placed.error().message);
      return {};
    }
    plan_.change.mbr = std::move(mbr);
    return {};
  }

  StorageResult<void> PlanGpt() {
    const GptTable& before = *table_.gpt;
    const std::uint64_t private_sectors = kPrivateBytes / sector_;
    const Region* reserved = nullptr;
    std::vector<const Region*> kept;
    std::vector<const Region*> basic;
    for (const Region& region : table_.layout.regions) {
      if (IsFree(region.kind)) continue;
      if (region.gptType == kGptTypeBasicData) {
        basic.push_back(&region);
        Convert(region);
        continue;
      }
      kept.push_back(&region);
      if (region.gptType == kGptTypeMicrosoftReserved && reserved == nullptr &&
          region.length > kPrivateBytes) {
        reserved = &region;
      }
    }
    // The stretches between what stays; the public region has to be one of them.
    std::vector<Stretch> stretches;
    std::uint64_t begin = before.firstUsable;
    for (const Region* region : kept) {
      if (region->start / sector_ > begin) stretches.push_back({begin, region->start / sector_});
      begin = std::max(begin, region->End() / sector_);
    }
    if (before.lastUsable + 1 > begin) stretches.push_back({begin, before.lastUsable + 1});
    const auto largest = std::ranges::max_element(stretches, {}, &Stretch::Sectors);
    if (largest == stretches.end()) return TooSmall(0);
    Stretch stretch = *largest;
    if (!basic.empty()) {
      const std::uint64_t first = basic.front()->start / sector_;
      stretch = *std::ranges::find_if(
          stretches, [&](const Stretch& one) { return one.start <= first && first < one.end; });
      for (const Region* region : basic) {
        if (region->start / sector_ < stretch.end) continue;
        Find(findings().mixedPartitions,
             fmt::format("a partition that stays lies between the basic ones at {} and {}",
                         basic.front()->start, region->start));
        return {};
      }
    }
    GptTable after = before;
    DiskRegions& regions = plan_.change.regions;
    regions.privateSectors = private_sectors;
    if (reserved != nullptr) {
      regions.privateStart = reserved->start / sector_;
      GptEntry shrunk = before.Entry(reserved->entry);
      shrunk.firstSector += private_sectors;
      after.SetEntry(reserved->entry, shrunk);
    } else {
      if (stretch.Sectors() < private_sectors + kMinPublicBytes / sector_) return TooSmall(stretch.Sectors());
      stretch.end -= private_sectors;
      regions.privateStart = stretch.end;
      if (!basic.empty() && basic.back()->End() > stretch.end * sector_) {
        Find(findings().noFreeSpace,
             fmt::format("the partition at {} reaches into the last {} octets that are usable",
                         basic.back()->start, kPrivateBytes));
        return {};
      }
    }
    if (stretch.Sectors() < kMinPublicBytes / sector_) return TooSmall(stretch.Sectors());
    regions.publicStart = stretch.start;
    regions.publicSectors = stretch.Sectors();
    if (findings().CannotProceed()) return {};

    for (const Region* region : basic) after.ClearEntry(region->entry);
    std::uint32_t index = 0;
    if (reserved != nullptr && after.entryCount > 1) {
      // Windows lists metadata, reserved, data in this order.
      index = reserved->entry;
      std::uint32_t behind = index + 1;
      while (behind < after.entryCount && !after.Entry(behind).type.IsNull()) ++behind;
      if (behind == after.entryCount) {
        index = 0;
      } else {
        for (; behind > index; --behind) after.SetEntry(behind, after.Entry(behind - 1));
        after.ClearEntry(index);
      }
    }
    while (index < after.entryCount && !after.Entry(index).type.IsNull()) ++index;
    if (index == after.entryCount) {
      return Refuse(StorageErrorCode::kTableFull,
                    fmt::format("all {} entries of the GPT are in use", after.entryCount));
    }
    after.SetEntry(index, {.type = kGptTypeLdmMetadata,
                           .id = Guid::Random(),
                           .firstSector = regions.privateStart,
                           .lastSector = regions.privateStart + private_sectors - 1,
                           .attributes = 0,
                           .name = kMetadataName});
    auto tiles = TilePublicRegion(regions, Retained());
    if (!tiles) return tl::unexpected(tiles.error());
    if (auto placed = PlaceTiles(after, *tiles, before); !placed) return placed;
    plan_.change.gpt = std::move(after);
    return {};
  }

  const DiskTable& table_;
  const DiskGeometry& geometry_;
  const ConversionOptions& options_;
  std::uint64_t sector_;
  ConversionPlan plan_;
};

bool IsActiveNow(const DiskTable& table, const RetainedExtent& extent) {
  for (std::size_t slot = 0; slot < kMbrSlots && !table.gpt; ++slot) {
    const MbrEntry entry = GetEntry(table.mbr, slot);
    if (entry.type == kMbrTypeLdm && entry.start == extent.start && entry.sectors == extent.sectors) {
      return entry.bootFlag == 0x80;
    }
  }
  return false;
}

}  // namespace

bool IsOemType(std::uint8_t type) { return std::ranges::find(kOemTypes, type) != kOemTypes.end(); }

StorageResult<std::vector<Tile>> TilePublicRegion(const DiskRegions& regions,
                                                  std::span<const RetainedExtent> retained) {
  std::vector<RetainedExtent> sorted(retained.begin(), retained.end());
  std::ranges::sort(sorted, {}, &RetainedExtent::start);
  std::vector<Tile> tiles;
  std::uint64_t next = regions.publicStart;
  for (const RetainedExtent& extent : sorted) {
    if (extent.start < regions.publicStart || extent.sectors == 0 || extent.start > regions.PublicEnd() ||
        extent.sectors > regions.PublicEnd() - extent.start) {
      return Refuse(StorageErrorCode::kOutOfRange,
                    fmt::format("{} sectors at {} leave the public region of {} at {}", extent.sectors,
                                extent.start, regions.publicSectors, regions.publicStart));
    }
    if (extent.start < next) {
      return Refuse(StorageErrorCode::kNotFree,
                    fmt::format("{} sectors at {} meet another partition", extent.sectors, extent.start));
    }
    if (extent.start > next) tiles.push_back({.start = next, .sectors = extent.start - next});
    tiles.push_back({.start = extent.start,
                     .sectors = extent.sectors,
                     .retained = true,
                     .active = extent.active.value_or(false)});
    next = extent.start + extent.sectors;
  }
  if (next < regions.PublicEnd()) tiles.push_back({.start = next, .sectors = regions.PublicEnd() - next});
  return tiles;
}

StorageResult<ConversionPlan> PlanConversion(const DiskTable& table, const DiskGeometry& geometry,
                                             const ConversionOptions& options) {
  return Planner(table, geometry, options).Plan();
}

StorageResult<TableChange> PlanRetained(const DiskTable& table, const DiskGeometry& geometry,
                                        const DiskRegions& regions,
                                        std::span<const RetainedExtent> retained) {
  std::vector<RetainedExtent> extents(retained.begin(), retained.end());
  const bool new_active = std::ranges::any_of(
      extents, [](const RetainedExtent& extent) { return extent.active.value_or(false); });
  for (RetainedExtent& extent : extents) {
    // Only one entry can be active.
    if (!extent.active) extent.active = !new_active && IsActiveNow(table, extent);
  }
  auto tiles = TilePublicRegion(regions, extents);
  if (!tiles) return tl::unexpected(tiles.error());
  TableChange change{.regions = regions, .before = table, .mbr = table.mbr, .gpt = table.gpt};
  if (change.gpt) {
    for (std::uint32_t index = 0; index < change.gpt->entryCount; ++index) {
      if (change.gpt->Entry(index).type == kGptTypeLdmData) change.gpt->ClearEntry(index);
    }
    if (auto placed = PlaceTiles(*change.gpt, *tiles, *table.gpt); !placed) {
      return tl::unexpected(placed.error());
    }
    return change;
  }
  for (std::size_t slot = 0; slot < kMbrSlots; ++slot) {
    if (GetEntry(change.mbr, slot).type == kMbrTypeLdm) ClearEntry(change.mbr, slot);
  }
  if (auto placed = PlaceTiles(change.mbr, *tiles, geometry); !placed) return tl::unexpected(placed.error());
  return change;
}

StorageResult<TableChange> PlanBasicTable(const DiskTable& table, const DiskGeometry&,
                                          const DiskRegions& regions) {
  TableChange change{.regions = regions, .before = table, .mbr = table.mbr, .gpt = table.gpt};
  if (!change.gpt) {
    for (std::size_t slot = 0; slot < kMbrSlots; ++slot) {
      if (GetEntry(change.mbr, slot).type == kMbrTypeLdm) ClearEntry(change.mbr, slot);
    }
    if (IsFileSystemBootSector(change.mbr)) ClearBootCode(change.mbr);
    return change;
  }
  for (std::uint32_t index = 0; index < change.gpt->entryCount; ++index) {
    GptEntry entry = change.gpt->Entry(index);
    if (entry.type == kGptTypeLdmData || entry.type == kGptTypeLdmMetadata) {
      change.gpt->ClearEntry(index);
    } else if (entry.type == kGptTypeMicrosoftReserved &&
               entry.firstSector == regions.privateStart + regions.privateSectors) {
      entry.firstSector = regions.privateStart;
      change.gpt->SetEntry(index, entry);
    }
  }
  return change;
}

StorageResult<void> WriteTable(BlockDevice& device, const TableChange& change) {
  if (change.gpt) {
    if (change.gpt->entries == change.before.gpt->entries) return {};
    return ReplaceGpt(device, *change.before.gpt, *change.gpt);
  }
  if (change.mbr == change.before.mbr) return {};
  if (auto done = device.Write(0, change.mbr); !done) return DeviceFailed(done.error());
  if (auto done = device.Flush(); !done) return DeviceFailed(done.error());
  return {};
}

}  // namespace dmrp::server::ldm
