// Tests that boot real guests. They print what starting took.
#include "harness/guest/guest_fixture.hpp"
#include "harness/guest/held_file.hpp"

#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <future>
#include <optional>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

TEST_F(GuestTest, ACloneAnswersThroughItsAgent) {
  Guest guest = Started(Bare());
  EXPECT_THAT(Shell(guest, "uname -s"), HasSubstr("Linux"));
  EXPECT_LT(guest.times().agent, std::chrono::seconds(2));
}

TEST_F(GuestTest, ACloneHasItsOwnAddressAndTheHostsClock) {
  Guest guest = Started(Bare());
  EXPECT_THAT(Shell(guest, "ip addr show eth0"), HasSubstr(guest.address().guest_address));
  EXPECT_THAT(Shell(guest, "ip route"), HasSubstr("default via " + guest.address().gateway));
  const auto guest_time = std::stoll(Shell(guest, "date +%s"));
  EXPECT_NEAR(static_cast<double>(guest_time), static_cast<double>(std::time(nullptr)), 2);
}

TEST_F(GuestTest, TwoClonesAreIsolatedAndDifferInTheirRandomNumbers) {
  Guest first = Started(Bare());
  Guest second = Started(Bare());
  EXPECT_NE(first.address().host, second.address().host);
  Shell(first, "echo one > /tmp/mark");
  EXPECT_EQ(Shell(second, "cat /tmp/mark 2>/dev/null; true"), "");
  EXPECT_NE(Shell(first, "head -c 16 /dev/urandom | hexdump"),
            Shell(second, "head -c 16 /dev/urandom | hexdump"));
}

TEST_F(GuestTest, AFileIsHeldUntilItIsReleased) {
  Guest guest = Started(Bare());
  Shell(guest, "mkdir -p /tmp/mounted && mount -t tmpfs none /tmp/mounted && echo x > /tmp/mounted/file");
  const auto unmounted = [&] { return guest.agent().Exec({"umount", "/tmp/mounted"})->status == 0; };
  for (const auto& [path, use] : {std::pair{"/tmp/mounted/file", HeldFile::Use::kRead},
                                  {"/tmp/mounted/new", HeldFile::Use::kReadWrite},
                                  {"/tmp/mounted", HeldFile::Use::kFolder}}) {
    auto held = HeldFile::Hold(guest.agent(), path, use);
    ASSERT_TRUE(held.has_value()) << held.error().message;
    EXPECT_FALSE(unmounted()) << path;
    EXPECT_TRUE(held->Release().has_value());
  }
  EXPECT_TRUE(unmounted());
  EXPECT_FALSE(HeldFile::Hold(guest.agent(), "/no/such/file").has_value());
}

TEST_F(GuestTest, AHotPluggedDiskIsSeenAndGoesAgain) {
  Guest guest = Started(Bare());
  const auto image = Disk("size=64M,serial=HOTPLUG1");
  const auto disk = guest.AttachDisk(image);
  ASSERT_TRUE(disk.has_value()) << disk.error().message;
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + disk->guest_device + "/size"), "131072\n");
  EXPECT_EQ(guest.disks().size(), 1U);
  ASSERT_TRUE(guest.DetachDisk(disk->id).has_value());
  EXPECT_EQ(Shell(guest, "ls /sys/block | grep -c ^sd || true"), "0\n");
  EXPECT_TRUE(guest.disks().empty());
}

TEST_F(GuestTest, SectorSizesReachTheGuest) {
  Guest guest = Started(Bare());
  const auto native = guest.AttachDisk(Disk("size=64M,sector=4096"));
  const auto emulated = guest.AttachDisk(Disk("size=64M,sector=512/4096"));
  const auto usb = guest.AttachDisk(Disk("size=64M,sector=4096,bus=usb"));
  ASSERT_TRUE(native && emulated && usb);
  const auto queue = [&](const AttachedDisk& disk, const std::string& name) {
    return Shell(guest, "cat /sys/block/" + disk.guest_device + "/queue/" + name);
  };
  EXPECT_EQ(queue(*native, "logical_block_size"), "4096\n");
  EXPECT_EQ(queue(*emulated, "logical_block_size"), "512\n");
  EXPECT_EQ(queue(*emulated, "physical_block_size"), "4096\n");
  EXPECT_EQ(queue(*usb, "logical_block_size"), "4096\n");
}

