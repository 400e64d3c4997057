// The threads that do network input and output.
#pragma once

#include <memory>

namespace dmrp::rpc {

/// An event loop and its threads. Clients and servers borrow it and must be gone before it is.
/// Nothing that blocks runs on it: server handlers have a worker pool of their own.
class IoPool {
 public:
  /// Starts `threads` threads (at least one).
  explicit IoPool(unsigned threads = 2);
  /// Stops and joins the threads. Work that is still queued is dropped.
  ~IoPool();
  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;

  struct Impl;
  [[nodiscard]] Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace dmrp::rpc
