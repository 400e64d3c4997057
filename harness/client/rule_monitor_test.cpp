#include "harness/client/rule_monitor.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

class RuleMonitorTest : public ::testing::Test {
 protected:
  // The ids of the rules found broken so far.
  std::vector<std::string> Broken() {
    std::vector<std::string> ids;
    for (const Violation& violation : findings_->TakeViolations()) {
      ids.insert(ids.end(), violation.requirements.begin(), violation.requirements.end());
    }
    return ids;
  }
  static CallFacts Call() {
    CallFacts call;
    call.interface = "IVolumeClient3";
    call.sent = std::chrono::steady_clock::now();
    call.replied = call.sent + std::chrono::milliseconds(1);
    return call;
  }
  static DISK_INFO_EX Disk(LdmObjectId id, std::int64_t state) {
    DISK_INFO_EX disk;
    disk.id = id;
    disk.length = 1 << 20;
    disk.lastKnownState = state;
    return disk;
  }
  static REGION_INFO_EX Region(LdmObjectId id, LdmObjectId disk, std::int64_t start, std::int64_t length) {
    REGION_INFO_EX region;
    region.id = id;
    region.diskId = disk;
    region.start = start;
    region.length = length;
    region.regionType = REGION_FREE;
    region.lastKnownState = 1;
    return region;
  }
  static TASK_INFO Task(LdmObjectId id) {
    TASK_INFO task;
    task.id = id;
    task.status = REQ_COMPLETED;
    return task;
  }

  std::shared_ptr<Findings> findings_ = std::make_shared<Findings>(History::Discarding());
  RuleMonitor monitor_{findings_, std::chrono::milliseconds(20)};
};

constexpr Revision kThird = Revision::kIVolumeClient3;

TEST_F(RuleMonitorTest, AcceptsWhatIsRight) {
  monitor_.SawDisks(Call(), kThird, {Disk(1, 1), Disk(2, 1)});
  monitor_.SawRegions(Call(), kThird, 1, {Region(3, 1, 0, 512), Region(4, 1, 512, 512)});
  monitor_.SawTask(Call(), Task(5), 0, 6);
  EXPECT_THAT(Broken(), IsEmpty());
}

TEST_F(RuleMonitorTest, FindsAnIdThatNamesTwoKindsOfObjects) {
  monitor_.SawDisks(Call(), kThird, {Disk(1, 1)});
  monitor_.SawRegions(Call(), kThird, 1, {Region(1, 1, 0, 512)});
  EXPECT_THAT(Broken(), Contains("DMRP-0043"));
}

TEST_F(RuleMonitorTest, FindsAFallingState) {
  monitor_.SawDisks(Call(), kThird, {Disk(1, 5)});
  monitor_.SawDisks(Call(), kThird, {Disk(1, 4)});
  EXPECT_THAT(Broken(), Contains("DMRP-0494"));
}

TEST_F(RuleMonitorTest, FindsAChangeWithoutAStateThatRises) {
  monitor_.SawDisks(Call(), kThird, {Disk(1, 5)});
  DISK_INFO_EX changed = Disk(1, 5);
  changed.freeBytes = 7;
  monitor_.SawDisks(Call(), kThird, {changed});
  EXPECT_THAT(Broken(), Contains("DMRP-0527"));
}

TEST_F(RuleMonitorTest, FindsRegionsOutOfOrderAndOverlapping) {
  monitor_.SawRegions(Call(), kThird, 1, {Region(3, 1, 512, 512), Region(4, 1, 0, 512)});
  EXPECT_THAT(Broken(), Contains("DMRP-1554"));
  monitor_.SawRegions(Call(), kThird, 1, {Region(5, 1, 0, 1024), Region(6, 1, 512, 512)});
  EXPECT_THAT(Broken(), Contains("DMRP-1552"));
}

TEST_F(RuleMonitorTest, FindsTaskMembersThatAreNotZero) {
  TASK_INFO task = Task(5);
  task.createTime = 1;
  monitor_.SawTask(Call(), task, 0, 6);
  EXPECT_THAT(Broken(), Contains("DMRP-0111"));
  task = Task(7);
  task.clientID = 99;
  monitor_.SawTask(Call(), task, 0, 6);
  EXPECT_THAT(Broken(), Contains("DMRP-0106"));
}

TEST_F(RuleMonitorTest, FindsATaskIdUsedTwice) {
  monitor_.SawTask(Call(), Task(5), 0, 6);
  monitor_.SawTask(Call(), Task(5), 0, 6);
  EXPECT_THAT(Broken(), Contains("DMRP-0556"));
}

TEST_F(RuleMonitorTest, FindsASynchronousTaskThatGoesOn) {
  TASK_INFO task = Task(5);
  task.status = REQ_STARTED;
  monitor_.SawTask(Call(), task, 0, 6);
  EXPECT_THAT(Broken(), Contains("DMRP-0551"));
}

TEST_F(RuleMonitorTest, FindsAChangeThatNobodyIsToldOf) {
  auto sink = std::make_shared<NotificationSink>(kThird, "sink", History::Discarding());
  monitor_.Watch(sink);
  Mutation mutation;
  mutation.call = Call();
  mutation.marks = monitor_.Marks();
  mutation.before.disks = {Disk(1, 1)};
  mutation.after.disks = {Disk(1, 2)};
  mutation.after.disks.front().freeBytes = 9;
  monitor_.SawMutation(mutation);
  const auto broken = Broken();
  EXPECT_THAT(broken, Contains("DMRP-0528"));
  EXPECT_THAT(broken, Contains("DMRP-0531"));
}

TEST_F(RuleMonitorTest, FindsAnIdThatReturnsAfterItsDeletion) {
  Mutation mutation;
  mutation.call = Call();
  mutation.before.disks = {Disk(1, 1)};
  mutation.before.regions[1] = {Region(3, 1, 0, 512)};
  mutation.after.disks = {Disk(1, 1)};
  mutation.after.regions[1] = {};
  monitor_.SawMutation(mutation);
  EXPECT_THAT(Broken(), IsEmpty());
  monitor_.SawRegions(Call(), kThird, 1, {Region(3, 1, 0, 512)});
  EXPECT_THAT(Broken(), Contains("DMRP-0490"));
}

TEST_F(RuleMonitorTest, FindsAFaultInPlaceOfAReply) {
  monitor_.SawReply(Call(), Error{ErrorKind::kFault, 0x1C010002, "fault"}, 0, false);
  EXPECT_THAT(Broken(), Contains("DMRP-0428"));
}

TEST_F(RuleMonitorTest, FindsOctetsBehindTheLastParameter) {
  CallFacts call = Call();
  call.trailing = 4;
  monitor_.SawReply(call, std::nullopt, 0, false);
  EXPECT_THAT(Broken(), Contains("DMRP-0004"));
}

TEST_F(RuleMonitorTest, FindsUndefinedFlagBits) {
  DISK_INFO_EX disk = Disk(1, 1);
  disk.deviceState = 0x1000;
  monitor_.SawDisks(Call(), kThird, {disk});
  EXPECT_THAT(Broken(), Contains("DMRP-0023"));
}

}  // namespace
}  // namespace dmrp::harness
