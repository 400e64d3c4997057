#include "reference_server/objects/storage_model.hpp"

#include <future>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using namespace std::chrono_literals;

// A client that keeps what it is told and answers as the test says.
class FakeSink final : public NotificationSink {
 public:
  enum class Answer { kSuccess, kFailure, kNever, kUnreachable };
  explicit FakeSink(Revision revision, Answer answer = Answer::kSuccess)
      : revision_(revision), answer_(answer) {}

  void ObjectsChanged(std::shared_ptr<const Bytes> stream, Deadline /*deadline*/, Done done) override {
    const auto read = ReadNotifications(*stream, revision_);
    EXPECT_TRUE(read.errors.empty());
    EXPECT_TRUE(read.anomalies.empty());
    calls.push_back(read.items);
    switch (answer_) {
      case Answer::kSuccess:
        return done(0);
      case Answer::kFailure:
        return done(static_cast<std::int32_t>(0x80004005U));
      case Answer::kUnreachable:
        return done(Fail(ErrorKind::kUnavailable, "connection refused"));
      case Answer::kNever:
        pending_ = std::move(done);
        return;
    }
  }

  std::vector<std::vector<Notification>> calls;

 private:
  const Revision revision_;
  const Answer answer_;
  Done pending_;
};

DiskObject NewDisk(LdmObjectId id, std::string key) {
  DiskObject disk;
  disk.info.id = id;
  disk.info.partitionStyle = PARTITIONSTYLE_MBR;
  disk.info.mbr.emplace().signature = 7;
  disk.info.name = std::u16string(u"\\device\\Harddisk0\0", 18);
  disk.key = std::move(key);
  return disk;
}

RegionObject NewRegion(LdmObjectId id, LdmObjectId disk_id) {
  RegionObject region;
  region.info.id = id;
  region.info.diskId = disk_id;
  region.info.regionType = REGION_FREE;
  region.info.partitionStyle = PARTITIONSTYLE_MBR;
  region.info.mbr.emplace();
  return region;
}

class StorageModelTest : public testing::Test {
 protected:
  StorageModel::NewIds Commit(const ChangeSet& set) { return model.Commit(model.BeginOperation(), set); }

  // Adds a disk with one region and returns their identifiers.
  std::pair<LdmObjectId, LdmObjectId> AddDisk(std::string key) {
    ChangeSet set;
    const LdmObjectId disk = set.NewId();
    const LdmObjectId region = set.NewId();
    set.Create(NewDisk(disk, std::move(key)));
    set.Create(NewRegion(region, disk));
    const auto ids = Commit(set);
    return {ids.at(disk), ids.at(region)};
  }

  std::shared_ptr<FakeSink> AddClient(Revision revision,
                                      FakeSink::Answer answer = FakeSink::Answer::kSuccess) {
    auto sink = std::make_shared<FakeSink>(revision, answer);
    last_client = model.AddClient(revision, sink);
    return sink;
  }

  StorageModel model{{.first_id = 1000, .notification_deadline = 200ms, .log = {}}};
  LdmObjectId last_client = 0;
};

TEST_F(StorageModelTest, GivesCreatedObjectsIdentifiersAndResolvesReferencesToThem) {
  const auto [disk, region] = AddDisk("a");
  EXPECT_NE(disk, region);
  const auto state = model.State();
  ASSERT_NE(state->FindAs<RegionObject>(region), nullptr);
  EXPECT_EQ(state->FindAs<RegionObject>(region)->info.diskId, disk);
}

TEST_F(StorageModelTest, NeverGivesAnIdentifierTwiceWhateverItIsFor) {
  std::set<LdmObjectId> seen;
  for (int round = 0; round < 100; ++round) {
    const auto [disk, region] = AddDisk("a");
    ChangeSet removal;
    removal.Delete(*model.State()->Find(region));
    removal.Delete(*model.State()->Find(disk));
    Commit(removal);
    AddClient(Revision::kIVolumeClient3);
    model.RemoveClient(last_client);
    for (const LdmObjectId id : {disk, region, last_client, model.NewTaskId()}) {
      EXPECT_TRUE(seen.insert(id).second) << id;
    }
  }
}

TEST_F(StorageModelTest, RaisesLastKnownStateOfModifiedObjectsByOne) {
  const auto [disk, region] = AddDisk("a");
  const LONGLONG before = LastKnownStateOf(*model.State()->Find(disk));
  ChangeSet set;
  set.Modify(*model.State()->Find(disk));
  Commit(set);
  EXPECT_EQ(LastKnownStateOf(*model.State()->Find(disk)), before + 1);
  EXPECT_EQ(LastKnownStateOf(*model.State()->Find(region)), before);
}

TEST_F(StorageModelTest, TellsEveryClientInItsOwnRevisionBeforeTheCommitReturns) {
  const auto early = AddClient(Revision::kIVolumeClient);
  const auto late = AddClient(Revision::kIVolumeClient3);
  const auto [disk, region] = AddDisk("a");
  ASSERT_EQ(early->calls.size(), 1U);
  ASSERT_EQ(late->calls.size(), 1U);
  ASSERT_EQ(early->calls[0].size(), 2U);
  ASSERT_EQ(late->calls[0].size(), 2U);
  EXPECT_EQ(early->calls[0][0].action, LDMACTION_CREATED);
  EXPECT_EQ(std::get<DISK_INFO>(early->calls[0][0].object).id, disk);
  EXPECT_EQ(std::get<REGION_INFO>(early->calls[0][1].object).id, region);
  EXPECT_EQ(std::get<DISK_INFO_EX>(late->calls[0][0].object), model.State()->FindAs<DiskObject>(disk)->info);
  EXPECT_EQ(std::get<REGION_INFO_EX>(late->calls[0][1].object),
            model.State()->FindAs<RegionObject>(region)->info);
}

