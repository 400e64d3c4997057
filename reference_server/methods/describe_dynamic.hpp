// The values of DISK_INFO_EX, REGION_INFO_EX and VOLUME_INFO for disk groups. Pure functions.
#pragma once

#include "reference_server/methods/disk_groups.hpp"
#include "reference_server/objects/reconcile.hpp"
#include "reference_server/storage/disk_layout.hpp"

#include <cstdint>
#include <optional>

namespace dmrp::server {

/// True for the entries that cover the public region of a dynamic disk; its volumes and free space stand for
/// them.
[[nodiscard]] bool IsPublicEntry(const Region& region);

/// A disk of a group: what its group says of it is added to `observed`, which has what the table alone says
/// and regions for entries other than IsPublicEntry. Foreign disks are DEVICESTATE_UNCLAIMED and have no
/// regions of volumes, nor free space. Disks of the primary group that were away are DEVICESTATE_OFFLINE
/// until they are attached again.
void DescribeGroupDisk(const FoundGroup& group, const GroupMember& member, const DiskLayout& layout,
                       ObservedDisk& observed);

/// A disk of the primary group that is not there (DEVICESTATE_MISSING), with the regions of its volumes.
/// `known` is what was seen of it while it was there, if it was since the server started; else only what the
/// group noted is known, and its length is the least that it can have.
[[nodiscard]] ObservedDisk DescribeMissingDisk(const FoundGroup& group, const ldm::DiskRecord& record,
                                               const std::optional<DISK_INFO_EX>& known,
                                               std::uint32_t number);

/// A volume of the primary group. Formatting, mounts and the file system are the caller's.
[[nodiscard]] ObservedVolume DescribeVolume(const FoundGroup& group, const GroupVolume& volume);

/// VOLUMELAYOUT of a dynamic volume, and back; nothing for layouts that dynamic volumes do not have.
[[nodiscard]] VOLUMELAYOUT LayoutOf(ldm::VolumeLayout layout);
[[nodiscard]] std::optional<ldm::VolumeLayout> LdmLayoutOf(VOLUMELAYOUT layout);

}  // namespace dmrp::server
