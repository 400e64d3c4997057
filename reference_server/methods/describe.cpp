#include "reference_server/methods/describe.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::uint8_t kMbrLdm = 0x42;
constexpr std::uint64_t kGptHidden = std::uint64_t{1} << 62U;

constexpr Guid kGptEfiSystem{0xc12a7328, 0xf81f, 0x11d2, {0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}};
constexpr Guid kGptReserved{0xe3c9e316, 0x0b5c, 0x4db8, {0x81, 0x7d, 0xf9, 0x2d, 0xf0, 0x02, 0x15, 0xae}};
constexpr Guid kGptLdmMetadata{0x5808c8aa, 0x7e8f, 0x42e0, {0x85, 0xd2, 0xe1, 0xe9, 0x04, 0x34, 0xcf, 0xb3}};
constexpr Guid kGptLdmData{0xaf9b60a0, 0x1431, 0x4f62, {0xbc, 0x68, 0x33, 0x11, 0x71, 0x4a, 0x69, 0xad}};
constexpr Guid kGptRecovery{0xde94bba4, 0x06d1, 0x4d40, {0xa1, 0x6a, 0xbf, 0xd5, 0x01, 0x79, 0xd6, 0xac}};

// The wire counts the terminating null.
std::u16string Terminated(std::u16string text) {
  text.push_back(u'\0');
  return text;
}

std::u16string Terminated(const std::string& utf8) {
  return Terminated(ToUtf16(utf8).value_or(std::u16string()));
}

PARTITIONSTYLE Style(PartitionStyle style) {
  switch (style) {
    case PartitionStyle::kMbr:
      return PARTITIONSTYLE_MBR;
    case PartitionStyle::kGpt:
      return PARTITIONSTYLE_GPT;
    case PartitionStyle::kUnknown:
      break;
  }
  return PARTITIONSTYLE_UNKNOWN;
}

std::uint32_t DeviceType(const DeviceInfo& device, const DiskLayout* layout) {
  switch (device.kind) {
    case DeviceKind::kDisk:
      return layout != nullptr && layout->dynamic ? DEVICETYPE_VM : DEVICETYPE_FDISK;
    case DeviceKind::kRemovableDisk:
    case DeviceKind::kFloppy:
      return DEVICETYPE_REMOVABLE;
    case DeviceKind::kCdrom:
      return DEVICETYPE_CDROM;
    case DeviceKind::kDvd:
      return DEVICETYPE_DVD;
  }
  return DEVICETYPE_UNKNOWN;
}

std::uint32_t DeviceState(const DeviceInfo& device, const DiskLayout* layout) {
  if (!device.mediaPresent) {
    return DEVICESTATE_NO_MEDIA;
  }
  if (layout == nullptr) {
    return DEVICESTATE_FAILING;
  }
  const bool signature_missing = layout->style == PartitionStyle::kUnknown ||
                                 (layout->style == PartitionStyle::kMbr && layout->mbrSignature == 0);
  if (device.kind == DeviceKind::kDisk && signature_missing) {
    return DEVICESTATE_NOSIG;
  }
  return DEVICESTATE_HEALTHY;
}

REGIONTYPE RegionType(const DeviceInfo& device, RegionKind kind) {
  switch (kind) {
    case RegionKind::kFree:
      return REGION_FREE;
    case RegionKind::kExtendedFree:
      return REGION_EXTENDED_FREE;
    case RegionKind::kPrimary:
      return REGION_PRIMARY;
    case RegionKind::kLogical:
      return REGION_LOGICAL;
    case RegionKind::kExtended:
      return REGION_EXTENDED;
    case RegionKind::kWhole:
      return device.kind == DeviceKind::kCdrom || device.kind == DeviceKind::kDvd ? REGION_CDROM
                                                                                  : REGION_REMOVABLE;
  }
  return REGION_UNKNOWN;
}

std::uint32_t RegionFlags(const DiskLayout& layout, const Region& region, const PartitionUse& use) {
  std::uint32_t flags = 0;
  if (std::ranges::find(use.mountPoints, "/") != use.mountPoints.end()) {
    flags |= REGION_IS_SYSTEM_PARTITION;
  }
  if (use.swap) {
    flags |= REGION_HAS_PAGEFILE;
  }
  const bool hidden_gpt = layout.style == PartitionStyle::kGpt && !IsFree(region.kind) &&
                          (region.gptType == kGptEfiSystem || region.gptType == kGptRecovery ||
                           (region.gptAttributes & kGptHidden) != 0);
  return hidden_gpt ? flags | REGION_HIDDEN : flags;
}

std::int32_t FsType(FileSystemType type) {
  switch (type) {
    case FileSystemType::kNtfs:
      return FSTYPE_NTFS;
    case FileSystemType::kFat12:
    case FileSystemType::kFat16:
      return FSTYPE_FAT;
    case FileSystemType::kFat32:
      return FSTYPE_FAT32;
    case FileSystemType::kCdfs:
      return FSTYPE_CDFS;
    case FileSystemType::kUdf:
      return FSTYPE_UDF;
    case FileSystemType::kUnknown:
      break;
  }
  return FSTYPE_UNKNOWN;
}

}  // namespace

