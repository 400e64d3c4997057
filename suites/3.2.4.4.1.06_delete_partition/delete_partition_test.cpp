// DeletePartition of IVolumeClient (3.2.4.4.1.6) and IVolumeClient3 (3.2.4.4.3.6).
#include "harness/guest/guest.hpp"
#include "suites/support/partition_layout.hpp"
#include "suites/support/watched_operation.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Deletion : WatchedDiskOperation {
  REGION_INFO_EX victim;
};

class DeletePartition : public DiskOperationTest {
 protected:
  // Makes a partition at the start of the free space.
  REGION_INFO_EX MakePartition() {
    const REGION_INFO_EX free = FreeRegion(session());
    std::int64_t length = free.length / 4;
    length -= length % (std::int64_t{8} * disk().bytesPerSector);
    const auto made = session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, length));
    [&] { ASSERT_THAT(made, Succeeds()); }();
    for (const REGION_INFO_EX& region : RegionsNow(session())) {
      if (region.id == made->tinfo.storageId) {
        return region;
      }
    }
    ADD_FAILURE() << "the partition is gone";
    return {};
  }
  const Deletion& Deleted() {
    return Once([this] {
      Deletion seen;
      seen.victim = MakePartition();
      static_cast<WatchedDiskOperation&>(seen) =
          WatchOnDisk([&] { return session().DeletePartition(SpecOf(seen.victim)); });
      return seen;
    });
  }
  // What the caller was told before the reply.
  const std::vector<ReceivedObject>& Told() { return Deleted().notified.at(Asked()); }
};

// The partition's entry goes from the table; the others stay.
TEST_P(DeletePartition, RemovesTheEntry) {
  Checks("DMRP-0665", "DMRP-0666", "DMRP-1570", "DMRP-0657");
  const auto [before, after] = TablesOf(Deleted());
  EXPECT_EQ(after.FindAt(static_cast<std::uint64_t>(Deleted().victim.start)), nullptr) << ToText(after);
  EXPECT_EQ(after.partitions.size() + 1, before.partitions.size());
  EXPECT_THAT(Added(before, after), IsEmpty());
  EXPECT_THAT(Disagreements(RegionsIn(Deleted().after), after), IsEmpty());
  EXPECT_THAT(after.problems, IsEmpty());
}

// tinfo: fresh id, final status, storageId 0 or the deleted region, the rest zero.
TEST_P(DeletePartition, FillsTheTaskInfo) {
  Checks("DMRP-0667", "DMRP-0668", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  const TASK_INFO& task = Deleted().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_EQ(task.status, REQ_COMPLETED);
  EXPECT_EQ(task.error, 0);
  EXPECT_TRUE(task.storageId == 0 || task.storageId == Deleted().victim.id) << task.storageId;
  EXPECT_EQ(task.createTime, 0);
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.type, PROGRESS_UNKNOWN);
  EXPECT_EQ(task.tflag, 0U);
}

// The disk object is modified, the region object deleted, the space given back, the file system object
// deleted; each is notified before the reply.
TEST_P(DeletePartition, ModifiesTheDiskObject) {
  Checks("DMRP-0669", "DMRP-0531");
  const DISK_INFO_EX& before = DiskIn(Deleted().before);
  const DISK_INFO_EX& after = DiskIn(Deleted().after);
  EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, before.id)));
  EXPECT_GT(after.lastKnownState, before.lastKnownState);
  EXPECT_GT(after.freeBytes, before.freeBytes);
}

TEST_P(DeletePartition, DeletesTheRegionObject) {
  Checks("DMRP-0670", "DMRP-0523", "DMRP-0530");
  EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, Deleted().victim.id)));
  EXPECT_EQ(std::ranges::count(RegionsIn(Deleted().after), Deleted().victim.id, &REGION_INFO_EX::id), 0);
}

TEST_P(DeletePartition, GivesTheSpaceBack) {
  Checks("DMRP-0671", third() ? "DMRP-0181" : "DMRP-0135");
  const REGION_INFO_EX& victim = Deleted().victim;
  EXPECT_TRUE(std::ranges::any_of(Told(), [](const ReceivedObject& object) {
    return object.region && harness::IsFree(*object.region) &&
           (object.action == LDMACTION_CREATED || object.action == LDMACTION_MODIFIED);
  })) << "no notification about a free region";
  std::int64_t free = 0;
  bool covered = false;
  for (const REGION_INFO_EX& region : RegionsIn(Deleted().after)) {
    if (!harness::IsFree(region)) {
      continue;
    }
    free += region.length;
    covered = covered ||
              (region.start <= victim.start && victim.start + victim.length <= region.start + region.length);
  }
  EXPECT_TRUE(covered) << "no free region covers the space of the partition";
  EXPECT_EQ(DiskIn(Deleted().after).freeBytes, free);
}

