#include "reference_server/storage/ft/ft_operations.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace dmrp::server::ft {
namespace {

constexpr std::string_view kKey = "DISK";
constexpr std::string_view kValue = "Information";

/// A set that is to be changed, and the record as it becomes.
struct Work {
  FtChange change;
  FtVolume volume;  ///< as it was

  FtSetRecord& Set() { return change.after.sets[volume.index]; }
  void SetState(std::size_t place, FtMemberState state) {
    FtMemberRecord& member = Set().members[place];
    member.state = state;
    change.after.Find(member.partition)->ftState = static_cast<std::uint32_t>(state);
  }
  /// Has the partition of a member that is present get the type that goes with its state.
  void Mark(std::size_t place, bool disabled) {
    const FtMember& member = volume.members[place];
    if (!member.disk) return;
    const std::uint8_t type = MarkedType(member.partitionType, disabled);
    if (type == member.partitionType) return;
    change.partitions.push_back({*member.disk, member.start, member.partitionKind, type});
  }
};

StorageResult<Work> Begin(const DiskRegistry& registry, std::span<const FtDisk> disks, std::size_t set) {
  auto configuration = ReadFtSets(registry, disks);
  if (set >= configuration.volumes.size()) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("there is no FT set {}", set));
  }
  Work work{{registry, registry, {}}, std::move(configuration.volumes[set])};
  if (const FtProblem* problem = work.volume.BlockingProblem()) {
    return Refuse(
        StorageErrorCode::kFtInconsistent,
        fmt::format("{}: {}: {}", work.volume.Key(), FtProblemName(problem->kind), problem->message));
  }
  return work;
}

tl::unexpected<StorageError> WrongSet(const FtVolume& volume, std::string_view operation) {
  return Refuse(StorageErrorCode::kFtWrongSet,
                fmt::format("{} of {}, a {}", operation, volume.Key(), FtTypeName(volume.type)));
}

std::optional<std::size_t> FirstWith(const FtVolume& volume, FtMemberHealth health) {
  const auto found = std::ranges::find(volume.members, health, &FtMember::health);
  if (found == volume.members.end()) return std::nullopt;
  return static_cast<std::size_t>(found - volume.members.begin());
}

std::size_t CountOf(const FtVolume& volume, FtMemberHealth health) {
  return static_cast<std::size_t>(std::ranges::count(volume.members, health, &FtMember::health));
}

/// Takes a DISK_PARTITION out of the record; members behind it lead to the same partitions as before.
void EraseEntry(DiskRegistry& registry, const PartitionRef& ref) {
  auto& entries = registry.disks[ref.disk].partitions;
  entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(ref.partition));
  for (FtSetRecord& set : registry.sets) {
    for (FtMemberRecord& member : set.members) {
      if (member.partition.disk == ref.disk && member.partition.partition > ref.partition) {
        --member.partition.partition;
      }
    }
  }
}

/// Puts a DISK_PARTITION where its offset says, in place of one that starts there already.
PartitionRef PutEntry(DiskRegistry& registry, std::uint32_t signature, const DiskPartition& entry) {
  auto disk = std::ranges::find(registry.disks, signature, &DiskDescription::signature);
  if (disk == registry.disks.end()) {
    disk = registry.disks.insert(disk, DiskDescription{0, signature, {}});
  }
  const auto disk_index = static_cast<std::size_t>(disk - registry.disks.begin());
  auto& entries = disk->partitions;
  auto place = std::ranges::find_if(
      entries, [&](const DiskPartition& other) { return other.startingOffset >= entry.startingOffset; });
  const PartitionRef ref{disk_index, static_cast<std::size_t>(place - entries.begin())};
  if (place != entries.end() && place->startingOffset == entry.startingOffset) {
    *place = entry;
    return ref;
  }
  entries.insert(place, entry);
  for (FtSetRecord& set : registry.sets) {
    for (FtMemberRecord& member : set.members) {
      if (member.partition.disk == ref.disk && member.partition.partition >= ref.partition) {
        ++member.partition.partition;
      }
    }
  }
  return ref;
}

