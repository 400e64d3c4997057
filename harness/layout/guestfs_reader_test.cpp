#include "harness/layout/guestfs_reader.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/guest/sha256.hpp"
#include "harness/layout/readers.hpp"
#include "harness/layout/test_images.hpp"
#include "harness/layout/volume_pattern.hpp"

#include <algorithm>

#include <gmock/gmock.h>

namespace dmrp::harness {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class GuestfsReader : public ImageTest {};

// One appliance for them all: it takes ten seconds to start.
TEST_F(GuestfsReader, FindsWhatTheOtherReadersFind) {
  const auto set = MakeDynamicDisks("foreign-all", folder());
  ASSERT_TRUE(set) << set.error().ToString();
  std::vector<std::filesystem::path> images{MbrDisk(), GptDisk(), Blank(1U << 20U, "blank.img")};
  Shell(images[1], R"(mkfs.fat -n DMRP --offset 2048 -F 12 "$DISK" 8192 >/dev/null)");
  std::vector<DynamicImage> members;
  for (const DynamicDisk& disk : set->disks) {
    images.push_back(disk.image.path);
    members.push_back({disk.image.path});
  }
  const auto observation = ObserveDynamic(members);
  ASSERT_TRUE(observation) << observation.error().ToString();
  const DynamicGroup& group = observation->layout.groups.at(0);
  const VolumePattern pattern{.seed = 3};
  for (const DynamicVolume& volume : group.volumes) {
    auto open = VolumeMembers::Open(group, volume, /*writable=*/true);
    ASSERT_TRUE(open) << open.error().ToString();
    ASSERT_TRUE(pattern.Write(AccessTo(*open), 0, volume.size / VolumePattern::kBlock));
  }

  const auto seen = ReadWithLibguestfs(images);
  ASSERT_TRUE(seen) << seen.error().ToString();
  ASSERT_THAT(seen->disks, SizeIs(images.size()));
  for (std::size_t i = 0; i < 3; ++i) {
    const auto account = ReadLayout(LayoutReader::kLibfdisk, images[i], 512);
    ASSERT_TRUE(account) << account.error().ToString();
    EXPECT_THAT(Dissents(*account, seen->disks[i].layout), IsEmpty());
  }
  EXPECT_THAT(seen->disks[0].file_systems, IsEmpty());
  EXPECT_THAT(seen->disks[1].file_systems,
              ElementsAre(Pair(1U, AllOf(Field(&MountableFileSystem::type, "vfat"),
                                         Field(&MountableFileSystem::label, "DMRP")))));
  for (std::size_t i = 3; i < images.size(); ++i) {
    const DynamicMember& member = group.disks.at(i - 3);
    if (seen->disks[i].layout.style != TableStyle::kMbr) continue;
    std::vector<OctetRun> subdisks;
    for (const DynamicVolume& volume : group.volumes) {
      for (const DynamicPlex& plex : volume.plexes) {
        for (const DynamicExtent& extent : plex.extents) {
          if (extent.disk == member.name) subdisks.push_back({extent.start.value_or(0), extent.length});
        }
      }
    }
    std::ranges::sort(subdisks);
    EXPECT_EQ(seen->disks[i].kernel_partitions, subdisks) << member.name;
  }
  ASSERT_THAT(seen->volumes, SizeIs(group.volumes.size()));
  for (std::size_t i = 0; i < seen->volumes.size(); ++i) {
    const GuestfsVolume& volume = seen->volumes[i];
    const DynamicVolume& expected = group.volumes[i];
    SCOPED_TRACE(expected.name);
    EXPECT_EQ(volume.group, group.name);
    EXPECT_EQ(volume.name, expected.name);
    EXPECT_EQ(volume.type, expected.type);
    EXPECT_EQ(volume.size, expected.size);
    EXPECT_EQ(volume.hint, expected.hint.value_or(""));
    const Bytes octets = pattern.Make(0, expected.size / VolumePattern::kBlock);
    EXPECT_EQ(volume.sha256, Sha256({reinterpret_cast<const char*>(octets.data()), octets.size()}));
  }
}

TEST_F(GuestfsReader, TellsOfAnImageThatIsNotThere) {
  const auto seen = ReadWithLibguestfs({folder() / "none.img"});
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().kind, ErrorKind::kSystem);
  EXPECT_THAT(seen.error().message, HasSubstr("none.img:raw: no such image"));
}

}  // namespace
}  // namespace dmrp::harness
