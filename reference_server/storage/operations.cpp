#include "reference_server/storage/operations.hpp"

#include "reference_server/storage/disk_table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kWipeBytes = 4096;
constexpr std::uint64_t kMiB = 1024 * 1024;
/// Cylinders that the ten bits of a table entry reach.
constexpr std::uint64_t kChsCylinders = 1024;

StorageResult<void> WriteSector(BlockDevice& device, std::uint64_t sector, std::span<const std::byte> data) {
  if (auto done = device.Write(sector * device.Geometry().bytesPerSector, data); !done) {
    return DeviceFailed(done.error());
  }
  if (auto done = device.Flush(); !done) return DeviceFailed(done.error());
  return {};
}

/// The table of a disk whose partitions may be changed.
StorageResult<DiskTable> ReadChangeable(BlockDevice& device) {
  if (device.ReadOnly()) return Refuse(StorageErrorCode::kReadOnly, "the disk is read-only");
  auto table = ReadTable(device);
  if (!table) return table;
  const DiskLayout& layout = table->layout;
  if (layout.style == PartitionStyle::kUnknown) {
    return Refuse(StorageErrorCode::kNotInitialized, "the disk has no partition table");
  }
  if (layout.dynamic) return Refuse(StorageErrorCode::kDynamicDisk, "the disk has LDM partitions");
  if (const TableAnomaly* anomaly = layout.BlockingAnomaly()) {
    return Refuse(StorageErrorCode::kDamagedTable, fmt::format("{} at {}: {}", TableFaultName(anomaly->fault),
                                                               anomaly->offset, anomaly->message));
  }
  return table;
}

/// Reads back what the disk holds now. `start` names the region of the change in the new layout.
StorageResult<Change> Finish(BlockDevice& device, DiskTable&& before,
                             std::optional<std::uint64_t> start = std::nullopt) {
  auto after = ReadTable(device);
  if (!after) return tl::unexpected(after.error());
  Change change{std::move(before.layout), std::move(after->layout), {}};
  if (start) {
    const Region* region = change.after.FindPartition(*start);
    if (region == nullptr) {
      return Refuse(StorageErrorCode::kIoError,
                    fmt::format("the partition at {} reads back as none", *start));
    }
    change.region = *region;
  }
  return change;
}

std::uint32_t NewSignature(const SignatureIsFree& is_free) {
  while (true) {
    const std::uint32_t candidate = Guid::Random().Data1;
    if (candidate != 0 && (!is_free || is_free(candidate))) return candidate;
  }
}

Bytes EmptyEbr(std::uint32_t sector_size) {
  Bytes ebr(sector_size);
  SetBootMark(ebr);
  return ebr;
}

std::optional<std::size_t> LinkSlot(std::span<const std::byte> ebr) {
  for (std::size_t slot = 0; slot < 4; ++slot) {
    const MbrEntry entry = GetEntry(ebr, slot);
    if (entry.Used() && IsExtendedType(entry.type)) return slot;
  }
  return std::nullopt;
}

/// A slot of an EBR without a drive that its link, if any, does not take.
std::size_t DriveSlot(std::span<const std::byte> ebr) { return LinkSlot(ebr) == 0 ? 1 : 0; }

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

struct Range {
  std::uint64_t start = 0;
  std::uint64_t length = 0;
};

