#include "reference_server/methods/describe.hpp"

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

DeviceInfo SomeDevice() {
  DeviceInfo device;
  device.name = "sda";
  device.bus = BusKind::kScsi;
  device.geometry.sizeBytes = 1U << 30U;
  device.vendor = "QEMU";
  device.friendlyName = "QEMU HARDDISK";
  device.adapterName = "virtio_scsi 1af4:1048";
  device.address = ScsiAddress{.port = 2, .bus = 0, .target = 3, .lun = 4};
  device.instanceId = "SCSI\\DISK&VEN_QEMU&PROD_HARDDISK\\5&1A2B&0&000304";
  return device;
}

DiskLayout MbrLayout() {
  DiskLayout layout;
  layout.style = PartitionStyle::kMbr;
  layout.mbrSignature = 0x1234;
  layout.maxPartitionCount = 4;
  return layout;
}

Region Primary(std::uint64_t start = 1U << 20U) {
  Region region;
  region.kind = RegionKind::kPrimary;
  region.start = start;
  region.length = 1U << 20U;
  region.mbrType = 7;
  region.number = 1;
  return region;
}

TEST(DescribeDisk, TellsWhereTheDiskIsAndWhatItIsCalled) {
  const DiskLayout layout = MbrLayout();
  const DISK_INFO_EX disk = DescribeDisk(SomeDevice(), 5, &layout);
  EXPECT_EQ(disk.name, std::u16string(u"\\device\\Harddisk5\0", 18));
  EXPECT_EQ(disk.vendor, std::u16string(u"QEMU HARDDISK\0", 14));
  EXPECT_EQ(disk.portNumber, 2);
  EXPECT_EQ(disk.targetNumber, 3);
  EXPECT_EQ(disk.lunNumber, 4);
  EXPECT_EQ(disk.bytesPerTrack, 63U * 512U);
  EXPECT_EQ(disk.bytesPerCylinder, 255U * 63U * 512U);
  EXPECT_EQ(disk.dgid, std::nullopt);
  EXPECT_EQ(disk.dgName, std::nullopt);
  EXPECT_EQ(ToUtf8(*disk.devInstId).substr(0, 4), "\\\\?\\");
}

TEST(DescribeDisk, OnlyHealthyBasicDisksWith512OctetSectorsCanBecomeDynamic) {
  DeviceInfo device = SomeDevice();
  DiskLayout layout = MbrLayout();
  EXPECT_TRUE(DescribeDisk(device, 0, &layout).isUpgradeable);
  device.geometry.bytesPerSector = 4096;
  EXPECT_FALSE(DescribeDisk(device, 0, &layout).isUpgradeable);
  device = SomeDevice();
  layout.dynamic = true;
  EXPECT_FALSE(DescribeDisk(device, 0, &layout).isUpgradeable);
  EXPECT_EQ(DescribeDisk(device, 0, &layout).deviceType, std::uint32_t{DEVICETYPE_VM});
  layout = MbrLayout();
  layout.mbrSignature = 0;
  EXPECT_FALSE(DescribeDisk(device, 0, &layout).isUpgradeable);
  EXPECT_EQ(DescribeDisk(device, 0, &layout).deviceState, std::uint32_t{DEVICESTATE_NOSIG});
}

TEST(DescribeDisk, AnUnreadableDiskIsFailingAndADriveWithoutMediumSaysSo) {
  DeviceInfo device = SomeDevice();
  EXPECT_EQ(DescribeDisk(device, 0, nullptr).deviceState, std::uint32_t{DEVICESTATE_FAILING});
  device.kind = DeviceKind::kCdrom;
  device.mediaPresent = false;
  const DISK_INFO_EX drive = DescribeDisk(device, 0, nullptr);
  EXPECT_EQ(drive.deviceState, std::uint32_t{DEVICESTATE_NO_MEDIA});
  EXPECT_EQ(drive.deviceType, std::uint32_t{DEVICETYPE_CDROM});
  EXPECT_EQ(drive.name, std::u16string(u"\\device\\CdRom0\0", 15));
}

TEST(DescribeDisk, AReadOnlyDiskSaysSo) {
  DeviceInfo device = SomeDevice();
  const DiskLayout layout = MbrLayout();
  EXPECT_EQ(DescribeDisk(device, 0, &layout).attributes, std::uint32_t{DEVICEATTR_NONE});
  EXPECT_TRUE(DescribeDisk(device, 0, &layout).maySwitchStyle);
  device.readOnly = true;
  EXPECT_EQ(DescribeDisk(device, 0, &layout).attributes, std::uint32_t{DEVICEATTR_RDONLY});
  EXPECT_FALSE(DescribeDisk(device, 0, &layout).maySwitchStyle);
}

