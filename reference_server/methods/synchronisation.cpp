#include "reference_server/methods/synchronisation.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/table_change.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace dmrp::server {
namespace {

// How often the progress of a synchronisation is looked at, of which the kernel sends no events.
constexpr std::chrono::milliseconds kProgressLook{250};

// The part of their synchronisation that is done, 0 to 100; 100 when none goes on.
unsigned Progress(DiskManagementServer& server, const std::vector<std::string>& names) {
  const auto operation = server.model().BeginOperation();
  std::uint64_t done = 0;
  std::uint64_t all = 0;
  for (const std::string& name : names) {
    const auto status = server.inventory().source().Volumes().Status(name);
    if (status && (status->sync != SyncKind::kNone || status->Has(MemberState::kRebuilding))) {
      done += status->syncedBytes;
      all += std::max<std::uint64_t>(status->syncBytes, status->syncedBytes + 1);
    }
  }
  return all == 0 ? 100 : static_cast<unsigned>(done * 100 / all);
}

Outcome<void> AwaitSynchronised(DiskManagementServer& server, const std::vector<std::string>& names,
                                const TaskJob::ReportProgress& report, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    const unsigned percent = Progress(server, names);
    if (percent == 100) {
      return {};
    }
    report(percent);
    stopped.wait_for(lock, stop, kProgressLook, [] { return false; });
  }
  // What goes on in the kernel goes on without the task.
  return Reject(LDM_E_TASK_ABORTED, "the task was stopped; the synchronisation was not");
}

}  // namespace

TaskJob AwaitSynchronisation(DiskManagementServer& server, LdmObjectId storage_id,
                             std::vector<std::string> names) {
  return TaskJob{
      .storage_id = storage_id,
      .type = PROGRESS_SYNCHING,
      .work = [&server, names = std::move(names)](
                  const TaskJob::ReportProgress& report,
                  const std::stop_token& stop) { return AwaitSynchronised(server, names, report, stop); },
      .finish =
          [&server](const StorageModel::Operation& later, Outcome<void> worked) {
            CommitSystem(server, later, {});
            return worked;
          }};
}

}  // namespace dmrp::server
