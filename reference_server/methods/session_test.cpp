#include "reference_server/methods/methods_test_support.hpp"

namespace dmrp::server {
namespace {

class SessionTest : public MethodsTest {
 protected:
  HRESULT Initialize(VolumeClient& who, InterfacePointer pointer = Bytes(1)) {
    reply = {};
    return who.Initialize(late_call, {.notificationInterface = std::move(pointer), .cRemote = 1}, reply);
  }
  HRESULT Uninitialize(VolumeClient& who) {
    UninitializeReply empty;
    return who.Uninitialize(late_call, {}, empty);
  }
  InitializeReply reply;
};

TEST_F(SessionTest, InitializeAnswersVersionFlagsAndAFreshClientId) {
  VolumeClient first(server);
  VolumeClient second(server);
  ASSERT_EQ(Initialize(first), 0);
  EXPECT_EQ(reply.ulIDLVersion, kIdlVersion);
  EXPECT_EQ(reply.pdwFlags, DWORD{SYSFLAG_SERVER});
  const LdmObjectId id = reply.clientId;
  EXPECT_NE(id, 0);
  ASSERT_EQ(Initialize(second), 0);
  EXPECT_NE(reply.clientId, id);
}

TEST_F(SessionTest, InitializeRefusesANullPointerAndCanBeRepeatedAfterwards) {
  VolumeClient fresh(server);
  EXPECT_EQ(Initialize(fresh, std::nullopt), E_POINTER);
  EXPECT_EQ(reply, InitializeReply{});
  EXPECT_LT(Initialize(fresh, Bytes()), 0) << "a client that cannot be reached";
  EXPECT_EQ(Initialize(fresh), 0);
}

TEST_F(SessionTest, ASecondInitializeIsRefusedAndTheFirstGoesOnWorking) {
  EXPECT_EQ(Initialize(*client), HresultFromWin32(1247));
  EXPECT_EQ(early_client->Initialize(early_call, {.notificationInterface = Bytes(1)}, reply),
            HresultFromWin32(1247));
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  EXPECT_EQ(TakeFrames(), "disk* region+");
}

TEST_F(SessionTest, UninitializeEndsNotificationsAndCannotBeRepeated) {
  EXPECT_EQ(Uninitialize(*early_client), 0);
  EXPECT_TRUE(early_client->IsUninitialized());
  EXPECT_EQ(Uninitialize(*early_client), LDM_E_NORECORD);
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  EXPECT_TRUE(early_sink->items.empty());
}

TEST_F(SessionTest, AClientCanBeginAgainAfterUninitializeAsANewClient) {
  VolumeClient fresh(server);
  ASSERT_EQ(Initialize(fresh), 0);
  const LdmObjectId first = reply.clientId;
  ASSERT_EQ(Uninitialize(fresh), 0);
  EXPECT_EQ(Initialize(fresh, std::nullopt), E_POINTER);
  EXPECT_TRUE(fresh.IsUninitialized()) << "a refused Initialize changes nothing";
  ASSERT_EQ(Initialize(fresh), 0);
  EXPECT_NE(reply.clientId, first);
  EXPECT_FALSE(fresh.IsUninitialized());
  const auto new_sink = last_sink;
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  EXPECT_EQ(new_sink->items.size(), 2U);
}

TEST_F(SessionTest, AClientThatIsGoneStaysGone) {
  early_client->ClientGone();
  EXPECT_LT(Initialize(*early_client), 0);
}

TEST_F(SessionTest, UninitializeWithoutInitializeIsRefused) {
  VolumeClient fresh(server);
  EXPECT_EQ(Uninitialize(fresh), LDM_E_NORECORD);
  EXPECT_FALSE(fresh.IsUninitialized());
}

TEST_F(SessionTest, AClientThatIsGoneIsToldNothing) {
  early_client->ClientGone();
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  EXPECT_TRUE(early_sink->items.empty());
}

TEST_F(SessionTest, QueriesWorkWithoutInitialize) {
  VolumeClient fresh(server);
  EnumDisksReply disks;
  EXPECT_EQ(fresh.EnumDisks(early_call, {}, disks), 0);
  EXPECT_EQ(disks.diskList.size(), 2U);
}

class QueryTest : public MethodsTest {
 protected:
  std::vector<std::u16string> Messages(VolumeClient& who, HRESULT hr, DWORD flags = 0) {
    HrGetErrorDataReply reply;
    reply.pdwStoredFlags = 9;
    const HRESULT result = who.HrGetErrorData(late_call, {.hr = hr, .dwFlags = flags}, reply);
    EXPECT_EQ(result, reply.prgszw.empty() ? S_FALSE : S_OK);
    std::vector<std::u16string> texts;
    for (const auto& text : reply.prgszw) {
      texts.push_back(text.value());
    }
    return texts;
  }
};

TEST_F(QueryTest, BothRevisionsShowTheSameDisksAndRegions) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(kMiB).result, 0);
  EnumDisksReply disks;
  ASSERT_EQ(early_client->EnumDisks(early_call, {}, disks), 0);
  ASSERT_EQ(disks.diskList.size(), Disks().size());
  EXPECT_EQ(disks.diskList[0].id, Disk().id);
  EXPECT_EQ(disks.diskList[0].lastKnownState, Disk().lastKnownState);
  EXPECT_EQ(disks.diskList[0].name, std::u16string(u"\\device\\Harddisk0\0", 18));
  EnumDiskRegionsReply regions;
  ASSERT_EQ(early_client->EnumDiskRegions(early_call, {.diskId = Disk().id}, regions), 0);
  ASSERT_EQ(regions.regionList.size(), 2U);
  EXPECT_EQ(regions.regionList[0].partitionType, 7U);
  EXPECT_EQ(regions.regionList[0].id, Region(REGION_PRIMARY).id);
  EXPECT_EQ(regions.regionList[1].regionType, REGION_FREE);
}

