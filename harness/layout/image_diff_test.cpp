#include "harness/layout/image_diff.hpp"

#include "harness/layout/raw_image.hpp"
#include "harness/layout/test_images.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ImageDiff : public ImageTest {
 protected:
  ImageDifference Compare(const std::filesystem::path& before, const std::filesystem::path& after,
                          std::uint32_t sector_bytes = 512) {
    auto difference = CompareImages(before, after, sector_bytes);
    if (!difference) {
      ADD_FAILURE() << difference.error().ToString();
      return {};
    }
    return *difference;
  }
  /// The name of the structure that holds one changed octet.
  std::string NameOfChangeAt(const std::filesystem::path& before, std::uint64_t offset,
                             std::uint32_t sector_bytes = 512) {
    const auto after = folder() / "changed.img";
    std::filesystem::copy_file(before, after, std::filesystem::copy_options::overwrite_existing);
    Poke(after, offset, {0xA7});
    const ImageDifference difference = Compare(before, after, sector_bytes);
    return difference.changes.size() == 1 ? difference.changes[0].structure : "no single change";
  }
};

TEST_F(ImageDiff, CallsEqualImagesIdentical) {
  const ImageDifference difference = Compare(MbrDisk("a.img"), MbrDisk("b.img"));
  EXPECT_TRUE(difference.identical()) << difference.Summary();
  EXPECT_EQ(difference.Summary(), "identical");
}

TEST_F(ImageDiff, NamesTheFirstFieldThatDiffersWithBothValues) {
  const auto before = MbrDisk("a.img");
  const auto after = MbrDisk("b.img");
  Poke(after, 446 + 4, {0x0C});
  const ImageDifference difference = Compare(before, after);
  EXPECT_EQ(difference.bytes_changed, 1U);
  EXPECT_EQ(difference.Summary(), "MBR partition entry 1, type (LBA 0, offset 0x1c2, 1 octets): 07 -> 0c");
}

TEST_F(ImageDiff, NamesTheStructuresOfAnMbrDisk) {
  const auto disk = MbrDisk();
  EXPECT_EQ(NameOfChangeAt(disk, 0), "MBR boot code");
  EXPECT_EQ(NameOfChangeAt(disk, 440), "MBR disk signature");
  EXPECT_EQ(NameOfChangeAt(disk, 446 + 16), "MBR partition entry 2, boot indicator");
  EXPECT_EQ(NameOfChangeAt(disk, 20480 * 512 + 446 + 12), "EBR at LBA 20480, entry 1, length");
  EXPECT_EQ(NameOfChangeAt(disk, 100 * 512), "contents of partition 1");
  EXPECT_EQ(NameOfChangeAt(disk, 21000 * 512), "contents of logical drive 5");
  EXPECT_EQ(NameOfChangeAt(disk, 512), "space outside of partitions");
}

TEST_F(ImageDiff, NamesTheStructuresOfAGptDisk) {
  const auto disk = GptDisk();
  const std::uint64_t last = (64 << 20) / 512 - 1;
  EXPECT_EQ(NameOfChangeAt(disk, 512 + 56), "primary GPT header, disk GUID");
  EXPECT_EQ(NameOfChangeAt(disk, 1024 + 2 * 128 + 16), "primary GPT entry 3, GUID");
  EXPECT_EQ(NameOfChangeAt(disk, last * 512 + 16), "backup GPT header, header CRC");
  EXPECT_EQ(NameOfChangeAt(disk, (last - 32) * 512 + 48), "backup GPT entry 1, attributes");
  EXPECT_EQ(NameOfChangeAt(disk, 20000 * 512), "contents of partition 3");
}

TEST_F(ImageDiff, NamesTheStructuresOfADiskWith4096ByteSectors) {
  const auto disk = Blank(64 << 20);
  Shell(disk, R"(printf 'g\nn\n1\n\n+8M\nw\n' | fdisk -b 4096 "$DISK")");
  EXPECT_EQ(NameOfChangeAt(disk, 4096 + 16, 4096), "primary GPT header, header CRC");
  EXPECT_EQ(NameOfChangeAt(disk, 600, 4096), "rest of the MBR's sector");
}

