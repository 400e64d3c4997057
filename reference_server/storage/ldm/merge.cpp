#include "reference_server/storage/ldm/group_operations.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

/// Kept and left-out parts of a volume of the foreign group.
struct Judged {
  MergedVolume summary;
  std::set<ObjectId> plexes;  ///< that come along
};

class MergePlanner {
 public:
  MergePlanner(const Database& ours, const DiskGroup& foreign) : foreign_(foreign) {
    plan_.after = ours;
    source_ = foreign.Current();
    plan_.foreignTransaction = source_.committedTransaction;
  }

  StorageResult<MergePlan> Plan(std::span<const ObjectId> disks) {
    if (auto chosen = Choose(disks); !chosen) return tl::unexpected(chosen.error());
    MarkStaleCopies();
    if (auto distinct = CheckIdentities(); !distinct) return tl::unexpected(distinct.error());
    for (const VolumeRecord& volume : source_.volumes) {
      Judged judged = Judge(volume);
      plan_.volumes.push_back(judged.summary);
      if (judged.summary.deleted || !judged.summary.related) continue;
      for (const ObjectId plex : judged.plexes) {
        for (const SubdiskRecord* subdisk : source_.SubdisksOf(plex)) {
          // The absent column of a RAID-5 volume keeps its place.
          if (!chosen_.contains(subdisk->diskId)) absent_.insert(subdisk->diskId);
        }
      }
      kept_.push_back(std::move(judged));
    }
    CopyDisks();
    for (const Judged& judged : kept_) {
      if (auto done = CopyVolume(judged); !done) return tl::unexpected(done.error());
    }
    plan_.after.UpdateCounts();
    return std::move(plan_);
  }

 private:
  StorageResult<void> Choose(std::span<const ObjectId> disks) {
    for (const ObjectId disk : disks) {
      if (source_.FindDisk(disk) == nullptr) {
        return Refuse(StorageErrorCode::kNotFound, fmt::format("the foreign group has no disk {}", disk));
      }
      if (foreign_.MemberOf(disk) == nullptr) {
        return Refuse(StorageErrorCode::kDiskMissing, fmt::format("foreign disk {} is missing", disk));
      }
      chosen_.insert(disk);
    }
    for (const DiskRecord& disk : source_.disks) {
      if (disks.empty() && foreign_.MemberOf(disk.id) != nullptr) chosen_.insert(disk.id);
      if (chosen_.contains(disk.id)) plan_.foreignDisks.push_back(disk.id);
    }
    if (chosen_.empty())
      return Refuse(StorageErrorCode::kDiskMissing, "no disk of the foreign group is here");
    return {};
  }

  /// A disk whose database lags was away while the others changed: what it has of redundant volumes is old.
  void MarkStaleCopies() {
    for (const CopyReport& copy : foreign_.Copies()) {
      if (copy.state != CopyState::kStale) continue;
      const DiskRecord* disk = source_.FindDisk(copy.member.header.diskGuid);
      if (disk == nullptr) continue;
      const ObjectId id = disk->id;
      auto marked = MarkDiskReturned(source_, id);
      for (const SubdiskRecord* subdisk : source_.SubdisksOn(id)) {
        const PlexRecord* plex = source_.FindPlex(subdisk->plexId);
        const VolumeLayout layout =
            plex == nullptr ? VolumeLayout::kSimple : LayoutOf(source_, plex->volumeId);
        const bool redundant = layout == VolumeLayout::kMirrored || layout == VolumeLayout::kRaid5;
        if (marked && redundant) marked = MarkSubdisk(std::move(*marked), subdisk->id, Health::kStale);
      }
      if (marked) source_ = std::move(*marked);
    }
  }

  StorageResult<void> CheckIdentities() const {
    if (source_.group.guid == plan_.after.group.guid) {
      return Refuse(StorageErrorCode::kGroupMismatch, "the foreign group is our own");
    }
    for (const ObjectId id : chosen_) {
      const Guid& guid = source_.FindDisk(id)->guid;
      if (plan_.after.FindDisk(guid) != nullptr) {
        return Refuse(StorageErrorCode::kGroupMismatch,
                      fmt::format("our group has a disk {} already", guid.ToString()));
      }
    }
    return {};
  }

  bool Here(ObjectId plex) const {
    return std::ranges::all_of(source_.SubdisksOf(plex),
                               [&](const SubdiskRecord* one) { return chosen_.contains(one->diskId); });
  }

