#include "reference_server/storage/ldm/volume_operations.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::uint64_t RoundDown(std::uint64_t value, std::uint64_t unit) { return value / unit * unit; }

tl::unexpected<StorageError> NoSuchVolume(ObjectId id) {
  return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no volume {}", id));
}

/// Adds records to a database and keeps account of the space they take.
class Builder {
 public:
  Builder(const Database& database, std::span<const DiskSpace> spaces) : after(database), spaces_(spaces) {}

  StorageResult<const DiskSpace*> Space(ObjectId disk) const {
    const auto space = std::ranges::find(spaces_, disk, &DiskSpace::diskId);
    if (after.FindDisk(disk) == nullptr) {
      return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no disk {}", disk));
    }
    if (space == spaces_.end() || (after.FindDisk(disk)->flags & (kDiskDetached | kDiskRemoved)) != 0) {
      return Refuse(StorageErrorCode::kDiskMissing,
                    fmt::format("disk {} is missing", after.FindDisk(disk)->name));
    }
    return &*space;
  }

  StorageResult<std::vector<Extent>> Place(ObjectId disk, const Wanted& wanted) const {
    auto space = Space(disk);
    if (!space) return tl::unexpected(space.error());
    return Allocate(**space, UsedExtents(after, disk), wanted);
  }

  ObjectId AddPlex(ObjectId volume, PlexLayout layout, std::uint64_t columns) {
    PlexRecord plex;
    plex.id = after.TakeId();
    plex.name = after.FreePlexName(after.FindVolume(volume)->name);
    plex.state = kStateActive;
    plex.layout = layout;
    plex.volumeId = volume;
    if (layout != PlexLayout::kConcat) plex.stripe = PlexRecord::Stripe{kStripeBlocks, columns};
    after.plexes.push_back(plex);
    return plex.id;
  }

  void AddSubdisk(ObjectId plex, ObjectId disk, const Extent& extent, std::uint64_t offset,
                  std::uint64_t column = 0, std::uint32_t flags = 0) {
    SubdiskRecord subdisk;
    subdisk.id = after.TakeId();
    subdisk.name = after.FreeSubdiskName(after.FindDisk(disk)->name);
    subdisk.flags = flags;
    subdisk.start = extent.start;
    subdisk.offset = offset;
    subdisk.size = extent.blocks;
    subdisk.plexId = plex;
    subdisk.diskId = disk;
    subdisk.column = column;
    if (after.Style() == Convention::k2008) subdisk.unknown40 = 0;
    after.subdisks.push_back(subdisk);
    touched.push_back(subdisk.id);
  }

  VolumeChange Finish(ObjectId volume) {
    after.UpdateCounts();
    return {std::move(after), volume, std::move(touched)};
  }

  Database after;
  std::vector<ObjectId> touched;

 private:
  std::span<const DiskSpace> spaces_;
};

StorageResult<void> CheckMemberCount(VolumeLayout layout, std::size_t members) {
  std::size_t least = 2;
  if (layout == VolumeLayout::kSimple) least = 1;
  if (layout == VolumeLayout::kRaid5) least = 3;
  if (members < least) {
    return Refuse(StorageErrorCode::kTooFewMembers, fmt::format("{} volumes have at least {} members, not {}",
                                                                VolumeLayoutName(layout), least, members));
  }
  const std::size_t most = layout == VolumeLayout::kSimple ? 1 : kMaxMembers;
  if (members > most) {
    return Refuse(StorageErrorCode::kTooManyMembers, fmt::format("{} volumes have at most {} members, not {}",
                                                                 VolumeLayoutName(layout), most, members));
  }
  return {};
}

StorageResult<void> CheckDistinct(std::span<const MemberRequest> members) {
  std::set<ObjectId> disks;
  for (const MemberRequest& member : members) {
    if (!disks.insert(member.disk).second) {
      return Refuse(StorageErrorCode::kSameDisk, fmt::format("two members on disk {}", member.disk));
    }
  }
  return {};
}

