// The master boot record and the extended boot records behind it, as octets.
#pragma once

#include "reference_server/storage/disk_layout.hpp"

#include <array>
#include <optional>
#include <span>

namespace dmrp::server {

inline constexpr std::uint8_t kMbrTypeUnused = 0x00;
inline constexpr std::uint8_t kMbrTypeFat12 = 0x01;        ///< PARTITION_FAT_12
inline constexpr std::uint8_t kMbrTypeFat16 = 0x04;        ///< PARTITION_FAT_16, below 32 MiB
inline constexpr std::uint8_t kMbrTypeExtended = 0x05;     ///< PARTITION_EXTENDED
inline constexpr std::uint8_t kMbrTypeHugeFat16 = 0x06;    ///< FAT16 of 32 MiB and more
inline constexpr std::uint8_t kMbrTypeIfs = 0x07;          ///< PARTITION_IFS
inline constexpr std::uint8_t kMbrTypeFat32 = 0x0B;        ///< PARTITION_FAT32
inline constexpr std::uint8_t kMbrTypeFat32Lba = 0x0C;     ///< as 0B, where CHS does not reach
inline constexpr std::uint8_t kMbrTypeExtendedLba = 0x0F;  ///< as 05, for readers that do not use CHS
inline constexpr std::uint8_t kMbrTypeLdm = 0x42;          ///< PARTITION_LDM
inline constexpr std::uint8_t kMbrTypeProtective = 0xEE;   ///< a GPT follows

/// Sectors that a 32-bit sector number reaches.
inline constexpr std::uint64_t kMbrSectorLimit = std::uint64_t{1} << 32;

[[nodiscard]] constexpr bool IsExtendedType(std::uint8_t type) {
  return type == kMbrTypeExtended || type == kMbrTypeExtendedLba;
}

/// One of the four entries of an MBR or EBR. Sector numbers as stored: relative to the disk in an MBR, to
/// the EBR for its logical drive, to the extended partition for the link to the next EBR.
struct MbrEntry {
  std::uint8_t bootFlag = 0;
  std::uint8_t type = kMbrTypeUnused;
  std::uint32_t start = 0;
  std::uint32_t sectors = 0;

  [[nodiscard]] bool Used() const { return type != kMbrTypeUnused && sectors != 0; }
};

/// The three octets head, sector and cylinder of an absolute sector number. Beyond cylinder 1023: the
/// last head and sector of cylinder 1023 (FE FF FF for 255/63).
[[nodiscard]] std::array<std::uint8_t, 3> EncodeChs(std::uint64_t sector, const DiskGeometry& geometry);

/// True when the sector ends with 55 AA at 510 (whatever the sector size).
[[nodiscard]] bool HasBootMark(std::span<const std::byte> sector);
/// True when the sector is the first one of a FAT or NTFS file system.
[[nodiscard]] bool IsFileSystemBootSector(std::span<const std::byte> sector);

[[nodiscard]] MbrEntry GetEntry(std::span<const std::byte> sector, std::size_t slot);
/// Stores an entry; `absolute_start` is the sector that its CHS fields name.
void SetEntry(std::span<std::byte> sector, std::size_t slot, const MbrEntry& entry,
              std::uint64_t absolute_start, const DiskGeometry& geometry);
void ClearEntry(std::span<std::byte> sector, std::size_t slot);
/// Copies the 16 octets of an entry.
void CopyEntry(std::span<const std::byte> from, std::size_t from_slot, std::span<std::byte> into,
               std::size_t into_slot);
/// Replaces the type of an entry and nothing else.
void SetEntryType(std::span<std::byte> sector, std::size_t slot, std::uint8_t type);
void SetBootFlag(std::span<std::byte> sector, std::size_t slot, bool active);
void SetBootMark(std::span<std::byte> sector);

[[nodiscard]] std::uint32_t GetSignature(std::span<const std::byte> mbr);
void SetSignature(std::span<std::byte> mbr, std::uint32_t signature);
/// Zeroes the 440 octets before the signature.
void ClearBootCode(std::span<std::byte> mbr);

/// One EBR of a chain. Sector numbers are absolute.
struct EbrNode {
  std::uint64_t sector = 0;
  std::uint8_t type = 0;  ///< of the logical drive; 0 when the EBR describes none
  std::uint64_t dataStart = 0;
  std::uint64_t dataSectors = 0;
  Bytes raw{};  ///< the sector as read

  [[nodiscard]] bool HasData() const { return dataSectors != 0; }
  [[nodiscard]] std::uint64_t DataEnd() const { return dataStart + dataSectors; }
};

/// Reads the chain of an extended partition that starts at sector `start`. Faults are added to
/// `anomalies` and end the chain.
StorageResult<std::vector<EbrNode>> ReadEbrChain(BlockDevice& device, std::uint64_t start,
                                                 std::uint64_t sectors, std::vector<TableAnomaly>& anomalies);

}  // namespace dmrp::server
