#include "reference_server/storage/ldm/disk_group.hpp"

#include "reference_server/storage/ldm/copy_state.hpp"
#include "reference_server/storage/ldm/member_writer.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace dmrp::server::ldm {

/// One step after the other on all members; a member that fails takes no part from then on.
class DiskGroup::StepWriter {
 public:
  explicit StepWriter(const std::vector<Member>& members) : members_(members), errors_(members.size()) {}

  void Config(const ConfigTable& table, std::span<const std::uint32_t> blocks) {
    Write(RegionKindOfMember::kConfig, table.Octets(), blocks);
  }
  void Log(const LogRegion& log, std::span<const std::uint32_t> blocks) {
    Write(RegionKindOfMember::kLog, log.Octets(), blocks);
  }
  /// Ends a step: what was written is on the medium of every member that still takes part.
  void Flush() {
    ForEach([](const Member& member) { return member.device->Flush(); });
  }

  [[nodiscard]] bool AnyLeft() const {
    return std::any_of(errors_.begin(), errors_.end(), [](const auto& error) { return !error; });
  }
  [[nodiscard]] const std::vector<std::optional<Error>>& Errors() const { return errors_; }

 private:
  template <typename Act>
  void ForEach(Act&& act) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (errors_[i]) continue;
      if (auto done = act(members_[i]); !done) errors_[i] = done.error();
    }
  }
  void Write(RegionKindOfMember region, std::span<const std::byte> image,
             std::span<const std::uint32_t> blocks) {
    ForEach([&](const Member& member) { return WriteBlocks(member, region, image, blocks); });
  }

  const std::vector<Member>& members_;
  std::vector<std::optional<Error>> errors_;
};

namespace {

/// The records of a database by id.
std::unordered_map<ObjectId, Record> ById(const Database& database) {
  std::unordered_map<ObjectId, Record> records;
  records.emplace(database.group.id, database.group);
  for (const auto& one : database.disks) records.emplace(one.id, one);
  for (const auto& one : database.volumes) records.emplace(one.id, one);
  for (const auto& one : database.plexes) records.emplace(one.id, one);
  for (const auto& one : database.subdisks) records.emplace(one.id, one);
  return records;
}

/// Records that are new or changed, and ids of those that go or are replaced.
struct Difference {
  std::unordered_set<ObjectId> written;
  std::vector<ObjectId> replaced;