/// Cuts members from the last one on until they are `blocks` long together.
StorageResult<std::vector<MemberRequest>> CutTo(std::span<const MemberRequest> members,
                                                std::uint64_t blocks) {
  std::vector<MemberRequest> cut;
  std::uint64_t left = blocks;
  for (const MemberRequest& member : members) {
    if (left == 0) break;
    cut.push_back(member);
    cut.back().blocks = std::min(member.blocks, left);
    left -= cut.back().blocks;
  }
  if (left != 0) {
    return Refuse(StorageErrorCode::kTooSmall, fmt::format("the members are {} octets short of {}",
                                                           left * kBlockBytes, blocks * kBlockBytes));
  }
  return cut;
}

/// The length that each of the equal members of a volume gets, in multiples of `unit`.
StorageResult<std::uint64_t> EqualShare(const VolumeRequest& request, std::uint64_t data_members,
                                        std::uint64_t unit) {
  std::uint64_t shortest = request.members.front().blocks;
  for (const MemberRequest& member : request.members) shortest = std::min(shortest, member.blocks);
  std::uint64_t share = shortest;
  if (request.blocks != 0) {
    share = request.blocks / data_members;
    if (RoundDown(shortest, unit) < RoundDown(share, unit)) {
      return Refuse(StorageErrorCode::kUnequalMembers,
                    fmt::format("a member of {} octets, where each has to have {}", shortest * kBlockBytes,
                                share * kBlockBytes));
    }
  }
  share = RoundDown(share, unit);
  if (share == 0) {
    return Refuse(StorageErrorCode::kTooSmall,
                  fmt::format("members of less than {} octets", unit * kBlockBytes));
  }
  return share;
}

std::string_view NamePrefix(const Database& database, VolumeLayout layout) {
  if (database.Style() == Convention::k2003) {
    if (layout == VolumeLayout::kStriped) return kStripePrefix;
    if (layout == VolumeLayout::kRaid5) return kRaidPrefix;
  }
  return kVolumePrefix;
}

/// A volume record with nothing on disks yet; its length is 0.
StorageResult<ObjectId> AddVolume(Database& database, VolumeLayout layout) {
  const auto number = database.FreeVolumeNumber();
  if (!number) {
    return Refuse(StorageErrorCode::kTooManyVolumes, "all volume numbers of the disk group are in use");
  }
  VolumeRecord volume;
  volume.id = database.TakeId();
  volume.name = database.FreeVolumeName(NamePrefix(database, layout));
  volume.type = layout == VolumeLayout::kRaid5 ? kVolumeRaid5 : kVolumeGeneric;
  volume.state = kStateActive;
  volume.readPolicy = layout == VolumeLayout::kRaid5 ? kReadRaid : kReadSelect;
  volume.volumeNumber = *number;
  volume.flags = kVolumeAlways | kVolumeWriteBack;
  volume.guid = Guid::Random();
  if (layout == VolumeLayout::kRaid5 && database.Style() == Convention::k2003) {
    volume.flags |= kVolumeWriteCopy;
    volume.id2 = database.TakeId();
  }
  database.volumes.push_back(volume);
  return volume.id;
}

/// Appends members to a concatenation. Returns the blocks added.
StorageResult<std::uint64_t> Append(Builder& builder, ObjectId plex, std::span<const MemberRequest> members,
                                    bool pieces_allowed) {
  std::uint64_t added = 0;
  for (const MemberRequest& member : members) {
    auto space = builder.Space(member.disk);
    if (!space) return tl::unexpected(space.error());
    auto existing = builder.after.SubdisksOf(plex);
    const SubdiskRecord* last = existing.empty() ? nullptr : existing.back();
    const std::uint64_t end = last == nullptr ? 0 : last->offset + last->size;
    if (last != nullptr && last->diskId == member.disk && member.blocks % (*space)->sectorBlocks == 0) {
      const auto free = FreeExtents(**space, UsedExtents(builder.after, member.disk));
      const auto behind = std::ranges::find(free, last->start + last->size, &Extent::start);
      if (member.blocks != 0 && behind != free.end() && behind->blocks >= member.blocks) {
        SubdiskRecord* grown = builder.after.FindSubdisk(last->id);
        grown->size += member.blocks;
        builder.touched.push_back(grown->id);
        added += member.blocks;
        continue;
      }
    }
    auto extents = builder.Place(member.disk, {.blocks = member.blocks,
                                               .contiguous = member.contiguous || !pieces_allowed,
                                               .maxPieces = kMaxMembers});
    if (!extents) return tl::unexpected(extents.error());
    if (existing.size() + extents->size() > kMaxMembers) {
      return Refuse(
          StorageErrorCode::kTooManyMembers,
          fmt::format("{} extents, {} are possible", existing.size() + extents->size(), kMaxMembers));
    }
    std::uint64_t offset = end;
    for (const Extent& extent : *extents) {
      builder.AddSubdisk(plex, member.disk, extent, offset);
      offset += extent.blocks;
    }
    added += member.blocks;
  }
  return added;
}

