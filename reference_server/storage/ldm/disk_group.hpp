// A disk group: the same database on every one of its disks, changed on all of them or on none.
//
//   auto member = OpenMember(device);                      // each disk (member.hpp)
//   auto group = DiskGroup::Load(members_of_one_guid);     // recovers what a crash left
//   Database next = group->Current(); ...
//   auto done = group->Commit(next);                       // done->failed: members that could not be written
//
// A group that is not ours is looked at with Inspect, which writes nothing.
#pragma once

#include "reference_server/storage/ldm/database.hpp"
#include "reference_server/storage/ldm/klog.hpp"
#include "reference_server/storage/ldm/member.hpp"
#include "reference_server/storage/ldm/vblk.hpp"
#include "reference_server/storage/ldm/vmdb.hpp"

#include <unordered_map>

namespace dmrp::server::ldm {

/// What loading found out about a member's copy of the database, and what it does about it.
enum class CopyState : std::uint8_t {
  kCurrent,        ///< as it should be
  kRollBack,       ///< a transaction that did not commit is undone
  kRollForward,    ///< a transaction that committed is completed
  kStale,          ///< older than another copy, replaced by it whole
  kDamaged,        ///< unreadable as a database, replaced by another copy whole
  kDeviceFailed,   ///< the disk cannot be read or written: no member until it is loaded again
  kUnknownDisk,    ///< the database has no such disk: left alone, no member
  kDuplicateDisk,  ///< another member has the same GUID: left alone, no member
};

/// "RollBack", ...: for messages and tests.
std::string_view CopyStateName(CopyState state);

/// A disk that was handed in, and its copy.
struct CopyReport {
  Member member;
  CopyState state = CopyState::kCurrent;
  std::string text;  ///< the reason, for people; empty when current
};

/// A member that could not be written. The others went on; its copy is older from now on.
struct MemberFailure {
  Guid diskGuid;
  Error error;
};

struct CommitReport {
  std::uint64_t transaction = 0;  ///< the committed one; the earlier one when nothing had changed
  bool written = false;           ///< false when there was nothing to change
  std::vector<MemberFailure> failed;
  std::vector<Member>
      removed;  ///< disks that lost their record: no members any more, to be wiped by the caller
};

/// A disk that is to carry a group.
struct NewDisk {
  BlockDevice* device = nullptr;
  bool gpt = false;
  PrivateHeader header;  ///< MakePrivateHeader; names of the group are filled in
};

class DiskGroup {
 public:
  /// Reads the group that `members`, all of one group GUID, carry, as recovery will leave it; writes nothing,
  /// and Commit refuses. kMalformed when no copy is usable, or when two copies claim the same transaction and
  /// differ; kUnsupported for versions and records that are not known; kUsage for no members or several
  /// groups.
  static Result<DiskGroup> Inspect(std::vector<Member> members);

  /// The same, and brings every copy to the state read: undoes, completes, replaces; then mends headers and
  /// TOCs whose copies differ. A disk that fails meanwhile is reported, not fatal as long as one works.
  static Result<DiskGroup> Load(std::vector<Member> members);

  /// Writes a new group to disks that have no private region: `database` must name each of them. A disk
  /// counts only once its partition table says that it is dynamic, which is the caller's last step. The
  /// committed transaction of `database` is kept when it is above everything else in it, else set.
  static Result<DiskGroup> Create(const std::vector<NewDisk>& disks, Database database,
                                  std::uint64_t now = FileTimeNow());

  [[nodiscard]] const Database& Current() const { return current_; }
  /// The disks that are written to.
  [[nodiscard]] const std::vector<Member>& Members() const { return members_; }
  [[nodiscard]] const Member* MemberOf(ObjectId disk) const;
  [[nodiscard]] const Member* MemberOf(const Guid& disk_guid) const;
  /// Disks of the database without a member.
  [[nodiscard]] std::vector<ObjectId> MissingDisks() const;
  /// What loading found, one for each disk handed in.
  [[nodiscard]] const std::vector<CopyReport>& Copies() const { return copies_; }
  /// True when it was only inspected.
  [[nodiscard]] bool ReadOnly() const { return read_only_; }

  /// Makes `next` the state of the group on all members in one transaction: whatever cuts it off, the group
  /// loads as before or as after. Record counts, transaction ids and the time are set here; under
  /// Convention::k2003 the record of a disk that got a subdisk is written too. Nothing is written when
  /// nothing changed. Members that fail are left behind and reported.
  ///
  /// kMalformed when `next` breaks an invariant, kLimit when it does not fit, kUsage on an inspected group:
  /// nothing is written. kUnavailable when no member is left: what the disks hold is known after the next
  /// Load.
  Result<CommitReport> Commit(Database next, std::uint64_t now = FileTimeNow());

  /// Writes a private region with this group's database to a disk that has none, and takes it as a member.
  /// Its record comes with the next Commit; a cut before that leaves a disk that the group does not know.
  Result<void> AddMember(const NewDisk& disk);
  /// Moves a disk of another group into this one: its records were committed here before, the disk then gets
  /// this database and at last a header that says so.
  Result<void> TakeOver(Member foreign, std::uint64_t now = FileTimeNow());
  /// Takes back a disk of this group that was missing or had failed: its copy is replaced by the current one.
  Result<void> Readmit(Member member);
  /// Leaves a disk out from now on, without writing to it: it becomes a missing one.
  void Detach(const Guid& disk_guid);

  /// Renames the group: one transaction, then the headers of all members. A cut in between is mended by Load.
  Result<CommitReport> Rename(const std::string& name, std::uint64_t now = FileTimeNow());
  /// Writes headers with a new sequence and time, and this host's signature: what adopting a group changes.
  Result<std::vector<MemberFailure>> RewriteHeaders(std::uint32_t host_signature,
                                                    std::uint64_t now = FileTimeNow());

  /// Objects that have a dirty or detach entry in the log.
  [[nodiscard]] std::vector<LogEntry> LogEntries() const;
  /// Puts an entry for `object` into the log of all members, or takes it out (status kNone); returns when it
  /// is on the medium. A mirror or RAID-5 volume is dirty while it is open for writing.
  Result<std::vector<MemberFailure>> SetLogEntry(LogStatus status, ObjectId object);

  /// The contents of region config and of region log: the same on all members.
  [[nodiscard]] std::span<const std::byte> ConfigImage() const { return config_.Octets(); }
  [[nodiscard]] std::span<const std::byte> LogImage() const { return log_.Octets(); }

 private:
  class StepWriter;
  DiskGroup() = default;

  /// Takes the members out whose writing failed.
  std::vector<MemberFailure> DropFailed(StepWriter& writer);
  [[nodiscard]] std::uint32_t TakeGroupNumber();

  Database current_;
  ConfigTable config_;
  LogRegion log_;
  std::unordered_map<ObjectId, Placement> placements_;
  std::vector<Member> members_;
  std::vector<CopyReport> copies_;
  std::uint32_t last_group_number_ = 0;
  bool read_only_ = true;
  bool lost_ = false;  ///< no member was left in the middle of a transaction

  friend class GroupLoader;
};

}  // namespace dmrp::server::ldm
