#include "reference_server/storage/ldm/tocblock.hpp"

#include "reference_server/storage/ldm/big_endian.hpp"
#include "reference_server/storage/ldm/privhead.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::string_view kMagic = "TOCBLOCK";
constexpr std::size_t kChecksumAt = 0x08;
constexpr std::size_t kFirstRegion = 0x24;
constexpr std::size_t kRegionBytes = 34;
constexpr std::size_t kNameBytes = 8;
constexpr std::size_t kMaxRegions = (kHeaderBytes - kFirstRegion) / kRegionBytes;

tl::unexpected<Error> Malformed(std::string what) {
  return Fail(ErrorKind::kMalformed, "table of contents: " + std::move(what));
}

}  // namespace

const TocRegion* TocBlock::Find(std::string_view name) const {
  const auto found =
      std::find_if(regions.begin(), regions.end(), [&](const TocRegion& one) { return one.name == name; });
  return found == regions.end() ? nullptr : &*found;
}

Result<TocBlock> ParseTocBlock(std::span<const std::byte> sector) {
  if (sector.size() < kHeaderBytes) return Malformed(fmt::format("{} octets", sector.size()));
  const auto octets = sector.first(kHeaderBytes);
  if (!HasMagic(octets, kMagic)) return Malformed("no TOCBLOCK");
  const auto checksum = LoadBe<std::uint32_t>(octets, kChecksumAt);
  if (checksum != OctetSum(octets, kChecksumAt)) {
    return Malformed(
        fmt::format("checksum {:08x}, its octets sum up to {:08x}", checksum, OctetSum(octets, kChecksumAt)));
  }
  TocBlock toc;
  toc.sequence = LoadBe<std::uint64_t>(octets, 0x0C);
  for (std::size_t i = 0; i < kMaxRegions; ++i) {
    const auto entry = octets.subspan(kFirstRegion + i * kRegionBytes, kRegionBytes);
    if (entry[0] == std::byte{0}) break;
    TocRegion region;
    auto name = LoadText(entry.first(kNameBytes), "table of contents: region name");
    if (!name) return tl::unexpected(name.error());
    region.name = std::move(*name);
    if (toc.Find(region.name) != nullptr) return Malformed(fmt::format("two regions '{}'", region.name));
    region.flags = LoadBe<std::uint16_t>(entry, 0x08);
    region.start = LoadBe<std::uint64_t>(entry, 0x0A);
    region.size = LoadBe<std::uint64_t>(entry, 0x12);
    region.unknown = LoadBe<std::uint16_t>(entry, 0x1A);
    region.copyNumber = LoadBe<std::uint16_t>(entry, 0x1C);
    toc.regions.push_back(std::move(region));
  }
  return toc;
}

Result<Bytes> SerializeTocBlock(const TocBlock& toc) {
  if (toc.regions.size() > kMaxRegions) {
    return Fail(ErrorKind::kLimit,
                fmt::format("table of contents: {} regions, {} fit", toc.regions.size(), kMaxRegions));
  }
  Bytes octets(kHeaderBytes);
  const std::span<std::byte> all(octets);
  if (auto stored = StoreText(all.first(kMagic.size()), kMagic, kMagic.size(), "magic"); !stored) {
    return tl::unexpected(stored.error());
  }
  StoreBe(all, 0x0C, toc.sequence);
  for (std::size_t i = 0; i < toc.regions.size(); ++i) {
    const TocRegion& region = toc.regions[i];
    const auto entry = all.subspan(kFirstRegion + i * kRegionBytes, kRegionBytes);
    if (auto stored = StoreText(entry.first(kNameBytes), region.name, kNameBytes, "region name"); !stored) {
      return tl::unexpected(stored.error());
    }
    StoreBe(entry, 0x08, region.flags);
    StoreBe(entry, 0x0A, region.start);
    StoreBe(entry, 0x12, region.size);
    StoreBe(entry, 0x1A, region.unknown);
    StoreBe(entry, 0x1C, region.copyNumber);
  }
  StoreBe(all, kChecksumAt, OctetSum(all, kChecksumAt));
  return octets;
}

namespace {

/// The lower slot of the front; with larger sectors the first sector of the region serves too.
std::uint64_t LowSlot(std::uint32_t bytes_per_sector) { return bytes_per_sector == 512 ? 1 : 0; }

}  // namespace

TocPair FirstTocPair(std::uint64_t private_size, std::uint32_t bytes_per_sector) {
  return {LowSlot(bytes_per_sector) + 1, private_size - 3};
}

TocPair OtherTocPair(const TocPair& current, std::uint64_t private_size, std::uint32_t bytes_per_sector) {
  // Each side for itself, so that neither current copy is written over, however they were paired.
  const std::uint64_t low = LowSlot(bytes_per_sector);
  return {current.first == low ? low + 1 : low,
          current.second == private_size - 2 ? private_size - 3 : private_size - 2};
}

}  // namespace dmrp::server::ldm