  [[nodiscard]] bool Empty() const { return written.empty() && replaced.empty(); }
};

/// Equal but for the transaction that wrote it.
bool SameFields(const Record& before, Record after) {
  if (before.index() != after.index()) return false;
  std::visit(
      [&](const auto& old) {
        std::get<std::decay_t<decltype(old)>>(after).commitTransaction = old.commitTransaction;
      },
      before);
  return before == after;
}

Difference Compare(const Database& before, const Database& after) {
  Difference difference;
  const auto old_records = ById(before);
  const auto new_records = ById(after);
  for (const auto& [id, record] : new_records) {
    const auto old = old_records.find(id);
    if (old == old_records.end() || !SameFields(old->second, record)) difference.written.insert(id);
  }
  if (after.Style() == Convention::k2003) {
    for (const SubdiskRecord& subdisk : after.subdisks) {
      if (difference.written.contains(subdisk.id)) difference.written.insert(subdisk.diskId);
    }
  }
  // libldm puts the extents of a span together in the order of their slots, so they are written together.
  for (const PlexRecord& plex : after.plexes) {
    const auto extents = after.SubdisksOf(plex.id);
    const auto written = [&](const SubdiskRecord* one) { return difference.written.contains(one->id); };
    if (plex.layout != PlexLayout::kConcat || std::ranges::none_of(extents, written)) continue;
    for (const SubdiskRecord* one : extents) difference.written.insert(one->id);
  }
  for (const auto& [id, record] : old_records) {
    if (difference.written.contains(id) || !new_records.contains(id)) difference.replaced.push_back(id);
  }
  return difference;
}

/// Visits the records that are written in the order in which Windows numbers them: group, disks, each volume
/// with its plexes, each plex with its subdisks.
template <typename Visit>
Result<void> InWritingOrder(const Database& database, const std::unordered_set<ObjectId>& written,
                            Visit&& visit) {
  std::unordered_map<ObjectId, std::vector<const PlexRecord*>> plexes;
  for (const PlexRecord& plex : database.plexes) plexes[plex.volumeId].push_back(&plex);
  std::unordered_map<ObjectId, std::vector<const SubdiskRecord*>> subdisks;
  for (const SubdiskRecord& subdisk : database.subdisks) subdisks[subdisk.plexId].push_back(&subdisk);
  Result<void> done;
  const auto one = [&](const auto& record) {
    if (done && written.contains(record.id)) done = visit(record);
  };
  one(database.group);
  for (const DiskRecord& disk : database.disks) one(disk);
  for (const VolumeRecord& volume : database.volumes) {
    one(volume);
    for (const PlexRecord* plex : plexes[volume.id]) {
      one(*plex);
      std::ranges::sort(subdisks[plex->id], {}, [](const SubdiskRecord* subdisk) {
        return std::pair(subdisk->column, subdisk->offset);
      });
      for (const SubdiskRecord* subdisk : subdisks[plex->id]) one(*subdisk);
    }
  }
  return done;
}

void SetTransaction(Database& database, const std::unordered_set<ObjectId>& written,
                    std::uint64_t transaction) {
  const auto set = [&](auto& record) {
    if (written.contains(record.id)) record.commitTransaction = transaction;
  };
  set(database.group);
  std::for_each(database.disks.begin(), database.disks.end(), set);
  std::for_each(database.volumes.begin(), database.volumes.end(), set);
  std::for_each(database.plexes.begin(), database.plexes.end(), set);
  std::for_each(database.subdisks.begin(), database.subdisks.end(), set);
}

Result<void> FitsDisk(const Database& database, const PrivateHeader& header) {
  const DiskRecord* disk = database.FindDisk(header.diskGuid);
  if (disk == nullptr) return {};
  const auto subdisks = database.SubdisksOn(disk->id);
  if (!subdisks.empty() && subdisks.back()->start + subdisks.back()->size > header.PublicBlocks()) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("{}: it ends at block {} of a public region of {}", Describe(*subdisks.back()),
                            subdisks.back()->start + subdisks.back()->size, header.PublicBlocks()));
  }
  return {};
}

}  // namespace

const Member* DiskGroup::MemberOf(const Guid& disk_guid) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const Member& one) { return one.header.diskGuid == disk_guid; });
  return found == members_.end() ? nullptr : &*found;
}

const Member* DiskGroup::MemberOf(ObjectId disk) const {
  const DiskRecord* record = current_.FindDisk(disk);
  return record == nullptr ? nullptr : MemberOf(record->guid);
}

std::vector<ObjectId> DiskGroup::MissingDisks() const {
  std::vector<ObjectId> missing;
  for (const DiskRecord& disk : current_.disks) {
    if (MemberOf(disk.guid) == nullptr) missing.push_back(disk.id);
  }
  return missing;
}

std::vector<MemberFailure> DiskGroup::DropFailed(StepWriter& writer) {
  std::vector<MemberFailure> failed;
  std::vector<Member> left;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (const auto& error = writer.Errors()[i]) {
      failed.push_back({.diskGuid = members_[i].header.diskGuid, .error = *error});
    } else {
      left.push_back(std::move(members_[i]));
    }
  }
  members_ = std::move(left);
  return failed;
}

std::uint32_t DiskGroup::TakeGroupNumber() {
  if (last_group_number_ < std::numeric_limits<std::uint32_t>::max()) return ++last_group_number_;
  // The counter is used up, which takes four thousand million versions: look for one that is free.
  std::unordered_set<std::uint32_t> used;
  for (const auto& [id, placement] : placements_) used.insert(placement.groupNumber);
  std::uint32_t number = 1;
  while (used.contains(number)) ++number;
  return number;
}

