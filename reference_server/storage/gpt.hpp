// The GUID partition table (UEFI 2.x, chapter 5) as octets: two headers, two arrays of entries, and the
// protective MBR.
#pragma once

#include "reference_server/storage/disk_layout.hpp"

#include <optional>
#include <span>

namespace dmrp::server {

extern const Guid kGptTypeBasicData;          ///< PARTITION_BASIC_DATA_GUID
extern const Guid kGptTypeMicrosoftReserved;  ///< PARTITION_MSFT_RESERVED_GUID
extern const Guid kGptTypeLdmMetadata;        ///< PARTITION_LDM_METADATA_GUID
extern const Guid kGptTypeLdmData;            ///< PARTITION_LDM_DATA_GUID

inline constexpr std::uint32_t kGptEntries = 128;      ///< entries of a table that we make
inline constexpr std::uint32_t kGptEntrySize = 128;    ///< octets of an entry that we make
inline constexpr std::uint32_t kGptMaxEntries = 4096;  ///< tables that claim more are not read
inline constexpr std::size_t kGptNameUnits = 36;       ///< UTF-16 units of a name

struct GptEntry {
  Guid type{};  ///< null: unused
  Guid id{};
  std::uint64_t firstSector = 0;
  std::uint64_t lastSector = 0;  ///< inclusive
  std::uint64_t attributes = 0;
  std::u16string name{};
};

/// A table and where its two copies lie.
struct GptTable {
  Guid diskId;
  std::uint64_t firstUsable = 0;
  std::uint64_t lastUsable = 0;
  std::uint32_t entryCount = kGptEntries;
  std::uint32_t entrySize = kGptEntrySize;
  std::uint64_t primaryEntriesAt = 2;  ///< sectors
  std::uint64_t backupAt = 0;
  std::uint64_t backupEntriesAt = 0;
  Bytes entries;  ///< entryCount * entrySize octets
  GptCopies copies = GptCopies::kBoth;

  [[nodiscard]] GptEntry Entry(std::uint32_t index) const;
  void SetEntry(std::uint32_t index, const GptEntry& entry);
  void ClearEntry(std::uint32_t index);
  [[nodiscard]] std::uint64_t EntrySectors(std::uint32_t sector_size) const {
    return (entries.size() + sector_size - 1) / sector_size;
  }
};

/// True when an MBR has an entry of type EE that starts at sector 1.
[[nodiscard]] bool IsProtectiveMbr(std::span<const std::byte> mbr);

/// An empty table with a fresh disk GUID for a disk of this size; kDiskTooSmall.
StorageResult<GptTable> MakeGpt(const DiskGeometry& geometry);

/// Reads both copies and takes the primary one when it is good. Nothing when neither is. What is wrong
/// is added to `anomalies`; a copy counts as good when its header and entries have the right CRCs and all
/// its members are in range.
StorageResult<std::optional<GptTable>> ReadGpt(BlockDevice& device, std::vector<TableAnomaly>& anomalies);

/// Replaces `before` (as read) by `after`, which differs in its disk GUID and entries only: mends the
/// primary copy first when only the backup is good, then writes the backup, then the primary, with
/// barriers, so that one good copy exists at any time.
StorageResult<void> ReplaceGpt(BlockDevice& device, const GptTable& before, const GptTable& after);

/// Writes both copies of a table to a disk that has none. The caller writes the protective MBR last.
StorageResult<void> WriteNewGpt(BlockDevice& device, const GptTable& table);

/// Turns an MBR into a protective one: its boot code stays, its entries and signature go.
void MakeProtective(std::span<std::byte> mbr, const DiskGeometry& geometry);

}  // namespace dmrp::server
