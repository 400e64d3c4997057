#include "reference_server/methods/synchronisation.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/table_change.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace dmrp::server {
namespace {

// How often the progress of a synchronisation is looked at, of which the kernel sends no events.
constexpr std::chrono::milliseconds kProgressLook{250};

bool IsInPrimaryGroup(const DiskGroups& groups, const std::string& name) {
  const FoundGroup* group = groups.Primary();
  return group != nullptr &&
         std::ranges::find(group->volumes, name, &GroupVolume::name) != group->volumes.end();
}

// Volumes whose members are made whole.
class Synchronisation {
 public:
  // As they are now: of what fails later the task is to tell. Under an operation.
  Synchronisation(DiskManagementServer& server, const std::vector<std::string>& names) : server_(server) {
    for (const std::string& name : names) {
      if (const auto status = server_.inventory().source().Volumes().Status(name)) {
        (void)watches_[name].Look(*status, std::chrono::steady_clock::now());
      } else {
        watches_[name];
      }
    }
  }

  // The part that is done, 0 to 100; 100 when none goes on. A volume that was deleted has nothing left to do.
  Outcome<unsigned> Progress() {
    const auto operation = server_.model().BeginOperation();
    const auto now = std::chrono::steady_clock::now();
    std::uint64_t done = 0;
    std::uint64_t all = 0;
    for (auto& [name, watch] : watches_) {
      const auto status = server_.inventory().source().Volumes().Status(name);
      if (!status) {
        if (IsInPrimaryGroup(server_.inventory().groups(), name)) {
          return Reject(LDM_E_TASK_IOERROR, "the volume went offline");
        }
        continue;
      }
      switch (watch.Look(*status, now)) {
        case SyncWatch::Standing::kGivenUp:
          return Reject(LDM_E_TASK_IOERROR, "a member could not be made whole: it or its source failed");
        case SyncWatch::Standing::kGoingOn:
          done += status->syncedBytes;
          all += std::max<std::uint64_t>(status->syncBytes, status->syncedBytes + 1);
          break;
        case SyncWatch::Standing::kDone:
          break;
      }
    }
    return all == 0 ? 100 : static_cast<unsigned>(done * 100 / all);
  }

 private:
  DiskManagementServer& server_;
  std::map<std::string, SyncWatch> watches_;
};

Outcome<void> AwaitSynchronised(Synchronisation& synchronisation, const TaskJob::ReportProgress& report,
                                const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    const auto percent = synchronisation.Progress();
    if (!percent) {
      return tl::unexpected(percent.error());
    }
    if (*percent == 100) {
      return {};
    }
    report(*percent);
    stopped.wait_for(lock, stop, kProgressLook, [] { return false; });
  }
  // What goes on in the kernel goes on without the task.
  return Reject(LDM_E_TASK_ABORTED, "the task was stopped; the synchronisation was not");
}

}  // namespace

TaskJob AwaitSynchronisation(DiskManagementServer& server, LdmObjectId storage_id,
                             const std::vector<std::string>& names) {
  auto synchronisation = std::make_shared<Synchronisation>(server, names);
  return TaskJob{
      .storage_id = storage_id,
      .type = PROGRESS_SYNCHING,
      .work = [synchronisation = std::move(synchronisation)](
                  const TaskJob::ReportProgress& report,
                  const std::stop_token& stop) { return AwaitSynchronised(*synchronisation, report, stop); },
      .finish =
          [&server](const StorageModel::Operation& later, Outcome<void> worked) {
            CommitSystem(server, later, {});
            return worked;
          }};
}

}  // namespace dmrp::server
