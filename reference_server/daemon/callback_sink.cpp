#include "reference_server/daemon/callback_sink.hpp"

#include "dmrp/interfaces/proxy.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace dmrp::server {

CallbackSink::CallbackSink(dcom::ObjectRef notify)
    : notify_(std::move(notify)), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void CallbackSink::ObjectsChanged(std::shared_ptr<const Bytes> stream, Deadline deadline, Done done) {
  {
    const std::scoped_lock lock(mutex_);
    queue_.push_back({std::move(stream), deadline, std::move(done)});
  }
  wake_.notify_one();
}

void CallbackSink::Run(const std::stop_token& stop) {
  while (true) {
    Delivery delivery;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [this] { return !queue_.empty(); })) {
        return;
      }
      delivery = std::move(queue_.front());
      queue_.pop_front();
    }
    if (stop.stop_requested()) {
      delivery.done(Fail(ErrorKind::kUnavailable, "the client left"));
      continue;
    }
    delivery.done(Call(delivery, stop));
  }
}

Result<std::int32_t> CallbackSink::Call(const Delivery& delivery, const std::stop_token& stop) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(delivery.deadline -
                                                                          std::chrono::steady_clock::now());
  dcom::CallOptions options;
  options.timeout = std::max(left, std::chrono::milliseconds(1));
  options.cancel = stop;
  const IDMNotifyProxy proxy(notify_.Caller(options));
  const auto reply = proxy.ObjectsChanged({.ByteStream = *delivery.stream});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  return reply->result;
}

}  // namespace dmrp::server
