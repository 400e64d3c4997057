#include "reference_server/methods/disk_inventory.hpp"

#include "reference_server/methods/describe.hpp"
#include "reference_server/methods/describe_dynamic.hpp"
#include "reference_server/storage/format.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

bool IsOptical(const DeviceInfo& device) {
  return device.kind == DeviceKind::kCdrom || device.kind == DeviceKind::kDvd;
}

// What stays the same while a device is attached. A hard disk that was pulled out and replaced between two
// scans shows in the kernel's sequence number; that of a drive with removable media counts media instead.
std::string KeyOf(const DeviceInfo& device) {
  return device.kind == DeviceKind::kDisk ? fmt::format("{}#{}", device.name, device.diskSequence)
                                          : device.name;
}

// Where a volume begins on its first disk; 0 for one without any part.
std::uint64_t FirstStart(const ldm::VolumeMap& map) {
  for (const ldm::MapPlex& plex : map.plexes) {
    for (const ldm::MapColumn& column : plex.columns) {
      if (!column.extents.empty()) {
        return column.extents.front().diskOffset;
      }
    }
  }
  return 0;
}

}  // namespace

DiskInventory::DiskInventory(DiskSource& source, MountManager& mounts, Registry& registry,
                             std::filesystem::path system_file, std::function<void(const std::string&)> log)
    : source_(source),
      mounts_(mounts),
      groups_(source, registry, log),
      ft_(source, registry, mounts, log),
      system_file_(std::move(system_file)),
      log_(std::move(log)) {}

bool DiskInventory::HoldsSystem(const PartitionUse& use) const {
  return std::ranges::any_of(use.mountPoints, [this](const std::filesystem::path& point) {
    const auto [end, rest] = std::ranges::mismatch(point, system_file_);
    return end == point.end() && rest != system_file_.end();
  });
}

void DiskInventory::Rescan() {
  std::map<std::string, Known> before = std::exchange(known_, {});
  order_.clear();
  std::vector<DeviceInfo> fresh;
  for (DeviceInfo& device : source_.Scan()) {
    const std::string key = KeyOf(device);
    order_.push_back(key);
    if (const auto found = before.find(key); found != before.end()) {
      known_.emplace(key, Known{std::move(device), found->second.number});
    } else {
      fresh.push_back(std::move(device));
    }
  }
  for (DeviceInfo& device : fresh) {
    const std::uint32_t number = FreeNumber(IsOptical(device));
    const std::string key = KeyOf(device);
    known_.emplace(key, Known{std::move(device), number});
  }
}

std::string DiskInventory::Volume::ToString() const {
  return volume_key.empty() ? fmt::format("the volume at {} of {}", start, disk_key)
                            : fmt::format("the volume {}", volume_key);
}

std::uint32_t DiskInventory::FreeNumber(bool optical) const {
  std::uint32_t number = 0;
  const auto taken = [&] {
    const bool by_disk = std::ranges::any_of(known_, [&](const auto& entry) {
      return IsOptical(entry.second.device) == optical && entry.second.number == number;
    });
    return by_disk || (!optical && std::ranges::any_of(missing_numbers_, [&](const auto& entry) {
             return entry.second == number;
           }));
  };
  while (taken()) {
    ++number;
  }
  return number;
}

void DiskInventory::DescribeMissing(const FoundGroup& primary, std::vector<ObservedDisk>& disks) {
  for (const ObservedDisk& disk : disks) {
    const DiskGroups::Place place = groups_.Find(disk.key);
    // One that is just being pulled has no length any more.
    if (place.group == &primary && disk.info.length > 0) {
      seen_members_.insert_or_assign(MissingDiskKey(place.member->header.diskGuid), disk.info);
    }
  }
  std::map<std::string, std::uint32_t> before = std::exchange(missing_numbers_, {});
  for (const ldm::ObjectId id : primary.missing) {
    const ldm::DiskRecord* record = primary.database.FindDisk(id);
    if (record == nullptr) {
      continue;
    }
    const std::string key = MissingDiskKey(record->guid);
    const auto numbered = before.find(key);
    const std::uint32_t number = numbered != before.end() ? numbered->second : FreeNumber(false);
    missing_numbers_.emplace(key, number);
    const auto seen = seen_members_.find(key);
    disks.push_back(DescribeMissingDisk(
        primary, *record, seen == seen_members_.end() ? std::nullopt : std::optional(seen->second), number));
  }
}

