// What a target's machine keeps of drive letters and volume names, by the structures of the protocol.
#pragma once

#include "harness/target/machine_registry.hpp"
#include "suites/support/lab.hpp"

#include <string>

namespace dmrp::suites {

using harness::MountedDevices;

/// By what a partition of a basic disk that is no removable medium is known there.
inline std::string UniqueIdOf(const REGION_INFO_EX& region, const DISK_INFO_EX& disk) {
  return region.gpt ? harness::UniqueIdOfGptPartition(region.gpt->partitionId)
                    : harness::UniqueIdOfMbrPartition(disk.mbr ? disk.mbr->signature : 0,
                                                      static_cast<std::uint64_t>(region.start));
}

}  // namespace dmrp::suites
