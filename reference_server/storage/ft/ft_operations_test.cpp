#include "reference_server/storage/ft/ft_operations.hpp"

#include "reference_server/storage/ft/ft_test_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server::ft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

template <typename T>
StorageErrorCode CodeOf(const StorageResult<T>& result) {
  EXPECT_FALSE(result) << "was accepted";
  return result ? StorageErrorCode::kIoError : result.error().code;
}

class FtOperations : public testing::Test {
 protected:
  FtSystem system{4};

  std::size_t Mirror() { return system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}}, 'E'); }
  std::size_t Parity() {
    return system.AddSet(FtType::kStripeWithParity, {{0, 4 * kMiB}, {1, 4 * kMiB}, {2, 4 * kMiB}}, 'F');
  }
  void Orphan(std::size_t set, std::size_t member) {
    const auto change = OrphanMember(system.record, system.Present(), set, member);
    ASSERT_TRUE(change) << change.error().ToString();
    system.Take(*change);
  }
  /// The record as it comes back from the registry.
  void CheckWritable() {
    const auto octets = system.record.Serialize();
    ASSERT_TRUE(octets) << octets.error().ToString();
    EXPECT_EQ(DiskRegistry::Parse(*octets), system.record);
  }
};

TEST_F(FtOperations, DeletingASetTakesItsPartitionsAndLeavesOtherSets) {
  const auto mirror = Mirror();
  const auto parity = Parity();
  const auto before = ToText(system.Volume(parity));
  const auto change = DeleteSet(system.record, system.Present(), mirror);
  ASSERT_TRUE(change) << change.error().ToString();
  system.Take(*change);
  ASSERT_EQ(system.record.sets.size(), 1U);
  EXPECT_EQ(ToText(system.Volume(0)), before);
  EXPECT_EQ(system.TypeAt(0, kFirst), 0);
  EXPECT_EQ(system.TypeAt(1, kFirst), 0);
  EXPECT_EQ(system.record.disks[0].partitions.size(), 1U);
  EXPECT_THAT(ReadFtSets(system.record, system.Present()).unclaimed, IsEmpty());
  CheckWritable();
}

TEST_F(FtOperations, DeletingASetWithAMissingMemberForgetsThatOne) {
  const auto mirror = Mirror();
  const auto change = DeleteSet(system.record, system.Present({1}), mirror);
  ASSERT_TRUE(change);
  ASSERT_EQ(change->partitions.size(), 1U);
  system.Take(*change);
  EXPECT_THAT(system.record.sets, IsEmpty());
  // The disk comes back: its partition belongs to nobody.
  EXPECT_THAT(ReadFtSets(system.record, system.Present()).unclaimed,
              ElementsAre(UnclaimedMember{1, kFirst, 0x87}));
}

TEST_F(FtOperations, DeletingAVolumeSetWithTwoPartsOfOneDisk) {
  const auto set = system.AddSet(FtType::kVolumeSet, {{0, kMiB}, {1, kMiB}, {0, 2 * kMiB}});
  const Region plain = system.AddPartition(0, kMiB);
  system.List(0, plain, {});
  const auto change = DeleteSet(system.record, system.Present(), set);
  ASSERT_TRUE(change);
  system.Take(*change);
  ASSERT_EQ(system.record.disks[0].partitions.size(), 1U);
  EXPECT_EQ(system.record.disks[0].partitions[0].startingOffset, plain.start);
  EXPECT_EQ(system.TypeAt(0, plain.start), 0x07);
}

TEST_F(FtOperations, ABrokenMirrorIsTwoPlainPartitions) {
  const auto mirror = Mirror();
  const auto change = BreakMirror(system.record, system.Present(), mirror);
  ASSERT_TRUE(change) << change.error().ToString();
  EXPECT_EQ(change->keeper, 0U);
  system.Take(*change);
  EXPECT_THAT(system.record.sets, IsEmpty());
  EXPECT_EQ(system.TypeAt(0, kFirst), 0x07);
  EXPECT_EQ(system.TypeAt(1, kFirst), 0x07);
  const DiskPartition& kept = system.record.disks[0].partitions[0];
  const DiskPartition& other = system.record.disks[1].partitions[0];
  EXPECT_EQ(kept.ftType, FtType::kNotAnFtMember);
  EXPECT_EQ(kept.driveLetter, 'E');
  EXPECT_EQ(other.ftType, FtType::kNotAnFtMember);
  EXPECT_EQ(other.driveLetter, 0);
  EXPECT_EQ(other.assignDriveLetter, 0);
  CheckWritable();
}

