#include "reference_server/storage/ldm/group_test_support.hpp"

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

VolumeRequest Asked(VolumeLayout layout, const std::vector<ObjectId>& disks, std::uint64_t blocks) {
  VolumeRequest request{.layout = layout};
  for (const ObjectId disk : disks) request.members.push_back({.disk = disk, .blocks = blocks});
  return request;
}

/// "Disk1:65+2048@0, ..." of one plex, in the order of columns and offsets; a column behind a slash.
std::string PlexText(const Database& database, const PlexRecord& plex) {
  std::string text;
  for (const SubdiskRecord* one : database.SubdisksOf(plex.id)) {
    text += (text.empty() ? "" : ", ") + database.FindDisk(one->diskId)->name + ":" +
            std::to_string(one->start) + "+" + std::to_string(one->size) + "@" + std::to_string(one->offset);
    if (plex.stripe) text += "/" + std::to_string(one->column);
  }
  return text;
}

std::string VolumeText(const Database& database, ObjectId volume) {
  const VolumeRecord& record = *database.FindVolume(volume);
  std::string text = record.name + " " + std::string(VolumeLayoutName(LayoutOf(database, volume))) + " " +
                     std::to_string(record.size);
  for (const PlexRecord* plex : database.PlexesOf(volume)) {
    text += " [" + plex->name + " " + PlexText(database, *plex) + "]";
  }
  return text;
}

class VolumeOperationsTest : public testing::Test {
 protected:
  /// Commits, and has the result judged by our own checks and by ldmtool.
  ObjectId Apply(StorageResult<VolumeChange> change) {
    auto made = Must(std::move(change));
    lab.Commit(std::move(made.after));
    ExpectSound(*lab.group);
    ExpectLdmtoolAgrees(*lab.group);
    return made.volume;
  }
  StorageErrorCode Refused(const VolumeRequest& request) {
    return CodeOf(CreateVolume(lab.Now(), lab.Spaces(), request));
  }
  std::string Text(ObjectId volume) const { return VolumeText(lab.Now(), volume); }

  MemoryGroup lab{4};
  const std::vector<ObjectId>& disks = lab.disks;
};

TEST_F(VolumeOperationsTest, EachLayoutIsMadeAsWindowsLaysItOut) {
  EXPECT_EQ(
      Text(Apply(CreateVolume(lab.Now(), lab.Spaces(), Asked(VolumeLayout::kSimple, {disks[0]}, 2048)))),
      "Volume1 Simple 2048 [Volume1-01 Disk1:65+2048@0]");
  EXPECT_EQ(Text(Apply(CreateVolume(lab.Now(), lab.Spaces(),
                                    Asked(VolumeLayout::kSpanned, {disks[1], disks[0]}, 2048)))),
            "Volume2 Spanned 4096 [Volume2-01 Disk2:65+2048@0, Disk1:2113+2048@2048]");
  EXPECT_EQ(Text(Apply(CreateVolume(lab.Now(), lab.Spaces(),
                                    Asked(VolumeLayout::kStriped, {disks[0], disks[1], disks[2]}, 2100)))),
            "Volume3 Striped 6144 [Volume3-01 Disk1:4161+2048@0/0, Disk2:2113+2048@0/1, Disk3:65+2048@0/2]");
  const ObjectId mirror = Apply(
      CreateVolume(lab.Now(), lab.Spaces(), Asked(VolumeLayout::kMirrored, {disks[3], disks[2]}, 4096)));
  EXPECT_EQ(Text(mirror),
            "Volume4 Mirrored 4096 [Volume4-01 Disk4:65+4096@0] [Volume4-02 Disk3:2113+4096@0]");
  EXPECT_EQ(HealthOfVolume(lab.Now(), mirror), VolumeHealth::kFailedRedundancy);
  EXPECT_THAT(StaleMembers(lab.Now(), mirror), ElementsAre(lab.Now().PlexesOf(mirror)[1]->id));
  const ObjectId raid = Apply(CreateVolume(
      lab.Now(), lab.Spaces(), Asked(VolumeLayout::kRaid5, {disks[1], disks[2], disks[3]}, 2048)));
  EXPECT_EQ(Text(raid),
            "Volume5 Raid5 4096 [Volume5-01 Disk2:4161+2048@0/0, Disk3:6209+2048@0/1, Disk4:4161+2048@0/2]");
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kInitializing);
  EXPECT_EQ(lab.Now().FindVolume(raid)->type, kVolumeRaid5);
  EXPECT_EQ(lab.Now().FindVolume(raid)->readPolicy, kReadRaid);
  lab.Reload();
  EXPECT_THAT(lab.Now().volumes, SizeIs(5));
}

