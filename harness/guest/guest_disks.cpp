// Disks that come and go.
#include "harness/guest/guest_state.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace dmrp::harness {

using nlohmann::json;

namespace {

bool Ata(DiskBus bus) { return bus == DiskBus::kIde || bus == DiskBus::kAhci; }

json DeviceOf(const DiskSlot& slot, const MachineBus& bus) {
  const DiskSpec& spec = slot.disk.image.spec;
  const bool cd = spec.media == DiskMedia::kCdrom;
  json device = {{"id", slot.drive}, {"serial", spec.serial}};
  if (!slot.node.empty()) {
    device["drive"] = slot.node;
  }
  if (spec.bus == DiskBus::kNvme) {
    device["driver"] = bus.device;
  } else {
    device["driver"] = std::string(Ata(spec.bus) ? "ide-" : "scsi-") + (cd ? "cd" : "hd");
    // An error of the image is the guest's to see, not a reason to stop the machine.
    device["rerror"] = "report";
    device["werror"] = "report";
  }
  if (!cd) {
    device["logical_block_size"] = spec.logical_sector;
    device["physical_block_size"] = spec.physical_sector;
  }
  if (spec.media == DiskMedia::kRemovable) {
    device["removable"] = true;
  }
  return device;
}

bool IsDiskEvent(const Uevent& event, std::string_view action) {
  return event.Get("ACTION") == action && event.Get("SUBSYSTEM") == "block" && event.Get("DEVTYPE") == "disk";
}

}  // namespace

json NodeOf(const std::string& node, const DiskImage& image) {
  const bool read_only = image.spec.read_only || image.spec.media == DiskMedia::kCdrom;
  return {{"driver", std::string(Name(image.spec.format))},
          {"node-name", node},
          {"read-only", read_only},
          {"file", {{"driver", "file"}, {"filename", image.path.string()}, {"read-only", read_only}}}};
}

Result<std::string> Guest::State::AddNode(const std::string& id, const DiskImage& image) {
  std::string node = fmt::format("{}-image{}", id, next_node++);
  auto added = Do("blockdev-add", NodeOf(node, image));
  return added ? Result<std::string>(std::move(node)) : tl::unexpected(added.error());
}

Result<std::vector<std::string>> StartDiskArguments(Guest::State& state,
                                                    const std::vector<PlannedDisk>& disks) {
  std::vector<std::string> arguments;
  std::map<DiskBus, std::uint32_t> used;
  for (const auto& [id, image] : disks) {
    const auto found = state.machine.buses.find(image.spec.bus);
    if (found == state.machine.buses.end()) {
      return Fail(ErrorKind::kUnsupported,
                  fmt::format("machine {} has no bus {}", state.machine.name, Name(image.spec.bus)));
    }
    const MachineBus& bus = found->second;
    if (bus.hot_plug()) {
      continue;
    }
    DiskSlot slot;
    slot.disk = {.id = id, .image = image, .guest_device = {}};
    slot.drive = id;
    slot.order = state.next_order++;
    slot.target = used[image.spec.bus]++;
    if (slot.target >= bus.slots.size()) {
      return Fail(ErrorKind::kLimit,
                  fmt::format("bus {} takes {} disks", Name(image.spec.bus), bus.slots.size()));
    }
    if (!image.path.empty()) {
      slot.node = fmt::format("{}-image{}", id, state.next_node++);
      arguments.insert(arguments.end(), {"-blockdev", NodeOf(slot.node, image).dump()});
    }
    const std::string& place = bus.slots[slot.target];
    const auto colon = place.find(':');
    json device = DeviceOf(slot, bus);
    device["bus"] = place.substr(0, colon);
    device["unit"] = std::atoi(place.c_str() + colon + 1);
    arguments.insert(arguments.end(), {"-device", device.dump()});
    state.disks.emplace(id, std::move(slot));
  }
  return arguments;
}

