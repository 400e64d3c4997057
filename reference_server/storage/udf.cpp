#include "reference_server/storage/udf.hpp"

#include "reference_server/storage/little_endian.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kRecognitionAt = 32768;
constexpr std::uint32_t kOpticalSector = 2048;
constexpr std::uint32_t kMaxRecognition = 64;
constexpr std::array kBlockSizes{2048U, 512U, 4096U, 1024U};
constexpr std::uint32_t kAnchor = 256;
constexpr std::uint32_t kMaxDescriptors = 256;
constexpr std::uint32_t kMaxIntegrity = 64;
constexpr std::uint32_t kMaxPartitions = 16;
constexpr std::size_t kTagSize = 16;

constexpr std::uint16_t kTagAnchor = 2;
constexpr std::uint16_t kTagPointer = 3;
constexpr std::uint16_t kTagPartition = 5;
constexpr std::uint16_t kTagLogicalVolume = 6;
constexpr std::uint16_t kTagTerminator = 8;
constexpr std::uint16_t kTagIntegrity = 9;
constexpr std::uint32_t kUnknownCount = 0xFFFFFFFF;

using Block = std::optional<Bytes>;

struct Extent {
  std::uint32_t length = 0;  // octets
  std::uint32_t block = 0;
};

Extent ExtentAt(std::span<const std::byte> octets, std::size_t at) {
  return {LoadLe<std::uint32_t>(octets, at), LoadLe<std::uint32_t>(octets, at + 4)};
}

/// Whether a sequence of descriptors `stride` octets apart names UDF.
StorageResult<bool> IsNamed(const VolumeWindow& volume, std::uint32_t stride) {
  for (std::uint32_t i = 0; i < kMaxRecognition; ++i) {
    const auto read = volume.Read(kRecognitionAt + std::uint64_t{i} * stride, 8);
    if (!read) return tl::unexpected(read.error());
    if (!*read) break;
    const std::string_view id(reinterpret_cast<const char*>((*read)->data()) + 1, 5);
    if (id == "NSR02" || id == "NSR03") return true;
    if (id != "CD001" && id != "BEA01" && id != "BOOT2" && id != "TEA01" && id != "CDW02") break;
  }
  return false;
}

/// A block whose tag holds; its length is the block size. Nothing when it is damaged or outside.
StorageResult<Block> ReadTagged(const VolumeWindow& volume, std::uint32_t size, std::uint64_t number) {
  auto read = volume.Read(number * size, size);
  if (!read || !*read) return read;
  const Bytes& block = **read;
  unsigned sum = 0;
  for (std::size_t i = 0; i < kTagSize; ++i) sum += i == 4 ? 0 : static_cast<unsigned>(block[i]);
  const bool holds = LoadLe<std::uint16_t>(block, 0) != 0 &&
                     (sum & 0xFF) == static_cast<unsigned>(block[4]) &&
                     LoadLe<std::uint32_t>(block, 12) == number;
  return holds ? std::move(read) : StorageResult<Block>(Block{});
}

std::uint16_t TagOf(std::span<const std::byte> block) { return LoadLe<std::uint16_t>(block, 0); }

/// OSTA compressed Unicode in a field whose last octet counts those in use.
std::u16string DString(std::span<const std::byte> field) {
  const std::size_t used = std::min<std::size_t>(static_cast<std::uint8_t>(field.back()), field.size() - 1);
  std::u16string text;
  if (used == 0) return text;
  const auto id = static_cast<std::uint8_t>(field[0]);
  if (id == 8 || id == 254) {
    for (std::size_t i = 1; i < used; ++i) text.push_back(static_cast<std::uint8_t>(field[i]));
  } else if (id == 16 || id == 255) {
    for (std::size_t i = 1; i + 1 < used; i += 2) {
      const auto high = static_cast<std::uint8_t>(field[i]);
      text.push_back(static_cast<char16_t>(high << 8 | static_cast<std::uint8_t>(field[i + 1])));
    }
  }
  return text;
}

struct Anchor {
  std::uint32_t blockSize = 0;
  Extent main;
  Extent reserve;
};

StorageResult<std::optional<Anchor>> FindAnchor(const VolumeWindow& volume) {
  for (const std::uint32_t size : kBlockSizes) {
    const std::uint64_t last = volume.Length() / size - 1;
    const std::array places{std::uint64_t{kAnchor}, last - kAnchor, last, std::uint64_t{2} * kAnchor};
    for (const std::uint64_t place : places) {
      const auto block = ReadTagged(volume, size, place);
      if (!block) return tl::unexpected(block.error());
      if (*block && TagOf(**block) == kTagAnchor) {
        return std::optional(Anchor{size, ExtentAt(**block, 16), ExtentAt(**block, 24)});
      }
    }
  }
  return std::optional<Anchor>{};
}

