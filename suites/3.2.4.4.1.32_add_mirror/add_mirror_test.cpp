// AddMirror (3.2.4.4.1.32, 3.2.4.4.3.35).
#include "suites/support/volume_data.hpp"

#include <functional>
#include <limits>
#include <tuple>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AddMirrorTest : public VolumeDataTest {
 protected:
  // A simple volume on disk 0.
  VOLUME_INFO MakeSimple(Session& session) { return Make(session, ShapesOfEachLayout().front()); }
  // A request for its copy on disk 1.
  AddMirrorRequest Ask(Session& session, LdmObjectId volume) { return MirrorRequest(session, volume, 1); }
  static Outcome<AddMirrorReply> Add(Session& session, const AddMirrorRequest& request) {
    return session.Change<AddMirrorReply>(session.interface(), "AddMirror", request);
  }
};

struct Addition : WatchedDynamicOperation {  // on_disk: when the copy is complete
  VOLUME_INFO volume;                        // as it was
  LdmObjectId disk = 0;
  std::int32_t partition_number = -1;
  VOLUME_INFO healthy;  // then, as is what follows
  std::vector<std::string> broken_invariants;
};

class AddMirror : public AddMirrorTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartScenario(2); }
  Session& session() { return SessionOf(GetParam()); }
  // diskNumber means nothing on input.
  const Addition& Added() {
    return Once([this] {
      Addition seen;
      seen.volume = MakeSimple(session());
      AddMirrorRequest request = Ask(session(), seen.volume.id);
      request.diskNumber = 0x12345678;
      seen.disk = request.diskSpec.diskId;
      static_cast<WatchedOperation&>(seen) = Need(suites::Watch(
          lab(), session(),
          [&] {
            const auto reply = Add(session(), request);
            seen.partition_number = reply->partitionNumber;
            return reply;
          },
          [] {}));
      seen.healthy = AwaitHealthy(session(), seen.volume.id, seen.marks.at(GetParam()));
      if (target().Can("images")) {
        seen.on_disk = GroupsOnDisk();
        seen.broken_invariants =
            BrokenInvariants({0, 1}, {.degraded = false, .complete = true, .data = true});
      }
      return seen;
    });
  }
};

// The volume gets a second member of its own length on the disk named, and in the end both hold the same.
TEST_P(AddMirror, AddsACopyOnTheDisk) {
  Checks("DMRP-1047", "DMRP-1053", "DMRP-1054", "DMRP-1055", "DMRP-1058", "DMRP-1063", "DMRP-1696",
         "DMRP-1697");
  EXPECT_EQ(Added().healthy.layout, VOLUMELAYOUT_MIRROR);
  EXPECT_EQ(Added().healthy.length, Added().volume.length);
  const harness::DynamicLayout& found = GroupsAfter(Added());
  ASSERT_THAT(found.groups, SizeIs(1));
  ASSERT_THAT(found.groups[0].volumes, SizeIs(1));
  EXPECT_EQ(found.groups[0].volumes[0].type, harness::DynamicVolumeType::kMirrored);
  EXPECT_EQ(found.groups[0].volumes[0].size, static_cast<std::uint64_t>(Added().volume.length));
  EXPECT_THAT(Added().broken_invariants, IsEmpty());
}

// partitionNumber is 0, as the volume is no boot volume.
TEST_P(AddMirror, FillsTheReply) {
  Checks("DMRP-1046", "DMRP-1059", "DMRP-1061", "DMRP-1062", "DMRP-1064", "DMRP-1699", "DMRP-1701",
         "DMRP-0561", "DMRP-0563", "DMRP-0564");
  EXPECT_EQ(Added().partition_number, 0);
  ExpectCompleted(Added().tinfo);
  ExpectCompletion(session(), Added().tinfo, Added().marks.at(GetParam()));
}

TEST_P(AddMirror, ModifiesVolumeAndDiskAndCreatesTheRegion) {
  Checks("DMRP-1065", "DMRP-1066", "DMRP-1067", "DMRP-1068", "DMRP-0036");
  const auto& [volume, disk] = std::tie(Added().volume, Added().disk);
  const auto& [before, after] = std::tie(Added().before, Added().after);
  const auto& told = Added().notified.at(GetParam());
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, volume.id)));
  ASSERT_NE(after.FindVolume(volume.id), nullptr);
  EXPECT_EQ(after.FindVolume(volume.id)->layout, VOLUMELAYOUT_MIRROR);
  EXPECT_EQ(after.FindVolume(volume.id)->memberCount, 2U);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk)));
  EXPECT_EQ(before.FindDisk(disk)->freeBytes - after.FindDisk(disk)->freeBytes, volume.length);
  std::size_t made = 0;
  for (const REGION_INFO_EX& region : after.RegionsOfVolume(volume.id)) {
    if (region.diskId != disk) continue;
    ++made;
    EXPECT_EQ(region.length, volume.length);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
  }
  EXPECT_EQ(made, 1U);
}