StorageResult<VolumeChange> CreateConcat(Builder& builder, const VolumeRequest& request,
                                         VolumeRecord& draft) {
  std::vector<MemberRequest> members = request.members;
  if (request.layout == VolumeLayout::kSimple && request.blocks != 0) {
    // The length of the member is only approximate.
    members.front().blocks = request.blocks;
  } else if (request.blocks != 0) {
    auto cut = CutTo(members, request.blocks);
    if (!cut) return tl::unexpected(cut.error());
    members = std::move(*cut);
  }
  const ObjectId volume = draft.id;
  const ObjectId plex = builder.AddPlex(volume, PlexLayout::kConcat, 0);
  auto added = Append(builder, plex, members, true);
  if (!added) return tl::unexpected(added.error());
  builder.after.FindVolume(volume)->size = *added;
  return builder.Finish(volume);
}

StorageResult<VolumeChange> CreateMirror(Builder& builder, const VolumeRequest& request,
                                         VolumeRecord& draft) {
  std::uint64_t unit = 1;
  for (const MemberRequest& member : request.members) {
    auto space = builder.Space(member.disk);
    if (!space) return tl::unexpected(space.error());
    unit = std::max<std::uint64_t>(unit, (*space)->sectorBlocks);
  }
  if (request.blocks % unit != 0) {
    return Refuse(StorageErrorCode::kMisaligned,
                  fmt::format("{} octets are no multiple of the sector of {}", request.blocks * kBlockBytes,
                              unit * kBlockBytes));
  }
  const auto length = EqualShare(request, 1, unit);
  if (!length) return tl::unexpected(length.error());
  const ObjectId volume = draft.id;
  draft.size = *length;
  for (std::size_t i = 0; i < request.members.size(); ++i) {
    auto extents = builder.Place(request.members[i].disk, {.blocks = *length});
    if (!extents) return tl::unexpected(extents.error());
    const ObjectId plex = builder.AddPlex(volume, PlexLayout::kConcat, 0);
    builder.AddSubdisk(plex, request.members[i].disk, extents->front(), 0);
  }
  VolumeChange change = builder.Finish(volume);
  const auto plexes = change.after.PlexesOf(volume);
  std::vector<ObjectId> others;
  for (std::size_t i = 1; i < plexes.size(); ++i) others.push_back(plexes[i]->id);
  for (const ObjectId plex : others) {
    auto marked = MarkPlex(std::move(change.after), plex, Health::kStale);
    if (!marked) return tl::unexpected(marked.error());
    change.after = std::move(*marked);
  }
  return change;
}

StorageResult<VolumeChange> CreateColumns(Builder& builder, const VolumeRequest& request,
                                          VolumeRecord& draft) {
  const bool raid = request.layout == VolumeLayout::kRaid5;
  const std::uint64_t data_columns = request.members.size() - (raid ? 1 : 0);
  const auto column = EqualShare(request, data_columns, kStripeBlocks);
  if (!column) return tl::unexpected(column.error());
  const ObjectId volume = draft.id;
  draft.size = *column * data_columns;
  if (raid) draft.state = kStateSync;
  const ObjectId plex =
      builder.AddPlex(volume, raid ? PlexLayout::kRaid5 : PlexLayout::kStripe, request.members.size());
  for (std::size_t i = 0; i < request.members.size(); ++i) {
    auto extents = builder.Place(request.members[i].disk, {.blocks = *column});
    if (!extents) return tl::unexpected(extents.error());
    builder.AddSubdisk(plex, request.members[i].disk, extents->front(), 0, i);
  }
  return builder.Finish(volume);
}

