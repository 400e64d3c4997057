#include "reference_server/storage/ntfs.hpp"

#include "reference_server/storage/little_endian.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

namespace dmrp::server {
namespace {

constexpr std::size_t kFixupStride = 512;
constexpr std::uint64_t kMaxRecordSize = 65536;
constexpr std::uint64_t kMaxClusterSize = std::uint64_t{2} << 20;
constexpr std::uint64_t kMaxClusters = std::uint64_t{1} << 32;
constexpr std::size_t kChunk = std::size_t{1} << 20;
constexpr std::uint32_t kVolumeRecord = 3;
constexpr std::uint32_t kRootRecord = 5;
constexpr std::uint32_t kBitmapRecord = 6;
constexpr std::uint32_t kStandardInformation = 0x10;
constexpr std::uint32_t kVolumeName = 0x60;
constexpr std::uint32_t kData = 0x80;
constexpr std::uint32_t kEndOfAttributes = 0xFFFFFFFF;
constexpr std::uint32_t kFileCompressed = 0x800;

struct Ntfs {
  std::uint64_t cluster = 0;   // octets
  std::uint64_t clusters = 0;  // of the volume
  std::uint64_t tableAt = 0;   // octets: $MFT
  std::uint64_t record = 0;    // octets of a file record
  std::uint64_t serial = 0;
};

std::optional<Ntfs> ParseBootSector(std::span<const std::byte> boot) {
  constexpr std::string_view kName = "NTFS    ";
  if (std::memcmp(boot.data() + 3, kName.data(), kName.size()) != 0) return std::nullopt;
  const std::uint32_t sector = LoadLe<std::uint16_t>(boot, 11);
  if (sector < kMinSectorSize || sector > kMaxSectorSize || !std::has_single_bit(sector)) return std::nullopt;
  const auto units = static_cast<std::uint8_t>(boot[13]);
  const std::uint64_t per_cluster = units <= 0x80 ? units : std::uint64_t{1} << std::min(256 - units, 63);
  Ntfs ntfs;
  if (per_cluster == 0 || per_cluster > kMaxClusterSize / sector) return std::nullopt;
  ntfs.cluster = per_cluster * sector;
  ntfs.clusters = LoadLe<std::uint64_t>(boot, 40) / per_cluster;
  if (ntfs.clusters == 0 || ntfs.clusters > kMaxClusters) return std::nullopt;
  const auto table = LoadLe<std::uint64_t>(boot, 48);
  if (table >= ntfs.clusters) return std::nullopt;
  ntfs.tableAt = table * ntfs.cluster;
  ntfs.serial = LoadLe<std::uint64_t>(boot, 72);
  const auto record = static_cast<std::int8_t>(boot[64]);
  if (record > 0) {
    ntfs.record = static_cast<std::uint64_t>(record) * ntfs.cluster;
  } else if (record >= -31 && record < 0) {
    ntfs.record = std::uint64_t{1} << -record;
  }
  if (ntfs.record < kFixupStride || ntfs.record > kMaxRecordSize || ntfs.record % kFixupStride != 0) {
    return std::nullopt;
  }
  return ntfs;
}

/// A file record with its fixups applied; nothing when it is damaged.
StorageResult<std::optional<Bytes>> ReadRecord(const VolumeWindow& volume, const Ntfs& ntfs,
                                               std::uint32_t number) {
  auto read = volume.Read(ntfs.tableAt + number * ntfs.record, static_cast<std::size_t>(ntfs.record));
  if (!read || !*read) return read;
  Bytes& record = **read;
  const std::span<std::byte> octets(record);
  if (std::memcmp(record.data(), "FILE", 4) != 0) return std::optional<Bytes>{};
  const std::size_t array = LoadLe<std::uint16_t>(octets, 4);
  const std::size_t count = LoadLe<std::uint16_t>(octets, 6);
  if (count != record.size() / kFixupStride + 1 || array + 2 * count > record.size()) {
    return std::optional<Bytes>{};
  }
  const auto mark = LoadLe<std::uint16_t>(octets, array);
  for (std::size_t i = 1; i < count; ++i) {
    const std::size_t at = i * kFixupStride - 2;
    if (LoadLe<std::uint16_t>(octets, at) != mark) return std::optional<Bytes>{};
    StoreLe(octets, at, LoadLe<std::uint16_t>(octets, array + 2 * i));
  }
  return read;
}

/// The octets of the first unnamed attribute of a type in a record.
std::optional<std::span<const std::byte>> FindAttribute(std::span<const std::byte> record,
                                                        std::uint32_t type) {
  std::size_t at = LoadLe<std::uint16_t>(record, 20);
  while (at + 24 <= record.size()) {
    const auto own = LoadLe<std::uint32_t>(record, at);
    if (own == kEndOfAttributes) break;
    const std::size_t length = LoadLe<std::uint32_t>(record, at + 4);
    if (length < 24 || length > record.size() - at) break;
    if (own == type && record[at + 9] == std::byte{0}) return record.subspan(at, length);
    at += length;
  }
  return std::nullopt;
}

/// The value of a resident attribute; nothing when it is not resident or damaged.
std::optional<std::span<const std::byte>> ResidentValue(std::span<const std::byte> attribute) {
  if (attribute[8] != std::byte{0}) return std::nullopt;
  const std::size_t length = LoadLe<std::uint32_t>(attribute, 16);
  const std::size_t at = LoadLe<std::uint16_t>(attribute, 20);
  if (at > attribute.size() || length > attribute.size() - at) return std::nullopt;
  return attribute.subspan(at, length);
}

std::u16string VolumeName(std::span<const std::byte> record) {
  const auto attribute = FindAttribute(record, kVolumeName);
  const auto value = attribute ? ResidentValue(*attribute) : std::nullopt;
  std::u16string name;
  for (std::size_t i = 0; value && i + 2 <= value->size(); i += 2) {
    name.push_back(static_cast<char16_t>(LoadLe<std::uint16_t>(*value, i)));
  }
  return name;
}

bool IsCompressed(std::span<const std::byte> record) {
  const auto attribute = FindAttribute(record, kStandardInformation);
  const auto value = attribute ? ResidentValue(*attribute) : std::nullopt;
  return value && value->size() >= 36 && (LoadLe<std::uint32_t>(*value, 32) & kFileCompressed) != 0;
}

/// Counts clear bits of the cluster bitmap, given piece by piece.
class FreeCounter {
 public:
  explicit FreeCounter(std::uint64_t clusters) : left_(clusters) {}
  [[nodiscard]] bool Done() const { return left_ == 0; }
  [[nodiscard]] std::uint64_t Free() const { return free_; }
  void Take(std::span<const std::byte> bitmap) {
    for (const std::byte octet : bitmap) {
      if (left_ == 0) return;
      const auto bits = static_cast<unsigned>(std::min<std::uint64_t>(8, left_));
      const unsigned mask = (1U << bits) - 1;
      free_ += static_cast<unsigned>(std::popcount(~static_cast<unsigned>(octet) & mask));
      left_ -= bits;
    }
  }

