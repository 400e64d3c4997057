#include "harness/layout/dynamic_layout.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/layout/readers.hpp"
#include "harness/layout/test_images.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::uint64_t kMiB = 1 << 20;

class DynamicReaders : public ImageTest {
 protected:
  std::vector<DynamicImage> Make(std::string_view description) {
    auto set = MakeDynamicDisks(description, folder());
    if (!set) {
      ADD_FAILURE() << set.error().ToString();
      return {};
    }
    return Images(*set);
  }
  static std::vector<DynamicImage> Images(const DynamicDiskSet& set) {
    std::vector<DynamicImage> images;
    for (const DynamicDisk& disk : set.disks) {
      images.push_back({disk.image.path, disk.image.spec.logical_sector});
    }
    return images;
  }
  static DynamicObservation Seen(const std::vector<DynamicImage>& images) {
    auto observed = ObserveDynamic(images);
    if (!observed) {
      ADD_FAILURE() << observed.error().ToString();
      return {};
    }
    return *observed;
  }
  static std::vector<unsigned> Broken(const std::vector<DynamicImage>& images, LdmCheckOptions options = {}) {
    auto findings = CheckLdmInvariants(images, options);
    if (!findings) {
      ADD_FAILURE() << findings.error().ToString();
      return {};
    }
    std::vector<unsigned> numbers;
    for (const LdmFinding& finding : *findings) numbers.push_back(finding.number);
    return numbers;
  }
};

TEST_F(DynamicReaders, AgreeOnOneVolumeOfEachKind) {
  const DynamicObservation seen = Seen(Make("foreign-all"));
  EXPECT_THAT(seen.dissents, IsEmpty());
  EXPECT_THAT(seen.layout.problems, IsEmpty());
  ASSERT_THAT(seen.witnesses, SizeIs(1));
  EXPECT_THAT(seen.witnesses[0].problems, IsEmpty());
  ASSERT_THAT(seen.layout.groups, SizeIs(1));
  for (const DynamicLayout* layout : {&seen.layout, &seen.witnesses[0]}) {
    SCOPED_TRACE(layout->reader);
    const DynamicGroup& group = layout->groups.at(0);
    EXPECT_EQ(group.name, "ForeignAll-Dg0");
    ASSERT_THAT(group.disks, SizeIs(4));
    EXPECT_EQ(group.disks[0].data_start, 63 * 512U);
    EXPECT_EQ(group.disks[0].metadata_start, 63 * kMiB);
    EXPECT_EQ(group.disks[3].metadata_start, 34 * 512U) << "the GPT disk";
    ASSERT_THAT(group.volumes, SizeIs(5));
    const DynamicVolume& span = *group.FindVolume("Volume2");
    EXPECT_EQ(span.type, DynamicVolumeType::kSpanned);
    EXPECT_EQ(span.size, 10 * kMiB);
    EXPECT_EQ(span.hint, "F:");
    ASSERT_THAT(span.plexes, SizeIs(1));
    ASSERT_THAT(span.plexes[0].extents, SizeIs(2));
    EXPECT_EQ(span.plexes[0].extents[0].disk, "Disk3") << "in the order of selection";
    EXPECT_EQ(span.plexes[0].extents[0].start, 65536U);
    EXPECT_EQ(span.plexes[0].extents[1].length, 6 * kMiB);
    const DynamicVolume& mirror = *group.FindVolume("Volume4");
    EXPECT_EQ(mirror.type, DynamicVolumeType::kMirrored);
    EXPECT_THAT(mirror.plexes, SizeIs(2));
    const DynamicVolume& raid = *group.FindVolume("Volume5");
    EXPECT_EQ(raid.type, DynamicVolumeType::kRaid5);
    EXPECT_EQ(raid.plexes.at(0).stripe, 65536U);
    EXPECT_EQ(raid.plexes.at(0).extents.at(2).column, 2U);
    EXPECT_EQ(layout->FindVolume(raid.guid), &raid);
  }
}

TEST_F(DynamicReaders, TellStatesThatLibldmDoesNot) {
  const DynamicObservation seen = Seen(Make("foreign-failing"));
  EXPECT_THAT(seen.dissents, IsEmpty());
  const DynamicGroup& group = seen.layout.groups.at(0);
  EXPECT_EQ(group.FindDisk("Disk2")->flags, 4U);
  EXPECT_EQ(group.volumes.at(0).state, "ACTIVE");
  EXPECT_EQ(group.volumes.at(0).plexes.at(0).extents.at(1).flags, 16U);
  EXPECT_EQ(seen.witnesses.at(0).groups.at(0).FindDisk("Disk2")->flags, std::nullopt);
}

