// File systems as programs that share nothing with the server find them: blkid, fsck.fat, ntfsinfo,
// ntfsresize and ntfsfix, on a copy of the partition.
#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace dmrp::suites {

/// What blkid and the file system's own checker say of a volume.
struct FileSystemOnDisk {
  enum class Type { kNone, kFat12, kFat16, kFat32, kNtfs, kOther };
  Type type = Type::kNone;
  std::string label;                  ///< UTF-8; empty: none
  std::uint32_t unit = 0;             ///< octets of an allocation unit; 0: not told
  std::uint64_t units = 0;            ///< allocation units of the whole file system
  std::uint64_t units_free = 0;       ///< likewise
  bool compressed = false;            ///< NTFS: new files of the root directory are compressed
  std::uint64_t bad_units = 0;        ///< FAT, NTFS: units marked as unusable
  std::vector<std::string> problems;  ///< what the checkers complain of, in their words
  std::string account;                ///< all that they said, for failures

  /// The FSTYPE_* value that fits.
  [[nodiscard]] std::int32_t fs_type() const;
};

/// Reads the volume that lies at `offset` with `length` octets in a raw image. kSystem when a program cannot
/// be run.
Result<FileSystemOnDisk> ReadFileSystem(const std::filesystem::path& image, std::uint64_t offset,
                                        std::uint64_t length);

}  // namespace dmrp::suites
