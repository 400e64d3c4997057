// The independent readers of partition tables.
//
//   auto seen = Observe("/run/disk0.img", 512);
//   if (!seen) ...                          // the image cannot be read at all
//   if (!seen->dissents.empty()) ...        // two readers disagree: suspect the harness, not the server
//   EXPECT_EQ(seen->layout.partitions.size(), 1U);
#pragma once

#include "harness/layout/disk_layout.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::harness {

enum class LayoutReader {
  kLibfdisk,  ///< util-linux, the partitioner's library: MBR and GPT, any sector size
  kLibblkid,  ///< util-linux, the prober's library, other code than libfdisk's: MBR and GPT, any sector size
  kSgdisk,    ///< GPT fdisk, a process: GPT on 512-byte sectors
  kParted,    ///< GNU Parted, a process: MBR on 512-byte sectors; knows no type byte and no signature
};

/// Reads the partition table of a raw image file.
/// @param sector_bytes  the logical sector size of the disk that the image belongs to: 512 to 4096, a power
/// of two.
/// @return the layout, with style kNone if the reader finds no table; kSystem if the image cannot be opened
/// or a
///     program cannot be run, kUsage for a sector size that is none, kUnsupported for a table or sector size
///     that this reader does not know, kTimeout if a program does not end.
Result<DiskLayout> ReadLayout(LayoutReader reader, const std::filesystem::path& image,
                              std::uint32_t sector_bytes);

/// One disk as several readers see it.
struct LayoutObservation {
  DiskLayout layout;                  ///< libfdisk's account
  std::vector<DiskLayout> witnesses;  ///< the others': libblkid always, sgdisk or parted where they can
  std::vector<std::string> dissents;  ///< where a witness contradicts libfdisk
};

/// Reads an image with every reader that knows its kind of table; costs about 20 ms.
/// Errors as of ReadLayout; an image in another format than raw (qcow2) is kUnsupported, see raw_image.hpp.
Result<LayoutObservation> Observe(const std::filesystem::path& image, std::uint32_t sector_bytes);

/// For the history of a run: {"layout": ..., "witnesses": [...], "dissents": [...]}.
nlohmann::json ToJson(const LayoutObservation& observation);

}  // namespace dmrp::harness
