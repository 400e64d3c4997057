#include "harness/layout/volume_pattern.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

constexpr std::uint64_t kChunk = 1U << 20;  // octets moved at once
constexpr std::size_t kMostSentences = 10;

std::uint64_t Columns(const DynamicPlex& plex) {
  std::uint64_t columns = 0;
  for (const DynamicExtent& extent : plex.extents) columns = std::max(columns, extent.column + 1);
  return columns;
}

std::uint64_t ColumnLength(const DynamicPlex& plex, std::uint64_t column) {
  std::uint64_t length = 0;
  for (const DynamicExtent& extent : plex.extents) {
    if (extent.column == column) length += extent.length;
  }
  return length;
}

void XorInto(Bytes& to, const Bytes& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] ^= from[i];
}

/// A permutation of 64 bits; consecutive inputs give unrelated outputs (splitmix64).
std::uint64_t Mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EB;
  return value ^ (value >> 31U);
}

void PutWord(std::span<std::byte> to, std::uint64_t value) {
  for (unsigned i = 0; i < 8; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

std::uint64_t GetWord(std::span<const std::byte> from) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  return value;
}

std::string NameOf(std::span<const std::byte> block) {
  if (std::ranges::all_of(block, [](std::byte octet) { return octet == std::byte{0}; })) return "zeros";
  const std::uint64_t number = GetWord(block);
  const std::uint64_t seed = GetWord(block.subspan(8));
  const Bytes expected = VolumePattern{seed}.Make(number, 1);
  if (std::ranges::equal(block, expected)) return fmt::format("block {} of seed {}", number, seed);
  return "something else";
}

}  // namespace

struct VolumeMembers::File {
  explicit File(int descriptor) : fd(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd); }
  int fd;
};

std::vector<MemberRun> MapRange(const DynamicPlex& plex, std::uint64_t offset, std::uint64_t length) {
  if (plex.layout == DynamicPlex::Layout::kConcat) return {{0, offset, length, 0}};
  const std::uint64_t columns = Columns(plex);
  const bool raid5 = plex.layout == DynamicPlex::Layout::kRaid5;
  const std::uint64_t data_columns = columns - (raid5 ? 1 : 0);
  std::vector<MemberRun> runs;
  while (length > 0 && data_columns > 0 && plex.stripe > 0) {
    const std::uint64_t stripe = offset / plex.stripe;
    const std::uint64_t within = offset % plex.stripe;
    const std::uint64_t row = stripe / data_columns;
    const std::uint64_t data = stripe % data_columns;
    const std::uint64_t parity = raid5 ? columns - 1 - row % columns : 0;
    const std::uint64_t column = raid5 ? (parity + 1 + data) % columns : data;
    const std::uint64_t count = std::min(length, plex.stripe - within);
    runs.push_back({column, row * plex.stripe + within, count, parity});
    offset += count;
    length -= count;
  }
  return runs;
}

