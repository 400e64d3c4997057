#include "reference_server/storage/volume_device.hpp"

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using std::chrono::seconds;
using Standing = SyncWatch::Standing;

class SyncWatchTest : public testing::Test {
 protected:
  // What a look says after `at`, at a volume of two members.
  Standing Look(seconds at, SyncKind sync, MemberState second, std::uint32_t event = 7) {
    VolumeStatus status;
    status.device.event = event;
    status.members = {MemberState::kInSync, second};
    status.sync = sync;
    return Look(at, status);
  }
  Standing Look(seconds at, const VolumeStatus& status) {
    return watch_.Look(status, std::chrono::steady_clock::time_point() + at);
  }

 private:
  SyncWatch watch_;
};

TEST_F(SyncWatchTest, IsDoneWhenAllMembersAreInSync) {
  EXPECT_EQ(Look(seconds(0), SyncKind::kRebuild, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(60), SyncKind::kRebuild, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(61), SyncKind::kNone, MemberState::kInSync, 8), Standing::kDone);
}

TEST_F(SyncWatchTest, IsDoneAtOnceWhereNothingIsRebuilt) {
  EXPECT_EQ(Look(seconds(0), SyncKind::kNone, MemberState::kMissing), Standing::kDone);
}

TEST_F(SyncWatchTest, WaitsForARebuildThatHasNotBegun) {
  EXPECT_EQ(Look(seconds(0), SyncKind::kNone, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(4), SyncKind::kNone, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(6), SyncKind::kNone, MemberState::kRebuilding), Standing::kGivenUp);
}

TEST_F(SyncWatchTest, IsGivenUpWhenTheKernelStoppedAndTheMemberStillWaits) {
  EXPECT_EQ(Look(seconds(0), SyncKind::kRebuild, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(1), SyncKind::kNone, MemberState::kRebuilding, 8), Standing::kGivenUp);
}

TEST_F(SyncWatchTest, IsGivenUpWhenTheMemberFailed) {
  EXPECT_EQ(Look(seconds(0), SyncKind::kRebuild, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(1), SyncKind::kNone, MemberState::kFailed), Standing::kGivenUp);
}

TEST_F(SyncWatchTest, IsGivenUpWhenTheVolumeIsPutTogetherWithoutTheMember) {
  EXPECT_EQ(Look(seconds(0), SyncKind::kRebuild, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(1), SyncKind::kNone, MemberState::kMissing), Standing::kGivenUp);
}

TEST_F(SyncWatchTest, IsGivenUpWhenTheVolumeIsMadeOfOneMemberAlone) {
  EXPECT_EQ(Look(seconds(0), SyncKind::kRebuild, MemberState::kRebuilding), Standing::kGoingOn);
  EXPECT_EQ(Look(seconds(1), VolumeStatus{}), Standing::kGivenUp);
}

}  // namespace
}  // namespace dmrp::server
