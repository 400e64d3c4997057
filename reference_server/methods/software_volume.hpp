// A volume put together in this process, from devices that are open here: for image files, of which no kernel
// makes volumes.
#pragma once

#include "reference_server/platform/block_device.hpp"
#include "reference_server/storage/volume_map.hpp"

#include <filesystem>
#include <functional>
#include <memory>

namespace dmrp::server {

/// Opens what VolumeExtent::device names.
using OpenPart =
    std::function<Result<std::unique_ptr<BlockDevice>>(const std::filesystem::path& device, bool writable)>;

/// Opens a volume whose map PlanVolume accepts; `geometry` gives sector and track sizes. Members that are not
/// kOnline are neither read nor written: mirrors read from the others, RAID-5 columns are made up from
/// parity. A write goes to all members, one after the other: a power cut in between leaves them different.
Result<std::unique_ptr<BlockDevice>> OpenSoftwareVolume(const VolumeMap& map, DiskGeometry geometry,
                                                        bool writable, const OpenPart& open);

/// Makes a member (MemberExtents) hold what the others say.
Result<void> RebuildMember(const VolumeMap& map, std::size_t member, const OpenPart& open);

/// Makes members alike: the plexes of a mirror like the first that is online, the parity of RAID-5 that of
/// its data.
Result<void> MakeMembersAlike(const VolumeMap& map, const OpenPart& open);

}  // namespace dmrp::server
