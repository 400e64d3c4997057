#include "reference_server/storage/disk_table.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

/// A stretch of sectors, end exclusive.
struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// What `used` leaves of [begin, end).
std::vector<Extent> Gaps(std::vector<Extent> used, std::uint64_t begin, std::uint64_t end) {
  std::ranges::sort(used, {}, &Extent::begin);
  std::vector<Extent> gaps;
  for (const Extent& extent : used) {
    if (extent.begin > begin && begin < end) gaps.push_back({begin, std::min(extent.begin, end)});
    begin = std::max(begin, extent.end);
  }
  if (begin < end) gaps.push_back({begin, end});
  return gaps;
}

/// The sectors of the partitions met so far, as far as they are shown as regions.
class Claims {
 public:
  /// True when an earlier partition has some of these sectors; else they are taken from now on.
  bool Contests(const Extent& extent) {
    const auto next = taken_.lower_bound(extent.begin);
    const bool contested = (next != taken_.end() && next->first < extent.end) ||
                           (next != taken_.begin() && std::prev(next)->second > extent.begin);
    if (!contested) taken_.emplace(extent.begin, extent.end);
    return contested;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> taken_;  // from begin to end, none meets another
};

class Reader {
 public:
  explicit Reader(BlockDevice& device)
      : device_(device), geometry_(device.Geometry()), sector_(geometry_.bytesPerSector) {}

  StorageResult<DiskTable> Read() {
    if (geometry_.Sectors() < 2) return std::move(table_);
    auto mbr = device_.Read(0, sector_);
    if (!mbr) return DeviceFailed(mbr.error());
    table_.mbr = std::move(*mbr);
    if (!HasBootMark(table_.mbr)) return std::move(table_);
    if (IsProtectiveMbr(table_.mbr)) {
      if (auto done = ReadGptDisk(); !done) return tl::unexpected(done.error());
    } else if (IsFileSystemBootSector(table_.mbr) && !AnyEntryUsable()) {
      layout_.regions = WholeMedium(geometry_).regions;
    } else if (const auto bad = BadBootFlag()) {
      Report(TableFault::kBadBootFlag, 0,
             fmt::format("boot flag {:02X} in entry {}", bad->first, bad->second));
    } else {
      if (auto done = ReadMbrDisk(); !done) return tl::unexpected(done.error());
    }
    std::ranges::sort(layout_.regions, {}, [](const Region& region) {
      return std::tuple(region.start, region.kind != RegionKind::kExtended, region.entry);
    });
    return std::move(table_);
  }

 private:
  void Report(TableFault fault, std::uint64_t sector, std::string message) {
    layout_.anomalies.push_back({fault, sector * sector_, std::move(message)});
  }

  /// Code and text of a file system's boot sector may lie where an MBR has its entries.
  bool AnyEntryUsable() const {
    if (BadBootFlag()) return false;
    bool any = false;
    for (std::size_t slot = 0; slot < 4; ++slot) {
      const MbrEntry entry = GetEntry(table_.mbr, slot);
      if (!entry.Used()) continue;
      if (entry.start == 0 || entry.start >= geometry_.Sectors()) return false;
      any = true;
    }
    return any;
  }

  std::optional<std::pair<std::uint8_t, std::size_t>> BadBootFlag() const {
    for (std::size_t slot = 0; slot < 4; ++slot) {
      const std::uint8_t flag = GetEntry(table_.mbr, slot).bootFlag;
      if (flag != 0 && flag != 0x80) return std::pair{flag, slot};
    }
    return std::nullopt;
  }

  void CheckOverlaps(std::vector<Extent> extents) {
    std::ranges::sort(extents, {}, &Extent::begin);
    for (std::size_t i = 1; i < extents.size(); ++i) {
      if (extents[i].begin < extents[i - 1].end) {
        Report(TableFault::kOverlap, extents[i].begin,
               fmt::format("sectors {} to {} meet another partition", extents[i].begin, extents[i].end - 1));
        extents[i].end = std::max(extents[i].end, extents[i - 1].end);
      }
    }
  }