  Judged Judge(const VolumeRecord& volume) const {
    Judged judged;
    MergedVolume& summary = judged.summary;
    summary.foreignVolume = volume.id;
    summary.blocks = volume.size;
    summary.layout = LayoutOf(source_, volume.id);
    const auto plexes = source_.PlexesOf(volume.id);
    for (const PlexRecord* plex : plexes) {
      for (const SubdiskRecord* subdisk : source_.SubdisksOf(plex->id)) {
        summary.related = summary.related || chosen_.contains(subdisk->diskId);
      }
    }
    if (summary.layout == VolumeLayout::kRaid5) {
      std::set<std::uint64_t> absent;
      std::set<std::uint64_t> stale;
      for (const SubdiskRecord* subdisk : source_.SubdisksOf(plexes.front()->id)) {
        if (!chosen_.contains(subdisk->diskId)) {
          absent.insert(subdisk->column);
        } else if ((subdisk->flags & (kSubdiskRecover | kSubdiskKernelDetach)) != 0) {
          stale.insert(subdisk->column);
        }
      }
      for (const std::uint64_t column : absent) stale.erase(column);
      const bool no_parity = volume.state == kStateSync;
      summary.deleted = absent.size() > 1 || (no_parity && !absent.empty());
      summary.redundancyDeleted = !summary.deleted && absent.size() == 1;
      summary.stale = !summary.deleted && absent.size() + stale.size() > 1;
      judged.plexes.insert(plexes.front()->id);
      return judged;
    }
    bool sound = false;
    for (const PlexRecord* plex : plexes) {
      if (!Here(plex->id)) continue;
      judged.plexes.insert(plex->id);
      const bool marked = (plex->flags & (kPlexRecover | kPlexIoFail)) != 0 ||
                          std::ranges::any_of(source_.SubdisksOf(plex->id), [](const SubdiskRecord* one) {
                            return (one->flags & (kSubdiskRecover | kSubdiskKernelDetach)) != 0;
                          });
      sound = sound || !marked;
    }
    summary.deleted = judged.plexes.empty();
    if (summary.deleted) return judged;
    summary.redundancyDeleted = judged.plexes.size() < plexes.size();
    summary.stale = !sound && plexes.size() > 1;
    if (summary.layout == VolumeLayout::kMirrored && judged.plexes.size() == 1) {
      std::set<ObjectId> disks;
      for (const SubdiskRecord* subdisk : source_.SubdisksOf(*judged.plexes.begin())) {
        disks.insert(subdisk->diskId);
      }
      summary.layout = disks.size() > 1 ? VolumeLayout::kSpanned : VolumeLayout::kSimple;
    }
    return judged;
  }

  void CopyDisks() {
    for (const DiskRecord& disk : source_.disks) {
      const bool chosen = chosen_.contains(disk.id);
      if (!chosen && !absent_.contains(disk.id)) continue;
      DiskRecord copy = disk;
      copy.id = plan_.after.TakeId();
      ids_[disk.id] = copy.id;
      const bool taken =
          std::ranges::find(plan_.after.disks, disk.name, &DiskRecord::name) != plan_.after.disks.end();
      if (taken) copy.name = plan_.after.FreeDiskName();
      if (copy.name != disk.name) renamed_.insert(copy.id);
      copy.flags &= ~kDiskDetached;
      copy.flags |= chosen ? kDiskMergeRequired : kDiskDetached;
      copy.diskSetGuid.reset();
      if (chosen) plan_.disks.push_back(copy.id);
      plan_.after.disks.push_back(std::move(copy));
    }
  }

  static std::string_view PrefixOf(const std::string& name) {
    const std::size_t digits = name.find_last_not_of("0123456789");
    if (digits == std::string::npos) return kVolumePrefix;
    return std::string_view(name).substr(0, digits + 1);
  }

  StorageResult<void> CopyVolume(const Judged& judged) {
    Database& after = plan_.after;
    const VolumeRecord& original = *source_.FindVolume(judged.summary.foreignVolume);
    if (after.FindVolume(original.guid) != nullptr) {
      return Refuse(StorageErrorCode::kGroupMismatch,
                    fmt::format("our group has a volume {} already", original.guid.ToString()));
    }
    VolumeRecord volume = original;
    volume.id = after.TakeId();
    const auto named = [&](const std::string& name) {
      return std::ranges::find(after.volumes, name, &VolumeRecord::name) != after.volumes.end();
    };
    if (named(volume.name)) volume.name = after.FreeVolumeName(PrefixOf(original.name));
    const auto number = after.FreeVolumeNumber();
    const bool number_taken = std::ranges::find(after.volumes, volume.volumeNumber,
                                                &VolumeRecord::volumeNumber) != after.volumes.end();
    if (number_taken && !number) {
      return Refuse(StorageErrorCode::kTooManyVolumes, "all volume numbers of the disk group are in use");
    }
    if (number_taken) volume.volumeNumber = *number;
    if (volume.hint &&
        std::ranges::find(after.volumes, volume.hint, &VolumeRecord::hint) != after.volumes.end()) {
      volume.hint.reset();
    }
    volume.updateId = 0;
    if (volume.id1) volume.id1 = after.TakeId();
    if (volume.id2) volume.id2 = after.TakeId();
    const ObjectId volume_id = volume.id;
    const std::string volume_name = volume.name;
    after.volumes.push_back(std::move(volume));
    for (const PlexRecord* original_plex : source_.PlexesOf(original.id)) {
      if (!judged.plexes.contains(original_plex->id)) continue;
      PlexRecord plex = *original_plex;
      plex.id = after.TakeId();
      plex.volumeId = volume_id;
      // The log subdisk of a RAID-5 volume is no subdisk of a plex and stays behind.
      plex.logSubdiskId = 0;
      if (volume_name != original.name) plex.name = after.FreePlexName(volume_name);
      if (judged.plexes.size() == 1) plex.flags &= ~(kPlexRecover | kPlexIoFail);
      const ObjectId plex_id = plex.id;
      after.plexes.push_back(std::move(plex));
      for (const SubdiskRecord* original_subdisk : source_.SubdisksOf(original_plex->id)) {
        SubdiskRecord subdisk = *original_subdisk;
        subdisk.id = after.TakeId();
        subdisk.plexId = plex_id;
        subdisk.diskId = ids_.at(original_subdisk->diskId);
        subdisk.secondTransaction.reset();
        if (renamed_.contains(subdisk.diskId)) {
          subdisk.name = after.FreeSubdiskName(after.FindDisk(subdisk.diskId)->name);
        }
        if (!chosen_.contains(original_subdisk->diskId)) {
          subdisk.flags |= kSubdiskRecover;
        } else if (judged.plexes.size() == 1 && judged.summary.layout != VolumeLayout::kRaid5) {
          subdisk.flags &= ~(kSubdiskRecover | kSubdiskKernelDetach);
        }
        after.subdisks.push_back(std::move(subdisk));
      }
    }
    return {};
  }

