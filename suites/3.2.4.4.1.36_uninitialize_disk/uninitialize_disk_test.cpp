// UninitializeDisk (3.2.4.4.1.36, 3.2.4.4.3.39).
#include "suites/support/dynamic_volumes.hpp"

#include <limits>
#include <optional>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Uninitialization : WatchedDynamicOperation {
  std::optional<harness::DiskLayout> table;  ///< when the work is done; none without images
};

class UninitializeDisk : public DynamicTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
  // Makes that disk basic, and returns when the work is done.
  Outcome<UninitializeDiskReply> Uninitialize(std::size_t index = 0) {
    const DISK_INFO_EX disk = DiskNow(session(), index);
    const std::uint64_t mark = session().sink().Count();
    auto reply = DynamicTest::UninitializeDisk(session(), disk.id, disk.lastKnownState);
    if (reply.succeeded()) {
      TASK_INFO final = reply->tinfo;
      final.status = REQ_COMPLETED;
      final.error = 0;
      ExpectCompletion(session(), final, mark);
    }
    return reply;
  }
  // The only disk of its group becomes basic.
  const Uninitialization& Uninitialized() {
    StartScenario(1);
    return Once([this] {
      Uninitialization seen;
      static_cast<WatchedDynamicOperation&>(seen) = Watch(session(), [&] { return Uninitialize(); });
      if (target().Can("images")) seen.table = LayoutOf();
      return seen;
    });
  }
};

// No dynamic structure is left that a reader would find, and the table is an empty one of a basic disk.
TEST_P(UninitializeDisk, ConvertsTheDisk) {
  Checks("DMRP-1123", "DMRP-1128", "DMRP-1129", "DMRP-1131", "DMRP-1725", "DMRP-1726");
  NeedsCapability("images");
  const Uninitialization& seen = Uninitialized();
  EXPECT_THAT(GroupsAfter(seen).groups, IsEmpty());
  const harness::DiskLayout& layout = seen.table.value();
  EXPECT_THAT(layout.problems, IsEmpty());
  EXPECT_THAT(layout.partitions, IsEmpty());
  ASSERT_TRUE(layout.signature);
  EXPECT_NE(*layout.signature, 0U);
}

// The others of its group forget the disk and stay sound.
TEST_P(UninitializeDisk, TakesTheDiskOutOfItsGroup) {
  Checks("DMRP-1128");
  StartDynamic(3);
  ASSERT_THAT(Uninitialize(1), Succeeds());
  const harness::DynamicLayout found = GroupsOnDisk({0, 2});
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_THAT(found.groups[0].disks, SizeIs(2));
  EXPECT_THAT(BrokenInvariants({0, 2}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// The reply says that the work goes on, or that it is done; the completion notification comes in any case.
TEST_P(UninitializeDisk, FillsTheTaskInfo) {
  Checks("DMRP-1130", "DMRP-1132");
  const TASK_INFO& task = Uninitialized().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_TRUE(task.status == REQ_STARTED || task.status == REQ_COMPLETED) << static_cast<int>(task.status);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.createTime, 0);
  EXPECT_EQ(task.tflag, 0U);
}

TEST_P(UninitializeDisk, ModifiesTheDiskObject) {
  Checks("DMRP-1134", "DMRP-0531");
  const Uninitialization& seen = Uninitialized();
  const LdmObjectId id = lab().DiskId(0);
  EXPECT_THAT(seen.notified.at(GetParam()), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, id)));
  ASSERT_NE(seen.after.FindDisk(id), nullptr) << "the disk is another object";
  const DISK_INFO_EX& before = *seen.before.FindDisk(id);
  const DISK_INFO_EX& after = *seen.after.FindDisk(id);
  EXPECT_GT(after.lastKnownState, before.lastKnownState);
  EXPECT_NE(after.deviceType, static_cast<DWORD>(DEVICETYPE_VM));
  EXPECT_EQ(harness::Text(after.dgName), "");
}

TEST_P(UninitializeDisk, ReplacesTheRegionObjects) {
  Checks("DMRP-1135", "DMRP-1136", "DMRP-0529", "DMRP-0530");
  const Uninitialization& seen = Uninitialized();
  const auto& told = seen.notified.at(GetParam());
  const std::vector<REGION_INFO_EX>& before = seen.before.RegionsOf(lab().DiskId(0));
  ASSERT_FALSE(before.empty());
  const std::vector<REGION_INFO_EX>& after = seen.after.RegionsOf(lab().DiskId(0));
  for (const REGION_INFO_EX& region : before) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
  }
  ASSERT_FALSE(after.empty());
  for (const REGION_INFO_EX& region : after) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
  }
}

// A disk that holds a volume keeps it.
TEST_P(UninitializeDisk, RefusesADiskThatIsNotEmpty) {
  Checks("DMRP-1125", "DMRP-1127");
  StartDynamic(1);
  Make(session(), ShapesOfEachLayout().front());
  const Observation before = ObserveAll(session());
  const DISK_INFO_EX disk = DiskNow(session());
  EXPECT_THAT(DynamicTest::UninitializeDisk(session(), disk.id, disk.lastKnownState), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

TEST_P(UninitializeDisk, RefusesWhatIsNoDiskOrAStaleState) {
  Checks("DMRP-1123", "DMRP-1124", "DMRP-1127", "DMRP-0495");
  StartSharedDynamic(1);
  const Observation before = ObserveAll(session());
  const DISK_INFO_EX disk = DiskNow(session());
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), RegionsNow(session()).front().id}) {
    EXPECT_THAT(DynamicTest::UninitializeDisk(session(), id, disk.lastKnownState), Refused()) << id;
  }
  for (const std::int64_t state : {disk.lastKnownState - 1, disk.lastKnownState + 1}) {
    EXPECT_THAT(DynamicTest::UninitializeDisk(session(), disk.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, UninitializeDisk, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
