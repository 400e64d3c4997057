#include "reference_server/storage/ldm/group_test_support.hpp"

#include <algorithm>

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class MergeTest : public testing::Test {
 protected:
  /// The foreign group as it is seen from a host where only some of its disks are.
  DiskGroup Foreign(const std::vector<std::size_t>& here) {
    std::vector<Member> members;
    for (const std::size_t index : here) members.push_back(*Must(OpenMember(*foreign.devices[index])));
    return Must(DiskGroup::Inspect(std::move(members)));
  }
  static MergedVolume Of(const MergePlan& plan, ObjectId volume) {
    const auto found = std::ranges::find(plan.volumes, volume, &MergedVolume::foreignVolume);
    EXPECT_NE(found, plan.volumes.end());
    return found == plan.volumes.end() ? MergedVolume{} : *found;
  }
  /// All plexes and columns of a volume up to date.
  void Settle(MemoryGroup& lab, ObjectId volume) {
    Database next = lab.Now();
    for (const ObjectId member : StaleMembers(next, volume)) {
      next = Must(MarkPlex(std::move(next), member, Health::kHealthy));
    }
    lab.Commit(Must(MarkInitializing(std::move(next), volume, false)));
  }
  void Do(const DiskGroup& from, const MergePlan& plan) {
    const auto done = Merge(*ours.group, from, plan);
    ASSERT_TRUE(done) << done.error().ToString();
    ExpectSound(*ours.group);
    ExpectLdmtoolAgrees(*ours.group);
  }

  MemoryGroup ours{2};
  MemoryGroup foreign{3, "OTHERDg0"};
  const std::vector<ObjectId>& disks = foreign.disks;
};

TEST_F(MergeTest, AGroupThatIsAllHereComesWhole) {
  const ObjectId simple = ours.Make(VolumeLayout::kSimple, {ours.disks[0]}, 2048);
  ours.Commit(Must(SetHint(ours.Now(), simple, "E:")));
  const ObjectId raid = foreign.Make(VolumeLayout::kRaid5, disks, 2048);
  Settle(foreign, raid);
  const ObjectId span = foreign.Make(VolumeLayout::kSpanned, {disks[1], disks[0]}, 2048);
  foreign.Commit(Must(SetHint(foreign.Now(), raid, "E:")));
  foreign.Commit(Must(SetHint(foreign.Now(), span, "F:")));
  const Guid raid_guid = foreign.Now().FindVolume(raid)->guid;
  const Guid span_guid = foreign.Now().FindVolume(span)->guid;
  ASSERT_TRUE(ours.group->RewriteHeaders(0x1111));
  const DiskGroup from = Foreign({0, 1, 2});
  const MergePlan plan = Must(PlanMerge(ours.Now(), from, {}));
  EXPECT_EQ(plan.foreignTransaction, foreign.Now().committedTransaction);
  EXPECT_THAT(plan.foreignDisks, testing::ElementsAreArray(disks));
  EXPECT_EQ(Of(plan, raid).layout, VolumeLayout::kRaid5);
  EXPECT_EQ(Of(plan, raid).blocks, 4096u);
  Do(from, plan);
  const Database& now = ours.Now();
  EXPECT_THAT(now.disks, SizeIs(5));
  ASSERT_NE(now.FindVolume(raid_guid), nullptr);
  EXPECT_EQ(now.FindVolume(raid_guid)->hint, std::nullopt) << "the letter is taken";
  EXPECT_EQ(now.FindVolume(span_guid)->hint, "F:");
  EXPECT_EQ(HealthOfVolume(now, now.FindVolume(raid_guid)->id), VolumeHealth::kHealthy);
  EXPECT_EQ(LayoutOf(now, now.FindVolume(span_guid)->id), VolumeLayout::kSpanned);
  for (const DiskRecord& disk : now.disks) EXPECT_EQ(disk.flags, 0u) << disk.name;
  // Nothing of the old group is left.
  for (const auto& device : foreign.devices) {
    EXPECT_EQ(Must(OpenMember(*device))->header.groupGuid, now.group.guid);
    EXPECT_EQ(Must(OpenMember(*device))->header.hostSignature, 0x1111u);
  }
}

