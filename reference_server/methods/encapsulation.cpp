#include "reference_server/methods/encapsulation.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/disk_conversion.hpp"
#include "reference_server/methods/disk_initialization.hpp"
#include "reference_server/methods/drive_letters.hpp"
#include "reference_server/methods/revision_rules.hpp"
#include "reference_server/methods/table_change.hpp"
#include "reference_server/methods/volume_access.hpp"
#include "reference_server/storage/gpt.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr Guid kGptEfiSystem{0xc12a7328, 0xf81f, 0x11d2, {0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}};

// Of partition types: member of an FT set.
constexpr std::uint8_t kFtBit = 0x80;

// Some codes of 2.2.1 are printed without the failure bit.
constexpr HRESULT Failing(HRESULT code) {
  return static_cast<HRESULT>(static_cast<std::uint32_t>(code) | 0x80000000U);
}

// What one disk says about its conversion.
struct DiskFindings {
  std::uint32_t disk = 0;             // CONTAINS_*
  std::uint32_t info = 0;             // ENCAP_INFO_*
  std::optional<Refusal> obstacle{};  // the first reason that forbids the conversion
};

// The FT volume whose member a region is; null for others.
const VolumeObject* FtVolumeOf(const ObjectState& state, const RegionObject& region) {
  const auto* volume = state.FindAs<VolumeObject>(region.info.volId);
  return volume != nullptr && volume->info.type == VOLUMETYPE_FT ? volume : nullptr;
}

// Only what functions properly is taken along.
bool IsWhole(const ft::FtVolume& set) {
  return set.status == ft::FtStatus::kHealthy && set.BlockingProblem() == nullptr &&
         std::ranges::all_of(set.members, [&](const ft::FtMember& member) {
           return member.disk.has_value() && (set.Redundant() || member.used == member.length);
         });
}

ldm::VolumeLayout DynamicLayoutOf(ft::FtType type) {
  switch (type) {
    case ft::FtType::kMirror:
      return ldm::VolumeLayout::kMirrored;
    case ft::FtType::kStripe:
      return ldm::VolumeLayout::kStriped;
    case ft::FtType::kStripeWithParity:
      return ldm::VolumeLayout::kRaid5;
    default:
      return ldm::VolumeLayout::kSpanned;
  }
}

class DiskExaminer {
 public:
  DiskExaminer(DiskManagementServer& server, Revision revision, const ObjectState& state,
               const DiskObject& disk)
      : server_(server), revision_(revision), state_(state), disk_(disk) {}

  DiskFindings Examine() {
    ExamineUse();
    ExamineFt();
    ExamineTable();
    return std::move(findings_);
  }

 private:
  void Forbid(std::uint32_t flags, HRESULT hr, std::string reason) {
    findings_.info |= ENCAP_INFO_CANT_PROCEED | flags;
    if (!findings_.obstacle) {
      findings_.obstacle = Refusal{hr, fmt::format("disk {}: {}", disk_.info.id, reason)};
    }
  }

  // IVolumeClient has no flags for these two.
  [[nodiscard]] std::uint32_t OpenFailed() const {
    return revision_ == Revision::kIVolumeClient3 ? ENCAP_INFO_OPEN_FAILED : ENCAP_INFO_VOLUME_BUSY;
  }
  [[nodiscard]] std::uint32_t Mixed() const {
    return revision_ == Revision::kIVolumeClient3 ? ENCAP_INFO_MIXED_PARTITIONS : ENCAP_INFO_UNKNOWN_PART;
  }

  void ExamineUse() {
    for (const RegionObject& region : state_.RegionsOf(disk_.info.id)) {
      if ((region.info.rflags & REGION_IS_SYSTEM_PARTITION) != 0) {
        findings_.disk |= CONTAINS_SYSTEMDIR;
      }
      if (region.info.regionType != REGION_PRIMARY && region.info.regionType != REGION_LOGICAL) {
        continue;
      }
      if (FtVolumeOf(state_, region) == nullptr) {
        Lock(region.info.id, {disk_.key, static_cast<std::uint64_t>(region.info.start)});
      }
    }
  }

