#include "reference_server/methods/ft_volumes.hpp"

#include "protocol/dmrp/hresult.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

using ft::FtMember;
using ft::FtMemberHealth;
using ft::FtStatus;
using ft::FtType;

// Of all devices of FT sets.
constexpr std::string_view kDeviceGroup = "NTFT";

bool IsDynamic(const DiskLayout& layout) {
  return std::ranges::any_of(layout.regions,
                             [](const Region& region) { return region.mbrType == kMbrTypeLdm; });
}

std::string KeyOf(const ft::FtVolume& volume) { return "ft:" + volume.Key(); }

VOLUMELAYOUT LayoutOf(FtType type) {
  switch (type) {
    case FtType::kMirror:
      return VOLUMELAYOUT_MIRROR;
    case FtType::kStripe:
      return VOLUMELAYOUT_STRIPE;
    case FtType::kStripeWithParity:
      return VOLUMELAYOUT_RAID5;
    case FtType::kVolumeSet:
      return VOLUMELAYOUT_SPANNED;
    case FtType::kNotAnFtMember:
    case FtType::kWholeDisk:
      break;
  }
  return VOLUMELAYOUT_UNKNOWN;
}

bool IsBeingMadeWhole(const FtSet& set) {
  return set.volume.status == FtStatus::kRebuilding || set.status->sync != SyncKind::kNone ||
         set.status->Has(MemberState::kRebuilding);
}

VOLUMESTATUS StatusOf(const FtSet& set) {
  if (set.volume.status == FtStatus::kFailed || !set.status) {
    return VOLUME_STATUS_FAILED;
  }
  if (set.volume.Redundant() && IsBeingMadeWhole(set)) {
    return set.volume.type == FtType::kMirror ? VOLUME_STATUS_SYNCHING : VOLUME_STATUS_REGENERATING;
  }
  return set.volume.status == FtStatus::kHealthy ? VOLUME_STATUS_HEALTHY : VOLUME_STATUS_FAILED_REDUNDANCY;
}

}  // namespace

UniqueId FtVolumeId(const ft::FtVolume& volume) {
  return volume.members.empty() ? UniqueId{}
                                : MbrPartitionId(volume.members[0].signature, volume.members[0].start);
}

ObservedVolume DescribeFtVolume(const FtSet& set) {
  ObservedVolume observed;
  observed.key = set.key;
  observed.info.type = VOLUMETYPE_FT;
  observed.info.layout = LayoutOf(set.volume.type);
  observed.info.length = static_cast<LONGLONG>(set.volume.length);
  observed.info.memberCount = static_cast<std::uint32_t>(std::ranges::count_if(
      set.volume.members, [](const FtMember& member) { return member.disk.has_value(); }));
  observed.info.status = StatusOf(set);
  return observed;
}

REGIONSTATUS FtRegionStatus(const FtSet& set, const FtMember& member) {
  switch (member.health) {
    case FtMemberHealth::kOrphaned:
    case FtMemberHealth::kMissing:
      return REGIONSTATUS_FAILED;
    case FtMemberHealth::kStale:
      return set.volume.type == FtType::kMirror ? REGIONSTATUS_NEEDSRESYNC : REGIONSTATUS_REGENERATING;
    case FtMemberHealth::kHealthy:
      break;
  }
  if (set.volume.status == FtStatus::kNeedsResync) {
    return REGIONSTATUS_NEEDSRESYNC;
  }
  return REGIONSTATUS_OK;
}

void FtVolumes::Observe(const std::vector<DiskGroups::Attached>& disks) {
  Read(disks);
  MendTypes();
  Describe();
  BringOnline();
  if (NoteMembers()) {
    Describe();
    BringOnline();
  }
  for (const FtSet& set : std::vector<FtSet>(sets_)) {
    KeepLetter(set);
  }
  TakeOthersOffline();
}

const FtSet* FtVolumes::Find(const std::string& key) const {
  const auto found = std::ranges::find(sets_, key, &FtSet::key);
  return found == sets_.end() ? nullptr : &*found;
}

std::optional<std::size_t> FtVolumes::IndexOf(const std::string& disk_key) const {
  const auto found = std::ranges::find(attached_, disk_key, &DiskGroups::Attached::key);
  if (found == attached_.end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - attached_.begin());
}

std::optional<std::string> FtVolumes::WithSignature(std::uint32_t signature) const {
  std::optional<std::string> key;
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    if (disks_[i].layout.style != PartitionStyle::kMbr || disks_[i].layout.mbrSignature != signature) {
      continue;
    }
    if (key) {
      return std::nullopt;
    }
    key = attached_[i].key;
  }
  return key;
}