/// Whether the record lists a member of any set at that place.
bool ListedAsMember(const DiskRegistry& registry, std::uint32_t signature, std::uint64_t start) {
  for (const FtSetRecord& set : registry.sets) {
    for (const FtMemberRecord& member : set.members) {
      if (member.signature == signature && registry.Find(member.partition)->startingOffset == start) {
        return true;
      }
    }
  }
  return false;
}

/// Begins a rebuild of the orphan, if there is one, or goes on with what was begun; else `afresh`.
template <typename Afresh>
StorageResult<FtChange> BeginRebuild(Work&& work, Afresh&& afresh) {
  const FtVolume& volume = work.volume;
  if (volume.status == FtStatus::kFailed) {
    return Refuse(StorageErrorCode::kFtFailed,
                  fmt::format("{} has too few members that are whole", volume.Key()));
  }
  if (const auto missing = FirstWith(volume, FtMemberHealth::kMissing)) {
    return Refuse(StorageErrorCode::kFtMemberMissing,
                  fmt::format("member {} of {} is not there", *missing, volume.Key()));
  }
  if (const auto orphan = FirstWith(volume, FtMemberHealth::kOrphaned)) {
    work.SetState(*orphan, FtMemberState::kRegenerating);
    work.Set().state = FtSetState::kRegenerating;
    work.Mark(*orphan, false);
  } else if (volume.status != FtStatus::kRebuilding) {
    afresh(work);
  }
  return std::move(work.change);
}

/// The partition that is to become a member, checked.
StorageResult<Region> CheckReplacement(const Work& work, std::span<const FtDisk> disks, std::size_t failed,
                                       const Replacement& replacement) {
  const FtVolume& volume = work.volume;
  if (replacement.disk >= disks.size()) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("there is no disk {}", replacement.disk));
  }
  const DiskLayout& layout = disks[replacement.disk].layout;
  const Region* region = layout.FindPartition(replacement.start);
  if (region == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("no partition starts at {}", replacement.start));
  }
  if (layout.style != PartitionStyle::kMbr) {
    return Refuse(StorageErrorCode::kWrongStyle, "only partitions of MBR disks can be members of FT sets");
  }
  if (layout.dynamic) return Refuse(StorageErrorCode::kDynamicDisk, "the disk has LDM partitions");
  if (layout.mbrSignature == 0) {
    return Refuse(StorageErrorCode::kNotInitialized, "the disk has no signature to be known by");
  }
  if (const TableAnomaly* anomaly = layout.BlockingAnomaly()) {
    return Refuse(StorageErrorCode::kDamagedTable, anomaly->message);
  }
  if (std::ranges::count(disks, layout.mbrSignature,
                         [](const FtDisk& disk) { return disk.layout.mbrSignature; }) > 1) {
    return Refuse(StorageErrorCode::kFtInconsistent,
                  fmt::format("several disks have the signature {:08x}", layout.mbrSignature));
  }
  if (region->kind != RegionKind::kPrimary && region->kind != RegionKind::kLogical) {
    return Refuse(StorageErrorCode::kWrongType,
                  fmt::format("the partition is {}", RegionKindName(region->kind)));
  }
  if (IsMarked(region->mbrType, false) ||
      ListedAsMember(work.change.before, layout.mbrSignature, region->start)) {
    return Refuse(StorageErrorCode::kFtMember, "the partition is a member of an FT set");
  }
  for (std::size_t place = 0; place < volume.members.size(); ++place) {
    if (place != failed && volume.members[place].signature == layout.mbrSignature) {
      return Refuse(StorageErrorCode::kFtSameDisk,
                    fmt::format("member {} of {} is on that disk", place, volume.Key()));
    }
  }
  const FtMember& old = volume.members[failed];
  const auto whole = FirstWith(volume, FtMemberHealth::kHealthy);
  const std::uint8_t wanted = PlainType(old.disk ? old.partitionType : volume.members[*whole].partitionType);
  if (region->mbrType != wanted) {
    return Refuse(StorageErrorCode::kWrongType,
                  fmt::format("the partition has type {:02x}, the member {:02x}", region->mbrType, wanted));
  }
  if (region->length < old.length) {
    return Refuse(StorageErrorCode::kTooSmall,
                  fmt::format("the partition has {} octets, the member {}", region->length, old.length));
  }
  return *region;
}

}  // namespace

