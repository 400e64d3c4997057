#include "reference_server/platform/shutdown.hpp"

#include "reference_server/platform/fake_system_test_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

class ShutdownTest : public testing::Test {
 protected:
  FakeSystem system_;
};

TEST_F(ShutdownTest, FindsMountsOfBlockDevicesInnermostFirst) {
  system_.File("proc/self/mounts",
               "proc /proc proc rw 0 0\n/dev/sda1 /mnt/data vfat rw 0 0\ntmpfs /run tmpfs rw 0 0\n"
               "/dev/sdb1 /mnt/data/in\\040side fuseblk rw 0 0\n");
  EXPECT_THAT(BlockMountPoints(system_.Roots()), testing::ElementsAre("/mnt/data/in side", "/mnt/data"));
}

TEST_F(ShutdownTest, WithoutATableNothingIsMounted) {
  EXPECT_THAT(BlockMountPoints(system_.Roots()), testing::IsEmpty());
}

}  // namespace
}  // namespace dmrp::server
