#include "reference_server/storage/iso9660.hpp"

#include "reference_server/storage/crc32.hpp"
#include "reference_server/storage/little_endian.hpp"

#include <bit>
#include <span>
#include <string_view>

namespace dmrp::server {
namespace {

constexpr std::uint32_t kSector = 2048;
constexpr std::uint32_t kFirstDescriptor = 16;
constexpr std::uint32_t kMaxDescriptors = 64;
constexpr std::uint8_t kPrimary = 1;
constexpr std::uint8_t kSupplementary = 2;
constexpr std::uint8_t kTerminator = 255;
constexpr std::size_t kLabelAt = 40;
constexpr std::size_t kLabelSize = 32;
constexpr std::size_t kDateAt = 813;  // of the volume creation date and time
constexpr std::size_t kDateSize = 17;
constexpr std::size_t kEscapesAt = 88;

std::u16string WithoutPadding(std::u16string label) {
  while (!label.empty() && (label.back() == u' ' || label.back() == 0)) label.pop_back();
  return label;
}

std::u16string PlainLabel(std::span<const std::byte> descriptor) {
  std::u16string label;
  for (const std::byte octet : descriptor.subspan(kLabelAt, kLabelSize)) {
    const auto value = static_cast<std::uint8_t>(octet);
    label.push_back(value < 0x80 ? static_cast<char16_t>(value) : u'\uFFFD');
  }
  return WithoutPadding(std::move(label));
}

std::u16string JolietLabel(std::span<const std::byte> descriptor) {
  std::u16string label;
  for (std::size_t at = kLabelAt; at < kLabelAt + kLabelSize; at += 2) {
    const auto high = static_cast<std::uint8_t>(descriptor[at]);
    const auto low = static_cast<std::uint8_t>(descriptor[at + 1]);
    label.push_back(static_cast<char16_t>(high << 8 | low));
  }
  return WithoutPadding(std::move(label));
}

/// The three escape sequences that announce UCS-2, by the level of Joliet.
bool IsJoliet(std::span<const std::byte> descriptor) {
  const std::string_view escape(reinterpret_cast<const char*>(descriptor.data()) + kEscapesAt, 3);
  return escape == "%/@" || escape == "%/C" || escape == "%/E";
}

}  // namespace

StorageResult<std::optional<FileSystemDescription>> DescribeIso9660(const VolumeWindow& volume) {
  std::optional<FileSystemDescription> found;
  for (std::uint32_t i = 0; i < kMaxDescriptors; ++i) {
    const auto read = volume.Read(std::uint64_t{kFirstDescriptor + i} * kSector, kSector);
    if (!read) return tl::unexpected(read.error());
    if (!*read) break;
    const Bytes& descriptor = **read;
    const auto type = static_cast<std::uint8_t>(descriptor[0]);
    const std::string_view id(reinterpret_cast<const char*>(descriptor.data()) + 1, 5);
    if (id != "CD001" || type == kTerminator) break;
    if (type == kPrimary && !found) {
      FileSystemDescription iso;
      iso.type = FileSystemType::kCdfs;
      iso.allocationUnitSize = LoadLe<std::uint16_t>(descriptor, 128);
      iso.totalAllocationUnits = LoadLe<std::uint32_t>(descriptor, 80);
      iso.label = PlainLabel(descriptor);
      iso.serialNumber = Crc32(std::span(descriptor).subspan(kDateAt, kDateSize));
      if (!std::has_single_bit(iso.allocationUnitSize)) return std::optional<FileSystemDescription>{};
      found = std::move(iso);
    } else if (type == kSupplementary && found && IsJoliet(descriptor)) {
      found->label = JolietLabel(descriptor);
    }
  }
  return found;
}

}  // namespace dmrp::server