/// The plex of a mirror on a disk, which another plex can do without.
StorageResult<ObjectId> RemovablePlex(const Database& database, ObjectId volume, ObjectId disk,
                                      const std::set<ObjectId>& missing) {
  if (database.FindVolume(volume) == nullptr) return NoSuchVolume(volume);
  const auto plexes = database.PlexesOf(volume);
  if (plexes.size() < 2) {
    return Refuse(StorageErrorCode::kWrongLayout, fmt::format("volume {} is no mirror", volume));
  }
  const PlexRecord* found = nullptr;
  bool healthy_elsewhere = false;
  for (const PlexRecord* plex : plexes) {
    const auto subdisks = database.SubdisksOf(plex->id);
    if (std::ranges::find(subdisks, disk, &SubdiskRecord::diskId) != subdisks.end()) {
      found = plex;
    } else if (PlexHealth(database, *plex, missing) == Health::kHealthy) {
      healthy_elsewhere = true;
    }
  }
  if (found == nullptr) {
    return Refuse(StorageErrorCode::kNotAMember,
                  fmt::format("volume {} has no mirror on disk {}", volume, disk));
  }
  if (!healthy_elsewhere) {
    return Refuse(StorageErrorCode::kLastCopy,
                  fmt::format("no other mirror of volume {} is healthy", volume));
  }
  return found->id;
}

/// A volume of one plex is none that could have a stale one.
void ClearStateOfSinglePlex(Database& database, ObjectId volume) {
  const auto plexes = database.PlexesOf(volume);
  if (plexes.size() != 1) return;
  database.FindPlex(plexes.front()->id)->flags &= ~(kPlexRecover | kPlexIoFail);
}

/// The columns of a volume with more than one, grown by equal lengths in place.
StorageResult<VolumeChange> GrowColumns(Builder& builder, const VolumeRecord& volume, const PlexRecord& plex,
                                        std::span<const MemberRequest> members, std::uint64_t blocks) {
  const std::uint64_t columns = plex.stripe ? plex.stripe->columns : 0;
  const std::uint64_t data_columns = plex.layout == PlexLayout::kRaid5 ? columns - 1 : columns;
  if (auto distinct = CheckDistinct(members); !distinct) return tl::unexpected(distinct.error());
  if (members.size() < columns) {
    return Refuse(StorageErrorCode::kTooFewMembers,
                  fmt::format("{} columns grow together, {} members are given", columns, members.size()));
  }
  if (members.size() > columns) {
    return Refuse(StorageErrorCode::kTooManyMembers,
                  fmt::format("{} members for {} columns", members.size(), columns));
  }
  std::uint64_t growth = members.front().blocks;
  for (const MemberRequest& member : members) growth = std::min(growth, member.blocks);
  if (blocks != 0) {
    const std::uint64_t wanted = (blocks - volume.size) / data_columns;
    if (RoundDown(growth, kStripeBlocks) < RoundDown(wanted, kStripeBlocks)) {
      return Refuse(StorageErrorCode::kUnequalMembers,
                    fmt::format("a member of {} octets, where each has to have {}", growth * kBlockBytes,
                                wanted * kBlockBytes));
    }
    growth = wanted;
  }
  growth = RoundDown(growth, kStripeBlocks);
  if (growth == 0) {
    return Refuse(StorageErrorCode::kTooSmall,
                  fmt::format("columns grow by multiples of {} octets", kStripeBlocks * kBlockBytes));
  }
  std::map<std::uint64_t, ObjectId> last_of;
  for (const SubdiskRecord* subdisk : builder.after.SubdisksOf(plex.id)) {
    last_of[subdisk->column] = subdisk->id;
  }
  for (const auto& [column, id] : last_of) {
    SubdiskRecord* subdisk = builder.after.FindSubdisk(id);
    if (std::ranges::find(members, subdisk->diskId, &MemberRequest::disk) == members.end()) {
      return Refuse(
          StorageErrorCode::kNotAMember,
          fmt::format("column {} lies on disk {}, for which no member is given", column, subdisk->diskId));
    }
    auto space = builder.Space(subdisk->diskId);
    if (!space) return tl::unexpected(space.error());
    const auto free = FreeExtents(**space, UsedExtents(builder.after, subdisk->diskId));
    const auto behind = std::ranges::find(free, subdisk->start + subdisk->size, &Extent::start);
    if (behind == free.end() || behind->blocks < growth) {
      return Refuse(
          StorageErrorCode::kNotAdjacent,
          fmt::format("behind column {} {} octets are free, {} are needed", column,
                      (behind == free.end() ? 0 : behind->blocks) * kBlockBytes, growth * kBlockBytes));
    }
    subdisk->size += growth;
    builder.touched.push_back(id);
  }
  builder.after.FindVolume(volume.id)->size += growth * data_columns;
  return builder.Finish(volume.id);
}

}  // namespace

