#pragma once

#include "protocol/dcom/object_ref.hpp"
#include "reference_server/objects/notification_sink.hpp"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

namespace dmrp::server {

/// A client's IDMNotify over DCOM. One thread makes its calls, so that clients that are slow or dead hold up
/// nobody but themselves and each client gets its notifications in order.
class CallbackSink final : public NotificationSink {
 public:
  explicit CallbackSink(dcom::ObjectRef notify);
  /// Gives up what was not delivered (its Done gets kUnavailable) and cancels the call under way.
  ~CallbackSink() override = default;

  void ObjectsChanged(std::shared_ptr<const Bytes> stream, Deadline deadline, Done done) override;

 private:
  struct Delivery {
    std::shared_ptr<const Bytes> stream;
    Deadline deadline;
    Done done;
  };

  void Run(const std::stop_token& stop);
  Result<std::int32_t> Call(const Delivery& delivery, const std::stop_token& stop);

  dcom::ObjectRef notify_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Delivery> queue_;
  std::jthread thread_;  // the last member: it stops before what it uses goes
};

}  // namespace dmrp::server
