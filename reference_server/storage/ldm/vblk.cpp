#include "reference_server/storage/ldm/vblk.hpp"

#include "reference_server/storage/ldm/big_endian.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::string_view kMagic = "VBLK";
constexpr std::size_t kNumberAt = 0x04;
constexpr std::size_t kFragmentsAt = 0x0E;
constexpr std::size_t kPayloadAt = 0x10;
constexpr std::size_t kBlock = 512;

struct SlotHead {
  std::uint32_t group = 0;
  std::uint16_t fragment = 0;
  std::uint16_t fragments = 0;  ///< 0: free
};

SlotHead LoadHead(std::span<const std::byte> slot) {
  return {.group = LoadBe<std::uint32_t>(slot, 0x08),
          .fragment = LoadBe<std::uint16_t>(slot, 0x0C),
          .fragments = LoadBe<std::uint16_t>(slot, kFragmentsAt)};
}

void WriteFree(std::span<std::byte> slot, std::uint32_t number) {
  std::fill(slot.begin(), slot.end(), std::byte{0});
  std::transform(kMagic.begin(), kMagic.end(), slot.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  StoreBe(slot, kNumberAt, number);
}

/// The fragments found of one record.
struct Gathered {
  std::uint16_t fragments = 0;
  std::uint16_t seen = 0;
  std::array<std::uint32_t, kMaxFragments> slots{};  ///< 0: not seen
};

}  // namespace

Result<ConfigTable> ConfigTable::Make(const Vmdb& header) {
  if (header.slotCount <= kFirstSlot || header.slotCount > kMaxSlotCount) {
    return Fail(ErrorKind::kUsage, fmt::format("a database of {} slots", header.slotCount));
  }
  ConfigTable table;
  table.octets_.resize(std::size_t{header.slotCount} * kSlotBytes);
  table.changed_.resize((table.octets_.size() + kBlock - 1) / kBlock);
  for (std::uint32_t slot = kFirstSlot; slot < header.slotCount; ++slot) WriteFree(table.Slot(slot), slot);
  if (auto set = table.SetHeader(header); !set) return tl::unexpected(set.error());
  return table;
}

Result<ConfigTable> ConfigTable::Parse(Bytes octets) {
  auto header = ParseVmdb(octets);
  if (!header) return tl::unexpected(header.error());
  const std::size_t size = std::size_t{header->slotCount} * kSlotBytes;
  if (size > octets.size()) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("VMDB: {} slots in a region of {} octets", header->slotCount, octets.size()));
  }
  ConfigTable table;
  octets.resize(size);
  table.octets_ = std::move(octets);
  table.header_ = std::move(*header);
  table.changed_.resize((size + kBlock - 1) / kBlock);
  for (std::uint32_t number = kFirstSlot; number < table.header_.slotCount; ++number) {
    const auto slot = std::as_const(table).Slot(number);
    if (!HasMagic(slot, kMagic) || LoadBe<std::uint32_t>(slot, kNumberAt) != number) {
      return Fail(ErrorKind::kMalformed, fmt::format("slot {} bears no VBLK with its number", number));
    }
  }
  return table;
}

Result<void> ConfigTable::SetHeader(const Vmdb& header) {
  const auto octets = SerializeVmdb(header);
  if (!octets) return tl::unexpected(octets.error());
  std::copy(octets->begin(), octets->end(), octets_.begin());
  header_ = header;
  changed_[0] = true;
  return {};
}

std::span<std::byte> ConfigTable::Slot(std::uint32_t number) {
  return std::span(octets_).subspan(std::size_t{number} * kSlotBytes, kSlotBytes);
}

std::span<const std::byte> ConfigTable::Slot(std::uint32_t number) const {
  return std::span(octets_).subspan(std::size_t{number} * kSlotBytes, kSlotBytes);
}

bool ConfigTable::IsFree(std::uint32_t number) const {
  return LoadBe<std::uint16_t>(Slot(number), kFragmentsAt) == 0;
}

void ConfigTable::Touch(std::uint32_t slot) { changed_[slot * kSlotBytes / kBlock] = true; }