class AddMirrorToAFragmentedDisk : public AddMirrorTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartDynamic(2); }
  Session& session() { return SessionOf(GetParam()); }
};

// With needContiguous the new member is one region: a fragmented disk that has no such region is refused, and
// one that has room beside its pieces gets it there.
TEST_P(AddMirrorToAFragmentedDisk, KeepsTheCopyInOnePieceWhenAsked) {
  Checks("DMRP-1056");
  const std::int64_t too_long = FragmentDisk(session(), 1);
  const VolumeShape shape{"Long", VOLUMELAYOUT_SIMPLE, {{0, too_long}}, too_long};
  const VOLUME_INFO source = Make(session(), shape);
  const auto ask = [&](const VOLUME_INFO& volume) {
    AddMirrorRequest request = Ask(session(), volume.id);
    request.diskSpec.needContiguous = true;
    return request;
  };
  ASSERT_THAT(Add(session(), ask(source)), Refused());
  EXPECT_EQ(VolumeNow(session(), source.id).layout, VOLUMELAYOUT_SIMPLE);
  ASSERT_THAT(DeleteVolume(session(), source.id, VolumeNow(session(), source.id).lastKnownState), Succeeds());

  const VOLUME_INFO fits = Make(session(), ShapesOfEachLayout().front());
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Add(session(), ask(fits));
  ASSERT_THAT(reply, Succeeds());
  AwaitHealthy(session(), fits.id, mark);
  std::size_t members = 0;
  for (const REGION_INFO_EX& region : Need(session().View()).RegionsOfVolume(fits.id)) {
    if (region.diskId != lab().DiskId(1)) continue;
    ++members;
    EXPECT_EQ(region.length, fits.length);
  }
  EXPECT_EQ(members, 1U);
  EXPECT_THAT(BrokenInvariants({0, 1}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, AddMirror, kBothRevisions, RevisionName());
INSTANTIATE_TEST_SUITE_P(Both, AddMirrorToAFragmentedDisk, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(AddMirrorRequest& request, const VOLUME_INFO& volume)> spoil;
};

class AddMirrorRefuses : public AddMirrorTest,
                         public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {
 protected:
  void SetUp() override { StartSharedDynamic(2, "simple-volume-to-keep-unmirrored"); }
};

TEST_P(AddMirrorRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1047", "DMRP-1052", "DMRP-1696");
  Session& session = SessionOf(revision);
  const VOLUME_INFO volume = Once([&] { return MakeSimple(session); });
  AddMirrorRequest request = Ask(session, volume.id);
  const Observation before = ObserveAll(session);
  wrong.spoil(request, volume);
  EXPECT_THAT(Add(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, AddMirrorRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"VolumeUnknown", "DMRP-1048",
                  [](AddMirrorRequest& r, const VOLUME_INFO&) {
                    r.volumeId = std::numeric_limits<LdmObjectId>::max();
                  }},
            Wrong{"VolumeIsADisk", "DMRP-1048",
                  [](AddMirrorRequest& r, const VOLUME_INFO&) { r.volumeId = r.diskSpec.diskId; }},
            Wrong{"VolumeStateOneBelow", "DMRP-1048",
                  [](AddMirrorRequest& r, const VOLUME_INFO&) { --r.volumeLastKnownState; }},
            Wrong{"DiskUnknown", "DMRP-1049",
                  [](AddMirrorRequest& r, const VOLUME_INFO&) {
                    r.diskSpec.diskId = std::numeric_limits<LdmObjectId>::max();
                  }},
            Wrong{"DiskIsTheVolume", "DMRP-1049",
                  [](AddMirrorRequest& r, const VOLUME_INFO& volume) { r.diskSpec.diskId = volume.id; }},
            Wrong{"DiskStateOneAbove", "DMRP-1049",
                  [](AddMirrorRequest& r, const VOLUME_INFO&) { ++r.diskSpec.lastKnownState; }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
