#include "harness/disks/disk_spec.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

DiskSpec Parsed(std::string_view text) {
  auto spec = ParseDiskSpec(text);
  EXPECT_TRUE(spec.has_value()) << text << ": " << (spec ? "" : spec.error().message);
  return spec.value_or(DiskSpec{});
}

TEST(DiskSpec, ReadsEveryKey) {
  const auto spec = Parsed(
      "size=100M,bus=usb,sector=512/4096,label=mbr,geometry=15/"
      "17,serial=SN-1,read-only=yes,format=qcow2,name=odd");
  EXPECT_EQ(spec.size, 100U << 20U);
  EXPECT_EQ(spec.bus, DiskBus::kUsb);
  EXPECT_EQ(spec.logical_sector, 512U);
  EXPECT_EQ(spec.physical_sector, 4096U);
  EXPECT_EQ(spec.label, DiskLabel::kMbr);
  EXPECT_EQ(spec.geometry, (DiskGeometry{15, 17}));
  EXPECT_EQ(spec.serial, "SN-1");
  EXPECT_TRUE(spec.read_only);
  EXPECT_EQ(spec.format, DiskFormat::kQcow2);
  EXPECT_EQ(spec.name, "odd");
}

TEST(DiskSpec, NothingGivenIsABlankDiskOf64MiB) { EXPECT_EQ(Parsed(""), DiskSpec{}); }

TEST(DiskSpec, SizesTakePowersOf1024InEitherCase) {
  EXPECT_EQ(Parsed("size=3T").size, 3ULL << 40U);
  EXPECT_EQ(Parsed("size=8m").size, 8ULL << 20U);
  EXPECT_EQ(Parsed("size=1048576").size, 1ULL << 20U);
}

TEST(DiskSpec, DisksAboveTheFileSystemsLimitBecomeQcow2) {
  EXPECT_EQ(Parsed("size=15T").format, DiskFormat::kRaw);
  EXPECT_EQ(Parsed("size=18T").format, DiskFormat::kQcow2);
}

TEST(DiskSpec, TextOfAValueParsesBackToIt) {
  for (const char* text :
       {"", "size=3T,label=gpt", "size=100M,label=mbr,geometry=15/17,name=x", "size=18T",
        "size=1049088,sector=512/4096,bus=ahci", "read-only=yes,serial=A.b_c-1", "bus=nvme,sector=4096",
        "bus=lsi,media=removable,medium=none", "bus=floppy,size=720K,filesystem=fat12,volume=A",
        "bus=ide,media=cdrom,size=750M,filesystem=udf", "label=gpt,damage=gpt-backup"}) {
    const auto spec = Parsed(text);
    EXPECT_EQ(Parsed(ToText(spec)), spec) << ToText(spec);
  }
}

TEST(DiskSpec, ACdHasItsSectorsAndAFloppyItsSizeByItself) {
  const auto cd = Parsed("media=cdrom,filesystem=iso9660,volume=MUSIC");
  EXPECT_EQ(cd.logical_sector, 2048U);
  EXPECT_EQ(cd.physical_sector, 2048U);
  EXPECT_EQ(cd.volume, "MUSIC");
  const auto floppy = Parsed("bus=floppy");
  EXPECT_EQ(floppy.media, DiskMedia::kFloppy);
  EXPECT_EQ(floppy.size, 1474560U);
}

struct Refusal {
  const char* text;
  ErrorKind kind;
  const char* named;
};

