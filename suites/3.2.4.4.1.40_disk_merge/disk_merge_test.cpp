// DiskMerge (3.2.4.4.1.40, 3.2.4.4.3.43).
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/disk_group_merge.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

template <typename Watched>
struct Merged {
  harness::DynamicGroup foreign;  // as the disks told it before
  VOLUME_INFO ours;
  std::vector<LdmObjectId> disks;  // diskList
  DiskMergeQueryReply query;
  Watched operation;
};

using Case = std::tuple<Revision, MergeCase>;

class DiskMerge : public MergeTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartSharedWith(ScenarioKey(), Disks(GroupRequests(merge().group))); }
  [[nodiscard]] Revision revision() const { return std::get<0>(GetParam()); }
  [[nodiscard]] const MergeCase& merge() const { return std::get<1>(GetParam()); }
  Session& session() { return SessionOf(revision()); }
  const auto& Done() {
    return Once([&] {
      const VOLUME_INFO ours = MakeOurs(session());
      harness::DynamicGroup foreign = ForeignNow();
      DiskMergeQueryRequest question;
      question.dgid = ForeignId(session());
      question.diskList = DiskList(foreign, merge());
      const auto told = Query(session(), question);
      [&] { ASSERT_THAT(told, Succeeds()); }();
      auto operation = Watch(session(), [&] { return Merge(session(), Confirm(question, told.value)); });
      return Merged<decltype(operation)>{std::move(foreign), ours, question.diskList, told.value,
                                         std::move(operation)};
    });
  }
  const std::vector<ReceivedObject>& Told() { return Done().operation.notified.at(revision()); }
  // Volumes that have to come along.
  std::vector<MergedVolume> Kept() {
    std::vector<MergedVolume> kept;
    for (MergedVolume& merged : Predict(Done().foreign, merge())) {
      if (merged.related && !merged.deleted) kept.push_back(std::move(merged));
    }
    return kept;
  }
  const VOLUME_INFO* Object(const MergedVolume& merged) {
    return ObjectOf(Done().operation.after, merged.volume);
  }
  // Our group on the disks: the one with disk 0.
  const harness::DynamicGroup& OurGroup() {
    const auto& groups = GroupsAfter(Done().operation).groups;
    const auto found = std::ranges::find_if(
        groups, [](const harness::DynamicGroup& group) { return !group.name.starts_with("Foreign"); });
    [&] { ASSERT_NE(found, groups.end()); }();
    return *found;
  }
};

// The disks named belong to the primary group, under their own GUIDs, and the volumes with them.
TEST_P(DiskMerge, TakesDisksAndVolumesIntoThePrimaryGroup) {
  Checks("DMRP-1201", "DMRP-1208", "DMRP-1210", "DMRP-1736", "DMRP-1738");
  const harness::DynamicGroup& ours = OurGroup();
  EXPECT_TRUE(ours.at_rest.value_or(false));
  for (const harness::DynamicMember& disk : Done().foreign.disks) {
    if (!merge().chosen.contains(disk.name)) continue;
    EXPECT_THAT(ours.disks, Contains(::testing::Field(&harness::DynamicMember::guid, disk.guid)))
        << disk.name;
  }
  const std::vector<MergedVolume> kept = Kept();
  EXPECT_THAT(ours.volumes, SizeIs(kept.size() + 1));
  for (const MergedVolume& merged : kept) {
    const auto here = std::ranges::find(ours.volumes, merged.volume.guid, &harness::DynamicVolume::guid);
    ASSERT_NE(here, ours.volumes.end()) << merged.volume.name;
    EXPECT_EQ(here->size, merged.volume.size);
    EXPECT_EQ(LayoutOnWire(here->type), merged.layout) << merged.volume.name;
  }
}

