#include "harness/layout/image_diff.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

constexpr std::size_t kMbrEntry0 = 446;
constexpr std::size_t kMbrEntryBytes = 16;
constexpr std::size_t kMostChainLinks = 256;
constexpr std::uint32_t kMostGptEntries = 1024;

struct Field {
  std::uint32_t offset, length;
  const char* name;
};

constexpr std::array kMbrEntryFields{Field{0, 1, "boot indicator"}, Field{1, 3, "first CHS"},
                                     Field{4, 1, "type"},           Field{5, 3, "last CHS"},
                                     Field{8, 4, "start"},          Field{12, 4, "length"}};
constexpr std::array kGptHeaderFields{
    Field{0, 8, "magic"},          Field{8, 4, "revision"},      Field{12, 4, "header size"},
    Field{16, 4, "header CRC"},    Field{20, 4, "reserved"},     Field{24, 8, "own LBA"},
    Field{32, 8, "other LBA"},     Field{40, 8, "first usable"}, Field{48, 8, "last usable"},
    Field{56, 16, "disk GUID"},    Field{72, 8, "entries LBA"},  Field{80, 4, "number of entries"},
    Field{84, 4, "size of entry"}, Field{88, 4, "entries CRC"}};
constexpr std::array kGptEntryFields{Field{0, 16, "type"},       Field{16, 16, "GUID"},
                                     Field{32, 8, "first LBA"},  Field{40, 8, "last LBA"},
                                     Field{48, 8, "attributes"}, Field{56, 72, "name"}};

template <typename T>
T Little(std::span<const std::byte> bytes, std::size_t offset) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<T>(std::to_integer<std::uint8_t>(bytes[offset + i])) << (8 * i));
  }
  return value;
}

bool HasBootSignature(std::span<const std::byte> sector) {
  return sector[510] == std::byte{0x55} && sector[511] == std::byte{0xAA};
}

bool IsExtendedType(std::uint8_t type) { return type == 0x05 || type == 0x0F || type == 0x85; }

struct MbrEntry {
  std::uint8_t type;
  std::uint32_t start, length;
};

MbrEntry ReadEntry(std::span<const std::byte> sector, std::size_t index) {
  const std::size_t at = kMbrEntry0 + index * kMbrEntryBytes;
  return {std::to_integer<std::uint8_t>(sector[at + 4]), Little<std::uint32_t>(sector, at + 8),
          Little<std::uint32_t>(sector, at + 12)};
}

}  // namespace

StructureNamer::StructureNamer(const ReadAt& read, std::uint64_t size_bytes, std::uint32_t sector_bytes)
    : size_bytes_(size_bytes), sector_bytes_(std::max(sector_bytes, 512U)) {
  ReadMbr(read);
  ReadGpt(read);
}

void StructureNamer::Add(std::uint64_t start, std::uint64_t length, std::string name) {
  if (start >= size_bytes_ || length == 0) return;
  ranges_.push_back({start, start + std::min(length, size_bytes_ - start), std::move(name)});
}

void StructureNamer::ReadMbr(const ReadAt& read) {
  std::array<std::byte, 512> sector{};
  read(0, sector);
  Add(0, 440, "MBR boot code");
  Add(440, 4, "MBR disk signature");
  Add(444, 2, "MBR reserved field");
  Add(510, 2, "MBR boot signature");
  Add(512, sector_bytes_ - 512, "rest of the MBR's sector");
  for (std::size_t i = 0; i < 4; ++i) {
    for (const Field& field : kMbrEntryFields) {
      Add(kMbrEntry0 + i * kMbrEntryBytes + field.offset, field.length,
          fmt::format("MBR partition entry {}, {}", i + 1, field.name));
    }
    if (!HasBootSignature(sector)) continue;
    const MbrEntry entry = ReadEntry(sector, i);
    if (entry.type == 0 || entry.type == 0xEE || entry.length == 0) continue;
    const std::uint64_t start = std::uint64_t{entry.start} * sector_bytes_;
    const std::uint64_t length = std::uint64_t{entry.length} * sector_bytes_;
    if (IsExtendedType(entry.type)) {
      ReadExtendedChain(read, start, length);
    } else {
      partitions_.push_back({start, start + length, fmt::format("contents of partition {}", i + 1)});
    }
  }
}

