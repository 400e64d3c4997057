#include "reference_server/objects/reconcile.hpp"

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

constexpr LONGLONG kMiB = 1 << 20;

ObservedRegion Observed(REGIONTYPE type, LONGLONG start, LONGLONG length, bool with_system = false) {
  ObservedRegion region;
  region.info.regionType = type;
  region.info.start = start;
  region.info.length = length;
  region.info.partitionStyle = PARTITIONSTYLE_MBR;
  region.info.mbr.emplace();
  if (with_system) {
    region.file_system.emplace();
  }
  return region;
}

ObservedDisk SomeDisk(std::string key, std::vector<ObservedRegion> regions) {
  ObservedDisk disk;
  disk.key = std::move(key);
  disk.info.regionCount = static_cast<std::uint32_t>(regions.size());
  disk.regions = std::move(regions);
  return disk;
}

// Applies a change set as a commit would, so that a test can go on from its result.
ObjectState Apply(ObjectState state, const ChangeSet& set) {
  static LdmObjectId next = 100;
  std::map<LdmObjectId, LdmObjectId> ids;
  for (const ObjectChange& change : set.changes()) {
    if (change.action == LDMACTION_CREATED) {
      ids[IdOf(change.object)] = next++;
    }
  }
  for (const ObjectChange& change : set.changes()) {
    StorageObject object = change.object;
    for (LdmObjectId* reference : References(object)) {
      if (ids.contains(*reference)) {
        *reference = ids[*reference];
      }
    }
    if (ids.contains(IdOf(object))) {
      SetId(object, ids[IdOf(object)]);
    }
    if (change.action == LDMACTION_DELETED) {
      state.Erase(IdOf(object));
    } else {
      state.Put(object);
    }
  }
  return state;
}

// "disk+ region+ fs-" ...: kind and action of each change, in order.
std::string Summary(const ChangeSet& set) {
  static const char* const kKinds[] = {"disk", "region", "fs", "letter", "volume"};
  static const char* const kActions[] = {"?", "+", "-", "*", "!"};
  std::string text;
  for (const ObjectChange& change : set.changes()) {
    text += text.empty() ? "" : " ";
    text += std::string(kKinds[change.object.index()]) + kActions[change.action];
  }
  return text;
}

LdmObjectId RegionId(const ObjectState& state, REGIONTYPE type, LONGLONG start) {
  for (const auto& [id, object] : state.objects()) {
    const auto* region = std::get_if<RegionObject>(&object);
    if (region != nullptr && region->info.regionType == type && region->info.start == start) {
      return id;
    }
  }
  return 0;
}

TEST(Reconcile, ANewDiskComesBeforeItsRegionsAndTheirFileSystems) {
  const ChangeSet set = ReconcileSystem(
      {},
      {SomeDisk("a", {Observed(REGION_PRIMARY, kMiB, kMiB, true), Observed(REGION_FREE, 2 * kMiB, kMiB)})});
  EXPECT_EQ(Summary(set), "disk+ region+ region+ fs+");
  const ObjectState state = Apply({}, set);
  const auto regions = state.RegionsOf(state.Disks().at(0).info.id);
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(state.FindAs<FileSystemObject>(regions[0].info.fsId)->info.storageId, regions[0].info.id);
  EXPECT_EQ(regions[1].info.fsId, 0);
}

TEST(Reconcile, NothingChangesWhenTheSystemIsAsTheListSays) {
  const std::vector<ObservedDisk> seen = {SomeDisk("a", {Observed(REGION_PRIMARY, kMiB, kMiB, true)})};
  EXPECT_TRUE(ReconcileSystem(Apply({}, ReconcileSystem({}, seen)), seen).empty());
}

TEST(Reconcile, ARemovedDiskLeavesAfterItsFileSystemsAndRegions) {
  const ObjectState state =
      Apply({}, ReconcileSystem({}, {SomeDisk("a", {Observed(REGION_PRIMARY, kMiB, kMiB, true)})}));
  EXPECT_EQ(Summary(ReconcileSystem(state, {})), "fs- region- disk-");
}

