#include "harness/guest/guest.hpp"

#include "harness/guest/guest_state.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace dmrp::harness {

namespace {

constexpr const char* kServer = "/usr/sbin/dmadmind";
constexpr const char* kServerConfiguration = "/etc/dmrp/dmadmind.toml";
constexpr const char* kServerLog = "/var/log/dmadmind.log";
constexpr std::size_t kTail = 2000;

// One TCP connection to the port, closed again.
Result<void> Reach(const std::string& host, std::uint16_t port, std::chrono::milliseconds deadline) {
  const FileDescriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  if (connect(probe.Get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    return FailErrno(fmt::format("connecting to {}:{}", host, port), errno);
  }
  pollfd polled{probe.Get(), POLLOUT, 0};
  if (poll(&polled, 1, static_cast<int>(deadline.count())) != 1) {
    return Fail(ErrorKind::kTimeout,
                fmt::format("no connection to {}:{} within {} ms", host, port, deadline.count()));
  }
  int trouble = 0;
  socklen_t length = sizeof trouble;
  getsockopt(probe.Get(), SOL_SOCKET, SO_ERROR, &trouble, &length);
  if (trouble != 0) {
    return FailErrno(fmt::format("connecting to {}:{}", host, port), trouble);
  }
  return {};
}

}  // namespace

Guest::State::~State() {
  if (vm) {
    vm->process().Kill();
    vm.reset();
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

Guest::Guest(std::unique_ptr<State> state) : state_(std::move(state)) {}
Guest::Guest(Guest&&) noexcept = default;
Guest& Guest::operator=(Guest&&) noexcept = default;
Guest::~Guest() = default;

const std::string& Guest::name() const { return state_->name; }
const GuestAddress& Guest::address() const { return state_->link.address; }
const StartTimes& Guest::times() const { return state_->times; }
AgentClient& Guest::agent() { return state_->vm->agent(); }
Qmp& Guest::qmp() { return state_->vm->qmp(); }

Result<void> Guest::Pause() {
  auto done = state_->Do("stop", nlohmann::json::object());
  if (!done) {
    return tl::unexpected(done.error());
  }
  state_->paused = true;
  return {};
}

Result<void> Guest::Resume() {
  auto done = state_->Do("cont", nlohmann::json::object());
  if (!done) {
    return tl::unexpected(done.error());
  }
  state_->paused = false;
  return {};
}

void Guest::PowerCut() { state_->vm->process().Kill(); }

bool Guest::running() const { return state_->vm->process().running(); }

Result<std::string> Guest::WaitEnd(std::chrono::milliseconds deadline) {
  auto told = qmp().WaitEvent(0, "SHUTDOWN", [](const nlohmann::json&) { return true; }, deadline);
  if (!told) {
    return tl::unexpected(told.error());
  }
  if (auto ended = state_->vm->process().Wait(deadline); !ended) {
    return tl::unexpected(ended.error());
  }
  return told->value("reason", "unknown");
}

Result<void> Guest::Restart(RestartKind kind) {
  State& state = *state_;
  if (!state.options.system_disk) {
    return Fail(ErrorKind::kUsage, fmt::format("{} was started without a system disk", state.name));
  }
  std::vector<PlannedDisk> plan;
  std::string device;
  {
    const std::lock_guard lock(state.mutex);
    for (const auto& [id, slot] : state.disks) {
      if (!slot.overlay_node.empty()) {
        return Fail(ErrorKind::kUsage, fmt::format("the disks of {} are frozen", state.name));
      }
    }
    plan = state.Plan();
    device = state.disks.at(kSystemDiskId).disk.guest_device;
  }
  if (kind == RestartKind::kClean && running()) {
    if (server_running()) {
      if (auto stopped = StopServer(); !stopped) {
        return tl::unexpected(stopped.error());
      }
    }
    const auto script = fmt::format("DISK=/dev/{}\n{}\nsync", device, state.machine.system_disk->unmount);
    if (auto unmounted = state.vm->agent().Shell(script, state.deadline); !unmounted) {
      return tl::unexpected(unmounted.error());
    }
    if (auto quit = state.Do("quit", nlohmann::json::object()); !quit) {
      return tl::unexpected(quit.error());
    }
    if (auto ended = state.vm->process().Wait(state.deadline); !ended) {
      return tl::unexpected(ended.error());
    }
  }
  PowerCut();
  {
    const std::lock_guard lock(state.mutex);
    state.disks.clear();
    state.loaded_buses.clear();
    state.capturing = false;
    state.paused = false;
    state.server_pid.reset();
    state.vm.reset();
  }
  return state.boot(*this, plan);
}

std::vector<std::filesystem::path> Guest::captures() const { return state_->captures; }

Result<void> Guest::State::MountSystemDisk() {
  const auto script =
      fmt::format("DISK=/dev/{}\n{}", disks.at(kSystemDiskId).disk.guest_device, machine.system_disk->mount);
  auto mounted = vm->agent().Shell(script, deadline);
  return mounted ? Result<void>() : tl::unexpected(mounted.error());
}

Result<void> Guest::ResizeDisk(std::string_view id, std::uint64_t size) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto found = state.Find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  auto resized = state.Do("block_resize", {{"node-name", slot.node}, {"size", size}});
  if (!resized) {
    return tl::unexpected(resized.error());
  }
  slot.disk.image.spec.size = size;
  auto noticed = state.vm->agent().Shell(
      fmt::format("echo 1 > /sys/block/{}/device/rescan", slot.disk.guest_device), state.deadline);
  return noticed ? Result<void>() : tl::unexpected(noticed.error());
}

Result<void> Guest::StartCapture(const std::filesystem::path& file) {
  const std::lock_guard lock(state_->mutex);
  if (state_->capturing) {
    return Fail(ErrorKind::kUsage, fmt::format("{} is being captured already", state_->name));
  }
  std::error_code trouble;
  const auto absolute = std::filesystem::absolute(file, trouble);
  if (trouble) {
    return FailErrno("capture file " + file.string(), trouble.value());
  }
  auto done = state_->Do(
      "object-add",
      {{"qom-type", "filter-dump"}, {"id", "capture"}, {"netdev", "net0"}, {"file", absolute.string()}});
  if (!done) {
    return tl::unexpected(done.error());
  }
  state_->capturing = true;
  return {};
}

Result<void> Guest::StopCapture() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->capturing) {
    return Fail(ErrorKind::kUsage, fmt::format("{} is not being captured", state_->name));
  }
  auto done = state_->Do("object-del", {{"id", "capture"}});
  if (!done) {
    return tl::unexpected(done.error());
  }
  state_->capturing = false;
  return {};
}