TEST_F(VolumeOperationsTest, TheVolumesLengthDecidesOverTheMembers) {
  VolumeRequest request = Asked(VolumeLayout::kSpanned, {disks[0], disks[1]}, 2048);
  request.blocks = 3000;
  EXPECT_EQ(Text(Apply(CreateVolume(lab.Now(), lab.Spaces(), request))),
            "Volume1 Spanned 3000 [Volume1-01 Disk1:65+2048@0, Disk2:65+952@2048]");
  request.blocks = 5000;
  EXPECT_EQ(Refused(request), StorageErrorCode::kTooSmall);
  request = Asked(VolumeLayout::kStriped, {disks[0], disks[1]}, 2048);
  request.blocks = 1000;
  EXPECT_EQ(Must(CreateVolume(lab.Now(), lab.Spaces(), request)).after.volumes.back().size, 768u);
  request.members[1].blocks = 200;
  EXPECT_EQ(Refused(request), StorageErrorCode::kUnequalMembers);
  request.blocks = 0;
  EXPECT_EQ(Must(CreateVolume(lab.Now(), lab.Spaces(), request)).after.volumes.back().size, 256u);
}

TEST_F(VolumeOperationsTest, EveryRefusalHasItsOwnCode) {
  EXPECT_EQ(Refused(Asked(VolumeLayout::kRaid5, {disks[0], disks[1]}, 2048)),
            StorageErrorCode::kTooFewMembers);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kStriped, {disks[0]}, 2048)), StorageErrorCode::kTooFewMembers);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kSimple, {}, 2048)), StorageErrorCode::kTooFewMembers);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kSimple, {disks[0], disks[1]}, 2048)),
            StorageErrorCode::kTooManyMembers);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kSpanned, std::vector<ObjectId>(33, disks[0]), 2048)),
            StorageErrorCode::kTooManyMembers);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kMirrored, {disks[0], disks[0]}, 2048)), StorageErrorCode::kSameDisk);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kStriped, {disks[0], disks[1]}, 100)), StorageErrorCode::kTooSmall);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kSimple, {disks[0]}, 200000)), StorageErrorCode::kNoSpace);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kSimple, {4711}, 2048)), StorageErrorCode::kNotFound);
  lab.Reload({lab.devices[0].get()});
  EXPECT_EQ(Refused(Asked(VolumeLayout::kSimple, {disks[1]}, 2048)), StorageErrorCode::kDiskMissing);
  EXPECT_EQ(CodeOf(DeleteVolume(lab.Now(), 4711)), StorageErrorCode::kNotFound);
}

TEST_F(VolumeOperationsTest, AMemberMayLieInPiecesUnlessItShallNot) {
  // Every second MiB of the disk is taken, the rest behind them too.
  std::vector<ObjectId> volumes;
  for (int i = 0; i < 8; ++i) volumes.push_back(lab.Make(VolumeLayout::kSimple, {disks[0]}, 2048));
  lab.Make(VolumeLayout::kSimple, {disks[0]},
           LargestContiguous(lab.Spaces()[0], UsedExtents(lab.Now(), disks[0])));
  for (std::size_t i = 0; i < volumes.size(); i += 2) {
    lab.Commit(Must(DeleteVolume(lab.Now(), volumes[i])));
  }
  VolumeRequest request = Asked(VolumeLayout::kSimple, {disks[0]}, 5000);
  request.members[0].contiguous = true;
  EXPECT_EQ(Refused(request), StorageErrorCode::kFragmented);
  EXPECT_EQ(Refused(Asked(VolumeLayout::kMirrored, {disks[0], disks[1]}, 5000)),
            StorageErrorCode::kFragmented);
  request.members[0].contiguous = false;
  const ObjectId volume = Apply(CreateVolume(lab.Now(), lab.Spaces(), request));
  EXPECT_EQ(LayoutOf(lab.Now(), volume), VolumeLayout::kSimple);
  EXPECT_EQ(lab.Now().FindVolume(volume)->size, 5000u);
  EXPECT_THAT(lab.Now().SubdisksOf(lab.Now().PlexesOf(volume)[0]->id), SizeIs(3));
}

