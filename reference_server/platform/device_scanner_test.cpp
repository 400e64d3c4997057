#include "reference_server/platform/device_scanner.hpp"

#include "reference_server/platform/fake_system_test_support.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

/// A PCI SCSI controller at 00:04.0 with host 2, and one disk on it as the kernel lays it out.
void AddScsiDisk(const FakeSystem& system, const std::string& name, const std::string& address) {
  const std::string pci = "sys/devices/pci0000:00/0000:00:04.0";
  const std::string scsi = fmt::format("{}/virtio1/host2/target{}/{}", pci, address.substr(0, 5), address);
  system.File(pci + "/vendor", "0x1af4\n");
  system.File(pci + "/device", "0x1048\n");
  if (!std::filesystem::exists(system.Path(pci + "/subsystem"))) {
    system.Link(pci + "/subsystem", "sys/bus/pci");
    system.File("sys/class/scsi_host/host2/proc_name", "virtio_scsi\n");
  }
  const std::string block = scsi + "/block/" + name;
  system.File(scsi + "/vendor", "ACME    \n");
  system.File(scsi + "/model", "Virtual DASD 9  \n");
  system.File(scsi + "/rev", "A1b2\n");
  system.File(scsi + "/type", "0\n");
  system.File(scsi + "/vpd_pg80", std::string("\0\x80\0\x07SN-0001", 11));
  system.File(block + "/size", "204800\n");
  system.File(block + "/ro", "1\n");
  system.File(block + "/removable", "0\n");
  system.File(block + "/diskseq", "9\n");
  system.File(block + "/queue/logical_block_size", "512\n");
  system.File(block + "/queue/physical_block_size", "4096\n");
  system.Link(block + "/device", scsi);
  system.Link("sys/block/" + name, block);
}

TEST(DeviceScanner, ReadsIdentityAndAddressOfAScsiDisk) {
  const FakeSystem system;
  AddScsiDisk(system, "sda", "2:0:3:1");
  DeviceScanner scanner(system.Roots());
  const auto devices = scanner.Scan();
  ASSERT_EQ(devices.size(), 1U);
  const DeviceInfo& disk = devices[0];
  EXPECT_EQ(disk.name, "sda");
  EXPECT_EQ(disk.kind, DeviceKind::kDisk);
  EXPECT_EQ(disk.bus, BusKind::kScsi);
  EXPECT_EQ(disk.address, (ScsiAddress{2, 0, 3, 1}));
  EXPECT_EQ(disk.geometry.sizeBytes, 204800U * 512);
  EXPECT_EQ(disk.physicalSectorSize, 4096U);
  EXPECT_TRUE(disk.readOnly);
  EXPECT_EQ(disk.diskSequence, 9U);
  EXPECT_EQ(disk.friendlyName, "ACME Virtual DASD 9");
  EXPECT_EQ(disk.serial, "SN-0001");
  EXPECT_EQ(disk.adapterName, "virtio_scsi (PCI 1af4:1048)");
  EXPECT_THAT(disk.instanceId, testing::MatchesRegex(
                                   R"(SCSI\\DISK&VEN_ACME&PROD_VIRTUAL_DASD_9&REV_A1B2\\5&[0-9A-F]+&0&031)"));
  EXPECT_THAT(
      disk.InterfacePath(),
      testing::MatchesRegex(R"(\\\\\?\\scsi#disk&ven_acme&prod_virtual_dasd_9&rev_a1b2#5&[0-9a-f]+&0&031#)"
                            R"(\{53f56307-b6bf-11d0-94f2-00a0c91efb8b\})"));
}

