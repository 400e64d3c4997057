// Drives on every bus, and media that come and go.
#include "harness/guest/guest_fixture.hpp"

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

class Drives : public GuestTest {
 protected:
  static AttachedDisk Attached(Guest& guest, std::string_view spec) {
    auto disk = guest.AttachDisk(Disk(spec));
    EXPECT_TRUE(disk.has_value()) << spec << ": " << (disk ? "" : disk.error().message);
    return disk.value_or(AttachedDisk{});
  }
  static void Expect(const Result<void>& done) { EXPECT_TRUE(done.has_value()) << done.error().message; }
  /// Waits for the kernel's word that a medium changed, and takes note of it as every listener has to.
  static void AwaitChange(Guest& guest, std::uint64_t mark, const std::string& device) {
    const auto event = guest.agent().WaitUevent(mark, [&](const Uevent& candidate) {
      return candidate.Get("DEVNAME") == device && candidate.Get("DISK_MEDIA_CHANGE") == "1";
    });
    EXPECT_TRUE(event.has_value()) << event.error().message;
    Look(guest, device);
  }
  /// Opens the device, as listeners do: the kernel tells of no change before that of the one before was
  /// looked at.
  static void Look(Guest& guest, const std::string& device) {
    (void)guest.agent().Shell("head -c 1 /dev/" + device + " >/dev/null 2>&1; true");
  }
  static std::string Type(Guest& guest, const std::string& device) {
    return Shell(guest, "blkid -p -o value -s TYPE /dev/" + device + " || true");
  }
};

struct BusCase {
  const char* spec;
  const char* place;
};

class HotBus : public Drives, public testing::WithParamInterface<BusCase> {};

TEST_P(HotBus, TakesADiskAndLetsItGo) {
  Guest guest = Started(Bare());
  for (int round = 0; round < 2; ++round) {
    const auto disk = Attached(guest, GetParam().spec);
    EXPECT_THAT(Shell(guest, "readlink -f /sys/block/" + disk.guest_device), HasSubstr(GetParam().place));
    Shell(guest, "head -c 1 /dev/" + disk.guest_device + " | wc -c");  // a floppy has no size before
    EXPECT_EQ(Shell(guest, "cat /sys/block/" + disk.guest_device + "/size"),
              std::to_string(disk.image.spec.size / 512) + "\n");
    Expect(guest.DetachDisk(disk.id));
    EXPECT_EQ(Shell(guest, "ls /sys/block | grep " + disk.guest_device + " || true"), "");
  }
}

INSTANTIATE_TEST_SUITE_P(All, HotBus,
                         testing::Values(BusCase{"size=16M,bus=lsi", "/host"},
                                         BusCase{"size=16M,bus=nvme", "/nvme"},
                                         BusCase{"bus=floppy,filesystem=fat12", "/floppy"},
                                         BusCase{"media=cdrom,filesystem=iso9660", "/virtio"},
                                         BusCase{"size=16M,bus=usb,media=removable", "/usb"}));

TEST_F(Drives, ACdIsChangedAndTheGuestOpensItsTray) {
  Guest guest = Started(Bare());
  const auto drive = Attached(guest, "media=cdrom,filesystem=iso9660,volume=FIRST");
  EXPECT_EQ(drive.guest_device, "sr0");
  EXPECT_EQ(Type(guest, "sr0"), "iso9660\n");
  auto mark = guest.agent().Mark();
  Expect(guest.ChangeMedium(drive.id, Disk("media=cdrom,size=750M,filesystem=udf,volume=SECOND")));
  AwaitChange(guest, mark, "sr0");
  EXPECT_EQ(Type(guest, "sr0"), "udf\n");
  EXPECT_EQ(*guest.TrayOpen(drive.id), false);
  mark = guest.agent().Mark();
  Shell(guest, "eject /dev/sr0");
  Expect(guest.WaitTray(drive.id, true));
  AwaitChange(guest, mark, "sr0");
  Shell(guest, "eject -t /dev/sr0");
  Expect(guest.WaitTray(drive.id, false));
  EXPECT_EQ(Type(guest, "sr0"), "udf\n") << "the medium lay in the tray";
}

TEST_F(Drives, AnEmptyDriveTakesAMediumAndKeepsItWhileItIsLocked) {
  Guest guest = Started(Bare());
  const auto drive = Attached(guest, "media=cdrom,medium=none");
  EXPECT_NE(Shell(guest, "head -c 1 /dev/sr0 2>&1; true").find("No medium"), std::string::npos);
  const auto mark = guest.agent().Mark();
  Expect(guest.InsertMedium(drive.id, Disk("media=cdrom,filesystem=iso9660")));
  AwaitChange(guest, mark, "sr0");
  Shell(guest, "mkdir -p /tmp/cd && mount -t iso9660 -o ro /dev/sr0 /tmp/cd");
  EXPECT_THAT(Shell(guest, "cat /tmp/cd/README.TXT"), HasSubstr("medium"));
  const auto refused = guest.RemoveMedium(drive.id);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kFault);
  Shell(guest, "umount /tmp/cd");
  Expect(guest.RemoveMedium(drive.id));
  EXPECT_TRUE(*guest.TrayOpen(drive.id));
  EXPECT_FALSE(guest.RemoveMedium(drive.id).has_value()) << "there is none";
}

