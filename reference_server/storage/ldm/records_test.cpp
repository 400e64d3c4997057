// Records as octets: every field and every optional one, and what is refused.
#include "reference_server/storage/ldm/records.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server::ldm {
namespace {

const Guid kGuid = *Guid::Parse("d17c2c04-6afc-46c3-84b7-cdc2f3956c5c");

VolumeRecord Volume() {
  return {.id = 1057,
          .name = "Volume1",
          .type = std::string(kVolumeGeneric),
          .noDriveLetter = std::string(kNoDriveLetter),
          .state = std::string(kStateActive),
          .readPolicy = kReadSelect,
          .volumeNumber = 5,
          .flags = 0x11,
          .plexCount = 1,
          .commitTransaction = 1065,
          .updateId = 1064,
          .size = 96256,
          .unknown = 7,
          .partitionType = 7,
          .guid = kGuid};
}

PlexRecord Plex() {
  return {.id = 1059,
          .name = "Volume1-01",
          .state = std::string(kStateActive),
          .layout = PlexLayout::kConcat,
          .flags = kPlexRecover,
          .subdiskCount = 1,
          .commitTransaction = 1062,
          .unknown = 9,
          .volumeId = 1057,
          .logSubdiskId = 0};
}

SubdiskRecord Subdisk() {
  return {.id = 1061,
          .name = "Disk1-01",
          .flags = kSubdiskRelocate,
          .commitTransaction = 1062,
          .start = 0x1122334455,
          .offset = 3,
          .size = 96256,
          .plexId = 1059,
          .diskId = 1027};
}

std::vector<Record> RecordsWithEveryOptionalField() {
  std::vector<Record> records;
  DiskGroupRecord group{
      .id = 1025, .name = "TestDg0", .guid = kGuid, .unknown = 3, .commitTransaction = 1028};
  records.emplace_back(group);
  group.copies = {.config = kAllCopies, .log = 2};
  records.emplace_back(group);
  group.minors = 77;
  records.emplace_back(group);
  group.copies.reset();
  group.diskSetGuid = Guid::Random();
  records.emplace_back(group);
  DiskRecord disk{.id = 1027,
                  .name = "Disk1",
                  .guid = kGuid,
                  .lastDeviceName = "",
                  .flags = kDiskFailing,
                  .commitTransaction = 1028};
  records.emplace_back(disk);
  disk.lastDeviceName = std::string(200, 'x');
  records.emplace_back(disk);
  disk.diskSetGuid = Guid::Random();
  records.emplace_back(disk);
  VolumeRecord volume = Volume();
  records.emplace_back(volume);
  for (int bits = 0; bits < 16; ++bits) {
    volume = Volume();
    if ((bits & 1) != 0) volume.id1 = 1;
    if ((bits & 2) != 0) volume.id2 = 0;
    if ((bits & 4) != 0) volume.columnSize = std::uint64_t{1} << 33;
    if ((bits & 8) != 0) volume.hint = "E:";
    records.emplace_back(volume);
  }
  PlexRecord plex = Plex();
  records.emplace_back(plex);
  for (const PlexLayout layout : {PlexLayout::kStripe, PlexLayout::kRaid5}) {
    plex.layout = layout;
    plex.stripe = {.size = 128, .columns = 3};
    records.emplace_back(plex);
  }
  for (int bits = 0; bits < 16; ++bits) {
    SubdiskRecord subdisk = Subdisk();
    if ((bits & 1) != 0) subdisk.column = 31;
    if ((bits & 2) != 0) subdisk.secondTransaction = 12;
    if ((bits & 4) != 0) subdisk.unknown40 = 0;
    if ((bits & 8) != 0) subdisk.hidden = 63;
    records.emplace_back(subdisk);
  }
  return records;
}

TEST(LdmRecordsTest, EveryRecordReadsAsItWasWritten) {
  for (const Record& record : RecordsWithEveryOptionalField()) {
    for (const RecordStatus status :
         {RecordStatus::kActive, RecordStatus::kToBeDeleted, RecordStatus::kToBeActivated}) {
      const auto octets = SerializeRecord(record, status);
      ASSERT_TRUE(octets) << octets.error().ToString();
      Bytes padded = *octets;
      padded.resize((padded.size() + kSlotPayload - 1) / kSlotPayload * kSlotPayload);
      const auto read = ParseRecord(padded);
      ASSERT_TRUE(read) << Describe(record) << ": " << read.error().ToString();
      EXPECT_TRUE(read->record == record) << Describe(record);
      EXPECT_EQ(read->status, status);
    }
  }
}

TEST(LdmRecordsTest, OctetsAreThoseOfWindows) {
  VolumeRecord volume = Volume();
  volume.noDriveLetter = "";
  volume.unknown = 0;
  volume.hint = "E:";
  EXPECT_EQ(ToHex(*SerializeRecord(volume)),
            ToHex(*FromHex(
                "0000 02 51 00000053 020421 07566f6c756d6531 0367656e 00 4143544956450000000000000000 03 0105"
                "00000011 0101 0000000000000429 0000000000000428 03017800 00000000 07"
                "d17c2c046afc46c384b7cdc2f3956c5c 02453a")));
  SubdiskRecord subdisk = Subdisk();
  subdisk.flags = 0;
  subdisk.start = subdisk.offset = 0;
  subdisk.column = 1;
  subdisk.unknown40 = 0;
  EXPECT_EQ(ToHex(*SerializeRecord(subdisk)),
            ToHex(*FromHex(
                "0000 48 33 00000035 020425 084469736b312d3031 00000000 0000000000000426 0000000000000000"
                "0000000000000000 03017800 020423 020403 0101 00")));
}

TEST(LdmRecordsTest, SizesFrom4GiBlocksOnTakeEightOctetsAndColumnZeroIsNotStored) {
  SubdiskRecord subdisk = Subdisk();
  const std::size_t small = SerializeRecord(subdisk)->size();
  subdisk.size = 0xFFFFFFFF;
  EXPECT_EQ(SerializeRecord(subdisk)->size(), small + 1);
  subdisk.size = 0x100000000;
  EXPECT_EQ(SerializeRecord(subdisk)->size(), small + 5);
  subdisk.size = 96256;
  subdisk.column = 1;
  EXPECT_EQ(SerializeRecord(subdisk)->size(), small + 2);
}

TEST(LdmRecordsTest, AFieldCutOffIsMalformedWhereverItIs) {
  for (const Record& record : RecordsWithEveryOptionalField()) {
    const Bytes octets = *SerializeRecord(record);
    for (std::size_t length = 8; length < octets.size(); ++length) {
      Bytes cut(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(length));
      EXPECT_FALSE(ParseRecord(cut)) << Describe(record) << " of " << length << " octets";
      // And with a length that says so.
      const auto fields = static_cast<std::uint32_t>(length - 8);
      for (std::size_t i = 0; i < 4; ++i) cut[4 + i] = static_cast<std::byte>(fields >> (24 - 8 * i));
      EXPECT_FALSE(ParseRecord(cut)) << Describe(record) << " with length " << fields;
    }
  }
}

TEST(LdmRecordsTest, WhatIsNotKnownIsNotRead) {
  const Bytes good = *SerializeRecord(Volume());
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes octets = good;
    octets[at] = static_cast<std::byte>(value);
    return ParseRecord(octets);
  };
  EXPECT_EQ(with(3, 0x52).error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(with(2, 0x01).error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(with(1, 3).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(with(2, 0x02).error().kind, ErrorKind::kMalformed);  // a hint that is not there
  Bytes longer = good;
  longer.push_back(std::byte{1});
  EXPECT_EQ(ParseRecord(longer).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(ParseRecord(Bytes(4)).error().kind, ErrorKind::kMalformed);
  EXPECT_THAT(with(8, 9).error().message, testing::HasSubstr("volume record: id"));
}

TEST(LdmRecordsTest, WhatDoesNotFitIsNotWritten) {
  VolumeRecord volume = Volume();
  volume.name = std::string(256, 'n');
  EXPECT_EQ(SerializeRecord(volume).error().kind, ErrorKind::kLimit);
  volume = Volume();
  volume.state = "FIFTEEN OCTETS.";
  EXPECT_EQ(SerializeRecord(volume).error().kind, ErrorKind::kLimit);
  volume = Volume();
  volume.name = std::string(250, 'n');
  volume.hint = std::string(250, 'h');
  EXPECT_EQ(SerializeRecord(volume).error().kind, ErrorKind::kLimit);
}

}  // namespace
}  // namespace dmrp::server::ldm
