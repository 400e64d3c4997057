#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace dmrp::server {

/// Why storage refused or failed an operation. No refusal changes the disk; the codes from kBadSector on say
/// that work had begun. If you add a code, extend
/// StorageErrorName and the table of the methods layer that maps codes to HRESULTs.
enum class StorageErrorCode : std::uint8_t {
  kIoError,           ///< the device failed to read or write
  kReadOnly,          ///< the device refuses writes
  kNotInitialized,    ///< the disk has neither an MBR nor a GPT
  kDynamicDisk,       ///< the disk belongs to the Logical Disk Manager
  kDamagedTable,      ///< the table breaks its format, so nothing is changed that rests on it
  kWrongStyle,        ///< the operation does not exist for the partition style of the disk
  kWrongType,         ///< the region type asked for does not go with the region named
  kNotFound,          ///< no partition starts at the offset named
  kNotFree,           ///< the range asked for meets a used region
  kOutOfRange,        ///< the range asked for leaves the free region named
  kMisaligned,        ///< start or length is no multiple of the sector size
  kTooSmall,          ///< the length cannot hold what was asked for
  kTableFull,         ///< no free entry: four in an MBR, the entry count in a GPT
  kExtendedExists,    ///< the disk has its one extended partition already
  kExtendedNotEmpty,  ///< the extended partition still holds logical drives
  kNotEmpty,          ///< the disk has partitions and the operation wants none
  kDiskTooSmall,      ///< the disk cannot hold the table asked for
  kNotDynamic,        ///< the disk belongs to no disk group of the Logical Disk Manager
  kOtherGroup,        ///< the disk belongs to another disk group
  kGroupMismatch,     ///< disks of different disk groups in one request
  kGroupChanged,      ///< the disk group was changed since the caller looked at it
  kDatabaseFull,      ///< the database of the disk group has no room for the records
  kDamagedGroup,      ///< the database of the disk group cannot be relied on
  kTooManyVolumes,    ///< all volume numbers of the disk group are in use
  kNoSpace,           ///< the disk has not enough free space
  kFragmented,        ///< the space is there, but not in one piece
  kNotAdjacent,       ///< the space behind the volume's own is not free
  kUnequalMembers,    ///< members of different length, where the layout wants equal ones
  kTooManyMembers,    ///< more plexes, columns or extents than a volume can have
  kTooFewMembers,     ///< fewer members than the layout needs
  kSameDisk,          ///< two members would lie on one disk
  kWrongLayout,       ///< the operation does not exist for the layout of the volume
  kNotRaid5,          ///< only a RAID-5 volume allows the operation
  kNotAMember,        ///< the volume has no member on the disk
  kLastCopy,          ///< no other member has the data
  kNotFailed,         ///< the member is sound and need not be replaced
  kTooManyFailed,     ///< more members failed than the layout can do without
  kDiskMissing,       ///< a disk that the operation needs is not there
  kRetainedExists,    ///< the volume has partition table entries of its own
  kNotRetained,       ///< the volume has no partition table entries of its own
  kCannotConvert,     ///< the partitions of the disk keep it from becoming dynamic
  kNotFormattable,    ///< no file system of the type asked for can be made
  kBadLabel,          ///< the label is too long for the file system or has a character it forbids
  kBadUnit,           ///< the file system has no allocation units of the size asked for
  kUnitTooSmall,      ///< the allocation unit is smaller than a sector
  kUnitTooBig,        ///< the volume has too few allocation units of the size asked for
  kTooManyUnits,      ///< the volume has more allocation units of the size asked for than can be numbered
  kVolumeTooSmall,    ///< the volume is smaller than the smallest file system of the type asked for
  kVolumeTooBig,      ///< the volume is bigger than the file system type asked for allows
  kNoCompression,     ///< the file system cannot compress, or not with allocation units of that size
  kBadSector,         ///< a sector of the volume cannot be read
  kNoMemory,          ///< too little memory to make the file system in
  kToolFailed,        ///< the program that makes the file system could not be run or failed
  kAborted,           ///< the caller asked for the end
  kFtBadRegistry,     ///< the registry's record of the FT sets cannot be read, or not be understood
  kFtChanged,         ///< another program changed the registry's record of the FT sets in between
  kFtInconsistent,    ///< registry and disks contradict each other about the FT set
  kFtWrongSet,        ///< the operation does not exist for FT sets of that type
  kFtFailed,          ///< too few members of the FT set are whole
  kFtMemberMissing,   ///< the member to rebuild is not there
  kFtHealthy,         ///< no member of the FT set failed
  kFtBusy,            ///< the FT set is being rebuilt already
  kFtMember,          ///< the partition belongs to an FT set
  kFtSameDisk,        ///< the FT set has a member on that disk already
};

/// The name of a code without the leading k.
std::string_view StorageErrorName(StorageErrorCode code);

struct StorageError {
  StorageErrorCode code = StorageErrorCode::kIoError;
  std::string message;  ///< names the offending value and the limit

  /// "OutOfRange: start 512 lies before ...", for people.
  [[nodiscard]] std::string ToString() const;
};

template <typename T>
using StorageResult = tl::expected<T, StorageError>;

[[nodiscard]] inline tl::unexpected<StorageError> Refuse(StorageErrorCode code, std::string message) {
  return tl::unexpected<StorageError>(StorageError{code, std::move(message)});
}

/// The storage error for a failure of the device itself.
[[nodiscard]] tl::unexpected<StorageError> DeviceFailed(const Error& error);

}  // namespace dmrp::server