/// Checks the range asked for against the free region and rounds it as `request.alignment` says.
StorageResult<Range> Place(const CreateRequest& request, const Region& free, const DiskLayout& layout,
                           const DiskGeometry& geometry) {
  const std::uint32_t sector = geometry.bytesPerSector;
  if (request.start < 0 || request.length < 0) {
    return Refuse(StorageErrorCode::kOutOfRange,
                  fmt::format("start {} or length {} is negative", request.start, request.length));
  }
  Range range{static_cast<std::uint64_t>(request.start), static_cast<std::uint64_t>(request.length)};
  if (range.length == 0) return Refuse(StorageErrorCode::kTooSmall, "length is 0");
  if (range.start < free.start || range.start >= free.End() || range.length > free.End() - range.start) {
    const bool meets_used = std::ranges::any_of(layout.regions, [&](const Region& region) {
      return HoldsData(region.kind) && region.start < range.start + range.length &&
             range.start < region.End();
    });
    return Refuse(meets_used ? StorageErrorCode::kNotFree : StorageErrorCode::kOutOfRange,
                  fmt::format("{} octets at {} leave the free region of {} octets at {}", range.length,
                              range.start, free.length, free.start));
  }
  if (request.alignment == Alignment::kCylinder && layout.style == PartitionStyle::kMbr) {
    const std::uint64_t cylinder = geometry.BytesPerCylinder();
    const std::uint64_t before = request.kind == RegionKind::kLogical ? geometry.BytesPerTrack() : 0;
    const std::uint64_t end = std::min(RoundUp(range.start + range.length, cylinder), free.End());
    if (range.start != free.start) range.start = RoundUp(range.start - before, cylinder) + before;
    if (range.start >= end) {
      return Refuse(StorageErrorCode::kTooSmall,
                    fmt::format("nothing is left of {} octets after cylinder rounding", range.length));
    }
    range.length = end - range.start;
  }
  if (range.start % sector != 0 || range.length % sector != 0) {
    return Refuse(StorageErrorCode::kMisaligned,
                  fmt::format("start {} and length {} are not both multiples of {}", range.start,
                              range.length, sector));
  }
  return range;
}

StorageResult<void> Wipe(BlockDevice& device, const Range& range) {
  const Bytes zeros(std::min(kWipeBytes, range.length));
  if (auto done = device.Write(range.start, zeros); !done) return DeviceFailed(done.error());
  if (auto done = device.Flush(); !done) return DeviceFailed(done.error());
  return {};
}

StorageResult<void> CreateInMbr(BlockDevice& device, DiskTable& table, RegionKind kind, const Range& range) {
  const DiskGeometry& geometry = device.Geometry();
  const std::uint32_t sector = geometry.bytesPerSector;
  std::optional<std::size_t> slot;
  for (std::size_t i = 4; i-- > 0;) {
    const MbrEntry entry = GetEntry(table.mbr, i);
    if (!entry.Used()) slot = i;
    if (kind == RegionKind::kExtended && entry.Used() && IsExtendedType(entry.type)) {
      return Refuse(StorageErrorCode::kExtendedExists, "the disk has an extended partition already");
    }
  }
  if (!slot) return Refuse(StorageErrorCode::kTableFull, "all four entries of the MBR are in use");
  MbrEntry entry{0, kMbrTypeIfs, static_cast<std::uint32_t>(range.start / sector),
                 static_cast<std::uint32_t>(range.length / sector)};
  if (kind == RegionKind::kExtended) {
    if (range.length < geometry.BytesPerTrack() + sector) {
      return Refuse(StorageErrorCode::kTooSmall,
                    fmt::format("{} octets hold no logical drive behind a track of {} octets", range.length,
                                geometry.BytesPerTrack()));
    }
    entry.type = kMbrTypeExtended;
    if (auto done = WriteSector(device, range.start / sector, EmptyEbr(sector)); !done) return done;
  } else {
    if (auto done = Wipe(device, range); !done) return done;
  }
  SetEntry(table.mbr, *slot, entry, entry.start, geometry);
  return WriteSector(device, 0, table.mbr);
}

StorageResult<void> CreateLogical(BlockDevice& device, DiskTable& table, const Range& range) {
  const DiskGeometry& geometry = device.Geometry();
  const std::uint32_t sector = geometry.bytesPerSector;
  const std::uint64_t base = table.chain.front().sector;
  const std::uint64_t data = range.start / sector;
  const std::uint64_t own = data - geometry.sectorsPerTrack;
  const MbrEntry drive{0, kMbrTypeIfs, geometry.sectorsPerTrack,
                       static_cast<std::uint32_t>(range.length / sector)};
  if (auto done = Wipe(device, range); !done) return done;

  if (own == base) {
    Bytes& first = table.chain.front().raw;
    SetEntry(first, DriveSlot(first), drive, data, geometry);
    return WriteSector(device, base, first);
  }
  EbrNode* previous = &table.chain.front();
  for (EbrNode& node : table.chain) {
    if (node.sector < own && node.sector > previous->sector) previous = &node;
  }
  Bytes ebr = EmptyEbr(sector);
  SetEntry(ebr, 0, drive, data, geometry);
  const auto link = LinkSlot(previous->raw);
  if (link) CopyEntry(previous->raw, *link, ebr, 1);
  if (auto done = WriteSector(device, own, ebr); !done) return done;

  // A link covers the EBR it leads to and that EBR's drive.
  std::size_t slot = link.value_or(1);
  if (!link && GetEntry(previous->raw, slot).Used()) slot = 0;
  SetEntry(previous->raw, slot,
           {0, kMbrTypeExtended, static_cast<std::uint32_t>(own - base),
            static_cast<std::uint32_t>(data + drive.sectors - own)},
           own, geometry);
  return WriteSector(device, previous->sector, previous->raw);
}