TEST(Reconcile, AFreeRegionThatLostItsFrontKeepsItsIdentity) {
  const ObjectState before =
      Apply({}, ReconcileSystem({}, {SomeDisk("a", {Observed(REGION_FREE, kMiB, 9 * kMiB)})}));
  const LdmObjectId free_id = RegionId(before, REGION_FREE, kMiB);
  const ChangeSet set = ReconcileSystem(before, {SomeDisk("a", {Observed(REGION_PRIMARY, kMiB, kMiB, true),
                                                                Observed(REGION_FREE, 2 * kMiB, 8 * kMiB)})});
  EXPECT_EQ(Summary(set), "disk* region+ region* fs+");
  EXPECT_EQ(RegionId(Apply(before, set), REGION_FREE, 2 * kMiB), free_id);
}

TEST(Reconcile, AFreeRegionCutInTheMiddleLivesOnInOnePart) {
  const ObjectState before =
      Apply({}, ReconcileSystem({}, {SomeDisk("a", {Observed(REGION_FREE, kMiB, 9 * kMiB)})}));
  const ChangeSet set = ReconcileSystem(
      before, {SomeDisk("a", {Observed(REGION_FREE, kMiB, kMiB), Observed(REGION_PRIMARY, 2 * kMiB, kMiB),
                              Observed(REGION_FREE, 3 * kMiB, 7 * kMiB)})});
  EXPECT_EQ(Summary(set), "disk* region* region+ region+");
}

TEST(Reconcile, AFreeRegionThatWasFilledIsDeleted) {
  const ObjectState before =
      Apply({}, ReconcileSystem({}, {SomeDisk("a", {Observed(REGION_FREE, kMiB, kMiB)})}));
  EXPECT_EQ(Summary(ReconcileSystem(before, {SomeDisk("a", {Observed(REGION_PRIMARY, kMiB, kMiB, true)})})),
            "region- region+ fs+");
}

TEST(Reconcile, DeletingBetweenTwoFreeRegionsMergesThemIntoOne) {
  const ObjectState before =
      Apply({}, ReconcileSystem({}, {SomeDisk("a", {Observed(REGION_FREE, kMiB, kMiB),
                                                    Observed(REGION_PRIMARY, 2 * kMiB, kMiB, true),
                                                    Observed(REGION_FREE, 3 * kMiB, 5 * kMiB)})}));
  const ChangeSet set = ReconcileSystem(before, {SomeDisk("a", {Observed(REGION_FREE, kMiB, 7 * kMiB)})});
  EXPECT_EQ(Summary(set), "disk* region- region- region* fs-");
}

TEST(Reconcile, AGptPartitionWithAnotherIdentifierIsAnotherObject) {
  ObservedRegion region = Observed(REGION_PRIMARY, kMiB, kMiB);
  region.info.mbr.reset();
  region.info.partitionStyle = PARTITIONSTYLE_GPT;
  region.info.gpt.emplace().partitionId = Guid::Random();
  const ObjectState before = Apply({}, ReconcileSystem({}, {SomeDisk("a", {region})}));
  region.info.gpt->partitionId = Guid::Random();
  EXPECT_EQ(Summary(ReconcileSystem(before, {SomeDisk("a", {region})})), "region- region+");
}

TEST(Reconcile, AFormattedPartitionGetsANewFileSystemObject) {
  std::vector<ObservedDisk> seen = {SomeDisk("a", {Observed(REGION_PRIMARY, kMiB, kMiB, true)})};
  const ObjectState before = Apply({}, ReconcileSystem({}, seen));
  seen[0].regions[0].file_system->info.fsType = FSTYPE_NTFS;
  EXPECT_EQ(Summary(ReconcileSystem(before, seen)), "region* fs- fs+");
}

TEST(Reconcile, ANewLabelModifiesTheFileSystemAlone) {
  std::vector<ObservedDisk> seen = {SomeDisk("a", {Observed(REGION_PRIMARY, kMiB, kMiB, true)})};
  const ObjectState before = Apply({}, ReconcileSystem({}, seen));
  seen[0].regions[0].file_system->info.label = std::u16string(u"DATA\0", 5);
  EXPECT_EQ(Summary(ReconcileSystem(before, seen)), "fs*");
}

