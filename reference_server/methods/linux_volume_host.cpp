#include "reference_server/methods/linux_volume_host.hpp"

#include "reference_server/platform/linux_device.hpp"

#include <atomic>
#include <chrono>
#include <fstream>
#include <sstream>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// How long one wait for an event lasts; the next begins at once.
constexpr auto kWatchRound = std::chrono::minutes(10);

void WatchMembers(const std::stop_token& stop, const VolumeDevices& devices, VolumeStatus seen,
                  const std::function<void()>& changed) {
  while (!stop.stop_requested()) {
    auto now = devices.WaitChange(seen, kWatchRound, stop);
    if (!now || stop.stop_requested()) {
      return;
    }
    if (now->device.event != seen.device.event) {
      changed();
    }
    seen = std::move(*now);
  }
}

}  // namespace

LinuxVolumeHost::~LinuxVolumeHost() {
  for (auto& [name, watch] : watches_) {
    watch.thread.request_stop();
  }
}

Result<const VolumeDevices*> LinuxVolumeHost::Devices() {
  if (!devices_) {
    auto mapper = DeviceMapper::Open();
    if (!mapper) {
      return tl::unexpected(mapper.error());
    }
    mapper_ = *mapper;
    devices_.emplace(std::move(*mapper));
  }
  return &*devices_;
}

Result<void> LinuxVolumeHost::Activate(const VolumeMap& map) {
  const auto devices = Devices();
  if (!devices) {
    return tl::unexpected(devices.error());
  }
  if (auto active = (*devices)->Activate(map); !active) {
    return tl::unexpected(active.error());
  }
  if (MemberCount(map) != 0) {
    StartWatch(map.name);
  }
  return {};
}

Result<void> LinuxVolumeHost::Deactivate(const std::string& name, bool force) {
  const auto devices = Devices();
  if (!devices) {
    return tl::unexpected(devices.error());
  }
  auto gone = (*devices)->Deactivate(name);
  if (!gone && force) {
    const auto status = (*devices)->Status(name);
    if (status) {
      const MappedTable broken = {
          {.start = 0, .length = status->length / kMapperSector, .type = "error", .arguments = {}}};
      const auto replaced = mapper_->Replace(name, broken, false, {});
      gone = replaced ? Result<void>() : tl::unexpected(replaced.error());
    }
  }
  if (gone) {
    if (const auto watch = watches_.find(name); watch != watches_.end()) {
      watch->second.thread.request_stop();
      ending_.push_back(std::move(watch->second));
      watches_.erase(watch);
    }
    SweepWatches();
  }
  return gone;
}

std::vector<std::string> LinuxVolumeHost::Active() {
  const auto devices = Devices();
  return devices ? (*devices)->List().value_or(std::vector<std::string>()) : std::vector<std::string>();
}

Result<VolumeStatus> LinuxVolumeHost::Status(const std::string& name) {
  const auto devices = Devices();
  if (!devices) {
    return tl::unexpected(devices.error());
  }
  return (*devices)->Status(name);
}

Result<void> LinuxVolumeHost::Resynchronise(const std::string& name) {
  const auto devices = Devices();
  if (!devices) {
    return tl::unexpected(devices.error());
  }
  return (*devices)->Resynchronise(name);
}

Result<std::string> LinuxVolumeHost::KernelName(const std::string& name) {
  const auto status = Status(name);
  if (!status) {
    return tl::unexpected(status.error());
  }
  return status->device.Node().filename().string();
}

VolumeHost::Opener LinuxVolumeHost::OpenerOf(const std::string& name, const DiskGeometry& geometry) {
  const auto status = Status(name);
  if (!status) {
    return [error = status.error()](bool) -> Result<std::unique_ptr<BlockDevice>> {
      return tl::unexpected(error);
    };
  }
  DiskGeometry own = geometry;
  own.sizeBytes = status->length;
  return [node = status->device.Node(), own](bool writable) {
    return OpenLinuxDevice(node, {.writable = writable, .geometry = own});
  };
}

PartitionUse LinuxVolumeHost::Mounts(const std::string& name) {
  PartitionUse use;
  const auto status = Status(name);
  if (!status) {
    return use;
  }
  // Field 3 of mountinfo is the number of the device, 5 the mount point.
  std::ifstream mounts(roots_.proc / "self" / "mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id;
    std::string parent;
    std::string number;
    std::string root;
    std::string point;
    words >> id >> parent >> number >> root >> point;
    if (number == status->device.Number()) {
      use.mountPoints.push_back(point);
    }
  }
  const std::string node = status->device.Node().string();
  std::ifstream swaps(roots_.proc / "swaps");
  std::string source;
  std::string rest;
  while (swaps >> source && std::getline(swaps, rest)) {
    use.swap = use.swap || source == node;
  }
  return use;
}

Result<PartitionUse> LinuxVolumeHost::Use(const std::string& name) {
  const auto kernel_name = KernelName(name);
  if (!kernel_name) {
    return PartitionUse{};  // not online, so nobody can have it open
  }
  return FindUse(*kernel_name, roots_);
}

Result<PartitionUse> LinuxVolumeHost::ReleaseByForce(const std::string& name) {
  const auto kernel_name = KernelName(name);
  if (!kernel_name) {
    return PartitionUse{};
  }
  return server::ReleaseByForce(*kernel_name, roots_);
}

std::filesystem::path LinuxVolumeHost::Node(const std::string& name) {
  const auto kernel_name = KernelName(name);
  return kernel_name ? roots_.dev / *kernel_name : std::filesystem::path();
}

void LinuxVolumeHost::OnChange(std::function<void()> changed) {
  changed_ = std::move(changed);
  if (!changed_) {
    for (auto& [name, watch] : watches_) {
      watch.thread.request_stop();
    }
    watches_.clear();
    ending_.clear();
  }
}

// The thread of a watch must not be joined by an operation: it may be waiting for that very operation to end.
// What it has seen is taken here, so that nothing that happens before it runs is missed.
void LinuxVolumeHost::StartWatch(const std::string& name) {
  SweepWatches();
  if (!changed_) {
    return;
  }
  if (const auto known = watches_.find(name); known != watches_.end()) {
    if (!*known->second.ended) {
      return;
    }
    watches_.erase(known);
  }
  auto seen = devices_->Status(name);
  if (!seen) {
    return;
  }
  auto ended = std::make_shared<std::atomic<bool>>(false);
  std::jthread thread(
      [devices = *devices_, seen = std::move(*seen), changed = changed_, ended](const std::stop_token& stop) {
        WatchMembers(stop, devices, seen, changed);
        *ended = true;
      });
  watches_.emplace(name, Watch{std::move(thread), std::move(ended)});
}

void LinuxVolumeHost::SweepWatches() {
  std::erase_if(ending_, [](const Watch& watch) { return watch.ended->load(); });
}

}  // namespace dmrp::server
