// The region "config": a VMDB and the slots (VBLK) that records lie in, cut into fragments.
#pragma once

#include "reference_server/storage/ldm/records.hpp"
#include "reference_server/storage/ldm/vmdb.hpp"

#include <vector>

namespace dmrp::server::ldm {

/// Where a version of a record lies.
struct Placement {
  std::uint32_t groupNumber = 0;     ///< of the version: never 0, never used again
  std::vector<std::uint32_t> slots;  ///< rising, one for each fragment

  friend bool operator==(const Placement&, const Placement&) = default;
};

struct PlacedRecord {
  Placement placement;
  StoredRecord stored;
};

/// What the slots hold.
struct SlotScan {
  std::vector<PlacedRecord> records;  ///< by first slot
  /// Used slots that make no whole record, as a cut transaction leaves them: fragments of one record.
  struct Remnant {
    std::vector<std::uint32_t> slots;
    bool hasHead = false;  ///< the first fragment is there, so the status is known
    RecordStatus status = RecordStatus::kActive;
  };
  std::vector<Remnant> remnants;
};

/// The octets of region "config", edited in place; remembers which of their 512-octet blocks it changed.
class ConfigTable {
 public:
  ConfigTable() = default;

  /// A database without records. The slot count is that of the header.
  static Result<ConfigTable> Make(const Vmdb& header);
  /// Takes what was read from a disk. Its VMDB must be good and its slots must lie inside; each must bear its
  /// number. kMalformed, kUnsupported.
  static Result<ConfigTable> Parse(Bytes octets);

  /// As long as header and slots: slotCount * kSlotBytes.
  [[nodiscard]] std::span<const std::byte> Octets() const { return octets_; }
  [[nodiscard]] const Vmdb& Header() const { return header_; }
  Result<void> SetHeader(const Vmdb& header);

  /// All records and remnants. kMalformed when a slot or a whole record breaks its format.
  [[nodiscard]] Result<SlotScan> Scan() const;

  /// Slots without a record.
  [[nodiscard]] std::size_t FreeSlots() const;
  /// Writes a record into the lowest free slots. kLimit when there are too few.
  Result<Placement> Store(const Record& record, RecordStatus status, std::uint32_t group_number);
  void SetStatus(std::uint32_t first_slot, RecordStatus status);
  void Wipe(std::span<const std::uint32_t> slots);

  /// The 512-octet blocks changed since the last call, rising.
  std::vector<std::uint32_t> TakeChangedBlocks();

 private:
  [[nodiscard]] std::span<std::byte> Slot(std::uint32_t number);
  [[nodiscard]] std::span<const std::byte> Slot(std::uint32_t number) const;
  [[nodiscard]] bool IsFree(std::uint32_t number) const;
  void Touch(std::uint32_t slot);

  Bytes octets_;
  Vmdb header_;
  std::vector<bool> changed_;
  std::uint32_t lowest_free_hint_ = kFirstSlot;  ///< no slot below it is free
};

}  // namespace dmrp::server::ldm
