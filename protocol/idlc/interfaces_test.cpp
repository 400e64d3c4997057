#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/method_table.hpp"
#include "protocol/idlc/vectors.hpp"
#include "protocol/idlc/wire_compare.hpp"

#include <string>

#include <gtest/gtest.h>

namespace dmrp {
namespace {

using testing::DecodeAll;
using testing::EncodedHex;
using testing::InOurHand;
using testing::Octets;
using namespace std::string_literals;

constexpr std::size_t kOrpcThis = 32;
constexpr std::size_t kOrpcThat = 8;

TEST(RecordedStubs, InitializeRequest) {
  const Bytes stub = Octets(vectors::kInitializeRequest, kOrpcThis);
  const auto request = DecodeAll<InitializeRequest>(stub);
  ASSERT_TRUE(request.notificationInterface.has_value());
  EXPECT_EQ(request.notificationInterface->size(), 102u);
  EXPECT_EQ(ToHex(std::span(*request.notificationInterface).first(4)), "4d454f57");
  EXPECT_EQ(request.cRemote, 0u);
  EXPECT_EQ(EncodedHex(request), ToHex(InOurHand(stub, {0}, {{0x92 - kOrpcThis, 2}})));
}

TEST(RecordedStubs, InitializeReply) {
  const Bytes stub = Octets("03000000 00000000 2a000000 00000000 00000000");
  const auto reply = DecodeAll<InitializeReply>(stub);
  EXPECT_EQ(reply.ulIDLVersion, 3u);
  EXPECT_EQ(reply.pdwFlags, 0u);
  EXPECT_EQ(reply.clientId, 42);
  EXPECT_EQ(reply.result, 0);
  EXPECT_EQ(EncodedHex(reply), ToHex(stub));
}

TEST(RecordedStubs, ObjectsChangedRequest) {
  const Bytes stub = Octets(vectors::kObjectsChangedRequest, kOrpcThis);
  const auto request = DecodeAll<ObjectsChangedRequest>(stub);
  EXPECT_EQ(ToHex(request.ByteStream), "20212223 24252627 28292a2b 2c2d2e2f 303132");
  EXPECT_EQ(EncodedHex(request), ToHex(stub));
}

TEST(RecordedStubs, EnumDisksExReply) {
  const Bytes stub = Octets(vectors::kEnumDisksExReply, kOrpcThat);
  const auto reply = DecodeAll<EnumDisksExReply>(stub);
  ASSERT_EQ(reply.diskList.size(), 3u);

  DISK_INFO_EX mbr;
  mbr.id = 0x1122334455667788;
  mbr.length = 0x40000000;
  mbr.freeBytes = 0x100000;
  mbr.bytesPerTrack = 0x7e00;
  mbr.bytesPerCylinder = 0x7d8200;
  mbr.bytesPerSector = 512;
  mbr.regionCount = 1;
  mbr.deviceType = DEVICETYPE_FDISK;
  mbr.deviceState = DEVICESTATE_HEALTHY;
  mbr.busType = BUSTYPE_SCSI;
  mbr.maxPartitionCount = 4;
  mbr.isUpgradeable = true;
  mbr.partitionStyle = PARTITIONSTYLE_MBR;
  mbr.mbr.emplace().signature = 0xaabbccdd;
  mbr.portNumber = 1;
  mbr.targetNumber = 2;
  mbr.lunNumber = 3;
  mbr.lastKnownState = 7;
  mbr.name = u"D0\0"s;
  mbr.vendor = u"V\0"s;
  EXPECT_EQ(reply.diskList[0], mbr);

  DISK_INFO_EX gpt;
  gpt.id = 0x1122334455667799;
  gpt.length = 0x80000000;
  gpt.bytesPerSector = 512;
  gpt.deviceType = DEVICETYPE_VM;
  gpt.deviceState = DEVICESTATE_HEALTHY;
  gpt.busType = BUSTYPE_SCSI;
  gpt.maxPartitionCount = 128;
  gpt.maySwitchStyle = false;
  gpt.partitionStyle = PARTITIONSTYLE_GPT;
  gpt.gpt.emplace().diskId = Guid::Parse("00112233-4455-6677-8899-aabbccddeeff").value();
  gpt.lastKnownState = 9;
  gpt.name = u"D1\0"s;
  gpt.dgid = Bytes{std::byte{1}, std::byte{2}, std::byte{3}};
  gpt.dgName = u"G\0"s;
  EXPECT_EQ(reply.diskList[1], gpt);

  DISK_INFO_EX unknown;
  unknown.id = 1;
  EXPECT_EQ(reply.diskList[2], unknown);
  EXPECT_EQ(reply.result, 0);

  EXPECT_EQ(EncodedHex(reply),
            ToHex(InOurHand(stub, {0x0c - 8, 0x98 - 8, 0x9c - 8, 0x140 - 8, 0x148 - 8, 0x150 - 8})));
}

TEST(RecordedStubs, HrGetErrorDataReply) {
  const Bytes stub = Octets(vectors::kHrGetErrorDataReply, kOrpcThat);
  const auto reply = DecodeAll<HrGetErrorDataReply>(stub);
  EXPECT_EQ(reply.pdwStoredFlags, 1u);
  ASSERT_EQ(reply.prgszw.size(), 2u);
  EXPECT_EQ(reply.prgszw[0], u"Ab\0"s);
  EXPECT_EQ(reply.prgszw[1], u"Cde\0"s);
  EXPECT_EQ(EncodedHex(reply), ToHex(InOurHand(stub, {0x08, 0x10, 0x14})));
}

TEST(Counts, FailedEnumerationAnswersZerosAndNull) {
  EnumDiskRegionsReply reply;
  reply.result = static_cast<HRESULT>(0x80070057);
  EXPECT_EQ(EncodedHex(reply), "00000000 00000000 57000780");
}

TEST(Counts, EmptyArrayBehindAPointerIsAnEmptyList) {
  const auto reply = DecodeAll<EnumDisksReply>(Octets("00000000 00000200 00000000 00000000"));
  EXPECT_TRUE(reply.diskList.empty());
}

TEST(Counts, DifferenceFromMaxCountIsBadStubData) {
  const Bytes stub = Octets("02000000 00000200 01000000 00000000 0100000000000000 00000000");
  ndr::Reader reader(stub);
  EnumVolumeMembersReply reply;
  Decode(reader, reply);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error()->kind, ErrorKind::kMalformed);
  EXPECT_EQ(reader.error()->status, 0x6F7u);
  EXPECT_EQ(reader.error()->message,
            "EnumVolumeMembers.memberList at offset 12: max_count 1, but its count says 2");
}

TEST(Counts, HugeMaxCountAllocatesNothing) {
  const Bytes stub = Octets("ffffffff 00000200 ffffffff 00000000");
  ndr::Reader reader(stub);
  EnumDisksExReply reply;
  Decode(reader, reply);
  EXPECT_FALSE(reader.ok());
  EXPECT_TRUE(reply.diskList.empty());
}

TEST(Counts, NegativeCountIsBadStubData) {
  const Bytes stub = Octets("ffffffff ffffffff");
  ndr::Reader reader(stub);
  ImportDiskGroupRequest request;
  Decode(reader, request);
  ASSERT_FALSE(reader.ok());
  EXPECT_NE(reader.error()->message.find("negative count -1"), std::string::npos) << reader.error()->message;
}

TEST(Counts, NullPointerWithACountIsAnAnomaly) {
  const Bytes stub = Octets("05000000 00000000 00000000");
  ndr::Reader reader(stub);
  EnumDisksReply reply;
  Decode(reader, reply);
  EXPECT_TRUE(reader.ok());
  ASSERT_EQ(reader.anomalies().size(), 1u);
  EXPECT_EQ(reader.anomalies()[0].field, "EnumDisks.diskList");
  EXPECT_EQ(reader.anomalies()[0].text, "null pointer, but its count says 5");
}

TEST(Counts, ArraysThatShareACountMustAgree) {
  GetEncapsulateDiskInfoReply reply;
  reply.affectedDiskList.resize(2);
  reply.affectedDiskFlags.resize(1);
  ndr::Writer writer;
  Encode(writer, reply);
  EXPECT_EQ(std::move(writer).Take().error().kind, ErrorKind::kUsage);
}

TEST(Counts, MaxIsCountsOneLess) {
  CreateRemoteObjectRequest request;
  request.RemoteComputerName = u"AB\0"s;
  EXPECT_EQ(EncodedHex(request), "02000000 03000000 41004200 0000");
  EXPECT_EQ(DecodeAll<CreateRemoteObjectRequest>(Octets("02000000 03000000 41004200 0000")), request);
}

TEST(Unions, TagThatDiffersFromItsMemberIsBadStubData) {
  Bytes stub = Octets(vectors::kEnumDisksExReply, kOrpcThat);
  stub.at(0x18 - 8 + 68) = std::byte{2};
  ndr::Reader reader(stub);
  EnumDisksExReply reply;
  Decode(reader, reply);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error()->message, "DISK_INFO_EX.union tag at offset 86: differs from partitionStyle");
}