  void Lock(LdmObjectId id, const DiskInventory::Volume& volume) {
    const auto locked = TryLock(server_, id, volume);
    if (!locked && locked.error().hr == LDM_E_VOLUME_IN_USE) {
      findings_.disk |= CONTAINS_LOCKED_PARTITION;
      Forbid(ENCAP_INFO_VOLUME_BUSY, LDM_E_VOLUME_IN_USE, locked.error().reason);
    } else if (!locked && locked.error().hr != LDM_E_DISK_NOT_FOUND) {
      Forbid(OpenFailed(), Failing(LDM_E_NO_OPEN), locked.error().reason);
    }
  }

  // The sets with a member on this disk.
  void ExamineFt() {
    for (const RegionObject& region : state_.RegionsOf(disk_.info.id)) {
      const VolumeObject* volume = FtVolumeOf(state_, region);
      if (volume == nullptr) {
        continue;
      }
      findings_.disk |= CONTAINS_FT;
      findings_.info |= ENCAP_INFO_CONTAINS_FT;
      Lock(volume->info.id, {.volume_key = volume->key});
      const std::string text = fmt::format("FT volume {} lies on it", volume->info.id);
      // The earlier revision does not take all sets along.
      const bool early = revision_ == Revision::kIVolumeClient;
      if (volume->info.layout == VOLUMELAYOUT_RAID5) {
        findings_.disk |= CONTAINS_RAID5;
        if (early) {
          Forbid(ENCAP_INFO_FT_HAS_RAID5, LDM_E_FT_PRESENT, text);
        }
      }
      if (early && (findings_.disk & CONTAINS_SYSTEMDIR) != 0) {
        Forbid(ENCAP_INFO_FT_ON_BOOT, LDM_E_FT_PRESENT, text);
      }
      const FtSet* set = server_.inventory().ft().Find(volume->key);
      if (set == nullptr) {
        Forbid(ENCAP_INFO_FT_QUERY_FAILED, Failing(LDM_E_FT_QUERY_FAIL), text);
      } else if (!IsWhole(set->volume)) {
        Forbid(ENCAP_INFO_FT_UNHEALTHY, Failing(LDM_E_FT_UNHEALTHY), text);
      }
    }
  }

  void ExamineTable() {
    const DeviceInfo* device = server_.inventory().Device(disk_.key);
    if (device == nullptr) {
      Forbid(OpenFailed(), LDM_E_DISK_NOT_FOUND, "it is not attached");
      return;
    }
    if (device->readOnly) {
      Forbid(OpenFailed(), LDM_E_RDONLY, "it is write-protected");
    }
    const auto opened = server_.inventory().source().Open(*device, false);
    if (!opened) {
      Forbid(ENCAP_INFO_UNKNOWN_PART, LDM_E_BAD_DISK, opened.error().ToString());
      return;
    }
    const auto table = ReadTable(**opened);
    if (!table) {
      Forbid(ENCAP_INFO_UNKNOWN_PART, LDM_E_BAD_DISK, table.error().ToString());
      return;
    }
    const auto plan = ldm::PlanConversion(*table, (*opened)->Geometry(), {.acceptFt = true});
    if (!plan) {
      const bool room = plan.error().code == StorageErrorCode::kDiskTooSmall ||
                        plan.error().code == StorageErrorCode::kTableFull;
      Forbid(room ? ENCAP_INFO_NO_FREE_SPACE : ENCAP_INFO_UNKNOWN_PART, Reject(plan.error()).value().hr,
             plan.error().ToString());
      return;
    }
    TakePlan(table->layout, *plan);
  }

  [[nodiscard]] bool IsFtMember(std::uint64_t start) const {
    return std::ranges::any_of(state_.RegionsOf(disk_.info.id), [&](const RegionObject& region) {
      return static_cast<std::uint64_t>(region.info.start) == start && FtVolumeOf(state_, region) != nullptr;
    });
  }

