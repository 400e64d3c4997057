#include "reference_server/storage/operations.hpp"

#include "reference_server/platform/recording_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/gpt.hpp"
#include "reference_server/storage/mbr.hpp"

#include <algorithm>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kTrack = 32256;
constexpr std::uint64_t kCylinder = 8225280;

class OperationsTest : public testing::Test {
 protected:
  static MemoryDevice Blank(std::uint64_t size = 100 * kMiB) { return MemoryDevice({.sizeBytes = size}); }
  static MemoryDevice Mbr(std::uint64_t size = 100 * kMiB) {
    MemoryDevice device = Blank(size);
    EXPECT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kMbr}));
    return device;
  }
  static MemoryDevice Gpt(std::uint64_t size = 100 * kMiB) {
    MemoryDevice device = Blank(size);
    EXPECT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kGpt}));
    return device;
  }
  static StorageResult<Change> Create(BlockDevice& device, RegionKind kind, std::uint64_t region,
                                      std::uint64_t start, std::uint64_t length,
                                      Alignment alignment = Alignment::kSector) {
    return CreatePartition(device, {.kind = kind,
                                    .freeRegion = region,
                                    .start = static_cast<std::int64_t>(start),
                                    .length = static_cast<std::int64_t>(length),
                                    .alignment = alignment});
  }
  /// Creates at the start of the first free region that takes the kind.
  static Region Add(BlockDevice& device, RegionKind kind, std::uint64_t length) {
    const Region free = FreeRegion(
        LayoutOf(device), kind == RegionKind::kLogical ? RegionKind::kExtendedFree : RegionKind::kFree);
    const auto change = Create(device, kind, free.start, free.start, length);
    EXPECT_TRUE(change) << change.error().ToString();
    return change ? change->region : Region{};
  }
  static StorageErrorCode CodeOf(const StorageResult<Change>& result) {
    EXPECT_FALSE(result) << "was accepted";
    return result ? StorageErrorCode::kIoError : result.error().code;
  }
};

TEST_F(OperationsTest, ABlankDiskHasNoRegionsUntilItIsInitialized) {
  MemoryDevice device = Blank();
  const DiskLayout blank = LayoutOf(device);
  EXPECT_EQ(blank.style, PartitionStyle::kUnknown);
  EXPECT_TRUE(blank.regions.empty());
  EXPECT_EQ(blank.FreeBytes(), 0U);
  EXPECT_FALSE(blank.MaySwitchStyle());
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kPrimary, kTrack, kTrack, kMiB)),
            StorageErrorCode::kNotInitialized);

  const auto change = WriteSignature(device, {});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->after.style, PartitionStyle::kMbr);
  EXPECT_NE(change->after.mbrSignature, 0U);
  EXPECT_EQ(change->after.maxPartitionCount, 4U);
  EXPECT_EQ(RegionsText(change->after), "Free 32256+104825344");
  EXPECT_EQ(change->after.FreeBytes(), 104825344U);
  EXPECT_TRUE(change->after.MaySwitchStyle());
}

TEST_F(OperationsTest, SignaturesAvoidThoseOfOtherDisks) {
  MemoryDevice device = Blank();
  std::vector<std::uint32_t> asked;
  const auto change = WriteSignature(device, [&](std::uint32_t signature) {
    asked.push_back(signature);
    return asked.size() > 3;
  });
  ASSERT_TRUE(change);
  ASSERT_EQ(asked.size(), 4U);
  EXPECT_EQ(change->after.mbrSignature, asked.back());
  const std::uint32_t old = change->after.mbrSignature;
  const auto replaced = ReplaceIdentity(device, {});
  ASSERT_TRUE(replaced);
  EXPECT_NE(replaced->after.mbrSignature, old);
}

