#include "reference_server/methods/methods_test_support.hpp"

#include <algorithm>

namespace dmrp::server {
namespace {

class CreatePartitionTest : public MethodsTest {
 protected:
  void SetUp() override {
    MethodsTest::SetUp();
    ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
    TakeFrames();
  }

  // A call that has to be refused with `error` and to change nothing.
  void ExpectRefused(const REGION_SPEC& spec, HRESULT error, bool early = false) {
    const View before = Look();
    CreatePartitionReply reply;
    EXPECT_EQ((early ? early_client : client)
                  ->CreatePartition(early ? early_call : late_call, {.partitionSpec = spec}, reply),
              error)
        << HresultName(error);
    EXPECT_EQ(reply.tinfo.status, REQ_FAILED);
    EXPECT_EQ(reply.tinfo.error, error);
    EXPECT_EQ(reply.tinfo.storageId, 0);
    EXPECT_TRUE(Look() == before) << "the refused call had an effect";
  }
};

TEST_F(CreatePartitionTest, MakesThePartitionAskedForAndAnswersItsRegion) {
  const REGION_INFO_EX free = Region(REGION_FREE);
  CreatePartitionReply reply;
  const REGION_SPEC spec = Spec(free, REGION_PRIMARY, free.start + kMiB, 8 * kMiB);
  ASSERT_EQ(client->CreatePartition(late_call, {.partitionSpec = spec}, reply), 0);
  EXPECT_EQ(reply.tinfo.status, REQ_COMPLETED);
  EXPECT_NE(reply.tinfo.id, 0);
  const REGION_INFO_EX made = Region(REGION_PRIMARY);
  EXPECT_EQ(reply.tinfo.storageId, made.id);
  EXPECT_EQ(reply.tinfo, (TASK_INFO{.id = reply.tinfo.id, .storageId = made.id, .status = REQ_COMPLETED}));
  EXPECT_EQ(made.start, spec.start);
  EXPECT_EQ(made.length, spec.length);
  EXPECT_EQ(made.mbr->partitionType, 7U);
  EXPECT_EQ(made.currentPartitionNumber, 1U);
  EXPECT_EQ(made.volId, 0);
  EXPECT_NE(made.fsId, 0);
  EXPECT_EQ(source->published, 2);
}

TEST_F(CreatePartitionTest, NotifiesDiskRegionFreeSpaceAndFileSystem) {
  MakePartition(8 * kMiB);
  EXPECT_EQ(TakeFrames(), "disk* region+ region* fs+");
}

TEST_F(CreatePartitionTest, NotifiesADeletedFreeRegionWhenItIsFilled) {
  MakePartition(Region(REGION_FREE).length);
  EXPECT_EQ(TakeFrames(), "disk* region- region+ fs+");
}

TEST_F(CreatePartitionTest, TellsClientsOfTheFirstRevisionTheSameChanges) {
  early_sink->items.clear();
  MakePartition(8 * kMiB);
  ASSERT_EQ(early_sink->items.size(), sink->items.size());
  for (std::size_t i = 0; i < sink->items.size(); ++i) {
    EXPECT_EQ(early_sink->items[i].action, sink->items[i].action);
    EXPECT_EQ(early_sink->items[i].type(), sink->items[i].type());
  }
}

TEST_F(CreatePartitionTest, UpdatesTheDiskObject) {
  const DISK_INFO_EX before = Disk();
  MakePartition(8 * kMiB);
  const DISK_INFO_EX after = Disk();
  EXPECT_EQ(after.id, before.id);
  EXPECT_GT(after.lastKnownState, before.lastKnownState);
  EXPECT_EQ(after.regionCount, before.regionCount + 1);
  EXPECT_EQ(after.freeBytes, before.freeBytes - 8 * kMiB);
  EXPECT_FALSE(after.maySwitchStyle);
}

TEST_F(CreatePartitionTest, MakesExtendedPartitionsAndLogicalDrives) {
  ASSERT_EQ(MakePartition(32 * kMiB, REGION_EXTENDED).result, 0);
  EXPECT_EQ(TakeFrames(), "disk* region+ region+ region*");
  ASSERT_EQ(MakePartition(8 * kMiB, REGION_LOGICAL).result, 0);
  const REGION_INFO_EX logical = Region(REGION_LOGICAL);
  EXPECT_EQ(logical.length, 8 * kMiB);
  const auto regions = Regions(Disk().id);
  EXPECT_TRUE(std::ranges::is_sorted(regions, {}, &REGION_INFO_EX::start));
  EXPECT_EQ(Disk().regionCount, regions.size());
}

TEST_F(CreatePartitionTest, WorksThroughTheFirstRevisionToo) {
  const REGION_INFO_EX free = Region(REGION_FREE);
  CreatePartitionReply reply;
  EXPECT_EQ(early_client->CreatePartition(
                early_call, {.partitionSpec = Spec(free, REGION_PRIMARY, free.start, kMiB)}, reply),
            0);
  EXPECT_EQ(Region(REGION_PRIMARY).id, reply.tinfo.storageId);
}

TEST_F(CreatePartitionTest, RefusesAnUnknownDisk) {
  REGION_SPEC spec = Spec(Region(REGION_FREE), REGION_PRIMARY, Region(REGION_FREE).start, kMiB);
  spec.diskId = 42;
  ExpectRefused(spec, LDM_E_DISK_NOT_FOUND);
  spec.diskId = spec.regionId;
  ExpectRefused(spec, LDM_E_DISK_NOT_FOUND);
}

TEST_F(CreatePartitionTest, RefusesAnUnknownRegion) {
  REGION_SPEC spec = Spec(Region(REGION_FREE), REGION_PRIMARY, Region(REGION_FREE).start, kMiB);
  spec.regionId = 42;
  ExpectRefused(spec, LDM_E_NORECORD);
  spec.regionId = spec.diskId;
  ExpectRefused(spec, LDM_E_NORECORD);
}

TEST_F(CreatePartitionTest, RefusesAStaleState) {
  REGION_SPEC spec = Spec(Region(REGION_FREE), REGION_PRIMARY, Region(REGION_FREE).start, kMiB);
  for (const LONGLONG difference : {-1, 1, 1000}) {
    REGION_SPEC stale = spec;
    stale.lastKnownState += difference;
    ExpectRefused(stale, LDM_E_OBJECT_STALED);
  }
}

TEST_F(CreatePartitionTest, RefusesARegionOfAnotherDisk) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR, 1), 0);
  REGION_SPEC spec = Spec(Region(REGION_FREE), REGION_PRIMARY, Region(REGION_FREE).start, kMiB);
  spec.diskId = Disk(1).id;
  ExpectRefused(spec, LDM_E_NO_ASSOC);
}

