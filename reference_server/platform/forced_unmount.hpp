#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/platform/device_scanner.hpp"
#include "reference_server/platform/mounts_of_device.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::server {

/// Ends the mounts of a block device by force: when this returns, no file system driver writes to the device
/// any more, now or when the last file on it is closed. A mount that nobody uses is simply ended. A file
/// system with open files becomes read-only first, which writes out what it holds, and is then detached: what
/// is open for reading can be read on. Processes that have a file open or mapped for writing, or a deleted
/// one open at all, are ended (SIGKILL), as they would not give it up; so is the program behind a file system
/// in user space (SIGTERM first, so that it writes out what it holds). kUnavailable when a file system stays
/// writable all the same, as one that holds swap space or the image of a loop device does; it stays mounted
/// then.
Result<void> UnmountByForce(const std::vector<DeviceMount>& mounts, const std::string& device_number,
                            const std::filesystem::path& node, const SystemRoots& roots = {});

}  // namespace dmrp::server
