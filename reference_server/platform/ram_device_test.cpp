#include "reference_server/platform/ram_device.hpp"

#include "reference_server/platform/linux_device.hpp"

#include <array>
#include <cstddef>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

TEST(RamDeviceTest, HoldsWhatIsWrittenAndGoesWithItsLastUser) {
  auto made = RamDevice::Make(65536);
  if (!made) GTEST_SKIP() << "no loop device here: " << made.error().ToString();
  const std::filesystem::path node = made->Node();
  const std::filesystem::path backing = "/sys/block" / node.filename() / "loop" / "backing_file";
  auto user = OpenLinuxDevice(node, {.writable = true, .geometry = {}});
  ASSERT_TRUE(user) << user.error().ToString();
  EXPECT_EQ((*user)->Geometry().sizeBytes, 65536U);
  std::array<std::byte, 512> octets{};
  ASSERT_TRUE((*user)->Read(4096, octets));
  EXPECT_EQ(octets[7], std::byte{0});
  octets.fill(std::byte{0x5A});
  ASSERT_TRUE((*user)->Write(4096, octets));
  {
    const RamDevice gone = std::move(*made);
  }
  EXPECT_TRUE(std::filesystem::exists(backing)) << "it is still open";
  octets.fill(std::byte{0});
  ASSERT_TRUE((*user)->Read(4096, octets));
  EXPECT_EQ(octets[511], std::byte{0x5A});
  user->reset();
  EXPECT_FALSE(std::filesystem::exists(backing));
}

TEST(RamDeviceTest, ComesAsOftenAsAskedFor) {
  auto first = RamDevice::Make(65536);
  if (!first) GTEST_SKIP() << "no loop device here: " << first.error().ToString();
  const auto second = RamDevice::Make(65536);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_NE(first->Node(), second->Node());
}

}  // namespace
}  // namespace dmrp::server
