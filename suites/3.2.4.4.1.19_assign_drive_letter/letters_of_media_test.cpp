// AssignDriveLetter and FreeDriveLetter on what lies on removable media, and the letter when the medium goes.
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/drive_letters.hpp"
#include "suites/support/mounted_devices.hpp"

#include <algorithm>
#include <tuple>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;

struct Drive {
  const char* name;
  const char* spec;    ///< the drive with its first medium
  const char* table;   ///< script for sfdisk; null: the medium is as the spec says
  const char* medium;  ///< another one; null: the drive cannot be emptied from outside
};

class LettersOfMedia : public DriveLetterTest,
                       public ::testing::WithParamInterface<std::tuple<Revision, Drive>> {
 protected:
  void SetUp() override {
    NeedsCapability("media");
    StartSharedWith(std::string("letters-of-") + drive().name, {FirstMedium()});
    LettersAreOurs();
  }
  [[nodiscard]] static BedDiskRequest FirstMedium() {
    const Drive& drive = std::get<1>(GetParam());
    return {harness::ParseDiskSpec(drive.spec).value(),
            drive.table == nullptr ? harness::PrepareImage() : Table(drive.table)};
  }
  Session& session() { return SessionOf(std::get<0>(GetParam())); }
  [[nodiscard]] bool third() const { return std::get<0>(GetParam()) == Revision::kIVolumeClient3; }
  [[nodiscard]] const Drive& drive() const { return std::get<1>(GetParam()); }
  REGION_INFO_EX Volume() {
    const auto regions = RegionsNow(session());
    const auto found = std::ranges::find_if(
        regions, [](const REGION_INFO_EX& region) { return region.regionType != REGION_FREE; });
    [&] { ASSERT_NE(found, regions.end()) << "nothing is listed on the medium"; }();
    return *found;
  }
};

// A letter is given to the volume on the medium and taken from it again; the machine keeps it meanwhile.
TEST_P(LettersOfMedia, AreGivenAndTaken) {
  Checks("DMRP-0846", "DMRP-0847", "DMRP-0848", "DMRP-0851", "DMRP-0077",
         third() ? "DMRP-1621" : "DMRP-0076");
  const REGION_INFO_EX volume = Volume();
  const char16_t letter = FreeLetter(session());
  const std::uint64_t mark = session().sink().Count();
  const auto given = Assign(session(), Prepare(session(), letter, volume));
  ASSERT_THAT(given, Succeeds());
  ExpectCompletedTask(given->tinfo, session(), volume.id);
  EXPECT_EQ(LettersOf(session(), volume.id), std::u16string{letter});
  EXPECT_TRUE(std::ranges::any_of(session().sink().Objects(mark), [&](const ReceivedObject& object) {
    return object.type == DMNOTIFY_DL_INFO && object.action == LDMACTION_MODIFIED && object.letter &&
           *object.letter == LetterNow(session(), letter);
  })) << "nobody was told of the letter";
  const bool kept = lab().bed().guest() != nullptr;
  if (kept) {
    EXPECT_THAT(Need(harness::ReadMountedDevices(lab().bed())).letters, Contains(Key(letter)));
  }

  Checks("DMRP-0859", "DMRP-0863", "DMRP-0866", "DMRP-0853", third() ? "DMRP-1626" : "DMRP-0077");
  ASSERT_THAT(Free(session(), Prepare(session(), letter, Volume())), Succeeds());
  EXPECT_FALSE(LetterNow(session(), letter).isUsed);
  EXPECT_EQ(LetterNow(session(), letter).storageId, 0);
  if (kept) {
    EXPECT_THAT(Need(harness::ReadMountedDevices(lab().bed())).letters, Not(Contains(Key(letter))));
  }
}

// The letter is the drive's: it outlives the medium, and leads to what lies on the next one. In the end the
// first medium is in the drive again, for the next test.
TEST_P(LettersOfMedia, StayWithTheDrive) {
  Checks("DMRP-1914", "DMRP-1918", "DMRP-1919", "DMRP-1920", "DMRP-1921");
  NeedsCapability("uevents");
  if (drive().medium == nullptr) {
    GTEST_SKIP() << "media of this drive do not come and go";
  }
  const LdmObjectId disk = lab().DiskId(0);
  const std::string id = lab().bed().disks()[0].id;
  const REGION_INFO_EX volume = Volume();
  const char16_t letter = FreeLetter(session());
  ASSERT_THAT(Assign(session(), Prepare(session(), letter, volume)), Succeeds());
  const auto await = [&](std::uint64_t mark, bool medium) {
    return session().sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.type == DMNOTIFY_DISK_INFO && object.action == LDMACTION_MODIFIED &&
                 object.id == disk && ((object.disk->deviceState & DEVICESTATE_NO_MEDIA) == 0) == medium;
        },
        target().notification_timeout, mark);
  };

  bool letter_followed = false;
  for (const BedDiskRequest& next :
       {BedDiskRequest{harness::ParseDiskSpec(drive().medium).value(), {}}, FirstMedium()}) {
    std::uint64_t mark = session().sink().Count();
    // The server may still be looking at a medium that has just come, and keep the drive locked.
    Need(lab().bed().RemoveMedium(id, /*force=*/letter_followed));
    ASSERT_TRUE(await(mark, false));
    EXPECT_TRUE(LetterNow(session(), letter).isUsed);
    EXPECT_EQ(LetterNow(session(), letter).storageId, disk) << "an empty drive keeps its letter";

    mark = session().sink().Count();
    Need(lab().bed().InsertMedium(id, next));
    ASSERT_TRUE(await(mark, true));
    EXPECT_EQ(LettersOf(session(), Volume().id), std::u16string{letter});
    letter_followed = true;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Dealt, LettersOfMedia,
    ::testing::ValuesIn(Dealt(std::vector{
        Drive{"Removable", "size=72M,media=removable", "label: dos\nstart=2048, size=16384, type=7\n",
              "size=32M,media=removable,filesystem=fat16,volume=SECOND"},
        Drive{"UsbStick", "size=24M,bus=usb,media=removable,filesystem=fat16,volume=FIRST", nullptr,
              "size=32M,bus=usb,media=removable,filesystem=fat32,volume=SECOND"},
        Drive{"Cd", "size=24M,media=cdrom,filesystem=iso9660,volume=FIRST", nullptr,
              "size=32M,media=cdrom,filesystem=iso9660,volume=SECOND"},
        Drive{"Floppy", "bus=floppy,filesystem=fat12", nullptr, nullptr}})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
