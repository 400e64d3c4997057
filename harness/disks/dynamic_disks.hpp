// Dynamic disks for tests, made without any part of the server: groups from a description, and Windows' own.
//
//   auto group = MakeDynamicDisks("foreign-all", folder);
//   BedDiskRequest request{group->disks[0].image.spec, ContentsOf(group->disks[0].image.path)};
//   guest.AttachDisk(group->disks[0].image);          // or with the image itself
#pragma once

#include "harness/disks/disk_image.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

/// A member of a group. The table and the database are in the image alone: the spec's label is none.
struct DynamicDisk {
  std::string name;  ///< in its group, "Disk1"; of Windows' disks what their file tells, "raid5-2"
  DiskImage image;
};

struct DynamicDiskSet {
  std::string group_name;
  Guid group_guid;
  std::vector<DynamicDisk> disks;  ///< without those that the description makes absent
};

/// Makes the images of a group in `folder`, sparse.
/// @param description  a name in dynamic_groups.toml ("foreign-simple"), or JSON as ldm_image.py describes
/// it.
///     The same description gives the same GUIDs: groups that one machine sees need different seeds.
/// @return kUnavailable with what is wrong when the description cannot be followed.
Result<DynamicDiskSet> MakeDynamicDisks(std::string_view description, const std::filesystem::path& folder);

/// The archive of the ten disks of a Windows Server 2003 R2: $DMRP_LDM_FIXTURES, or
/// ../shared/fixtures/ldm-2003r2.tar.xz beside the project. Nothing when it is not there.
std::optional<std::filesystem::path> WindowsDisksArchive();

/// Unpacks them to sparse images in `folder`: simple-1, spanned-1 and -2, striped-1 and -2, mirrored-1 and
/// -2, raid5-1 to -3, of one group. kUnavailable when the archive is not there.
Result<DynamicDiskSet> UnpackWindowsDisks(const std::filesystem::path& folder);

/// Puts the octets of an image onto another of the same size, holes as holes: what a BedDiskRequest prepares.
std::function<Result<void>(const std::filesystem::path&)> ContentsOf(std::filesystem::path image);

}  // namespace dmrp::harness