TEST_F(OperationsTest, EveryFreeRegionTakenAsItIsMakesAPartitionThatFillsIt) {
  MemoryDevice device = Mbr();
  Add(device, RegionKind::kPrimary, 10 * kMiB);
  const Region extended = Add(device, RegionKind::kExtended, 40 * kMiB);
  Add(device, RegionKind::kLogical, 7 * kMiB);
  for (const RegionKind kind : {RegionKind::kExtendedFree, RegionKind::kFree}) {
    const Region free = FreeRegion(LayoutOf(device), kind);
    const auto change =
        Create(device, kind == RegionKind::kFree ? RegionKind::kPrimary : RegionKind::kLogical, free.start,
               free.start, free.length);
    ASSERT_TRUE(change) << change.error().ToString();
    EXPECT_EQ(change->region.start, free.start);
    EXPECT_EQ(change->region.length, free.length);
  }
  const DiskLayout full = LayoutOf(device);
  EXPECT_EQ(full.FreeBytes(), 0U);
  EXPECT_EQ(full.FindPartition(extended.start)->kind, RegionKind::kExtended);
}

TEST_F(OperationsTest, HonoursStartAndLengthToTheSector) {
  MemoryDevice device = Mbr();
  const auto change = Create(device, RegionKind::kPrimary, kTrack, 5 * kMiB + 512, 3 * kMiB + 1024);
  ASSERT_TRUE(change) << change.error().ToString();
  EXPECT_EQ(RegionsText(change->after),
            "Free 32256+5211136, Primary 5243392+3146752 #1, Free 8390144+96467456");
  EXPECT_EQ(change->region.mbrType, kMbrTypeIfs);
  EXPECT_EQ(change->before.regions.size(), 1U);
}

TEST_F(OperationsTest, RefusesRangesThatLeaveTheRegionAndChangesNothing) {
  MemoryDevice device = Mbr();
  Add(device, RegionKind::kPrimary, 10 * kMiB);
  const DiskLayout before = LayoutOf(device);
  const Region free = FreeRegion(before);
  const auto code = [&](std::uint64_t start, std::uint64_t length) {
    return CodeOf(Create(device, RegionKind::kPrimary, free.start, start, length));
  };
  EXPECT_EQ(code(0, kMiB), StorageErrorCode::kNotFree);
  EXPECT_EQ(code(0, 512), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code(free.start - 512, kMiB), StorageErrorCode::kNotFree);
  EXPECT_EQ(code(free.start, free.length + 512), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code(free.End(), 512), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code(free.End() - 512, 1024), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code(free.start, 0), StorageErrorCode::kTooSmall);
  EXPECT_EQ(code(free.start + 1, kMiB), StorageErrorCode::kMisaligned);
  EXPECT_EQ(code(free.start, kMiB + 1), StorageErrorCode::kMisaligned);
  EXPECT_EQ(code(free.start, std::numeric_limits<std::int64_t>::max()), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code(std::numeric_limits<std::uint64_t>::max() - 511, kMiB), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kPrimary, kTrack, kTrack, kMiB)), StorageErrorCode::kNotFree);
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kPrimary, 512, 512, kMiB)), StorageErrorCode::kNotFound);
  EXPECT_EQ(LayoutOf(device).regions, before.regions);
}

TEST_F(OperationsTest, RefusesRegionTypesThatDoNotGoThere) {
  MemoryDevice device = Mbr();
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kLogical, kTrack, kTrack, kMiB)), StorageErrorCode::kWrongType);
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kFree, kTrack, kTrack, kMiB)), StorageErrorCode::kWrongType);
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kWhole, kTrack, kTrack, kMiB)), StorageErrorCode::kWrongType);
  Add(device, RegionKind::kExtended, 20 * kMiB);
  const Region inside = FreeRegion(LayoutOf(device), RegionKind::kExtendedFree);
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kPrimary, inside.start, inside.start, kMiB)),
            StorageErrorCode::kWrongType);
  const Region free = FreeRegion(LayoutOf(device));
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kExtended, free.start, free.start, kMiB)),
            StorageErrorCode::kExtendedExists);

  MemoryDevice gpt = Gpt();
  const Region usable = FreeRegion(LayoutOf(gpt));
  EXPECT_EQ(CodeOf(Create(gpt, RegionKind::kExtended, usable.start, usable.start, kMiB)),
            StorageErrorCode::kWrongType);
}

TEST_F(OperationsTest, AnMbrHoldsFourEntries) {
  MemoryDevice device = Mbr();
  for (int i = 0; i < 4; ++i) Add(device, RegionKind::kPrimary, kMiB);
  const Region free = FreeRegion(LayoutOf(device));
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kPrimary, free.start, free.start, kMiB)),
            StorageErrorCode::kTableFull);
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kExtended, free.start, free.start, kMiB)),
            StorageErrorCode::kTableFull);
}

