// CreateVolume (3.2.4.4.1.26, 3.2.4.4.3.26), EnumVolumes, EnumVolumeMembers and the structures that they
// carry (2.2.10 to 2.2.12).
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/dynamic_volumes.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

using Case = std::tuple<Revision, VolumeShape>;

struct CaseName {
  std::string operator()(const ::testing::TestParamInfo<Case>& info) const {
    return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
           std::string(std::get<1>(info.param).name);
  }
};

class CreateVolume : public DynamicTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartScenario(3); }
  Session& session() { return SessionOf(Asked()); }
  [[nodiscard]] static Revision Asked() { return std::get<0>(GetParam()); }
  [[nodiscard]] static const VolumeShape& shape() { return std::get<1>(GetParam()); }
  [[nodiscard]] static bool Redundant() {
    return shape().layout == VOLUMELAYOUT_MIRROR || shape().layout == VOLUMELAYOUT_RAID5;
  }
  const WatchedDynamicOperation& Created() {
    return Once([this] {
      const CreateVolumeRequest request = RequestFor(session(), shape());
      return Watch(session(), [&] { return DynamicTest::CreateVolume(session(), request); });
    });
  }
};

// The volume is on the disks when the reply comes: its layout and length are those asked for, its members lie
// on the disks named, and all structures are sound.
TEST_P(CreateVolume, MakesTheVolume) {
  Checks("DMRP-0927", "DMRP-0932", "DMRP-0933", "DMRP-0934", "DMRP-0935", "DMRP-0938", "DMRP-0941",
         "DMRP-0046", "DMRP-0048", "DMRP-0036", "DMRP-1642", "DMRP-1643");
  const harness::DynamicLayout& found = GroupsAfter(Created());
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  ASSERT_THAT(found.groups[0].volumes, SizeIs(1));
  const harness::DynamicVolume& volume = found.groups[0].volumes[0];
  EXPECT_EQ(volume.type, TypeOnDisk(shape().layout));
  EXPECT_EQ(volume.size, static_cast<std::uint64_t>(shape().length));
  std::map<std::string, std::uint64_t> lengths;
  for (const harness::DynamicPlex& plex : volume.plexes) {
    for (const harness::DynamicExtent& extent : plex.extents) lengths[extent.disk] += extent.length;
  }
  // Disk names in the group follow the order in which the disks were initialized.
  std::map<std::string, std::uint64_t> asked;
  for (const auto& [index, length] : shape().members) {
    asked["Disk" + std::to_string(index + 1)] = static_cast<std::uint64_t>(length);
  }
  EXPECT_EQ(lengths, asked);
  // The members of a mirror or a RAID-5 set may still be brought in step.
  EXPECT_THAT(BrokenInvariants({0, 1, 2}, {.degraded = Redundant(), .complete = true, .data = false}),
              IsEmpty());
}