  void TakePlan(const DiskLayout& layout, const ldm::ConversionPlan& plan) {
    const ldm::ConversionFindings& found = plan.findings;
    if (found.hasExtended) {
      findings_.disk |= CONTAINS_EXTENDED_PARTITION;
    }
    bool bootable = found.hasActive;
    for (const Region& region : layout.regions) {
      bootable = bootable || (!IsFree(region.kind) && region.gptType == kGptEfiSystem);
      const bool stays = HoldsData(region.kind) && region.gptType != kGptTypeMicrosoftReserved &&
                         std::ranges::none_of(plan.partitions, [&](const ldm::ConvertedPartition& one) {
                           return one.region.start == region.start;
                         });
      if (stays) {
        findings_.disk |= CONTAINS_MIXED_PARTITIONS;
      }
    }
    if (found.hasActive) {
      findings_.disk |= CONTAINS_BOOTINDICATOR;
    }
    if (bootable) {
      findings_.disk |= CONTAINS_BOOTABLE_PARTITION;
      findings_.disk |= (findings_.disk & CONTAINS_SYSTEMDIR) != 0 ? CONTAINS_BOOTLOADER : 0U;
    }
    if (std::ranges::any_of(plan.partitions, [this](const ldm::ConvertedPartition& one) {
          return (one.region.mbrType & kFtBit) != 0 && !IsFtMember(one.region.start);
        })) {
      findings_.disk |= CONTAINS_FT;
      Forbid(ENCAP_INFO_CONTAINS_FT | ENCAP_INFO_FT_QUERY_FAILED, Failing(LDM_E_FT_QUERY_FAIL),
             "a partition has the type of an FT set that is not known");
    }
    if (found.noFreeSpace) {
      findings_.disk |= CONTAINS_NO_FREE_SPACE;
      Forbid(ENCAP_INFO_NO_FREE_SPACE, Failing(LDM_E_INSUFFICIENT_SPACE), found.reason);
    }
    if (found.badActive) {
      Forbid(ENCAP_INFO_BAD_ACTIVE, Failing(LDM_E_BAD_ACTIVEPARTITION), found.reason);
    }
    if (found.mixedPartitions) {
      Forbid(Mixed(), Failing(LDM_MIXED_PARTITIONS), found.reason);
    }
    if (found.tooManyPartitions) {
      Forbid(ENCAP_INFO_NO_FREE_SPACE, Failing(LDM_E_TOO_MANY_PARTITIONS), found.reason);
    }
    if (found.unknownPartition) {
      Forbid(ENCAP_INFO_UNKNOWN_PART, Failing(LDM_E_BAD_PARTITION), found.reason);
    }
  }

  DiskManagementServer& server_;
  const Revision revision_;
  const ObjectState& state_;
  const DiskObject& disk_;
  DiskFindings findings_;
};

