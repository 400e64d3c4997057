// dmrp_serve: the bundled server in a guest, for any client. ci/serve builds and runs it.
#include "harness/disks/disk_image.hpp"
#include "harness/guest/guest.hpp"
#include "harness/target/target.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/runtime.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

constexpr int kUsageExit = 254;
constexpr int kInternalExit = 255;
constexpr std::chrono::seconds kWatchPeriod(1);

constexpr const char* kDescription =
    "Boots the bundled server in a guest with the given disks and waits until it answers an activation. With "
    "a "
    "COMMAND behind --, runs it where the guest is reachable, with DMRP_HOST, DMRP_PORT, DMRP_USER, "
    "DMRP_PASSWORD, "
    "DMRP_DOMAIN, DMRP_CLSID, DMRP_LISTEN_ADDRESS, DMRP_CALLBACK_ADDRESS and DMRP_DISKS (JSON) set, and "
    "returns its "
    "status. Without, prints one JSON line and serves until SIGINT or SIGTERM.";

struct CommandLine {
  std::vector<std::string> disks;
  std::string machine = "pc";
  std::string images;
  std::string capture;
  std::vector<std::string> server_arguments;
  std::vector<std::string> command;
};

void Say(const std::string& text) {
  fmt::print(stderr, "serve: {}\n", text);
  std::fflush(stderr);
}

int FailWith(const Error& error) {
  Say(error.ToString());
  return error.kind == ErrorKind::kUsage || error.kind == ErrorKind::kLimit ? kUsageExit : kInternalExit;
}

// A disk as text of its own, or a name from vms/geometries.toml.
Result<DiskSpec> NamedOrParsed(const std::string& text) {
  if (text.empty() || text.find('=') != std::string::npos) {
    return ParseDiskSpec(text);
  }
  auto known = LoadGeometries(DMRP_SOURCE_DIRECTORY "/vms/geometries.toml");
  if (!known) {
    return tl::unexpected(known.error());
  }
  std::string names;
  for (auto& spec : *known) {
    if (spec.name == text) {
      return spec;
    }
    names += " " + spec.name;
  }
  return Fail(ErrorKind::kUsage, fmt::format("disk \"{}\": neither key=value nor one of{}", text, names));
}

Result<void> AwaitActivation(const Guest& guest, const Target& target, const Account& account) {
  dcom::Options client;
  client.credentials = rpc::Credentials{.user = account.user,
                                        .domain = account.domain,
                                        .password = account.password,
                                        .workstation = "DMRP-SERVE",
                                        .anonymous = false};
  client.resolver_port = std::nullopt;
  auto runtime = dcom::Runtime::Start(std::move(client));
  if (!runtime) {
    return tl::unexpected(runtime.error());
  }
  const auto object =
      (*runtime)->Activate({guest.address().host, guest.address().port}, target.class_id, dcom::IID_IUnknown);
  return object ? Result<void>() : tl::unexpected(object.error());
}

nlohmann::json DescribeDisks(const Guest& guest) {
  auto list = nlohmann::json::array();
  for (const auto& disk : guest.disks()) {
    list.push_back({{"id", disk.id},
                    {"image", disk.image.path.string()},
                    {"format", std::string(Name(disk.image.spec.format))},
                    {"serial", disk.image.spec.serial},
                    {"guest_device", disk.guest_device},
                    {"spec", ToText(disk.image.spec)}});
  }
  return list;
}

nlohmann::json Describe(const Guest& guest, const Target& target, const Account& account) {
  const GuestAddress& address = guest.address();
  auto run = nlohmann::json::array();
  if (const char* pid = std::getenv("DMRP_NAMESPACE_PID"); pid != nullptr && *pid != '\0') {
    run = {"nsenter", "--preserve-credentials", "--user", "--net", "--target", pid, "--"};
  }
  return {{"host", address.host},
          {"port", address.port},
          {"user", account.user},
          {"password", account.password},
          {"domain", account.domain},
          {"clsid", target.class_id.ToString()},
          {"listen_address", address.listen_address},
          {"callback_address", address.callback_address},
          {"run", run},
          {"disks", DescribeDisks(guest)}};
}

void SetEnvironment(const nlohmann::json& about) {
  for (const auto& [variable, key] : {std::pair{"DMRP_HOST", "host"},
                                      {"DMRP_USER", "user"},
                                      {"DMRP_PASSWORD", "password"},
                                      {"DMRP_DOMAIN", "domain"},
                                      {"DMRP_CLSID", "clsid"},
                                      {"DMRP_LISTEN_ADDRESS", "listen_address"},
                                      {"DMRP_CALLBACK_ADDRESS", "callback_address"}}) {
    setenv(variable, about[key].get<std::string>().c_str(), 1);
  }
  setenv("DMRP_PORT", std::to_string(about["port"].get<int>()).c_str(), 1);
  setenv("DMRP_DISKS", about["disks"].dump().c_str(), 1);
}

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) {
    sigaddset(&set, number);
  }
  return set;
}

// Waits for a signal; 0 after a while without one.
int NextSignal(const sigset_t& set) {
  const timespec period{kWatchPeriod.count(), 0};
  const int number = sigtimedwait(&set, nullptr, &period);
  return number > 0 ? number : 0;
}

