#include "reference_server/methods/disk_group_merge.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/describe_dynamic.hpp"
#include "reference_server/methods/table_change.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// 2.2.1 defines this one without the failure bit.
constexpr auto kPrimaryExists =
    static_cast<HRESULT>(static_cast<std::uint32_t>(LDM_E_PRIMARY_EXISTS) | 0x80000000U);
// MERGE_OBJECT_INFO::type (2.2.20).
constexpr DWORD kMergedVolume = 1;

// The disks of a group, open; the devices close with it.
struct OpenMembers {
  std::vector<std::unique_ptr<BlockDevice>> devices;
  std::vector<ldm::Member> members;
};

Outcome<OpenMembers> OpenDisks(DiskManagementServer& server, const FoundGroup& group, bool writable) {
  OpenMembers open;
  for (const GroupMember& known : group.members) {
    auto device = server.inventory().source().Open(known.device, writable);
    if (!device) {
      return RejectDevice(device.error());
    }
    auto member = ldm::OpenMember(**device);
    if (!member) {
      return Reject(ldm::GroupFailed(member.error()).value());
    }
    if (!*member || (*member)->header.groupGuid != known.header.groupGuid) {
      return Reject(LDM_E_CONFIG, fmt::format("{} is no disk of the group any more", known.device.name));
    }
    open.members.push_back(std::move(**member));
    open.devices.push_back(std::move(*device));
  }
  return open;
}

std::optional<Guid> ParseGroupId(const Bytes& dgid) {
  std::string text;
  for (const std::byte octet : dgid) {
    text.push_back(static_cast<char>(octet));
  }
  const std::size_t end = text.find('\0');
  if (end == std::string::npos) {
    return std::nullopt;
  }
  const auto guid = Guid::Parse(text.substr(0, end));
  return guid ? std::optional(*guid) : std::nullopt;
}

