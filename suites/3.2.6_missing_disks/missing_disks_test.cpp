// Disk arrival and removal (3.2.6.1, 3.2.6.2) where the disks are dynamic: missing disks, what becomes of
// volumes without them, foreign disks; and RefreshEx (3.2.4.4.4.1), which looks for missing disks itself.
#include "harness/guest/guest.hpp"
#include "suites/support/foreign_groups.hpp"
#include "suites/support/volume_data.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

bool IsMissing(const DISK_INFO_EX& disk) { return (disk.deviceState & DWORD{DEVICESTATE_MISSING}) != 0; }

const DISK_INFO_EX* MissingDisk(const StorageView& view) {
  const auto found = std::ranges::find_if(view.disks, IsMissing);
  return found == view.disks.end() ? nullptr : &*found;
}

// Where the notification of that kind stands; the number of all when there is none.
std::size_t PlaceOf(const std::vector<ReceivedObject>& told, DMNOTIFY_INFO_TYPE type, LDMACTION action,
                    LdmObjectId id) {
  return static_cast<std::size_t>(std::ranges::find_if(told, harness::Action(type, action, id)) -
                                  told.begin());
}

struct Volumes {
  LdmObjectId untouched = 0, simple = 0, mirror = 0, raid5 = 0;
};

struct PulledAndReturned {
  Volumes volumes;
  char16_t letter = 0;  // of the simple volume
  LdmObjectId disk = 0;
  StorageView whole, away, back;
  std::map<Revision, std::vector<ReceivedObject>> told_away, told_back;
};

// The third of three disks, with all of a volume and members of two others, is pulled and comes back.
class MissingDisks : public VolumeDataTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override {
    NeedsCapability("attach");
    NeedsCapability("detach");
    NeedsCapability("uevents");
    StartScenario(3);
  }
  Session& session() { return SessionOf(GetParam()); }
  Session& other() {
    return SessionOf(GetParam() == Revision::kIVolumeClient ? Revision::kIVolumeClient3
                                                            : Revision::kIVolumeClient);
  }
  const PulledAndReturned& Done() {
    return Once([this] { return PullAndReturn(); });
  }
  // Waits until the other client was told of a disk, too, and gives what both were told.
  std::map<Revision, std::vector<ReceivedObject>> Told(LDMACTION action,
                                                       const std::map<Revision, std::uint64_t>& marks) {
    EXPECT_TRUE(other().sink().WaitFor(harness::Action(DMNOTIFY_DISK_INFO, action),
                                       target().notification_timeout, marks.at(other().revision())))
        << "the other client was not told";
    return {{session().revision(), session().sink().Objects(marks.at(session().revision()))},
            {other().revision(), other().sink().Objects(marks.at(other().revision()))}};
  }
  std::map<Revision, std::uint64_t> Marks() {
    return {{session().revision(), session().sink().Count()}, {other().revision(), other().sink().Count()}};
  }
  PulledAndReturned PullAndReturn() {
    PulledAndReturned seen;
    seen.volumes.untouched = Make(session(), {"Untouched", VOLUMELAYOUT_SIMPLE, {{0, MiB(4)}}, MiB(4)}).id;
    seen.volumes.simple = Make(session(), {"Simple", VOLUMELAYOUT_SIMPLE, {{2, MiB(16)}}, MiB(16)}).id;
    seen.volumes.mirror =
        Make(session(), {"Mirror", VOLUMELAYOUT_MIRROR, {{1, MiB(8)}, {2, MiB(8)}}, MiB(8)}).id;
    seen.volumes.raid5 =
        Make(session(), {"Raid5", VOLUMELAYOUT_RAID5, {{0, MiB(8)}, {1, MiB(8)}, {2, MiB(8)}}, MiB(16)}).id;
    FormatVolume(session(), seen.volumes.simple, u"GONE");
    seen.letter = GiveLetter(session(), seen.volumes.simple).letter;
    seen.disk = lab().DiskId(2);
    seen.whole = Need(session().View());
    auto marks = Marks();
    const PulledDisk pulled = PullDisk(session(), 2, seen.volumes.simple, VOLUME_STATUS_FAILED);
    seen.told_away = Told(LDMACTION_DELETED, marks);
    seen.away = Need(session().View());
    marks = Marks();
    ReturnDisk(session(), pulled);
    seen.told_back = Told(LDMACTION_CREATED, marks);
    seen.back = Need(session().View());
    return seen;
  }
};