TEST_F(OperationsTest, AGptHoldsAsManyPartitionsAsItSays) {
  MemoryDevice device = Gpt();
  const std::uint32_t count = LayoutOf(device).maxPartitionCount;
  EXPECT_EQ(count, 128U);
  for (std::uint32_t i = 0; i < count; ++i) Add(device, RegionKind::kPrimary, 4096);
  const DiskLayout layout = LayoutOf(device);
  EXPECT_EQ(layout.regions.size(), count + 1U);
  EXPECT_EQ(layout.regions[127].number, 128U);
  const Region free = FreeRegion(layout);
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kPrimary, free.start, free.start, 4096)),
            StorageErrorCode::kTableFull);
}

TEST_F(OperationsTest, ExtendedPartitionsNeedRoomForATrackAndADrive) {
  MemoryDevice device = Mbr();
  EXPECT_EQ(CodeOf(Create(device, RegionKind::kExtended, kTrack, kTrack, kTrack)),
            StorageErrorCode::kTooSmall);
  const auto change = Create(device, RegionKind::kExtended, kTrack, kTrack, kTrack + 512);
  ASSERT_TRUE(change);
  EXPECT_EQ(FreeRegion(change->after, RegionKind::kExtendedFree).length, 512U);
}

TEST_F(OperationsTest, LogicalDrivesComeAndGoAnywhereInTheChain) {
  MemoryDevice device = Mbr();
  const Region extended = Add(device, RegionKind::kExtended, 64 * kMiB);
  EXPECT_EQ(extended.number, 0U);
  EXPECT_EQ(extended.mbrType, kMbrTypeExtended);
  const auto first = Add(device, RegionKind::kLogical, 4 * kMiB);
  const auto second = Add(device, RegionKind::kLogical, 4 * kMiB);
  const auto third = Add(device, RegionKind::kLogical, 4 * kMiB);
  EXPECT_EQ(first.start, extended.start + kTrack);
  EXPECT_EQ(second.start, first.End() + kTrack);
  EXPECT_EQ(third.number, 3U);
  EXPECT_EQ(third.kernelNumber, 7U);

  ASSERT_TRUE(DeletePartition(device, RegionKind::kLogical, second.start));
  ASSERT_TRUE(DeletePartition(device, RegionKind::kLogical, first.start));
  DiskLayout layout = LayoutOf(device);
  EXPECT_EQ(layout.FindPartition(third.start)->number, 1U);
  EXPECT_EQ(FreeRegion(layout, RegionKind::kExtendedFree).start, first.start);
  EXPECT_EQ(FreeRegion(layout, RegionKind::kExtendedFree).End(), third.start - kTrack);

  // Between the two EBRs, off the place of the first one, then into that place.
  const std::uint64_t middle = first.start + 2 * kMiB;
  const auto between = Create(device, RegionKind::kLogical, first.start, middle, kMiB);
  ASSERT_TRUE(between) << between.error().ToString();
  EXPECT_EQ(between->region.number, 1U);
  const auto again = Create(device, RegionKind::kLogical, first.start, first.start, kMiB);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->region.number, 1U);
  layout = LayoutOf(device);
  EXPECT_EQ(layout.FindPartition(third.start)->number, 3U);
  EXPECT_TRUE(layout.anomalies.empty());

  EXPECT_EQ(CodeOf(DeletePartition(device, RegionKind::kExtended, extended.start)),
            StorageErrorCode::kExtendedNotEmpty);
  for (const std::uint64_t start : {third.start, middle, first.start}) {
    ASSERT_TRUE(DeletePartition(device, RegionKind::kLogical, start));
  }
  EXPECT_EQ(RegionsText(LayoutOf(device)),
            "Extended 32256+67108864, ExtendedFree 64512+67076608, "
            "Free 67141120+37716480");
  ASSERT_TRUE(DeletePartition(device, RegionKind::kExtended, extended.start));
  EXPECT_EQ(RegionsText(LayoutOf(device)), "Free 32256+104825344");
}

