#include "harness/guest/guest.hpp"
#include "harness/guest/guest_state.hpp"
#include "harness/guest/sha256.hpp"
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

  Result<MachineStart> Prepare(Guest::State& guest, const std::vector<PlannedDisk>& disks) const {
    MachineStart start;
    start.netdev = guest.link.netdev;
    start.mac = guest.link.address.mac;
    start.directory = guest.directory;
    if (guest.link.tap) {
      start.inherit.push_back(guest.link.tap.Get());
    }
    auto arguments = StartDiskArguments(guest, disks);
    if (!arguments) {
      return tl::unexpected(arguments.error());
    }
    start.extra = std::move(*arguments);
    return start;
  }

  // From a running machine to a guest that serves.
  Result<void> SetUp(Guest& guest, const std::vector<PlannedDisk>& disks, Clock::time_point began,
                     std::chrono::milliseconds deadline) const {
    Guest::State& state = *guest.state_;
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
    for (const auto& [id, image] : disks) {
      if (!state.machine.buses.at(image.spec.bus).hot_plug()) {
        continue;
      }
      const std::lock_guard lock(state.mutex);
      if (auto attached = state.Attach(id, image); !attached) {
        return tl::unexpected(attached.error());
      }
    }
    if (state.options.system_disk) {
      if (auto mounted = state.MountSystemDisk(); !mounted) {
        return mounted;
      }
    }
    if (state.options.start_server) {
      if (auto serving = guest.StartServer(state.options.server_arguments); !serving) {
        return serving;
      }
    }
    state.times.ready = Since(began);
    return {};
  }

  // From a guest that has a place in the network to one that serves; by a clone or by a boot of its own.
  Result<void> BringUp(Guest& guest, const std::vector<PlannedDisk>& disks, bool cold) {
    Guest::State& state = *guest.state_;
    const auto configuration = Configure(state.machine.name);
    if (!configuration) {
      return tl::unexpected(configuration.error());
    }
    std::optional<MachineTemplate> saved;
    if (!cold) {
      auto found = templates->Get(launcher, *configuration, state.directory, settings.boot_deadline);
      if (!found) {
        return tl::unexpected(found.error());
      }
      saved = std::move(*found);
    }
    const auto began = Clock::now();
    auto start = Prepare(state, disks);
    if (!start) {
      return tl::unexpected(start.error());
    }
    if (saved) {
      start->memory = MemoryKind::kPrivateFile;
      start->memory_file = saved->memory;
      start->incoming = true;
    }
    auto vm = VirtualMachine::Start(launcher, *configuration, *start, settings.operation_deadline);
    if (!vm) {
      return tl::unexpected(vm.error());
    }
    state.vm = std::move(*vm);
    if (!state.options.system_disk) {
      state.link.tap.Reset();  // QEMU has its own copy; the tap goes when that closes
    }
    if (saved) {
      if (auto restored = Restore(state, *saved); !restored) {
        return tl::unexpected(state.vm->Explain(restored.error()));
      }
    }
    if (state.options.capture) {
      auto file = *state.options.capture;
      if (!state.captures.empty()) {
        file += fmt::format(".{}", state.captures.size() + 1);
      }
      if (auto capturing = guest.StartCapture(file); !capturing) {
        return tl::unexpected(capturing.error());
      }
      state.captures.push_back(file);
    }
    if (saved) {
      if (auto running = guest.Resume(); !running) {
        return tl::unexpected(state.vm->Explain(running.error()));
      }
    }
    state.times.running = Since(began);
    const auto deadline = cold ? settings.boot_deadline : settings.operation_deadline;
    if (auto done = SetUp(guest, disks, began, deadline); !done) {
      return tl::unexpected(state.vm->Explain(done.error()));
    }
    return {};
  }

  // The system disk of a machine as every guest gets it, made by a guest at first use and then kept.
  Result<std::filesystem::path> SystemDiskBase(const Machine& machine) {
    const SystemDisk& wanted = *machine.system_disk;
    const auto folder = settings.cache_directory / "system-disks";
    const auto path = folder / (Sha256(ToText(wanted.spec) + "\n" + wanted.make).substr(0, 24) + ".raw");
    std::error_code trouble;
    std::filesystem::create_directories(folder, trouble);
    if (trouble) {
      return FailErrno("making " + folder.string(), trouble.value());
    }
    if (std::filesystem::exists(path, trouble)) {
      return path;
    }
    auto image = CreateDiskImage(wanted.spec, directory);
    if (!image) {
      return tl::unexpected(image.error());
    }
    GuestOptions options;
    options.machine = machine.name;
    options.disks = {*image};
    options.start_server = false;
    auto guest = Start(options, false);
    if (!guest) {
      return tl::unexpected(guest.error());
    }
    const std::string device = guest->disks().front().guest_device;
    if (auto made = guest->agent().Shell(fmt::format("DISK=/dev/{}\n{}", device, wanted.make)); !made) {
      return tl::unexpected(made.error());
    }
    guest->PowerCut();
    // Several processes may come here at once; each puts a whole file.
    const std::filesystem::path building = path.string() + "." + Guid::Random().ToString();
    auto copied = CopySparse(image->path, building);
    std::filesystem::remove(image->path, trouble);
    if (!copied) {
      return tl::unexpected(copied.error());
    }
    std::filesystem::rename(building, path, trouble);
    if (trouble) {
      return FailErrno("renaming " + building.string(), trouble.value());
    }
    return path;
  }

  Result<Guest> Start(const GuestOptions& options, bool cold) {
    const auto configuration = Configure(options.machine);
    if (!configuration) {
      return tl::unexpected(configuration.error());
    }
    const auto& wanted = configuration->machine.system_disk;
    if (options.system_disk && !wanted) {
      return Fail(ErrorKind::kUnsupported, fmt::format("machine {} has no system disk", options.machine));
    }
    auto fresh = NewGuest(configuration->machine);
    if (!fresh) {
      return tl::unexpected(fresh.error());
    }
    Guest guest(std::move(*fresh));
    Guest::State& state = *guest.state_;
    state.options = options;
    state.boot = [this, cold](Guest& again, const std::vector<PlannedDisk>& disks) {
      return BringUp(again, disks, cold);
    };
    std::vector<PlannedDisk> disks;
    if (options.system_disk) {
      auto base = SystemDiskBase(configuration->machine);
      if (!base) {
        return tl::unexpected(base.error());
      }
      DiskImage own{.spec = wanted->spec, .path = state.directory / "system.raw"};
      own.spec.serial = "SYSTEM";
      if (auto copied = CopySparse(*base, own.path); !copied) {
        return tl::unexpected(copied.error());
      }
      disks.push_back({kSystemDiskId, std::move(own)});
    }
    for (const auto& image : options.disks) {
      disks.push_back({fmt::format("disk{}", state.next_disk++), image});
    }
    if (auto up = BringUp(guest, disks, cold); !up) {
      return tl::unexpected(up.error());
    }
    return guest;
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

Result<Guest> GuestFactory::Start(const GuestOptions& options) { return state_->Start(options, false); }

Result<Guest> GuestFactory::ColdBoot(const GuestOptions& options) { return state_->Start(options, true); }

}  // namespace dmrp::harness