TEST_F(StorageModelTest, FramesOfModifiedObjectsCarryTheNewLastKnownState) {
  const auto [disk, region] = AddDisk("a");
  const auto sink = AddClient(Revision::kIVolumeClient3);
  ChangeSet set;
  set.Modify(*model.State()->Find(region));
  Commit(set);
  ASSERT_EQ(sink->calls.size(), 1U);
  EXPECT_EQ(sink->calls[0][0].action, LDMACTION_MODIFIED);
  EXPECT_EQ(std::get<REGION_INFO_EX>(sink->calls[0][0].object).lastKnownState,
            LastKnownStateOf(*model.State()->Find(region)));
}

TEST_F(StorageModelTest, AnEmptyChangeSetTellsNobody) {
  const auto sink = AddClient(Revision::kIVolumeClient3);
  Commit({});
  EXPECT_TRUE(sink->calls.empty());
}

TEST_F(StorageModelTest, AClientThatLeftIsToldNothing) {
  const auto sink = AddClient(Revision::kIVolumeClient3);
  EXPECT_TRUE(model.RemoveClient(last_client));
  EXPECT_FALSE(model.RemoveClient(last_client));
  AddDisk("a");
  EXPECT_TRUE(sink->calls.empty());
}

TEST_F(StorageModelTest, AClientThatAnswersAnErrorStaysInTheList) {
  AddClient(Revision::kIVolumeClient3, FakeSink::Answer::kFailure);
  AddDisk("a");
  EXPECT_TRUE(model.HasClient(last_client));
}

TEST_F(StorageModelTest, AClientThatCannotBeReachedLeavesTheListAndOthersAreTold) {
  AddClient(Revision::kIVolumeClient3, FakeSink::Answer::kUnreachable);
  const LdmObjectId gone = last_client;
  const auto other = AddClient(Revision::kIVolumeClient3);
  AddDisk("a");
  EXPECT_FALSE(model.HasClient(gone));
  EXPECT_EQ(other->calls.size(), 1U);
}

TEST_F(StorageModelTest, AClientThatNeverAnswersHoldsACommitUpOnceAndOnlyToItsDeadline) {
  const auto silent = AddClient(Revision::kIVolumeClient3, FakeSink::Answer::kNever);
  const auto start = std::chrono::steady_clock::now();
  AddDisk("a");
  EXPECT_GE(std::chrono::steady_clock::now() - start, 200ms);
  EXPECT_FALSE(model.HasClient(last_client));
  AddDisk("b");
  EXPECT_EQ(silent->calls.size(), 1U);
}

TEST_F(StorageModelTest, OperationsFollowOneAnother) {
  auto first = std::make_unique<StorageModel::Operation>(model.BeginOperation());
  auto second = std::async(std::launch::async, [this] { AddDisk("b"); });
  EXPECT_EQ(second.wait_for(20ms), std::future_status::timeout);
  ChangeSet set;
  set.Create(NewDisk(set.NewId(), "a"));
  model.Commit(*first, set);
  first.reset();
  second.get();
  const auto disks = model.State()->Disks();
  ASSERT_EQ(disks.size(), 2U);
  EXPECT_EQ(disks[0].key, "a");
}

TEST_F(StorageModelTest, ReadersKeepTheListTheyTook) {
  const auto [disk, region] = AddDisk("a");
  const auto state = model.State();
  ChangeSet set;
  set.Delete(*state->Find(region));
  Commit(set);
  EXPECT_NE(state->Find(region), nullptr);
  EXPECT_EQ(model.State()->Find(region), nullptr);
}

TEST_F(StorageModelTest, TouchModifiesAnUnchangedObjectButNoneThatTheSetAlreadyHas) {
  const auto [disk, region] = AddDisk("a");
  ChangeSet set;
  set.Delete(*model.State()->Find(region));
  set.Touch(*model.State(), region);
  set.Touch(*model.State(), disk);
  set.Touch(*model.State(), disk);
  set.Touch(*model.State(), 424242);
  EXPECT_EQ(set.changes().size(), 2U);
}

TEST(TaskList, ListsTasksFromAddToRemove) {
  TaskList tasks;
  EXPECT_TRUE(tasks.All().empty());
  TASK_INFO task;
  task.id = 5;
  task.status = REQ_STARTED;
  tasks.Add(task);
  task.status = REQ_IN_PROGRESS;
  task.percentComplete = 30;
  EXPECT_TRUE(tasks.Update(task));
  EXPECT_EQ(tasks.Find(5), task);
  EXPECT_EQ(tasks.All(), std::vector{task});
  tasks.Remove(5);
  EXPECT_EQ(tasks.Find(5), std::nullopt);
  EXPECT_FALSE(tasks.Update(task));
}

TEST(ObjectIds, ASessionStartsAbove32Bits) { EXPECT_GT(ObjectIds().Next(), LdmObjectId{1} << 32); }

}  // namespace
}  // namespace dmrp::server
