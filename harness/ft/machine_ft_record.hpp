// The record of FT sets in the registry of a target's machine, where the harness can look into that machine.
#pragma once

#include "harness/ft/ft_record.hpp"
#include "harness/target/test_bed.hpp"

#include <optional>

namespace dmrp::harness {

/// What the machine's registry says of FT sets now; nothing when it has no record. kUnsupported for targets
/// whose machine cannot be looked into, else as of FtRecord::ReadFile.
Result<std::optional<FtRecord>> ReadFtRecord(TestBed& bed);

/// Puts a record into the machine's hive, which is made if it is not there yet; the file is replaced in one
/// step. A server that runs learns of it as of any change by another program: restart it (TestBed::Restart),
/// or refresh.
Result<void> InstallFtRecord(TestBed& bed, const Bytes& value);

}  // namespace dmrp::harness
