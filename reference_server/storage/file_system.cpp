#include "reference_server/storage/file_system.hpp"

#include "reference_server/storage/fat.hpp"
#include "reference_server/storage/little_endian.hpp"
#include "reference_server/storage/ntfs.hpp"

#include <cstring>
#include <string_view>

namespace dmrp::server {
namespace {

constexpr std::uint32_t kOpticalSector = 2048;
constexpr std::uint32_t kFirstDescriptor = 16;
constexpr std::uint32_t kMaxDescriptors = 64;

/// ISO 9660 or UDF by the volume recognition sequence from sector 16 on (ECMA-119, ECMA-167). A bridge
/// disc that has both counts as UDF, as Windows mounts it.
StorageResult<std::optional<FileSystemDescription>> DescribeOptical(const VolumeWindow& volume) {
  std::optional<FileSystemDescription> found;
  for (std::uint32_t i = 0; i < kMaxDescriptors; ++i) {
    const auto read = volume.Read(std::uint64_t{kFirstDescriptor + i} * kOpticalSector, kOpticalSector);
    if (!read) return tl::unexpected(read.error());
    if (!*read) break;
    const Bytes& descriptor = **read;
    const std::string_view id(reinterpret_cast<const char*>(descriptor.data()) + 1, 5);
    if (id == "NSR02" || id == "NSR03") {
      FileSystemDescription udf;
      udf.type = FileSystemType::kUdf;
      udf.allocationUnitSize = kOpticalSector;
      udf.totalAllocationUnits = volume.Length() / kOpticalSector;
      if (found) udf.label = found->label;
      return std::optional<FileSystemDescription>(std::move(udf));
    }
    if (id == "CD001" && descriptor[0] == std::byte{1} && !found) {
      FileSystemDescription iso;
      iso.type = FileSystemType::kCdfs;
      iso.allocationUnitSize = LoadLe<std::uint16_t>(descriptor, 128);
      iso.totalAllocationUnits = LoadLe<std::uint32_t>(descriptor, 80);
      std::string_view label(reinterpret_cast<const char*>(descriptor.data()) + 40, 32);
      while (!label.empty() && label.back() == ' ') label.remove_suffix(1);
      for (const char c : label) {
        const auto value = static_cast<unsigned char>(c);
        iso.label.push_back(value < 0x80 ? static_cast<char16_t>(value) : u'\uFFFD');
      }
      found = std::move(iso);
      continue;
    }
    if (id != "CD001" && id != "BEA01" && id != "BOOT2" && id != "TEA01" && id != "CDW02") break;
  }
  return found;
}

}  // namespace

StorageResult<FileSystemDescription> DescribeFileSystem(BlockDevice& device, std::uint64_t start,
                                                        std::uint64_t length) {
  const VolumeWindow volume(device, start, length);
  for (const auto describe : {DescribeNtfs, DescribeFat, DescribeOptical}) {
    auto description = describe(volume);
    if (!description) return tl::unexpected(description.error());
    if (*description) return std::move(**description);
  }
  return FileSystemDescription{};
}

}  // namespace dmrp::server