TEST(Reconcile, AMediumThatLeavesTakesItsRegionsAwayBeforeTheDiskChanges) {
  ObservedDisk with = SomeDisk("cd", {Observed(REGION_CDROM, 0, kMiB, true)});
  with.info.deviceState = DEVICESTATE_HEALTHY;
  ObservedDisk without = SomeDisk("cd", {});
  without.info.deviceState = DEVICESTATE_NO_MEDIA;
  const ObjectState before = Apply({}, ReconcileSystem({}, {with}));
  EXPECT_EQ(Summary(ReconcileSystem(before, {without})), "region- fs- disk*");
  const ObjectState empty = Apply(before, ReconcileSystem(before, {without}));
  EXPECT_EQ(Summary(ReconcileSystem(empty, {with})), "disk* region+ fs+");
}

TEST(Reconcile, OtherDisksAreLeftAlone) {
  const std::vector<ObservedDisk> both = {SomeDisk("a", {Observed(REGION_FREE, kMiB, kMiB)}),
                                          SomeDisk("b", {Observed(REGION_FREE, kMiB, kMiB)})};
  const ObjectState before = Apply({}, ReconcileSystem({}, both));
  const ChangeSet set = ReconcileDisk(before, SomeDisk("b", {}));
  for (const ObjectChange& change : set.changes()) {
    EXPECT_NE(IdOf(change.object), before.FindDiskByKey("a")->info.id);
  }
  EXPECT_EQ(Summary(set), "disk* region-");
}

TEST(ObjectState, ListsAnExtendedPartitionBeforeWhatItHolds) {
  const ObjectState state =
      Apply({}, ReconcileSystem({}, {SomeDisk("a", {Observed(REGION_EXTENDED_FREE, kMiB, kMiB),
                                                    Observed(REGION_EXTENDED, kMiB, kMiB)})}));
  const auto regions = state.RegionsOf(state.Disks().at(0).info.id);
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0].info.regionType, REGION_EXTENDED);
}

ObjectState WithLetters() { return Apply({}, InitialDriveLetters()); }

ObservedRegion Lettered(LONGLONG start, char16_t letter) {
  ObservedRegion region = Observed(REGION_PRIMARY, start, kMiB, true);
  region.letter = letter;
  return region;
}

TEST(ReconcileLetters, AServerStartsWithTheFreeLettersCToZ) {
  const auto letters = WithLetters().DriveLetters();
  ASSERT_EQ(letters.size(), 24U);
  EXPECT_EQ(letters.front().info.letter, u'C');
  EXPECT_EQ(letters.back().info.letter, u'Z');
  for (const DriveLetterObject& letter : letters) {
    EXPECT_FALSE(letter.info.isUsed);
    EXPECT_EQ(letter.info.storageId, 0);
  }
}

TEST(ReconcileLetters, ALetterFollowsItsRegion) {
  ObjectState state = WithLetters();
  state = Apply(state, ReconcileSystem(state, {SomeDisk("a", {Lettered(0, u'F')})}));
  const LdmObjectId region = state.RegionsOf(state.Disks().front().info.id).front().info.id;
  ASSERT_NE(state.LetterOf(region), nullptr);
  EXPECT_EQ(state.LetterOf(region)->info.letter, u'F');
  EXPECT_EQ(state.FindLetter(u'f'), state.LetterOf(region));

  const ChangeSet same = ReconcileSystem(state, {SomeDisk("a", {Lettered(0, u'F')})});
  EXPECT_TRUE(same.empty());

  state = Apply(state, ReconcileSystem(state, {SomeDisk("a", {Lettered(0, 0)})}));
  EXPECT_EQ(state.LetterOf(region), nullptr);
  EXPECT_FALSE(state.FindLetter(u'F')->info.isUsed);
}

