#include "protocol/rpc/worker_pool.hpp"

#include <algorithm>
#include <utility>

namespace dmrp::rpc {

WorkerPool::WorkerPool(std::size_t max_threads, std::size_t max_queued)
    : max_threads_(std::max<std::size_t>(max_threads, 1)), max_queued_(max_queued) {}

bool WorkerPool::Submit(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (ending_ || queue_.size() >= max_queued_ + free_) {
    return false;
  }
  queue_.push_back(std::move(task));
  if (queue_.size() > free_ && threads_.size() < max_threads_) {
    threads_.emplace_back([this] { Run(); });
  } else {
    work_.notify_one();
  }
  return true;
}

void WorkerPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++free_;
    work_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    --free_;
    if (queue_.empty()) {
      return;
    }
    auto task = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    --running_;
    if (running_ == 0 && queue_.empty()) {
      idle_.notify_all();
    }
  }
}

bool WorkerPool::AwaitIdle(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [this] { return running_ == 0 && queue_.empty(); });
}

void WorkerPool::Join() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    threads.swap(threads_);
    work_.notify_all();
  }
  for (auto& thread : threads) {
    thread.join();
  }
}

}  // namespace dmrp::rpc
