#include "harness/disks/disk_image.hpp"

#include "harness/guest/process.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

class DiskImageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "disk-image-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  DiskImage Create(std::string_view text) {
    const auto spec = ParseDiskSpec(text);
    EXPECT_TRUE(spec.has_value()) << spec.error().message;
    auto image = CreateDiskImage(*spec, directory_);
    EXPECT_TRUE(image.has_value()) << image.error().message;
    return image.value_or(DiskImage{});
  }
  // What a tool prints about an image.
  std::string Tool(std::vector<std::string> argv) {
    const auto log = directory_ / "tool.out";
    std::filesystem::remove(log);
    Launcher launcher;
    auto process = launcher.Start({.argv = std::move(argv), .inherit = {}, .log = log});
    EXPECT_TRUE(process.has_value() && process->Wait(std::chrono::seconds(20)).has_value());
    std::ifstream file(log);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::uint64_t Allocated(const std::filesystem::path& file) {
    struct stat about{};
    stat(file.c_str(), &about);
    return static_cast<std::uint64_t>(about.st_blocks) * 512;
  }
  static std::string Octets(const std::filesystem::path& file, std::size_t offset, std::size_t count) {
    std::ifstream stream(file, std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(offset));
    std::string data(count, '\0');
    stream.read(data.data(), static_cast<std::streamsize>(count));
    return data;
  }
  std::filesystem::path directory_;
};

TEST_F(DiskImageTest, ABlankDiskHasItsSizeAndNoAllocation) {
  const auto image = Create("size=64M");
  EXPECT_EQ(std::filesystem::file_size(image.path), 64U << 20U);
  EXPECT_EQ(Allocated(image.path), 0U);
  EXPECT_FALSE(image.spec.serial.empty());
}

TEST_F(DiskImageTest, AnMbrIsRecognisedBySfdisk) {
  const auto image = Create("size=256M,label=mbr");
  const auto table = nlohmann::json::parse(Tool({"sfdisk", "-J", image.path.string()}))["partitiontable"];
  EXPECT_EQ(table["label"], "dos");
  EXPECT_EQ(table["sectorsize"], 512);
  EXPECT_FALSE(table.contains("partitions") && !table["partitions"].empty());
}

TEST_F(DiskImageTest, AGeometryStandsInTheEndOfThePartition) {
  const auto image = Create("size=100M,label=mbr,geometry=15/17");
  const std::string entry = Octets(image.path, 446, 16);
  EXPECT_EQ(static_cast<unsigned char>(entry[4]), 7);
  EXPECT_EQ(static_cast<unsigned char>(entry[5]), 14) << "last head";
  EXPECT_EQ(static_cast<unsigned char>(entry[6]) & 0x3F, 17) << "last sector";
  const auto table = nlohmann::json::parse(Tool({"sfdisk", "-J", image.path.string()}))["partitiontable"];
  ASSERT_EQ(table["partitions"].size(), 1U);
  const auto& partition = table["partitions"][0];
  EXPECT_EQ(partition["start"], 17);
  EXPECT_EQ((partition["start"].get<int>() + partition["size"].get<int>()) % (15 * 17), 0);
}

TEST_F(DiskImageTest, AGptIsFaultlessToSgdisk) {
  const auto image = Create("size=256M,label=gpt");
  const auto text = Tool({"sgdisk", "-v", image.path.string()});
  EXPECT_THAT(text, HasSubstr("No problems found"));
  EXPECT_THAT(Tool({"sgdisk", "-p", image.path.string()}), testing::Not(HasSubstr("invalid")));
}

TEST_F(DiskImageTest, AGptOf4096OctetSectorsHasItsHeaderInSectorOne) {
  const auto image = Create("size=64M,sector=4096,label=gpt");
  EXPECT_EQ(Octets(image.path, 4096, 8), "EFI PART");
  EXPECT_EQ(Octets(image.path, (64U << 20U) - 4096, 8), "EFI PART");
}

TEST_F(DiskImageTest, ThreeTebibytesTakeAlmostNoSpace) {
  const auto image = Create("size=3T,label=gpt");
  EXPECT_EQ(std::filesystem::file_size(image.path), 3ULL << 40U);
  EXPECT_LT(Allocated(image.path), 1U << 20U);
  EXPECT_THAT(Tool({"sgdisk", "-v", image.path.string()}), HasSubstr("No problems found"));
}