// In the end the volume is healthy: copies are equal, parity adds up, and no record says otherwise.
TEST_P(CreateVolume, BringsTheMembersInStep) {
  Checks("DMRP-0932", "DMRP-0041", "DMRP-0058");
  const VOLUME_INFO volume = AwaitHealthy(session(), Created().tinfo.storageId, Created().marks.at(Asked()));
  EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
  for (const REGION_INFO_EX& region : Need(session().View()).RegionsOfVolume(volume.id)) {
    EXPECT_EQ(region.status, REGIONSTATUS_OK) << ToText(region);
  }
  EXPECT_THAT(BrokenInvariants({0, 1, 2}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

TEST_P(CreateVolume, FillsTheTaskInfo) {
  Checks("DMRP-0939", "DMRP-0940", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Created().tinfo);
  EXPECT_NE(Created().after.FindVolume(Created().tinfo.storageId), nullptr);
}

TEST_P(CreateVolume, SendsTheCompletionNotification) {
  Checks("DMRP-0942", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(session(), Created().tinfo, Created().marks.at(Asked()));
}

// The new object says what the disks say, and EnumVolumeMembers leads to its regions.
TEST_P(CreateVolume, CreatesTheVolumeObject) {
  Checks("DMRP-0943", "DMRP-0529", "DMRP-0485", "DMRP-0052", "DMRP-0053", "DMRP-0054", "DMRP-0055",
         "DMRP-0057", "DMRP-0058", "DMRP-0909", "DMRP-0910", "DMRP-0045");
  const LdmObjectId id = Created().tinfo.storageId;
  EXPECT_THAT(Created().notified.at(Asked()),
              Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, id)));
  ASSERT_NE(Created().after.FindVolume(id), nullptr);
  const VOLUME_INFO& volume = *Created().after.FindVolume(id);
  EXPECT_EQ(volume.type, VOLUMETYPE_VM);
  EXPECT_EQ(volume.layout, shape().layout);
  EXPECT_EQ(volume.length, shape().length);
  EXPECT_EQ(volume.memberCount, shape().members.size());
  if (Redundant()) {
    // A new set may still be bringing its members in step.
    EXPECT_THAT(volume.status, ::testing::AnyOf(VOLUME_STATUS_HEALTHY, VOLUME_STATUS_SYNCHING,
                                                VOLUME_STATUS_REGENERATING, VOLUME_STATUS_INITIALIZING));
  } else {
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
  }
  EXPECT_EQ(volume.vflags & static_cast<DWORD>(VOLUME_CORRUPT | VOLUME_FORMAT_IN_PROGRESS), 0U);
}

// One region for each member, with the volume's id, where the readers find the subdisk.
TEST_P(CreateVolume, CreatesTheRegionObjects) {
  Checks("DMRP-0945", "DMRP-0918", "DMRP-0920", "DMRP-0921", "DMRP-0922", "DMRP-0923", "DMRP-0483",
         "DMRP-0282");
  const LdmObjectId id = Created().tinfo.storageId;
  const auto& told = Created().notified.at(Asked());
  const auto members = session().EnumVolumeMembers(id);
  ASSERT_THAT(members, Succeeds());
  std::vector<LdmObjectId> regions;
  std::vector<std::pair<std::int64_t, std::int64_t>> on_wire;
  for (const auto& [index, length] : shape().members) {
    for (const REGION_INFO_EX& region : Created().after.RegionsOf(lab().DiskId(index))) {
      if (region.volId != id) continue;
      regions.push_back(region.id);
      on_wire.emplace_back(region.start, region.length);
      EXPECT_EQ(region.regionType, REGION_SUBDISK);
      EXPECT_EQ(region.length, length);
      EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
    }
  }
  EXPECT_THAT(members->memberList, UnorderedElementsAreArray(regions));
  std::vector<std::pair<std::int64_t, std::int64_t>> on_disk;
  for (const harness::DynamicPlex& plex : GroupsAfter(Created()).groups.at(0).volumes.at(0).plexes) {
    for (const harness::DynamicExtent& extent : plex.extents) {
      on_disk.emplace_back(static_cast<std::int64_t>(extent.start.value_or(0)),
                           static_cast<std::int64_t>(extent.length));
    }
  }
  EXPECT_THAT(on_wire, UnorderedElementsAreArray(on_disk));
}

// What was free there is less by what the members take; the disks say so.
TEST_P(CreateVolume, TakesTheSpaceFromTheDisks) {
  Checks("DMRP-0944", "DMRP-0946", "DMRP-0531");
  const StorageView& before = Created().before;
  const StorageView& after = Created().after;
  const auto& told = Created().notified.at(Asked());
  for (const auto& [index, length] : shape().members) {
    const LdmObjectId disk = lab().DiskId(index);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk)));
    EXPECT_GT(after.FindDisk(disk)->lastKnownState, before.FindDisk(disk)->lastKnownState);
    // What alignment leaves over is free too.
    EXPECT_EQ(before.FindDisk(disk)->freeBytes - after.FindDisk(disk)->freeBytes, length);
    EXPECT_TRUE(std::ranges::any_of(told,
                                    [&](const ReceivedObject& object) {
                                      return object.type == DMNOTIFY_REGION_INFO &&
                                             object.action != LDMACTION_CREATED &&
                                             before.FindRegion(object.id) != nullptr &&
                                             harness::IsFree(*before.FindRegion(object.id)) &&
                                             before.FindRegion(object.id)->diskId == disk;
                                    }))
        << "no frame about the free region of disk " << index;
  }
}

