// The fault-tolerant (FT) sets of Windows NT on basic disks: found in the registry's record and on the disks,
// kept in order, changed, kept online.
#pragma once

#include "reference_server/methods/disk_groups.hpp"
#include "reference_server/methods/disk_source.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/objects/reconcile.hpp"
#include "reference_server/platform/registry.hpp"
#include "reference_server/storage/ft/ft_operations.hpp"
#include "reference_server/storage/ft/ft_sets.hpp"
#include "reference_server/storage/mount_manager.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace dmrp::server {

/// An FT set as the last observation found it: a value.
struct FtSet {
  std::string key;   ///< VolumeObject::key; stays as long as the set exists
  std::string name;  ///< VolumeMap::name
  ft::FtVolume volume;
  std::optional<VolumeStatus> status;  ///< nothing while the set is not online
  DiskGeometry geometry;               ///< of a disk it lies on, with the length of the set
  /// A disk of a member has become dynamic, and the set is still in the record: a conversion was cut short.
  /// Such a set does not come online and is not noted as degraded, so that what is left can be finished.
  bool converting = false;
};

/// What the mount manager knows a set by: the partition that is, or was, its first member.
[[nodiscard]] UniqueId FtVolumeId(const ft::FtVolume& volume);

/// What the list shows of a set, without file system and letter.
[[nodiscard]] ObservedVolume DescribeFtVolume(const FtSet& set);
/// The status of the region that is a member of the set.
[[nodiscard]] REGIONSTATUS FtRegionStatus(const FtSet& set, const ft::FtMember& member);

/// Used under StorageModel's operation lock only.
class FtVolumes {
 public:
  FtVolumes(DiskSource& source, Registry& registry, MountManager& mounts,
            std::function<void(const std::string&)> log)
      : source_(source), registry_(registry), mounts_(mounts), log_(std::move(log)) {}

  /// Reads the record and the tables of all disks afresh and does what is due: types that do not go with the
  /// record are set, sets come online or go, members that went, failed or were rebuilt are noted in the
  /// record, letters of the record are given to the sets that have none yet.
  void Observe(const std::vector<DiskGroups::Attached>& disks);

  [[nodiscard]] const std::vector<FtSet>& Sets() const { return sets_; }
  /// Null when there is no such set.
  [[nodiscard]] const FtSet* Find(const std::string& key) const;
  /// The set and the member that a partition is; nulls for other partitions.
  struct Place {
    const FtSet* set = nullptr;
    const ft::FtMember* member = nullptr;
  };
  [[nodiscard]] Place At(const std::string& disk_key, std::uint64_t start) const;
  /// The index by which storage/ft knows a disk.
  [[nodiscard]] std::optional<std::size_t> IndexOf(const std::string& disk_key) const;

  /// The key of the disk with that index.
  [[nodiscard]] const std::string& DiskKey(std::size_t disk) const { return attached_.at(disk).key; }
  /// The key of the only disk with that signature; nothing when there is none, or more than one.
  [[nodiscard]] std::optional<std::string> WithSignature(std::uint32_t signature) const;
  /// Has a conversion that cannot be finished not tried again before the server starts anew: the set is what
  /// its members on basic disks make of it.
  void GiveUp(const std::string& key) { given_up_.insert(key); }

  /// Makes a change of a set real. LDM_E_NOENT when there is no such set any more. What fails on a disk
  /// after the record was written is logged only: the record counts.
  using Change = std::function<StorageResult<ft::FtChange>(
      const ft::DiskRegistry& registry, std::span<const ft::FtDisk> disks, std::size_t set)>;
  Outcome<void> Update(const std::string& key, const Change& change);

  /// Has the redundant data of a set that is online made anew, all members of which held what they should.
  Outcome<void> Resynchronise(const std::string& key);
  /// Gives all members the partition type of a file system.
  Outcome<void> SetType(const std::string& key, std::uint8_t plain);

 private:
  void Read(const std::vector<DiskGroups::Attached>& disks);
  void Describe();
  void MendTypes();
  void BringOnline();
  // True when the record changed.
  bool NoteMembers();
  // What is to be done about a set; nothing when nothing is.
  std::optional<Change> NewsOf(const FtSet& set);
  void KeepLetter(const FtSet& set);
  void TakeOthersOffline();
  Outcome<void> Commit(const ft::FtChange& change);
  void Take(const std::vector<ft::CommittedPartition>& done);
  [[nodiscard]] std::optional<VolumeMap> HostMap(const FtSet& set);
  // Not the same text twice in a row for one subject.
  void LogOnce(const std::string& subject, const std::string& text);

  DiskSource& source_;
  Registry& registry_;
  MountManager& mounts_;
  std::function<void(const std::string&)> log_;
  std::vector<DiskGroups::Attached> attached_;  // parallel to disks_
  std::vector<ft::FtDisk> disks_;
  std::optional<ft::DiskRegistry> record_;
  std::vector<FtSet> sets_;
  // Sets whose redundant data is being made anew, by name, with the event of their device when that began.
  std::map<std::string, std::uint32_t> resynchronising_;
  std::map<std::string, std::string> told_;
  std::set<std::string> given_up_;
};

}  // namespace dmrp::server