TEST_F(MergeTest, VolumesAreJudgedByTheDisksThatCome) {
  const ObjectId raid = foreign.Make(VolumeLayout::kRaid5, disks, 2048);
  Settle(foreign, raid);
  const ObjectId mirror = foreign.Make(VolumeLayout::kMirrored, {disks[0], disks[2]}, 2048);
  Settle(foreign, mirror);
  const ObjectId stale = foreign.Make(VolumeLayout::kMirrored, {disks[2], disks[1]}, 2048);
  const ObjectId striped = foreign.Make(VolumeLayout::kStriped, {disks[1], disks[2]}, 2048);
  const ObjectId simple = foreign.Make(VolumeLayout::kSimple, {disks[0]}, 2048);
  const ObjectId elsewhere = foreign.Make(VolumeLayout::kSimple, {disks[2]}, 2048);
  const std::string raid_name = foreign.Now().FindVolume(raid)->name;
  const Guid raid_guid = foreign.Now().FindVolume(raid)->guid;
  const Guid mirror_guid = foreign.Now().FindVolume(mirror)->guid;
  const DiskGroup from = Foreign({0, 1});
  const MergePlan plan = Must(PlanMerge(ours.Now(), from, {}));
  EXPECT_THAT(plan.foreignDisks, SizeIs(2));
  EXPECT_TRUE(Of(plan, raid).redundancyDeleted);
  EXPECT_FALSE(Of(plan, raid).deleted);
  EXPECT_TRUE(Of(plan, mirror).redundancyDeleted);
  EXPECT_EQ(Of(plan, mirror).layout, VolumeLayout::kSimple);
  EXPECT_TRUE(Of(plan, stale).stale);
  EXPECT_TRUE(Of(plan, striped).deleted);
  EXPECT_TRUE(Of(plan, striped).related);
  EXPECT_FALSE(Of(plan, simple).deleted || Of(plan, simple).redundancyDeleted || Of(plan, simple).stale);
  EXPECT_FALSE(Of(plan, elsewhere).related);
  Do(from, plan);
  const Database& now = ours.Now();
  EXPECT_THAT(now.volumes, SizeIs(4));
  const VolumeRecord* merged = now.FindVolume(raid_guid);
  ASSERT_NE(merged, nullptr);
  EXPECT_EQ(HealthOfVolume(now, merged->id), VolumeHealth::kFailedRedundancy);
  EXPECT_THAT(ours.group->MissingDisks(), SizeIs(1)) << "the disk of the absent column";
  EXPECT_EQ(LayoutOf(now, now.FindVolume(mirror_guid)->id), VolumeLayout::kSimple);
  EXPECT_EQ(HealthOfVolume(now, now.FindVolume(mirror_guid)->id), VolumeHealth::kHealthy);
}

TEST_F(MergeTest, ADiskThatWasAwayBringsStaleMembers) {
  const ObjectId mirror = foreign.Make(VolumeLayout::kMirrored, {disks[0], disks[1]}, 2048);
  Settle(foreign, mirror);
  const ObjectId raid = foreign.Make(VolumeLayout::kRaid5, disks, 2048);
  Settle(foreign, raid);
  const Guid raid_guid = foreign.Now().FindVolume(raid)->guid;
  foreign.Reload({foreign.devices[0].get(), foreign.devices[2].get()});
  foreign.Make(VolumeLayout::kSimple, {disks[0]}, 2048);
  const DiskGroup from = Foreign({0, 1, 2});
  const MergePlan plan = Must(PlanMerge(ours.Now(), from, {}));
  Do(from, plan);
  const auto merged = std::ranges::find_if(ours.Now().volumes, [&](const VolumeRecord& one) {
    return LayoutOf(ours.Now(), one.id) == VolumeLayout::kMirrored;
  });
  ASSERT_NE(merged, ours.Now().volumes.end());
  EXPECT_EQ(HealthOfVolume(ours.Now(), merged->id), VolumeHealth::kFailedRedundancy);
  EXPECT_THAT(StaleMembers(ours.Now(), merged->id), SizeIs(1));
  const ObjectId raid_id = ours.Now().FindVolume(raid_guid)->id;
  EXPECT_EQ(HealthOfVolume(ours.Now(), raid_id), VolumeHealth::kFailedRedundancy);
  EXPECT_THAT(StaleMembers(ours.Now(), raid_id), SizeIs(1));
}

