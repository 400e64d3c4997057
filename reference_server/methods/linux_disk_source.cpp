#include "reference_server/methods/linux_disk_source.hpp"

#include "reference_server/platform/linux_device.hpp"

namespace dmrp::server {

std::vector<DeviceInfo> LinuxDiskSource::Scan() { return scanner_.Scan(); }

Result<std::unique_ptr<BlockDevice>> LinuxDiskSource::Open(const DeviceInfo& device, bool writable) {
  return OpenLinuxDevice(device.node, {.writable = writable, .geometry = device.geometry});
}

Result<void> LinuxDiskSource::PublishLayout(const DeviceInfo& device, const DiskLayout& layout) {
  std::vector<KernelPartition> wanted;
  for (const Region& region : layout.regions) {
    if (region.kernelNumber != 0) {
      wanted.push_back({region.kernelNumber, region.start, region.length});
    }
  }
  return SyncKernelPartitions(device.node, device.name, wanted, roots_.sys);
}

Result<PartitionUse> LinuxDiskSource::Use(const DeviceInfo& device, std::uint64_t start) {
  const auto name = PartitionNameAt(device.name, start, roots_);
  if (!name) {
    return PartitionUse{};  // the kernel has no device for it, so nobody can have it open
  }
  return FindUse(*name, roots_);
}

Result<PartitionUse> LinuxDiskSource::ReleaseByForce(const DeviceInfo& device, std::uint64_t start) {
  const auto name = PartitionNameAt(device.name, start, roots_);
  if (!name) {
    return PartitionUse{};
  }
  return server::ReleaseByForce(*name, roots_);
}

Result<void> LinuxDiskSource::RescanBuses() { return server::RescanBuses(roots_); }

}  // namespace dmrp::server
