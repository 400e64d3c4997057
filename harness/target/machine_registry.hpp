// The registry of a target's machine, where the harness can look into that machine.
#pragma once

#include "harness/layout/mounted_devices.hpp"
#include "harness/target/test_bed.hpp"

#include <map>
#include <string>
#include <vector>

namespace dmrp::harness {

/// What the machine keeps of letters and volume names now; a hive that is not there yet is an empty database.
/// kUnsupported for targets whose machine cannot be looked into, else as of MountedDevices::ReadFile.
Result<MountedDevices> ReadMountedDevices(TestBed& bed);

/// Changes the database behind the server's back, as a mount manager of the same machine does. The file is
/// replaced in one step. kUnavailable while the machine has no hive, else as of ReadMountedDevices.
Result<void> EditMountedDevices(TestBed& bed, const std::map<std::string, Bytes>& set,
                                const std::vector<std::string>& remove);

}  // namespace dmrp::harness