ObservedSystem DiskInventory::ObserveAll() {
  ObservedSystem system = ObserveOnce();
  for (int again = 0; again < kLooksAgain && !ShowsItsGroups(system); ++again) {
    system = ObserveOnce();
  }
  return system;
}

bool DiskInventory::ShowsItsGroups(const ObservedSystem& system) const {
  return std::ranges::all_of(system.disks, [&](const ObservedDisk& disk) {
    return groups_.Find(disk.key).member == nullptr || disk.info.deviceType == DEVICETYPE_VM;
  });
}

ObservedSystem DiskInventory::ObserveOnce() {
  Rescan();
  std::erase_if(volumes_, [&](const auto& entry) { return !known_.contains(entry.first.disk_key); });
  std::vector<DiskGroups::Attached> attached;
  for (const std::string& key : order_) {
    attached.push_back({key, known_.at(key).device});
  }
  groups_.Observe(attached);
  ft_.Observe(attached);
  const auto letters = ReadLetters();
  ObservedSystem system;
  for (const std::string& key : order_) {
    system.disks.push_back(Describe(key, known_.at(key), letters));
  }
  if (const FoundGroup* primary = groups_.Primary()) {
    DescribeMissing(*primary, system.disks);
    for (const GroupVolume& volume : primary->volumes) {
      ObservedVolume& observed = system.volumes.emplace_back(DescribeVolume(*primary, volume));
      Complete(observed, *FindHosted({.volume_key = volume.key}), letters);
    }
  } else {
    missing_numbers_.clear();
  }
  for (const FtSet& set : ft_.Sets()) {
    ObservedVolume& observed = system.volumes.emplace_back(DescribeFtVolume(set));
    Complete(observed, *FindHosted({.volume_key = set.key}), letters);
  }
  return system;
}

Result<ObservedDisk> DiskInventory::Observe(const std::string& key) {
  Rescan();
  const auto found = known_.find(key);
  if (found == known_.end()) {
    return Fail(ErrorKind::kUnavailable, fmt::format("disk {} is not attached", key));
  }
  return Describe(key, found->second, ReadLetters());
}

const DeviceInfo* DiskInventory::Device(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : &found->second.device;
}

const Region* DiskInventory::RegionOf(const Volume& volume) const {
  const auto found = volumes_.find(volume);
  return found == volumes_.end() ? nullptr : &found->second.region;
}

std::optional<DiskInventory::HostedVolume> DiskInventory::FindHosted(const Volume& volume) const {
  if (volume.volume_key.empty()) {
    return std::nullopt;
  }
  if (const GroupVolume* found = groups_.FindVolume(volume.volume_key)) {
    return HostedVolume{.name = found->name,
                        .length = found->map.length,
                        .geometry = GeometryOf(*found),
                        .first_start = FirstStart(found->map),
                        .id = GuidVolumeId(found->map.guid),
                        .online = found->status.has_value()};
  }
  if (const FtSet* found = ft_.Find(volume.volume_key)) {
    return HostedVolume{.name = found->name,
                        .length = found->volume.length,
                        .geometry = found->geometry,
                        .first_start = found->volume.members.empty() ? 0 : found->volume.members[0].start,
                        .id = FtVolumeId(found->volume),
                        .online = found->status.has_value()};
  }
  return std::nullopt;
}

