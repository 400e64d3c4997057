#include "reference_server/methods/linux_disk_source.hpp"

#include "reference_server/platform/fake_system_test_support.hpp"

#include <chrono>

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kStart = 2048 * 512;

// A machine with disk sda, which has one partition.
class LinuxDiskSourceTest : public testing::Test {
 protected:
  LinuxDiskSourceTest() : source(system.Roots()) {
    system.File("sys/block/sda/sda1/partition", "1\n");
    system.File("sys/block/sda/sda1/start", "2048\n");
    device.name = "sda";
  }

  FakeSystem system;
  LinuxDiskSource source;
  DeviceInfo device;
};

TEST_F(LinuxDiskSourceTest, FindsMountsAndSwapOfAPartition) {
  system.File("proc/self/mounts",
              "/dev/sda2 /mnt/other ext4 rw 0 0\n/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n");
  system.File("proc/swaps", "Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n");
  const PartitionUse use = source.Mounts(device, kStart);
  EXPECT_EQ(use.mountPoints, std::vector<std::string>{"/"});
  EXPECT_TRUE(use.swap);
}

TEST_F(LinuxDiskSourceTest, APartitionThatNobodyMountedHasNone) {
  system.File("proc/self/mounts", "/dev/sda11 /mnt ext4 rw 0 0\n");
  system.File("proc/swaps", "Filename Type Size Used Priority\n");
  EXPECT_FALSE(source.Mounts(device, kStart).InUse());
  EXPECT_FALSE(source.Mounts(device, kStart + 512).InUse());
}

TEST_F(LinuxDiskSourceTest, APartitionThatTheKernelDoesNotKnowIsNotInUse) {
  const auto use = source.Use(device, kStart + 512);
  ASSERT_TRUE(use.has_value());
  EXPECT_FALSE(use->InUse());
}

TEST_F(LinuxDiskSourceTest, ARescanWaitsForDisksThatAreBeingProbedButNotForEver) {
  system.File("sys/class/scsi_host/host0/scan", "");
  system.File("sys/bus/scsi/devices/0:0:0:0/type", "0\n");
  system.File("sys/bus/scsi/devices/host0/unused", "");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(source.RescanBuses().has_value());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));

  system.File("sys/bus/scsi/devices/0:0:0:0/block/sda/size", "1\n");
  const auto again = std::chrono::steady_clock::now();
  EXPECT_TRUE(source.RescanBuses().has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - again, std::chrono::seconds(2));
}

}  // namespace
}  // namespace dmrp::server