std::vector<DiskSpace> SpacesOf(const DiskGroup& group) {
  std::vector<DiskSpace> spaces;
  for (const DiskRecord& disk : group.Current().disks) {
    const Member* member = group.MemberOf(disk.id);
    if (member == nullptr) continue;
    spaces.push_back(
        {.diskId = disk.id,
         .publicStart = member->header.PublicStartBlocks(),
         .publicBlocks = member->header.PublicBlocks(),
         .sectorBlocks = static_cast<std::uint32_t>(member->header.bytesPerSector / kBlockBytes)});
  }
  return spaces;
}

std::vector<Extent> UsedExtents(const Database& database, ObjectId disk) {
  std::vector<Extent> used;
  for (const SubdiskRecord* subdisk : database.SubdisksOn(disk)) {
    used.push_back({subdisk->start, subdisk->size});
  }
  return used;
}

StorageResult<VolumeChange> CreateVolume(const Database& database, std::span<const DiskSpace> spaces,
                                         const VolumeRequest& request) {
  if (auto count = CheckMemberCount(request.layout, request.members.size()); !count) {
    return tl::unexpected(count.error());
  }
  if (request.layout != VolumeLayout::kSpanned) {
    if (auto distinct = CheckDistinct(request.members); !distinct) return tl::unexpected(distinct.error());
  }
  Builder builder(database, spaces);
  for (const MemberRequest& member : request.members) {
    if (auto space = builder.Space(member.disk); !space) return tl::unexpected(space.error());
  }
  auto id = AddVolume(builder.after, request.layout);
  if (!id) return tl::unexpected(id.error());
  VolumeRecord& volume = *builder.after.FindVolume(*id);
  volume.partitionType = request.partitionType;
  volume.hint = request.hint;
  if (request.noDriveLetter) volume.noDriveLetter = kNoDriveLetter;
  switch (request.layout) {
    case VolumeLayout::kSimple:
    case VolumeLayout::kSpanned:
      return CreateConcat(builder, request, volume);
    case VolumeLayout::kMirrored:
      return CreateMirror(builder, request, volume);
    case VolumeLayout::kStriped:
    case VolumeLayout::kRaid5:
      return CreateColumns(builder, request, volume);
  }
  return Refuse(StorageErrorCode::kWrongLayout, "no such layout");
}

StorageResult<VolumeChange> AdoptExtent(const Database& database, ObjectId disk, const Extent& extent,
                                        std::uint8_t partition_type, std::uint32_t flags) {
  if (database.FindDisk(disk) == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no disk {}", disk));
  }
  Builder builder(database, {});
  auto id = AddVolume(builder.after, VolumeLayout::kSimple);
  if (!id) return tl::unexpected(id.error());
  VolumeRecord& volume = *builder.after.FindVolume(*id);
  volume.size = extent.blocks;
  volume.partitionType = partition_type;
  volume.flags |= flags;
  builder.AddSubdisk(builder.AddPlex(*id, PlexLayout::kConcat, 0), disk, extent, 0);
  return builder.Finish(*id);
}

