#include "reference_server/storage/ldm/dynamic_table.hpp"

#include "reference_server/storage/disk_test_support.hpp"

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kSector = 512;

StorageErrorCode CodeOf(const auto& result) {
  EXPECT_FALSE(result);
  return result ? StorageErrorCode::kIoError : result.error().code;
}

DiskTable TableOf(MemoryDevice& device) {
  auto table = ReadTable(device);
  EXPECT_TRUE(table) << table.error().ToString();
  return table.value_or(DiskTable{});
}

MemoryDevice MbrDisk(std::uint64_t bytes = 50 * kMiB, std::uint32_t sector = 512) {
  MemoryDevice device({.sizeBytes = bytes, .bytesPerSector = sector});
  EXPECT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kMbr}));
  return device;
}

MemoryDevice GptDisk(bool reserved, std::uint64_t bytes = 200 * kMiB, std::uint32_t sector = 512) {
  MemoryDevice device({.sizeBytes = bytes, .bytesPerSector = sector});
  EXPECT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kGpt, .microsoftReserved = reserved}));
  return device;
}

/// Makes a partition of `length` octets that starts `skip` octets into the first free region of its kind.
Region Make(MemoryDevice& device, RegionKind kind, std::uint64_t skip, std::uint64_t length) {
  const Region free = FreeRegion(
      LayoutOf(device), kind == RegionKind::kLogical ? RegionKind::kExtendedFree : RegionKind::kFree);
  auto made = CreatePartition(device, {.kind = kind,
                                       .freeRegion = free.start,
                                       .start = static_cast<std::int64_t>(free.start + skip),
                                       .length = static_cast<std::int64_t>(length)});
  EXPECT_TRUE(made) << made.error().ToString();
  return made ? made->region : Region{};
}

void SetType(MemoryDevice& device, std::size_t slot, std::uint8_t type) {
  Bytes mbr = *device.Read(0, device.Geometry().bytesPerSector);
  SetEntryType(mbr, slot, type);
  device.Poke(0, mbr);
}

ConversionPlan PlanOf(MemoryDevice& device, const ConversionOptions& options = {}) {
  auto plan = PlanConversion(TableOf(device), device.Geometry(), options);
  EXPECT_TRUE(plan) << plan.error().ToString();
  return plan.value_or(ConversionPlan{});
}

void Apply(MemoryDevice& device, const TableChange& change) {
  const auto done = WriteTable(device, change);
  ASSERT_TRUE(done) << done.error().ToString();
}

/// "0x42 63+100289, ..." as libfdisk reads it, sectors; a * marks the active one.
std::string Seen(const MemoryDevice& device) {
  int problems = 0;
  const SeenTable seen = ReadWithLibfdisk(ScratchImage(device).Path(), device.Geometry(), &problems);
  EXPECT_EQ(problems, 0);
  std::string text = seen.label;
  const std::uint32_t sector = device.Geometry().bytesPerSector;
  for (const SeenPartition& one : seen.partitions) {
    text += " " + one.type.substr(0, 8) + (one.active ? "*" : "") + ":" + std::to_string(one.start / sector) +
            "+" + std::to_string(one.length / sector);
  }
  return text;
}

TEST(TilePublicRegionTest, CoversTheRegionWithoutAGap) {
  const DiskRegions regions{.publicStart = 63, .publicSectors = 10000};
  auto tiles = TilePublicRegion(regions, {});
  ASSERT_TRUE(tiles);
  EXPECT_THAT(*tiles, ElementsAre(Tile{63, 10000}));
  const std::vector<RetainedExtent> retained{{.start = 5000, .sectors = 5063},
                                             {.start = 100, .sectors = 900}};
  tiles = TilePublicRegion(regions, retained);
  ASSERT_TRUE(tiles);
  EXPECT_THAT(*tiles,
              ElementsAre(Tile{63, 37}, Tile{100, 900, true}, Tile{1000, 4000}, Tile{5000, 5063, true}));
}

