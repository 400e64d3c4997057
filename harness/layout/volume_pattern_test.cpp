#include "harness/layout/volume_pattern.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/layout/test_images.hpp"

#include <cstdlib>
#include <cstring>

#include <gmock/gmock.h>

namespace dmrp::harness {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kStripe = 65536;

DynamicPlex Plex(DynamicPlex::Layout layout, unsigned columns) {
  DynamicPlex plex;
  plex.layout = layout;
  plex.stripe = kStripe;
  for (unsigned i = 0; i < columns; ++i) {
    plex.extents.push_back({.name = "", .disk = "", .length = 16 * kStripe, .column = i});
  }
  return plex;
}

TEST(MapRange, GoesThroughColumnsRowByRow) {
  EXPECT_THAT(MapRange(Plex(DynamicPlex::Layout::kStripe, 2), kStripe - 512, kStripe + 1024),
              ElementsAre(MemberRun{0, kStripe - 512, 512, 0}, MemberRun{1, 0, kStripe, 0},
                          MemberRun{0, kStripe, 512, 0}));
}

TEST(MapRange, StartsBehindTheParityOfEachRow) {
  EXPECT_THAT(MapRange(Plex(DynamicPlex::Layout::kRaid5, 3), 0, 8 * kStripe),
              ElementsAre(MemberRun{0, 0, kStripe, 2}, MemberRun{1, 0, kStripe, 2},
                          MemberRun{2, kStripe, kStripe, 1}, MemberRun{0, kStripe, kStripe, 1},
                          MemberRun{1, 2 * kStripe, kStripe, 0}, MemberRun{2, 2 * kStripe, kStripe, 0},
                          MemberRun{0, 3 * kStripe, kStripe, 2}, MemberRun{1, 3 * kStripe, kStripe, 2}));
}

TEST(MapRange, IsNothingOfNothing) {
  EXPECT_THAT(MapRange(Plex(DynamicPlex::Layout::kRaid5, 3), 512, 0), IsEmpty());
}

TEST(Pattern, NamesAMisplacedBlock) {
  const VolumePattern pattern{3};
  Bytes octets = pattern.Make(5, 4);
  EXPECT_THAT(pattern.Mismatches(5, octets), IsEmpty());
  const Bytes other = VolumePattern{4}.Make(5, 1);
  std::ranges::copy(pattern.Make(9, 1), octets.begin());
  std::ranges::copy(other, octets.begin() + 512);
  std::fill_n(octets.begin() + 1024, 512, std::byte{0});
  octets[1536 + 100] ^= std::byte{1};
  EXPECT_THAT(pattern.Mismatches(5, octets),
              ElementsAre("block 5 holds block 9 of seed 3", "block 6 holds block 5 of seed 4",
                          "block 7 holds zeros", "block 8 holds something else"));
}

class Members : public ImageTest {
 protected:
  /// The groups of some disks; the images stay.
  DynamicGroup Group(std::string_view description) {
    const auto set = MakeDynamicDisks(description, folder());
    EXPECT_TRUE(set.has_value()) << set.error().ToString();
    return set ? Group(*set) : DynamicGroup{};
  }
  static DynamicGroup Group(const DynamicDiskSet& set) {
    std::vector<DynamicImage> images;
    for (const DynamicDisk& disk : set.disks) {
      images.push_back({disk.image.path, disk.image.spec.logical_sector});
    }
    const auto seen = ObserveDynamic(images);
    EXPECT_TRUE(seen.has_value()) << seen.error().ToString();
    return seen && !seen->layout.groups.empty() ? seen->layout.groups.front() : DynamicGroup{};
  }
  static VolumeMembers Open(const DynamicGroup& group, std::string_view volume, bool writable = true) {
    auto members = VolumeMembers::Open(group, *group.FindVolume(volume), writable);
    if (!members) {
      ADD_FAILURE() << members.error().ToString();
      std::abort();
    }
    return std::move(*members);
  }
  static std::vector<std::string> Checked(const Result<std::vector<std::string>>& sentences) {
    if (!sentences) return {sentences.error().ToString()};
    return *sentences;
  }
  static void Remove(DynamicGroup& group, std::string_view disk) {
    for (DynamicMember& member : group.disks) {
      if (member.name == disk) member.present = false;
    }
    for (DynamicVolume& volume : group.volumes) {
      for (DynamicPlex& plex : volume.plexes) {
        for (DynamicExtent& extent : plex.extents) {
          if (extent.disk == disk) extent.start = std::nullopt;
        }
      }
    }
  }
};

TEST_F(Members, HoldAPatternOfTheirVolume) {
  for (const std::string_view name : {"foreign-all", "foreign-all-2003"}) {
    const DynamicGroup group = Group(name);
    ASSERT_THAT(group.volumes, SizeIs(5));
    for (const DynamicVolume& volume : group.volumes) {
      SCOPED_TRACE(volume.name);
      VolumeMembers members = Open(group, volume.name);
      const VolumePattern pattern{7};
      const std::uint64_t blocks = volume.size / 512;
      ASSERT_TRUE(pattern.Write(AccessTo(members), 0, blocks).has_value());
      EXPECT_THAT(Checked(pattern.Check(AccessTo(members), 0, blocks)), IsEmpty());
      EXPECT_THAT(Checked(VolumePattern{8}.Check(AccessTo(members), 0, blocks)), SizeIs(10));
      EXPECT_THAT(Checked(members.CheckMirrorLegsEqual()), IsEmpty());
      EXPECT_THAT(Checked(members.CheckParity()), IsEmpty());
    }
    std::vector<DynamicImage> images;
    for (const DynamicMember& disk : group.disks) images.push_back({disk.image, disk.sector_bytes});
    const auto findings = CheckLdmInvariants(images, {.complete = true});
    ASSERT_TRUE(findings.has_value());
    EXPECT_THAT(*findings, IsEmpty()) << "the writes stayed where they belong, and I65 and I66 hold";
  }
}

TEST_F(Members, GiveTheSameOctetsWithoutOneColumnOrLeg) {
  DynamicGroup group = Group("foreign-all");
  const VolumePattern pattern{7};
  for (const std::string_view name : {"Volume4", "Volume5"}) {
    VolumeMembers members = Open(group, name);
    ASSERT_TRUE(pattern.Write(AccessTo(members), 0, members.volume().size / 512).has_value());
  }
  for (const std::string_view disk : {"Disk2", "Disk3", "Disk4"}) {
    SCOPED_TRACE(disk);
    DynamicGroup degraded = group;
    Remove(degraded, disk);
    VolumeMembers raid = Open(degraded, "Volume5", false);
    EXPECT_THAT(Checked(pattern.Check(AccessTo(raid), 0, raid.volume().size / 512)), IsEmpty());
    EXPECT_EQ(raid.Write(0, pattern.Make(0, 1)).error().kind, ErrorKind::kUnavailable);
    EXPECT_EQ(raid.CheckParity().error().kind, ErrorKind::kUnavailable);
  }
  Remove(group, "Disk1");
  VolumeMembers mirror = Open(group, "Volume4", false);
  EXPECT_THAT(Checked(pattern.Check(AccessTo(mirror), 0, mirror.volume().size / 512)), IsEmpty());
  EXPECT_THAT(Checked(mirror.CheckMirrorLegsEqual()), IsEmpty()) << "one leg alone";
  EXPECT_EQ(ReadThroughMembers(group, *group.FindVolume("Volume1"), 0, 512).error().kind,
            ErrorKind::kUnavailable);
}

TEST_F(Members, ShowWhereLegsDiffer) {
  const DynamicGroup group = Group("foreign-all");
  const DynamicVolume& mirror = *group.FindVolume("Volume4");
  const DynamicExtent& leg = mirror.plexes.at(1).extents.at(0);
  Poke(group.FindDisk(leg.disk)->image, leg.start.value() + 5000, {1});
  EXPECT_THAT(Checked(CheckMirrorLegsEqual(group, mirror)),
              ElementsAre("Volume4: leg 2 on Disk4 differs from leg 1 on Disk1 at octet 5000"));
}

TEST_F(Members, ShowTheRowOfWrongParity) {
  const DynamicGroup group = Group("foreign-all");
  const DynamicVolume& raid = *group.FindVolume("Volume5");
  const DynamicExtent& column = raid.plexes.at(0).extents.at(1);
  Poke(group.FindDisk(column.disk)->image, column.start.value() + 3 * kStripe + 9, {1});
  EXPECT_THAT(Checked(CheckParity(group, raid)), ElementsAre(HasSubstr("row 3, octet 9")));
}

TEST_F(Members, EndWithTheirVolume) {
  const DynamicGroup group = Group("foreign-simple");
  VolumeMembers members = Open(group, "Volume1");
  const std::uint64_t size = members.volume().size;
  EXPECT_THAT(members.Read(size - 512, 512).value(), SizeIs(512));
  EXPECT_EQ(members.Read(size - 512, 1024).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(members.Write(size, VolumePattern{}.Make(0, 1)).error().kind, ErrorKind::kUsage);
  EXPECT_THAT(members.Read(size, 0).value(), IsEmpty());
}

TEST_F(Members, AreCountedFromThePublicRegionOnLargeSectors) {
  const DynamicGroup group = Group("foreign-simple-4kn");
  VolumeMembers members = Open(group, "Volume1");
  ASSERT_TRUE(VolumePattern{5}.Write(AccessTo(members), 0, 8).has_value());
  const DynamicMember& disk = group.disks.at(0);
  EXPECT_EQ(disk.data_start, 63 * 4096U);
  const auto raw = internal::RunProgram({"od", "-An", "-tx1", "-j",
                                         std::to_string(members.volume().plexes[0].extents[0].start.value()),
                                         "-N", "16", disk.image.string()});
  ASSERT_TRUE(raw.has_value());
  EXPECT_THAT(raw->out, HasSubstr(" 00 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00"));
  EXPECT_EQ(members.volume().plexes[0].extents[0].start.value() % kStripe, 0U);
}

/// What Windows wrote through its own driver is found by the arithmetic here.
TEST_F(Members, OfWindowsHoldItsFileSystems) {
  if (!WindowsDisksArchive()) GTEST_SKIP() << "the archive of Windows' disks is not there";
  const auto set = UnpackWindowsDisks(folder());
  ASSERT_TRUE(set.has_value()) << set.error().ToString();
  const DynamicGroup group = Group(*set);
  ASSERT_THAT(group.volumes, SizeIs(6));
  for (const DynamicVolume& volume : group.volumes) {
    SCOPED_TRACE(volume.name);
    const Bytes first = ReadThroughMembers(group, volume, 0, 512).value_or(Bytes(512));
    const Bytes last = ReadThroughMembers(group, volume, volume.size - 512, 512).value_or(Bytes(512));
    EXPECT_EQ(std::memcmp(first.data() + 3, "NTFS    ", 8), 0);
    EXPECT_EQ(first, last) << "the copy of the boot sector";
    EXPECT_THAT(Checked(CheckMirrorLegsEqual(group, volume)), IsEmpty());
    EXPECT_THAT(Checked(CheckParity(group, volume)), IsEmpty());
    // All of it, as ntfsresize checks it: every file record and the whole bitmap of clusters.
    const auto copy = folder() / (volume.name + ".ntfs");
    {
      std::ofstream file(copy, std::ios::binary);
      const Bytes octets = ReadThroughMembers(group, volume, 0, volume.size).value_or(Bytes());
      file.write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
    }
    const auto checked = internal::RunProgram({"ntfsresize", "--info", "--force", copy.string()});
    ASSERT_TRUE(checked.has_value()) << checked.error().ToString();
    EXPECT_EQ(checked->exit_status, 0) << checked->out << checked->err;
    std::filesystem::remove(copy);
  }
  for (const std::string_view disk : {"Disk8", "Disk9", "Disk10"}) {
    DynamicGroup degraded = group;
    Remove(degraded, disk);
    const DynamicVolume& raid = *degraded.FindVolume("Raid1");
    EXPECT_EQ(ReadThroughMembers(degraded, raid, 0, raid.size).value_or(Bytes()),
              ReadThroughMembers(group, *group.FindVolume("Raid1"), 0, raid.size).value_or(Bytes(1)))
        << disk;
  }
}

}  // namespace
}  // namespace dmrp::harness