TEST_F(GuestTest, AReadOnlyDiskRefusesWrites) {
  Guest guest = Started(Bare());
  const auto disk = guest.AttachDisk(Disk("size=8M,read-only=yes"));
  ASSERT_TRUE(disk.has_value()) << disk.error().message;
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + disk->guest_device + "/ro"), "1\n");
}

TEST_F(GuestTest, AUsbDiskIsSeenAndGoesAgain) {
  Guest guest = Started(Bare());
  const auto disk = guest.AttachDisk(Disk("size=64M,bus=usb,serial=USB1"));
  ASSERT_TRUE(disk.has_value()) << disk.error().message;
  EXPECT_THAT(Shell(guest, "readlink /sys/block/" + disk->guest_device), HasSubstr("usb"));
  ASSERT_TRUE(guest.DetachDisk(disk->id).has_value());
  EXPECT_EQ(Shell(guest, "ls /sys/block | grep -c ^sd || true"), "0\n");
}

TEST_F(GuestTest, IdeAndAhciDisksComeWithTheClone) {
  auto options = Bare();
  options.disks = {Disk("size=64M,bus=ide,serial=IDE1,label=mbr"), Disk("size=32M,bus=ide,serial=IDE2"),
                   Disk("size=16M,bus=ahci,serial=SATA1"), Disk("size=8M,serial=SCSI1")};
  Guest guest = Started(options);
  const auto disks = guest.disks();
  ASSERT_EQ(disks.size(), 4U);
  for (const auto& disk : disks) {
    EXPECT_EQ(Shell(guest, "cat /sys/block/" + disk.guest_device + "/size"),
              std::to_string(disk.image.spec.size / 512) + "\n")
        << disk.id << " " << disk.guest_device;
  }
  const auto refused = guest.AttachDisk(Disk("size=8M,bus=ide"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
}

TEST_F(GuestTest, TheGeometryInTheTableIsTheGuestsGeometry) {
  Guest guest = Started(Bare());
  const auto disk = guest.AttachDisk(Disk("size=100M,label=mbr,geometry=15/17"));
  ASSERT_TRUE(disk.has_value()) << disk.error().message;
  const auto shown = Shell(guest, "sfdisk -g /dev/" + disk->guest_device);
  EXPECT_THAT(shown, HasSubstr("15 heads, 17 sectors/track"));
}

TEST_F(GuestTest, FrozenImagesStandStillWhileTheGuestWritesOn) {
  Guest guest = Started(Bare());
  const auto image = Disk("size=16M");
  const auto disk = guest.AttachDisk(image);
  ASSERT_TRUE(disk.has_value());
  const auto read = [&] {
    std::ifstream file(image.path, std::ios::binary);
    std::string text(5, '\0');
    file.read(text.data(), 5);
    return text;
  };
  const std::string device = "/dev/" + disk->guest_device;
  Shell(guest, "printf first > " + device);
  const auto frozen = guest.FreezeDisks();
  ASSERT_TRUE(frozen.has_value()) << frozen.error().message;
  ASSERT_EQ(frozen->size(), 1U);
  EXPECT_EQ(frozen->front().path, image.path);
  EXPECT_EQ(read(), "first");
  Shell(guest, "printf later > " + device + " && sync");
  EXPECT_EQ(read(), "first");
  EXPECT_FALSE(guest.FreezeDisks().has_value());
  ASSERT_TRUE(guest.ThawDisks().has_value());
  EXPECT_EQ(read(), "later");
  ASSERT_TRUE(guest.FreezeDisks().has_value()) << "a second freeze after the thaw";
  ASSERT_TRUE(guest.ThawDisks().has_value());
  EXPECT_TRUE(guest.DetachDisk(disk->id).has_value());
}

TEST_F(GuestTest, AFaultFailsItsSectorAlone) {
  Guest guest = Started(Bare());
  const auto disk = guest.AttachDisk(Disk("size=16M"));
  ASSERT_TRUE(disk.has_value());
  ASSERT_TRUE(guest.SetFaults(disk->id, {{.on_read = true, .sector = 1000}}).has_value());
  const auto read = [&](int sector) {
    auto done = guest.agent().Exec(
        {"sh", "-c",
         "dd if=/dev/" + disk->guest_device +
             " of=/dev/null bs=512 count=1 iflag=direct skip=" + std::to_string(sector) + " 2>&1"});
    return done && done->status == 0;
  };
  EXPECT_FALSE(read(1000));
  EXPECT_TRUE(read(999));
  ASSERT_TRUE(guest.ClearFaults(disk->id).has_value());
  EXPECT_TRUE(read(1000));
}

TEST_F(GuestTest, APausedGuestDoesNotAnswerUntilItIsResumed) {
  Guest guest = Started(Bare());
  ASSERT_TRUE(guest.Pause().has_value());
  const auto silent = guest.agent().Ping(std::chrono::milliseconds(200));
  ASSERT_FALSE(silent.has_value());
  EXPECT_EQ(silent.error().kind, ErrorKind::kTimeout);
  ASSERT_TRUE(guest.Resume().has_value());
  EXPECT_TRUE(guest.agent().Ping().has_value());
}

TEST_F(GuestTest, APowerCutEndsTheGuestAndIsReportedPlainly) {
  Guest guest = Started(Bare());
  guest.PowerCut();
  EXPECT_FALSE(guest.running());
  const auto gone = guest.agent().Ping();
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().kind, ErrorKind::kUnavailable);
  const auto refused = guest.AttachDisk(Disk("size=8M"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
}

TEST_F(GuestTest, ACaptureHoldsFrames) {
  Guest guest = Started(Bare());
  const auto file = factory_->directory() / "frames.pcap";
  ASSERT_TRUE(guest.StartCapture(file).has_value());
  Shell(guest, "ping -c 1 -W 2 " + guest.address().gateway);
  ASSERT_TRUE(guest.StopCapture().has_value());
  EXPECT_GT(std::filesystem::file_size(file), 24U + 2 * (16 + 42)) << "header and at least two frames";
}

// With the server of this build in the image.
TEST_F(GuestTest, TheServerAnswersOnPort135AndCanBeRestarted) {
  GuestOptions options;
  options.disks = {Disk("size=64M,label=mbr")};
  Guest guest = Started(options);
  EXPECT_TRUE(guest.server_running());
  const auto log = guest.ServerLog();
  ASSERT_TRUE(log.has_value());
  EXPECT_THAT(*log, HasSubstr("ready resolver="));
  const auto ended = guest.StopServer();
  ASSERT_TRUE(ended.has_value()) << ended.error().message;
  EXPECT_EQ(*ended, 0) << *guest.ServerLog();
  EXPECT_FALSE(guest.server_running());
  const auto again = guest.StartServer();
  EXPECT_TRUE(again.has_value()) << again.error().message;
}

TEST_F(GuestTest, AServerThatCannotStartIsExplainedByItsLog) {
  GuestOptions options;
  options.server_arguments = {"--no-such-option"};
  const auto guest = factory_->Start(options);
  ASSERT_FALSE(guest.has_value());
  EXPECT_EQ(guest.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(guest.error().message, HasSubstr("--no-such-option"));
}

TEST_F(GuestTest, AKilledServerIsNoticed) {
  Guest guest = Started({});
  ASSERT_TRUE(guest.StopServer(SIGKILL).has_value());
  EXPECT_FALSE(guest.server_running());
  EXPECT_TRUE(guest.running());
}

TEST_F(GuestTest, AColdBootServesToo) {
  auto guest = factory_->ColdBoot({});
  ASSERT_TRUE(guest.has_value()) << guest.error().message;
  std::printf("cold boot: ready after %.0f ms\n", static_cast<double>(guest->times().ready.count()) / 1000);
  EXPECT_TRUE(guest->server_running());
}

TEST_F(GuestTest, ClonesStartSideBySide) {
  auto one = std::async(std::launch::async, [] { return factory_->Start(Bare()); });
  auto two = std::async(std::launch::async, [] { return factory_->Start(Bare()); });
  auto first = one.get();
  auto second = two.get();
  ASSERT_TRUE(first.has_value()) << first.error().message;
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_TRUE(first->agent().Ping().has_value()) << "although the thread that started it has ended";
  EXPECT_TRUE(second->agent().Ping().has_value());
}

}  // namespace
}  // namespace dmrp::harness

int main(int argc, char** argv) {
  if (auto inside = dmrp::harness::EnterNamespace(argc, argv); !inside) {
    std::fprintf(stderr, "%s\n", inside.error().message.c_str());
    return 1;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
