#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/messages.hpp"
#include "dmrp/interfaces/method_table.hpp"
#include "harness/client/rule_monitor.hpp"
#include "protocol/dmrp/notification.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Revision kThird = Revision::kIVolumeClient3;

class RuleMonitorTasksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"one", "other"}) {
      sinks_.push_back(std::make_shared<NotificationSink>(kThird, name, History::Discarding()));
      sinks_.back()->OnNotification(
          [this, sink = sinks_.back().get()](const ReceivedNotification& notification) {
            monitor_.SawNotification(*sink, notification);
          });
      monitor_.Watch(sinks_.back());
    }
  }
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
  static TASK_INFO Task(LdmObjectId id, REQSTATUS status, std::uint32_t percent = 0) {
    TASK_INFO task;
    task.id = id;
    task.status = status;
    task.percentComplete = percent;
    task.type = percent == 0 ? PROGRESS_UNKNOWN : PROGRESS_FORMAT;
    task.error = status == REQ_FAILED ? static_cast<HRESULT>(0x80004005U) : 0;
    return task;
  }
  void Starts(LdmObjectId id) { monitor_.SawTask(Call("Format"), Task(id, REQ_STARTED), 0, 6); }
  // A frame as the server sends it, with the sink's own way of passing it on to the monitor.
  void Frame(const NotifiedObject& object, std::size_t sink = 0, LDMACTION action = LDMACTION_MODIFIED) {
    const std::vector<dmrp::Notification> notifications = {{action, object}};
    ObjectsChangedRequest request;
    request.ByteStream = WriteNotifications(notifications, Pointers::k64Bit).value();
    ndr::Writer writer;
    Encode(writer, request);
    dcom::CallContext call;
    const auto answer = sinks_[sink]->QueryInterface(IID_IDMNotify)(call, opnum::IDMNotify::ObjectsChanged,
                                                                    std::move(writer).Take().value());
    ASSERT_TRUE(answer);
  }
  void FrameToAll(const TASK_INFO& task) {
    for (std::size_t i = 0; i < sinks_.size(); ++i) Frame(task, i);
  }
  static FILE_SYSTEM_INFO FileSystem(LdmObjectId id, LdmObjectId storage, std::int64_t state = 1) {
    FILE_SYSTEM_INFO file_system;
    file_system.id = id;
    file_system.storageId = storage;
    file_system.lastKnownState = state;
    return file_system;
  }
  static DRIVE_LETTER_INFO Letter(char16_t letter, LdmObjectId storage, std::int64_t state = 1) {
    DRIVE_LETTER_INFO info;
    info.letter = letter;
    info.storageId = storage;
    info.isUsed = storage != 0;
    info.lastKnownState = state;
    return info;
  }
  // One disk 1 with the partition 3 on it.
  static StorageView View() {
    StorageView view;
    DISK_INFO_EX disk;
    disk.id = 1;
    disk.length = 512;
    disk.regionCount = 1;
    view.disks = {disk};
    REGION_INFO_EX region;
    region.id = 3;
    region.diskId = 1;
    region.length = 512;
    region.regionType = REGION_PRIMARY;
    view.regions[1] = {region};
    return view;
  }

  std::shared_ptr<Findings> findings_ = std::make_shared<Findings>(History::Discarding());
  RuleMonitor monitor_{findings_, std::chrono::milliseconds(20)};
  std::vector<std::shared_ptr<NotificationSink>> sinks_;
};

TEST_F(RuleMonitorTasksTest, AcceptsATaskThatRunsAndEnds) {
  Starts(9);
  FrameToAll(Task(9, REQ_IN_PROGRESS, 10));
  monitor_.SawTaskList(Call("EnumTasks"), {Task(9, REQ_IN_PROGRESS, 10)});
  monitor_.SawTaskDetail(Call("GetTaskDetail"), 9, Task(9, REQ_IN_PROGRESS, 10));
  FrameToAll(Task(9, REQ_IN_PROGRESS, 60));
  FrameToAll(Task(9, REQ_COMPLETED, 100));
  monitor_.SawTaskList(Call("EnumTasks"), {});
  monitor_.Finish();
  EXPECT_THAT(Broken(), IsEmpty());
}

TEST_F(RuleMonitorTasksTest, AcceptsFramesThatCameBeforeTheReply) {
  CallFacts call = Call("Format");
  FrameToAll(Task(9, REQ_IN_PROGRESS, 10));
  monitor_.SawTask(call, Task(9, REQ_STARTED), 0, 6);
  EXPECT_THAT(Broken(), IsEmpty());
}

