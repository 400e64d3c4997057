#include "reference_server/objects/storage_model.hpp"

#include "reference_server/objects/notification_stream.hpp"

#include <condition_variable>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr LONGLONG kInitialState = 1;

// Collects the answers of the clients to one notification. Shared with the callbacks, so that an answer after
// the deadline finds it still there.
class Answers {
 public:
  explicit Answers(const std::vector<LdmObjectId>& clients) {
    for (const LdmObjectId id : clients) {
      answers_.emplace(id, std::nullopt);
    }
  }

  void Set(LdmObjectId id, Result<std::int32_t> answer) {
    const std::scoped_lock lock(mutex_);
    auto& slot = answers_.at(id);
    if (!slot) {
      slot = std::move(answer);
      ++received_;
    }
    if (received_ == answers_.size()) {
      complete_.notify_all();
    }
  }

  std::map<LdmObjectId, std::optional<Result<std::int32_t>>> Await(NotificationSink::Deadline deadline) {
    std::unique_lock lock(mutex_);
    complete_.wait_until(lock, deadline, [this] { return received_ == answers_.size(); });
    return answers_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable complete_;
  std::map<LdmObjectId, std::optional<Result<std::int32_t>>> answers_;
  std::size_t received_ = 0;
};

void Resolve(StorageObject& object, const StorageModel::NewIds& ids) {
  for (LdmObjectId* reference : References(object)) {
    if (const auto found = ids.find(*reference); found != ids.end()) {
      *reference = found->second;
    }
  }
}

}  // namespace

StorageModel::StorageModel(StorageModelOptions options)
    : options_(std::move(options)), ids_(options_.first_id), state_(std::make_shared<const ObjectState>()) {}

std::shared_ptr<const ObjectState> StorageModel::State() const {
  const std::scoped_lock lock(mutex_);
  return state_;
}

StorageModel::Operation StorageModel::BeginOperation() { return Operation(operation_mutex_); }

StorageModel::NewIds StorageModel::Commit(const Operation& /*operation*/, const ChangeSet& changes) {
  NewIds ids;
  if (changes.empty()) {
    return ids;
  }
  for (const ObjectChange& change : changes.changes()) {
    if (change.action == LDMACTION_CREATED) {
      ids.emplace(IdOf(change.object), ids_.Next());
    }
  }
  std::vector<ObjectChange> applied = changes.changes();
  auto next = std::make_shared<ObjectState>(*State());
  for (ObjectChange& change : applied) {
    Resolve(change.object, ids);
    switch (change.action) {
      case LDMACTION_CREATED:
        SetId(change.object, ids.at(IdOf(change.object)));
        SetLastKnownState(change.object, kInitialState);
        next->Put(change.object);
        break;
      case LDMACTION_DELETED:
        next->Erase(IdOf(change.object));
        break;
      default:
        if (const StorageObject* before = next->Find(IdOf(change.object))) {
          SetLastKnownState(change.object, LastKnownStateOf(*before) + 1);
        }
        next->Put(change.object);
        break;
    }
  }
  // Publishing the list and choosing the recipients is one step: a client that registers later reads the new
  // list, one that registered before gets the frames.
  Clients recipients;
  {
    const std::scoped_lock lock(mutex_);
    state_ = std::move(next);
    recipients = clients_;
  }
  Deliver(recipients,
          [&](Revision revision) { return MakeNotificationStream(revision, options_.pointers, applied); });
  return ids;
}

void StorageModel::NotifyTask(const TASK_INFO& task) {
  Clients recipients;
  {
    const std::scoped_lock lock(mutex_);
    recipients = clients_;
  }
  Deliver(recipients, [&](Revision) { return MakeTaskStream(options_.pointers, task); });
}

LdmObjectId StorageModel::AddClient(Revision revision, std::shared_ptr<NotificationSink> sink) {
  const LdmObjectId id = ids_.Next();
  const std::scoped_lock lock(mutex_);
  clients_.emplace(id, Client{revision, std::move(sink)});
  return id;
}

bool StorageModel::RemoveClient(LdmObjectId id) {
  std::shared_ptr<NotificationSink> sink;  // destroyed after the lock is released
  const std::scoped_lock lock(mutex_);
  const auto found = clients_.find(id);
  if (found == clients_.end()) {
    return false;
  }
  sink = std::move(found->second.sink);
  clients_.erase(found);
  return true;
}

bool StorageModel::HasClient(LdmObjectId id) const {
  const std::scoped_lock lock(mutex_);
  return clients_.contains(id);
}

std::size_t StorageModel::ClientCount() const {
  const std::scoped_lock lock(mutex_);
  return clients_.size();
}

void StorageModel::Deliver(const Clients& clients, const MakeStream& make_stream) {
  if (clients.empty()) {
    return;
  }
  const std::scoped_lock one_at_a_time(delivery_mutex_);
  const auto deadline = std::chrono::steady_clock::now() + options_.notification_deadline;
  std::map<Revision, std::shared_ptr<const Bytes>> streams;
  std::vector<LdmObjectId> recipients;
  for (const auto& [id, client] : clients) {
    recipients.push_back(id);
    if (!streams.contains(client.revision)) {
      auto stream = make_stream(client.revision);
      if (!stream) {
        Log("a change cannot be notified: " + stream.error().ToString());
        return;
      }
      streams[client.revision] = std::make_shared<const Bytes>(std::move(*stream));
    }
  }
  const auto answers = std::make_shared<Answers>(recipients);
  for (const auto& [id, client] : clients) {
    client.sink->ObjectsChanged(
        streams.at(client.revision), deadline,
        [answers, id = id](Result<std::int32_t> answer) { answers->Set(id, std::move(answer)); });
  }
  for (const auto& [id, answer] : answers->Await(deadline)) {
    DropIfGone(id, answer ? *answer : Fail(ErrorKind::kTimeout, "no answer to ObjectsChanged"));
  }
}

void StorageModel::DropIfGone(LdmObjectId id, const Result<std::int32_t>& answer) {
  if (answer) {
    if (*answer < 0) {
      Log(fmt::format("client {} answered a notification with {:#010x}", id,
                      static_cast<std::uint32_t>(*answer)));
    }
    return;
  }
  const ErrorKind kind = answer.error().kind;
  const bool gone = kind == ErrorKind::kUnavailable || kind == ErrorKind::kTimeout;
  Log(fmt::format("client {} could not be notified: {}{}", id, answer.error().ToString(),
                  gone ? "; it leaves the list of clients" : ""));
  if (gone) {
    RemoveClient(id);
  }
}

void StorageModel::Log(const std::string& text) const {
  if (options_.log) {
    options_.log(text);
  }
}

}  // namespace dmrp::server
