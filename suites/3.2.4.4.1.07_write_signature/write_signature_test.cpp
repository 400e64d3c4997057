// IVolumeClient::WriteSignature (3.2.4.4.1.7).
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/watched_operation.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

// The method is IVolumeClient's alone; clients of either revision can ask the object for it.
class WriteSignature : public DiskOperationTest {
 protected:
  const WatchedDiskOperation& Written() {
    return Once([this] {
      const DISK_INFO_EX blank = disk();
      return WatchOnDisk([&] { return session().WriteSignature(blank.id, blank.lastKnownState); });
    });
  }
};

// An MBR signature is written and the partition table initialized: empty, with a signature of its own.
TEST_P(WriteSignature, WritesAnEmptyTableWithASignature) {
  Checks("DMRP-0680", "DMRP-0676", "DMRP-0681", third() ? "DMRP-0196" : "DMRP-0680");
  const auto [before, layout] = TablesOf(Written());
  ASSERT_EQ(before.style, harness::TableStyle::kNone);
  EXPECT_EQ(layout.style, harness::TableStyle::kMbr);
  EXPECT_THAT(layout.partitions, IsEmpty());
  ASSERT_TRUE(layout.signature);
  EXPECT_NE(*layout.signature, 0U);
  if (third()) {
    const DISK_INFO_EX& after = DiskIn(Written().after);
    EXPECT_EQ(after.partitionStyle, PARTITIONSTYLE_MBR);
    ASSERT_TRUE(after.mbr);
    EXPECT_EQ(after.mbr->signature, *layout.signature);
  }
}

TEST_P(WriteSignature, FillsTheTaskInfo) {
  Checks("DMRP-0682", "DMRP-0683", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  const TASK_INFO& task = Written().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_EQ(task.status, REQ_COMPLETED);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.createTime, 0);
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.type, PROGRESS_UNKNOWN);
  EXPECT_EQ(task.tflag, 0U);
}

// The disk object is modified for its changed status: it had no signature, and now space for partitions.
TEST_P(WriteSignature, ModifiesTheDiskObject) {
  Checks("DMRP-0684", third() ? "DMRP-0188" : "DMRP-0142", "DMRP-0531");
  const DISK_INFO_EX& blank = DiskIn(Written().before);
  EXPECT_NE(blank.deviceState & DEVICESTATE_NOSIG, 0U) << "a disk without signature says so";
  EXPECT_THAT(Written().notified.at(Asked()),
              Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, blank.id)));
  const DISK_INFO_EX& after = DiskIn(Written().after);
  EXPECT_GT(after.lastKnownState, blank.lastKnownState);
  EXPECT_EQ(after.deviceState & DEVICESTATE_NOSIG, 0U);
  const auto& regions = RegionsIn(Written().after);
  const auto free = std::ranges::find(regions, REGION_FREE, &REGION_INFO_EX::regionType);
  ASSERT_NE(free, regions.end());
  EXPECT_GT(free->length, after.length / 2);
}

std::vector<Setup> BlankSetups() {
  std::vector<Setup> setups;
  for (const auto& [revision, kind] :
       Dealt<DiskKind>({kBlank, kBlank4Kn, kBlankIde, kBlankUsb, kBlank3TiB})) {
    setups.push_back({revision, kind});
  }
  return setups;
}

INSTANTIATE_TEST_SUITE_P(Kinds, WriteSignature, ::testing::ValuesIn(BlankSetups()), SetupName());

struct Wrong {
  const char* name;
  std::function<void(LdmObjectId& id, std::int64_t& state, const StorageView& view)> spoil;
};

class WriteSignatureRefuses : public ConformanceTest,
                              public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// diskId has to name a disk, and the state to be its current one; otherwise nothing happens at all.
TEST_P(WriteSignatureRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks("DMRP-0677", "DMRP-0679", "DMRP-0676", "DMRP-0495", "DMRP-0496");
  StartShared("blank-and-mbr", {kBlank, kMbr512e});
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  LdmObjectId id = lab().DiskId(0);
  std::int64_t state = before.view.FindDisk(id)->lastKnownState;
  wrong.spoil(id, state, before.view);
  EXPECT_THAT(session.WriteSignature(id, state), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, WriteSignatureRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(Wrong{"DiskZero",
                                [](LdmObjectId& id, std::int64_t&, const StorageView&) { id = 0; }},
                          Wrong{"DiskUnknown",
                                [](LdmObjectId& id, std::int64_t&, const StorageView&) {
                                  id = std::numeric_limits<LdmObjectId>::max();
                                }},
                          Wrong{"DiskIsARegion",
                                [](LdmObjectId& id, std::int64_t& state, const StorageView& view) {
                                  for (const auto& [disk, regions] : view.regions) {
                                    if (regions.empty()) {
                                      continue;
                                    }
                                    id = regions.front().id;
                                    state = regions.front().lastKnownState;
                                  }
                                }},
                          Wrong{"StateOneBelow",
                                [](LdmObjectId&, std::int64_t& state, const StorageView&) { --state; }},
                          Wrong{"StateOneAbove",
                                [](LdmObjectId&, std::int64_t& state, const StorageView&) { ++state; }},
                          Wrong{"StateOfAnotherDisk",
                                [](LdmObjectId& id, std::int64_t& state, const StorageView& view) {
                                  for (const DISK_INFO_EX& disk : view.disks) {
                                    if (disk.id != id && disk.lastKnownState != state) {
                                      state = disk.lastKnownState;
                                    }
                                  }
                                  state += 1000;
                                }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
