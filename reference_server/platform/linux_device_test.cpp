// Against a real block device: a loop device on an image, where the machine lets us make one.
#include "reference_server/platform/linux_device.hpp"

#include "reference_server/platform/device_scanner.hpp"
#include "reference_server/platform/file_descriptor.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/partition_use.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

namespace dmrp::server {
namespace {

class LoopDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / fmt::format("linux_device_test.{}", ::getpid());
    ASSERT_TRUE(CreateImage(path_, {.sizeBytes = std::uint64_t{16} << 20}));
    const FileDescriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    const int number = control ? ::ioctl(control.Get(), LOOP_CTL_GET_FREE) : -1;
    if (number < 0) GTEST_SKIP() << "no loop device here: " << std::strerror(errno);
    name_ = fmt::format("loop{}", number);
    node_ = "/dev/" + name_;
    const FileDescriptor file(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    loop_ = FileDescriptor(::open(node_.c_str(), O_RDWR | O_CLOEXEC));
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(file.Get());
    config.info.lo_flags = LO_FLAGS_PARTSCAN;
    if (!loop_ || ::ioctl(loop_.Get(), LOOP_CONFIGURE, &config) != 0) {
      const int error = errno;
      loop_ = {};
      GTEST_SKIP() << "no loop device here: " << std::strerror(error);
    }
  }
  void TearDown() override {
    if (loop_) ::ioctl(loop_.Get(), LOOP_CLR_FD);
    std::filesystem::remove(path_);
  }

  std::filesystem::path path_;
  std::string name_;
  std::string node_;
  FileDescriptor loop_;
};

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