TEST(DescribeDisk, BusesWithoutAValueOfTheirOwnAreScsi) {
  EXPECT_EQ(BusType(BusKind::kAhci), std::uint32_t{BUSTYPE_IDE});
  EXPECT_EQ(BusType(BusKind::kVirtio), std::uint32_t{BUSTYPE_SCSI});
  EXPECT_EQ(BusType(BusKind::kNvme), std::uint32_t{BUSTYPE_SCSI});
  EXPECT_EQ(BusType(BusKind::kUsb), std::uint32_t{BUSTYPE_USB});
  EXPECT_EQ(BusType(BusKind::kFloppy), std::uint32_t{BUSTYPE_UNKNOWN});
}

TEST(DescribeRegion, TellsWhatTheSystemDoesWithIt) {
  PartitionUse use;
  EXPECT_EQ(DescribeRegion(SomeDevice(), MbrLayout(), Primary(), use).rflags, 0U);
  use.mountPoints = {"/mnt", "/"};
  use.swap = true;
  EXPECT_EQ(DescribeRegion(SomeDevice(), MbrLayout(), Primary(), use).rflags,
            std::uint32_t{REGION_IS_SYSTEM_PARTITION | REGION_HAS_PAGEFILE});
}

TEST(DescribeRegion, GptPartitionsHaveTypeIdentifierAttributesAndName) {
  DiskLayout layout;
  layout.style = PartitionStyle::kGpt;
  Region region = Primary();
  region.gptType = Guid::Random();
  region.gptId = Guid::Random();
  region.gptAttributes = std::uint64_t{1} << 62U;
  region.gptName = u"D\u00e4ta";
  const REGION_INFO_EX info = DescribeRegion(SomeDevice(), layout, region, {});
  EXPECT_FALSE(info.mbr.has_value());
  EXPECT_EQ(info.gpt->partitionType, region.gptType);
  EXPECT_EQ(info.gpt->partitionId, region.gptId);
  EXPECT_EQ(info.gpt->attributes, region.gptAttributes);
  EXPECT_EQ(info.name, std::u16string(u"D\u00e4ta\0", 5));
  EXPECT_EQ(info.rflags, std::uint32_t{REGION_HIDDEN});
}

TEST(DescribeRegion, AMediumWithoutATableIsOneRegionExceptOnHardDisks) {
  Region whole;
  whole.kind = RegionKind::kWhole;
  DeviceInfo device = SomeDevice();
  EXPECT_FALSE(IsShown(device, whole));
  device.kind = DeviceKind::kRemovableDisk;
  EXPECT_TRUE(IsShown(device, whole));
  EXPECT_EQ(DescribeRegion(device, {}, whole, {}).regionType, REGION_REMOVABLE);
  device.kind = DeviceKind::kDvd;
  EXPECT_EQ(DescribeRegion(device, {}, whole, {}).regionType, REGION_CDROM);
}

TEST(CanHoldFileSystem, ReservedPartitionsAndFreeSpaceCannot) {
  Region region = Primary();
  EXPECT_TRUE(CanHoldFileSystem(region));
  region.mbrType = 0x42;
  EXPECT_FALSE(CanHoldFileSystem(region));
  region = Primary();
  region.gptType = Guid::Parse("e3c9e316-0b5c-4db8-817d-f92df00215ae").value();
  EXPECT_FALSE(CanHoldFileSystem(region));
  region = Primary();
  region.kind = RegionKind::kExtended;
  EXPECT_FALSE(CanHoldFileSystem(region));
}

TEST(DescribeFileSystemObject, AnotherSerialNumberIsAnotherFileSystemAndALabelIsNot) {
  FileSystemDescription description;
  description.type = FileSystemType::kFat16;
  description.allocationUnitSize = 2048;
  description.totalAllocationUnits = 1000;
  const FileSystemObject object = DescribeFileSystemObject(description);
  EXPECT_EQ(object.info.fsType, FSTYPE_FAT);
  EXPECT_EQ(object.info.label, std::u16string(1, u'\0'));
  description.label = u"NEW";
  EXPECT_EQ(DescribeFileSystemObject(description).identity, object.identity);
  description.serialNumber = 0x1234ABCD;
  EXPECT_NE(DescribeFileSystemObject(description).identity, object.identity);
}

}  // namespace
}  // namespace dmrp::server
