#include "suites/support/watched_operation.hpp"

namespace dmrp::suites {

Result<WatchedOperation> BeforeOperation(Lab& lab, Session& session) {
  WatchedOperation seen;
  auto view = session.View();
  if (!view) return tl::unexpected(view.error());
  seen.before = *std::move(view);
  for (const Revision revision : {Revision::kIVolumeClient, Revision::kIVolumeClient3}) {
    auto client = lab.SessionOf(revision);
    if (!client) return tl::unexpected(client.error());
    seen.marks[revision] = (*client)->sink().Count();
  }
  return seen;
}

Result<void> NoteNotified(Lab& lab, WatchedOperation& seen) {
  for (const auto& [revision, mark] : seen.marks) {
    auto client = lab.SessionOf(revision);
    if (!client) return tl::unexpected(client.error());
    seen.notified[revision] = (*client)->sink().Objects(mark);
  }
  return {};
}

void ExpectCompleted(const TASK_INFO& tinfo) {
  EXPECT_NE(tinfo.id, 0);
  EXPECT_EQ(tinfo.status, REQ_COMPLETED);
  EXPECT_EQ(tinfo.error, 0);
  EXPECT_EQ(tinfo.createTime, 0);
  EXPECT_EQ(tinfo.clientID, 0);
  EXPECT_EQ(tinfo.percentComplete, 0U);
  EXPECT_EQ(tinfo.tflag, 0U);
}

std::pair<harness::DiskLayout, harness::DiskLayout> DiskOperationTest::TablesOf(
    const WatchedDiskOperation& seen) {
  NeedsCapability("images");
  return {seen.table_before.value(), seen.table_after.value()};
}

const DISK_INFO_EX& DiskOperationTest::DiskIn(const StorageView& view) {
  const DISK_INFO_EX* disk = view.FindDisk(lab().DiskId(0));
  [&] { ASSERT_NE(disk, nullptr) << "disk " << lab().DiskId(0) << " is not listed"; }();
  return *disk;
}

const std::vector<REGION_INFO_EX>& DiskOperationTest::RegionsIn(const StorageView& view) {
  return view.RegionsOf(lab().DiskId(0));
}

}  // namespace dmrp::suites