// Our group keeps the rules of the format. Of a group that was taken apart the rest does not.
TEST_P(DiskMerge, LeavesTheGroupInOrder) {
  Checks("DMRP-1208");
  std::vector<std::size_t> members{kOwn};
  for (std::size_t i = kForeign; i < lab().bed().disks().size(); ++i) {
    if (std::ranges::find(Done().disks, lab().DiskId(i)) != Done().disks.end()) members.push_back(i);
  }
  const bool complete = merge().group.away.empty();
  EXPECT_THAT(BrokenInvariants(members, {.degraded = !complete, .complete = complete, .data = complete}),
              IsEmpty());
}

TEST_P(DiskMerge, BringsDisksAndVolumesOnline) {
  Checks("DMRP-1209", "DMRP-1739");
  for (const LdmObjectId id : Done().disks) {
    EXPECT_EQ(Done().operation.after.FindDisk(id)->deviceState, DWORD{DEVICESTATE_HEALTHY});
  }
  std::vector<harness::DynamicVolume> volumes;
  for (const MergedVolume& merged : Kept()) {
    ASSERT_NE(Object(merged), nullptr) << merged.volume.name;
    EXPECT_EQ(Object(merged)->status, merged.status) << merged.volume.name;
    volumes.push_back(merged.volume);
  }
  EXPECT_THAT(DeviceProblems(session(), volumes), IsEmpty());
  EXPECT_EQ(VolumeNow(session(), Done().ours.id), Done().ours) << "our own volume stays as it is";
}

TEST_P(DiskMerge, KeepsWhatTheVolumesHold) {
  Checks("DMRP-1208", "DMRP-1209");
  std::vector<harness::DynamicVolume> volumes;
  for (const MergedVolume& merged : Kept()) volumes.push_back(merged.volume);
  EXPECT_THAT(DataProblems(OurGroup().guid, volumes), IsEmpty());
}

// What the query foretold has come about.
TEST_P(DiskMerge, DoesWhatTheQueryForetold) {
  Checks("DMRP-1192", "DMRP-0126", "DMRP-0127", "DMRP-0128");
  std::vector<std::pair<VOLUMELAYOUT, std::int64_t>> foretold{{Done().ours.layout, Done().ours.length}};
  for (const MERGE_OBJECT_INFO& info : Done().query.mergeObjectInfo) {
    if ((info.flags & DWORD{DSKMERGE_RELATED}) != 0 && (info.flags & DWORD{DSKMERGE_DELETE}) == 0) {
      foretold.emplace_back(info.layout, info.length);
    }
  }
  std::vector<std::pair<VOLUMELAYOUT, std::int64_t>> listed;
  for (const VOLUME_INFO& volume : Done().operation.after.volumes.value_or(std::vector<VOLUME_INFO>())) {
    listed.emplace_back(volume.layout, volume.length);
  }
  EXPECT_THAT(listed, UnorderedElementsAreArray(foretold));
}

TEST_P(DiskMerge, FillsTheTaskInfoAndSendsTheCompletion) {
  Checks("DMRP-1211", "DMRP-1212", "DMRP-1213", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompleted(Done().operation.tinfo);
  ExpectCompletion(session(), Done().operation.tinfo, Done().operation.marks.at(revision()));
}

TEST_P(DiskMerge, ModifiesTheDisks) {
  Checks("DMRP-1214", "DMRP-0531");
  const auto& [before, after] = std::tie(Done().operation.before, Done().operation.after);
  for (const LdmObjectId id : Done().disks) {
    ASSERT_NE(after.FindDisk(id), nullptr);
    EXPECT_NE(before.FindDisk(id)->deviceState & DWORD{DEVICESTATE_UNCLAIMED}, 0U);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, id)));
    EXPECT_GT(after.FindDisk(id)->lastKnownState, before.FindDisk(id)->lastKnownState);
    EXPECT_EQ(after.FindDisk(id)->dgid, after.FindDisk(lab().DiskId(kOwn))->dgid);
    EXPECT_EQ(after.FindDisk(id)->dgName, after.FindDisk(lab().DiskId(kOwn))->dgName);
  }
  // Those that were not named are foreign still.
  for (std::size_t i = kForeign; i < lab().bed().disks().size(); ++i) {
    if (std::ranges::find(Done().disks, lab().DiskId(i)) != Done().disks.end()) continue;
    EXPECT_NE(after.FindDisk(lab().DiskId(i))->deviceState & DWORD{DEVICESTATE_UNCLAIMED}, 0U) << i;
  }
}

