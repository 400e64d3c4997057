#include "harness/client/notification_sink.hpp"

#include "dmrp/interfaces/handler.hpp"
#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/print.hpp"
#include "dmrp/interfaces/skeleton.hpp"
#include "protocol/dmrp/notification.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

constexpr std::chrono::seconds kLongestWithholding{10};

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};

ReceivedObject Describe(const dmrp::Notification& notification) {
  ReceivedObject seen;
  seen.type = notification.type();
  seen.action = notification.action;
  std::visit(Overloaded{
                 [&](const DISK_INFO& disk) { seen.disk = Widen(disk); },
                 [&](const DISK_INFO_EX& disk) { seen.disk = disk; },
                 [&](const REGION_INFO& region) { seen.region = Widen(region); },
                 [&](const REGION_INFO_EX& region) { seen.region = region; },
                 [&](const TASK_INFO& task) { seen.task = task; },
                 [&](const FILE_SYSTEM_INFO& file_system) { seen.file_system = file_system; },
                 [&](const VOLUME_INFO& volume) { seen.volume = volume; },
                 [&](const DRIVE_LETTER_INFO& letter) {
                   seen.letter = letter;
                   seen.id = LetterId(letter.letter);
                 },
                 [](const auto&) {},
             },
             notification.object);
  std::visit(
      [&](const auto& object) {
        if constexpr (requires { object.id; }) seen.id = object.id;
        if constexpr (requires { object.lastKnownState; }) seen.lastKnownState = object.lastKnownState;
      },
      notification.object);
  seen.object = ToJson(notification)["object"];
  return seen;
}

// Hands the one method of IDMNotify to a function.
class Receiver : public IDMNotifyHandler {
 public:
  explicit Receiver(std::function<HRESULT(const Bytes&)> take) : take_(std::move(take)) {}
  HRESULT ObjectsChanged(dcom::CallContext& /*call*/, const ObjectsChangedRequest& request,
                         ObjectsChangedReply& /*reply*/) override {
    return take_(request.ByteStream);
  }

 private:
  std::function<HRESULT(const Bytes&)> take_;
};

}  // namespace

NotificationSink::NotificationSink(Revision revision, std::string name, std::shared_ptr<History> history)
    : revision_(revision), name_(std::move(name)), history_(std::move(history)) {}

void NotificationSink::OnNotification(std::function<void(const ReceivedNotification&)> listener) {
  std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

void NotificationSink::SetArrivalClock(std::function<Clock::time_point()> clock) {
  std::lock_guard lock(mutex_);
  arrival_ = std::move(clock);
}

void NotificationSink::AnswerWith(HRESULT result) {
  std::lock_guard lock(mutex_);
  answer_ = result;
}

void NotificationSink::WithholdAnswers() {
  std::lock_guard lock(mutex_);
  withholding_ = true;
}

void NotificationSink::ReleaseAnswers() {
  std::lock_guard lock(mutex_);
  withholding_ = false;
  changed_.notify_all();
}

std::vector<ReceivedNotification> NotificationSink::All() const {
  std::lock_guard lock(mutex_);
  return notifications_;
}

std::vector<ReceivedObject> NotificationSink::Objects(std::uint64_t after) const {
  std::lock_guard lock(mutex_);
  std::vector<ReceivedObject> objects;
  for (const ReceivedNotification& notification : notifications_) {
    if (notification.number <= after) continue;
    objects.insert(objects.end(), notification.objects.begin(), notification.objects.end());
  }
  return objects;
}

std::uint64_t NotificationSink::Count() const {
  std::lock_guard lock(mutex_);
  return notifications_.size();
}

std::optional<ReceivedObject> NotificationSink::WaitFor(const Predicate& predicate,
                                                        std::chrono::milliseconds limit,
                                                        std::uint64_t after) {
  std::optional<ReceivedObject> found;
  WaitUntil(
      [&](const std::vector<ReceivedObject>& objects) {
        auto object = std::ranges::find_if(objects, predicate);
        if (object == objects.end()) return false;
        found = *object;
        return true;
      },
      limit, after);
  return found;
}

bool NotificationSink::WaitUntil(const std::function<bool(const std::vector<ReceivedObject>&)>& done,
                                 std::chrono::milliseconds limit, std::uint64_t after) {
  const auto deadline = Clock::now() + limit;
  std::uint64_t seen = 0;
  while (true) {
    {
      std::lock_guard lock(mutex_);
      seen = notifications_.size();
    }
    if (done(Objects(after))) return true;
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline, [&] { return notifications_.size() != seen; })) return false;
  }
}