TEST_F(QueryTest, EnumDiskRegionsRefusesWhatIsNoDisk) {
  EnumDiskRegionsReply early;
  EnumDiskRegionsExReply late;
  for (const LdmObjectId id : {LdmObjectId{0}, LdmObjectId{-1}, LdmObjectId{42}}) {
    EXPECT_EQ(early_client->EnumDiskRegions(early_call, {.diskId = id, .numRegions = 5}, early),
              LDM_E_DISK_NOT_FOUND);
    EXPECT_EQ(client->EnumDiskRegionsEx(late_call, {.diskId = id, .numRegions = 5}, late),
              LDM_E_DISK_NOT_FOUND);
    EXPECT_TRUE(early.regionList.empty());
    EXPECT_TRUE(late.regionList.empty());
  }
}

TEST_F(QueryTest, TasksAreListedWhileTheyRun) {
  EnumTasksReply tasks;
  EXPECT_EQ(client->EnumTasks(late_call, {.taskCount = 9}, tasks), 0);
  EXPECT_TRUE(tasks.taskList.empty());
  TASK_INFO task;
  task.id = server->model().NewTaskId();
  task.status = REQ_IN_PROGRESS;
  server->model().tasks().Add(task);
  EXPECT_EQ(client->EnumTasks(late_call, {}, tasks), 0);
  EXPECT_EQ(tasks.taskList, std::vector{task});
  GetTaskDetailReply detail;
  EXPECT_EQ(client->GetTaskDetail(late_call, {.id = task.id, .tinfo = {.id = 3}}, detail), 0);
  EXPECT_EQ(detail.tinfo, task);
}

TEST_F(QueryTest, GetTaskDetailRefusesTasksThatAreNotRunning) {
  GetTaskDetailReply detail;
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  const LdmObjectId finished = MakePartition(kMiB).tinfo.id;
  for (const LdmObjectId id : {LdmObjectId{0}, LdmObjectId{42}, finished}) {
    EXPECT_EQ(client->GetTaskDetail(late_call, {.id = id, .tinfo = {.id = 3}}, detail), LDM_E_NORECORD);
    EXPECT_EQ(detail.tinfo, TASK_INFO{});
  }
}

