// ReConnectDisk (3.2.4.4.1.37, 3.2.4.4.3.40).
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

class ReConnectDiskTest : public DiskReturnTest {
 protected:
  static Outcome<ReConnectDiskReply> Call(Session& session, LdmObjectId id, std::int64_t /*state*/) {
    ReConnectDiskRequest request;
    request.diskId = id;

    return session.Change<ReConnectDiskReply>(session.interface(), "ReConnectDisk", request);
  }
};

// A volume with a file system, a letter and a pattern loses its last disk, which comes back.
class ReConnectDisk : public ReConnectDiskTest, public ::testing::WithParamInterface<Case> {
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

TEST_P(ReConnectDisk, BringsTheDiskOnline) {
  Checks("DMRP-1143", "DMRP-1151", "DMRP-1139", "DMRP-1727", "DMRP-0531");
  ExpectDiskOnline(Done(), Asked());
}

TEST_P(ReConnectDisk, BringsTheVolumeOnline) {
  Checks("DMRP-1144", "DMRP-1153", "DMRP-0041");
  ExpectVolumeOnline(Done(), shape(), Asked());
  if (lab().bed().guest() != nullptr) {
    EXPECT_THAT(PatternProblems(Done().whole.id, Done().seed), IsEmpty());
  }
}

// Members of mirrors and RAID-5 volumes get what they missed; of the others nothing was lost.
TEST_P(ReConnectDisk, BringsTheMembersInStep) {
  Checks("DMRP-1145");
  EXPECT_THAT(Done().problems, IsEmpty());
  EXPECT_THAT(Done().broken, IsEmpty());
}

// The members on the disk have the status that goes with it.
TEST_P(ReConnectDisk, ModifiesTheRegions) {
  Checks("DMRP-1152");
  std::size_t members = 0;
  for (const REGION_INFO_EX& region : Done().after.RegionsOf(Done().back.id)) {
    if (region.volId != Done().whole.id) continue;
    ++members;
    EXPECT_EQ(region.status, REGIONSTATUS_OK) << ToText(region);
    const REGION_INFO_EX* before = Done().before.FindRegion(region.id);
    ASSERT_NE(before, nullptr) << "the region stays the same object";
    EXPECT_NE(before->status, region.status) << ToText(*before);
    EXPECT_THAT(Done().notified.at(Asked()),
                Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, region.id)));
  }
  EXPECT_GT(members, 0U);
}

TEST_P(ReConnectDisk, FillsTheTaskInfo) {
  Checks("DMRP-1146", "DMRP-1147", "DMRP-1148", "DMRP-1150",
         Asked() == Revision::kIVolumeClient ? "DMRP-0549" : "DMRP-0550");
  const TASK_INFO& reply = Done().tinfo;
  EXPECT_NE(reply.id, 0);
  EXPECT_THAT(reply.status, ::testing::AnyOf(REQ_STARTED, REQ_COMPLETED));
  EXPECT_EQ(reply.error, 0);
  EXPECT_EQ(reply.createTime, 0);
  EXPECT_EQ(reply.clientID, 0);
  EXPECT_EQ(reply.tflag, 0U);
}

TEST_P(ReConnectDisk, SendsTheCompletionNotification) {
  Checks("DMRP-1149", "DMRP-0563", "DMRP-0564");
  EXPECT_EQ(Done().end.status, REQ_COMPLETED);
  ExpectCompletion(session(), Done().tinfo, Done().marks.at(Asked()));
}

// The letter leads to the volume, as the sections about the neighbouring methods have it.
TEST_P(ReConnectDisk, HasTheLetterInUse) {
  Checks("DMRP-1154");
  ExpectLetterInUse(Done(), Asked());
}

TEST_P(ReConnectDisk, HasTheFileSystem) {
  Checks("DMRP-1155");
  ExpectFileSystem(Done(), Asked());
}

// Clients of both revisions are told, each in its own structures.
TEST_P(ReConnectDisk, IsNotifiedToClientsOfBothRevisions) {
  Checks("DMRP-1143", "DMRP-1151", "DMRP-1144", "DMRP-1153", "DMRP-0041");
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, Done().back.id)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, Done().whole.id)));
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, ReConnectDisk, ::testing::ValuesIn(Dealt(ShapesOfEachLayout())),
                         CaseName());

using Others = std::vector<LdmObjectId>;

struct Wrong {
  const char* name;
  std::function<std::pair<LdmObjectId, std::int64_t>(const DISK_INFO_EX& back, const Others& others)> spoil;
};

class ReConnectDiskRefuses : public ReConnectDiskTest,
                             public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(ReConnectDiskRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks("DMRP-1140", "DMRP-1142", "DMRP-1139", "DMRP-1727");
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
  EXPECT_THAT(Call(session, disk, state), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, ReConnectDiskRefuses,
    ::testing::Combine(kBothRevisions,
                       ::testing::Values(Wrong{"DiskUnknown",
                                               [](const DISK_INFO_EX& back, const Others&) {
                                                 return std::pair(std::numeric_limits<LdmObjectId>::max(),
                                                                  back.lastKnownState);
                                               }},
                                         Wrong{"DiskZero",
                                               [](const DISK_INFO_EX& back, const Others&) {
                                                 return std::pair(LdmObjectId{0}, back.lastKnownState);
                                               }},
                                         Wrong{"DiskIsBasic",
                                               [](const DISK_INFO_EX& back, const Others& others) {
                                                 return std::pair(others[0], back.lastKnownState);
                                               }},
                                         Wrong{"DiskIsAVolume",
                                               [](const DISK_INFO_EX& back, const Others& others) {
                                                 return std::pair(others[1], back.lastKnownState);
                                               }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