TEST(ReconcileLetters, ALetterThatChangesItsDiskIsModifiedOnceInEitherOrder) {
  for (const bool forward : {true, false}) {
    const auto disks = [forward](char16_t first, char16_t second) {
      return std::vector{SomeDisk(forward ? "a" : "b", {Lettered(0, first)}),
                         SomeDisk(forward ? "b" : "a", {Lettered(0, second)})};
    };
    ObjectState state = WithLetters();
    state = Apply(state, ReconcileSystem(state, disks(u'F', 0)));
    const LdmObjectId before = state.FindLetter(u'F')->info.storageId;
    const ChangeSet moved = ReconcileSystem(state, disks(0, u'F'));
    EXPECT_EQ(moved.changes().size(), 1U);
    state = Apply(state, moved);
    EXPECT_TRUE(state.FindLetter(u'F')->info.isUsed);
    EXPECT_NE(state.FindLetter(u'F')->info.storageId, before);
  }
}

TEST(ReconcileLetters, ADiskThatGoesFreesItsLettersFirst) {
  ObjectState state = WithLetters();
  state = Apply(state, ReconcileSystem(state, {SomeDisk("a", {Lettered(0, u'F')})}));
  const ChangeSet gone = ReconcileSystem(state, {});
  ASSERT_EQ(gone.changes().size(), 4U);
  EXPECT_TRUE(std::holds_alternative<DriveLetterObject>(gone.changes().front().object));
  EXPECT_TRUE(std::holds_alternative<DiskObject>(gone.changes().back().object));
  EXPECT_FALSE(Apply(state, gone).FindLetter(u'F')->info.isUsed);
}

TEST(ReconcileLetters, TheLetterOfADriveLeadsToTheDiskWhileNoMediumCarriesIt) {
  ObjectState state = WithLetters();
  state = Apply(state, ReconcileSystem(state, {SomeDisk("a", {Lettered(0, u'F')})}));
  const LdmObjectId disk = state.Disks().front().info.id;
  ObservedDisk empty = SomeDisk("a", {});
  empty.letter = u'F';
  state = Apply(state, ReconcileDisk(state, empty));
  EXPECT_EQ(state.FindLetter(u'F')->info.storageId, disk);
  EXPECT_TRUE(state.FindLetter(u'F')->info.isUsed);
  EXPECT_TRUE(ReconcileSystem(state, {empty}).empty());

  state = Apply(state, ReconcileSystem(state, {SomeDisk("a", {Lettered(0, u'F')})}));
  EXPECT_EQ(state.FindLetter(u'F')->info.storageId, state.RegionsOf(disk).front().info.id);

  state = Apply(state, ReconcileDisk(state, empty));
  state = Apply(state, ReconcileSystem(state, {}));
  EXPECT_FALSE(state.FindLetter(u'F')->info.isUsed);
  EXPECT_EQ(state.FindLetter(u'F')->info.storageId, 0);
}

TEST(Reconcile, FormattingBeginsWithANewFileSystem) {
  ObjectState state;
  ObservedRegion region = Observed(REGION_PRIMARY, 0, kMiB, true);
  state = Apply(state, ReconcileSystem(state, {SomeDisk("a", {region})}));
  const LdmObjectId partition = state.RegionsOf(state.Disks().front().info.id).front().info.id;
  const LdmObjectId old = state.FileSystemOn(partition)->info.id;
  region.file_system->in_the_making = true;
  const ChangeSet begun = ReconcileSystem(state, {SomeDisk("a", {region})});
  state = Apply(state, begun);
  const FileSystemObject* now = state.FileSystemOn(partition);
  ASSERT_NE(now, nullptr);
  EXPECT_NE(now->info.id, old);
  EXPECT_EQ(state.FindAs<RegionObject>(partition)->info.fsId, now->info.id);
  EXPECT_TRUE(ReconcileSystem(state, {SomeDisk("a", {region})}).empty());
}

TEST(Reconcile, WhatIsFoundAfterFormattingIsTheFileSystemThatWasBeingMade) {
  ObjectState state;
  ObservedRegion region = Observed(REGION_PRIMARY, 0, kMiB, true);
  region.file_system->in_the_making = true;
  state = Apply(state, ReconcileSystem(state, {SomeDisk("a", {region})}));
  region.file_system = FileSystemObject{};
  region.file_system->identity = "1234-ABCD";
  region.file_system->info.fsType = FSTYPE_FAT;
  const ChangeSet made = ReconcileSystem(state, {SomeDisk("a", {region})});
  ASSERT_EQ(made.changes().size(), 1U);
  EXPECT_EQ(made.changes().front().action, LDMACTION_MODIFIED);
  EXPECT_EQ(std::get<FileSystemObject>(made.changes().front().object).info.fsType, FSTYPE_FAT);
}