TEST(TilePublicRegionTest, RefusesWhatLeavesTheRegionOrOverlaps) {
  const DiskRegions regions{.publicStart = 63, .publicSectors = 10000};
  const auto code = [&](std::vector<RetainedExtent> retained) {
    return CodeOf(TilePublicRegion(regions, retained));
  };
  EXPECT_EQ(code({{.start = 62, .sectors = 10}}), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code({{.start = 10000, .sectors = 64}}), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code({{.start = 100, .sectors = ~std::uint64_t{0}}}), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code({{.start = 100, .sectors = 0}}), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code({{.start = 100, .sectors = 10}, {.start = 109, .sectors = 1}}), StorageErrorCode::kNotFree);
}

TEST(ConversionPlanTest, OfAnEmptyMbrDiskIsOneEntryUpToTheDatabase) {
  MemoryDevice device = MbrDisk();
  const std::uint32_t signature = LayoutOf(device).mbrSignature;
  const ConversionPlan plan = PlanOf(device);
  EXPECT_FALSE(plan.findings.CannotProceed());
  EXPECT_EQ(plan.change.regions, (DiskRegions{63, 102400 - 2048 - 63, 102400 - 2048, 2048}));
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device), "dos 42:63+100289");
  EXPECT_EQ(LayoutOf(device).mbrSignature, signature);
  // The CHS fields that Windows Server 2003 R2 wrote on a disk of this size.
  const Bytes entry = *device.Read(0x1BE, 8);
  EXPECT_EQ(ToHex(entry), "00010100 42fe3f05");
}

TEST(ConversionPlanTest, ASoleEntryEndsWithACylinderAlsoOnADiskWithoutAWholeOne) {
  MemoryDevice device = MbrDisk(4 * kMiB);
  Apply(device, PlanOf(device).change);
  EXPECT_EQ(ToHex(*device.Read(0x1BE, 8)), "00010100 42fe3f00");
}

TEST(ConversionPlanTest, CountsHeadsAndTracksAsWindowsDoesOnDisksOfAnotherGeometry) {
  MemoryDevice device({.sizeBytes = 50 * kMiB, .sectorsPerTrack = 17, .heads = 15});
  ASSERT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kMbr}));
  Apply(device, PlanOf(device).change);
  EXPECT_EQ(Seen(device), "dos 42:63+100289");
  EXPECT_EQ(ToHex(*device.Read(0x1BE, 8)), "00010100 42fe3f05");
}

TEST(ConversionPlanTest, GivesAnMbrDiskASignatureWhenItHasNone) {
  MemoryDevice device = MbrDisk();
  device.Poke(0x1B8, Bytes(4));
  Apply(device, PlanOf(device).change);
  EXPECT_NE(LayoutOf(device).mbrSignature, 0u);
}

TEST(ConversionPlanTest, CountsInSectorsOfTheDisk) {
  MemoryDevice device = MbrDisk(50 * kMiB, 4096);
  const ConversionPlan plan = PlanOf(device);
  EXPECT_EQ(plan.change.regions, (DiskRegions{63, 12800 - 256 - 63, 12800 - 256, 256}));
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device), "dos 42:63+12481");
}

TEST(ConversionPlanTest, LeavesWhatAnMbrEntryCannotReach) {
  MemoryDevice device = MbrDisk(3 * kTiB);
  const ConversionPlan plan = PlanOf(device);
  EXPECT_EQ(plan.change.regions.PublicEnd(), kMbrSectorLimit - 1);
  EXPECT_EQ(plan.change.regions.privateStart, 3 * kTiB / kSector - 2048);
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device), "dos 42:63+4294967232");
}