Result<SlotScan> ConfigTable::Scan() const {
  std::unordered_map<std::uint32_t, Gathered> gathered;
  std::vector<std::uint32_t> order;  // group numbers by the first slot that was met
  for (std::uint32_t number = kFirstSlot; number < header_.slotCount; ++number) {
    if (IsFree(number)) continue;
    const SlotHead head = LoadHead(Slot(number));
    if (head.group == 0 || head.fragments > kMaxFragments || head.fragment >= head.fragments) {
      return Fail(ErrorKind::kMalformed, fmt::format("slot {}: fragment {} of {} of record group {}", number,
                                                     head.fragment, head.fragments, head.group));
    }
    Gathered& record = gathered[head.group];
    if (record.fragments == 0) {
      record.fragments = head.fragments;
      order.push_back(head.group);
    }
    std::uint32_t& place = record.slots.at(head.fragment);
    if (record.fragments != head.fragments || place != 0) {
      return Fail(
          ErrorKind::kMalformed,
          fmt::format("slot {}: record group {} has fragment {} twice, or different numbers of fragments",
                      number, head.group, head.fragment));
    }
    place = number;
    ++record.seen;
  }
  SlotScan scan;
  for (const std::uint32_t group : order) {
    const Gathered& record = gathered[group];
    std::vector<std::uint32_t> slots;
    Bytes payload;
    for (std::size_t i = 0; i < record.fragments; ++i) {
      if (record.slots.at(i) == 0) continue;
      slots.push_back(record.slots.at(i));
      const auto part = Slot(record.slots.at(i)).subspan(kPayloadAt);
      payload.insert(payload.end(), part.begin(), part.end());
    }
    if (record.seen != record.fragments) {
      SlotScan::Remnant remnant{.slots = slots, .hasHead = record.slots.front() != 0};
      if (remnant.hasHead) remnant.status = static_cast<RecordStatus>(LoadBe<std::uint16_t>(payload, 0));
      scan.remnants.push_back(std::move(remnant));
      continue;
    }
    auto stored = ParseRecord(payload);
    if (!stored) {
      return Fail(stored.error().kind, fmt::format("slot {}: {}", slots.front(), stored.error().message));
    }
    scan.records.push_back(
        {.placement = {.groupNumber = group, .slots = std::move(slots)}, .stored = std::move(*stored)});
  }
  return scan;
}

std::size_t ConfigTable::FreeSlots() const {
  std::size_t free = 0;
  for (std::uint32_t number = kFirstSlot; number < header_.slotCount; ++number)
    free += IsFree(number) ? 1 : 0;
  return free;
}

Result<Placement> ConfigTable::Store(const Record& record, RecordStatus status, std::uint32_t group_number) {
  const auto octets = SerializeRecord(record, status);
  if (!octets) return tl::unexpected(octets.error());
  const std::size_t fragments = (octets->size() + kSlotPayload - 1) / kSlotPayload;
  Placement placement{.groupNumber = group_number, .slots = {}};
  std::uint32_t number = lowest_free_hint_;
  for (; number < header_.slotCount && placement.slots.size() < fragments; ++number) {
    if (IsFree(number)) placement.slots.push_back(number);
  }
  if (placement.slots.size() < fragments) {
    return Fail(ErrorKind::kLimit, fmt::format("the database is full: {} slots for {}, {} are free",
                                               fragments, Describe(record), placement.slots.size()));
  }
  lowest_free_hint_ = number;
  for (std::size_t i = 0; i < fragments; ++i) {
    const auto slot = Slot(placement.slots[i]);
    WriteFree(slot, placement.slots[i]);
    StoreBe(slot, 0x08, group_number);
    StoreBe(slot, 0x0C, static_cast<std::uint16_t>(i));
    StoreBe(slot, kFragmentsAt, static_cast<std::uint16_t>(fragments));
    const auto part = std::span(*octets).subspan(i * kSlotPayload);
    const auto length = std::min(part.size(), kSlotPayload);
    std::copy_n(part.begin(), length, slot.begin() + kPayloadAt);
    Touch(placement.slots[i]);
  }
  return placement;
}

void ConfigTable::SetStatus(std::uint32_t first_slot, RecordStatus status) {
  StoreBe(Slot(first_slot), kPayloadAt, static_cast<std::uint16_t>(status));
  Touch(first_slot);
}

void ConfigTable::Wipe(std::span<const std::uint32_t> slots) {
  for (const std::uint32_t number : slots) {
    WriteFree(Slot(number), number);
    Touch(number);
    lowest_free_hint_ = std::min(lowest_free_hint_, number);
  }
}

std::vector<std::uint32_t> ConfigTable::TakeChangedBlocks() {
  std::vector<std::uint32_t> blocks;
  for (std::uint32_t i = 0; i < changed_.size(); ++i) {
    if (changed_[i]) blocks.push_back(i);
    changed_[i] = false;
  }
  return blocks;
}

}  // namespace dmrp::server::ldm