Result<void> Guest::StartServer(const std::vector<std::string>& arguments) {
  if (server_running()) {
    return Fail(ErrorKind::kUsage, fmt::format("the server of {} runs already", state_->name));
  }
  const GuestAddress& address = state_->link.address;
  std::vector<std::string> argv = {kServer, "--config", kServerConfiguration};
  if (address.server_must_advertise) {
    argv.insert(argv.end(), {"--advertise", address.host});
  }
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.insert(argv.end(), {"--ready-fd", std::to_string(agent::kReadyDescriptor)});
  // Everything logged so far belongs to earlier servers.
  const auto earlier = ServerLog();
  auto pid = state_->vm->agent().Spawn(argv, kServerLog, state_->deadline);
  if (!pid) {
    return tl::unexpected(pid.error());
  }
  state_->server_pid = *pid;
  if (auto ready = state_->vm->agent().WaitReady(*pid, state_->deadline); !ready) {
    Error error = ready.error();
    const auto log = state_->vm->agent().ReadFile(kServerLog, earlier ? earlier->size() : 0);
    const std::string text = log.value_or("unreadable");
    error.message = fmt::format("the server: {}; its log: {}", error.message,
                                text.size() > kTail ? text.substr(text.size() - kTail) : text);
    return tl::unexpected(std::move(error));
  }
  return Reach(address.host, address.port, state_->deadline);
}

Result<int> Guest::StopServer(int signal) {
  if (!server_running()) {
    return Fail(ErrorKind::kUsage, fmt::format("no server runs in {}", state_->name));
  }
  if (auto sent = state_->vm->agent().Signal(*state_->server_pid, signal, state_->deadline); !sent) {
    return tl::unexpected(sent.error());
  }
  return state_->vm->agent().WaitExit(*state_->server_pid, state_->deadline);
}

bool Guest::server_running() const {
  return state_->server_pid && !state_->vm->agent().ExitStatus(*state_->server_pid) &&
         state_->vm->agent().connected();
}

Result<std::string> Guest::ServerLog() {
  std::string text;
  for (;;) {
    auto part = state_->vm->agent().ReadFile(kServerLog, text.size());
    if (!part) {
      return part.error().status == ENOENT ? Result<std::string>(std::string()) : part;
    }
    if (part->empty()) {
      return text;
    }
    text += *part;
  }
}

std::string Guest::ConsoleLog() const { return state_->vm->ConsoleLog(); }

}  // namespace dmrp::harness