bool DiskInventory::IsOffline(const Volume& volume) const {
  const auto found = FindHosted(volume);
  return found && !found->online;
}

Result<void> DiskInventory::TakeOffline(const Volume& volume, bool force) {
  const auto found = FindHosted(volume);
  return found ? source_.Volumes().Deactivate(found->name, force) : Result<void>();
}

DiskGeometry DiskInventory::GeometryOf(const GroupVolume& volume) const {
  DiskGeometry geometry;
  bool first = true;
  for (const ldm::MapPlex& plex : volume.map.plexes) {
    for (const ldm::MapColumn& column : plex.columns) {
      for (const ldm::MapExtent& extent : column.extents) {
        const GroupMember* member = groups_.Primary()->MemberOf(extent.disk);
        if (member == nullptr) {
          continue;
        }
        const DiskGeometry& own = member->device.geometry;
        if (first || own.bytesPerSector > geometry.bytesPerSector) {
          geometry = own;
          first = false;
        }
      }
    }
  }
  geometry.sizeBytes = volume.map.length;
  return geometry;
}

DiskInventory::Opener DiskInventory::OpenerOf(const Volume& volume) {
  if (const auto found = FindHosted(volume)) {
    return [open = source_.Volumes().OpenerOf(found->name, found->geometry),
            length = found->length](bool writable) -> Result<OpenVolume> {
      auto device = open(writable);
      if (!device) {
        return tl::unexpected(device.error());
      }
      return OpenVolume{std::move(*device), 0, length};
    };
  }
  const Region* region = RegionOf(volume);
  const DeviceInfo* device = Device(volume.disk_key);
  if (region == nullptr || device == nullptr) {
    return [text = volume.ToString()](bool) -> Result<OpenVolume> {
      return Fail(ErrorKind::kUnavailable, text + " is not there");
    };
  }
  return [&source = source_, device = *device, start = region->start,
          length = region->length](bool writable) -> Result<OpenVolume> {
    auto opened = source.Open(device, writable);
    if (!opened) {
      return tl::unexpected(opened.error());
    }
    return OpenVolume{std::move(*opened), start, length};
  };
}

Result<PartitionUse> DiskInventory::Use(const Volume& volume) {
  if (const auto found = FindHosted(volume)) {
    return source_.Volumes().Use(found->name);
  }
  const DeviceInfo* device = Device(volume.disk_key);
  if (device == nullptr) {
    return Fail(ErrorKind::kUnavailable, volume.ToString() + " is not there");
  }
  return source_.Use(*device, volume.start);
}

Result<PartitionUse> DiskInventory::ReleaseByForce(const Volume& volume) {
  if (const auto found = FindHosted(volume)) {
    return source_.Volumes().ReleaseByForce(found->name);
  }
  const DeviceInfo* device = Device(volume.disk_key);
  if (device == nullptr) {
    return Fail(ErrorKind::kUnavailable, volume.ToString() + " is not there");
  }
  return source_.ReleaseByForce(*device, volume.start);
}

std::filesystem::path DiskInventory::NodeOf(const Volume& volume) {
  if (const auto found = FindHosted(volume)) {
    return source_.Volumes().Node(found->name);
  }
  const DeviceInfo* device = Device(volume.disk_key);
  return device == nullptr ? std::filesystem::path() : source_.VolumeNode(*device, volume.start);
}

std::uint32_t DiskInventory::HiddenSectorsOf(const Volume& volume) const {
  if (const auto found = FindHosted(volume)) {
    Region first;
    first.start = found->first_start;
    return HiddenSectors(first, found->geometry);
  }
  const Region* region = RegionOf(volume);
  const DeviceInfo* device = Device(volume.disk_key);
  return region == nullptr || device == nullptr ? 0 : HiddenSectors(*region, device->geometry);
}

std::optional<UniqueId> DiskInventory::IdOf(const Volume& volume) const {
  if (const auto found = FindHosted(volume)) {
    return found->id;
  }
  const auto found = volumes_.find(volume);
  return found == volumes_.end() ? std::nullopt : found->second.id;
}