void StructureNamer::ReadExtendedChain(const ReadAt& read, std::uint64_t extended_start,
                                       std::uint64_t extended_length) {
  std::set<std::uint64_t> seen;
  std::uint64_t at = extended_start;
  for (unsigned number = 5; seen.size() < kMostChainLinks && seen.insert(at).second; ++number) {
    std::array<std::byte, 512> sector{};
    read(at, sector);
    const std::string name = fmt::format("EBR at LBA {}", at / sector_bytes_);
    for (std::size_t i = 0; i < 4; ++i) {
      for (const Field& field : kMbrEntryFields) {
        Add(at + kMbrEntry0 + i * kMbrEntryBytes + field.offset, field.length,
            fmt::format("{}, entry {}, {}", name, i + 1, field.name));
      }
    }
    Add(at + 510, 2, name + ", boot signature");
    Add(at, sector_bytes_, name);
    if (!HasBootSignature(sector)) return;
    const MbrEntry drive = ReadEntry(sector, 0);
    if (drive.type != 0 && !IsExtendedType(drive.type)) {
      const std::uint64_t start = at + std::uint64_t{drive.start} * sector_bytes_;
      partitions_.push_back({start, start + std::uint64_t{drive.length} * sector_bytes_,
                             fmt::format("contents of logical drive {}", number)});
    }
    const MbrEntry link = ReadEntry(sector, 1);
    const std::uint64_t offset = std::uint64_t{link.start} * sector_bytes_;
    if (!IsExtendedType(link.type) || link.start == 0 || offset >= extended_length) return;
    at = extended_start + offset;
  }
}

void StructureNamer::ReadGpt(const ReadAt& read) {
  if (size_bytes_ < std::uint64_t{3} * sector_bytes_) return;
  const std::array headers{std::pair{std::uint64_t{1}, "primary"},
                           std::pair{size_bytes_ / sector_bytes_ - 1, "backup"}};
  for (const auto& [lba, which] : headers) {
    std::array<std::byte, 512> sector{};
    read(lba * sector_bytes_, sector);
    if (std::memcmp(sector.data(), "EFI PART", 8) != 0) continue;
    for (const Field& field : kGptHeaderFields) {
      Add(lba * sector_bytes_ + field.offset, field.length,
          fmt::format("{} GPT header, {}", which, field.name));
    }
    Add(lba * sector_bytes_, sector_bytes_, fmt::format("{} GPT header", which));
    const auto entries_lba = Little<std::uint64_t>(sector, 72);
    const std::uint32_t count = std::min(Little<std::uint32_t>(sector, 80), kMostGptEntries);
    const auto entry_bytes = Little<std::uint32_t>(sector, 84);
    if (entries_lba >= size_bytes_ / sector_bytes_ || entry_bytes < 128 || entry_bytes > 4096) continue;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t at = entries_lba * sector_bytes_ + std::uint64_t{i} * entry_bytes;
      for (const Field& field : kGptEntryFields) {
        Add(at + field.offset, field.length, fmt::format("{} GPT entry {}, {}", which, i + 1, field.name));
      }
      if (at >= size_bytes_) break;
      std::array<std::byte, 128> entry{};
      read(at, entry);
      const auto first = Little<std::uint64_t>(entry, 32);
      const auto last = Little<std::uint64_t>(entry, 40);
      if (first == 0 || last < first || last >= size_bytes_ / sector_bytes_) continue;
      partitions_.push_back({first * sector_bytes_, (last + 1) * sector_bytes_,
                             fmt::format("contents of partition {}", i + 1)});
    }
  }
}

StructureNamer::Place StructureNamer::At(std::uint64_t offset) const {
  for (const std::vector<Range>* each : {&ranges_, &partitions_}) {
    for (const Range& range : *each) {
      if (range.start > offset || range.end <= offset) continue;
      // A structure inside a partition (an EBR) ends that stretch of the partition.
      std::uint64_t end = range.end;
      for (const Range& inner : ranges_) {
        if (inner.start > offset) end = std::min(end, inner.start);
      }
      return {range.name, end};
    }
  }
  std::uint64_t end = size_bytes_;
  for (const std::vector<Range>* each : {&ranges_, &partitions_}) {
    for (const Range& range : *each) {
      if (range.start > offset) end = std::min(end, range.start);
    }
  }
  return {"space outside of partitions", std::max(end, offset + 1)};
}

}  // namespace dmrp::harness