TEST_F(CreatePartitionTest, RefusesARegionThatIsNotFree) {
  MakePartition(8 * kMiB);
  const REGION_INFO_EX used = Region(REGION_PRIMARY);
  ExpectRefused(Spec(used, REGION_PRIMARY, used.start, kMiB), LDM_E_INVALID);
}

TEST_F(CreatePartitionTest, RefusesTypesThatAreNoPartitions) {
  const REGION_INFO_EX free = Region(REGION_FREE);
  for (const auto type : {REGION_UNKNOWN, REGION_FREE, REGION_SUBDISK, REGION_CDROM, REGIONTYPE{99}}) {
    ExpectRefused(Spec(free, type, free.start, kMiB), LDM_E_INVALID_FIELD);
  }
  ExpectRefused(Spec(free, REGION_LOGICAL, free.start, kMiB), LDM_E_INVALID);
}

TEST_F(CreatePartitionTest, RefusesRangesOutsideOfTheRegion) {
  const REGION_INFO_EX free = Region(REGION_FREE);
  ExpectRefused(Spec(free, REGION_PRIMARY, 0, kMiB), LDM_E_OVERFLOW);
  ExpectRefused(Spec(free, REGION_PRIMARY, free.start - 512, kMiB), LDM_E_OVERFLOW);
  ExpectRefused(Spec(free, REGION_PRIMARY, free.start, free.length + 512), LDM_E_OVERFLOW);
  ExpectRefused(Spec(free, REGION_PRIMARY, free.start, -1), LDM_E_NEG_SIZE);
  ExpectRefused(Spec(free, REGION_PRIMARY, free.start, 0), LDM_E_NEG_SIZE);
  ExpectRefused(Spec(free, REGION_PRIMARY, -512, kMiB), LDM_E_NEG_SIZE);
  ExpectRefused(Spec(free, REGION_PRIMARY, free.start, kMiB + 1), E_INVALIDARG);
  ExpectRefused(Spec(free, REGION_PRIMARY, free.start + 7, kMiB), E_INVALIDARG);
}

