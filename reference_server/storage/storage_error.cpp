#include "reference_server/storage/storage_error.hpp"

#include <fmt/format.h>

namespace dmrp::server {

std::string_view StorageErrorName(StorageErrorCode code) {
  switch (code) {
    case StorageErrorCode::kIoError:
      return "IoError";
    case StorageErrorCode::kReadOnly:
      return "ReadOnly";
    case StorageErrorCode::kNotInitialized:
      return "NotInitialized";
    case StorageErrorCode::kDynamicDisk:
      return "DynamicDisk";
    case StorageErrorCode::kDamagedTable:
      return "DamagedTable";
    case StorageErrorCode::kWrongStyle:
      return "WrongStyle";
    case StorageErrorCode::kWrongType:
      return "WrongType";
    case StorageErrorCode::kNotFound:
      return "NotFound";
    case StorageErrorCode::kNotFree:
      return "NotFree";
    case StorageErrorCode::kOutOfRange:
      return "OutOfRange";
    case StorageErrorCode::kMisaligned:
      return "Misaligned";
    case StorageErrorCode::kTooSmall:
      return "TooSmall";
    case StorageErrorCode::kTableFull:
      return "TableFull";
    case StorageErrorCode::kExtendedExists:
      return "ExtendedExists";
    case StorageErrorCode::kExtendedNotEmpty:
      return "ExtendedNotEmpty";
    case StorageErrorCode::kNotEmpty:
      return "NotEmpty";
    case StorageErrorCode::kDiskTooSmall:
      return "DiskTooSmall";
    case StorageErrorCode::kNotDynamic:
      return "NotDynamic";
    case StorageErrorCode::kOtherGroup:
      return "OtherGroup";
    case StorageErrorCode::kGroupMismatch:
      return "GroupMismatch";
    case StorageErrorCode::kGroupChanged:
      return "GroupChanged";
    case StorageErrorCode::kDatabaseFull:
      return "DatabaseFull";
    case StorageErrorCode::kDamagedGroup:
      return "DamagedGroup";
    case StorageErrorCode::kTooManyVolumes:
      return "TooManyVolumes";
    case StorageErrorCode::kNoSpace:
      return "NoSpace";
    case StorageErrorCode::kFragmented:
      return "Fragmented";
    case StorageErrorCode::kNotAdjacent:
      return "NotAdjacent";
    case StorageErrorCode::kUnequalMembers:
      return "UnequalMembers";
    case StorageErrorCode::kTooManyMembers:
      return "TooManyMembers";
    case StorageErrorCode::kTooFewMembers:
      return "TooFewMembers";
    case StorageErrorCode::kSameDisk:
      return "SameDisk";
    case StorageErrorCode::kWrongLayout:
      return "WrongLayout";
    case StorageErrorCode::kNotRaid5:
      return "NotRaid5";
    case StorageErrorCode::kNotAMember:
      return "NotAMember";
    case StorageErrorCode::kLastCopy:
      return "LastCopy";
    case StorageErrorCode::kNotFailed:
      return "NotFailed";
    case StorageErrorCode::kTooManyFailed:
      return "TooManyFailed";
    case StorageErrorCode::kDiskMissing:
      return "DiskMissing";
    case StorageErrorCode::kRetainedExists:
      return "RetainedExists";
    case StorageErrorCode::kNotRetained:
      return "NotRetained";
    case StorageErrorCode::kCannotConvert:
      return "CannotConvert";
    case StorageErrorCode::kNotFormattable:
      return "NotFormattable";
    case StorageErrorCode::kBadLabel:
      return "BadLabel";
    case StorageErrorCode::kBadUnit:
      return "BadUnit";
    case StorageErrorCode::kUnitTooSmall:
      return "UnitTooSmall";
    case StorageErrorCode::kUnitTooBig:
      return "UnitTooBig";
    case StorageErrorCode::kTooManyUnits:
      return "TooManyUnits";
    case StorageErrorCode::kVolumeTooSmall:
      return "VolumeTooSmall";
    case StorageErrorCode::kVolumeTooBig:
      return "VolumeTooBig";
    case StorageErrorCode::kNoCompression:
      return "NoCompression";
    case StorageErrorCode::kBadSector:
      return "BadSector";
    case StorageErrorCode::kNoMemory:
      return "NoMemory";
    case StorageErrorCode::kToolFailed:
      return "ToolFailed";
    case StorageErrorCode::kAborted:
      return "Aborted";
    case StorageErrorCode::kFtBadRegistry:
      return "FtBadRegistry";
    case StorageErrorCode::kFtChanged:
      return "FtChanged";
    case StorageErrorCode::kFtInconsistent:
      return "FtInconsistent";
    case StorageErrorCode::kFtWrongSet:
      return "FtWrongSet";
    case StorageErrorCode::kFtFailed:
      return "FtFailed";
    case StorageErrorCode::kFtMemberMissing:
      return "FtMemberMissing";
    case StorageErrorCode::kFtHealthy:
      return "FtHealthy";
    case StorageErrorCode::kFtBusy:
      return "FtBusy";
    case StorageErrorCode::kFtMember:
      return "FtMember";
    case StorageErrorCode::kFtSameDisk:
      return "FtSameDisk";
  }
  return "Unknown";
}

std::string StorageError::ToString() const { return fmt::format("{}: {}", StorageErrorName(code), message); }

tl::unexpected<StorageError> DeviceFailed(const Error& error) {
  return Refuse(error.kind == ErrorKind::kDenied ? StorageErrorCode::kReadOnly : StorageErrorCode::kIoError,
                error.ToString());
}

}  // namespace dmrp::server