FtVolumes::Place FtVolumes::At(const std::string& disk_key, std::uint64_t start) const {
  const auto disk = IndexOf(disk_key);
  if (!disk) {
    return {};
  }
  for (const FtSet& set : sets_) {
    for (const FtMember& member : set.volume.members) {
      if (member.disk == disk && member.start == start) {
        return {&set, &member};
      }
    }
  }
  return {};
}

void FtVolumes::Read(const std::vector<DiskGroups::Attached>& disks) {
  attached_.clear();
  disks_.clear();
  record_.reset();
  auto record = ft::ReadRecord(registry_);
  if (!record) {
    LogOnce("record", "the record of FT sets cannot be used: " + record.error().ToString());
    return;
  }
  told_.erase("record");
  if (!*record) {
    return;
  }
  record_ = std::move(**record);
  for (const DiskGroups::Attached& disk : disks) {
    if (disk.device.kind != DeviceKind::kDisk || !disk.device.mediaPresent) {
      continue;
    }
    attached_.push_back(disk);
    ft::FtDisk& seen = disks_.emplace_back();
    // What cannot be read is told when the disk is described, and has no members.
    if (const auto device = source_.Open(disk.device, false)) {
      if (auto layout = ReadLayout(**device)) {
        seen.layout = std::move(*layout);
      }
    }
  }
}

void FtVolumes::MendTypes() {
  if (!record_) {
    return;
  }
  for (const ft::PartitionChange& change : ft::Mend(*record_, disks_)) {
    auto device = source_.Open(attached_[change.disk].device, true);
    StorageResult<server::Change> done =
        device ? ft::Apply(**device, change)
               : StorageResult<server::Change>(
                     Refuse(StorageErrorCode::kIoError, "the disk cannot be opened for writing"));
    if (device) {
      device->reset();
    }
    Take({{change, std::move(done)}});
  }
}

void FtVolumes::Describe() {
  sets_.clear();
  if (!record_) {
    return;
  }
  for (ft::FtVolume& volume : ft::ReadFtSets(*record_, disks_).volumes) {
    const std::string key = volume.Key();
    for (const ft::FtProblem& problem : volume.problems) {
      LogOnce(fmt::format("{} {} {}", key, ft::FtProblemName(problem.kind), problem.member.value_or(0)),
              fmt::format("FT set {}: {}", key, problem.message));
    }
    FtSet set{.key = KeyOf(volume),
              .name = VolumeDeviceName(kDeviceGroup, key),
              .volume = {},
              .status = {},
              .geometry = {}};
    bool first = true;
    for (const FtMember& member : volume.members) {
      if (member.disk &&
          (first || attached_[*member.disk].device.geometry.bytesPerSector > set.geometry.bytesPerSector)) {
        set.geometry = attached_[*member.disk].device.geometry;
        first = false;
      }
    }
    set.geometry.sizeBytes = volume.length;
    set.converting =
        !given_up_.contains(set.key) && std::ranges::any_of(volume.members, [this](const FtMember& member) {
          return !member.disk && std::ranges::any_of(disks_, [&](const ft::FtDisk& disk) {
            return disk.layout.mbrSignature == member.signature && IsDynamic(disk.layout);
          });
        });
    set.volume = std::move(volume);
    sets_.push_back(std::move(set));
  }
}

std::optional<VolumeMap> FtVolumes::HostMap(const FtSet& set) {
  std::vector<std::filesystem::path> nodes;
  for (const DiskGroups::Attached& disk : attached_) {
    nodes.push_back(disk.device.node);
  }
  auto map = ft::MapOf(set.volume, set.name, nodes);
  if (!map) {
    return map;
  }
  // The kernel's partitions where there are any: a set that has the whole disk would lock out the others on
  // it.
  for (VolumePlex& plex : map->plexes) {
    for (VolumeColumn& column : plex.columns) {
      for (VolumeExtent& extent : column) {
        const auto disk = std::ranges::find_if(attached_, [&](const DiskGroups::Attached& attached) {
          return attached.device.node == extent.device;
        });
        if (extent.state == ExtentState::kMissing || disk == attached_.end()) {
          continue;
        }
        map->readOnly = map->readOnly || disk->device.readOnly;
        if (auto node = source_.VolumeNode(disk->device, extent.offset); !node.empty()) {
          extent.device = std::move(node);
          extent.offset = 0;
        }
      }
    }
  }
  return map;
}

