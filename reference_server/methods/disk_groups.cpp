#include "reference_server/methods/disk_groups.hpp"

#include "protocol/dmrp/hresult.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

using ldm::CopyState;
using ldm::Health;

bool IsInOrder(const ldm::CopyReport& copy) {
  return copy.state == CopyState::kCurrent && copy.member.faults.empty();
}

bool MergeIsRequired(const ldm::DiskRecord& disk) { return (disk.flags & ldm::kDiskMergeRequired) != 0; }

// What keeps a group from being as it should be, in words; empty when nothing does.
std::string DueIn(const ldm::DiskGroup& group) {
  std::string due;
  for (const ldm::CopyReport& copy : group.Copies()) {
    const bool mendable = copy.state != CopyState::kDeviceFailed && copy.state != CopyState::kUnknownDisk &&
                          copy.state != CopyState::kDuplicateDisk;
    if (mendable && !IsInOrder(copy)) {
      due += fmt::format("{} is {}; ", copy.member.header.diskGuid.ToString(), CopyStateName(copy.state));
    }
  }
  for (const ldm::ObjectId disk : group.MissingDisks()) {
    const ldm::DiskRecord* record = group.Current().FindDisk(disk);
    if (record != nullptr && (record->flags & ldm::kDiskDetached) == 0) {
      due += fmt::format("{} is missing; ", record->name);
    }
  }
  return due;
}

ExtentState StateOf(Health health) {
  switch (health) {
    case Health::kHealthy:
      return ExtentState::kOnline;
    case Health::kStale:
      return ExtentState::kStale;
    case Health::kFailed:
    case Health::kMissing:
      break;
  }
  return ExtentState::kMissing;
}

PlexLayout LayoutOf(ldm::PlexLayout layout) {
  switch (layout) {
    case ldm::PlexLayout::kStripe:
      return PlexLayout::kStripe;
    case ldm::PlexLayout::kRaid5:
      return PlexLayout::kRaid5;
    case ldm::PlexLayout::kConcat:
      break;
  }
  return PlexLayout::kConcat;
}

// The volume as the host is to put it together.
VolumeMap HostMap(const FoundGroup& group, const GroupVolume& volume) {
  VolumeMap map{.name = volume.name, .length = volume.map.length, .plexes = {}, .readOnly = false};
  for (const ldm::MapPlex& plex : volume.map.plexes) {
    VolumePlex& made = map.plexes.emplace_back();
    made.layout = LayoutOf(plex.layout);
    if (plex.stripeBytes != 0) {
      made.stripeSize = plex.stripeBytes;
    }
    for (const ldm::MapColumn& column : plex.columns) {
      VolumeColumn& extents = made.columns.emplace_back();
      for (const ldm::MapExtent& extent : column.extents) {
        const GroupMember* member = group.MemberOf(extent.disk);
        extents.push_back({.device = member == nullptr ? std::filesystem::path() : member->device.node,
                           .offset = extent.diskOffset,
                           .length = extent.length,
                           .state = member == nullptr ? ExtentState::kMissing : StateOf(extent.health)});
        if (member != nullptr && member->device.readOnly) {
          map.readOnly = true;
        }
      }
    }
  }
  return map;
}

// The records of a volume's members in the order of VolumeStatus::members, with their health.
struct MemberRecord {
  ldm::ObjectId plex = 0;                 // of a mirror
  std::vector<ldm::ObjectId> subdisks{};  // of a RAID-5 column
  Health health = Health::kHealthy;
};

std::vector<MemberRecord> MembersOf(const ldm::VolumeMap& map) {
  std::vector<MemberRecord> members;
  if (map.layout == ldm::VolumeLayout::kMirrored) {
    for (const ldm::MapPlex& plex : map.plexes) {
      members.push_back({.plex = plex.plex, .health = plex.health});
    }
  } else if (map.layout == ldm::VolumeLayout::kRaid5) {
    for (const ldm::MapColumn& column : map.plexes.front().columns) {
      MemberRecord& member = members.emplace_back();
      member.health = column.ColumnHealth();
      for (const ldm::MapExtent& extent : column.extents) {
        member.subdisks.push_back(extent.subdisk);
      }
    }
  }
  return members;
}

StorageResult<ldm::Database> Mark(ldm::Database database, const MemberRecord& member, Health health) {
  if (member.plex != 0) {
    return ldm::MarkPlex(std::move(database), member.plex, health);
  }
  for (const ldm::ObjectId subdisk : member.subdisks) {
    auto marked = ldm::MarkSubdisk(std::move(database), subdisk, health);
    if (!marked) {
      return marked;
    }
    database = std::move(*marked);
  }
  return database;
}