 private:
  std::uint64_t left_;
  std::uint64_t free_ = 0;
};

/// Nothing when the bitmap does not cover the volume.
StorageResult<std::optional<std::uint64_t>> CountFree(const VolumeWindow& volume, const Ntfs& ntfs,
                                                      std::span<const std::byte> record) {
  using Outcome = std::optional<std::uint64_t>;
  const auto attribute = FindAttribute(record, kData);
  if (!attribute) return Outcome{};
  FreeCounter counter(ntfs.clusters);
  if ((*attribute)[8] == std::byte{0}) {
    const auto value = ResidentValue(*attribute);
    if (!value) return Outcome{};
    counter.Take(*value);
    return counter.Done() ? Outcome(counter.Free()) : Outcome{};
  }
  if (attribute->size() < 64) return Outcome{};
  std::size_t at = LoadLe<std::uint16_t>(*attribute, 32);
  std::uint64_t cluster = 0;
  while (at < attribute->size() && !counter.Done()) {
    const auto head = static_cast<unsigned>((*attribute)[at++]);
    if (head == 0) break;
    const unsigned length_size = head & 15;
    const unsigned offset_size = head >> 4;
    if (length_size == 0 || length_size > 8 || offset_size == 0 || offset_size > 8 ||
        length_size + offset_size > attribute->size() - at) {
      return Outcome{};
    }
    std::uint64_t length = 0;
    for (unsigned i = length_size; i-- > 0;) {
      length = (length << 8) | static_cast<std::uint64_t>((*attribute)[at + i]);
    }
    at += length_size;
    const bool negative = ((*attribute)[at + offset_size - 1] & std::byte{0x80}) != std::byte{0};
    std::uint64_t offset = negative ? ~std::uint64_t{0} : 0;
    for (unsigned i = offset_size; i-- > 0;) {
      offset = (offset << 8) | static_cast<std::uint64_t>((*attribute)[at + i]);
    }
    at += offset_size;
    cluster += offset;
    if (cluster >= ntfs.clusters || length > ntfs.clusters - cluster) return Outcome{};
    std::uint64_t here = cluster * ntfs.cluster;
    std::uint64_t left = length * ntfs.cluster;
    while (left != 0 && !counter.Done()) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, left));
      const auto part = volume.Read(here, size);
      if (!part) return tl::unexpected(part.error());
      if (!*part) return Outcome{};
      counter.Take(**part);
      here += size;
      left -= size;
    }
  }
  return counter.Done() ? Outcome(counter.Free()) : Outcome{};
}

}  // namespace

StorageResult<std::optional<FileSystemDescription>> DescribeNtfs(const VolumeWindow& volume) {
  const auto boot = volume.Read(0, kMinSectorSize);
  if (!boot) return tl::unexpected(boot.error());
  if (!*boot) return std::optional<FileSystemDescription>{};
  const auto ntfs = ParseBootSector(**boot);
  if (!ntfs) return std::optional<FileSystemDescription>{};
  FileSystemDescription description;
  description.type = FileSystemType::kNtfs;
  description.totalAllocationUnits = ntfs->clusters;
  description.allocationUnitSize = static_cast<std::uint32_t>(ntfs->cluster);
  description.serialNumber = ntfs->serial;
  const auto name = ReadRecord(volume, *ntfs, kVolumeRecord);
  if (!name) return tl::unexpected(name.error());
  if (*name) description.label = VolumeName(**name);
  const auto root = ReadRecord(volume, *ntfs, kRootRecord);
  if (!root) return tl::unexpected(root.error());
  description.compression = *root && IsCompressed(**root);
  const auto bitmap = ReadRecord(volume, *ntfs, kBitmapRecord);
  if (!bitmap) return tl::unexpected(bitmap.error());
  if (*bitmap) {
    const auto free = CountFree(volume, *ntfs, **bitmap);
    if (!free) return tl::unexpected(free.error());
    description.availableAllocationUnits = free->value_or(0);
  }
  return std::optional<FileSystemDescription>(std::move(description));
}

}  // namespace dmrp::server
