#include "reference_server/storage/ldm/group_test_support.hpp"

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(GroupNameTest, IsTheHostsNameInFifteenCharacters) {
  EXPECT_EQ(GroupNameOf("LAB7"), "LAB7Dg0");
  EXPECT_EQ(GroupNameOf("a-very-long-host-name"), "a-very-long-hosDg0");
  EXPECT_EQ(GroupNameOf("a b\xC3\xA4"), "a-b--Dg0");
}

TEST(ConvertDiskTest, FoundsAGroupAndJoinsIt) {
  MemoryGroup lab({{.bytes = 50 * kMiB},
                   {.bytes = 200 * kMiB, .style = PartitionStyle::kGpt},
                   {.bytes = 5 * kGiB},
                   {.bytes = 80 * kMiB}});
  EXPECT_EQ(lab.Now().group.name, "TESTHOSTDg0");
  std::vector<std::string> names;
  for (const DiskRecord& disk : lab.Now().disks) names.push_back(disk.name);
  EXPECT_THAT(names, ElementsAre("Disk1", "Disk2", "Disk3", "Disk4"));
  EXPECT_THAT(lab.group->Members(), SizeIs(4));
  EXPECT_THAT(lab.group->MissingDisks(), IsEmpty());
  ExpectSound(*lab.group);
  ExpectLdmtoolAgrees(*lab.group);
  lab.Reload();
  EXPECT_THAT(lab.group->Members(), SizeIs(4));
  ExpectSound(*lab.group);
}

TEST(ConvertDiskTest, TakesDisksOfLargeSectors) {
  MemoryGroup lab({{.bytes = 64 * kMiB, .sector = 4096},
                   {},
                   {.bytes = 200 * kMiB, .style = PartitionStyle::kGpt, .sector = 4096}});
  ExpectSound(*lab.group);
  lab.Make(VolumeLayout::kMirrored, {lab.disks[0], lab.disks[1], lab.disks[2]}, 10 * kMiBBlocks);
  ExpectSound(*lab.group);
  lab.Reload();
  EXPECT_THAT(lab.group->Members(), SizeIs(3));
}

TEST(ConvertDiskTest, RefusesWhatThePlanRefuses) {
  MemoryGroup lab(1);
  MemoryDevice& device = lab.AddBasicDisk();
  const Region free = FreeRegion(LayoutOf(device));
  Must(CreatePartition(device, {.freeRegion = free.start,
                                .start = static_cast<std::int64_t>(free.start),
                                .length = static_cast<std::int64_t>(free.length)}));
  EXPECT_EQ(CodeOf(ConvertDisk(device, &*lab.group, {})), StorageErrorCode::kCannotConvert);
  EXPECT_EQ(CodeOf(ConvertDisk(*lab.devices[0], &*lab.group, {})), StorageErrorCode::kDynamicDisk);
  device.SetReadOnly(true);
  EXPECT_EQ(CodeOf(ConvertDisk(device, &*lab.group, {})), StorageErrorCode::kReadOnly);
  EXPECT_THAT(lab.Now().disks, SizeIs(1));
}

TEST(ConvertDiskTest, ANewGroupIsAnnouncedBeforeItCounts) {
  MemoryDevice device({.sizeBytes = 50 * kMiB});
  Must(InitializeStyle(device, {.style = PartitionStyle::kMbr}));
  std::vector<Guid> announced;
  bool welcome = false;
  const ConvertOptions options{.groupName = "TESTDg0", .announceGroup = [&](const DiskGroupRecord& group) {
                                 announced.push_back(group.guid);
                                 EXPECT_FALSE(Must(OpenMember(device))) << "the disk is dynamic already";
                                 return welcome;
                               }};
  EXPECT_EQ(CodeOf(ConvertDisk(device, nullptr, options)), StorageErrorCode::kCannotConvert);
  EXPECT_FALSE(Must(OpenMember(device)));
  welcome = true;
  const auto converted = Must(ConvertDisk(device, nullptr, options));
  ASSERT_THAT(announced, SizeIs(2));
  EXPECT_EQ(converted.group.Current().group.guid, announced.back());
}

