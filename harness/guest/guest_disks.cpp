#include "harness/guest/guest_state.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace dmrp::harness {

using nlohmann::json;

namespace {

std::string ImageNode(const std::string& id) { return id + "-image"; }

json NodeOf(const std::string& id, const DiskImage& image) {
  return {
      {"driver", std::string(Name(image.spec.format))},
      {"node-name", ImageNode(id)},
      {"read-only", image.spec.read_only},
      {"file", {{"driver", "file"}, {"filename", image.path.string()}, {"read-only", image.spec.read_only}}}};
}

json DeviceOf(const std::string& driver, const std::string& id, const DiskImage& image) {
  // rerror and werror: an error of the image is the guest's to see, not a reason to stop the machine.
  return {{"driver", driver},
          {"id", id},
          {"drive", ImageNode(id)},
          {"serial", image.spec.serial},
          {"logical_block_size", image.spec.logical_sector},
          {"physical_block_size", image.spec.physical_sector},
          {"rerror", "report"},
          {"werror", "report"}};
}

bool IsDiskEvent(const Uevent& event, std::string_view action) {
  return event.Get("ACTION") == action && event.Get("SUBSYSTEM") == "block" && event.Get("DEVTYPE") == "disk";
}

}  // namespace

Result<std::vector<std::string>> StartDiskArguments(Guest::State& state,
                                                    const std::vector<DiskImage>& images) {
  std::vector<std::string> arguments;
  std::map<DiskBus, std::size_t> used;
  for (const auto& image : images) {
    const auto found = state.machine.buses.find(image.spec.bus);
    if (found == state.machine.buses.end()) {
      return Fail(ErrorKind::kUnsupported,
                  fmt::format("machine {} has no bus {}", state.machine.name, Name(image.spec.bus)));
    }
    const MachineBus& bus = found->second;
    if (bus.hot_plug) {
      continue;
    }
    const std::size_t position = used[image.spec.bus]++;
    if (position >= bus.slots.size()) {
      return Fail(ErrorKind::kLimit,
                  fmt::format("bus {} takes {} disks", Name(image.spec.bus), bus.slots.size()));
    }
    const std::string& place = bus.slots[position];
    const auto colon = place.find(':');
    DiskSlot slot;
    slot.disk = {.id = fmt::format("disk{}", state.next_disk++), .image = image, .guest_device = {}};
    json device = DeviceOf(bus.device, slot.disk.id, image);
    device["bus"] = place.substr(0, colon);
    device["unit"] = std::atoi(place.c_str() + colon + 1);
    arguments.insert(arguments.end(),
                     {"-blockdev", NodeOf(slot.disk.id, image).dump(), "-device", device.dump()});
    state.disks.emplace(slot.disk.id, std::move(slot));
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
  std::map<std::string, AttachedDisk*> awaited;
  std::set<std::string> drivers;
  for (auto& [id, slot] : disks) {
    awaited[slot.disk.image.spec.serial] = &slot.disk;
    const auto& bus = machine.buses.at(slot.disk.image.spec.bus);
    drivers.insert(bus.drivers.begin(), bus.drivers.end());
  }
  auto mark = vm->agent().Mark();
  for (const auto& driver : drivers) {
    if (auto loaded = vm->agent().Shell("modprobe " + driver, deadline); !loaded) {
      return tl::unexpected(loaded.error());
    }
  }
  while (!awaited.empty()) {
    auto event = vm->agent().WaitUevent(
        mark, [](const Uevent& candidate) { return IsDiskEvent(candidate, "add"); }, deadline);
    if (!event) {
      return tl::unexpected(event.error());
    }
    mark = event->position + 1;
    const std::string device = event->Get("DEVNAME");
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

Result<AttachedDisk> Guest::AttachDisk(const DiskImage& image) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const auto found = state.machine.buses.find(image.spec.bus);
  if (found == state.machine.buses.end() || !found->second.hot_plug) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("the bus {} takes disks only when a guest starts (GuestOptions::disks)",
                            Name(image.spec.bus)));
  }
  const MachineBus& bus = found->second;
  std::set<std::uint32_t> taken;
  for (const auto& [id, slot] : state.disks) {
    if (slot.disk.image.spec.bus == image.spec.bus) {
      taken.insert(slot.target);
    }
  }
  DiskSlot slot;
  slot.hot = true;
  while (taken.contains(slot.target)) {
    ++slot.target;
  }
  if (slot.target >= bus.max_disks) {
    return Fail(ErrorKind::kLimit, fmt::format("bus {} takes {} disks", Name(image.spec.bus), bus.max_disks));
  }
  const std::string id = fmt::format("disk{}", state.next_disk++);
  slot.disk = {.id = id, .image = image, .guest_device = {}};
  if (auto done = state.Do("blockdev-add", NodeOf(id, image)); !done) {
    return tl::unexpected(done.error());
  }
  const auto mark = state.vm->agent().Mark();
  json device = DeviceOf("scsi-hd", id, image);
  Result<json> plugged;
  std::string place;
  if (image.spec.bus == DiskBus::kUsb) {
    const std::string bridge = id + "-usb";
    device["bus"] = bridge + ".0";
    device["lun"] = 0;
    plugged = state.Do("device_add", {{"driver", bus.device}, {"id", bridge}, {"bus", bus.bus}});
    if (plugged) {
      plugged = state.Do("device_add", device);
    }
    if (plugged) {
      plugged = state.Do(
          "qom-set", {{"path", "/machine/peripheral/" + bridge}, {"property", "attached"}, {"value", true}});
    }
    place = "/usb";
  } else {
    device["bus"] = bus.bus;
    device["scsi-id"] = slot.target;
    device["lun"] = 0;
    plugged = state.Do("device_add", device);
    place = fmt::format(":0:{}/", slot.target);
  }
  if (!plugged) {
    (void)state.Do("blockdev-del", {{"node-name", ImageNode(id)}});
    return tl::unexpected(plugged.error());
  }
  auto event = state.vm->agent().WaitUevent(
      mark,
      [&](const Uevent& candidate) {
        return IsDiskEvent(candidate, "add") && candidate.Get("DEVPATH").find(place) != std::string::npos;
      },
      state.deadline);
  if (!event) {
    return tl::unexpected(event.error());
  }
  slot.disk.guest_device = event->Get("DEVNAME");
  const AttachedDisk result = slot.disk;
  state.disks.emplace(id, std::move(slot));
  return result;
}

