#include "harness/guest/guest.hpp"
#include "harness/guest/guest_state.hpp"
#include "harness/guest/template_store.hpp"
#include "protocol/base/guid.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>

namespace dmrp::harness {

using nlohmann::json;

namespace {

using Clock = std::chrono::steady_clock;

std::chrono::microseconds Since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
}

std::string Setting(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

}  // namespace

GuestSettings DefaultGuestSettings() {
  GuestSettings settings;
  settings.image_directory = Setting("DMRP_GUEST_DIRECTORY", DMRP_GUEST_DIRECTORY);
  settings.machines_file = DMRP_SOURCE_DIRECTORY "/vms/machines.toml";
  settings.cache_directory =
      std::filesystem::path(Setting("XDG_CACHE_HOME", Setting("HOME", "/tmp") + "/.cache")) / "dmrp";
  settings.run_directory = Setting("DMRP_RUN_DIRECTORY", Setting("TMPDIR", "/tmp"));
  return settings;
}

struct GuestFactory::State {
  GuestSettings settings;
  std::filesystem::path directory;
  std::map<std::string, Machine, std::less<>> machines;
  std::filesystem::path kernel;
  std::filesystem::path initrd;
  Acceleration acceleration;
  Network network{NetworkKind::kUserForwarded};
  Launcher launcher;
  std::unique_ptr<TemplateStore> templates;
  std::atomic<unsigned> next_guest = 1;

  ~State() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  Result<MachineConfiguration> Configure(std::string_view name) const {
    const auto found = machines.find(name);
    if (found == machines.end()) {
      return Fail(ErrorKind::kUsage,
                  fmt::format("{} has no machine \"{}\"", settings.machines_file.string(), name));
    }
    return MachineConfiguration{found->second, acceleration, kernel, initrd};
  }

  // A guest that has a name, a directory and a place in the network.
  Result<std::unique_ptr<Guest::State>> NewGuest(const Machine& machine) {
    auto guest = std::make_unique<Guest::State>();
    guest->name = fmt::format("guest{}", next_guest++);
    guest->directory = directory / guest->name;
    guest->machine = machine;
    guest->deadline = settings.operation_deadline;
    std::error_code trouble;
    std::filesystem::create_directories(guest->directory, trouble);
    if (trouble) {
      return FailErrno("making " + guest->directory.string(), trouble.value());
    }
    auto link = network.NewLink();
    if (!link) {
      return tl::unexpected(link.error());
    }
    guest->link = std::move(*link);
    return guest;
  }

  Result<MachineStart> Prepare(Guest::State& guest, const GuestOptions& options) const {
    MachineStart start;
    start.netdev = guest.link.netdev;
    start.mac = guest.link.address.mac;
    start.directory = guest.directory;
    if (guest.link.tap.valid()) {
      start.inherit.push_back(guest.link.tap.get());
    }
    auto disks = StartDiskArguments(guest, options.disks);
    if (!disks) {
      return tl::unexpected(disks.error());
    }
    start.extra = std::move(*disks);
    return start;
  }

  // From a running machine to a guest that serves.
  Result<void> SetUp(Guest& guest, Guest::State& state, const GuestOptions& options, Clock::time_point began,
                     std::chrono::milliseconds deadline) const {
    AgentClient& agent = state.vm->agent();
    const GuestAddress& address = state.link.address;
    if (auto up = agent.Ping(deadline); !up) {
      return up;
    }
    state.times.agent = Since(began);
    if (auto named = agent.SetIdentity({.mac = address.mac,
                                        .address = address.guest_address,
                                        .prefix_length = 24,
                                        .gateway = address.gateway});
        !named) {
      return named;
    }
    if (auto listening = agent.Listen(); !listening) {
      return listening;
    }
    if (auto found = state.FindStartDisks(); !found) {
      return found;
    }
    for (const auto& image : options.disks) {
      if (!state.machine.buses.at(image.spec.bus).hot_plug) {
        continue;
      }
      if (auto attached = guest.AttachDisk(image); !attached) {
        return tl::unexpected(attached.error());
      }
    }
    if (options.start_server) {
      if (auto serving = guest.StartServer(options.server_arguments); !serving) {
        return serving;
      }
    }
    state.times.ready = Since(began);
    return {};
  }

