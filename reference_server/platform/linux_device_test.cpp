#include "reference_server/platform/linux_device.hpp"

#include "reference_server/platform/device_scanner.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/loop_device_test_support.hpp"
#include "reference_server/platform/partition_use.hpp"

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

TEST_F(LoopDeviceTest, WritesThroughToTheMediumAndReadsUnalignedRanges) {
  auto device = OpenLinuxDevice(node_, {.writable = true});
  ASSERT_TRUE(device) << device.error().ToString();
  EXPECT_EQ((*device)->Geometry().sizeBytes, std::uint64_t{16} << 20);
  EXPECT_FALSE((*device)->ReadOnly());
  Bytes data(std::size_t{3} << 20);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i / 512 + i);
  ASSERT_TRUE((*device)->Write(4096, data));
  ASSERT_TRUE((*device)->Flush());
  EXPECT_EQ((*device)->Read(4096 + 100, 1000000).value(), Bytes(data.begin() + 100, data.begin() + 1000100));
  auto image = OpenImage(path_, {}, false);
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->Read(4096, data.size()).value(), data);
}

TEST_F(LoopDeviceTest, OpensReadOnlyAndSaysWhatIsMissing) {
  auto device = OpenLinuxDevice(node_);
  ASSERT_TRUE(device);
  EXPECT_TRUE((*device)->ReadOnly());
  EXPECT_EQ((*device)->Write(0, Bytes(512)).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(OpenLinuxDevice("/dev/no-such-disk").error().kind, ErrorKind::kUnavailable);
}

TEST_F(LoopDeviceTest, BringsTheKernelsPartitionsInLine) {
  if (!MayChangeKernelPartitions()) GTEST_SKIP() << "the kernel takes no partitions from us here";
  const std::vector<KernelPartition> two{{1, 32256, 1048576}, {3, 4194304, 2097152}};
  auto synced = SyncKernelPartitions(node_, name_, two);
  ASSERT_TRUE(synced) << synced.error().ToString();
  EXPECT_EQ(KernelPartitions(name_), two);
  EXPECT_EQ(PartitionNameAt(name_, 4194304).value(), name_ + "p3");

  const std::vector<KernelPartition> moved{{1, 32256, 2097152}};
  ASSERT_TRUE(SyncKernelPartitions(node_, name_, moved));
  EXPECT_EQ(KernelPartitions(name_), moved);
  ASSERT_TRUE(SyncKernelPartitions(node_, name_, {}));
  EXPECT_TRUE(KernelPartitions(name_).empty());
}

TEST_F(LoopDeviceTest, IsInspectedLikeAnyDisk) {
  DeviceScanner scanner({}, true);
  const auto device = scanner.Inspect(name_);
  ASSERT_TRUE(device);
  EXPECT_EQ(device->bus, BusKind::kLoop);
  EXPECT_EQ(device->geometry.sizeBytes, std::uint64_t{16} << 20);
  EXPECT_TRUE(device->mediaPresent);
}

}  // namespace
}  // namespace dmrp::server
