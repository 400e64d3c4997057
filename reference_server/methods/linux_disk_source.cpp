#include "reference_server/methods/linux_disk_source.hpp"

#include "reference_server/platform/linux_device.hpp"
#include "reference_server/platform/media.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

namespace dmrp::server {
namespace {

constexpr auto kProbeDeadline = std::chrono::seconds(3);
constexpr auto kProbePoll = std::chrono::milliseconds(20);

// SCSI peripheral device types that get a block device: disk, CD or DVD, optical memory, simplified disk.
constexpr std::array<std::string_view, 4> kBlockTypes = {"0", "5", "7", "14"};

// True when every SCSI device of a disk's type has its block device.
bool DisksAreProbed(const std::filesystem::path& sys) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(sys / "bus" / "scsi" / "devices", error)) {
    std::ifstream file(entry.path() / "type");
    std::string type;
    file >> type;
    const bool wants_block = std::ranges::find(kBlockTypes, type) != kBlockTypes.end();
    if (wants_block && !std::filesystem::exists(entry.path() / "block", error)) {
      return false;
    }
  }
  return true;
}

// The kernel's partition for an extended one is as short as its first sectors, so that no logical drive
// overlaps it.
std::uint64_t KernelLength(const Region& region, const DiskGeometry& geometry) {
  constexpr std::uint64_t kExtendedLength = 1024;
  return region.kind == RegionKind::kExtended
             ? std::min(region.length, std::max<std::uint64_t>(kExtendedLength, geometry.bytesPerSector))
             : region.length;
}

}  // namespace

std::vector<DeviceInfo> LinuxDiskSource::Scan() { return scanner_.Scan(); }

Result<std::unique_ptr<BlockDevice>> LinuxDiskSource::Open(const DeviceInfo& device, bool writable) {
  return OpenLinuxDevice(device.node, {.writable = writable, .geometry = device.geometry});
}

Result<void> LinuxDiskSource::PublishLayout(const DeviceInfo& device, const DiskLayout& layout) {
  std::vector<KernelPartition> wanted;
  for (const Region& region : layout.regions) {
    if (region.kernelNumber != 0) {
      wanted.push_back({region.kernelNumber, region.start, KernelLength(region, device.geometry)});
    }
  }
  return SyncKernelPartitions(device.node, device.name, wanted, roots_.sys);
}

PartitionUse LinuxDiskSource::Mounts(const DeviceInfo& device, std::uint64_t start) {
  PartitionUse use;
  const auto name = PartitionNameAt(device.name, start, roots_);
  if (!name) {
    return use;
  }
  const std::string node = "/dev/" + *name;
  std::string source;
  std::string place;
  std::string rest;
  std::ifstream mounts(roots_.proc / "self" / "mounts");
  while (mounts >> source >> place && std::getline(mounts, rest)) {
    if (source == node) {
      use.mountPoints.push_back(place);
    }
  }
  std::ifstream swaps(roots_.proc / "swaps");
  while (swaps >> source && std::getline(swaps, rest)) {
    use.swap = use.swap || source == node;
  }
  return use;
}

Result<PartitionUse> LinuxDiskSource::Use(const DeviceInfo& device, std::uint64_t start) {
  const auto name = PartitionNameAt(device.name, start, roots_);
  if (!name) {
    return PartitionUse{};  // the kernel has no device for it, so nobody can have it open
  }
  return FindUse(*name, roots_);
}

std::filesystem::path LinuxDiskSource::VolumeNode(const DeviceInfo& device, std::uint64_t start) {
  const auto name = PartitionNameAt(device.name, start, roots_);
  return name ? roots_.dev / *name : std::filesystem::path();
}

Result<PartitionUse> LinuxDiskSource::ReleaseByForce(const DeviceInfo& device, std::uint64_t start) {
  const auto name = PartitionNameAt(device.name, start, roots_);
  if (!name) {
    return PartitionUse{};
  }
  return server::ReleaseByForce(*name, roots_);
}

Result<void> LinuxDiskSource::Eject(const DeviceInfo& device) { return EjectMedium(device); }

// The kernel probes the disks that a scan found in the background; the scan counts as done when it has.
Result<void> LinuxDiskSource::RescanBuses() {
  const auto scanned = server::RescanBuses(roots_);
  const auto deadline = std::chrono::steady_clock::now() + kProbeDeadline;
  while (scanned && !DisksAreProbed(roots_.sys) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kProbePoll);
  }
  return scanned;
}

}  // namespace dmrp::server
