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
const std::string& Below(const DiskSlot& slot) {
  return slot.overlay_node.empty() ? slot.node : slot.overlay_node;
}

}  // namespace

Result<void> Guest::State::SetTopNode(const DiskSlot& slot, const std::string& node) {
  auto done =
      Do("qom-set", {{"path", "/machine/peripheral/" + slot.drive}, {"property", "drive"}, {"value", node}});
  return done ? Result<void>() : tl::unexpected(done.error());
}

Result<void> Guest::State::ClearFilters(DiskSlot& slot) {
  if (slot.filters.empty()) {
    return {};
  }
  if (auto done = SetTopNode(slot, Below(slot)); !done) {
    return done;
  }
  for (const auto& filter : std::exchange(slot.filters, {})) {
    if (auto done = Do("blockdev-del", {{"node-name", filter}}); !done) {
      return tl::unexpected(done.error());
    }
  }
  for (const auto& group : std::exchange(slot.groups, {})) {
    if (auto done = Do("object-del", {{"id", group}}); !done) {
      return tl::unexpected(done.error());
    }
  }
  return {};
}

Result<DiskSlot*> Guest::State::FindCleared(std::string_view id) {
  auto found = Find(id);
  if (!found) {
    return found;
  }
  if ((*found)->node.empty()) {
    return Fail(ErrorKind::kUsage, fmt::format("there is no medium in {}", id));
  }
  if (auto cleared = ClearFilters(**found); !cleared) {
    return tl::unexpected(cleared.error());
  }
  return found;
}

Result<void> Guest::State::PutFilter(DiskSlot& slot, json filter) {
  const std::string node = fmt::format("{}-filter{}", slot.disk.id, next_node++);
  filter["node-name"] = node;
  if (auto done = Do("blockdev-add", filter); !done) {
    return tl::unexpected(done.error());
  }
  slot.filters.push_back(node);
  return SetTopNode(slot, node);
}

Result<void> Guest::SetFaults(std::string_view disk_id, const std::vector<DiskFault>& faults) {
  auto filter = FaultRules(faults);
  if (!filter) {
    return tl::unexpected(filter.error());
  }
  const std::lock_guard lock(state_->mutex);
  auto slot = state_->FindCleared(disk_id);
  if (!slot) {
    return tl::unexpected(slot.error());
  }
  filter->update({{"driver", "blkdebug"}, {"image", Below(**slot)}});
  return state_->PutFilter(**slot, *std::move(filter));
}

Result<void> Guest::SetThrottle(std::string_view disk_id, const DiskThrottle& throttle) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  auto slot = state.FindCleared(disk_id);
  if (!slot) {
    return tl::unexpected(slot.error());
  }
  const std::string group = fmt::format("{}-limits{}", (*slot)->disk.id, state.next_node++);
  if (auto done = state.Do("object-add", {{"qom-type", "throttle-group"},
                                          {"id", group},
                                          {"limits",
                                           {{"bps-total", throttle.bytes_per_second},
                                            {"iops-total", throttle.operations_per_second}}}});
      !done) {
    return tl::unexpected(done.error());
  }
  (*slot)->groups.push_back(group);
  return state.PutFilter(**slot,
                         {{"driver", "throttle"}, {"throttle-group", group}, {"file", Below(**slot)}});
}

Result<void> Guest::ClearFaults(std::string_view disk_id) {
  const std::lock_guard lock(state_->mutex);
  auto slot = state_->Find(disk_id);
  return slot ? state_->ClearFilters(**slot) : tl::unexpected(slot.error());
}

Result<void> Guest::StartWriteLog(std::string_view disk_id, const std::filesystem::path& log) {
  const std::lock_guard lock(state_->mutex);
  auto slot = state_->FindCleared(disk_id);
  if (!slot) {
    return tl::unexpected(slot.error());
  }
  std::error_code trouble;
  const auto absolute = std::filesystem::absolute(log, trouble);
  if (trouble || std::filesystem::exists(absolute, trouble) || !std::ofstream(absolute)) {
    return Fail(ErrorKind::kUsage, fmt::format("{} cannot be made as a new file", log.string()));
  }
  // Written at every step, so that the count in the log is right whenever the machine ends.
  return state_->PutFilter(**slot, {{"driver", "blklogwrites"},
                                    {"file", Below(**slot)},
                                    {"log", {{"driver", "file"}, {"filename", absolute.string()}}},
                                    {"log-sector-size", 512},
                                    {"log-super-update-interval", 1}});
}

}  // namespace dmrp::harness
