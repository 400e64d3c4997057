#include "reference_server/methods/formatting.hpp"

#include "reference_server/methods/methods_test_support.hpp"

#include <algorithm>
#include <string>
#include <thread>

namespace dmrp::server {
namespace {

using namespace std::string_literals;

class FormattingTest : public MethodsTest {
 protected:
  void SetUp() override {
    MethodsTest::SetUp();
    ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
    ASSERT_EQ(MakePartition(16 * kMiB).result, 0);
    TakeFrames();
  }

  FILE_SYSTEM_INFO FileSystemOn(LdmObjectId storage) {
    EnumLocalFileSystemsReply reply;
    EXPECT_EQ(client->EnumLocalFileSystems(late_call, {}, reply), 0);
    const auto is_on = [&](const FILE_SYSTEM_INFO& info) { return info.storageId == storage; };
    EXPECT_EQ(std::ranges::count_if(reply.fileSystemList, is_on), 1);
    const auto found = std::ranges::find_if(reply.fileSystemList, is_on);
    return found == reply.fileSystemList.end() ? FILE_SYSTEM_INFO{} : *found;
  }
  dmrp::FormatRequest Request(std::int32_t type, const std::u16string& label, bool quick = true) {
    const REGION_INFO_EX region = Region(REGION_PRIMARY);
    dmrp::FormatRequest request;
    request.storageId = region.id;
    request.storageLastKnownState = region.lastKnownState;
    request.fsSpec.fsType = type;
    request.fsSpec.label = label + u'\0';
    request.quickFormat = quick;
    return request;
  }
  TASK_INFO Format(const dmrp::FormatRequest& request) {
    FormatReply reply;
    EXPECT_EQ(client->Format(late_call, request, reply), 0);
    EXPECT_EQ(reply.tinfo.status, REQ_STARTED);
    return sink->AwaitEnd(reply.tinfo.id);
  }
};

TEST_F(FormattingTest, MakesTheFileSystemAndNamesItInTheTable) {
  for (const bool quick : {true, false}) {
    const TASK_INFO done = Format(Request(FSTYPE_FAT, u"data", quick));
    EXPECT_EQ(done.status, REQ_COMPLETED);
    EXPECT_EQ(done.percentComplete, 100U);
    const REGION_INFO_EX region = Region(REGION_PRIMARY);
    const FILE_SYSTEM_INFO system = FileSystemOn(region.id);
    EXPECT_EQ(system.fsType, FSTYPE_FAT);
    EXPECT_EQ(system.label, u"DATA\0"s);
    EXPECT_EQ(system.id, region.fsId);
    EXPECT_GT(system.totalAllocationUnits, 0);
    EXPECT_EQ(region.mbr->partitionType, 4U);
    EXPECT_EQ(region.rflags & REGION_FORMAT_IN_PROGRESS, 0U);
  }
  EXPECT_EQ(Format(Request(FSTYPE_NTFS, u"NTFS data")).status, REQ_COMPLETED);
  EXPECT_EQ(Region(REGION_PRIMARY).mbr->partitionType, 7U);
  EXPECT_EQ(FileSystemOn(Region(REGION_PRIMARY).id).fsType, FSTYPE_NTFS);
}

TEST_F(FormattingTest, ShowsTheFileSystemInTheMakingBeforeItReplies) {
  dcom::CallContext held = late_call;
  held.after_reply = std::make_shared<rpc::AfterReply>();
  const LdmObjectId before = Region(REGION_PRIMARY).fsId;
  FormatReply reply;
  ASSERT_EQ(client->Format(held, Request(FSTYPE_FAT, u""), reply), 0);
  EXPECT_EQ(TakeFrames(), "region* fs- fs+");
  const REGION_INFO_EX region = Region(REGION_PRIMARY);
  EXPECT_NE(region.rflags & REGION_FORMAT_IN_PROGRESS, 0U);
  EXPECT_EQ(FileSystemOn(region.id).fsType, FSTYPE_UNKNOWN);
  EXPECT_NE(region.fsId, before) << "formatting begins with a new file system object";

  FormatReply second;
  dmrp::FormatRequest again = Request(FSTYPE_FAT, u"");
  EXPECT_EQ(client->Format(late_call, again, second), LDM_E_FORMATINPROGRESS);
  DeletePartitionReply deleted;
  EXPECT_EQ(client->DeletePartition(late_call, {.partitionSpec = Spec(region)}, deleted),
            LDM_E_VOLUME_IN_USE);
  for (const auto& work : held.after_reply->Take()) {
    work();
  }
  EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
}

// Two entries that share sectors: the earlier one is a region, and nothing is written to a disk of which
// nobody can say what is whose.
TEST_F(FormattingTest, WhatSharesSectorsWithAnotherPartitionIsNotFormatted) {
  const REGION_INFO_EX first = Region(REGION_PRIMARY);
  {
    std::fstream file(folder / "a.img", std::ios::binary | std::ios::in | std::ios::out);
    std::string entry(16, '\0');
    file.seekg(0x1BE);
    file.read(entry.data(), 16);
    entry[8] = static_cast<char>(entry[8] + 1);  // begins one sector later
    file.seekp(0x1BE + 16);
    file.write(entry.data(), 16);
  }
  server->Refresh();
  const std::vector<REGION_INFO_EX> regions = Regions(Disk().id);
  EXPECT_EQ(std::ranges::count(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType), 1);
  EXPECT_EQ(Region(REGION_PRIMARY).id, first.id);
  EXPECT_EQ(Disk().regionCount, regions.size());
  EXPECT_FALSE(Disk().isUpgradeable);
  const View before = Look();
  FormatReply reply;
  EXPECT_EQ(client->Format(late_call, Request(FSTYPE_FAT, u""), reply), LDM_E_BAD_DISK);
  EXPECT_EQ(MakePartition(kMiB).result, LDM_E_BAD_DISK);
  EXPECT_TRUE(Look() == before);
}

TEST_F(FormattingTest, AFormattedVolumeGetsANewFileSystemObject) {
  ASSERT_EQ(Format(Request(FSTYPE_FAT, u"one")).status, REQ_COMPLETED);
  const LdmObjectId before = Region(REGION_PRIMARY).fsId;
  ASSERT_EQ(Format(Request(FSTYPE_FAT, u"two")).status, REQ_COMPLETED);
  EXPECT_NE(Region(REGION_PRIMARY).fsId, before);
}

TEST_F(FormattingTest, AnAbortedFormatLeavesARawVolume) {
  ASSERT_EQ(Format(Request(FSTYPE_FAT, u"one")).status, REQ_COMPLETED);
  dcom::CallContext held = late_call;
  held.after_reply = std::make_shared<rpc::AfterReply>();
  FormatReply reply;
  ASSERT_EQ(client->Format(held, Request(FSTYPE_NTFS, u"two", false), reply), 0);
  // Stopped before it began, so that the old file system is still there.
  std::thread abort([&] {
    AbortTaskReply aborted;
    EXPECT_EQ(client->AbortTask(late_call, {.id = reply.tinfo.id}, aborted), 0);
  });
  for (const auto& work : held.after_reply->Take()) {
    work();
  }
  abort.join();
  const TASK_INFO end = sink->AwaitEnd(reply.tinfo.id);
  const auto type = FileSystemOn(Region(REGION_PRIMARY).id).fsType;
  if (end.status == REQ_ABORTED) {
    EXPECT_TRUE(type == FSTYPE_FAT || type == FSTYPE_UNKNOWN) << type;
  } else {
    EXPECT_EQ(type, FSTYPE_NTFS);
  }
  AbortTaskReply unknown;
  EXPECT_EQ(client->AbortTask(late_call, {.id = reply.tinfo.id}, unknown), LDM_E_NORECORD);
}

TEST_F(FormattingTest, RefusalsChangeNothing) {
  const auto refused = [&](auto change) {
    dmrp::FormatRequest request = Request(FSTYPE_FAT, u"data");
    change(request);
    const View before = Look();
    FormatReply reply;
    const HRESULT result = client->Format(late_call, request, reply);
    EXPECT_EQ(reply.tinfo.error, result);
    EXPECT_EQ(reply.tinfo.status, REQ_FAILED);
    EXPECT_TRUE(Look() == before);
    return result;
  };
  EXPECT_EQ(refused([](auto& request) { request.storageId = 1; }), LDM_E_NORECORD);
  EXPECT_EQ(refused([](auto& request) { ++request.storageLastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(refused([](auto& request) { request.fsSpec.fsType = FSTYPE_UDF; }), LDM_E_BAD_FS);
  EXPECT_EQ(refused([](auto& request) { request.fsSpec.label = u"a*b\0"s; }), LDM_E_BAD_LABEL);
  EXPECT_EQ(refused([](auto& request) { request.fsSpec.label = u"twelve chars\0"s; }), LDM_E_BAD_LABEL);
  EXPECT_EQ(refused([](auto& request) { request.fsSpec.allocationUnitSize = 1000; }), E_INVALIDARG);
  EXPECT_EQ(refused([](auto& request) { request.fsSpec.fsType = FSTYPE_FAT32; }), LDM_E_VOL_TOO_SMALL);
  source->busy_start = Region(REGION_PRIMARY).start;
  EXPECT_EQ(refused([](auto&) {}), LDM_E_VOLUME_IN_USE);
  dmrp::FormatRequest forced = Request(FSTYPE_FAT, u"data");
  forced.force = true;
  EXPECT_EQ(Format(forced).status, REQ_COMPLETED);
  EXPECT_FALSE(source->busy_start.has_value());
}

TEST_F(FormattingTest, CreatesAssignsAndFormatsInOne) {
  const REGION_INFO_EX free = Region(REGION_FREE);
  CreatePartitionAssignAndFormatRequest request;
  request.partitionSpec = Spec(free, REGION_PRIMARY, free.start, 8 * kMiB);
  request.letter = u'k';
  request.letterLastKnownState = server->model().State()->FindLetter(u'K')->info.lastKnownState;
  request.fsSpec.fsType = FSTYPE_NTFS;
  request.fsSpec.label = u"new\0"s;
  request.quickFormat = true;
  CreatePartitionAssignAndFormatReply reply;
  ASSERT_EQ(client->CreatePartitionAssignAndFormat(late_call, request, reply), 0);
  EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
  EXPECT_EQ(FileSystemOn(reply.tinfo.storageId).label, u"new\0"s);
  EXPECT_EQ(server->model().State()->FindLetter(u'K')->info.storageId, reply.tinfo.storageId);
}

TEST_F(FormattingTest, ChecksAllBeforeAPartitionIsMade) {
  const REGION_INFO_EX free = Region(REGION_FREE);
  CreatePartitionAssignAndFormatRequest request;
  request.partitionSpec = Spec(free, REGION_PRIMARY, free.start, 8 * kMiB);
  request.letter = u' ';
  request.fsSpec.fsType = FSTYPE_FAT;
  request.quickFormat = true;
  const auto refused = [&](auto change) {
    CreatePartitionAssignAndFormatRequest changed = request;
    change(changed);
    const View before = Look();
    CreatePartitionAssignAndFormatReply reply;
    const HRESULT result = client->CreatePartitionAssignAndFormat(late_call, changed, reply);
    EXPECT_TRUE(Look() == before);
    return result;
  };
  EXPECT_EQ(refused([](auto& changed) { changed.letter = u'A'; }), LDM_E_NORECORD);
  EXPECT_EQ(refused([](auto& changed) {
              changed.letter = u'F';
              changed.letterLastKnownState = -1;
            }),
            LDM_E_OBJECT_STALED);
  EXPECT_EQ(refused([](auto& changed) { changed.fsSpec.label = u"a|b\0"s; }), LDM_E_BAD_LABEL);
  const REGION_INFO_EX other = Region(REGION_PRIMARY);
  const auto letter_state = [this] { return server->model().State()->FindLetter(u'F')->info.lastKnownState; };
  AssignDriveLetterReply assigned;
  ASSERT_EQ(client->AssignDriveLetter(late_call,
                                      {.letter = u'F',
                                       .forceOption = 0,
                                       .letterLastKnownState = letter_state(),
                                       .storageId = other.id,
                                       .storageLastKnownState = other.lastKnownState},
                                      assigned),
            0);
  EXPECT_EQ(refused([&](auto& changed) {
              changed.letter = u'F';
              changed.letterLastKnownState = letter_state();
            }),
            LDM_E_MOUNTPOINT_BUSY);
  EXPECT_EQ(refused([](auto& changed) { changed.partitionSpec.regionType = REGION_EXTENDED; }),
            LDM_E_INVALID_FIELD);
  CreatePartitionAssignAndFormatExRequest extended;
  extended.partitionSpec = request.partitionSpec;
  extended.fsSpec = request.fsSpec;
  extended.dwFlags = 1;
  extended.AccessPath = u"Z:\\folder\0"s;
  CreatePartitionAssignAndFormatExReply reply;
  EXPECT_EQ(client->CreatePartitionAssignAndFormatEx(late_call, extended, reply), LDM_E_INVALID_PATH);
}

TEST_F(FormattingTest, ListsWhatIsInstalled) {
  GetInstalledFileSystemsReply reply;
  ASSERT_EQ(client->GetInstalledFileSystems(late_call, {}, reply), 0);
  std::vector<std::int32_t> types;
  for (const IFILE_SYSTEM_INFO& info : reply.fsList) {
    types.push_back(info.fsType);
    EXPECT_EQ(info.fsName.back(), u'\0');
  }
  EXPECT_EQ(types,
            (std::vector<std::int32_t>{FSTYPE_FAT, FSTYPE_FAT32, FSTYPE_NTFS, FSTYPE_CDFS, FSTYPE_UDF}));
}

}  // namespace
}  // namespace dmrp::server
