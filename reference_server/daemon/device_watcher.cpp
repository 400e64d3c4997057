#include "reference_server/daemon/device_watcher.hpp"

#include "reference_server/platform/media.hpp"

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

// How often CD and DVD drives are asked whether their medium was taken out, in milliseconds.
constexpr int kMediaPeriod = 1000;

}  // namespace

Result<std::unique_ptr<DeviceWatcher>> DeviceWatcher::Start(std::function<void()> changed,
                                                            std::function<void(const std::string&)> log) {
  auto listener = UeventListener::Open();
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  const int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd < 0) {
    return FailErrno("eventfd", errno);
  }
  return std::unique_ptr<DeviceWatcher>(
      new DeviceWatcher(std::move(*listener), stop_fd, std::move(changed), std::move(log)));
}

DeviceWatcher::DeviceWatcher(UeventListener listener, int stop_fd, std::function<void()> changed,
                             std::function<void(const std::string&)> log)
    : listener_(std::move(listener)),
      stop_fd_(stop_fd),
      changed_(std::move(changed)),
      log_(std::move(log)),
      thread_([this] { Run(); }) {}

DeviceWatcher::~DeviceWatcher() {
  eventfd_write(stop_fd_, 1);
  thread_.join();
  close(stop_fd_);
}

void DeviceWatcher::Run() {
  std::vector<std::string> loaded = LoadedOpticalDrives();
  while (true) {
    std::array<pollfd, 2> descriptors = {
        {{.fd = stop_fd_, .events = POLLIN, .revents = 0},
         {.fd = listener_.FileDescriptor(), .events = POLLIN, .revents = 0}}};
    const int ready = poll(descriptors.data(), descriptors.size(), kMediaPeriod);
    if (ready < 0 && errno != EINTR) {
      log_("device events are not watched any more: poll failed");
      return;
    }
    if (ready == 0) {
      if (auto now = LoadedOpticalDrives(); now != loaded) {
        loaded = std::move(now);
        changed_();
      }
      continue;
    }
    if (descriptors[0].revents != 0) {
      return;
    }
    if (descriptors[1].revents == 0) {
      continue;
    }
    const auto events = listener_.Take();
    if (!events) {
      log_("device events were lost: " + events.error().ToString());
    } else if (events->empty()) {
      continue;
    }
    changed_();
    loaded = LoadedOpticalDrives();
  }
}

}  // namespace dmrp::server