StorageResult<void> CreateInGpt(BlockDevice& device, const GptTable& before, const Range& range) {
  const std::uint32_t sector = device.Geometry().bytesPerSector;
  GptTable after = before;
  for (std::uint32_t index = 0; index < before.entryCount; ++index) {
    if (!before.Entry(index).type.IsNull()) continue;
    after.SetEntry(index, {.type = kGptTypeBasicData,
                           .id = Guid::Random(),
                           .firstSector = range.start / sector,
                           .lastSector = (range.start + range.length) / sector - 1,
                           .attributes = 0,
                           .name = u"Basic data partition"});
    if (auto done = Wipe(device, range); !done) return done;
    return ReplaceGpt(device, before, after);
  }
  return Refuse(StorageErrorCode::kTableFull,
                fmt::format("all {} entries of the GPT are in use", before.entryCount));
}

StorageResult<void> DeleteLogical(BlockDevice& device, DiskTable& table, std::uint32_t place) {
  EbrNode& node = table.chain[place];
  if (place == 0) {
    for (std::size_t slot = 0; slot < 4; ++slot) {
      if (LinkSlot(node.raw) != slot) ClearEntry(node.raw, slot);
    }
    return WriteSector(device, node.sector, node.raw);
  }
  EbrNode& previous = table.chain[place - 1];
  const auto link = LinkSlot(previous.raw);
  if (!link) return Refuse(StorageErrorCode::kDamagedTable, "an EBR of the chain lost its link");
  if (const auto onward = LinkSlot(node.raw)) {
    CopyEntry(node.raw, *onward, previous.raw, *link);
  } else {
    ClearEntry(previous.raw, *link);
  }
  return WriteSector(device, previous.sector, previous.raw);
}

/// The slot of the logical drive that an EBR describes: the first one in use that is no link.
std::optional<std::size_t> DriveSlotInUse(std::span<const std::byte> ebr) {
  for (std::size_t slot = 0; slot < 4; ++slot) {
    const MbrEntry entry = GetEntry(ebr, slot);
    if (entry.Used() && !IsExtendedType(entry.type)) return slot;
  }
  return std::nullopt;
}

bool AnyMbrEntryUsed(std::span<const std::byte> mbr) {
  for (std::size_t slot = 0; slot < 4; ++slot) {
    if (GetEntry(mbr, slot).Used()) return true;
  }
  return false;
}

StorageResult<void> WriteEmptyMbr(BlockDevice& device, DiskTable& table, const SignatureIsFree& is_free) {
  const std::uint32_t sector = device.Geometry().bytesPerSector;
  Bytes mbr = table.mbr;
  if (table.layout.style == PartitionStyle::kUnknown || IsFileSystemBootSector(mbr)) {
    mbr.assign(sector, std::byte{0});
  }
  for (std::size_t slot = 0; slot < 4; ++slot) ClearEntry(mbr, slot);
  SetSignature(mbr, NewSignature(is_free));
  SetBootMark(mbr);
  if (auto done = WriteSector(device, 0, mbr); !done) return done;

  // Without its protective MBR a GPT is dead; what is left of it would only mislead repair tools.
  const std::uint64_t last = device.Geometry().Sectors() - 1;
  for (const std::uint64_t header : {std::uint64_t{1}, last}) {
    auto octets = device.Read(header * sector, 8);
    if (!octets) return DeviceFailed(octets.error());
    if (ToHex(*octets) != "45464920 50415254") continue;
    if (auto done = WriteSector(device, header, Bytes(sector)); !done) return done;
  }
  return {};
}

