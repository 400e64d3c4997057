#include "reference_server/methods/disk_inventory.hpp"

#include "reference_server/methods/describe.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

bool IsOptical(const DeviceInfo& device) {
  return device.kind == DeviceKind::kCdrom || device.kind == DeviceKind::kDvd;
}

// What stays the same while a device is attached. A hard disk that was pulled out and replaced between two
// scans shows in the kernel's sequence number; that of a drive with removable media counts media instead.
std::string KeyOf(const DeviceInfo& device) {
  return device.kind == DeviceKind::kDisk ? fmt::format("{}#{}", device.name, device.diskSequence)
                                          : device.name;
}

}  // namespace

DiskInventory::DiskInventory(DiskSource& source, std::function<void(const std::string&)> log)
    : source_(source), log_(std::move(log)) {}

void DiskInventory::Rescan() {
  std::map<std::string, Known> before = std::exchange(known_, {});
  order_.clear();
  std::vector<DeviceInfo> fresh;
  for (DeviceInfo& device : source_.Scan()) {
    const std::string key = KeyOf(device);
    order_.push_back(key);
    if (const auto found = before.find(key); found != before.end()) {
      known_.emplace(key, Known{std::move(device), found->second.number});
    } else {
      fresh.push_back(std::move(device));
    }
  }
  for (DeviceInfo& device : fresh) {
    std::uint32_t number = 0;
    const auto taken = [&] {
      return std::ranges::any_of(known_, [&](const auto& entry) {
        return IsOptical(entry.second.device) == IsOptical(device) && entry.second.number == number;
      });
    };
    while (taken()) {
      ++number;
    }
    const std::string key = KeyOf(device);
    known_.emplace(key, Known{std::move(device), number});
  }
}

std::vector<ObservedDisk> DiskInventory::ObserveAll() {
  Rescan();
  std::vector<ObservedDisk> disks;
  for (const std::string& key : order_) {
    disks.push_back(Describe(key, known_.at(key)));
  }
  return disks;
}

Result<ObservedDisk> DiskInventory::Observe(const std::string& key) {
  Rescan();
  const auto found = known_.find(key);
  if (found == known_.end()) {
    return Fail(ErrorKind::kUnavailable, fmt::format("disk {} is not attached", key));
  }
  return Describe(key, found->second);
}

const DeviceInfo* DiskInventory::Device(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : &found->second.device;
}

ObservedDisk DiskInventory::Describe(const std::string& key, const Known& known) {
  const DeviceInfo& device = known.device;
  ObservedDisk observed;
  observed.key = key;
  observed.info = DescribeDisk(device, known.number, nullptr);
  if (!device.mediaPresent) {
    return observed;
  }
  const auto opened = source_.Open(device, false);
  if (!opened) {
    Log(fmt::format("cannot open {}: {}", device.name, opened.error().ToString()));
    return observed;
  }
  const auto layout = ReadLayout(**opened);
  if (!layout) {
    Log(fmt::format("cannot read the table of {}: {}", device.name, layout.error().ToString()));
    return observed;
  }
  observed.info = DescribeDisk(device, known.number, &*layout);
  for (const Region& region : layout->regions) {
    if (!IsShown(device, region)) {
      continue;
    }
    PartitionUse use;
    if (HoldsData(region.kind)) {
      use = source_.Mounts(device, region.start);
    }
    ObservedRegion seen{DescribeRegion(device, *layout, region, use), std::nullopt};
    if (CanHoldFileSystem(region)) {
      const auto system = DescribeFileSystem(**opened, region.start, region.length);
      seen.file_system = DescribeFileSystemObject(system.value_or(FileSystemDescription{}));
    }
    observed.regions.push_back(std::move(seen));
  }
  return observed;
}

void DiskInventory::Log(const std::string& text) const {
  if (log_) {
    log_(text);
  }
}

}  // namespace dmrp::server
