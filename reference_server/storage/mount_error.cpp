#include "reference_server/storage/mount_error.hpp"

#include <fmt/format.h>

namespace dmrp::server {

std::string_view MountErrorName(MountErrorCode code) {
  switch (code) {
    case MountErrorCode::kRegistry:
      return "Registry";
    case MountErrorCode::kBadLetter:
      return "BadLetter";
    case MountErrorCode::kLetterTaken:
      return "LetterTaken";
    case MountErrorCode::kLetterFree:
      return "LetterFree";
    case MountErrorCode::kNotNtfs:
      return "NotNtfs";
    case MountErrorCode::kOldNtfs:
      return "OldNtfs";
    case MountErrorCode::kUnsoundVolume:
      return "UnsoundVolume";
    case MountErrorCode::kVolumeInUse:
      return "VolumeInUse";
    case MountErrorCode::kBadPath:
      return "BadPath";
    case MountErrorCode::kPathNotFound:
      return "PathNotFound";
    case MountErrorCode::kNotDirectory:
      return "NotDirectory";
    case MountErrorCode::kDirNotEmpty:
      return "DirNotEmpty";
    case MountErrorCode::kReparsePoint:
      return "ReparsePoint";
    case MountErrorCode::kNotMountPoint:
      return "NotMountPoint";
    case MountErrorCode::kReadOnly:
      return "ReadOnly";
    case MountErrorCode::kNoSpace:
      return "NoSpace";
    case MountErrorCode::kIoError:
      return "IoError";
  }
  return "Unknown";
}

std::string MountError::ToString() const { return fmt::format("{}: {}", MountErrorName(code), message); }

}  // namespace dmrp::server