  void AddFree(RegionKind kind, const Extent& gap) {
    layout_.regions.push_back(
        {.kind = kind, .start = gap.begin * sector_, .length = (gap.end - gap.begin) * sector_});
  }

  StorageResult<void> ReadMbrDisk() {
    layout_.style = PartitionStyle::kMbr;
    layout_.mbrSignature = GetSignature(table_.mbr);
    layout_.maxPartitionCount = 4;
    const std::uint64_t total = geometry_.Sectors();
    std::vector<Extent> used;
    Claims claims;
    std::optional<std::size_t> extended;
    std::uint32_t number = 0;
    int active = 0;
    for (std::uint32_t slot = 0; slot < 4; ++slot) {
      const MbrEntry entry = GetEntry(table_.mbr, slot);
      if (!entry.Used()) continue;
      const bool container = IsExtendedType(entry.type);
      if (!container) ++number;
      const std::uint64_t end = std::uint64_t{entry.start} + entry.sectors;
      if (entry.start >= total || end > total) {
        Report(TableFault::kOutsideDisk, 0,
               fmt::format("entry {}: sectors {} to {} of {}", slot, entry.start, end - 1, total));
      }
      if (entry.start >= total) continue;
      if (entry.start == 0) {
        Report(TableFault::kInsideReserved, 0, fmt::format("entry {} covers the MBR", slot));
      }
      if (container && extended) {
        Report(TableFault::kManyExtended, 0, fmt::format("entry {} is a second extended partition", slot));
      }
      used.push_back({entry.start, end});
      if (entry.bootFlag == 0x80) ++active;
      if (entry.type == kMbrTypeLdm) layout_.dynamic = true;
      if (container && !extended) extended = layout_.regions.size();
      layout_.regions.push_back({.kind = container ? RegionKind::kExtended : RegionKind::kPrimary,
                                 .start = std::uint64_t{entry.start} * sector_,
                                 .length = std::uint64_t{entry.sectors} * sector_,
                                 .number = container ? 0 : number,
                                 .kernelNumber = slot + 1,
                                 .entry = slot,
                                 .ebr = container ? std::uint64_t{entry.start} * sector_ : 0,
                                 .mbrType = entry.type,
                                 .active = entry.bootFlag == 0x80,
                                 .contested = claims.Contests({entry.start, end})});
    }
    if (active > 1) Report(TableFault::kManyActive, 0, fmt::format("{} active entries", active));
    CheckOverlaps(used);
    for (const Extent& gap : Gaps(used, geometry_.sectorsPerTrack, std::min(total, kMbrSectorLimit))) {
      AddFree(RegionKind::kFree, gap);
    }
    if (extended) return ReadExtended(Region(layout_.regions[*extended]), number);
    return {};
  }

  StorageResult<void> ReadExtended(const Region& extended, std::uint32_t number) {
    const std::uint64_t begin = extended.start / sector_;
    const std::uint64_t sectors = extended.length / sector_;
    const std::uint64_t end = std::min(begin + sectors, geometry_.Sectors());
    auto chain = ReadEbrChain(device_, begin, sectors, layout_.anomalies);
    if (!chain) return tl::unexpected(chain.error());
    table_.chain = std::move(*chain);

    std::vector<Extent> sectors_used;  // what is really on the disk, for the overlap check
    std::vector<Extent> used;          // that and the gap between an EBR and its drive
    Claims claims;
    std::uint32_t kernel_number = 5;
    for (std::uint32_t place = 0; place < table_.chain.size(); ++place) {
      const EbrNode& node = table_.chain[place];
      sectors_used.push_back({node.sector, node.sector + 1});
      if (!node.HasData()) {
        // The first EBR of a chain is a place for a drive as long as it describes none.
        if (place != 0) used.push_back({node.sector, node.sector + 1});
        continue;
      }
      sectors_used.push_back({node.dataStart, node.DataEnd()});
      used.push_back({node.sector, node.DataEnd()});
      if (node.type == kMbrTypeLdm) layout_.dynamic = true;
      layout_.regions.push_back(
          {.kind = RegionKind::kLogical,
           .start = node.dataStart * sector_,
           .length = node.dataSectors * sector_,
           .number = ++number,
           .kernelNumber = kernel_number++,
           .entry = place,
           .ebr = node.sector * sector_,
           .mbrType = node.type,
           .contested = extended.contested || claims.Contests({node.dataStart, node.DataEnd()})});
    }
    CheckOverlaps(sectors_used);
    if (extended.contested) return {};
    for (Extent gap : Gaps(used, begin, end)) {
      gap.begin += geometry_.sectorsPerTrack;
      if (gap.begin < gap.end) AddFree(RegionKind::kExtendedFree, gap);
    }
    return {};
  }

