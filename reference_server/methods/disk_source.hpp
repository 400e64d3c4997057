// Where the server's disks come from: the machine's block devices, or image files.
#pragma once

#include "reference_server/methods/volume_host.hpp"
#include "reference_server/platform/block_device.hpp"
#include "reference_server/platform/device_scanner.hpp"
#include "reference_server/platform/partition_use.hpp"
#include "reference_server/storage/disk_layout.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

namespace dmrp::server {

/// The disks of one machine. Not thread-safe: used by one operation at a time.
class DiskSource {
 public:
  virtual ~DiskSource() = default;

  /// All disks that are attached now, in the order in which they are to be numbered.
  virtual std::vector<DeviceInfo> Scan() = 0;
  /// Opens a disk for the duration of one piece of work.
  virtual Result<std::unique_ptr<BlockDevice>> Open(const DeviceInfo& device, bool writable) = 0;

  /// Tells the operating system which partitions a disk has, after its table was written.
  virtual Result<void> PublishLayout(const DeviceInfo& device, const DiskLayout& layout) = 0;
  /// Where the partition that starts at `start` octets is mounted and whether it holds swap space, and no
  /// more: asked often, so it must not get into the way of somebody who is about to use the partition.
  virtual PartitionUse Mounts(const DeviceInfo& device, std::uint64_t start) = 0;
  /// Who uses that partition in any way.
  virtual Result<PartitionUse> Use(const DeviceInfo& device, std::uint64_t start) = 0;
  /// The system's node of exactly that volume ("/dev/sda1"); empty where there is none.
  virtual std::filesystem::path VolumeNode(const DeviceInfo& device, std::uint64_t start) = 0;
  /// Takes that partition from its users; what remains in use is returned.
  virtual Result<PartitionUse> ReleaseByForce(const DeviceInfo& device, std::uint64_t start) = 0;

  /// The volumes over several regions of these disks. Lives as long as the source.
  virtual VolumeHost& Volumes() = 0;

  /// Puts the medium of a drive out; returns when it is. kUnsupported when the drive does not open by
  /// command, kUnavailable when the drive is gone, other kinds when the drive or the system refused.
  virtual Result<void> Eject(const DeviceInfo& device) = 0;

  /// Asks the system to look for devices that came or went ([MS-DMRP] 3.2.4.4.1.57 step 1).
  virtual Result<void> RescanBuses() = 0;
};

}  // namespace dmrp::server
