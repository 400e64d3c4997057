// Tables that no tool of good faith writes: each fault is named, nothing is followed out of bounds, and
// nothing is written on top of it.
#include "reference_server/storage/crc32.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/gpt.hpp"
#include "reference_server/storage/little_endian.hpp"
#include "reference_server/storage/mbr.hpp"
#include "reference_server/storage/operations.hpp"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using testing::ElementsAre;

bool HasFault(const DiskLayout& layout, TableFault fault) {
  return std::ranges::any_of(layout.anomalies, [&](const TableAnomaly& one) { return one.fault == fault; });
}

std::size_t Count(const DiskLayout& layout, RegionKind kind) {
  return static_cast<std::size_t>(std::ranges::count(layout.regions, kind, &Region::kind));
}

/// The first sectors of the partitions that share sectors with an earlier one, on disks of 512 octets a
/// sector.
std::vector<std::uint64_t> Contested(const DiskLayout& layout) {
  std::vector<std::uint64_t> sectors;
  for (const Region& region : layout.regions) {
    if (region.contested) sectors.push_back(region.start / 512);
  }
  return sectors;
}

class MalformedMbrTest : public testing::Test {
 protected:
  MalformedMbrTest() { EXPECT_TRUE(InitializeStyle(device_, {.style = PartitionStyle::kMbr})); }

  void Edit(std::uint64_t sector, const std::function<void(std::span<std::byte>)>& edit) {
    Bytes octets = device_.Read(sector * 512, 512).value();
    edit(octets);
    device_.Poke(sector * 512, octets);
  }
  void Entry(std::uint64_t sector, std::size_t slot, const MbrEntry& entry) {
    Edit(sector, [&](std::span<std::byte> octets) {
      SetEntry(octets, slot, entry, entry.start, device_.Geometry());
      SetBootMark(octets);
    });
  }
  /// Extended partition at sector 1000, 50000 sectors; drives of 1000 sectors at 1063 and 11063.
  void TwoDrives() {
    Entry(0, 0, {0, 5, 1000, 50000});
    Entry(1000, 0, {0, 7, 63, 1000});
    Entry(1000, 1, {0, 5, 10000, 1063});
    Entry(11000, 0, {0, 7, 63, 1000});
  }
  void ExpectUntouchable() {
    for (const Region& region : LayoutOf(device_).regions) {
      if (!IsFree(region.kind)) continue;
      const auto change = CreatePartition(
          device_, {.kind = region.kind == RegionKind::kFree ? RegionKind::kPrimary : RegionKind::kLogical,
                    .freeRegion = region.start,
                    .start = static_cast<std::int64_t>(region.start),
                    .length = 512});
      ASSERT_FALSE(change);
      EXPECT_EQ(change.error().code, StorageErrorCode::kDamagedTable);
    }
  }

  MemoryDevice device_{DiskGeometry{.sizeBytes = 100 * kMiB}};
};

TEST_F(MalformedMbrTest, TheFixtureItselfIsSound) {
  TwoDrives();
  EXPECT_TRUE(LayoutOf(device_).anomalies.empty());
  EXPECT_EQ(Count(LayoutOf(device_), RegionKind::kLogical), 2U);
}

TEST_F(MalformedMbrTest, ALoopOfEbrsIsNotFollowed) {
  TwoDrives();
  Entry(11000, 1, {0, 5, 0, 1000});
  Edit(11000, [](std::span<std::byte> octets) { StoreLe<std::uint32_t>(octets, 0x1BE + 16 + 8, 0); });
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kEbrLoop));
  EXPECT_EQ(Count(LayoutOf(device_), RegionKind::kLogical), 2U);
  ExpectUntouchable();
  Entry(11000, 1, {0, 5, 10000, 1000});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kEbrLoop));
}

TEST_F(MalformedMbrTest, ALinkOutOfTheExtendedPartitionIsNotFollowed) {
  TwoDrives();
  for (const std::uint32_t target : {50000U, 0xFFFFFFFFU}) {
    Entry(11000, 1, {0, 5, target, 1000});
    EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kEbrOutside)) << target;
  }
  ExpectUntouchable();
}

TEST_F(MalformedMbrTest, ALinkToASectorWithoutTheMarkEndsTheChain) {
  TwoDrives();
  Entry(11000, 1, {0, 5, 30000, 1000});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kEbrSignature));
  EXPECT_EQ(Count(LayoutOf(device_), RegionKind::kLogical), 2U);
  ExpectUntouchable();
}

