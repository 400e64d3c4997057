#include "suites/support/retained_partitions.hpp"

#include <algorithm>

namespace dmrp::suites {

namespace {

constexpr std::uint64_t kSeed = 7;

std::vector<BedDiskRequest> TwoDisks() {
  return {{harness::ParseDiskSpec("size=64M").value(), {}}, {harness::ParseDiskSpec("size=72M").value(), {}}};
}

}  // namespace

std::vector<RetainedCase> RetainedCases() {
  return {
      {.name = "Simple"},
      {.name = "SimpleActive", .active = true},
      {.name = "BehindAnotherActive", .active = true, .behind_another = true},
      {.name = "MirrorActive", .layout = VOLUMELAYOUT_MIRROR, .active = true, .behind_another = true},
      {.name = "Gpt", .style = PARTITIONSTYLE_GPT, .behind_another = true},
  };
}

void RetainedTest::MakeDisksDynamic(PARTITIONSTYLE style) {
  for (const std::size_t index : {0U, 1U}) {
    const DISK_INFO_EX disk = DiskNow(third(), index);
    const auto reply = InitializeDisk(third(), disk.id, disk.lastKnownState, style);
    if (!reply.succeeded()) {
      Need(Result<void>(Fail(ErrorKind::kSystem, "no dynamic disk to test with: " + reply.call.text)));
    }
  }
}

void RetainedTest::StartRetained(const RetainedCase& each) {
  StartSharedWith(ScenarioKey(), TwoDisks());
  if (!lab().once.has_value()) MakeDisksDynamic(each.style);
}

void RetainedTest::StartRetainedAlone() {
  StartWith(TwoDisks());
  MakeDisksDynamic(PARTITIONSTYLE_MBR);
}

VOLUME_INFO RetainedTest::MakeVolume(const RetainedCase& each) {
  if (each.behind_another) Make(third(), {"Front", VOLUMELAYOUT_SIMPLE, {{0, MiB(8)}}, MiB(8)});
  VolumeShape shape{"Retained", each.layout, {{0, MiB(8)}}, MiB(8)};
  if (each.layout == VOLUMELAYOUT_MIRROR) shape.members.emplace_back(1, MiB(8));
  const VOLUME_INFO volume = Make(third(), shape);
  if (lab().bed().guest() == nullptr) return volume;
  WritePattern(third(), volume.id, kSeed);
  return VolumeNow(third(), volume.id);
}

Outcome<CreatePartitionsForVolumeReply> RetainedTest::CreateEntries(LdmObjectId volume, std::int64_t state,
                                                                    bool active) {
  return third().Change<CreatePartitionsForVolumeReply>(
      third().interface(), "CreatePartitionsForVolume",
      CreatePartitionsForVolumeRequest{.volumeId = volume, .active = active, .volumeLastKnownState = state});
}

Outcome<DeletePartitionsForVolumeReply> RetainedTest::DeleteEntries(LdmObjectId volume, std::int64_t state) {
  return third().Change<DeletePartitionsForVolumeReply>(
      third().interface(), "DeletePartitionsForVolume",
      DeletePartitionsForVolumeRequest{.volumeId = volume, .volumeLastKnownState = state});
}

std::vector<harness::DiskLayout> RetainedTest::Tables() { return {LayoutOf(0), LayoutOf(1)}; }

std::vector<std::string> RetainedTest::DataProblems(const REGION_INFO_EX& member) {
  if (lab().bed().guest() == nullptr) return {};
  const GroupImages now = GroupImagesNow();
  for (const harness::DynamicGroup& group : now.layout.groups) {
    for (const harness::DynamicVolume& volume : group.volumes) {
      const auto start = volume.plexes.at(0).extents.at(0).start;
      if (start == static_cast<std::uint64_t>(member.start)) {
        return PatternProblemsOnDisk(group, volume, kSeed);
      }
    }
  }
  return {"no volume on the disks begins where the volume's first member does"};
}

const harness::DiskPartition* RetainedTest::EntryOf(const REGION_INFO_EX& member,
                                                    const std::vector<harness::DiskLayout>& tables) {
  const std::size_t disk = member.diskId == lab().DiskId(0) ? 0 : 1;
  const harness::DiskPartition* entry = tables.at(disk).FindAt(static_cast<std::uint64_t>(member.start));
  return entry != nullptr && entry->length == static_cast<std::uint64_t>(member.length) ? entry : nullptr;
}

void RetainedTest::ExpectModified(const RetainedChange& change, bool retained) {
  const StorageView& before = change.seen.before;
  const StorageView& after = change.seen.after;
  const VOLUME_INFO* volume = after.FindVolume(change.volume);
  ASSERT_NE(volume, nullptr);
  EXPECT_EQ(volume->status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ((volume->vflags & static_cast<DWORD>(VOLUME_HAS_RETAIN_PARTITION)) != 0, retained);
  EXPECT_GT(volume->lastKnownState, before.FindVolume(change.volume)->lastKnownState);
  for (const auto& [revision, told] : change.seen.notified) {
    EXPECT_THAT(told, ::testing::Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, change.volume)));
    for (const REGION_INFO_EX& member : before.RegionsOfVolume(change.volume)) {
      EXPECT_THAT(told, ::testing::Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, member.diskId)));
    }
  }
  for (const REGION_INFO_EX& member : before.RegionsOfVolume(change.volume)) {
    EXPECT_GT(after.FindDisk(member.diskId)->lastKnownState, before.FindDisk(member.diskId)->lastKnownState);
    EXPECT_NE(after.FindRegion(member.id), nullptr) << "the volume still has its member";
  }
}

}  // namespace dmrp::suites
