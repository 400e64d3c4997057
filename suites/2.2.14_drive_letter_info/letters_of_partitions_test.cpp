// Drive letters (2.2.14) as their partitions are deleted, their disks pulled, and the server started anew.
#include "suites/support/drive_letters.hpp"
#include "suites/support/mounted_devices.hpp"
#include "suites/support/mounted_folders.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

// One guest serves all of these tests: each deletes and pulls what it made itself.
class LettersOfPartitions : public LetterSetupTest {
 protected:
  /// A partition of the setup's kind in the free space of its disk: the last one of its type.
  LdmObjectId MakePartition() {
    lab().last_images.clear();
    const Place& place = GetParam().place;
    const bool logical = place.type == REGION_LOGICAL;
    const REGION_INFO_EX free =
        FreeRegion(session(), place.disk, MiB(4), logical ? REGION_EXTENDED_FREE : REGION_FREE);
    const auto made =
        session().CreatePartition(Spec(free, place.type, free.start, std::min(free.length, MiB(4))));
    [&] { ASSERT_THAT(made, Succeeds()); }();
    return made->tinfo.storageId;
  }
  REGION_INFO_EX Region(LdmObjectId id) {
    for (const REGION_INFO_EX& region : RegionsNow(session(), GetParam().place.disk)) {
      if (region.id == id) return region;
    }
    [&] { FAIL() << "region " << id << " is not listed"; }();
    throw std::logic_error("unreachable");
  }
};

// DeletePartition frees the letter of the partition: every client is told before the reply, and the mount
// database forgets it.
TEST_P(LettersOfPartitions, AreFreedWithTheirPartition) {
  Checks("DMRP-0672", "DMRP-0077", "DMRP-0076", "DMRP-0531", "DMRP-0532", "DMRP-0459");
  const LdmObjectId id = MakePartition();
  const char16_t letter = FreeLetter(session());
  // What the target's machine gave it by itself (note 23) is replaced.
  ASSERT_THAT(Assign(session(), Prepare(session(), letter, Region(id), FORCE_OPERATION)), Succeeds());
  const DRIVE_LETTER_INFO used = LetterNow(session(), letter);
  ASSERT_EQ(used.storageId, id);
  const std::string unique =
      UniqueIdOf(Region(id), DiskNow(SessionOf(Revision::kIVolumeClient3), GetParam().place.disk));
  const std::uint64_t mark = SessionOf(Revision::kIVolumeClient).sink().Count();

  const auto deleted = session().DeletePartition(SpecOf(Region(id)));

  ASSERT_THAT(deleted, Succeeds());
  const DRIVE_LETTER_INFO now = LetterNow(session(), letter);
  EXPECT_FALSE(now.isUsed);
  EXPECT_EQ(now.storageId, 0);
  EXPECT_GT(now.lastKnownState, used.lastKnownState);
  EXPECT_THAT(SessionOf(Revision::kIVolumeClient).sink().Objects(mark),
              Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(letter))));
  EXPECT_THAT(Need(harness::ReadMountedDevices(lab().bed())).LettersOf(unique), IsEmpty());
}

// A partition that is made where a lettered one was before does not inherit its letter: its id is new, and
// the letter was freed.
TEST_P(LettersOfPartitions, DoNotComeBackWithANewPartitionInTheSamePlace) {
  Checks("DMRP-0672", "DMRP-0490");
  const LdmObjectId id = MakePartition();
  const char16_t letter = FreeLetter(session());
  ASSERT_THAT(Assign(session(), Prepare(session(), letter, Region(id), FORCE_OPERATION)), Succeeds());
  ASSERT_THAT(session().DeletePartition(SpecOf(Region(id))), Succeeds());
  const LdmObjectId again = MakePartition();
  EXPECT_NE(again, id);
  EXPECT_NE(LetterNow(session(), letter).storageId, id);
  ASSERT_THAT(session().DeletePartition(SpecOf(Region(again)), true), Succeeds());
}

INSTANTIATE_TEST_SUITE_P(Places, LettersOfPartitions,
                         ::testing::Values(LetterSetup{Revision::kIVolumeClient, kPrimary},
                                           LetterSetup{Revision::kIVolumeClient3, kPrimary},
                                           LetterSetup{Revision::kIVolumeClient, kLogical},
                                           LetterSetup{Revision::kIVolumeClient3, kLogical},
                                           LetterSetup{Revision::kIVolumeClient3, kGptPartition}),
                         LetterSetupName());