TEST_F(MalformedMbrTest, ADriveThatLeavesTheExtendedPartitionIsNotShown) {
  TwoDrives();
  Entry(11000, 0, {0, 7, 63, 0xFFFFFFFF});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kEbrOutside));
  EXPECT_EQ(Count(LayoutOf(device_), RegionKind::kLogical), 1U);
  ExpectUntouchable();
}

TEST_F(MalformedMbrTest, DrivesThatOverlapAreNamed) {
  TwoDrives();
  EXPECT_THAT(Contested(LayoutOf(device_)), ElementsAre());
  Entry(1000, 0, {0, 7, 63, 20000});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kOverlap));
  EXPECT_THAT(Contested(LayoutOf(device_)), ElementsAre(11063));
  ExpectUntouchable();
}

TEST_F(MalformedMbrTest, TheEarlierEntryHasTheSectorsThatTwoName) {
  Entry(0, 0, {0, 7, 5000, 1000});
  Entry(0, 1, {0, 7, 4000, 1001});  // into the first
  Entry(0, 2, {0, 7, 3000, 1000});  // up to the second, which has none
  Entry(0, 3, {0, 7, 6000, 1000});  // behind the first
  EXPECT_THAT(Contested(LayoutOf(device_)), ElementsAre(4000));
  Entry(0, 3, {0, 7, 5999, 1000});
  EXPECT_THAT(Contested(LayoutOf(device_)), ElementsAre(4000, 5999));
}

TEST_F(MalformedMbrTest, WhatLiesInAContestedExtendedPartitionIsContestedToo) {
  TwoDrives();
  const MbrEntry extended = GetEntry(device_.Read(0, 512).value(), 0);
  Entry(0, 1, extended);
  Entry(0, 0, {0, 7, 500, 501});
  const DiskLayout layout = LayoutOf(device_);
  EXPECT_THAT(Contested(layout), ElementsAre(1000, 1063, 11063));
  EXPECT_EQ(Count(layout, RegionKind::kExtendedFree), 0U);
}

TEST_F(MalformedMbrTest, AnEbrDescribesOneDriveAndOneLink) {
  TwoDrives();
  Entry(11000, 2, {0, 7, 2000, 100});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kEbrExtraEntry));
  ExpectUntouchable();
}

TEST_F(MalformedMbrTest, AChainIsCutAtItsLimit) {
  Entry(0, 0, {0, 5, 1000, 150000});
  for (std::uint32_t i = 0; i < 400; ++i) {
    Entry(1000 + i * 200, 0, {0, 7, 63, 10});
    Entry(1000 + i * 200, 1, {0, 5, (i + 1) * 200, 73});
  }
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kEbrTooMany));
  EXPECT_EQ(Count(LayoutOf(device_), RegionKind::kLogical), kMaxLogicalDrives);
}

TEST_F(MalformedMbrTest, PrimariesThatOverlapOrCoverTheTableAreNamed) {
  Entry(0, 0, {0, 7, 63, 1000});
  Entry(0, 1, {0, 7, 1000, 1000});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kOverlap));
  ExpectUntouchable();
  Entry(0, 0, {0, 7, 0, 500});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kInsideReserved));
  ExpectUntouchable();
}

TEST_F(MalformedMbrTest, PartitionsBeyondTheDiskAreNamedAndWhatIsFreeStaysInside) {
  Entry(0, 0, {0, 7, 63, 0xFFFFFFFF});
  Entry(0, 1, {0, 7, 0xFFFFFF00, 16});
  const DiskLayout layout = LayoutOf(device_);
  EXPECT_TRUE(HasFault(layout, TableFault::kOutsideDisk));
  EXPECT_EQ(Count(layout, RegionKind::kPrimary), 1U);
  EXPECT_EQ(layout.FreeBytes(), 0U);
  const auto change = InitializeStyle(device_, {.style = PartitionStyle::kGpt});
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().code, StorageErrorCode::kNotEmpty);
}

TEST_F(MalformedMbrTest, AnEntryBeyondTheDiskKeepsTheDiskFromBeingInitialized) {
  Entry(0, 1, {0, 7, 0xFFFFFF00, 16});
  const auto change = InitializeStyle(device_, {.style = PartitionStyle::kMbr});
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().code, StorageErrorCode::kNotEmpty);
}

