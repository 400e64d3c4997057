// QEMU's control protocol: commands, their answers, and events.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace dmrp::harness {

/// A QMP session over a connected socket. Commands may be issued from several threads.
class Qmp {
 public:
  using Deadline = std::chrono::milliseconds;

  /// Takes the greeting and negotiates capabilities.
  static Result<std::unique_ptr<Qmp>> Open(FileDescriptor socket, Deadline deadline);
  ~Qmp();

  /// The value of "return". kFault with QEMU's class and text when it refuses, kTimeout, kUnavailable when
  /// QEMU is gone.
  Result<nlohmann::json> Execute(const std::string& command,
                                 const nlohmann::json& arguments = nlohmann::json::object(),
                                 Deadline deadline = Deadline(10'000));

  /// A place in the stream of events: only later ones are seen from it.
  [[nodiscard]] std::uint64_t Mark() const;
  /// The first event of this name since `mark` whose "data" satisfies the predicate. On time-out the message
  /// lists the events that came instead.
  Result<nlohmann::json> WaitEvent(std::uint64_t mark, const std::string& name,
                                   const std::function<bool(const nlohmann::json& data)>& matches,
                                   Deadline deadline = Deadline(10'000));
  /// True until the other side closed.
  [[nodiscard]] bool connected() const;

 private:
  struct State;
  explicit Qmp(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace dmrp::harness
