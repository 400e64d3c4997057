#pragma once

#include "reference_server/platform/block_device.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <cstdint>
#include <string>

namespace dmrp::server {

/// What lies on a partition. kUnknown: nothing that is recognised ("raw").
enum class FileSystemType : std::uint8_t { kUnknown, kNtfs, kFat12, kFat16, kFat32, kCdfs, kUdf };

/// The storage side of FILE_SYSTEM_INFO ([MS-DMRP] 2.2.15). All zero and empty for kUnknown.
struct FileSystemDescription {
  FileSystemType type = FileSystemType::kUnknown;
  std::uint64_t totalAllocationUnits = 0;
  std::uint64_t availableAllocationUnits = 0;
  std::uint32_t allocationUnitSize = 0;  ///< octets
  std::u16string label{};                ///< without a terminating null
  /// ENABLE_VOLUME_COMPRESSION: NTFS whose root directory is compressed, so that new files are too.
  bool compression = false;
  /// What formatting gives anew and nothing else changes: the volume serial number of NTFS and FAT, the
  /// checksum of the date of an ISO 9660 disc; 0 where there is none.
  std::uint64_t serialNumber = 0;

  friend bool operator==(const FileSystemDescription&, const FileSystemDescription&) = default;
};

/// Looks at the file system between `start` and `start + length`. A damaged file system is described as
/// far as its boot sector goes (no label, nothing available) or is kUnknown; kIoError only.
StorageResult<FileSystemDescription> DescribeFileSystem(BlockDevice& device, std::uint64_t start,
                                                        std::uint64_t length);

}  // namespace dmrp::server
