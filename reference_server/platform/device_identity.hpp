#pragma once

#include "reference_server/platform/device_scanner.hpp"

namespace dmrp::server {

/// Fills in bus, address, adapter, vendor, model, serial, revision and the names made of them from sysfs.
/// `device.name` and `device.kind` are set before.
void IdentifyDevice(DeviceInfo& device, const SystemRoots& roots);

}  // namespace dmrp::server
