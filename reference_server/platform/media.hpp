#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/platform/device_scanner.hpp"

#include <string>
#include <vector>

namespace dmrp::server {

/// True for drives that open by command: CD, DVD and removable disks. A floppy drive has a lever.
[[nodiscard]] bool CanEject(const DeviceInfo& device);

/// Writes out what the kernel still holds of the medium, unlocks the door and has the drive put the medium
/// out; returns when the drive has done so. kUnsupported for a drive that does not open by command,
/// kUnavailable when it is gone, kSystem EBUSY while somebody else has it open or mounted, kSystem with errno
/// for what the drive itself refused.
Result<void> EjectMedium(const DeviceInfo& device);

/// The names of all CD and DVD drives that hold a medium, sorted. Asks the drives: the kernel does not
/// announce a medium that was taken out of a drive by its button.
[[nodiscard]] std::vector<std::string> LoadedOpticalDrives(const SystemRoots& roots = {});

}  // namespace dmrp::server