TEST_F(RuleMonitorTasksTest, FindsAnAsynchronousTaskOfAnotherMethod) {
  monitor_.SawTask(Call("DeletePartition"), Task(9, REQ_STARTED), 0, 6);
  EXPECT_THAT(Broken(), Contains("DMRP-0551"));
}

TEST_F(RuleMonitorTasksTest, FindsAnIdUsedForTwoTasks) {
  Starts(9);
  Starts(9);
  EXPECT_THAT(Broken(), Contains("DMRP-0565"));
}

TEST_F(RuleMonitorTasksTest, FindsProgressInTheFirstReply) {
  monitor_.SawTask(Call("Format"), Task(9, REQ_STARTED, 5), 0, 6);
  EXPECT_THAT(Broken(), Contains("DMRP-0567"));
}

TEST_F(RuleMonitorTasksTest, FindsProgressThatFalls) {
  Starts(9);
  Frame(Task(9, REQ_IN_PROGRESS, 40));
  Frame(Task(9, REQ_IN_PROGRESS, 30));
  EXPECT_THAT(Broken(), Contains("DMRP-0572"));
}

TEST_F(RuleMonitorTasksTest, FindsProgressOfAnUnknownKind) {
  Starts(9);
  TASK_INFO task = Task(9, REQ_IN_PROGRESS, 40);
  task.type = PROGRESS_UNKNOWN;
  Frame(task);
  EXPECT_THAT(Broken(), Contains("DMRP-0109"));
}

TEST_F(RuleMonitorTasksTest, FindsTaskFramesWithAnotherAction) {
  Starts(9);
  Frame(Task(9, REQ_IN_PROGRESS, 40), 0, LDMACTION_CREATED);
  EXPECT_THAT(Broken(), Contains("DMRP-0571"));
  Frame(Task(9, REQ_COMPLETED), 0, LDMACTION_DELETED);
  EXPECT_THAT(Broken(), Contains("DMRP-0574"));
}

TEST_F(RuleMonitorTasksTest, FindsASecondFinalFrame) {
  Starts(9);
  Frame(Task(9, REQ_COMPLETED));
  Frame(Task(9, REQ_COMPLETED));
  EXPECT_THAT(Broken(), Contains("DMRP-0573"));
}

TEST_F(RuleMonitorTasksTest, FindsAClientThatIsNotToldOfTheEnd) {
  Starts(9);
  Frame(Task(9, REQ_COMPLETED), 0);
  monitor_.Finish();
  EXPECT_THAT(Broken(), Contains("DMRP-0573"));
}

TEST_F(RuleMonitorTasksTest, FindsAClientThatIsNotToldOfProgress) {
  Starts(9);
  Frame(Task(9, REQ_IN_PROGRESS, 40), 0);
  FrameToAll(Task(9, REQ_COMPLETED));
  monitor_.Finish();
  EXPECT_THAT(Broken(), Contains("DMRP-0570"));
}

TEST_F(RuleMonitorTasksTest, FindsClientsThatAreToldDifferentOutcomes) {
  Starts(9);
  Frame(Task(9, REQ_COMPLETED), 0);
  Frame(Task(9, REQ_ABORTED), 1);
  monitor_.Finish();
  EXPECT_THAT(Broken(), Contains("DMRP-0575"));
}

TEST_F(RuleMonitorTasksTest, FindsAnErrorThatDoesNotFitTheStatus) {
  Starts(9);
  TASK_INFO task = Task(9, REQ_FAILED);
  task.error = 0;
  Frame(task);
  EXPECT_THAT(Broken(), Contains("DMRP-0110"));
}

TEST_F(RuleMonitorTasksTest, TheTenStepsOfWindowsAreNoFlood) {
  Starts(9);
  for (std::uint32_t percent = 0; percent < 100; percent += 10) {
    FrameToAll(Task(9, REQ_IN_PROGRESS, percent));
  }
  FrameToAll(Task(9, REQ_COMPLETED, 100));
  monitor_.Finish();
  EXPECT_THAT(Broken(), Not(Contains("DMRP-0553")));
}

TEST_F(RuleMonitorTasksTest, FindsAFlood) {
  Starts(9);
  for (std::uint32_t percent = 1; percent <= 100; ++percent) FrameToAll(Task(9, REQ_IN_PROGRESS, percent));
  FrameToAll(Task(9, REQ_COMPLETED, 100));
  monitor_.Finish();
  EXPECT_THAT(Broken(), Contains("DMRP-0553"));
}

