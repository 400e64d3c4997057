#include "reference_server/methods/drive_letters.hpp"

#include "reference_server/methods/methods_test_support.hpp"

namespace dmrp::server {
namespace {

class DriveLettersTest : public MethodsTest {
 protected:
  void SetUp() override {
    MethodsTest::SetUp();
    ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
    ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
    ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
    TakeFrames();
  }

  DRIVE_LETTER_INFO Letter(char16_t letter) {
    EnumDriveLettersReply reply;
    EXPECT_EQ(client->EnumDriveLetters(late_call, {}, reply), 0);
    EXPECT_EQ(reply.driveLetterList.size(), 24U);
    for (const DRIVE_LETTER_INFO& info : reply.driveLetterList) {
      if (info.letter == letter) {
        return info;
      }
    }
    return {};
  }
  REGION_INFO_EX Partition(std::size_t index) {
    std::vector<REGION_INFO_EX> found;
    for (const REGION_INFO_EX& region : Regions(Disk().id)) {
      if (region.regionType == REGION_PRIMARY) {
        found.push_back(region);
      }
    }
    return found.at(index);
  }
  HRESULT Assign(char16_t letter, const REGION_INFO_EX& region, std::uint32_t force = 0) {
    AssignDriveLetterReply reply;
    const HRESULT result =
        client->AssignDriveLetter(late_call,
                                  {.letter = letter,
                                   .forceOption = force,
                                   .letterLastKnownState = Letter(CapitalLetter(letter)).lastKnownState,
                                   .storageId = region.id,
                                   .storageLastKnownState = region.lastKnownState},
                                  reply);
    EXPECT_EQ(reply.tinfo.status, result == 0 ? REQ_COMPLETED : REQ_FAILED);
    EXPECT_EQ(reply.tinfo.error, result);
    return result;
  }
  HRESULT Free(char16_t letter, const REGION_INFO_EX& region, std::uint32_t force = 0) {
    FreeDriveLetterReply reply;
    return client->FreeDriveLetter(late_call,
                                   {.letter = letter,
                                    .forceOption = force,
                                    .letterLastKnownState = Letter(CapitalLetter(letter)).lastKnownState,
                                    .storageId = region.id,
                                    .storageLastKnownState = region.lastKnownState},
                                   reply);
  }
};

TEST_F(DriveLettersTest, ALetterIsGivenTakenAwayAndNotified) {
  const REGION_INFO_EX region = Partition(0);
  ASSERT_EQ(Assign(u'f', region), 0);
  EXPECT_EQ(TakeFrames(), "dl*");
  EXPECT_TRUE(Letter(u'F').isUsed);
  EXPECT_EQ(Letter(u'F').storageId, region.id);
  ASSERT_EQ(Free(u'F', region), 0);
  EXPECT_EQ(TakeFrames(), "dl*");
  EXPECT_FALSE(Letter(u'F').isUsed);
  EXPECT_EQ(Letter(u'F').storageId, 0);
}

TEST_F(DriveLettersTest, AnotherLetterReplacesTheFormerOne) {
  const REGION_INFO_EX region = Partition(0);
  ASSERT_EQ(Assign(u'F', region), 0);
  TakeFrames();
  ASSERT_EQ(Assign(u'G', region), 0);
  EXPECT_EQ(TakeFrames(), "dl* dl*");
  EXPECT_FALSE(Letter(u'F').isUsed);
  EXPECT_EQ(Letter(u'G').storageId, region.id);
}

TEST_F(DriveLettersTest, ATakenLetterIsRefused) {
  ASSERT_EQ(Assign(u'F', Partition(0)), 0);
  TakeFrames();
  EXPECT_EQ(Assign(u'F', Partition(1)), LDM_E_MOUNTPOINT_BUSY);
  EXPECT_EQ(Assign(u'F', Partition(1), 1), LDM_E_MOUNTPOINT_BUSY);
  EXPECT_EQ(TakeFrames(), "");
  EXPECT_EQ(Letter(u'F').storageId, Partition(0).id);
}

TEST_F(DriveLettersTest, WithoutForceAVolumeInUseKeepsItsLetters) {
  const REGION_INFO_EX region = Partition(0);
  source->busy_start = region.start;
  EXPECT_EQ(Assign(u'F', region), LDM_E_VOLUME_IN_USE);
  EXPECT_EQ(Assign(u'F', region, 1), 0);
  EXPECT_TRUE(source->busy_start.has_value()) << "nobody loses the volume by a change of its letter";
  EXPECT_EQ(Free(u'F', Partition(0)), LDM_E_VOLUME_IN_USE);
  EXPECT_TRUE(Letter(u'F').isUsed);
  EXPECT_EQ(Free(u'F', Partition(0), 1), 0);
  EXPECT_FALSE(Letter(u'F').isUsed);
}

TEST_F(DriveLettersTest, WhatIsNamedHasToExistAndToBeCurrent) {
  const REGION_INFO_EX region = Partition(0);
  AssignDriveLetterReply reply;
  const AssignDriveLetterRequest good = {.letter = u'F',
                                         .letterLastKnownState = Letter(u'F').lastKnownState,
                                         .storageId = region.id,
                                         .storageLastKnownState = region.lastKnownState};
  const auto refused = [&](auto change) {
    AssignDriveLetterRequest request = good;
    change(request);
    return client->AssignDriveLetter(late_call, request, reply);
  };
  EXPECT_EQ(refused([](auto& request) { request.letter = u'B'; }), LDM_E_NORECORD);
  EXPECT_EQ(refused([](auto& request) { request.letter = u'1'; }), LDM_E_NORECORD);
  EXPECT_EQ(refused([](auto& request) { ++request.letterLastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(refused([](auto& request) { request.storageId = 1; }), LDM_E_NORECORD);
  EXPECT_EQ(refused([](auto& request) { ++request.storageLastKnownState; }), LDM_E_OBJECT_STALED);
  const REGION_INFO_EX free = Region(REGION_FREE);
  EXPECT_EQ(refused([&](auto& request) {
              request.storageId = free.id;
              request.storageLastKnownState = free.lastKnownState;
            }),
            LDM_E_INVALID);
  EXPECT_EQ(TakeFrames(), "");
  EXPECT_FALSE(Letter(u'F').isUsed);
  EXPECT_EQ(Free(u'F', region), LDM_E_NO_ASSOC);
}

TEST_F(DriveLettersTest, ADeletedPartitionLosesItsLetterForGood) {
  const REGION_INFO_EX region = Partition(1);
  ASSERT_EQ(Assign(u'F', region), 0);
  TakeFrames();
  DeletePartitionReply reply;
  ASSERT_EQ(client->DeletePartition(late_call, {.partitionSpec = Spec(Partition(1))}, reply), 0);
  EXPECT_NE(TakeFrames().find("dl*"), std::string::npos);
  EXPECT_FALSE(Letter(u'F').isUsed);
  ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
  EXPECT_EQ(Partition(1).start, region.start);
  EXPECT_FALSE(Letter(u'F').isUsed);
}

TEST_F(DriveLettersTest, ADiskThatGoesAndReturnsHasItsLettersAgain) {
  ASSERT_EQ(Assign(u'F', Partition(0)), 0);
  std::filesystem::rename(folder / "a.img", folder / "elsewhere.img");
  server->Refresh();
  EXPECT_FALSE(Letter(u'F').isUsed);
  std::filesystem::rename(folder / "elsewhere.img", folder / "a.img");
  server->Refresh();
  EXPECT_TRUE(Letter(u'F').isUsed);
}

TEST_F(DriveLettersTest, AVolumeNameStaysTheSame) {
  GetVolumeMountNameReply first;
  ASSERT_EQ(client->GetVolumeMountName(late_call, {.volumeId = Partition(0).id}, first), 0);
  EXPECT_EQ(first.mountName.size(), 49U);
  EXPECT_TRUE(first.mountName.starts_with(u"\\\\?\\Volume{"));
  EXPECT_EQ(first.mountName.back(), u'\0');
  GetVolumeMountNameReply again;
  ASSERT_EQ(client->GetVolumeMountName(late_call, {.volumeId = Partition(0).id}, again), 0);
  EXPECT_EQ(again.mountName, first.mountName);
  GetVolumeMountNameReply other;
  ASSERT_EQ(client->GetVolumeMountName(late_call, {.volumeId = Partition(1).id}, other), 0);
  EXPECT_NE(other.mountName, first.mountName);
  EXPECT_EQ(client->GetVolumeMountName(late_call, {.volumeId = Disk().id}, other), LDM_E_NORECORD);
}

}  // namespace
}  // namespace dmrp::server
