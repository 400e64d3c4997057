// The harness's side of the guest agent: run programs, move files, hear the kernel's device events.
#pragma once

#include "harness/guest/agent_protocol.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::harness {

struct ExecResult {
  int status = 0;  ///< as waitpid gives it; 0 is success
  std::string output;
  std::string errors;
};

/// A device event of the guest's kernel.
struct Uevent {
  std::uint64_t position = 0;                 ///< in the stream of events: a mark that still sees this one
  std::uint64_t monotonic_ns = 0;             ///< the guest's CLOCK_MONOTONIC when it arrived
  std::map<std::string, std::string> values;  ///< ACTION, DEVPATH, SUBSYSTEM, DEVNAME, DEVTYPE, ...
  /// The value, empty where there is none.
  [[nodiscard]] std::string Get(const std::string& key) const;
};

struct GuestIdentity {
  std::string mac;
  std::string address;
  std::uint32_t prefix_length = 24;
  std::string gateway;
};

/// Requests may be made from several threads at once; a long command does not hold up the others.
class AgentClient {
 public:
  using Deadline = std::chrono::milliseconds;

  explicit AgentClient(FileDescriptor socket);
  ~AgentClient();

  Result<void> Ping(Deadline deadline = Deadline(5000));
  Result<ExecResult> Exec(const std::vector<std::string>& argv, std::string_view input = {},
                          Deadline deadline = Deadline(10'000));
  /// Exec of `sh -c script`; a status other than 0 is a kFault whose message holds the standard error.
  Result<std::string> Shell(const std::string& script, Deadline deadline = Deadline(10'000));
  Result<std::string> ReadFile(const std::string& path, std::uint64_t offset = 0,
                               std::uint32_t limit = 4U << 20U, Deadline deadline = Deadline(5000));
  Result<void> WriteFile(const std::string& path, std::string_view data, std::uint32_t mode = 0644,
                         Deadline deadline = Deadline(5000));
  /// Starts a program that goes on by itself, with agent::kReadyDescriptor open for what WaitReady gives; its
  /// output is appended to `log`.
  Result<std::uint32_t> Spawn(const std::vector<std::string>& argv, const std::string& log,
                              Deadline deadline = Deadline(5000));
  Result<void> Signal(std::uint32_t pid, int number, Deadline deadline = Deadline(5000));
  /// Sets the clock to now and eth0 to the identity.
  Result<void> SetIdentity(const GuestIdentity& identity, Deadline deadline = Deadline(5000));

  /// From here on events are kept (the last 4096).
  Result<void> Listen(Deadline deadline = Deadline(5000));
  /// A place in the stream of events: only later ones are seen from it.
  [[nodiscard]] std::uint64_t Mark() const;
  Result<Uevent> WaitUevent(std::uint64_t mark, const std::function<bool(const Uevent&)>& matches,
                            Deadline deadline = Deadline(5000));
  /// The wait status of a spawned program, nothing while it runs.
  [[nodiscard]] std::optional<int> ExitStatus(std::uint32_t pid) const;
  /// Waits until a spawned program ended.
  Result<int> WaitExit(std::uint32_t pid, Deadline deadline = Deadline(5000));
  /// Waits until a spawned program said that it is ready: its words. kUnavailable when it ended instead.
  Result<std::string> WaitReady(std::uint32_t pid, Deadline deadline = Deadline(10'000));
  [[nodiscard]] bool connected() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dmrp::harness