Result<VolumeMembers> VolumeMembers::Open(const DynamicGroup& group, const DynamicVolume& volume,
                                          bool writable) {
  if (volume.plexes.empty()) return Fail(ErrorKind::kUsage, volume.name + " has no plex");
  VolumeMembers members(volume);
  for (const DynamicPlex& plex : volume.plexes) {
    const std::uint64_t least = plex.layout == DynamicPlex::Layout::kRaid5 ? 3 : 1;
    if (Columns(plex) < least || (plex.layout != DynamicPlex::Layout::kConcat && plex.stripe == 0)) {
      return Fail(ErrorKind::kUsage, fmt::format("{}: a plex of {} columns and stripes of {} octets",
                                                 volume.name, Columns(plex), plex.stripe));
    }
    for (const DynamicExtent& extent : plex.extents) {
      const DynamicMember* disk = group.FindDisk(extent.disk);
      if (disk == nullptr || !disk->present || members.files_.contains(extent.disk)) continue;
      const int fd = ::open(disk->image.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
      if (fd < 0) return FailErrno("open " + disk->image.string(), errno);
      members.files_[extent.disk] = std::make_shared<File>(fd);
    }
  }
  return members;
}

Result<Bytes> VolumeMembers::ReadColumn(const DynamicPlex& plex, std::uint64_t column, std::uint64_t position,
                                        std::uint64_t length) const {
  Bytes octets;
  std::uint64_t at = 0;
  for (const DynamicExtent& extent : plex.extents) {
    if (plex.layout != DynamicPlex::Layout::kConcat && extent.column != column) continue;
    const std::uint64_t end = at + extent.length;
    if (length > 0 && position < end) {
      const auto file = files_.find(extent.disk);
      if (file == files_.end() || !extent.start) {
        return Fail(ErrorKind::kUnavailable, fmt::format("{} of {} is missing", extent.disk, volume_.name));
      }
      const std::uint64_t count = std::min(length, end - position);
      const std::size_t before = octets.size();
      octets.resize(before + count);
      const auto place = static_cast<off_t>(*extent.start + (position - at));
      // An image may end in the middle of a hole: what is behind it reads as zeros.
      const ssize_t got = ::pread(file->second->fd, octets.data() + before, count, place);
      if (got < 0) return FailErrno("read " + extent.disk, errno);
      position += count;
      length -= count;
    }
    at = end;
  }
  if (length > 0) {
    return Fail(ErrorKind::kUsage,
                fmt::format("{}: {} octets behind the end of column {}", volume_.name, length, column));
  }
  return octets;
}

Result<void> VolumeMembers::WriteColumn(const DynamicPlex& plex, std::uint64_t column, std::uint64_t position,
                                        std::span<const std::byte> octets) const {
  std::uint64_t at = 0;
  for (const DynamicExtent& extent : plex.extents) {
    if (plex.layout != DynamicPlex::Layout::kConcat && extent.column != column) continue;
    const std::uint64_t end = at + extent.length;
    if (!octets.empty() && position < end) {
      const auto file = files_.find(extent.disk);
      if (file == files_.end() || !extent.start) {
        return Fail(ErrorKind::kUnavailable, fmt::format("{} of {} is missing", extent.disk, volume_.name));
      }
      const std::uint64_t count = std::min<std::uint64_t>(octets.size(), end - position);
      const auto place = static_cast<off_t>(*extent.start + (position - at));
      if (::pwrite(file->second->fd, octets.data(), count, place) != static_cast<ssize_t>(count)) {
        return FailErrno("write " + extent.disk, errno);
      }
      position += count;
      octets = octets.subspan(count);
    }
    at = end;
  }
  if (!octets.empty()) {
    return Fail(ErrorKind::kUsage, fmt::format("{}: {} octets behind the end of column {}", volume_.name,
                                               octets.size(), column));
  }
  return {};
}

Result<Bytes> VolumeMembers::XorOfOthers(const DynamicPlex& plex, std::uint64_t column,
                                         std::uint64_t position, std::uint64_t length) const {
  Bytes sum(length);
  for (std::uint64_t other = 0; other < Columns(plex); ++other) {
    if (other == column) continue;
    auto octets = ReadColumn(plex, other, position, length);
    if (!octets) return octets;
    XorInto(sum, *octets);
  }
  return sum;
}

Result<Bytes> VolumeMembers::ReadLeg(std::size_t leg, std::uint64_t offset, std::uint64_t length) const {
  if (leg >= volume_.plexes.size() || offset > volume_.size || length > volume_.size - offset) {
    return Fail(ErrorKind::kUsage, fmt::format("{}: leg {}, {} + {} of {} octets", volume_.name, leg, offset,
                                               length, volume_.size));
  }
  const DynamicPlex& plex = volume_.plexes[leg];
  Bytes octets;
  octets.reserve(length);
  for (const MemberRun& run : MapRange(plex, offset, length)) {
    auto part = ReadColumn(plex, run.column, run.position, run.length);
    if (!part && part.error().kind == ErrorKind::kUnavailable && plex.layout == DynamicPlex::Layout::kRaid5) {
      part = XorOfOthers(plex, run.column, run.position, run.length);
    }
    if (!part) return part;
    octets.insert(octets.end(), part->begin(), part->end());
  }
  return octets;
}

Result<Bytes> VolumeMembers::Read(std::uint64_t offset, std::uint64_t length) const {
  Result<Bytes> octets = Fail(ErrorKind::kUnavailable, volume_.name + " has no leg");
  for (std::size_t leg = 0; leg < volume_.plexes.size(); ++leg) {
    octets = ReadLeg(leg, offset, length);
    if (octets || octets.error().kind != ErrorKind::kUnavailable) return octets;
  }
  return octets;
}

Result<void> VolumeMembers::Write(std::uint64_t offset, std::span<const std::byte> octets) {
  if (offset > volume_.size || octets.size() > volume_.size - offset) {
    return Fail(ErrorKind::kUsage,
                fmt::format("{}: {} + {} of {} octets", volume_.name, offset, octets.size(), volume_.size));
  }
  for (const DynamicPlex& plex : volume_.plexes) {
    for (const DynamicExtent& extent : plex.extents) {
      if (!files_.contains(extent.disk)) {
        return Fail(ErrorKind::kUnavailable, fmt::format("{} of {} is missing", extent.disk, volume_.name));
      }
    }
  }
  for (const DynamicPlex& plex : volume_.plexes) {
    std::span<const std::byte> left = octets;
    for (const MemberRun& run : MapRange(plex, offset, octets.size())) {
      if (auto done = WriteColumn(plex, run.column, run.position, left.first(run.length)); !done) return done;
      left = left.subspan(run.length);
      if (plex.layout != DynamicPlex::Layout::kRaid5) continue;
      auto parity = XorOfOthers(plex, run.parity, run.position, run.length);
      if (!parity) return tl::unexpected(parity.error());
      if (auto done = WriteColumn(plex, run.parity, run.position, *parity); !done) return done;
    }
  }
  return {};
}

Result<std::vector<std::string>> VolumeMembers::CheckMirrorLegsEqual() const {
  std::vector<std::string> sentences;
  std::vector<std::size_t> legs;
  for (std::size_t leg = 0; leg < volume_.plexes.size(); ++leg) {
    const auto& extents = volume_.plexes[leg].extents;
    if (std::ranges::all_of(extents,
                            [&](const DynamicExtent& extent) { return files_.contains(extent.disk); })) {
      legs.push_back(leg);
    }
  }
  for (std::uint64_t offset = 0; offset < volume_.size && legs.size() > 1; offset += kChunk) {
    const std::uint64_t count = std::min(kChunk, volume_.size - offset);
    auto first = ReadLeg(legs.front(), offset, count);
    if (!first) return tl::unexpected(first.error());
    for (std::size_t i = 1; i < legs.size(); ++i) {
      auto other = ReadLeg(legs[i], offset, count);
      if (!other) return tl::unexpected(other.error());
      const auto [at, match] = std::ranges::mismatch(*first, *other);
      if (at == first->end()) continue;
      sentences.push_back(fmt::format("{}: leg {} on {} differs from leg {} on {} at octet {}", volume_.name,
                                      legs[i] + 1, volume_.plexes[legs[i]].extents.front().disk,
                                      legs.front() + 1, volume_.plexes[legs.front()].extents.front().disk,
                                      offset + static_cast<std::uint64_t>(at - first->begin())));
      if (sentences.size() == kMostSentences) return sentences;
    }
  }
  return sentences;
}

Result<std::vector<std::string>> VolumeMembers::CheckParity() const {
  std::vector<std::string> sentences;
  for (const DynamicPlex& plex : volume_.plexes) {
    if (plex.layout != DynamicPlex::Layout::kRaid5) continue;
    const std::uint64_t length = ColumnLength(plex, 0);
    for (std::uint64_t position = 0; position < length; position += plex.stripe) {
      const std::uint64_t count = std::min(plex.stripe, length - position);
      auto sum = XorOfOthers(plex, Columns(plex), position, count);
      if (!sum) return tl::unexpected(sum.error());
      const auto bad = std::ranges::find_if(*sum, [](std::byte octet) { return octet != std::byte{0}; });
      if (bad == sum->end()) continue;
      sentences.push_back(
          fmt::format("{}: row {}, octet {} of its stripes: the columns do not add up to zero", volume_.name,
                      position / plex.stripe, bad - sum->begin()));
      if (sentences.size() == kMostSentences) return sentences;
    }
  }
  return sentences;
}

Result<Bytes> ReadThroughMembers(const DynamicGroup& group, const DynamicVolume& volume, std::uint64_t offset,
                                 std::uint64_t length) {
  return VolumeMembers::Open(group, volume).and_then([&](const VolumeMembers& members) {
    return members.Read(offset, length);
  });
}

Result<std::vector<std::string>> CheckMirrorLegsEqual(const DynamicGroup& group,
                                                      const DynamicVolume& volume) {
  return VolumeMembers::Open(group, volume).and_then([](const VolumeMembers& members) {
    return members.CheckMirrorLegsEqual();
  });
}

Result<std::vector<std::string>> CheckParity(const DynamicGroup& group, const DynamicVolume& volume) {
  return VolumeMembers::Open(group, volume).and_then([](const VolumeMembers& members) {
    return members.CheckParity();
  });
}

OctetAccess AccessTo(VolumeMembers& members) {
  return {[&members](std::uint64_t offset, std::uint64_t length) { return members.Read(offset, length); },
          [&members](std::uint64_t offset, std::span<const std::byte> octets) {
            return members.Write(offset, octets);
          }};
}

Bytes VolumePattern::Make(std::uint64_t first_block, std::uint64_t count) const {
  Bytes octets(count * kBlock);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::span<std::byte> block = std::span(octets).subspan(i * kBlock, kBlock);
    PutWord(block, first_block + i);
    PutWord(block.subspan(8), seed);
    std::uint64_t word = Mix(seed ^ Mix(first_block + i));
    for (std::size_t at = 16; at < kBlock; at += 8) {
      word = Mix(word);
      PutWord(block.subspan(at), word);
    }
  }
  return octets;
}

