// What a machine's registry says of NT fault-tolerant sets: the value `Information` of HKLM\SYSTEM\DISK, by
// hivex and a decoder of its own.
//
//   auto record = FtRecord::ReadFile("/run/system");
//   EXPECT_THAT(record->problems, IsEmpty());
//   EXPECT_EQ(ToText(record->sets.at(0)), "mirror 0 ok E: [11111111+32256+8388608 healthy, ...]");
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::harness {

/// A partition as the record lists it. Offsets and lengths are octets.
struct FtRecordPartition {
  std::uint32_t signature = 0;  ///< of its disk
  std::uint64_t start = 0;
  std::uint64_t length = 0;
  std::uint64_t ft_length = 0;
  std::uint32_t ft_type = 4;  ///< 0 mirror, 1 stripe, 2 parity, 3 volume set, 4 none
  std::uint32_t ft_state = 0;
  char letter = 0;  ///< 0: none
  std::uint16_t number = 0;
  std::uint16_t group = 0;
  std::uint16_t place = 0;
  friend bool operator==(const FtRecordPartition&, const FtRecordPartition&) = default;
};

struct FtRecordMember {
  std::uint32_t state = 0;  ///< 0 healthy, 1 orphaned, 2 regenerating, 3 initializing, 4 sync
  FtRecordPartition partition;
};

struct FtRecordSet {
  std::uint32_t type = 0;
  std::uint32_t state =
      0;  ///< 0 ok, 1 orphan, 2 disabled, 3 regenerating, 4 initializing, 5 check parity, 6 no check data
  std::vector<FtRecordMember> members;  ///< in the order of their data

  [[nodiscard]] std::uint16_t group() const { return members.empty() ? 0 : members.front().partition.group; }
};

struct FtRecord {
  /// From a hive file on this machine. Nothing when the hive has no record; kSystem for a file that hivex
  /// does not read as a hive, kMalformed for a value that ends too early.
  static Result<std::optional<FtRecord>> ReadFile(const std::filesystem::path& hive);
  /// From the octets of the value.
  static Result<FtRecord> Decode(std::span<const std::byte> value);

  /// The set of a type ("mirror", "stripe", "parity", "volume") and group; or null.
  [[nodiscard]] const FtRecordSet* Find(std::string_view type, std::uint16_t group = 0) const&;
  const FtRecordSet* Find(std::string_view type, std::uint16_t group = 0) const&& = delete;
  /// The partition that the record lists at that place; or null.
  [[nodiscard]] const FtRecordPartition* FindPartition(std::uint32_t signature, std::uint64_t start) const&;
  const FtRecordPartition* FindPartition(std::uint32_t signature, std::uint64_t start) const&& = delete;

  std::vector<std::uint32_t> disks;           ///< signatures, in the order of the record
  std::vector<FtRecordPartition> partitions;  ///< of all disks, in the order of the record
  std::vector<FtRecordSet> sets;
  /// What contradicts itself, one sentence each: parts that overlap, members that lead to no partition or to
  /// one that says something else than the set.
  std::vector<std::string> problems;
};

/// "mirror 0 ok E: [11111111+32256+8388608 healthy, 22222222+32256+8388608 orphaned]".
std::string ToText(const FtRecordSet& set);
/// All sets, one a line.
std::string ToText(const FtRecord& record);

}  // namespace dmrp::harness