ObservedDisk DynamicDisk(std::string key, std::vector<ObservedRegion> regions) {
  ObservedDisk disk = SomeDisk(std::move(key), std::move(regions));
  disk.info.deviceType = DEVICETYPE_VM;
  return disk;
}

ObservedRegion Subdisk(LONGLONG start, const std::string& volume) {
  ObservedRegion region = Observed(REGION_SUBDISK, start, kMiB);
  region.volume_key = volume;
  return region;
}

ObservedVolume Mirror(std::string key, VOLUMESTATUS status = VOLUME_STATUS_HEALTHY) {
  ObservedVolume volume;
  volume.key = std::move(key);
  volume.info.type = VOLUMETYPE_VM;
  volume.info.layout = VOLUMELAYOUT_MIRROR;
  volume.info.memberCount = 2;
  volume.info.status = status;
  volume.file_system.emplace();
  return volume;
}

// A mirror over two disks, with the letter F.
ObservedSystem MirroredSystem() {
  ObservedSystem system{{DynamicDisk("a", {Subdisk(kMiB, "m")}), DynamicDisk("b", {Subdisk(kMiB, "m")})},
                        {Mirror("m")}};
  system.volumes.front().letter = u'F';
  return system;
}

TEST(ReconcileVolumes, AVolumeComesAfterItsDisksAndMembersAndIsNamedByThem) {
  const ChangeSet set = ReconcileSystem(WithLetters(), MirroredSystem().disks, MirroredSystem().volumes);
  EXPECT_EQ(Summary(set), "disk+ region+ disk+ region+ volume+ fs+ letter*");
  const ObjectState state = Apply(WithLetters(), set);
  ASSERT_EQ(state.Volumes().size(), 1U);
  const VOLUME_INFO volume = state.Volumes().front().info;
  EXPECT_EQ(state.MembersOf(volume.id).size(), 2U);
  ASSERT_NE(state.FileSystemOn(volume.id), nullptr);
  EXPECT_EQ(state.FileSystemOn(volume.id)->info.id, volume.fsId);
  ASSERT_NE(state.LetterOf(volume.id), nullptr);
  EXPECT_EQ(state.LetterOf(volume.id)->info.letter, u'F');
  EXPECT_EQ(state.FindVolumeByKey("m")->info, volume);
}

TEST(ReconcileVolumes, NothingChangesWhenTheVolumesAreAsTheListSays) {
  const ObjectState start = WithLetters();
  const ObjectState state =
      Apply(start, ReconcileSystem(start, MirroredSystem().disks, MirroredSystem().volumes));
  EXPECT_TRUE(ReconcileSystem(state, MirroredSystem().disks, MirroredSystem().volumes).empty());
  EXPECT_TRUE(ReconcileDisk(state, MirroredSystem().disks.front()).empty());
}

TEST(ReconcileVolumes, ADeletedVolumeFreesItsLetterAndTakesItsFileSystemAlong) {
  const ObjectState start = WithLetters();
  ObservedSystem system = MirroredSystem();
  const ObjectState state = Apply(start, ReconcileSystem(start, system.disks, system.volumes));
  for (ObservedDisk& disk : system.disks) {
    disk.regions = {Observed(REGION_FREE, kMiB, kMiB)};
  }
  system.volumes.clear();
  const ChangeSet set = ReconcileSystem(state, system.disks, system.volumes);
  EXPECT_EQ(Summary(set), "region- region+ region- region+ letter* fs- volume-");
  EXPECT_FALSE(Apply(state, set).FindLetter(u'F')->info.isUsed);
}

