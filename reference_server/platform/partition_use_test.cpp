#include "reference_server/platform/partition_use.hpp"

#include "reference_server/platform/fake_system_test_support.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

class PartitionUseTest : public testing::Test {
 protected:
  PartitionUseTest() {
    system_.File("sys/class/block/sda3/dev", "8:3\n");
    std::filesystem::create_directories(system_.Path("sys/class/block/sda3/holders"));
    system_.File("sys/block/sda/sda3/partition", "3\n");
    system_.File("sys/block/sda/sda3/start", "63\n");
    system_.File("proc/swaps", "Filename Type Size Used Priority\n");
  }
  std::string Node() const { return system_.Path("dev/sda3").string(); }
  PartitionUse Use() const {
    auto use = FindUse("sda3", system_.Roots());
    EXPECT_TRUE(use);
    return use.value_or(PartitionUse{});
  }
  FakeSystem system_;
};

TEST_F(PartitionUseTest, FindsPartitionsByTheirStart) {
  EXPECT_EQ(PartitionNameAt("sda", 63 * 512, system_.Roots()).value(), "sda3");
  EXPECT_EQ(PartitionNameAt("sda", 0, system_.Roots()).value(), "sda");
  EXPECT_EQ(PartitionNameAt("sda", 512, system_.Roots()).error().kind, ErrorKind::kUnavailable);
}

TEST_F(PartitionUseTest, IsUnusedWithoutAnyUser) {
  EXPECT_FALSE(Use().InUse());
  EXPECT_EQ(Use().ToString(), "");
  EXPECT_EQ(FindUse("sdq", system_.Roots()).error().kind, ErrorKind::kUnavailable);
}

TEST_F(PartitionUseTest, SeesMountsByDeviceNumberAndBySource) {
  system_.File("proc/self/mountinfo",
               fmt::format("22 1 0:20 / /sys rw - sysfs sysfs rw\n"
                           "30 1 8:3 / /mnt/with\\040blank rw,relatime shared:1 - ext4 /dev/root rw\n"
                           "31 1 0:44 / /mnt/fuse rw - fuseblk {} rw\n",
                           Node()));
  EXPECT_THAT(Use().mountPoints, testing::ElementsAre("/mnt/with blank", "/mnt/fuse"));
  EXPECT_TRUE(Use().InUse());
}

TEST_F(PartitionUseTest, SeesSwapHoldersAndOpenFiles) {
  system_.File("proc/swaps",
               fmt::format("Filename Type Size Used Priority\n{}\tpartition\t1\t0\t-2\n", Node()));
  EXPECT_TRUE(Use().swap);
  std::filesystem::create_directories(system_.Path("sys/class/block/sda3/holders/dm-0"));
  EXPECT_THAT(Use().holders, testing::ElementsAre("dm-0"));
  std::filesystem::create_directories(system_.Path("proc/4242/fd"));
  std::filesystem::create_symlink(Node(), system_.Path("proc/4242/fd/3"));
  EXPECT_THAT(Use().processes, testing::ElementsAre(4242));
  EXPECT_EQ(Use().ToString(), "used as swap; held by dm-0; open in process 4242");
}

}  // namespace
}  // namespace dmrp::server
