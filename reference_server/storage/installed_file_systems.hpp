// The file systems that this server makes and recognises, and the one place that knows their limits. The
// table answers GetInstalledFileSystems ([MS-DMRP] 3.2.4.4.1.22); PlanFormat checks a request of Format
// (3.2.4.4.1.23) against the same facts.
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "reference_server/storage/file_system.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// One row of the table: the content of IFILE_SYSTEM_INFO ([MS-DMRP] 2.2.16) and what lies behind it.
struct InstalledFileSystem {
  std::int32_t fsType = FSTYPE_UNKNOWN;  ///< FSTYPE_*
  std::u16string_view fsName{};          ///< shorter than MAX_FS_NAME_SIZE characters
  std::uint32_t fsFlags = 0;             ///< FSF_*: abilities, and a bit for every allocation unit size
  /// FSF_FS_ALLOC_SZ_*: the sizes with which compression works, as far as the protocol has a bit for them
  /// here: NTFS compresses with 512 octets too, for which 2.2.16 lists none.
  std::uint32_t fsCompressionFlags = 0;
  std::uint32_t labelLimit = 0;              ///< greatest number of characters of a label
  std::u16string_view forbidden{};           ///< IFILE_SYSTEM_INFO.iLabelChSet, without a terminating null
  std::uint32_t greatestCompressedUnit = 0;  ///< octets; 0: no compression
  std::uint64_t minVolume = 0;               ///< octets: with the unit that allows the smallest one
  std::uint64_t maxVolume = 0;               ///< octets: with the unit that allows the biggest one

  [[nodiscard]] bool Formattable() const { return (fsFlags & FSF_FS_FORMAT_SUPPORTED) != 0; }
  /// The allocation units of fsFlags in octets, ascending.
  [[nodiscard]] std::vector<std::uint32_t> Units() const;
};

/// FAT, FAT32, NTFS, CDFS and UDF, in the order of the Windows Server 2003 disk service.
[[nodiscard]] std::span<const InstalledFileSystem> InstalledFileSystems();
/// The row of an FSTYPE_* value; null when there is none.
[[nodiscard]] const InstalledFileSystem* FindInstalledFileSystem(std::int32_t fs_type);

/// The bit of an allocation unit of a power of two from 512 octets to 256 KiB (FSF_FS_ALLOC_SZ_512 and the
/// following ones), 0 for any other size.
[[nodiscard]] std::uint32_t AllocationUnitFlag(std::uint32_t unit);

/// What a client asks for: the members of FILE_SYSTEM_INFO that formatting uses ([MS-DMRP] 3.1.4.1.3).
struct FormatRequest {
  std::int32_t fsType = FSTYPE_UNKNOWN;
  std::u16string label{};                ///< without a terminating null; empty: none
  std::uint32_t allocationUnitSize = 0;  ///< octets; 0: what Windows takes for a volume of that size
  bool compression = false;              ///< ENABLE_VOLUME_COMPRESSION
  bool quick = false;                    ///< false: every sector is read first
};

/// The volume to be formatted.
struct VolumeShape {
  std::uint64_t length = 0;            ///< octets; a tail shorter than a sector is not used
  std::uint32_t bytesPerSector = 512;  ///< of the disk
};

/// A checked request: what will be made.
struct FormatPlan {
  FileSystemType type = FileSystemType::kUnknown;  ///< kFat12, kFat16, kFat32 or kNtfs
  std::u16string label;                            ///< as it will be stored: FAT labels in capitals
  std::uint32_t allocationUnitSize = 0;            ///< octets
  bool compression = false;
  std::uint32_t reservedSectors = 0;  ///< FAT: in front of the first table
  std::uint32_t rootEntries = 0;      ///< FAT12 and FAT16: in the root directory
};

/// Checks a request for a volume, in the order type, label, allocation unit, size, compression, each with an
/// error of its own that names the field, the value and the limit: kNotFormattable, kBadLabel, kBadUnit,
/// kUnitTooSmall, kVolumeTooSmall, kVolumeTooBig, kUnitTooBig, kTooManyUnits, kNoCompression. Under
/// FSTYPE_FAT the number of allocation units decides between FAT12 and FAT16.
StorageResult<FormatPlan> PlanFormat(const FormatRequest& request, const VolumeShape& volume);

/// The FAT parameters of a floppy disk: two sides, 80 tracks.
struct FloppyFormat {
  std::uint64_t length = 0;  ///< octets
  std::uint8_t media = 0;    ///< media descriptor
  std::uint32_t rootEntries = 0;
  std::uint32_t sectorsPerTrack = 0;
};
/// The format of floppy disks of 720, 1200, 1440 or 2880 KiB; null for any other length.
[[nodiscard]] const FloppyFormat* FindFloppyFormat(std::uint64_t length);

/// The allocation unit that Windows 2000 to Server 2003 take for a volume of `length` octets: for FSTYPE_FAT,
/// FSTYPE_FAT32 and FSTYPE_NTFS; at least a sector.
[[nodiscard]] std::uint32_t DefaultAllocationUnit(std::int32_t fs_type, const VolumeShape& volume);

}  // namespace dmrp::server