TEST(ReconcileVolumes, ALostMemberChangesTheVolumeBeforeItsDiskLeaves) {
  const ObjectState start = WithLetters();
  const ObjectState state =
      Apply(start, ReconcileSystem(start, MirroredSystem().disks, MirroredSystem().volumes));
  ObservedSystem degraded = MirroredSystem();
  degraded.disks[1].key = "missing b";
  degraded.volumes[0].info.status = VOLUME_STATUS_FAILED_REDUNDANCY;
  const ChangeSet set = ReconcileSystem(state, degraded.disks, degraded.volumes);
  EXPECT_EQ(Summary(set), "region- disk+ region+ volume* disk-");
  const ObjectState after = Apply(state, set);
  EXPECT_EQ(after.MembersOf(state.Volumes().front().info.id).size(), 2U);
  EXPECT_EQ(after.FindDiskByKey("b"), nullptr);
}

TEST(ReconcileVolumes, AMemberThatGoesToAnotherVolumeIsTheSameRegion) {
  const ObjectState start = WithLetters();
  ObservedSystem system = MirroredSystem();
  const ObjectState state = Apply(start, ReconcileSystem(start, system.disks, system.volumes));
  system.disks[1].regions[0].volume_key = "n";
  system.volumes[0].info.layout = VOLUMELAYOUT_SIMPLE;
  system.volumes.push_back(Mirror("n"));
  const ChangeSet split = ReconcileSystem(state, system.disks, system.volumes);
  EXPECT_EQ(Summary(split), "region* volume* volume+ fs+");
  const ObjectState after = Apply(state, split);
  EXPECT_EQ(after.MembersOf(after.FindVolumeByKey("n")->info.id).front().info.id,
            state.RegionsOf(state.FindDiskByKey("b")->info.id).front().info.id);
}

// Of a GPT disk: the entry that covers the member is another one then.
TEST(ReconcileVolumes, AMemberThatGetsAnEntryOfItsOwnIsTheSameRegion) {
  const ObjectState start = WithLetters();
  ObservedSystem system = MirroredSystem();
  REGION_INFO_EX& member = system.disks[1].regions[0].info;
  member.partitionStyle = PARTITIONSTYLE_GPT;
  member.mbr.reset();
  member.gpt.emplace().partitionId.Data1 = 1;
  const ObjectState state = Apply(start, ReconcileSystem(start, system.disks, system.volumes));
  member.gpt->partitionId.Data1 = 2;
  EXPECT_EQ(Summary(ReconcileSystem(state, system.disks, system.volumes)), "region*");
}

TEST(ReconcileVolumes, AConvertedDiskStaysItselfAndGetsNewRegions) {
  const ObservedRegion free = Observed(REGION_FREE, kMiB, kMiB);
  const ObjectState state = Apply({}, ReconcileSystem({}, {SomeDisk("a", {free})}));
  const ChangeSet converted = ReconcileSystem(state, {DynamicDisk("a", {free})});
  EXPECT_EQ(Summary(converted), "disk* region- region+");
  const ObjectState after = Apply(state, converted);
  EXPECT_EQ(after.Disks().front().info.id, state.Disks().front().info.id);
  EXPECT_NE(RegionId(after, REGION_FREE, kMiB), RegionId(state, REGION_FREE, kMiB));
  EXPECT_EQ(Summary(ReconcileSystem(after, {SomeDisk("a", {free})})), "disk* region- region+");
}

TEST(ReconcileVolumes, ALetterMovesBetweenAPartitionAndAVolume) {
  ObservedSystem system = MirroredSystem();
  system.disks.push_back(SomeDisk("c", {Lettered(0, 0)}));
  const ObjectState start = WithLetters();
  const ObjectState on_volume = Apply(start, ReconcileSystem(start, system.disks, system.volumes));
  system.volumes[0].letter = 0;
  system.disks[2].regions[0].letter = u'F';
  const ChangeSet moved = ReconcileSystem(on_volume, system.disks, system.volumes);
  EXPECT_EQ(Summary(moved), "letter*");
  const ObjectState on_partition = Apply(on_volume, moved);
  EXPECT_EQ(on_partition.FindLetter(u'F')->info.storageId, RegionId(on_partition, REGION_PRIMARY, 0));
}

}  // namespace
}  // namespace dmrp::server
