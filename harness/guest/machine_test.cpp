#include "harness/guest/machine.hpp"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

Result<std::map<std::string, Machine, std::less<>>> Load(const std::string& text) {
  const auto file =
      std::filesystem::temp_directory_path() / ("machine-test-" + std::to_string(getpid()) + ".toml");
  std::ofstream(file) << text;
  auto machines = LoadMachines(file);
  std::filesystem::remove(file);
  return machines;
}

TEST(Machines, TheProjectsOwnFileDescribesEveryBus) {
  const auto machines = LoadMachines(DMRP_SOURCE_DIRECTORY "/vms/machines.toml");
  ASSERT_TRUE(machines.has_value()) << machines.error().message;
  const auto& pc = machines->at("pc");
  for (const auto bus :
       {DiskBus::kVirtioScsi, DiskBus::kUsb, DiskBus::kLsi, DiskBus::kNvme, DiskBus::kFloppy}) {
    EXPECT_TRUE(pc.buses.at(bus).hot_plug()) << Name(bus);
  }
  EXPECT_EQ(pc.buses.at(DiskBus::kFloppy).attach, BusAttach::kDrive);
  ASSERT_TRUE(pc.system_disk.has_value());
  EXPECT_EQ(pc.system_disk->spec.size, 47U << 20U);
  EXPECT_EQ(pc.buses.at(DiskBus::kIde).slots.size(), 4U);
  EXPECT_THAT(pc.buses.at(DiskBus::kAhci).drivers, testing::ElementsAre("ahci"));
}

TEST(Machines, AMissingKeyIsNamedWithItsTable) {
  const auto machines = Load("[small]\nemulator = \"qemu\"\n");
  ASSERT_FALSE(machines.has_value());
  EXPECT_EQ(machines.error().kind, ErrorKind::kMalformed);
  EXPECT_THAT(machines.error().message, HasSubstr("[small] machine"));
}

TEST(Machines, AnUnknownWayToAttachIsRefused) {
  const auto machines = Load(
      "[a]\nemulator = 'q'\nmachine = 'm'\ncpu = 'c'\nprocessors = 1\nmemory_mib = 1\n"
      "kernel_command_line = ''\ndevices = []\n[a.buses.nvme]\nattach = 'never'\ndevice = 'nvme'\n");
  ASSERT_FALSE(machines.has_value());
  EXPECT_THAT(machines.error().message, HasSubstr("[a.buses.nvme]"));
}

TEST(Machines, BrokenTomlNamesTheLine) {
  const auto machines = Load("[a]\nb = \n");
  ASSERT_FALSE(machines.has_value());
  EXPECT_THAT(machines.error().message, HasSubstr("line 2"));
}

}  // namespace
}  // namespace dmrp::harness
