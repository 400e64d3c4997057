// ReAttachDisk (3.2.4.4.1.41, 3.2.4.4.3.44).
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/disk_return.hpp"

#include <functional>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

using Case = std::tuple<Revision, VolumeShape>;

struct CaseName {
  std::string operator()(const ::testing::TestParamInfo<Case>& info) const {
    return fmt::format("{}_{}", harness::ToString(std::get<0>(info.param)), std::get<1>(info.param).name);
  }
};

class ReAttachDiskTest : public DiskReturnTest {
 protected:
  static Outcome<ReAttachDiskReply> Call(Session& session, LdmObjectId id, std::int64_t state) {
    ReAttachDiskRequest request;
    request.diskId = id;
    request.diskLastKnownState = state;
    return session.Change<ReAttachDiskReply>(session.interface(), "ReAttachDisk", request);
  }
};

// A volume with a file system, a letter and a pattern loses its last disk, which comes back.
class ReAttachDisk : public ReAttachDiskTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartScenario(3); }
  [[nodiscard]] static Revision Asked() { return std::get<0>(GetParam()); }
  [[nodiscard]] static const VolumeShape& shape() { return std::get<1>(GetParam()); }
  Session& session() { return SessionOf(Asked()); }
  const ReturnOperation& Done() {
    return Once([this] {
      return BringBack(session(), shape(), [this](const DISK_INFO_EX& disk) {
        return Call(session(), disk.id, disk.lastKnownState);
      });
    });
  }
};

TEST_P(ReAttachDisk, BringsTheDiskOnline) {
  Checks("DMRP-1224", "DMRP-1225", "DMRP-1231", "DMRP-1220", "DMRP-1740", "DMRP-0531");
  ExpectDiskOnline(Done(), Asked());
}

TEST_P(ReAttachDisk, BringsTheVolumeOnline) {
  Checks("DMRP-1226", "DMRP-1232", "DMRP-0041");
  ExpectVolumeOnline(Done(), shape(), Asked());
  if (lab().bed().guest() != nullptr) {
    EXPECT_THAT(PatternProblems(Done().whole.id, Done().seed), IsEmpty());
  }
}

// Members of mirrors and RAID-5 volumes get what they missed; of the others nothing was lost.
TEST_P(ReAttachDisk, BringsTheMembersInStep) {
  Checks("DMRP-1226", "DMRP-1227");
  EXPECT_THAT(Done().problems, IsEmpty());
  EXPECT_THAT(Done().broken, IsEmpty());
}

TEST_P(ReAttachDisk, FillsTheTaskInfo) {
  Checks("DMRP-1227", "DMRP-1228", "DMRP-1229");
  ExpectCompleted(Done().tinfo);
}

TEST_P(ReAttachDisk, SendsTheCompletionNotification) {
  Checks("DMRP-1230", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  EXPECT_EQ(Done().end.status, REQ_COMPLETED);
  ExpectCompletion(session(), Done().tinfo, Done().marks.at(Asked()));
}

// The letter leads to the volume, as the sections about the neighbouring methods have it.
TEST_P(ReAttachDisk, HasTheLetterInUse) {
  Checks("DMRP-1233");
  ExpectLetterInUse(Done(), Asked());
}

TEST_P(ReAttachDisk, HasTheFileSystem) {
  Checks("DMRP-1234");
  ExpectFileSystem(Done(), Asked());
}

// Clients of both revisions are told, each in its own structures.
TEST_P(ReAttachDisk, IsNotifiedToClientsOfBothRevisions) {
  Checks("DMRP-1224", "DMRP-1225", "DMRP-1231", "DMRP-1226", "DMRP-1232", "DMRP-0041");
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, Done().back.id)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, Done().whole.id)));
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, ReAttachDisk,
                         ::testing::ValuesIn(Dealt(ShapesOfEachLayout(), Revision::kIVolumeClient)),
                         CaseName());

using Others = std::vector<LdmObjectId>;

struct Wrong {
  const char* name;
  std::function<std::pair<LdmObjectId, std::int64_t>(const DISK_INFO_EX& back, const Others& others)> spoil;
};

class ReAttachDiskRefuses : public ReAttachDiskTest,
                            public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(ReAttachDiskRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks("DMRP-1221", "DMRP-1223", "DMRP-1220", "DMRP-1740");
  StartSharedWith("returned-disk", {{harness::ParseDiskSpec("size=48M").value(), {}},
                                    {harness::ParseDiskSpec("size=64M").value(), {}},
                                    {harness::ParseDiskSpec("size=72M").value(), {}}});
  Session& session = SessionOf(revision);
  const auto& [id, volume] = Once([&] {
    for (const std::size_t index : {1U, 2U}) {
      const DISK_INFO_EX disk = DiskNow(session, index);
      [&] { ASSERT_THAT(InitializeDisk(session, disk.id, disk.lastKnownState), Succeeds()); }();
    }
    const ReturnOperation seen =
        PullAndReturn(session, {"Volume", VOLUMELAYOUT_SIMPLE, {{2, MiB(16)}}, MiB(16)});
    return std::pair(seen.back.id, seen.whole.id);
  });
  const Observation before = ObserveAll(session);
  const DISK_INFO_EX* back = before.view.FindDisk(id);
  ASSERT_NE(back, nullptr);
  const auto [disk, state] = wrong.spoil(*back, {lab().DiskId(0), volume});
  // Another disk is refused for what it is, not for its state.
  const DISK_INFO_EX* other = disk == id ? nullptr : before.view.FindDisk(disk);
  EXPECT_THAT(Call(session, disk, other == nullptr ? state : other->lastKnownState), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, ReAttachDiskRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"StateOneBelow", [](const DISK_INFO_EX& back,
                                      const Others&) { return std::pair(back.id, back.lastKnownState - 1); }},
            Wrong{"StateOneAbove", [](const DISK_INFO_EX& back,
                                      const Others&) { return std::pair(back.id, back.lastKnownState + 1); }},
            Wrong{"DiskUnknown",
                  [](const DISK_INFO_EX& back, const Others&) {
                    return std::pair(std::numeric_limits<LdmObjectId>::max(), back.lastKnownState);
                  }},
            Wrong{"DiskZero", [](const DISK_INFO_EX& back,
                                 const Others&) { return std::pair(LdmObjectId{0}, back.lastKnownState); }},
            Wrong{"DiskIsBasic",
                  [](const DISK_INFO_EX& back, const Others& others) {
                    return std::pair(others[0], back.lastKnownState);
                  }},
            Wrong{"DiskIsAVolume",
                  [](const DISK_INFO_EX& back,
                     const Others& others) { return std::pair(others[1], back.lastKnownState); }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
