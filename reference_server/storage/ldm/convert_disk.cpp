#include "reference_server/storage/file_system.hpp"
#include "reference_server/storage/ldm/group_operations.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

/// The version of the private headers we write: the public region reaches up to the private one.
constexpr std::uint16_t kMinorVersion = 12;
constexpr std::size_t kMaxHostName = 15;
constexpr std::uint8_t kFtBit = 0x80;

/// The type that a partition of an MBR would have for what lies on it.
std::uint8_t PartitionTypeOf(BlockDevice& device, const ConvertedPartition& partition, bool gpt) {
  if (!gpt) {
    return static_cast<std::uint8_t>(partition.region.mbrType & ~kFtBit);
  }
  const auto described = DescribeFileSystem(device, partition.region.start, partition.region.length);
  if (!described || described->type == FileSystemType::kUnknown) return kMbrTypeHugeFat16;
  return MbrTypeOf(described->type, partition.region, device.Geometry());
}

struct NextState {
  Database database;
  ObjectId disk = 0;
  std::vector<ObjectId> volumes{};
};

/// The records as they shall be with the new disk.
StorageResult<NextState> AddDisk(BlockDevice& device, const Database& before, const ConversionPlan& plan,
                                 const Guid& disk_guid) {
  NextState next{.database = before};
  DiskRecord disk;
  disk.id = next.database.TakeId();
  disk.name = next.database.FreeDiskName();
  disk.guid = disk_guid;
  next.database.disks.push_back(disk);
  next.disk = disk.id;
  const std::uint64_t sector_blocks = device.Geometry().bytesPerSector / kBlockBytes;
  const std::uint64_t public_start = plan.change.regions.publicStart * sector_blocks;
  for (const ConvertedPartition& partition : plan.partitions) {
    std::uint32_t flags = 0;
    if (partition.system) flags |= kVolumeSystem | kVolumeRetainPartition;
    if (partition.boot) flags |= kVolumeBoot | kVolumeRetainPartition;
    auto adopted = AdoptExtent(
        next.database, disk.id,
        {partition.region.start / kBlockBytes - public_start, partition.region.length / kBlockBytes},
        PartitionTypeOf(device, partition, plan.change.gpt.has_value()), flags);
    if (!adopted) return tl::unexpected(adopted.error());
    next.database = std::move(adopted->after);
    next.volumes.push_back(adopted->volume);
  }
  return next;
}

StorageResult<Member> Opened(BlockDevice& device) {
  auto member = OpenMember(device);
  if (!member) return GroupFailed(member.error());
  if (!*member) return Refuse(StorageErrorCode::kIoError, "the new table reads back as that of a basic disk");
  return std::move(**member);
}

std::set<Guid> GuidsOf(std::span<const Member> members) {
  std::set<Guid> guids;
  for (const Member& member : members) guids.insert(member.header.diskGuid);
  return guids;
}

}  // namespace

std::string GroupNameOf(std::string_view host) {
  std::string name(host.substr(0, kMaxHostName));
  std::ranges::replace_if(name, [](char c) { return c <= ' ' || c > '~'; }, '-');
  return name + "Dg0";
}

tl::unexpected<StorageError> GroupFailed(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kMalformed:
    case ErrorKind::kUnsupported:
      return Refuse(StorageErrorCode::kDamagedGroup, error.ToString());
    case ErrorKind::kLimit:
      return Refuse(StorageErrorCode::kDatabaseFull, error.ToString());
    default:
      return DeviceFailed(error);
  }
}