TEST(Unions, MissingArmIsTheCallersError) {
  EnumDisksExReply reply;
  reply.diskList.emplace_back().partitionStyle = PARTITIONSTYLE_GPT;
  ndr::Writer writer;
  Encode(writer, reply);
  EXPECT_EQ(writer.error()->message, "DISK_INFO_EX.gpt at offset 86: absent, but its tag selects it");
}

TEST(Enumerations, UnknownValueIsKeptAndNoted) {
  const Bytes stub = Octets("0100000000000000 6300 000000000000 0700000000000000");
  ndr::Reader reader(stub);
  InitializeDiskStyleRequest request;
  Decode(reader, request);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(static_cast<int>(request.style), 0x63);
  ASSERT_EQ(reader.anomalies().size(), 1u);
  EXPECT_EQ(reader.anomalies()[0].field, "InitializeDiskStyle.style");
}

TEST(MethodTable, CountsAndNumbersOfTheSpecification) {
  const auto callable = [](const InterfaceInfo& interface) {
    int count = 0;
    for (const MethodInfo& method : interface.methods) count += method.reserved ? 0 : 1;
    return count;
  };
  EXPECT_EQ(callable(kIVolumeClient), 64);
  EXPECT_EQ(callable(kIVolumeClient2), 1);
  EXPECT_EQ(callable(kIVolumeClient3), 67);
  EXPECT_EQ(callable(kIVolumeClient4), 2);
  EXPECT_EQ(callable(kIDMRemoteServer), 1);
  EXPECT_EQ(callable(kIDMNotify), 1);

  static_assert(opnum::IVolumeClient::Initialize == 71);
  static_assert(opnum::IVolumeClient::DeleteAccessPath == 81);
  static_assert(opnum::IVolumeClient3::EnumDisksEx == 3);
  static_assert(opnum::IVolumeClient3::Initialize == 68);
  static_assert(opnum::IVolumeClient3::DeleteAccessPath == 78);
  static_assert(opnum::IVolumeClient4::GetVolumeDeviceName == 4);
  EXPECT_TRUE(kIVolumeClient.Find(std::uint16_t{48})->reserved);
  EXPECT_EQ(kIVolumeClient.Find(std::uint16_t{82}), nullptr);
  EXPECT_EQ(kIVolumeClient3.Find("Format")->opnum, 26);
  EXPECT_EQ(kIVolumeClient3.iid.ToString(), "135698d2-3a37-4d26-99df-e2bb6ae3ac61");
  EXPECT_EQ(FindInterface(IID_IDMNotify), &kIDMNotify);
  const MethodInfo* enum_disks = kIVolumeClient3.Find("EnumDisksEx");
  ASSERT_EQ(enum_disks->params.size(), 2u);
  EXPECT_EQ(enum_disks->params[1].type, "DISK_INFO_EX **");
  EXPECT_TRUE(enum_disks->params[1].out);
  EXPECT_FALSE(enum_disks->params[1].in);
}

}  // namespace
}  // namespace dmrp
