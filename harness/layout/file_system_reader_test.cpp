#include "harness/layout/file_system_reader.hpp"

#include "harness/layout/test_images.hpp"

#include <gmock/gmock.h>

namespace dmrp::harness {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Type = FileSystemOnDisk::Type;

constexpr std::uint64_t kMiB = 1 << 20;

// The volume lies behind the first MiB of the image and ends one MiB before its end.
class FileSystemReader : public ImageTest {
 protected:
  std::filesystem::path Disk(std::uint64_t volume, const std::string& maker) {
    const auto file = Blank(volume, "volume");
    Shell(file, maker);
    const auto image = Blank(volume + 2 * kMiB);
    Shell(image, "dd if='" + file.string() + R"(' of="$DISK" bs=1M seek=1 conv=notrunc,sparse status=none)");
    return image;
  }
  static FileSystemOnDisk Seen(const std::filesystem::path& image) {
    auto seen = ReadFileSystem(image, kMiB, std::filesystem::file_size(image) - 2 * kMiB);
    if (!seen) {
      ADD_FAILURE() << seen.error().ToString();
      return {};
    }
    return *seen;
  }
};

TEST_F(FileSystemReader, ReadsEachWidthOfFat) {
  struct Case {
    const char* maker;
    std::uint64_t size;
    Type type;
    std::uint32_t unit;
  };
  for (const Case& each : {Case{"mkfs.fat -F 12 -s 8 -n TWELVE $DISK", 8 * kMiB, Type::kFat12, 4096},
                           Case{"mkfs.fat -F 16 -s 4 -n TWELVE $DISK", 16 * kMiB, Type::kFat16, 2048},
                           Case{"mkfs.fat -F 32 -s 1 -n TWELVE $DISK", 64 * kMiB, Type::kFat32, 512}}) {
    SCOPED_TRACE(each.maker);
    const FileSystemOnDisk seen = Seen(Disk(each.size, each.maker));
    EXPECT_EQ(seen.type, each.type);
    EXPECT_EQ(seen.unit, each.unit);
    EXPECT_EQ(seen.label, "TWELVE");
    EXPECT_NEAR(static_cast<double>(seen.units), static_cast<double>(each.size / each.unit),
                0.05 * static_cast<double>(each.size / each.unit));
    EXPECT_EQ(seen.units - seen.units_free, each.type == Type::kFat32 ? 1U : 0U) << "FAT32's root takes one";
    EXPECT_EQ(seen.bad_units, 0U);
    EXPECT_THAT(seen.problems, IsEmpty());
  }
}

TEST_F(FileSystemReader, CountsUnitsThatFatMarksAsBadAmongThoseInUse) {
  const auto image = Disk(16 * kMiB, "mkfs.fat -F 16 -s 4 -R 4 $DISK");
  // Clusters 100 and 101 in both tables of 2 octets each; the first table lies behind 4 reserved sectors.
  const std::uint64_t table = kMiB + 4 * 512;
  const std::uint64_t next = 32 * 512;
  for (const std::uint64_t at : {table, table + next}) Poke(image, at + 200, {0xF7, 0xFF, 0xF7, 0xFF});
  const FileSystemOnDisk seen = Seen(image);
  EXPECT_EQ(seen.units - seen.units_free, 2U) << seen.account;
  EXPECT_EQ(seen.bad_units, 0U);
}

TEST_F(FileSystemReader, ReadsNtfs) {
  const FileSystemOnDisk seen =
      Seen(Disk(16 * kMiB, "mkntfs -q -F -Q -c 1024 -s 512 -p 2048 -H 255 -S 63 -L Größe $DISK"));
  EXPECT_EQ(seen.type, Type::kNtfs);
  EXPECT_EQ(seen.unit, 1024U);
  EXPECT_EQ(seen.label, "Größe");
  EXPECT_NEAR(static_cast<double>(seen.units), 16.0 * 1024, 1);
  EXPECT_GT(seen.units_free, seen.units / 2);
  EXPECT_LT(seen.units_free, seen.units);
  EXPECT_FALSE(seen.compressed);
  EXPECT_EQ(seen.bad_units, 0U);
  EXPECT_THAT(seen.problems, IsEmpty()) << seen.account;
}

TEST_F(FileSystemReader, SeesThatNewFilesOfNtfsAreCompressed) {
  const FileSystemOnDisk seen =
      Seen(Disk(16 * kMiB, "mkntfs -q -F -Q -C -c 4096 -s 512 -p 2048 -H 255 -S 63 $DISK"));
  EXPECT_TRUE(seen.compressed);
}

TEST_F(FileSystemReader, SeesNoFileSystemOnABlankVolume) {
  EXPECT_EQ(Seen(Disk(8 * kMiB, "true")).type, Type::kNone);
}

TEST_F(FileSystemReader, CallsOthersOther) {
  EXPECT_EQ(Seen(Disk(8 * kMiB, "mkswap -q $DISK 2>&1")).type, Type::kOther);
}

TEST_F(FileSystemReader, ReportsTablesOfFatThatContradictEachOther) {
  const auto image = Disk(16 * kMiB, "mkfs.fat -F 16 -s 4 -R 4 $DISK");
  Poke(image, kMiB + 4 * 512 + 200, {0x77, 0x07});
  const FileSystemOnDisk seen = Seen(image);
  EXPECT_EQ(seen.type, Type::kFat16);
  EXPECT_THAT(seen.problems, Not(IsEmpty()));
}

TEST_F(FileSystemReader, ReportsAnNtfsBitmapThatIsGone) {
  const auto image = Disk(16 * kMiB, "mkntfs -q -F -Q -c 4096 -s 512 -p 2048 -H 255 -S 63 $DISK");
  EraseMasterFileTable(image, kMiB, 4096, 6, 1);
  const FileSystemOnDisk seen = Seen(image);
  EXPECT_THAT(seen.problems, Not(IsEmpty()));
}

TEST_F(FileSystemReader, SeesNoNtfsWhereItsMasterFileTableIsGone) {
  const auto image = Disk(16 * kMiB, "mkntfs -q -F -Q -c 4096 -s 512 -p 2048 -H 255 -S 63 $DISK");
  EraseMasterFileTable(image, kMiB, 4096);
  EXPECT_EQ(Seen(image).type, Type::kNone);
}

TEST_F(FileSystemReader, RefusesAVolumeThatReachesOutOfTheImage) {
  const auto image = Blank(4 * kMiB);
  for (const auto& [offset, length] : {std::pair{2 * kMiB, 3 * kMiB}, {5 * kMiB, kMiB}, {kMiB, ~0ULL}}) {
    const auto seen = ReadFileSystem(image, offset, length);
    ASSERT_FALSE(seen.has_value());
    EXPECT_EQ(seen.error().kind, ErrorKind::kUsage);
  }
}

TEST_F(FileSystemReader, SaysThatAnImageIsMissing) {
  const auto seen = ReadFileSystem(folder() / "none.img", 0, kMiB);
  ASSERT_FALSE(seen.has_value());
  EXPECT_EQ(seen.error().kind, ErrorKind::kSystem);
  EXPECT_THAT(seen.error().message, HasSubstr("none.img"));
}

}  // namespace
}  // namespace dmrp::harness