int RunCommand(const std::vector<std::string>& command, const sigset_t& handled) {
  std::vector<char*> argv;
  for (const auto& word : command) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (getppid() == parent) {
      execvp(argv[0], argv.data());
      fmt::print(stderr, "serve: {}: {}\n", command.front(), std::strerror(errno));
    }
    _exit(errno == ENOENT ? 127 : 126);
  }
  if (pid < 0) {
    Say("cannot start a process");
    return kInternalExit;
  }
  for (;;) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    const int number = NextSignal(handled);
    if (number != 0 && number != SIGCHLD) {
      kill(pid, number);
    }
  }
}

int ServeUntilSignal(Guest& guest, const sigset_t& handled) {
  for (;;) {
    const int number = NextSignal(handled);
    if (number == SIGINT || number == SIGTERM || number == SIGHUP) {
      return 0;
    }
    if (!guest.running()) {
      Say("the guest ended by itself; its console showed: " + guest.ConsoleLog());
      return kInternalExit;
    }
  }
}

Result<std::vector<DiskImage>> MakeImages(const CommandLine& line, const std::filesystem::path& directory) {
  std::vector<DiskImage> images;
  for (const auto& text : line.disks) {
    auto spec = NamedOrParsed(text);
    if (!spec) {
      return tl::unexpected(spec.error());
    }
    auto image = CreateDiskImage(*spec, directory);
    if (!image) {
      return tl::unexpected(image.error());
    }
    images.push_back(std::move(*image));
  }
  return images;
}

int Serve(const CommandLine& line) {
  // Before any thread starts, so that all of them leave the signals to the loops above.
  const sigset_t handled = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  const auto began = std::chrono::steady_clock::now();
  const auto elapsed = [&began] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began)
        .count();
  };
  auto factory = GuestFactory::Create(DefaultGuestSettings());
  if (!factory) {
    return FailWith(factory.error());
  }
  auto images =
      MakeImages(line, line.images.empty() ? (*factory)->directory() : std::filesystem::path(line.images));
  if (!images) {
    return FailWith(images.error());
  }
  GuestOptions options;
  options.machine = line.machine;
  options.disks = std::move(*images);
  options.server_arguments = line.server_arguments;
  if (!line.capture.empty()) {
    options.capture = line.capture;
  }
  auto fresh = (*factory)->PrepareTemplate(options.machine);
  if (!fresh) {
    return FailWith(fresh.error());
  }
  if (*fresh) {
    Say(fmt::format("booted and saved a template of machine {} in {} ms", options.machine, elapsed()));
  }
  auto guest = (*factory)->Start(options);
  if (!guest) {
    return FailWith(guest.error());
  }
  const Target target = DefaultTarget();
  const Account& account = *target.Find(Role::kAdministrator);
  if (auto answered = AwaitActivation(*guest, target, account); !answered) {
    Say("the server's log: " + guest->ServerLog().value_or("unreadable"));
    return FailWith(answered.error());
  }
  Say(fmt::format("{}:{} answers after {} ms ({}, network {}; guest {} ms)", guest->address().host,
                  guest->address().port, elapsed(), (*factory)->acceleration().accelerator,
                  Name((*factory)->network().kind()), guest->times().ready.count() / 1000));
  const auto about = Describe(*guest, target, account);
  int status = 0;
  if (line.command.empty()) {
    fmt::print("{}\n", about.dump());
    std::fflush(stdout);
    status = ServeUntilSignal(*guest, handled);
  } else {
    SetEnvironment(about);
    status = RunCommand(line.command, handled);
  }
  if (guest->running() && !guest->server_running()) {
    Say("the server has ended; its log: " + guest->ServerLog().value_or("unreadable"));
  }
  return status;
}

int Main(int argc, char** argv) {
  CommandLine line;
  int own = argc;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--") {
      own = i;
      line.command.assign(argv + i + 1, argv + argc);
      if (line.command.empty()) {
        Say("no COMMAND behind --");
        return kUsageExit;
      }
      break;
    }
  }
  CLI::App app(kDescription, "serve");
  app.footer("COMMAND and its arguments follow --.");
  app.add_option("--disk", line.disks,
                 "A disk: size=64M,bus=virtio-scsi|usb|ide|ahci,sector=512|4096|512/4096,label=none|mbr|gpt,"
                 "geometry=HEADS/SECTORS,serial=TEXT,read-only=yes|no,format=raw|qcow2, or a name of "
                 "vms/geometries.toml; "
                 "may be repeated")
      ->allow_extra_args(false);
  app.add_option("--images", line.images, "Make the disk images in this folder and keep them")
      ->check(CLI::ExistingDirectory);
  app.add_option("--capture", line.capture, "Record the guest's frames into this pcap file");
  app.add_option("--machine", line.machine, "A machine of vms/machines.toml [pc]");
  app.add_option("--server-argument", line.server_arguments, "Passed to dmadmind; may be repeated")
      ->allow_extra_args(false);
  try {
    app.parse(own, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error, std::cerr, std::cerr);
    return code == 0 ? 0 : kUsageExit;
  }
  // Mistakes are told before anything starts.
  for (const auto& text : line.disks) {
    if (auto spec = NamedOrParsed(text); !spec) {
      (void)FailWith(spec.error());
      return kUsageExit;
    }
  }
  if (auto inside = EnterNamespace(argc, argv); !inside) {
    return FailWith(inside.error());
  }
  return Serve(line);
}

}  // namespace
}  // namespace dmrp::harness

int main(int argc, char** argv) { return dmrp::harness::Main(argc, argv); }
