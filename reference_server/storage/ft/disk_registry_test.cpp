#include "reference_server/storage/ft/disk_registry.hpp"

#include "reference_server/storage/little_endian.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace dmrp::server::ft {
namespace {

// A mirror E: of two disks with one partition each, packed by Python's struct module.
constexpr std::string_view kMirror =
    "03000000 00000000 00000000 2c000000 7c000000 a8000000 30000000 00000000 "
    "00000000 00000000 00000000 02000000 01000000 11111111 00000000 00000000 "
    "007e0000 00000000 00827d00 00000000 00000000 00000000 00000000 00000000 "
    "45010100 00000000 00000000 01000000 22222222 00000000 00000000 007e0000 "
    "00000000 00827d00 00000000 00000000 00000000 00000000 00000000 45010100 "
    "00000100 00000000 01000000 02000000 00000000 00000000 00000000 11111111 "
    "38000000 01000000 00000000 22222222 74000000 01000000 ";

// A parity set of three disks that have a plain partition, too, its second member orphaned; a gap between
// disks and sets, names, and five octets behind all.
constexpr std::string_view kParity =
    "03000000 01efcdab 00000000 2c000000 54010000 86010000 40000000 00000000 "
    "00000000 c6010000 12000000 03000000 02000000 01000000 04000000 00000000 "
    "007e0000 00000000 00001000 00000000 00000000 00000000 00000000 00000000 "
    "43010100 00000000 00000000 02000000 00000000 007e1000 00000000 00004000 "
    "00000000 00000000 00000000 00000000 00000000 46010200 00000000 00000000 "
    "02000000 02000000 04000000 00000000 007e0000 00000000 00001000 00000000 "
    "00000000 00000000 00000000 00000000 43010100 00000000 00000000 02000000 "
    "00000000 007e1000 00000000 00004000 00000000 00000000 00000000 00000000 "
    "00000000 46010200 00000100 00000000 02000000 03000000 04000000 00000000 "
    "007e0000 00000000 00001000 00000000 00000000 00000000 00000000 00000000 "
    "43010100 00000000 00000000 02000000 00000000 007e1000 00000000 00004000 "
    "00000000 00000000 00000000 00000000 00000000 46010200 00000200 00000000 "
    "cccccccc cccc0100 00000300 02000000 00000100 00000000 00000100 00006c00 "
    "00000200 00000100 00000200 0000dc00 00000200 00000000 00000300 00004c01 "
    "00000200 00005c44 65766963 655c4861 72646469 736b3000 dddddddd dd ";

Bytes Mirror() { return FromHex(kMirror).value(); }
Bytes Parity() { return FromHex(kParity).value(); }

ErrorKind KindOf(const Bytes& value) {
  const auto registry = DiskRegistry::Parse(value);
  EXPECT_FALSE(registry) << "was accepted";
  return registry ? ErrorKind::kUsage : registry.error().kind;
}

Bytes With(Bytes value, std::size_t offset, std::uint32_t number) {
  StoreLe(std::span<std::byte>(value), offset, number);
  return value;
}
Bytes With16(Bytes value, std::size_t offset, std::uint16_t number) {
  StoreLe(std::span<std::byte>(value), offset, number);
  return value;
}

TEST(DiskRegistry, ReadsAMirror) {
  ASSERT_EQ(Mirror().size(), 216U);
  const auto registry = DiskRegistry::Parse(Mirror());
  ASSERT_TRUE(registry) << registry.error().ToString();
  ASSERT_EQ(registry->disks.size(), 2U);
  EXPECT_EQ(registry->disks[1].signature, 0x22222222U);
  ASSERT_EQ(registry->disks[1].partitions.size(), 1U);
  const DiskPartition& partition = registry->disks[1].partitions[0];
  EXPECT_EQ(partition.ftType, FtType::kMirror);
  EXPECT_EQ(partition.startingOffset, 32256U);
  EXPECT_EQ(partition.length, 8225280U);
  EXPECT_EQ(partition.driveLetter, 'E');
  EXPECT_EQ(partition.assignDriveLetter, 1);
  EXPECT_EQ(partition.logicalNumber, 1);
  EXPECT_EQ(partition.ftMember, 1);
  ASSERT_EQ(registry->sets.size(), 1U);
  EXPECT_EQ(registry->sets[0].type, FtType::kMirror);
  EXPECT_EQ(registry->sets[0].state, FtSetState::kOk);
  ASSERT_EQ(registry->sets[0].members.size(), 2U);
  EXPECT_EQ(registry->sets[0].members[1].signature, 0x22222222U);
  EXPECT_EQ(registry->sets[0].members[1].partition, (PartitionRef{1, 0}));
}

TEST(DiskRegistry, ReadsAParitySetBesidePlainPartitions) {
  const auto registry = DiskRegistry::Parse(Parity());
  ASSERT_TRUE(registry) << registry.error().ToString();
  EXPECT_EQ(registry->checkSum, 0xABCDEF01U);
  ASSERT_EQ(registry->disks.size(), 3U);
  EXPECT_EQ(registry->disks[2].partitions[0].ftType, FtType::kNotAnFtMember);
  EXPECT_EQ(registry->disks[2].partitions[1].ftMember, 2);
  ASSERT_EQ(registry->sets.size(), 1U);
  EXPECT_EQ(registry->sets[0].type, FtType::kStripeWithParity);
  EXPECT_EQ(registry->sets[0].state, FtSetState::kHasOrphan);
  EXPECT_EQ(registry->sets[0].members[1].state, FtMemberState::kOrphaned);
  EXPECT_EQ(registry->sets[0].members[2].partition, (PartitionRef{2, 1}));
  EXPECT_EQ(registry->names.size(), 18U);
}

TEST(DiskRegistry, ComesBackOctetForOctetWhenUnchanged) {
  for (const Bytes& value : {Mirror(), Parity()}) {
    const auto registry = DiskRegistry::Parse(value);
    ASSERT_TRUE(registry);
    EXPECT_EQ(registry->Serialize(), value);
    // A copy that was changed and changed back is unchanged, too.
    DiskRegistry copy = *registry;
    copy.disks[0].signature ^= 1;
    EXPECT_NE(copy.Serialize(), value);
    copy.disks[0].signature ^= 1;
    EXPECT_EQ(copy.Serialize(), value);
  }
}

TEST(DiskRegistry, WhatItWritesItselfIsPackedAsTheHeadersSay) {
  const auto read = DiskRegistry::Parse(Mirror());
  ASSERT_TRUE(read);
  DiskRegistry made;
  made.disks = read->disks;
  made.sets = read->sets;
  EXPECT_EQ(made.Serialize(), Mirror());
}

TEST(DiskRegistry, AChangeKeepsWhatItDoesNotConcern) {
  auto registry = DiskRegistry::Parse(Parity());
  ASSERT_TRUE(registry);
  registry->sets[0].members[1].state = FtMemberState::kRegenerating;
  const auto written = registry->Serialize();
  ASSERT_TRUE(written);
  EXPECT_EQ(LoadLe<std::uint32_t>(*written, 4), 0U) << "the checksum of other octets";
  auto again = DiskRegistry::Parse(*written);
  ASSERT_TRUE(again) << again.error().ToString();
  again->checkSum = registry->checkSum;
  EXPECT_EQ(*again, *registry);
}

TEST(DiskRegistry, AValueWithoutSetsHasNoFtPart) {
  DiskRegistry registry;
  registry.disks.push_back({0, 5, {}});
  const auto written = registry.Serialize();
  ASSERT_TRUE(written);
  ASSERT_EQ(written->size(), 56U);
  EXPECT_EQ(LoadLe<std::uint32_t>(*written, 24), 0U);
  EXPECT_EQ(DiskRegistry::Parse(*written), registry);
}

TEST(DiskRegistry, EveryCutIsRefused) {
  for (const Bytes& value : {Mirror(), Parity()}) {
    const std::size_t end = value.size() - (value == Parity() ? 5 : 0);  // the tail belongs to nothing
    for (std::size_t size = 0; size < end; ++size) {
      EXPECT_FALSE(DiskRegistry::Parse(std::span(value).first(size))) << size;
    }
  }
}

TEST(DiskRegistry, PartsLieInsideAndApart) {
  EXPECT_EQ(KindOf(With(Mirror(), 12, 43)), ErrorKind::kMalformed) << "in the header";
  EXPECT_EQ(KindOf(With(Mirror(), 12, 0xFFFFFFFF)), ErrorKind::kMalformed);
  EXPECT_EQ(KindOf(With(Mirror(), 16, 0xFFFFFFFF)), ErrorKind::kMalformed);
  EXPECT_EQ(KindOf(With(Mirror(), 24, 49)), ErrorKind::kMalformed) << "one octet too long";
  EXPECT_EQ(KindOf(With(Mirror(), 16, 125)), ErrorKind::kMalformed) << "overlaps the sets";
  EXPECT_EQ(KindOf(With(Parity(), 36, 60)), ErrorKind::kMalformed) << "names in the disks";
}

TEST(DiskRegistry, CountsLieInsideTheirPart) {
  EXPECT_EQ(KindOf(With16(Mirror(), 44, 3)), ErrorKind::kMalformed) << "disks";
  EXPECT_EQ(KindOf(With16(Mirror(), 48, 3)), ErrorKind::kMalformed) << "partitions";
  EXPECT_EQ(KindOf(With16(Mirror(), 168, 2)), ErrorKind::kMalformed) << "sets";
  EXPECT_EQ(KindOf(With16(Mirror(), 172, 3)), ErrorKind::kMalformed) << "members";
  EXPECT_EQ(KindOf(With16(Mirror(), 172, 0xFFFF)), ErrorKind::kMalformed);
  EXPECT_EQ(KindOf(With(Mirror(), 16, 123)), ErrorKind::kMalformed) << "the last partition ends in the sets";
  Bytes tail = With(Mirror(), 24, 47);
  tail.resize(tail.size() + 16);
  EXPECT_EQ(KindOf(tail), ErrorKind::kMalformed) << "the last member ends behind the sets";
}

TEST(DiskRegistry, AMemberLeadsToAPartition) {
  EXPECT_EQ(KindOf(With(Mirror(), 192, 57)), ErrorKind::kMalformed) << "into an entry";
  EXPECT_EQ(KindOf(With(Mirror(), 192, 0)), ErrorKind::kMalformed);
  EXPECT_EQ(KindOf(With(Mirror(), 192, 0xFFFFFFF0)), ErrorKind::kMalformed);
}

TEST(DiskRegistry, OtherVersionsAndTypesOfMoreBitsAreRefused) {
  EXPECT_EQ(KindOf(With(Mirror(), 0, 2)), ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(With(Mirror(), 56, 0x10000)), ErrorKind::kMalformed);
  EXPECT_EQ(KindOf(Bytes(kMaxDiskRegistry + 1)), ErrorKind::kLimit);
}

TEST(DiskRegistry, ValuesThatDoNotExistAreCarried) {
  const Bytes odd = With16(With(Mirror(), 180, 77), 184, 99);
  auto registry = DiskRegistry::Parse(odd);
  ASSERT_TRUE(registry);
  EXPECT_EQ(FtSetStateName(registry->sets[0].state), "Unknown");
  EXPECT_EQ(FtMemberStateName(registry->sets[0].members[0].state), "Unknown");
  registry->dirtyShutdown = 1;
  const auto written = registry->Serialize();
  ASSERT_TRUE(written);
  EXPECT_EQ(LoadLe<std::uint32_t>(*written, 180), 77U);
}

TEST(DiskRegistry, ARecordThatCannotBeWrittenIsNot) {
  DiskRegistry registry;
  registry.sets.push_back({FtType::kMirror, 0, FtSetState::kOk, {{}}});
  EXPECT_EQ(registry.Serialize().error().kind, ErrorKind::kUsage) << "a member without a partition";
  registry.sets.clear();
  registry.disks.resize(std::numeric_limits<std::uint16_t>::max() + 1U);
  EXPECT_EQ(registry.Serialize().error().kind, ErrorKind::kLimit);
}

}  // namespace
}  // namespace dmrp::server::ft
