// Media that come and go while their drives stay.
#include "harness/guest/guest_state.hpp"

#include <utility>

#include <fmt/format.h>

namespace dmrp::harness {

using nlohmann::json;

namespace {

// QEMU gives removable disks one too: it is open while they are empty.
bool HasTray(const DiskSlot& slot) { return slot.disk.image.spec.media != DiskMedia::kFloppy; }

// Locked and open as QEMU sees the drive.
Result<json> Drive(Guest::State& state, const DiskSlot& slot) {
  auto all = state.Do("query-block", json::object());
  if (!all) {
    return all;
  }
  for (const auto& drive : *all) {
    const std::string device = drive.value("qdev", "");
    if (device == slot.drive || device == "/machine/peripheral/" + slot.drive) {
      return drive;
    }
  }
  return Fail(ErrorKind::kSystem, fmt::format("QEMU does not know the drive {}", slot.drive));
}

}  // namespace

Result<void> Guest::InsertMedium(std::string_view id, const DiskImage& medium) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto found = state.Find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  if (medium.spec.media != slot.disk.image.spec.media || medium.path.empty()) {
    return Fail(ErrorKind::kUsage, fmt::format("\"{}\" is no medium for {}", ToText(medium.spec), id));
  }
  if (!slot.node.empty()) {
    return Fail(ErrorKind::kFault, fmt::format("there is a medium in {}", id));
  }
  auto node = state.AddNode(slot.disk.id, medium);
  if (!node) {
    return tl::unexpected(node.error());
  }
  auto done = HasTray(slot) ? state.Do("blockdev-open-tray", {{"id", slot.drive}, {"force", true}})
                            : Result<json>(json::object());
  if (done) {
    done = state.Do("blockdev-insert-medium", {{"id", slot.drive}, {"node-name", *node}});
  }
  if (!done) {
    (void)state.Do("blockdev-del", {{"node-name", *node}});
    return tl::unexpected(done.error());
  }
  slot.node = *node;
  slot.disk.image.path = medium.path;
  slot.disk.image.spec.medium = true;
  slot.disk.image.spec.size = medium.spec.size;
  slot.disk.image.spec.read_only = medium.spec.read_only;
  slot.disk.image.spec.format = medium.spec.format;
  if (HasTray(slot)) {
    done = state.Do("blockdev-close-tray", {{"id", slot.drive}});
  }
  return done ? Result<void>() : tl::unexpected(done.error());
}

Result<void> Guest::RemoveMedium(std::string_view id, bool force) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto found = state.Find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  DiskSlot& slot = **found;
  if (slot.disk.image.spec.media == DiskMedia::kFixed || !slot.overlay_node.empty() ||
      !slot.filters.empty()) {
    return Fail(ErrorKind::kUsage, fmt::format("{} is fixed, frozen or faulty", id));
  }
  if (slot.node.empty()) {
    return Fail(ErrorKind::kFault, fmt::format("there is no medium in {}", id));
  }
  auto done = state.Do("eject", {{"id", slot.drive}, {"force", force}});
  if (!done) {
    return tl::unexpected(done.error());
  }
  done = state.Do("blockdev-del", {{"node-name", slot.node}});
  if (!done) {
    return tl::unexpected(done.error());
  }
  slot.node.clear();
  slot.disk.image.path.clear();
  slot.disk.image.spec.medium = false;
  return {};
}

Result<void> Guest::ChangeMedium(std::string_view id, const DiskImage& medium) {
  auto removed = RemoveMedium(id, true);
  return removed ? InsertMedium(id, medium) : removed;
}

Result<bool> Guest::TrayOpen(std::string_view id) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto found = state.Find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  auto drive = Drive(state, **found);
  if (!drive) {
    return tl::unexpected(drive.error());
  }
  return drive->value("tray_open", false);
}

Result<void> Guest::WaitTray(std::string_view id, bool open) {
  const auto mark = qmp().Mark();
  auto now = TrayOpen(id);
  if (!now || *now == open) {
    return now ? Result<void>() : tl::unexpected(now.error());
  }
  auto moved = qmp().WaitEvent(
      mark, "DEVICE_TRAY_MOVED",
      [&](const json& data) { return data.value("id", "") == id && data.value("tray-open", !open) == open; },
      state_->deadline);
  return moved ? Result<void>() : tl::unexpected(moved.error());
}

}  // namespace dmrp::harness
