#include "reference_server/storage/ft/ft_sets.hpp"

#include "reference_server/storage/mbr.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace dmrp::server::ft {
namespace {

constexpr std::uint8_t kOemFat16Like = 0x84;
constexpr std::size_t kMaxMembers = 32;

bool CanCarryBits(std::uint8_t plain) {
  switch (plain) {
    case kMbrTypeFat12:
    case kMbrTypeFat16:
    case kMbrTypeHugeFat16:
    case kMbrTypeIfs:
    case kMbrTypeFat32:
    case kMbrTypeFat32Lba:
      return true;
    default:
      return false;
  }
}

bool HasBits(std::uint8_t type) {
  return (type & kMemberBit) != 0 && CanCarryBits(static_cast<std::uint8_t>(type & ~kDisabledBits));
}

bool IsDisabled(std::uint8_t type) { return (type & kDisabledBits) == kDisabledBits; }

bool CountFits(FtType type, std::size_t count) {
  switch (type) {
    case FtType::kMirror:
      return count == 2;
    case FtType::kStripeWithParity:
      return count >= 3 && count <= kMaxMembers;
    default:
      return count >= 2 && count <= kMaxMembers;
  }
}

bool ParityUnknown(FtSetState state) {
  return state == FtSetState::kInitializing || state == FtSetState::kCheckParity ||
         state == FtSetState::kNoCheckData;
}

bool KnownType(FtType type) { return type <= FtType::kVolumeSet; }
bool Striped(FtType type) { return type == FtType::kStripe || type == FtType::kStripeWithParity; }

/// Octets of each member that a stripe set uses.
std::uint64_t Column(const FtVolume& volume) {
  const auto smallest = std::ranges::min_element(volume.members, {}, &FtMember::used);
  return smallest->used / kStripeUnit * kStripeUnit;
}

std::uint64_t LengthOf(const FtVolume& volume) {
  if (volume.members.empty()) return 0;
  const std::size_t count = volume.members.size();
  switch (volume.type) {
    case FtType::kMirror:
      return std::ranges::min_element(volume.members, {}, &FtMember::used)->used;
    case FtType::kStripe:
      return Column(volume) * count;
    case FtType::kStripeWithParity:
      return Column(volume) * (count - 1);
    case FtType::kVolumeSet: {
      std::uint64_t sum = 0;
      for (const FtMember& member : volume.members) sum += member.used;
      return sum;
    }
    default:
      return 0;
  }
}

/// Puts one set together with the disks.
class SetReader {
 public:
  SetReader(const DiskRegistry& registry, std::span<const FtDisk> disks, FtVolume& volume)
      : registry_(registry), disks_(disks), record_(registry.sets[volume.index]), volume_(volume) {}

  void Read(const std::set<PartitionRef>& shared) {
    volume_.type = record_.type;
    volume_.state = record_.state;
    if (!KnownType(record_.type)) {
      Report(FtProblemKind::kUnknownType, std::nullopt,
             fmt::format("the set has type {}", static_cast<unsigned>(record_.type)));
    } else if (!CountFits(record_.type, record_.members.size())) {
      Report(FtProblemKind::kMemberCount, std::nullopt,
             fmt::format("{} members in a {}", record_.members.size(), FtTypeName(record_.type)));
    }
    if (record_.state > FtSetState::kNoCheckData) {
      Report(FtProblemKind::kUnknownState, std::nullopt,
             fmt::format("the set has state {}", static_cast<std::uint32_t>(record_.state)));
    }
    for (std::size_t place = 0; place < record_.members.size(); ++place) ReadMember(place, shared);
    ReadLetter();
    volume_.length = KnownType(volume_.type) ? LengthOf(volume_) : 0;
    if (volume_.length == 0 && !volume_.members.empty() && KnownType(volume_.type)) {
      Report(FtProblemKind::kTooSmall, std::nullopt, "the smallest member holds no data");
    }
    volume_.status = Judge();
  }

 private:
  void Report(FtProblemKind kind, std::optional<std::size_t> place, std::string message) {
    volume_.problems.push_back({kind, place, std::move(message)});
  }