  const DiskGroup& foreign_;
  Database source_;
  MergePlan plan_;
  std::set<ObjectId> chosen_;
  std::set<ObjectId> absent_;   ///< foreign disks that are not here, with a column that is kept
  std::set<ObjectId> renamed_;  ///< our ids of disks with a new name
  std::map<ObjectId, ObjectId> ids_;
  std::vector<Judged> kept_;
};

StorageResult<void> Committed(DiskGroup& group, Database next) {
  auto committed = group.Commit(std::move(next));
  if (!committed) return GroupFailed(committed.error());
  return {};
}

}  // namespace

StorageResult<MergePlan> PlanMerge(const Database& ours, const DiskGroup& foreign,
                                   std::span<const ObjectId> disks) {
  return MergePlanner(ours, foreign).Plan(disks);
}

StorageResult<void> Merge(DiskGroup& ours, const DiskGroup& foreign, const MergePlan& plan) {
  if (foreign.Current().committedTransaction != plan.foreignTransaction) {
    return Refuse(StorageErrorCode::kGroupChanged,
                  fmt::format("the foreign group is at transaction {}, the plan at {}",
                              foreign.Current().committedTransaction, plan.foreignTransaction));
  }
  if (ours.Current().committedTransaction != plan.after.committedTransaction) {
    return Refuse(StorageErrorCode::kGroupChanged, "our group was changed since the merge was planned");
  }
  if (auto done = Committed(ours, plan.after); !done) return done;
  std::vector<Member> members;
  for (const ObjectId disk : plan.foreignDisks) members.push_back(*foreign.MemberOf(disk));
  return ResumeGroup(ours, members);
}

StorageResult<void> ResumeGroup(DiskGroup& ours, std::span<const Member> foreign) {
  for (const Member& member : foreign) {
    const DiskRecord* disk = ours.Current().FindDisk(member.header.diskGuid);
    if (disk == nullptr || (disk->flags & kDiskMergeRequired) == 0 || ours.MemberOf(disk->id) != nullptr ||
        member.header.groupGuid == ours.Current().group.guid) {
      continue;
    }
    if (auto taken = ours.TakeOver(member); !taken) return GroupFailed(taken.error());
  }
  if (const auto& members = ours.Members(); !members.empty()) {
    const std::uint32_t signature = members.front().header.hostSignature;
    const auto differs = [&](const Member& one) { return one.header.hostSignature != signature; };
    if (std::ranges::any_of(members, differs)) {
      if (auto done = ours.RewriteHeaders(signature); !done) return GroupFailed(done.error());
    }
  }
  Database next = ours.Current();
  bool changed = false;
  for (DiskRecord& disk : next.disks) {
    if ((disk.flags & kDiskMergeRequired) == 0 || ours.MemberOf(disk.id) == nullptr) continue;
    disk.flags &= ~kDiskMergeRequired;
    changed = true;
  }
  if (changed) {
    if (auto done = Committed(ours, std::move(next)); !done) return done;
  }
  return UpdateTables(ours);
}

StorageResult<DiskGroup> ImportGroup(std::vector<Member> members, std::uint32_t host_signature) {
  auto group = DiskGroup::Load(std::move(members));
  if (!group) return GroupFailed(group.error());
  if (auto done = group->RewriteHeaders(host_signature); !done) return GroupFailed(done.error());
  Database next = group->Current();
  for (const DiskRecord& disk : group->Current().disks) {
    const bool here = group->MemberOf(disk.id) != nullptr;
    const bool noted = (disk.flags & kDiskDetached) != 0;
    if (here != noted) continue;
    auto marked =
        here ? MarkDiskReturned(std::move(next), disk.id) : MarkDiskMissing(std::move(next), disk.id);
    if (!marked) return tl::unexpected(marked.error());
    next = std::move(*marked);
  }
  if (auto done = Committed(*group, std::move(next)); !done) return tl::unexpected(done.error());
  return std::move(*group);
}

}  // namespace dmrp::server::ldm