TEST_F(RuleMonitorTasksTest, FindsATaskThatStaysInTheList) {
  Starts(9);
  FrameToAll(Task(9, REQ_COMPLETED));
  monitor_.SawTaskList(Call("EnumTasks"), {Task(9, REQ_IN_PROGRESS, 90)});
  EXPECT_THAT(Broken(), Contains("DMRP-0576"));
}

TEST_F(RuleMonitorTasksTest, FindsATaskThatIsNotInTheList) {
  Starts(9);
  monitor_.SawTaskList(Call("EnumTasks"), {});
  EXPECT_THAT(Broken(), Contains("DMRP-0569"));
}

TEST_F(RuleMonitorTasksTest, FindsDetailsOfATaskThatEnded) {
  Starts(9);
  FrameToAll(Task(9, REQ_COMPLETED));
  monitor_.SawTaskDetail(Call("GetTaskDetail"), 9, Task(9, REQ_IN_PROGRESS, 90));
  EXPECT_THAT(Broken(), Contains("DMRP-0576"));
}

TEST_F(RuleMonitorTasksTest, FindsAForeignTaskIdInAnObject) {
  Starts(9);
  StorageView view = View();
  view.regions[1].front().taskId = 9;
  monitor_.SawRegions(Call("EnumDiskRegionsEx"), kThird, 1, view.regions[1]);
  EXPECT_THAT(Broken(), IsEmpty());
  view.regions[1].front().taskId = 77;
  ++view.regions[1].front().lastKnownState;
  monitor_.SawRegions(Call("EnumDiskRegionsEx"), kThird, 1, view.regions[1]);
  EXPECT_THAT(Broken(), Contains("DMRP-0235"));
}

TEST_F(RuleMonitorTasksTest, FindsTwoFileSystemsOfOneStorageObject) {
  monitor_.SawFileSystems(Call("EnumLocalFileSystems"), {FileSystem(4, 3), FileSystem(5, 2)});
  EXPECT_THAT(Broken(), IsEmpty());
  monitor_.SawFileSystems(Call("EnumLocalFileSystems"), {FileSystem(4, 3), FileSystem(6, 3)});
  EXPECT_THAT(Broken(), Contains("DMRP-0083"));
}

TEST_F(RuleMonitorTasksTest, FindsAFileSystemThatChangesWithoutItsState) {
  monitor_.SawFileSystems(Call("EnumLocalFileSystems"), {FileSystem(4, 3)});
  FILE_SYSTEM_INFO changed = FileSystem(4, 3);
  changed.label = u"DATA\0";
  changed.label->push_back(u'\0');
  monitor_.SawFileSystems(Call("EnumLocalFileSystems"), {changed});
  EXPECT_THAT(Broken(), Contains("DMRP-0088"));
}

TEST_F(RuleMonitorTasksTest, FindsRegionsAndFileSystemsThatDoNotNameEachOther) {
  StorageView view = View();
  view.file_systems = {FileSystem(4, 3)};
  view.regions[1].front().fsId = 4;
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), IsEmpty());
  EXPECT_THAT(Contradictions(view), IsEmpty());
  view.regions[1].front().fsId = 0;
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0083"));
  EXPECT_EQ(Contradictions(view).size(), 1U);
  view.regions[1].front().fsId = 4;
  view.file_systems->clear();
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0277"));
}

TEST_F(RuleMonitorTasksTest, FindsALetterThatNamesNothing) {
  monitor_.SawDriveLetters(Call("EnumDriveLetters"), {Letter(u'C', 3), Letter(u'D', 0)});
  EXPECT_THAT(Broken(), IsEmpty());
  StorageView view = View();
  view.letters = {Letter(u'C', 3), Letter(u'D', 0)};
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), IsEmpty());
  view.letters->front().storageId = 8;
  monitor_.SawView(Call("EnumDisksEx"), view);
  EXPECT_THAT(Broken(), Contains("DMRP-0076"));
}

TEST_F(RuleMonitorTasksTest, FindsLettersThatAreNeitherFreeNorInUse) {
  DRIVE_LETTER_INFO letter = Letter(u'C', 3);
  letter.isUsed = false;
  monitor_.SawDriveLetters(Call("EnumDriveLetters"), {letter});
  EXPECT_THAT(Broken(), Contains("DMRP-0077"));
}

