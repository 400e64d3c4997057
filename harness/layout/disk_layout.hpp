// What a disk holds, as values: the common form into which every reader puts what it found.
//
// This folder judges the server's writing and shares no code with it: all reading is done by libfdisk,
// libblkid, GPT fdisk and GNU Parted. See readers.hpp for who reads, and image_diff.hpp for what changed.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace dmrp::harness {

enum class TableStyle {
  kNone,  ///< no partition table that the reader knows
  kMbr,
  kGpt,
};

/// "none", "MBR", "GPT".
std::string_view TableStyleName(TableStyle style);

/// One entry of a partition table. A member without a value is one that the reader cannot tell.
struct DiskPartition {
  /// 1 to 4 for the entries of an MBR, 5 and up for logical drives in the order of their chain; index + 1 in
  /// a GPT.
  unsigned number = 0;
  std::uint64_t start = 0;   ///< in bytes from the start of the disk
  std::uint64_t length = 0;  ///< in bytes
  std::optional<std::uint8_t> mbr_type{};
  std::optional<Guid> gpt_type{};
  std::optional<Guid> guid{};                 ///< GPT only: the partition's own
  std::optional<std::uint64_t> attributes{};  ///< GPT only: the 64 bits as they stand on disk
  std::optional<std::string> name{};          ///< GPT only: UTF-8
  bool active = false;                        ///< MBR only: the boot indicator is 0x80
  bool logical = false;                       ///< MBR only: lies in the extended partition

  friend bool operator==(const DiskPartition&, const DiskPartition&) = default;
  [[nodiscard]] bool IsExtended() const;
  [[nodiscard]] std::uint64_t end() const { return start + length; }
};

/// A partition table as one reader sees it.
struct DiskLayout {
  std::string reader;  ///< who read: "libfdisk", "libblkid", "sgdisk", "parted"
  TableStyle style = TableStyle::kNone;
  std::uint32_t sector_bytes = 512;
  std::uint64_t size_bytes = 0;            ///< of the whole disk
  std::optional<std::uint32_t> signature;  ///< MBR only
  std::optional<Guid> disk_guid;           ///< GPT only
  std::vector<DiskPartition> partitions;   ///< in ascending order of their number
  std::vector<std::string> problems;       ///< what the reader finds wrong with the table, in its words

  /// Whether two layouts hold the same table; reader and problems do not count.
  [[nodiscard]] bool SameTable(const DiskLayout& other) const;
  /// The partition of that number, or null. Not of a layout that is gone with the expression.
  [[nodiscard]] const DiskPartition* Find(unsigned number) const&;
  const DiskPartition* Find(unsigned number) const&& = delete;
  /// The partition that starts at that byte, the innermost one if an extended partition does too; or null.
  [[nodiscard]] const DiskPartition* FindAt(std::uint64_t start) const&;
  const DiskPartition* FindAt(std::uint64_t start) const&& = delete;
};

/// Every point in which two readers' accounts differ, one sentence each; members that one of them cannot tell
/// are left out. Empty: they agree.
std::vector<std::string> Dissents(const DiskLayout& one, const DiskLayout& other);

/// "MBR 0x12345678: 1 active type 0x07 at 1048576 + 8388608; 5 logical type 0x06 at ...".
std::string ToText(const DiskLayout& layout);
nlohmann::json ToJson(const DiskLayout& layout);

}  // namespace dmrp::harness