StorageResult<VolumeChange> CombineVolumes(const Database& database, VolumeLayout layout,
                                           std::span<const ObjectId> members,
                                           const std::set<ObjectId>& stale) {
  if (layout == VolumeLayout::kSimple) {
    return Refuse(StorageErrorCode::kWrongLayout, "a simple volume has one member");
  }
  if (auto count = CheckMemberCount(layout, members.size()); !count) return tl::unexpected(count.error());
  const bool raid = layout == VolumeLayout::kRaid5;
  const bool redundant = raid || layout == VolumeLayout::kMirrored;
  const bool columns = raid || layout == VolumeLayout::kStriped;
  std::vector<SubdiskRecord> parts;
  std::set<ObjectId> disks;
  for (const ObjectId member : members) {
    const VolumeRecord* volume = database.FindVolume(member);
    if (volume == nullptr) return NoSuchVolume(member);
    const auto plexes = database.PlexesOf(member);
    if (plexes.size() != 1 || plexes.front()->layout != PlexLayout::kConcat ||
        database.SubdisksOf(plexes.front()->id).size() != 1) {
      return Refuse(StorageErrorCode::kWrongLayout,
                    fmt::format("volume {} is not simple and in one piece", volume->name));
    }
    if ((volume->flags & kVolumeRetainPartition) != 0) {
      return Refuse(StorageErrorCode::kRetainedExists,
                    fmt::format("volume {} has a partition table entry", volume->name));
    }
    parts.push_back(*database.SubdisksOf(plexes.front()->id).front());
    if (stale.contains(member) && redundant) parts.back().flags |= kSubdiskRecover;
    if (!disks.insert(parts.back().diskId).second && layout != VolumeLayout::kSpanned) {
      return Refuse(StorageErrorCode::kSameDisk, fmt::format("two members on disk {}", parts.back().diskId));
    }
  }
  std::uint64_t shortest = parts.front().size;
  std::uint64_t sum = 0;
  for (const SubdiskRecord& part : parts) {
    shortest = std::min(shortest, part.size);
    sum += part.size;
  }
  if (columns) shortest = RoundDown(shortest, kStripeBlocks);
  if (shortest == 0) return Refuse(StorageErrorCode::kTooSmall, "a member is shorter than a stripe unit");

  Builder builder(database, {});
  Database& after = builder.after;
  VolumeRecord combined = *database.FindVolume(members.front());
  for (const ObjectId member : members) after.EraseVolume(member);
  combined.type = raid ? kVolumeRaid5 : kVolumeGeneric;
  combined.readPolicy = raid ? kReadRaid : kReadSelect;
  combined.size = shortest;
  if (layout == VolumeLayout::kSpanned) combined.size = sum;
  if (layout == VolumeLayout::kStriped) combined.size = shortest * parts.size();
  if (raid) combined.size = shortest * (parts.size() - 1);
  const ObjectId volume = combined.id;
  after.volumes.push_back(std::move(combined));

  std::optional<ObjectId> plex;
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    SubdiskRecord part = parts[i];
    if (!plex || layout == VolumeLayout::kMirrored) {
      PlexLayout plex_layout = PlexLayout::kConcat;
      if (columns) plex_layout = raid ? PlexLayout::kRaid5 : PlexLayout::kStripe;
      plex = builder.AddPlex(volume, plex_layout, parts.size());
    }
    if (layout != VolumeLayout::kSpanned) part.size = shortest;
    builder.AddSubdisk(*plex, part.diskId, {part.start, part.size}, offset, columns ? i : 0, part.flags);
    if (layout == VolumeLayout::kSpanned) offset += part.size;
    if (layout == VolumeLayout::kMirrored && (part.flags & kSubdiskRecover) != 0) {
      after.FindPlex(*plex)->flags |= kPlexRecover;
    }
  }
  return builder.Finish(volume);
}

StorageResult<Database> DeleteVolume(Database database, ObjectId volume) {
  if (database.FindVolume(volume) == nullptr) return NoSuchVolume(volume);
  database.EraseVolume(volume);
  database.UpdateCounts();
  return database;
}