// Both revisions are told, each in its own structures.
TEST_P(CreateVolume, IsNotifiedToClientsOfBothRevisions) {
  Checks("DMRP-0943", "DMRP-0457");
  const LdmObjectId id = Created().tinfo.storageId;
  for (const auto& [revision, objects] : Created().notified) {
    EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, id)));
  }
  EXPECT_EQ(VolumeNow(SessionOf(Revision::kIVolumeClient), id),
            VolumeNow(SessionOf(Revision::kIVolumeClient3), id));
}

INSTANTIATE_TEST_SUITE_P(Layouts, CreateVolume,
                         ::testing::ValuesIn(Dealt(ShapesOfEachLayout(), Revision::kIVolumeClient)),
                         CaseName());

class CreateVolumeChecks : public DynamicTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
};

// lastKnownState, type and partitiontype of the VOLUME_SPEC have no influence.
TEST_P(CreateVolumeChecks, TakesNoNoticeOfMembersThatMeanNothing) {
  Checks("DMRP-0364", "DMRP-0044", "DMRP-0047", "DMRP-0045");
  StartDynamic(1);
  CreateVolumeRequest request = RequestFor(session(), ShapesOfEachLayout().front());
  request.volumeSpec.lastKnownState = 0x123456789;
  request.volumeSpec.type = VOLUMETYPE_FT;
  request.volumeSpec.partitionType = REGION_EXTENDED;
  const auto reply = DynamicTest::CreateVolume(session(), request);
  ASSERT_THAT(reply, Succeeds());
  EXPECT_EQ(VolumeNow(session(), reply->tinfo.storageId).type, VOLUMETYPE_VM);
}

// With needContiguous a member is one region; a fragmented disk has none that is long enough.
TEST_P(CreateVolumeChecks, KeepsAMemberInOnePieceWhenAsked) {
  Checks("DMRP-0936", "DMRP-0937");
  StartDynamic(1);
  // Three volumes side by side; without the middle one the free space lies in two pieces.
  std::vector<VOLUME_INFO> volumes;
  const std::int64_t free = DiskNow(session()).freeBytes;
  const std::int64_t piece = free / 4 / MiB(1) * MiB(1);
  for (int i = 0; i < 3; ++i) {
    volumes.push_back(Make(session(), {"Piece", VOLUMELAYOUT_SIMPLE, {{0, piece}}, piece}));
  }
  const VOLUME_INFO middle = VolumeNow(session(), volumes[1].id);
  ASSERT_THAT(DeleteVolume(session(), middle.id, middle.lastKnownState), Succeeds());
  std::int64_t largest = 0;
  std::int64_t sum = 0;
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    if (!harness::IsFree(region)) continue;
    largest = std::max(largest, region.length);
    sum += region.length;
  }
  const std::int64_t wanted = (largest + MiB(2)) / MiB(1) * MiB(1);
  ASSERT_LT(wanted, sum);
  CreateVolumeRequest request = RequestFor(session(), {"Long", VOLUMELAYOUT_SIMPLE, {{0, wanted}}, wanted});
  request.diskList[0].needContiguous = true;
  const auto refused = DynamicTest::CreateVolume(session(), request);
  EXPECT_THAT(refused, Refused());
  request = RequestFor(session(), {"Long", VOLUMELAYOUT_SIMPLE, {{0, wanted}}, wanted});
  const auto reply = DynamicTest::CreateVolume(session(), request);
  if (reply.succeeded()) {
    EXPECT_GT(VolumeNow(session(), reply->tinfo.storageId).memberCount, 1U);
    EXPECT_THAT(BrokenInvariants({0}), IsEmpty());
  } else {
    EXPECT_THAT(reply, Refused());
  }
}

// A second volume gets space and an identifier of its own.
TEST_P(CreateVolumeChecks, MakesVolumesSideBySide) {
  Checks("DMRP-0932", "DMRP-0907", "DMRP-0911", "DMRP-0912");
  StartDynamic(3);
  std::vector<LdmObjectId> ids;
  for (const VolumeShape& shape : ShapesOfEachLayout()) ids.push_back(Make(session(), shape).id);
  const auto reply = session().EnumVolumes(0xFFFF);
  ASSERT_THAT(reply, Succeeds());
  std::vector<LdmObjectId> listed;
  for (const VOLUME_INFO& volume : reply->LdmVolumeList) listed.push_back(volume.id);
  EXPECT_THAT(listed, UnorderedElementsAreArray(ids));
  EXPECT_THAT(GroupsOnDisk().groups.at(0).volumes, SizeIs(ids.size()));
  EXPECT_THAT(BrokenInvariants({0, 1, 2}, {.degraded = false, .complete = true, .data = false}), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(One, CreateVolumeChecks, ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient)),
                         RevisionName());

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(CreateVolumeRequest& request)> spoil;
};