TEST_F(MergeTest, ChosenDisksComeAndOthersStay) {
  const ObjectId simple = foreign.Make(VolumeLayout::kSimple, {disks[1]}, 2048);
  foreign.Make(VolumeLayout::kSimple, {disks[0]}, 2048);
  const DiskGroup from = Foreign({0, 1, 2});
  const MergePlan plan = Must(PlanMerge(ours.Now(), from, std::vector<ObjectId>{disks[1]}));
  EXPECT_TRUE(Of(plan, simple).related);
  Do(from, plan);
  EXPECT_THAT(ours.Now().disks, SizeIs(3));
  EXPECT_THAT(ours.Now().volumes, SizeIs(1));
  foreign.Reload({foreign.devices[0].get(), foreign.devices[2].get()});
  EXPECT_THAT(foreign.Now().disks, SizeIs(3));
  EXPECT_THAT(foreign.group->MissingDisks(), testing::ElementsAre(disks[1]));
}

TEST_F(MergeTest, RefusesWhatWasNotPlannedSo) {
  foreign.Make(VolumeLayout::kSimple, {disks[1]}, 2048);
  const DiskGroup from = Foreign({0, 1, 2});
  EXPECT_EQ(CodeOf(PlanMerge(ours.Now(), from, std::vector<ObjectId>{4711})), StorageErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(PlanMerge(ours.Now(), Foreign({0, 1}), std::vector<ObjectId>{disks[2]})),
            StorageErrorCode::kDiskMissing);
  EXPECT_EQ(CodeOf(PlanMerge(ours.Now(), *ours.group, {})), StorageErrorCode::kGroupMismatch);
  const MergePlan plan = Must(PlanMerge(ours.Now(), from, {}));
  ours.Make(VolumeLayout::kSimple, {ours.disks[0]}, 2048);
  EXPECT_EQ(CodeOf(Merge(*ours.group, from, plan)), StorageErrorCode::kGroupChanged);
  MergePlan old = Must(PlanMerge(ours.Now(), from, {}));
  --old.foreignTransaction;
  EXPECT_EQ(CodeOf(Merge(*ours.group, from, old)), StorageErrorCode::kGroupChanged);
  EXPECT_THAT(ours.Now().disks, SizeIs(2));
}

TEST_F(MergeTest, AnImportKeepsEverythingAndNotesWhatIsAway) {
  const ObjectId mirror = foreign.Make(VolumeLayout::kMirrored, {disks[0], disks[1]}, 2048);
  Settle(foreign, mirror);
  std::vector<Member> members;
  for (const std::size_t index : {0, 2}) members.push_back(*Must(OpenMember(*foreign.devices[index])));
  const std::uint64_t sequence = members[0].header.sequence;
  const DiskGroup imported = Must(ImportGroup(members, 0xCAFE));
  EXPECT_EQ(imported.Current().group, foreign.Now().group);
  EXPECT_EQ(imported.Current().FindDisk(disks[1])->flags & kDiskDetached, kDiskDetached);
  EXPECT_EQ(HealthOfVolume(imported.Current(), mirror), VolumeHealth::kFailedRedundancy);
  EXPECT_EQ(imported.Members()[0].header.hostSignature, 0xCAFEu);
  EXPECT_GT(imported.Members()[0].header.sequence, sequence);
  ExpectLdmtoolAgrees(imported);
}

}  // namespace
}  // namespace dmrp::server::ldm