Result<void> VolumePattern::Write(const OctetAccess& to, std::uint64_t first_block,
                                  std::uint64_t count) const {
  constexpr std::uint64_t kBlocks = kChunk / kBlock;
  for (std::uint64_t done = 0; done < count; done += kBlocks) {
    const Bytes octets = Make(first_block + done, std::min(kBlocks, count - done));
    if (auto written = to.write((first_block + done) * kBlock, octets); !written) return written;
  }
  return {};
}

Result<std::vector<std::string>> VolumePattern::Check(const OctetAccess& in, std::uint64_t first_block,
                                                      std::uint64_t count) const {
  constexpr std::uint64_t kBlocks = kChunk / kBlock;
  std::vector<std::string> sentences;
  for (std::uint64_t done = 0; done < count && sentences.size() < kMostSentences; done += kBlocks) {
    const std::uint64_t blocks = std::min(kBlocks, count - done);
    auto octets = in.read((first_block + done) * kBlock, blocks * kBlock);
    if (!octets) return tl::unexpected(octets.error());
    if (octets->size() != blocks * kBlock) {
      return Fail(ErrorKind::kSystem, fmt::format("{} of {} octets at block {}", octets->size(),
                                                  blocks * kBlock, first_block + done));
    }
    for (std::string& sentence : Mismatches(first_block + done, *octets))
      sentences.push_back(std::move(sentence));
  }
  sentences.resize(std::min(sentences.size(), kMostSentences));
  return sentences;
}

std::vector<std::string> VolumePattern::Mismatches(std::uint64_t first_block,
                                                   std::span<const std::byte> octets) const {
  std::vector<std::string> sentences;
  for (std::uint64_t i = 0; i < octets.size() / kBlock && sentences.size() < kMostSentences; ++i) {
    const auto block = octets.subspan(i * kBlock, kBlock);
    if (std::ranges::equal(block, Make(first_block + i, 1))) continue;
    sentences.push_back(fmt::format("block {} holds {}", first_block + i, NameOf(block)));
  }
  return sentences;
}

}  // namespace dmrp::harness
