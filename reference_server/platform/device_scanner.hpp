// Which disks there are, read from sysfs and a few ioctls.
#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/platform/geometry.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::server {

/// What a disk hangs on. BUSTYPE_* ([MS-DMRP] 2.3.1.2) has no name for most of them; the methods layer
/// maps: kIde and kAhci are IDE, kSas, kVirtio and kNvme are best shown as SCSI.
enum class BusKind : std::uint8_t {
  kUnknown,
  kIde,
  kAhci,
  kScsi,
  kSas,
  kFibre,
  kIscsi,
  kUsb,
  kFirewire,
  kVirtio,
  kNvme,
  kFloppy,
  kMmc,
  kLoop,
};
std::string_view BusKindName(BusKind bus);

enum class DeviceKind : std::uint8_t { kDisk, kRemovableDisk, kFloppy, kCdrom, kDvd };

/// SCSI address; for an ATA channel port = channel, target 0 or 1. [MS-DMRP] portNumber, targetNumber,
/// lunNumber.
struct ScsiAddress {
  std::int32_t port = 0;
  std::int32_t bus = 0;
  std::int32_t target = 0;
  std::int32_t lun = 0;
  friend bool operator==(const ScsiAddress&, const ScsiAddress&) = default;
};

/// One disk device, with or without a medium.
struct DeviceInfo {
  std::string name;            ///< kernel name: "sda", "nvme0n1"
  std::filesystem::path node;  ///< "/dev/sda"
  DeviceKind kind = DeviceKind::kDisk;
  BusKind bus = BusKind::kUnknown;
  bool mediaPresent = true;
  bool readOnly = false;
  bool removable = false;
  bool audioCd = false;  ///< the medium is an audio CD
  /// Heads and sectors as the kernel told them when this device (or medium, or size) was first seen by
  /// the scanner. The kernel derives them from the partition table on SCSI and USB disks, so asking again
  /// after a change of the table may give others; DISK_INFO must not jump like that.
  DiskGeometry geometry;
  std::uint32_t physicalSectorSize = 512;
  std::uint64_t diskSequence = 0;  ///< rises with each new device or medium under a name; 0 when unknown

  std::string vendor;  ///< "QEMU"; "" when the bus tells none
  std::string model;   ///< "QEMU HARDDISK"
  std::string serial;
  std::string revision;
  /// DISK_INFO.vendor: vendor and model in one text, as Windows' friendly name ("QEMU HARDDISK").
  std::string friendlyName;

  std::optional<ScsiAddress> address;
  std::string adapterDriver;  ///< kernel driver of the controller: "virtio_scsi", "ahci"
  std::string adapterPciId;   ///< "1af4:1048", "" off PCI
  std::string adapterName;    ///< DISK_INFO.adapterName: driver and PCI id in words
  std::string sysfsPath;      ///< real path of the device in sysfs, below the sysfs root
  /// Windows-like device instance id, `SCSI\DISK&VEN_QEMU&PROD_QEMU_HARDDISK\5&1A2B3C4D&0&000300`; the
  /// number is a hash of sysfsPath's controller, so that it stays over restarts.
  std::string instanceId;

  /// DISK_INFO_EX.devInstId: instanceId in lower case with # for \, between \\?\ and the GUID of the
  /// interface class (disk or CD-ROM).
  [[nodiscard]] std::string InterfacePath() const;

  friend bool operator==(const DeviceInfo&, const DeviceInfo&) = default;
};

/// Where the kernel's file systems are; tests put trees of their own.
struct SystemRoots {
  std::filesystem::path sys = "/sys";
  std::filesystem::path dev = "/dev";
  std::filesystem::path proc = "/proc";
};

/// Lists the disks of the machine: /sys/block without loop, ram, zram, device-mapper and md devices and
/// without the partitions. Keeps one memory: the geometry of each device.
class DeviceScanner {
 public:
  explicit DeviceScanner(SystemRoots roots = {}, bool with_loop_devices = false)
      : roots_(std::move(roots)), with_loop_devices_(with_loop_devices) {}

  /// All disks, ordered as Windows would number them: by SCSI port, bus, target and LUN where they have
  /// them, then by name. Opens each device for a moment to learn of media and geometry. A device that
  /// vanishes meanwhile is left out.
  std::vector<DeviceInfo> Scan();
  /// One disk by its kernel name; kUnavailable when it is not there.
  Result<DeviceInfo> Inspect(const std::string& name);

  [[nodiscard]] const SystemRoots& Roots() const { return roots_; }

 private:
  struct SeenGeometry {
    std::uint64_t sequence = 0;
    DiskGeometry geometry;
  };
  SystemRoots roots_;
  bool with_loop_devices_ = false;
  std::map<std::string, SeenGeometry> geometries_;
};

/// Asks every SCSI host to look for new devices ("- - -" into scan), every SCSI device to read its size and
/// identity again, and PCI to look for new functions. What appears or changes comes as uevents. A device
/// that went without its bus telling (parallel SCSI) stays listed. kSystem when the kernel let none of it
/// be written.
Result<void> RescanBuses(const SystemRoots& roots = {});

}  // namespace dmrp::server
