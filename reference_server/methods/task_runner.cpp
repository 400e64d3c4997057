#include "reference_server/methods/task_runner.hpp"

#include "protocol/dmrp/hresult.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace dmrp::server {
namespace {

constexpr unsigned kNotifiedStep = 10;  // percent

}  // namespace

struct TaskRunner::Task {
  TASK_INFO info;  // used by the task's own thread only, once that runs
  TaskJob job;
  std::stop_source stop;
  std::optional<unsigned> notified;  // the percentage of the latest progress notification

  std::mutex mutex;
  std::condition_variable changed;
  bool worked = false;   // the work has ended
  bool stopped = false;  // it ended because it had to
  bool ended = false;    // nothing is left to do but joining the thread
  std::thread thread;
};

TaskRunner::~TaskRunner() {
  std::map<LdmObjectId, std::shared_ptr<Task>> tasks;
  {
    const std::scoped_lock lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& [id, task] : tasks) {
    task->stop.request_stop();
  }
  for (const auto& [id, task] : tasks) {
    if (task->thread.joinable()) {
      task->thread.join();
    }
  }
}

TASK_INFO TaskRunner::Start(const rpc::CallContext& call, TaskJob job) {
  Sweep();
  auto task = std::make_shared<Task>();
  task->info.id = model_.NewTaskId();
  task->info.storageId = job.storage_id;
  task->info.status = REQ_STARTED;
  task->job = std::move(job);
  const TASK_INFO started = task->info;
  model_.tasks().Add(started);
  {
    const std::scoped_lock lock(mutex_);
    tasks_.emplace(started.id, task);
  }
  call.Afterwards([this, id = started.id] {
    const std::scoped_lock lock(mutex_);
    // Not there any more when the runner ends before the reply went out.
    if (const auto found = tasks_.find(id); found != tasks_.end()) {
      found->second->thread = std::thread([this, task = found->second] { Run(task); });
    }
  });
  return started;
}

void TaskRunner::Run(const std::shared_ptr<Task>& task) {
  task->info.status = REQ_IN_PROGRESS;
  task->info.type = task->job.type;
  Report(*task, 0);
  Outcome<void> outcome =
      task->stop.stop_requested()
          ? Outcome<void>(Reject(LDM_E_TASK_ABORTED, "stopped before it began"))
          : task->job.work([&](unsigned percent) { Report(*task, percent); }, task->stop.get_token());
  bool stopped = false;
  {
    const std::scoped_lock lock(task->mutex);
    stopped = !outcome && task->stop.stop_requested();
    task->stopped = stopped;
    task->worked = true;
    task->changed.notify_all();
  }
  outcome = task->job.finish(model_.BeginOperation(), std::move(outcome));
  if (outcome) {
    task->info.status = REQ_COMPLETED;
    task->info.percentComplete = 100;
  } else if (stopped) {
    task->info.status = REQ_ABORTED;
  } else {
    task->info.status = REQ_FAILED;
    task->info.error = outcome.error().hr;
  }
  // Before the notification, so that a client that enumerates in answer to it finds the task gone.
  model_.tasks().Remove(task->info.id);
  model_.NotifyTask(task->info);
  const std::scoped_lock lock(task->mutex);
  task->ended = true;
}

void TaskRunner::Report(Task& task, unsigned percent) {
  task.info.percentComplete = std::min(percent, 100U);
  model_.tasks().Update(task.info);
  const unsigned step = task.info.percentComplete / kNotifiedStep * kNotifiedStep;
  // The end has a notification of its own.
  if (step < 100 && (!task.notified || step > *task.notified)) {
    task.notified = step;
    model_.NotifyTask(task.info);
  }
}

TaskRunner::AbortResult TaskRunner::Abort(LdmObjectId task_id) {
  std::shared_ptr<Task> task;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = tasks_.find(task_id);
    if (found == tasks_.end() || !model_.tasks().Find(task_id)) {
      return AbortResult::kUnknown;
    }
    task = found->second;
  }
  task->stop.request_stop();
  if (!AwaitWork(*task)) {
    return AbortResult::kStuck;
  }
  const std::scoped_lock lock(task->mutex);
  return task->stopped ? AbortResult::kAborted : AbortResult::kFinished;
}

bool TaskRunner::StopWorkOn(LdmObjectId storage_id) {
  std::vector<std::shared_ptr<Task>> affected;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, task] : tasks_) {
      if (task->job.storage_id == storage_id) {
        affected.push_back(task);
      }
    }
  }
  for (const auto& task : affected) {
    task->stop.request_stop();
  }
  return std::ranges::all_of(affected, [](const auto& task) { return AwaitWork(*task); });
}

bool TaskRunner::AwaitWork(Task& task) {
  std::unique_lock lock(task.mutex);
  return task.changed.wait_for(lock, kStopDeadline, [&task] { return task.worked; });
}

void TaskRunner::Sweep() {
  const std::scoped_lock lock(mutex_);
  std::erase_if(tasks_, [](const auto& entry) {
    Task& task = *entry.second;
    const std::scoped_lock task_lock(task.mutex);
    if (task.ended) {
      task.thread.join();
    }
    return task.ended;
  });
}

}  // namespace dmrp::server