Result<CommitReport> DiskGroup::Commit(Database next, std::uint64_t now) {
  if (read_only_) return Fail(ErrorKind::kUsage, "a group that is only looked at cannot be changed");
  if (lost_ || members_.empty()) {
    return Fail(ErrorKind::kUnavailable, fmt::format("no disk of group '{}' is left", current_.group.name));
  }
  if (next.group.guid != current_.group.guid || next.group.id != current_.group.id) {
    return Fail(ErrorKind::kUsage, "a transaction keeps the identity of its group");
  }
  const std::uint64_t before = current_.committedTransaction;
  next.committedTransaction = before;
  next.UpdateCounts();
  const Difference difference = Compare(current_, next);
  if (difference.Empty())
    return CommitReport{.transaction = before, .written = false, .failed = {}, .removed = {}};
  next.lastTaken = std::max(next.lastTaken, current_.lastTaken);
  const std::uint64_t transaction = std::max(next.NextTransaction(), current_.NextTransaction());
  if (transaction <= before) return Fail(ErrorKind::kLimit, "no transaction id is left");
  SetTransaction(next, difference.written, transaction);
  next.committedTransaction = transaction;
  next.time = now;
  if (auto good = next.Check(); !good) return tl::unexpected(good.error());
  for (const Member& member : members_) {
    if (auto fits = FitsDisk(next, member.header); !fits) return tl::unexpected(fits.error());
  }

  ConfigTable table = config_;
  LogRegion log = log_;
  auto placements = placements_;
  std::vector<std::uint32_t> doomed;
  for (const ObjectId id : difference.replaced) {
    const Placement& placement = placements.at(id);
    table.SetStatus(placement.slots.front(), RecordStatus::kToBeDeleted);
    doomed.insert(doomed.end(), placement.slots.begin(), placement.slots.end());
    placements.erase(id);
  }
  std::vector<std::uint32_t> fresh;
  auto stored = InWritingOrder(next, difference.written, [&](const auto& record) -> Result<void> {
    auto placement = table.Store(record, RecordStatus::kToBeActivated, TakeGroupNumber());
    if (!placement) return tl::unexpected(placement.error());
    fresh.push_back(placement->slots.front());
    placements.insert_or_assign(record.id, std::move(*placement));
    return {};
  });
  if (!stored) return tl::unexpected(stored.error());
  const Vmdb resting = RestingHeader(next, table.Header().slotCount);
  Vmdb interim = table.Header();
  interim.status = VmdbStatus::kChange;
  interim.pendingTransaction = transaction;
  interim.pending = resting.committed;
  if (auto fits = SerializeVmdb(resting); !fits) return tl::unexpected(fits.error());

  // From here on the disks change. Each step is on the medium of all before the next begins.
  StepWriter writer(members_);
  const auto step = [&](const Vmdb* header) -> Result<void> {
    if (header != nullptr) {
      if (auto set = table.SetHeader(*header); !set) return set;
    }
    writer.Config(table, table.TakeChangedBlocks());
    writer.Flush();
    return {};
  };
  if (auto done = step(&interim); !done) return tl::unexpected(done.error());
  log.SetCommit(before, transaction);
  writer.Log(log, log.TakeChangedBlocks());
  writer.Flush();
  interim.status = VmdbStatus::kCommit;
  if (auto done = step(&interim); !done) return tl::unexpected(done.error());
  table.Wipe(doomed);
  for (const std::uint32_t slot : fresh) table.SetStatus(slot, RecordStatus::kActive);
  if (auto done = step(nullptr); !done) return tl::unexpected(done.error());
  if (auto done = step(&resting); !done) return tl::unexpected(done.error());

  CommitReport report{
      .transaction = transaction, .written = true, .failed = DropFailed(writer), .removed = {}};
  if (members_.empty()) {
    lost_ = true;
    return Fail(ErrorKind::kUnavailable,
                fmt::format("no disk of group '{}' is left after transaction {}: {}", current_.group.name,
                            transaction, report.failed.front().error.ToString()));
  }
  std::erase_if(members_, [&](Member& one) {
    const bool leaves =
        next.FindDisk(one.header.diskGuid) == nullptr && current_.FindDisk(one.header.diskGuid) != nullptr;
    if (leaves) report.removed.push_back(one);
    return leaves;
  });
  current_ = std::move(next);
  config_ = std::move(table);
  log_ = std::move(log);
  placements_ = std::move(placements);
  return report;
}