TEST(ConversionPlanTest, TakesTheDatabaseOutOfTheReservedPartition) {
  MemoryDevice device = GptDisk(true);
  const std::uint64_t last = 200 * kMiB / kSector - 34;
  const ConversionPlan plan = PlanOf(device);
  EXPECT_EQ(plan.change.regions, (DiskRegions{65570, last + 1 - 65570, 34, 2048}));
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device),
            "gpt 5808c8aa:34+2048 e3c9e316:2082+63488 af9b60a0:65570+" + std::to_string(last + 1 - 65570));
  const DiskTable table = TableOf(device);
  EXPECT_EQ(table.gpt->Entry(0).name, u"LDM metadata partition");
  EXPECT_EQ(table.gpt->Entry(1).type, kGptTypeMicrosoftReserved);
  EXPECT_EQ(table.gpt->Entry(2).name, u"LDM data partition");
}

TEST(ConversionPlanTest, TakesTheEndOfAGptDiskWithoutAReservedPartition) {
  MemoryDevice device = GptDisk(false);
  const std::uint64_t last = 200 * kMiB / kSector - 34;
  Apply(device, PlanOf(device).change);
  EXPECT_EQ(Seen(device), "gpt af9b60a0:34+" + std::to_string(last + 1 - 34 - 2048) +
                              " 5808c8aa:" + std::to_string(last + 1 - 2048) + "+2048");
}

TEST(ConversionPlanTest, OfAGptDiskWithLargeSectorsTakes256) {
  MemoryDevice device = GptDisk(true, 200 * kMiB, 4096);
  const ConversionPlan plan = PlanOf(device);
  EXPECT_EQ(plan.change.regions.privateStart, 6u);
  EXPECT_EQ(plan.change.regions.privateSectors, 256u);
  Apply(device, plan.change);
  EXPECT_THAT(Seen(device), HasSubstr("5808c8aa:6+256 e3c9e316:262+7936"));
}

TEST(ConversionPlanTest, RefusesDisksThatAreNotBasicOrTooSmall) {
  MemoryDevice blank({.sizeBytes = 50 * kMiB});
  EXPECT_EQ(CodeOf(PlanConversion(TableOf(blank), blank.Geometry())), StorageErrorCode::kNotInitialized);
  MemoryDevice device = MbrDisk();
  Apply(device, PlanOf(device).change);
  EXPECT_EQ(CodeOf(PlanConversion(TableOf(device), device.Geometry())), StorageErrorCode::kDynamicDisk);
  MemoryDevice small = MbrDisk(2 * kMiB);
  EXPECT_EQ(CodeOf(PlanConversion(TableOf(small), small.Geometry())), StorageErrorCode::kDiskTooSmall);
  MemoryDevice small_gpt = GptDisk(false, 2 * kMiB);
  EXPECT_EQ(CodeOf(PlanConversion(TableOf(small_gpt), small_gpt.Geometry())),
            StorageErrorCode::kDiskTooSmall);
}

TEST(EncapsulationPlanTest, TakesPrimariesAndLogicalDrivesInPlace) {
  MemoryDevice device = MbrDisk();
  const Region primary = Make(device, RegionKind::kPrimary, 0, 5 * kMiB);
  Make(device, RegionKind::kExtended, 0, 20 * kMiB);
  const Region first = Make(device, RegionKind::kLogical, 0, 5 * kMiB);
  const Region second = Make(device, RegionKind::kLogical, kMiB, 5 * kMiB);
  const ConversionPlan plan = PlanOf(device);
  EXPECT_FALSE(plan.findings.CannotProceed()) << plan.findings.reason;
  EXPECT_TRUE(plan.findings.hasExtended);
  ASSERT_EQ(plan.partitions.size(), 3u);
  EXPECT_EQ(plan.partitions[0].region, primary);
  EXPECT_EQ(plan.partitions[1].region.start, first.start);
  EXPECT_EQ(plan.partitions[2].region.start, second.start);
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device), "dos 42:63+100289");
}

