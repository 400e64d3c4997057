// One QEMU process with its control socket and its guest agent, before anything is known about servers or
// disks.
#pragma once

#include "harness/guest/acceleration.hpp"
#include "harness/guest/agent_client.hpp"
#include "harness/guest/machine.hpp"
#include "harness/guest/process.hpp"
#include "harness/guest/qmp.hpp"
#include "protocol/base/error.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace dmrp::harness {

/// The memory of a machine: its own, a file shared for saving, or a private view of a saved file.
enum class MemoryKind { kAnonymous, kSharedFile, kPrivateFile };

/// Everything a QEMU command line depends on besides a guest's own disks and network.
struct MachineConfiguration {
  Machine machine;
  Acceleration acceleration;
  std::filesystem::path kernel;
  std::filesystem::path initrd;
};

struct MachineStart {
  MemoryKind memory = MemoryKind::kAnonymous;
  std::filesystem::path memory_file;
  bool incoming = false;  ///< waits for a saved state
  std::string netdev =
      "hubport,id=net0,hubid=0";  ///< by default connected to nothing, and without state to save
  std::string mac = "52:54:00:00:00:01";
  std::vector<int> inherit;         ///< descriptors that `netdev` names
  std::vector<std::string> extra;   ///< further arguments: disks
  std::filesystem::path directory;  ///< for console.log and qemu.log
};

/// The arguments that template and clones have in common, for identifying a template.
std::vector<std::string> CommonArguments(const MachineConfiguration& configuration);

class VirtualMachine {
 public:
  /// Starts QEMU and opens its control socket. The agent answers once the guest has booted or is restored.
  static Result<std::unique_ptr<VirtualMachine>> Start(Launcher& launcher,
                                                       const MachineConfiguration& configuration,
                                                       const MachineStart& start,
                                                       std::chrono::milliseconds deadline);
  VirtualMachine(Process process, std::unique_ptr<Qmp> qmp, FileDescriptor agent_socket,
                 std::filesystem::path directory);

  [[nodiscard]] Qmp& qmp() { return *qmp_; }
  [[nodiscard]] AgentClient& agent() { return *agent_; }
  [[nodiscard]] Process& process() { return process_; }
  [[nodiscard]] std::string ConsoleLog() const;
  [[nodiscard]] std::string QemuLog() const;
  /// Adds what QEMU and the guest's console said last to an error.
  [[nodiscard]] Error Explain(Error error) const;

 private:
  std::filesystem::path directory_;
  std::unique_ptr<Qmp> qmp_;
  std::unique_ptr<AgentClient> agent_;
  Process process_;  // last, so that it ends first
};

/// One word of a shell command.
std::string ShellQuoted(const std::string& text);

/// A file's text, empty when it cannot be read.
std::string ReadTextFile(const std::filesystem::path& path);

}  // namespace dmrp::harness