  void ReadMember(std::size_t place, const std::set<PartitionRef>& shared) {
    const FtMemberRecord& record = record_.members[place];
    const DiskPartition& entry = *registry_.Find(record.partition);
    if (place == 0) volume_.group = entry.ftGroup;
    FtMember& member = volume_.members.emplace_back();
    member.state = record.state;
    member.signature = record.signature;
    member.start = entry.startingOffset;
    member.length = entry.length;
    member.used = entry.ftLength != 0 && entry.ftLength <= entry.length ? entry.ftLength : entry.length;
    member.entry = record.partition;

    bool trusted = true;
    const auto doubt = [&](FtProblemKind kind, std::string message) {
      Report(kind, place, std::move(message));
      trusted = false;
    };
    if (record.state > FtMemberState::kSyncRedundantCopy) {
      doubt(FtProblemKind::kUnknownState,
            fmt::format("the member has state {}", static_cast<unsigned>(record.state)));
    }
    if (entry.ftType != record_.type || entry.ftMember != place || entry.ftGroup != volume_.group) {
      doubt(FtProblemKind::kEntryDisagrees,
            fmt::format("the entry says {} {} member {}, the set {} {} member {}", FtTypeName(entry.ftType),
                        entry.ftGroup, entry.ftMember, FtTypeName(record_.type), volume_.group, place));
    }
    if (shared.contains(record.partition)) {
      doubt(FtProblemKind::kSharedMember, "the partition is a member more than once");
    }
    if (const auto listed = registry_.disks[record.partition.disk].signature; listed != record.signature) {
      doubt(FtProblemKind::kSignature, fmt::format("the member says disk {:08x}, its entry belongs to {:08x}",
                                                   record.signature, listed));
    }
    if (trusted) FindOnDisk(place, member);
  }

  void FindOnDisk(std::size_t place, FtMember& member) {
    std::optional<std::size_t> found;
    for (std::size_t disk = 0; disk < disks_.size(); ++disk) {
      const DiskLayout& layout = disks_[disk].layout;
      if (layout.style != PartitionStyle::kMbr || layout.mbrSignature != member.signature) continue;
      if (found) {
        Report(FtProblemKind::kAmbiguousDisk, place,
               fmt::format("several disks have the signature {:08x}", member.signature));
        return;
      }
      found = disk;
    }
    if (!found) return;  // the disk is away, which is no contradiction
    const Region* region = disks_[*found].layout.FindPartition(member.start);
    if (region == nullptr || !HoldsData(region->kind)) {
      Report(FtProblemKind::kNoPartition, place,
             fmt::format("no partition starts at {} of disk {:08x}", member.start, member.signature));
      return;
    }
    if (region->length != member.length) {
      Report(FtProblemKind::kLengthDiffers, place,
             fmt::format("the partition has {} octets, its entry says {}", region->length, member.length));
      return;
    }
    member.disk = found;
    member.partitionType = region->mbrType;
    member.partitionKind = region->kind;
    const bool orphaned = member.state == FtMemberState::kOrphaned;
    member.health = orphaned                                  ? FtMemberHealth::kOrphaned
                    : member.state == FtMemberState::kHealthy ? FtMemberHealth::kHealthy
                                                              : FtMemberHealth::kStale;
    if (member.state == FtMemberState::kHealthy && IsMarked(region->mbrType, true) &&
        IsDisabled(region->mbrType)) {
      // Whoever marked it knew of a failure that the record does not.
      Report(FtProblemKind::kMarkedDisabled, place,
             fmt::format("the partition has type {:02x}, its state is Healthy", region->mbrType));
      member.health = FtMemberHealth::kOrphaned;
    } else if (const auto type = MarkedType(region->mbrType, orphaned); type != region->mbrType) {
      Report(FtProblemKind::kMark, place,
             fmt::format("the partition has type {:02x}, with the state {} it is {:02x}", region->mbrType,
                         FtMemberStateName(member.state), type));
    }
  }