StorageResult<Converted> ConvertDisk(BlockDevice& device, const DiskGroup* group,
                                     const ConvertOptions& options) {
  if (device.ReadOnly()) return Refuse(StorageErrorCode::kReadOnly, "the disk is read-only");
  auto table = ReadTable(device);
  if (!table) return tl::unexpected(table.error());
  auto plan = PlanConversion(*table, device.Geometry(), options.table);
  if (!plan) return tl::unexpected(plan.error());
  if (plan->findings.CannotProceed()) {
    return Refuse(StorageErrorCode::kCannotConvert, plan->findings.reason);
  }
  const bool gpt = plan->change.gpt.has_value();
  const DiskRegions& regions = plan->change.regions;
  const Guid guid = Guid::Random();
  // All disks of a group bear one signature.
  const std::uint32_t host_signature = group != nullptr && !group->Members().empty()
                                           ? group->Members().front().header.hostSignature
                                           : options.hostSignature;
  NewDisk disk{.device = &device,
               .gpt = gpt,
               .header = MakePrivateHeader(device.Geometry(),
                                           {.diskGuid = guid,
                                            .publicStart = regions.publicStart,
                                            .publicSize = regions.publicSectors,
                                            .privateStart = regions.privateStart,
                                            .minorVersion = kMinorVersion,
                                            .hostSignature = host_signature},
                                           FileTimeNow())};
  Database before;
  if (group != nullptr) {
    before = group->Current();
  } else {
    before.group.id = before.TakeId();
    before.group.name = options.groupName;
    before.group.guid = Guid::Random();
  }
  auto next = AddDisk(device, before, *plan, guid);
  if (!next) return tl::unexpected(next.error());

  std::vector<Member> others;
  if (group == nullptr) {
    if (auto made = DiskGroup::Create({disk}, next->database); !made) return GroupFailed(made.error());
  } else {
    // The new disk alone gets the next state; the others load as older copies of it.
    others = group->Members();
    DiskGroup ahead = *group;
    for (const Guid& other : GuidsOf(others)) ahead.Detach(other);
    if (auto added = ahead.AddMember(disk); !added) return GroupFailed(added.error());
    auto committed = ahead.Commit(next->database);
    if (!committed) return GroupFailed(committed.error());
    if (!committed->failed.empty()) return DeviceFailed(committed->failed.front().error);
  }
  if (group == nullptr && options.announceGroup && !options.announceGroup(next->database.group)) {
    return Refuse(StorageErrorCode::kCannotConvert, "the new disk group could not be made known");
  }
  if (auto done = WriteTable(device, plan->change); !done) return tl::unexpected(done.error());
  auto member = Opened(device);
  if (!member) return tl::unexpected(member.error());
  others.push_back(std::move(*member));
  auto loaded = DiskGroup::Load(std::move(others));
  if (!loaded) return GroupFailed(loaded.error());
  return Converted{std::move(*loaded), next->disk, std::move(next->volumes)};
}

StorageResult<std::optional<DiskGroup>> UnconvertDisk(DiskGroup group, ObjectId disk) {
  const Database& current = group.Current();
  if (current.FindDisk(disk) == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no disk {}", disk));
  }
  if (!current.SubdisksOn(disk).empty()) {
    return Refuse(StorageErrorCode::kNotEmpty, fmt::format("volumes lie on disk {}", disk));
  }
  if (group.MemberOf(disk) == nullptr) {
    return Refuse(StorageErrorCode::kDiskMissing, fmt::format("disk {} is missing", disk));
  }
  const Member member = *group.MemberOf(disk);
  const PrivateHeader& header = member.header;
  auto table = ReadTable(*member.device);
  if (!table) return tl::unexpected(table.error());
  auto change =
      PlanBasicTable(*table, member.device->Geometry(),
                     {header.publicStart, header.publicSize, header.privateStart, header.privateSize});
  if (!change) return tl::unexpected(change.error());
  if (auto done = WriteTable(*member.device, *change); !done) return tl::unexpected(done.error());

  group.Detach(header.diskGuid);
  std::optional<DiskGroup> rest;
  if (!group.Members().empty()) {
    auto next = ForgetDisk(group.Current(), disk);
    if (!next) return tl::unexpected(next.error());
    if (auto committed = group.Commit(std::move(*next)); !committed) return GroupFailed(committed.error());
    rest = std::move(group);
  }
  if (auto wiped = WipePrivateRegion(member); !wiped) return GroupFailed(wiped.error());
  return rest;
}

StorageResult<Database> ForgetDisk(Database database, ObjectId disk) {
  if (database.FindDisk(disk) == nullptr) {
    return Refuse(StorageErrorCode::kNotFound, fmt::format("the disk group has no disk {}", disk));
  }
  if (!database.SubdisksOn(disk).empty()) {
    return Refuse(StorageErrorCode::kNotEmpty, fmt::format("volumes lie on disk {}", disk));
  }
  database.Erase(disk);
  return database;
}

StorageResult<void> TakeHostSignature(DiskGroup& group, ObjectId disk) {
  const Member* returned = group.MemberOf(disk);
  if (returned == nullptr) {
    return Refuse(StorageErrorCode::kDiskMissing, fmt::format("disk {} is not here", disk));
  }
  for (const Member& other : group.Members()) {
    const std::uint32_t signature = other.header.hostSignature;
    if (other.header.diskGuid == returned->header.diskGuid || signature == returned->header.hostSignature) {
      continue;
    }
    if (auto done = group.RewriteHeaders(signature); !done) return GroupFailed(done.error());
    return {};
  }
  return {};
}

}  // namespace dmrp::server::ldm