TEST_F(FtOperations, TheWholeHalfKeepsTheLetter) {
  const auto mirror = Mirror();
  Orphan(mirror, 0);
  EXPECT_EQ(system.TypeAt(0, kFirst), 0xC7);
  const auto change = BreakMirror(system.record, system.Present(), mirror);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->keeper, 1U);
  system.Take(*change);
  EXPECT_EQ(system.TypeAt(0, kFirst), 0x07);
  EXPECT_EQ(system.record.disks[1].partitions[0].driveLetter, 'E');
  EXPECT_EQ(system.record.disks[0].partitions[0].driveLetter, 0);
}

TEST_F(FtOperations, AHalfMirrorBreaks) {
  const auto mirror = Mirror();
  const auto change = BreakMirror(system.record, system.Present({0}), mirror);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->keeper, 1U);
  system.Take(*change);
  // The other half comes back with its bit, which Mend takes away.
  EXPECT_THAT(Mend(system.record, system.Present()),
              ElementsAre(PartitionChange{0, kFirst, RegionKind::kPrimary, 0x07}));
  EXPECT_EQ(CodeOf(BreakMirror(change->before, system.Present({0, 1}), mirror)),
            StorageErrorCode::kFtMemberMissing);
}

TEST_F(FtOperations, OperationsAreForTheirTypes) {
  const auto mirror = Mirror();
  const auto parity = Parity();
  const auto stripe = system.AddSet(FtType::kStripe, {{0, kMiB}, {1, kMiB}});
  const auto disks = system.Present();
  const DiskRegistry& record = system.record;
  for (const auto set : {parity, stripe}) {
    EXPECT_EQ(CodeOf(BreakMirror(record, disks, set)), StorageErrorCode::kFtWrongSet);
    EXPECT_EQ(CodeOf(ResyncMirror(record, disks, set)), StorageErrorCode::kFtWrongSet);
  }
  for (const auto set : {mirror, stripe}) {
    EXPECT_EQ(CodeOf(RegenerateParityStripe(record, disks, set)), StorageErrorCode::kFtWrongSet);
  }
  EXPECT_EQ(CodeOf(ReplaceMember(record, disks, stripe, {3, kFirst})), StorageErrorCode::kFtWrongSet);
  EXPECT_EQ(CodeOf(OrphanMember(record, disks, stripe, 0)), StorageErrorCode::kFtWrongSet);
  EXPECT_EQ(CodeOf(CompleteRebuild(record, disks, stripe)), StorageErrorCode::kFtWrongSet);
  EXPECT_EQ(CodeOf(DeleteSet(record, disks, 3)), StorageErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(ResyncMirror(record, disks, 3)), StorageErrorCode::kNotFound);
}

TEST_F(FtOperations, SetsThatContradictThemselvesAreNotChanged) {
  const auto mirror = Mirror();
  system.record.disks[0].partitions[0].ftGroup = 5;
  const auto disks = system.Present();
  EXPECT_EQ(CodeOf(DeleteSet(system.record, disks, mirror)), StorageErrorCode::kFtInconsistent);
  EXPECT_EQ(CodeOf(BreakMirror(system.record, disks, mirror)), StorageErrorCode::kFtInconsistent);
  EXPECT_THAT(Mend(system.record, disks), IsEmpty());
}