// A disk that is pulled takes its letters out of use, and brings them back when it returns: the mount
// database knows it by what is written on it.
class LettersOfAPulledDisk : public DriveLetterTest {
 protected:
  static BedDiskRequest Lettered() {
    return {harness::ParseDiskSpec("size=48M").value(),
            Table("label: dos\nlabel-id: 0x5eed0048\nstart=2048, size=32768, type=7\n")};
  }
};

TEST_F(LettersOfAPulledDisk, AreFreeAfterwards) {
  Checks("DMRP-1899", "DMRP-1901", "DMRP-1902", "DMRP-1900", "DMRP-0077");
  NeedsCapability("attach");
  NeedsCapability("detach");
  NeedsCapability("uevents");
  StartWith({{kMbr512.Spec(), {}}});
  Session& first = SessionOf(Revision::kIVolumeClient);
  Session& third = SessionOf(Revision::kIVolumeClient3);
  const BedDisk disk = Need(lab().bed().Attach(Lettered()));
  const auto arrived = third.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.type == DMNOTIFY_REGION_INFO && object.region &&
               object.region->regionType == REGION_PRIMARY;
      },
      target().notification_timeout);
  ASSERT_TRUE(arrived) << "the partition of the new disk was not notified";
  const REGION_INFO_EX region = *Need(third.View()).FindRegion(arrived->id);
  const char16_t letter = FreeLetter(third);
  ASSERT_THAT(Assign(third, Prepare(third, letter, region, FORCE_OPERATION)), Succeeds());
  const std::uint64_t mark_first = first.sink().Count();
  const std::uint64_t mark_third = third.sink().Count();

  Need(lab().bed().Detach(disk.id));

  for (const auto& [watcher, mark] : {std::pair(&first, mark_first), std::pair(&third, mark_third)}) {
    ASSERT_TRUE(watcher->sink().WaitFor(harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_DELETED),
                                        target().notification_timeout, mark))
        << watcher->name();
    const auto objects = watcher->sink().Objects(mark);
    const auto freed = std::ranges::find_if(objects, [&](const ReceivedObject& object) {
      return object.type == DMNOTIFY_DL_INFO && object.id == harness::LetterId(letter);
    });
    ASSERT_NE(freed, objects.end()) << watcher->name() << " was not told of the letter";
    EXPECT_EQ(freed->action, LDMACTION_MODIFIED);
    EXPECT_FALSE(freed->letter->isUsed);
    const auto gone = std::ranges::find_if(objects, harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_DELETED));
    EXPECT_LT(freed - objects.begin(), gone - objects.begin()) << "the letter comes before the disk";
  }
  EXPECT_FALSE(LetterNow(third, letter).isUsed);
  EXPECT_EQ(LetterNow(third, letter).storageId, 0);
}

TEST_F(LettersOfAPulledDisk, ComeBackWithTheDisk) {
  Checks("DMRP-1893", "DMRP-1894", "DMRP-1895", "DMRP-1896", "DMRP-0076");
  NeedsCapability("attach");
  NeedsCapability("detach");
  NeedsCapability("uevents");
  StartWith({{kMbr512.Spec(), {}}});
  Session& third = SessionOf(Revision::kIVolumeClient3);
  const auto partition = [](const ReceivedObject& object) {
    return object.type == DMNOTIFY_REGION_INFO && object.action == LDMACTION_CREATED && object.region &&
           object.region->regionType == REGION_PRIMARY;
  };
  const BedDisk disk = Need(lab().bed().Attach(Lettered()));
  const auto arrived = third.sink().WaitFor(partition, target().notification_timeout);
  ASSERT_TRUE(arrived) << "the partition of the new disk was not notified";
  const REGION_INFO_EX region = *Need(third.View()).FindRegion(arrived->id);
  const char16_t letter = FreeLetter(third);
  ASSERT_THAT(Assign(third, Prepare(third, letter, region, FORCE_OPERATION)), Succeeds());
  std::uint64_t mark = third.sink().Count();
  Need(lab().bed().Detach(disk.id));
  ASSERT_TRUE(third.sink().WaitFor(harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_DELETED),
                                   target().notification_timeout, mark));
  mark = third.sink().Count();

  // Another disk with the same signature and the same partition: to the mount database it is the same one.
  Need(lab().bed().Attach(Lettered()));

  const auto back = third.sink().WaitFor(partition, target().notification_timeout, mark);
  ASSERT_TRUE(back) << "the partition did not come back";
  EXPECT_NE(back->id, arrived->id) << "ids are not used again";
  const auto used = third.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.type == DMNOTIFY_DL_INFO && object.id == harness::LetterId(letter) && object.letter &&
               object.letter->isUsed;
      },
      target().notification_timeout, mark);
  ASSERT_TRUE(used) << "the letter did not come back with its disk";
  EXPECT_EQ(used->letter->storageId, back->id);
  EXPECT_EQ(LettersOf(third, back->id), std::u16string{letter});
}

