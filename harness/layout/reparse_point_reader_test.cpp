#include "harness/layout/reparse_point_reader.hpp"

#include "harness/layout/test_images.hpp"

#include <gmock/gmock.h>

// libntfs-3g's headers are C, and want attrib.h first.
extern "C" {
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/reparse.h>
#include <ntfs-3g/volume.h>
}

namespace dmrp::harness {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;
// Tag and length of a mount point, counts, and the name "\??\C:\" with an empty print name.
constexpr std::string_view kMountPoint =
    "030000a0 1a000000 00000e00 10000000 5c003f00 3f005c00 43003a00 5c000000 0000";

class ReparsePoints : public ImageTest {
 protected:
  // A disk whose volume lies at 1 MiB, with the folders data/old, which has the reparse point, and "plain".
  std::filesystem::path Disk() {
    const auto volume = Blank(8 * kMiB, "volume");
    Shell(volume, "mkntfs -q -F -Q -c 512 -s 512 -p 2048 -H 255 -S 63 $DISK");
    ntfs_volume* const ntfs = ntfs_mount(volume.c_str(), 0);
    EXPECT_NE(ntfs, nullptr);
    if (ntfs == nullptr) return volume;
    ntfs_inode* const root = ntfs_inode_open(ntfs, FILE_root);
    ntfs_inode* const data = MakeFolder(root, u"data");
    ntfs_inode* const old = MakeFolder(data, u"old");
    ntfs_inode* const plain = MakeFolder(root, u"plain");
    const Bytes point = *FromHex(kMountPoint);
    EXPECT_EQ(ntfs_set_ntfs_reparse_data(old, reinterpret_cast<const char*>(point.data()), point.size(), 0),
              0);
    EXPECT_EQ(ntfs_inode_close_in_dir(old, data), 0);
    EXPECT_EQ(ntfs_inode_close_in_dir(plain, root), 0);
    EXPECT_EQ(ntfs_inode_close_in_dir(data, root), 0);
    EXPECT_EQ(ntfs_inode_close(root), 0);
    EXPECT_EQ(ntfs_umount(ntfs, FALSE), 0);
    const auto image = Blank(10 * kMiB);
    Shell(image, "dd if='" + volume.string() + R"(' of="$DISK" bs=1M seek=1 conv=notrunc status=none)");
    return image;
  }

 private:
  static ntfs_inode* MakeFolder(ntfs_inode* parent, std::u16string name) {
    ntfs_inode* const made =
        ntfs_create(parent, const_cpu_to_le32(0), reinterpret_cast<ntfschar*>(name.data()),
                    static_cast<u8>(name.size()), S_IFDIR);
    EXPECT_NE(made, nullptr);
    return made;
  }
};

TEST_F(ReparsePoints, AreReadOctetByOctet) {
  const auto seen = ReadReparsePoint(Disk(), kMiB, 8 * kMiB, "data/old");
  ASSERT_TRUE(seen.has_value()) << seen.error().ToString();
  ASSERT_TRUE(seen->has_value());
  EXPECT_EQ(ToHex(**seen), kMountPoint);
}

TEST_F(ReparsePoints, AreNothingWhereAFolderHasNone) {
  const auto seen = ReadReparsePoint(Disk(), kMiB, 8 * kMiB, "plain");
  ASSERT_TRUE(seen.has_value()) << seen.error().ToString();
  EXPECT_EQ(*seen, std::nullopt);
}

TEST_F(ReparsePoints, CannotBeReadOfAFolderThatIsNotThere) {
  const auto seen = ReadReparsePoint(Disk(), kMiB, 8 * kMiB, "data/new");
  ASSERT_FALSE(seen.has_value());
  EXPECT_EQ(seen.error().kind, ErrorKind::kMalformed);
  EXPECT_THAT(seen.error().message, HasSubstr("data/new"));
}

TEST_F(ReparsePoints, CannotBeReadWhereNoNtfsIs) {
  EXPECT_EQ(ReadReparsePoint(Disk(), 0, 8 * kMiB, "plain").error().kind, ErrorKind::kMalformed);
}

TEST_F(ReparsePoints, CannotBeReadOfABrokenMasterFileTable) {
  const auto image = Disk();
  EraseMasterFileTable(image, kMiB, 512);
  EXPECT_EQ(ReadReparsePoint(image, kMiB, 8 * kMiB, "plain").error().kind, ErrorKind::kMalformed);
}

TEST_F(ReparsePoints, CannotBeReadOutsideOfTheImage) {
  EXPECT_EQ(ReadReparsePoint(Disk(), 9 * kMiB, 8 * kMiB, "plain").error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace dmrp::harness
