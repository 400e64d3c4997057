// The kinds of disks that suites run over.
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "harness/disks/disk_spec.hpp"
#include "protocol/dmrp/notification.hpp"

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::suites {

/// One kind of disk, as a test takes it. Kinds that tests attach together differ in size, so that a disk is
/// known by it.
struct DiskKind {
  std::string_view name;  ///< part of test names
  std::string_view spec;  ///< for ParseDiskSpec
  PARTITIONSTYLE style = PARTITIONSTYLE_MBR;

  [[nodiscard]] harness::DiskSpec Spec() const { return harness::ParseDiskSpec(spec).value(); }
};

inline constexpr DiskKind kMbr512{"Mbr512", "size=64M,label=mbr", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kMbrOddChs{"MbrOddChs", "size=100M,label=mbr,geometry=15/17", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kMbr512e{"Mbr512e", "size=80M,sector=512/4096,label=mbr", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kMbr4Kn{"Mbr4Kn", "size=96M,sector=4096,label=mbr", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kMbrTiny{"MbrTiny", "size=8M,label=mbr", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kMbrUsb{"MbrUsb", "size=72M,bus=usb,label=mbr", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kMbrIde{"MbrIde", "size=88M,bus=ide,label=mbr", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kMbr3TiB{"Mbr3TiB", "size=3T,label=mbr", PARTITIONSTYLE_MBR};
inline constexpr DiskKind kGpt{"Gpt", "size=60M,label=gpt", PARTITIONSTYLE_GPT};
inline constexpr DiskKind kGpt4Kn{"Gpt4Kn", "size=104M,sector=4096,label=gpt", PARTITIONSTYLE_GPT};
inline constexpr DiskKind kGpt3TiB{"Gpt3TiB", "size=3T,label=gpt", PARTITIONSTYLE_GPT};
inline constexpr DiskKind kBlank{"Blank", "size=56M", PARTITIONSTYLE_UNKNOWN};
inline constexpr DiskKind kBlank4Kn{"Blank4Kn", "size=112M,sector=4096", PARTITIONSTYLE_UNKNOWN};
inline constexpr DiskKind kBlankIde{"BlankIde", "size=76M,bus=ide", PARTITIONSTYLE_UNKNOWN};
inline constexpr DiskKind kBlankUsb{"BlankUsb", "size=84M,bus=usb", PARTITIONSTYLE_UNKNOWN};
inline constexpr DiskKind kBlank3TiB{"Blank3TiB", "size=3T", PARTITIONSTYLE_UNKNOWN};
inline constexpr DiskKind kReadOnly{"ReadOnly", "size=68M,label=mbr,read-only=yes", PARTITIONSTYLE_MBR};

/// A revision of the interface and a kind of disk.
struct Setup {
  Revision revision = Revision::kIVolumeClient3;
  DiskKind kind = kMbr512;

  friend void PrintTo(const Setup& setup, std::ostream* out) {
    *out << (setup.revision == Revision::kIVolumeClient ? "IVolumeClient" : "IVolumeClient3") << "_"
         << setup.kind.name;
  }
};

/// Each MBR and blank kind through both revisions, each GPT kind through IVolumeClient3, which alone knows
/// GPT.
inline std::vector<Setup> Setups(const std::vector<DiskKind>& kinds) {
  std::vector<Setup> setups;
  for (const DiskKind& kind : kinds) {
    if (kind.style != PARTITIONSTYLE_GPT) setups.push_back({Revision::kIVolumeClient, kind});
    setups.push_back({Revision::kIVolumeClient3, kind});
  }
  return setups;
}

}  // namespace dmrp::suites