std::optional<DiskInventory::Volume> DiskInventory::FindVolume(const UniqueId& id) const {
  if (const FoundGroup* primary = groups_.Primary()) {
    for (const GroupVolume& volume : primary->volumes) {
      if (GuidVolumeId(volume.map.guid) == id) {
        return Volume{.volume_key = volume.key};
      }
    }
  }
  for (const FtSet& set : ft_.Sets()) {
    if (FtVolumeId(set.volume) == id) {
      return Volume{.volume_key = set.key};
    }
  }
  const auto found = std::ranges::find_if(volumes_, [&](const auto& entry) { return entry.second.id == id; });
  return found == volumes_.end() ? std::nullopt : std::optional(found->first);
}

std::uint64_t DiskInventory::BeginFormat(const Volume& volume) {
  formatting_.emplace(next_token_, volume);
  return next_token_++;
}

void DiskInventory::EndFormat(std::uint64_t token) { formatting_.erase(token); }

bool DiskInventory::IsFormatting(const Volume& volume) const {
  return std::ranges::any_of(formatting_, [&](const auto& entry) { return entry.second == volume; });
}

std::map<UniqueId, char16_t> DiskInventory::ReadLetters() {
  std::map<UniqueId, char16_t> by_volume;
  const auto letters = mounts_.Letters();
  if (!letters) {
    Log("the drive letters cannot be read: " + letters.error().ToString());
    return by_volume;
  }
  for (const auto& [letter, id] : *letters) {
    by_volume.emplace(id, letter);  // the first letter counts
  }
  return by_volume;
}

// A drive with removable media is known by its own path, whatever medium lies in it; that path stands for its
// first volume.
void DiskInventory::Remember(const Volume& volume, const DeviceInfo& device, const DiskLayout& layout,
                             const Region& region) {
  const bool first_on_disk = std::ranges::none_of(
      volumes_, [&](const auto& entry) { return entry.first.disk_key == volume.disk_key; });
  const bool by_drive = device.kind != DeviceKind::kDisk && first_on_disk;
  volumes_[volume] = {region,
                      by_drive ? std::optional(RemovableDeviceId(device)) : PartitionId(layout, region)};
}

ObservedDisk DiskInventory::Describe(const std::string& key, const Known& known,
                                     const std::map<UniqueId, char16_t>& letters) {
  ObservedDisk observed = DescribeContents(key, known, letters);
  if (known.device.kind != DeviceKind::kDisk) {
    const auto found = letters.find(RemovableDeviceId(known.device));
    const bool carried =
        found != letters.end() && std::ranges::any_of(observed.regions, [&](const ObservedRegion& region) {
          return region.letter == found->second;
        });
    observed.letter = found == letters.end() || carried ? u'\0' : found->second;
  }
  return observed;
}