TEST_P(DeletePartition, DeletesTheFileSystemObject) {
  Checks("DMRP-0673", "DMRP-0460");
  const REGION_INFO_EX& victim = Deleted().victim;
  if (victim.fsId == 0) {
    GTEST_SKIP() << "the partition has no file system object";
  }
  EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_DELETED, victim.fsId)));
}

// A length greater than the region's is accepted; only a smaller one is refused.
TEST_P(DeletePartition, AcceptsAGreaterLength) {
  Checks("DMRP-0662");
  const REGION_INFO_EX victim = MakePartition();
  REGION_SPEC spec = SpecOf(victim);
  spec.length += disk().bytesPerSector;
  EXPECT_THAT(session().DeletePartition(spec), Succeeds());
  EXPECT_EQ(std::ranges::count(RegionsNow(session()), victim.id, &REGION_INFO_EX::id), 0);
}

// What was created and deleted can be created again; the new region is another object.
TEST_P(DeletePartition, NeverGivesTheIdentifierAgain) {
  Checks("DMRP-0490", "DMRP-0525");
  const LdmObjectId deleted = Deleted().victim.id;
  EXPECT_NE(MakePartition().id, deleted);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DeletePartition,
                         ::testing::ValuesIn(Setups({kMbr512, kMbrOddChs, kMbr4Kn, kGpt, kGpt3TiB})),
                         SetupName());

