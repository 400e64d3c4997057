// Disks with FT sets for tests: partitions made by the storage code, the record put together member by
// member.
#pragma once

#include "reference_server/platform/memory_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/ft/ft_operations.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dmrp::server::ft {

inline constexpr std::uint64_t kFirst = 32256;  // of a 255/63 disk

/// A system with disks of signatures 0x11111111, 0x22222222, ... and a record of FT sets.
struct FtSystem {
  std::vector<MemoryDevice> disks;
  DiskRegistry record;

  explicit FtSystem(std::size_t count, std::uint64_t size = 40 * kMiB) {
    for (std::size_t i = 0; i < count; ++i) AddDisk(static_cast<std::uint32_t>(0x11111111 * (i + 1)), size);
  }

  std::size_t AddDisk(std::uint32_t signature, std::uint64_t size = 40 * kMiB) {
    MemoryDevice disk({.sizeBytes = size});
    EXPECT_TRUE(InitializeStyle(disk, {.style = PartitionStyle::kMbr}));
    const std::array<std::byte, 4> octets{
        static_cast<std::byte>(signature), static_cast<std::byte>(signature >> 8),
        static_cast<std::byte>(signature >> 16), static_cast<std::byte>(signature >> 24)};
    disk.Poke(0x1B8, octets);
    disks.push_back(std::move(disk));
    return disks.size() - 1;
  }

  /// A partition at the start of the first free region of a disk.
  Region AddPartition(std::size_t disk, std::uint64_t length, RegionKind kind = RegionKind::kPrimary,
                      std::uint8_t type = 0x07) {
    const Region free = FreeRegion(
        LayoutOf(disks[disk]), kind == RegionKind::kLogical ? RegionKind::kExtendedFree : RegionKind::kFree);
    const auto made = CreatePartition(disks[disk], {.kind = kind,
                                                    .freeRegion = free.start,
                                                    .start = static_cast<std::int64_t>(free.start),
                                                    .length = static_cast<std::int64_t>(length)});
    EXPECT_TRUE(made) << made.error().ToString();
    if (kind != RegionKind::kExtended) SetType(disk, made->region.start, type);
    return *LayoutOf(disks[disk]).FindPartition(made->region.start);
  }

  void SetType(std::size_t disk, std::uint64_t start, std::uint8_t type) {
    const auto done = SetMbrType(disks[disk], start, type);
    ASSERT_TRUE(done) << done.error().ToString();
  }

  /// Lists a partition in the record.
  PartitionRef List(std::size_t disk, const Region& region, const DiskPartition& what) {
    const std::uint32_t signature = LayoutOf(disks[disk]).mbrSignature;
    auto found = std::ranges::find(record.disks, signature, &DiskDescription::signature);
    if (found == record.disks.end()) found = record.disks.insert(found, {0, signature, {}});
    DiskPartition entry = what;
    entry.startingOffset = region.start;
    entry.length = region.length;
    entry.logicalNumber = static_cast<std::uint16_t>(region.number);
    found->partitions.push_back(entry);
    return {static_cast<std::size_t>(found - record.disks.begin()), found->partitions.size() - 1};
  }

  /// A set with one fresh partition of each length on the disks named, type 87.
  std::size_t AddSet(FtType type, const std::vector<std::pair<std::size_t, std::uint64_t>>& members,
                     char letter = 0, RegionKind kind = RegionKind::kPrimary) {
    FtSetRecord set;
    set.type = type;
    const auto group = static_cast<std::uint16_t>(std::ranges::count(record.sets, type, &FtSetRecord::type));
    for (std::size_t place = 0; place < members.size(); ++place) {
      const auto& [disk, length] = members[place];
      const Region region = AddPartition(disk, length, kind, 0x87);
      DiskPartition entry;
      entry.ftType = type;
      entry.driveLetter = static_cast<std::uint8_t>(letter);
      entry.assignDriveLetter = letter == 0 ? 0 : 1;
      entry.ftGroup = group;
      entry.ftMember = static_cast<std::uint16_t>(place);
      set.members.push_back({FtMemberState::kHealthy, 0, LayoutOf(disks[disk]).mbrSignature,
                             List(disk, region, entry), region.number});
    }
    record.sets.push_back(std::move(set));
    return record.sets.size() - 1;
  }

  void SetMemberState(std::size_t set, std::size_t place, FtMemberState state) {
    FtMemberRecord& member = record.sets[set].members[place];
    member.state = state;
    record.Find(member.partition)->ftState = static_cast<std::uint32_t>(state);
  }

  /// What is present: all disks, but those named.
  [[nodiscard]] std::vector<FtDisk> Present(const std::vector<std::size_t>& without = {}) {
    std::vector<FtDisk> present;
    for (std::size_t i = 0; i < disks.size(); ++i) {
      const bool gone = std::ranges::find(without, i) != without.end();
      present.push_back({gone ? DiskLayout{} : LayoutOf(disks[i])});
    }
    return present;
  }
  [[nodiscard]] FtVolume Volume(std::size_t set, const std::vector<std::size_t>& without = {}) {
    return ReadFtSets(record, Present(without)).volumes.at(set);
  }
  [[nodiscard]] std::uint8_t TypeAt(std::size_t disk, std::uint64_t start) {
    const DiskLayout layout = LayoutOf(disks[disk]);
    const Region* region = layout.FindPartition(start);
    return region == nullptr ? std::uint8_t{0} : region->mbrType;
  }

  /// Makes a change real on the disks and in the record.
  void Take(const FtChange& change) {
    ASSERT_EQ(change.before, record);
    record = change.after;
    for (const PartitionChange& partition : change.partitions) {
      const auto done = Apply(disks[partition.disk], partition);
      ASSERT_TRUE(done) << done.error().ToString();
    }
  }
};

/// "mirror-0 Healthy 1048576 E [11111111+32256 Healthy 87, ...]".
inline std::string ToText(const FtVolume& volume) {
  std::string text = fmt::format("{} {} {} {} [", volume.Key(), FtStatusName(volume.status), volume.length,
                                 volume.letter.value_or('-'));
  for (std::size_t i = 0; i < volume.members.size(); ++i) {
    const FtMember& member = volume.members[i];
    text += fmt::format("{}{:08x}+{} {} {:02x}", i == 0 ? "" : ", ", member.signature, member.start,
                        FtMemberHealthName(member.health), member.partitionType);
  }
  return text + "]";
}

inline std::vector<FtProblemKind> ProblemsOf(const FtVolume& volume) {
  std::vector<FtProblemKind> kinds;
  for (const FtProblem& problem : volume.problems) kinds.push_back(problem.kind);
  return kinds;
}

}  // namespace dmrp::server::ft