TEST_F(OperationsTest, DeletesOnlyWhatMatches) {
  MemoryDevice device = Mbr();
  const Region primary = Add(device, RegionKind::kPrimary, kMiB);
  EXPECT_EQ(CodeOf(DeletePartition(device, RegionKind::kLogical, primary.start)),
            StorageErrorCode::kWrongType);
  EXPECT_EQ(CodeOf(DeletePartition(device, RegionKind::kPrimary, primary.start + 512)),
            StorageErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(DeletePartition(device, RegionKind::kFree, primary.End())), StorageErrorCode::kNotFound);
  const auto change = DeletePartition(device, RegionKind::kPrimary, primary.start);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->region, primary);
}

TEST_F(OperationsTest, OnePartitionIsActiveAtATime) {
  MemoryDevice device = Mbr();
  const Region first = Add(device, RegionKind::kPrimary, kMiB);
  const Region second = Add(device, RegionKind::kPrimary, kMiB);
  const Region extended = Add(device, RegionKind::kExtended, 10 * kMiB);
  const Region drive = Add(device, RegionKind::kLogical, kMiB);
  ASSERT_TRUE(MarkActive(device, first.start));
  const auto change = MarkActive(device, second.start);
  ASSERT_TRUE(change);
  EXPECT_TRUE(change->region.active);
  EXPECT_FALSE(change->after.FindPartition(first.start)->active);
  EXPECT_EQ(CodeOf(MarkActive(device, extended.start)), StorageErrorCode::kWrongType);
  EXPECT_EQ(CodeOf(MarkActive(device, drive.start)), StorageErrorCode::kWrongType);
  EXPECT_EQ(CodeOf(MarkActive(device, 512)), StorageErrorCode::kNotFound);
  MemoryDevice gpt = Gpt();
  const Region on_gpt = Add(gpt, RegionKind::kPrimary, kMiB);
  EXPECT_EQ(CodeOf(MarkActive(gpt, on_gpt.start)), StorageErrorCode::kWrongStyle);
}

TEST_F(OperationsTest, TheActivePartitionIsNotWrittenAgain) {
  MemoryDevice device = Mbr();
  const Region first = Add(device, RegionKind::kPrimary, kMiB);
  const Region second = Add(device, RegionKind::kPrimary, kMiB);
  ASSERT_TRUE(MarkActive(device, second.start));
  RecordingDevice recorder(device);
  const auto again = MarkActive(recorder, second.start);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->region.active);
  EXPECT_TRUE(recorder.Writes().empty());
  ASSERT_TRUE(MarkActive(recorder, first.start));
  EXPECT_FALSE(recorder.Writes().empty());
}

TEST_F(OperationsTest, TheTypeOfAPartitionFollowsItsFileSystemAndNothingElseChanges) {
  MemoryDevice device = Mbr(20 * kGiB);
  const Region first = Add(device, RegionKind::kPrimary, 31 * kMiB);
  const Region second = Add(device, RegionKind::kPrimary, 32 * kMiB);
  ASSERT_TRUE(MarkActive(device, second.start));
  const Region extended = Add(device, RegionKind::kExtended, 15 * kGiB);
  const Region near = Add(device, RegionKind::kLogical, kGiB);
  const Region far = Add(device, RegionKind::kLogical, 7 * kGiB);
  const auto type_after = [&](const Region& region, FileSystemType type) {
    const DiskLayout before = LayoutOf(device);
    const auto change = SetPartitionType(device, region.start, type);
    EXPECT_TRUE(change) << change.error().ToString();
    DiskLayout expected = before;
    for (Region& one : expected.regions) {
      if (one.start == region.start && one.kind == region.kind) one.mbrType = change->region.mbrType;
    }
    EXPECT_EQ(LayoutOf(device).regions, expected.regions);
    return unsigned{change->region.mbrType};
  };
  EXPECT_EQ(type_after(first, FileSystemType::kFat12), 0x01U);
  EXPECT_EQ(type_after(first, FileSystemType::kFat16), 0x04U);
  EXPECT_EQ(type_after(first, FileSystemType::kNtfs), 0x07U);
  EXPECT_EQ(type_after(second, FileSystemType::kFat16), 0x06U);
  EXPECT_EQ(type_after(second, FileSystemType::kFat32), 0x0BU);
  EXPECT_EQ(type_after(near, FileSystemType::kFat32), 0x0BU);
  EXPECT_EQ(type_after(far, FileSystemType::kFat32), 0x0CU);  // ends beyond cylinder 1023
  EXPECT_EQ(type_after(near, FileSystemType::kFat12), 0x01U);
  const ScratchImage image(device);
  EXPECT_EQ(ReadWithLibfdisk(image.Path(), device.Geometry()), AsSeen(LayoutOf(device)));
  EXPECT_EQ(CodeOf(SetPartitionType(device, extended.start + 1, FileSystemType::kNtfs)),
            StorageErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(SetPartitionType(device, extended.start, FileSystemType::kNtfs)),
            StorageErrorCode::kWrongType);
  MemoryDevice gpt = Gpt();
  const Region basic = Add(gpt, RegionKind::kPrimary, kMiB);
  EXPECT_EQ(CodeOf(SetPartitionType(gpt, basic.start, FileSystemType::kNtfs)), StorageErrorCode::kWrongStyle);
}