void FtVolumes::BringOnline() {
  VolumeHost& host = source_.Volumes();
  for (FtSet& set : sets_) {
    const auto map = set.converting ? std::nullopt : HostMap(set);
    if (!map) {
      continue;
    }
    if (auto active = host.Activate(*map); !active) {
      LogOnce(set.name, fmt::format("FT set {} cannot come online: {}", set.name, active.error().ToString()));
      continue;
    }
    told_.erase(set.name);
    if (auto status = host.Status(set.name)) {
      set.status = std::move(*status);
    }
    const bool whole = std::ranges::all_of(
        set.volume.members, [](const FtMember& member) { return member.health == FtMemberHealth::kHealthy; });
    if (set.status && whole && set.volume.Redundant() && ft::ParityUnknown(set.volume) &&
        !resynchronising_.contains(set.name)) {
      if (auto begun = Resynchronise(set.key); !begun) {
        LogOnce(set.name + " parity", begun.error().reason);
      }
    }
  }
}

Outcome<void> FtVolumes::Resynchronise(const std::string& key) {
  const auto set = std::ranges::find(sets_, key, &FtSet::key);
  if (set == sets_.end() || !set->status) {
    return Reject(LDM_E_V_NOT_ENABLED, "the set is not online");
  }
  VolumeHost& host = source_.Volumes();
  const auto before = host.Status(set->name);
  const auto begun = before ? host.Resynchronise(set->name) : Result<void>(tl::unexpected(before.error()));
  if (!begun) {
    return Reject(LDM_E_NT_IF_ERROR,
                  fmt::format("FT set {} is not synchronised: {}", set->name, begun.error().ToString()));
  }
  resynchronising_.insert_or_assign(set->name, before->device.event);
  if (auto status = host.Status(set->name)) {
    set->status = std::move(*status);
  }
  return {};
}

std::optional<FtVolumes::Change> FtVolumes::NewsOf(const FtSet& set) {
  const auto& members = set.volume.members;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const bool in_set = members[i].state != ft::FtMemberState::kOrphaned;
    const bool failed = i < set.status->members.size() && set.status->members[i] == MemberState::kFailed;
    const bool left_out =
        members[i].health == FtMemberHealth::kMissing || members[i].health == FtMemberHealth::kOrphaned;
    // What is written from now on is not on it.
    if (in_set && (failed || left_out)) {
      return [i](const ft::DiskRegistry& registry, std::span<const ft::FtDisk> disks, std::size_t index) {
        return ft::OrphanMember(registry, disks, index, i);
      };
    }
  }
  if (set.volume.status != FtStatus::kRebuilding && !resynchronising_.contains(set.name)) {
    return std::nullopt;
  }
  bool done = set.status->sync == SyncKind::kNone;
  for (std::size_t i = 0; i < members.size(); ++i) {
    done = done && (members[i].health != FtMemberHealth::kStale ||
                    (i < set.status->members.size() && set.status->members[i] == MemberState::kInSync));
  }
  // Before its first block the kernel calls a synchronisation idle, too; its end is an event.
  if (const auto begun = resynchronising_.find(set.name); begun != resynchronising_.end()) {
    done = done && set.status->device.event != begun->second;
  }
  if (!done) {
    return std::nullopt;
  }
  resynchronising_.erase(set.name);
  return ft::CompleteRebuild;
}

bool FtVolumes::NoteMembers() {
  bool changed = false;
  for (const FtSet& set : sets_) {
    if (!set.status || !set.volume.Redundant() || set.volume.BlockingProblem() != nullptr) {
      continue;
    }
    const auto news = NewsOf(set);
    if (!news) {
      continue;
    }
    if (auto noted = Update(set.key, *news)) {
      changed = true;
      told_.erase(set.name + " members");
    } else {
      LogOnce(set.name + " members", fmt::format("the state of members of FT set {} could not be noted: {}",
                                                 set.name, noted.error().reason));
    }
  }
  return changed;
}

