// What a server's regions and an image's partition table say about each other.
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "harness/layout/disk_layout.hpp"

#include <string>
#include <vector>

namespace dmrp::suites {

/// Every point in which the regions of a basic disk and its partition table disagree, one sentence each. Free
/// regions have no counterpart in the table and are compared with the gaps between its entries.
std::vector<std::string> Disagreements(const std::vector<REGION_INFO_EX>& regions,
                                       const harness::DiskLayout& layout);

/// The partitions of `after` that `before` lacks, by place and number.
std::vector<harness::DiskPartition> Added(const harness::DiskLayout& before,
                                          const harness::DiskLayout& after);

}  // namespace dmrp::suites