TEST_F(DynamicReaders, TellAMissingDisk) {
  const DynamicObservation seen = Seen(Make("foreign-missing"));
  EXPECT_THAT(seen.dissents, IsEmpty());
  for (const DynamicLayout* layout : {&seen.layout, &seen.witnesses.at(0)}) {
    const DynamicGroup& group = layout->groups.at(0);
    EXPECT_FALSE(group.FindDisk("Disk2")->present);
    EXPECT_EQ(group.FindVolume("Volume1")->plexes.at(1).extents.at(0).start, std::nullopt);
    EXPECT_NE(group.FindVolume("Volume1")->plexes.at(0).extents.at(0).start, std::nullopt);
  }
}

TEST_F(DynamicReaders, TellAStaleMember) {
  const DynamicObservation seen = Seen(Make("foreign-stale"));
  EXPECT_EQ(seen.layout.groups.at(0).FindDisk("Disk2")->stale, true);
  EXPECT_EQ(seen.layout.groups.at(0).FindDisk("Disk1")->stale, false);
  EXPECT_THAT(seen.layout.groups.at(0).volumes, SizeIs(2));
  EXPECT_THAT(seen.witnesses.at(0).problems, Contains(HasSubstr("inconsistent")));
}

TEST_F(DynamicReaders, SeeTheOldStateUntilATransactionIsCommitted) {
  const DynamicObservation before = Seen(Make("foreign-rollback"));
  EXPECT_THAT(before.layout.groups.at(0).volumes, SizeIs(1));
  EXPECT_EQ(before.layout.groups.at(0).at_rest, false);
  EXPECT_THAT(before.witnesses.at(0).problems, Contains(HasSubstr("Expected")));
  EXPECT_THAT(before.dissents, Contains(HasSubstr("libldm has none")));
  const DynamicObservation behind = Seen(Make("foreign-redo"));
  EXPECT_THAT(behind.layout.groups.at(0).volumes, SizeIs(2)) << "one disk is behind the commit point";
}

TEST_F(DynamicReaders, ReadLargeSectorsWithoutLibldm) {
  const auto images = Make("foreign-gpt-4kn");
  const DynamicObservation seen = Seen(images);
  EXPECT_THAT(seen.witnesses, IsEmpty());
  ASSERT_THAT(seen.layout.groups, SizeIs(1));
  const DynamicVolume& mirror = seen.layout.groups[0].volumes.at(0);
  EXPECT_EQ(mirror.size, 16 * kMiB);
  EXPECT_EQ(mirror.plexes.at(0).extents.at(0).start.value() % 4096, 0U);
  EXPECT_THAT(Broken(images, {.complete = true}), IsEmpty());
  const auto refused = ReadDynamicLayout(DynamicReader::kLibldm, images);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
  const auto table = Observe(images[0].path, 4096);
  ASSERT_TRUE(table.has_value());
  EXPECT_THAT(table->dissents, IsEmpty()) << "libfdisk and libblkid";
  ASSERT_THAT(table->layout.partitions, SizeIs(3));
  EXPECT_EQ(table->layout.partitions[0].name, "LDM metadata partition");
}

TEST_F(DynamicReaders, ReadMembersOfBothSectorSizesInOneGroup) {
  const auto images = Make("foreign-mixed");
  const DynamicObservation seen = Seen(images);
  ASSERT_THAT(seen.layout.groups, SizeIs(1));
  EXPECT_THAT(seen.layout.problems, IsEmpty());
  EXPECT_EQ(seen.layout.groups[0].FindDisk("Disk2")->sector_bytes, 4096U);
  EXPECT_EQ(seen.layout.groups[0].FindDisk("Disk2")->data_start, 63 * 4096U);
  EXPECT_EQ(seen.layout.groups[0].FindDisk("Disk4")->sector_bytes, 512U);
  EXPECT_THAT(Broken(images, {.complete = true}), IsEmpty());
}

TEST_F(DynamicReaders, ReadAroundDamagedCopiesThatLibldmNeeds) {
  const DynamicObservation seen = Seen(Make("foreign-damaged"));
  EXPECT_THAT(seen.layout.groups.at(0).volumes, SizeIs(1));
  EXPECT_THAT(seen.layout.problems, Not(IsEmpty()));
  EXPECT_THAT(seen.dissents, Contains(HasSubstr("libldm has none")));
}

