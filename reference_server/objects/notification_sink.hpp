#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace dmrp::server {

/// A client's IDMNotify as the server sees it.
class NotificationSink {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  /// What the client answered (an HRESULT), or why there is no answer: kUnavailable when the client is not
  /// there any more, kTimeout when the deadline passed, any other kind when it could not be delivered.
  using Done = std::function<void(Result<std::int32_t>)>;

  virtual ~NotificationSink() = default;
  /// Calls IDMNotify::ObjectsChanged with `stream`. Does not block; calls `done` once, from any thread. The
  /// next call comes only after `done` or after the deadline.
  virtual void ObjectsChanged(std::shared_ptr<const Bytes> stream, Deadline deadline, Done done) = 0;
};

}  // namespace dmrp::server
