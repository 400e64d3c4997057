#include "reference_server/storage/ft/ft_sets.hpp"

#include "reference_server/storage/ft/ft_test_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server::ft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(FtTypes, TheBitsGoOnTypesOfFileSystemsAlone) {
  EXPECT_EQ(PlainType(0x87), 0x07);
  EXPECT_EQ(PlainType(0xC7), 0x07);
  EXPECT_EQ(PlainType(0x86), 0x06);
  EXPECT_EQ(PlainType(0x8B), 0x0B);
  for (const std::uint8_t other : {0x07, 0x42, 0x47, 0x82, 0x83, 0xA0, 0xDE, 0xEE, 0xFE}) {
    EXPECT_EQ(PlainType(other), other);
    EXPECT_FALSE(IsMarked(other, true)) << int{other};
  }
  EXPECT_TRUE(IsMarked(0x87, false));
  EXPECT_FALSE(IsMarked(0x84, false)) << "an OEM partition";
  EXPECT_TRUE(IsMarked(0x84, true));
  EXPECT_EQ(MarkedType(0x07, false), 0x87);
  EXPECT_EQ(MarkedType(0xC6, false), 0x86);
  EXPECT_EQ(MarkedType(0x87, true), 0xC7);
}

TEST(FtSets, AHealthyMirrorIsAsLongAsItsMembers) {
  FtSystem system(2);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}}, 'e');
  const FtVolume volume = system.Volume(0);
  EXPECT_EQ(ToText(volume),
            "mirror-0 Healthy 4194304 E [11111111+32256 Healthy 87, 22222222+32256 Healthy 87]");
  EXPECT_THAT(volume.problems, IsEmpty());
}

TEST(FtSets, TheOrderIsThatOfTheRecord) {
  FtSystem system(3);
  system.AddSet(FtType::kStripe, {{2, 4 * kMiB}, {0, 4 * kMiB}, {1, 4 * kMiB}});
  const FtVolume volume = system.Volume(0);
  EXPECT_EQ(volume.members[0].disk, 2U);
  EXPECT_EQ(volume.members[1].disk, 0U);
  EXPECT_EQ(volume.members[2].disk, 1U);
}

TEST(FtSets, StripesTakeTheSmallestMemberInWholeUnits) {
  FtSystem system(3);
  const std::uint64_t small = 4 * kMiB + 63 * 512;
  system.AddSet(FtType::kStripe, {{0, 5 * kMiB}, {1, small}, {2, 6 * kMiB}});
  system.AddSet(FtType::kStripeWithParity, {{0, 5 * kMiB}, {1, small}, {2, 6 * kMiB}});
  system.AddSet(FtType::kVolumeSet, {{0, 5 * kMiB}, {1, small}});
  EXPECT_EQ(system.Volume(0).length, 3 * 4 * kMiB);
  EXPECT_EQ(system.Volume(1).length, 2 * 4 * kMiB);
  EXPECT_EQ(system.Volume(2).length, 5 * kMiB + small);
  EXPECT_EQ(system.Volume(1).Key(), "parity-0");
}

