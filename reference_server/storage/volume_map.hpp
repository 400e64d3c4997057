// What a volume is made of, and the device-mapper tables that put it together. README.md tells which targets
// and why.
#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/platform/device_mapper.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

enum class PlexLayout : std::uint8_t {
  kConcat,  ///< one column, its extents one behind the other: simple and spanned volumes, volume sets
  kStripe,  ///< chunks go round the columns: RAID-0, stripe sets
  kRaid5,   ///< left-symmetric rotating parity over three columns or more
};

enum class ExtentState : std::uint8_t {
  kOnline,   ///< there, and holds what the volume says
  kStale,    ///< there, but its member has to be rebuilt from the others: a new plex, a replaced column
  kMissing,  ///< not to be touched: its disk is gone or failing
};

/// A run of octets on a disk. Offsets and lengths are multiples of 512, and of the disk's sectors.
struct VolumeExtent {
  std::filesystem::path device;  ///< "/dev/sdb"; not looked at when kMissing
  std::uint64_t offset = 0;      ///< octets from the start of the device
  std::uint64_t length = 0;      ///< octets
  ExtentState state = ExtentState::kOnline;
};
using VolumeColumn = std::vector<VolumeExtent>;

struct VolumePlex {
  PlexLayout layout = PlexLayout::kConcat;
  std::uint64_t stripeSize = 65536;  ///< octets of a chunk; a power of two for RAID-5
  std::vector<VolumeColumn> columns;
};

/// What a volume is made of. Columns may be longer than the volume needs; the rest of them is not used.
struct VolumeMap {
  std::string name;                ///< of the device: VolumeDeviceName()
  std::uint64_t length = 0;        ///< octets that its users see
  std::vector<VolumePlex> plexes;  ///< more than one: mirrored; a RAID-5 plex stands alone
  bool readOnly = false;
};

/// The name of a volume's device, "dmrp-<group>-<volume>"; all but letters, digits, _ and + come as =NN
/// in hexadecimal. Names that grow too long end in a checksum.
[[nodiscard]] std::string VolumeDeviceName(std::string_view group, std::string_view volume);

/// A device to be made, its table with the other devices of the plan as "@name", disks by their nodes, and
/// "#0" for what the kernel keeps about member 0 of a raid while it runs.
struct PlannedDevice {
  std::string name;
  MappedTable table;
  friend bool operator==(const PlannedDevice&, const PlannedDevice&) = default;
};
/// What stands on others comes behind them: the volume's own device is the last. The names of the others
/// hold a checksum of their tables, so that one name always means the same octets.
using VolumePlan = std::vector<PlannedDevice>;

/// kUsage when the map contradicts itself: names a column too short, a misaligned extent, a length that its
/// stripes cannot have. kUnavailable when too much of it is missing or stale.
[[nodiscard]] Result<VolumePlan> PlanVolume(const VolumeMap& map);

/// How many members can be in a state of their own: the plexes of a mirrored volume, the columns of a RAID-5
/// one; else 0.
[[nodiscard]] std::size_t MemberCount(const VolumeMap& map);
/// The extents of such a member.
[[nodiscard]] std::vector<VolumeExtent> MemberExtents(const VolumeMap& map, std::size_t member);
/// kMissing when any of its extents is, else kStale when any is.
[[nodiscard]] ExtentState MemberExtentState(const VolumeMap& map, std::size_t member);
void SetMemberExtentState(VolumeMap& map, std::size_t member, ExtentState state);

}  // namespace dmrp::server
