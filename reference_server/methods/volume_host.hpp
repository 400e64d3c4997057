// The data path of volumes over several regions: dynamic and FT volumes.
#pragma once

#include "reference_server/platform/block_device.hpp"
#include "reference_server/platform/partition_use.hpp"
#include "reference_server/storage/volume_device.hpp"
#include "reference_server/storage/volume_map.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace dmrp::server {

/// Keeps volumes online. A volume is known by VolumeMap::name. Not thread-safe but for what says otherwise:
/// used by one operation at a time.
class VolumeHost {
 public:
  /// Opens a volume whose device is online. May be called from any thread.
  using Opener = std::function<Result<std::unique_ptr<BlockDevice>>(bool writable)>;

  virtual ~VolumeHost() = default;

  /// As VolumeDevices::Activate.
  virtual Result<void> Activate(const VolumeMap& map) = 0;
  /// As VolumeDevices::Deactivate; with `force` the users of a volume that stays in use are left with a
  /// device that fails every request.
  virtual Result<void> Deactivate(const std::string& name, bool force) = 0;
  /// The names of all volumes that are online.
  virtual std::vector<std::string> Active() = 0;
  /// As VolumeDevices::Status.
  virtual Result<VolumeStatus> Status(const std::string& name) = 0;
  /// As VolumeDevices::Resynchronise.
  virtual Result<void> Resynchronise(const std::string& name) = 0;

  /// `geometry`: that of a disk it lies on, of which sector and track sizes count.
  virtual Opener OpenerOf(const std::string& name, const DiskGeometry& geometry) = 0;
  /// As DiskSource::Mounts, Use, ReleaseByForce and VolumeNode.
  virtual PartitionUse Mounts(const std::string& name) = 0;
  virtual Result<PartitionUse> Use(const std::string& name) = 0;
  virtual Result<PartitionUse> ReleaseByForce(const std::string& name) = 0;
  virtual std::filesystem::path Node(const std::string& name) = 0;

  /// `changed` is called, from any thread and without the operation lock, when a member of a volume failed or
  /// a synchronisation ended. Null: nobody is called any more once this returns; not under an operation.
  virtual void OnChange(std::function<void()> changed) = 0;
};

}  // namespace dmrp::server
