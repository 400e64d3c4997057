// Running helper programs: mkfs.fat, mkntfs and the like.
#pragma once

#include "protocol/base/error.hpp"

#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// The descriptor under which a child finds ProcessRequest::descriptor.
inline constexpr int kChildDescriptor = 3;

struct ProcessRequest {
  std::filesystem::path program;       ///< absolute (FindProgram)
  std::vector<std::string> arguments;  ///< without the program's own name
  int descriptor = -1;                 ///< handed on as kChildDescriptor; -1: none
};

struct ProcessOutcome {
  int exitCode = -1;     ///< -1 when a signal ended the program
  int signal = 0;        ///< the signal that ended the program, else 0
  bool stopped = false;  ///< killed because the caller asked for it
  std::string output;    ///< standard output and standard error, the last 64 KiB

  [[nodiscard]] bool Succeeded() const { return exitCode == 0; }
  /// "exit code 1: ... last lines of the output", for messages.
  [[nodiscard]] std::string ToString() const;
};

/// The path of a program, looked for in /usr/sbin, /usr/bin, /sbin and /bin whatever PATH says; kUnavailable
/// when it is in none of them.
Result<std::filesystem::path> FindProgram(std::string_view name);

/// Runs a program to its end, without a shell: in a process group of its own, with an environment of
/// LC_ALL=C and a PATH of those four folders alone, input from /dev/null, and no descriptor but 0, 1, 2 and
/// kChildDescriptor. When `stop` is requested the group is killed (SIGKILL) and reaped before this returns.
/// kSystem when the program cannot be started.
Result<ProcessOutcome> RunProcess(const ProcessRequest& request, const std::stop_token& stop);

}  // namespace dmrp::server
