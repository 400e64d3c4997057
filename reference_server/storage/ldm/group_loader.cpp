// DiskGroup::Inspect and Load: which copy is the group's state, and how the others follow.
#include "protocol/base/octets.hpp"
#include "reference_server/storage/ldm/copy_state.hpp"
#include "reference_server/storage/ldm/disk_group.hpp"
#include "reference_server/storage/ldm/member_writer.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

namespace dmrp::server::ldm {

std::string_view CopyStateName(CopyState state) {
  switch (state) {
    case CopyState::kCurrent:
      return "Current";
    case CopyState::kRollBack:
      return "RollBack";
    case CopyState::kRollForward:
      return "RollForward";
    case CopyState::kStale:
      return "Stale";
    case CopyState::kDamaged:
      return "Damaged";
    case CopyState::kDeviceFailed:
      return "DeviceFailed";
    case CopyState::kUnknownDisk:
      return "UnknownDisk";
    case CopyState::kDuplicateDisk:
      return "DuplicateDisk";
  }
  return "?";
}

namespace {

/// A transaction takes no more numbers than this.
constexpr std::uint64_t kPlausibleStep = 1 << 20;

/// A copy while the group's state is looked for.
struct Copy {
  CopyReport report;
  std::optional<ConfigTable> table{};  ///< as it lies on the disk; nothing when it is no database
  std::optional<Bytes> log{};
  RepairWay way = RepairWay::kInPlace;

  [[nodiscard]] std::optional<std::uint64_t> Witnessed() const {
    return table ? WitnessedTransaction(table->Header()) : std::nullopt;
  }
  void Set(CopyState state, std::string text) {
    report.state = state;
    report.text = std::move(text);
  }
  [[nodiscard]] bool Excluded() const {
    return report.state == CopyState::kDeviceFailed || report.state == CopyState::kUnknownDisk ||
           report.state == CopyState::kDuplicateDisk;
  }
};

std::span<const std::byte> SlotsOf(const ConfigTable& table) { return table.Octets().subspan(kVmdbBytes); }

bool SameSlots(const ConfigTable& a, const ConfigTable& b) { return SameOctets(SlotsOf(a), SlotsOf(b)); }

bool SameRecords(Database a, const Database& b) {
  a.time = b.time;
  a.lastTaken = b.lastTaken;
  return a == b;
}

}  // namespace

class GroupLoader {
 public:
  static Result<DiskGroup> Inspect(std::vector<Member> members) {
    GroupLoader loader;
    if (auto read = loader.ReadCopies(std::move(members)); !read) return tl::unexpected(read.error());
    auto source = loader.FindState();
    if (!source) return tl::unexpected(source.error());
    if (auto judged = loader.Judge(*source); !judged) return tl::unexpected(judged.error());
    return loader.Build(std::move(*source));
  }

  static Result<DiskGroup> Load(std::vector<Member> members) {
    GroupLoader loader;
    if (auto read = loader.ReadCopies(std::move(members)); !read) return tl::unexpected(read.error());
    auto source = loader.FindState();
    if (!source) return tl::unexpected(source.error());
    if (auto judged = loader.Judge(*source); !judged) return tl::unexpected(judged.error());
    const LogRegion log = loader.ChooseLog(*source);
    for (Copy& copy : loader.copies_) loader.Repair(copy, *source, log);
    if (std::all_of(loader.copies_.begin(), loader.copies_.end(),
                    [](const Copy& one) { return one.report.state == CopyState::kDeviceFailed; })) {
      return Fail(ErrorKind::kUnavailable,
                  fmt::format("no disk of group '{}' can be written: {}", source->database.group.name,
                              loader.copies_.front().report.text));
    }
    DiskGroup group = loader.Build(std::move(*source));
    group.read_only_ = false;
    return group;
  }

