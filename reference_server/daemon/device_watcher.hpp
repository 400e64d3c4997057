#pragma once

#include "reference_server/platform/uevent.hpp"

#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace dmrp::server {

/// Watches the kernel's device events and reports that the storage configuration may have changed
/// ([MS-DMRP] 3.2.6), and that media left CD and DVD drives, of which the kernel tells nothing. Events that
/// come in one burst are reported once.
class DeviceWatcher {
 public:
  /// `changed` and `log` are called from the watcher's thread. kSystem when events cannot be received.
  static Result<std::unique_ptr<DeviceWatcher>> Start(std::function<void()> changed,
                                                      std::function<void(const std::string&)> log);
  ~DeviceWatcher();
  DeviceWatcher(const DeviceWatcher&) = delete;
  DeviceWatcher& operator=(const DeviceWatcher&) = delete;

 private:
  DeviceWatcher(UeventListener listener, int stop_fd, std::function<void()> changed,
                std::function<void(const std::string&)> log);
  void Run();

  UeventListener listener_;
  const int stop_fd_;  // an eventfd
  std::function<void()> changed_;
  std::function<void(const std::string&)> log_;
  std::thread thread_;
};

}  // namespace dmrp::server
