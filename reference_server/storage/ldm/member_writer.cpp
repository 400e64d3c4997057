#include "reference_server/storage/ldm/member_writer.hpp"

#include "reference_server/storage/ldm/big_endian.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::size_t kBlock = 512;

const TocRegion& RegionOf(const Member& member, RegionKindOfMember region) {
  return region == RegionKindOfMember::kConfig ? member.Config() : member.Log();
}

/// A database with another VMDB status in front.
Result<Bytes> WithStatus(std::span<const std::byte> image, Vmdb header, VmdbStatus status) {
  header.status = status;
  const auto octets = SerializeVmdb(header);
  if (!octets) return tl::unexpected(octets.error());
  Bytes changed(image.begin(), image.end());
  std::copy(octets->begin(), octets->end(), changed.begin());
  return changed;
}

}  // namespace

Result<void> WriteBlocks(const Member& member, RegionKindOfMember region, std::span<const std::byte> image,
                         std::span<const std::uint32_t> blocks) {
  const std::uint32_t size = member.header.bytesPerSector;
  const TocRegion& place = RegionOf(member, region);
  if (image.size() > place.size * size) {
    return Fail(ErrorKind::kLimit,
                fmt::format("region '{}' of {} octets for {}", place.name, place.size * size, image.size()));
  }
  for (std::size_t i = 0; i < blocks.size();) {
    const std::uint64_t first = blocks[i] * kBlock / size;
    std::uint64_t last = first;
    while (i < blocks.size() && blocks[i] * kBlock / size <= last + 1) last = blocks[i++] * kBlock / size;
    Bytes octets(static_cast<std::size_t>(last - first + 1) * size);
    const auto from = image.subspan(std::min<std::size_t>(first * size, image.size()));
    std::copy_n(from.begin(), std::min(from.size(), octets.size()), octets.begin());
    if (auto written = member.device->Write(member.RelativeOffset(place.start + first), octets); !written) {
      return written;
    }
  }
  return {};
}

Result<Bytes> ReadRegion(const Member& member, RegionKindOfMember region) {
  const TocRegion& place = RegionOf(member, region);
  return member.device->Read(member.RelativeOffset(place.start),
                             static_cast<std::size_t>(place.size) * member.header.bytesPerSector);
}

std::vector<std::uint32_t> DifferingBlocks(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a.size() < b.size()) std::swap(a, b);
  std::vector<std::uint32_t> blocks;
  for (std::size_t at = 0; at < a.size(); at += kBlock) {
    const auto one = a.subspan(at, std::min(kBlock, a.size() - at));
    const auto other =
        b.subspan(std::min(at, b.size()), std::min(one.size(), b.size() - std::min(at, b.size())));
    const bool same = (other.empty() || std::memcmp(one.data(), other.data(), other.size()) == 0) &&
                      IsZero(one.subspan(other.size()));
    if (!same) blocks.push_back(static_cast<std::uint32_t>(at / kBlock));
  }
  return blocks;
}

Result<void> RepairCopy(const Member& member, RepairWay way, std::span<const std::byte> config,
                        std::span<const std::byte> log) {
  const auto raw = ReadRegion(member, RegionKindOfMember::kConfig);
  if (!raw) return tl::unexpected(raw.error());
  const auto raw_log = ReadRegion(member, RegionKindOfMember::kLog);
  if (!raw_log) return tl::unexpected(raw_log.error());
  const auto header = ParseVmdb(config);
  if (!header) return tl::unexpected(header.error());
  const std::vector<std::uint32_t> first_block{0};
  const auto write = [&](std::span<const std::byte> image,
                         std::span<const std::uint32_t> blocks) -> Result<void> {
    if (blocks.empty()) return {};
    if (auto written = WriteBlocks(member, RegionKindOfMember::kConfig, image, blocks); !written)
      return written;
    return member.device->Flush();
  };
  // What follows the database in its region is nobody's and stays.
  const auto current = std::span(*raw).first(std::min(raw->size(), config.size()));
  auto differing = DifferingBlocks(current, config);

  Bytes in_front(current.begin(), current.end());  // the slots as they are, behind the header of the interim
  if (way != RepairWay::kInPlace && !differing.empty()) {
    Vmdb interim = *header;
    if (way == RepairWay::kForward) {
      const auto own = ParseVmdb(*raw);
      if (!own) return tl::unexpected(own.error());
      interim = *own;
    }
    auto marked =
        WithStatus(current, interim, way == RepairWay::kForward ? VmdbStatus::kCommit : VmdbStatus::kStale);
    if (!marked) return tl::unexpected(marked.error());
    in_front = std::move(*marked);
    if (auto done = write(in_front, first_block); !done) return done;
  }
  if (!differing.empty()) {
    Bytes slots(config.begin(), config.end());
    std::copy_n(in_front.begin(), std::min(kVmdbBytes, in_front.size()), slots.begin());
    const auto behind =
        std::find_if(differing.begin(), differing.end(), [](std::uint32_t one) { return one != 0; });
    auto blocks = std::vector<std::uint32_t>(behind, differing.end());
    // Slots that share the sector of the header are written with it.
    if (auto done = write(slots, blocks); !done) return done;
  }
  if (const auto blocks = DifferingBlocks(*raw_log, log); !blocks.empty()) {
    if (auto written = WriteBlocks(member, RegionKindOfMember::kLog, log, blocks); !written) return written;
    if (auto flushed = member.device->Flush(); !flushed) return flushed;
  }
  if (differing.empty()) return {};
  return write(config, first_block);
}

}  // namespace dmrp::server::ldm