TEST_P(DiskMerge, CreatesTheVolumes) {
  Checks("DMRP-1215", "DMRP-0529");
  for (const MergedVolume& merged : Kept()) {
    ASSERT_NE(Object(merged), nullptr) << merged.volume.name;
    EXPECT_EQ(Done().operation.before.FindVolume(Object(merged)->id), nullptr);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, Object(merged)->id)));
    EXPECT_EQ(Object(merged)->layout, merged.layout) << merged.volume.name;
  }
}

TEST_P(DiskMerge, CreatesTheRegions) {
  Checks("DMRP-1216");
  for (const MergedVolume& merged : Kept()) {
    ASSERT_NE(Object(merged), nullptr) << merged.volume.name;
    const auto regions = Done().operation.after.RegionsOfVolume(Object(merged)->id);
    EXPECT_THAT(regions, Not(IsEmpty()));
    std::vector<std::pair<std::int64_t, std::int64_t>> on_wire;
    for (const REGION_INFO_EX& region : regions) {
      EXPECT_EQ(region.regionType, REGION_SUBDISK);
      EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
      if (std::ranges::find(Done().disks, region.diskId) != Done().disks.end()) {
        on_wire.emplace_back(region.start, region.length);
      }
    }
    std::vector<std::pair<std::int64_t, std::int64_t>> on_disk;
    for (const harness::DynamicPlex& plex : merged.volume.plexes) {
      for (const harness::DynamicExtent& extent : plex.extents) {
        if (!extent.start || !merge().chosen.contains(extent.disk)) continue;
        on_disk.emplace_back(static_cast<std::int64_t>(*extent.start),
                             static_cast<std::int64_t>(extent.length));
      }
    }
    EXPECT_THAT(on_wire, UnorderedElementsAreArray(on_disk)) << merged.volume.name;
  }
}

// Each volume gets the letter of its record, unless another has it: S stays with ours.
TEST_P(DiskMerge, PutsTheLettersIntoUse) {
  Checks("DMRP-1217");
  const auto& [before, after] = std::tie(Done().operation.before, Done().operation.after);
  for (const MergedVolume& merged : Kept()) {
    if (LetterOf(merged.volume) == 0) continue;
    const auto letter = static_cast<char16_t>(LetterOf(merged.volume));
    ASSERT_NE(after.FindLetter(letter), nullptr);
    if (letter == u'S') {
      EXPECT_EQ(*after.FindLetter(letter), *before.FindLetter(letter));
      EXPECT_EQ(after.FindLetter(letter)->storageId, Done().ours.id);
      continue;
    }
    EXPECT_EQ(before.FindLetter(letter)->isUsed, 0U);
    EXPECT_EQ(after.FindLetter(letter)->isUsed, 1U) << merged.volume.name;
    EXPECT_EQ(after.FindLetter(letter)->storageId, Object(merged)->id);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(letter))));
  }
}

TEST_P(DiskMerge, CreatesTheFileSystems) {
  Checks("DMRP-1218");
  for (const MergedVolume& merged : Kept()) {
    ASSERT_NE(Object(merged), nullptr) << merged.volume.name;
    const FILE_SYSTEM_INFO* system = Done().operation.after.FileSystemOf(Object(merged)->id);
    if (LetterOf(merged.volume) == 0) {
      EXPECT_EQ(system, nullptr) << merged.volume.name;
      continue;
    }
    ASSERT_NE(system, nullptr) << merged.volume.name;
    EXPECT_EQ(system->fsType, FSTYPE_FAT);
    EXPECT_EQ(harness::Text(system->label), LabelOfVolume(LetterOf(merged.volume)));
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_CREATED, system->id)));
  }
}