StorageResult<FtChange> DeleteSet(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                  std::size_t set) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  FtChange& change = work->change;
  change.after.sets.erase(change.after.sets.begin() + static_cast<std::ptrdiff_t>(set));
  std::vector<PartitionRef> entries;
  for (const FtMember& member : work->volume.members) {
    entries.push_back(member.entry);
    if (member.disk) {
      change.partitions.push_back({*member.disk, member.start, member.partitionKind, std::nullopt});
    }
  }
  // From the last one on, so that the others keep their places.
  std::ranges::sort(entries, std::greater{});
  for (const PartitionRef& entry : entries) EraseEntry(change.after, entry);
  return std::move(change);
}

StorageResult<BreakChange> BreakMirror(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                       std::size_t set) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  const FtVolume& volume = work->volume;
  if (volume.type != FtType::kMirror) return WrongSet(volume, "break");
  auto keeper = FirstWith(volume, FtMemberHealth::kHealthy);
  for (std::size_t place = 0; place < volume.members.size() && !keeper; ++place) {
    if (volume.members[place].disk) keeper = place;
  }
  if (!keeper) {
    return Refuse(StorageErrorCode::kFtMemberMissing, fmt::format("no member of {} is there", volume.Key()));
  }
  FtChange& change = work->change;
  change.after.sets.erase(change.after.sets.begin() + static_cast<std::ptrdiff_t>(set));
  for (std::size_t place = 0; place < volume.members.size(); ++place) {
    const FtMember& member = volume.members[place];
    DiskPartition& entry = *change.after.Find(member.entry);
    entry.ftType = FtType::kNotAnFtMember;
    entry.ftState = 0;
    entry.ftLength = 0;
    entry.ftGroup = 0;
    entry.ftMember = 0;
    const bool has_letter = place == *keeper && volume.letter;
    entry.driveLetter = has_letter ? static_cast<std::uint8_t>(*volume.letter) : std::uint8_t{0};
    entry.assignDriveLetter = has_letter ? 1 : 0;
    if (member.disk && IsMarked(member.partitionType, true)) {
      change.partitions.push_back(
          {*member.disk, member.start, member.partitionKind, PlainType(member.partitionType)});
    }
  }
  return BreakChange{std::move(change), *keeper};
}

StorageResult<FtChange> ResyncMirror(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                     std::size_t set) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  if (work->volume.type != FtType::kMirror) return WrongSet(work->volume, "resynchronization");
  return BeginRebuild(*std::move(work), [](Work& mirror) {
    mirror.SetState(1, FtMemberState::kSyncRedundantCopy);
    mirror.Set().state = FtSetState::kRegenerating;
  });
}

StorageResult<FtChange> RegenerateParityStripe(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                               std::size_t set) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  if (work->volume.type != FtType::kStripeWithParity) return WrongSet(work->volume, "regeneration");
  return BeginRebuild(*std::move(work), [](Work& parity) { parity.Set().state = FtSetState::kInitializing; });
}

StorageResult<FtChange> ReplaceMember(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                      std::size_t set, const Replacement& replacement) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  const FtVolume& volume = work->volume;
  if (!volume.Redundant()) return WrongSet(volume, "replacement in");
  if (volume.status == FtStatus::kFailed) {
    return Refuse(StorageErrorCode::kFtFailed,
                  fmt::format("{} has too few members that are whole", volume.Key()));
  }
  if (CountOf(volume, FtMemberHealth::kStale) != 0 || volume.status == FtStatus::kRebuilding) {
    return Refuse(StorageErrorCode::kFtBusy, fmt::format("{} is being rebuilt", volume.Key()));
  }
  auto failed = FirstWith(volume, FtMemberHealth::kOrphaned);
  if (!failed) failed = FirstWith(volume, FtMemberHealth::kMissing);
  if (!failed) {
    return Refuse(StorageErrorCode::kFtHealthy, fmt::format("no member of {} failed", volume.Key()));
  }
  const auto region = CheckReplacement(*work, disks, *failed, replacement);
  if (!region) return tl::unexpected(region.error());

  FtChange& change = work->change;
  const FtMember& old = volume.members[*failed];
  const DiskPartition old_entry = *change.before.Find(old.entry);
  const std::uint32_t signature = disks[replacement.disk].layout.mbrSignature;
  DiskPartition entry = old_entry;
  entry.ftState = static_cast<std::uint32_t>(FtMemberState::kRegenerating);
  entry.startingOffset = region->start;
  entry.length = region->length;
  entry.ftLength = region->length > old.used ? old.used : 0;
  entry.logicalNumber = static_cast<std::uint16_t>(region->number);
  entry.modified = 0;
  // The record of the old member goes while it is still found by its place; the set's member leads nowhere
  // until the new entry is there.
  EraseEntry(change.after, old.entry);
  work->Set().members[*failed] = {FtMemberState::kRegenerating, 0, signature, {}, entry.logicalNumber};
  const PartitionRef ref = PutEntry(change.after, signature, entry);
  work->Set().members[*failed].partition = ref;
  work->Set().state = FtSetState::kRegenerating;

  change.partitions.push_back(
      {replacement.disk, region->start, region->kind, MarkedType(region->mbrType, false)});
  if (old.disk) change.partitions.push_back({*old.disk, old.start, old.partitionKind, std::nullopt});
  return std::move(change);
}

