#include "reference_server/methods/access_paths.hpp"

#include "reference_server/methods/methods_test_support.hpp"

#include <cstdlib>
#include <string>

namespace dmrp::server {
namespace {

using namespace std::string_literals;

// Disk a: one NTFS partition, letter F, with the folders "data" and "full\inner", made with the tools of
// ntfs-3g. Disk b: a partition that is to be mounted.
class AccessPathsTest : public MethodsTest {
 protected:
  void SetUp() override {
    MethodsTest::SetUp();
    ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR, 0), 0);
    ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR, 1), 0);
    ASSERT_EQ(MakePartition(16 * kMiB).result, 0);
    const REGION_INFO_EX free = Regions(Disk(1).id).front();
    CreatePartitionReply created;
    ASSERT_EQ(client->CreatePartition(
                  late_call, {.partitionSpec = Spec(free, REGION_PRIMARY, free.start, 8 * kMiB)}, created),
              0);
    target = created.tinfo.storageId;
    const REGION_INFO_EX region = Region(REGION_PRIMARY);
    dmrp::FormatRequest format;
    format.storageId = region.id;
    format.storageLastKnownState = region.lastKnownState;
    format.fsSpec.fsType = FSTYPE_NTFS;
    format.quickFormat = true;
    FormatReply formatted;
    ASSERT_EQ(client->Format(late_call, format, formatted), 0);
    ASSERT_EQ(sink->AwaitEnd(formatted.tinfo.id).status, REQ_COMPLETED);
    host = Region(REGION_PRIMARY).id;
    AssignDriveLetterReply assigned;
    ASSERT_EQ(client->AssignDriveLetter(
                  late_call,
                  {.letter = u'F',
                   .letterLastKnownState = server->model().State()->FindLetter(u'F')->info.lastKnownState,
                   .storageId = host,
                   .storageLastKnownState = Region(REGION_PRIMARY).lastKnownState},
                  assigned),
              0);
  }

  HRESULT Add(const std::u16string& path) {
    AddAccessPathReply reply;
    return client->AddAccessPath(late_call, {.path = path + u'\0', .targetId = target}, reply);
  }
  HRESULT Delete(const std::u16string& path) {
    DeleteAccessPathReply reply;
    return client->DeleteAccessPath(late_call, {.volumeId = target, .path = path + u'\0'}, reply);
  }
  std::vector<COUNTED_STRING> All() {
    EnumAccessPathReply reply;
    EXPECT_EQ(client->EnumAccessPath(late_call, {}, reply), 0);
    return reply.paths;
  }

  LdmObjectId host = 0;
  LdmObjectId target = 0;
};

TEST_F(AccessPathsTest, PathsThatLeadNowhereAreRefusedEachInItsWay) {
  EXPECT_EQ(Add(u"F:\\absent"), LDM_E_INVALID_PATH);
  EXPECT_EQ(Add(u"G:\\data"), LDM_E_INVALID_PATH);
  EXPECT_EQ(Add(u"data"), LDM_E_INVALID_NAME);
  EXPECT_EQ(Add(u""), LDM_E_INVALID_NAME);
  EXPECT_EQ(Add(u"F:\\a\\..\\b"), LDM_E_INVALID_NAME);
  EXPECT_EQ(Delete(u"F:\\absent"), LDM_E_INVALID_PATH);
  AddAccessPathReply reply;
  EXPECT_EQ(client->AddAccessPath(late_call, {.path = u"F:\\data\0"s, .targetId = 1}, reply), LDM_E_NORECORD);
  EXPECT_TRUE(All().empty());
}

TEST_F(AccessPathsTest, EnumerationsNeedAVolume) {
  EnumAccessPathForVolumeReply reply;
  EXPECT_EQ(client->EnumAccessPathForVolume(late_call, {.VolumeId = 1}, reply), LDM_E_NORECORD);
  EXPECT_EQ(client->EnumAccessPathForVolume(late_call, {.VolumeId = target}, reply), 0);
  EXPECT_TRUE(reply.paths.empty());
}

}  // namespace
}  // namespace dmrp::server