// The part of the validation that is the same for both methods.
Outcome<std::vector<DiskObject>> CheckDisks(const ObjectState& state, Revision revision,
                                            const std::vector<EncapsulationRequest::Disk>& named) {
  const auto any = Validate({{E_INVALIDARG, "at least one disk is named", [&] { return !named.empty(); }}});
  if (!any) {
    return tl::unexpected(any.error());
  }
  std::vector<DiskObject> disks;
  for (const EncapsulationRequest::Disk& one : named) {
    const auto* disk = state.FindAs<DiskObject>(one.id);
    const auto valid = Validate({
        {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
        {LDM_E_OBJECT_STALED, "lastKnownState is that of the disk",
         [&] { return one.lastKnownState == disk->info.lastKnownState; }},
        {LDM_E_NOSUPPORT, "the interface can be used with the disk",
         [&] { return MayUse(revision, disk->info); }},
        {Failing(LDM_ENCAP_DONE), "the disk is not dynamic",
         [&] { return disk->info.deviceType != DEVICETYPE_VM; }},
        {LDM_E_NOSUPPORT, "the disk is a fixed disk",
         [&] { return disk->info.deviceType == DEVICETYPE_FDISK; }},
    });
    if (!valid) {
      return tl::unexpected(valid.error());
    }
    if (std::ranges::none_of(disks, [&](const DiskObject& known) { return known.info.id == one.id; })) {
      disks.push_back(*disk);
    }
  }
  return disks;
}

std::vector<VolumeObject> FtVolumesOn(const ObjectState& state, const std::vector<DiskObject>& disks) {
  std::vector<VolumeObject> found;
  for (const VolumeObject& volume : state.Volumes()) {
    if (volume.info.type != VOLUMETYPE_FT) {
      continue;
    }
    const auto members = state.MembersOf(volume.info.id);
    const bool here = std::ranges::any_of(members, [&](const RegionObject& member) {
      return std::ranges::any_of(disks,
                                 [&](const DiskObject& disk) { return disk.info.id == member.info.diskId; });
    });
    if (here) {
      found.push_back(volume);
    }
  }
  return found;
}

// Adds the disks that share an FT volume with one of `disks`, and so on (step 1 of GetEncapsulateDiskInfo).
std::vector<DiskObject> TogetherWith(const ObjectState& state, std::vector<DiskObject> disks) {
  std::size_t before = 0;
  while (before != disks.size()) {
    before = disks.size();
    for (const VolumeObject& volume : FtVolumesOn(state, disks)) {
      for (const RegionObject& member : state.MembersOf(volume.info.id)) {
        const auto* disk = state.FindAs<DiskObject>(member.info.diskId);
        if (disk != nullptr && std::ranges::none_of(disks, [&](const DiskObject& known) {
              return known.info.id == disk->info.id;
            })) {
          disks.push_back(*disk);
        }
      }
    }
  }
  return disks;
}

// What a partition was known by, and the volume that it became.
void TakeNames(DiskManagementServer& server, const DiskLayout& before,
               const std::vector<ldm::ConvertedPartition>& partitions, const ldm::Converted& converted) {
  for (std::size_t i = 0; i < std::min(partitions.size(), converted.volumes.size()); ++i) {
    const auto id = PartitionId(before, partitions[i].region);
    const ldm::VolumeRecord* volume = converted.group.Current().FindVolume(converted.volumes[i]);
    if (!id || volume == nullptr) {
      continue;
    }
    if (auto moved = server.mounts().Rekey(*id, GuidVolumeId(volume->guid)); !moved) {
      server.Log(fmt::format("volume {} loses letter and name: {}", volume->name, moved.error().ToString()));
    }
  }
}

// The volumes that partitions became, by the disk's signature and the partition's start.
using MadeVolumes = std::map<std::pair<std::uint32_t, std::uint64_t>, ldm::ObjectId>;

// Makes one volume of those that the members became; nothing when they are one already.
Outcome<void> CombineMembers(ldm::DiskGroup& group, const FtSet& set,
                             const std::vector<ldm::ObjectId>& members) {
  if (std::ranges::count(members, members.front()) == std::ranges::ssize(members)) {
    return {};
  }
  auto combined = ldm::CombineVolumes(group.Current(), DynamicLayoutOf(set.volume.type), members);
  if (!combined) {
    return Reject(combined.error());
  }
  if (auto committed = group.Commit(std::move(combined->after)); !committed) {
    return Reject(ldm::GroupFailed(committed.error()).value());
  }
  return {};
}

// Makes one volume of what the members of each set became, and drops the sets.
Outcome<void> CombineSets(DiskManagementServer& server, ldm::DiskGroup& group, const std::vector<FtSet>& sets,
                          const MadeVolumes& made) {
  for (const FtSet& set : sets) {
    std::vector<ldm::ObjectId> members;
    for (const ft::FtMember& member : set.volume.members) {
      const auto volume = made.find({member.signature, member.start});
      if (volume == made.end()) {
        return Reject(Failing(LDM_FT_INCONSISTENT),
                      fmt::format("a member of FT set {} became no volume", set.name));
      }
      members.push_back(volume->second);
    }
    if (auto combined = CombineMembers(group, set, members); !combined) {
      return combined;
    }
    auto dropped =
        server.inventory().ft().Update(set.key,
                                       [](const ft::DiskRegistry& registry, std::span<const ft::FtDisk> known,
                                          std::size_t index) -> StorageResult<ft::FtChange> {
                                         auto change = ft::DeleteSet(registry, known, index);
                                         if (change) {
                                           change->partitions.clear();
                                         }
                                         return change;
                                       });
    if (!dropped) {
      return dropped;
    }
  }
  return {};
}

// `made` are the members of the sets that are volumes already.
Outcome<void> Convert(DiskManagementServer& server, const std::vector<DiskObject>& disks,
                      const std::vector<FtSet>& sets, MadeVolumes made) {
  for (const FtSet& set : sets) {
    if (set.converting) {
      continue;  // it is not online
    }
    if (auto gone = TakeOffline(server, {.volume_key = set.key}, false); !gone) {
      return gone;
    }
  }
  DiskGroups& groups = server.inventory().groups();
  std::vector<std::unique_ptr<BlockDevice>> devices;
  std::optional<ldm::DiskGroup> group;
  if (const FoundGroup* primary = groups.Primary()) {
    auto open = groups.Open(*primary);
    if (!open) {
      return tl::unexpected(open.error());
    }
    devices = std::move(open->devices);
    group = std::move(open->group);
  }
  Outcome<void> named;
  ldm::ConvertOptions options = ConversionOf(server, named);
  options.table.acceptFt = true;
  for (const DiskObject& disk : disks) {
    const DeviceInfo* known = server.inventory().Device(disk.key);
    if (known == nullptr) {
      return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("disk {} is not attached", disk.info.id));
    }
    const DeviceInfo device = *known;
    auto opened = server.inventory().source().Open(device, true);
    if (!opened) {
      return RejectDevice(opened.error());
    }
    const auto before = ReadTable(**opened);
    if (!before) {
      return Reject(before.error());
    }
    const auto plan = ldm::PlanConversion(*before, (*opened)->Geometry(), options.table);
    if (!plan) {
      return Reject(plan.error());
    }
    auto converted = ldm::ConvertDisk(**opened, group ? &*group : nullptr, options);
    PublishTable(server, device, **opened);
    if (!converted) {
      return named ? Reject(converted.error()) : tl::unexpected(named.error());
    }
    TakeNames(server, before->layout, plan->partitions, *converted);
    for (std::size_t i = 0; i < std::min(plan->partitions.size(), converted->volumes.size()); ++i) {
      made[{before->layout.mbrSignature, plan->partitions[i].region.start}] = converted->volumes[i];
    }
    devices.push_back(std::move(*opened));
    group = std::move(converted->group);
  }
  return CombineSets(server, *group, sets, made);
}

