#include "harness/client/storage_view.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

std::string Show(std::int64_t value) { return fmt::format("{}", value); }
std::string Show(std::uint64_t value) { return fmt::format("{:#x}", value); }
std::string Show(std::int32_t value) { return fmt::format("{}", value); }
std::string Show(std::uint32_t value) { return fmt::format("{:#x}", value); }
std::string Show(bool value) { return value ? "true" : "false"; }
std::string Show(const Guid& value) { return value.ToString(); }
template <typename E>
  requires std::is_enum_v<E>
std::string Show(E value) {
  auto name = NameOf(value);
  return name.empty() ? fmt::format("{}", static_cast<unsigned>(value)) : std::string(name);
}
std::string Show(const std::optional<std::u16string>& value) {
  return value ? fmt::format("\"{}\"", Text(value)) : "null";
}
std::string Show(const std::optional<Bytes>& value) { return value ? ToHex(*value) : "null"; }

class Differ {
 public:
  template <typename T>
  Differ& Member(std::string_view name, const T& before, const T& after) {
    if (before == after) return *this;
    text_ += fmt::format("{}{} {} -> {}", text_.empty() ? "" : ", ", name, Show(before), Show(after));
    return *this;
  }
  [[nodiscard]] std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

template <typename Object>
bool SameContents(Object before, const Object& after) {
  before.lastKnownState = after.lastKnownState;
  return before == after;
}

template <typename Object>
void CompareObjects(DMNOTIFY_INFO_TYPE type, std::string_view noun,
                    const std::map<LdmObjectId, const Object*>& before,
                    const std::map<LdmObjectId, const Object*>& after,
                    std::vector<ObjectDifference>& differences) {
  for (const auto& [id, old] : before) {
    auto found = after.find(id);
    if (found == after.end()) {
      differences.push_back({type, LDMACTION_DELETED, id, old->lastKnownState, 0, true,
                             fmt::format("{} {} deleted", noun, id)});
    } else if (!(*old == *found->second)) {
      differences.push_back(
          {type, LDMACTION_MODIFIED, id, old->lastKnownState, found->second->lastKnownState,
           !SameContents(*old, *found->second),
           fmt::format("{} {} modified: {}", noun, id, DifferenceText(*old, *found->second))});
    }
  }
  for (const auto& [id, now] : after) {
    if (!before.contains(id)) {
      differences.push_back({type, LDMACTION_CREATED, id, 0, now->lastKnownState, true,
                             fmt::format("{} {} created", noun, id)});
    }
  }
}

std::map<LdmObjectId, const DISK_INFO_EX*> DisksOf(const StorageView& view) {
  std::map<LdmObjectId, const DISK_INFO_EX*> disks;
  for (const auto& disk : view.disks) disks.emplace(disk.id, &disk);
  return disks;
}

std::map<LdmObjectId, const REGION_INFO_EX*> AllRegionsOf(const StorageView& view) {
  std::map<LdmObjectId, const REGION_INFO_EX*> regions;
  for (const auto& [disk, list] : view.regions) {
    for (const auto& region : list) regions.emplace(region.id, &region);
  }
  return regions;
}

std::map<LdmObjectId, const FILE_SYSTEM_INFO*> FileSystemsOf(const StorageView& view) {
  std::map<LdmObjectId, const FILE_SYSTEM_INFO*> file_systems;
  for (const auto& file_system : *view.file_systems) file_systems.emplace(file_system.id, &file_system);
  return file_systems;
}

std::map<LdmObjectId, const DRIVE_LETTER_INFO*> LettersOf(const StorageView& view) {
  std::map<LdmObjectId, const DRIVE_LETTER_INFO*> letters;
  for (const auto& letter : *view.letters) letters.emplace(LetterId(letter.letter), &letter);
  return letters;
}

std::map<LdmObjectId, const VOLUME_INFO*> VolumesOf(const StorageView& view) {
  std::map<LdmObjectId, const VOLUME_INFO*> volumes;
  for (const auto& volume : *view.volumes) volumes.emplace(volume.id, &volume);
  return volumes;
}

void FindContradictionsOfVolumes(const StorageView& view, std::vector<std::string>& texts) {
  for (const VOLUME_INFO& volume : *view.volumes) {
    std::vector<LdmObjectId> regions;
    for (const REGION_INFO_EX& region : view.RegionsOfVolume(volume.id)) regions.push_back(region.id);
    std::vector<LdmObjectId> members = regions;
    if (auto told = view.members.find(volume.id); told != view.members.end()) members = told->second;
    std::ranges::sort(regions);
    std::ranges::sort(members);
    if (members != regions || volume.memberCount != regions.size()) {
      texts.push_back(fmt::format("volume {}: memberCount {}, {} members told, {} regions name it", volume.id,
                                  volume.memberCount, members.size(), regions.size()));
    }
    if (volume.fsId != 0 && view.file_systems) {
      const FILE_SYSTEM_INFO* file_system = view.FindFileSystem(volume.fsId);
      if (file_system == nullptr || file_system->storageId != volume.id) {
        texts.push_back(fmt::format("volume {}: its file system {} {}", volume.id, volume.fsId,
                                    file_system == nullptr
                                        ? "is not listed"
                                        : fmt::format("names storage {}", file_system->storageId)));
      }
    }
  }
  for (const auto& [disk, regions] : view.regions) {
    for (const REGION_INFO_EX& region : regions) {
      if (region.volId != 0 && view.FindVolume(region.volId) == nullptr) {
        texts.push_back(fmt::format("region {}: its volume {} is not listed", region.id, region.volId));
      }
    }
  }
}

}  // namespace