TEST_F(DynamicReaders, PassOverDisksThatAreNotDynamic) {
  auto images = Make("foreign-simple");
  images.push_back({MbrDisk(), 512});
  images.push_back({GptDisk(), 512});
  images.push_back({Blank(8 * kMiB), 512});
  const DynamicObservation seen = Seen(images);
  EXPECT_THAT(seen.dissents, IsEmpty());
  EXPECT_THAT(seen.layout.groups, SizeIs(1));
  EXPECT_THAT(seen.layout.problems, IsEmpty());
}

TEST_F(DynamicReaders, KeepTwoGroupsApart) {
  auto images = Make("foreign-simple");
  for (const DynamicImage& image : Make("foreign-simple-gpt")) images.push_back(image);
  const DynamicObservation seen = Seen(images);
  EXPECT_THAT(seen.dissents, IsEmpty());
  ASSERT_THAT(seen.layout.groups, SizeIs(2));
  EXPECT_NE(seen.layout.groups[0].guid, seen.layout.groups[1].guid);
  EXPECT_THAT(Broken(images, {.complete = true}), IsEmpty());
}

TEST_F(DynamicReaders, DissentWhereAccountsDiffer) {
  DynamicObservation seen = Seen(Make("foreign-all"));
  DynamicLayout other = seen.witnesses.at(0);
  other.groups[0].volumes[0].size += 512;
  other.groups[0].volumes[4].plexes[0].extents[0].disk = "Disk9";
  other.groups[0].disks.pop_back();
  EXPECT_THAT(Dissents(seen.layout, other),
              ElementsAre(HasSubstr("disk Disk4: libldm has none"), HasSubstr("volume Volume1, size"),
                          HasSubstr("volume Volume5, members")));
}

TEST_F(DynamicReaders, TellTheNumberOfABrokenInvariant) {
  const auto images = Make("foreign-simple");
  EXPECT_THAT(Broken(images, {.complete = true}), IsEmpty());
  Poke(images[0].path, 6 * 512 + 0x10, {0});  // the time in the first PRIVHEAD: neither equal nor summed
  EXPECT_THAT(Broken(images), ElementsAre(14U, 15U));
}

TEST_F(DynamicReaders, SayThatAnImageIsMissing) {
  EXPECT_FALSE(ObserveDynamic({{folder() / "none.img", 512}}).has_value());
  EXPECT_FALSE(CheckLdmInvariants({{folder() / "none.img", 512}}).has_value());
}

TEST_F(DynamicReaders, GiveJson) {
  const nlohmann::json json = ToJson(Seen(Make("foreign-simple")));
  EXPECT_EQ(json["layout"]["groups"][0]["volumes"][0]["type"], "simple");
  EXPECT_EQ(json["witnesses"][0]["reader"], "libldm");
}

TEST_F(DynamicReaders, HearNoWarningOfTestDisk) {
  for (const std::string_view name : {"foreign-all", "foreign-retained", "foreign-oem"}) {
    for (const DynamicImage& image : Make(name)) {
      const auto warnings = TestDiskWarnings(image.path);
      ASSERT_TRUE(warnings.has_value()) << warnings.error().ToString();
      EXPECT_THAT(*warnings, IsEmpty()) << name << " " << image.path;
    }
  }
}

TEST_F(DynamicReaders, HearTestDiskWarnOfOverlappingPartitions) {
  const auto image = MbrDisk();
  Poke(image, 446 + 8, {0x00, 0x51, 0x00, 0x00});
  const auto warnings = TestDiskWarnings(image);
  ASSERT_TRUE(warnings.has_value()) << warnings.error().ToString();
  EXPECT_THAT(*warnings, Not(IsEmpty()));
}

TEST_F(DynamicReaders, AgreeOnTheDisksOfWindows) {
  if (!WindowsDisksArchive()) GTEST_SKIP() << "the archive of Windows' disks is not there";
  const auto set = UnpackWindowsDisks(folder());
  ASSERT_TRUE(set.has_value()) << set.error().ToString();
  const auto images = Images(*set);
  const DynamicObservation seen = Seen(images);
  EXPECT_THAT(seen.dissents, IsEmpty());
  EXPECT_THAT(seen.layout.problems, IsEmpty());
  EXPECT_THAT(seen.layout.groups.at(0).volumes, SizeIs(6));
  EXPECT_EQ(seen.layout.groups.at(0).committed, 1133U);
  EXPECT_THAT(Broken(images, {.complete = true}), IsEmpty());
}

}  // namespace
}  // namespace dmrp::harness
