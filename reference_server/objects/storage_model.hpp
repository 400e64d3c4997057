// The data of the server role ([MS-DMRP] 3.2.1) and the one place where it changes.
#pragma once

#include "protocol/dmrp/notification.hpp"
#include "reference_server/objects/change_set.hpp"
#include "reference_server/objects/error_store.hpp"
#include "reference_server/objects/notification_sink.hpp"
#include "reference_server/objects/object_ids.hpp"
#include "reference_server/objects/task_list.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace dmrp::server {

struct StorageModelOptions {
  LdmObjectId first_id = ObjectIds::StartOfSession();
  /// How long a commit waits for a client's answer to a notification. A client that lets it pass, or that
  /// cannot be reached, leaves the list of clients: it would hold up everybody's operations again.
  std::chrono::milliseconds notification_deadline{15'000};
  /// The structure layout in notifications: that of the server's own processor architecture.
  Pointers pointers = sizeof(void*) == 4 ? Pointers::k32Bit : Pointers::k64Bit;
  /// Told about clients that failed; null for silence.
  std::function<void(const std::string&)> log;
};

/// Storage objects, clients and tasks. Reading is free at any time; changing takes the one operation lock, so
/// that operations follow one another, each with its notifications delivered before the next begins.
class StorageModel {
 public:
  /// Proof that its holder is the one operation that may change the list.
  class Operation {
   public:
    Operation(Operation&&) = default;

   private:
    friend class StorageModel;
    explicit Operation(std::mutex& mutex) : lock_(mutex) {}
    std::unique_lock<std::mutex> lock_;
  };

  /// The identifiers that a commit gave to the objects it created, by their provisional ones.
  using NewIds = std::map<LdmObjectId, LdmObjectId>;

  explicit StorageModel(StorageModelOptions options = {});

  /// The list of storage objects as it is now. Never changes under the caller.
  [[nodiscard]] std::shared_ptr<const ObjectState> State() const;

  /// Waits for the operation that is running, if any.
  [[nodiscard]] Operation BeginOperation();

  /// Applies a change set (3.2.4.2): gives identifiers to created objects, increments LastKnownState of
  /// modified ones, publishes the new list, and delivers the notifications to every registered client, in
  /// each one's revision. Returns when all of them have answered or were given up. An empty set does nothing.
  NewIds Commit(const Operation& operation, const ChangeSet& changes);

  /// Notifies every registered client of a task's state (3.2.4.3): DMNOTIFY_TASK_INFO, LDMACTION_MODIFIED.
  /// Needs no operation: tasks run beside operations. Returns as Commit does.
  void NotifyTask(const TASK_INFO& task);

  /// Registers a client for notifications (3.2.1.2); its identifier is unique for the life of the server.
  LdmObjectId AddClient(Revision revision, std::shared_ptr<NotificationSink> sink);
  /// False when the client is not in the list.
  bool RemoveClient(LdmObjectId id);
  [[nodiscard]] bool HasClient(LdmObjectId id) const;
  [[nodiscard]] std::size_t ClientCount() const;

  /// A fresh identifier for a task.
  LdmObjectId NewTaskId() { return ids_.Next(); }
  [[nodiscard]] TaskList& tasks() { return tasks_; }
  [[nodiscard]] ErrorStore& errors() { return errors_; }

 private:
  struct Client {
    Revision revision = Revision::kIVolumeClient3;
    std::shared_ptr<NotificationSink> sink;
  };

  using Clients = std::map<LdmObjectId, Client>;
  using MakeStream = std::function<Result<Bytes>(Revision)>;

  void Deliver(const Clients& clients, const MakeStream& make_stream);
  void DropIfGone(LdmObjectId id, const Result<std::int32_t>& answer);
  void Log(const std::string& text) const;

  const StorageModelOptions options_;
  ObjectIds ids_;
  TaskList tasks_;
  ErrorStore errors_;

  std::mutex operation_mutex_;  // held over a whole operation, commit and delivery included
  std::mutex delivery_mutex_;   // held while notifications are delivered, taken after operation_mutex_
  mutable std::mutex mutex_;    // guards the members below; never held while calling out
  std::shared_ptr<const ObjectState> state_;
  Clients clients_;
};

}  // namespace dmrp::server
