#include "harness/client/rule_monitor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

class RuleMonitorVolumesTest : public ::testing::Test {
 protected:
  // The ids of the rules found broken so far.
  std::vector<std::string> Broken() {
    std::vector<std::string> ids;
    for (const Violation& violation : findings_->TakeViolations()) {
      ids.insert(ids.end(), violation.requirements.begin(), violation.requirements.end());
    }
    return ids;
  }
  static CallFacts Call(std::string method) {
    CallFacts call;
    call.interface = "IVolumeClient3";
    call.method = std::move(method);
    call.sent = std::chrono::steady_clock::now();
    call.replied = call.sent;
    return call;
  }
  // A volume that spans two regions of disk 1 and has a file system.
  static StorageView View() {
    StorageView view;
    view.disks.resize(1);
    view.disks.front().id = 1;
    view.disks.front().regionCount = 2;
    for (LdmObjectId id : {2, 3}) {
      REGION_INFO_EX region;
      region.id = id;
      region.diskId = 1;
      region.volId = 4;
      region.start = id << 20;
      region.length = 1 << 20;
      region.regionType = REGION_SUBDISK;
      view.regions[1].push_back(region);
    }
    VOLUME_INFO volume;
    volume.id = 4;
    volume.type = VOLUMETYPE_VM;
    volume.layout = VOLUMELAYOUT_SPANNED;
    volume.length = 2 << 20;
    volume.fsId = 5;
    volume.memberCount = 2;
    volume.status = VOLUME_STATUS_HEALTHY;
    volume.lastKnownState = 10;
    view.volumes = {volume};
    view.members[4] = {2, 3};
    FILE_SYSTEM_INFO file_system;
    file_system.id = 5;
    file_system.storageId = 4;
    view.file_systems = {file_system};
    view.letters = {DRIVE_LETTER_INFO{.letter = u'E', .storageId = 4, .isUsed = true}};
    return view;
  }

  std::shared_ptr<Findings> findings_ = std::make_shared<Findings>(History::Discarding());
  RuleMonitor monitor_{findings_, std::chrono::milliseconds(0)};
};

TEST_F(RuleMonitorVolumesTest, AcceptsAVolumeAndItsMembers) {
  const StorageView view = View();
  monitor_.SawVolumes(Call("EnumVolumes"), VOLUMETYPE_VM, *view.volumes);
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), IsEmpty());
  EXPECT_THAT(Contradictions(view), IsEmpty());
}

TEST_F(RuleMonitorVolumesTest, FindsMembersThatAreNotItsRegions) {
  StorageView view = View();
  view.members[4] = {2, 9};
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0282"));
  EXPECT_EQ(Contradictions(view).size(), 1U);
  view.members[4] = {2, 2};
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0282"));
}

TEST_F(RuleMonitorVolumesTest, FindsAWrongMemberCount) {
  StorageView view = View();
  view.volumes->front().memberCount = 1;
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0057"));
  EXPECT_EQ(Contradictions(view).size(), 1U);
}

TEST_F(RuleMonitorVolumesTest, FindsIdsThatLeadNowhere) {
  StorageView view = View();
  view.regions[1].front().volId = 7;
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0275"));
  view = View();
  view.volumes->front().fsId = 6;
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0278"));
  EXPECT_THAT(Contradictions(view), Not(IsEmpty()));
}

TEST_F(RuleMonitorVolumesTest, FindsASecondLetter) {
  StorageView view = View();
  view.letters->push_back(DRIVE_LETTER_INFO{.letter = u'F', .storageId = 4, .isUsed = true});
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0281"));
}

TEST_F(RuleMonitorVolumesTest, FindsValuesThatAreNone) {
  const auto spoiled = [&](auto spoil) {
    VOLUME_INFO volume = View().volumes->front();
    spoil(volume);
    ++volume.lastKnownState;
    monitor_.SawVolumes(Call("EnumVolumes"), VOLUMETYPE_VM, {volume});
    return Broken();
  };
  EXPECT_THAT(spoiled([](VOLUME_INFO& v) { v.type = VOLUMETYPE_FT; }), Contains("DMRP-0053"));
  EXPECT_THAT(spoiled([](VOLUME_INFO& v) { v.layout = VOLUMELAYOUT_PARTITION; }), Contains("DMRP-0054"));
  EXPECT_THAT(spoiled([](VOLUME_INFO& v) { v.length = 0; }), Contains("DMRP-0055"));
  EXPECT_THAT(spoiled([](VOLUME_INFO& v) { v.status = VOLUME_STATUS_UNKNOWN; }), Contains("DMRP-0058"));
  EXPECT_THAT(spoiled([](VOLUME_INFO& v) { v.vflags = 2; }), Contains("DMRP-0061"));
  EXPECT_THAT(spoiled([](VOLUME_INFO& v) { v.taskId = 77; }), Contains("DMRP-0060"));
}

TEST_F(RuleMonitorVolumesTest, FindsAVolumeThatChangesWithoutItsState) {
  VOLUME_INFO volume = View().volumes->front();
  monitor_.SawVolumes(Call("EnumVolumes"), VOLUMETYPE_VM, {volume});
  volume.status = VOLUME_STATUS_FAILED;
  monitor_.SawVolumes(Call("EnumVolumes"), VOLUMETYPE_VM, {volume});
  EXPECT_THAT(Broken(), Contains("DMRP-0059"));
}

TEST_F(RuleMonitorVolumesTest, FindsAVolumeListedTwice) {
  const VOLUME_INFO volume = View().volumes->front();
  monitor_.SawVolumes(Call("EnumVolumes"), VOLUMETYPE_VM, {volume, volume});
  EXPECT_THAT(Broken(), Contains("DMRP-0052"));
}

TEST(CompareViews, TellsWhichVolumesDiffer) {
  StorageView before;
  before.volumes = {VOLUME_INFO{.id = 1, .lastKnownState = 1}, VOLUME_INFO{.id = 2, .lastKnownState = 2}};
  StorageView after;
  after.volumes = {VOLUME_INFO{.id = 1, .status = VOLUME_STATUS_FAILED, .lastKnownState = 3},
                   VOLUME_INFO{.id = 4, .lastKnownState = 4}};
  const auto differences = Compare(before, after);
  ASSERT_EQ(differences.size(), 3U);
  EXPECT_EQ(differences[0].action, LDMACTION_MODIFIED);
  EXPECT_EQ(differences[0].type, DMNOTIFY_VOLUME_INFO);
  EXPECT_EQ(differences[0].state_after, 3);
  EXPECT_EQ(differences[1].action, LDMACTION_DELETED);
  EXPECT_EQ(differences[2].action, LDMACTION_CREATED);
  before.volumes.reset();
  EXPECT_THAT(Compare(before, after), IsEmpty()) << "one view has no volumes to compare";
}

}  // namespace
}  // namespace dmrp::harness