TEST_F(RuleMonitorTasksTest, FindsALetterThatChangesWithoutItsState) {
  monitor_.SawDriveLetters(Call("EnumDriveLetters"), {Letter(u'C', 3)});
  monitor_.SawDriveLetters(Call("EnumDriveLetters"), {Letter(u'C', 0)});
  EXPECT_THAT(Broken(), Contains("DMRP-0078"));
}

TEST_F(RuleMonitorTasksTest, AcceptsWhatATaskChangesAndChangesBack) {
  Mutation mutation;
  mutation.call = Call("Format");
  mutation.asynchronous = true;
  mutation.before = View();
  mutation.after = View();
  mutation.after.regions[1].front().lastKnownState += 2;
  monitor_.SawMutation(mutation);
  EXPECT_THAT(Broken(), IsEmpty());
  mutation.asynchronous = false;
  monitor_.SawMutation(mutation);
  EXPECT_THAT(Broken(), Contains("DMRP-0436"));
}

TEST_F(RuleMonitorTasksTest, AcceptsDisksThatAMethodModifiesInTheirTablesAlone) {
  Mutation mutation;
  mutation.call = Call("CreatePartitionsForVolume");
  mutation.before = View();
  mutation.after = View();
  ++mutation.after.disks.front().lastKnownState;
  monitor_.SawMutation(mutation);
  EXPECT_THAT(Broken(), IsEmpty());
  mutation.call = Call("DeleteVolume");
  monitor_.SawMutation(mutation);
  EXPECT_THAT(Broken(), Contains("DMRP-0436"));
}

// A local event just before the call: the list tells of the object, and then comes the notification.
TEST_F(RuleMonitorTasksTest, FindsObjectsCreatedASecondTime) {
  const auto created_after = [&](std::uint64_t last_call_before) {
    Mutation mutation;
    mutation.call = Call("Refresh");
    mutation.last_call_before = last_call_before;
    mutation.before = View();
    mutation.before.file_systems = {FileSystem(4, 3)};
    mutation.after = mutation.before;
    CallFacts enumeration = Call("EnumLocalFileSystems");
    enumeration.number = 5;
    monitor_.SawFileSystems(enumeration, *mutation.before.file_systems);
    mutation.marks = monitor_.Marks();
    Frame(FileSystem(4, 3), 0, LDMACTION_CREATED);
    monitor_.SawMutation(mutation);
    return Broken();
  };
  EXPECT_THAT(created_after(4), Not(Contains("DMRP-0435")));
  EXPECT_THAT(created_after(5), Contains("DMRP-0435"));
}

TEST_F(RuleMonitorTasksTest, FindsALetterChangeThatNobodyIsToldOf) {
  Mutation mutation;
  mutation.call = Call("FreeDriveLetter");
  mutation.marks = monitor_.Marks();
  mutation.before = View();
  mutation.before.letters = {Letter(u'C', 3)};
  mutation.after = View();
  mutation.after.letters = {Letter(u'C', 0, 2)};
  monitor_.SawMutation(mutation);
  EXPECT_THAT(Broken(), Contains("DMRP-0531"));
}

TEST_F(RuleMonitorTasksTest, FindsAFileSystemThatGoesWithoutAWord) {
  Mutation mutation;
  mutation.call = Call("DeletePartition");
  mutation.marks = monitor_.Marks();
  mutation.before = View();
  mutation.before.file_systems = {FileSystem(4, 3)};
  mutation.after = View();
  mutation.after.file_systems.emplace();
  monitor_.SawMutation(mutation);
  EXPECT_THAT(Broken(), Contains("DMRP-0530"));
}

TEST_F(RuleMonitorTasksTest, FindsInstalledFileSystemsWithUndefinedBits) {
  IFILE_SYSTEM_INFO fat;
  fat.fsType = FSTYPE_FAT;
  fat.fsName = {u'F', u'A', u'T'};
  fat.fsFlags = FSF_FS_ALLOC_SZ_512 | FSF_FS_FORMAT_SUPPORTED;
  monitor_.SawInstalledFileSystems(Call("GetInstalledFileSystems"), {fat});
  EXPECT_THAT(Broken(), IsEmpty());
  fat.fsFlags |= 0x40000;
  monitor_.SawInstalledFileSystems(Call("GetInstalledFileSystems"), {fat, fat});
  const auto broken = Broken();
  EXPECT_THAT(broken, Contains("DMRP-0102"));
  EXPECT_THAT(broken, Contains("DMRP-0094"));
}

}  // namespace
}  // namespace dmrp::harness
