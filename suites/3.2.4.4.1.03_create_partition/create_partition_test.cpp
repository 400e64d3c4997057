// CreatePartition of IVolumeClient (3.2.4.4.1.3) and IVolumeClient3 (3.2.4.4.3.3): what an accepted call
// does.
#include "suites/support/partition_layout.hpp"
#include "suites/support/watched_operation.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Creation : WatchedDiskOperation {
  REGION_SPEC spec;
  std::vector<ReceivedObject> told_another;  ///< to another client of the caller's revision, before the reply
};

class CreatePartition : public DiskOperationTest {
 protected:
  // A third of the first free region, in whole mebibytes where there are some.
  REGION_SPEC SmallPartition(REGIONTYPE type = REGION_PRIMARY) {
    const REGION_INFO_EX free = FreeRegion(session());
    std::int64_t length = std::min<std::int64_t>(free.length / 3, MiB(16));
    length -= length % std::min<std::int64_t>(MiB(1), free.length / 3);
    length -= length % disk().bytesPerSector;
    return Spec(free, type, free.start, length);
  }
  [[nodiscard]] std::int64_t Cylinder() { return std::int64_t{disk().bytesPerCylinder}; }
  const Creation& Created() {
    return Once([this] {
      Creation seen;
      seen.spec = SmallPartition();
      Session& another = Open({.revision = Asked(), .name = "another", .account = {}, .auth_level = {}});
      static_cast<WatchedDiskOperation&>(seen) = WatchOnDisk([&] {
        const auto reply = session().CreatePartition(seen.spec);
        seen.told_another = another.sink().Objects();
        return reply;
      });
      return seen;
    });
  }
  [[nodiscard]] LdmObjectId MadeId() { return Created().tinfo.storageId; }
  // What the caller was told before the reply.
  const std::vector<ReceivedObject>& Told() { return Created().notified.at(Asked()); }
};

// A partition is made at the start and with the length asked for, of the type asked for; the table's other
// entries stay.
TEST_P(CreatePartition, WritesThePartition) {
  Checks("DMRP-0612", "DMRP-1560", "DMRP-0606", "DMRP-0130");
  const auto [before, after] = TablesOf(Created());
  const REGION_SPEC& spec = Created().spec;
  const auto added = Added(before, after);
  ASSERT_THAT(added, SizeIs(1)) << ToText(after);
  EXPECT_EQ(after.partitions.size(), before.partitions.size() + 1) << "other entries stay: " << ToText(after);
  // Rounding to the units of the target's alignment is no error.
  const std::int64_t start = static_cast<std::int64_t>(added.front().start);
  const std::int64_t end = static_cast<std::int64_t>(added.front().end());
  EXPECT_GE(start, spec.start);
  EXPECT_LT(start, spec.start + Cylinder());
  EXPECT_NEAR(static_cast<double>(end), static_cast<double>(spec.start + spec.length),
              static_cast<double>(Cylinder()));
  EXPECT_FALSE(added.front().logical);
  EXPECT_FALSE(added.front().IsExtended());
  EXPECT_EQ(before.disk_guid, after.disk_guid);
  EXPECT_EQ(before.signature, after.signature);
  EXPECT_THAT(after.problems, IsEmpty());
}

// The server waits for the work's end: with the reply the image and a fresh enumeration show the outcome.
TEST_P(CreatePartition, IsDoneWhenTheReplyComes) {
  Checks("DMRP-0613", "DMRP-0533", "DMRP-0551");
  EXPECT_THAT(Disagreements(RegionsIn(Created().after), TablesOf(Created()).second), IsEmpty());
  EXPECT_EQ(Created().tinfo.status, REQ_COMPLETED);
}

// tinfo: a fresh id, the final status, the new region as storageId, everything else zero.
TEST_P(CreatePartition, FillsTheTaskInfo) {
  Checks("DMRP-0614", "DMRP-0616", "DMRP-0556", "DMRP-0557", "DMRP-0558", "DMRP-0559");
  const TASK_INFO& task = Created().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_EQ(task.status, REQ_COMPLETED);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.createTime, 0);
  EXPECT_TRUE(task.clientID == 0 || task.clientID == session().client_id()) << task.clientID;
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.type, PROGRESS_UNKNOWN);
  EXPECT_EQ(task.tflag, 0U);
}

