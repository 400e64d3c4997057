// The client's end of notifications: an IDMNotify object that keeps what arrives, in order and with its time.
//
//   auto sink = std::make_shared<NotificationSink>(Revision::kIVolumeClient3, "watcher", history);
//   ... Initialize with a reference to it ...
//   auto seen = sink->WaitFor(Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED), 5s);
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "harness/client/history.hpp"
#include "harness/client/storage_view.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dcom/object.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::harness {

/// One frame of an ObjectsChanged byte stream, decoded.
struct ReceivedObject {
  DMNOTIFY_INFO_TYPE type = DMNOTIFY_UNKNOWN_INFO;
  LDMACTION action = LDMACTION_UNKNOWN;
  LdmObjectId id = 0;                    ///< of a drive letter: LetterId
  std::int64_t lastKnownState = 0;       ///< 0 where the structure has none
  std::optional<DISK_INFO_EX> disk;      ///< widened for a client of IVolumeClient
  std::optional<REGION_INFO_EX> region;  ///< likewise
  std::optional<TASK_INFO> task;
  std::optional<FILE_SYSTEM_INFO> file_system;
  std::optional<DRIVE_LETTER_INFO> letter;
  std::optional<VOLUME_INFO> volume;
  nlohmann::json object;  ///< the structure by member names

  /// "REGION CREATED 7".
  [[nodiscard]] std::string ToString() const;
};

/// One ObjectsChanged call.
struct ReceivedNotification {
  std::uint64_t number = 0;                        ///< within its sink, from 1
  std::chrono::steady_clock::time_point received;  ///< when the request's last PDU had come
  std::vector<ReceivedObject> objects;
  Bytes stream;                       ///< ByteStream as it came
  std::vector<std::string> problems;  ///< what is wrong with the stream, in words; empty: nothing
};

/// Thread-safe. The runtime keeps the sink alive while the server holds a reference to it.
class NotificationSink : public dcom::Object {
 public:
  using Clock = std::chrono::steady_clock;
  using Predicate = std::function<bool(const ReceivedObject&)>;

  /// `revision` says which structures the server is to send; `name` stands in the history.
  NotificationSink(Revision revision, std::string name, std::shared_ptr<History> history);

  /// Called for each notification, from the thread that received it, before it is answered.
  void OnNotification(std::function<void(const ReceivedNotification&)> listener);
  /// Tells when the last request PDU of the runtime had come; the time of the call itself by default.
  void SetArrivalClock(std::function<Clock::time_point()> clock);

  /// Objects that are asked for IDMNotify and lack it.
  void DenyInterface() { denied_ = true; }
  /// What ObjectsChanged answers from now on; 0 by default.
  void AnswerWith(HRESULT result);
  /// Answers nothing until ReleaseAnswers, at most ten seconds each.
  void WithholdAnswers();
  void ReleaseAnswers();

  /// All notifications so far.
  [[nodiscard]] std::vector<ReceivedNotification> All() const;
  /// The objects of all notifications numbered above `after`, in order.
  [[nodiscard]] std::vector<ReceivedObject> Objects(std::uint64_t after = 0) const;
  [[nodiscard]] std::uint64_t Count() const;

  /// The first object in a notification above `after` that fits; waits for it. nullopt when the time is over.
  std::optional<ReceivedObject> WaitFor(const Predicate& predicate, std::chrono::milliseconds limit,
                                        std::uint64_t after = 0);
  /// Waits until `done(objects above after)`; false when the time is over.
  bool WaitUntil(const std::function<bool(const std::vector<ReceivedObject>&)>& done,
                 std::chrono::milliseconds limit, std::uint64_t after = 0);
  /// Waits until ObjectsChanged calls above `after` are being withheld or were received.
  bool WaitForCalls(std::uint64_t count, std::chrono::milliseconds limit);
  /// Waits until the server has given all references back; nullopt when the time is over.
  std::optional<dcom::Unreferenced> WaitUnreferenced(std::chrono::milliseconds limit);

  [[nodiscard]] Revision revision() const { return revision_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// How often the server asked the object for IDMNotify, and for other interfaces.
  [[nodiscard]] std::vector<Guid> InterfacesAsked() const;
  /// Operation numbers other than ObjectsChanged's that were called.
  [[nodiscard]] std::vector<std::uint16_t> StrangeOpnums() const;

  dcom::Dispatch QueryInterface(const Guid& iid) override;
  void OnUnreferenced(dcom::Unreferenced why) override;

 private:
  HRESULT Receive(const Bytes& stream, Clock::time_point arrived);

  const Revision revision_;
  const std::string name_;
  const std::shared_ptr<History> history_;
  std::atomic<bool> denied_ = false;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(const ReceivedNotification&)> listener_;
  std::function<Clock::time_point()> arrival_;
  std::vector<ReceivedNotification> notifications_;
  std::vector<Guid> asked_;
  std::vector<std::uint16_t> strange_opnums_;
  std::optional<dcom::Unreferenced> unreferenced_;
  HRESULT answer_ = 0;
  bool withholding_ = false;
};

/// Fits frames of that type and action.
NotificationSink::Predicate Action(DMNOTIFY_INFO_TYPE type, LDMACTION action);
NotificationSink::Predicate Action(DMNOTIFY_INFO_TYPE type, LDMACTION action, LdmObjectId id);

}  // namespace dmrp::harness
