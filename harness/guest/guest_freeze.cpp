// Disks that stand still for a reader while the guest goes on writing.
#include "harness/guest/guest_state.hpp"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

namespace dmrp::harness {

using nlohmann::json;

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
    if (slot.node.empty()) {
      continue;
    }
    frozen.push_back(
        {.id = id, .path = image.path, .format = image.spec.format, .serial = image.spec.serial});
    if (image.spec.read_only || image.spec.media == DiskMedia::kCdrom) {
      continue;  // stands still anyway
    }
    slot.overlay_node = fmt::format("{}-overlay{}", id, state.next_node++);
    slot.overlay = state.directory / (slot.overlay_node + ".qcow2");
    actions.push_back({{"type", "blockdev-snapshot-sync"},
                       {"data",
                        {{"node-name", slot.node},
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
    // The job starts at the root, which a filter may be.
    const std::string root = slot.filters.empty() ? slot.overlay_node : slot.filters.back();
    if (auto done = state.Do(
            "block-commit",
            {{"device", root}, {"top-node", slot.overlay_node}, {"base-node", slot.node}, {"job-id", job}});
        !done) {
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

}  // namespace dmrp::harness