TEST_F(MalformedMbrTest, ASecondExtendedPartitionIsShownButNotFollowed) {
  TwoDrives();
  Entry(0, 1, {0, 0x0F, 60000, 1000});
  const DiskLayout layout = LayoutOf(device_);
  EXPECT_TRUE(HasFault(layout, TableFault::kManyExtended));
  EXPECT_EQ(Count(layout, RegionKind::kExtended), 2U);
  EXPECT_EQ(Count(layout, RegionKind::kLogical), 2U);
}

TEST_F(MalformedMbrTest, ManyActiveEntriesAreNamedAndMended) {
  Entry(0, 0, {0x80, 7, 63, 1000});
  Entry(0, 1, {0x80, 7, 2000, 1000});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kManyActive));
  const auto change = MarkActive(device_, 2000 * 512);
  ASSERT_TRUE(change);
  EXPECT_TRUE(change->after.anomalies.empty());
}

TEST_F(MalformedMbrTest, SectorsWithOtherBootFlagsAreNoMbr) {
  Entry(0, 0, {0x33, 7, 63, 1000});
  const DiskLayout layout = LayoutOf(device_);
  EXPECT_EQ(layout.style, PartitionStyle::kUnknown);
  EXPECT_TRUE(HasFault(layout, TableFault::kBadBootFlag));
  EXPECT_TRUE(InitializeStyle(device_, {.style = PartitionStyle::kMbr}));
}

class MalformedGptTest : public testing::Test {
 protected:
  MalformedGptTest() {
    EXPECT_TRUE(InitializeStyle(device_, {.style = PartitionStyle::kGpt}));
    for (int i = 0; i < 2; ++i) {
      const Region free = FreeRegion(LayoutOf(device_));
      EXPECT_TRUE(CreatePartition(device_, {.kind = RegionKind::kPrimary,
                                            .freeRegion = free.start,
                                            .start = static_cast<std::int64_t>(free.start),
                                            .length = kMiB}));
    }
    good_ = LayoutOf(device_);
    last_ = device_.Geometry().Sectors() - 1;
  }

  void EditHeader(std::uint64_t sector, const std::function<void(std::span<std::byte>)>& edit) {
    Bytes header = device_.Read(sector * 512, 512).value();
    edit(header);
    StoreLe<std::uint32_t>(header, 16, 0);
    StoreLe<std::uint32_t>(header, 16, Crc32(std::span<const std::byte>(header).first(92)));
    device_.Poke(sector * 512, header);
  }
  /// Edits an entry of the primary array, CRCs put right, and lets the backup go.
  void EditEntry(std::uint32_t index, std::size_t offset, std::uint64_t value) {
    Bytes array = device_.Read(1024, 128 * 128).value();
    StoreLe(std::span<std::byte>(array), index * 128 + offset, value);
    device_.Poke(1024, array);
    EditHeader(1, [&](std::span<std::byte> header) { StoreLe(header, 88, Crc32(array)); });
  }

  MemoryDevice device_{DiskGeometry{.sizeBytes = 100 * kMiB}};
  DiskLayout good_;
  std::uint64_t last_ = 0;
};

TEST_F(MalformedGptTest, EitherCopyAloneIsEnough) {
  for (const std::uint64_t offset : {std::uint64_t{512}, std::uint64_t{512 + 60}, std::uint64_t{1024 + 5}}) {
    MemoryDevice broken = device_;
    broken.Poke(offset, Bytes(3, std::byte{0xEE}));
    const DiskLayout layout = LayoutOf(broken);
    EXPECT_EQ(layout.regions, good_.regions) << offset;
    EXPECT_EQ(layout.gptCopies, GptCopies::kBackupOnly) << offset;
    EXPECT_TRUE(HasFault(layout, TableFault::kGptCopyBad));
    ASSERT_TRUE(DeletePartition(broken, RegionKind::kPrimary, good_.regions[0].start));
    EXPECT_EQ(LayoutOf(broken).gptCopies, GptCopies::kBoth);
  }
  for (const std::uint64_t offset : {last_ * 512, last_ * 512 + 60, (last_ - 32) * 512 + 5}) {
    MemoryDevice broken = device_;
    broken.Poke(offset, Bytes(3, std::byte{0xEE}));
    const DiskLayout layout = LayoutOf(broken);
    EXPECT_EQ(layout.regions, good_.regions) << offset;
    EXPECT_EQ(layout.gptCopies, GptCopies::kPrimaryOnly) << offset;
  }
}

