// Another program in the guest that has a file, a folder or a block device open.
#pragma once

#include "harness/guest/agent_client.hpp"
#include "protocol/base/error.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace dmrp::harness {

/// Keeps something in use until Release or the end of this value.
class HeldFile {
 public:
  /// What the program does with the path.
  enum class Use {
    kRead,       ///< has it open for reading
    kReadWrite,  ///< has it open for reading and writing; a file is made where there is none
    kFolder,     ///< has it as its working directory
  };

  /// Returns when it is held. kUnavailable when it cannot be opened; the guest's /var/log/held.log says why.
  static Result<HeldFile> Hold(AgentClient& agent, const std::string& path, Use use = Use::kRead);
  HeldFile(HeldFile&& other) noexcept : agent_(std::exchange(other.agent_, nullptr)), pid_(other.pid_) {}
  HeldFile& operator=(HeldFile&& other) noexcept {
    std::swap(agent_, other.agent_);
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~HeldFile();

  /// The process in the guest.
  [[nodiscard]] std::uint32_t pid() const { return pid_; }
  /// Ends the program: returns when it is gone.
  Result<void> Release();

 private:
  HeldFile(AgentClient& agent, std::uint32_t pid) : agent_(&agent), pid_(pid) {}
  AgentClient* agent_;
  std::uint32_t pid_;
};

}  // namespace dmrp::harness