StorageResult<void> WriteEmptyGpt(BlockDevice& device, DiskTable& table, bool microsoft_reserved) {
  const DiskGeometry& geometry = device.Geometry();
  auto made = MakeGpt(geometry);
  if (!made) return tl::unexpected(made.error());
  if (microsoft_reserved) {
    const std::uint64_t length = geometry.sizeBytes < 16 * 1024 * kMiB ? 32 * kMiB : 128 * kMiB;
    if (length <= geometry.sizeBytes / 4) {
      made->SetEntry(0, {.type = kGptTypeMicrosoftReserved,
                         .id = Guid::Random(),
                         .firstSector = made->firstUsable,
                         .lastSector = made->firstUsable + length / geometry.bytesPerSector - 1,
                         .attributes = 0,
                         .name = u"Microsoft reserved partition"});
    }
  }
  if (table.gpt && table.gpt->entries.size() == made->entries.size() &&
      table.gpt->entrySize == made->entrySize) {
    GptTable after = *table.gpt;
    after.diskId = made->diskId;
    after.entries = made->entries;
    return ReplaceGpt(device, *table.gpt, after);
  }
  if (table.gpt) {
    return Refuse(StorageErrorCode::kDamagedTable,
                  fmt::format("a GPT of {} entries cannot become one of {} entries in one step",
                              table.gpt->entryCount, made->entryCount));
  }
  if (auto done = WriteNewGpt(device, *made); !done) return done;
  if (table.layout.style == PartitionStyle::kUnknown || IsFileSystemBootSector(table.mbr)) {
    table.mbr.assign(geometry.bytesPerSector, std::byte{0});
  }
  MakeProtective(table.mbr, geometry);
  return WriteSector(device, 0, table.mbr);
}

}  // namespace

StorageResult<Change> CreatePartition(BlockDevice& device, const CreateRequest& request) {
  auto table = ReadChangeable(device);
  if (!table) return tl::unexpected(table.error());
  const DiskLayout& layout = table->layout;
  const auto free = std::ranges::find_if(layout.regions, [&](const Region& region) {
    return IsFree(region.kind) && region.start == request.freeRegion;
  });
  if (free == layout.regions.end()) {
    if (layout.FindPartition(request.freeRegion) != nullptr) {
      return Refuse(StorageErrorCode::kNotFree, fmt::format("the region at {} is used", request.freeRegion));
    }
    return Refuse(StorageErrorCode::kNotFound, fmt::format("no region starts at {}", request.freeRegion));
  }
  const bool logical = request.kind == RegionKind::kLogical;
  const bool known = logical || request.kind == RegionKind::kPrimary || request.kind == RegionKind::kExtended;
  if (!known || logical != (free->kind == RegionKind::kExtendedFree)) {
    return Refuse(
        StorageErrorCode::kWrongType,
        fmt::format("{} does not go into {}", RegionKindName(request.kind), RegionKindName(free->kind)));
  }
  if (layout.style == PartitionStyle::kGpt && request.kind != RegionKind::kPrimary) {
    return Refuse(StorageErrorCode::kWrongType,
                  fmt::format("a GPT disk has no {} partitions", RegionKindName(request.kind)));
  }
  const auto range = Place(request, *free, layout, device.Geometry());
  if (!range) return tl::unexpected(range.error());

  StorageResult<void> done;
  if (layout.style == PartitionStyle::kGpt) {
    done = CreateInGpt(device, *table->gpt, *range);
  } else if (logical) {
    done = CreateLogical(device, *table, *range);
  } else {
    done = CreateInMbr(device, *table, request.kind, *range);
  }
  if (!done) return tl::unexpected(done.error());
  return Finish(device, std::move(*table), range->start);
}