// What was begun and not finished: sets with a member on a disk that is dynamic by now, and the sets that
// share a basic disk with one of these.
struct Unfinished {
  std::vector<FtSet> sets{};
  std::set<std::size_t> disks{};  // basic ones, by FtMember::disk
};

Unfinished FindUnfinished(const FtVolumes& ft) {
  Unfinished found;
  const auto concerned = [&](const FtSet& set) {
    return set.converting || std::ranges::any_of(set.volume.members, [&](const ft::FtMember& member) {
             return member.disk && found.disks.contains(*member.disk);
           });
  };
  std::size_t before = 0;
  do {
    before = found.sets.size();
    for (const FtSet& set : ft.Sets()) {
      const bool known =
          std::ranges::any_of(found.sets, [&](const FtSet& one) { return one.key == set.key; });
      if (known || !concerned(set)) {
        continue;
      }
      for (const ft::FtMember& member : set.volume.members) {
        if (member.disk) {
          found.disks.insert(*member.disk);
        }
      }
      found.sets.push_back(set);
    }
  } while (before != found.sets.size());
  return found;
}

// The volume of the primary group that lies where a member was; its names follow if a cut left them behind.
std::optional<ldm::ObjectId> VolumeInPlaceOf(DiskManagementServer& server, const ft::FtMember& member) {
  const auto key = server.inventory().ft().WithSignature(member.signature);
  const auto [group, disk] = key ? server.inventory().groups().Find(*key) : DiskGroups::Place{};
  if (group == nullptr || !group->primary || disk == nullptr) {
    return std::nullopt;
  }
  for (const ldm::SubdiskRecord* subdisk : group->database.SubdisksOn(disk->disk)) {
    const std::uint64_t start =
        disk->header.publicStart * disk->header.bytesPerSector + subdisk->start * ldm::kBlockBytes;
    if (start != member.start || subdisk->size * ldm::kBlockBytes != member.length) {
      continue;
    }
    const ldm::PlexRecord* plex = group->database.FindPlex(subdisk->plexId);
    const ldm::VolumeRecord* volume = plex == nullptr ? nullptr : group->database.FindVolume(plex->volumeId);
    if (volume == nullptr) {
      return std::nullopt;
    }
    const UniqueId partition = MbrPartitionId(member.signature, member.start);
    if (const auto letter = server.mounts().LetterOf(partition); letter && *letter) {
      if (auto moved = server.mounts().Rekey(partition, GuidVolumeId(volume->guid)); !moved) {
        server.Log(fmt::format("volume {} loses its letter: {}", volume->name, moved.error().ToString()));
      }
    }
    return volume->id;
  }
  return std::nullopt;
}