  void ReadLetter() {
    for (const FtMember& member : volume_.members) {
      const std::uint8_t letter = registry_.Find(member.entry)->driveLetter;
      const auto capital = static_cast<char>(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
      if (capital < 'A' || capital > 'Z') continue;
      volume_.letter = capital;
      return;
    }
  }

  FtStatus Judge() const {
    for (const FtProblem& problem : volume_.problems) {
      if (!problem.member && problem.Blocks()) return FtStatus::kFailed;
    }
    if (volume_.members.empty() || volume_.state == FtSetState::kDisabled) return FtStatus::kFailed;
    std::size_t healthy = 0;
    std::size_t stale = 0;
    for (const FtMember& member : volume_.members) {
      if (member.health == FtMemberHealth::kHealthy) ++healthy;
      if (member.health == FtMemberHealth::kStale) ++stale;
    }
    const std::size_t count = volume_.members.size();
    const bool parity_unknown = ParityUnknown(volume_.state);
    switch (volume_.type) {
      case FtType::kMirror:
        if (healthy == 0) return FtStatus::kFailed;
        break;
      case FtType::kStripeWithParity:
        if (healthy + 1 < count || (healthy < count && parity_unknown)) return FtStatus::kFailed;
        break;
      default:
        return healthy == count ? FtStatus::kHealthy : FtStatus::kFailed;
    }
    if (healthy + stale < count) return FtStatus::kFailedRedundancy;
    if (stale > 0 || volume_.state == FtSetState::kRegenerating ||
        volume_.state == FtSetState::kInitializing) {
      return FtStatus::kRebuilding;
    }
    if (parity_unknown) return FtStatus::kNeedsResync;
    return FtStatus::kHealthy;
  }

  const DiskRegistry& registry_;
  std::span<const FtDisk> disks_;
  const FtSetRecord& record_;
  FtVolume& volume_;
};

}  // namespace

std::uint8_t PlainType(std::uint8_t type) {
  return HasBits(type) ? static_cast<std::uint8_t>(type & ~kDisabledBits) : type;
}

std::uint8_t MarkedType(std::uint8_t type, bool disabled) {
  return static_cast<std::uint8_t>(PlainType(type) | (disabled ? kDisabledBits : kMemberBit));
}

bool FtProblem::Blocks() const {
  switch (kind) {
    case FtProblemKind::kUnknownType:
    case FtProblemKind::kMemberCount:
    case FtProblemKind::kUnknownState:
    case FtProblemKind::kEntryDisagrees:
    case FtProblemKind::kSharedMember:
    case FtProblemKind::kSignature:
    case FtProblemKind::kTooSmall:
      return true;
    default:
      return false;
  }
}

bool IsMarked(std::uint8_t type, bool listed) {
  if (!HasBits(type)) return false;
  return listed || static_cast<std::uint8_t>(type & ~0x40) != kOemFat16Like;
}

std::string FtVolume::Key() const {
  const auto name = type == FtType::kMirror             ? "mirror"
                    : type == FtType::kStripe           ? "stripe"
                    : type == FtType::kStripeWithParity ? "parity"
                    : type == FtType::kVolumeSet        ? "volume"
                                                        : "unknown";
  const bool alone = std::ranges::none_of(
      problems, [](const FtProblem& problem) { return problem.kind == FtProblemKind::kDuplicateGroup; });
  return alone ? fmt::format("{}-{}", name, group) : fmt::format("{}-{}-{}", name, group, index);
}

const FtProblem* FtVolume::BlockingProblem() const {
  const auto found = std::ranges::find_if(problems, &FtProblem::Blocks);
  return found == problems.end() ? nullptr : &*found;
}

const FtVolume* FtConfiguration::VolumeAt(std::size_t disk, std::uint64_t start) const& {
  for (const FtVolume& volume : volumes) {
    for (const FtMember& member : volume.members) {
      if (member.disk == disk && member.start == start) return &volume;
    }
  }
  return nullptr;
}

FtConfiguration ReadFtSets(const DiskRegistry& registry, std::span<const FtDisk> disks) {
  std::set<PartitionRef> seen;
  std::set<PartitionRef> shared;
  for (const FtSetRecord& set : registry.sets) {
    for (const FtMemberRecord& member : set.members) {
      if (!seen.insert(member.partition).second) shared.insert(member.partition);
    }
  }
  FtConfiguration configuration;
  std::map<std::pair<FtType, std::uint16_t>, std::size_t> groups;
  for (std::size_t index = 0; index < registry.sets.size(); ++index) {
    FtVolume volume;
    volume.index = index;
    SetReader(registry, disks, volume).Read(shared);
    ++groups[{volume.type, volume.group}];
    configuration.volumes.push_back(std::move(volume));
  }
  for (FtVolume& volume : configuration.volumes) {
    if (groups[{volume.type, volume.group}] > 1) {
      volume.problems.push_back(
          {FtProblemKind::kDuplicateGroup, std::nullopt,
           fmt::format("several sets are {} {}", FtTypeName(volume.type), volume.group)});
    }
  }
  for (std::size_t disk = 0; disk < disks.size(); ++disk) {
    if (disks[disk].layout.style != PartitionStyle::kMbr) continue;
    for (const Region& region : disks[disk].layout.regions) {
      if (!HoldsData(region.kind) || !IsMarked(region.mbrType, false)) continue;
      if (configuration.VolumeAt(disk, region.start) != nullptr) continue;
      configuration.unclaimed.push_back({disk, region.start, region.mbrType});
    }
  }
  return configuration;
}

bool ParityUnknown(const FtVolume& volume) { return ParityUnknown(volume.state); }

std::optional<VolumeMap> MapOf(const FtVolume& volume, std::string name,
                               std::span<const std::filesystem::path> devices) {
  if (volume.status == FtStatus::kFailed) return std::nullopt;
  VolumeMap map;
  map.name = std::move(name);
  map.length = volume.length;
  const std::uint64_t column = Striped(volume.type) ? Column(volume) : 0;
  VolumePlex plex;
  plex.layout = volume.type == FtType::kStripe             ? PlexLayout::kStripe
                : volume.type == FtType::kStripeWithParity ? PlexLayout::kRaid5
                                                           : PlexLayout::kConcat;
  plex.stripeSize = kStripeUnit;
  for (const FtMember& member : volume.members) {
    VolumeExtent extent;
    extent.offset = member.start;
    extent.length = Striped(volume.type) ? column : member.used;
    const bool present = member.disk && *member.disk < devices.size();
    if (present) extent.device = devices[*member.disk];
    extent.state = present && member.health == FtMemberHealth::kHealthy ? ExtentState::kOnline
                   : present && member.health == FtMemberHealth::kStale ? ExtentState::kStale
                                                                        : ExtentState::kMissing;
    if (volume.type == FtType::kVolumeSet && !plex.columns.empty()) {
      plex.columns.front().push_back(std::move(extent));
      continue;
    }
    plex.columns.push_back({std::move(extent)});
    if (volume.type == FtType::kMirror) {
      map.plexes.push_back(plex);
      plex.columns.clear();
    }
  }
  if (volume.type != FtType::kMirror) map.plexes.push_back(std::move(plex));
  return map;
}

std::string_view FtProblemName(FtProblemKind kind) {
  switch (kind) {
    case FtProblemKind::kUnknownType:
      return "UnknownType";
    case FtProblemKind::kMemberCount:
      return "MemberCount";
    case FtProblemKind::kUnknownState:
      return "UnknownState";
    case FtProblemKind::kEntryDisagrees:
      return "EntryDisagrees";
    case FtProblemKind::kSharedMember:
      return "SharedMember";
    case FtProblemKind::kSignature:
      return "Signature";
    case FtProblemKind::kAmbiguousDisk:
      return "AmbiguousDisk";
    case FtProblemKind::kNoPartition:
      return "NoPartition";
    case FtProblemKind::kLengthDiffers:
      return "LengthDiffers";
    case FtProblemKind::kMark:
      return "Mark";
    case FtProblemKind::kMarkedDisabled:
      return "MarkedDisabled";
    case FtProblemKind::kDuplicateGroup:
      return "DuplicateGroup";
    case FtProblemKind::kTooSmall:
      return "TooSmall";
  }
  return "Unknown";
}

std::string_view FtMemberHealthName(FtMemberHealth health) {
  switch (health) {
    case FtMemberHealth::kHealthy:
      return "Healthy";
    case FtMemberHealth::kStale:
      return "Stale";
    case FtMemberHealth::kOrphaned:
      return "Orphaned";
    case FtMemberHealth::kMissing:
      return "Missing";
  }
  return "Unknown";
}

std::string_view FtStatusName(FtStatus status) {
  switch (status) {
    case FtStatus::kHealthy:
      return "Healthy";
    case FtStatus::kFailedRedundancy:
      return "FailedRedundancy";
    case FtStatus::kNeedsResync:
      return "NeedsResync";
    case FtStatus::kRebuilding:
      return "Rebuilding";
    case FtStatus::kFailed:
      return "Failed";
  }
  return "Unknown";
}

}  // namespace dmrp::server::ft