StorageResult<Change> DeletePartition(BlockDevice& device, RegionKind kind, std::uint64_t start) {
  auto table = ReadChangeable(device);
  if (!table) return tl::unexpected(table.error());
  const Region* found = table->layout.FindPartition(start);
  if (found == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("no partition starts at {}", start));
  }
  const Region region = *found;
  if (region.kind != kind) {
    return Refuse(StorageErrorCode::kWrongType,
                  fmt::format("the partition at {} is {}, not {}", start, RegionKindName(region.kind),
                              RegionKindName(kind)));
  }
  StorageResult<void> done;
  if (table->layout.style == PartitionStyle::kGpt) {
    GptTable after = *table->gpt;
    after.ClearEntry(region.entry);
    done = ReplaceGpt(device, *table->gpt, after);
  } else if (kind == RegionKind::kLogical) {
    done = DeleteLogical(device, *table, region.entry);
  } else {
    const bool drives = std::ranges::any_of(
        table->layout.regions, [](const Region& other) { return other.kind == RegionKind::kLogical; });
    if (kind == RegionKind::kExtended && drives) {
      return Refuse(StorageErrorCode::kExtendedNotEmpty, "the extended partition holds logical drives");
    }
    ClearEntry(table->mbr, region.entry);
    // Boot code that begins like a file system would make an MBR without entries read as one.
    if (!AnyMbrEntryUsed(table->mbr) && IsFileSystemBootSector(table->mbr)) ClearBootCode(table->mbr);
    done = WriteSector(device, 0, table->mbr);
  }
  if (!done) return tl::unexpected(done.error());
  auto change = Finish(device, std::move(*table));
  if (change) change->region = region;
  return change;
}

StorageResult<Change> MarkActive(BlockDevice& device, std::uint64_t start) {
  auto table = ReadChangeable(device);
  if (!table) return tl::unexpected(table.error());
  if (table->layout.style != PartitionStyle::kMbr) {
    return Refuse(StorageErrorCode::kWrongStyle, "only partitions of MBR disks can be active");
  }
  const Region* region = table->layout.FindPartition(start);
  if (region == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("no partition starts at {}", start));
  }
  if (region->kind != RegionKind::kPrimary) {
    return Refuse(StorageErrorCode::kWrongType,
                  fmt::format("the partition at {} is {}, not primary", start, RegionKindName(region->kind)));
  }
  Bytes sector = table->mbr;
  for (std::size_t slot = 0; slot < 4; ++slot) SetBootFlag(sector, slot, slot == region->entry);
  if (sector != table->mbr) {
    if (auto done = WriteSector(device, 0, sector); !done) return tl::unexpected(done.error());
    table->mbr = std::move(sector);
  }
  return Finish(device, std::move(*table), start);
}

std::uint8_t MbrTypeOf(FileSystemType type, const Region& region, const DiskGeometry& geometry) {
  switch (type) {
    case FileSystemType::kFat12:
      return kMbrTypeFat12;
    case FileSystemType::kFat16:
      return region.length < 32 * kMiB ? kMbrTypeFat16 : kMbrTypeHugeFat16;
    case FileSystemType::kFat32:
      return region.End() > kChsCylinders * geometry.BytesPerCylinder() ? kMbrTypeFat32Lba : kMbrTypeFat32;
    default:
      return kMbrTypeIfs;
  }
}

namespace {

/// SetPartitionType and SetMbrType: `type_of` gives the type for the region found.
StorageResult<Change> Retype(BlockDevice& device, std::uint64_t start,
                             const std::function<std::uint8_t(const Region&)>& type_of) {
  auto table = ReadChangeable(device);
  if (!table) return tl::unexpected(table.error());
  if (table->layout.style != PartitionStyle::kMbr) {
    return Refuse(StorageErrorCode::kWrongStyle, "only partitions of MBR disks have a type by file system");
  }
  const Region* region = table->layout.FindPartition(start);
  if (region == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("no partition starts at {}", start));
  }
  if (!HoldsData(region->kind)) {
    return Refuse(StorageErrorCode::kWrongType,
                  fmt::format("the partition at {} is {}", start, RegionKindName(region->kind)));
  }
  const std::uint8_t wanted = type_of(*region);
  if (region->mbrType != wanted) {
    StorageResult<void> done;
    if (region->kind == RegionKind::kLogical) {
      EbrNode& node = table->chain[region->entry];
      const auto slot = DriveSlotInUse(node.raw);
      if (!slot) return Refuse(StorageErrorCode::kDamagedTable, "an EBR of the chain lost its drive");
      SetEntryType(node.raw, *slot, wanted);
      done = WriteSector(device, node.sector, node.raw);
    } else {
      SetEntryType(table->mbr, region->entry, wanted);
      done = WriteSector(device, 0, table->mbr);
    }
    if (!done) return tl::unexpected(done.error());
  }
  return Finish(device, std::move(*table), start);
}

}  // namespace

