#include "reference_server/platform/device_scanner.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/device_identity.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <optional>
#include <string_view>
#include <tuple>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/cdrom.h>
#include <linux/fd.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

namespace dmrp::server {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kSysfsUnit = 512;
/// Media of more octets than a CD can hold are DVDs: the drives QEMU makes read both.
constexpr std::uint64_t kLargestCd = 737280000;

bool IsDiskName(std::string_view name, bool with_loop_devices) {
  constexpr std::array<std::string_view, 6> kOthers{"ram", "zram", "dm-", "md", "nbd", "mtd"};
  if (name.starts_with("loop")) return with_loop_devices;
  if (name.starts_with("mmcblk") && (name.find("boot") != name.npos || name.find("rpmb") != name.npos)) {
    return false;
  }
  return std::ranges::none_of(kOthers, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

/// What the drive itself says of its medium's length, in bytes, by READ CAPACITY (10). The kernel asks once
/// after a medium came; a drive that is not ready just then leaves it with the length of the medium before.
std::optional<std::uint64_t> LengthByDrive(int fd) {
  constexpr std::uint8_t kReadCapacity10 = 0x25;
  constexpr unsigned kTimeoutMs = 5000;
  std::array<std::uint8_t, 10> command{kReadCapacity10};
  std::array<std::uint8_t, 8> answer{};  // last sector, bytes in a sector; big-endian
  std::array<std::uint8_t, 32> sense{};
  sg_io_hdr request{};
  request.interface_id = 'S';
  request.dxfer_direction = SG_DXFER_FROM_DEV;
  request.cmdp = command.data();
  request.cmd_len = static_cast<unsigned char>(command.size());
  request.dxferp = answer.data();
  request.dxfer_len = static_cast<unsigned>(answer.size());
  request.sbp = sense.data();
  request.mx_sb_len = static_cast<unsigned char>(sense.size());
  request.timeout = kTimeoutMs;
  if (::ioctl(fd, SG_IO, &request) != 0 || (request.info & SG_INFO_OK_MASK) != SG_INFO_OK ||
      request.resid != 0) {
    return std::nullopt;
  }
  const auto number = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = at; i < at + 4; ++i) value = value << 8U | answer.at(i);
    return value;
  };
  return (number(0) + 1) * number(4);
}

/// What opening the device tells beyond sysfs.
void Probe(DeviceInfo& device) {
  const bool optical = device.kind == DeviceKind::kCdrom;
  const FileDescriptor fd(::open(device.node.c_str(), O_RDONLY | O_CLOEXEC | (optical ? O_NONBLOCK : 0)));
  if (!fd) {
    if (errno == ENOMEDIUM || (errno == ENXIO && device.removable)) device.mediaPresent = false;
    return;
  }
  if (optical) {
    const int status = ::ioctl(fd.Get(), CDROM_DRIVE_STATUS, CDSL_CURRENT);
    device.mediaPresent = status == CDS_DISC_OK;
    if (device.mediaPresent) device.audioCd = ::ioctl(fd.Get(), CDROM_DISC_STATUS, 0) == CDS_AUDIO;
  }
  std::uint64_t size = 0;
  if (::ioctl(fd.Get(), BLKGETSIZE64, &size) == 0) device.geometry.sizeBytes = size;
  if (optical && device.mediaPresent) {
    device.geometry.sizeBytes = LengthByDrive(fd.Get()).value_or(device.geometry.sizeBytes);
  }
  // An optical drive has its medium's sector size only from the first open on.
  int sector = 0;
  unsigned physical = 0;
  if (::ioctl(fd.Get(), BLKSSZGET, &sector) == 0) {
    device.geometry.bytesPerSector = static_cast<std::uint32_t>(sector);
  }
  if (::ioctl(fd.Get(), BLKPBSZGET, &physical) == 0) device.physicalSectorSize = physical;
  int read_only = 0;
  if (::ioctl(fd.Get(), BLKROGET, &read_only) == 0 && read_only != 0) device.readOnly = true;
  if (device.kind == DeviceKind::kFloppy) {
    // The kernel's flag stays clear until somebody wants to write.
    floppy_drive_struct drive{};
    if (::ioctl(fd.Get(), FDPOLLDRVSTAT, &drive) == 0 && (drive.flags & FD_DISK_WRITABLE) == 0) {
      device.readOnly = true;
    }
  }
  hd_geometry asked{};
  if (::ioctl(fd.Get(), HDIO_GETGEO, &asked) == 0 && asked.heads != 0 && asked.sectors != 0) {
    device.geometry.heads = asked.heads;
    device.geometry.sectorsPerTrack = asked.sectors;
  }
}

std::string LowerCase(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// A device loses its attributes before its name: what was read of one that is leaving may be half of it. A
// SCSI disk, sd or sr, has a vendor as long as it stays.
bool IsGoing(const fs::path& block) {
  std::error_code error;
  if (!fs::exists(block / "size", error)) return true;
  const std::string name = block.filename();
  const bool scsi = name.starts_with("sd") || name.starts_with("sr");
  return scsi && !fs::exists(block / "device" / "vendor", error);
}

}  // namespace

std::string_view BusKindName(BusKind bus) {
  switch (bus) {
    case BusKind::kUnknown:
      return "Unknown";
    case BusKind::kIde:
      return "IDE";
    case BusKind::kAhci:
      return "AHCI";
    case BusKind::kScsi:
      return "SCSI";
    case BusKind::kSas:
      return "SAS";
    case BusKind::kFibre:
      return "Fibre Channel";
    case BusKind::kIscsi:
      return "iSCSI";
    case BusKind::kUsb:
      return "USB";
    case BusKind::kFirewire:
      return "IEEE 1394";
    case BusKind::kVirtio:
      return "virtio";
    case BusKind::kNvme:
      return "NVMe";
    case BusKind::kFloppy:
      return "Floppy";
    case BusKind::kMmc:
      return "MMC";
    case BusKind::kLoop:
      return "Loop";
  }
  return "Unknown";
}

std::string DeviceInfo::InterfacePath() const {
  const bool optical = kind == DeviceKind::kCdrom || kind == DeviceKind::kDvd;
  std::string path = LowerCase(instanceId);
  std::ranges::replace(path, '\\', '#');
  return fmt::format("\\\\?\\{}#{{53f563{}-b6bf-11d0-94f2-00a0c91efb8b}}", path, optical ? "08" : "07");
}

Result<DeviceInfo> DeviceScanner::Inspect(const std::string& name) {
  const fs::path block = roots_.sys / "block" / name;
  std::error_code error;
  if (!fs::exists(block, error)) {
    geometries_.erase(name);
    return Fail(ErrorKind::kUnavailable, fmt::format("no block device {}", name));
  }
  DeviceInfo device;
  device.name = name;
  std::string node = name;
  std::ranges::replace(node, '!', '/');
  device.node = roots_.dev / node;
  device.removable = ReadNumber(block / "removable").value_or(0) != 0;
  device.readOnly = ReadNumber(block / "ro").value_or(0) != 0;
  device.diskSequence = ReadNumber(block / "diskseq").value_or(0);
  device.physicalSectorSize =
      static_cast<std::uint32_t>(ReadNumber(block / "queue" / "physical_block_size").value_or(512));
  device.geometry.bytesPerSector =
      static_cast<std::uint32_t>(ReadNumber(block / "queue" / "logical_block_size").value_or(512));
  device.geometry.sizeBytes = ReadNumber(block / "size").value_or(0) * kSysfsUnit;
  if (name.starts_with("sr") || ReadNumber(block / "device" / "type").value_or(0) == 5) {
    device.kind = DeviceKind::kCdrom;
  } else if (name.starts_with("fd")) {
    device.kind = DeviceKind::kFloppy;
    device.removable = true;
  } else if (device.removable) {
    device.kind = DeviceKind::kRemovableDisk;
  }
  Probe(device);
  if (device.kind == DeviceKind::kRemovableDisk && device.geometry.sizeBytes == 0)
    device.mediaPresent = false;
  if (!device.mediaPresent) device.geometry.sizeBytes = 0;
  if (device.kind == DeviceKind::kCdrom) {
    device.readOnly = true;
    if (device.geometry.sizeBytes > kLargestCd) device.kind = DeviceKind::kDvd;
  }

  const auto seen = geometries_.find(name);
  if (seen != geometries_.end() && seen->second.sequence == device.diskSequence &&
      seen->second.geometry.sizeBytes == device.geometry.sizeBytes &&
      seen->second.geometry.bytesPerSector == device.geometry.bytesPerSector) {
    device.geometry = seen->second.geometry;
  } else {
    geometries_[name] = {device.diskSequence, device.geometry};
  }
  IdentifyDevice(device, roots_);
  if (IsGoing(block)) {
    geometries_.erase(name);
    return Fail(ErrorKind::kUnavailable, fmt::format("block device {} is being removed", name));
  }
  return device;
}

std::vector<DeviceInfo> DeviceScanner::Scan() {
  std::vector<DeviceInfo> devices;
  const std::vector<std::string> names = ListDirectory(roots_.sys / "block");
  std::erase_if(geometries_,
                [&](const auto& seen) { return !std::ranges::binary_search(names, seen.first); });
  for (const std::string& name : names) {
    if (!IsDiskName(name, with_loop_devices_)) continue;
    if (auto device = Inspect(name)) devices.push_back(std::move(*device));
  }
  const auto key = [](const DeviceInfo& device) {
    const ScsiAddress address = device.address.value_or(ScsiAddress{});
    return std::tuple(!device.address.has_value(), device.bus == BusKind::kNvme, address.port, address.bus,
                      address.target, address.lun, device.name.size(), device.name);
  };
  std::ranges::sort(devices, {}, key);
  return devices;
}

Result<void> RescanBuses(const SystemRoots& roots) {
  Result<void> failure;
  bool any = false;
  const auto write = [&](const fs::path& path, std::string_view text) {
    std::error_code error;
    if (!fs::exists(path, error)) return;
    auto done = WriteAttribute(path, text);
    if (done) {
      any = true;
    } else if (failure) {
      failure = std::move(done);
    }
  };
  for (const std::string& host : ListDirectory(roots.sys / "class" / "scsi_host")) {
    write(roots.sys / "class" / "scsi_host" / host / "scan", "- - -");
  }
  for (const std::string& device : ListDirectory(roots.sys / "class" / "scsi_device")) {
    write(roots.sys / "class" / "scsi_device" / device / "device" / "rescan", "1");
  }
  write(roots.sys / "bus" / "pci" / "rescan", "1");
  return any ? Result<void>{} : failure;
}

}  // namespace dmrp::server
