// Making file systems: the work behind Format and CreatePartitionAssignAndFormat ([MS-DMRP] 3.2.4.4.1.23,
// 3.2.4.4.1.4), with mkfs.fat and mkntfs.
//
//   std::stop_source stop;
//   const FormatTarget target{*disk, region.start, region.length, HiddenSectors(region, geometry)};
//   auto made = Format(target, request, [&](unsigned percent) { ... }, stop.get_token());
//
// The steps, in an order in which the volume reads as raw at every moment between the first and the last:
// 1. The request is checked (PlanFormat). A refusal changes nothing.
// 2. Sector 0 of the volume is zeroed and flushed: whatever was there is gone. Then the rest of what other
//    file systems have their marks in, the first and the last mebibyte.
// 3. A full format reads every sector. One that cannot be read ends the work (kBadSector).
// 4. The program makes the file system in memory, in a sparse file as long as the volume.
// 5. What it wrote is copied to the volume, all but sector 0, and flushed; then sector 0, and flushed.
// So a power cut, an abort or a failure leaves a raw volume or the finished file system.
//
// The file of step 4 holds what the program writes: less than 6 MiB up to a gigabyte, 65 MiB up to 300 GB
// for NTFS (its log), and an eighth of an octet per allocation unit on top. Where memory is too short for it
// (FormatOptions::stagingLimit) and the target has a device node, the program works on the node itself
// instead: steps 4 and 5 become one, in the order in which the kernel writes its cache back. An abort or a
// failure then still ends in step 2, a power cut during that step may leave half a file system.
#pragma once

#include "reference_server/platform/block_device.hpp"
#include "reference_server/storage/disk_layout.hpp"
#include "reference_server/storage/installed_file_systems.hpp"

#include <filesystem>
#include <functional>
#include <stop_token>

namespace dmrp::server {

/// Where a file system is to be made: a stretch of a disk.
struct FormatTarget {
  BlockDevice& device;
  std::uint64_t start = 0;   ///< octets, a multiple of the sector size
  std::uint64_t length = 0;  ///< octets
  /// The field of that name in boot sectors: sectors in front of the volume (HiddenSectors).
  std::uint32_t hiddenSectors = 0;
  /// The kernel's node of exactly this stretch ("/dev/sda1"); empty where there is none (image files).
  std::filesystem::path node{};
};

struct FormatOptions {
  /// Octets of memory that the file system may take while it is made; 0: half of what /proc/meminfo says is
  /// available now.
  std::uint64_t stagingLimit = 0;
};

/// Takes the part of the work that is done, 0 to 100, from octets read and written. Called on the thread of
/// Format with ever greater values, with 100 only when everything is on the medium.
using FormatProgress = std::function<void(unsigned percent)>;

/// Makes a file system and describes what the volume holds then. Blocks; returns soon after `stop` is
/// requested: kAborted, with the program ended and the volume raw (or untouched when stop came before the
/// first write). A stop after sector 0 was written comes too late and is ignored. Other errors: those of
/// PlanFormat, kReadOnly, kBadSector, kNoMemory, kToolFailed, kIoError. The caller holds the lock of the
/// volume and sets the type in the partition table (SetPartitionType).
StorageResult<FileSystemDescription> Format(const FormatTarget& target, const FormatRequest& request,
                                            const FormatProgress& progress, const std::stop_token& stop,
                                            const FormatOptions& options = {});

/// What boot sectors call hidden sectors: for a logical drive those between its EBR and its start, else all
/// in front of it; 0 where that exceeds 32 bits.
[[nodiscard]] std::uint32_t HiddenSectors(const Region& region, const DiskGeometry& geometry);

/// Zeroes sector 0 of a stretch of a disk, flushes, then its first and last mebibyte: it reads as raw.
StorageResult<void> WipeSignatures(BlockDevice& device, std::uint64_t start, std::uint64_t length);

}  // namespace dmrp::server
