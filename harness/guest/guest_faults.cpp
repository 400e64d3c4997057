// Disks that fail, limp, and are recorded: filters between a drive and its image, put in and taken out at run
// time.
#include "harness/guest/guest_state.hpp"

#include <fstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace dmrp::harness {

using nlohmann::json;

namespace {

constexpr std::uint32_t kMostFaultySectors = 1024;
constexpr std::uint32_t kMostAwaited = 10'000;

// blkdebug counts writes by its state: each one moves it one step on until the state in which they fail.
Result<json> FaultRules(const std::vector<DiskFault>& faults) {
  json errors = json::array();
  json steps = json::array();
  for (const auto& fault : faults) {
    if (fault.sectors == 0 || fault.sectors > kMostFaultySectors || fault.after > kMostAwaited) {
      return Fail(ErrorKind::kLimit, fmt::format("a fault covers 1 to {} sectors, after at most {} requests",
                                                 kMostFaultySectors, kMostAwaited));
    }
    if (fault.after > 0 && (fault.on_read || faults.size() != 1)) {
      return Fail(ErrorKind::kUsage, "a fault that comes later counts writes, and is the only one");
    }
    for (const auto& [wanted, type] : {std::pair{fault.on_read, "read"}, {fault.on_write, "write"}}) {
      if (!wanted) {
        continue;
      }
      json rule = {{"event", "none"}, {"iotype", type}, {"errno", fault.error_number}, {"once", fault.once}};
      for (std::uint32_t step = 1; step <= fault.after; ++step) {
        steps.push_back({{"event", "pwritev"}, {"state", step}, {"new_state", step + 1}});
      }
      if (fault.after > 0) {
        rule["event"] = "pwritev";
        rule["state"] = fault.after + 1;
      }
      for (std::uint32_t i = 0; i < fault.sectors; ++i) {
        if (fault.sector) {
          rule["sector"] = *fault.sector + i;
        }
        errors.push_back(rule);
        if (!fault.sector) {
          break;
        }
      }
    }
  }
  json rules = {{"inject-error", errors}};
  if (!steps.empty()) {
    rules["set-state"] = steps;
  }
  return rules;
}

// The node on which a filter is put.
Result<std::string> Below(const DiskSlot& slot) {
  if (slot.node.empty()) {
    return Fail(ErrorKind::kUsage, fmt::format("there is no medium in {}", slot.disk.id));
  }
  return slot.overlay_node.empty() ? slot.node : slot.overlay_node;
}

}  // namespace

Result<void> Guest::State::SetTopNode(const DiskSlot& slot, const std::string& node) {
  auto done =
      Do("qom-set", {{"path", "/machine/peripheral/" + slot.drive}, {"property", "drive"}, {"value", node}});
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
  auto rules = FaultRules(faults);
  if (!rules) {
    return tl::unexpected(rules.error());
  }
  auto below = Below(slot);
  if (!below) {
    return tl::unexpected(below.error());
  }
  const std::string node = fmt::format("{}-faults{}", slot.disk.id, state.next_node++);
  json filter = {{"driver", "blkdebug"}, {"node-name", node}, {"image", *below}};
  filter.update(*rules);
  if (auto done = state.Do("blockdev-add", filter); !done) {
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
  auto below = Below(slot);
  if (!below) {
    return tl::unexpected(below.error());
  }
  if (auto done = state.Do(
          "blockdev-add",
          {{"driver", "throttle"}, {"node-name", node}, {"throttle-group", group}, {"file", *below}});
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
  auto below = Below(slot);
  if (!below) {
    return tl::unexpected(below.error());
  }
  if (auto done = state.SetTopNode(slot, *below); !done) {
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

Result<void> Guest::StartWriteLog(std::string_view disk_id, const std::filesystem::path& log) {
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
  auto below = Below(slot);
  if (!below) {
    return tl::unexpected(below.error());
  }
  std::error_code trouble;
  const auto absolute = std::filesystem::absolute(log, trouble);
  if (trouble || std::filesystem::exists(absolute, trouble) || !std::ofstream(absolute)) {
    return Fail(ErrorKind::kUsage, fmt::format("{} cannot be made as a new file", log.string()));
  }
  const std::string node = fmt::format("{}-log{}", slot.disk.id, state.next_node++);
  // Written at every step, so that the count in the log is right whenever the machine ends.
  if (auto done = state.Do("blockdev-add", {{"driver", "blklogwrites"},
                                            {"node-name", node},
                                            {"file", *below},
                                            {"log", {{"driver", "file"}, {"filename", absolute.string()}}},
                                            {"log-sector-size", 512},
                                            {"log-super-update-interval", 1}});
      !done) {
    return tl::unexpected(done.error());
  }
  slot.filters.push_back(node);
  return state.SetTopNode(slot, node);
}

}  // namespace dmrp::harness