TEST_F(VolumeOperationsTest, GrowsInPlaceAndOntoOtherDisks) {
  const ObjectId volume = lab.Make(VolumeLayout::kSimple, {disks[0]}, 2048);
  const auto grow = [&](std::vector<MemberRequest> members, std::uint64_t blocks = 0) {
    return GrowVolume(lab.Now(), lab.Spaces(), volume, members, blocks);
  };
  Apply(grow({{.disk = disks[0], .blocks = 1024}}));
  EXPECT_EQ(Text(volume), "Volume1 Simple 3072 [Volume1-01 Disk1:65+3072@0]");
  Apply(grow({{.disk = disks[1], .blocks = 2048}}));
  EXPECT_EQ(Text(volume), "Volume1 Spanned 5120 [Volume1-01 Disk1:65+3072@0, Disk2:65+2048@3072]");
  Apply(grow({{.disk = disks[0], .blocks = 1024}}));
  EXPECT_EQ(Text(volume),
            "Volume1 Spanned 6144 [Volume1-01 Disk1:65+3072@0, Disk2:65+2048@3072, Disk1:3137+1024@5120]");
  Apply(grow({{.disk = disks[0], .blocks = 9999}}, 8192));
  EXPECT_EQ(lab.Now().FindVolume(volume)->size, 8192u);
  EXPECT_EQ(CodeOf(grow({{.disk = disks[0], .blocks = 1}}, 8192)), StorageErrorCode::kTooSmall);
  EXPECT_EQ(CodeOf(grow({})), StorageErrorCode::kTooFewMembers);
  EXPECT_EQ(CodeOf(grow({{.disk = disks[2], .blocks = 200000}})), StorageErrorCode::kNoSpace);
}

TEST_F(VolumeOperationsTest, GrowsColumnsTogetherAndInPlace) {
  const ObjectId raid = lab.Make(VolumeLayout::kRaid5, {disks[0], disks[1], disks[2]}, 2048);
  const std::uint64_t room = RoomBehind(lab.Now(), lab.Spaces(), raid);
  EXPECT_EQ(room, (100289u - 65 - 2048) / 128 * 128);
  const auto grow = [&](std::vector<ObjectId> on, std::uint64_t blocks) {
    std::vector<MemberRequest> members;
    for (const ObjectId disk : on) members.push_back({.disk = disk, .blocks = blocks});
    return GrowVolume(lab.Now(), lab.Spaces(), raid, members);
  };
  Apply(grow({disks[2], disks[0], disks[1]}, 1100));
  EXPECT_EQ(Text(raid),
            "Volume1 Raid5 6144 [Volume1-01 Disk1:65+3072@0/0, Disk2:65+3072@0/1, Disk3:65+3072@0/2]");
  EXPECT_EQ(CodeOf(grow({disks[0], disks[1]}, 1024)), StorageErrorCode::kTooFewMembers);
  EXPECT_EQ(CodeOf(grow({disks[0], disks[1], disks[3]}, 1024)), StorageErrorCode::kNotAMember);
  EXPECT_EQ(CodeOf(grow({disks[0], disks[1], disks[1]}, 1024)), StorageErrorCode::kSameDisk);
  EXPECT_EQ(CodeOf(grow({disks[0], disks[1], disks[2]}, 100)), StorageErrorCode::kTooSmall);
  const ObjectId behind = lab.Make(VolumeLayout::kSimple, {disks[1]}, 2048);
  lab.Make(VolumeLayout::kSimple, {disks[1]}, 2048);
  EXPECT_EQ(CodeOf(grow({disks[0], disks[1], disks[2]}, 1024)), StorageErrorCode::kNotAdjacent);
  EXPECT_EQ(RoomBehind(lab.Now(), lab.Spaces(), raid), 0u);
  lab.Commit(Must(DeleteVolume(lab.Now(), behind)));
  EXPECT_EQ(CodeOf(grow({disks[0], disks[1], disks[2]}, 4096)), StorageErrorCode::kNotAdjacent);
  EXPECT_EQ(RoomBehind(lab.Now(), lab.Spaces(), raid), 2048u);
}