TEST_F(CreatePartitionTest, RefusesAFifthPrimaryPartitionAndASecondExtendedOne) {
  ASSERT_EQ(MakePartition(kMiB, REGION_EXTENDED).result, 0);
  EXPECT_EQ(MakePartition(kMiB, REGION_EXTENDED).result, LDM_E_EXIST);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(MakePartition(kMiB).result, 0);
  }
  const REGION_INFO_EX free = Region(REGION_FREE);
  ExpectRefused(Spec(free, REGION_PRIMARY, free.start, kMiB), LDM_E_FULL_ASSOC);
}

TEST_F(CreatePartitionTest, RefusesGptDisksThroughTheFirstRevision) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT), 0);
  const REGION_INFO_EX free = Region(REGION_FREE);
  const REGION_SPEC spec = Spec(free, REGION_PRIMARY, free.start, kMiB);
  ExpectRefused(spec, LDM_E_NOSUPPORT, true);
  CreatePartitionReply reply;
  EXPECT_EQ(client->CreatePartition(late_call, {.partitionSpec = spec}, reply), 0);
  EXPECT_EQ(Region(REGION_PRIMARY).gpt->partitionType.ToString(), "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
}

TEST_F(CreatePartitionTest, RefusesADiskThatWentAwayAndDoesNotForgetTheOthers) {
  const REGION_INFO_EX free = Region(REGION_FREE);
  std::filesystem::remove(folder / "a.img");
  CreatePartitionReply reply;
  EXPECT_LT(client->CreatePartition(late_call,
                                    {.partitionSpec = Spec(free, REGION_PRIMARY, free.start, kMiB)}, reply),
            0);
  EXPECT_EQ(reply.tinfo.status, REQ_FAILED);
}

TEST_F(CreatePartitionTest, TaskIdentifiersAreNeverRepeated) {
  std::vector<LdmObjectId> ids;
  for (int i = 0; i < 4; ++i) {
    ids.push_back(MakePartition(kMiB).tinfo.id);
  }
  ids.push_back(MakePartition(kMiB).tinfo.id);  // refused: the table is full
  std::ranges::sort(ids);
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
}

class DeletePartitionTest : public CreatePartitionTest {
 protected:
  void SetUp() override {
    CreatePartitionTest::SetUp();
    ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
    TakeFrames();
  }

  HRESULT Delete(const REGION_SPEC& spec, bool force = false) {
    last = {};
    return client->DeletePartition(late_call, {.partitionSpec = spec, .force = force}, last);
  }

  void ExpectNotDeleted(const REGION_SPEC& spec, HRESULT error, bool force = false) {
    const View before = Look();
    EXPECT_EQ(Delete(spec, force), error) << HresultName(error);
    EXPECT_EQ(last.tinfo.status, REQ_FAILED);
    EXPECT_TRUE(Look() == before) << "the refused call had an effect";
  }