StorageResult<FtChange> CompleteRebuild(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                        std::size_t set) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  const FtVolume& volume = work->volume;
  if (!volume.Redundant()) return WrongSet(volume, "rebuild");
  if (volume.status == FtStatus::kFailed) {
    return Refuse(StorageErrorCode::kFtFailed,
                  fmt::format("{} has too few members that are whole", volume.Key()));
  }
  bool orphan = false;
  for (std::size_t place = 0; place < volume.members.size(); ++place) {
    if (volume.members[place].health == FtMemberHealth::kStale) {
      work->SetState(place, FtMemberState::kHealthy);
      work->Mark(place, false);
    }
    orphan = orphan || volume.members[place].state == FtMemberState::kOrphaned;
  }
  work->Set().state = orphan ? FtSetState::kHasOrphan : FtSetState::kOk;
  return std::move(work->change);
}

StorageResult<FtChange> OrphanMember(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                     std::size_t set, std::size_t member) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  FtVolume& volume = work->volume;
  if (!volume.Redundant()) return WrongSet(volume, "an orphan in");
  if (member >= volume.members.size()) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("{} has no member {}", volume.Key(), member));
  }
  work->SetState(member, FtMemberState::kOrphaned);
  work->Set().state = FtSetState::kHasOrphan;
  work->Mark(member, true);
  const auto after = ReadFtSets(work->change.after, disks);
  // The state of the set said more than that there is an orphan: its parity holds nothing.
  const bool no_parity = volume.type == FtType::kStripeWithParity && ParityUnknown(volume);
  if (after.volumes[set].status == FtStatus::kFailed || no_parity) {
    return Refuse(StorageErrorCode::kFtFailed,
                  fmt::format("without member {} {} has not all data", member, volume.Key()));
  }
  return std::move(work->change);
}

StorageResult<FtChange> AssignLetter(const DiskRegistry& registry, std::span<const FtDisk> disks,
                                     std::size_t set, std::optional<char> letter) {
  auto work = Begin(registry, disks, set);
  if (!work) return tl::unexpected(work.error());
  for (const FtMember& member : work->volume.members) {
    DiskPartition& entry = *work->change.after.Find(member.entry);
    entry.driveLetter = letter ? static_cast<std::uint8_t>(*letter) : std::uint8_t{0};
    entry.assignDriveLetter = letter ? 1 : 0;
  }
  return std::move(work->change);
}

std::vector<PartitionChange> TypesFor(const FtVolume& volume, std::uint8_t plain) {
  std::vector<PartitionChange> changes;
  for (const FtMember& member : volume.members) {
    if (!member.disk) continue;
    const std::uint8_t type = MarkedType(plain, member.health == FtMemberHealth::kOrphaned);
    if (type != member.partitionType) {
      changes.push_back({*member.disk, member.start, member.partitionKind, type});
    }
  }
  return changes;
}

