#include "harness/guest/virtual_machine.hpp"

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>

namespace dmrp::harness {
namespace {

constexpr std::size_t kTail = 2000;

std::string Tail(const std::string& text) {
  return text.size() <= kTail ? text : "..." + text.substr(text.size() - kTail);
}

// A value inside a QEMU option, where a comma ends it.
std::string OptionQuoted(const std::string& text) {
  std::string quoted;
  for (const char c : text) {
    quoted += c == ',' ? ",," : std::string(1, c);
  }
  return quoted;
}

struct SocketPair {
  FileDescriptor ours;
  FileDescriptor theirs;
};

Result<SocketPair> MakeSocketPair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return FailErrno("socketpair", errno);
  }
  return SocketPair{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

}  // namespace

std::string ReadTextFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string ShellQuoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  }
  return quoted + "'";
}

std::vector<std::string> CommonArguments(const MachineConfiguration& configuration) {
  const Machine& machine = configuration.machine;
  // An accelerated machine takes its clock from the host; the tuned command line suits both.
  std::vector<std::string> arguments = {
      machine.emulator,
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-no-reboot",
      "-accel",
      configuration.acceleration.accelerator,
      "-cpu",
      configuration.acceleration.accelerator == "kvm" ? configuration.acceleration.cpu : machine.cpu,
      "-smp",
      std::to_string(machine.processors),
      "-m",
      std::to_string(machine.memory_mib),
      "-kernel",
      configuration.kernel.string(),
      "-initrd",
      configuration.initrd.string(),
      "-append",
      machine.kernel_command_line,
      "-device",
      "virtio-serial-pci,id=serial,addr=b"};
  for (const auto& device : machine.devices) {
    arguments.insert(arguments.end(), {"-device", device});
  }
  return arguments;
}

Result<std::unique_ptr<VirtualMachine>> VirtualMachine::Start(Launcher& launcher,
                                                              const MachineConfiguration& configuration,
                                                              const MachineStart& start,
                                                              std::chrono::milliseconds deadline) {
  auto control = MakeSocketPair();
  auto agent = MakeSocketPair();
  if (!control || !agent) {
    return tl::unexpected((control ? agent : control).error());
  }
  auto argv = CommonArguments(configuration);
  const auto add = [&argv](std::initializer_list<std::string> words) { argv.insert(argv.end(), words); };
  std::string type = configuration.machine.machine;
  if (start.memory != MemoryKind::kAnonymous) {
    type += ",memory-backend=ram";
    add({"-object", fmt::format("memory-backend-file,id=ram,size={}M,mem-path={},share={}",
                                configuration.machine.memory_mib, OptionQuoted(start.memory_file.string()),
                                start.memory == MemoryKind::kSharedFile ? "on" : "off")});
  }
  add({"-M", type});
  add({"-serial", "file:" + (start.directory / "console.log").string()});
  add({"-chardev", fmt::format("socket,id=control,fd={}", control->theirs.Get()), "-mon",
       "chardev=control,mode=control"});
  add({"-chardev", fmt::format("socket,id=agent,fd={}", agent->theirs.Get()), "-device",
       fmt::format("virtserialport,chardev=agent,name={},id=agentport", agent::kPortName)});
  add({"-netdev", start.netdev, "-device",
       fmt::format("virtio-net-pci,netdev=net0,id=nic0,romfile=,mac={},addr=c", start.mac)});
  argv.insert(argv.end(), start.extra.begin(), start.extra.end());
  if (start.incoming) {
    add({"-incoming", "defer"});
  }
  std::vector<int> inherit = start.inherit;
  inherit.push_back(control->theirs.Get());
  inherit.push_back(agent->theirs.Get());
  auto process = launcher.Start({.argv = argv, .inherit = inherit, .log = start.directory / "qemu.log"});
  if (!process) {
    return tl::unexpected(process.error());
  }
  control->theirs.Reset();
  agent->theirs.Reset();
  auto qmp = Qmp::Open(std::move(control->ours), deadline);
  if (!qmp) {
    Error error = qmp.error();
    error.message += "; " + Tail(ReadTextFile(start.directory / "qemu.log"));
    return tl::unexpected(std::move(error));
  }
  return std::make_unique<VirtualMachine>(std::move(*process), std::move(*qmp), std::move(agent->ours),
                                          start.directory);
}

VirtualMachine::VirtualMachine(Process process, std::unique_ptr<Qmp> qmp, FileDescriptor agent_socket,
                               std::filesystem::path directory)
    : directory_(std::move(directory)),
      qmp_(std::move(qmp)),
      agent_(std::make_unique<AgentClient>(std::move(agent_socket))),
      process_(std::move(process)) {}

std::string VirtualMachine::ConsoleLog() const { return ReadTextFile(directory_ / "console.log"); }
std::string VirtualMachine::QemuLog() const { return ReadTextFile(directory_ / "qemu.log"); }

Error VirtualMachine::Explain(Error error) const {
  const std::string log = QemuLog();
  const std::string console = ConsoleLog();
  if (!log.empty()) {
    error.message += "; QEMU said: " + Tail(log);
  }
  if (!console.empty()) {
    error.message += "; the console showed: " + Tail(console);
  }
  return error;
}

}  // namespace dmrp::harness
