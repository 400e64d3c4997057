// Mounted file systems taken by force: on real mounts of a loop device, where the machine lets us make them.
#include "reference_server/platform/forced_unmount.hpp"

#include "reference_server/platform/loop_device_test_support.hpp"
#include "reference_server/platform/partition_use.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr std::byte kPattern{0xA5};

class ForcedUnmount : public LoopDeviceTest {
 protected:
  void TearDown() override {
    if (holder_ > 0) {
      ::kill(holder_, SIGKILL);
      ::waitpid(holder_, nullptr, 0);
    }
    if (!point_.empty()) {
      ::umount2(point_.c_str(), MNT_DETACH);
      std::filesystem::remove(point_);
    }
    LoopDeviceTest::TearDown();
  }
  static bool Run(const std::string& command) {
    return std::system(("(" + command + ") >/dev/null 2>&1").c_str()) == 0;
  }

  /// Makes a file system and mounts it for writing; false where this machine cannot.
  bool Mount(const std::string& make, const std::string& mount) {
    if (IsSkipped()) return false;
    EXPECT_TRUE(Run(make + " " + node_));
    point_ = (std::filesystem::temp_directory_path() / ("forced_unmount." + name_)).string();
    std::filesystem::create_directories(point_);
    return Run(mount + " " + node_ + " " + point_);
  }
  bool MountExt4() { return Mount("mkfs.ext4 -q -F", "mount -t ext4"); }

  /// A process that runs `hold` and then waits for its end.
  template <typename Hold>
  void Start(Hold hold) {
    std::array<int, 2> ready{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    holder_ = ::fork();
    ASSERT_GE(holder_, 0);
    if (holder_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(loop_.Get());
      const bool held = hold();
      (void)!::write(ready[1], held ? "y" : "n", 1);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char answer = 0;
    EXPECT_EQ(::read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    ::close(ready[0]);
  }
  /// Opens a file and writes to it without having it reach the disk.
  void StartWriter(int flags = O_RDWR | O_CREAT) {
    Start([this, flags] {
      const int fd = ::open((point_ + "/file").c_str(), flags, 0600);
      const std::string text(100'000, 'x');
      return fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    });
  }
  bool HolderIsAlive() { return ::waitpid(holder_, nullptr, WNOHANG) == 0; }
  void EndHolder() {
    ::kill(holder_, SIGKILL);
    ::waitpid(holder_, nullptr, 0);
    holder_ = 0;
  }

  /// Overwrites the device as a format does, and says whether all of it stays once everybody is gone.
  bool WhatIsWrittenNowStays(const std::function<void()>& let_go) {
    auto device = OpenLinuxDevice(node_, {.writable = true});
    EXPECT_TRUE(device);
    const std::size_t size = (*device)->Geometry().sizeBytes;
    const Bytes pattern(size, kPattern);
    EXPECT_TRUE((*device)->Write(0, pattern));
    EXPECT_TRUE((*device)->Flush());
    let_go();
    EXPECT_EQ(::fsync(loop_.Get()), 0);
    Bytes now(size);
    const FileDescriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(::pread(file.Get(), now.data(), size, 0), static_cast<ssize_t>(size));
    return now == pattern;
  }

  std::string point_;
  pid_t holder_ = 0;
};

TEST_F(ForcedUnmount, AMountThatNobodyUsesEnds) {
  if (!MountExt4()) GTEST_SKIP() << "no ext4 mounts here";
  const auto left = ReleaseByForce(name_);
  ASSERT_TRUE(left) << left.error().ToString();
  EXPECT_TRUE(left->mountPoints.empty());
  EXPECT_TRUE(WhatIsWrittenNowStays([] {}));
}

TEST_F(ForcedUnmount, TheOldDriverWritesNothingOverWhatComesLater) {
  if (!MountExt4()) GTEST_SKIP() << "no ext4 mounts here";
  StartWriter();
  ASSERT_TRUE(ReleaseByForce(name_));
  EXPECT_TRUE(FindUse(name_)->mountPoints.empty());
  EXPECT_TRUE(WhatIsWrittenNowStays([&] { EndHolder(); }));
}

TEST_F(ForcedUnmount, WhoOnlyReadsGoesOnReading) {
  if (!MountExt4()) GTEST_SKIP() << "no ext4 mounts here";
  ASSERT_TRUE(Run("echo precious > " + point_ + "/file"));
  const FileDescriptor file(::open((point_ + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  Start([this] { return ::chdir(point_.c_str()) == 0; });
  ASSERT_TRUE(ReleaseByForce(name_));
  EXPECT_TRUE(HolderIsAlive());
  std::string text(9, '\0');
  EXPECT_EQ(::pread(file.Get(), text.data(), text.size(), 0), 9);
  EXPECT_EQ(text, "precious\n");
  EXPECT_TRUE(WhatIsWrittenNowStays([&] { EndHolder(); }));
}

TEST_F(ForcedUnmount, WhoMapsAFileForWritingIsEnded) {
  if (!MountExt4()) GTEST_SKIP() << "no ext4 mounts here";
  ASSERT_TRUE(Run("head -c 65536 /dev/zero > " + point_ + "/file"));
  Start([this] {
    const int fd = ::open((point_ + "/file").c_str(), O_RDWR);
    void* map = ::mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (map == MAP_FAILED) return false;
    static_cast<char*>(map)[1] = 'x';
    return true;
  });
  ASSERT_TRUE(ReleaseByForce(name_));
  EXPECT_FALSE(HolderIsAlive());
  holder_ = 0;
  EXPECT_TRUE(WhatIsWrittenNowStays([] {}));
}

TEST_F(ForcedUnmount, WhatCannotBeTakenStaysMounted) {
  if (!MountExt4()) GTEST_SKIP() << "no ext4 mounts here";
  ASSERT_TRUE(Run("head -c 1048576 /dev/zero > " + point_ + "/image"));
  const FileDescriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  const int number = ::ioctl(control.Get(), LOOP_CTL_GET_FREE);
  FileDescriptor inner(::open(fmt::format("/dev/loop{}", number).c_str(), O_RDWR | O_CLOEXEC));
  FileDescriptor image(::open((point_ + "/image").c_str(), O_RDWR | O_CLOEXEC));
  if (::ioctl(inner.Get(), LOOP_SET_FD, image.Get()) != 0) GTEST_SKIP() << "no second loop device";
  image = {};
  const auto released = ReleaseByForce(name_);
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(FindUse(name_)->mountPoints.size(), 1U);
  EXPECT_EQ(::ioctl(inner.Get(), LOOP_CLR_FD), 0);
}

TEST_F(ForcedUnmount, AFileSystemInUserSpaceEndsWithItsProgram) {
  if (!Mount("mkntfs -F -Q", "ntfs-3g")) GTEST_SKIP() << "no ntfs-3g mounts here";
  StartWriter();
  const auto left = ReleaseByForce(name_);
  ASSERT_TRUE(left) << left.error().ToString();
  EXPECT_TRUE(left->mountPoints.empty());
  EXPECT_TRUE(left->processes.empty()) << left->ToString();
  EXPECT_TRUE(WhatIsWrittenNowStays([&] { EndHolder(); }));
}

}  // namespace
}  // namespace dmrp::server