std::string_view ToString(Revision revision) {
  return revision == Revision::kIVolumeClient ? "IVolumeClient" : "IVolumeClient3";
}

DISK_INFO_EX Widen(const DISK_INFO& disk) {
  DISK_INFO_EX wide;
  wide.id = disk.id;
  wide.length = disk.length;
  wide.freeBytes = disk.freeBytes;
  wide.bytesPerTrack = disk.bytesPerTrack;
  wide.bytesPerCylinder = disk.bytesPerCylinder;
  wide.bytesPerSector = disk.bytesPerSector;
  wide.regionCount = disk.regionCount;
  wide.dflags = disk.dflags;
  wide.deviceType = disk.deviceType;
  wide.deviceState = disk.deviceState;
  wide.busType = disk.busType;
  wide.attributes = disk.attributes;
  wide.isUpgradeable = disk.isUpgradeable;
  wide.portNumber = disk.portNumber;
  wide.targetNumber = disk.targetNumber;
  wide.lunNumber = disk.lunNumber;
  wide.lastKnownState = disk.lastKnownState;
  wide.taskId = disk.taskId;
  wide.name = disk.name;
  wide.vendor = disk.vendor;
  wide.dgid = disk.dgid;
  wide.adapterName = disk.adapterName;
  wide.dgName = disk.dgName;
  return wide;
}

REGION_INFO_EX Widen(const REGION_INFO& region) {
  REGION_INFO_EX wide;
  wide.id = region.id;
  wide.diskId = region.diskId;
  wide.volId = region.volId;
  wide.fsId = region.fsId;
  wide.start = region.start;
  wide.length = region.length;
  wide.regionType = region.regionType;
  wide.mbr = REGION_INFO_EX::Mbr{region.partitionType, region.isActive};
  wide.status = region.status;
  wide.lastKnownState = region.lastKnownState;
  wide.taskId = region.taskId;
  wide.rflags = region.rflags;
  wide.currentPartitionNumber = region.currentPartitionNumber;
  return wide;
}

DISK_INFO Narrow(const DISK_INFO_EX& disk) {
  DISK_INFO narrow;
  narrow.id = disk.id;
  narrow.length = disk.length;
  narrow.freeBytes = disk.freeBytes;
  narrow.bytesPerTrack = disk.bytesPerTrack;
  narrow.bytesPerCylinder = disk.bytesPerCylinder;
  narrow.bytesPerSector = disk.bytesPerSector;
  narrow.regionCount = disk.regionCount;
  narrow.dflags = disk.dflags;
  narrow.deviceType = disk.deviceType;
  narrow.deviceState = disk.deviceState;
  narrow.busType = disk.busType;
  narrow.attributes = disk.attributes;
  narrow.isUpgradeable = disk.isUpgradeable;
  narrow.portNumber = disk.portNumber;
  narrow.targetNumber = disk.targetNumber;
  narrow.lunNumber = disk.lunNumber;
  narrow.lastKnownState = disk.lastKnownState;
  narrow.taskId = disk.taskId;
  narrow.name = disk.name;
  narrow.vendor = disk.vendor;
  narrow.dgid = disk.dgid;
  narrow.adapterName = disk.adapterName;
  narrow.dgName = disk.dgName;
  return narrow;
}