 private:
  Result<void> ReadCopies(std::vector<Member> members) {
    if (members.empty()) return Fail(ErrorKind::kUsage, "a group of no disks");
    const Guid group = members.front().header.groupGuid;
    for (Member& member : members) {
      if (member.header.groupGuid != group) return Fail(ErrorKind::kUsage, "disks of different groups");
      Copy& copy = copies_.emplace_back();
      copy.report.member = std::move(member);
      auto config = ReadRegion(copy.report.member, RegionKindOfMember::kConfig);
      auto log = ReadRegion(copy.report.member, RegionKindOfMember::kLog);
      if (!config || !log) {
        copy.Set(CopyState::kDeviceFailed, (config ? log.error() : config.error()).ToString());
        continue;
      }
      copy.log = std::move(*log);
      auto table = ConfigTable::Parse(std::move(*config));
      if (!table && table.error().kind == ErrorKind::kUnsupported) return tl::unexpected(table.error());
      if (!table) {
        copy.Set(CopyState::kDamaged, table.error().message);
      } else if (table->Header().groupGuid != group) {
        copy.Set(CopyState::kDamaged, "the VMDB is of group " + table->Header().groupGuid.ToString());
      } else if (!WitnessedTransaction(table->Header())) {
        copy.Set(CopyState::kStale, "it was about to be replaced");
      } else {
        copy.table = std::move(*table);
      }
    }
    DropDuplicates();
    return {};
  }

  /// Of disks with the same GUID the one with the latest transaction counts, of equal ones the first.
  void DropDuplicates() {
    std::unordered_map<Guid, std::size_t> best;
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      if (copies_[i].Excluded()) continue;
      const auto [found, fresh] = best.emplace(copies_[i].report.member.header.diskGuid, i);
      if (fresh) continue;
      std::size_t loser = i;
      if (copies_[i].Witnessed() > copies_[found->second].Witnessed()) std::swap(loser, found->second);
      copies_[loser].Set(CopyState::kDuplicateDisk, "another disk has the same GUID");
      copies_[loser].table.reset();
    }
  }

  /// The state that recovery leads to: that of the latest committed transaction of which a good copy is left.
  Result<RestingCopy> FindState() {
    std::optional<Error> last_error;
    for (;;) {
      std::optional<std::uint64_t> target;
      for (const Copy& copy : copies_) target = std::max(target, copy.Witnessed());
      if (!target) break;
      // A copy at rest comes first: it bears the time of the transaction too.
      for (const bool at_rest : {true, false}) {
        for (Copy& copy : copies_) {
          if (!copy.table || (copy.table->Header().status == VmdbStatus::kClean) != at_rest) continue;
          if (copy.Witnessed() != target) continue;
          auto state = copy.table->Header().status == VmdbStatus::kCommit ? RollForward(*copy.table)
                                                                          : RollBack(*copy.table);
          if (state) return state;
          if (state.error().kind == ErrorKind::kUnsupported) return tl::unexpected(state.error());
          last_error = state.error();
        }
      }
      for (Copy& copy : copies_) {
        if (copy.Witnessed() != target) continue;
        copy.Set(CopyState::kDamaged, last_error->message);
        copy.table.reset();
      }
    }
    if (last_error) return tl::unexpected(*last_error);
    for (const Copy& copy : copies_) {
      if (!copy.report.text.empty()) {
        return Fail(ErrorKind::kMalformed, "no copy of the database is usable: " + copy.report.text);
      }
    }
    return Fail(ErrorKind::kMalformed, "no copy of the database is usable");
  }

  /// Says of each copy how it comes to the state found.
  Result<void> Judge(const RestingCopy& source) {
    const std::uint64_t target = source.database.committedTransaction;
    for (Copy& copy : copies_) {
      if (copy.Excluded()) continue;
      const Member& member = copy.report.member;
      const DiskRecord* disk = source.database.FindDisk(member.header.diskGuid);
      if (disk == nullptr) {
        copy.Set(CopyState::kUnknownDisk, "the database has no disk " + member.header.diskGuid.ToString());
        continue;
      }
      if (auto fits = CheckPlace(member, *disk, source); !fits) {
        copy.Set(CopyState::kDeviceFailed, fits.error().message);
        continue;
      }
      if (!copy.table) {
        copy.way = RepairWay::kWhole;
        continue;
      }
      const Vmdb& header = copy.table->Header();
      // Only what can be the transaction after the committed one; anything else is damage.
      if (header.pendingTransaction - header.committedTransaction < kPlausibleStep) {
        highest_seen_ = std::max(highest_seen_, header.pendingTransaction);
      }
      if (SameOctets(copy.table->Octets(), source.table.Octets())) continue;
      const bool forward = header.status == VmdbStatus::kCommit || header.committedTransaction != target;
      if ((forward ? header.pendingTransaction : header.committedTransaction) != target) {
        copy.way = RepairWay::kWhole;
        copy.Set(CopyState::kStale,
                 fmt::format("its transaction is {}, not {}", header.committedTransaction, target));
        continue;
      }
      const auto own = forward ? RollForward(*copy.table) : RollBack(*copy.table);
      if (own && SameSlots(own->table, source.table)) {
        if (forward) {
          copy.way = header.status == VmdbStatus::kCommit ? RepairWay::kInPlace : RepairWay::kForward;
          copy.Set(CopyState::kRollForward,
                   fmt::format("transaction {} is committed elsewhere or here", target));
        } else {
          copy.Set(CopyState::kRollBack, fmt::format("a transaction after {} did not commit", target));
        }
      } else if (copy.Witnessed() != target) {
        // It failed while the transaction was written, so not all of it need be there.
        copy.way = RepairWay::kWhole;
        copy.Set(CopyState::kStale, fmt::format("transaction {} is not whole on it", target));
      } else if (own && !SameRecords(own->database, source.database)) {
        return Fail(ErrorKind::kMalformed,
                    fmt::format("disks of group '{}' claim the same transaction {} and differ",
                                source.database.group.name, target));
      } else {
        copy.way = RepairWay::kWhole;
        copy.Set(CopyState::kDamaged,
                 own ? "its slots differ from those of the others" : own.error().message);
      }
    }
    return {};
  }

