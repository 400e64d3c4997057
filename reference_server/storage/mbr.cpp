#include "reference_server/storage/mbr.hpp"

#include "reference_server/storage/little_endian.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kSignatureAt = 0x1B8;
constexpr std::size_t kEntriesAt = 0x1BE;
constexpr std::size_t kEntrySize = 16;
constexpr std::size_t kMarkAt = 510;
constexpr std::size_t kSlots = 4;

bool TextAt(std::span<const std::byte> sector, std::size_t offset, std::string_view text) {
  return std::memcmp(sector.data() + offset, text.data(), text.size()) == 0;
}

}  // namespace

std::array<std::uint8_t, 3> EncodeChs(std::uint64_t sector, const DiskGeometry& geometry) {
  const std::uint64_t heads = std::min<std::uint64_t>(geometry.heads, 255);
  const std::uint64_t sectors = std::min<std::uint64_t>(geometry.sectorsPerTrack, 63);
  std::uint64_t cylinder = sector / (heads * sectors);
  std::uint64_t head = sector / sectors % heads;
  std::uint64_t number = sector % sectors + 1;
  if (cylinder > 1023) {
    cylinder = 1023;
    head = heads - 1;
    number = sectors;
  }
  return {static_cast<std::uint8_t>(head), static_cast<std::uint8_t>(number | ((cylinder >> 2) & 0xC0)),
          static_cast<std::uint8_t>(cylinder & 0xFF)};
}

bool HasBootMark(std::span<const std::byte> sector) {
  return sector[kMarkAt] == std::byte{0x55} && sector[kMarkAt + 1] == std::byte{0xAA};
}

bool IsFileSystemBootSector(std::span<const std::byte> sector) {
  if (!HasBootMark(sector)) return false;
  const bool jump =
      sector[0] == std::byte{0xE9} || (sector[0] == std::byte{0xEB} && sector[2] == std::byte{0x90});
  if (!jump) return false;
  if (TextAt(sector, 3, "NTFS    ")) return true;
  const auto bytes = LoadLe<std::uint16_t>(sector, 11);
  const auto cluster = static_cast<std::uint8_t>(sector[13]);
  const auto media = static_cast<std::uint8_t>(sector[21]);
  const auto reserved = LoadLe<std::uint16_t>(sector, 14);
  const auto fats = static_cast<std::uint8_t>(sector[16]);
  return bytes >= kMinSectorSize && bytes <= kMaxSectorSize && (bytes & (bytes - 1)) == 0 && cluster != 0 &&
         (cluster & (cluster - 1)) == 0 && (media == 0xF0 || media >= 0xF8) && reserved != 0 && fats >= 1 &&
         fats <= 2;
}

MbrEntry GetEntry(std::span<const std::byte> sector, std::size_t slot) {
  const std::size_t at = kEntriesAt + slot * kEntrySize;
  return {static_cast<std::uint8_t>(sector[at]), static_cast<std::uint8_t>(sector[at + 4]),
          LoadLe<std::uint32_t>(sector, at + 8), LoadLe<std::uint32_t>(sector, at + 12)};
}

void SetEntry(std::span<std::byte> sector, std::size_t slot, const MbrEntry& entry,
              std::uint64_t absolute_start, const DiskGeometry& geometry) {
  const std::size_t at = kEntriesAt + slot * kEntrySize;
  const auto first = EncodeChs(absolute_start, geometry);
  const auto last = EncodeChs(absolute_start + std::max<std::uint32_t>(entry.sectors, 1) - 1, geometry);
  sector[at] = static_cast<std::byte>(entry.bootFlag);
  for (std::size_t i = 0; i < 3; ++i) {
    sector[at + 1 + i] = static_cast<std::byte>(first[i]);
    sector[at + 5 + i] = static_cast<std::byte>(last[i]);
  }
  sector[at + 4] = static_cast<std::byte>(entry.type);
  StoreLe(sector, at + 8, entry.start);
  StoreLe(sector, at + 12, entry.sectors);
}

void ClearEntry(std::span<std::byte> sector, std::size_t slot) {
  std::ranges::fill(sector.subspan(kEntriesAt + slot * kEntrySize, kEntrySize), std::byte{0});
}

