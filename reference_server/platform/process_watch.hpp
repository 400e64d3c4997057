#pragma once

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/device_scanner.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace dmrp::server {

/// All processes but the first one and this one.
std::vector<pid_t> OtherProcesses(const SystemRoots& roots = {});

/// Waits for the ends of processes that are not this one's children. A process counts as ended once its files
/// are closed. Numbers that another process gets later do no harm.
class ProcessWatch {
 public:
  /// Processes that have ended already are left out.
  explicit ProcessWatch(const std::vector<pid_t>& processes);

  /// Sends a signal to all that are left.
  void Signal(int signal);
  /// Waits for the next one to end; false when none does before `deadline`, or when none is left.
  bool AwaitEnd(std::chrono::steady_clock::time_point deadline);
  [[nodiscard]] std::vector<pid_t> Left() const;

 private:
  std::vector<std::pair<pid_t, FileDescriptor>> watched_;
};

}  // namespace dmrp::server