class RemovableDisk : public Drives, public testing::WithParamInterface<const char*> {};

TEST_P(RemovableDisk, LosesAndGetsMedia) {
  Guest guest = Started(Bare());
  const std::string bus = GetParam();
  const auto drive = Attached(guest, "size=16M,media=removable,filesystem=fat16,bus=" + bus);
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + drive.guest_device + "/removable"), "1\n");
  EXPECT_EQ(Type(guest, drive.guest_device), "vfat\n");
  auto mark = guest.agent().Mark();
  Expect(guest.RemoveMedium(drive.id));
  AwaitChange(guest, mark, drive.guest_device);
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + drive.guest_device + "/size"), "0\n");
  mark = guest.agent().Mark();
  Expect(guest.InsertMedium(drive.id, Disk("size=24M,media=removable,label=mbr,bus=" + bus)));
  AwaitChange(guest, mark, drive.guest_device);
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + drive.guest_device + "/size"), "49152\n");
  Expect(guest.DetachDisk(drive.id));
}

TEST_P(RemovableDisk, CanBeWriteProtected) {
  Guest guest = Started(Bare());
  const std::string spec =
      std::string("size=16M,media=removable,read-only=yes,filesystem=fat16,bus=") + GetParam();
  const auto drive = Attached(guest, spec + ",volume=ONE");
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + drive.guest_device + "/ro"), "1\n");
  const auto mark = guest.agent().Mark();
  Expect(guest.ChangeMedium(drive.id, Disk(spec + ",volume=TWO")));
  AwaitChange(guest, mark, drive.guest_device);
  EXPECT_EQ(Shell(guest, "blkid -p -o value -s LABEL /dev/" + drive.guest_device), "TWO\n");
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + drive.guest_device + "/ro"), "1\n");
}

TEST_P(RemovableDisk, CanStartEmpty) {
  Guest guest = Started(Bare());
  const std::string bus = GetParam();
  const auto drive = Attached(guest, "media=removable,medium=none,bus=" + bus);
  Look(guest, drive.guest_device);
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + drive.guest_device + "/size"), "0\n");
  const auto mark = guest.agent().Mark();
  Expect(guest.InsertMedium(drive.id, Disk("size=24M,media=removable,label=mbr,bus=" + bus)));
  AwaitChange(guest, mark, drive.guest_device);
  EXPECT_EQ(Shell(guest, "cat /sys/block/" + drive.guest_device + "/size"), "49152\n");
}

INSTANTIATE_TEST_SUITE_P(All, RemovableDisk, testing::Values("virtio-scsi", "usb"));

TEST_F(Drives, AFloppyIsChanged) {
  Guest guest = Started(Bare());
  const auto drive = Attached(guest, "bus=floppy,filesystem=fat12,volume=ONE");
  EXPECT_EQ(drive.guest_device, "fd0");
  EXPECT_EQ(Shell(guest, "fatlabel /dev/fd0"), "ONE\n");
  Expect(guest.ChangeMedium(drive.id, Disk("bus=floppy,size=720K,filesystem=fat12,volume=TWO")));
  EXPECT_EQ(Shell(guest, "fatlabel /dev/fd0"), "TWO\n");
  Expect(guest.RemoveMedium(drive.id));
  EXPECT_NE(guest.agent().Exec({"head", "-c", "1", "/dev/fd0"})->status, 0);
}

TEST_F(Drives, OfAtaComeWithTheCloneAndAreToldApart) {
  auto options = Bare();
  options.disks = {Disk("bus=ide,media=cdrom,filesystem=iso9660,volume=PATA"), Disk("bus=ide,size=16M"),
                   Disk("bus=ahci,media=cdrom,medium=none")};
  Guest guest = Started(options);
  const auto disks = guest.disks();
  ASSERT_EQ(disks.size(), 3U);
  EXPECT_EQ(Type(guest, disks[0].guest_device), "iso9660\n") << disks[0].guest_device;
  EXPECT_THAT(disks[1].guest_device, testing::StartsWith("sd"));
  Look(guest, disks[2].guest_device);
  const auto mark = guest.agent().Mark();
  Expect(guest.InsertMedium(disks[2].id, Disk("bus=ahci,media=cdrom,size=8M,filesystem=udf")));
  AwaitChange(guest, mark, disks[2].guest_device);
  EXPECT_EQ(Type(guest, disks[2].guest_device), "udf\n");
}

TEST_F(Drives, AMediumOfAnotherKindIsRefused) {
  Guest guest = Started(Bare());
  const auto drive = Attached(guest, "media=cdrom,medium=none");
  const auto refused = guest.InsertMedium(drive.id, Disk("size=16M,media=removable"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace dmrp::harness