StorageResult<VolumeChange> GrowVolume(const Database& database, std::span<const DiskSpace> spaces,
                                       ObjectId volume, std::span<const MemberRequest> members,
                                       std::uint64_t blocks) {
  const VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) return NoSuchVolume(volume);
  if ((record->flags & kVolumeRetainPartition) != 0) {
    return Refuse(StorageErrorCode::kRetainedExists,
                  fmt::format("volume {} has a partition table entry", record->name));
  }
  const VolumeLayout layout = LayoutOf(database, volume);
  const auto plexes = database.PlexesOf(volume);
  if (layout == VolumeLayout::kMirrored || plexes.empty()) {
    return Refuse(StorageErrorCode::kWrongLayout, fmt::format("volume {} is a mirror", record->name));
  }
  if (members.empty()) return Refuse(StorageErrorCode::kTooFewMembers, "no member to grow by");
  if (blocks != 0 && blocks <= record->size) {
    return Refuse(StorageErrorCode::kTooSmall,
                  fmt::format("volume {} has {} octets already, {} are asked for", record->name,
                              record->size * kBlockBytes, blocks * kBlockBytes));
  }
  Builder builder(database, spaces);
  if (layout == VolumeLayout::kStriped || layout == VolumeLayout::kRaid5) {
    return GrowColumns(builder, *record, *plexes.front(), members, blocks);
  }
  std::vector<MemberRequest> wanted(members.begin(), members.end());
  if (blocks != 0 && wanted.size() == 1) {
    wanted.front().blocks = blocks - record->size;
  } else if (blocks != 0) {
    auto cut = CutTo(members, blocks - record->size);
    if (!cut) return tl::unexpected(cut.error());
    wanted = std::move(*cut);
  }
  auto added = Append(builder, plexes.front()->id, wanted, true);
  if (!added) return tl::unexpected(added.error());
  builder.after.FindVolume(volume)->size += *added;
  return builder.Finish(volume);
}

StorageResult<VolumeChange> AddMirror(const Database& database, std::span<const DiskSpace> spaces,
                                      ObjectId volume, ObjectId disk) {
  const VolumeRecord* record = database.FindVolume(volume);
  if (record == nullptr) return NoSuchVolume(volume);
  const auto plexes = database.PlexesOf(volume);
  for (const PlexRecord* plex : plexes) {
    const auto subdisks = database.SubdisksOf(plex->id);
    if (plex->layout != PlexLayout::kConcat || subdisks.size() != 1) {
      return Refuse(StorageErrorCode::kWrongLayout,
                    fmt::format("volume {} is not in one piece", record->name));
    }
    if (subdisks.front()->diskId == disk) {
      return Refuse(StorageErrorCode::kSameDisk,
                    fmt::format("volume {} lies on disk {} already", record->name, disk));
    }
  }
  if (plexes.size() >= kMaxMembers) {
    return Refuse(StorageErrorCode::kTooManyMembers, fmt::format("{} mirrors exist already", plexes.size()));
  }
  Builder builder(database, spaces);
  auto extents = builder.Place(disk, {.blocks = record->size});
  if (!extents) return tl::unexpected(extents.error());
  const ObjectId plex = builder.AddPlex(volume, PlexLayout::kConcat, 0);
  builder.AddSubdisk(plex, disk, extents->front(), 0);
  VolumeChange change = builder.Finish(volume);
  auto marked = MarkPlex(std::move(change.after), plex, Health::kStale);
  if (!marked) return tl::unexpected(marked.error());
  change.after = std::move(*marked);
  return change;
}

StorageResult<VolumeChange> RemoveMirror(const Database& database, ObjectId volume, ObjectId disk,
                                         const std::set<ObjectId>& missing) {
  auto plex = RemovablePlex(database, volume, disk, missing);
  if (!plex) return tl::unexpected(plex.error());
  VolumeChange change{.after = database, .volume = volume};
  change.after.ErasePlex(*plex);
  change.after.UpdateCounts();
  ClearStateOfSinglePlex(change.after, volume);
  return change;
}

