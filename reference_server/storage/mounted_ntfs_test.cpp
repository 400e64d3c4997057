#include "reference_server/storage/mounted_ntfs.hpp"

#include "reference_server/storage/ntfs_test_support.hpp"

#include <gmock/gmock.h>
#include <sys/xattr.h>

namespace dmrp::server {
namespace {

const Guid kTarget = Guid::Parse("d2d79df5-3400-11d0-b40b-00aa005ff586").value();
const Guid kOther = Guid::Parse("8a7f1e3c-0000-11d0-b40b-00aa005ff586").value();

template <typename T>
MountErrorCode Refusal(const MountResult<T>& result) {
  EXPECT_FALSE(result);
  return result ? MountErrorCode::kRegistry : result.error().code;
}

std::string Succeeded(const MountResult<void>& result) { return result ? "" : result.error().ToString(); }

/// A volume in a file, mounted by ntfs-3g where the machine lets us mount.
class MountedNtfsTest : public testing::Test {
 protected:
  void SetUp() override {
    NtfsDisk disk;
    WriteInPlace(image_, disk.Device().Read(NtfsDisk::kStart, 16 * kMiB).value());
    std::filesystem::create_directory(root_);
    Mount();
  }
  void TearDown() override { Unmount(); }

  void Mount() {
    const std::string command =
        fmt::format("/bin/ntfs-3g {} {} >/dev/null 2>&1", image_.string(), root_.string());
    mounted_ = std::system(command.c_str()) == 0;
    if (mounted_) return;
    // In a user namespace of one user it mounts and then ends, since it cannot drop its groups.
    (void)!std::system(fmt::format("umount {} 2>/dev/null", root_.string()).c_str());
    GTEST_SKIP() << "ntfs-3g cannot mount here";
  }
  void Unmount() {
    if (mounted_) RunTool(fmt::format("umount {}", root_.string()));
    mounted_ = false;
  }

  [[nodiscard]] NtfsVolume Volume() const { return {nullptr, 0, 0, root_}; }
  /// The same volume, not mounted.
  std::vector<MountPoint> ListedFromImage() {
    const auto image = OpenImage(image_, {}, false);
    return ListMountPoints({image->get(), 0, 16 * kMiB, std::nullopt}).value();
  }

  ScratchFolder folder_;
  std::filesystem::path image_ = folder_ / "image";
  std::filesystem::path root_ = folder_ / "mnt";
  bool mounted_ = false;
};

TEST_F(MountedNtfsTest, BothWaysSeeTheSame) {
  std::filesystem::create_directories(root_ / "Data/old");
  std::filesystem::create_directories(root_ / "Äpfel");
  ASSERT_EQ(Succeeded(AddMountPoint(Volume(), {u"DATA", u"Old"}, kTarget)), "");
  ASSERT_EQ(Succeeded(AddMountPoint(Volume(), {u"Äpfel"}, kOther)), "");
  const std::vector<MountPoint> expected{{u"Data\\old", kTarget}, {u"Äpfel", kOther}};
  EXPECT_EQ(ListMountPoints(Volume()).value(), expected);
  Unmount();
  EXPECT_EQ(ListedFromImage(), expected);
  EXPECT_EQ(
      RunTool(fmt::format("ntfscat -a 0xC0 {} /Data/old | od -An -v -tx1 | tr -d ' \\n'", image_.string())),
      RunTool("printf 030000a06e0000000000620064000000") +
          RunTool("printf '\\\\??\\\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}\\\\' | "
                  "iconv -t UTF-16LE | od -An -v -tx1 | tr -d ' \\n'") +
          "00000000");
  Mount();
  EXPECT_EQ(ListMountPoints(Volume()).value(), expected);
  ASSERT_EQ(Succeeded(RemoveMountPoint(Volume(), {u"data", u"old"}, kTarget)), "");
  EXPECT_EQ(ListMountPoints(Volume()).value(), (std::vector<MountPoint>{{u"Äpfel", kOther}}));
  Unmount();
  EXPECT_EQ(ListedFromImage(), (std::vector<MountPoint>{{u"Äpfel", kOther}}));
}

TEST_F(MountedNtfsTest, TheChangeIsOnDiskWhenItReturns) {
  std::filesystem::create_directories(root_ / "dir");
  ASSERT_EQ(Succeeded(AddMountPoint(Volume(), {u"dir"}, kTarget)), "");
  EXPECT_EQ(ListedFromImage(), (std::vector<MountPoint>{{u"dir", kTarget}}));
}

TEST_F(MountedNtfsTest, EveryReasonToRefuseHasItsCode) {
  std::filesystem::create_directories(root_ / "full/inner");
  std::filesystem::create_directories(root_ / "taken");
  std::filesystem::create_directories(root_ / "empty");
  std::ofstream(root_ / "file") << "x";
  ASSERT_EQ(Succeeded(AddMountPoint(Volume(), {u"taken"}, kTarget)), "");
  const auto add = [&](const Folders& folders) { return Refusal(AddMountPoint(Volume(), folders, kOther)); };
  EXPECT_EQ(add({}), MountErrorCode::kBadPath);
  EXPECT_EQ(add({u"none"}), MountErrorCode::kPathNotFound);
  EXPECT_EQ(add({u"full"}), MountErrorCode::kDirNotEmpty);
  EXPECT_EQ(add({u"file"}), MountErrorCode::kNotDirectory);
  EXPECT_EQ(add({u"file", u"below"}), MountErrorCode::kNotDirectory);
  EXPECT_EQ(add({u"taken"}), MountErrorCode::kReparsePoint);
  EXPECT_EQ(add({u"taken", u"below"}), MountErrorCode::kReparsePoint);
  EXPECT_EQ(Refusal(RemoveMountPoint(Volume(), {u"taken"}, kOther)), MountErrorCode::kNotMountPoint);
  EXPECT_EQ(Refusal(RemoveMountPoint(Volume(), {u"empty"}, kOther)), MountErrorCode::kNotMountPoint);
  EXPECT_EQ(ListMountPoints(Volume()).value(), (std::vector<MountPoint>{{u"taken", kTarget}}));
  EXPECT_TRUE(std::filesystem::is_directory(root_ / "full/inner"));
}

TEST(MountedNtfs, OtherDriversAreRefused) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "dir");
  const NtfsVolume volume{nullptr, 0, 0, folder.Path()};
  EXPECT_EQ(Refusal(ListMountPoints(volume)), MountErrorCode::kVolumeInUse);
  EXPECT_EQ(Refusal(AddMountPoint(volume, {u"dir"}, kTarget)), MountErrorCode::kVolumeInUse);
  EXPECT_EQ(Refusal(RemoveMountPoint(volume, {u"dir"}, kTarget)), MountErrorCode::kVolumeInUse);
}

}  // namespace
}  // namespace dmrp::server