TEST_F(FtOperations, ResyncTakesAnOrphanBack) {
  const auto mirror = Mirror();
  Orphan(mirror, 1);
  const auto change = ResyncMirror(system.record, system.Present(), mirror);
  ASSERT_TRUE(change) << change.error().ToString();
  system.Take(*change);
  EXPECT_EQ(ToText(system.Volume(mirror)),
            "mirror-0 Rebuilding 4194304 E [11111111+32256 Healthy 87, 22222222+32256 Stale 87]");
  EXPECT_EQ(system.record.sets[0].state, FtSetState::kRegenerating);
  EXPECT_EQ(system.record.sets[0].members[1].state, FtMemberState::kRegenerating);
  EXPECT_EQ(system.record.disks[1].partitions[0].ftState, 2U);
  CheckWritable();
  // Once more goes on with it.
  const auto again = ResyncMirror(system.record, system.Present(), mirror);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->after, again->before);
  EXPECT_THAT(again->partitions, IsEmpty());

  const auto complete = CompleteRebuild(system.record, system.Present(), mirror);
  ASSERT_TRUE(complete);
  system.Take(*complete);
  EXPECT_EQ(system.Volume(mirror).status, FtStatus::kHealthy);
  EXPECT_EQ(system.record.sets[0].state, FtSetState::kOk);
  EXPECT_EQ(system.record.disks[1].partitions[0].ftState, 0U);
}

TEST_F(FtOperations, ResyncOfTwoWholeCopiesMakesTheSecondAnew) {
  const auto mirror = Mirror();
  const auto change = ResyncMirror(system.record, system.Present(), mirror);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->after.sets[0].members[0].state, FtMemberState::kHealthy);
  EXPECT_EQ(change->after.sets[0].members[1].state, FtMemberState::kSyncRedundantCopy);
  EXPECT_THAT(change->partitions, IsEmpty());
  system.Take(*change);
  EXPECT_EQ(system.Volume(mirror).status, FtStatus::kRebuilding);
}

TEST_F(FtOperations, ResyncNeedsBothMembers) {
  const auto mirror = Mirror();
  EXPECT_EQ(CodeOf(ResyncMirror(system.record, system.Present({1}), mirror)),
            StorageErrorCode::kFtMemberMissing);
  EXPECT_EQ(CodeOf(ResyncMirror(system.record, system.Present({0, 1}), mirror)), StorageErrorCode::kFtFailed);
}

TEST_F(FtOperations, ParityIsComputedAnewWhenAllIsWhole) {
  const auto parity = Parity();
  const auto change = RegenerateParityStripe(system.record, system.Present(), parity);
  ASSERT_TRUE(change) << change.error().ToString();
  system.Take(*change);
  EXPECT_EQ(system.record.sets[0].state, FtSetState::kInitializing);
  EXPECT_EQ(system.Volume(parity).status, FtStatus::kRebuilding);
  EXPECT_TRUE(ParityUnknown(system.Volume(parity)));
  EXPECT_EQ(CodeOf(OrphanMember(system.record, system.Present(), parity, 0)), StorageErrorCode::kFtFailed)
      << "no parity stands in yet";
  const auto complete = CompleteRebuild(system.record, system.Present(), parity);
  ASSERT_TRUE(complete);
  system.Take(*complete);
  EXPECT_EQ(system.Volume(parity).status, FtStatus::kHealthy);
}

TEST_F(FtOperations, RegenerationRebuildsAnOrphan) {
  const auto parity = Parity();
  Orphan(parity, 2);
  EXPECT_EQ(system.record.sets[0].state, FtSetState::kHasOrphan);
  const auto change = RegenerateParityStripe(system.record, system.Present(), parity);
  ASSERT_TRUE(change);
  system.Take(*change);
  EXPECT_EQ(system.TypeAt(2, kFirst), 0x87);
  EXPECT_EQ(system.Volume(parity).members[2].health, FtMemberHealth::kStale);
  EXPECT_FALSE(ParityUnknown(system.Volume(parity)));
  EXPECT_EQ(CodeOf(RegenerateParityStripe(system.record, system.Present({0}), parity)),
            StorageErrorCode::kFtFailed);
}

TEST_F(FtOperations, OnlyOneMemberCanBeOrphaned) {
  const auto parity = Parity();
  Orphan(parity, 1);
  EXPECT_EQ(CodeOf(OrphanMember(system.record, system.Present(), parity, 0)), StorageErrorCode::kFtFailed);
  EXPECT_EQ(CodeOf(OrphanMember(system.record, system.Present(), parity, 3)), StorageErrorCode::kNotFound);
  const auto mirror = Mirror();
  Orphan(mirror, 0);
  EXPECT_EQ(CodeOf(OrphanMember(system.record, system.Present(), mirror, 1)), StorageErrorCode::kFtFailed);
}

