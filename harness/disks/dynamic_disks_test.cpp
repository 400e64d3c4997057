#include "harness/disks/dynamic_disks.hpp"

#include <cstdlib>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace dmrp::harness {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class DynamicDisks : public ::testing::Test {
 protected:
  DynamicDisks() {
    std::string pattern = ::testing::TempDir() + "dynamic-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~DynamicDisks() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  static std::string At(const std::filesystem::path& image, std::uint64_t offset, std::size_t count) {
    std::ifstream file(image, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    std::string octets(count, '\0');
    file.read(octets.data(), static_cast<std::streamsize>(count));
    return octets;
  }

  std::filesystem::path folder_;
};

TEST_F(DynamicDisks, AreMadeFromANameInTheLibrary) {
  const auto set = MakeDynamicDisks("foreign-all", folder_);
  ASSERT_TRUE(set.has_value()) << set.error().ToString();
  EXPECT_EQ(set->group_name, "ForeignAll-Dg0");
  EXPECT_FALSE(set->group_guid.IsNull());
  ASSERT_THAT(set->disks, SizeIs(4));
  std::set<std::string> serials;
  for (const DynamicDisk& disk : set->disks) {
    EXPECT_EQ(std::filesystem::file_size(disk.image.path), disk.image.spec.size);
    EXPECT_TRUE(Validate(disk.image.spec).has_value());
    serials.insert(disk.image.spec.serial);
  }
  EXPECT_THAT(serials, SizeIs(4));
  EXPECT_EQ(set->disks[0].name, "Disk1");
  EXPECT_EQ(At(set->disks[0].image.path, 6 * 512, 8), "PRIVHEAD");
  EXPECT_EQ(At(set->disks[3].image.path, 512, 8), "EFI PART");
}

TEST_F(DynamicDisks, AreMadeFromJson) {
  const auto set = MakeDynamicDisks(
      R"({"name": "Mine-Dg0", "disks": [{"size": "24M", "sector": 4096}], "seed": 99})", folder_);
  ASSERT_TRUE(set.has_value()) << set.error().ToString();
  ASSERT_THAT(set->disks, SizeIs(1));
  EXPECT_EQ(set->disks[0].image.spec.logical_sector, 4096U);
  EXPECT_EQ(At(set->disks[0].image.path, 6 * 4096, 8), "PRIVHEAD");
}

TEST_F(DynamicDisks, SayWhatIsWrongWithADescription) {
  const auto set = MakeDynamicDisks(R"({"disks": [{"size": "1M"}]})", folder_);
  ASSERT_FALSE(set.has_value());
  EXPECT_EQ(set.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(set.error().message, HasSubstr("Disk1 is too small"));
}

TEST_F(DynamicDisks, AreCopiedOntoAnImageOfTheirSize) {
  const auto set = MakeDynamicDisks("foreign-simple", folder_);
  ASSERT_TRUE(set.has_value()) << set.error().ToString();
  DiskSpec spec = set->disks[0].image.spec;
  spec.serial.clear();
  const auto image = CreateDiskImage(spec, folder_);
  ASSERT_TRUE(image.has_value());
  const auto copied = ContentsOf(set->disks[0].image.path)(image->path);
  ASSERT_TRUE(copied.has_value()) << copied.error().ToString();
  EXPECT_EQ(At(image->path, spec.size - 512, 8), "PRIVHEAD");
  struct stat status{};
  ASSERT_EQ(::stat(image->path.c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 4 << 20) << "holes stay holes";
}

TEST_F(DynamicDisks, AreNotCopiedOntoAnImageOfAnotherSize) {
  const auto set = MakeDynamicDisks("foreign-simple", folder_);
  ASSERT_TRUE(set.has_value()) << set.error().ToString();
  const auto image = CreateDiskImage(*ParseDiskSpec("size=8M"), folder_);
  ASSERT_TRUE(image.has_value());
  const auto copied = ContentsOf(set->disks[0].image.path)(image->path);
  ASSERT_FALSE(copied.has_value());
  EXPECT_EQ(copied.error().kind, ErrorKind::kUsage);
}

TEST_F(DynamicDisks, OfWindowsAreUnpacked) {
  if (!WindowsDisksArchive()) GTEST_SKIP() << "the archive of Windows' disks is not there";
  const auto set = UnpackWindowsDisks(folder_);
  ASSERT_TRUE(set.has_value()) << set.error().ToString();
  ASSERT_THAT(set->disks, SizeIs(10));
  EXPECT_EQ(set->disks[0].name, "mirrored-1");
  std::uint64_t used = 0;
  for (const DynamicDisk& disk : set->disks) {
    EXPECT_EQ(disk.image.spec.size, 50U << 20);
    EXPECT_THAT(At(disk.image.path, 6 * 512 + 0xB0, 36), set->group_guid.ToString());
    EXPECT_EQ(At(disk.image.path, 6 * 512 + 0xF0, set->group_name.size()), set->group_name);
    struct stat status{};
    ASSERT_EQ(::stat(disk.image.path.c_str(), &status), 0);
    used += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  EXPECT_LT(used, 200U << 20);
}

TEST_F(DynamicDisks, OfWindowsMayBeMissing) {
  ::setenv("DMRP_LDM_FIXTURES", (folder_ / "none").c_str(), 1);
  const auto set = UnpackWindowsDisks(folder_);
  ::unsetenv("DMRP_LDM_FIXTURES");
  ASSERT_FALSE(set.has_value());
  EXPECT_EQ(set.error().kind, ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace dmrp::harness