TEST_F(OperationsTest, AnyTypeOfAPartitionWithDataCanBeSet) {
  MemoryDevice device = Mbr();
  const Region first = Add(device, RegionKind::kPrimary, kMiB);
  const Region extended = Add(device, RegionKind::kExtended, 20 * kMiB);
  const Region drive = Add(device, RegionKind::kLogical, kMiB);
  const Region other = Add(device, RegionKind::kLogical, kMiB);
  ASSERT_TRUE(SetMbrType(device, first.start, 0x87));
  ASSERT_TRUE(SetMbrType(device, other.start, 0xC7));
  const DiskLayout layout = LayoutOf(device);
  EXPECT_EQ(layout.FindPartition(first.start)->mbrType, 0x87);
  EXPECT_EQ(layout.FindPartition(drive.start)->mbrType, 0x07);
  EXPECT_EQ(layout.FindPartition(other.start)->mbrType, 0xC7);
  EXPECT_EQ(layout.FindPartition(extended.start)->mbrType, 0x05);
  const ScratchImage image(device);
  EXPECT_EQ(ReadWithLibfdisk(image.Path(), device.Geometry()), AsSeen(layout));
  for (const std::uint8_t type : {0x00, 0x05, 0x0F}) {
    EXPECT_EQ(CodeOf(SetMbrType(device, first.start, type)), StorageErrorCode::kWrongType);
  }
  RecordingDevice recorder(device);
  ASSERT_TRUE(SetMbrType(recorder, first.start, 0x87));
  EXPECT_TRUE(recorder.Writes().empty()) << "it has that type";
}

TEST_F(OperationsTest, DeletionKeepsOtherEntriesAndTheirNumbersFollowTheTable) {
  MemoryDevice device = Mbr();
  const Region first = Add(device, RegionKind::kPrimary, kMiB);
  const Region second = Add(device, RegionKind::kPrimary, kMiB);
  ASSERT_TRUE(DeletePartition(device, RegionKind::kPrimary, first.start));
  const Region* left = LayoutOf(device).FindPartition(second.start);
  ASSERT_NE(left, nullptr);
  const DiskLayout layout = LayoutOf(device);
  EXPECT_EQ(layout.FindPartition(second.start)->entry, 1U);
  EXPECT_EQ(layout.FindPartition(second.start)->kernelNumber, 2U);
  EXPECT_EQ(layout.FindPartition(second.start)->number, 1U);
}

TEST_F(OperationsTest, KeepsBootCodeAndClearsTheFirstSectorsOfANewPartition) {
  MemoryDevice device = Mbr();
  const Bytes code(440, std::byte{0x5A});
  device.Poke(0, code);
  device.Poke(kTrack, Bytes(8192, std::byte{0x77}));
  const Region region = Add(device, RegionKind::kPrimary, kMiB);
  EXPECT_EQ(device.Read(0, 440).value(), code);
  EXPECT_EQ(device.Read(region.start, 4096).value(), Bytes(4096));
  EXPECT_EQ(device.Read(region.start + 4096, 512).value(), Bytes(512, std::byte{0x77}));
  ASSERT_TRUE(DeletePartition(device, RegionKind::kPrimary, region.start));
  ASSERT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kMbr}));
  EXPECT_EQ(device.Read(0, 440).value(), code);
}