// Whether nothing on the disks that are still basic is in use.
Outcome<void> CheckUnused(DiskManagementServer& server, const Unfinished& found) {
  const FtVolumes& ft = server.inventory().ft();
  for (const FtSet& set : found.sets) {
    if (auto locked = set.converting ? Outcome<void>() : TryLock(server, 0, {.volume_key = set.key});
        !locked) {
      return locked;
    }
  }
  for (const std::size_t disk : found.disks) {
    const DeviceInfo* device = server.inventory().Device(ft.DiskKey(disk));
    if (device == nullptr) {
      return Reject(LDM_E_DISK_NOT_FOUND, "a disk is away");
    }
    const auto opened = server.inventory().source().Open(*device, false);
    const auto table = opened ? ReadTable(**opened) : StorageResult<DiskTable>(DeviceFailed(opened.error()));
    if (!table) {
      return Reject(table.error());
    }
    for (const Region& region : table->layout.regions) {
      const bool data = region.kind == RegionKind::kPrimary || region.kind == RegionKind::kLogical;
      if (!data || ft.At(ft.DiskKey(disk), region.start).set != nullptr) {
        continue;
      }
      const auto locked = TryLock(server, 0, {ft.DiskKey(disk), region.start});
      if (!locked && locked.error().hr != LDM_E_DISK_NOT_FOUND) {
        return locked;
      }
    }
  }
  return {};
}

// The members that are volumes already. An error when one is neither that nor a partition, or when a set was
// not whole.
Outcome<MadeVolumes> MembersMade(DiskManagementServer& server, const std::vector<FtSet>& sets) {
  MadeVolumes made;
  for (const FtSet& set : sets) {
    for (const ft::FtMember& member : set.volume.members) {
      if (member.state != ft::FtMemberState::kHealthy) {
        return Reject(Failing(LDM_E_FT_UNHEALTHY), fmt::format("FT set {} is not whole", set.name));
      }
      if (member.disk) {
        continue;
      }
      const auto volume = VolumeInPlaceOf(server, member);
      if (!volume) {
        return Reject(Failing(LDM_FT_INCONSISTENT),
                      fmt::format("a member of FT set {} is neither a partition nor a volume", set.name));
      }
      made[{member.signature, member.start}] = *volume;
    }
  }
  return made;
}

}  // namespace