  Result<void> Restore(Guest::State& guest, const MachineTemplate& saved) const {
    Qmp& qmp = guest.vm->qmp();
    const auto deadline = settings.operation_deadline;
    const auto capability = [](const char* name) { return json{{"capability", name}, {"state", true}}; };
    if (auto set =
            qmp.Execute("migrate-set-capabilities",
                        {{"capabilities", {capability("x-ignore-shared"), capability("events")}}}, deadline);
        !set) {
      return tl::unexpected(set.error());
    }
    const auto mark = qmp.Mark();
    if (auto begun = qmp.Execute("migrate-incoming",
                                 {{"uri", "exec:cat " + ShellQuoted(saved.state.string())}}, deadline);
        !begun) {
      return tl::unexpected(begun.error());
    }
    auto restored = qmp.WaitEvent(
        mark, "MIGRATION",
        [](const json& data) {
          return data.value("status", "") == "completed" || data.value("status", "") == "failed";
        },
        deadline);
    if (!restored) {
      return tl::unexpected(restored.error());
    }
    if (restored->value("status", "") != "completed") {
      return Fail(ErrorKind::kUnavailable, "QEMU could not restore the template");
    }
    return {};
  }
};

GuestFactory::GuestFactory(std::unique_ptr<State> state) : state_(std::move(state)) {}
GuestFactory::~GuestFactory() = default;

Result<std::unique_ptr<GuestFactory>> GuestFactory::Create(GuestSettings settings) {
  auto state = std::make_unique<State>();
  state->settings = std::move(settings);
  const GuestSettings& chosen = state->settings;
  state->directory = chosen.run_directory / ("dmrp-" + Guid::Random().ToString());
  std::error_code trouble;
  std::filesystem::create_directories(state->directory, trouble);
  if (trouble) {
    return FailErrno("making " + state->directory.string(), trouble.value());
  }
  auto machines = LoadMachines(chosen.machines_file);
  if (!machines) {
    return tl::unexpected(machines.error());
  }
  state->machines = std::move(*machines);
  const auto manifest_file = chosen.image_directory / "guest.json";
  const auto manifest = json::parse(ReadTextFile(manifest_file), nullptr, false);
  if (!manifest.is_object() || !manifest.contains("kernel") || !manifest.contains("initrd")) {
    return Fail(ErrorKind::kUnavailable, fmt::format("{} is missing or damaged: build the target guest_image",
                                                     manifest_file.string()));
  }
  state->kernel = chosen.image_directory / manifest["kernel"].value("file", "vmlinux");
  state->initrd = chosen.image_directory / manifest["initrd"].value("file", "initrd.img");
  state->templates = std::make_unique<TemplateStore>(
      chosen.cache_directory / "templates",
      manifest["kernel"].value("sha256", "") + " " + manifest["initrd"].value("sha256", ""));
  auto network = Network::Detect();
  if (!network) {
    return tl::unexpected(network.error());
  }
  state->network = *network;
  state->acceleration = ChooseAcceleration("qemu-system-x86_64", state->directory, chosen.cache_directory);
  return std::unique_ptr<GuestFactory>(new GuestFactory(std::move(state)));
}

const std::filesystem::path& GuestFactory::directory() const { return state_->directory; }
const Acceleration& GuestFactory::acceleration() const { return state_->acceleration; }
const Network& GuestFactory::network() const { return state_->network; }

Result<bool> GuestFactory::PrepareTemplate(std::string_view machine) {
  const auto configuration = state_->Configure(machine);
  if (!configuration) {
    return tl::unexpected(configuration.error());
  }
  const auto scratch = state_->directory / fmt::format("template{}", state_->next_guest++);
  std::error_code ignored;
  std::filesystem::create_directories(scratch, ignored);
  auto saved =
      state_->templates->Get(state_->launcher, *configuration, scratch, state_->settings.boot_deadline);
  return saved.map([](const MachineTemplate& made) { return made.fresh; });
}

Result<Guest> GuestFactory::Start(const GuestOptions& options) {
  const auto configuration = state_->Configure(options.machine);
  if (!configuration) {
    return tl::unexpected(configuration.error());
  }
  auto fresh = state_->NewGuest(configuration->machine);
  if (!fresh) {
    return tl::unexpected(fresh.error());
  }
  Guest guest(std::move(*fresh));
  Guest::State& state = *guest.state_;
  auto saved = state_->templates->Get(state_->launcher, *configuration, state.directory,
                                      state_->settings.boot_deadline);
  if (!saved) {
    return tl::unexpected(saved.error());
  }
  const auto began = Clock::now();
  auto start = state_->Prepare(state, options);
  if (!start) {
    return tl::unexpected(start.error());
  }
  start->memory = MemoryKind::kPrivateFile;
  start->memory_file = saved->memory;
  start->incoming = true;
  auto vm =
      VirtualMachine::Start(state_->launcher, *configuration, *start, state_->settings.operation_deadline);
  if (!vm) {
    return tl::unexpected(vm.error());
  }
  state.vm = std::move(*vm);
  state.link.tap.Reset();  // QEMU has its own copy; the tap goes when that closes
  if (auto restored = state_->Restore(state, *saved); !restored) {
    return tl::unexpected(state.vm->Explain(restored.error()));
  }
  if (options.capture) {
    if (auto capturing = guest.StartCapture(*options.capture); !capturing) {
      return tl::unexpected(capturing.error());
    }
  }
  if (auto running = guest.Resume(); !running) {
    return tl::unexpected(state.vm->Explain(running.error()));
  }
  state.times.running = Since(began);
  if (auto done = state_->SetUp(guest, state, options, began, state_->settings.operation_deadline); !done) {
    return tl::unexpected(state.vm->Explain(done.error()));
  }
  return guest;
}

Result<Guest> GuestFactory::ColdBoot(const GuestOptions& options) {
  const auto configuration = state_->Configure(options.machine);
  if (!configuration) {
    return tl::unexpected(configuration.error());
  }
  const auto began = Clock::now();
  auto fresh = state_->NewGuest(configuration->machine);
  if (!fresh) {
    return tl::unexpected(fresh.error());
  }
  Guest guest(std::move(*fresh));
  Guest::State& state = *guest.state_;
  auto start = state_->Prepare(state, options);
  if (!start) {
    return tl::unexpected(start.error());
  }
  auto vm =
      VirtualMachine::Start(state_->launcher, *configuration, *start, state_->settings.operation_deadline);
  if (!vm) {
    return tl::unexpected(vm.error());
  }
  state.vm = std::move(*vm);
  state.link.tap.Reset();
  if (options.capture) {
    if (auto capturing = guest.StartCapture(*options.capture); !capturing) {
      return tl::unexpected(capturing.error());
    }
  }
  state.times.running = Since(began);
  if (auto done = state_->SetUp(guest, state, options, began, state_->settings.boot_deadline); !done) {
    return tl::unexpected(state.vm->Explain(done.error()));
  }
  return guest;
}

}  // namespace dmrp::harness