TEST_F(OperationsTest, ClearsTheFirstSectorsOfLogicalDrivesAndGptPartitionsToo) {
  MemoryDevice mbr = Mbr();
  Add(mbr, RegionKind::kExtended, 20 * kMiB);
  MemoryDevice gpt = Gpt();
  for (MemoryDevice* device : {&mbr, &gpt}) {
    const RegionKind kind = device == &mbr ? RegionKind::kLogical : RegionKind::kPrimary;
    const Region free =
        FreeRegion(LayoutOf(*device), device == &mbr ? RegionKind::kExtendedFree : RegionKind::kFree);
    device->Poke(free.start, Bytes(8192, std::byte{0x77}));
    const Region region = Add(*device, kind, kMiB);
    EXPECT_EQ(device->Read(region.start, 4096).value(), Bytes(4096));
    EXPECT_EQ(device->Read(region.start + 4096, 512).value(), Bytes(512, std::byte{0x77}));
  }
}

TEST_F(OperationsTest, SwitchesStyleOnlyWhileEmpty) {
  MemoryDevice device = Mbr();
  const Region region = Add(device, RegionKind::kPrimary, kMiB);
  EXPECT_FALSE(LayoutOf(device).MaySwitchStyle());
  EXPECT_EQ(CodeOf(InitializeStyle(device, {.style = PartitionStyle::kGpt})), StorageErrorCode::kNotEmpty);
  EXPECT_EQ(CodeOf(WriteSignature(device, {})), StorageErrorCode::kNotEmpty);
  ASSERT_TRUE(DeletePartition(device, RegionKind::kPrimary, region.start));
  const auto to_gpt = InitializeStyle(device, {.style = PartitionStyle::kGpt});
  ASSERT_TRUE(to_gpt);
  EXPECT_EQ(to_gpt->after.style, PartitionStyle::kGpt);
  EXPECT_EQ(to_gpt->after.gptCopies, GptCopies::kBoth);
  EXPECT_EQ(RegionsText(to_gpt->after), "Free 17408+104823296");
  const auto fresh = InitializeStyle(device, {.style = PartitionStyle::kGpt});
  ASSERT_TRUE(fresh);
  EXPECT_NE(fresh->after.gptDiskId, to_gpt->after.gptDiskId);
  const auto to_mbr = InitializeStyle(device, {.style = PartitionStyle::kMbr});
  ASSERT_TRUE(to_mbr);
  EXPECT_EQ(to_mbr->after.style, PartitionStyle::kMbr);
  EXPECT_EQ(device.Read(512, 512).value(), Bytes(512));
  EXPECT_EQ(device.Read(100 * kMiB - 512, 512).value(), Bytes(512));
  EXPECT_EQ(CodeOf(InitializeStyle(device, {.style = PartitionStyle::kUnknown})),
            StorageErrorCode::kWrongStyle);
}

TEST_F(OperationsTest, ASignatureAloneGoesToAnMbrThatHasPartitionsButNone) {
  MemoryDevice device = Mbr();
  const Region region = Add(device, RegionKind::kPrimary, kMiB);
  device.Poke(0x1B8, Bytes(4));
  const auto change = WriteSignature(device, {});
  ASSERT_TRUE(change) << change.error().ToString();
  EXPECT_NE(change->after.mbrSignature, 0U);
  EXPECT_NE(change->after.FindPartition(region.start), nullptr);
}

TEST_F(OperationsTest, TheReservedPartitionOfANewGptFollowsTheSizeOfTheDisk) {
  const auto reserved = [](std::uint64_t size) {
    MemoryDevice device = Blank(size);
    const auto change = InitializeStyle(device, {.style = PartitionStyle::kGpt, .microsoftReserved = true});
    EXPECT_TRUE(change);
    EXPECT_TRUE(change->after.MaySwitchStyle());
    const Region& region = change->after.regions.front();
    return region.gptType == kGptTypeMicrosoftReserved ? region.length : 0;
  };
  EXPECT_EQ(reserved(64 * kMiB), 0U);
  EXPECT_EQ(reserved(kGiB), 32 * kMiB);
  EXPECT_EQ(reserved(16 * kGiB), 128 * kMiB);
}

