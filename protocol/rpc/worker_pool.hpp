// Threads for handlers, which may block.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dmrp::rpc {

/// Starts a thread whenever a task comes and no thread is free, up to a limit; threads stay until Join.
class WorkerPool {
 public:
  WorkerPool(std::size_t max_threads, std::size_t max_queued);
  ~WorkerPool() { Join(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// False when the queue is full or the pool has ended.
  bool Submit(std::function<void()> task);
  /// Waits until nothing is queued or running; false when the deadline came first.
  bool AwaitIdle(std::chrono::steady_clock::time_point deadline);
  /// Runs what is queued, then ends the threads. Idempotent.
  void Join();

 private:
  void Run();

  const std::size_t max_threads_;
  const std::size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable idle_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  std::size_t free_ = 0;
  std::size_t running_ = 0;
  bool ending_ = false;
};

}  // namespace dmrp::rpc