struct Descriptors {
  Bytes volume;     // logical volume descriptor; empty: none
  Bytes partition;  // empty: none
};

/// The prevailing descriptors of a sequence: those of the greatest number.
StorageResult<Descriptors> ReadSequence(const VolumeWindow& volume, std::uint32_t size, Extent extent) {
  Descriptors found;
  const auto keep_newer = [](Bytes& kept, Bytes&& block) {
    if (kept.empty() || LoadLe<std::uint32_t>(block, 16) >= LoadLe<std::uint32_t>(kept, 16)) {
      kept = std::move(block);
    }
  };
  std::uint32_t left = extent.length / size;
  std::uint64_t at = extent.block;
  for (std::uint32_t i = 0; i < kMaxDescriptors && left != 0; ++i, --left, ++at) {
    auto block = ReadTagged(volume, size, at);
    if (!block) return tl::unexpected(block.error());
    if (!*block) break;
    const std::uint16_t tag = TagOf(**block);
    if (tag == kTagTerminator) break;
    if (tag == kTagPointer) {
      const Extent next = ExtentAt(**block, 20);
      left = next.length / size + 1;
      at = std::uint64_t{next.block} - 1;
    } else if (tag == kTagLogicalVolume) {
      keep_newer(found.volume, std::move(**block));
    } else if (tag == kTagPartition) {
      keep_newer(found.partition, std::move(**block));
    }
  }
  return found;
}

/// Free blocks by the last integrity descriptor of a chain.
StorageResult<std::uint64_t> FreeBlocks(const VolumeWindow& volume, std::uint32_t size, Extent extent) {
  std::uint64_t free = 0;
  for (std::uint32_t i = 0; i < kMaxIntegrity && extent.length >= size; ++i) {
    const auto block = ReadTagged(volume, size, extent.block);
    if (!block) return tl::unexpected(block.error());
    if (!*block || TagOf(**block) != kTagIntegrity) break;
    const auto partitions = LoadLe<std::uint32_t>(**block, 72);
    if (partitions > kMaxPartitions) break;
    free = 0;
    for (std::uint32_t p = 0; p < partitions; ++p) {
      const auto count = LoadLe<std::uint32_t>(**block, 80 + std::size_t{p} * 4);
      if (count != kUnknownCount) free += count;
    }
    extent = ExtentAt(**block, 32);
  }
  return free;
}

}  // namespace

StorageResult<std::optional<FileSystemDescription>> DescribeUdf(const VolumeWindow& volume) {
  bool named = false;
  for (const std::uint32_t stride : {kOpticalSector, 2 * kOpticalSector}) {
    const auto here = IsNamed(volume, stride);
    if (!here) return tl::unexpected(here.error());
    named = named || *here;
  }
  if (!named) return std::optional<FileSystemDescription>{};
  FileSystemDescription udf;
  udf.type = FileSystemType::kUdf;
  udf.allocationUnitSize = kOpticalSector;
  udf.totalAllocationUnits = volume.Length() / kOpticalSector;
  const auto anchor = FindAnchor(volume);
  if (!anchor) return tl::unexpected(anchor.error());
  if (!*anchor) return std::optional(std::move(udf));
  const std::uint32_t size = (*anchor)->blockSize;
  udf.allocationUnitSize = size;
  udf.totalAllocationUnits = volume.Length() / size;
  auto descriptors = ReadSequence(volume, size, (*anchor)->main);
  if (descriptors && descriptors->volume.empty()) {
    descriptors = ReadSequence(volume, size, (*anchor)->reserve);
  }
  if (!descriptors) return tl::unexpected(descriptors.error());
  if (!descriptors->partition.empty()) {
    udf.totalAllocationUnits = LoadLe<std::uint32_t>(descriptors->partition, 192);
  }
  if (!descriptors->volume.empty()) {
    const std::span<const std::byte> block(descriptors->volume);
    udf.label = DString(block.subspan(84, 128));
    const auto free = FreeBlocks(volume, size, ExtentAt(block, 432));
    if (!free) return tl::unexpected(free.error());
    udf.availableAllocationUnits = std::min(*free, udf.totalAllocationUnits);
  }
  return std::optional(std::move(udf));
}

}  // namespace dmrp::server
