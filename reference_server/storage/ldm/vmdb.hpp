// VMDB: the header of the database, in front of its slots. Its status is what commits a transaction.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace dmrp::server::ldm {

inline constexpr std::size_t kSlotBytes = 128;
/// Octets of the VMDB, of which the first slot follows.
inline constexpr std::size_t kVmdbBytes = 512;
/// The VMDB takes the place of this many slots: the first slot has this number.
inline constexpr std::uint32_t kFirstSlot = kVmdbBytes / kSlotBytes;
/// Slots of a database that we make, the VMDB counted: what 1481 sectors of 512 octets hold.
inline constexpr std::uint32_t kSlotCount = 5924;
/// A database with more is not read.
inline constexpr std::uint32_t kMaxSlotCount = 1 << 17;

enum class VmdbStatus : std::uint16_t {
  kClean = 1,
  kChange = 2,  ///< a transaction is written but not committed
  kCommit = 3,  ///< a transaction is committed but not cleaned up
  kAbort = 4,
  kNew = 5,
  kStale = 6,  ///< holds no database: about to be replaced
  kOffline = 8,
};

/// Numbers of records. The group record is not counted.
struct RecordCounts {
  std::uint32_t volumes = 0;
  std::uint32_t plexes = 0;
  std::uint32_t subdisks = 0;
  std::uint32_t disks = 0;
  std::array<std::uint32_t, 3> unused{};  ///< disk access records, and two unknown words: 0

  friend bool operator==(const RecordCounts&, const RecordCounts&) = default;
};

struct Vmdb {
  std::uint32_t slotCount = kSlotCount;  ///< the header counted as kFirstSlot
  VmdbStatus status = VmdbStatus::kClean;
  std::string groupName;
  Guid groupGuid{};
  std::uint64_t committedTransaction = 0;
  std::uint64_t pendingTransaction = 0;  ///< equal to the committed one at rest
  RecordCounts committed{};
  RecordCounts pending{};
  std::uint64_t time = 0;  ///< FILETIME of the last change

  friend bool operator==(const Vmdb&, const Vmdb&) = default;
};

/// Reads the 512 octets: magic, slot size, header size, version 4.10, a known status. kMalformed names the
/// field, kUnsupported another version.
Result<Vmdb> ParseVmdb(std::span<const std::byte> octets);
/// 512 octets. kLimit for a name of more than 30 octets.
Result<Bytes> SerializeVmdb(const Vmdb& vmdb);

}  // namespace dmrp::server::ldm