std::vector<PartitionChange> Mend(const DiskRegistry& registry, std::span<const FtDisk> disks) {
  std::vector<PartitionChange> changes;
  for (const FtVolume& volume : ReadFtSets(registry, disks).volumes) {
    if (volume.BlockingProblem() != nullptr) continue;
    for (const FtProblem& problem : volume.problems) {
      if (problem.kind != FtProblemKind::kMark) continue;
      const FtMember& member = volume.members[*problem.member];
      changes.push_back({*member.disk, member.start, member.partitionKind,
                         MarkedType(member.partitionType, member.state == FtMemberState::kOrphaned)});
    }
  }
  for (std::size_t index = 0; index < disks.size(); ++index) {
    const DiskLayout& layout = disks[index].layout;
    if (layout.style != PartitionStyle::kMbr || layout.mbrSignature == 0) continue;
    const auto alike = [&](const auto& signature) { return signature == layout.mbrSignature; };
    if (std::ranges::count_if(disks, alike, [](const FtDisk& disk) { return disk.layout.mbrSignature; }) >
            1 ||
        std::ranges::count_if(registry.disks, alike, &DiskDescription::signature) > 1) {
      continue;
    }
    const auto disk = std::ranges::find_if(registry.disks, alike, &DiskDescription::signature);
    if (disk == registry.disks.end()) continue;
    for (const DiskPartition& entry : disk->partitions) {
      if (entry.ftType != FtType::kNotAnFtMember ||
          ListedAsMember(registry, disk->signature, entry.startingOffset)) {
        continue;
      }
      const Region* region = layout.FindPartition(entry.startingOffset);
      if (region == nullptr || !HoldsData(region->kind) || region->length != entry.length ||
          !IsMarked(region->mbrType, false)) {
        continue;
      }
      changes.push_back({index, region->start, region->kind, PlainType(region->mbrType)});
    }
  }
  return changes;
}

StorageResult<std::optional<DiskRegistry>> ReadRecord(Registry& registry) {
  const auto root = registry.Read();
  if (!root) return Refuse(StorageErrorCode::kFtBadRegistry, root.error().ToString());
  const RegistryValue* value = (*root)->FindValue(kKey, kValue);
  if (value == nullptr) return std::optional<DiskRegistry>{};
  if (value->type != RegistryType::kBinary) {
    return Refuse(StorageErrorCode::kFtBadRegistry,
                  fmt::format("{}\\{} has type {}", kKey, kValue, static_cast<std::uint32_t>(value->type)));
  }
  auto record = DiskRegistry::Parse(value->data);
  if (!record) return Refuse(StorageErrorCode::kFtBadRegistry, record.error().ToString());
  return std::optional(*std::move(record));
}

StorageResult<void> ReplaceRecord(Registry& registry, const DiskRegistry& before, const DiskRegistry& after) {
  const auto octets = after.Serialize();
  if (!octets) return Refuse(StorageErrorCode::kFtBadRegistry, octets.error().ToString());
  bool changed = false;
  const auto updated = registry.Update([&](RegistryKey& root) {
    changed = true;
    const RegistryValue* value = root.FindValue(kKey, kValue);
    if (value == nullptr) return;
    const auto now = DiskRegistry::Parse(value->data);
    if (!now || *now != before) return;
    changed = false;
    root.Make(kKey).values[std::string(kValue)] = BinaryValue(*octets);
  });
  if (!updated) return Refuse(StorageErrorCode::kFtBadRegistry, updated.error().ToString());
  if (changed) {
    return Refuse(StorageErrorCode::kFtChanged, "another program changed the record of the FT sets");
  }
  return {};
}

StorageResult<std::vector<CommittedPartition>> Commit(
    Registry& registry, const FtChange& change, const std::function<BlockDevice*(std::size_t)>& device) {
  if (auto written = ReplaceRecord(registry, change.before, change.after); !written) {
    return tl::unexpected(written.error());
  }
  std::vector<CommittedPartition> done;
  for (const PartitionChange& partition : change.partitions) {
    BlockDevice* disk = device(partition.disk);
    done.push_back({partition, disk == nullptr ? StorageResult<Change>(Refuse(StorageErrorCode::kIoError,
                                                                              "the disk cannot be opened"))
                                               : Apply(*disk, partition)});
  }
  return done;
}

StorageResult<Change> Apply(BlockDevice& device, const PartitionChange& change) {
  if (change.type) return SetMbrType(device, change.start, *change.type);
  return DeletePartition(device, change.kind, change.start);
}

}  // namespace dmrp::server::ft
