#include "reference_server/storage/ldm/copy_state.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

/// Slots of records that recovery removes, and those whose status it clears.
struct Cleanup {
  std::vector<std::uint32_t> wipe;
  std::vector<std::uint32_t> activate;
};

/// Records of status `doomed` are removed. Of those, and of records without a head, the rest of a half-done
/// removal or half-done writing is removed too; any other incomplete record is damage.
Result<Cleanup> PlanCleanup(const SlotScan& scan, RecordStatus doomed) {
  Cleanup plan;
  const auto add = [&](const std::vector<std::uint32_t>& slots) {
    plan.wipe.insert(plan.wipe.end(), slots.begin(), slots.end());
  };
  for (const PlacedRecord& one : scan.records) {
    if (one.stored.status == doomed) {
      add(one.placement.slots);
    } else if (one.stored.status != RecordStatus::kActive) {
      plan.activate.push_back(one.placement.slots.front());
    }
  }
  for (const SlotScan::Remnant& remnant : scan.remnants) {
    if (remnant.hasHead && remnant.status != doomed) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("slot {}: a fragment of its record is missing", remnant.slots.front()));
    }
    add(remnant.slots);
  }
  return plan;
}

Result<RestingCopy> Interpret(ConfigTable table) {
  const auto scan = table.Scan();
  if (!scan) return tl::unexpected(scan.error());
  RestingCopy copy;
  Database& database = copy.database;
  bool has_group = false;
  for (const PlacedRecord& one : scan->records) {
    const Record& record = one.stored.record;
    const ObjectId id = IdOf(record);
    if (!copy.placements.emplace(id, one.placement).second) {
      return Fail(ErrorKind::kMalformed, fmt::format("{}: id is used twice", Describe(record)));
    }
    copy.highestGroupNumber = std::max(copy.highestGroupNumber, one.placement.groupNumber);
    if (const auto* group = std::get_if<DiskGroupRecord>(&record)) {
      if (has_group)
        return Fail(ErrorKind::kMalformed, fmt::format("{}: a second group record", Describe(record)));
      has_group = true;
      database.group = *group;
    } else if (const auto* disk = std::get_if<DiskRecord>(&record)) {
      database.disks.push_back(*disk);
    } else if (const auto* volume = std::get_if<VolumeRecord>(&record)) {
      database.volumes.push_back(*volume);
    } else if (const auto* plex = std::get_if<PlexRecord>(&record)) {
      database.plexes.push_back(*plex);
    } else if (const auto* subdisk = std::get_if<SubdiskRecord>(&record)) {
      database.subdisks.push_back(*subdisk);
    }
  }
  const Vmdb& header = table.Header();
  if (!has_group) return Fail(ErrorKind::kMalformed, "the database has no group record");
  if (database.group.guid != header.groupGuid || database.group.name != header.groupName) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("{}: name or guid differ from those of the VMDB, '{}' and {}",
                            Describe(database.group), header.groupName, header.groupGuid.ToString()));
  }
  const auto by_id = [](const auto& a, const auto& b) { return a.id < b.id; };
  std::sort(database.disks.begin(), database.disks.end(), by_id);
  std::sort(database.volumes.begin(), database.volumes.end(), by_id);
  std::sort(database.plexes.begin(), database.plexes.end(), by_id);
  std::sort(database.subdisks.begin(), database.subdisks.end(), by_id);
  database.committedTransaction = header.committedTransaction;
  database.time = header.time;
  const RecordCounts counts = CountsOf(database);
  if (counts != header.committed) {
    return Fail(
        ErrorKind::kMalformed,
        fmt::format("VMDB: counts {} volumes, {} plexes, {} subdisks, {} disks; there are {}, {}, {}, {}",
                    header.committed.volumes, header.committed.plexes, header.committed.subdisks,
                    header.committed.disks, counts.volumes, counts.plexes, counts.subdisks, counts.disks));
  }
  if (auto good = database.Check(); !good) return tl::unexpected(good.error());
  copy.table = std::move(table);
  return copy;
}

Result<RestingCopy> Finish(ConfigTable table, RecordStatus doomed, Vmdb header) {
  const auto scan = table.Scan();
  if (!scan) return tl::unexpected(scan.error());
  const auto plan = PlanCleanup(*scan, doomed);
  if (!plan) return tl::unexpected(plan.error());
  table.Wipe(plan->wipe);
  for (const std::uint32_t slot : plan->activate) table.SetStatus(slot, RecordStatus::kActive);
  if (table.Header().status != VmdbStatus::kClean) {
    // A transaction may rename the group; the name in the VMDB follows in its last step.
    for (const PlacedRecord& one : scan->records) {
      const auto* group = std::get_if<DiskGroupRecord>(&one.stored.record);
      if (group != nullptr && one.stored.status != doomed) header.groupName = group->name;
    }
  }
  header.status = VmdbStatus::kClean;
  if (header != table.Header()) {
    if (auto set = table.SetHeader(header); !set) return tl::unexpected(set.error());
  }
  return Interpret(std::move(table));
}

}  // namespace

std::optional<std::uint64_t> WitnessedTransaction(const Vmdb& header) {
  switch (header.status) {
    case VmdbStatus::kNew:
    case VmdbStatus::kStale:
      return std::nullopt;
    case VmdbStatus::kCommit:
      return header.pendingTransaction;
    default:
      return header.committedTransaction;
  }
}

Result<RestingCopy> RollBack(ConfigTable table) {
  Vmdb header = table.Header();
  header.pendingTransaction = header.committedTransaction;
  header.pending = header.committed;
  return Finish(std::move(table), RecordStatus::kToBeActivated, std::move(header));
}

Result<RestingCopy> RollForward(ConfigTable table) {
  Vmdb header = table.Header();
  header.committedTransaction = header.pendingTransaction;
  header.committed = header.pending;
  return Finish(std::move(table), RecordStatus::kToBeDeleted, std::move(header));
}

Vmdb RestingHeader(const Database& database, std::uint32_t slot_count) {
  const RecordCounts counts = CountsOf(database);
  return {.slotCount = slot_count,
          .status = VmdbStatus::kClean,
          .groupName = database.group.name,
          .groupGuid = database.group.guid,
          .committedTransaction = database.committedTransaction,
          .pendingTransaction = database.committedTransaction,
          .committed = counts,
          .pending = counts,
          .time = database.time};
}

RecordCounts CountsOf(const Database& database) {
  return {.volumes = static_cast<std::uint32_t>(database.volumes.size()),
          .plexes = static_cast<std::uint32_t>(database.plexes.size()),
          .subdisks = static_cast<std::uint32_t>(database.subdisks.size()),
          .disks = static_cast<std::uint32_t>(database.disks.size())};
}

}  // namespace dmrp::server::ldm
