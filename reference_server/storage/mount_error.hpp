#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace dmrp::server {

/// Why a drive letter or a mount point was refused. No refusal changes anything on disk. If you add a code,
/// extend MountErrorName and the table of the methods layer that maps codes to HRESULTs.
enum class MountErrorCode : std::uint8_t {
  kRegistry,       ///< the registry cannot be read or written
  kBadLetter,      ///< no letter from A to Z
  kLetterTaken,    ///< the letter leads to another volume
  kLetterFree,     ///< the letter leads nowhere
  kNotNtfs,        ///< the host volume is not NTFS
  kOldNtfs,        ///< NTFS before 3.0, which has no reparse points
  kUnsoundVolume,  ///< NTFS damaged, hibernated or not closed: not changed
  kVolumeInUse,    ///< mounted by a driver through which reparse points cannot be reached
  kBadPath,        ///< no path, or one with names that a folder cannot have, or the root, or a system file
  kPathNotFound,   ///< the folder, or one on the way to it, does not exist
  kNotDirectory,   ///< the path leads to a file
  kDirNotEmpty,    ///< the folder holds something
  kReparsePoint,   ///< the folder, or one on the way to it, is a reparse point already
  kNotMountPoint,  ///< the folder is no mount point of that volume
  kReadOnly,       ///< medium or mount refuses writes
  kNoSpace,        ///< the host volume is full
  kIoError,        ///< the device failed
};

/// The name of a code without the leading k.
std::string_view MountErrorName(MountErrorCode code);

struct MountError {
  MountErrorCode code = MountErrorCode::kIoError;
  std::string message;  ///< names the offending path or letter

  /// "LetterTaken: D leads to ...", for people.
  [[nodiscard]] std::string ToString() const;
};

template <typename T>
using MountResult = tl::expected<T, MountError>;

[[nodiscard]] inline tl::unexpected<MountError> RefuseMount(MountErrorCode code, std::string message) {
  return tl::unexpected<MountError>(MountError{code, std::move(message)});
}

}  // namespace dmrp::server