TEST_F(FtOperations, AReplacementTakesThePlaceOfTheOrphan) {
  const auto mirror = Mirror();
  Orphan(mirror, 1);
  const Region spare = system.AddPartition(2, 4 * kMiB);
  const auto change = ReplaceMember(system.record, system.Present(), mirror, {2, spare.start});
  ASSERT_TRUE(change) << change.error().ToString();
  EXPECT_THAT(change->partitions,
              ElementsAre(PartitionChange{2, spare.start, RegionKind::kPrimary, 0x87},
                          PartitionChange{1, kFirst, RegionKind::kPrimary, std::nullopt}));
  system.Take(*change);
  EXPECT_EQ(ToText(system.Volume(mirror)),
            "mirror-0 Rebuilding 4194304 E [11111111+32256 Healthy 87, 33333333+32256 Stale 87]");
  EXPECT_THAT(system.Volume(mirror).problems, IsEmpty());
  EXPECT_EQ(system.TypeAt(1, kFirst), 0);
  EXPECT_THAT(system.record.disks[1].partitions, IsEmpty());
  CheckWritable();
  EXPECT_EQ(CodeOf(ReplaceMember(system.record, system.Present(), mirror, {2, spare.start})),
            StorageErrorCode::kFtBusy);
}

TEST_F(FtOperations, AReplacementTakesThePlaceOfAMissingMember) {
  const auto parity = Parity();
  const auto mirror = Mirror();
  const Region listed = system.AddPartition(3, kMiB);
  const Region spare = system.AddPartition(3, 5 * kMiB);
  system.List(3, listed, {});
  const auto change = ReplaceMember(system.record, system.Present({1}), parity, {3, spare.start});
  ASSERT_TRUE(change) << change.error().ToString();
  system.Take(*change);
  const FtVolume volume = system.Volume(parity, {1});
  EXPECT_EQ(volume.members[1].disk, 3U);
  EXPECT_EQ(volume.members[1].health, FtMemberHealth::kStale);
  EXPECT_EQ(volume.status, FtStatus::kRebuilding);
  EXPECT_EQ(volume.length, 8 * kMiB) << "the length stays";
  EXPECT_THAT(volume.problems, IsEmpty());
  EXPECT_EQ(ToText(system.Volume(mirror)),
            "mirror-0 Healthy 4194304 E [11111111+4226560 Healthy 87, 22222222+4226560 Healthy 87]")
      << "the other set's entries moved up";
  CheckWritable();
}

TEST_F(FtOperations, AReplacementInFrontOfOtherMembersDoesNotMoveThem) {
  const auto mirror = Mirror();
  const Region spare = system.AddPartition(3, 4 * kMiB);
  const auto stripe = system.AddSet(FtType::kStripe, {{3, kMiB}, {2, kMiB}});
  const auto before = ToText(system.Volume(stripe));
  Orphan(mirror, 0);
  const auto change = ReplaceMember(system.record, system.Present(), mirror, {3, spare.start});
  ASSERT_TRUE(change) << change.error().ToString();
  system.Take(*change);
  EXPECT_EQ(ToText(system.Volume(stripe)), before);
  EXPECT_THAT(system.Volume(stripe).problems, IsEmpty());
  EXPECT_THAT(system.Volume(mirror).problems, IsEmpty());
  CheckWritable();
}

TEST_F(FtOperations, ABiggerReplacementOfTheSmallestMemberDoesNotMakeTheSetLonger) {
  const auto parity = system.AddSet(FtType::kStripeWithParity, {{0, 4 * kMiB}, {1, 6 * kMiB}, {2, 6 * kMiB}});
  Orphan(parity, 0);
  const Region spare = system.AddPartition(3, 8 * kMiB);
  const auto change = ReplaceMember(system.record, system.Present(), parity, {3, spare.start});
  ASSERT_TRUE(change);
  system.Take(*change);
  EXPECT_EQ(system.Volume(parity).length, 8 * kMiB);
  EXPECT_EQ(system.Volume(parity).members[0].length, 8 * kMiB);
}