// tinfo.storageId is the id of the region object of the new partition.
TEST_P(CreatePartition, ReturnsTheIdOfTheNewRegion) {
  Checks("DMRP-0615", "DMRP-0105");
  const REGION_INFO_EX* made = Created().after.FindRegion(MadeId());
  ASSERT_NE(made, nullptr) << "no region has the id " << MadeId();
  EXPECT_EQ(made->diskId, lab().DiskId(0));
  EXPECT_EQ(made->regionType, REGION_PRIMARY);
  EXPECT_EQ(Created().before.FindRegion(MadeId()), nullptr) << "the id is not new";
  const harness::DiskLayout layout = TablesOf(Created()).second;
  const auto* added = layout.FindAt(static_cast<std::uint64_t>(made->start));
  ASSERT_NE(added, nullptr);
  EXPECT_EQ(static_cast<std::int64_t>(added->length), made->length);
}

// The disk object is modified for its changed allocation: a notification before the reply, a greater
// LastKnownState, and free bytes and region count that fit the regions.
TEST_P(CreatePartition, ModifiesTheDiskObject) {
  Checks("DMRP-0617", third() ? "DMRP-0201" : "DMRP-0149", "DMRP-0524", "DMRP-0531");
  const DISK_INFO_EX& before = DiskIn(Created().before);
  EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, before.id)));
  const DISK_INFO_EX& after = DiskIn(Created().after);
  EXPECT_GT(after.lastKnownState, before.lastKnownState);
  EXPECT_LT(after.freeBytes, before.freeBytes);
  EXPECT_EQ(after.regionCount, RegionsIn(Created().after).size());
}

// A region object for the partition is created, under an id that was never used.
TEST_P(CreatePartition, CreatesTheRegionObject) {
  Checks("DMRP-0618", "DMRP-0522", "DMRP-0525", "DMRP-0526", "DMRP-0529");
  EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, MadeId())));
  EXPECT_EQ(std::ranges::count(RegionsIn(Created().after), MadeId(), &REGION_INFO_EX::id), 1);
}

// The free region that held the space is modified or deleted; free space is counted exactly once.
TEST_P(CreatePartition, TakesTheSpaceFromTheFreeRegion) {
  Checks("DMRP-0619", third() ? "DMRP-0181" : "DMRP-0135");
  EXPECT_TRUE(std::ranges::any_of(Told(), [&](const ReceivedObject& object) {
    return object.type == DMNOTIFY_REGION_INFO && object.id == Created().spec.regionId &&
           (object.action == LDMACTION_MODIFIED || object.action == LDMACTION_DELETED);
  })) << "no notification about the free region";
  std::int64_t free = 0;
  for (const REGION_INFO_EX& region : RegionsIn(Created().after)) {
    if (harness::IsFree(region)) {
      free += region.length;
    }
  }
  EXPECT_EQ(DiskIn(Created().after).freeBytes, free);
}

// A file system object for the partition is created: raw, until it is formatted.
TEST_P(CreatePartition, CreatesTheFileSystemObject) {
  Checks("DMRP-0620", "DMRP-0081", "DMRP-0082", "DMRP-0083", "DMRP-0087", "DMRP-0088", "DMRP-0089",
         "DMRP-0090", "DMRP-0091", "DMRP-0092", "DMRP-0460");
  std::vector<FILE_SYSTEM_INFO> created;
  for (const ReceivedObject& object : Told()) {
    if (object.type == DMNOTIFY_FS_INFO && object.action == LDMACTION_CREATED && object.file_system) {
      created.push_back(*object.file_system);
    }
  }
  ASSERT_THAT(created, SizeIs(1));
  const FILE_SYSTEM_INFO& file_system = created.front();
  EXPECT_NE(file_system.id, 0);
  EXPECT_EQ(file_system.storageId, MadeId());
  EXPECT_EQ(file_system.fsType, FSTYPE_UNKNOWN) << "nothing was formatted";
  EXPECT_EQ(file_system.fsflags & ~std::uint32_t{ENABLE_VOLUME_COMPRESSION}, 0U);
  EXPECT_EQ(file_system.taskId, 0);
  EXPECT_TRUE(!file_system.label || file_system.label->empty() || file_system.label->back() == u'\0');
  const REGION_INFO_EX* made = Created().after.FindRegion(MadeId());
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->fsId, file_system.id) << "the region points to its file system";
}