Result<std::string> Guest::State::SerialOf(const std::string& device) {
  // VPD page 80: two octets, a 16-bit length, the serial number padded with blanks.
  auto page = vm->agent().ReadFile(fmt::format("/sys/block/{}/device/vpd_pg80", device));
  if (!page) {
    return page;
  }
  std::string serial = page->size() > 4 ? page->substr(4) : std::string();
  const auto filler = [](char c) { return c == ' ' || c == '\0'; };
  while (!serial.empty() && filler(serial.back())) {
    serial.pop_back();
  }
  serial.erase(serial.begin(), std::find_if_not(serial.begin(), serial.end(), filler));
  return serial;
}

Result<void> Guest::State::FindStartDisks() {
  std::map<std::string, AttachedDisk*> awaited;  // by serial number
  // CD drives of ATA have no serial number that a file shows; they are found in the order of drivers and
  // slots.
  std::vector<std::pair<std::pair<std::string, std::uint32_t>, AttachedDisk*>> drives;
  std::set<std::string> drivers;
  for (auto& [id, slot] : disks) {
    const auto& bus = machine.buses.at(slot.disk.image.spec.bus);
    drivers.insert(bus.drivers.begin(), bus.drivers.end());
    if (slot.disk.image.spec.media == DiskMedia::kCdrom) {
      drives.push_back({{bus.drivers.empty() ? "" : bus.drivers.front(), slot.target}, &slot.disk});
    } else {
      awaited[slot.disk.image.spec.serial] = &slot.disk;
    }
  }
  std::sort(drives.begin(), drives.end());
  auto mark = vm->agent().Mark();
  for (const auto& driver : drivers) {
    if (auto loaded = vm->agent().Shell("modprobe " + driver, deadline); !loaded) {
      return tl::unexpected(loaded.error());
    }
  }
  for (std::size_t next_drive = 0; !awaited.empty() || next_drive < drives.size();) {
    auto event = vm->agent().WaitUevent(
        mark, [](const Uevent& candidate) { return IsDiskEvent(candidate, "add"); }, deadline);
    if (!event) {
      return tl::unexpected(event.error());
    }
    mark = event->position + 1;
    const std::string device = event->Get("DEVNAME");
    if (device.starts_with("sr") && next_drive < drives.size()) {
      drives[next_drive++].second->guest_device = device;
      continue;
    }
    const auto serial = SerialOf(device);
    if (!serial) {
      continue;  // a drive of another kind
    }
    if (const auto found = awaited.find(*serial); found != awaited.end()) {
      found->second->guest_device = device;
      awaited.erase(found);
    }
  }
  return {};
}

Result<DiskSlot*> Guest::State::Find(std::string_view id) {
  const auto found = disks.find(id);
  if (found == disks.end()) {
    return Fail(ErrorKind::kUsage, fmt::format("{} has no disk \"{}\"", name, id));
  }
  return &found->second;
}

Result<std::string> Guest::State::Plug(DiskSlot& slot, const MachineBus& bus) {
  const DiskBus kind = slot.disk.image.spec.bus;
  json device = DeviceOf(slot, bus);
  Result<json> plugged;
  std::string place;
  switch (kind) {
    case DiskBus::kUsb: {
      const std::string bridge = slot.drive + "-usb";
      device["bus"] = bridge + ".0";
      device["lun"] = 0;
      plugged = Do("device_add", {{"driver", bus.device}, {"id", bridge}, {"bus", bus.bus}});
      if (plugged) {
        plugged = Do("device_add", device);
      }
      if (plugged) {
        plugged = Do("qom-set",
                     {{"path", "/machine/peripheral/" + bridge}, {"property", "attached"}, {"value", true}});
      }
      place = "/usb";
      break;
    }
    case DiskBus::kNvme:
      device["bus"] = bus.bus;
      plugged = Do("device_add", device);
      place = "/nvme/";
      break;
    case DiskBus::kFloppy:
      plugged = slot.node.empty()
                    ? Result<json>(json::object())
                    : Do("blockdev-insert-medium", {{"id", slot.drive}, {"node-name", slot.node}});
      place = "/floppy";
      break;
    default:
      device["bus"] = bus.bus;
      device["scsi-id"] = slot.target;
      device["lun"] = 0;
      plugged = Do("device_add", device);
      place = fmt::format(":0:{}/", slot.target);
  }
  return plugged ? Result<std::string>(place) : tl::unexpected(plugged.error());
}