// Logical drives and the extended partition.
class DeleteLogicalDrive : public RevisionTest {
 protected:
  void SetUp() override {
    StartWith({{kBlank.Spec(), Table(R"(label: dos
start=2048, size=8192, type=7
start=12288, size=65536, type=f
start=14336, size=8192, type=7
start=24576, size=8192, type=7
start=34816, size=8192, type=7
)")}});
  }
  REGION_INFO_EX Drive(std::size_t number) {
    std::vector<REGION_INFO_EX> drives;
    for (const REGION_INFO_EX& region : RegionsNow(session())) {
      if (region.regionType == REGION_LOGICAL) {
        drives.push_back(region);
      }
    }
    return drives.at(number);
  }
};

// Whichever drive of the chain goes, the others stay where they are.
TEST_P(DeleteLogicalDrive, MendsTheChain) {
  Checks("DMRP-0665", "DMRP-0670", "DMRP-0671");
  for (std::size_t number : {1U, 0U, 0U}) {
    const harness::DiskLayout before = LayoutOf();
    const REGION_INFO_EX victim = Drive(number);
    ASSERT_THAT(session().DeletePartition(SpecOf(victim)), Succeeds());
    const harness::DiskLayout after = LayoutOf();
    EXPECT_EQ(after.partitions.size() + 1, before.partitions.size()) << ToText(after);
    EXPECT_THAT(Added(before, after), IsEmpty()) << "a drive moved: " << ToText(after);
    EXPECT_THAT(after.problems, IsEmpty());
    EXPECT_THAT(Disagreements(RegionsNow(session()), after), IsEmpty());
  }
}

// An extended partition with drives in it is in use; one without can be deleted.
TEST_P(DeleteLogicalDrive, DeletesAnEmptyExtendedPartition) {
  Checks("DMRP-0665", "DMRP-0670");
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(session().DeletePartition(SpecOf(Drive(0))), Succeeds());
  }
  const auto regions = RegionsNow(session());
  auto extended = std::ranges::find(regions, REGION_EXTENDED, &REGION_INFO_EX::regionType);
  ASSERT_NE(extended, regions.end());
  ASSERT_THAT(session().DeletePartition(SpecOf(*extended)), Succeeds());
  EXPECT_THAT(LayoutOf().partitions, SizeIs(1));
  EXPECT_THAT(Disagreements(RegionsNow(session()), LayoutOf()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, DeleteLogicalDrive, kBothRevisions, RevisionName());

// Each listed check by itself.
struct Broken {
  const char* name;
  const char* id;
  std::function<void(REGION_SPEC& spec, const StorageView& view, LdmObjectId other_disk)> spoil;
};

class DeletePartitionRefuses : public ConformanceTest,
                               public ::testing::WithParamInterface<std::tuple<Revision, Broken>> {};

TEST_P(DeletePartitionRefuses, Because) {
  const auto& [revision, broken] = GetParam();
  Checks(broken.id, "DMRP-0664", "DMRP-0495", "DMRP-1570", "DMRP-0657");
  StartSharedWith("two-partitions", {{kBlank.Spec(), Table(R"(label: dos
start=2048, size=16384, type=7
start=20480, size=16384, type=7
)")},
                                     {kMbr512e.Spec(), {}}});
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  const StorageView& view = before.view;
  const auto& regions = view.RegionsOf(lab().DiskId(0));
  auto victim = std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
  ASSERT_NE(victim, regions.end());
  REGION_SPEC spec = SpecOf(*victim);
  broken.spoil(spec, view, lab().DiskId(1));

  EXPECT_THAT(session.DeletePartition(spec, true), Refused());

  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

const std::vector<Broken>& BrokenRequests() {
  using View = StorageView;
  static const std::vector<Broken> kBroken = {
      {"DiskZero", "DMRP-0658", [](REGION_SPEC& s, const View&, LdmObjectId) { s.diskId = 0; }},
      {"DiskUnknown", "DMRP-0658", [](REGION_SPEC& s, const View&, LdmObjectId) { s.diskId += 100000; }},
      {"DiskIsARegion", "DMRP-0658", [](REGION_SPEC& s, const View&, LdmObjectId) { s.diskId = s.regionId; }},
      {"RegionZero", "DMRP-0659", [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionId = 0; }},
      {"RegionUnknown", "DMRP-0659",
       [](REGION_SPEC& s, const View&, LdmObjectId) {
         s.regionId = std::numeric_limits<LdmObjectId>::min();
       }},
      {"RegionIsADisk", "DMRP-0659", [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionId = s.diskId; }},
      {"StateOneBelow", "DMRP-0659", [](REGION_SPEC& s, const View&, LdmObjectId) { --s.lastKnownState; }},
      {"StateOneAbove", "DMRP-0496", [](REGION_SPEC& s, const View&, LdmObjectId) { ++s.lastKnownState; }},
      {"TypeLogical", "DMRP-0660",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_LOGICAL; }},
      {"TypeFree", "DMRP-0660", [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_FREE; }},
      {"TypeExtended", "DMRP-0660",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_EXTENDED; }},
      {"StartOneSectorBelow", "DMRP-0661", [](REGION_SPEC& s, const View&, LdmObjectId) { s.start -= 512; }},
      {"StartOneSectorAbove", "DMRP-0661", [](REGION_SPEC& s, const View&, LdmObjectId) { s.start += 512; }},
      {"StartZero", "DMRP-0661", [](REGION_SPEC& s, const View&, LdmObjectId) { s.start = 0; }},
      {"LengthOneByteShort", "DMRP-0662", [](REGION_SPEC& s, const View&, LdmObjectId) { --s.length; }},
      {"LengthOneSectorShort", "DMRP-0662",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.length -= 512; }},
      {"LengthZero", "DMRP-0662", [](REGION_SPEC& s, const View&, LdmObjectId) { s.length = 0; }},
  };
  return kBroken;
}

INSTANTIATE_TEST_SUITE_P(Both, DeletePartitionRefuses,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(BrokenRequests())),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

// force: without it a partition in use stays; with it the partition goes.
class DeletePartitionInUse : public RevisionTest {
 protected:
  // The partition is mounted in the target's machine, as a file system that somebody uses.
  void HoldOpen() {
    NeedsCapability("execute");
    Start({kMbr512});
    harness::Guest& guest = GuestOrSkip();
    const REGION_INFO_EX free = FreeRegion(session());
    const auto made = session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(16)));
    ASSERT_THAT(made, Succeeds());
    region_id_ = made->tinfo.storageId;
    const std::string device = "/dev/" + guest.disks().at(0).guest_device + "1";
    Need(guest.agent().Shell("modprobe vfat && mkfs.fat " + device +
                             " >/dev/null && mkdir -p /tmp/held && mount -t vfat " + device + " /tmp/held"));
  }
  REGION_SPEC Held() {
    for (const REGION_INFO_EX& region : RegionsNow(session())) {
      if (region.id == region_id_) {
        return SpecOf(region);
      }
    }
    return {};
  }
  LdmObjectId region_id_ = 0;
};

TEST_P(DeletePartitionInUse, FailsWithoutForce) {
  Checks("DMRP-0656", GetParam() == Revision::kIVolumeClient3 ? "DMRP-1572" : "DMRP-0665");
  HoldOpen();
  const Observation before = ObserveAll(session(), false);
  EXPECT_THAT(session().DeletePartition(Held(), false), Refused());
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
  EXPECT_THAT(LayoutOf().partitions, SizeIs(1));
}

TEST_P(DeletePartitionInUse, SucceedsWithForce) {
  Checks("DMRP-0656", GetParam() == Revision::kIVolumeClient3 ? "DMRP-1572" : "DMRP-0665");
  HoldOpen();
  EXPECT_THAT(session().DeletePartition(Held(), true), Succeeds());
  EXPECT_THAT(LayoutOf().partitions, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, DeletePartitionInUse, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
