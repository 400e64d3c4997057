// ISO 9660 and UDF as genisoimage and mkudffs make them, beside what isoinfo, udfinfo and blkid say.
#include "protocol/base/text.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/file_system.hpp"

#include <fstream>
#include <random>
#include <regex>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

namespace fs = std::filesystem;

class OpticalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "optical_test.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::create_directory(folder_ / "tree");
    std::ofstream(folder_ / "tree" / "a.txt") << "some text\n";
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string Image() const { return (folder_ / "image").string(); }
  void MakeIso(const std::string& options) const {
    RunTool(fmt::format("genisoimage -quiet -input-charset utf-8 {} -o {} {}", options, Image(),
                        (folder_ / "tree").string()));
  }
  void MakeUdf(const std::string& options, std::uint64_t size = 8 * kMiB) const {
    std::ofstream(Image()).close();
    fs::resize_file(Image(), size);
    RunTool(fmt::format("mkudffs --utf8 {} {}", options, Image()));
  }
  [[nodiscard]] FileSystemDescription Describe(std::uint32_t sector = 2048) const {
    auto device = OpenImage(Image(), {.bytesPerSector = sector}, false);
    EXPECT_TRUE(device);
    const auto seen = DescribeFileSystem(**device, 0, (*device)->Geometry().sizeBytes);
    EXPECT_TRUE(seen) << seen.error().ToString();
    return seen.value_or(FileSystemDescription{});
  }
  /// What follows `before` on a line of a tool's output.
  [[nodiscard]] static std::string Said(const std::string& command, const std::string& before) {
    const std::string all = RunTool(command);
    std::smatch found;
    EXPECT_TRUE(std::regex_search(all, found, std::regex("(^|\n)" + before + "(.*)"))) << all;
    return found[2].str();
  }

  fs::path folder_;
};

TEST_F(OpticalTest, PlainIso9660HasTheLabelOfItsPrimaryDescriptor) {
  MakeIso("-V 'A_LABEL_OF_EXACTLY_32_CHARACTERS'");
  const FileSystemDescription seen = Describe();
  EXPECT_EQ(seen.type, FileSystemType::kCdfs);
  EXPECT_EQ(seen.label, u"A_LABEL_OF_EXACTLY_32_CHARACTERS");
  EXPECT_EQ(seen.allocationUnitSize, 2048U);
  EXPECT_EQ(std::to_string(seen.totalAllocationUnits), Said("isoinfo -d -i " + Image(), "Volume size is: "));
  EXPECT_EQ(seen.availableAllocationUnits, 0U);
}

TEST_F(OpticalTest, JolietGivesTheLabelInUnicode) {
  MakeIso("-J -V 'Grüße µ'");
  const FileSystemDescription seen = Describe();
  EXPECT_EQ(seen.type, FileSystemType::kCdfs);
  EXPECT_EQ(seen.label, u"Grüße µ");
}

TEST_F(OpticalTest, ABridgeDiscCountsAsUdf) {
  MakeIso("-udf -J -V Bridge");
  EXPECT_EQ(Said("blkid -p -o export " + Image(), "TYPE="), "udf");
  const FileSystemDescription seen = Describe();
  EXPECT_EQ(seen.type, FileSystemType::kUdf);
  EXPECT_EQ(seen.label, u"Bridge");
  EXPECT_EQ(seen.availableAllocationUnits, 0U);
}

TEST_F(OpticalTest, ABridgeDiscWithoutAUdfLabelHasThatOfIso9660) {
  MakeIso("-udf -V BRIDGE");
  // The descriptors of the main and of the reserve sequence: tag 6, label at 84.
  std::fstream image(Image(), std::ios::in | std::ios::out | std::ios::binary);
  int cleared = 0;
  for (std::uint32_t block = 17; block < 256; ++block) {
    char tag[2] = {};
    image.seekg(block * 2048);
    image.read(tag, 2);
    if (tag[0] != 6 || tag[1] != 0) continue;
    image.seekp(block * 2048 + 84);
    image.write(std::string(128, '\0').data(), 128);
    ++cleared;
  }
  image.close();
  EXPECT_EQ(cleared, 2);
  EXPECT_EQ(Describe().type, FileSystemType::kUdf);
  EXPECT_EQ(Describe().label, u"BRIDGE");
}

TEST_F(OpticalTest, UdfOfEveryBlockSize) {
  for (const std::uint32_t block : {512U, 1024U, 2048U, 4096U}) {
    for (const std::string revision : {"1.02", "1.50", "2.01"}) {
      SCOPED_TRACE(fmt::format("blocks of {}, revision {}", block, revision));
      MakeUdf(fmt::format("-m hd -b {} -r {} --label 'Ünï {}'", block, revision, block), 16 * kMiB);
      const FileSystemDescription seen = Describe(std::min(block, 2048U));
      EXPECT_EQ(seen.type, FileSystemType::kUdf);
      EXPECT_EQ(ToUtf8(seen.label), Said("udfinfo --utf8 " + Image(), "label="));
      EXPECT_EQ(std::to_string(seen.allocationUnitSize), Said("udfinfo " + Image(), "blocksize="));
      EXPECT_EQ(std::to_string(seen.availableAllocationUnits), Said("udfinfo " + Image(), "freeblocks="));
      EXPECT_EQ(fmt::format("blocks={}, type=PSPACE", seen.totalAllocationUnits),
                Said("udfinfo " + Image(), "start=[0-9]*, (?=blocks=[0-9]*, type=PSPACE)"));
    }
  }
}

TEST_F(OpticalTest, UdfLabelsInBothWidths) {
  const std::string longest(126, 'x');
  MakeUdf("-m hd -b 512 --lvid=" + longest);
  EXPECT_EQ(ToUtf8(Describe(512).label), longest);
  MakeUdf("-m hd -b 512 --lvid='日本語 \xF0\x9F\x98\x80'");
  EXPECT_EQ(ToUtf8(Describe(512).label), "日本語 \xF0\x9F\x98\x80");
}

TEST_F(OpticalTest, ADamagedUdfIsStillUdf) {
  MakeUdf("-m hd -b 2048 --label Lost");
  {
    std::fstream image(Image(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string zeros(2048, '\0');
    for (const std::uint64_t anchor : {256U, 3839U, 4095U}) {
      image.seekp(static_cast<std::streamoff>(anchor * 2048));
      image.write(zeros.data(), 2048);
    }
  }
  const FileSystemDescription seen = Describe();
  EXPECT_EQ(seen.type, FileSystemType::kUdf);
  EXPECT_EQ(seen.label, u"");
  EXPECT_EQ(seen.totalAllocationUnits, 4096U);
}

TEST_F(OpticalTest, RandomDamageNeverReadsOutOfBounds) {
  MakeIso("-udf -J -V Bridge");
  auto image = OpenImage(Image(), {.bytesPerSector = 2048}, false);
  ASSERT_TRUE(image);
  const std::uint64_t size = (*image)->Geometry().sizeBytes;
  MemoryDevice original({.sizeBytes = size, .bytesPerSector = 2048});
  original.Poke(0, (*image)->Read(0, static_cast<std::size_t>(size)).value());
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    MemoryDevice device = original;
    for (int i = 0; i < 12; ++i) {
      const std::uint64_t sector = i % 2 == 0 ? 16 + random() % 80 : 256 + random() % 8;
      device.Poke(sector * 2048 + random() % 512, Bytes(1, static_cast<std::byte>(random())));
    }
    EXPECT_TRUE(DescribeFileSystem(device, 0, size));
  }
}

}  // namespace
}  // namespace dmrp::server