// The foreign group that `dgid` names.
Outcome<const FoundGroup*> CheckForeignGroup(const DiskGroups& groups, const Bytes& dgid) {
  const auto guid = ParseGroupId(dgid);
  const FoundGroup* found = nullptr;
  for (const FoundGroup& group : groups.Groups()) {
    if (guid && group.database.group.guid == *guid) {
      found = &group;
    }
  }
  const auto valid = Validate({
      {E_INVALIDARG, "dgid is a UUID as a null-terminated string", [&] { return guid.has_value(); }},
      {LDM_E_NO_DG, "dgid names a disk group of which a disk is there", [&] { return found != nullptr; }},
      {LDM_E_DG_IMPORTED, "the disk group is foreign", [&] { return !found->primary; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return found;
}

// The records of the disks that `list` names.
Outcome<std::vector<ldm::ObjectId>> CheckDisks(DiskManagementServer& server, const FoundGroup& group,
                                               const std::vector<LdmObjectId>& list) {
  const auto state = server.model().State();
  std::vector<ldm::ObjectId> disks;
  for (const LdmObjectId id : list) {
    const auto* disk = state->FindAs<DiskObject>(id);
    const auto place = disk == nullptr ? DiskGroups::Place{} : server.inventory().groups().Find(disk->key);
    const auto valid = Validate({
        {LDM_E_DISK_NOT_FOUND, "diskList names disks in the list", [&] { return disk != nullptr; }},
        {LDM_E_LDM_E_DG_MISMATCH, "the disks of diskList belong to the disk group",
         [&] { return place.member != nullptr && place.group == &group; }},
    });
    if (!valid) {
      return tl::unexpected(valid.error());
    }
    if (std::ranges::find(disks, place.member->disk) == disks.end()) {
      disks.push_back(place.member->disk);
    }
  }
  return disks;
}

// The letters that the volumes bring along, where nobody else has them (list change 4 of the methods).
void TakeLetters(DiskManagementServer& server, const std::vector<Guid>& volumes) {
  DiskInventory& inventory = server.inventory();
  // A letter in the registry counts from the moment when its volume is there.
  (void)inventory.ObserveAll();
  const FoundGroup* primary = inventory.groups().Primary();
  if (primary == nullptr) {
    return;
  }
  for (const ldm::VolumeRecord& volume : primary->database.volumes) {
    if (std::ranges::find(volumes, volume.guid) == volumes.end() || !volume.hint ||
        volume.hint->size() != 2 || volume.hint->back() != ':') {
      continue;
    }
    const auto letter = CapitalLetter(static_cast<unsigned char>(volume.hint->front()));
    const UniqueId id = GuidVolumeId(volume.guid);
    const auto known = server.mounts().LetterOf(id);
    const auto refused = server.mounts().LetterRefused(id);
    if (!known || *known || !refused || *refused || letter < u'C' || letter > u'Z') {
      continue;
    }
    const auto assigned = server.mounts().Assign(
        letter, id, [&](const UniqueId& other) { return inventory.FindVolume(other).has_value(); });
    if (!assigned) {
      server.Log(
          fmt::format("volume {} comes without its letter: {}", volume.name, assigned.error().ToString()));
    }
  }
}

std::vector<Guid> VolumesOf(const ldm::Database& database) {
  std::vector<Guid> volumes;
  for (const ldm::VolumeRecord& volume : database.volumes) {
    volumes.push_back(volume.guid);
  }
  return volumes;
}

Outcome<const FoundGroup*> CheckImport(DiskManagementServer& server, const Bytes& dgid) {
  const DiskGroups& groups = server.inventory().groups();
  const auto group = CheckForeignGroup(groups, dgid);
  if (!group) {
    return group;
  }
  const auto valid = Validate({
      {kPrimaryExists, "no disk of a primary disk group is there",
       [&] { return groups.Primary() == nullptr; }},
      {LDM_E_RDONLY, "the disks of the group are not write-protected",
       [&] {
         return std::ranges::none_of((*group)->members,
                                     [](const GroupMember& member) { return member.device.readOnly; });
       }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return group;
}

Outcome<void> Import(DiskManagementServer& server, const FoundGroup& group) {
  auto open = OpenDisks(server, group, true);
  if (!open) {
    return tl::unexpected(open.error());
  }
  const auto imported = ldm::ImportGroup(std::move(open->members));
  if (!imported) {
    return Reject(imported.error());
  }
  const ldm::DiskGroupRecord& record = imported->Current().group;
  return server.inventory().groups().SetPrimary(PrimaryDiskGroup{record.guid, record.name});
}

DWORD FlagsOf(const ldm::MergedVolume& volume) {
  return (volume.deleted ? DSKMERGE_DELETE : 0U) |
         (volume.redundancyDeleted ? DSKMERGE_DELETE_REDUNDANCY : 0U) |
         (volume.stale ? DSKMERGE_STALE_DATA : 0U) | (volume.related ? DSKMERGE_RELATED : 0U);
}

MERGE_OBJECT_INFO Describe(const ldm::MergedVolume& volume) {
  MERGE_OBJECT_INFO info;
  info.type = kMergedVolume;
  info.flags = FlagsOf(volume);
  info.layout = LayoutOf(volume.layout);
  info.length = static_cast<LONGLONG>(volume.blocks * ldm::kBlockBytes);
  return info;
}

Outcome<void> Merge(DiskManagementServer& server, const FoundGroup& primary, const FoundGroup& group,
                    const std::vector<ldm::ObjectId>& disks) {
  auto ours = server.inventory().groups().Open(primary);
  if (!ours) {
    return tl::unexpected(ours.error());
  }
  auto open = OpenDisks(server, group, true);
  if (!open) {
    return tl::unexpected(open.error());
  }
  auto foreign = ldm::DiskGroup::Inspect(std::move(open->members));
  if (!foreign) {
    return Reject(ldm::GroupFailed(foreign.error()).value());
  }
  const auto plan = ldm::PlanMerge(ours->group.Current(), *foreign, disks);
  if (!plan) {
    return Reject(plan.error());
  }
  if (auto merged = ldm::Merge(ours->group, *foreign, *plan); !merged) {
    return Reject(merged.error());
  }
  return {};
}

}  // namespace

Outcome<TaskJob> ImportDiskGroup(DiskManagementServer& server, const Bytes& dgid) {
  if (const auto checked = CheckImport(server, dgid); !checked) {
    return tl::unexpected(checked.error());
  }
  // All of it is short and belongs under the operation lock.
  return TaskJob{
      .storage_id = 0,
      .type = PROGRESS_UNKNOWN,
      .work = [](const TaskJob::ReportProgress&, const std::stop_token&) { return Outcome<void>(); },
      .finish = [&server, dgid](const StorageModel::Operation& operation,
                                Outcome<void> worked) -> Outcome<void> {
        if (!worked) {
          return worked;
        }
        const auto group = CheckImport(server, dgid);
        if (!group) {
          return tl::unexpected(group.error());
        }
        const std::vector<Guid> volumes = VolumesOf((*group)->database);
        auto done = Import(server, **group);
        if (done) {
          TakeLetters(server, volumes);
        }
        CommitSystem(server, operation, {});
        return done;
      }};
}

Outcome<LdmObjectId> DiskMergeQuery(DiskManagementServer& server, const DiskMergeQueryRequest& request,
                                    DiskMergeQueryReply& reply, bool& validated) {
  const DiskGroups& groups = server.inventory().groups();
  const auto group = CheckForeignGroup(groups, request.dgid);
  if (!group) {
    return tl::unexpected(group.error());
  }
  const auto disks = CheckDisks(server, **group, request.diskList);
  if (!disks) {
    return tl::unexpected(disks.error());
  }
  validated = true;
  const FoundGroup* primary = groups.Primary();
  auto open = OpenDisks(server, **group, false);
  if (!open) {
    return tl::unexpected(open.error());
  }
  const auto foreign = ldm::DiskGroup::Inspect(std::move(open->members));
  if (!foreign) {
    return Reject(ldm::GroupFailed(foreign.error()).value());
  }
  // Without a primary group nothing clashes.
  const auto plan =
      ldm::PlanMerge(primary == nullptr ? ldm::Database{} : primary->database, *foreign, *disks);
  if (!plan) {
    return Reject(plan.error());
  }
  reply.merge_config_tid = static_cast<std::int64_t>(plan->foreignTransaction);
  for (const ldm::DiskRecord& disk : foreign->Current().disks) {
    reply.merge_dm_rids.push_back(static_cast<std::int64_t>(disk.id));
  }
  for (const ldm::MergedVolume& volume : plan->volumes) {
    if (volume.related || (request.flags & DSKMERGE_IN_NO_UNRELATED) == 0) {
      reply.mergeObjectInfo.push_back(Describe(volume));
    }
  }
  reply.flags = primary == nullptr ? DSKMERGE_OUT_NO_PRIMARY_DG : 0U;
  return 0;
}

Outcome<LdmObjectId> DiskMerge(DiskManagementServer& server, const StorageModel::Operation& operation,
                               const DiskMergeRequest& request, bool& validated) {
  const DiskGroups& groups = server.inventory().groups();
  const auto found = CheckForeignGroup(groups, request.dgid);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const FoundGroup& group = **found;
  const auto disks = CheckDisks(server, group, request.diskList);
  if (!disks) {
    return tl::unexpected(disks.error());
  }
  const FoundGroup* primary = groups.Primary();
  const auto valid = Validate({
      {LDM_E_CONFIG, "merge_config_tid is the group's modification sequence number",
       [&] {
         return static_cast<std::uint64_t>(request.merge_config_tid) == group.database.committedTransaction;
       }},
      {LDM_E_NOENT, "merge_dm_rids are disk records of the group",
       [&] {
         return std::ranges::all_of(request.merge_dm_rids, [&](std::int64_t id) {
           return group.database.FindDisk(static_cast<ldm::ObjectId>(id)) != nullptr;
         });
       }},
      {LDM_E_NODGINFO, "there is a primary disk group", [&] { return primary != nullptr; }},
      {LDM_E_RDONLY, "the disks are not write-protected",
       [&] {
         return std::ranges::none_of(group.members,
                                     [](const GroupMember& member) { return member.device.readOnly; });
       }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  validated = true;
  const std::vector<Guid> volumes = VolumesOf(group.database);
  const auto merged = Merge(server, *primary, group, *disks);
  if (merged) {
    TakeLetters(server, volumes);
  }
  CommitSystem(server, operation, {});
  if (!merged) {
    return tl::unexpected(merged.error());
  }
  return 0;
}

}  // namespace dmrp::server