ObservedDisk DiskInventory::DescribeContents(const std::string& key, const Known& known,
                                             const std::map<UniqueId, char16_t>& letters) {
  const DeviceInfo& device = known.device;
  std::erase_if(volumes_, [&](const auto& entry) { return entry.first.disk_key == key; });
  ObservedDisk observed;
  observed.key = key;
  observed.info = DescribeDisk(device, known.number, nullptr);
  if (!device.mediaPresent) {
    return observed;
  }
  const auto opened = source_.Open(device, false);
  if (!opened) {
    Log(fmt::format("cannot open {}: {}", device.name, opened.error().ToString()));
    return observed;
  }
  // A disc is one region, also one that can be started from and has a partition table for that.
  const auto layout = IsOptical(device) ? StorageResult<DiskLayout>(WholeMedium((*opened)->Geometry()))
                                        : ReadLayout(**opened);
  if (!layout) {
    Log(fmt::format("cannot read the table of {}: {}", device.name, layout.error().ToString()));
    return observed;
  }
  observed.info = DescribeDisk(device, known.number, &*layout);
  const DiskGroups::Place place = groups_.Find(key);
  if (layout->dynamic && place.member == nullptr) {
    observed.info.deviceState = DEVICESTATE_BAD;
  }
  for (const Region& region : layout->regions) {
    const bool in_group =
        place.member != nullptr && (IsFree(region.kind) || (place.group->primary && IsPublicEntry(region)));
    if (!IsShown(device, region) || in_group) {
      continue;
    }
    PartitionUse use;
    if (HoldsData(region.kind)) {
      use = source_.Mounts(device, region.start);
    }
    ObservedRegion seen;
    seen.info = DescribeRegion(device, *layout, region, use);
    if (HoldsSystem(use)) {
      seen.info.rflags |= REGION_IS_SYSTEM_PARTITION;
    }
    const FtVolumes::Place member = HoldsData(region.kind) ? ft_.At(key, region.start) : FtVolumes::Place{};
    if (member.set != nullptr) {
      // The file system lies on the set.
      seen.volume_key = member.set->key;
      seen.info.status = FtRegionStatus(*member.set, *member.member);
    } else if (CanHoldFileSystem(region)) {
      const Volume volume{key, region.start};
      Remember(volume, device, *layout, region);
      if (const auto id = IdOf(volume); id && letters.contains(*id)) {
        seen.letter = letters.at(*id);
      }
      if (IsFormatting(volume)) {
        seen.info.rflags |= REGION_FORMAT_IN_PROGRESS;
        seen.file_system = DescribeFileSystemObject(FileSystemDescription{});
        seen.file_system->in_the_making = true;
      } else {
        const auto system = DescribeFileSystem(**opened, region.start, region.length);
        seen.file_system = DescribeFileSystemObject(system.value_or(FileSystemDescription{}));
      }
    }
    observed.regions.push_back(std::move(seen));
  }
  if (place.member != nullptr) {
    DescribeGroupDisk(*place.group, *place.member, *layout, observed);
  }
  return observed;
}

void DiskInventory::Complete(ObservedVolume& observed, const HostedVolume& hosted,
                             const std::map<UniqueId, char16_t>& letters) {
  // Nothing leads to a dynamic volume that is not online; its letter comes back with it (3.2.4.4.1.43).
  const bool led_to = hosted.online || observed.info.type == VOLUMETYPE_FT;
  if (const auto letter = letters.find(hosted.id); led_to && letter != letters.end()) {
    observed.letter = letter->second;
  }
  if (!hosted.online) {
    return;
  }
  const PartitionUse use = source_.Volumes().Mounts(hosted.name);
  const bool root = std::ranges::find(use.mountPoints, "/") != use.mountPoints.end();
  if (root || HoldsSystem(use)) {
    observed.info.vflags |= VOLUME_IS_SYSTEM_VOLUME;
  }
  if (use.swap) {
    observed.info.vflags |= VOLUME_HAS_PAGEFILE;
  }
  const Volume place{.volume_key = observed.key};
  if (IsFormatting(place)) {
    observed.info.vflags |= VOLUME_FORMAT_IN_PROGRESS;
    observed.info.status = VOLUME_STATUS_FORMATTING;
    observed.file_system = DescribeFileSystemObject(FileSystemDescription{});
    observed.file_system->in_the_making = true;
    return;
  }
  const auto opened = OpenerOf(place)(false);
  if (!opened) {
    Log(fmt::format("cannot open volume {}: {}", hosted.name, opened.error().ToString()));
    return;
  }
  const auto system = DescribeFileSystem(*opened->device, opened->start, opened->length);
  if (system && system->type != FileSystemType::kUnknown) {
    observed.file_system = DescribeFileSystemObject(*system);
  }
}

void DiskInventory::Log(const std::string& text) const {
  if (log_) {
    log_(text);
  }
}

}  // namespace dmrp::server
