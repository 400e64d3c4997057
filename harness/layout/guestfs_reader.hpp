// What libguestfs finds on disks: a kernel of its own with libparted, blkid, and libldm over device-mapper.
//
//   auto seen = ReadWithLibguestfs({"/run/disk0.raw", "/run/disk1.raw"});
//   EXPECT_THAT(Dissents(seen->disks[0].layout, expected), IsEmpty());
#pragma once

#include "harness/layout/disk_layout.hpp"
#include "harness/layout/dynamic_layout.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace dmrp::harness {

/// What blkid tells of a file system.
struct MountableFileSystem {
  std::string type;   ///< "vfat", "ntfs", ...; empty: none
  std::string label;  ///< UTF-8
};

/// A run of a disk's octets.
struct OctetRun {
  std::uint64_t start = 0;   ///< octets from the start of the disk
  std::uint64_t length = 0;  ///< octets

  friend auto operator<=>(const OctetRun&, const OctetRun&) = default;
};

struct GuestfsDisk {
  DiskLayout layout;  ///< reader "libguestfs"; dynamic disks with an MBR have no partitions here
  std::map<unsigned, MountableFileSystem> file_systems;  ///< by the partition's number
  std::vector<OctetRun> kernel_partitions;               ///< by number; of a dynamic MBR disk the subdisks
};

/// A dynamic volume as device-mapper puts it together.
struct GuestfsVolume {
  std::string group;  ///< the group's name
  std::string name;
  DynamicVolumeType type = DynamicVolumeType::kSimple;
  std::uint64_t size = 0;               ///< octets
  std::string hint;                     ///< the drive letter, "E:"; empty: none
  std::vector<std::string> partitions;  ///< names of subdisks
  std::string sha256;                   ///< of the volume's octets, hexadecimal
  MountableFileSystem file_system;
};

struct GuestfsObservation {
  std::vector<GuestfsDisk> disks;      ///< in the order of the images
  std::vector<GuestfsVolume> volumes;  ///< of all images together, in ascending order of group and name
};

/// Reads raw images of disks with sectors of 512 octets in one appliance, which takes ten seconds to start
/// where no hardware acceleration is at hand.
/// @return kSystem when the appliance cannot be run, kTimeout when it does not end, kMalformed when its words
/// are not understood.
Result<GuestfsObservation> ReadWithLibguestfs(const std::vector<std::filesystem::path>& images);

}  // namespace dmrp::harness