TEST_F(MalformedGptTest, WithoutAGoodCopyTheStyleIsUnknown) {
  device_.Poke(512, Bytes(8));
  device_.Poke(last_ * 512, Bytes(8));
  const DiskLayout layout = LayoutOf(device_);
  EXPECT_EQ(layout.style, PartitionStyle::kUnknown);
  EXPECT_TRUE(layout.regions.empty());
  EXPECT_TRUE(HasFault(layout, TableFault::kGptBothBad));
}

TEST_F(MalformedGptTest, HeadersOutOfBoundsAreRefusedEvenWithAGoodCrc) {
  const std::vector<std::pair<std::size_t, std::uint64_t>> edits{
      {24, 7},                      // its own place
      {40, last_},                  // first usable behind last usable
      {48, last_ + 5},              // last usable beyond the disk
      {40, 1},                      // usable range over the header
      {72, 1},                      // entries over the header
      {72, last_},                  // entries beyond the disk
      {72, ~std::uint64_t{0} - 3},  // and wrapping
      {72, 100},                    // entries in the usable range
  };
  for (const auto& [offset, value] : edits) {
    MemoryDevice keep = device_;
    EditHeader(1, [&](std::span<std::byte> header) { StoreLe(header, offset, value); });
    EXPECT_EQ(LayoutOf(device_).gptCopies, GptCopies::kBackupOnly) << offset << " " << value;
    EXPECT_EQ(LayoutOf(device_).regions, good_.regions);
    device_ = keep;
  }
  for (const auto& [offset, value] : std::vector<std::pair<std::size_t, std::uint32_t>>{{12, 91},
                                                                                        {12, 513},
                                                                                        {12, 0xFFFFFFFF},
                                                                                        {80, 0},
                                                                                        {80, 0xFFFFFFFF},
                                                                                        {80, 4097},
                                                                                        {84, 64},
                                                                                        {84, 129},
                                                                                        {84, 0xFFFFFF80},
                                                                                        {8, 0x00020000}}) {
    MemoryDevice keep = device_;
    EditHeader(1, [&](std::span<std::byte> header) { StoreLe(header, offset, value); });
    EXPECT_EQ(LayoutOf(device_).gptCopies, GptCopies::kBackupOnly) << offset << " " << value;
    device_ = keep;
  }
}

TEST_F(MalformedGptTest, EntriesOutOfBoundsAndOverlapsAreNamed) {
  EditEntry(0, 40, 3);  // ends before it starts
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kGptEntry));
  EXPECT_EQ(Count(LayoutOf(device_), RegionKind::kPrimary), 1U);
  EditEntry(0, 40, ~std::uint64_t{0});
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kGptEntry));
  EditEntry(0, 40, 3000);  // into the second one
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kOverlap));
  EXPECT_THAT(Contested(LayoutOf(device_)), ElementsAre(good_.regions[1].start / 512));
  const auto change = DeletePartition(device_, RegionKind::kPrimary, 34 * 512);
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().code, StorageErrorCode::kDamagedTable);
}

TEST_F(MalformedGptTest, AHybridMbrIsNamedAndKept) {
  Bytes mbr = device_.Read(0, 512).value();
  SetEntry(mbr, 1, {0, 7, 34, 2048}, 34, device_.Geometry());
  device_.Poke(0, mbr);
  EXPECT_TRUE(HasFault(LayoutOf(device_), TableFault::kHybridMbr));
  ASSERT_TRUE(DeletePartition(device_, RegionKind::kPrimary, good_.regions[1].start));
  EXPECT_EQ(device_.Read(0, 512).value(), mbr);
}

TEST(Chs, FollowsTheGeometryAndSaturates) {
  EXPECT_THAT(EncodeChs(0, {}), ElementsAre(0, 1, 0));
  EXPECT_THAT(EncodeChs(63, {}), ElementsAre(1, 1, 0));
  EXPECT_THAT(EncodeChs(96389, {}), ElementsAre(254, 63, 5));
  EXPECT_THAT(EncodeChs(1023ULL * 16065 + 16064, {}), ElementsAre(254, 0xFF, 0xFF));
  EXPECT_THAT(EncodeChs(1024ULL * 16065, {}), ElementsAre(254, 0xFF, 0xFF));
  EXPECT_THAT(EncodeChs(17 * 15 * 300 + 17 + 3, {.sectorsPerTrack = 17, .heads = 15}),
              ElementsAre(1, 0x44, 300 & 0xFF));
}

TEST(Crc32, MatchesTheCheckValueOfItsDefinition) {
  const std::string_view text = "123456789";
  EXPECT_EQ(Crc32(std::as_bytes(std::span(text))), 0xCBF43926U);
}

}  // namespace
}  // namespace dmrp::server