Result<DiskGroup> DiskGroup::Create(const std::vector<NewDisk>& disks, Database database, std::uint64_t now) {
  DiskGroup group;
  database.UpdateCounts();
  const std::uint64_t transaction = std::max(database.committedTransaction, database.NextTransaction());
  std::unordered_set<ObjectId> all;
  for (const auto& [id, record] : ById(database)) all.insert(id);
  SetTransaction(database, all, transaction);
  database.committedTransaction = transaction;
  database.time = now;
  if (disks.empty()) return Fail(ErrorKind::kUsage, "a group of no disks");
  if (auto good = database.Check(); !good) return tl::unexpected(good.error());
  auto table = ConfigTable::Make(RestingHeader(database, kSlotCount));
  if (!table) return tl::unexpected(table.error());
  group.config_ = std::move(*table);
  auto stored = InWritingOrder(database, all, [&](const auto& record) -> Result<void> {
    auto placement = group.config_.Store(record, RecordStatus::kActive, group.TakeGroupNumber());
    if (!placement) return tl::unexpected(placement.error());
    group.placements_.insert_or_assign(record.id, std::move(*placement));
    return {};
  });
  if (!stored) return tl::unexpected(stored.error());
  (void)group.config_.TakeChangedBlocks();
  group.log_ = LogRegion::Make(database.group.commitTransaction);
  (void)group.log_.TakeChangedBlocks();
  group.current_ = std::move(database);
  group.read_only_ = false;
  for (const NewDisk& disk : disks) {
    if (group.current_.FindDisk(disk.header.diskGuid) == nullptr) {
      return Fail(ErrorKind::kUsage,
                  "the new group has no record of disk " + disk.header.diskGuid.ToString());
    }
    if (auto fits = FitsDisk(group.current_, disk.header); !fits) return tl::unexpected(fits.error());
  }
  for (const NewDisk& disk : disks) {
    if (auto added = group.AddMember(disk); !added) return tl::unexpected(added.error());
  }
  return group;
}

Result<void> DiskGroup::AddMember(const NewDisk& disk) {
  if (read_only_) return Fail(ErrorKind::kUsage, "a group that is only looked at cannot be changed");
  if (MemberOf(disk.header.diskGuid) != nullptr)
    return Fail(ErrorKind::kUsage, "the disk is a member already");
  PrivateHeader header = disk.header;
  header.groupGuid = current_.group.guid;
  header.groupName = current_.group.name;
  auto member = WriteNewPrivateRegion(*disk.device, disk.gpt, header, config_.Octets(), log_.Octets());
  if (!member) return tl::unexpected(member.error());
  members_.push_back(std::move(*member));
  return {};
}

Result<void> DiskGroup::TakeOver(Member foreign, std::uint64_t now) {
  if (read_only_) return Fail(ErrorKind::kUsage, "a group that is only looked at cannot be changed");
  if (current_.FindDisk(foreign.header.diskGuid) == nullptr) {
    return Fail(ErrorKind::kUsage, "the group has no record of disk " + foreign.header.diskGuid.ToString());
  }
  if (MemberOf(foreign.header.diskGuid) != nullptr)
    return Fail(ErrorKind::kUsage, "the disk is a member already");
  if (auto fits = FitsDisk(current_, foreign.header); !fits) return fits;
  PrivateHeader header = foreign.header;
  header.groupGuid = current_.group.guid;
  header.groupName = current_.group.name;
  header.time = now;
  if (auto written = ReplacePrivateRegion(foreign, std::move(header), config_.Octets(), log_.Octets());
      !written) {
    return written;
  }
  members_.push_back(std::move(foreign));
  return {};
}