void CopyEntry(std::span<const std::byte> from, std::size_t from_slot, std::span<std::byte> into,
               std::size_t into_slot) {
  std::ranges::copy(from.subspan(kEntriesAt + from_slot * kEntrySize, kEntrySize),
                    into.begin() + static_cast<std::ptrdiff_t>(kEntriesAt + into_slot * kEntrySize));
}

void SetEntryType(std::span<std::byte> sector, std::size_t slot, std::uint8_t type) {
  sector[kEntriesAt + slot * kEntrySize + 4] = static_cast<std::byte>(type);
}

void SetBootFlag(std::span<std::byte> sector, std::size_t slot, bool active) {
  sector[kEntriesAt + slot * kEntrySize] = active ? std::byte{0x80} : std::byte{0};
}

void SetBootMark(std::span<std::byte> sector) {
  sector[kMarkAt] = std::byte{0x55};
  sector[kMarkAt + 1] = std::byte{0xAA};
}

std::uint32_t GetSignature(std::span<const std::byte> mbr) {
  return LoadLe<std::uint32_t>(mbr, kSignatureAt);
}

void SetSignature(std::span<std::byte> mbr, std::uint32_t signature) {
  StoreLe(mbr, kSignatureAt, signature);
}

void ClearBootCode(std::span<std::byte> mbr) { std::ranges::fill(mbr.first(kSignatureAt), std::byte{0}); }

StorageResult<std::vector<EbrNode>> ReadEbrChain(BlockDevice& device, std::uint64_t start,
                                                 std::uint64_t sectors,
                                                 std::vector<TableAnomaly>& anomalies) {
  const std::uint32_t sector_size = device.Geometry().bytesPerSector;
  const std::uint64_t end = std::min(start + sectors, device.Geometry().Sectors());
  std::vector<EbrNode> chain;
  std::set<std::uint64_t> visited;
  const auto report = [&](TableFault fault, std::uint64_t sector, std::string message) {
    anomalies.push_back({fault, sector * sector_size, std::move(message)});
  };

  for (std::optional<std::uint64_t> next = start; next;) {
    const std::uint64_t here = *next;
    next.reset();
    if (chain.size() == kMaxLogicalDrives) {
      report(TableFault::kEbrTooMany, here, fmt::format("more than {} EBRs", kMaxLogicalDrives));
      break;
    }
    visited.insert(here);
    auto raw = device.Read(here * sector_size, sector_size);
    if (!raw) return DeviceFailed(raw.error());
    if (!HasBootMark(*raw)) {
      report(TableFault::kEbrSignature, here, fmt::format("no 55 AA in the EBR at sector {}", here));
      break;
    }
    EbrNode node{.sector = here, .raw = std::move(*raw)};
    bool linked = false;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      const MbrEntry entry = GetEntry(node.raw, slot);
      if (!entry.Used()) continue;
      if (IsExtendedType(entry.type)) {
        const std::uint64_t target = start + entry.start;
        if (linked) {
          report(TableFault::kEbrExtraEntry, here, fmt::format("second link in the EBR at sector {}", here));
          continue;
        }
        linked = true;
        if (target >= end) {
          report(TableFault::kEbrOutside, here,
                 fmt::format("link to sector {} beyond the extended partition", target));
        } else if (visited.contains(target)) {
          report(TableFault::kEbrLoop, here, fmt::format("link back to the EBR at sector {}", target));
        } else {
          next = target;
        }
        continue;
      }
      if (node.HasData()) {
        report(TableFault::kEbrExtraEntry, here, fmt::format("second drive in the EBR at sector {}", here));
        continue;
      }
      const std::uint64_t data = here + entry.start;
      if (entry.start == 0 || data >= end || entry.sectors > end - data) {
        report(TableFault::kEbrOutside, here,
               fmt::format("logical drive at sector {} of {} sectors leaves the extended partition", data,
                           entry.sectors));
        continue;
      }
      node.type = entry.type;
      node.dataStart = data;
      node.dataSectors = entry.sectors;
    }
    chain.push_back(std::move(node));
  }
  return chain;
}

}  // namespace dmrp::server