REGION_INFO Narrow(const REGION_INFO_EX& region) {
  REGION_INFO narrow;
  narrow.id = region.id;
  narrow.diskId = region.diskId;
  narrow.volId = region.volId;
  narrow.fsId = region.fsId;
  narrow.start = region.start;
  narrow.length = region.length;
  narrow.regionType = region.regionType;
  narrow.partitionType = region.mbr ? region.mbr->partitionType : 0;
  narrow.isActive = region.mbr && region.mbr->isActive;
  narrow.status = region.status;
  narrow.lastKnownState = region.lastKnownState;
  narrow.taskId = region.taskId;
  narrow.rflags = region.rflags;
  narrow.currentPartitionNumber = region.currentPartitionNumber;
  return narrow;
}

std::string Text(const std::optional<std::u16string>& counted) {
  if (!counted) return {};
  std::u16string_view text = *counted;
  if (text.ends_with(u'\0')) text.remove_suffix(1);
  return ToUtf8(text);
}

const DISK_INFO_EX* StorageView::FindDisk(LdmObjectId id) const {
  auto found = std::ranges::find(disks, id, &DISK_INFO_EX::id);
  return found == disks.end() ? nullptr : &*found;
}

const REGION_INFO_EX* StorageView::FindRegion(LdmObjectId id) const {
  for (const auto& [disk, list] : regions) {
    auto found = std::ranges::find(list, id, &REGION_INFO_EX::id);
    if (found != list.end()) return &*found;
  }
  return nullptr;
}

const std::vector<REGION_INFO_EX>& StorageView::RegionsOf(LdmObjectId disk) const {
  static const std::vector<REGION_INFO_EX> kNone;
  auto found = regions.find(disk);
  return found == regions.end() ? kNone : found->second;
}

const FILE_SYSTEM_INFO* StorageView::FindFileSystem(LdmObjectId id) const {
  if (!file_systems) return nullptr;
  auto found = std::ranges::find(*file_systems, id, &FILE_SYSTEM_INFO::id);
  return found == file_systems->end() ? nullptr : &*found;
}

const FILE_SYSTEM_INFO* StorageView::FileSystemOf(LdmObjectId storage) const {
  if (!file_systems) return nullptr;
  auto found = std::ranges::find(*file_systems, storage, &FILE_SYSTEM_INFO::storageId);
  return found == file_systems->end() ? nullptr : &*found;
}

const DRIVE_LETTER_INFO* StorageView::FindLetter(char16_t letter) const {
  if (!letters) return nullptr;
  auto found = std::ranges::find(*letters, LetterId(letter),
                                 [](const DRIVE_LETTER_INFO& each) { return LetterId(each.letter); });
  return found == letters->end() ? nullptr : &*found;
}

const VOLUME_INFO* StorageView::FindVolume(LdmObjectId id) const {
  if (!volumes) return nullptr;
  auto found = std::ranges::find(*volumes, id, &VOLUME_INFO::id);
  return found == volumes->end() ? nullptr : &*found;
}

std::vector<REGION_INFO_EX> StorageView::RegionsOfVolume(LdmObjectId volume) const {
  std::vector<REGION_INFO_EX> found;
  if (volume == 0) return found;
  for (const auto& [disk, list] : regions) {
    std::ranges::copy_if(list, std::back_inserter(found),
                         [&](const REGION_INFO_EX& region) { return region.volId == volume; });
  }
  return found;
}

LdmObjectId LetterId(char16_t letter) {
  return letter >= u'a' && letter <= u'z' ? letter - u'a' + u'A' : LdmObjectId{letter};
}