TEST(ConvertDiskTest, LeavesTheDataOfPartitionsWhereTheyAre) {
  MemoryGroup lab(1);
  MemoryDevice& device = lab.AddBasicDisk();
  const auto make = [&](RegionKind kind, std::uint64_t length) {
    const Region free = FreeRegion(
        LayoutOf(device), kind == RegionKind::kLogical ? RegionKind::kExtendedFree : RegionKind::kFree);
    return Must(CreatePartition(device, {.kind = kind,
                                         .freeRegion = free.start,
                                         .start = static_cast<std::int64_t>(free.start),
                                         .length = static_cast<std::int64_t>(length)}))
        .region;
  };
  std::vector<Region> regions{make(RegionKind::kPrimary, 5 * kMiB)};
  make(RegionKind::kExtended, 20 * kMiB);
  regions.push_back(make(RegionKind::kLogical, 4 * kMiB));
  regions.push_back(make(RegionKind::kLogical, 6 * kMiB));
  for (std::size_t i = 0; i < regions.size(); ++i) {
    device.Poke(regions[i].start, Bytes(512, static_cast<std::byte>(0x40 + i)));
    device.Poke(regions[i].End() - 512, Bytes(512, static_cast<std::byte>(0x50 + i)));
  }
  auto converted = Must(ConvertDisk(device, &*lab.group, {}));
  ASSERT_THAT(converted.volumes, SizeIs(3));
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const VolumeMap map = Must(MapVolume(converted.group, converted.volumes[i]));
    EXPECT_EQ(map.length, regions[i].length);
    EXPECT_EQ(map.plexes.at(0).columns.at(0).extents.at(0).diskOffset, regions[i].start);
    Bytes read(512);
    ASSERT_TRUE(ReadVolume(map, 0, read));
    EXPECT_EQ(read, Bytes(512, static_cast<std::byte>(0x40 + i)));
    ASSERT_TRUE(ReadVolume(map, map.length - 512, read));
    EXPECT_EQ(read, Bytes(512, static_cast<std::byte>(0x50 + i)));
  }
  ExpectSound(converted.group);
  ExpectLdmtoolAgrees(converted.group);
}

TEST(ConvertDiskTest, KeepsTheEntryOfTheSystemPartition) {
  MemoryDevice device({.sizeBytes = 50 * kMiB});
  Must(InitializeStyle(device, {.style = PartitionStyle::kMbr}));
  const Region free = FreeRegion(LayoutOf(device));
  Must(CreatePartition(device, {.freeRegion = free.start,
                                .start = static_cast<std::int64_t>(free.start + kMiB),
                                .length = static_cast<std::int64_t>(5 * kMiB)}));
  Must(MarkActive(device, free.start + kMiB));
  auto converted = Must(ConvertDisk(
      device, nullptr,
      {.groupName = "TESTDg0", .table = {.isSystem = [](const Region& region) { return region.active; }}}));
  const VolumeRecord& volume = *converted.group.Current().FindVolume(converted.volumes.at(0));
  EXPECT_EQ(volume.flags & (kVolumeRetainPartition | kVolumeSystem), kVolumeRetainPartition | kVolumeSystem);
  EXPECT_EQ(volume.partitionType, kMbrTypeIfs);
  ExpectSound(converted.group);
  ExpectLdmtoolAgrees(converted.group);
}

TEST(UnconvertDiskTest, GivesBackABasicDiskAndAGroupWithoutIt) {
  for (const PartitionStyle style : {PartitionStyle::kMbr, PartitionStyle::kGpt}) {
    MemoryGroup lab(1);
    MemoryDevice& device = lab.AddBasicDisk({.bytes = 200 * kMiB, .style = style});
    const std::string before = RegionsText(LayoutOf(device));
    const ObjectId disk = lab.Join(device);
    lab.Make(VolumeLayout::kSimple, {lab.disks[0]}, kMiBBlocks);
    auto rest = Must(UnconvertDisk(*lab.group, disk));
    ASSERT_TRUE(rest);
    EXPECT_THAT(rest->Current().disks, SizeIs(1));
    EXPECT_EQ(RegionsText(LayoutOf(device)), before);
    EXPECT_FALSE(LayoutOf(device).dynamic);
    device.ForEachStored([&](std::uint64_t offset, std::span<const std::byte> octets) {
      const std::string text(reinterpret_cast<const char*>(octets.data()), octets.size());
      EXPECT_EQ(text.find("PRIVHEAD"), std::string::npos) << offset;
      EXPECT_EQ(text.find("VMDB"), std::string::npos) << offset;
    });
    ExpectSound(*rest);
    ExpectLdmtoolAgrees(*rest);
  }
}

TEST(UnconvertDiskTest, EndsTheGroupWithItsLastDiskAndRefusesDisksInUse) {
  MemoryGroup lab(1);
  const ObjectId volume = lab.Make(VolumeLayout::kSimple, {lab.disks[0]}, kMiBBlocks);
  EXPECT_EQ(CodeOf(UnconvertDisk(*lab.group, lab.disks[0])), StorageErrorCode::kNotEmpty);
  EXPECT_EQ(CodeOf(UnconvertDisk(*lab.group, 4711)), StorageErrorCode::kNotFound);
  lab.Commit(Must(DeleteVolume(lab.Now(), volume)));
  EXPECT_FALSE(Must(UnconvertDisk(*lab.group, lab.disks[0])));
  EXPECT_FALSE(LayoutOf(*lab.devices[0]).dynamic);
}

