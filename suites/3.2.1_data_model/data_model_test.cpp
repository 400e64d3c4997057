// The server's abstract data (3.2.1, 3.2.3): storage objects, clients and tasks as all queries together show
// them.
#include "suites/support/conformance_test.hpp"
#include "suites/support/partition_layout.hpp"

#include <set>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class DataModel : public ConformanceTest {};

constexpr std::string_view kTable = R"(label: dos
start=2048, size=16384, type=7
start=20480, size=40960, type=f
start=22528, size=8192, type=7
)";

// At start-up the list of storage objects is filled with what the system has; tasks and clients are none.
TEST_F(DataModel, IsCompleteAtStartUp) {
  Checks("DMRP-0512", "DMRP-0513", "DMRP-0498", "DMRP-0481", "DMRP-0482", "DMRP-0517");
  StartWith({{kBlank.Spec(), Table(std::string(kTable))}, {kGpt4Kn.Spec(), {}}});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(Disagreements(RegionsNow(session, i), LayoutOf(i)), IsEmpty());
  }
  EXPECT_THAT(session.EnumTasks()->taskList, IsEmpty());
}

// Each object has an identifier of its own, a type and a LastKnownState; identifiers are unique over all
// kinds.
TEST_F(DataModel, NamesEveryObjectOnce) {
  Checks("DMRP-0514", "DMRP-0043", "DMRP-0488", "DMRP-0492", "DMRP-0493", "DMRP-0515", "DMRP-0276");
  StartWith({{kBlank.Spec(), Table(std::string(kTable))}, {kGpt4Kn.Spec(), {}}});
  const StorageView view = Need(SessionOf(Revision::kIVolumeClient3).View());
  std::set<LdmObjectId> ids;
  for (const DISK_INFO_EX& disk : view.disks) {
    EXPECT_TRUE(ids.insert(disk.id).second) << disk.id;
    for (const REGION_INFO_EX& region : view.RegionsOf(disk.id)) {
      EXPECT_TRUE(ids.insert(region.id).second) << region.id;
      if (region.fsId != 0) {
        EXPECT_TRUE(ids.insert(region.fsId).second) << region.fsId;
      }
      EXPECT_EQ(region.diskId, disk.id);
      EXPECT_NE(view.FindDisk(region.diskId), nullptr);
    }
  }
  EXPECT_FALSE(ids.contains(0));
}

// The initial LastKnownState is the server's choice, and good for the next call.
TEST_F(DataModel, AcceptsTheInitialLastKnownState) {
  Checks("DMRP-0515", "DMRP-0526", "DMRP-0495");
  Start({kMbr512});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const REGION_INFO_EX free = FreeRegion(session);
  const auto made = session.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(8)));
  ASSERT_THAT(made, Succeeds());
  const auto objects = session.sink().Objects();
  for (const ReceivedObject& object : objects) {
    if (object.type != DMNOTIFY_REGION_INFO || object.action != LDMACTION_CREATED) {
      continue;
    }
    if (object.id != made->tinfo.storageId) {
      continue;
    }
    EXPECT_THAT(session.MarkActivePartition(object.id, object.lastKnownState), Succeeds());
  }
}

// Many rounds of creation and deletion: no identifier returns, and LastKnownState rises each time.
TEST_F(DataModel, NeverGivesAnIdentifierAgain) {
  Checks("DMRP-0489", "DMRP-0490", "DMRP-0494", "DMRP-0509", "DMRP-0499", "DMRP-0523");
  Start({kMbr512});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  std::set<LdmObjectId> regions;
  std::set<LdmObjectId> tasks;
  std::int64_t state = DiskNow(session).lastKnownState;
  for (int round = 0; round < 20; ++round) {
    const REGION_INFO_EX free = FreeRegion(session);
    const auto made = session.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(8)));
    ASSERT_THAT(made, Succeeds());
    EXPECT_TRUE(regions.insert(made->tinfo.storageId).second) << "region id again";
    EXPECT_TRUE(tasks.insert(made->tinfo.id).second) << "task id again";
    const StorageView view = Need(session.View());
    const REGION_INFO_EX* region = view.FindRegion(made->tinfo.storageId);
    ASSERT_NE(region, nullptr);
    const auto deleted = session.DeletePartition(SpecOf(*region));
    ASSERT_THAT(deleted, Succeeds());
    EXPECT_TRUE(tasks.insert(deleted->tinfo.id).second) << "task id again";
    const std::int64_t now = DiskNow(session).lastKnownState;
    EXPECT_GT(now, state);
    state = now;
  }
}

// After a restart the server knows no client of before: nobody is called back, and a new session works.
TEST_F(DataModel, ForgetsClientsAtARestart) {
  Checks("DMRP-0516", "DMRP-0517", "DMRP-0491");
  Start({kMbr512});
  Session& old = SessionOf(Revision::kIVolumeClient3);
  const auto sink = old.shared_sink();
  Need(lab().bed().Restart());
  lab().monitor().ServerRestarted();
  const std::uint64_t mark = sink->Count();
  auto host = Need(lab().NewHost(*target().Find(harness::Role::kAdministrator)));
  auto session = Need(
      host->Open({.revision = Revision::kIVolumeClient3, .name = "after", .account = {}, .auth_level = {}}));
  ASSERT_TRUE(session->initialized());
  EXPECT_THAT(session->EnumTasks()->taskList, IsEmpty());
  const StorageView view = Need(session->View());
  ASSERT_FALSE(view.disks.empty());
  for (const REGION_INFO_EX& region : view.RegionsOf(view.disks.front().id)) {
    if (region.regionType != REGION_FREE) {
      continue;
    }
    EXPECT_THAT(session->CreatePartition(Spec(region, REGION_PRIMARY, region.start, MiB(8))), Succeeds());
    break;
  }
  EXPECT_EQ(sink->Count(), mark) << "a client of before the restart was called";
}

}  // namespace
}  // namespace dmrp::suites
