#pragma once

#include "reference_server/methods/volume_host.hpp"
#include "reference_server/platform/device_scanner.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace dmrp::server {

/// Volumes as devices of the kernel's device-mapper. Needs root; on a machine without device-mapper every
/// volume is refused with kUnavailable. Devices stay online when the server ends, as they may be in use.
class LinuxVolumeHost final : public VolumeHost {
 public:
  explicit LinuxVolumeHost(SystemRoots roots = {}) : roots_(std::move(roots)) {}
  /// Waits for callbacks that are running.
  ~LinuxVolumeHost() override;
  LinuxVolumeHost(const LinuxVolumeHost&) = delete;
  LinuxVolumeHost& operator=(const LinuxVolumeHost&) = delete;

  Result<void> Activate(const VolumeMap& map) override;
  Result<void> Deactivate(const std::string& name, bool force) override;
  std::vector<std::string> Active() override;
  Result<VolumeStatus> Status(const std::string& name) override;
  Result<void> Resynchronise(const std::string& name) override;
  Opener OpenerOf(const std::string& name, const DiskGeometry& geometry) override;
  PartitionUse Mounts(const std::string& name) override;
  Result<PartitionUse> Use(const std::string& name) override;
  Result<PartitionUse> ReleaseByForce(const std::string& name) override;
  std::filesystem::path Node(const std::string& name) override;
  void OnChange(std::function<void()> changed) override;

 private:
  // A thread that waits for what happens to the members of one volume.
  struct Watch {
    std::jthread thread;
    std::shared_ptr<std::atomic<bool>> ended;
  };

  Result<const VolumeDevices*> Devices();
  // "dm-3"; kSystem with ENXIO when the volume is not online.
  Result<std::string> KernelName(const std::string& name);
  void StartWatch(const std::string& name);
  void SweepWatches();

  SystemRoots roots_;
  std::optional<DeviceMapper> mapper_;
  std::optional<VolumeDevices> devices_;
  std::function<void()> changed_;
  std::map<std::string, Watch> watches_;
  std::vector<Watch> ending_;  ///< told to stop; joined when they have
};

}  // namespace dmrp::server