Result<void> DiskGroup::Readmit(Member member) {
  if (read_only_) return Fail(ErrorKind::kUsage, "a group that is only looked at cannot be changed");
  if (member.header.groupGuid != current_.group.guid ||
      current_.FindDisk(member.header.diskGuid) == nullptr) {
    return Fail(ErrorKind::kUsage, "the disk is none of this group: " + member.header.diskGuid.ToString());
  }
  if (MemberOf(member.header.diskGuid) != nullptr)
    return Fail(ErrorKind::kUsage, "the disk is a member already");
  if (auto fits = FitsDisk(current_, member.header); !fits) return fits;
  if (auto repaired = RepairCopy(member, RepairWay::kWhole, config_.Octets(), log_.Octets()); !repaired) {
    return repaired;
  }
  if (member.header.groupName != current_.group.name) {
    PrivateHeader renamed = member.header;
    renamed.groupName = current_.group.name;
    if (auto updated = UpdateHeader(member, std::move(renamed)); !updated) return updated;
  }
  members_.push_back(std::move(member));
  return {};
}

void DiskGroup::Detach(const Guid& disk_guid) {
  std::erase_if(members_, [&](const Member& one) { return one.header.diskGuid == disk_guid; });
}

namespace {

/// Rewrites the header of each member; those that fail are taken out.
template <typename Edit>
std::vector<MemberFailure> EditHeaders(std::vector<Member>& members, Edit&& edit) {
  std::vector<MemberFailure> failed;
  std::erase_if(members, [&](Member& member) {
    PrivateHeader header = member.header;
    edit(header);
    const auto updated = UpdateHeader(member, std::move(header));
    if (updated) return false;
    failed.push_back({.diskGuid = member.header.diskGuid, .error = updated.error()});
    return true;
  });
  return failed;
}

}  // namespace

Result<CommitReport> DiskGroup::Rename(const std::string& name, std::uint64_t now) {
  Database next = current_;
  next.group.name = name;
  auto report = Commit(std::move(next), now);
  if (!report || !report->written) return report;
  auto failed = EditHeaders(members_, [&](PrivateHeader& header) {
    header.groupName = name;
    header.time = now;
  });
  report->failed.insert(report->failed.end(), failed.begin(), failed.end());
  return report;
}

Result<std::vector<MemberFailure>> DiskGroup::RewriteHeaders(std::uint32_t host_signature,
                                                             std::uint64_t now) {
  if (read_only_) return Fail(ErrorKind::kUsage, "a group that is only looked at cannot be changed");
  return EditHeaders(members_, [&](PrivateHeader& header) {
    header.hostSignature = host_signature;
    header.time = now;
  });
}

std::vector<LogEntry> DiskGroup::LogEntries() const { return log_.ObjectEntries(); }

Result<std::vector<MemberFailure>> DiskGroup::SetLogEntry(LogStatus status, ObjectId object) {
  if (read_only_) return Fail(ErrorKind::kUsage, "a group that is only looked at cannot be changed");
  const auto records = ById(current_);
  const auto found = records.find(object);
  const std::uint64_t transaction =
      found == records.end()
          ? current_.committedTransaction
          : std::visit([](const auto& one) { return one.commitTransaction; }, found->second);
  LogRegion log = log_;
  if (auto set = log.SetObject(status, object, transaction); !set) return tl::unexpected(set.error());
  const auto blocks = log.TakeChangedBlocks();
  if (blocks.empty()) return std::vector<MemberFailure>{};
  StepWriter writer(members_);
  writer.Log(log, blocks);
  writer.Flush();
  auto failed = DropFailed(writer);
  if (members_.empty()) {
    lost_ = true;
    return Fail(ErrorKind::kUnavailable, fmt::format("no disk of group '{}' is left", current_.group.name));
  }
  log_ = std::move(log);
  return failed;
}

}  // namespace dmrp::server::ldm