TEST(EncapsulationPlanTest, LeavesSystemAndBootPartitionsTheirEntries) {
  MemoryDevice device = MbrDisk();
  const Region system = Make(device, RegionKind::kPrimary, kMiB, 5 * kMiB);
  ASSERT_TRUE(MarkActive(device, system.start));
  const ConversionPlan plan =
      PlanOf(device, {.isSystem = [&](const Region& region) { return region.start == system.start; }});
  EXPECT_FALSE(plan.findings.CannotProceed()) << plan.findings.reason;
  EXPECT_TRUE(plan.findings.hasActive);
  EXPECT_TRUE(plan.partitions.at(0).system);
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device), "dos 42:63+2048 42*:2111+10240 42:12351+88001");
}

TEST(EncapsulationPlanTest, RefusesAnActivePartitionThatDidNotStartTheComputer) {
  MemoryDevice device = MbrDisk();
  const Region active = Make(device, RegionKind::kPrimary, 0, 5 * kMiB);
  ASSERT_TRUE(MarkActive(device, active.start));
  const ConversionPlan plan = PlanOf(device);
  EXPECT_TRUE(plan.findings.badActive);
  EXPECT_TRUE(plan.findings.CannotProceed());
}

TEST(EncapsulationPlanTest, WantsTheLastMegabyteFree) {
  MemoryDevice device = MbrDisk();
  const Region free = FreeRegion(LayoutOf(device));
  Make(device, RegionKind::kPrimary, 0, free.length - kMiB + kSector);
  EXPECT_TRUE(PlanOf(device).findings.noFreeSpace);
  MemoryDevice fits = MbrDisk();
  Make(fits, RegionKind::kPrimary, 0, free.length - kMiB);
  EXPECT_FALSE(PlanOf(fits).findings.CannotProceed());
  // An extended partition may reach to the end as long as its drives do not.
  MemoryDevice extended = MbrDisk();
  Make(extended, RegionKind::kExtended, 0, free.length);
  Make(extended, RegionKind::kLogical, 0, 5 * kMiB);
  EXPECT_FALSE(PlanOf(extended).findings.CannotProceed());
}

TEST(EncapsulationPlanTest, RefusesTypesItDoesNotKnow) {
  for (const std::uint8_t type : {0x83, 0x82, 0xA5, 0x17}) {
    MemoryDevice device = MbrDisk();
    const Region region = Make(device, RegionKind::kPrimary, 0, 5 * kMiB);
    SetType(device, region.entry, type);
    EXPECT_TRUE(PlanOf(device).findings.unknownPartition) << int{type};
  }
  for (const std::uint8_t type : {0x01, 0x04, 0x06, 0x07, 0x0B, 0x0C, 0x0E}) {
    MemoryDevice device = MbrDisk();
    const Region region = Make(device, RegionKind::kPrimary, 0, 5 * kMiB);
    SetType(device, region.entry, type);
    EXPECT_FALSE(PlanOf(device).findings.CannotProceed()) << int{type};
  }
}

TEST(EncapsulationPlanTest, TellsFaultTolerantMembersFromOthers) {
  for (const std::uint8_t type : {0x86, 0x87, 0xC7, 0x8B}) {
    MemoryDevice device = MbrDisk();
    const Region region = Make(device, RegionKind::kPrimary, 0, 5 * kMiB);
    SetType(device, region.entry, type);
    const ConversionPlan refused = PlanOf(device);
    EXPECT_TRUE(refused.findings.containsFt) << int{type};
    EXPECT_TRUE(refused.findings.CannotProceed());
    EXPECT_FALSE(PlanOf(device, {.acceptFt = true}).findings.CannotProceed());
  }
}

TEST(EncapsulationPlanTest, StartsBehindAnOemPartitionAtTheFront) {
  MemoryDevice device = MbrDisk();
  const Region oem = Make(device, RegionKind::kPrimary, 0, 4 * kMiB);
  Make(device, RegionKind::kPrimary, 0, 5 * kMiB);
  SetType(device, oem.entry, 0xDE);
  const ConversionPlan plan = PlanOf(device);
  EXPECT_FALSE(plan.findings.CannotProceed()) << plan.findings.reason;
  EXPECT_EQ(plan.partitions.size(), 1u);
  EXPECT_EQ(plan.change.regions.publicStart, oem.End() / kSector);
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device), "dos de:63+8192 42:8255+92097");
}