// QEMU has no disk drive that starts empty: it gets a medium that is gone before the guest can look.
Result<std::string> Guest::State::PlugEmpty(DiskSlot& slot, const MachineBus& bus) {
  const std::string node = fmt::format("{}-image{}", slot.disk.id, next_node++);
  const bool resume = !paused;
  const auto none = json::object();
  if (auto stopped = Do("stop", none); !stopped) {
    return tl::unexpected(stopped.error());
  }
  auto done = Do("blockdev-add", {{"driver", "null-co"}, {"node-name", node}, {"size", 1 << 20}});
  Result<std::string> place = tl::unexpected(done ? Error{} : done.error());
  if (done) {
    slot.node = node;
    place = Plug(slot, bus);
    slot.node.clear();
    done = place ? Do("eject", {{"id", slot.drive}, {"force", true}}) : tl::unexpected(place.error());
    (void)Do("blockdev-del", {{"node-name", node}});
  }
  if (resume) {
    if (auto resumed = Do("cont", none); !resumed) {
      return tl::unexpected(resumed.error());
    }
  }
  return done ? place : tl::unexpected(done.error());
}

Result<void> Guest::State::Discover(DiskBus bus) {
  std::string script;
  if (bus == DiskBus::kFloppy || loaded_buses.insert(bus).second) {
    for (const auto& driver : machine.buses.at(bus).drivers) {
      script += fmt::format("modprobe {}\n", driver);
    }
  } else if (bus == DiskBus::kLsi) {
    script =
        "for h in /sys/class/scsi_host/*; do grep -q sym53c8xx $h/proc_name && echo '- - -' > $h/scan; done";
  }
  if (script.empty()) {
    return {};
  }
  auto done = vm->agent().Shell(script, deadline);
  return done ? Result<void>() : tl::unexpected(done.error());
}

Result<AttachedDisk> Guest::State::Attach(const std::string& id, const DiskImage& image) {
  const auto found = machine.buses.find(image.spec.bus);
  if (found == machine.buses.end() || !found->second.hot_plug()) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("the bus {} takes disks only when a guest starts (GuestOptions::disks)",
                            Name(image.spec.bus)));
  }
  const MachineBus& bus = found->second;
  std::set<std::uint32_t> taken;
  for (const auto& [other, slot] : disks) {
    if (slot.disk.image.spec.bus == image.spec.bus) {
      taken.insert(slot.target);
    }
  }
  DiskSlot slot;
  slot.order = next_order++;
  slot.drive = bus.attach == BusAttach::kDrive ? bus.device : id;
  while (taken.contains(slot.target)) {
    ++slot.target;
  }
  if (slot.target >= bus.max_disks) {
    return Fail(ErrorKind::kLimit, fmt::format("bus {} takes {} disks", Name(image.spec.bus), bus.max_disks));
  }
  slot.disk = {.id = id, .image = image, .guest_device = {}};
  if (!image.path.empty()) {
    auto node = AddNode(id, image);
    if (!node) {
      return tl::unexpected(node.error());
    }
    slot.node = *node;
  }
  const auto mark = vm->agent().Mark();
  const bool empty = image.path.empty() && image.spec.media == DiskMedia::kRemovable;
  const auto place = empty ? PlugEmpty(slot, bus) : Plug(slot, bus);
  if (!place) {
    if (!slot.node.empty()) {
      (void)Do("blockdev-del", {{"node-name", slot.node}});
    }
    return tl::unexpected(place.error());
  }
  if (auto discovered = Discover(image.spec.bus); !discovered) {
    return tl::unexpected(discovered.error());
  }
  auto event = vm->agent().WaitUevent(
      mark,
      [&](const Uevent& candidate) {
        return IsDiskEvent(candidate, "add") && candidate.Get("DEVPATH").find(*place) != std::string::npos;
      },
      deadline);
  if (!event) {
    return tl::unexpected(event.error());
  }
  slot.disk.guest_device = event->Get("DEVNAME");
  const AttachedDisk result = slot.disk;
  disks.emplace(id, std::move(slot));
  return result;
}