TEST_F(OperationsTest, GptPartitionsHaveAnIdOfTheirOwnAndTheBasicDataType) {
  MemoryDevice device = Gpt();
  const Region first = Add(device, RegionKind::kPrimary, kMiB);
  const Region second = Add(device, RegionKind::kPrimary, kMiB);
  EXPECT_EQ(first.gptType, kGptTypeBasicData);
  EXPECT_NE(first.gptId, second.gptId);
  EXPECT_FALSE(first.gptId.IsNull());
  EXPECT_EQ(first.start, 34U * 512);
  EXPECT_EQ(second.start, first.End());
  EXPECT_EQ(second.number, 2U);
}

TEST_F(OperationsTest, ReadOnlyAndDynamicDisksAreLeftAlone) {
  MemoryDevice device = Mbr();
  const Region region = Add(device, RegionKind::kPrimary, kMiB);
  device.SetReadOnly(true);
  EXPECT_EQ(CodeOf(DeletePartition(device, RegionKind::kPrimary, region.start)), StorageErrorCode::kReadOnly);
  EXPECT_EQ(CodeOf(InitializeStyle(device, {.style = PartitionStyle::kGpt})), StorageErrorCode::kReadOnly);
  device.SetReadOnly(false);
  device.Poke(0x1BE + 4, Bytes(1, std::byte{kMbrTypeLdm}));
  EXPECT_TRUE(LayoutOf(device).dynamic);
  EXPECT_EQ(CodeOf(DeletePartition(device, RegionKind::kPrimary, region.start)),
            StorageErrorCode::kDynamicDisk);
  EXPECT_EQ(CodeOf(InitializeStyle(device, {.style = PartitionStyle::kMbr})), StorageErrorCode::kDynamicDisk);
}

TEST_F(OperationsTest, CylinderAlignmentRoundsAsWindowsDidBefore2008) {
  MemoryDevice device = Mbr();
  // 102400 KiB: the end moves up to the next cylinder boundary.
  const auto first = Create(device, RegionKind::kPrimary, kTrack, kTrack, 10 * kMiB, Alignment::kCylinder);
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ(first->region.start, kTrack);
  EXPECT_EQ(first->region.End(), 2 * kCylinder);
  // A start inside the region moves up to a boundary; odd octets vanish in the rounding.
  const auto second = Create(device, RegionKind::kExtended, 2 * kCylinder, 3 * kCylinder + 77, 20 * kMiB + 1,
                             Alignment::kCylinder);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ(second->region.start, 4 * kCylinder);
  EXPECT_EQ(second->region.End(), 6 * kCylinder);
  // The EBR of a drive lies on the boundary, its data one track later.
  const auto drive = Create(device, RegionKind::kLogical, 4 * kCylinder + kTrack,
                            4 * kCylinder + kTrack + 512, 9 * kMiB, Alignment::kCylinder);
  ASSERT_TRUE(drive) << drive.error().ToString();
  EXPECT_EQ(drive->region.start, 5 * kCylinder + kTrack);
  EXPECT_EQ(drive->region.ebr, 5 * kCylinder);
  EXPECT_EQ(drive->region.End(), 6 * kCylinder);
  // The last region of the disk ends before a boundary: its own end counts.
  const Region tail = LayoutOf(device).regions.back();
  const auto last =
      Create(device, RegionKind::kPrimary, tail.start, tail.start, tail.length, Alignment::kCylinder);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->region.End(), tail.End());
}

TEST_F(OperationsTest, NothingBeyondTwoToThe32SectorsIsOfferedOnAnMbrDisk) {
  MemoryDevice device = Mbr(3 * kTiB);
  const Region free = FreeRegion(LayoutOf(device));
  EXPECT_EQ(free.End(), 2 * kTiB);
  const auto change = Create(device, RegionKind::kPrimary, free.start, free.start, free.length);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->after.FreeBytes(), 0U);
}

TEST_F(OperationsTest, DisksTooSmallForATableAreRefused) {
  MemoryDevice tiny = Blank(63 * 512);
  EXPECT_EQ(CodeOf(InitializeStyle(tiny, {.style = PartitionStyle::kMbr})), StorageErrorCode::kDiskTooSmall);
  MemoryDevice small = Blank(66 * 512);
  EXPECT_EQ(CodeOf(InitializeStyle(small, {.style = PartitionStyle::kGpt})), StorageErrorCode::kDiskTooSmall);
}

}  // namespace
}  // namespace dmrp::server
