// Judges the rules that hold always, around every call of every session.
//
// Identifiers: one name for one object over all kinds, never used again. LastKnownState: never falls, rises
// with each modification. Changes: the notifications of each sink equal the difference between the
// enumerations before and after a call, and come before its reply. TASK_INFO: id fresh, status final, unused
// members zero. Replies: well formed, values of their enumerations, regions ascending and apart.
// Asynchronous tasks: only of the methods that may have them, listed while they run, progress that never
// falls, one final frame for each sink and nothing behind it. File systems: one per storage object. Drive
// letters: one in use names an object that exists.
#pragma once

#include "harness/client/findings.hpp"
#include "harness/client/notification_sink.hpp"
#include "harness/client/outcome.hpp"
#include "harness/client/storage_view.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace dmrp::harness {

/// Whether 3.2.4.3 lists the method, of either revision, among those that may go on after their reply.
bool MayBeAsynchronous(std::string_view method);

/// One call that may change storage, with what was seen before and after it.
struct Mutation {
  CallFacts call;
  bool succeeded = false;
  bool asynchronous = false;           ///< the reply said that the work goes on
  std::uint64_t last_call_before = 0;  ///< number of the last call before `before` was taken
  StorageView before;
  StorageView after;
  /// By sink: the number of its last notification before the call.
  std::map<const NotificationSink*, std::uint64_t> marks;
};

/// Thread-safe. One monitor watches all sessions with one server process.
class RuleMonitor {
 public:
  RuleMonitor(std::shared_ptr<Findings> findings, std::chrono::milliseconds notification_limit)
      : findings_(std::move(findings)), notification_limit_(notification_limit) {}

  /// From now on the sink is to get every change; until Unwatch.
  void Watch(const std::shared_ptr<NotificationSink>& sink);
  void Unwatch(const NotificationSink& sink);
  /// The number of the last notification of every watched sink.
  [[nodiscard]] std::map<const NotificationSink*, std::uint64_t> Marks() const;

  void SawReply(const CallFacts& call, const std::optional<Error>& error, HRESULT result, bool may_fault);
  void SawDisks(const CallFacts& call, Revision revision, const std::vector<DISK_INFO_EX>& disks);
  void SawRegions(const CallFacts& call, Revision revision, LdmObjectId disk,
                  const std::vector<REGION_INFO_EX>& regions);
  void SawView(const CallFacts& call, const StorageView& view);
  void SawClient(const CallFacts& call, LdmObjectId client);
  /// The TASK_INFO of a reply; that of the methods in 3.2.4.3's list may say that the task goes on.
  void SawTask(const CallFacts& call, const TASK_INFO& task, HRESULT result, LdmObjectId client);
  void SawTaskList(const CallFacts& call, const std::vector<TASK_INFO>& tasks);
  /// A GetTaskDetail that succeeded for `asked`.
  void SawTaskDetail(const CallFacts& call, LdmObjectId asked, const TASK_INFO& task);
  void SawFileSystems(const CallFacts& call, const std::vector<FILE_SYSTEM_INFO>& file_systems);
  void SawInstalledFileSystems(const CallFacts& call, const std::vector<IFILE_SYSTEM_INFO>& installed);
  void SawDriveLetters(const CallFacts& call, const std::vector<DRIVE_LETTER_INFO>& letters);
  /// The reply of EnumVolumes (VOLUMETYPE_VM) or FTEnumVolumes (VOLUMETYPE_FT).
  void SawVolumes(const CallFacts& call, VOLUMETYPE type, const std::vector<VOLUME_INFO>& volumes);
  void SawNotification(const NotificationSink& sink, const ReceivedNotification& notification);
  void SawMutation(const Mutation& mutation);
  /// At the end of a test: what only the whole record shows.
  void Finish();
  /// A new server process: nothing is known of its identifiers.
  void ServerRestarted();