std::uint32_t BusType(BusKind bus) {
  switch (bus) {
    case BusKind::kIde:
    case BusKind::kAhci:
      return BUSTYPE_IDE;
    case BusKind::kScsi:
    case BusKind::kSas:
    case BusKind::kIscsi:
    case BusKind::kVirtio:
    case BusKind::kNvme:
      return BUSTYPE_SCSI;
    case BusKind::kFibre:
      return BUSTYPE_FIBRE;
    case BusKind::kUsb:
      return BUSTYPE_USB;
    case BusKind::kFirewire:
      return BUSTYPE_1394;
    case BusKind::kUnknown:
    case BusKind::kFloppy:
    case BusKind::kMmc:
    case BusKind::kLoop:
      break;
  }
  return BUSTYPE_UNKNOWN;
}

DISK_INFO_EX DescribeDisk(const DeviceInfo& device, std::uint32_t number, const DiskLayout* layout) {
  DISK_INFO_EX info;
  info.length = static_cast<LONGLONG>(device.geometry.sizeBytes);
  info.bytesPerTrack = static_cast<std::uint32_t>(device.geometry.BytesPerTrack());
  info.bytesPerCylinder = static_cast<std::uint32_t>(device.geometry.BytesPerCylinder());
  info.bytesPerSector = device.geometry.bytesPerSector;
  info.dflags = device.audioCd ? DISK_AUDIO_CD : 0;
  info.deviceType = DeviceType(device, layout);
  info.deviceState = DeviceState(device, layout);
  info.busType = BusType(device.bus);
  info.attributes = device.readOnly ? DEVICEATTR_RDONLY : DEVICEATTR_NONE;
  if (device.address) {
    info.portNumber = device.address->port;
    info.targetNumber = device.address->target;
    info.lunNumber = device.address->lun;
  }
  const bool optical = device.kind == DeviceKind::kCdrom || device.kind == DeviceKind::kDvd;
  info.name = Terminated(fmt::format("\\device\\{}{}", optical ? "CdRom" : "Harddisk", number));
  info.vendor = Terminated(device.friendlyName);
  info.adapterName = Terminated(device.adapterName);
  info.devInstId = Terminated(device.InterfacePath());
  if (layout == nullptr || !device.mediaPresent) {
    return info;
  }
  info.partitionStyle = Style(layout->style);
  if (layout->style == PartitionStyle::kMbr) {
    info.mbr.emplace().signature = layout->mbrSignature;
  } else if (layout->style == PartitionStyle::kGpt) {
    info.gpt.emplace().diskId = layout->gptDiskId;
  }
  info.freeBytes = static_cast<LONGLONG>(layout->FreeBytes());
  info.regionCount = static_cast<std::uint32_t>(
      std::ranges::count_if(layout->regions, [&](const Region& region) { return IsShown(device, region); }));
  info.maxPartitionCount = layout->maxPartitionCount;
  const bool basic = info.deviceType == DEVICETYPE_FDISK;
  info.isUpgradeable = basic && info.deviceState == DEVICESTATE_HEALTHY &&
                       info.bytesPerSector == kMinSectorSize && layout->BlockingAnomaly() == nullptr;
  info.maySwitchStyle = basic && !device.readOnly && layout->MaySwitchStyle();
  return info;
}

bool IsShown(const DeviceInfo& device, const Region& region) {
  return !region.contested && (region.kind != RegionKind::kWhole || device.kind != DeviceKind::kDisk);
}

bool CanHoldFileSystem(const Region& region) {
  return HoldsData(region.kind) && region.mbrType != kMbrLdm && region.gptType != kGptReserved &&
         region.gptType != kGptLdmMetadata && region.gptType != kGptLdmData;
}

REGION_INFO_EX DescribeRegion(const DeviceInfo& device, const DiskLayout& layout, const Region& region,
                              const PartitionUse& use) {
  REGION_INFO_EX info;
  info.start = static_cast<LONGLONG>(region.start);
  info.length = static_cast<LONGLONG>(region.length);
  info.regionType = RegionType(device, region.kind);
  info.partitionStyle = Style(layout.style);
  if (layout.style == PartitionStyle::kMbr) {
    auto& mbr = info.mbr.emplace();
    mbr.partitionType = region.mbrType;
    mbr.isActive = region.active;
  } else if (layout.style == PartitionStyle::kGpt) {
    auto& gpt = info.gpt.emplace();
    gpt.partitionType = region.gptType;
    gpt.partitionId = region.gptId;
    gpt.attributes = region.gptAttributes;
    if (!IsFree(region.kind)) {
      info.name = Terminated(region.gptName);
    }
  }
  info.status = REGIONSTATUS_OK;
  info.rflags = RegionFlags(layout, region, use);
  info.currentPartitionNumber = region.number;
  return info;
}

FileSystemObject DescribeFileSystemObject(const FileSystemDescription& description) {
  FileSystemObject object;
  object.info.totalAllocationUnits = static_cast<LONGLONG>(description.totalAllocationUnits);
  object.info.availableAllocationUnits = static_cast<LONGLONG>(description.availableAllocationUnits);
  object.info.allocationUnitSize = description.allocationUnitSize;
  object.info.fsType = FsType(description.type);
  object.info.fsflags = description.compression ? ENABLE_VOLUME_COMPRESSION : 0;
  object.info.label = Terminated(description.label);
  object.identity = fmt::format("{:x}/{}/{}", description.serialNumber, description.allocationUnitSize,
                                description.totalAllocationUnits);
  return object;
}

}  // namespace dmrp::server