// The record's letter is that of Windows NT, which has no MountedDevices: there it becomes the letter of the
// set unless somebody decided otherwise. From then on the record follows.
void FtVolumes::KeepLetter(const FtSet& set) {
  if (set.converting) {
    return;
  }
  const UniqueId id = FtVolumeId(set.volume);
  const auto now = mounts_.LetterOf(id);
  const auto refused = mounts_.LetterRefused(id);
  if (!now || !refused) {
    return;
  }
  if (!*now && !*refused) {
    if (set.volume.letter && *set.volume.letter >= 'C') {
      if (auto led = mounts_.Assign(static_cast<char16_t>(*set.volume.letter), id); !led) {
        LogOnce(set.name + " letter", "an FT set does not get its letter: " + led.error().ToString());
      }
    }
    return;
  }
  const char wanted = *now ? static_cast<char>(**now) : '\0';
  if (wanted == set.volume.letter.value_or('\0') || set.volume.BlockingProblem() != nullptr) {
    return;
  }
  const auto noted = Update(set.key, [wanted](const ft::DiskRegistry& registry,
                                              std::span<const ft::FtDisk> disks, std::size_t index) {
    return ft::AssignLetter(registry, disks, index,
                            wanted == '\0' ? std::nullopt : std::optional<char>(wanted));
  });
  if (!noted) {
    LogOnce(set.name + " letter", "the letter of an FT set could not be noted: " + noted.error().reason);
  }
}

void FtVolumes::TakeOthersOffline() {
  VolumeHost& host = source_.Volumes();
  const std::string prefix = VolumeDeviceName(kDeviceGroup, "");
  for (const std::string& name : host.Active()) {
    const bool wanted = std::ranges::any_of(
        sets_, [&](const FtSet& set) { return set.name == name && set.status.has_value(); });
    if (wanted || !name.starts_with(prefix)) {
      continue;
    }
    if (auto gone = host.Deactivate(name, false); !gone) {
      LogOnce(name, fmt::format("FT set {} stays online for its users: {}", name, gone.error().ToString()));
      continue;
    }
    resynchronising_.erase(name);
  }
}

Outcome<void> FtVolumes::Update(const std::string& key, const Change& change) {
  // Tables and record may have changed since the last observation of everything.
  Read(std::vector<DiskGroups::Attached>(attached_));
  MendTypes();
  const auto volumes = record_ ? ft::ReadFtSets(*record_, disks_).volumes : std::vector<ft::FtVolume>();
  const auto found =
      std::ranges::find_if(volumes, [&key](const ft::FtVolume& volume) { return KeyOf(volume) == key; });
  if (found == volumes.end()) {
    return Reject(LDM_E_NOENT, fmt::format("there is no FT set {} any more", key));
  }
  const auto next = change(*record_, disks_, found->index);
  if (!next) {
    return Reject(next.error());
  }
  return Commit(*next);
}

Outcome<void> FtVolumes::Commit(const ft::FtChange& change) {
  std::map<std::size_t, std::unique_ptr<BlockDevice>> open;
  const auto device = [&](std::size_t disk) -> BlockDevice* {
    if (!open.contains(disk)) {
      auto opened = source_.Open(attached_[disk].device, true);
      open[disk] = opened ? std::move(*opened) : nullptr;
    }
    return open[disk].get();
  };
  const auto done = ft::Commit(registry_, change, device);
  open.clear();
  if (!done) {
    return Reject(done.error());
  }
  record_ = change.after;
  Take(*done);
  return {};
}

void FtVolumes::Take(const std::vector<ft::CommittedPartition>& done) {
  for (const ft::CommittedPartition& partition : done) {
    const DeviceInfo& device = attached_[partition.change.disk].device;
    const std::string subject = fmt::format("{} at {}", device.name, partition.change.start);
    if (!partition.outcome) {
      LogOnce(subject, fmt::format("the partition {} does not go with the record of FT sets: {}", subject,
                                   partition.outcome.error().ToString()));
      continue;
    }
    told_.erase(subject);
    disks_[partition.change.disk].layout = partition.outcome->after;
    if (auto published = source_.PublishLayout(device, partition.outcome->after); !published) {
      LogOnce(subject + " kernel", fmt::format("{}: the system did not take over the new table: {}",
                                               device.name, published.error().ToString()));
    }
  }
}

Outcome<void> FtVolumes::SetType(const std::string& key, std::uint8_t plain) {
  return Update(key,
                [&](const ft::DiskRegistry& registry, std::span<const ft::FtDisk> disks,
                    std::size_t index) -> StorageResult<ft::FtChange> {
                  const auto seen = ft::ReadFtSets(registry, disks);
                  if (index >= seen.volumes.size()) {
                    return Refuse(StorageErrorCode::kNotFound, "the FT set is gone");
                  }
                  return ft::FtChange{registry, registry, ft::TypesFor(seen.volumes[index], plain)};
                });
}

void FtVolumes::LogOnce(const std::string& subject, const std::string& text) {
  if (std::exchange(told_[subject], text) != text && log_) {
    log_(text);
  }
}

}  // namespace dmrp::server
