#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/platform/device_scanner.hpp"

#include <string>
#include <vector>

namespace dmrp::server {

enum class ShutdownKind { kReboot, kPowerOff };

/// Whether this process may shut the machine down; kDenied when it lacks the privilege.
Result<void> MayShutDown();

/// Where file systems of block devices are mounted, the innermost first.
std::vector<std::string> BlockMountPoints(const SystemRoots& roots = {});

/// Shuts the machine down as an init would: ends all other processes, unmounts what lies on block devices,
/// turns swap space off, and has the kernel reboot or switch off. Comes back only when the kernel refuses.
Result<void> ShutDownMachine(ShutdownKind kind);

}  // namespace dmrp::server
