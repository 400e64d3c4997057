// The disks that tests of formatting take, with their partitions made by sfdisk.
#pragma once

#include "suites/support/conformance_test.hpp"

#include <cstdint>
#include <string>

namespace dmrp::suites {

/// A partition that is to be formatted: disk 0 of the test.
struct FormatPlace {
  const char* name;  ///< part of test names
  const char* spec;  ///< for ParseDiskSpec
  const char* table;
  REGIONTYPE type;
  bool gpt = false;
};

/// Two primary partitions of 64 MiB, a logical drive of 64 MiB, and free space behind them.
inline constexpr const char* kFormatTable =
    "label: dos\nlabel-id: 0x5eed0023\n"
    "start=2048, size=131072, type=7\n"
    "start=133120, size=131072, type=7\n"
    "start=264192, size=135168, type=f\n"
    "start=266240, size=131072, type=7\n";

inline constexpr FormatPlace kOnPrimary{"Primary", "size=208M", kFormatTable, REGION_PRIMARY};
inline constexpr FormatPlace kOnLogical{"Logical", "size=208M", kFormatTable, REGION_LOGICAL};
inline constexpr FormatPlace kOn4Kn{"Primary4Kn", "size=96M,sector=4096",
                                    "label: dos\nlabel-id: 0x5eed0024\n"
                                    "start=256, size=16384, type=7\n",
                                    REGION_PRIMARY};
inline constexpr FormatPlace kOnGpt{"Gpt", "size=160M",
                                    "label: gpt\nlabel-id: 5EED0000-0000-4000-8000-000000000023\n"
                                    "start=2048, size=131072, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
                                    "start=133120, size=131072, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n",
                                    REGION_PRIMARY, true};

inline BedDiskRequest DiskOf(const FormatPlace& place) {
  return {harness::ParseDiskSpec(place.spec).value(), Table(place.table)};
}

}  // namespace dmrp::suites