  StorageResult<void> ReadGptDisk() {
    auto gpt = ReadGpt(device_, layout_.anomalies);
    if (!gpt) return tl::unexpected(gpt.error());
    if (!*gpt) {
      Report(TableFault::kGptBothBad, 0, "protective MBR without a usable GPT");
      return {};
    }
    table_.gpt = std::move(*gpt);
    const GptTable& table = *table_.gpt;
    layout_.style = PartitionStyle::kGpt;
    layout_.gptDiskId = table.diskId;
    layout_.gptCopies = table.copies;
    layout_.maxPartitionCount = table.entryCount;
    for (std::size_t slot = 0; slot < 4; ++slot) {
      const MbrEntry entry = GetEntry(table_.mbr, slot);
      if (entry.Used() && entry.type != kMbrTypeProtective) {
        Report(TableFault::kHybridMbr, 0, fmt::format("entry {} of a protective MBR is in use", slot));
      }
    }
    std::vector<Extent> used;
    Claims claims;
    std::uint32_t number = 0;
    for (std::uint32_t index = 0; index < table.entryCount; ++index) {
      GptEntry entry = table.Entry(index);
      if (entry.type.IsNull()) continue;
      ++number;
      if (entry.firstSector > entry.lastSector || entry.firstSector < table.firstUsable ||
          entry.lastSector > table.lastUsable) {
        Report(TableFault::kGptEntry, table.primaryEntriesAt,
               fmt::format("entry {}: sectors {} to {}, usable are {} to {}", index, entry.firstSector,
                           entry.lastSector, table.firstUsable, table.lastUsable));
        continue;
      }
      used.push_back({entry.firstSector, entry.lastSector + 1});
      if (entry.type == kGptTypeLdmMetadata || entry.type == kGptTypeLdmData) layout_.dynamic = true;
      layout_.regions.push_back({.kind = RegionKind::kPrimary,
                                 .start = entry.firstSector * sector_,
                                 .length = (entry.lastSector - entry.firstSector + 1) * sector_,
                                 .number = number,
                                 .kernelNumber = index + 1,
                                 .entry = index,
                                 .contested = claims.Contests({entry.firstSector, entry.lastSector + 1}),
                                 .gptType = entry.type,
                                 .gptId = entry.id,
                                 .gptAttributes = entry.attributes,
                                 .gptName = std::move(entry.name)});
    }
    CheckOverlaps(used);
    for (const Extent& gap : Gaps(used, table.firstUsable, table.lastUsable + 1)) {
      AddFree(RegionKind::kFree, gap);
    }
    return {};
  }

  BlockDevice& device_;
  DiskGeometry geometry_;
  std::uint64_t sector_;
  DiskTable table_;
  DiskLayout& layout_ = table_.layout;
};

}  // namespace

StorageResult<DiskTable> ReadTable(BlockDevice& device) { return Reader(device).Read(); }

StorageResult<DiskLayout> ReadLayout(BlockDevice& device) {
  auto table = ReadTable(device);
  if (!table) return tl::unexpected(table.error());
  return std::move(table->layout);
}

}  // namespace dmrp::server
