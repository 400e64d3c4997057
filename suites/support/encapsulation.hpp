// What the suites about GetEncapsulateDiskInfo(Ex) and EncapsulateDisk(Ex) share: the calls in one form for
// both revisions, and basic disks with partitions of all kinds to convert.
#pragma once

#include "suites/support/volume_data.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace dmrp::suites {

/// GetEncapsulateDiskInfo through IVolumeClient, GetEncapsulateDiskInfoEx through IVolumeClient3; what the
/// former tells is widened.
Outcome<GetEncapsulateDiskInfoExReply> QueryEncapsulation(Session& session,
                                                          const std::vector<DISK_SPEC>& disks);
/// EncapsulateDisk or EncapsulateDiskEx with these lists; for the former they are narrowed.
Outcome<EncapsulateDiskExReply> Encapsulate(Session& session, const EncapsulateDiskExRequest& request);
/// With the lists that a query answered.
Outcome<EncapsulateDiskExReply> Encapsulate(Session& session, const GetEncapsulateDiskInfoExReply& lists);
EncapsulateDiskExRequest RequestOf(const GetEncapsulateDiskInfoExReply& lists);

/// The ENCAP_INFO_* that methods of that revision can answer.
std::uint32_t EncapsulationFlagsOf(Revision revision);
/// The CONTAINS_* and PARTITION_NUMBER_CHANGE likewise.
std::uint32_t EncapsulationDiskFlagsOf(Revision revision);

/// An MBR disk of 96 MiB: a primary partition with NTFS (label NTFS), one with FAT (FAT), and an extended one
/// with two logical drives, the first with FAT32 (LOGICAL), the second raw. All four hold octets, those with
/// a file system a file "kept".
BedDiskRequest MbrDiskWithPartitions();
/// A GPT disk of 80 MiB: a reserved partition, one with NTFS (GPTNTFS), one with FAT (GPTFAT).
BedDiskRequest GptDiskWithPartitions();
/// Another MBR disk, of 64 MiB, with one primary partition that has FAT (SECOND).
BedDiskRequest MbrDiskWithOnePartition();
/// An MBR disk without partitions, of 48 MiB.
BedDiskRequest MbrDiskWithoutPartitions();

class EncapsulationTest : public VolumeDataTest {
 protected:
  /// The disk as it is now.
  DISK_SPEC DiskSpecOf(Session& session, std::size_t disk);
  Outcome<GetEncapsulateDiskInfoExReply> Query(Session& session, const std::vector<std::size_t>& disks);
  /// What the server shows of partitions and logical drives on these disks; no extended partitions, no
  /// Microsoft reserved ones.
  std::vector<REGION_INFO_EX> DataRegions(const StorageView& view, const std::vector<std::size_t>& disks);
};

}  // namespace dmrp::suites
