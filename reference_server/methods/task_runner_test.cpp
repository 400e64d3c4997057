#include "reference_server/methods/task_runner.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/methods_test_support.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>

namespace dmrp::server {
namespace {

// An event that threads wait for with a deadline.
class Event {
 public:
  void Set() {
    const std::scoped_lock lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  bool Await(const std::stop_token& stop = {}) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, stop, std::chrono::seconds(30), [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool set_ = false;
};

class TaskRunnerTest : public testing::Test {
 protected:
  TaskRunnerTest() : sink(std::make_shared<RecordingSink>(Revision::kIVolumeClient3)) {
    model.AddClient(Revision::kIVolumeClient3, sink);
  }

  // Work that reports what it is told and ends when `go` is set or it is stopped.
  TaskJob Waiting(LdmObjectId storage = 7) {
    return {
        .storage_id = storage,
        .type = PROGRESS_FORMAT,
        .work = [this](const TaskJob::ReportProgress& report, const std::stop_token& stop) -> Outcome<void> {
          report(15);
          running.Set();
          if (!go.Await(stop)) {
            return Reject(LDM_E_TASK_ABORTED, "stopped");
          }
          return {};
        },
        .finish =
            [this](const StorageModel::Operation&, Outcome<void> worked) {
              ++finished;
              return worked;
            }};
  }

  std::vector<TASK_INFO> Frames() const {
    std::vector<TASK_INFO> frames;
    for (const Notification& item : sink->items) {
      frames.push_back(std::get<TASK_INFO>(item.object));
    }
    return frames;
  }

  StorageModel model;
  std::shared_ptr<RecordingSink> sink;
  Event running;
  Event go;
  int finished = 0;
  rpc::CallContext call;
  TaskRunner runner{model};  // the last member: its threads use the others
};

TEST_F(TaskRunnerTest, ATaskIsListedWhileItRunsAndNotifiedToItsEnd) {
  const TASK_INFO started = runner.Start(call, Waiting());
  EXPECT_EQ(started, (TASK_INFO{.id = started.id, .storageId = 7, .status = REQ_STARTED}));
  ASSERT_TRUE(running.Await());
  const auto listed = model.tasks().Find(started.id);
  ASSERT_TRUE(listed.has_value());
  EXPECT_EQ(listed->status, REQ_IN_PROGRESS);
  EXPECT_EQ(listed->percentComplete, 15U);
  EXPECT_EQ(listed->type, PROGRESS_FORMAT);
  go.Set();
  const TASK_INFO last = sink->AwaitEnd(started.id);
  EXPECT_EQ(last.status, REQ_COMPLETED);
  EXPECT_EQ(last.percentComplete, 100U);
  EXPECT_EQ(last.storageId, 7);
  EXPECT_FALSE(model.tasks().Find(started.id)) << "the task is still listed after its final notification";
  EXPECT_EQ(finished, 1);
  std::vector<unsigned> percents;
  for (const TASK_INFO& frame : Frames()) {
    percents.push_back(frame.percentComplete);
  }
  EXPECT_EQ(percents, (std::vector<unsigned>{0, 15, 100}));
}

TEST_F(TaskRunnerTest, ClientsAreNotFloodedWithProgress) {
  TaskJob job = Waiting();
  job.work = [](const TaskJob::ReportProgress& report, const std::stop_token&) -> Outcome<void> {
    for (unsigned percent = 0; percent <= 100; ++percent) {
      report(percent);
    }
    return {};
  };
  const TASK_INFO started = runner.Start(call, std::move(job));
  sink->AwaitEnd(started.id);
  EXPECT_EQ(Frames().size(), 11U) << "0, 10, ... 90 and the end";
}

TEST_F(TaskRunnerTest, NothingIsNotifiedBeforeTheReplyIsOnTheWay) {
  call.after_reply = std::make_shared<rpc::AfterReply>();
  const TASK_INFO started = runner.Start(call, Waiting());
  EXPECT_TRUE(model.tasks().Find(started.id)) << "a task is listed at once";
  EXPECT_TRUE(sink->items.empty());
  go.Set();
  for (const auto& work : call.after_reply->Take()) {
    work();
  }
  EXPECT_EQ(sink->AwaitEnd(started.id).status, REQ_COMPLETED);
}

TEST_F(TaskRunnerTest, AFailedTaskTellsItsError) {
  TaskJob job = Waiting();
  job.work = [](const TaskJob::ReportProgress&, const std::stop_token&) -> Outcome<void> {
    return Reject(LDM_E_TASK_IOERROR, "a sector cannot be read");
  };
  const TASK_INFO started = runner.Start(call, std::move(job));
  const TASK_INFO last = sink->AwaitEnd(started.id);
  EXPECT_EQ(last.status, REQ_FAILED);
  EXPECT_EQ(last.error, LDM_E_TASK_IOERROR);
}

TEST_F(TaskRunnerTest, AbortEndsTheWorkBeforeItReturns) {
  const TASK_INFO started = runner.Start(call, Waiting());
  ASSERT_TRUE(running.Await());
  EXPECT_EQ(runner.Abort(started.id), TaskRunner::AbortResult::kAborted);
  const TASK_INFO last = sink->AwaitEnd(started.id);
  EXPECT_EQ(last.status, REQ_ABORTED);
  EXPECT_EQ(last.error, 0);
  EXPECT_EQ(runner.Abort(started.id), TaskRunner::AbortResult::kUnknown);
  EXPECT_EQ(runner.Abort(4711), TaskRunner::AbortResult::kUnknown);
}

TEST_F(TaskRunnerTest, WorkOnAStorageObjectCanBeStoppedUnderAnOperation) {
  const TASK_INFO started = runner.Start(call, Waiting(7));
  ASSERT_TRUE(running.Await());
  {
    const auto operation = model.BeginOperation();
    EXPECT_TRUE(runner.StopWorkOn(8)) << "there is nothing to stop";
    EXPECT_TRUE(model.tasks().Find(started.id));
    EXPECT_TRUE(runner.StopWorkOn(7));
    EXPECT_EQ(finished, 0) << "the rest of the task changes the list and waits for its turn";
  }
  EXPECT_EQ(sink->AwaitEnd(started.id).status, REQ_ABORTED);
  EXPECT_EQ(finished, 1);
}

}  // namespace
}  // namespace dmrp::server