// What the device of a volume knows of a member and the records do not: nothing when they agree.
std::optional<Health> NewsOf(const MemberRecord& record, MemberState state) {
  if (record.health == Health::kStale && state == MemberState::kInSync) {
    return Health::kHealthy;
  }
  const bool usable = record.health == Health::kHealthy || record.health == Health::kStale;
  if (usable && state == MemberState::kFailed) {
    return Health::kFailed;
  }
  return std::nullopt;
}

}  // namespace

const GroupMember* FoundGroup::MemberOf(ldm::ObjectId disk) const {
  const auto found = std::ranges::find(members, disk, &GroupMember::disk);
  return found == members.end() ? nullptr : &*found;
}

const GroupVolume* FoundGroup::FindVolume(const std::string& key) const {
  const auto found = std::ranges::find(volumes, key, &GroupVolume::key);
  return found == volumes.end() ? nullptr : &*found;
}

std::string DynamicVolumeKey(const Guid& volume) { return "ldm:" + volume.ToString(); }

std::string MissingDiskKey(const Guid& disk) { return "missing:" + disk.ToString(); }

void DiskGroups::Observe(const std::vector<Attached>& disks) {
  groups_.clear();
  unreadable_.clear();
  const auto primary = ReadPrimaryDiskGroup(registry_);
  if (!primary) {
    Log("which disk group is this machine's cannot be read: " + primary.error().ToString());
  }
  auto found = ReadMembers(disks);
  std::optional<Result<ldm::DiskGroup>> inspected;
  if (primary && *primary && ResumeMerge(found, (*primary)->guid, inspected)) {
    found = ReadMembers(disks);
    inspected.reset();
  }
  for (auto& [guid, seen] : found) {
    const bool ours = primary && *primary && (*primary)->guid == guid;
    Add(guid, std::move(seen), ours, ours ? std::exchange(inspected, std::nullopt) : std::nullopt);
  }
  for (FoundGroup& group : groups_) {
    if (group.primary) {
      BringOnline(group);
      NoteMembers(group);
    }
  }
  TakeOthersOffline();
}

const FoundGroup* DiskGroups::Primary() const {
  const auto found = std::ranges::find_if(groups_, &FoundGroup::primary);
  return found == groups_.end() ? nullptr : &*found;
}

DiskGroups::Place DiskGroups::Find(const std::string& disk_key) const {
  for (const FoundGroup& group : groups_) {
    const auto member = std::ranges::find(group.members, disk_key, &GroupMember::key);
    if (member != group.members.end()) {
      return {&group, &*member};
    }
  }
  return {};
}

const GroupVolume* DiskGroups::FindVolume(const std::string& key) const {
  const FoundGroup* primary = Primary();
  return primary == nullptr ? nullptr : primary->FindVolume(key);
}

std::map<Guid, std::vector<DiskGroups::Seen>> DiskGroups::ReadMembers(const std::vector<Attached>& disks) {
  std::map<Guid, std::vector<Seen>> groups;
  for (const Attached& disk : disks) {
    if (disk.device.kind != DeviceKind::kDisk || !disk.device.mediaPresent) {
      continue;
    }
    auto device = source_.Open(disk.device, false);
    if (!device) {
      continue;  // told when the disk is described
    }
    auto member = ldm::OpenMember(**device);
    if (!member) {
      Log(fmt::format("{}: the private region cannot be used: {}", disk.device.name,
                      member.error().ToString()));
      unreadable_.insert(disk.key);
    } else if (*member) {
      Bytes vmdb((*member)->header.bytesPerSector);
      if (!(*device)->Read((*member)->RelativeOffset((*member)->Config().start), vmdb)) {
        vmdb.clear();
      }
      const Guid group = (*member)->header.groupGuid;
      groups[group].push_back({disk, std::move(*device), std::move(**member), std::move(vmdb)});
    }
  }
  return groups;
}

Result<ldm::DiskGroup> DiskGroups::Inspect(const std::vector<Seen>& seen) {
  std::vector<ldm::Member> members;
  for (const Seen& disk : seen) {
    members.push_back(disk.member);
  }
  return ldm::DiskGroup::Inspect(std::move(members));
}

