#include "reference_server/methods/methods_test_support.hpp"
#include "reference_server/storage/ldm/group_operations.hpp"
#include "reference_server/storage/server_settings.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace dmrp::server {
namespace {

// a.img and b.img are a group of another machine, with a volume on both; c.img, once it has a file, is ours.
class DiskGroupMergeTest : public MethodsTest {
 protected:
  void MakeDynamic(std::size_t index) {
    const DISK_INFO_EX disk = Disk(index);
    InitializeDiskReply reply;
    ASSERT_EQ(client->InitializeDisk(late_call,
                                     {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply),
              0);
  }
  void MakeVolume(VOLUMELAYOUT layout, LONGLONG length, const std::vector<std::size_t>& disks,
                  LONGLONG each) {
    CreateVolumeRequest request;
    request.volumeSpec.layout = layout;
    request.volumeSpec.length = length;
    for (const std::size_t index : disks) {
      request.diskList.push_back({.diskId = Disk(index).id,
                                  .length = each,
                                  .needContiguous = true,
                                  .lastKnownState = Disk(index).lastKnownState});
    }
    CreateVolumeReply reply;
    ASSERT_EQ(client->CreateVolume(late_call, request, reply), 0);
  }
  // A mirror and a stripe on a and b, a simple volume on a; then the group is somebody else's.
  void MakeForeignGroup() {
    MakeDynamic(0);
    MakeDynamic(1);
    MakeVolume(VOLUMELAYOUT_MIRROR, 8 * kMiB, {0, 1}, 8 * kMiB);
    MakeVolume(VOLUMELAYOUT_STRIPE, 8 * kMiB, {0, 1}, 4 * kMiB);
    MakeVolume(VOLUMELAYOUT_SIMPLE, 4 * kMiB, {0}, 4 * kMiB);
    ASSERT_TRUE(DeletePrimaryDiskGroup(server->registry()));
    server->Refresh();
    ASSERT_EQ(Disk(0).deviceState, DWORD{DEVICESTATE_UNCLAIMED});
    ASSERT_TRUE(Volumes().empty());
    TakeFrames();
  }
  void MakeOurGroup() {
    MakeFile("c.img");
    server->Refresh();
    MakeDynamic(2);
    MakeVolume(VOLUMELAYOUT_SIMPLE, 2 * kMiB, {2}, 2 * kMiB);
    TakeFrames();
  }
  std::vector<VOLUME_INFO> Volumes() {
    EnumVolumesReply reply;
    EXPECT_EQ(client->EnumVolumes(late_call, {}, reply), 0);
    return reply.LdmVolumeList;
  }
  VOLUME_INFO VolumeOf(VOLUMELAYOUT layout, LONGLONG length) {
    for (const VOLUME_INFO& volume : Volumes()) {
      if (volume.layout == layout && volume.length == length) {
        return volume;
      }
    }
    ADD_FAILURE() << "no volume of layout " << layout;
    return {};
  }
  DRIVE_LETTER_INFO Letter(char16_t letter) {
    EnumDriveLettersReply reply;
    EXPECT_EQ(client->EnumDriveLetters(late_call, {}, reply), 0);
    const auto found = std::ranges::find(reply.driveLetterList, letter, &DRIVE_LETTER_INFO::letter);
    EXPECT_NE(found, reply.driveLetterList.end());
    return found == reply.driveLetterList.end() ? DRIVE_LETTER_INFO{} : *found;
  }
  ImportDiskGroupReply Import(const Bytes& dgid) {
    ImportDiskGroupReply reply;
    reply.result = client->ImportDiskGroup(late_call, {.dgid = dgid}, reply);
    return reply;
  }
  DiskMergeQueryReply Query(std::vector<LdmObjectId> disks = {}, std::uint32_t flags = 0) {
    DiskMergeQueryReply reply;
    reply.result = client->DiskMergeQuery(
        late_call, {.dgid = *Disk().dgid, .diskList = std::move(disks), .flags = flags}, reply);
    return reply;
  }
  DiskMergeRequest MergeRequest(const DiskMergeQueryReply& queried, std::vector<LdmObjectId> disks = {}) {
    return {.dgid = *Disk().dgid,
            .diskList = std::move(disks),
            .merge_config_tid = queried.merge_config_tid,
            .merge_dm_rids = queried.merge_dm_rids};
  }
  DiskMergeReply Merge(const DiskMergeRequest& request) {
    DiskMergeReply reply;
    reply.result = client->DiskMerge(late_call, request, reply);
    return reply;
  }
  static Bytes Octets(std::string_view text) {
    Bytes octets;
    for (const char c : text) {
      octets.push_back(static_cast<std::byte>(c));
    }
    return octets;
  }
};

TEST_F(DiskGroupMergeTest, AForeignGroupIsImportedWithItsVolumes) {
  MakeForeignGroup();
  const DISK_INFO_EX before = Disk();
  const ImportDiskGroupReply reply = Import(*before.dgid);
  ASSERT_EQ(reply.result, 0);
  EXPECT_EQ(reply.tinfo.status, REQ_STARTED);
  EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
  EXPECT_EQ(Disk().id, before.id);
  EXPECT_GT(Disk().lastKnownState, before.lastKnownState);
  EXPECT_EQ(Disk(0).deviceState, DWORD{DEVICESTATE_HEALTHY});
  EXPECT_EQ(Disk(1).deviceState, DWORD{DEVICESTATE_HEALTHY});
  ASSERT_EQ(Volumes().size(), 3U);
  for (const VOLUME_INFO& volume : Volumes()) {
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
  }
  const auto primary = ReadPrimaryDiskGroup(server->registry());
  ASSERT_TRUE(primary && *primary);
  EXPECT_EQ(Octets((*primary)->guid.ToString() + '\0'), *Disk().dgid);
  const std::string frames = TakeFrames();
  EXPECT_NE(frames.find("disk* "), std::string::npos) << frames;
  EXPECT_NE(frames.find("region+"), std::string::npos) << frames;
  EXPECT_NE(frames.find("volume+"), std::string::npos) << frames;
  EXPECT_TRUE(frames.ends_with("task*")) << frames;
}

TEST_F(DiskGroupMergeTest, AVolumeGetsTheLetterOfItsRecordUnlessSomebodyHasIt) {
  MakeForeignGroup();
  MakeOurGroup();
  const LdmObjectId ours = VolumeOf(VOLUMELAYOUT_SIMPLE, 2 * kMiB).id;
  AssignDriveLetterReply assigned;
  ASSERT_EQ(client->AssignDriveLetter(late_call,
                                      {.letter = u'P',
                                       .forceOption = 0,
                                       .letterLastKnownState = Letter(u'P').lastKnownState,
                                       .storageId = ours,
                                       .storageLastKnownState = Volumes().front().lastKnownState},
                                      assigned),
            0);
  {
    std::vector<std::unique_ptr<BlockDevice>> devices;
    const auto open = [&](const char* name) {
      devices.push_back(OpenImage(folder / name, {}, true).value());
      return ldm::OpenMember(*devices.back()).value().value();
    };
    auto group = ldm::DiskGroup::Load({open("a.img"), open("b.img")}).value();
    ldm::Database next = group.Current();
    for (const ldm::VolumeRecord& volume : group.Current().volumes) {
      const char* hint = ldm::LayoutOf(next, volume.id) == ldm::VolumeLayout::kMirrored ? "P:" : "R:";
      if (ldm::LayoutOf(next, volume.id) != ldm::VolumeLayout::kStriped) {
        next = ldm::SetHint(std::move(next), volume.id, hint).value();
      }
    }
    ASSERT_TRUE(group.Commit(std::move(next)));
  }
  server->Refresh();
  ASSERT_EQ(Merge(MergeRequest(Query())).result, 0);
  EXPECT_EQ(Letter(u'R').storageId, VolumeOf(VOLUMELAYOUT_SIMPLE, 4 * kMiB).id);
  EXPECT_EQ(Letter(u'P').storageId, ours);
}

TEST_F(DiskGroupMergeTest, AnImportWithoutOneDiskShowsItAsMissing) {
  MakeForeignGroup();
  std::filesystem::remove(folder / "b.img");
  server->Refresh();
  const ImportDiskGroupReply reply = Import(*Disk().dgid);
  EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
  ASSERT_EQ(Disks().size(), 2U);
  EXPECT_EQ(Disk(1).deviceState, DWORD{DEVICESTATE_MISSING});
  EXPECT_EQ(VolumeOf(VOLUMELAYOUT_MIRROR, 8 * kMiB).status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(VolumeOf(VOLUMELAYOUT_STRIPE, 8 * kMiB).status, VOLUME_STATUS_FAILED);
  EXPECT_EQ(VolumeOf(VOLUMELAYOUT_SIMPLE, 4 * kMiB).status, VOLUME_STATUS_HEALTHY);
}

TEST_F(DiskGroupMergeTest, OnlyAForeignGroupIsImportedAndOnlyWithoutAPrimaryOne) {
  MakeForeignGroup();
  const Bytes dgid = *Disk().dgid;
  Bytes unterminated = dgid;
  unterminated.pop_back();
  const View before = Look();
  EXPECT_EQ(Import({}).result, E_INVALIDARG);
  EXPECT_EQ(Import(Octets(std::string("no group\0", 9))).result, E_INVALIDARG);
  EXPECT_EQ(Import(unterminated).result, E_INVALIDARG);
  EXPECT_EQ(Import(Octets(Guid::Random().ToString() + '\0')).result, LDM_E_NO_DG);
  EXPECT_EQ(Look(), before);
  MakeOurGroup();
  EXPECT_EQ(Import(*Disk(2).dgid).result, LDM_E_DG_IMPORTED);
  EXPECT_EQ(static_cast<std::uint32_t>(Import(dgid).result), 0xC10000DCU);
  EXPECT_EQ(Disk().deviceState, DWORD{DEVICESTATE_UNCLAIMED});
}

TEST_F(DiskGroupMergeTest, AQueryTellsWhatWouldBecomeOfEachVolumeAndChangesNothing) {
  MakeForeignGroup();
  const View alone = Look();
  const DiskMergeQueryReply without_ours = Query();
  ASSERT_EQ(without_ours.result, 0);
  EXPECT_EQ(without_ours.flags, DSKMERGE_OUT_NO_PRIMARY_DG);
  EXPECT_EQ(TakeFrames(), "task*");
  EXPECT_EQ(Disks(), alone.disks);
  MakeOurGroup();
  const View before = Look();
  const DiskMergeQueryReply all = Query();
  ASSERT_EQ(all.result, 0);
  EXPECT_EQ(all.flags, 0U);
  EXPECT_EQ(all.tinfo.status, REQ_COMPLETED);
  EXPECT_GT(all.merge_config_tid, 0);
  EXPECT_EQ(all.merge_dm_rids.size(), 2U);
  ASSERT_EQ(all.mergeObjectInfo.size(), 3U);
  for (const MERGE_OBJECT_INFO& info : all.mergeObjectInfo) {
    EXPECT_EQ(info.type, 1U);
    EXPECT_EQ(info.flags, DSKMERGE_RELATED);
  }
  // Half of the group: the mirror becomes simple, the stripe goes, the simple volume has nothing to do with
  // it.
  const DiskMergeQueryReply half = Query({Disk(1).id});
  ASSERT_EQ(half.mergeObjectInfo.size(), 3U);
  for (const MERGE_OBJECT_INFO& info : half.mergeObjectInfo) {
    if (info.length == 4 * kMiB) {
      EXPECT_EQ(info.flags & DSKMERGE_RELATED, 0U);
    } else if ((info.flags & DSKMERGE_DELETE) != 0) {
      EXPECT_EQ(info.flags, DSKMERGE_DELETE | DSKMERGE_RELATED);
      EXPECT_EQ(info.layout, VOLUMELAYOUT_STRIPE);
    } else {
      EXPECT_EQ(info.flags, DSKMERGE_DELETE_REDUNDANCY | DSKMERGE_RELATED);
      EXPECT_EQ(info.layout, VOLUMELAYOUT_SIMPLE);
      EXPECT_EQ(info.length, 8 * kMiB);
    }
  }
  EXPECT_EQ(Query({Disk(1).id}, DSKMERGE_IN_NO_UNRELATED).mergeObjectInfo.size(), 2U);
  EXPECT_EQ(Disks(), before.disks);
  EXPECT_EQ(Look().first_mebibyte, before.first_mebibyte);
  EXPECT_EQ(TakeFrames(), "task* task* task*");
}

TEST_F(DiskGroupMergeTest, AForeignGroupIsMergedWithItsVolumes) {
  MakeForeignGroup();
  MakeOurGroup();
  const DISK_INFO_EX foreign = Disk();
  const Bytes ours = *Disk(2).dgid;
  const DiskMergeReply reply = Merge(MergeRequest(Query()));
  ASSERT_EQ(reply.result, 0);
  EXPECT_EQ(reply.tinfo.status, REQ_COMPLETED);
  EXPECT_EQ(Disk().id, foreign.id);
  for (const DISK_INFO_EX& disk : Disks()) {
    EXPECT_EQ(disk.dgid, ours);
    EXPECT_EQ(disk.deviceState, DWORD{DEVICESTATE_HEALTHY});
  }
  ASSERT_EQ(Volumes().size(), 4U);
  for (const VOLUME_INFO& volume : Volumes()) {
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
  }
  const std::string frames = TakeFrames();
  EXPECT_TRUE(frames.starts_with("task* disk* region")) << frames;
  EXPECT_TRUE(frames.ends_with("volume+ task*")) << frames;
  // What one machine merged is merged for the next, too.
  server->Refresh();
  EXPECT_EQ(Volumes().size(), 4U);
}

TEST_F(DiskGroupMergeTest, HalfAGroupIsMergedAsThePredictionSays) {
  MakeForeignGroup();
  MakeOurGroup();
  const LdmObjectId second = Disk(1).id;
  ASSERT_EQ(Merge(MergeRequest(Query({second}), {second})).result, 0);
  EXPECT_EQ(Disk(1).dgid, Disk(2).dgid);
  EXPECT_EQ(Disk(0).deviceState, DWORD{DEVICESTATE_UNCLAIMED});
  ASSERT_EQ(Volumes().size(), 2U);
  EXPECT_EQ(VolumeOf(VOLUMELAYOUT_SIMPLE, 8 * kMiB).status, VOLUME_STATUS_HEALTHY);
}

TEST_F(DiskGroupMergeTest, AMergeIsRefusedWhenItIsNotWhatWasQueried) {
  MakeForeignGroup();
  const DiskMergeQueryReply alone = Query();
  EXPECT_EQ(Merge(MergeRequest(alone)).result, LDM_E_NODGINFO);
  MakeOurGroup();
  const DiskMergeQueryReply queried = Query();
  TakeFrames();
  const View before = Look();
  const auto with = [&](auto change) {
    DiskMergeRequest request = MergeRequest(queried);
    change(request);
    return Merge(request).result;
  };
  EXPECT_EQ(with([](auto& r) { r.dgid.clear(); }), E_INVALIDARG);
  EXPECT_EQ(with([this](auto& r) { r.dgid = *Disk(2).dgid; }), LDM_E_DG_IMPORTED);
  EXPECT_EQ(with([](auto& r) { r.diskList = {12345}; }), LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(with([this](auto& r) { r.diskList = {Disk(2).id}; }), LDM_E_LDM_E_DG_MISMATCH);
  EXPECT_EQ(with([](auto& r) { ++r.merge_config_tid; }), LDM_E_CONFIG);
  EXPECT_EQ(with([](auto& r) { r.merge_dm_rids.push_back(987654); }), LDM_E_NOENT);
  EXPECT_EQ(Look(), before);
  EXPECT_EQ(Query({12345}).result, LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(TakeFrames(), "");
}

// The records of our group say already what the disks of the other one do not: the moment after the first
// write of a merge.
TEST_F(DiskGroupMergeTest, AMergeThatAPowerCutLeftIsGoneOnWith) {
  MakeForeignGroup();
  MakeOurGroup();
  {
    std::vector<std::unique_ptr<BlockDevice>> devices;
    const auto open = [&](const char* name) {
      devices.push_back(OpenImage(folder / name, {}, true).value());
      return ldm::OpenMember(*devices.back()).value().value();
    };
    const auto foreign = ldm::DiskGroup::Inspect({open("a.img"), open("b.img")}).value();
    auto ours = ldm::DiskGroup::Load({open("c.img")}).value();
    const auto plan = ldm::PlanMerge(ours.Current(), foreign, {});
    ASSERT_TRUE(plan);
    ASSERT_TRUE(ours.Commit(plan->after));
  }
  server->Refresh();
  for (const DISK_INFO_EX& disk : Disks()) {
    EXPECT_EQ(disk.dgid, Disk(2).dgid);
    EXPECT_EQ(disk.deviceState, DWORD{DEVICESTATE_HEALTHY});
  }
  ASSERT_EQ(Volumes().size(), 4U);
  for (const VOLUME_INFO& volume : Volumes()) {
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
  }
}

// The disks of a Windows Server 2003 R2, all of one group.
class WindowsGroupTest : public DiskGroupMergeTest {
 protected:
  void SetUp() override {
    std::filesystem::path archive = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
    archive = archive.parent_path() / "shared/fixtures/ldm-2003r2.tar.xz";
    if (const char* named = std::getenv("DMRP_LDM_FIXTURES")) {
      archive = named;
    }
    if (!std::filesystem::is_regular_file(archive)) {
      GTEST_SKIP() << "no disks of Windows here: DMRP_LDM_FIXTURES names an archive of *.img";
    }
    for (const char* name : {"simple-1", "spanned-1", "spanned-2", "striped-1", "striped-2", "mirrored-1",
                             "mirrored-2", "raid5-1", "raid5-2", "raid5-3"}) {
      more_images.push_back("ldm-2003r2-" + std::string(name) + ".img");
    }
    MethodsTest::SetUp();
    const std::string command = "tar -xSf '" + archive.string() + "' -C '" + folder.string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
    server->Refresh();
    ASSERT_EQ(Disks().size(), 12U);
    ASSERT_EQ(Disk(2).deviceState, DWORD{DEVICESTATE_UNCLAIMED});
    TakeFrames();
  }
  void ExpectVolumesOfWindows() {
    std::map<VOLUMELAYOUT, int> layouts;
    for (const VOLUME_INFO& volume : Volumes()) {
      EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY) << volume.layout;
      EXPECT_NE(volume.fsId, 0) << volume.layout;
      ++layouts[volume.layout];
    }
    for (const VOLUMELAYOUT layout : {VOLUMELAYOUT_SIMPLE, VOLUMELAYOUT_SPANNED, VOLUMELAYOUT_STRIPE,
                                      VOLUMELAYOUT_MIRROR, VOLUMELAYOUT_RAID5}) {
      EXPECT_GE(layouts[layout], 1) << layout;
    }
  }
};

TEST_F(WindowsGroupTest, IsImported) {
  const ImportDiskGroupReply reply = Import(*Disk(2).dgid);
  ASSERT_EQ(reply.result, 0);
  EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
  ExpectVolumesOfWindows();
}

TEST_F(WindowsGroupTest, IsMerged) {
  MakeDynamic(0);
  DiskMergeQueryReply queried;
  ASSERT_EQ(client->DiskMergeQuery(late_call, {.dgid = *Disk(2).dgid, .diskList = {}}, queried), 0);
  EXPECT_EQ(queried.merge_dm_rids.size(), 10U);
  const auto merged = Merge({.dgid = *Disk(2).dgid,
                             .diskList = {},
                             .merge_config_tid = queried.merge_config_tid,
                             .merge_dm_rids = queried.merge_dm_rids});
  ASSERT_EQ(merged.result, 0);
  EXPECT_EQ(Disk(2).dgid, Disk(0).dgid);
  ExpectVolumesOfWindows();
}

}  // namespace
}  // namespace dmrp::server
