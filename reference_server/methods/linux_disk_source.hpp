#pragma once

#include "reference_server/methods/disk_source.hpp"
#include "reference_server/methods/linux_volume_host.hpp"

namespace dmrp::server {

/// The block devices of the machine that the server runs on. Needs root.
class LinuxDiskSource final : public DiskSource {
 public:
  explicit LinuxDiskSource(SystemRoots roots = {})
      : roots_(roots), scanner_(std::move(roots)), volumes_(roots_) {}

  std::vector<DeviceInfo> Scan() override;
  Result<std::unique_ptr<BlockDevice>> Open(const DeviceInfo& device, bool writable) override;
  Result<void> PublishLayout(const DeviceInfo& device, const DiskLayout& layout) override;
  PartitionUse Mounts(const DeviceInfo& device, std::uint64_t start) override;
  Result<PartitionUse> Use(const DeviceInfo& device, std::uint64_t start) override;
  std::filesystem::path VolumeNode(const DeviceInfo& device, std::uint64_t start) override;
  Result<PartitionUse> ReleaseByForce(const DeviceInfo& device, std::uint64_t start) override;
  VolumeHost& Volumes() override { return volumes_; }
  Result<void> Eject(const DeviceInfo& device) override;
  Result<void> RescanBuses() override;

 private:
  SystemRoots roots_;
  DeviceScanner scanner_;
  LinuxVolumeHost volumes_;
};

}  // namespace dmrp::server
