#include "reference_server/platform/process_watch.hpp"

#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace dmrp::server {

std::vector<pid_t> OtherProcesses(const SystemRoots& roots) {
  std::vector<pid_t> processes;
  for (const std::string& name : ListDirectory(roots.proc)) {
    const auto pid = ParseDecimal(name);
    if (pid && *pid > 1 && static_cast<pid_t>(*pid) != ::getpid()) {
      processes.push_back(static_cast<pid_t>(*pid));
    }
  }
  return processes;
}

ProcessWatch::ProcessWatch(const std::vector<pid_t>& processes) {
  for (const pid_t pid : processes) {
    if (FileDescriptor fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); fd) {
      watched_.emplace_back(pid, std::move(fd));
    }
  }
}

void ProcessWatch::Signal(int signal) {
  for (const auto& [pid, fd] : watched_) {
    (void)::syscall(SYS_pidfd_send_signal, fd.Get(), signal, nullptr, 0);
  }
}

bool ProcessWatch::AwaitEnd(std::chrono::steady_clock::time_point deadline) {
  if (watched_.empty()) return false;
  std::vector<pollfd> waited;
  for (const auto& [pid, fd] : watched_) waited.push_back({.fd = fd.Get(), .events = POLLIN, .revents = 0});
  int ready = -1;
  do {
    const auto rest =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    ready = ::poll(waited.data(), waited.size(), static_cast<int>(std::max<std::int64_t>(0, rest)));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return false;
  std::erase_if(watched_, [&](const auto& entry) {
    const auto found = std::ranges::find(waited, entry.second.Get(), &pollfd::fd);
    return found != waited.end() && found->revents != 0;
  });
  return true;
}

std::vector<pid_t> ProcessWatch::Left() const {
  std::vector<pid_t> left;
  for (const auto& [pid, fd] : watched_) left.push_back(pid);
  return left;
}

}  // namespace dmrp::server
