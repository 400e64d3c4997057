#pragma once

#include "reference_server/methods/disk_source.hpp"
#include "reference_server/methods/image_volume_host.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// One image file and the disk that it plays.
struct ImageSpec {
  std::filesystem::path path;
  DiskGeometry geometry;  ///< sizeBytes 0: the size of the file, looked at anew at each scan
  BusKind bus = BusKind::kScsi;
  DeviceKind kind = DeviceKind::kDisk;
  bool read_only = false;
  std::string model = "Image";
  std::string serial;

  /// Parses "FILE[,sector=N][,heads=N][,sectors=N][,bus=NAME][,model=TEXT][,serial=TEXT][,removable]
  /// [,readonly]"; bus is one of ide, ahci, scsi, sas, usb, virtio, nvme. kMalformed names the part.
  static Result<ImageSpec> Parse(std::string_view text);
};

/// Serves image files as disks, so that the server runs on any machine without privileges. A file that is
/// missing is a disk that is not attached: making or deleting the file is plugging it in or out.
class ImageDiskSource final : public DiskSource {
 public:
  explicit ImageDiskSource(std::vector<ImageSpec> images);

  std::vector<DeviceInfo> Scan() override;
  Result<std::unique_ptr<BlockDevice>> Open(const DeviceInfo& device, bool writable) override;
  /// Nothing to do: no kernel looks at an image.
  Result<void> PublishLayout(const DeviceInfo& device, const DiskLayout& layout) override;
  /// Nobody uses the partitions of an image.
  PartitionUse Mounts(const DeviceInfo& device, std::uint64_t start) override;
  Result<PartitionUse> Use(const DeviceInfo& device, std::uint64_t start) override;
  std::filesystem::path VolumeNode(const DeviceInfo& device, std::uint64_t start) override;
  Result<PartitionUse> ReleaseByForce(const DeviceInfo& device, std::uint64_t start) override;
  VolumeHost& Volumes() override { return volumes_; }
  /// Takes the file out of a removable disk's drive; one that takes its place under the same name is a medium
  /// put in.
  Result<void> Eject(const DeviceInfo& device) override;
  Result<void> RescanBuses() override;

 private:
  std::vector<ImageSpec> images_;
  ImageVolumeHost volumes_;
  std::map<std::string, std::uint64_t> ejected_;  ///< file names, with the inode of the file taken out
};

}  // namespace dmrp::server
