#include "reference_server/methods/ft_test_disks.hpp"
#include "reference_server/methods/methods_test_support.hpp"
#include "reference_server/platform/registry_hive.hpp"
#include "reference_server/storage/ft/ft_operations.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <string>

namespace dmrp::server {
namespace {

using ft::FtMemberState;
using ft::FtSetState;
using ft::FtType;

constexpr std::uint64_t kFirst = 32256;  // of a 255/63 disk
constexpr std::uint64_t kLength = 4 << 20;
constexpr std::uint64_t kPast = 16 << 20;  // all members lie before that

class FtVolumesTest : public MethodsTest {
 protected:
  void SetUp() override {
    MethodsTest::SetUp();
    MakeFile("c.img");
  }

  // The disks become a.img, b.img, c.img; further ones are not there.
  void Install(std::size_t disks, const std::vector<FtTestSet>& sets,
               const std::vector<std::pair<std::size_t, std::uint64_t>>& plain = {}) {
    const FtTestDisks made = MakeFtTestDisks(disks, kDiskSize, kPast, sets, plain);
    for (std::size_t i = 0; i < std::min<std::size_t>(made.fronts.size(), 3); ++i) {
      Write(i, 0, made.fronts[i]);
    }
    ASSERT_TRUE(server->registry().Update(
        [&](RegistryKey& root) { root.Make("DISK").values["Information"] = BinaryValue(made.record); }));
    server->Refresh();
    TakeFrames();
  }