TEST(EncapsulationPlanTest, RefusesAnOemPartitionBehindAnotherOne) {
  MemoryDevice device = MbrDisk();
  Make(device, RegionKind::kPrimary, 0, 4 * kMiB);
  const Region oem = Make(device, RegionKind::kPrimary, 0, 5 * kMiB);
  SetType(device, oem.entry, 0x12);
  EXPECT_TRUE(PlanOf(device).findings.unknownPartition);
}

TEST(EncapsulationPlanTest, RefusesMoreThanFourEntries) {
  MemoryDevice device = MbrDisk();
  const Region first = Make(device, RegionKind::kPrimary, kMiB, kMiB);
  Region second;
  {
    const Region free = LayoutOf(device).regions.back();
    auto made = CreatePartition(device, {.freeRegion = free.start,
                                         .start = static_cast<std::int64_t>(free.start + kMiB),
                                         .length = static_cast<std::int64_t>(kMiB)});
    ASSERT_TRUE(made);
    second = made->region;
  }
  const ConversionPlan plan =
      PlanOf(device, {.isSystem = [&](const Region& region) { return region.start == first.start; },
                      .isBoot = [&](const Region& region) { return region.start == second.start; }});
  EXPECT_TRUE(plan.findings.tooManyPartitions);
}

TEST(EncapsulationPlanTest, RefusesATableItCannotRelyOn) {
  MemoryDevice device = MbrDisk();
  Make(device, RegionKind::kPrimary, 0, 4 * kMiB);
  Bytes mbr = *device.Read(0, 512);
  SetEntry(mbr, 1, {0, kMbrTypeIfs, 5000, 5000}, 5000, device.Geometry());
  device.Poke(0, mbr);
  EXPECT_TRUE(PlanOf(device).findings.unknownPartition);
}

TEST(EncapsulationPlanTest, TakesBasicGptPartitionsAndLeavesOthers) {
  MemoryDevice device = GptDisk(true);
  const Region data = Make(device, RegionKind::kPrimary, kMiB, 20 * kMiB);
  const ConversionPlan plan = PlanOf(device);
  EXPECT_FALSE(plan.findings.CannotProceed()) << plan.findings.reason;
  ASSERT_EQ(plan.partitions.size(), 1u);
  EXPECT_EQ(plan.partitions[0].region, data);
  Apply(device, plan.change);
  EXPECT_EQ(Seen(device), "gpt 5808c8aa:34+2048 e3c9e316:2082+63488 af9b60a0:65570+343997");
}

TEST(EncapsulationPlanTest, RefusesAForeignGptPartitionBetweenBasicOnes) {
  MemoryDevice device = GptDisk(true);
  Make(device, RegionKind::kPrimary, 0, 20 * kMiB);
  const Region middle = Make(device, RegionKind::kPrimary, 0, 20 * kMiB);
  DiskTable table = TableOf(device);
  GptTable after = *table.gpt;
  GptEntry entry = after.Entry(middle.entry);
  entry.type = *Guid::Parse("de94bba4-06d1-4d40-a16a-bfd50179d6ac");
  after.SetEntry(middle.entry, entry);
  ASSERT_TRUE(ReplaceGpt(device, *table.gpt, after));
  // Behind the basic partition it is no obstacle.
  EXPECT_FALSE(PlanOf(device).findings.CannotProceed());
  Make(device, RegionKind::kPrimary, 0, 20 * kMiB);
  EXPECT_TRUE(PlanOf(device).findings.mixedPartitions);
}

