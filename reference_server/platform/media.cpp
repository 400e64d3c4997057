#include "reference_server/platform/media.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/cdrom.h>
#include <scsi/scsi_ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

bool IsOptical(const DeviceInfo& device) {
  return device.kind == DeviceKind::kCdrom || device.kind == DeviceKind::kDvd;
}

bool HoldsDisc(const std::filesystem::path& node) {
  const FileDescriptor fd(::open(node.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  return fd && ::ioctl(fd.Get(), CDROM_DRIVE_STATUS, CDSL_CURRENT) == CDS_DISC_OK;
}

// Whether the drive holds a medium. A disk that has lost it says so when it is opened for reading.
bool HoldsMedium(const DeviceInfo& device) {
  if (IsOptical(device)) {
    return HoldsDisc(device.node);
  }
  const FileDescriptor fd(::open(device.node.c_str(), O_RDONLY | O_CLOEXEC));
  return static_cast<bool>(fd);
}

}  // namespace

bool CanEject(const DeviceInfo& device) {
  return IsOptical(device) || device.kind == DeviceKind::kRemovableDisk;
}

Result<void> EjectMedium(const DeviceInfo& device) {
  if (!CanEject(device)) {
    return Fail(ErrorKind::kUnsupported, fmt::format("{} does not open by command", device.name));
  }
  {
    const FileDescriptor fd(::open(device.node.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
      const int error = errno;
      if (error == ENXIO || error == ENODEV || error == ENOENT) {
        return Fail(ErrorKind::kUnavailable, fmt::format("{} is gone", device.name));
      }
      return FailErrno(fmt::format("opening {}", device.node.string()), error);
    }
    if (::fsync(fd.Get()) != 0 && errno != EROFS) {
      return FailErrno(fmt::format("writing out what is kept of {}", device.name), errno);
    }
    // A drive that knows no lock refuses this, and needs none.
    (void)::ioctl(fd.Get(), IsOptical(device) ? CDROM_LOCKDOOR : SCSI_IOCTL_DOORUNLOCK, 0);
    const int refused = ::ioctl(fd.Get(), CDROMEJECT, 0);
    if (refused != 0) {
      return FailErrno(fmt::format("ejecting the medium of {}", device.name), refused < 0 ? errno : EIO);
    }
  }
  if (HoldsMedium(device)) {
    return FailErrno(fmt::format("{} kept its medium", device.name), EIO);
  }
  return {};
}

std::vector<std::string> LoadedOpticalDrives(const SystemRoots& roots) {
  std::vector<std::string> loaded;
  for (const std::string& name : ListDirectory(roots.sys / "block")) {
    if (name.starts_with("sr") && HoldsDisc(roots.dev / name)) {
      loaded.push_back(name);
    }
  }
  return loaded;
}

}  // namespace dmrp::server
