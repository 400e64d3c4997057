// GrowVolume (3.2.4.4.1.30, 3.2.4.4.3.30).
#include "harness/guest/guest.hpp"
#include "suites/support/volume_data.hpp"

#include <functional>
#include <limits>
#include <tuple>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int64_t kMore = MiB(4);

class GrowVolumeTest : public VolumeDataTest {
 protected:
  // A simple volume on disk 0.
  VOLUME_INFO MakeSimple(Session& session) { return Make(session, ShapesOfEachLayout().front()); }
  // A request for more of it on disk 1.
  GrowVolumeRequest Ask(Session& session, LdmObjectId id) {
    const VOLUME_INFO volume = VolumeNow(session, id);
    const DISK_INFO_EX disk = DiskNow(session, 1);
    GrowVolumeRequest request;
    request.volumeId = volume.id;
    request.volumeSpec.layout = VOLUMELAYOUT_SPANNED;
    request.volumeSpec.length = volume.length + kMore;
    request.volumeSpec.lastKnownState = volume.lastKnownState;
    DISK_SPEC spec;
    spec.diskId = disk.id;
    spec.length = kMore;
    spec.lastKnownState = disk.lastKnownState;
    request.diskList.push_back(spec);
    return request;
  }
  static Outcome<GrowVolumeReply> Grow(Session& session, const GrowVolumeRequest& request) {
    return session.Change<GrowVolumeReply>(session.interface(), "GrowVolume", request);
  }
};

struct Growth : WatchedDynamicOperation {
  VOLUME_INFO volume;  // as it was
  LdmObjectId disk = 0;
  std::vector<std::string> broken_invariants;
};

class GrowVolume : public GrowVolumeTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartScenario(2); }
  Session& session() { return SessionOf(GetParam()); }
  const Growth& Grown() {
    return Once([this] {
      Growth seen;
      seen.volume = MakeSimple(session());
      const GrowVolumeRequest request = Ask(session(), seen.volume.id);
      seen.disk = request.diskList[0].diskId;
      static_cast<WatchedDynamicOperation&>(seen) =
          Watch(session(), [&] { return Grow(session(), request); });
      seen.broken_invariants = BrokenInvariants({0, 1}, {.degraded = false, .complete = true, .data = true});
      return seen;
    });
  }
};

// The volume has the length asked for, and its new member lies behind the old one on the disk named.
TEST_P(GrowVolume, AddsTheMember) {
  Checks("DMRP-1007", "DMRP-1013", "DMRP-1014", "DMRP-1015", "DMRP-1016", "DMRP-1017", "DMRP-1019",
         "DMRP-1657", "DMRP-1658");
  const harness::DynamicLayout& found = GroupsAfter(Grown());
  ASSERT_THAT(found.groups, SizeIs(1));
  ASSERT_THAT(found.groups[0].volumes, SizeIs(1));
  const harness::DynamicVolume& volume = found.groups[0].volumes[0];
  EXPECT_EQ(volume.size, static_cast<std::uint64_t>(Grown().volume.length + kMore));
  EXPECT_EQ(volume.type, harness::DynamicVolumeType::kSpanned);
  ASSERT_THAT(volume.plexes, SizeIs(1));
  ASSERT_THAT(volume.plexes[0].extents, SizeIs(2));
  EXPECT_EQ(volume.plexes[0].extents[0].disk, "Disk1");
  EXPECT_EQ(volume.plexes[0].extents[1].disk, "Disk2");
  EXPECT_EQ(volume.plexes[0].extents[1].length, static_cast<std::uint64_t>(kMore));
  EXPECT_THAT(Grown().broken_invariants, IsEmpty());
}

TEST_P(GrowVolume, FillsTheTaskInfoAndSendsTheCompletion) {
  Checks("DMRP-1018", "DMRP-1020", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompleted(Grown().tinfo);
  ExpectCompletion(session(), Grown().tinfo, Grown().marks.at(GetParam()));
}

TEST_P(GrowVolume, ModifiesVolumeAndDiskAndCreatesTheRegion) {
  Checks("DMRP-1021", "DMRP-1022", "DMRP-1023", "DMRP-1024");
  const auto& [volume, disk] = std::tie(Grown().volume, Grown().disk);
  const auto& [before, after] = std::tie(Grown().before, Grown().after);
  const auto& told = Grown().notified.at(GetParam());
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, volume.id)));
  ASSERT_NE(after.FindVolume(volume.id), nullptr);
  EXPECT_EQ(after.FindVolume(volume.id)->length, volume.length + kMore);
  EXPECT_EQ(after.FindVolume(volume.id)->memberCount, 2U);
  EXPECT_EQ(after.FindVolume(volume.id)->layout, VOLUMELAYOUT_SPANNED);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk)));
  EXPECT_EQ(before.FindDisk(disk)->freeBytes - after.FindDisk(disk)->freeBytes, kMore);
  std::size_t made = 0;
  for (const REGION_INFO_EX& region : after.RegionsOfVolume(volume.id)) {
    if (region.diskId != disk) continue;
    ++made;
    EXPECT_EQ(region.length, kMore);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
  }
  EXPECT_EQ(made, 1U);
}

INSTANTIATE_TEST_SUITE_P(Both, GrowVolume, kBothRevisions, RevisionName());

// A volume with NTFS on it, and what a program of the guest does with it.
class GrowVolumeInUse : public GrowVolumeTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
  FileSystemOnDisk FileSystemNow() {
    const GroupImages images = GroupImagesNow();
    const harness::DynamicGroup& group = images.layout.groups.at(0);
    return FileSystemOnMembers(group, group.volumes.at(0));
  }
};