TEST_F(VolumeOperationsTest, MirrorsAreAddedRemovedAndSplit) {
  const ObjectId volume = lab.Make(VolumeLayout::kSimple, {disks[0]}, 2048);
  EXPECT_EQ(CodeOf(AddMirror(lab.Now(), lab.Spaces(), volume, disks[0])), StorageErrorCode::kSameDisk);
  EXPECT_EQ(CodeOf(RemoveMirror(lab.Now(), volume, disks[0])), StorageErrorCode::kWrongLayout);
  Apply(AddMirror(lab.Now(), lab.Spaces(), volume, disks[1]));
  EXPECT_EQ(Text(volume), "Volume1 Mirrored 2048 [Volume1-01 Disk1:65+2048@0] [Volume1-02 Disk2:65+2048@0]");
  EXPECT_EQ(CodeOf(RemoveMirror(lab.Now(), volume, disks[0])), StorageErrorCode::kLastCopy);
  EXPECT_EQ(CodeOf(SplitMirror(lab.Now(), volume, disks[1])), StorageErrorCode::kLastCopy);
  EXPECT_EQ(CodeOf(RemoveMirror(lab.Now(), volume, disks[2])), StorageErrorCode::kNotAMember);
  lab.Commit(Must(MarkPlex(lab.Now(), StaleMembers(lab.Now(), volume).at(0), Health::kHealthy)));
  EXPECT_EQ(HealthOfVolume(lab.Now(), volume), VolumeHealth::kHealthy);
  const Guid guid = lab.Now().FindVolume(volume)->guid;
  const ObjectId split = Apply(SplitMirror(lab.Now(), volume, disks[0], {}, "X:"));
  EXPECT_EQ(Text(volume), "Volume1 Simple 2048 [Volume1-02 Disk2:65+2048@0]");
  EXPECT_EQ(Text(split), "Volume2 Simple 2048 [Volume2-01 Disk1:65+2048@0]");
  EXPECT_EQ(lab.Now().FindVolume(volume)->guid, guid);
  EXPECT_NE(lab.Now().FindVolume(split)->guid, guid);
  EXPECT_EQ(lab.Now().FindVolume(split)->hint, "X:");
  Apply(AddMirror(lab.Now(), lab.Spaces(), volume, disks[3]));
  Apply(RemoveMirror(lab.Now(), volume, disks[3]));
  EXPECT_EQ(Text(volume), "Volume1 Simple 2048 [Volume1-02 Disk2:65+2048@0]");
  EXPECT_EQ(HealthOfVolume(lab.Now(), volume), VolumeHealth::kHealthy);
  const ObjectId striped = lab.Make(VolumeLayout::kStriped, {disks[0], disks[1]}, 2048);
  EXPECT_EQ(CodeOf(AddMirror(lab.Now(), lab.Spaces(), striped, disks[2])), StorageErrorCode::kWrongLayout);
}

TEST_F(VolumeOperationsTest, AFailedColumnIsReplaced) {
  const ObjectId raid = lab.Make(VolumeLayout::kRaid5, {disks[0], disks[1], disks[2]}, 2048);
  lab.Commit(Must(MarkInitializing(lab.Now(), raid, false)));
  const auto replace = [&](ObjectId disk) {
    const auto absent = lab.group->MissingDisks();
    return ReplaceRaid5Column(lab.Now(), lab.Spaces(), raid, disk, {absent.begin(), absent.end()});
  };
  EXPECT_EQ(CodeOf(replace(disks[3])), StorageErrorCode::kNotFailed);
  lab.Reload({lab.devices[0].get(), lab.devices[2].get(), lab.devices[3].get()});
  EXPECT_EQ(CodeOf(replace(disks[0])), StorageErrorCode::kSameDisk);
  Apply(replace(disks[3]));
  EXPECT_EQ(Text(raid),
            "Volume1 Raid5 4096 [Volume1-01 Disk1:65+2048@0/0, Disk4:65+2048@0/1, Disk3:65+2048@0/2]");
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kFailedRedundancy);
  const auto stale = StaleMembers(lab.Now(), raid);
  ASSERT_THAT(stale, SizeIs(1));
  lab.Commit(Must(MarkSubdisk(lab.Now(), stale[0], Health::kHealthy)));
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kHealthy);
  lab.Reload({lab.devices[0].get()});
  EXPECT_EQ(CodeOf(replace(disks[3])), StorageErrorCode::kTooManyFailed);
  const ObjectId simple = lab.Make(VolumeLayout::kSimple, {disks[0]}, 2048);
  EXPECT_EQ(CodeOf(ReplaceRaid5Column(lab.Now(), lab.Spaces(), simple, disks[0])),
            StorageErrorCode::kNotRaid5);
}