StorageResult<VolumeChange> SplitMirror(const Database& database, ObjectId volume, ObjectId disk,
                                        const std::set<ObjectId>& missing, std::optional<std::string> hint) {
  auto plex_id = RemovablePlex(database, volume, disk, missing);
  if (!plex_id) return tl::unexpected(plex_id.error());
  if (PlexHealth(database, *database.FindPlex(*plex_id), missing) != Health::kHealthy) {
    return Refuse(StorageErrorCode::kLastCopy, fmt::format("the mirror on disk {} is not up to date", disk));
  }
  VolumeChange change{.after = database};
  auto id = AddVolume(change.after, VolumeLayout::kSimple);
  if (!id) return tl::unexpected(id.error());
  const VolumeRecord& old = *change.after.FindVolume(volume);
  VolumeRecord& split = *change.after.FindVolume(*id);
  split.size = old.size;
  split.partitionType = old.partitionType;
  split.flags |= old.flags & kVolumeRetainPartition;
  split.hint = std::move(hint);
  PlexRecord& plex = *change.after.FindPlex(*plex_id);
  plex.volumeId = *id;
  plex.name.clear();
  plex.name = change.after.FreePlexName(split.name);
  change.volume = *id;
  change.after.UpdateCounts();
  ClearStateOfSinglePlex(change.after, volume);
  return change;
}

StorageResult<VolumeChange> ReplaceRaid5Column(const Database& database, std::span<const DiskSpace> spaces,
                                               ObjectId volume, ObjectId disk,
                                               const std::set<ObjectId>& missing) {
  if (database.FindVolume(volume) == nullptr) return NoSuchVolume(volume);
  if (LayoutOf(database, volume) != VolumeLayout::kRaid5) {
    return Refuse(StorageErrorCode::kNotRaid5, fmt::format("volume {} is no RAID-5 volume", volume));
  }
  const PlexRecord plex = *database.PlexesOf(volume).front();
  std::map<std::uint64_t, Health> unhealthy;
  std::map<std::uint64_t, std::uint64_t> length;
  for (const SubdiskRecord* subdisk : database.SubdisksOf(plex.id)) {
    length[subdisk->column] += subdisk->size;
    const Health health = HealthOf(database, *subdisk, missing);
    if (health == Health::kHealthy) continue;
    Health& worst = unhealthy[subdisk->column];
    worst = std::max(worst, health);
  }
  if (unhealthy.empty()) {
    return Refuse(StorageErrorCode::kNotFailed, fmt::format("volume {} has all its columns", volume));
  }
  if (unhealthy.size() > 1) {
    return Refuse(StorageErrorCode::kTooManyFailed,
                  fmt::format("volume {} lacks {} columns", volume, unhealthy.size()));
  }
  const std::uint64_t column = unhealthy.begin()->first;
  Builder builder(database, spaces);
  std::vector<ObjectId> gone;
  for (const SubdiskRecord* subdisk : database.SubdisksOf(plex.id)) {
    if (subdisk->column == column) {
      gone.push_back(subdisk->id);
    } else if (subdisk->diskId == disk) {
      return Refuse(StorageErrorCode::kSameDisk,
                    fmt::format("column {} lies on disk {} already", subdisk->column, disk));
    }
  }
  for (const ObjectId id : gone) builder.after.Erase(id);
  auto extents = builder.Place(disk, {.blocks = length[column]});
  if (!extents) return tl::unexpected(extents.error());
  builder.AddSubdisk(plex.id, disk, extents->front(), 0, column, kSubdiskRecover);
  return builder.Finish(volume);
}

std::uint64_t RoomBehind(const Database& database, std::span<const DiskSpace> spaces, ObjectId volume) {
  const auto plexes = database.PlexesOf(volume);
  if (plexes.size() != 1) return 0;
  std::map<std::uint64_t, const SubdiskRecord*> last_of;
  for (const SubdiskRecord* subdisk : database.SubdisksOf(plexes.front()->id)) {
    last_of[subdisk->column] = subdisk;
  }
  std::optional<std::uint64_t> room;
  for (const auto& [column, subdisk] : last_of) {
    const auto space = std::ranges::find(spaces, subdisk->diskId, &DiskSpace::diskId);
    std::uint64_t here = 0;
    if (space != spaces.end()) {
      const auto free = FreeExtents(*space, UsedExtents(database, subdisk->diskId));
      const auto behind = std::ranges::find(free, subdisk->start + subdisk->size, &Extent::start);
      if (behind != free.end()) here = behind->blocks;
    }
    room = std::min(room.value_or(here), here);
  }
  if (!room) return 0;
  return plexes.front()->layout == PlexLayout::kConcat ? *room : RoundDown(*room, kStripeBlocks);
}

}  // namespace dmrp::server::ldm