bool DiskGroups::ResumeMerge(std::map<Guid, std::vector<Seen>>& found, const Guid& ours,
                             std::optional<Result<ldm::DiskGroup>>& inspected) {
  const auto here = found.find(ours);
  if (here == found.end()) {
    return false;
  }
  if (const FoundGroup* before = Unchanged(ours, here->second)) {
    if (std::ranges::none_of(before->database.disks, MergeIsRequired)) {
      return false;
    }
  }
  const Result<ldm::DiskGroup>& group = inspected.emplace(Inspect(here->second));
  if (!group || group->Current().committedTransaction == failed_merge_) {
    return false;
  }
  std::set<Guid> due;
  for (const ldm::DiskRecord& disk : group->Current().disks) {
    if (MergeIsRequired(disk)) {
      due.insert(disk.guid);
    }
  }
  std::vector<ldm::Member> own;
  std::vector<ldm::Member> foreign;
  bool any = false;
  for (auto& [guid, seen] : found) {
    for (Seen& disk : seen) {
      const bool wanted = due.contains(disk.member.header.diskGuid);
      any = any || wanted;
      if (guid == ours || wanted) {
        (guid == ours ? own : foreign).push_back(disk.member);
      }
    }
  }
  if (!any) {
    return false;
  }
  Log("a merge of disk groups is gone on with");
  failed_merge_ = group->Current().committedTransaction;
  std::vector<std::unique_ptr<BlockDevice>> devices;
  for (auto& [guid, seen] : found) {
    for (Seen& disk : seen) {
      for (std::vector<ldm::Member>* list : {&own, &foreign}) {
        const auto member = std::ranges::find(*list, disk.device.get(), &ldm::Member::device);
        if (member == list->end()) {
          continue;
        }
        auto device = source_.Open(disk.disk.device, true);
        if (!device) {
          Log(fmt::format("{} cannot be written: {}", disk.disk.device.name, device.error().ToString()));
          return false;
        }
        member->device = device->get();
        devices.push_back(std::move(*device));
      }
    }
  }
  auto loaded = ldm::DiskGroup::Load(std::move(own));
  if (!loaded) {
    Log("the disk group could not be brought in order: " + loaded.error().ToString());
    return false;
  }
  if (auto resumed = ldm::ResumeGroup(*loaded, foreign); !resumed) {
    Log("the merge could not be ended: " + resumed.error().ToString());
    return false;
  }
  failed_merge_.reset();
  return true;
}

std::vector<DiskGroups::Version> DiskGroups::VersionsOf(const std::vector<Seen>& seen) {
  std::vector<Version> versions;
  for (const Seen& disk : seen) {
    if (disk.vmdb.empty() || !disk.member.faults.empty()) {
      return {};
    }
    versions.push_back({disk.disk, disk.member.header, disk.member.toc, disk.member.gpt, disk.vmdb});
  }
  return versions;
}

const FoundGroup* DiskGroups::Unchanged(const Guid& guid, const std::vector<Seen>& seen) const {
  const auto before = read_.find(guid);
  return before != read_.end() && before->second.versions == VersionsOf(seen) ? &before->second.group
                                                                              : nullptr;
}

void DiskGroups::Add(const Guid& guid, std::vector<Seen> seen, bool primary,
                     std::optional<Result<ldm::DiskGroup>> inspected) {
  if (const FoundGroup* before = Unchanged(guid, seen); before != nullptr && before->primary == primary) {
    groups_.push_back(*before);
    return;
  }
  read_.erase(guid);
  const Result<ldm::DiskGroup> group = inspected ? *std::move(inspected) : Inspect(seen);
  if (!group) {
    Log(fmt::format("disk group {} cannot be used: {}", guid.ToString(), group.error().ToString()));
    for (const Seen& disk : seen) {
      unreadable_.insert(disk.disk.key);
    }
    return;
  }
  if (primary) {
    if (auto maintained = Maintain(*group, seen)) {
      groups_.push_back(Describe(*maintained, seen, primary));
      return;
    }
  }
  groups_.push_back(Describe(*group, seen, primary));
  auto versions = VersionsOf(seen);
  if (!versions.empty() && DueIn(*group).empty() && groups_.back().members.size() == seen.size()) {
    read_.emplace(guid, Read{std::move(versions), groups_.back()});
  }
}