std::vector<std::string> Contradictions(const StorageView& view) {
  std::vector<std::string> texts;
  for (const DISK_INFO_EX& disk : view.disks) {
    auto found = view.regions.find(disk.id);
    if (found == view.regions.end()) continue;
    std::int64_t free = 0;
    for (const REGION_INFO_EX& region : found->second) {
      if (IsFree(region)) free += region.length;
      if (region.fsId == 0 || !view.file_systems) continue;
      const FILE_SYSTEM_INFO* file_system = view.FindFileSystem(region.fsId);
      if (file_system == nullptr) {
        texts.push_back(fmt::format("region {}: its file system {} is not listed", region.id, region.fsId));
      } else if (file_system->storageId != region.id &&
                 (region.volId == 0 || file_system->storageId != region.volId)) {
        texts.push_back(fmt::format("region {}: its file system {} names storage {}", region.id, region.fsId,
                                    file_system->storageId));
      }
    }
    if (disk.regionCount != found->second.size() || disk.freeBytes != free) {
      texts.push_back(
          fmt::format("disk {}: regionCount {} and {} regions, freeBytes {} and {} in free regions", disk.id,
                      disk.regionCount, found->second.size(), disk.freeBytes, free));
    }
  }
  if (view.volumes) FindContradictionsOfVolumes(view, texts);
  auto volume = [&](LdmObjectId id) { return view.FindVolume(id) != nullptr; };
  if (view.file_systems) {
    for (const FILE_SYSTEM_INFO& file_system : *view.file_systems) {
      const REGION_INFO_EX* region = view.FindRegion(file_system.storageId);
      if (region == nullptr ? !volume(file_system.storageId) : region->fsId != file_system.id) {
        texts.push_back(
            fmt::format("file system {}: its storage {} {}", file_system.id, file_system.storageId,
                        region == nullptr ? std::string("is not listed")
                                          : fmt::format("names the file system {}", region->fsId)));
      }
    }
  }
  if (view.letters) {
    for (const DRIVE_LETTER_INFO& letter : *view.letters) {
      if (letter.isUsed && view.FindRegion(letter.storageId) == nullptr &&
          view.FindDisk(letter.storageId) == nullptr && !volume(letter.storageId)) {
        texts.push_back(fmt::format("drive letter {}: its storage {} is not listed",
                                    static_cast<char>(letter.letter), letter.storageId));
      }
    }
  }
  return texts;
}

std::vector<ObjectDifference> Compare(const StorageView& before, const StorageView& after) {
  std::vector<ObjectDifference> differences;
  CompareObjects(DMNOTIFY_DISK_INFO, "disk", DisksOf(before), DisksOf(after), differences);
  CompareObjects(DMNOTIFY_REGION_INFO, "region", AllRegionsOf(before), AllRegionsOf(after), differences);
  if (before.file_systems && after.file_systems) {
    CompareObjects(DMNOTIFY_FS_INFO, "file system", FileSystemsOf(before), FileSystemsOf(after), differences);
  }
  if (before.letters && after.letters) {
    CompareObjects(DMNOTIFY_DL_INFO, "drive letter", LettersOf(before), LettersOf(after), differences);
  }
  if (before.volumes && after.volumes) {
    CompareObjects(DMNOTIFY_VOLUME_INFO, "volume", VolumesOf(before), VolumesOf(after), differences);
  }
  return differences;
}

std::string DifferenceText(const DISK_INFO_EX& a, const DISK_INFO_EX& b) {
  using D = DISK_INFO_EX;
  auto signature = [](const D& d) { return d.mbr ? d.mbr->signature : 0U; };
  auto guid = [](const D& d) { return d.gpt ? d.gpt->diskId : Guid{}; };
  return Differ()
      .Member("id", a.id, b.id)
      .Member("length", a.length, b.length)
      .Member("freeBytes", a.freeBytes, b.freeBytes)
      .Member("bytesPerTrack", a.bytesPerTrack, b.bytesPerTrack)
      .Member("bytesPerCylinder", a.bytesPerCylinder, b.bytesPerCylinder)
      .Member("bytesPerSector", a.bytesPerSector, b.bytesPerSector)
      .Member("regionCount", a.regionCount, b.regionCount)
      .Member("dflags", a.dflags, b.dflags)
      .Member("deviceType", a.deviceType, b.deviceType)
      .Member("deviceState", a.deviceState, b.deviceState)
      .Member("busType", a.busType, b.busType)
      .Member("attributes", a.attributes, b.attributes)
      .Member("maxPartitionCount", a.maxPartitionCount, b.maxPartitionCount)
      .Member("isUpgradeable", a.isUpgradeable, b.isUpgradeable)
      .Member("maySwitchStyle", a.maySwitchStyle, b.maySwitchStyle)
      .Member("partitionStyle", a.partitionStyle, b.partitionStyle)
      .Member("mbr.signature", signature(a), signature(b))
      .Member("gpt.diskId", guid(a), guid(b))
      .Member("portNumber", a.portNumber, b.portNumber)
      .Member("targetNumber", a.targetNumber, b.targetNumber)
      .Member("lunNumber", a.lunNumber, b.lunNumber)
      .Member("lastKnownState", a.lastKnownState, b.lastKnownState)
      .Member("taskId", a.taskId, b.taskId)
      .Member("name", a.name, b.name)
      .Member("vendor", a.vendor, b.vendor)
      .Member("dgid", a.dgid, b.dgid)
      .Member("adapterName", a.adapterName, b.adapterName)
      .Member("dgName", a.dgName, b.dgName)
      .Member("devInstId", a.devInstId, b.devInstId)
      .Take();
}

