#include "reference_server/methods/outcome.hpp"

#include "protocol/base/text.hpp"
#include "protocol/dmrp/hresult.hpp"

#include <utility>

namespace dmrp::server {
namespace {

HRESULT HresultOf(StorageErrorCode code) {
  switch (code) {
    case StorageErrorCode::kIoError:
      return LDM_E_IO_ERROR;
    case StorageErrorCode::kReadOnly:
      return LDM_E_RDONLY;
    case StorageErrorCode::kNotInitialized:
    case StorageErrorCode::kDamagedTable:
      return LDM_E_BAD_DISK;
    case StorageErrorCode::kDynamicDisk:
    case StorageErrorCode::kWrongStyle:
      return LDM_E_NOSUPPORT;
    case StorageErrorCode::kWrongType:
      return LDM_E_INVALID;
    case StorageErrorCode::kNotFound:
      return LDM_E_NOENT;
    case StorageErrorCode::kNotFree:
      return LDM_E_OVERLAP;
    case StorageErrorCode::kOutOfRange:
      return LDM_E_OVERFLOW;
    case StorageErrorCode::kMisaligned:
      return E_INVALIDARG;
    case StorageErrorCode::kTooSmall:
      return LDM_E_TOO_SMALL;
    case StorageErrorCode::kTableFull:
      return LDM_E_FULL_ASSOC;
    case StorageErrorCode::kExtendedExists:
      return LDM_E_EXIST;
    case StorageErrorCode::kExtendedNotEmpty:
    case StorageErrorCode::kNotEmpty:
      return LDM_E_NOT_EMPTY;
    case StorageErrorCode::kDiskTooSmall:
      return LDM_E_SPC_SETUP_FAIL;
    case StorageErrorCode::kNotDynamic:
      return LDM_E_NOTVMDISK;
    case StorageErrorCode::kOtherGroup:
      return LDM_E_DISK_OTHER_DG;
    case StorageErrorCode::kGroupMismatch:
      return LDM_E_LDM_E_DG_MISMATCH;
    case StorageErrorCode::kGroupChanged:
      return LDM_E_CONFIG;
    case StorageErrorCode::kDatabaseFull:
      return LDM_E_DB_FULL;
    case StorageErrorCode::kDamagedGroup:
      return LDM_E_DB_INCONSISTENT;
    case StorageErrorCode::kTooManyVolumes:
      return LDM_E_MAX_VOL;
    case StorageErrorCode::kNoSpace:
      return LDM_E_SPC_SETUP_FAIL;
    case StorageErrorCode::kFragmented:
      return LDM_E_HOLE;
    case StorageErrorCode::kNotAdjacent:
      return LDM_E_GRW_SETUP_FAIL;
    case StorageErrorCode::kUnequalMembers:
      return LDM_E_DIFF_SIZE;
    case StorageErrorCode::kTooManyMembers:
      return LDM_E_MAX_PLEX;
    case StorageErrorCode::kTooFewMembers:
      return LDM_E_INVALID_FIELD;
    case StorageErrorCode::kSameDisk:
      return LDM_E_ASSOC;
    case StorageErrorCode::kWrongLayout:
      return LDM_E_INVALID;
    case StorageErrorCode::kNotRaid5:
      return LDM_E_NOTRAIDVOL;
    case StorageErrorCode::kNotAMember:
      return LDM_E_NO_ASSOC;
    case StorageErrorCode::kLastCopy:
      return LDM_E_ENABLED;
    case StorageErrorCode::kNotFailed:
      return LDM_E_NOT_DIS;
    case StorageErrorCode::kTooManyFailed:
      return LDM_E_BADRAID;
    case StorageErrorCode::kDiskMissing:
      return LDM_E_DAOFFLINE;
    case StorageErrorCode::kRetainedExists:
      return LDM_E_EXIST;
    case StorageErrorCode::kNotRetained:
      return LDM_E_NORECORD;
    case StorageErrorCode::kCannotConvert:
      return LDM_E_NOSUPPORT;
    case StorageErrorCode::kNotFormattable:
      return LDM_E_BAD_FS;
    case StorageErrorCode::kBadLabel:
      return LDM_E_BAD_LABEL;
    case StorageErrorCode::kBadUnit:
      return E_INVALIDARG;
    case StorageErrorCode::kUnitTooSmall:
      return LDM_CLUSTER_SIZE_TOO_SMALL;
    case StorageErrorCode::kUnitTooBig:
      return LDM_CLUSTER_SIZE_TOO_BIG;
    case StorageErrorCode::kTooManyUnits:
      return LDM_CLUSTER_COUNT_TOO_HIGH;
    case StorageErrorCode::kVolumeTooSmall:
      return LDM_E_VOL_TOO_SMALL;
    case StorageErrorCode::kVolumeTooBig:
      return LDM_E_VOL_TOO_BIG;
    case StorageErrorCode::kNoCompression:
      return LDM_E_NOSUPPORT;
    case StorageErrorCode::kBadSector:
      return LDM_E_TASK_IOERROR;
    case StorageErrorCode::kNoMemory:
      return LDM_E_NOMEM;
    case StorageErrorCode::kToolFailed:
      return LDM_E_FORMAT_FAILED;
    case StorageErrorCode::kAborted:
      return LDM_E_TASK_ABORTED;
    case StorageErrorCode::kFtBadRegistry:
      return LDM_E_VB_FORMAT;
    case StorageErrorCode::kFtChanged:
      return LDM_E_CONFIG;
    case StorageErrorCode::kFtInconsistent:
      return LDM_E_DB_INCONSISTENT;
    case StorageErrorCode::kFtWrongSet:
      return LDM_E_INVALID;
    case StorageErrorCode::kFtFailed:
      return LDM_E_V_NOT_ENABLED;
    case StorageErrorCode::kFtMemberMissing:
      return LDM_E_DAOFFLINE;
    case StorageErrorCode::kFtHealthy:
      return LDM_E_NOT_DIS;
    case StorageErrorCode::kFtBusy:
      return LDM_E_BUSY;
    case StorageErrorCode::kFtMember:
      return LDM_E_ASSOC;
    case StorageErrorCode::kFtSameDisk:
      return LDM_E_INVALID_FIELD;
  }
  return LDM_E_GENERIC_ERROR;
}

HRESULT HresultOf(MountErrorCode code) {
  switch (code) {
    case MountErrorCode::kRegistry:
      return LDM_E_GENERIC_ERROR;
    case MountErrorCode::kBadLetter:
      return E_INVALIDARG;
    case MountErrorCode::kLetterTaken:
      return LDM_E_MOUNTPOINT_BUSY;
    case MountErrorCode::kLetterFree:
      return LDM_E_NO_ASSOC;
    case MountErrorCode::kNotNtfs:
    case MountErrorCode::kOldNtfs:
      return LDM_E_INVALID_FS;
    case MountErrorCode::kUnsoundVolume:
      return LDM_E_BAD_FS;
    case MountErrorCode::kVolumeInUse:
      return LDM_E_VOLUME_IN_USE;
    case MountErrorCode::kBadPath:
      return LDM_E_INVALID_NAME;
    case MountErrorCode::kPathNotFound:
    case MountErrorCode::kNotDirectory:
    case MountErrorCode::kReparsePoint:
      return LDM_E_INVALID_PATH;
    case MountErrorCode::kDirNotEmpty:
      return LDM_E_DIR_NOT_EMPTY;
    case MountErrorCode::kNotMountPoint:
      return LDM_E_NOT_DRIVE_PATH;
    case MountErrorCode::kReadOnly:
      return LDM_E_WRITE_PROTECTED;
    case MountErrorCode::kNoSpace:
      return LDM_E_INSUFFICIENT_SPACE;
    case MountErrorCode::kIoError:
      return LDM_E_IO_ERROR;
  }
  return LDM_E_GENERIC_ERROR;
}

}  // namespace

std::u16string MessageFor(const Refusal& refusal) {
  const HresultInfo* known = FindHresult(refusal.hr);
  std::string text = known != nullptr ? std::string(known->meaning) : refusal.reason;
  if (text.empty()) {
    text = HresultText(refusal.hr);
  }
  std::u16string message = ToUtf16(text).value_or(u"failed");
  message.push_back(u'\0');
  return message;
}

Outcome<void> Validate(std::initializer_list<Check> checks) {
  for (const Check& check : checks) {
    if (!check.holds()) {
      return Reject(check.error, "not so: " + std::string(check.rule));
    }
  }
  return {};
}

tl::unexpected<Refusal> Reject(HRESULT hr, std::string reason) {
  return tl::unexpected(Refusal{hr, std::move(reason)});
}

tl::unexpected<Refusal> Reject(const StorageError& error) {
  return Reject(HresultOf(error.code), error.ToString());
}

tl::unexpected<Refusal> Reject(const MountError& error) {
  return Reject(HresultOf(error.code), error.ToString());
}

tl::unexpected<Refusal> RejectDevice(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kDenied:
      return Reject(LDM_E_RDONLY, error.ToString());
    case ErrorKind::kUnavailable:
      return Reject(LDM_E_BAD_DISK, error.ToString());
    default:
      return Reject(LDM_E_IO_ERROR, error.ToString());
  }
}

}  // namespace dmrp::server