std::optional<ldm::DiskGroup> DiskGroups::Maintain(const ldm::DiskGroup& inspected, std::vector<Seen>& seen) {
  const std::string due = DueIn(inspected);
  if (due.empty() || due == attempted_maintenance_) {
    attempted_maintenance_ = due;
    return std::nullopt;
  }
  Log(fmt::format("disk group {}: {}", inspected.Current().group.name, due));
  attempted_maintenance_ = due;
  std::vector<ldm::Member> members;
  for (Seen& disk : seen) {
    auto device = source_.Open(disk.disk.device, true);
    if (!device) {
      Log(fmt::format("{} cannot be written: {}", disk.disk.device.name, device.error().ToString()));
      return std::nullopt;
    }
    disk.device = std::move(*device);
    disk.member.device = disk.device.get();
    members.push_back(disk.member);
  }
  auto group = ldm::DiskGroup::Load(std::move(members));
  if (!group) {
    Log("the disk group could not be brought in order: " + group.error().ToString());
    return std::nullopt;
  }
  ldm::Database next = group->Current();
  for (const ldm::ObjectId disk : group->MissingDisks()) {
    auto marked = ldm::MarkDiskMissing(next, disk);
    if (!marked) {
      Log(marked.error().ToString());
      return std::nullopt;
    }
    next = std::move(*marked);
  }
  if (auto committed = group->Commit(std::move(next)); !committed) {
    Log("missing disks could not be noted: " + committed.error().ToString());
    return std::nullopt;
  }
  return std::move(*group);
}

FoundGroup DiskGroups::Describe(const ldm::DiskGroup& group, const std::vector<Seen>& seen, bool primary) {
  FoundGroup found{
      .primary = primary, .database = group.Current(), .members = {}, .volumes = {}, .missing = {}};
  const auto missing = group.MissingDisks();
  found.missing.insert(missing.begin(), missing.end());
  for (const Seen& disk : seen) {
    const ldm::DiskRecord* record = found.database.FindDisk(disk.member.header.diskGuid);
    if (record == nullptr || group.MemberOf(record->id) == nullptr) {
      unreadable_.insert(disk.disk.key);
      continue;
    }
    found.members.push_back(
        {disk.disk.key, disk.disk.device, record->id, disk.member.header, disk.member.gpt});
  }
  if (!primary) {
    return found;
  }
  for (const ldm::VolumeRecord& record : found.database.volumes) {
    auto map = ldm::MapVolume(group, record.id);
    if (!map) {
      Log(map.error().ToString());
      continue;
    }
    for (ldm::MapPlex& plex : map->plexes) {
      for (ldm::MapColumn& column : plex.columns) {
        for (ldm::MapExtent& extent : column.extents) {
          extent.device = nullptr;  // closed soon
        }
      }
    }
    found.volumes.push_back({DynamicVolumeKey(record.guid),
                             VolumeDeviceName(found.database.group.name, record.name), std::move(*map),
                             std::nullopt});
  }
  return found;
}

void DiskGroups::BringOnline(FoundGroup& group) {
  VolumeHost& host = source_.Volumes();
  for (GroupVolume& volume : group.volumes) {
    if (volume.map.health == ldm::VolumeHealth::kFailed) {
      continue;
    }
    if (auto active = host.Activate(HostMap(group, volume)); !active) {
      Log(fmt::format("volume {} cannot come online: {}", volume.name, active.error().ToString()));
      continue;
    }
    brought_online_.insert(volume.name);
    if (volume.map.health == ldm::VolumeHealth::kInitializing && !initializing_.contains(volume.name)) {
      const auto before = host.Status(volume.name);
      const auto begun =
          before ? host.Resynchronise(volume.name) : Result<void>(tl::unexpected(before.error()));
      if (begun) {
        initializing_.emplace(volume.name, before->device.event);
      } else {
        Log(fmt::format("the parity of volume {} is not made: {}", volume.name, begun.error().ToString()));
      }
    }
    if (auto status = host.Status(volume.name)) {
      volume.status = std::move(*status);
    }
  }
}

void DiskGroups::NoteMembers(FoundGroup& group) {
  ldm::Database next = group.database;
  const auto apply = [&](StorageResult<ldm::Database> marked) {
    if (marked) {
      next = std::move(*marked);
    } else {
      Log(marked.error().ToString());
    }
  };
  for (const GroupVolume& volume : group.volumes) {
    if (!volume.status) {
      continue;
    }
    const auto records = MembersOf(volume.map);
    for (std::size_t i = 0; i < std::min(records.size(), volume.status->members.size()); ++i) {
      if (const auto news = NewsOf(records[i], volume.status->members[i])) {
        Log(fmt::format("member {} of volume {} is {} now", i, volume.name, HealthName(*news)));
        apply(Mark(next, records[i], *news));
      }
    }
    // Before its first block the kernel calls a synchronisation idle, too; its end is an event.
    const auto begun = initializing_.find(volume.name);
    const bool made = volume.map.health == ldm::VolumeHealth::kInitializing && begun != initializing_.end() &&
                      volume.status->sync == SyncKind::kNone && volume.status->device.event != begun->second;
    if (made) {
      apply(ldm::MarkInitializing(next, volume.map.volume, false));
      initializing_.erase(volume.name);
    }
  }
  if (next == group.database) {
    return;
  }
  const auto updated = Update([&next](OpenGroup&) -> StorageResult<ldm::Database> { return next; });
  if (!updated) {
    Log("the state of members could not be noted: " + updated.error().reason);
    return;
  }
  group.database = next;
  for (GroupVolume& volume : group.volumes) {
    volume.map.health = ldm::HealthOfVolume(next, volume.map.volume, group.missing);
    for (ldm::MapPlex& plex : volume.map.plexes) {
      for (ldm::MapColumn& column : plex.columns) {
        for (ldm::MapExtent& extent : column.extents) {
          if (const ldm::SubdiskRecord* subdisk = next.FindSubdisk(extent.subdisk)) {
            extent.health = ldm::HealthOf(next, *subdisk, group.missing);
          }
        }
      }
    }
  }
}