TEST_F(VolumeOperationsTest, ADiskThatIsAwayLeavesMirrorsStaleAndOthersAsTheyWere) {
  const ObjectId mirror = lab.Make(VolumeLayout::kMirrored, {disks[0], disks[1]}, 2048);
  lab.Commit(Must(MarkPlex(lab.Now(), StaleMembers(lab.Now(), mirror).at(0), Health::kHealthy)));
  const ObjectId spanned = lab.Make(VolumeLayout::kSpanned, {disks[1], disks[2]}, 2048);
  const ObjectId raid = lab.Make(VolumeLayout::kRaid5, {disks[1], disks[2], disks[3]}, 2048);
  lab.Commit(Must(MarkInitializing(lab.Now(), raid, false)));
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kHealthy);
  lab.Commit(Must(MarkDiskMissing(lab.Now(), disks[1])));
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kFailedRedundancy);
  EXPECT_EQ(HealthOfVolume(lab.Now(), mirror), VolumeHealth::kFailedRedundancy);
  EXPECT_EQ(HealthOfVolume(lab.Now(), spanned), VolumeHealth::kFailed);
  lab.Commit(Must(MarkDiskReturned(lab.Now(), disks[1])));
  EXPECT_EQ(HealthOfVolume(lab.Now(), mirror), VolumeHealth::kFailedRedundancy);
  EXPECT_EQ(HealthOfVolume(lab.Now(), spanned), VolumeHealth::kHealthy);
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kFailedRedundancy);
  EXPECT_THAT(StaleMembers(lab.Now(), raid), SizeIs(1));
  EXPECT_THAT(StaleMembers(lab.Now(), mirror), SizeIs(1));
  EXPECT_EQ(HealthOfVolume(lab.Now(), mirror, {disks[0]}), VolumeHealth::kFailed);
  EXPECT_EQ(CodeOf(MarkDiskMissing(lab.Now(), 4711)), StorageErrorCode::kNotFound);
}

TEST_F(VolumeOperationsTest, TheMemberThatGoesLastIsCurrent) {
  const ObjectId mirror = lab.Make(VolumeLayout::kMirrored, {disks[0], disks[1]}, 2048);
  lab.Commit(Must(MarkPlex(lab.Now(), StaleMembers(lab.Now(), mirror).at(0), Health::kHealthy)));
  const ObjectId raid = lab.Make(VolumeLayout::kRaid5, {disks[1], disks[2], disks[0]}, 2048);
  lab.Commit(Must(MarkInitializing(lab.Now(), raid, false)));
  for (const ObjectId disk : {disks[1], disks[0]}) lab.Commit(Must(MarkDiskMissing(lab.Now(), disk)));
  EXPECT_EQ(HealthOfVolume(lab.Now(), mirror), VolumeHealth::kFailed);
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kFailed);
  lab.Commit(Must(MarkDiskReturned(lab.Now(), disks[0])));
  EXPECT_EQ(HealthOfVolume(lab.Now(), mirror), VolumeHealth::kFailedRedundancy);
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kFailedRedundancy);
  lab.Commit(Must(MarkDiskReturned(lab.Now(), disks[1])));
  for (const ObjectId volume : {mirror, raid}) {
    EXPECT_EQ(HealthOfVolume(lab.Now(), volume), VolumeHealth::kFailedRedundancy);
    EXPECT_THAT(StaleMembers(lab.Now(), volume), SizeIs(1));
  }
}

TEST_F(VolumeOperationsTest, LettersAndTypesAreNoted) {
  const ObjectId volume = lab.Make(VolumeLayout::kSimple, {disks[0]}, 2048);
  Database next = Must(SetHint(lab.Now(), volume, "Q:"));
  next = Must(SetPartitionType(std::move(next), volume, 0x0B));
  lab.Commit(std::move(next));
  lab.Reload();
  EXPECT_EQ(lab.Now().FindVolume(volume)->hint, "Q:");
  EXPECT_EQ(lab.Now().FindVolume(volume)->partitionType, 0x0B);
  ExpectLdmtoolAgrees(*lab.group);
  lab.Commit(Must(SetHint(lab.Now(), volume, std::nullopt)));
  EXPECT_EQ(lab.Now().FindVolume(volume)->hint, std::nullopt);
}