// The disk that went leaves the list; its place in the group is taken by a missing one.
TEST_P(MissingDisks, APulledDiskIsListedAsMissing) {
  Checks("DMRP-1888", "DMRP-1897", "DMRP-1898", "DMRP-1901", "DMRP-0142");
  const PulledAndReturned& seen = Done();
  EXPECT_EQ(seen.away.FindDisk(seen.disk), nullptr);
  EXPECT_EQ(seen.away.disks.size(), seen.whole.disks.size());
  const DISK_INFO_EX* missing = MissingDisk(seen.away);
  ASSERT_NE(missing, nullptr);
  EXPECT_EQ(missing->deviceType, DWORD{DEVICETYPE_VM});
  EXPECT_EQ(missing->dgid, seen.whole.FindDisk(seen.disk)->dgid);
  EXPECT_EQ(seen.whole.FindDisk(missing->id), nullptr) << "an id that was never used";
  for (const auto& [revision, told] : seen.told_away) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_DELETED, seen.disk)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_CREATED, missing->id)));
  }
}

// What lay on it is accounted for before the disk is told to be gone.
TEST_P(MissingDisks, VolumesFollowBeforeTheDiskGoes) {
  Checks("DMRP-1899", "DMRP-1900", "DMRP-1901", "DMRP-1902", "DMRP-0041", "DMRP-0058");
  const PulledAndReturned& seen = Done();
  const Volumes& volumes = seen.volumes;
  ASSERT_NE(seen.away.FindVolume(volumes.simple), nullptr);
  EXPECT_EQ(seen.away.FindVolume(volumes.simple)->status, VOLUME_STATUS_FAILED);
  EXPECT_EQ(seen.away.FindVolume(volumes.mirror)->status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(seen.away.FindVolume(volumes.raid5)->status, VOLUME_STATUS_FAILED_REDUNDANCY);
  EXPECT_EQ(*seen.away.FindVolume(volumes.untouched), *seen.whole.FindVolume(volumes.untouched));
  for (const auto& [revision, told] : seen.told_away) {
    const std::size_t gone = PlaceOf(told, DMNOTIFY_DISK_INFO, LDMACTION_DELETED, seen.disk);
    for (const LdmObjectId volume : {volumes.simple, volumes.mirror, volumes.raid5}) {
      EXPECT_LT(PlaceOf(told, DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, volume), gone) << "volume " << volume;
    }
    for (const REGION_INFO_EX& region : seen.whole.RegionsOf(seen.disk)) {
      EXPECT_LT(PlaceOf(told, DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id), gone)
          << "region " << region.id;
    }
  }
}

// The members stay listed, on the missing disk, and are failed.
TEST_P(MissingDisks, MembersAreListedOnTheMissingDisk) {
  Checks("DMRP-1901", "DMRP-1900");
  const PulledAndReturned& seen = Done();
  const DISK_INFO_EX* missing = MissingDisk(seen.away);
  ASSERT_NE(missing, nullptr);
  const auto& regions = seen.away.RegionsOf(missing->id);
  for (const LdmObjectId volume : {seen.volumes.simple, seen.volumes.mirror, seen.volumes.raid5}) {
    const auto member = std::ranges::find(regions, volume, &REGION_INFO_EX::volId);
    ASSERT_NE(member, regions.end()) << "volume " << volume;
    EXPECT_EQ(member->regionType, REGION_SUBDISK);
    EXPECT_NE(member->status, REGIONSTATUS_OK) << ToText(*member);
    EXPECT_EQ(seen.away.FindVolume(volume)->memberCount, seen.whole.FindVolume(volume)->memberCount);
  }
}

// A volume that failed has no file system, and no letter leads into nothing.
TEST_P(MissingDisks, TheFileSystemOfAFailedVolumeGoes) {
  Checks("DMRP-1900", "DMRP-1901", "DMRP-1902");
  const PulledAndReturned& seen = Done();
  const FILE_SYSTEM_INFO* system = seen.whole.FileSystemOf(seen.volumes.simple);
  ASSERT_NE(system, nullptr);
  EXPECT_EQ(seen.away.FindFileSystem(system->id), nullptr);
  EXPECT_EQ(seen.away.FileSystemOf(seen.volumes.simple), nullptr);
  EXPECT_EQ(seen.away.FindVolume(seen.volumes.simple)->fsId, 0);
  for (const auto& [revision, told] : seen.told_away) {
    EXPECT_LT(PlaceOf(told, DMNOTIFY_FS_INFO, LDMACTION_DELETED, system->id),
              PlaceOf(told, DMNOTIFY_DISK_INFO, LDMACTION_DELETED, seen.disk));
  }
  const DRIVE_LETTER_INFO* letter = seen.away.FindLetter(seen.letter);
  ASSERT_NE(letter, nullptr);
  EXPECT_THAT(letter->storageId, AnyOf(LdmObjectId{0}, seen.volumes.simple));
}

// The disk that is back takes the place of the missing one, under an id that was never used.
TEST_P(MissingDisks, AReturnedDiskReplacesTheMissingOne) {
  Checks("DMRP-1889", "DMRP-1890", "DMRP-1892", "DMRP-1895", "DMRP-1896");
  const PulledAndReturned& seen = Done();
  const DISK_INFO_EX* missing = MissingDisk(seen.away);
  ASSERT_NE(missing, nullptr);
  EXPECT_EQ(MissingDisk(seen.back), nullptr);
  EXPECT_EQ(seen.back.disks.size(), seen.whole.disks.size());
  const std::int64_t length = seen.whole.FindDisk(seen.disk)->length;
  const auto disk = std::ranges::find(seen.back.disks, length, &DISK_INFO_EX::length);
  ASSERT_NE(disk, seen.back.disks.end());
  EXPECT_EQ(seen.whole.FindDisk(disk->id), nullptr);
  EXPECT_EQ(seen.away.FindDisk(disk->id), nullptr);
  EXPECT_EQ(disk->dgid, seen.whole.FindDisk(seen.disk)->dgid) << "it is a disk of the group";
  for (const auto& [revision, told] : seen.told_back) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_CREATED, disk->id)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_DELETED, missing->id)));
  }
}

