#include "reference_server/storage/ldm/allocation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server::ldm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kMiBBlocks = 2048;
/// A disk of 48 MiB whose public region starts where Windows has it on MBR disks.
const DiskSpace kSmall{.diskId = 1, .publicStart = 63, .publicBlocks = 48 * kMiBBlocks};

StorageErrorCode CodeOf(const auto& result) {
  EXPECT_FALSE(result);
  return result ? StorageErrorCode::kIoError : result.error().code;
}

TEST(FreeExtentsTest, AreWhatUsedOnesLeaveInWholeSectors) {
  const std::vector<Extent> used{{1000, 24}, {0, 100}};
  EXPECT_THAT(FreeExtents(kSmall, used), ElementsAre(Extent{100, 900}, Extent{1024, 48 * 2048 - 1024}));
  const DiskSpace large_sectors{.diskId = 1, .publicStart = 504, .publicBlocks = 1003, .sectorBlocks = 8};
  EXPECT_THAT(FreeExtents(large_sectors, std::vector<Extent>{{0, 100}}), ElementsAre(Extent{104, 896}));
  EXPECT_EQ(FreeBlocks(kSmall, used), 900 + 48 * 2048 - 1024);
  EXPECT_THAT(FreeExtents(kSmall, std::vector<Extent>{{0, 48 * kMiBBlocks}}), IsEmpty());
}

TEST(AllocateTest, StartsOnAnAlignedBlockOfTheDiskWhenThereIsRoom) {
  const auto small = Allocate(kSmall, {}, {.blocks = kMiBBlocks});
  ASSERT_TRUE(small) << small.error().ToString();
  EXPECT_THAT(*small, ElementsAre(Extent{128 - 63, kMiBBlocks}));
  const DiskSpace large{.diskId = 1, .publicStart = 63, .publicBlocks = std::uint64_t{8} << 21};
  const auto aligned = Allocate(large, {}, {.blocks = kMiBBlocks});
  ASSERT_TRUE(aligned);
  EXPECT_THAT(*aligned, ElementsAre(Extent{2048 - 63, kMiBBlocks}));
}

TEST(AllocateTest, GivesUpAlignmentForAMemberThatFillsTheSpace) {
  const auto all = Allocate(kSmall, {}, {.blocks = kSmall.publicBlocks});
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_THAT(*all, ElementsAre(Extent{0, kSmall.publicBlocks}));
}

TEST(AllocateTest, TakesTheFirstPlaceThatFits) {
  // Free: 65 at 0, 500 at 1065, the rest from 4565 on, where block 4736 of the disk is the next aligned one.
  const std::vector<Extent> used{{65, 1000}, {1565, 3000}};
  const auto placed = Allocate(kSmall, used, {.blocks = 1000});
  ASSERT_TRUE(placed);
  EXPECT_THAT(*placed, ElementsAre(Extent{4736 - 63, 1000}));
}

TEST(AllocateTest, CutsAMemberIntoAsFewPiecesAsPossible) {
  const std::uint64_t end = kSmall.publicBlocks;
  const std::vector<Extent> used{{100, 900}, {2000, 10}, {5010, end - 5010}};
  // Free: 100 at 0, 1000 at 1000, 3000 at 2010.
  const auto placed = Allocate(kSmall, used, {.blocks = 3500, .contiguous = false});
  ASSERT_TRUE(placed) << placed.error().ToString();
  EXPECT_THAT(*placed, ElementsAre(Extent{1000, 500}, Extent{2010, 3000}));
  EXPECT_EQ(CodeOf(Allocate(kSmall, used, {.blocks = 3500})), StorageErrorCode::kFragmented);
  EXPECT_EQ(CodeOf(Allocate(kSmall, used, {.blocks = 4101, .contiguous = false})),
            StorageErrorCode::kNoSpace);
  EXPECT_EQ(CodeOf(Allocate(kSmall, used, {.blocks = 4101})), StorageErrorCode::kNoSpace);
  EXPECT_EQ(CodeOf(Allocate(kSmall, used, {.blocks = 3500, .contiguous = false, .maxPieces = 1})),
            StorageErrorCode::kTooManyMembers);
  EXPECT_EQ(LargestContiguous(kSmall, used), 3000);
  EXPECT_EQ(LargestContiguous(kSmall, used, 128), 2944);
}

TEST(AllocateTest, RefusesLengthsThatAreNoWholeSectors) {
  const DiskSpace large_sectors{.diskId = 1, .publicStart = 504, .publicBlocks = 8000, .sectorBlocks = 8};
  EXPECT_EQ(CodeOf(Allocate(large_sectors, {}, {.blocks = 1001})), StorageErrorCode::kMisaligned);
  EXPECT_EQ(CodeOf(Allocate(large_sectors, {}, {.blocks = 0})), StorageErrorCode::kTooSmall);
  const auto placed = Allocate(large_sectors, std::vector<Extent>{{0, 9}}, {.blocks = 7984});
  ASSERT_TRUE(placed) << placed.error().ToString();
  EXPECT_THAT(*placed, ElementsAre(Extent{16, 7984}));
}

}  // namespace
}  // namespace dmrp::server::ldm
