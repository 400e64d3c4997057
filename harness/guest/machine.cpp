#include "harness/guest/machine.hpp"

#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace dmrp::harness {
namespace {

// Reads the members of one table and remembers the first that is missing or of another type.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string name) : table_(table), name_(std::move(name)) {}

  template <typename T>
  T Value(std::string_view key) {
    if (const auto value = table_[key].value<T>()) {
      return *value;
    }
    Miss(key);
    return {};
  }
  std::vector<std::string> Strings(std::string_view key) {
    std::vector<std::string> values;
    const auto* array = table_[key].as_array();
    if (array == nullptr) {
      Miss(key);
      return values;
    }
    for (const auto& element : *array) {
      if (const auto text = element.value<std::string>()) {
        values.push_back(*text);
      } else {
        Miss(key);
      }
    }
    return values;
  }
  [[nodiscard]] bool Has(std::string_view key) const { return table_.contains(key); }
  [[nodiscard]] Result<void> Finish() const {
    if (!missed_.empty()) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("[{}] {} is missing or of the wrong type", name_, missed_));
    }
    return {};
  }

 private:
  void Miss(std::string_view key) {
    if (missed_.empty()) {
      missed_ = key;
    }
  }
  const toml::table& table_;
  std::string name_;
  std::string missed_;
};

Result<MachineBus> ReadBus(const toml::table& table, const std::string& name) {
  TableReader reader(table, name);
  MachineBus bus;
  const auto attach = reader.Value<std::string>("attach");
  bus.device = reader.Value<std::string>("device");
  if (attach == "hot") {
    bus.bus = reader.Value<std::string>("bus");
    bus.max_disks = static_cast<std::uint32_t>(reader.Value<std::int64_t>("max_disks"));
  } else if (attach == "drive") {
    bus.attach = BusAttach::kDrive;
    bus.max_disks = 1;
  } else if (attach == "start") {
    bus.attach = BusAttach::kStart;
    bus.slots = reader.Strings("slots");
    for (const auto& slot : bus.slots) {
      if (const auto colon = slot.find(':'); colon == std::string::npos || colon + 1 == slot.size()) {
        return Fail(ErrorKind::kMalformed, fmt::format("[{}] slots: \"{}\" is not BUS:UNIT", name, slot));
      }
    }
    bus.max_disks = static_cast<std::uint32_t>(bus.slots.size());
  }
  if (bus.attach != BusAttach::kHot || reader.Has("drivers")) {
    bus.drivers = reader.Strings("drivers");
  }
  if (auto done = reader.Finish(); !done) {
    return tl::unexpected(done.error());
  }
  if (attach != "hot" && attach != "start" && attach != "drive") {
    return Fail(ErrorKind::kMalformed,
                fmt::format("[{}] attach is \"{}\"; known: hot, start, drive", name, attach));
  }
  return bus;
}

Result<SystemDisk> ReadSystemDisk(const toml::table& table, const std::string& name) {
  TableReader reader(table, name);
  SystemDisk disk;
  auto spec = ParseDiskSpec(reader.Value<std::string>("disk"));
  disk.make = reader.Value<std::string>("make");
  disk.mount = reader.Value<std::string>("mount");
  disk.unmount = reader.Value<std::string>("unmount");
  if (auto done = reader.Finish(); !done) {
    return tl::unexpected(done.error());
  }
  if (!spec) {
    return Fail(spec.error().kind, fmt::format("[{}] {}", name, spec.error().message));
  }
  disk.spec = *std::move(spec);
  return disk;
}

Result<Machine> ReadMachine(const toml::table& table, const std::string& name) {
  TableReader reader(table, name);
  Machine machine;
  machine.name = name;
  machine.emulator = reader.Value<std::string>("emulator");
  machine.machine = reader.Value<std::string>("machine");
  machine.cpu = reader.Value<std::string>("cpu");
  machine.processors = static_cast<std::uint32_t>(reader.Value<std::int64_t>("processors"));
  machine.memory_mib = static_cast<std::uint32_t>(reader.Value<std::int64_t>("memory_mib"));
  machine.kernel_command_line = reader.Value<std::string>("kernel_command_line");
  machine.devices = reader.Strings("devices");
  if (auto done = reader.Finish(); !done) {
    return tl::unexpected(done.error());
  }
  if (const auto* disk_table = table["system_disk"].as_table()) {
    auto disk = ReadSystemDisk(*disk_table, name + ".system_disk");
    if (!disk) {
      return tl::unexpected(disk.error());
    }
    machine.system_disk = *std::move(disk);
  }
  for (const auto kind : {DiskBus::kVirtioScsi, DiskBus::kUsb, DiskBus::kIde, DiskBus::kAhci, DiskBus::kLsi,
                          DiskBus::kNvme, DiskBus::kFloppy}) {
    if (const auto* bus_table = table["buses"][Name(kind)].as_table()) {
      auto bus = ReadBus(*bus_table, fmt::format("{}.buses.{}", name, Name(kind)));
      if (!bus) {
        return tl::unexpected(bus.error());
      }
      machine.buses.emplace(kind, std::move(*bus));
    }
  }
  return machine;
}

}  // namespace

Result<std::map<std::string, Machine, std::less<>>> LoadMachines(const std::filesystem::path& file) {
  std::map<std::string, Machine, std::less<>> machines;
  toml::table root;
  try {
    root = toml::parse_file(file.string());
  } catch (const toml::parse_error& error) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: line {}: {}", file.string(),
                                                   error.source().begin.line, error.description()));
  }
  for (const auto& [key, value] : root) {
    const std::string name(key.str());
    const auto* table = value.as_table();
    if (table == nullptr) {
      return Fail(ErrorKind::kMalformed, fmt::format("{}: {} is not a machine's table", file.string(), name));
    }
    auto machine = ReadMachine(*table, name);
    if (!machine) {
      return Fail(machine.error().kind, fmt::format("{}: {}", file.string(), machine.error().message));
    }
    machines.emplace(name, std::move(*machine));
  }
  return machines;
}

}  // namespace dmrp::harness
