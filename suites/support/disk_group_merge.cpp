#include "suites/support/disk_group_merge.hpp"

#include "harness/guest/guest.hpp"

#include <algorithm>

namespace dmrp::suites {

std::vector<MergeCase> MergeCases() {
  return {
      {"Complete", kForeignComplete, {"Disk1", "Disk2", "Disk3", "Disk4"}},
      {"Incomplete", kForeignIncomplete, {"Disk1", "Disk2", "Disk3"}},
      {"Part", kForeignComplete, {"Disk1", "Disk3"}},
      {"Stale", kForeignStale, {"Disk2"}, true},
      {"MixedSectors", kForeignMixed, {"Disk1", "Disk2", "Disk3", "Disk4"}},
  };
}

std::vector<MergedVolume> Predict(const harness::DynamicGroup& group, const MergeCase& merge) {
  const auto comes = [&](const harness::DynamicExtent& extent) {
    const harness::DynamicMember* disk = group.FindDisk(extent.disk);
    return disk != nullptr && disk->present && merge.chosen.contains(extent.disk);
  };
  std::vector<MergedVolume> predicted;
  for (const harness::DynamicVolume& volume : group.volumes) {
    MergedVolume merged{.volume = volume, .layout = LayoutOnWire(volume.type)};
    std::size_t whole = 0;
    std::set<std::uint64_t> absent;
    for (const harness::DynamicPlex& plex : volume.plexes) {
      for (const harness::DynamicExtent& extent : plex.extents) {
        merged.related = merged.related || comes(extent);
        if (!comes(extent)) absent.insert(extent.column);
      }
      if (std::ranges::all_of(plex.extents, comes)) ++whole;
    }
    if (volume.type == harness::DynamicVolumeType::kRaid5) {
      merged.deleted = absent.size() > 1;
      merged.redundancy_deleted = absent.size() == 1;
      merged.status = absent.empty() ? VOLUME_STATUS_HEALTHY : VOLUME_STATUS_FAILED_REDUNDANCY;
    } else {
      merged.deleted = whole == 0;
      merged.redundancy_deleted = whole > 0 && whole < volume.plexes.size();
      merged.status = VOLUME_STATUS_HEALTHY;
      if (merged.redundancy_deleted) merged.layout = VOLUMELAYOUT_SIMPLE;
    }
    merged.stale = merge.stale && !merged.deleted && volume.plexes.size() > 1;
    predicted.push_back(std::move(merged));
  }
  return predicted;
}

std::vector<BedDiskRequest> MergeTest::Disks(std::vector<BedDiskRequest> foreign) {
  foreign.insert(foreign.begin(), {{harness::ParseDiskSpec("size=48M").value(), {}},
                                   {harness::ParseDiskSpec("size=56M").value(), {}}});
  return foreign;
}

VOLUME_INFO MergeTest::MakeOurs(Session& session) {
  const DISK_INFO_EX disk = DiskNow(session, kOwn);
  const auto initialized = InitializeDisk(session, disk.id, disk.lastKnownState);
  [&] { ASSERT_THAT(initialized, Succeeds()); }();
  VOLUME_INFO volume = Make(session, {"Ours", VOLUMELAYOUT_SIMPLE, {{kOwn, MiB(7)}}, MiB(7)});
  AssignDriveLetterRequest request;
  request.letter = u'S';
  request.storageId = volume.id;
  request.storageLastKnownState = volume.lastKnownState;
  const StorageView view = Need(session.View());
  request.letterLastKnownState = view.FindLetter(u'S')->lastKnownState;
  const auto assigned =
      session.Change<AssignDriveLetterReply>(session.interface(), "AssignDriveLetter", request);
  [&] { ASSERT_THAT(assigned, Succeeds()); }();
  return VolumeNow(session, volume.id);
}

harness::DynamicGroup MergeTest::ForeignNow() {
  const GroupImages now = CopyGroups();
  for (const harness::DynamicGroup& group : now.layout.groups) {
    if (group.name.starts_with("Foreign")) return group;
  }
  [&] { FAIL() << "the foreign group is not on the disks"; }();
  return {};
}

std::vector<LdmObjectId> MergeTest::DiskList(const harness::DynamicGroup& group, const MergeCase& merge) {
  std::vector<LdmObjectId> list;
  std::size_t index = kForeign;
  for (const harness::DynamicMember& disk : group.disks) {
    if (!disk.present) continue;
    if (merge.chosen.contains(disk.name)) list.push_back(lab().DiskId(index));
    ++index;
  }
  return list;
}

Bytes MergeTest::ForeignId(Session& session) { return DiskNow(session, kForeign).dgid.value_or(Bytes()); }

Outcome<DiskMergeQueryReply> MergeTest::Query(Session& session, const DiskMergeQueryRequest& request) {
  return session.Change<DiskMergeQueryReply>(session.interface(), "DiskMergeQuery", request);
}

Outcome<DiskMergeReply> MergeTest::Merge(Session& session, const DiskMergeRequest& request) {
  return session.Change<DiskMergeReply>(session.interface(), "DiskMerge", request);
}

DiskMergeRequest MergeTest::Confirm(const DiskMergeQueryRequest& asked, const DiskMergeQueryReply& told) {
  DiskMergeRequest request;
  request.dgid = asked.dgid;
  request.diskList = asked.diskList;
  request.merge_config_tid = told.merge_config_tid;
  request.merge_dm_rids = told.merge_dm_rids;
  return request;
}

}  // namespace dmrp::suites