TEST(EncapsulationPlanTest, WantsTheLastMegabyteOfAGptDiskWithoutAReservedPartition) {
  MemoryDevice device = GptDisk(false);
  const Region free = FreeRegion(LayoutOf(device));
  Make(device, RegionKind::kPrimary, 0, free.length - kMiB + kSector);
  EXPECT_TRUE(PlanOf(device).findings.noFreeSpace);
}

TEST(RetainedPlanTest, GivesAndTakesEntriesOfAnMbr) {
  MemoryDevice device = MbrDisk();
  const ConversionPlan plan = PlanOf(device);
  Apply(device, plan.change);
  const Bytes fresh = *device.Read(0, 512);
  const std::vector<RetainedExtent> one{{.start = 128, .sectors = 2048, .active = true}};
  auto change = PlanRetained(TableOf(device), device.Geometry(), plan.change.regions, one);
  ASSERT_TRUE(change) << change.error().ToString();
  Apply(device, *change);
  EXPECT_EQ(Seen(device), "dos 42:63+65 42*:128+2048 42:2176+98176");

  // The second one stays inactive, the first one keeps its flag.
  const std::vector<RetainedExtent> two{{.start = 128, .sectors = 2048}, {.start = 2176, .sectors = 4096}};
  change = PlanRetained(TableOf(device), device.Geometry(), plan.change.regions, two);
  ASSERT_TRUE(change) << change.error().ToString();
  Apply(device, *change);
  EXPECT_EQ(Seen(device), "dos 42:63+65 42*:128+2048 42:2176+4096 42:6272+94080");

  const std::vector<RetainedExtent> apart{{.start = 128, .sectors = 2048}, {.start = 4000, .sectors = 4096}};
  EXPECT_EQ(CodeOf(PlanRetained(TableOf(device), device.Geometry(), plan.change.regions, apart)),
            StorageErrorCode::kTableFull);

  change = PlanRetained(TableOf(device), device.Geometry(), plan.change.regions, {});
  ASSERT_TRUE(change);
  Apply(device, *change);
  EXPECT_EQ(*device.Read(0, 512), fresh);
}

TEST(RetainedPlanTest, KeepsTheIdentityOfGptEntriesThatStay) {
  MemoryDevice device = GptDisk(true);
  const ConversionPlan plan = PlanOf(device);
  Apply(device, plan.change);
  const Guid data = TableOf(device).gpt->Entry(2).id;
  const std::uint64_t start = plan.change.regions.publicStart;
  const std::vector<RetainedExtent> one{{.start = start + 94, .sectors = 2048}};
  auto change = PlanRetained(TableOf(device), device.Geometry(), plan.change.regions, one);
  ASSERT_TRUE(change) << change.error().ToString();
  Apply(device, *change);
  EXPECT_EQ(TableOf(device).gpt->Entry(2).id, data);
  EXPECT_THAT(Seen(device), HasSubstr("af9b60a0:65570+94 af9b60a0:65664+2048 af9b60a0:67712+"));
}

TEST(BasicPlanTest, GivesBackWhatTheConversionTook) {
  for (const bool reserved : {false, true}) {
    MemoryDevice device = GptDisk(reserved);
    const std::string before = Seen(device);
    const ConversionPlan plan = PlanOf(device);
    Apply(device, plan.change);
    auto change = PlanBasicTable(TableOf(device), device.Geometry(), plan.change.regions);
    ASSERT_TRUE(change);
    Apply(device, *change);
    EXPECT_EQ(Seen(device), before);
  }
  MemoryDevice device = MbrDisk();
  const Bytes before = *device.Read(0, 512);
  const ConversionPlan plan = PlanOf(device);
  Apply(device, plan.change);
  auto change = PlanBasicTable(TableOf(device), device.Geometry(), plan.change.regions);
  ASSERT_TRUE(change);
  Apply(device, *change);
  EXPECT_EQ(*device.Read(0, 512), before);
  EXPECT_FALSE(LayoutOf(device).dynamic);
}

}  // namespace
}  // namespace dmrp::server::ldm
