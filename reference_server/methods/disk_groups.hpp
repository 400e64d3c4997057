// The disk groups of dynamic disks: found on the disks, kept in order, changed, their volumes kept online.
#pragma once

#include "reference_server/methods/disk_source.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/platform/registry.hpp"
#include "reference_server/storage/ldm/group_operations.hpp"
#include "reference_server/storage/ldm/volume_map.hpp"
#include "reference_server/storage/ldm/volume_operations.hpp"
#include "reference_server/storage/server_settings.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace dmrp::server {

/// A disk of a group that is there.
struct GroupMember {
  std::string key;  ///< DiskObject::key
  DeviceInfo device;
  ldm::ObjectId disk = 0;  ///< its record
  ldm::PrivateHeader header;
  bool gpt = false;
};

/// A volume of the group that this machine has online.
struct GroupVolume {
  std::string key;                     ///< VolumeObject::key
  std::string name;                    ///< VolumeMap::name
  ldm::VolumeMap map;                  ///< without devices
  std::optional<VolumeStatus> status;  ///< nothing while the volume is not online
};

/// A disk group as the last observation found it: a value.
struct FoundGroup {
  bool primary = false;  ///< this machine's; all others are foreign
  ldm::Database database;
  std::vector<GroupMember> members;
  std::vector<GroupVolume> volumes;  ///< of the primary group only
  std::set<ldm::ObjectId> missing;   ///< disks of which no member is there

  [[nodiscard]] const GroupMember* MemberOf(ldm::ObjectId disk) const;
  [[nodiscard]] const GroupVolume* FindVolume(const std::string& key) const;
};

/// The key of a dynamic volume, by its GUID.
[[nodiscard]] std::string DynamicVolumeKey(const Guid& volume);
/// The key of a missing disk of the primary group, by its GUID in the group.
[[nodiscard]] std::string MissingDiskKey(const Guid& disk);

/// Used under StorageModel's operation lock only.
class DiskGroups {
 public:
  /// A disk that is attached.
  struct Attached {
    std::string key;
    DeviceInfo device;

    friend bool operator==(const Attached&, const Attached&) = default;
  };

  /// A group open for writing. The devices close with it.
  struct OpenGroup {
    std::vector<std::unique_ptr<BlockDevice>> devices;
    ldm::DiskGroup group;
  };

  DiskGroups(DiskSource& source, Registry& registry, std::function<void(const std::string&)> log)
      : source_(source), registry_(registry), log_(std::move(log)) {}

  /// Reads the private regions of all disks; the databases only of groups whose disks or transactions are not
  /// those of the last time. In the primary group it does what is due: what a crash left is brought in order,
  /// disks that went are noted as missing, volumes come online or go, members that were brought up to date or
  /// failed are noted.
  void Observe(const std::vector<Attached>& disks);
  /// Has the next observation read every database, also where no transaction tells of a change: another
  /// program may have written anything.
  void Forget() { read_.clear(); }

  [[nodiscard]] const std::vector<FoundGroup>& Groups() const { return groups_; }
  /// The primary group, when any of its disks is there; else null.
  [[nodiscard]] const FoundGroup* Primary() const;
  /// The group and the member that a disk is; nulls for other disks.
  struct Place {
    const FoundGroup* group = nullptr;
    const GroupMember* member = nullptr;
  };
  [[nodiscard]] Place Find(const std::string& disk_key) const;
  /// True for a disk whose table says that it is dynamic and whose database cannot be used.
  [[nodiscard]] bool IsUnreadable(const std::string& disk_key) const {
    return unreadable_.contains(disk_key);
  }
  /// A volume of the primary group; null when there is none.
  [[nodiscard]] const GroupVolume* FindVolume(const std::string& key) const;

  /// Opens the disks of a group and loads it.
  Outcome<OpenGroup> Open(const FoundGroup& group);
  /// Gives the primary group the records that `change` makes of those it has, in one transaction. LDM_E_NO_DG
  /// without a group.
  using Change = std::function<StorageResult<ldm::Database>(OpenGroup& group)>;
  Outcome<void> Update(const Change& change);

  /// Brings the table entries of retained partitions into line with the records of the primary group, after a
  /// volume that had some was deleted, split, or lost a mirror.
  Outcome<void> Mend();

  /// Names the primary group in the registry; nothing: there is none any more.
  Outcome<void> SetPrimary(const std::optional<PrimaryDiskGroup>& group);

 private:
  struct Seen {
    Attached disk;
    std::unique_ptr<BlockDevice> device;
    ldm::Member member;
    Bytes vmdb;  // the first sector of its database; empty when it cannot be read
  };
  // What tells that a disk's database is the one that was read before: every transaction changes the sector.
  struct Version {
    Attached disk;
    ldm::PrivateHeader header;
    ldm::TocBlock toc;
    bool gpt = false;
    Bytes vmdb;

    friend bool operator==(const Version&, const Version&) = default;
  };
  // A group in which nothing is due, without what the host tells of its volumes.
  struct Read {
    std::vector<Version> versions;
    FoundGroup group;
  };

  // The versions of a group's disks; none when one cannot be read or has a fault.
  static std::vector<Version> VersionsOf(const std::vector<Seen>& seen);
  // What was read of a group, when it is as it was then; else null.
  const FoundGroup* Unchanged(const Guid& guid, const std::vector<Seen>& seen) const;
  std::map<Guid, std::vector<Seen>> ReadMembers(const std::vector<Attached>& disks);
  // Reads all copies of a group's database: a megabyte from each disk.
  static Result<ldm::DiskGroup> Inspect(const std::vector<Seen>& seen);
  // Makes an end of a merge that a power cut left half done; true when something was written. `inspected`
  // gets what was read of the group to know.
  bool ResumeMerge(std::map<Guid, std::vector<Seen>>& found, const Guid& ours,
                   std::optional<Result<ldm::DiskGroup>>& inspected);
  // `inspected`: what Inspect gave for the group a moment ago, where it was asked.
  void Add(const Guid& guid, std::vector<Seen> seen, bool primary,
           std::optional<Result<ldm::DiskGroup>> inspected);
  // Brings the disks of the primary group in order when something is due; nothing when all is as it should
  // be.
  std::optional<ldm::DiskGroup> Maintain(const ldm::DiskGroup& inspected, std::vector<Seen>& seen);
  FoundGroup Describe(const ldm::DiskGroup& group, const std::vector<Seen>& seen, bool primary);
  void BringOnline(FoundGroup& group);
  void NoteMembers(FoundGroup& group);
  void TakeOthersOffline();
  void Log(const std::string& text) const;

  DiskSource& source_;
  Registry& registry_;
  std::function<void(const std::string&)> log_;
  std::vector<FoundGroup> groups_;
  std::map<Guid, Read> read_;
  std::set<std::string> unreadable_;
  std::set<std::string> brought_online_;  ///< names of volumes
  /// Volumes whose parity is being made, by name, with the event of their device when that began.
  std::map<std::string, std::uint32_t> initializing_;
  std::optional<std::uint64_t> failed_merge_;  ///< the transaction at which going on with a merge failed
  /// What was due the last time, so that what cannot be mended is not tried on and on: each write of ours is
  /// an event that has everything looked at again.
  std::string attempted_maintenance_;
};

}  // namespace dmrp::server