// Its regions follow the disk, and the volumes are what their members allow.
TEST_P(MissingDisks, RegionsAndVolumesFollowAReturnedDisk) {
  Checks("DMRP-1893", "DMRP-1894", "DMRP-1895", "DMRP-1896");
  const PulledAndReturned& seen = Done();
  const std::int64_t length = seen.whole.FindDisk(seen.disk)->length;
  const auto disk = std::ranges::find(seen.back.disks, length, &DISK_INFO_EX::length);
  ASSERT_NE(disk, seen.back.disks.end());
  EXPECT_THAT(harness::Contradictions(seen.back), IsEmpty());
  for (const auto& [revision, told] : seen.told_back) {
    const std::size_t created = PlaceOf(told, DMNOTIFY_DISK_INFO, LDMACTION_CREATED, disk->id);
    for (const REGION_INFO_EX& region : seen.back.RegionsOf(disk->id)) {
      const std::size_t place = PlaceOf(told, DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id);
      EXPECT_GT(place, created) << "region " << region.id;
      EXPECT_LT(place, told.size()) << "region " << region.id << " was not told";
    }
  }
  for (const LdmObjectId volume : {seen.volumes.simple, seen.volumes.mirror, seen.volumes.raid5}) {
    ASSERT_NE(seen.back.FindVolume(volume), nullptr);
    EXPECT_EQ(seen.back.FindVolume(volume)->memberCount, seen.whole.FindVolume(volume)->memberCount);
    for (const REGION_INFO_EX& region : seen.back.RegionsOfVolume(volume)) {
      if (region.status == REGIONSTATUS_OK) continue;
      EXPECT_NE(seen.back.FindVolume(volume)->status, VOLUME_STATUS_HEALTHY) << ToText(region);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, MissingDisks, kBothRevisions, RevisionName());

class ForeignDisks : public ForeignGroupTest, public ::testing::WithParamInterface<Revision> {};

// Disks of other machines come as foreign ones, without volumes, and go without a trace.
TEST_P(ForeignDisks, ComeAndGo) {
  Checks("DMRP-1889", "DMRP-1892", "DMRP-1897", "DMRP-1898", "DMRP-0142");
  NeedsCapability("attach");
  NeedsCapability("detach");
  NeedsCapability("uevents");
  StartDynamic(1);
  Session& session = SessionOf(GetParam());
  const StorageView before = Need(session.View());
  const auto disk_event = [&](LDMACTION action, std::uint64_t mark) {
    return session.sink().WaitFor(harness::Action(DMNOTIFY_DISK_INFO, action), target().notification_timeout,
                                  mark);
  };
  std::uint64_t mark = session.sink().Count();
  const BedDisk attached = Need(lab().bed().Attach(GroupDisk(kForeignComplete, 0)));
  const auto came = disk_event(LDMACTION_CREATED, mark);
  ASSERT_TRUE(came) << "no DMNOTIFY_DISK_INFO/LDMACTION_CREATED came";
  EXPECT_NE(came->disk->deviceState & DWORD{DEVICESTATE_UNCLAIMED}, 0U);
  const StorageView there = Need(session.View());
  ASSERT_NE(there.FindDisk(came->id), nullptr);
  EXPECT_NE(there.FindDisk(came->id)->dgid, before.disks.at(0).dgid);
  EXPECT_EQ(MissingDisk(there), nullptr) << "what other groups miss is none of ours";
  EXPECT_EQ(there.volumes, before.volumes);
  mark = session.sink().Count();
  Need(lab().bed().Detach(attached.id));
  ASSERT_TRUE(disk_event(LDMACTION_DELETED, mark)) << "no DMNOTIFY_DISK_INFO/LDMACTION_DELETED came";
  const StorageView after = Need(session.View());
  EXPECT_EQ(after.disks, before.disks);
}

INSTANTIATE_TEST_SUITE_P(Both, ForeignDisks, kBothRevisions, RevisionName());

class RefreshExOfMissingDisks : public VolumeDataTest {};

// A disk that stops answering, and answers again, makes no event as long as nobody writes to it, as the
// kernel does to mirrors: RefreshEx looks for it.
TEST_F(RefreshExOfMissingDisks, FindsThemItself) {
  Checks("DMRP-1865", "DMRP-1866");
  NeedsCapability("mask-uevents");
  StartDynamic(2);
  harness::Guest& guest = GuestOrSkip();
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const LdmObjectId simple = Make(session, {"Simple", VOLUMELAYOUT_SIMPLE, {{1, MiB(16)}}, MiB(16)}).id;
  std::string device;
  for (const harness::AttachedDisk& disk : guest.disks()) {
    if (disk.id == lab().bed().disks().at(1).id) device = disk.guest_device;
  }
  const auto set_state = [&](const std::string& state) {
    Need(guest.agent().Shell("echo " + state + " > /sys/block/" + device + "/device/state"));
  };
  std::uint64_t mark = session.sink().Count();
  set_state("offline");
  ASSERT_THAT(session.RefreshEx(), Succeeds());
  const StorageView away = Need(session.View());
  ASSERT_NE(MissingDisk(away), nullptr) << "the missing disk was not found";
  EXPECT_EQ(away.FindVolume(simple)->status, VOLUME_STATUS_FAILED);
  EXPECT_THAT(away.RegionsOf(MissingDisk(away)->id), Not(IsEmpty()));
  EXPECT_THAT(session.sink().Objects(mark),
              Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, simple)));
  mark = session.sink().Count();
  set_state("running");
  ASSERT_THAT(session.RefreshEx(), Succeeds());
  const StorageView back = Need(session.View());
  EXPECT_EQ(MissingDisk(back), nullptr) << "the disk that is back was not found";
  const auto told = session.sink().Objects(mark);
  for (const REGION_INFO_EX& region : back.RegionsOfVolume(simple)) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
  }
  EXPECT_THAT(back.RegionsOfVolume(simple), Not(IsEmpty()));
}

}  // namespace
}  // namespace dmrp::suites