Result<void> Guest::DetachDisk(std::string_view id) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const auto found = state.Find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  if (!slot.hot) {
    return Fail(ErrorKind::kUnsupported, fmt::format("disk {} cannot be pulled from its bus", id));
  }
  if (!slot.overlay_node.empty()) {
    return Fail(ErrorKind::kUsage, fmt::format("disk {} is frozen", id));
  }
  const std::string name(id);
  const bool usb = slot.disk.image.spec.bus == DiskBus::kUsb;
  const auto mark = state.vm->qmp().Mark();
  const auto guest_mark = state.vm->agent().Mark();
  if (auto done = state.Do("device_del", {{"id", usb ? name + "-usb" : name}}); !done) {
    return tl::unexpected(done.error());
  }
  if (auto gone = state.vm->qmp().WaitEvent(
          mark, "DEVICE_DELETED", [&](const json& data) { return data.value("device", "") == name; },
          state.deadline);
      !gone) {
    return tl::unexpected(gone.error());
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
  auto closed = state.Do("blockdev-del", {{"node-name", ImageNode(name)}});
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

Result<std::vector<FrozenDisk>> Guest::FreezeDisks() {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (std::any_of(state.disks.begin(), state.disks.end(),
                  [](const auto& item) { return !item.second.overlay_node.empty(); })) {
    return Fail(ErrorKind::kUsage, fmt::format("the disks of {} are frozen already", state.name));
  }
  // What the guest holds back in its cache would be missing in the images.
  if (!state.paused) {
    if (auto flushed = state.vm->agent().Exec({"sync"}, {}, state.deadline); !flushed) {
      return tl::unexpected(flushed.error());
    }
  }
  json actions = json::array();
  std::vector<FrozenDisk> frozen;
  for (auto& [id, slot] : state.disks) {
    const DiskImage& image = slot.disk.image;
    frozen.push_back(
        {.id = id, .path = image.path, .format = image.spec.format, .serial = image.spec.serial});
    if (image.spec.read_only) {
      continue;  // stands still anyway
    }
    slot.overlay_node = fmt::format("{}-overlay{}", id, state.next_node++);
    slot.overlay = state.directory / (slot.overlay_node + ".qcow2");
    actions.push_back({{"type", "blockdev-snapshot-sync"},
                       {"data",
                        {{"node-name", ImageNode(id)},
                         {"snapshot-file", slot.overlay.string()},
                         {"snapshot-node-name", slot.overlay_node},
                         {"format", "qcow2"}}}});
  }
  if (!actions.empty()) {
    if (auto done = state.Do("transaction", {{"actions", actions}}); !done) {
      for (auto& [id, slot] : state.disks) {
        slot.overlay_node.clear();
      }
      return tl::unexpected(done.error());
    }
  }
  return frozen;
}

Result<void> Guest::ThawDisks() {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  for (auto& [id, slot] : state.disks) {
    if (slot.overlay_node.empty()) {
      continue;
    }
    const std::string job = slot.overlay_node + "-commit";
    const auto mark = state.vm->qmp().Mark();
    const auto of_job = [&job](const json& data) { return data.value("device", "") == job; };
    if (auto done = state.Do("block-commit", {{"device", slot.overlay_node}, {"job-id", job}}); !done) {
      return tl::unexpected(done.error());
    }
    if (auto ready = state.vm->qmp().WaitEvent(mark, "BLOCK_JOB_READY", of_job, state.deadline); !ready) {
      return tl::unexpected(ready.error());
    }
    if (auto done = state.Do("block-job-complete", {{"device", job}}); !done) {
      return tl::unexpected(done.error());
    }
    auto complete = state.vm->qmp().WaitEvent(mark, "BLOCK_JOB_COMPLETED", of_job, state.deadline);
    if (!complete) {
      return tl::unexpected(complete.error());
    }
    if (complete->contains("error")) {
      return Fail(ErrorKind::kSystem, fmt::format("merging {}: {}", id, complete->value("error", "")));
    }
    std::error_code ignored;
    std::filesystem::remove(slot.overlay, ignored);
    slot.overlay_node.clear();
  }
  return {};
}

Result<void> Guest::State::SetTopNode(const DiskSlot& slot, const std::string& node) {
  auto done = Do("qom-set",
                 {{"path", "/machine/peripheral/" + slot.disk.id}, {"property", "drive"}, {"value", node}});
  return done ? Result<void>() : tl::unexpected(done.error());
}

Result<void> Guest::SetFaults(std::string_view disk_id, const std::vector<DiskFault>& faults) {
  if (auto cleared = ClearFaults(disk_id); !cleared) {
    return cleared;
  }
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto found = state.Find(disk_id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  json rules = json::array();
  for (const auto& fault : faults) {
    for (const auto& [wanted, type] : {std::pair{fault.on_read, "read"}, {fault.on_write, "write"}}) {
      if (!wanted) {
        continue;
      }
      json rule = {{"event", "none"}, {"iotype", type}, {"errno", fault.error_number}, {"once", fault.once}};
      if (fault.sector) {
        rule["sector"] = *fault.sector;
      }
      rules.push_back(rule);
    }
  }
  const std::string below = slot.overlay_node.empty() ? ImageNode(slot.disk.id) : slot.overlay_node;
  const std::string node = fmt::format("{}-faults{}", slot.disk.id, state.next_node++);
  if (auto done =
          state.Do("blockdev-add",
                   {{"driver", "blkdebug"}, {"node-name", node}, {"image", below}, {"inject-error", rules}});
      !done) {
    return tl::unexpected(done.error());
  }
  slot.filters.push_back(node);
  return state.SetTopNode(slot, node);
}

Result<void> Guest::SetThrottle(std::string_view disk_id, const DiskThrottle& throttle) {
  if (auto cleared = ClearFaults(disk_id); !cleared) {
    return cleared;
  }
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto found = state.Find(disk_id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  const std::string node = fmt::format("{}-limit{}", slot.disk.id, state.next_node++);
  const std::string group = node + "-group";
  if (auto done = state.Do("object-add", {{"qom-type", "throttle-group"},
                                          {"id", group},
                                          {"limits",
                                           {{"bps-total", throttle.bytes_per_second},
                                            {"iops-total", throttle.operations_per_second}}}});
      !done) {
    return tl::unexpected(done.error());
  }
  slot.groups.push_back(group);
  const std::string below = slot.overlay_node.empty() ? ImageNode(slot.disk.id) : slot.overlay_node;
  if (auto done =
          state.Do("blockdev-add",
                   {{"driver", "throttle"}, {"node-name", node}, {"throttle-group", group}, {"file", below}});
      !done) {
    return tl::unexpected(done.error());
  }
  slot.filters.push_back(node);
  return state.SetTopNode(slot, node);
}

Result<void> Guest::ClearFaults(std::string_view disk_id) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto found = state.Find(disk_id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  if (slot.filters.empty()) {
    return {};
  }
  const std::string below = slot.overlay_node.empty() ? ImageNode(slot.disk.id) : slot.overlay_node;
  if (auto done = state.SetTopNode(slot, below); !done) {
    return done;
  }
  for (const auto& filter : std::exchange(slot.filters, {})) {
    if (auto done = state.Do("blockdev-del", {{"node-name", filter}}); !done) {
      return tl::unexpected(done.error());
    }
  }
  for (const auto& group : std::exchange(slot.groups, {})) {
    if (auto done = state.Do("object-del", {{"id", group}}); !done) {
      return tl::unexpected(done.error());
    }
  }
  return {};
}

}  // namespace dmrp::harness
