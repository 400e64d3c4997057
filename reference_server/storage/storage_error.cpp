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
  }
  return "Unknown";
}

std::string StorageError::ToString() const { return fmt::format("{}: {}", StorageErrorName(code), message); }

tl::unexpected<StorageError> DeviceFailed(const Error& error) {
  return Refuse(error.kind == ErrorKind::kDenied ? StorageErrorCode::kReadOnly : StorageErrorCode::kIoError,
                error.ToString());
}

}  // namespace dmrp::server