  void Write(std::size_t disk, std::uint64_t offset, std::span<const std::byte> octets) {
    std::fstream file(folder / kNames[disk], std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    std::string text(octets.size(), '\0');
    std::memcpy(text.data(), octets.data(), octets.size());
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    ASSERT_TRUE(file.good());
  }
  void Fill(std::size_t disk, std::uint64_t offset, std::size_t length, int octet) {
    Write(disk, offset, Bytes(length, static_cast<std::byte>(octet)));
  }
  std::string ReadBack(std::size_t disk, std::uint64_t offset = kFirst, std::size_t length = kLength) {
    std::ifstream file(folder / kNames[disk], std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    std::string text(length, '\0');
    file.read(text.data(), static_cast<std::streamsize>(length));
    return text;
  }
  // The partition's type in the first entry of the MBR.
  int TypeOf(std::size_t disk) { return static_cast<std::uint8_t>(ReadBack(disk, 0x1BE + 4, 1)[0]); }

  std::vector<VOLUME_INFO> Sets() {
    FTEnumVolumesReply reply;
    EXPECT_EQ(client->FTEnumVolumes(late_call, {}, reply), 0);
    return reply.ftVolumeList;
  }
  VOLUME_INFO Set() { return Sets().at(0); }
  std::vector<LdmObjectId> Members(LdmObjectId id) {
    FTEnumLogicalDiskMembersReply reply;
    EXPECT_EQ(client->FTEnumLogicalDiskMembers(late_call, {.volumeId = id}, reply), 0);
    return reply.memberList;
  }
  ft::DiskRegistry Record() {
    const auto record = ft::ReadRecord(server->registry());
    EXPECT_TRUE(record && *record);
    return **record;
  }
  REGION_INFO_EX Partition(std::size_t disk) {
    for (const REGION_INFO_EX& region : Regions(Disk(disk).id)) {
      if (region.regionType == REGION_PRIMARY) {
        return region;
      }
    }
    ADD_FAILURE() << "disk " << disk << " has no partition";
    return {};
  }
  DRIVE_LETTER_INFO Letter(char16_t letter) {
    EnumDriveLettersReply reply;
    EXPECT_EQ(client->EnumDriveLetters(late_call, {}, reply), 0);
    for (const DRIVE_LETTER_INFO& info : reply.driveLetterList) {
      if (info.letter == letter) {
        return info;
      }
    }
    return {};
  }

  FTDeleteVolumeReply Delete(bool force = false) {
    FTDeleteVolumeReply reply;
    const VOLUME_INFO set = Set();
    reply.result = client->FTDeleteVolume(
        late_call, {.volumeId = set.id, .force = force, .volumeLastKnownState = set.lastKnownState}, reply);
    return reply;
  }
  HRESULT Break() {
    FTBreakMirrorReply reply;
    const VOLUME_INFO set = Set();
    return client->FTBreakMirror(late_call, {.volumeId = set.id, .volumeLastKnownState = set.lastKnownState},
                                 reply);
  }
  HRESULT Resync() {
    FTResyncMirrorReply reply;
    const VOLUME_INFO set = Set();
    return client->FTResyncMirror(late_call, {.volumeId = set.id, .volumeLastKnownState = set.lastKnownState},
                                  reply);
  }
  HRESULT Regenerate() {
    FTRegenerateParityStripeReply reply;
    const VOLUME_INFO set = Set();
    return client->FTRegenerateParityStripe(
        late_call, {.volumeId = set.id, .volumeLastKnownState = set.lastKnownState}, reply);
  }
  HRESULT ReplaceMirror(const REGION_INFO_EX& region, DWORD flags = 0) {
    FTReplaceMirrorPartitionReply reply;
    const VOLUME_INFO set = Set();
    return client->FTReplaceMirrorPartition(late_call,
                                            {.volumeId = set.id,
                                             .volumeLastKnownState = set.lastKnownState,
                                             .oldMemberId = 77,
                                             .oldMemberLastKnownState = 77,
                                             .newRegionId = region.id,
                                             .newRegionLastKnownState = region.lastKnownState,
                                             .flags = flags},
                                            reply);
  }
  HRESULT ReplaceParity(const REGION_INFO_EX& region, DWORD flags = 0) {
    FTReplaceParityStripePartitionReply reply;
    const VOLUME_INFO set = Set();
    return client->FTReplaceParityStripePartition(late_call,
                                                  {.volumeId = set.id,
                                                   .volumeLastKnownState = set.lastKnownState,
                                                   .newRegionId = region.id,
                                                   .newRegionLastKnownState = region.lastKnownState,
                                                   .flags = flags},
                                                  reply);
  }

  static constexpr const char* kNames[] = {"a.img", "b.img", "c.img"};
};

TEST_F(FtVolumesTest, EverySetOfTheRecordIsAVolume) {
  Install(3, {{.type = FtType::kMirror,
               .members = {{0, kLength}, {1, kLength}},
               .letter = 'E',
               .orphan = std::nullopt},
              {.type = FtType::kStripe,
               .members = {{0, kLength}, {1, kLength}},
               .letter = 0,
               .orphan = std::nullopt},
              {.type = FtType::kVolumeSet,
               .members = {{1, kLength}, {2, 2 * kLength}},
               .letter = 0,
               .orphan = std::nullopt}});
  const auto sets = Sets();
  ASSERT_EQ(sets.size(), 3U);
  EXPECT_EQ(sets[0].layout, VOLUMELAYOUT_MIRROR);
  EXPECT_EQ(sets[0].length, static_cast<LONGLONG>(kLength));
  EXPECT_EQ(sets[1].layout, VOLUMELAYOUT_STRIPE);
  EXPECT_EQ(sets[2].layout, VOLUMELAYOUT_SPANNED);
  EXPECT_EQ(sets[2].length, static_cast<LONGLONG>(3 * kLength));
  for (const VOLUME_INFO& set : sets) {
    EXPECT_EQ(set.type, VOLUMETYPE_FT);
    EXPECT_EQ(set.status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(set.memberCount, 2U);
    EXPECT_EQ(Members(set.id).size(), 2U);
  }
  // Nothing of this is a dynamic volume.
  EnumVolumesReply dynamic;
  EXPECT_EQ(client->EnumVolumes(late_call, {}, dynamic), 0);
  EXPECT_TRUE(dynamic.LdmVolumeList.empty());
  EnumVolumeMembersReply members;
  EXPECT_EQ(client->EnumVolumeMembers(late_call, {.volumeId = sets[0].id}, members), LDM_E_NORECORD);
  FTEnumLogicalDiskMembersReply none;
  EXPECT_EQ(client->FTEnumLogicalDiskMembers(late_call, {.volumeId = 4711}, none), LDM_E_NORECORD);
}

TEST_F(FtVolumesTest, AMemberIsNoVolumeOfItsOwn) {
  Install(2, {{.type = FtType::kMirror,
               .members = {{0, kLength}, {1, kLength}},
               .letter = 0,
               .orphan = std::nullopt}});
  const REGION_INFO_EX region = Partition(0);
  EXPECT_EQ(region.volId, Set().id);
  EXPECT_EQ(region.fsId, 0);
  EXPECT_EQ(region.mbr->partitionType, 0x87);
  DeletePartitionReply deleted;
  EXPECT_EQ(client->DeletePartition(late_call, {.partitionSpec = Spec(region), .force = true}, deleted),
            LDM_E_ASSOC);
  dmrp::FormatRequest format;
  format.storageId = region.id;
  format.storageLastKnownState = region.lastKnownState;
  format.force = true;
  FormatReply formatted;
  EXPECT_EQ(client->Format(late_call, format, formatted), LDM_E_INVALID);
}

TEST_F(FtVolumesTest, TheRecordsLetterIsThatOfTheSetUntilAnotherIsAssigned) {
  Install(2, {{.type = FtType::kMirror,
               .members = {{0, kLength}, {1, kLength}},
               .letter = 'E',
               .orphan = std::nullopt}});
  EXPECT_EQ(Letter(u'E').storageId, Set().id);
  AssignDriveLetterReply reply;
  ASSERT_EQ(client->AssignDriveLetter(late_call,
                                      {.letter = u'K',
                                       .letterLastKnownState = Letter(u'K').lastKnownState,
                                       .storageId = Set().id,
                                       .storageLastKnownState = Set().lastKnownState},
                                      reply),
            0);
  EXPECT_EQ(Letter(u'K').storageId, Set().id);
  EXPECT_FALSE(Letter(u'E').isUsed);
  EXPECT_EQ(Record().disks[0].partitions[0].driveLetter, 'K');
}

TEST_F(FtVolumesTest, ADeletedSetIsGoneFromRecordDisksAndLetters) {
  Install(2, {{.type = FtType::kMirror,
               .members = {{0, kLength}, {1, kLength}},
               .letter = 'E',
               .orphan = std::nullopt}});
  const FTDeleteVolumeReply reply = Delete();
  ASSERT_EQ(reply.result, 0);
  EXPECT_EQ(reply.tinfo.status, REQ_COMPLETED);
  EXPECT_EQ(reply.tinfo.storageId, 0);
  EXPECT_TRUE(Sets().empty());
  EXPECT_TRUE(Record().sets.empty());
  EXPECT_EQ(TypeOf(0), 0);
  EXPECT_EQ(TypeOf(1), 0);
  EXPECT_FALSE(Letter(u'E').isUsed);
  for (const std::size_t disk : {0U, 1U}) {
    ASSERT_EQ(Regions(Disk(disk).id).size(), 1U);
    EXPECT_EQ(Regions(Disk(disk).id)[0].regionType, REGION_FREE);
  }
}

TEST_F(FtVolumesTest, ABrokenMirrorIsTwoPartitionsAndTheWholeOneHasTheLetter) {
  Install(2,
          {{.type = FtType::kMirror, .members = {{0, kLength}, {1, kLength}}, .letter = 'E', .orphan = 0}});
  EXPECT_EQ(Set().status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(Partition(0).status, REGIONSTATUS_FAILED);
  EXPECT_EQ(TypeOf(0), 0xC7);  // mended
  ASSERT_EQ(Break(), 0);
  EXPECT_TRUE(Sets().empty());
  EXPECT_EQ(TypeOf(0), 0x07);
  EXPECT_EQ(TypeOf(1), 0x07);
  EXPECT_EQ(Letter(u'E').storageId, Partition(1).id);
  for (const std::size_t disk : {0U, 1U}) {
    EXPECT_EQ(Partition(disk).volId, 0);
    EXPECT_NE(Partition(disk).fsId, 0);
  }
}

TEST_F(FtVolumesTest, AResyncedMirrorHasTwoEqualCopies) {
  Install(2, {{.type = FtType::kMirror,
               .members = {{0, kLength}, {1, kLength}},
               .letter = 0,
               .orphan = std::nullopt}});
  Fill(0, kFirst, kLength, 0x5A);
  Fill(1, kFirst + 4096, 4096, 0x11);
  ASSERT_EQ(Resync(), 0);
  EXPECT_EQ(ReadBack(1), ReadBack(0));
  EXPECT_EQ(ReadBack(0), std::string(kLength, '\x5A'));
  EXPECT_EQ(Set().status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Record().sets[0].state, FtSetState::kOk);
}

TEST_F(FtVolumesTest, AnOrphanIsTakenBackWithTheDataOfTheOther) {
  Install(2, {{.type = FtType::kMirror, .members = {{0, kLength}, {1, kLength}}, .letter = 0, .orphan = 0}});
  Fill(0, kFirst, kLength, 0x11);
  Fill(1, kFirst, kLength, 0x5A);
  ASSERT_EQ(Resync(), 0);
  EXPECT_EQ(ReadBack(0), std::string(kLength, '\x5A'));
  EXPECT_EQ(Set().status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Record().sets[0].members[0].state, FtMemberState::kHealthy);
  EXPECT_EQ(TypeOf(0), 0x87);
}

TEST_F(FtVolumesTest, RegenerationMakesColumnsAndParityAnew) {
  Install(3, {{.type = FtType::kStripeWithParity,
               .members = {{0, kLength}, {1, kLength}, {2, kLength}},
               .letter = 0,
               .orphan = std::nullopt}});
  Fill(0, kFirst, kLength, 0x0F);
  Fill(1, kFirst, kLength, 0x33);
  Fill(2, kFirst, kLength, 0x00);
  ASSERT_EQ(Regenerate(), 0);
  for (std::size_t at : {std::size_t{0}, std::size_t{65536}, std::size_t{131072}}) {
    EXPECT_EQ(ReadBack(0)[at] ^ ReadBack(1)[at] ^ ReadBack(2)[at], 0) << at;
  }
  EXPECT_EQ(Record().sets[0].state, FtSetState::kOk);
  EXPECT_EQ(Set().status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Resync(), LDM_E_INVALID);
  EXPECT_EQ(Break(), LDM_E_INVALID);
}

TEST_F(FtVolumesTest, AMemberThatIsNotThereIsPutOutOfTheSetAndReplaced) {
  Install(4,
          {{.type = FtType::kStripeWithParity,
            .members = {{3, kLength}, {0, kLength}, {1, kLength}},
            .letter = 'E',
            .orphan = std::nullopt}},
          {{2, kLength}});
  EXPECT_EQ(Set().status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(Set().memberCount, 2U);
  EXPECT_EQ(Record().sets[0].members[0].state, FtMemberState::kOrphaned);
  EXPECT_EQ(Regenerate(), LDM_E_DAOFFLINE);
  EXPECT_EQ(ReplaceMirror(Partition(2)), LDM_E_INVALID);
  Fill(0, kFirst, kLength, 0x0F);
  Fill(1, kFirst, kLength, 0x35);
  REGION_INFO_EX stale = Partition(2);
  --stale.lastKnownState;
  EXPECT_EQ(ReplaceParity(stale), LDM_E_OBJECT_STALED);
  EXPECT_EQ(ReplaceParity(stale, FTREPLACE_FORCE), 0);
  EXPECT_EQ(ReadBack(2), std::string(kLength, '\x3A'));
  EXPECT_EQ(TypeOf(2), 0x87);
  EXPECT_EQ(Set().status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Members(Set().id).size(), 3U);
  EXPECT_EQ(Partition(2).volId, Set().id);
  // It stood for the first member, by which the letter knows the set.
  EXPECT_EQ(Letter(u'E').storageId, Set().id);
}

TEST_F(FtVolumesTest, WhatDoesNotReplaceIsDeletedOnRequestOnly) {
  Install(3,
          {{.type = FtType::kMirror,
            .members = {{0, kLength}, {1, kLength}},
            .letter = 0,
            .orphan = std::nullopt}},
          {{2, kLength}});
  EXPECT_EQ(ReplaceMirror(Partition(2)), LDM_E_NOT_DIS);
  EXPECT_EQ(TypeOf(2), 0x07);
  EXPECT_EQ(ReplaceMirror(Partition(1), FTREPLACE_DELETE_ON_FAIL), LDM_E_NOT_DIS);
  EXPECT_EQ(TypeOf(1), 0x87);
  EXPECT_EQ(ReplaceMirror(Partition(2), FTREPLACE_DELETE_ON_FAIL), LDM_E_NOT_DIS);
  EXPECT_EQ(TypeOf(2), 0);
  REGION_INFO_EX nothing;
  nothing.id = 4711;
  EXPECT_EQ(ReplaceMirror(nothing), LDM_E_NORECORD);
}

TEST_F(FtVolumesTest, AFormattedSetShowsItsFileSystemAndItsMembersTheType) {
  Install(3, {{.type = FtType::kStripe,
               .members = {{0, 2 * kLength}, {1, 2 * kLength}},
               .letter = 0,
               .orphan = std::nullopt}});
  dmrp::FormatRequest request;
  request.storageId = Set().id;
  request.storageLastKnownState = Set().lastKnownState;
  request.fsSpec.fsType = FSTYPE_FAT;
  request.quickFormat = true;
  FormatReply reply;
  ASSERT_EQ(client->Format(late_call, request, reply), 0);
  EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
  EXPECT_NE(Set().fsId, 0);
  EXPECT_EQ(TypeOf(0), TypeOf(1));
  EXPECT_EQ(TypeOf(0) & 0x80, 0x80);
  EXPECT_NE(TypeOf(0), 0x87);
}

}  // namespace
}  // namespace dmrp::server