  static Result<void> CheckPlace(const Member& member, const DiskRecord& disk, const RestingCopy& source) {
    if (source.table.Octets().size() > member.Config().size * member.header.bytesPerSector) {
      return Fail(ErrorKind::kMalformed, "the database does not fit its region");
    }
    const auto subdisks = source.database.SubdisksOn(disk.id);
    if (!subdisks.empty() && subdisks.back()->start + subdisks.back()->size > member.header.PublicBlocks()) {
      return Fail(ErrorKind::kMalformed, Describe(*subdisks.back()) + ": it ends behind the public region");
    }
    return {};
  }

  LogRegion ChooseLog(const RestingCopy& source) {
    const std::uint64_t committed = source.database.committedTransaction;
    // Copies that have the state come first: what they say of dirty objects is the latest.
    for (const bool current : {true, false}) {
      for (const Copy& copy : copies_) {
        if (!copy.log || !copy.table || (copy.way != RepairWay::kWhole) != current) continue;
        Bytes octets = *copy.log;
        octets.resize(std::min(octets.size(), kLogRegionBytes));
        auto log = LogRegion::Parse(std::move(octets));
        if (!log) continue;
        log->DropOtherCommit(committed);
        (void)log->TakeChangedBlocks();
        return std::move(*log);
      }
    }
    return LogRegion::Make(source.database.group.commitTransaction);
  }

  void Repair(Copy& copy, const RestingCopy& source, const LogRegion& log) {
    if (copy.Excluded()) return;
    Member& member = copy.report.member;
    if (auto repaired = RepairCopy(member, copy.way, source.table.Octets(), log.Octets()); !repaired) {
      copy.Set(CopyState::kDeviceFailed, repaired.error().ToString());
      return;
    }
    // A header that cannot be mended has another copy that was good enough to come here.
    if (member.header.groupName != source.database.group.name) {
      PrivateHeader renamed = member.header;
      renamed.groupName = source.database.group.name;
      (void)UpdateHeader(member, std::move(renamed));
    } else {
      (void)MendCopies(member);
    }
  }

  DiskGroup Build(RestingCopy source) {
    DiskGroup group;
    group.log_ = ChooseLog(source);
    group.current_ = std::move(source.database);
    // A transaction that was undone here may have been committed by a disk that is not there: its id is
    // spent.
    group.current_.lastTaken = highest_seen_;
    group.config_ = std::move(source.table);
    (void)group.config_.TakeChangedBlocks();
    group.placements_ = std::move(source.placements);
    group.last_group_number_ = source.highestGroupNumber;
    for (const Copy& copy : copies_) {
      group.copies_.push_back(copy.report);
      if (!copy.Excluded()) group.members_.push_back(copy.report.member);
    }
    return group;
  }

  std::vector<Copy> copies_;
  std::uint64_t highest_seen_ = 0;
};

Result<DiskGroup> DiskGroup::Inspect(std::vector<Member> members) {
  return GroupLoader::Inspect(std::move(members));
}
Result<DiskGroup> DiskGroup::Load(std::vector<Member> members) {
  return GroupLoader::Load(std::move(members));
}

}  // namespace dmrp::server::ldm