  DeletePartitionReply last;
};

TEST_F(DeletePartitionTest, DeletesThePartitionAndMergesTheFreeSpace) {
  const REGION_INFO_EX region = Region(REGION_PRIMARY);
  const DISK_INFO_EX before = Disk();
  EXPECT_EQ(Delete(Spec(region)), 0);
  EXPECT_EQ(last.tinfo, (TASK_INFO{.id = last.tinfo.id, .storageId = region.id, .status = REQ_COMPLETED}));
  EXPECT_EQ(TakeFrames(), "disk* region- region* fs-");
  EXPECT_EQ(Regions(Disk().id).size(), 1U);
  EXPECT_GT(Disk().lastKnownState, before.lastKnownState);
  EXPECT_TRUE(Disk().maySwitchStyle);
}

TEST_F(DeletePartitionTest, CreatesAFreeRegionWhereNoneIsBeside) {
  ASSERT_EQ(MakePartition(Region(REGION_FREE).length).result, 0);
  TakeFrames();
  EXPECT_EQ(Delete(Spec(Regions(Disk().id).at(1))), 0);
  EXPECT_EQ(TakeFrames(), "disk* region- region+ fs-");
}

TEST_F(DeletePartitionTest, NotifiesPartitionsWhoseNumberChanged) {
  ASSERT_EQ(MakePartition(Region(REGION_FREE).length).result, 0);
  TakeFrames();
  EXPECT_EQ(Delete(Spec(Regions(Disk().id).at(0))), 0);
  EXPECT_EQ(TakeFrames(), "disk* region- region+ region* fs-");
  EXPECT_EQ(Region(REGION_PRIMARY).currentPartitionNumber, 1U);
}

TEST_F(DeletePartitionTest, AcceptsAGreaterLengthAndRefusesALesserOne) {
  REGION_SPEC spec = Spec(Region(REGION_PRIMARY));
  spec.length -= 1;
  ExpectNotDeleted(spec, LDM_E_TOO_SMALL);
  spec.length += 1000;
  EXPECT_EQ(Delete(spec), 0);
}

TEST_F(DeletePartitionTest, RefusesWhatDoesNotMatchTheObject) {
  const REGION_SPEC good = Spec(Region(REGION_PRIMARY));
  REGION_SPEC spec = good;
  spec.diskId = 42;
  ExpectNotDeleted(spec, LDM_E_DISK_NOT_FOUND);
  spec = good;
  spec.regionId = 42;
  ExpectNotDeleted(spec, LDM_E_NORECORD);
  spec = good;
  spec.lastKnownState += 1;
  ExpectNotDeleted(spec, LDM_E_OBJECT_STALED);
  spec = good;
  spec.regionType = REGION_LOGICAL;
  ExpectNotDeleted(spec, LDM_E_INVALID_FIELD);
  spec = good;
  spec.start += 512;
  ExpectNotDeleted(spec, E_INVALIDARG);
  spec = good;
  spec.diskId = Disk(1).id;
  ExpectNotDeleted(spec, LDM_E_NO_ASSOC);
  ExpectNotDeleted(Spec(Region(REGION_FREE)), LDM_E_INVALID);
}

TEST_F(DeletePartitionTest, APartitionInUseIsDeletedByForceOnly) {
  const REGION_INFO_EX region = Region(REGION_PRIMARY);
  source->busy_start = static_cast<std::uint64_t>(region.start);
  ExpectNotDeleted(Spec(region), LDM_E_VOLUME_IN_USE);
  EXPECT_EQ(Delete(Spec(region), true), 0);
  EXPECT_FALSE(source->busy_start.has_value());
}

TEST_F(DeletePartitionTest, APartitionThatCannotBeTakenIsNotDeletedByForceEither) {
  const REGION_INFO_EX region = Region(REGION_PRIMARY);
  source->busy_start = static_cast<std::uint64_t>(region.start);
  source->clings = true;
  const View before = Look();
  EXPECT_EQ(Delete(Spec(region), true), LDM_E_VOLUME_IN_USE);
  EXPECT_TRUE(Look() == before);
}