TEST_F(FtOperations, AReplacementOnTheDiskOfTheOneItReplaces) {
  const auto mirror = Mirror();
  Orphan(mirror, 1);
  const Region spare = system.AddPartition(1, 4 * kMiB);
  const auto change = ReplaceMember(system.record, system.Present(), mirror, {1, spare.start});
  ASSERT_TRUE(change) << change.error().ToString();
  system.Take(*change);
  EXPECT_EQ(system.Volume(mirror).members[1].start, spare.start);
  EXPECT_EQ(system.record.disks[1].partitions.size(), 1U);
}

TEST_F(FtOperations, ReplacementsThatWillNotDoAreRefused) {
  const auto mirror = Mirror();
  const Region good = system.AddPartition(2, 4 * kMiB);
  const auto replace = [&](std::size_t disk, std::uint64_t start) {
    return CodeOf(ReplaceMember(system.record, system.Present(), mirror, {disk, start}));
  };
  EXPECT_EQ(replace(2, good.start), StorageErrorCode::kFtHealthy);
  Orphan(mirror, 1);
  EXPECT_EQ(replace(7, kFirst), StorageErrorCode::kNotFound);
  EXPECT_EQ(replace(2, good.start + 512), StorageErrorCode::kNotFound);
  EXPECT_EQ(replace(1, kFirst), StorageErrorCode::kFtMember) << "the orphan itself";
  const Region small = system.AddPartition(2, 4 * kMiB - 512);
  EXPECT_EQ(replace(2, small.start), StorageErrorCode::kTooSmall);
  const Region fat = system.AddPartition(2, 4 * kMiB, RegionKind::kPrimary, 0x06);
  EXPECT_EQ(replace(2, fat.start), StorageErrorCode::kWrongType);
  const Region extended = system.AddPartition(2, 5 * kMiB, RegionKind::kExtended);
  EXPECT_EQ(replace(2, extended.start), StorageErrorCode::kWrongType);
  const Region beside = system.AddPartition(0, 4 * kMiB);
  EXPECT_EQ(replace(0, beside.start), StorageErrorCode::kFtSameDisk);

  MemoryDevice gpt({.sizeBytes = 40 * kMiB});
  ASSERT_TRUE(InitializeStyle(gpt, {.style = PartitionStyle::kGpt}));
  system.disks.push_back(std::move(gpt));
  const Region on_gpt = [&] {
    const Region free = FreeRegion(LayoutOf(system.disks[4]));
    const auto made = CreatePartition(system.disks[4], {.kind = RegionKind::kPrimary,
                                                        .freeRegion = free.start,
                                                        .start = static_cast<std::int64_t>(free.start),
                                                        .length = 4 << 20});
    EXPECT_TRUE(made);
    return made->region;
  }();
  EXPECT_EQ(replace(4, on_gpt.start), StorageErrorCode::kWrongStyle);

  const auto nameless = system.AddDisk(0);
  const Region unnamed = system.AddPartition(nameless, 4 * kMiB);
  EXPECT_EQ(replace(nameless, unnamed.start), StorageErrorCode::kNotInitialized);
  system.disks.push_back(system.disks[2]);
  EXPECT_EQ(replace(2, good.start), StorageErrorCode::kFtInconsistent) << "which of the two disks is meant?";
  system.disks.pop_back();
  EXPECT_EQ(CodeOf(ReplaceMember(system.record, system.Present({0}), mirror, {2, good.start})),
            StorageErrorCode::kFtFailed);
  EXPECT_TRUE(ReplaceMember(system.record, system.Present(), mirror, {2, good.start}));
}

TEST_F(FtOperations, ALetterIsThatOfAllMembers) {
  const auto parity = Parity();
  auto change = AssignLetter(system.record, system.Present(), parity, 'Z');
  ASSERT_TRUE(change);
  system.Take(*change);
  EXPECT_EQ(system.Volume(parity).letter, 'Z');
  EXPECT_EQ(system.record.disks[2].partitions[0].driveLetter, 'Z');
  change = AssignLetter(system.record, system.Present(), parity, std::nullopt);
  ASSERT_TRUE(change);
  system.Take(*change);
  EXPECT_EQ(system.Volume(parity).letter, std::nullopt);
}