TEST_F(ImageDiff, NamesAStructureThatIsGoneAfterTheChange) {
  const ImageDifference difference = Compare(GptDisk(), Blank(64 << 20));
  EXPECT_THAT(difference.changes,
              Contains(Field("structure", &ImageChange::structure, "primary GPT header, magic")));
}

TEST_F(ImageDiff, FindsAChangeAtTheEndOfASparseImageOf3TiB) {
  const std::uint64_t size = std::uint64_t{3} << 40;
  const auto before = Blank(size, "a.img");
  const auto after = Blank(size, "b.img");
  Poke(after, size - 512, {1, 2, 3});
  const ImageDifference difference = Compare(before, after);
  ASSERT_THAT(difference.changes, SizeIs(1));
  EXPECT_EQ(difference.changes[0].offset, size - 512);
  EXPECT_EQ(difference.changes[0].length, 3U);
}

TEST_F(ImageDiff, TellsImagesOfDifferentSizeApart) {
  const ImageDifference difference = Compare(Blank(1 << 20, "a.img"), Blank(2 << 20, "b.img"));
  EXPECT_FALSE(difference.identical());
  EXPECT_EQ(difference.Summary(), "size 1048576 -> 2097152 octets");
}

TEST_F(ImageDiff, ListsABoundedNumberOfChangesAndCountsAll) {
  const auto before = Blank(8 << 20, "a.img");
  const auto after = Blank(8 << 20, "b.img");
  for (std::uint64_t i = 0; i < 100; ++i) Poke(after, 65536 + i * 4096, {1});
  const ImageDifference difference = Compare(before, after);
  EXPECT_THAT(difference.changes, SizeIs(ImageDifference::kMostChanges));
  EXPECT_EQ(difference.bytes_changed, 100U);
  EXPECT_EQ(ToJson(difference)["changes"].size(), 64U);
}

TEST_F(ImageDiff, SurvivesAnExtendedChainThatLoops) {
  const auto disk = MbrDisk();
  Poke(disk, 20480 * 512 + 446 + 16 + 4, {0x05});
  Poke(disk, 30000 * 512, {1});
  EXPECT_EQ(NameOfChangeAt(disk, 0), "MBR boot code");
}

TEST_F(ImageDiff, SaysThatAnImageIsMissing) {
  const auto difference = CompareImages(folder() / "none", Blank(512), 512);
  ASSERT_FALSE(difference.has_value());
  EXPECT_EQ(difference.error().kind, ErrorKind::kSystem);
}

class RawImages : public ImageTest {};

TEST_F(RawImages, UseARawFileAsItIs) {
  const auto disk = MbrDisk();
  const auto raw = RawImage::Open(disk, folder());
  ASSERT_TRUE(raw.has_value()) << raw.error().ToString();
  EXPECT_EQ(raw->path(), disk);
}

TEST_F(RawImages, ConvertAnOverlayWithItsBackingFileAndCleanUp) {
  const auto disk = MbrDisk();
  const auto overlay = folder() / "overlay.qcow2";
  Shell(overlay, R"(qemu-img create -q -f qcow2 -b ')" + disk.string() +
                     R"(' -F raw "$DISK" &&)"
                     R"( qemu-io -c 'write -P 0x80 446 1' "$DISK")");
  std::filesystem::path copy;
  {
    const auto raw = RawImage::Open(overlay, folder());
    ASSERT_TRUE(raw.has_value()) << raw.error().ToString();
    copy = raw->path();
    EXPECT_NE(copy, overlay);
    EXPECT_TRUE(CompareImages(disk, copy, 512)->identical()) << "the boot indicator was 0x80 before";
  }
  EXPECT_FALSE(std::filesystem::exists(copy));
  EXPECT_TRUE(std::filesystem::exists(overlay));
}

TEST_F(RawImages, SayWhatIsWrongWithAFileThatIsNone) {
  const auto raw = RawImage::Open(folder() / "none.qcow2", folder());
  ASSERT_FALSE(raw.has_value());
  EXPECT_THAT(raw.error().message, HasSubstr("none.qcow2"));
}

}  // namespace
}  // namespace dmrp::harness