std::string DifferenceText(const REGION_INFO_EX& a, const REGION_INFO_EX& b) {
  using R = REGION_INFO_EX;
  auto mbr = [](const R& r) { return r.mbr.value_or(R::Mbr{}); };
  auto gpt = [](const R& r) { return r.gpt.value_or(R::Gpt{}); };
  return Differ()
      .Member("id", a.id, b.id)
      .Member("diskId", a.diskId, b.diskId)
      .Member("volId", a.volId, b.volId)
      .Member("fsId", a.fsId, b.fsId)
      .Member("start", a.start, b.start)
      .Member("length", a.length, b.length)
      .Member("regionType", a.regionType, b.regionType)
      .Member("partitionStyle", a.partitionStyle, b.partitionStyle)
      .Member("mbr.partitionType", mbr(a).partitionType, mbr(b).partitionType)
      .Member("mbr.isActive", mbr(a).isActive, mbr(b).isActive)
      .Member("gpt.partitionType", gpt(a).partitionType, gpt(b).partitionType)
      .Member("gpt.partitionId", gpt(a).partitionId, gpt(b).partitionId)
      .Member("gpt.attributes", gpt(a).attributes, gpt(b).attributes)
      .Member("status", a.status, b.status)
      .Member("lastKnownState", a.lastKnownState, b.lastKnownState)
      .Member("taskId", a.taskId, b.taskId)
      .Member("rflags", a.rflags, b.rflags)
      .Member("currentPartitionNumber", a.currentPartitionNumber, b.currentPartitionNumber)
      .Member("name", a.name, b.name)
      .Take();
}

std::string DifferenceText(const FILE_SYSTEM_INFO& a, const FILE_SYSTEM_INFO& b) {
  return Differ()
      .Member("id", a.id, b.id)
      .Member("storageId", a.storageId, b.storageId)
      .Member("totalAllocationUnits", a.totalAllocationUnits, b.totalAllocationUnits)
      .Member("availableAllocationUnits", a.availableAllocationUnits, b.availableAllocationUnits)
      .Member("allocationUnitSize", a.allocationUnitSize, b.allocationUnitSize)
      .Member("fsflags", a.fsflags, b.fsflags)
      .Member("lastKnownState", a.lastKnownState, b.lastKnownState)
      .Member("taskId", a.taskId, b.taskId)
      .Member("fsType", a.fsType, b.fsType)
      .Member("label", a.label, b.label)
      .Take();
}

std::string DifferenceText(const DRIVE_LETTER_INFO& a, const DRIVE_LETTER_INFO& b) {
  return Differ()
      .Member("letter", LetterId(a.letter), LetterId(b.letter))
      .Member("storageId", a.storageId, b.storageId)
      .Member("isUsed", a.isUsed, b.isUsed)
      .Member("lastKnownState", a.lastKnownState, b.lastKnownState)
      .Member("taskId", a.taskId, b.taskId)
      .Member("dlflags", a.dlflags, b.dlflags)
      .Take();
}

std::string DifferenceText(const VOLUME_INFO& a, const VOLUME_INFO& b) {
  return Differ()
      .Member("id", a.id, b.id)
      .Member("type", a.type, b.type)
      .Member("layout", a.layout, b.layout)
      .Member("length", a.length, b.length)
      .Member("fsId", a.fsId, b.fsId)
      .Member("memberCount", a.memberCount, b.memberCount)
      .Member("status", a.status, b.status)
      .Member("lastKnownState", a.lastKnownState, b.lastKnownState)
      .Member("taskId", a.taskId, b.taskId)
      .Member("vflags", a.vflags, b.vflags)
      .Take();
}

bool IsFree(const REGION_INFO_EX& region) {
  return region.regionType == REGION_FREE || region.regionType == REGION_EXTENDED_FREE;
}

}  // namespace dmrp::harness
