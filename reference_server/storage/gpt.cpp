#include "reference_server/storage/gpt.hpp"

#include "reference_server/storage/crc32.hpp"
#include "reference_server/storage/little_endian.hpp"
#include "reference_server/storage/mbr.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

namespace dmrp::server {

const Guid kGptTypeBasicData{0xEBD0A0A2, 0xB9E5, 0x4433, {0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7}};
const Guid kGptTypeMicrosoftReserved{
    0xE3C9E316, 0x0B5C, 0x4DB8, {0x81, 0x7D, 0xF9, 0x2D, 0xF0, 0x02, 0x15, 0xAE}};
const Guid kGptTypeLdmMetadata{0x5808C8AA, 0x7E8F, 0x42E0, {0x85, 0xD2, 0xE1, 0xE9, 0x04, 0x34, 0xCF, 0xB3}};
const Guid kGptTypeLdmData{0xAF9B60A0, 0x1431, 0x4F62, {0xBC, 0x68, 0x33, 0x11, 0x71, 0x4A, 0x69, 0xAD}};

namespace {

constexpr std::string_view kSignature = "EFI PART";
constexpr std::uint32_t kRevision = 0x00010000;
constexpr std::uint32_t kHeaderSize = 92;
constexpr std::uint64_t kPrimaryAt = 1;
constexpr std::size_t kNameAt = 56;

struct Copy {
  GptTable table;  // of it diskId, usable range, count, size and entries
  std::uint64_t alternate = 0;
  std::uint64_t entriesAt = 0;
};

Guid LoadGuid(std::span<const std::byte> from, std::size_t offset) {
  return Guid::FromBytes(std::span<const std::byte, 16>(from.data() + offset, 16));
}

void StoreGuid(std::span<std::byte> into, std::size_t offset, const Guid& guid) {
  const auto octets = guid.ToBytes();
  std::memcpy(into.data() + offset, octets.data(), octets.size());
}

/// Reads the copy whose header lies at `sector`; a text says why it is unusable.
StorageResult<tl::expected<Copy, std::string>> ReadCopy(BlockDevice& device, std::uint64_t sector) {
  using Outcome = tl::expected<Copy, std::string>;
  const auto bad = [](std::string why) { return Outcome(tl::unexpect, std::move(why)); };
  const std::uint32_t size = device.Geometry().bytesPerSector;
  const std::uint64_t total = device.Geometry().Sectors();
  if (sector >= total) return bad(fmt::format("header sector {} lies beyond the disk", sector));
  auto header = device.Read(sector * size, size);
  if (!header) return DeviceFailed(header.error());

  if (std::memcmp(header->data(), kSignature.data(), kSignature.size()) != 0) return bad("no EFI PART");
  const auto header_size = LoadLe<std::uint32_t>(*header, 12);
  if (header_size < kHeaderSize || header_size > size) {
    return bad(fmt::format("header size {} is not {} to {}", header_size, kHeaderSize, size));
  }
  const auto crc = LoadLe<std::uint32_t>(*header, 16);
  StoreLe(std::span<std::byte>(*header), 16, std::uint32_t{0});
  if (const auto actual = Crc32(std::span<const std::byte>(*header).first(header_size)); actual != crc) {
    return bad(fmt::format("header CRC {:08X} instead of {:08X}", crc, actual));
  }
  if (const auto revision = LoadLe<std::uint32_t>(*header, 8); revision >> 16 != 1) {
    return bad(fmt::format("revision {:08X}", revision));
  }
  if (const auto own = LoadLe<std::uint64_t>(*header, 24); own != sector) {
    return bad(fmt::format("header at sector {} says it is at {}", sector, own));
  }
  Copy copy;
  copy.alternate = LoadLe<std::uint64_t>(*header, 32);
  copy.table.firstUsable = LoadLe<std::uint64_t>(*header, 40);
  copy.table.lastUsable = LoadLe<std::uint64_t>(*header, 48);
  copy.table.diskId = LoadGuid(*header, 56);
  copy.entriesAt = LoadLe<std::uint64_t>(*header, 72);
  copy.table.entryCount = LoadLe<std::uint32_t>(*header, 80);
  copy.table.entrySize = LoadLe<std::uint32_t>(*header, 84);

  if (copy.table.entryCount == 0 || copy.table.entryCount > kGptMaxEntries) {
    return bad(fmt::format("{} entries, more than {} or none", copy.table.entryCount, kGptMaxEntries));
  }
  const std::uint32_t entry_size = copy.table.entrySize;
  if (entry_size < kGptEntrySize || entry_size > kMaxSectorSize || (entry_size & (entry_size - 1)) != 0) {
    return bad(fmt::format("entry size {}", entry_size));
  }
  if (copy.table.firstUsable > copy.table.lastUsable || copy.table.lastUsable >= total) {
    return bad(
        fmt::format("usable sectors {} to {} of {}", copy.table.firstUsable, copy.table.lastUsable, total));
  }
  const std::uint64_t array = std::uint64_t{copy.table.entryCount} * entry_size;
  const std::uint64_t array_sectors = (array + size - 1) / size;
  if (copy.entriesAt < 2 || copy.entriesAt >= total || array_sectors > total - copy.entriesAt) {
    return bad(fmt::format("entries at sector {} of {}", copy.entriesAt, total));
  }
  const std::uint64_t array_end = copy.entriesAt + array_sectors;
  if ((sector >= copy.entriesAt && sector < array_end) ||
      (copy.entriesAt <= copy.table.lastUsable && array_end > copy.table.firstUsable) ||
      (sector >= copy.table.firstUsable && sector <= copy.table.lastUsable)) {
    return bad("header, entries and usable sectors overlap");
  }
  auto entries = device.Read(copy.entriesAt * size, static_cast<std::size_t>(array));
  if (!entries) return DeviceFailed(entries.error());
  const auto entries_crc = LoadLe<std::uint32_t>(*header, 88);
  if (const auto actual = Crc32(*entries); actual != entries_crc) {
    return bad(fmt::format("entries CRC {:08X} instead of {:08X}", entries_crc, actual));
  }
  copy.table.entries = std::move(*entries);
  return Outcome(std::move(copy));
}

StorageResult<void> WriteCopy(BlockDevice& device, const GptTable& table, bool primary) {
  const std::uint32_t size = device.Geometry().bytesPerSector;
  const std::uint64_t own = primary ? kPrimaryAt : table.backupAt;
  const std::uint64_t entries_at = primary ? table.primaryEntriesAt : table.backupEntriesAt;

  Bytes array = table.entries;
  array.resize(table.EntrySectors(size) * size);
  if (auto done = device.Write(entries_at * size, array); !done) return DeviceFailed(done.error());
  if (auto done = device.Flush(); !done) return DeviceFailed(done.error());

  Bytes header(size);
  const std::span<std::byte> octets(header);
  std::memcpy(header.data(), kSignature.data(), kSignature.size());
  StoreLe(octets, 8, kRevision);
  StoreLe(octets, 12, kHeaderSize);
  StoreLe(octets, 24, own);
  StoreLe(octets, 32, primary ? table.backupAt : kPrimaryAt);
  StoreLe(octets, 40, table.firstUsable);
  StoreLe(octets, 48, table.lastUsable);
  StoreGuid(octets, 56, table.diskId);
  StoreLe(octets, 72, entries_at);
  StoreLe(octets, 80, table.entryCount);
  StoreLe(octets, 84, table.entrySize);
  StoreLe(octets, 88, Crc32(table.entries));
  StoreLe(octets, 16, Crc32(octets.first(kHeaderSize)));
  if (auto done = device.Write(own * size, header); !done) return DeviceFailed(done.error());
  if (auto done = device.Flush(); !done) return DeviceFailed(done.error());
  return {};
}

}  // namespace

GptEntry GptTable::Entry(std::uint32_t index) const {
  const auto octets = std::span<const std::byte>(entries).subspan(std::size_t{index} * entrySize, entrySize);
  GptEntry entry{.type = LoadGuid(octets, 0),
                 .id = LoadGuid(octets, 16),
                 .firstSector = LoadLe<std::uint64_t>(octets, 32),
                 .lastSector = LoadLe<std::uint64_t>(octets, 40),
                 .attributes = LoadLe<std::uint64_t>(octets, 48),
                 .name = {}};
  for (std::size_t i = 0; i < kGptNameUnits; ++i) {
    const auto unit = static_cast<char16_t>(LoadLe<std::uint16_t>(octets, kNameAt + 2 * i));
    if (unit == 0) break;
    entry.name.push_back(unit);
  }
  return entry;
}

void GptTable::SetEntry(std::uint32_t index, const GptEntry& entry) {
  ClearEntry(index);
  const auto octets = std::span<std::byte>(entries).subspan(std::size_t{index} * entrySize, entrySize);
  StoreGuid(octets, 0, entry.type);
  StoreGuid(octets, 16, entry.id);
  StoreLe(octets, 32, entry.firstSector);
  StoreLe(octets, 40, entry.lastSector);
  StoreLe(octets, 48, entry.attributes);
  for (std::size_t i = 0; i < std::min(kGptNameUnits, entry.name.size()); ++i) {
    StoreLe(octets, kNameAt + 2 * i, static_cast<std::uint16_t>(entry.name[i]));
  }
}

void GptTable::ClearEntry(std::uint32_t index) {
  std::ranges::fill(std::span<std::byte>(entries).subspan(std::size_t{index} * entrySize, entrySize),
                    std::byte{0});
}

bool IsProtectiveMbr(std::span<const std::byte> mbr) {
  if (!HasBootMark(mbr)) return false;
  for (std::size_t slot = 0; slot < 4; ++slot) {
    const MbrEntry entry = GetEntry(mbr, slot);
    if (entry.type == kMbrTypeProtective && entry.start == 1) return true;
  }
  return false;
}

StorageResult<GptTable> MakeGpt(const DiskGeometry& geometry) {
  GptTable table;
  table.entries.resize(std::size_t{kGptEntries} * kGptEntrySize);
  const std::uint64_t array = table.EntrySectors(geometry.bytesPerSector);
  const std::uint64_t total = geometry.Sectors();
  if (total < 3 + 2 * array + 1) {
    return Refuse(StorageErrorCode::kDiskTooSmall,
                  fmt::format("a GPT needs {} sectors, the disk has {}", 3 + 2 * array + 1, total));
  }
  table.diskId = Guid::Random();
  table.firstUsable = 2 + array;
  table.lastUsable = total - 2 - array;
  table.backupAt = total - 1;
  table.backupEntriesAt = total - 1 - array;
  return table;
}

StorageResult<std::optional<GptTable>> ReadGpt(BlockDevice& device, std::vector<TableAnomaly>& anomalies) {
  const std::uint32_t size = device.Geometry().bytesPerSector;
  const std::uint64_t total = device.Geometry().Sectors();
  if (total < 3) return std::optional<GptTable>{};
  auto primary = ReadCopy(device, kPrimaryAt);
  if (!primary) return tl::unexpected(primary.error());
  const std::uint64_t backup_at =
      *primary && (*primary)->alternate > kPrimaryAt && (*primary)->alternate < total ? (*primary)->alternate
                                                                                      : total - 1;
  auto backup = ReadCopy(device, backup_at);
  if (!backup) return tl::unexpected(backup.error());

  const auto report = [&](std::uint64_t sector, std::string message) {
    anomalies.push_back({TableFault::kGptCopyBad, sector * size, std::move(message)});
  };
  if (!*primary) report(kPrimaryAt, fmt::format("primary GPT: {}", primary->error()));
  if (!*backup) report(backup_at, fmt::format("backup GPT: {}", backup->error()));
  if (!*primary && !*backup) return std::optional<GptTable>{};

  GptTable table = *primary ? (*primary)->table : (*backup)->table;
  table.backupAt = backup_at;
  const std::uint64_t array = table.EntrySectors(size);
  table.primaryEntriesAt = *primary ? (*primary)->entriesAt : 2;
  // 0 is refused by ReplaceGpt: there is no place for a backup.
  table.backupEntriesAt = backup_at > array ? backup_at - array : 0;
  if (*backup) table.backupEntriesAt = (*backup)->entriesAt;
  table.copies = *primary ? GptCopies::kBoth : GptCopies::kBackupOnly;
  if (*primary && !*backup) table.copies = GptCopies::kPrimaryOnly;
  if (*primary && *backup &&
      ((*backup)->table.diskId != table.diskId || (*backup)->table.entries != table.entries)) {
    report(backup_at, "backup GPT: not the same table as the primary one");
    table.copies = GptCopies::kPrimaryOnly;
  }
  return std::optional<GptTable>(std::move(table));
}

StorageResult<void> ReplaceGpt(BlockDevice& device, const GptTable& before, const GptTable& after) {
  const std::uint64_t array = before.EntrySectors(device.Geometry().bytesPerSector);
  const bool primary_fits = before.primaryEntriesAt + array <= before.firstUsable;
  const bool backup_fits = before.backupEntriesAt > before.lastUsable &&
                           before.backupEntriesAt + array <= device.Geometry().Sectors() &&
                           before.backupAt > before.lastUsable;
  if (!primary_fits || !backup_fits) {
    return Refuse(StorageErrorCode::kDamagedTable, "no room for both copies of the GPT where they belong");
  }
  if (before.copies == GptCopies::kBackupOnly) {
    if (auto done = WriteCopy(device, before, true); !done) return done;
  }
  if (auto done = WriteCopy(device, after, false); !done) return done;
  return WriteCopy(device, after, true);
}

StorageResult<void> WriteNewGpt(BlockDevice& device, const GptTable& table) {
  if (auto done = WriteCopy(device, table, false); !done) return done;
  return WriteCopy(device, table, true);
}

void MakeProtective(std::span<std::byte> mbr, const DiskGeometry& geometry) {
  SetSignature(mbr, 0);
  for (std::size_t slot = 0; slot < 4; ++slot) ClearEntry(mbr, slot);
  const auto sectors =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(geometry.Sectors() - 1, 0xFFFFFFFF));
  // UEFI counts heads and sectors of the protective entry by the maximal geometry, whatever the disk's is.
  DiskGeometry widest = geometry;
  widest.heads = 255;
  widest.sectorsPerTrack = 63;
  SetEntry(mbr, 0, {0, kMbrTypeProtective, 1, sectors}, 1, widest);
  SetBootMark(mbr);
}

}  // namespace dmrp::server
