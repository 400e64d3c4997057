// The storage objects as the two revisions of the protocol show them.
#pragma once

#include "dmrp/interfaces/types.hpp"

namespace dmrp::server {

/// The disk as IVolumeClient shows it (2.3.1.2). dflags that only DISK_INFO_EX defines are left out.
[[nodiscard]] DISK_INFO ToDiskInfo(const DISK_INFO_EX& disk);

/// The region as IVolumeClient shows it (2.3.1.3). That structure has no member for the type of a GPT
/// partition: partitionType is PARTITION_ENTRY_UNUSED there.
[[nodiscard]] REGION_INFO ToRegionInfo(const REGION_INFO_EX& region);

}  // namespace dmrp::server