// A server that starts anew lists the letters that were given before, on the objects that have new ids now,
// and volume names stay.
class LettersAfterARestart : public DriveLetterTest {};

TEST_F(LettersAfterARestart, AreListedFromTheStart) {
  Checks("DMRP-0513", "DMRP-0515", "DMRP-0486", "DMRP-0830");
  NeedsCapability("restart");
  StartLetters();
  const std::vector<Place> places = {kPrimary, kLogical, kGptPartition, kUsbDisk};
  std::u16string given;
  {
    Session& session = SessionOf(Revision::kIVolumeClient3);
    for (const Place& place : places) {
      given += FreeLetter(session);
      Give(session, given.back(), place);
    }
  }
  const MountedDevices before = Need(harness::ReadMountedDevices(lab().bed()));

  lab().ForgetClients();
  Need(lab().bed().Restart());
  lab().monitor().ServerRestarted();
  Need(lab().FindDisks());

  Session& session = SessionOf(Revision::kIVolumeClient3);
  for (std::size_t i = 0; i < places.size(); ++i) {
    EXPECT_EQ(LettersOf(session, Storage(session, places[i]).id), given.substr(i, 1)) << places[i].name;
  }
  const MountedDevices after = Need(harness::ReadMountedDevices(lab().bed()));
  EXPECT_EQ(after.letters, before.letters);
  EXPECT_EQ(after.names, before.names);
  // The states that are listed are those that methods accept.
  for (std::size_t i = 0; i < places.size(); ++i) Take(session, given[i], places[i]);
  EXPECT_THAT(Need(harness::ReadMountedDevices(lab().bed())).letters, IsEmpty());
}

// The machine itself starts anew: the mount database outlives that, a power cut too.
class LettersAfterARebootOfTheMachine : public DriveLetterTest,
                                        public ::testing::WithParamInterface<RestartKind> {};

TEST_P(LettersAfterARebootOfTheMachine, AreListedAgain) {
  Checks("DMRP-0513", "DMRP-0515", "DMRP-0486", "DMRP-0830", "DMRP-0846", "DMRP-0859");
  NeedsCapability("restart");
  StartWith({{kBlank.Spec(), Table("label: dos\nlabel-id: 0x5eed0023\nstart=2048, size=16384, type=7\n"
                                   "start=20480, size=16384, type=7\n")}},
            {.system_disk = true});
  LettersAreOurs();
  char16_t letter = 0;
  std::string name;
  {
    Session& session = SessionOf(Revision::kIVolumeClient3);
    letter = FreeLetter(session);
    Give(session, letter, kPrimary);
    // One that was freed does not come back.
    Give(session, FreeLetter(session), kSecondPrimary);
    Take(session, LettersOf(session, Storage(session, kSecondPrimary).id).front(), kSecondPrimary);
    name = VolumeGuid(session, Storage(session, kPrimary).id);
  }
  const MountedDevices before = Need(harness::ReadMountedDevices(lab().bed()));

  Need(lab().Restart(GetParam()));

  Session& session = SessionOf(Revision::kIVolumeClient3);
  EXPECT_EQ(LettersOf(session, Storage(session, kPrimary).id), std::u16string{letter});
  EXPECT_EQ(LettersOf(session, Storage(session, kSecondPrimary).id), u"");
  EXPECT_EQ(VolumeGuid(session, Storage(session, kPrimary).id), name);
  const MountedDevices after = Need(harness::ReadMountedDevices(lab().bed()));
  EXPECT_EQ(after.letters, before.letters);
  EXPECT_EQ(after.names, before.names);
  EXPECT_EQ(after.refused, before.refused);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LettersAfterARebootOfTheMachine,
                         ::testing::Values(RestartKind::kClean, RestartKind::kPowerCut),
                         [](const auto& info) {
                           return std::string(info.param == RestartKind::kClean ? "Clean" : "PowerCut");
                         });

}  // namespace
}  // namespace dmrp::suites