TEST_P(DiskMerge, IsNotifiedToClientsOfBothRevisions) {
  Checks("DMRP-1214", "DMRP-1215", "DMRP-0457");
  for (const auto& [revision, objects] : Done().operation.notified) {
    for (const LdmObjectId disk : Done().disks) {
      EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk)));
    }
    for (const MergedVolume& merged : Kept()) {
      ASSERT_NE(Object(merged), nullptr) << merged.volume.name;
      EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, Object(merged)->id)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, DiskMerge, ::testing::ValuesIn(Dealt(MergeCases())), [](const auto& info) {
  return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
         std::string(std::get<1>(info.param).name);
});

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(DiskMergeRequest& request, const std::vector<LdmObjectId>& others, const Bytes& ours)>
      spoil;
};

class DiskMergeRefuses : public MergeTest,
                         public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(DiskMergeRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1201", "DMRP-1207", "DMRP-1736");
  const MergeCase all = MergeCases().front();
  StartSharedWith("queried-Complete", Disks(GroupRequests(all.group)));
  Session& session = SessionOf(revision);
  const auto& group = Once([&] {
    MakeOurs(session);
    return ForeignNow();
  });
  DiskMergeQueryRequest question;
  question.dgid = ForeignId(session);
  question.diskList = DiskList(group, all);
  const auto told = Query(session, question);
  ASSERT_THAT(told, Succeeds());
  DiskMergeRequest request = Confirm(question, told.value);
  const Observation before = ObserveAll(session);
  wrong.spoil(request, {lab().DiskId(kOwn), lab().DiskId(kBasic)},
              DiskNow(session, kOwn).dgid.value_or(Bytes()));
  EXPECT_THAT(Merge(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

using Others = std::vector<LdmObjectId>;

INSTANTIATE_TEST_SUITE_P(
    Both, DiskMergeRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"GroupEmpty", "DMRP-1202",
                  [](DiskMergeRequest& r, const Others&, const Bytes&) { r.dgid.clear(); }},
            Wrong{"GroupGarbage", "DMRP-1202",
                  [](DiskMergeRequest& r, const Others&, const Bytes&) {
                    r.dgid = TerminatedOctets("no disk group");
                  }},
            Wrong{"GroupUnknown", "DMRP-1202",
                  [](DiskMergeRequest& r, const Others&, const Bytes&) {
                    r.dgid = TerminatedOctets(Guid::Random().ToString());
                  }},
            Wrong{"GroupIsThePrimary", "DMRP-1202",
                  [](DiskMergeRequest& r, const Others&, const Bytes& ours) { r.dgid = ours; }},
            Wrong{"FirstDiskUnknown", "DMRP-1203",
                  [](DiskMergeRequest& r, const Others&,
                     const Bytes&) { r.diskList.front() = std::numeric_limits<LdmObjectId>::max(); }},
            Wrong{"LastDiskZero", "DMRP-1203",
                  [](DiskMergeRequest& r, const Others&, const Bytes&) { r.diskList.back() = 0; }},
            Wrong{"LastDiskIsOurs", "DMRP-1203",
                  [](DiskMergeRequest& r, const Others& others,
                     const Bytes&) { r.diskList.back() = others[0]; }},
            Wrong{"FirstDiskIsBasic", "DMRP-1203",
                  [](DiskMergeRequest& r, const Others& others, const Bytes&) {
                    r.diskList.front() = others[1];
                  }},
            Wrong{"SequenceNumberOneBelow", "DMRP-1204",
                  [](DiskMergeRequest& r, const Others&, const Bytes&) { --r.merge_config_tid; }},
            Wrong{"SequenceNumberOneAbove", "DMRP-1204",
                  [](DiskMergeRequest& r, const Others&, const Bytes&) { ++r.merge_config_tid; }},
            Wrong{"FirstRecordUnknown", "DMRP-1205",
                  [](DiskMergeRequest& r, const Others&,
                     const Bytes&) { r.merge_dm_rids.front() = 0x7FFFFFFF; }},
            Wrong{"OneRecordMoreUnknown", "DMRP-1205",
                  [](DiskMergeRequest& r, const Others&,
                     const Bytes&) { r.merge_dm_rids.push_back(0x7FFFFFFF); }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