Result<AttachedDisk> Guest::AttachDisk(const DiskImage& image) {
  const std::lock_guard lock(state_->mutex);
  return state_->Attach(fmt::format("disk{}", state_->next_disk++), image);
}

Result<void> Guest::DetachDisk(std::string_view id) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const auto found = state.Find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  const DiskBus bus = slot.disk.image.spec.bus;
  if (!slot.hot(state.machine)) {
    return Fail(ErrorKind::kUnsupported, fmt::format("disk {} cannot be pulled from its bus", id));
  }
  if (!slot.overlay_node.empty()) {
    return Fail(ErrorKind::kUsage, fmt::format("disk {} is frozen", id));
  }
  const std::string name(id);
  const auto mark = state.vm->qmp().Mark();
  const auto guest_mark = state.vm->agent().Mark();
  if (bus == DiskBus::kFloppy) {
    if (auto gone = state.vm->agent().Shell("rmmod floppy", state.deadline); !gone) {
      return tl::unexpected(gone.error());
    }
    if (!slot.node.empty()) {
      if (auto out = state.Do("eject", {{"id", slot.drive}, {"force", true}}); !out) {
        return tl::unexpected(out.error());
      }
    }
  } else {
    if (auto done = state.Do("device_del", {{"id", bus == DiskBus::kUsb ? slot.drive + "-usb" : slot.drive}});
        !done) {
      return tl::unexpected(done.error());
    }
    if (auto gone = state.vm->qmp().WaitEvent(
            mark, "DEVICE_DELETED", [&](const json& data) { return data.value("device", "") == slot.drive; },
            state.deadline);
        !gone) {
      return tl::unexpected(gone.error());
    }
    // This bus tells the guest nothing.
    if (bus == DiskBus::kLsi) {
      (void)state.vm->agent().Shell(
          fmt::format("echo 1 > /sys/block/{}/device/delete", slot.disk.guest_device), state.deadline);
    }
  }
  if (auto seen = state.vm->agent().WaitUevent(
          guest_mark,
          [&](const Uevent& event) {
            return IsDiskEvent(event, "remove") && event.Get("DEVNAME") == slot.disk.guest_device;
          },
          state.deadline);
      !seen) {
    return tl::unexpected(seen.error());
  }
  for (auto filter = slot.filters.rbegin(); filter != slot.filters.rend(); ++filter) {
    (void)state.Do("blockdev-del", {{"node-name", *filter}});
  }
  for (const auto& group : slot.groups) {
    (void)state.Do("object-del", {{"id", group}});
  }
  auto closed =
      slot.node.empty() ? Result<json>(json::object()) : state.Do("blockdev-del", {{"node-name", slot.node}});
  state.disks.erase(name);
  return closed ? Result<void>() : tl::unexpected(closed.error());
}

std::vector<AttachedDisk> Guest::disks() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<AttachedDisk> all;
  for (const auto& [id, slot] : state_->disks) {
    all.push_back(slot.disk);
  }
  return all;
}

std::optional<AttachedDisk> Guest::system_disk() const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->disks.find(kSystemDiskId);
  return found == state_->disks.end() ? std::nullopt : std::optional(found->second.disk);
}

std::vector<PlannedDisk> Guest::State::Plan() const {
  std::vector<const DiskSlot*> slots;
  for (const auto& [id, slot] : disks) {
    slots.push_back(&slot);
  }
  std::sort(slots.begin(), slots.end(),
            [](const DiskSlot* a, const DiskSlot* b) { return a->order < b->order; });
  std::vector<PlannedDisk> plan;
  for (const DiskSlot* slot : slots) {
    plan.push_back({slot->disk.id, slot->disk.image});
  }
  return plan;
}

}  // namespace dmrp::harness