class RefusedDiskSpec : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedDiskSpec, NamesTheFieldAndWhatIsAllowed) {
  const auto spec = ParseDiskSpec(GetParam().text);
  ASSERT_FALSE(spec.has_value());
  EXPECT_EQ(spec.error().kind, GetParam().kind) << spec.error().message;
  EXPECT_THAT(spec.error().message, HasSubstr(GetParam().named));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedDiskSpec,
    testing::Values(
        Refusal{"size=", ErrorKind::kUsage, "size="}, Refusal{"size=M", ErrorKind::kUsage, "size=M"},
        Refusal{"size=12X", ErrorKind::kUsage, "size=12X"}, Refusal{"size=-1", ErrorKind::kUsage, "size=-1"},
        Refusal{"size=65T", ErrorKind::kLimit, "64T"},
        Refusal{"size=99999999999999999999", ErrorKind::kUsage, "size="},
        Refusal{"size=18446744073709551615T", ErrorKind::kLimit, "64T"},
        Refusal{"size=512K", ErrorKind::kLimit, "1048576"},
        Refusal{"size=1048577", ErrorKind::kUsage, "multiple of the sector size 512"},
        Refusal{"size=1049088,sector=4096", ErrorKind::kUsage, "4096"},
        Refusal{"bus=firewire", ErrorKind::kUsage, "virtio-scsi, usb, ide, ahci, lsi, nvme, floppy"},
        Refusal{"sector=2048", ErrorKind::kUsage, "512 and 4096"},
        Refusal{"sector=4096/512", ErrorKind::kUsage, "4096/512"},
        Refusal{"sector=4096,bus=ide", ErrorKind::kUnsupported, "bus ide"},
        Refusal{"read-only=yes,bus=ahci", ErrorKind::kUnsupported, "ahci"},
        Refusal{"read-only=1", ErrorKind::kUsage, "yes, no"},
        Refusal{"label=bsd", ErrorKind::kUsage, "none, mbr, gpt"},
        Refusal{"geometry=15/17", ErrorKind::kUsage, "label=mbr"},
        Refusal{"label=mbr,geometry=256/63", ErrorKind::kLimit, "255 heads"},
        Refusal{"label=mbr,geometry=16/64", ErrorKind::kLimit, "63 sectors"},
        Refusal{"label=mbr,geometry=16", ErrorKind::kUsage, "255/63"},
        Refusal{"size=8M,label=mbr,geometry=255/63", ErrorKind::kUsage, "two such cylinders"},
        Refusal{"size=18T,label=gpt", ErrorKind::kUnsupported, "label=gpt"},
        Refusal{"size=18T,format=raw", ErrorKind::kLimit, "qcow2"},
        Refusal{"serial=123456789012345678901", ErrorKind::kUsage, "20"},
        Refusal{"serial=a b", ErrorKind::kUsage, "serial="}, Refusal{"name=../x", ErrorKind::kUsage, "name="},
        Refusal{"media=cdrom,sector=512", ErrorKind::kUsage, "2048"},
        Refusal{"media=cdrom,bus=nvme", ErrorKind::kUnsupported, "bus nvme"},
        Refusal{"media=cdrom,label=mbr", ErrorKind::kUnsupported, "not on CDs"},
        Refusal{"media=cdrom,filesystem=fat32", ErrorKind::kUnsupported, "fat32"},
        Refusal{"media=removable,bus=ide", ErrorKind::kUnsupported, "bus ide"},
        Refusal{"media=floppy", ErrorKind::kUnsupported, "virtio-scsi"},
        Refusal{"media=fixed,bus=floppy", ErrorKind::kUnsupported, "bus floppy"},
        Refusal{"bus=floppy,size=2M", ErrorKind::kUsage, "720K"},
        Refusal{"medium=none", ErrorKind::kUsage, "fixed"},
        Refusal{"media=removable,medium=none,label=mbr", ErrorKind::kUsage, "empty drive"},
        Refusal{"bus=nvme,sector=512/4096", ErrorKind::kUnsupported, "nvme"},
        Refusal{"damage=overlap", ErrorKind::kUsage, "label=mbr"},
        Refusal{"label=mbr,damage=gpt-backup", ErrorKind::kUsage, "label=gpt"},
        Refusal{"size=8M,label=mbr,damage=overlap", ErrorKind::kLimit, "16M"},
        Refusal{"label=mbr,filesystem=fat16", ErrorKind::kUsage, "without a label"},
        Refusal{"volume=X", ErrorKind::kUsage, "filesystem"},
        Refusal{"filesystem=ntfs,volume=ABCDEFGHIJKL", ErrorKind::kUsage, "11"},
        Refusal{"colour=red", ErrorKind::kUsage, "colour"}, Refusal{"size", ErrorKind::kUsage, "key=value"},
        Refusal{"size=1M,size=2M", ErrorKind::kUsage, "twice"}));

TEST(Geometries, TheProjectsOwnFileIsRead) {
  const auto specs = LoadGeometries(DMRP_SOURCE_DIRECTORY "/vms/geometries.toml");
  ASSERT_TRUE(specs.has_value()) << specs.error().message;
  ASSERT_FALSE(specs->empty());
  EXPECT_EQ(specs->front().name, "blank");
  for (const auto& spec : *specs) {
    EXPECT_TRUE(Validate(spec).has_value()) << spec.name;
  }
}

}  // namespace
}  // namespace dmrp::harness