StorageResult<Change> SetPartitionType(BlockDevice& device, std::uint64_t start, FileSystemType type) {
  return Retype(device, start,
                [&](const Region& region) { return MbrTypeOf(type, region, device.Geometry()); });
}

StorageResult<Change> SetMbrType(BlockDevice& device, std::uint64_t start, std::uint8_t type) {
  if (type == kMbrTypeUnused || IsExtendedType(type)) {
    return Refuse(StorageErrorCode::kWrongType, fmt::format("type {:02x} is no data partition's", type));
  }
  return Retype(device, start, [type](const Region&) { return type; });
}

StorageResult<Change> WriteSignature(BlockDevice& device, const SignatureIsFree& signature_is_free) {
  auto table = ReadTable(device);
  if (!table) return tl::unexpected(table.error());
  const DiskLayout& layout = table->layout;
  if (layout.style == PartitionStyle::kMbr && layout.mbrSignature == 0 && AnyMbrEntryUsed(table->mbr)) {
    return ReplaceIdentity(device, signature_is_free);
  }
  return InitializeStyle(device, {.style = PartitionStyle::kMbr, .signatureIsFree = signature_is_free});
}

StorageResult<Change> InitializeStyle(BlockDevice& device, const InitializeOptions& options) {
  if (options.style == PartitionStyle::kUnknown) {
    return Refuse(StorageErrorCode::kWrongStyle, "a disk is initialized as MBR or as GPT");
  }
  if (device.ReadOnly()) return Refuse(StorageErrorCode::kReadOnly, "the disk is read-only");
  const DiskGeometry& geometry = device.Geometry();
  if (geometry.Sectors() <= geometry.sectorsPerTrack) {
    return Refuse(StorageErrorCode::kDiskTooSmall,
                  fmt::format("a disk of {} sectors is no longer than its first track of {}",
                              geometry.Sectors(), geometry.sectorsPerTrack));
  }
  auto table = ReadTable(device);
  if (!table) return tl::unexpected(table.error());
  if (table->layout.dynamic) return Refuse(StorageErrorCode::kDynamicDisk, "the disk has LDM partitions");
  if (table->layout.HasPartitions() ||
      (table->layout.style == PartitionStyle::kMbr && AnyMbrEntryUsed(table->mbr))) {
    return Refuse(StorageErrorCode::kNotEmpty, "the disk has partitions");
  }
  if (const TableAnomaly* anomaly = table->layout.BlockingAnomaly()) {
    return Refuse(StorageErrorCode::kDamagedTable, fmt::format("{} at {}: {}", TableFaultName(anomaly->fault),
                                                               anomaly->offset, anomaly->message));
  }
  const auto done = options.style == PartitionStyle::kMbr
                        ? WriteEmptyMbr(device, *table, options.signatureIsFree)
                        : WriteEmptyGpt(device, *table, options.microsoftReserved);
  if (!done) return tl::unexpected(done.error());
  return Finish(device, std::move(*table));
}

StorageResult<Change> ReplaceIdentity(BlockDevice& device, const SignatureIsFree& signature_is_free) {
  auto table = ReadChangeable(device);
  if (!table) return tl::unexpected(table.error());
  StorageResult<void> done;
  if (table->gpt) {
    GptTable after = *table->gpt;
    after.diskId = Guid::Random();
    done = ReplaceGpt(device, *table->gpt, after);
  } else {
    SetSignature(table->mbr, NewSignature(signature_is_free));
    done = WriteSector(device, 0, table->mbr);
  }
  if (!done) return tl::unexpected(done.error());
  return Finish(device, std::move(*table));
}

}  // namespace dmrp::server