TEST_F(DeletePartitionTest, AnExtendedPartitionIsDeletedOnlyWhenItIsEmpty) {
  ASSERT_EQ(MakePartition(32 * kMiB, REGION_EXTENDED).result, 0);
  ASSERT_EQ(MakePartition(8 * kMiB, REGION_LOGICAL).result, 0);
  TakeFrames();
  early_sink->items.clear();
  ExpectNotDeleted(Spec(Region(REGION_EXTENDED)), LDM_E_NOT_EMPTY);
  EXPECT_EQ(Delete(Spec(Region(REGION_LOGICAL))), 0);
  EXPECT_EQ(Delete(Spec(Region(REGION_EXTENDED))), 0);
}

TEST_F(DeletePartitionTest, TheIdentifierIsNotUsedAgain) {
  const LdmObjectId id = Region(REGION_PRIMARY).id;
  EXPECT_EQ(Delete(Spec(Region(REGION_PRIMARY))), 0);
  EXPECT_NE(MakePartition(8 * kMiB).tinfo.storageId, id);
}

class MarkActivePartitionTest : public DeletePartitionTest {
 protected:
  HRESULT Mark(const REGION_INFO_EX& region) {
    MarkActivePartitionReply reply;
    const HRESULT result = client->MarkActivePartition(
        late_call, {.regionId = region.id, .regionLastKnownState = region.lastKnownState}, reply);
    EXPECT_EQ(reply.tinfo.status, result == 0 ? REQ_COMPLETED : REQ_FAILED);
    EXPECT_EQ(reply.tinfo.storageId, 0);
    return result;
  }
};

TEST_F(MarkActivePartitionTest, MovesTheActiveFlagAndModifiesBothRegions) {
  ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
  TakeFrames();
  const auto before = Regions(Disk().id);
  ASSERT_EQ(Mark(before[0]), 0);
  EXPECT_EQ(TakeFrames(), "region*");
  ASSERT_EQ(Mark(before[1]), 0);
  EXPECT_EQ(TakeFrames(), "region* region*");
  const auto after = Regions(Disk().id);
  EXPECT_FALSE(after[0].mbr->isActive);
  EXPECT_TRUE(after[1].mbr->isActive);
  EXPECT_EQ(after[0].lastKnownState, before[0].lastKnownState + 2);
  EXPECT_EQ(after[1].lastKnownState, before[1].lastKnownState + 1);
}

TEST_F(MarkActivePartitionTest, NothingChangesWhenThePartitionIsActiveAlready) {
  ASSERT_EQ(Mark(Region(REGION_PRIMARY)), 0);
  TakeFrames();
  const View before = Look();
  ASSERT_EQ(Mark(Region(REGION_PRIMARY)), 0);
  EXPECT_EQ(TakeFrames(), "");
  EXPECT_TRUE(Look() == before);
  EXPECT_TRUE(Region(REGION_PRIMARY).mbr->isActive);
}

TEST_F(MarkActivePartitionTest, RefusesWhatCannotBeActive) {
  const View before = Look();
  REGION_INFO_EX unknown;
  unknown.id = 42;
  EXPECT_EQ(Mark(unknown), LDM_E_NORECORD);
  REGION_INFO_EX stale = Region(REGION_PRIMARY);
  stale.lastKnownState += 1;
  EXPECT_EQ(Mark(stale), LDM_E_OBJECT_STALED);
  EXPECT_EQ(Mark(Region(REGION_FREE)), LDM_E_INVALID);
  EXPECT_TRUE(Look() == before);
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT, 1), 0);
  EXPECT_EQ(Mark(Regions(Disk(1).id).at(0)), LDM_E_NOSUPPORT);
}

}  // namespace
}  // namespace dmrp::server
