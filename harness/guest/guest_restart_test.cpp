// Guests with a system disk, and what they find after they went down.
#include "harness/guest/guest_fixture.hpp"

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

class RestartedGuest : public GuestTest {
 protected:
  static GuestOptions WithSystemDisk() {
    auto options = Bare();
    options.system_disk = true;
    return options;
  }
};

constexpr const char* kConfig = "/system/WINNT/system32/config";

TEST_F(RestartedGuest, HasAnActiveNtfsPartitionMountedAtSystem) {
  Guest guest = Started(WithSystemDisk());
  ASSERT_TRUE(guest.system_disk().has_value());
  const std::string device = guest.system_disk()->guest_device;
  EXPECT_THAT(Shell(guest, "sfdisk -d /dev/" + device), HasSubstr("type=7, bootable"));
  EXPECT_THAT(Shell(guest, "mount"), HasSubstr("/dev/" + device + "1 on /system type fuseblk"));
  EXPECT_EQ(Shell(guest, std::string("ls -d ") + kConfig), std::string(kConfig) + "\n");
}

TEST_F(RestartedGuest, KeepsItsFilesDisksAndAddressThroughACleanRestart) {
  auto options = WithSystemDisk();
  options.disks = {Disk("size=16M,serial=KEPT")};
  Guest guest = Started(options);
  const std::string address = guest.address().host;
  Shell(guest, std::string("echo kept > ") + kConfig + "/system && echo lost > /tmp/file");
  Shell(guest, "printf here > /dev/" + guest.disks()[0].guest_device);
  const auto restarted = guest.Restart(RestartKind::kClean);
  ASSERT_TRUE(restarted.has_value()) << restarted.error().message;
  std::printf("up again after %.0f ms\n", static_cast<double>(guest.times().ready.count()) / 1000);
  EXPECT_EQ(Shell(guest, std::string("cat ") + kConfig + "/system"), "kept\n");
  EXPECT_EQ(Shell(guest, "cat /tmp/file 2>/dev/null; true"), "") << "memory does not outlive a restart";
  EXPECT_EQ(guest.address().host, address);
  ASSERT_EQ(guest.disks().size(), 2U);
  EXPECT_EQ(guest.disks()[0].id, "disk1");
  EXPECT_EQ(guest.disks()[0].image.spec.serial, "KEPT");
  EXPECT_EQ(Shell(guest, "head -c 4 /dev/" + guest.disks()[0].guest_device), "here");
}

TEST_F(RestartedGuest, KeepsWhatWasFlushedThroughAPowerCut) {
  Guest guest = Started(WithSystemDisk());
  Shell(guest, std::string("echo flushed > ") + kConfig + "/system && sync");
  const auto restarted = guest.Restart(RestartKind::kPowerCut);
  ASSERT_TRUE(restarted.has_value()) << restarted.error().message;
  EXPECT_EQ(Shell(guest, std::string("cat ") + kConfig + "/system"), "flushed\n");
}

TEST_F(RestartedGuest, TellsHowItWentDownByItself) {
  Guest guest = Started(WithSystemDisk());
  for (const auto& [command, reason] :
       {std::pair{"reboot -f", "guest-reset"}, {"poweroff -f", "guest-shutdown"}}) {
    Shell(guest, std::string("sync; ") + "(" + command + " >/dev/null 2>&1 &)");
    const auto ended = guest.WaitEnd(std::chrono::seconds(10));
    ASSERT_TRUE(ended.has_value()) << ended.error().message;
    EXPECT_EQ(*ended, reason);
    EXPECT_FALSE(guest.running());
    ASSERT_TRUE(guest.Restart(RestartKind::kClean).has_value());
  }
}

TEST_F(RestartedGuest, ServesAgain) {
  GuestOptions options;
  options.system_disk = true;
  Guest guest = Started(options);
  EXPECT_TRUE(guest.server_running());
  const auto restarted = guest.Restart(RestartKind::kClean);
  ASSERT_TRUE(restarted.has_value()) << restarted.error().message;
  EXPECT_TRUE(guest.server_running());
  const auto file = Shell(guest, "cat /proc/swaps");
  EXPECT_EQ(std::count(file.begin(), file.end(), '\n'), 1) << "no page file by itself";
}

TEST_F(RestartedGuest, CanUseAPartitionAsPageFile) {
  Guest guest = Started(WithSystemDisk());
  const std::string device = "/dev/" + guest.system_disk()->guest_device;
  Shell(guest, "echo 'start=80325, type=82' | sfdisk --quiet --append --no-reread --no-tell-kernel " +
                   device + " && partx --add --nr 2 " + device);
  EXPECT_THAT(Shell(guest, "ls " + device + "2"), HasSubstr(device + "2"));
  Shell(guest, "mkswap " + device + "2 && swapon " + device + "2");
  EXPECT_THAT(Shell(guest, "cat /proc/swaps"), HasSubstr(device + "2"));
}

TEST_F(RestartedGuest, WithoutASystemDiskIsRefused) {
  Guest guest = Started(Bare());
  const auto refused = guest.Restart(RestartKind::kClean);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace dmrp::harness
