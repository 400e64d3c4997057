// Runs the asynchronous tasks of the server ([MS-DMRP] 3.2.4.3).
#pragma once

#include "protocol/rpc/server.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/objects/storage_model.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

namespace dmrp::server {

/// One asynchronous task. Its two halves are called once each, from a thread of the task's own.
struct TaskJob {
  using ReportProgress = std::function<void(unsigned percent)>;

  LdmObjectId storage_id = 0;               ///< the object that the task works on: TASK_INFO::storageId
  DMPROGRESS_TYPE type = PROGRESS_UNKNOWN;  ///< what percentComplete counts
  /// The long part. Runs beside operations; ends soon, with any refusal, once a stop is requested.
  std::function<Outcome<void>(const ReportProgress& report, const std::stop_token& stop)> work;
  /// Brings the list of storage objects up to date, whether the work succeeded, failed or was stopped. Its
  /// result is the task's.
  std::function<Outcome<void>(const StorageModel::Operation& operation, Outcome<void> worked)> finish;
};

/// The tasks under way, their progress and final notifications, and how they are stopped. Thread-safe.
class TaskRunner {
 public:
  /// How long Abort and StopWorkOn wait for the work to end.
  static constexpr std::chrono::seconds kStopDeadline{30};

  explicit TaskRunner(StorageModel& model) : model_(model) {}
  /// Stops all work and waits for its end.
  ~TaskRunner();
  TaskRunner(const TaskRunner&) = delete;
  TaskRunner& operator=(const TaskRunner&) = delete;

  /// Lists a task and starts it when the reply to `call` is on the way, so that no notification overtakes it.
  /// Returns the TASK_INFO of that reply, REQ_STARTED. Clients are notified at 0, 10, 20 ... percent (note
  /// 18) and once of the end: REQ_COMPLETED, REQ_FAILED with the error, or REQ_ABORTED.
  TASK_INFO Start(const rpc::CallContext& call, TaskJob job);

  enum class AbortResult {
    kAborted,
    kUnknown,   ///< no such task is running
    kFinished,  ///< the work was done when the request came
    kStuck,     ///< the work did not end within kStopDeadline; it still has to
  };
  /// Stops a task's work and waits for it to end (3.2.4.4.1.52).
  AbortResult Abort(LdmObjectId task_id);

  /// Stops the work of all tasks on a storage object and waits until nothing of it touches the storage any
  /// more; they end as REQ_ABORTED. May be called under an operation. False when that takes too long.
  bool StopWorkOn(LdmObjectId storage_id);

 private:
  struct Task;

  void Run(const std::shared_ptr<Task>& task);
  void Report(Task& task, unsigned percent);
  static bool AwaitWork(Task& task);
  void Sweep();

  StorageModel& model_;
  std::mutex mutex_;
  std::map<LdmObjectId, std::shared_ptr<Task>> tasks_;
};

}  // namespace dmrp::server