TEST_F(VolumeOperationsTest, SimpleVolumesBecomeOneWithoutMovingData) {
  const auto simple = [&](std::uint64_t blocks) {
    std::vector<ObjectId> volumes;
    for (std::size_t i = 0; i < 3; ++i) {
      volumes.push_back(lab.Make(VolumeLayout::kSimple, {disks[i]}, blocks + i * 64));
    }
    return volumes;
  };
  const auto combine = [&](VolumeLayout layout, const std::vector<ObjectId>& volumes,
                           const std::set<ObjectId>& stale = {}) {
    return CombineVolumes(lab.Now(), layout, volumes, stale);
  };
  auto volumes = simple(2048);
  const Guid guid = lab.Now().FindVolume(volumes[0])->guid;
  EXPECT_EQ(Text(Apply(combine(VolumeLayout::kStriped, volumes))),
            "Volume1 Striped 6144 [Volume1-01 Disk1:65+2048@0/0, Disk2:65+2048@0/1, Disk3:65+2048@0/2]");
  EXPECT_EQ(lab.Now().FindVolume(volumes[0])->guid, guid);
  lab.Commit(Must(DeleteVolume(lab.Now(), volumes[0])));
  volumes = simple(2048);
  EXPECT_EQ(Text(Apply(combine(VolumeLayout::kSpanned, volumes))),
            "Volume1 Spanned 6336 [Volume1-01 Disk1:65+2048@0, Disk2:65+2112@2048, Disk3:65+2176@4160]");
  EXPECT_EQ(CodeOf(combine(VolumeLayout::kMirrored, {volumes[0], 4711})), StorageErrorCode::kWrongLayout);
  lab.Commit(Must(DeleteVolume(lab.Now(), volumes[0])));
  volumes = simple(2048);
  EXPECT_EQ(CodeOf(combine(VolumeLayout::kMirrored, {volumes[0], 4711})), StorageErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(combine(VolumeLayout::kSimple, {volumes[0]})), StorageErrorCode::kWrongLayout);
  EXPECT_EQ(CodeOf(combine(VolumeLayout::kRaid5, {volumes[0], volumes[1]})),
            StorageErrorCode::kTooFewMembers);
  const ObjectId mirror = Apply(combine(VolumeLayout::kMirrored, {volumes[1], volumes[0]}, {volumes[0]}));
  EXPECT_EQ(Text(mirror), "Volume2 Mirrored 2048 [Volume2-01 Disk2:65+2048@0] [Volume2-02 Disk1:65+2048@0]");
  EXPECT_THAT(StaleMembers(lab.Now(), mirror), ElementsAre(lab.Now().PlexesOf(mirror)[1]->id));
  lab.Commit(Must(DeleteVolume(lab.Now(), mirror)));
  lab.Commit(Must(DeleteVolume(lab.Now(), volumes[2])));
  volumes = simple(2100);
  const ObjectId raid = Apply(combine(VolumeLayout::kRaid5, volumes));
  EXPECT_EQ(Text(raid),
            "Volume1 Raid5 4096 [Volume1-01 Disk1:65+2048@0/0, Disk2:65+2048@0/1, Disk3:65+2048@0/2]");
  EXPECT_EQ(HealthOfVolume(lab.Now(), raid), VolumeHealth::kHealthy);
}

TEST_F(VolumeOperationsTest, NumbersOfVolumesEndAt255) {
  Database database = lab.Now();
  const auto one_more = [&] {
    return CreateVolume(database, lab.Spaces(), Asked(VolumeLayout::kSimple, {disks[0]}, 8));
  };
  for (int i = 0; i < 255; ++i) database = Must(one_more()).after;
  EXPECT_EQ(CodeOf(one_more()), StorageErrorCode::kTooManyVolumes);
  EXPECT_TRUE(database.Check());
}

TEST_F(VolumeOperationsTest, ThirtyThreeMembersAreTooMany) {
  MemoryGroup many(std::vector<TestDisk>(33, {.bytes = 5 * kMiB}));
  for (const VolumeLayout layout :
       {VolumeLayout::kStriped, VolumeLayout::kRaid5, VolumeLayout::kMirrored, VolumeLayout::kSpanned}) {
    EXPECT_EQ(CodeOf(CreateVolume(many.Now(), many.Spaces(), Asked(layout, many.disks, 256))),
              StorageErrorCode::kTooManyMembers);
  }
  std::vector<ObjectId> most(many.disks.begin(), many.disks.begin() + 32);
  const ObjectId striped = many.Make(VolumeLayout::kStriped, most, 256);
  EXPECT_EQ(many.Now().FindVolume(striped)->size, 32 * 256u);
  ExpectSound(*many.group);
  ExpectLdmtoolAgrees(*many.group);
}

}  // namespace
}  // namespace dmrp::server::ldm
