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
  EXPECT_TRUE(pc.buses.at(DiskBus::kVirtioScsi).hot_plug);
  EXPECT_TRUE(pc.buses.at(DiskBus::kUsb).hot_plug);
  EXPECT_EQ(pc.buses.at(DiskBus::kIde).slots.size(), 4U);
  EXPECT_THAT(pc.buses.at(DiskBus::kAhci).drivers, testing::ElementsAre("ahci"));
}

TEST(Machines, AMissingKeyIsNamedWithItsTable) {
  const auto machines = Load("[small]\nemulator = \"qemu\"\n");
  ASSERT_FALSE(machines.has_value());
  EXPECT_EQ(machines.error().kind, ErrorKind::kMalformed);
  EXPECT_THAT(machines.error().message, HasSubstr("[small] machine"));
}

TEST(Machines, BrokenTomlNamesTheLine) {
  const auto machines = Load("[a]\nb = \n");
  ASSERT_FALSE(machines.has_value());
  EXPECT_THAT(machines.error().message, HasSubstr("line 2"));
}

}  // namespace
}  // namespace dmrp::harness