TEST_F(QueryTest, HrGetErrorDataGivesTheMessageOfAFailedRequestOnce) {
  EXPECT_TRUE(Messages(*client, LDM_E_DISK_NOT_FOUND).empty());
  EnumDiskRegionsExReply regions;
  client->EnumDiskRegionsEx(late_call, {.diskId = 42}, regions);
  const auto texts = Messages(*client, LDM_E_DISK_NOT_FOUND, ERRFLAG_NOREMOVE);
  ASSERT_EQ(texts.size(), 1U);
  EXPECT_GT(texts[0].size(), 1U);
  EXPECT_EQ(texts[0].back(), u'\0');
  EXPECT_TRUE(Messages(*client, LDM_E_NORECORD).empty());
  EXPECT_TRUE(Messages(*early_client, LDM_E_DISK_NOT_FOUND).empty());
  EXPECT_EQ(Messages(*early_client, LDM_E_DISK_NOT_FOUND, ERRFLAG_IGNORETAG | ERRFLAG_NOREMOVE), texts);
  EXPECT_EQ(Messages(*client, LDM_E_DISK_NOT_FOUND), texts);
  EXPECT_TRUE(Messages(*client, LDM_E_DISK_NOT_FOUND).empty());
}

class RefreshTest : public MethodsTest {
 protected:
  HRESULT Refresh() {
    RefreshReply reply;
    return client->Refresh(late_call, {}, reply);
  }
};

TEST_F(RefreshTest, FindsNothingWhenNothingChanged) {
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(TakeFrames(), "");
}

TEST_F(RefreshTest, FindsADiskThatCameAndOneThatWent) {
  const LdmObjectId gone = Disk(0).id;
  MakeFile("c.img");
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(TakeFrames(), "disk+");
  EXPECT_EQ(Disks().size(), 3U);
  EXPECT_EQ(Disk(2).name, std::u16string(u"\\device\\Harddisk2\0", 18));
  std::filesystem::remove(folder / "a.img");
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(TakeFrames(), "disk-");
  for (const DISK_INFO_EX& disk : Disks()) {
    EXPECT_NE(disk.id, gone);
  }
}

TEST_F(RefreshTest, ADiskThatComesBackIsANewObject) {
  const LdmObjectId before = Disk(0).id;
  std::filesystem::rename(folder / "a.img", folder / "away");
  EXPECT_EQ(Refresh(), 0);
  std::filesystem::rename(folder / "away", folder / "a.img");
  EXPECT_EQ(Refresh(), 0);
  for (const DISK_INFO_EX& disk : Disks()) {
    EXPECT_NE(disk.id, before);
  }
}

TEST_F(RefreshTest, FindsATableWrittenBehindTheServersBack) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR, 1), 0);
  ASSERT_EQ(TakeFrames(), "disk* region+");
  std::filesystem::copy_file(folder / "b.img", folder / "a.img",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(TakeFrames(), "disk* region+");
  EXPECT_EQ(Disk().partitionStyle, PARTITIONSTYLE_MBR);
  EXPECT_EQ(source->rescans, 0);
}

TEST_F(RefreshTest, RescanDisksAsksTheSystemForDevicesFirst) {
  MakeFile("c.img");
  RescanDisksReply reply;
  EXPECT_EQ(client->RescanDisks(late_call, {}, reply), 0);
  EXPECT_EQ(source->rescans, 1);
  EXPECT_EQ(TakeFrames(), "disk+");
}

TEST_F(RefreshTest, RefreshExFindsADiskThatGrew) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  TakeFrames();
  std::filesystem::resize_file(folder / "a.img", 2 * kDiskSize);
  RefreshExReply reply;
  EXPECT_EQ(client->RefreshEx(late_call, {}, reply), 0);
  EXPECT_EQ(TakeFrames(), "disk* region*");
  EXPECT_EQ(Disk().length, static_cast<LONGLONG>(2 * kDiskSize));
}

}  // namespace
}  // namespace dmrp::server