// Without force a volume that cannot be locked stays as it is, with its users; with force it grows, and the
// NTFS on it with it, with all that is in it.
TEST_P(GrowVolumeInUse, AsksForForceWhileTheVolumeIsInUse) {
  Checks("DMRP-1006", "DMRP-1659", "DMRP-1007", "DMRP-1657");
  StartDynamic(2);
  GuestOrSkip();
  const VOLUME_INFO volume = MakeSimple(session());
  GrowVolumeRequest request = Ask(session(), volume.id);
  FormatVolume(session(), volume.id, u"GROWS", FSTYPE_NTFS);
  harness::AgentClient& agent = GuestOrSkip().agent();
  Need(agent.Shell("mkdir -p /held && ntfs-3g " + DeviceOf(volume.id) +
                       " /held && echo precious > /held/file && umount /held && ntfs-3g -o ro " +
                       DeviceOf(volume.id) + " /held",
                   std::chrono::seconds(30)));
  {
    const harness::HeldFile held = Need(harness::HeldFile::Hold(agent, "/held/file"));
    ASSERT_THAT(session().RefreshFileSys(), Succeeds());
    request.volumeSpec.lastKnownState = VolumeNow(session(), volume.id).lastKnownState;
    EXPECT_THAT(Grow(session(), request), FailsWith(LDM_E_VOLUME_IN_USE));
    EXPECT_EQ(VolumeNow(session(), volume.id).length, volume.length);
    EXPECT_EQ(GroupsOnDisk().groups.at(0).volumes.at(0).size, static_cast<std::uint64_t>(volume.length));
    EXPECT_EQ(Need(agent.ReadFile("/held/file")), "precious\n");

    Checks("DMRP-1006", "DMRP-1659", "DMRP-1017");
    request.volumeSpec.lastKnownState = VolumeNow(session(), volume.id).lastKnownState;
    request.force = true;
    ASSERT_THAT(Grow(session(), request), Succeeds());
  }
  EXPECT_EQ(VolumeNow(session(), volume.id).length, volume.length + kMore);
  const FileSystemOnDisk grown = FileSystemNow();
  EXPECT_EQ(FsTypeOf(grown), FSTYPE_NTFS) << grown.account;
  EXPECT_EQ(grown.label, "GROWS");
  EXPECT_THAT(grown.problems, IsEmpty()) << grown.account;
  // The last sector of the volume holds the copy of the boot sector.
  EXPECT_GE(grown.units * grown.unit + 2 * grown.unit, static_cast<std::uint64_t>(volume.length + kMore))
      << grown.account;
  Need(agent.Shell("umount -l /held; mkdir -p /grown && ntfs-3g -o ro " + DeviceOf(volume.id) + " /grown",
                   std::chrono::seconds(30)));
  EXPECT_EQ(Need(agent.ReadFile("/grown/file")), "precious\n");
  Need(agent.Shell("umount /grown"));
}

// What the volume holds stays where it is, and the first octet of the new extent is the next one of the
// volume.
TEST_P(GrowVolumeInUse, KeepsTheDataInItsPlace) {
  Checks("DMRP-1013", "DMRP-1014");
  StartDynamic(2);
  GuestOrSkip();
  const VOLUME_INFO volume = MakeSimple(session());
  WritePattern(session(), volume.id, 30);
  ASSERT_THAT(Grow(session(), Ask(session(), volume.id)), Succeeds());
  const GroupImages images = GroupImagesNow();
  EXPECT_THAT(PatternProblemsOnDisk(images.layout.groups.at(0), images.layout.groups.at(0).volumes.at(0), 30),
              IsEmpty());
  EXPECT_THAT(PatternProblems(volume.id, 30), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, GrowVolumeInUse, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(GrowVolumeRequest& request)> spoil;
};

class GrowVolumeRefuses : public GrowVolumeTest,
                          public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {
 protected:
  void SetUp() override { StartSharedDynamic(2, "simple-volume-to-keep-small"); }
};

TEST_P(GrowVolumeRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1007", "DMRP-1012", "DMRP-1657");
  Session& session = SessionOf(revision);
  GrowVolumeRequest request = Ask(session, Once([&] { return MakeSimple(session).id; }));
  const Observation before = ObserveAll(session);
  wrong.spoil(request);
  EXPECT_THAT(Grow(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, GrowVolumeRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(Wrong{"VolumeUnknown", "DMRP-1008",
                                [](GrowVolumeRequest& r) {
                                  r.volumeId = std::numeric_limits<LdmObjectId>::max();
                                }},
                          Wrong{"VolumeStateOneBelow", "DMRP-0049",
                                [](GrowVolumeRequest& r) { --r.volumeSpec.lastKnownState; }},
                          Wrong{"VolumeStateOneAbove", "DMRP-1008",
                                [](GrowVolumeRequest& r) { ++r.volumeSpec.lastKnownState; }},
                          Wrong{"NoDisk", "DMRP-1009", [](GrowVolumeRequest& r) { r.diskList.clear(); }},
                          Wrong{"DiskUnknown", "DMRP-1010",
                                [](GrowVolumeRequest& r) {
                                  r.diskList[0].diskId = std::numeric_limits<LdmObjectId>::max();
                                }},
                          Wrong{"DiskStateOneAbove", "DMRP-1010",
                                [](GrowVolumeRequest& r) { ++r.diskList[0].lastKnownState; }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
