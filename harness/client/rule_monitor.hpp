// Judges the rules that hold always, around every call of every session.
//
// Identifiers: one name for one object over all kinds, never used again. LastKnownState: never falls, rises
// with each modification. Changes: the notifications of each sink equal the difference between the
// enumerations before and after a call, and come before its reply. TASK_INFO: id fresh, status final, unused
// members zero. Replies: well formed, values of their enumerations, regions ascending and apart.
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

/// One call that may change storage, with what was seen before and after it.
struct Mutation {
  CallFacts call;
  bool succeeded = false;
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
  /// The TASK_INFO of a synchronous method's reply.
  void SawTask(const CallFacts& call, const TASK_INFO& task, HRESULT result, LdmObjectId client);
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
    std::int64_t state = 0;
    bool gone = false;
    std::chrono::steady_clock::time_point gone_since;
  };

  void Name(Kind kind, LdmObjectId id, std::uint64_t call);
  void Alive(Kind kind, LdmObjectId id, const CallFacts& call);
  void Rises(Kind kind, LdmObjectId id, std::int64_t state, std::uint64_t call);
  void CheckDisk(const CallFacts& call, Revision revision, const DISK_INFO_EX& disk);
  void CheckRegion(const CallFacts& call, Revision revision, const REGION_INFO_EX& region);
  void CompareWithSink(const Mutation& mutation, const std::vector<ObjectDifference>& differences,
                       NotificationSink& sink, std::uint64_t mark);

  const std::shared_ptr<Findings> findings_;
  const std::chrono::milliseconds notification_limit_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<NotificationSink>> sinks_;
  std::map<LdmObjectId, Known> known_;
  std::map<const NotificationSink*, std::map<LdmObjectId, std::int64_t>> sink_states_;
  std::map<LdmObjectId, REQSTATUS> finished_tasks_;
  std::vector<std::shared_ptr<NotificationSink>> all_sinks_;
  std::map<Revision, std::map<LdmObjectId, DISK_INFO_EX>> last_disks_;
  std::map<Revision, std::map<LdmObjectId, REGION_INFO_EX>> last_regions_;
};

}  // namespace dmrp::harness