class CreateVolumeRefuses : public DynamicTest,
                            public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(CreateVolumeRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-0931", "DMRP-0927", "DMRP-1642");
  StartSharedDynamic(3);
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  CreateVolumeRequest request = RequestFor(session, ShapesOfEachLayout()[1]);
  wrong.spoil(request);
  EXPECT_THAT(DynamicTest::CreateVolume(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, CreateVolumeRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"NoDisk", "DMRP-0928", [](CreateVolumeRequest& r) { r.diskList.clear(); }},
            Wrong{"FirstDiskUnknown", "DMRP-0929",
                  [](CreateVolumeRequest& r) {
                    r.diskList[0].diskId = std::numeric_limits<LdmObjectId>::max();
                  }},
            Wrong{"LastDiskZero", "DMRP-0929", [](CreateVolumeRequest& r) { r.diskList[1].diskId = 0; }},
            Wrong{"FirstStateOneBelow", "DMRP-0929",
                  [](CreateVolumeRequest& r) { --r.diskList[0].lastKnownState; }},
            Wrong{"LastStateOneAbove", "DMRP-0929",
                  [](CreateVolumeRequest& r) { ++r.diskList[1].lastKnownState; }},
            Wrong{"LengthOffBy1", "DMRP-0050", [](CreateVolumeRequest& r) { ++r.volumeSpec.length; }},
            Wrong{"LengthOffBy256", "DMRP-0050", [](CreateVolumeRequest& r) { r.volumeSpec.length += 256; }},
            Wrong{"LengthZero", "DMRP-0933", [](CreateVolumeRequest& r) { r.volumeSpec.length = 0; }},
            Wrong{"LengthNegative", "DMRP-0933", [](CreateVolumeRequest& r) { r.volumeSpec.length = -MiB(16); }},
            Wrong{"LayoutUnknown", "DMRP-0933",
                  [](CreateVolumeRequest& r) { r.volumeSpec.layout = VOLUMELAYOUT_UNKNOWN; }},
            Wrong{"LayoutPartition", "DMRP-0933",
                  [](CreateVolumeRequest& r) { r.volumeSpec.layout = VOLUMELAYOUT_PARTITION; }},
            Wrong{"LayoutUndefined", "DMRP-0933",
                  [](CreateVolumeRequest& r) { r.volumeSpec.layout = static_cast<VOLUMELAYOUT>(7); }},
            Wrong{"SameDiskTwiceInAMirror", "DMRP-0933",
                  [](CreateVolumeRequest& r) {
                    r.volumeSpec.layout = VOLUMELAYOUT_MIRROR;
                    r.volumeSpec.length = MiB(8);
                    r.diskList[1] = r.diskList[0];
                  }},
            Wrong{"Raid5OnTwoDisks", "DMRP-0933",
                  [](CreateVolumeRequest& r) {
                    r.volumeSpec.layout = VOLUMELAYOUT_RAID5;
                    r.volumeSpec.length = MiB(8);
                    r.diskList[1].length = MiB(8);
                  }},
            Wrong{"MoreThanTheDiskHas", "DMRP-0934", [](CreateVolumeRequest& r) {
                    r.diskList[0].length = MiB(4096);
                    r.volumeSpec.length = MiB(4096) + r.diskList[1].length;
                  }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

// A basic disk can hold no member.
class CreateVolumeOnABasicDisk : public DynamicTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(CreateVolumeOnABasicDisk, IsRefused) {
  Checks("DMRP-0931", "DMRP-0934");
  StartDynamic(2, 1);
  Session& session = SessionOf(GetParam());
  const Observation before = ObserveAll(session);
  EXPECT_THAT(DynamicTest::CreateVolume(
                  session, RequestFor(session, {"Simple", VOLUMELAYOUT_SIMPLE, {{1, MiB(8)}}, MiB(8)})),
              Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, CreateVolumeOnABasicDisk, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
