#include "protocol/dmrp/notification.hpp"

#include "dmrp/interfaces/fields.hpp"
#include "protocol/idlc/arbitrary.hpp"

#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace dmrp {
namespace {

using namespace std::string_literals;

Bytes Stream(const std::vector<Notification>& notifications, Pointers pointers) {
  return WriteNotifications(notifications, pointers).value();
}

template <typename T>
std::pair<std::size_t, std::size_t> FixedParts() {
  const std::vector<Notification> one{{LDMACTION_CREATED, T{}}};
  return {Stream(one, Pointers::k32Bit).size() - 12, Stream(one, Pointers::k64Bit).size() - 12};
}

TEST(NotificationLayout, OctetsBeforeTheStrings) {
  const auto parts = [](std::size_t narrow, std::size_t wide) { return std::pair(narrow, wide); };
  EXPECT_EQ(FixedParts<DISK_INFO>(), parts(116, 120));
  EXPECT_EQ(FixedParts<DISK_INFO_EX>(), parts(144, 144));
  EXPECT_EQ(FixedParts<REGION_INFO>(), parts(88, 88));
  EXPECT_EQ(FixedParts<REGION_INFO_EX>(), parts(132, 136));
  EXPECT_EQ(FixedParts<VOLUME_INFO>(), parts(64, 64));
  EXPECT_EQ(FixedParts<TASK_INFO>(), parts(56, 56));
  EXPECT_EQ(FixedParts<DRIVE_LETTER_INFO>(), parts(48, 48));
  EXPECT_EQ(FixedParts<FILE_SYSTEM_INFO>(), parts(64, 64));
  EXPECT_EQ(FixedParts<SystemInfo>(), parts(4, 4));
}

TEST(NotificationLayout, EnumerationsTakeFourOctets) {
  TASK_INFO task;
  task.id = 1;
  task.storageId = 2;
  task.createTime = 3;
  task.clientID = 4;
  task.percentComplete = 5;
  task.status = REQ_COMPLETED;
  task.type = PROGRESS_FORMAT;
  task.error = -1;
  task.tflag = 6;
  EXPECT_EQ(ToHex(Stream({{LDMACTION_MODIFIED, task}}, Pointers::k64Bit)),
            "44000000 04000000 03000000 "
            "01000000 00000000 02000000 00000000 03000000 00000000 04000000 00000000 "
            "05000000 03000000 01000000 ffffffff 06000000 00000000");
}

TEST(NotificationLayout, UnionHasTheRoomOfItsLargestArmAndStringsFollowUnaligned) {
  DISK_INFO_EX disk;
  disk.id = 0x11;
  disk.partitionStyle = PARTITIONSTYLE_MBR;
  disk.mbr.emplace().signature = 0xAABBCCDD;
  disk.portNumber = 7;
  disk.dgid = Bytes{std::byte{0x41}, std::byte{0}, std::byte{0x42}};
  disk.adapterName = u"Z\0"s;
  const Bytes stream = Stream({{LDMACTION_CREATED, disk}}, Pointers::k64Bit);
  ASSERT_EQ(stream.size(), 12u + 144 + 3 + 4);
  const auto body = std::span(stream).subspan(12);
  EXPECT_EQ(ToHex(body.subspan(64, 28)), "00000000 01000000 ddccbbaa 00000000 00000000 00000000 07000000");
  EXPECT_EQ(ToHex(body.subspan(144)), "4100425a 000000");
}

TEST(NotificationLayout, SixtyFourBitServersPadBeforeTheFirstPointer) {
  REGION_INFO_EX region;
  region.partitionStyle = PARTITIONSTYLE_GPT;
  region.gpt.emplace().attributes = 0x1122334455667788;
  region.currentPartitionNumber = 9;
  region.name = u"N\0"s;
  const Bytes narrow = Stream({{LDMACTION_CREATED, region}}, Pointers::k32Bit);
  const Bytes wide = Stream({{LDMACTION_CREATED, region}}, Pointers::k64Bit);
  EXPECT_EQ(
      ToHex(std::span(narrow).subspan(12 + 88)),
      "88776655 44332211 00000000 00000000 00000000 00000000 00000000 00000000 00000000 09000000 02000000 "
      "4e000000")
      << "attributes at 88, status at 96, name at 132";
  EXPECT_EQ(ToHex(std::span(wide).last(12)), "02000000 00000000 4e000000");
}

/// One notification of each kind with arbitrary members; strings of no characters count as null pointers.
template <typename... T>
std::vector<Notification> ArbitraryNotifications(const std::string& seed) {
  testing::Arbitrary arbitrary(seed);
  std::vector<Notification> notifications;
  (notifications.push_back({arbitrary.Make<LDMACTION>(), arbitrary.Make<T>()}), ...);
  for (Notification& notification : notifications) {
    if (auto* disk = std::get_if<DISK_INFO>(&notification.object);
        disk && disk->dgid && disk->dgid->empty()) {
      disk->dgid.reset();
    }
    if (auto* disk = std::get_if<DISK_INFO_EX>(&notification.object);
        disk && disk->dgid && disk->dgid->empty()) {
      disk->dgid.reset();
    }
  }
  return notifications;
}

std::vector<Notification> ArbitraryNotifications(Revision revision, const std::string& seed) {
  return revision == Revision::kIVolumeClient
             ? ArbitraryNotifications<DISK_INFO, VOLUME_INFO, REGION_INFO, TASK_INFO, DRIVE_LETTER_INFO,
                                      FILE_SYSTEM_INFO>(seed)
             : ArbitraryNotifications<DISK_INFO_EX, VOLUME_INFO, REGION_INFO_EX, TASK_INFO, DRIVE_LETTER_INFO,
                                      FILE_SYSTEM_INFO>(seed);
}

class NotificationRoundTrip : public ::testing::TestWithParam<std::tuple<Revision, Pointers>> {};

TEST_P(NotificationRoundTrip, EveryKindOfObjectInOneStream) {
  const auto [revision, pointers] = GetParam();
  for (int round = 0; round < 50; ++round) {
    std::vector<Notification> notifications =
        ArbitraryNotifications(revision, "round" + std::to_string(round));
    notifications.push_back({LDMACTION_MODIFIED, SystemInfo{SYSFLAG_SERVER}});
    const NotificationStream read = ReadNotifications(Stream(notifications, pointers), revision);
    EXPECT_TRUE(read.errors.empty()) << read.errors[0].ToString();
    EXPECT_TRUE(read.anomalies.empty()) << read.anomalies[0].field << ": " << read.anomalies[0].text;
    EXPECT_EQ(read.items, notifications);
    ASSERT_EQ(read.frames.size(), notifications.size());
    const bool disk_tells = revision == Revision::kIVolumeClient;
    EXPECT_EQ(read.frames[0].pointers, disk_tells ? std::optional(pointers) : std::nullopt);
    EXPECT_EQ(read.frames[2].pointers, disk_tells ? std::nullopt : std::optional(pointers));
  }
}

TEST_P(NotificationRoundTrip, CutAndMutilatedStreamsDoNoHarm) {
  const auto [revision, pointers] = GetParam();
  Bytes stream = Stream(ArbitraryNotifications(revision, "cut"), pointers);
  const std::size_t whole = ReadNotifications(stream, revision).items.size();
  for (std::size_t size = 1; size < stream.size(); ++size) {
    const Bytes cut(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    const NotificationStream read = ReadNotifications(cut, revision);
    EXPECT_LT(read.items.size(), whole);
  }
  for (std::byte& octet : stream) {
    const std::byte original = std::exchange(octet, std::byte{0xFF});
    ReadNotifications(stream, revision);
    octet = original;
  }
}

INSTANTIATE_TEST_SUITE_P(RevisionsAndArchitectures, NotificationRoundTrip,
                         ::testing::Combine(::testing::Values(Revision::kIVolumeClient,
                                                              Revision::kIVolumeClient3),
                                            ::testing::Values(Pointers::k32Bit, Pointers::k64Bit)));

/// A frame around a body.
Bytes Frame(std::uint32_t type, Bytes body, std::uint32_t action = LDMACTION_CREATED) {
  ndr::Writer writer;
  writer.Put(static_cast<std::uint32_t>(12 + body.size()));
  writer.Put(type);
  writer.Put(action);
  writer.PutBytes(body);
  return std::move(writer).Take().value();
}

TEST(ReadNotifications, TakesStructuresWithoutTrailingPadding) {
  for (const auto& [type, size] : {std::pair(DMNOTIFY_VOLUME_INFO, 60), std::pair(DMNOTIFY_TASK_INFO, 52),
                                   std::pair(DMNOTIFY_DL_INFO, 44)}) {
    const auto octets = static_cast<std::size_t>(size);
    for (const std::size_t length : {octets, octets + 4}) {
      const NotificationStream read =
          ReadNotifications(Frame(type, Bytes(length)), Revision::kIVolumeClient3);
      EXPECT_EQ(read.items.size(), 1u) << length;
      EXPECT_TRUE(read.anomalies.empty()) << length;
      EXPECT_TRUE(read.errors.empty()) << length;
    }
    EXPECT_EQ(ReadNotifications(Frame(type, Bytes(octets - 1)), Revision::kIVolumeClient3).errors.size(), 1u);
  }
}

TEST(ReadNotifications, NotesPaddingBehindStringsAndRefusesMore) {
  const NotificationStream padded =
      ReadNotifications(Frame(DMNOTIFY_FS_INFO, Bytes(64 + 7)), Revision::kIVolumeClient3);
  EXPECT_EQ(padded.items.size(), 1u);
  ASSERT_EQ(padded.anomalies.size(), 1u);
  EXPECT_EQ(padded.anomalies[0].text, "7 octets behind the structure");
  const NotificationStream longer =
      ReadNotifications(Frame(DMNOTIFY_FS_INFO, Bytes(64 + 8)), Revision::kIVolumeClient3);
  EXPECT_TRUE(longer.items.empty());
  EXPECT_EQ(longer.errors.size(), 1u);
}

TEST(ReadNotifications, ExpectationDecidesWhereTrailingOctetsLeaveADoubt) {
  const Bytes frame = Frame(DMNOTIFY_DISK_INFO, Bytes(116 + 6));
  EXPECT_EQ(ReadNotifications(frame, Revision::kIVolumeClient, Pointers::k32Bit).frames.at(0).pointers,
            Pointers::k32Bit);
  EXPECT_EQ(ReadNotifications(frame, Revision::kIVolumeClient, Pointers::k64Bit).frames.at(0).pointers,
            Pointers::k64Bit);
  const Bytes exact = Frame(DMNOTIFY_DISK_INFO, Bytes(120));
  EXPECT_EQ(ReadNotifications(exact, Revision::kIVolumeClient, Pointers::k32Bit).frames.at(0).pointers,
            Pointers::k64Bit)
      << "an exact fit needs no expectation";
}

TEST(ReadNotifications, PassesOverFramesThatItCannotRead) {
  Bytes stream = Frame(99, Bytes(4));
  const Bytes negative_count = Frame(DMNOTIFY_FS_INFO, Bytes(64, std::byte{0xFF}));
  const Bytes good = Frame(DMNOTIFY_SYSTEM_INFO, Bytes(4));
  stream.insert(stream.end(), negative_count.begin(), negative_count.end());
  stream.insert(stream.end(), good.begin(), good.end());
  const NotificationStream read = ReadNotifications(stream, Revision::kIVolumeClient3);
  ASSERT_EQ(read.items.size(), 1u);
  EXPECT_EQ(read.frames[0].offset, 16u + 76);
  ASSERT_EQ(read.errors.size(), 2u);
  EXPECT_EQ(read.errors[0].message, "notification frame at offset 0: type 99 announces no known structure");
  EXPECT_EQ(read.errors[1].message,
            "notification frame at offset 16: FILE_SYSTEM_INFO.cchLabel at offset 64: negative count -1");
}

TEST(ReadNotifications, SizesThatLeadNowhereEndTheReading) {
  for (const char* hex : {"0b000000 03000000 01000000", "ffffffff 03000000 01000000", "00000000", "0c0000"}) {
    const NotificationStream read = ReadNotifications(FromHex(hex).value(), Revision::kIVolumeClient3);
    EXPECT_TRUE(read.items.empty());
    EXPECT_EQ(read.errors.size(), 1u) << hex;
  }
}

TEST(ReadNotifications, NotesMixedLayoutsAndUnterminatedStrings) {
  REGION_INFO_EX region;
  region.name = u"abc"s;
  Bytes stream = Stream({{LDMACTION_CREATED, region}}, Pointers::k32Bit);
  const Bytes wide = Stream({{LDMACTION_CREATED, region}}, Pointers::k64Bit);
  stream.insert(stream.end(), wide.begin(), wide.end());
  const NotificationStream read = ReadNotifications(stream, Revision::kIVolumeClient3);
  EXPECT_EQ(read.items.size(), 2u);
  ASSERT_EQ(read.anomalies.size(), 3u);
  EXPECT_EQ(read.anomalies[0].field, "REGION_INFO_EX.name");
  EXPECT_EQ(read.anomalies[2].text, "mixes the layouts of 32-bit and 64-bit machines");
}

TEST(WriteNotifications, RefusesAnObjectWithoutItsUnionArm) {
  REGION_INFO_EX region;
  region.partitionStyle = PARTITIONSTYLE_MBR;
  const std::vector<Notification> notifications{{LDMACTION_CREATED, region}};
  EXPECT_EQ(WriteNotifications(notifications, Pointers::k64Bit).error().kind, ErrorKind::kUsage);
}

TEST(Notification, AsJson) {
  const Notification notification{LDMACTION_DELETED, SystemInfo{1}};
  EXPECT_EQ(ToJson(notification).dump(),
            R"({"action":"LDMACTION_DELETED","object":{"flags":1},"type":"DMNOTIFY_SYSTEM_INFO"})");
}

}  // namespace
}  // namespace dmrp
