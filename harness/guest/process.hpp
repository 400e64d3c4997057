// Child processes that end with this process, however it dies.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace dmrp::harness {

struct ProcessOptions {
  std::vector<std::string> argv;
  std::vector<int> inherit;          ///< descriptors that stay open in the child, under the same numbers
  std::filesystem::path log;         ///< receives standard output and standard error; empty: /dev/null
  std::filesystem::path input = {};  ///< standard input; empty: /dev/null
};

/// A running or ended child. The destructor kills and reaps it.
class Process {
 public:
  Process() = default;
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();
  /// Waits for the end: the wait status. kTimeout when it still runs.
  Result<int> Wait(std::chrono::milliseconds deadline);
  /// SIGKILL, and returns when the process is gone.
  void Kill();

 private:
  friend class Launcher;
  pid_t pid_ = -1;
  int status_ = 0;
  bool reaped_ = true;
  FileDescriptor handle_;
};

/// Starts processes from a thread of its own. The kernel ends a child when the *thread* that forked it ends,
/// so the threads of a test must not be those parents. Processes must end before their launcher.
class Launcher {
 public:
  Launcher();
  ~Launcher();
  /// kSystem when the program cannot be executed.
  Result<Process> Start(const ProcessOptions& options);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dmrp::harness