// Volumes that were deleted, that failed, or whose group went.
void DiskGroups::TakeOthersOffline() {
  VolumeHost& host = source_.Volumes();
  std::set<std::string> wanted;
  std::string prefix;
  if (const FoundGroup* primary = Primary()) {
    prefix = VolumeDeviceName(primary->database.group.name, "");
    for (const GroupVolume& volume : primary->volumes) {
      if (volume.map.health != ldm::VolumeHealth::kFailed) {
        wanted.insert(volume.name);
      }
    }
  }
  for (const std::string& name : host.Active()) {
    const bool ours = brought_online_.contains(name) || (!prefix.empty() && name.starts_with(prefix));
    if (!ours || wanted.contains(name)) {
      continue;
    }
    if (auto gone = host.Deactivate(name, false); !gone) {
      Log(fmt::format("volume {} stays online for its users: {}", name, gone.error().ToString()));
      continue;
    }
    brought_online_.erase(name);
    initializing_.erase(name);
  }
}

Outcome<DiskGroups::OpenGroup> DiskGroups::Open(const FoundGroup& group) {
  std::vector<std::unique_ptr<BlockDevice>> devices;
  std::vector<ldm::Member> members;
  for (const GroupMember& known : group.members) {
    auto device = source_.Open(known.device, true);
    if (!device) {
      return RejectDevice(device.error());
    }
    auto member = ldm::OpenMember(**device);
    if (!member) {
      return Reject(ldm::GroupFailed(member.error()).value());
    }
    if (!*member) {
      return Reject(LDM_E_CONFIG, fmt::format("{} is no dynamic disk any more", known.device.name));
    }
    members.push_back(std::move(**member));
    devices.push_back(std::move(*device));
  }
  auto loaded = ldm::DiskGroup::Load(std::move(members));
  if (!loaded) {
    return Reject(ldm::GroupFailed(loaded.error()).value());
  }
  return OpenGroup{std::move(devices), std::move(*loaded)};
}

Outcome<void> DiskGroups::Update(const Change& change) {
  const FoundGroup* primary = Primary();
  if (primary == nullptr) {
    return Reject(LDM_E_NO_DG, "no disk of the primary disk group is there");
  }
  auto open = Open(*primary);
  if (!open) {
    return tl::unexpected(open.error());
  }
  auto next = change(*open);
  if (!next) {
    return Reject(next.error());
  }
  const auto committed = open->group.Commit(std::move(*next));
  if (!committed) {
    return Reject(ldm::GroupFailed(committed.error()).value());
  }
  for (const ldm::MemberFailure& failure : committed->failed) {
    Log(fmt::format("disk {} was left behind: {}", failure.diskGuid.ToString(), failure.error.ToString()));
  }
  return {};
}

Outcome<void> DiskGroups::Mend() {
  const FoundGroup* primary = Primary();
  if (primary == nullptr) {
    return {};
  }
  auto open = Open(*primary);
  if (!open) {
    return tl::unexpected(open.error());
  }
  if (auto updated = ldm::UpdateTables(open->group); !updated) {
    return Reject(updated.error());
  }
  return {};
}

Outcome<void> DiskGroups::SetPrimary(const std::optional<PrimaryDiskGroup>& group) {
  const auto written = group ? WritePrimaryDiskGroup(registry_, *group) : DeletePrimaryDiskGroup(registry_);
  if (!written) {
    return Reject(LDM_E_VB_SYS, written.error().ToString());
  }
  return {};
}

void DiskGroups::Log(const std::string& text) const {
  if (log_) {
    log_(text);
  }
}

}  // namespace dmrp::server