TEST(RetainedPartitionsTest, AreMadeAndTakenAwayOnEachMemberOfAMirror) {
  MemoryGroup lab({{}, {.bytes = 200 * kMiB, .style = PartitionStyle::kGpt}});
  const ObjectId volume = lab.Make(VolumeLayout::kMirrored, {lab.disks[0], lab.disks[1]}, 10 * kMiBBlocks);
  EXPECT_EQ(CodeOf(DeletePartitionsForVolume(*lab.group, volume)), StorageErrorCode::kNotRetained);
  const auto made = CreatePartitionsForVolume(*lab.group, volume, true);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_NE(lab.Now().FindVolume(volume)->flags & kVolumeRetainPartition, 0u);
  EXPECT_EQ(RegionsText(LayoutOf(*lab.devices[0])),
            "Primary 32256+33280 #1, Primary 65536+10485760 #2 active, Primary 10551296+40828928 #3, "
            "Free 51380224+1048576");
  ExpectSound(*lab.group);
  ExpectLdmtoolAgrees(*lab.group);
  EXPECT_EQ(CodeOf(CreatePartitionsForVolume(*lab.group, volume, true)), StorageErrorCode::kRetainedExists);
  EXPECT_EQ(CodeOf(GrowVolume(lab.Now(), lab.Spaces(), volume,
                              std::vector<MemberRequest>{{.disk = lab.disks[0], .blocks = 2048}})),
            StorageErrorCode::kRetainedExists);
  const auto taken = DeletePartitionsForVolume(*lab.group, volume);
  ASSERT_TRUE(taken) << taken.error().ToString();
  ExpectSound(*lab.group);
  EXPECT_EQ(RegionsText(LayoutOf(*lab.devices[0])), "Primary 32256+51347968 #1, Free 51380224+1048576");
}

TEST(RetainedPartitionsTest, AreRefusedWhereFourEntriesDoNotDo) {
  MemoryGroup lab(1);
  const ObjectId disk = lab.disks[0];
  const ObjectId first = lab.Make(VolumeLayout::kSimple, {disk}, kMiBBlocks);
  lab.Make(VolumeLayout::kSimple, {disk}, kMiBBlocks);
  const ObjectId third = lab.Make(VolumeLayout::kSimple, {disk}, kMiBBlocks);
  ASSERT_TRUE(CreatePartitionsForVolume(*lab.group, first, false));
  const Bytes table = *lab.devices[0]->Read(0, 512);
  EXPECT_EQ(CodeOf(CreatePartitionsForVolume(*lab.group, third, false)), StorageErrorCode::kTableFull);
  EXPECT_EQ(*lab.devices[0]->Read(0, 512), table);
  EXPECT_EQ(lab.Now().FindVolume(third)->flags & kVolumeRetainPartition, 0u);
}

TEST(RetainedPartitionsTest, AreOnlyForVolumesInOnePiece) {
  MemoryGroup lab(3);
  for (const VolumeLayout layout : {VolumeLayout::kSpanned, VolumeLayout::kStriped, VolumeLayout::kRaid5}) {
    const ObjectId volume = lab.Make(layout, lab.disks, kMiBBlocks);
    EXPECT_EQ(CodeOf(CreatePartitionsForVolume(*lab.group, volume, false)), StorageErrorCode::kWrongLayout);
  }
}

TEST(RetainedPartitionsTest, GoWithTheirVolume) {
  MemoryGroup lab(1);
  const Bytes fresh = *lab.devices[0]->Read(0, 512);
  const ObjectId volume = lab.Make(VolumeLayout::kSimple, {lab.disks[0]}, kMiBBlocks);
  ASSERT_TRUE(CreatePartitionsForVolume(*lab.group, volume, true));
  EXPECT_NE(*lab.devices[0]->Read(0, 512), fresh);
  lab.Commit(Must(DeleteVolume(lab.Now(), volume)));
  ASSERT_TRUE(UpdateTables(*lab.group));
  EXPECT_EQ(*lab.devices[0]->Read(0, 512), fresh);
  ExpectSound(*lab.group);
}

TEST(ForgetDiskTest, RemovesTheRecordOfAMissingDiskWithoutVolumes) {
  MemoryGroup lab(2);
  lab.Reload({lab.devices[0].get()});
  EXPECT_THAT(lab.group->MissingDisks(), ElementsAre(lab.disks[1]));
  lab.Commit(Must(ForgetDisk(lab.Now(), lab.disks[1])));
  EXPECT_THAT(lab.group->MissingDisks(), IsEmpty());
  ExpectSound(*lab.group);
  EXPECT_EQ(CodeOf(ForgetDisk(lab.Now(), lab.disks[1])), StorageErrorCode::kNotFound);
}

TEST(TakeHostSignatureTest, AReturnedDiskGetsThatOfTheOthers) {
  constexpr std::uint32_t kSignature = 0x5EED0001;
  MemoryGroup lab(2);
  lab.Reload({lab.devices[0].get()});
  EXPECT_EQ(CodeOf(TakeHostSignature(*lab.group, lab.disks[1])), StorageErrorCode::kDiskMissing);
  ASSERT_TRUE(lab.group->RewriteHeaders(kSignature));
  lab.Reload({lab.devices[0].get(), lab.devices[1].get()});
  ASSERT_NE(lab.group->MemberOf(lab.disks[1])->header.hostSignature, kSignature);
  ASSERT_TRUE(TakeHostSignature(*lab.group, lab.disks[1]));
  lab.Reload({lab.devices[0].get(), lab.devices[1].get()});
  for (const Member& member : lab.group->Members()) EXPECT_EQ(member.header.hostSignature, kSignature);
  ExpectSound(*lab.group);
}

}  // namespace
}  // namespace dmrp::server::ldm