TEST_F(FtOperations, AFormattedSetHasTheTypeOfItsFileSystemAndItsBits) {
  const auto parity = Parity();
  Orphan(parity, 1);
  for (const PartitionChange& change : TypesFor(system.Volume(parity, {2}), 0x0B)) {
    ASSERT_TRUE(Apply(system.disks[change.disk], change));
  }
  EXPECT_EQ(system.TypeAt(0, kFirst), 0x8B);
  EXPECT_EQ(system.TypeAt(1, kFirst), 0xCB);
  EXPECT_EQ(system.TypeAt(2, kFirst), 0x87) << "was away";
  EXPECT_THAT(system.Volume(parity).problems, IsEmpty());
  EXPECT_THAT(TypesFor(system.Volume(parity, {2}), 0x0B), IsEmpty());
}

TEST_F(FtOperations, MendLeavesAloneWhatTheRecordDoesNotKnow) {
  Mirror();
  system.AddPartition(3, kMiB, RegionKind::kPrimary, 0x87);
  system.SetType(1, kFirst, 0xC7);  // Healthy, and marked as out of the set
  EXPECT_THAT(Mend(system.record, system.Present()), IsEmpty());
}

TEST_F(FtOperations, TheRegistryHoldsTheRecord) {
  Registry registry;
  EXPECT_FALSE(ReadRecord(registry).value());
  Mirror();
  const Bytes octets = system.record.Serialize().value();
  ASSERT_TRUE(registry.Update(
      [&](RegistryKey& root) { root.Make("DISK").values["Information"] = BinaryValue(octets); }));
  const auto record = ReadRecord(registry);
  ASSERT_TRUE(record);
  ASSERT_TRUE(*record);
  EXPECT_EQ(**record, system.record);

  const auto change = BreakMirror(**record, system.Present(), 0);
  ASSERT_TRUE(change);
  const auto done = Commit(registry, *change, [&](std::size_t disk) { return &system.disks[disk]; });
  ASSERT_TRUE(done) << done.error().ToString();
  ASSERT_EQ(done->size(), 2U);
  EXPECT_TRUE((*done)[0].outcome);
  EXPECT_EQ(system.TypeAt(1, kFirst), 0x07);
  EXPECT_THAT((*ReadRecord(registry))->sets, IsEmpty());
  // Once more: the registry says something else by now.
  EXPECT_EQ(CodeOf(Commit(registry, *change, [](std::size_t) { return nullptr; })),
            StorageErrorCode::kFtChanged);
}

TEST_F(FtOperations, ADiskThatFailsDoesNotKeepTheSetFromChanging) {
  Registry registry;
  Mirror();
  const Bytes octets = system.record.Serialize().value();
  ASSERT_TRUE(registry.Update(
      [&](RegistryKey& root) { root.Make("DISK").values["Information"] = BinaryValue(octets); }));
  const auto change = DeleteSet(system.record, system.Present(), 0);
  ASSERT_TRUE(change);
  const auto done =
      Commit(registry, *change, [&](std::size_t disk) { return disk == 0 ? nullptr : &system.disks[disk]; });
  ASSERT_TRUE(done);
  ASSERT_EQ(done->size(), 2U);
  EXPECT_FALSE((*done)[0].outcome);
  EXPECT_TRUE((*done)[1].outcome);
  EXPECT_EQ(system.TypeAt(1, kFirst), 0);
  EXPECT_THAT((*ReadRecord(registry))->sets, IsEmpty());
}

TEST_F(FtOperations, RegistriesThatMakeNoSenseAreRefused) {
  Registry registry;
  ASSERT_TRUE(registry.Update([&](RegistryKey& root) {
    root.Make("DISK").values["Information"] = BinaryValue(Bytes(50, std::byte{1}));
  }));
  EXPECT_EQ(CodeOf(ReadRecord(registry)), StorageErrorCode::kFtBadRegistry);
  ASSERT_TRUE(
      registry.Update([&](RegistryKey& root) { root.Make("DISK").values["Information"] = DwordValue(3); }));
  EXPECT_EQ(CodeOf(ReadRecord(registry)), StorageErrorCode::kFtBadRegistry);
}

}  // namespace
}  // namespace dmrp::server::ft