Outcome<EncapsulationInfo> GetEncapsulateDiskInfo(DiskManagementServer& server, Revision revision,
                                                  const std::vector<DISK_SPEC>& specs) {
  const auto state = server.model().State();
  std::vector<EncapsulationRequest::Disk> named;
  for (const DISK_SPEC& spec : specs) {
    named.push_back({spec.diskId, spec.lastKnownState});
  }
  auto disks = CheckDisks(*state, revision, named);
  if (!disks) {
    return tl::unexpected(disks.error());
  }
  EncapsulationInfo info;
  info.disks = TogetherWith(*state, std::move(*disks));
  info.volumes = FtVolumesOn(*state, info.disks);
  for (const DiskObject& disk : info.disks) {
    const DiskFindings findings = DiskExaminer(server, revision, *state, disk).Examine();
    info.flags |= findings.info;
    info.diskFlags.push_back(findings.disk);
    for (const RegionObject& region : state->RegionsOf(disk.info.id)) {
      if (!IsFree(region.info.regionType)) {
        info.regions.push_back(region);
      }
    }
  }
  return info;
}

Outcome<LdmObjectId> EncapsulateDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const EncapsulationRequest& request,
                                     std::uint32_t& flags, bool& validated) {
  const auto state = server.model().State();
  const auto disks = CheckDisks(*state, revision, request.disks);
  if (!disks) {
    return tl::unexpected(disks.error());
  }
  const auto same_volumes = [&] {
    std::set<LdmObjectId> found;
    for (const VolumeObject& volume : FtVolumesOn(*state, *disks)) {
      found.insert(volume.info.id);
    }
    return found == std::set<LdmObjectId>(request.volumes.begin(), request.volumes.end());
  };
  const auto valid = Validate({
      {LDM_E_NO_ASSOC, "no other disk has to be converted together with those named",
       [&] { return TogetherWith(*state, *disks).size() == disks->size(); }},
      {Failing(LDM_FT_INCONSISTENT), "affectedVolumeList names the FT volumes on the disks", same_volumes},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  validated = true;
  std::optional<Refusal> obstacle;
  for (const DiskObject& disk : *disks) {
    DiskFindings findings = DiskExaminer(server, revision, *state, disk).Examine();
    flags |= findings.info;
    if (findings.obstacle && !obstacle) {
      obstacle = std::move(findings.obstacle);
    }
  }
  if (obstacle) {
    return tl::unexpected(std::move(*obstacle));
  }
  std::vector<FtSet> sets;
  for (const VolumeObject& volume : FtVolumesOn(*state, *disks)) {
    sets.push_back(*server.inventory().ft().Find(volume.key));
  }
  const auto done = Convert(server, *disks, sets, {});
  CommitSystem(server, operation, {});
  NoteLetters(server);
  if (!done) {
    flags |= ENCAP_INFO_CANT_PROCEED;
    return tl::unexpected(done.error());
  }
  return 0;
}

bool FinishEncapsulation(DiskManagementServer& server) {
  FtVolumes& ft = server.inventory().ft();
  const Unfinished found = FindUnfinished(ft);
  if (found.sets.empty()) {
    return false;
  }
  std::vector<DiskObject> disks;
  for (const std::size_t index : found.disks) {
    disks.emplace_back().key = ft.DiskKey(index);
  }
  const auto tell = [&](const Outcome<void>& done) {
    for (const FtSet& set : found.sets) {
      server.Log(done ? fmt::format("the conversion of FT set {} was finished", set.name)
                      : fmt::format("the conversion of FT set {} cannot be finished: {}", set.name,
                                    done.error().reason));
    }
  };
  // What is in use or away now may not be so the next time.
  if (const auto unused = CheckUnused(server, found); !unused) {
    tell(unused);
    return false;
  }
  auto made = MembersMade(server, found.sets);
  const auto done = made ? Convert(server, disks, found.sets, std::move(*made))
                         : Outcome<void>(tl::unexpected(made.error()));
  tell(done);
  if (!done) {
    for (const FtSet& set : found.sets) {
      ft.GiveUp(set.key);
    }
  }
  return true;
}

}  // namespace dmrp::server
