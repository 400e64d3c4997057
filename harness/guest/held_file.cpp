#include "harness/guest/held_file.hpp"

#include <csignal>

namespace dmrp::harness {

namespace {

constexpr const char* kLog = "/var/log/held.log";

const char* Script(HeldFile::Use use) {
  // Descriptor 3 is where a program tells that it is ready. The shell waits for input that never comes.
  switch (use) {
    case HeldFile::Use::kRead:
      return "exec 9<\"$1\" || exit 1; echo held >&3; mkfifo /tmp/held.$$; exec <>/tmp/held.$$; read -r _";
    case HeldFile::Use::kReadWrite:
      return "exec 9<>\"$1\" || exit 1; echo held >&3; mkfifo /tmp/held.$$; exec <>/tmp/held.$$; read -r _";
    case HeldFile::Use::kFolder:
      return "cd \"$1\" || exit 1; echo held >&3; mkfifo /tmp/held.$$; exec <>/tmp/held.$$; read -r _";
  }
  return "exit 1";
}

}  // namespace

Result<HeldFile> HeldFile::Hold(AgentClient& agent, const std::string& path, Use use) {
  auto pid = agent.Spawn({"sh", "-c", Script(use), "sh", path}, kLog);
  if (!pid) {
    return tl::unexpected(pid.error());
  }
  if (auto ready = agent.WaitReady(*pid); !ready) {
    return tl::unexpected(ready.error());
  }
  return HeldFile(agent, *pid);
}

HeldFile::~HeldFile() { (void)Release(); }

Result<void> HeldFile::Release() {
  AgentClient* agent = std::exchange(agent_, nullptr);
  if (agent == nullptr) {
    return {};
  }
  if (auto sent = agent->Signal(pid_, SIGKILL); !sent) {
    return sent;
  }
  auto ended = agent->WaitExit(pid_);
  return ended ? Result<void>() : tl::unexpected(ended.error());
}

}  // namespace dmrp::harness