  [[nodiscard]] Findings& findings() const { return *findings_; }

 private:
  enum class Kind { kDisk, kRegion, kFileSystem, kVolume, kTask, kClient };
  static std::string_view KindName(Kind kind);

  struct Known {
    Kind kind = Kind::kDisk;
    std::uint64_t first_call = 0;  ///< the call that named it first; 0 for a notification
    std::int64_t state = 0;
    bool gone = false;
    std::chrono::steady_clock::time_point gone_since;
  };

  /// An asynchronous task, or what looks like one.
  struct Task {
    std::string method;  ///< empty until a reply named it
    CallFacts call;
    std::optional<std::chrono::steady_clock::time_point> first_seen;  ///< in a frame or a list
    std::optional<std::chrono::steady_clock::time_point> final_seen;  ///< first final frame at any sink
    std::vector<std::shared_ptr<NotificationSink>> sinks;             ///< registered when the reply came
  };
  /// What one sink was told of one task.
  struct Trace {
    std::uint32_t percent = 0;
    std::size_t finals = 0;
    std::size_t progress = 0;
    REQSTATUS final_status = REQ_UNKNOWN;
    std::chrono::steady_clock::time_point last;
  };

  void Name(Kind kind, LdmObjectId id, std::uint64_t call);
  /// Whether a call after that one was the first to name the object.
  [[nodiscard]] bool AppearedSince(LdmObjectId id, std::uint64_t call) const;
  void Alive(Kind kind, LdmObjectId id, const CallFacts& call);
  void Rises(Kind kind, LdmObjectId id, std::int64_t state, std::uint64_t call);
  void CheckDisk(const CallFacts& call, Revision revision, const DISK_INFO_EX& disk);
  void CheckRegion(const CallFacts& call, Revision revision, const REGION_INFO_EX& region);
  void CheckTask(const TASK_INFO& task, const Findings::Describe& text, std::uint64_t call);
  void CheckStartedTask(const CallFacts& call, const TASK_INFO& task, LdmObjectId client);
  void SawTaskFrame(const NotificationSink& sink, const ReceivedObject& object,
                    std::chrono::steady_clock::time_point received);
  /// Whether a taskId may stand in an object that a call showed.
  [[nodiscard]] bool AtWork(LdmObjectId task, const CallFacts& call) const;
  /// Whether a task that runs by itself may have changed objects around that call.
  [[nodiscard]] bool TasksRanDuring(const CallFacts& call) const;
  void FinishTasks();
  void SawLinks(const CallFacts& call, const StorageView& view);
  void SawLinksOfVolumes(const CallFacts& call, const StorageView& view);
  void CompareWithSink(const Mutation& mutation, bool concurrent,
                       const std::vector<ObjectDifference>& differences, NotificationSink& sink,
                       std::uint64_t mark);

  const std::shared_ptr<Findings> findings_;
  const std::chrono::milliseconds notification_limit_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<NotificationSink>> sinks_;
  std::map<LdmObjectId, Known> known_;
  std::map<const NotificationSink*, std::map<LdmObjectId, std::int64_t>> sink_states_;
  std::map<LdmObjectId, REQSTATUS> finished_tasks_;
  std::map<LdmObjectId, Task> tasks_;
  std::map<const NotificationSink*, std::map<LdmObjectId, Trace>> traces_;
  std::map<LdmObjectId, FILE_SYSTEM_INFO> last_file_systems_;
  std::map<LdmObjectId, DRIVE_LETTER_INFO> last_letters_;
  std::map<LdmObjectId, VOLUME_INFO> last_volumes_;
  std::vector<std::shared_ptr<NotificationSink>> all_sinks_;
  std::map<Revision, std::map<LdmObjectId, DISK_INFO_EX>> last_disks_;
  std::map<Revision, std::map<LdmObjectId, REGION_INFO_EX>> last_regions_;
};

}  // namespace dmrp::harness