// The kernel takes attributes away before the names, in that order.
TEST(DeviceScanner, DoesNotTellOfADiskThatIsBeingRemoved) {
  const FakeSystem system;
  AddScsiDisk(system, "sda", "2:0:3:1");
  AddScsiDisk(system, "sdb", "2:0:4:0");
  AddScsiDisk(system, "sdc", "2:0:5:0");
  std::filesystem::remove(system.Path("sys/block/sda/device/vendor"));
  std::filesystem::remove(system.Path("sys/block/sdb/size"));
  const auto devices = DeviceScanner(system.Roots()).Scan();
  ASSERT_EQ(devices.size(), 1U);
  EXPECT_EQ(devices[0].name, "sdc");
}

TEST(DeviceScanner, OrdersByAddressAndGivesEachItsOwnPath) {
  const FakeSystem system;
  AddScsiDisk(system, "sda", "2:0:9:0");
  AddScsiDisk(system, "sdb", "2:0:0:1");
  AddScsiDisk(system, "sdaa", "2:0:0:0");
  system.File("sys/block/loop0/size", "100\n");
  system.File("sys/block/dm-0/size", "100\n");
  system.File("sys/block/ram0/size", "100\n");
  DeviceScanner scanner(system.Roots());
  const auto devices = scanner.Scan();
  std::vector<std::string> names;
  std::vector<std::string> paths;
  for (const DeviceInfo& device : devices) {
    names.push_back(device.name);
    paths.push_back(device.InterfacePath());
  }
  EXPECT_THAT(names, testing::ElementsAre("sdaa", "sdb", "sda"));
  std::ranges::sort(paths);
  EXPECT_TRUE(std::ranges::adjacent_find(paths) == paths.end());
}

TEST(DeviceScanner, TellsBusesByWhereTheDeviceHangs) {
  const FakeSystem system;
  const auto add = [&](const std::string& name, const std::string& real) {
    system.File(real + "/size", "2048\n");
    if (name.starts_with("sd")) system.File(real + "/device/vendor", "ACME\n");
    system.Link("sys/block/" + name, real);
  };
  add("vda", "sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda");
  add("nvme1n2", "sys/devices/pci0000:00/0000:00:06.0/nvme/nvme1/nvme1n2");
  add("sdc", "sys/devices/pci0000:00/0000:00:07.0/usb1/1-1/1-1:1.0/host5/target5:0:0/5:0:0:0/block/sdc");
  add("sdd", "sys/devices/pci0000:00/0000:00:01.1/ata1/host0/target0:0:0/0:0:0:0/block/sdd");
  add("fd0", "sys/devices/platform/floppy.0/block/fd0");
  DeviceScanner scanner(system.Roots());
  EXPECT_EQ(scanner.Inspect("vda")->bus, BusKind::kVirtio);
  EXPECT_EQ(scanner.Inspect("nvme1n2")->bus, BusKind::kNvme);
  EXPECT_EQ(scanner.Inspect("nvme1n2")->address, (ScsiAddress{1, 0, 0, 1}));
  EXPECT_EQ(scanner.Inspect("sdc")->bus, BusKind::kUsb);
  EXPECT_EQ(scanner.Inspect("sdd")->bus, BusKind::kIde);
  EXPECT_EQ(scanner.Inspect("fd0")->kind, DeviceKind::kFloppy);
  EXPECT_EQ(scanner.Inspect("sdz").error().kind, ErrorKind::kUnavailable);
}

TEST(RescanBuses, WritesTheWildcardIntoEveryHost) {
  const FakeSystem system;
  system.File("sys/class/scsi_host/host0/scan", "");
  system.File("sys/class/scsi_host/host7/scan", "");
  system.File("sys/bus/pci/rescan", "");
  ASSERT_TRUE(RescanBuses(system.Roots()));
  EXPECT_EQ(ReadAttribute(system.Path("sys/class/scsi_host/host0/scan")), "- - -");
  EXPECT_EQ(ReadAttribute(system.Path("sys/class/scsi_host/host7/scan")), "- - -");
  EXPECT_EQ(ReadAttribute(system.Path("sys/bus/pci/rescan")), "1");
}

}  // namespace
}  // namespace dmrp::server
