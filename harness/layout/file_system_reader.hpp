// File systems as blkid, fsck.fat, ntfsinfo, ntfsresize and ntfsfix find them, on a copy of the volume.
//
//   auto seen = ReadFileSystem("/run/disk0.img", 1 << 20, 64 << 20);
//   EXPECT_THAT(seen->problems, IsEmpty()) << seen->account;
#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::harness {

/// What blkid and the file system's own checker say of a volume.
struct FileSystemOnDisk {
  enum class Type { kNone, kFat12, kFat16, kFat32, kNtfs, kOther };
  Type type = Type::kNone;
  std::string label;                  ///< UTF-8; empty: none
  std::uint32_t unit = 0;             ///< octets of an allocation unit; 0: not told
  std::uint64_t units = 0;            ///< allocation units of the whole file system
  std::uint64_t units_free = 0;       ///< likewise
  bool compressed = false;            ///< NTFS: new files of the root directory are compressed
  std::uint64_t bad_units = 0;        ///< NTFS: units marked as unusable; FAT's count as in use
  std::vector<std::string> problems;  ///< what the checkers complain of, in their words
  std::string account;                ///< all that they said, for failures
};

/// Reads the volume that lies at `offset` with `length` octets in a raw image. A file system that its
/// checkers find damaged is no error: they tell in `problems`.
/// @return type kNone where blkid finds no file system; kMalformed where it finds several at once, kUsage for
/// a volume outside of the image, kSystem when
///     the image cannot be read or a program cannot be run, kTimeout if a program does not end.
Result<FileSystemOnDisk> ReadFileSystem(const std::filesystem::path& image, std::uint64_t offset,
                                        std::uint64_t length);

}  // namespace dmrp::harness