// A client on each revision is told of the same changes, and so is one of the caller's that is not the
// caller.
TEST_P(CreatePartition, IsNotifiedToClientsOfBothRevisions) {
  Checks("DMRP-0528", "DMRP-0435", "DMRP-0462", "DMRP-0463");
  auto expect = [&](const std::vector<ReceivedObject>& objects, std::string_view client) {
    EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, MadeId()))) << client;
    EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, lab().DiskId(0))))
        << client;
  };
  for (const auto& [revision, objects] : Created().notified) expect(objects, harness::ToString(revision));
  expect(Created().told_another, "another");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CreatePartition,
    ::testing::ValuesIn(Setups({kMbr512, kMbrOddChs, kMbr4Kn, kMbrTiny, kGpt, kGpt3TiB})), SetupName());

// Tests that do something of their own, in machines of their own.
class CreatePartitionAlone : public CreatePartition {
 protected:
  void SetUp() override { DiskKindTest::SetUp(); }
};

// The same on other buses and sizes: what lands on disk and on the wire.
class CreatePartitionOnBus : public CreatePartitionAlone {};

TEST_P(CreatePartitionOnBus, WritesThePartitionAndTellsOfIt) {
  Checks("DMRP-0612", "DMRP-0613");
  const harness::DiskLayout before = LayoutOf();
  ASSERT_THAT(session().CreatePartition(SmallPartition()), Succeeds());
  const harness::DiskLayout after = LayoutOf();
  EXPECT_THAT(Added(before, after), SizeIs(1));
  EXPECT_THAT(Disagreements(RegionsNow(session()), after), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Kinds, CreatePartitionOnBus,
                         ::testing::ValuesIn(Setups({kMbrUsb, kMbrIde, kMbr512e, kMbr3TiB, kGpt4Kn})),
                         SetupName());

// Extended partitions and logical drives exist on MBR disks only.
class CreateLogicalDrive : public CreatePartition {
 protected:
  // The extended partition, which takes the whole disk.
  const Creation& Extended() {
    return Once([this] {
      Creation seen;
      const REGION_INFO_EX free = FreeRegion(session());
      seen.spec = Spec(free, REGION_EXTENDED, free.start, free.length);
      static_cast<WatchedDiskOperation&>(seen) =
          WatchOnDisk([&] { return session().CreatePartition(seen.spec); });
      return seen;
    });
  }
};

// REGION_EXTENDED makes an extended partition: a free region inside it appears for logical drives.
TEST_P(CreateLogicalDrive, MakesAnExtendedPartition) {
  Checks("DMRP-0612", "DMRP-0618", third() ? "DMRP-0225" : "DMRP-0169");
  const harness::DiskLayout layout = TablesOf(Extended()).second;
  ASSERT_THAT(layout.partitions, Contains(::testing::Property(&harness::DiskPartition::IsExtended, true)));
  const auto& regions = RegionsIn(Extended().after);
  EXPECT_THAT(regions, Contains(::testing::Field(&REGION_INFO_EX::regionType, REGION_EXTENDED_FREE)));
  EXPECT_THAT(Disagreements(regions, layout), IsEmpty());
}

// REGION_LOGICAL in the free space of the extended partition adds a drive to the chain, one after the other.
TEST_P(CreateLogicalDrive, MakesLogicalDrivesInIt) {
  Checks("DMRP-0612", "DMRP-0618", "DMRP-0619", "DMRP-0033");
  const REGION_SPEC& whole = Extended().spec;
  for (int drive = 1; drive <= 2; ++drive) {
    const REGION_INFO_EX inside = FreeRegion(session(), 0, 1, REGION_EXTENDED_FREE);
    std::int64_t length = whole.length / 4;
    length -= length % disk().bytesPerSector;
    const auto reply = session().CreatePartition(Spec(inside, REGION_LOGICAL, inside.start, length));
    ASSERT_THAT(reply, Succeeds()) << "drive " << drive;
    const harness::DiskLayout layout = LayoutOf();
    EXPECT_EQ(std::ranges::count(layout.partitions, true, &harness::DiskPartition::logical), drive)
        << ToText(layout);
    EXPECT_THAT(layout.problems, IsEmpty());
    EXPECT_THAT(Disagreements(RegionsNow(session()), layout), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, CreateLogicalDrive,
                         ::testing::ValuesIn(Setups({kMbr512, kMbrOddChs, kMbr4Kn})), SetupName());

// The whole of a free region can be taken: no free region is left where it was.
class CreatePartitionExtent : public CreatePartition {
 protected:
  // What the test before made is deleted.
  void SetUp() override {
    CreatePartition::SetUp();
    for (;;) {
      const auto regions = RegionsNow(session());
      const auto left = std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
      if (left == regions.end()) break;
      ASSERT_THAT(session().DeletePartition(SpecOf(*left)), Succeeds());
    }
    lab().last_images.clear();
  }
};

TEST_P(CreatePartitionExtent, TakesAWholeFreeRegion) {
  Checks("DMRP-0612", "DMRP-0619");
  const REGION_INFO_EX free = FreeRegion(session());
  ASSERT_THAT(session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, free.length)), Succeeds());
  const harness::DiskLayout layout = LayoutOf();
  EXPECT_THAT(Disagreements(RegionsNow(session()), layout), IsEmpty());
  EXPECT_LT(disk().freeBytes, Cylinder());
}

// A start in the middle of a free region leaves free space on both sides.
TEST_P(CreatePartitionExtent, StartsInTheMiddleOfAFreeRegion) {
  Checks("DMRP-0612", "DMRP-0619");
  const REGION_INFO_EX free = FreeRegion(session());
  std::int64_t third_of_it = free.length / 3;
  third_of_it -= third_of_it % (std::int64_t{8} * disk().bytesPerSector);
  const std::int64_t start = free.start + third_of_it;
  ASSERT_THAT(session().CreatePartition(Spec(free, REGION_PRIMARY, start, third_of_it)), Succeeds());
  const harness::DiskLayout layout = LayoutOf();
  ASSERT_THAT(layout.partitions, Not(IsEmpty()));
  const auto regions = RegionsNow(session());
  EXPECT_THAT(Disagreements(regions, layout), IsEmpty());
  EXPECT_GE(std::ranges::count_if(regions, harness::IsFree), 2);
}

// Four primaries fill an MBR; each is told apart by its own region, and the fifth is refused.
TEST_P(CreatePartitionExtent, MakesAsManyAsTheTableHolds) {
  Checks("DMRP-0612", "DMRP-0191", "DMRP-0611");
  if (kind().style != PARTITIONSTYLE_MBR) {
    GTEST_SKIP() << "an MBR's limit";
  }
  const std::size_t already = LayoutOf().partitions.size();
  for (std::size_t made = already; made < 4; ++made) {
    const REGION_INFO_EX free = FreeRegion(session());
    std::int64_t length = free.length / 8;
    length -= length % (std::int64_t{8} * disk().bytesPerSector);
    ASSERT_THAT(session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, length)), Succeeds())
        << made;
  }
  if (third()) {
    EXPECT_GE(disk().maxPartitionCount, 4U);
  }
  const Observation before = ObserveAll(session());
  const REGION_INFO_EX free = FreeRegion(session());
  EXPECT_THAT(session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, free.length)), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Kinds, CreatePartitionExtent,
                         ::testing::ValuesIn(Setups({kMbr512, kMbr4Kn, kGpt, kGpt4Kn})), SetupName());

}  // namespace
}  // namespace dmrp::suites