TEST(FtSets, AMissingDiskFailsRedundancyOrAll) {
  FtSystem system(3);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.AddSet(FtType::kStripeWithParity, {{0, 4 * kMiB}, {1, 4 * kMiB}, {2, 4 * kMiB}});
  system.AddSet(FtType::kStripe, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.AddSet(FtType::kVolumeSet, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  for (std::size_t set = 0; set < 4; ++set) EXPECT_EQ(system.Volume(set).status, FtStatus::kHealthy) << set;
  EXPECT_EQ(ToText(system.Volume(0, {1})),
            "mirror-0 FailedRedundancy 4194304 - [11111111+32256 Healthy 87, 22222222+32256 Missing 00]");
  EXPECT_THAT(system.Volume(0, {1}).problems, IsEmpty()) << "a disk that is away contradicts nothing";
  EXPECT_EQ(system.Volume(1, {1}).status, FtStatus::kFailedRedundancy);
  EXPECT_EQ(system.Volume(2, {1}).status, FtStatus::kFailed);
  EXPECT_EQ(system.Volume(3, {1}).status, FtStatus::kFailed);
  EXPECT_EQ(system.Volume(0, {0, 1}).status, FtStatus::kFailed);
  EXPECT_EQ(system.Volume(1, {0, 1}).status, FtStatus::kFailed);
}

TEST(FtSets, StatesOfMembersDecide) {
  FtSystem system(3);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.AddSet(FtType::kStripeWithParity, {{0, 4 * kMiB}, {1, 4 * kMiB}, {2, 4 * kMiB}});
  system.SetMemberState(0, 1, FtMemberState::kOrphaned);
  system.SetType(1, kFirst, 0xC7);
  EXPECT_EQ(ToText(system.Volume(0)),
            "mirror-0 FailedRedundancy 4194304 - [11111111+32256 Healthy 87, 22222222+32256 Orphaned c7]");
  EXPECT_THAT(system.Volume(0).problems, IsEmpty());
  for (const auto state :
       {FtMemberState::kRegenerating, FtMemberState::kInitializing, FtMemberState::kSyncRedundantCopy}) {
    system.SetMemberState(1, 2, state);
    EXPECT_EQ(system.Volume(1).status, FtStatus::kRebuilding);
    EXPECT_EQ(system.Volume(1).members[2].health, FtMemberHealth::kStale);
    EXPECT_EQ(system.Volume(1, {0}).status, FtStatus::kFailed) << "two of three are not whole";
  }
}

TEST(FtSets, StatesOfTheSetDecideWhenAllMembersAreThere) {
  FtSystem system(3);
  system.AddSet(FtType::kStripeWithParity, {{0, 4 * kMiB}, {1, 4 * kMiB}, {2, 4 * kMiB}});
  const auto status = [&](FtSetState state, const std::vector<std::size_t>& without = {}) {
    system.record.sets[0].state = state;
    return system.Volume(0, without).status;
  };
  EXPECT_EQ(status(FtSetState::kHasOrphan), FtStatus::kHealthy) << "but no member is one";
  EXPECT_EQ(status(FtSetState::kRegenerating), FtStatus::kRebuilding);
  EXPECT_EQ(status(FtSetState::kInitializing), FtStatus::kRebuilding);
  EXPECT_EQ(status(FtSetState::kCheckParity), FtStatus::kNeedsResync);
  EXPECT_EQ(status(FtSetState::kNoCheckData), FtStatus::kNeedsResync);
  EXPECT_TRUE(ParityUnknown(system.Volume(0)));
  EXPECT_EQ(status(FtSetState::kDisabled), FtStatus::kFailed);
  EXPECT_EQ(status(FtSetState::kNoCheckData, {1}), FtStatus::kFailed) << "parity cannot stand in for data";
  EXPECT_EQ(status(FtSetState::kOk, {1}), FtStatus::kFailedRedundancy);
}

TEST(FtSets, WhatIsNotWhereTheRecordSaysIsMissing) {
  FtSystem system(2);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  DiskPartition& entry = system.record.disks[1].partitions[0];
  entry.startingOffset += 512;
  EXPECT_THAT(ProblemsOf(system.Volume(0)), ElementsAre(FtProblemKind::kNoPartition));
  EXPECT_EQ(system.Volume(0).members[1].health, FtMemberHealth::kMissing);
  entry.startingOffset -= 512;
  entry.length -= 512;
  EXPECT_THAT(ProblemsOf(system.Volume(0)), ElementsAre(FtProblemKind::kLengthDiffers));
  EXPECT_EQ(system.Volume(0).members[1].health, FtMemberHealth::kMissing);
}

TEST(FtSets, TwoDisksOfOneSignatureAreNoMember) {
  FtSystem system(2);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.disks.push_back(system.disks[1]);
  EXPECT_THAT(ProblemsOf(system.Volume(0)), ElementsAre(FtProblemKind::kAmbiguousDisk));
  EXPECT_EQ(system.Volume(0).status, FtStatus::kFailedRedundancy);
}

TEST(FtSets, GptDisksHaveNoMembersWhateverTheirProtectiveMbrSays) {
  FtSystem system(2);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  auto disks = system.Present();
  disks[1].layout.style = PartitionStyle::kGpt;
  const FtVolume volume = ReadFtSets(system.record, disks).volumes[0];
  EXPECT_EQ(volume.members[1].health, FtMemberHealth::kMissing);
  EXPECT_THAT(volume.problems, IsEmpty());
}

TEST(FtSets, TypesThatDoNotGoWithTheStateAreTold) {
  FtSystem system(2);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.SetType(1, kFirst, 0x07);
  EXPECT_THAT(ProblemsOf(system.Volume(0)), ElementsAre(FtProblemKind::kMark));
  EXPECT_EQ(system.Volume(0).status, FtStatus::kHealthy);
  // Somebody knew of a failure: the member is not read from.
  system.SetType(1, kFirst, 0xC7);
  EXPECT_THAT(ProblemsOf(system.Volume(0)), ElementsAre(FtProblemKind::kMarkedDisabled));
  EXPECT_EQ(system.Volume(0).members[1].health, FtMemberHealth::kOrphaned);
  EXPECT_EQ(system.Volume(0).status, FtStatus::kFailedRedundancy);
  system.SetType(1, kFirst, 0x87);
  system.SetMemberState(0, 1, FtMemberState::kOrphaned);
  EXPECT_THAT(ProblemsOf(system.Volume(0)), ElementsAre(FtProblemKind::kMark));
  EXPECT_EQ(system.Volume(0).members[1].health, FtMemberHealth::kOrphaned);
}

TEST(FtSets, RecordsThatContradictThemselvesBlockTheirSet) {
  const auto problems = [](const std::function<void(FtSystem&)>& damage) {
    FtSystem system(3);
    system.AddSet(FtType::kStripeWithParity, {{0, 4 * kMiB}, {1, 4 * kMiB}, {2, 4 * kMiB}});
    damage(system);
    const FtVolume volume = system.Volume(0);
    EXPECT_NE(volume.BlockingProblem(), nullptr) << ToText(volume);
    return ProblemsOf(volume);
  };
  EXPECT_THAT(problems([](FtSystem& s) { s.record.disks[1].partitions[0].ftGroup = 7; }),
              ElementsAre(FtProblemKind::kEntryDisagrees));
  EXPECT_THAT(problems([](FtSystem& s) { s.record.disks[1].partitions[0].ftMember = 0; }),
              ElementsAre(FtProblemKind::kEntryDisagrees));
  EXPECT_THAT(problems([](FtSystem& s) { s.record.disks[1].partitions[0].ftType = FtType::kStripe; }),
              ElementsAre(FtProblemKind::kEntryDisagrees));
  EXPECT_THAT(problems([](FtSystem& s) { s.record.sets[0].members[2].signature = 0x22222222; }),
              ElementsAre(FtProblemKind::kSignature));
  EXPECT_THAT(problems([](FtSystem& s) { s.record.sets[0].members.pop_back(); }),
              ElementsAre(FtProblemKind::kMemberCount));
  EXPECT_THAT(problems([](FtSystem& s) { s.record.sets[0].state = static_cast<FtSetState>(9); }),
              ElementsAre(FtProblemKind::kUnknownState));
  EXPECT_THAT(problems([](FtSystem& s) { s.SetMemberState(0, 0, static_cast<FtMemberState>(9)); }),
              ElementsAre(FtProblemKind::kUnknownState));
  EXPECT_THAT(problems([](FtSystem& s) { s.record.sets[0].members[2] = s.record.sets[0].members[1]; }),
              ElementsAre(FtProblemKind::kSharedMember, FtProblemKind::kEntryDisagrees,
                          FtProblemKind::kSharedMember));
}

TEST(FtSets, AnUnknownTypeIsAFailedVolume) {
  FtSystem system(2);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.record.sets[0].type = FtType::kWholeDisk;
  const FtVolume volume = system.Volume(0);
  EXPECT_EQ(volume.status, FtStatus::kFailed);
  EXPECT_EQ(volume.problems.front().kind, FtProblemKind::kUnknownType);
  EXPECT_FALSE(MapOf(volume, "x", {}));
}

TEST(FtSets, MarkedPartitionsOfNoSetAreTold) {
  FtSystem system(3);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  const Region stray = system.AddPartition(2, kMiB, RegionKind::kPrimary, 0xC7);
  const Region oem = system.AddPartition(2, kMiB, RegionKind::kPrimary, 0x84);
  const FtConfiguration configuration = ReadFtSets(system.record, system.Present());
  EXPECT_THAT(configuration.unclaimed, ElementsAre(UnclaimedMember{2, stray.start, 0xC7}));
  EXPECT_EQ(configuration.VolumeAt(2, oem.start), nullptr);
  ASSERT_NE(configuration.VolumeAt(1, kFirst), nullptr);
  EXPECT_EQ(configuration.VolumeAt(1, kFirst)->Key(), "mirror-0");
}

TEST(FtSets, LogicalDrivesAreMembers) {
  FtSystem system(2);
  for (std::size_t disk = 0; disk < 2; ++disk) {
    system.AddPartition(disk, 20 * kMiB, RegionKind::kExtended);
  }
  system.AddSet(FtType::kStripe, {{0, 4 * kMiB}, {1, 4 * kMiB}}, 0, RegionKind::kLogical);
  const FtVolume volume = system.Volume(0);
  EXPECT_EQ(volume.status, FtStatus::kHealthy);
  EXPECT_EQ(volume.members[0].partitionKind, RegionKind::kLogical);
  EXPECT_EQ(volume.members[0].start, 2 * kFirst);
}

TEST(FtSets, SetsOfOneGroupHaveKeysOfTheirOwn) {
  FtSystem system(2);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  EXPECT_EQ(system.Volume(1).Key(), "mirror-1");
  for (DiskDescription& disk : system.record.disks) disk.partitions[1].ftGroup = 0;
  EXPECT_THAT(ProblemsOf(system.Volume(1)), ElementsAre(FtProblemKind::kDuplicateGroup));
  EXPECT_NE(system.Volume(0).Key(), system.Volume(1).Key());
}

TEST(FtMaps, SayWhereDataLies) {
  FtSystem system(3);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}});
  system.AddSet(FtType::kStripeWithParity, {{2, 4 * kMiB + 512}, {0, 4 * kMiB + 512}, {1, 5 * kMiB}});
  system.AddSet(FtType::kVolumeSet, {{0, kMiB + 512}, {1, kMiB}});
  const std::vector<std::filesystem::path> devices{"/dev/sda", "/dev/sdb", "/dev/sdc"};

  system.SetMemberState(0, 1, FtMemberState::kRegenerating);
  const auto mirror = MapOf(system.Volume(0), "dmrp-ft-mirror-0", devices);
  ASSERT_TRUE(mirror);
  EXPECT_EQ(mirror->name, "dmrp-ft-mirror-0");
  EXPECT_EQ(mirror->length, 4 * kMiB);
  ASSERT_EQ(mirror->plexes.size(), 2U);
  EXPECT_EQ(mirror->plexes[0].layout, PlexLayout::kConcat);
  EXPECT_EQ(mirror->plexes[0].columns.at(0).at(0).state, ExtentState::kOnline);
  EXPECT_EQ(mirror->plexes[1].columns.at(0).at(0).state, ExtentState::kStale);
  EXPECT_EQ(mirror->plexes[1].columns.at(0).at(0).device, "/dev/sdb");
  EXPECT_EQ(mirror->plexes[1].columns.at(0).at(0).offset, kFirst);

  const auto parity = MapOf(system.Volume(1, {0}), "p", devices);
  ASSERT_TRUE(parity);
  ASSERT_EQ(parity->plexes.size(), 1U);
  EXPECT_EQ(parity->length, 8 * kMiB);
  EXPECT_EQ(parity->plexes[0].layout, PlexLayout::kRaid5);
  EXPECT_EQ(parity->plexes[0].stripeSize, 65536U);
  ASSERT_EQ(parity->plexes[0].columns.size(), 3U);
  EXPECT_EQ(parity->plexes[0].columns[0][0].device, "/dev/sdc");
  EXPECT_EQ(parity->plexes[0].columns[0][0].length, 4 * kMiB) << "whole units";
  EXPECT_EQ(parity->plexes[0].columns[1][0].state, ExtentState::kMissing);

  const auto joined = MapOf(system.Volume(2), "v", devices);
  ASSERT_TRUE(joined);
  ASSERT_EQ(joined->plexes.at(0).columns.size(), 1U);
  ASSERT_EQ(joined->plexes[0].columns[0].size(), 2U);
  EXPECT_EQ(joined->plexes[0].columns[0][0].length, kMiB + 512) << "odd sectors count";
  EXPECT_EQ(joined->length, 2 * kMiB + 512);

  EXPECT_FALSE(MapOf(system.Volume(2, {1}), "v", devices)) << "failed";
}

}  // namespace
}  // namespace dmrp::server::ft
