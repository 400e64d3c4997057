// Mounted folders: empty directories on NTFS volumes with a reparse point of tag 0xA0000003 whose target is
// `\??\Volume{guid}\`. Junctions, which have the same tag and another target, are none.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "reference_server/platform/block_device.hpp"
#include "reference_server/storage/mount_error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::server {

/// Where an NTFS volume lies, and where the system has mounted it. A volume that is mounted must be named as
/// such: writing its sectors behind the back of the driver would destroy it.
struct NtfsVolume {
  BlockDevice* device = nullptr;  ///< not used while mountedAt is given
  std::uint64_t start = 0;        ///< octets, of the partition on `device`
  std::uint64_t length = 0;
  /// Root of the mounted volume. The driver must be ntfs-3g; through any other one reparse points cannot be
  /// reached (kVolumeInUse).
  std::optional<std::filesystem::path> mountedAt;
};

struct MountPoint {
  std::u16string path;  ///< "data\old" from the root of the host volume, as the directories spell it
  Guid target;          ///< of the volume name that it leads to
  friend bool operator==(const MountPoint&, const MountPoint&) = default;
};

/// All mount points of a volume, by path. On the device by the index of reparse points, through a mount by a
/// walk over its directories. kUnsoundVolume above 65,536 of them or 512 levels.
MountResult<std::vector<MountPoint>> ListMountPoints(const NtfsVolume& host);

/// Makes a directory a mount point of the volume `target`. `folders` lead to it from the root; their case
/// does not matter (through a mount: that of ASCII letters). The directory has to exist and to be empty, and
/// no reparse point may lie on the way. Written and flushed when it returns.
///
/// NTFS keeps such a change in two files and the parent directory; its journal is not written here. On the
/// device a power cut between the few sectors leaves a volume that mounts, with the folder as it was, as a
/// mount point, or as one that the index does not list yet.
MountResult<void> AddMountPoint(const NtfsVolume& host, const std::vector<std::u16string>& folders,
                                const Guid& target);

/// Makes a mount point of `target` an empty directory again. kNotMountPoint for anything else, mount points
/// of other volumes included.
MountResult<void> RemoveMountPoint(const NtfsVolume& host, const std::vector<std::u16string>& folders,
                                   const Guid& target);

/// The reparse point of a mount point of `target`, 118 octets ([MS-FSCC] 2.1.2.5).
[[nodiscard]] Bytes MountPointReparseData(const Guid& target);
/// The volume that a reparse point leads to; nothing when it is no mount point of a volume, or damaged.
[[nodiscard]] std::optional<Guid> ParseMountPointReparseData(std::span<const std::byte> data);

}  // namespace dmrp::server
