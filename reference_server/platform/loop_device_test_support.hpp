// A test fixture with a real block device: a loop device on an image file, where the machine lets us make
// one (root, /dev/loop-control); its tests are skipped elsewhere.
#pragma once

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/linux_device.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

namespace dmrp::server {

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
  /// Whether we may tell the kernel about partitions. Root of a user namespace, where ci/test runs, may not.
  bool MayChangeKernelPartitions() const {
    const auto added = SyncKernelPartitions(node_, name_, {{1, 32256, 1048576}});
    if (!added) return added.error().status != EACCES && added.error().status != EPERM;
    return SyncKernelPartitions(node_, name_, {}).has_value();
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

}  // namespace dmrp::server