bool NotificationSink::WaitForCalls(std::uint64_t count, std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return notifications_.size() >= count; });
}

std::optional<dcom::Unreferenced> NotificationSink::WaitUnreferenced(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] { return unreferenced_.has_value(); });
  return unreferenced_;
}

std::vector<Guid> NotificationSink::InterfacesAsked() const {
  std::lock_guard lock(mutex_);
  return asked_;
}

std::vector<std::uint16_t> NotificationSink::StrangeOpnums() const {
  std::lock_guard lock(mutex_);
  return strange_opnums_;
}

dcom::Dispatch NotificationSink::QueryInterface(const Guid& iid) {
  {
    std::lock_guard lock(mutex_);
    asked_.push_back(iid);
  }
  if (iid != IID_IDMNotify || denied_) return {};
  return [this](dcom::CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub) {
    if (opnum != opnum::IDMNotify::ObjectsChanged) {
      std::lock_guard lock(mutex_);
      strange_opnums_.push_back(opnum);
    }
    const auto arrived = Clock::now();
    Receiver receiver([&](const Bytes& stream) { return Receive(stream, arrived); });
    return DispatchIDMNotify(receiver, call, opnum, stub);
  };
}

void NotificationSink::OnUnreferenced(dcom::Unreferenced why) {
  std::lock_guard lock(mutex_);
  unreferenced_ = why;
  changed_.notify_all();
}

HRESULT NotificationSink::Receive(const Bytes& stream, Clock::time_point arrived) {
  ReceivedNotification notification;
  notification.stream = stream;
  const NotificationStream read = ReadNotifications(stream, revision_);
  for (const dmrp::Notification& item : read.items) notification.objects.push_back(Describe(item));
  for (const Error& error : read.errors) notification.problems.push_back(error.ToString());
  for (const ndr::Anomaly& anomaly : read.anomalies) {
    notification.problems.push_back(
        fmt::format("{} at offset {}: {}", anomaly.field, anomaly.offset, anomaly.text));
  }

  std::unique_lock lock(mutex_);
  notification.received = arrived;
  // The runtime's own record of the PDU is nearer to the truth than the moment a worker thread got to it.
  if (arrival_) {
    const auto pdu = arrival_();
    if (pdu != Clock::time_point{} && pdu < arrived) notification.received = pdu;
  }
  notification.number = notifications_.size() + 1;
  nlohmann::json items = nlohmann::json::array();
  for (const ReceivedObject& object : notification.objects) {
    items.push_back(
        {{"type", NameOf(object.type)}, {"action", NameOf(object.action)}, {"object", object.object}});
  }
  nlohmann::json record{
      {"test", history_->test()}, {"session", name_}, {"items", std::move(items)}, {"hex", ToHex(stream)}};
  if (!notification.problems.empty()) record["problems"] = notification.problems;
  history_->WriteAt(notification.received, "notification", std::move(record));
  auto listener = listener_;
  notifications_.push_back(notification);
  changed_.notify_all();
  if (listener) {
    lock.unlock();
    listener(notification);
    lock.lock();
  }
  changed_.wait_for(lock, kLongestWithholding, [&] { return !withholding_; });
  return answer_;
}

NotificationSink::Predicate Action(DMNOTIFY_INFO_TYPE type, LDMACTION action) {
  return [=](const ReceivedObject& object) { return object.type == type && object.action == action; };
}

NotificationSink::Predicate Action(DMNOTIFY_INFO_TYPE type, LDMACTION action, LdmObjectId id) {
  return [=](const ReceivedObject& object) {
    return object.type == type && object.action == action && object.id == id;
  };
}

}  // namespace dmrp::harness