TEST_F(DiskImageTest, Qcow2KeepsTheLabel) {
  const auto image = Create("size=64M,label=gpt,format=qcow2");
  const auto about = nlohmann::json::parse(Tool({"qemu-img", "info", "--output=json", image.path.string()}));
  EXPECT_EQ(about["format"], "qcow2");
  EXPECT_EQ(about["virtual-size"], 64U << 20U);
  const auto raw = directory_ / "back.raw";
  Tool({"qemu-img", "convert", "-O", "raw", image.path.string(), raw.string()});
  EXPECT_THAT(Tool({"sgdisk", "-v", raw.string()}), HasSubstr("No problems found"));
}

TEST_F(DiskImageTest, AnEmptyDriveHasNoImage) { EXPECT_EQ(Create("media=cdrom,medium=none").path, ""); }

struct Formatted {
  const char* spec;
  const char* type;
  const char* version;
};

class FormattedImage : public DiskImageTest, public testing::WithParamInterface<Formatted> {};

TEST_P(FormattedImage, IsWhatBlkidSees) {
  const auto image = Create(GetParam().spec);
  const auto seen = Tool({"blkid", "-p", "-o", "export", image.path.string()});
  EXPECT_THAT(seen, HasSubstr(std::string("TYPE=") + GetParam().type + "\n"));
  EXPECT_THAT(seen, HasSubstr(GetParam().version));
  EXPECT_THAT(seen, HasSubstr("LABEL=VOL-1\n"));
  EXPECT_EQ(std::filesystem::file_size(image.path), image.spec.size);
}

INSTANTIATE_TEST_SUITE_P(
    All, FormattedImage,
    testing::Values(Formatted{"bus=floppy,filesystem=fat12,volume=VOL-1", "vfat", "VERSION=FAT12"},
                    Formatted{"size=16M,filesystem=fat16,volume=VOL-1", "vfat", "VERSION=FAT16"},
                    Formatted{"size=300M,sector=4096,filesystem=fat32,volume=VOL-1", "vfat", "VERSION=FAT32"},
                    Formatted{"size=16M,filesystem=ntfs,volume=VOL-1", "ntfs", "UUID="},
                    Formatted{"media=cdrom,filesystem=iso9660,volume=VOL-1", "iso9660", "Joliet"},
                    Formatted{"media=cdrom,size=750M,filesystem=udf,volume=VOL-1", "udf", "VERSION=2"},
                    Formatted{"media=removable,filesystem=udf,volume=VOL-1", "udf", "VERSION=2"}));

// Other programs than the one that wrote it must see what is broken.
TEST_F(DiskImageTest, DamageIsWhatItsNameSays) {
  const auto sgdisk = [&](const char* damage) {
    return Tool({"sgdisk", "-v", Create(std::string("label=gpt,damage=") + damage).path.string()});
  };
  const auto sfdisk = [&](const char* damage) {
    return Tool({"sfdisk", "-V", Create(std::string("label=mbr,damage=") + damage).path.string()});
  };
  EXPECT_THAT(sgdisk("gpt-header-crc"), HasSubstr("Main header: ERROR\nBackup header: OK"));
  EXPECT_THAT(sgdisk("gpt-entries-crc"),
              HasSubstr("Main header: OK\nBackup header: OK\nMain partition table: ERROR"));
  EXPECT_THAT(sgdisk("gpt-backup"), HasSubstr("Main header: OK\nBackup header: ERROR"));
  EXPECT_THAT(sgdisk("gpt-both-headers"), HasSubstr("Creating new GPT entries"));
  EXPECT_THAT(sfdisk("overlap"), HasSubstr("overlap"));
  EXPECT_THAT(sfdisk("outside"), HasSubstr("greater than the maximum"));
  EXPECT_THAT(sfdisk("extended-loop"), HasSubstr("overlap"));
  EXPECT_THAT(sfdisk("boot-signature"), HasSubstr("unrecognized partition table type"));
}

TEST_F(DiskImageTest, EighteenTebibytesAreQcow2) {
  const auto image = Create("size=18T");
  const auto about = nlohmann::json::parse(Tool({"qemu-img", "info", "--output=json", image.path.string()}));
  EXPECT_EQ(about["virtual-size"], 18ULL << 40U);
}

TEST_F(DiskImageTest, ASecondDiskOfOneSerialIsRefused) {
  Create("serial=SAME");
  const auto again = CreateDiskImage(*ParseDiskSpec("serial=SAME"), directory_);
  ASSERT_FALSE(again.has_value());
  EXPECT_THAT(again.error().message, HasSubstr("exists already"));
}

TEST_F(DiskImageTest, AMissingDirectoryIsNamed) {
  const auto image = CreateDiskImage(DiskSpec{}, directory_ / "absent");
  ASSERT_FALSE(image.has_value());
  EXPECT_EQ(image.error().kind, ErrorKind::kSystem);
  EXPECT_THAT(image.error().message, HasSubstr("absent"));
}

}  // namespace
}  // namespace dmrp::harness
