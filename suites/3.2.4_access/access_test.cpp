// Authorization (2.1, 3.2.4): who may call what. Refusal precedes any effect.
#include "suites/support/conformance_test.hpp"

#include <functional>

namespace dmrp::suites {
namespace {

struct Method {
  const char* name;
  std::function<bool(Session&, const StorageView&)> denied;
};

template <typename Reply>
bool Denied(const Outcome<Reply>& outcome) {
  const bool denied = ::testing::Matches(DeniesAccess())(outcome);
  if (!denied) {
    ADD_FAILURE() << "Expected: access denied\n  Actual: " << ResultText(outcome) << "\n"
                  << outcome.call.text;
  }
  return denied;
}

// Each method with arguments that would be accepted from an administrator.
std::vector<Method> Methods() {
  return {
      {"Initialize", [](Session& s, const StorageView&) { return Denied(s.Initialize()); }},
      {"EnumDisks", [](Session& s, const StorageView&) { return Denied(s.EnumDisks()); }},
      {"EnumDiskRegions",
       [](Session& s, const StorageView& v) { return Denied(s.EnumDiskRegions(v.disks.front().id)); }},
      {"CreatePartition",
       [](Session& s, const StorageView& v) {
         CreatePartitionRequest request;
         for (const REGION_INFO_EX& region : v.RegionsOf(v.disks.front().id)) {
           if (region.regionType == REGION_FREE) {
             request.partitionSpec = Spec(region, REGION_PRIMARY, region.start, MiB(4));
           }
         }
         return Denied(s.Call<CreatePartitionReply>(s.interface(), "CreatePartition", request));
       }},
      {"DeletePartition",
       [](Session& s, const StorageView& v) {
         DeletePartitionRequest request;
         for (const REGION_INFO_EX& region : v.RegionsOf(v.disks.front().id)) {
           if (region.regionType == REGION_PRIMARY) {
             request.partitionSpec = SpecOf(region);
           }
         }
         request.force = true;
         return Denied(s.Call<DeletePartitionReply>(s.interface(), "DeletePartition", request));
       }},
      {"MarkActivePartition",
       [](Session& s, const StorageView& v) {
         MarkActivePartitionRequest request;
         for (const REGION_INFO_EX& region : v.RegionsOf(v.disks.front().id)) {
           if (region.regionType != REGION_PRIMARY) {
             continue;
           }
           request.regionId = region.id;
           request.regionLastKnownState = region.lastKnownState;
         }
         return Denied(s.Call<MarkActivePartitionReply>(s.interface(), "MarkActivePartition", request));
       }},
      {"WriteSignature",
       [](Session& s, const StorageView& v) {
         WriteSignatureRequest request;
         request.diskId = v.disks.front().id;
         request.diskLastKnownState = v.disks.front().lastKnownState;
         return Denied(s.Call<WriteSignatureReply>(kIVolumeClient, "WriteSignature", request));
       }},
      {"InitializeDiskStyle",
       [](Session& s, const StorageView& v) {
         InitializeDiskStyleRequest request;
         request.diskId = v.disks.front().id;
         request.style = PARTITIONSTYLE_GPT;
         request.diskLastKnownState = v.disks.front().lastKnownState;
         return Denied(s.Call<InitializeDiskStyleReply>(kIVolumeClient3, "InitializeDiskStyle", request));
       }},
      {"Refresh",
       [](Session& s, const StorageView&) {
         return Denied(s.Call<RefreshReply>(s.interface(), "Refresh", RefreshRequest{}));
       }},
      {"RescanDisks",
       [](Session& s, const StorageView&) {
         return Denied(s.Call<RescanDisksReply>(s.interface(), "RescanDisks", RescanDisksRequest{}));
       }},
      {"RefreshEx",
       [](Session& s, const StorageView&) {
         return Denied(s.Call<RefreshExReply>(kIVolumeClient4, "RefreshEx", RefreshExRequest{}));
       }},
      {"EnumTasks", [](Session& s, const StorageView&) { return Denied(s.EnumTasks()); }},
      {"GetTaskDetail", [](Session& s, const StorageView&) { return Denied(s.GetTaskDetail(1)); }},
      {"HrGetErrorData", [](Session& s, const StorageView&) { return Denied(s.HrGetErrorData(0, 0)); }},
      {"GetMaxAdjustedFreeSpace",
       [](Session& s, const StorageView& v) {
         GetMaxAdjustedFreeSpaceRequest request;
         request.diskId = v.disks.front().id;
         return Denied(
             s.Call<GetMaxAdjustedFreeSpaceReply>(kIVolumeClient2, "GetMaxAdjustedFreeSpace", request));
       }},
      {"Uninitialize", [](Session& s, const StorageView&) { return Denied(s.Uninitialize()); }},
  };
}

class AccessOfUsers : public ConformanceTest,
                      public ::testing::WithParamInterface<std::tuple<Revision, Method>> {};

// An account that is in no administrative group is refused: at activation or at the call, before anything
// happens.
TEST_P(AccessOfUsers, IsDenied) {
  const auto& [revision, method] = GetParam();
  Checks("DMRP-0519", "DMRP-0520", revision == Revision::kIVolumeClient ? "DMRP-0015" : "DMRP-0017",
         "DMRP-0016", "DMRP-0018");
  const harness::Account* user = target().Find(harness::Role::kUser);
  if (user == nullptr) {
    GTEST_SKIP() << "the target file names no account without rights";
  }
  StartSharedWith("access", {{kBlank.Spec(), Table("label: dos\nstart=2048, size=16384, type=7\n")}});
  Session& administrator = SessionOf(revision);
  const Observation before = ObserveAll(administrator);

  auto host = Need(lab().NewHost(*user));
  auto session = host->Open(
      {.revision = revision, .initialize = false, .name = "user", .account = {}, .auth_level = {}});
  if (session) {
    EXPECT_TRUE(method.denied(**session, before.view));
  } else {
    EXPECT_TRUE(session.error().kind == ErrorKind::kDenied || session.error().status == 0x80070005U)
        << session.error().ToString();
  }
  EXPECT_THAT(ObserveAll(administrator), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Matrix, AccessOfUsers,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(Methods())),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

class AccessOfManagers : public ConformanceTest,
                         public ::testing::WithParamInterface<std::tuple<Revision, harness::Role>> {};

// Administrators and backup operators manage disks.
TEST_P(AccessOfManagers, IsGranted) {
  const auto& [revision, role] = GetParam();
  Checks("DMRP-0519", "DMRP-0014");
  const harness::Account* account = target().Find(role);
  if (account == nullptr) {
    GTEST_SKIP() << "the target file names no account of this kind";
  }
  Start({kMbr512});
  auto host = Need(lab().NewHost(*account));
  auto session = Need(host->Open({.revision = revision, .name = "manager", .account = {}, .auth_level = {}}));
  ASSERT_TRUE(session->initialized());
  const StorageView view = Need(session->View());
  for (const REGION_INFO_EX& region : view.RegionsOf(lab().DiskId(0))) {
    if (region.regionType != REGION_FREE) {
      continue;
    }
    EXPECT_THAT(session->CreatePartition(Spec(region, REGION_PRIMARY, region.start, MiB(4))), Succeeds());
    return;
  }
  FAIL() << "no free region";
}

INSTANTIATE_TEST_SUITE_P(Matrix, AccessOfManagers,
                         ::testing::Combine(kBothRevisions,
                                            ::testing::Values(harness::Role::kAdministrator,
                                                              harness::Role::kBackupOperator)),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::string(harness::ToString(std::get<1>(info.param)));
                         });

class Identity : public ConformanceTest {};

// A wrong password is no identity at all.
TEST_F(Identity, NeedsTheRightPassword) {
  Checks("DMRP-0520");
  StartShared("one-mbr-disk", {kMbr512});
  harness::Account stranger = *target().Find(harness::Role::kAdministrator);
  stranger.password += "?";
  auto host = Need(lab().NewHost(stranger));
  EXPECT_FALSE(host->Open(
      {.revision = Revision::kIVolumeClient3, .name = "stranger", .account = {}, .auth_level = {}}));
}

}  // namespace
}  // namespace dmrp::suites
