// One copy of a group's database as it lies on a disk, and what recovery makes of it. Pure: nothing here
// touches a device.
#pragma once

#include "reference_server/storage/ldm/database.hpp"
#include "reference_server/storage/ldm/vblk.hpp"

#include <unordered_map>

namespace dmrp::server::ldm {

/// A database at rest: its octets, what they mean, and where each record lies.
struct RestingCopy {
  ConfigTable table;
  Database database;
  std::unordered_map<ObjectId, Placement> placements;
  std::uint32_t highestGroupNumber = 0;
};

/// The transaction that a copy witnesses as committed: the pending one in the state "commit", the committed
/// one else. Nothing when the copy holds no database (new, stale).
std::optional<std::uint64_t> WitnessedTransaction(const Vmdb& header);

/// Undoes what did not commit: pending records and their remnants go, those marked to be deleted stay.
/// kMalformed, kUnsupported when the result is no database.
Result<RestingCopy> RollBack(ConfigTable table);
/// Completes the pending transaction: records marked to be deleted go, pending ones become active.
Result<RestingCopy> RollForward(ConfigTable table);

/// The header of a database at rest with the records of `database`.
Vmdb RestingHeader(const Database& database, std::uint32_t slot_count);
/// The numbers of records.
RecordCounts CountsOf(const Database& database);

}  // namespace dmrp::server::ldm
