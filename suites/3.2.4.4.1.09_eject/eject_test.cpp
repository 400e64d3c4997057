// Eject of IVolumeClient (3.2.4.4.1.9) and IVolumeClient3 (3.2.4.4.3.9).
#include "harness/guest/guest.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <functional>

namespace dmrp::suites {
namespace {

using ::testing::Contains;

struct Drive {
  const char* name;
  const char* spec;
  const char* table;  ///< script for sfdisk; null: the medium is as the spec says
  std::uint32_t type;
};

constexpr Drive kCd{"Cd", "size=24M,media=cdrom,filesystem=iso9660,volume=DMRPCD", nullptr, DEVICETYPE_CDROM};
constexpr Drive kDvd{"Dvd", "size=760M,media=cdrom,filesystem=udf,volume=DMRPDVD", nullptr, DEVICETYPE_DVD};
constexpr Drive kRemovable{"Removable", "size=72M,media=removable",
                           "label: dos\nstart=2048, size=16384, type=7\nstart=20480, size=16384, type=7\n",
                           DEVICETYPE_REMOVABLE};
constexpr std::array kDrives{kCd, kDvd, kRemovable};

BedDiskRequest Request(const Drive& drive) {
  return {harness::ParseDiskSpec(drive.spec).value(),
          drive.table == nullptr ? harness::PrepareImage() : Table(drive.table)};
}

Outcome<EjectReply> Eject(Session& session, LdmObjectId disk, std::int64_t state) {
  return session.Change<EjectReply>(session.interface(), "Eject",
                                    EjectRequest{.diskId = disk, .diskLastKnownState = state});
}

std::string DeviceOf(harness::Guest& guest, const std::string& id) {
  for (const harness::AttachedDisk& disk : guest.disks()) {
    if (disk.id == id) return disk.guest_device;
  }
  return {};
}

class EjectMedium : public ConformanceTest,
                    public ::testing::WithParamInterface<std::tuple<Revision, Drive>> {
 protected:
  void SetUp() override {
    NeedsCapability("media");
    StartWith({Request(drive())});
  }
  Session& session() { return SessionOf(std::get<0>(GetParam())); }
  [[nodiscard]] const Drive& drive() const { return std::get<1>(GetParam()); }
};

// The medium leaves the drive, its regions leave the list, the disk stays and says that it is empty, a letter
// of a region goes to the disk; every client has been told before the reply.
TEST_P(EjectMedium, TakesItOutAndAllThatLiesOnIt) {
  Checks("DMRP-0696", "DMRP-0700", "DMRP-0701", "DMRP-0703", "DMRP-0704", "DMRP-0705", "DMRP-0706",
         "DMRP-1587", "DMRP-1588", "DMRP-0532");
  const DISK_INFO_EX before = DiskNow(session());
  ASSERT_EQ(before.deviceType, drive().type);
  const auto regions = RegionsNow(session());
  ASSERT_FALSE(regions.empty());
  const auto carrier = std::ranges::find_if(
      regions, [](const REGION_INFO_EX& region) { return region.regionType != REGION_FREE; });
  ASSERT_NE(carrier, regions.end());
  const auto letters = session().EnumDriveLetters();
  ASSERT_THAT(letters, Succeeds());
  auto letter = std::ranges::find(letters->driveLetterList, carrier->id, &DRIVE_LETTER_INFO::storageId);
  if (letter == letters->driveLetterList.end()) {
    letter = std::ranges::find(letters->driveLetterList, false, &DRIVE_LETTER_INFO::isUsed);
    ASSERT_NE(letter, letters->driveLetterList.end()) << "no letter is free";
    ASSERT_THAT(session().Change<AssignDriveLetterReply>(
                    session().interface(), "AssignDriveLetter",
                    AssignDriveLetterRequest{.letter = letter->letter,
                                             .forceOption = 0,
                                             .letterLastKnownState = letter->lastKnownState,
                                             .storageId = carrier->id,
                                             .storageLastKnownState = carrier->lastKnownState}),
                Succeeds());
  }
  const auto letter_now = [&] {
    const auto now = session().EnumDriveLetters();
    return *std::ranges::find(now->driveLetterList, letter->letter, &DRIVE_LETTER_INFO::letter);
  };
  const DRIVE_LETTER_INFO letter_before = letter_now();
  ASSERT_EQ(letter_before.storageId, carrier->id);
  const std::uint64_t mark = session().sink().Count();
  const DISK_INFO_EX current = DiskNow(session());

  ASSERT_THAT(Eject(session(), current.id, current.lastKnownState), Succeeds());

  const auto frames = session().sink().Objects(mark);
  EXPECT_TRUE(Need(lab().bed().TrayOpen(lab().bed().disks()[0].id))) << "the drive is still closed";
  EXPECT_THAT(frames, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, before.id)));
  for (const REGION_INFO_EX& region : regions) {
    EXPECT_THAT(frames, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
  }
  const DISK_INFO_EX after = DiskNow(session());
  EXPECT_NE(after.deviceState & DEVICESTATE_NO_MEDIA, 0U);
  EXPECT_GT(after.lastKnownState, current.lastKnownState);
  EXPECT_EQ(after.regionCount, 0U);
  EXPECT_THAT(RegionsNow(session()), ::testing::IsEmpty());
  const DRIVE_LETTER_INFO letter_after = letter_now();
  EXPECT_EQ(letter_after.storageId, before.id);
  EXPECT_GT(letter_after.lastKnownState, letter_before.lastKnownState);
  EXPECT_EQ(std::ranges::count_if(frames,
                                  [&](const ReceivedObject& object) {
                                    return object.type == DMNOTIFY_DL_INFO &&
                                           object.action == LDMACTION_MODIFIED;
                                  }),
            1);
  // Nothing is left to be found.
  ASSERT_THAT(session().Refresh(), Succeeds());
  EXPECT_EQ(DiskNow(session()).lastKnownState, after.lastKnownState);
  EXPECT_THAT(Eject(session(), after.id, after.lastKnownState), Refused()) << "the drive is empty";
}

INSTANTIATE_TEST_SUITE_P(Both, EjectMedium, ::testing::Combine(kBothRevisions, ::testing::ValuesIn(kDrives)),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

class EjectTask : public RevisionTest {};

// The members of TASK_INFO that the table of the method requires, and zero in the others; in a refused call
// too.
TEST_P(EjectTask, FillsTheTaskInfo) {
  Checks("DMRP-0702", "DMRP-0703", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  NeedsCapability("media");
  StartWith({Request(kCd)});
  const DISK_INFO_EX disk = DiskNow(session());
  const auto refused = Eject(session(), disk.id, disk.lastKnownState + 1);
  ASSERT_THAT(refused, Refused());
  EXPECT_EQ(refused->tinfo.status, REQ_FAILED);
  EXPECT_EQ(refused->tinfo.error, refused->result);
  const auto done = Eject(session(), disk.id, disk.lastKnownState);
  ASSERT_THAT(done, Succeeds());
  EXPECT_EQ(done->tinfo.status, REQ_COMPLETED);
  EXPECT_EQ(done->tinfo.error, 0);
  EXPECT_NE(done->tinfo.id, refused->tinfo.id);
  for (const TASK_INFO& tinfo : {refused->tinfo, done->tinfo}) {
    EXPECT_NE(tinfo.id, 0);
    EXPECT_EQ(tinfo.createTime, 0);
    EXPECT_EQ(tinfo.percentComplete, 0U);
    EXPECT_EQ(tinfo.tflag, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, EjectTask, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  std::function<void(EjectRequest& request, const StorageView& view, LdmObjectId fixed)> spoil;
};

class EjectRefuses : public ConformanceTest,
                     public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// diskId has to name a disk, the state to be its current one, and the drive to be one that opens. Otherwise
// the medium stays and nothing changes.
TEST_P(EjectRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks("DMRP-0697", "DMRP-0699", "DMRP-1588", "DMRP-0696", "DMRP-0495", "DMRP-0496");
  NeedsCapability("media");
  StartSharedWith("eject", {Request(kRemovable), {kMbr512.Spec(), {}}});
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  const DISK_INFO_EX disk = DiskNow(session);
  EjectRequest request{.diskId = disk.id, .diskLastKnownState = disk.lastKnownState};
  wrong.spoil(request, before.view, lab().DiskId(1));
  EXPECT_THAT(Eject(session, request.diskId, request.diskLastKnownState), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
  EXPECT_FALSE(Need(lab().bed().TrayOpen(lab().bed().disks()[0].id)));
}

INSTANTIATE_TEST_SUITE_P(
    Both, EjectRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(Wrong{"DiskZero",
                                [](EjectRequest& r, const StorageView&, LdmObjectId) { r.diskId = 0; }},
                          Wrong{"DiskUnknown", [](EjectRequest& r, const StorageView&,
                                                  LdmObjectId) { r.diskId += 1'000'000; }},
                          Wrong{"DiskIsARegion",
                                [](EjectRequest& r, const StorageView& view, LdmObjectId) {
                                  const REGION_INFO_EX& region = view.RegionsOf(r.diskId).front();
                                  r = {.diskId = region.id, .diskLastKnownState = region.lastKnownState};
                                }},
                          Wrong{"StateOneBelow", [](EjectRequest& r, const StorageView&,
                                                    LdmObjectId) { --r.diskLastKnownState; }},
                          Wrong{"StateOneAbove", [](EjectRequest& r, const StorageView&,
                                                    LdmObjectId) { ++r.diskLastKnownState; }},
                          Wrong{"DiskIsFixed",
                                [](EjectRequest& r, const StorageView& view, LdmObjectId fixed) {
                                  r = {.diskId = fixed,
                                       .diskLastKnownState = view.FindDisk(fixed)->lastKnownState};
                                }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

class EjectInUse : public RevisionTest {};

// Somebody in the guest has a partition of the medium open, or a file system on it mounted: the medium stays
// until that one lets go.
TEST_P(EjectInUse, IsRefusedUntilTheMediumIsLetGo) {
  Checks("DMRP-0696", "DMRP-0699", "DMRP-0701");
  NeedsCapability("media");
  NeedsCapability("execute");
  StartWith({Request(kRemovable), Request(kCd)});
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) {
    GTEST_SKIP() << "nobody in the target can be made to use a medium";
  }
  const std::string removable = "/dev/" + DeviceOf(*guest, lab().bed().disks()[0].id);
  const std::string cd = "/dev/" + DeviceOf(*guest, lab().bed().disks()[1].id);
  Need(guest->agent().Shell("sleep 600 < " + removable + "2 > /dev/null 2>&1 & echo $! > /tmp/user"));
  Need(guest->agent().Shell("mkdir -p /mnt/cd && mount -t iso9660 -o ro " + cd + " /mnt/cd"));
  ASSERT_THAT(session().Refresh(), Succeeds());
  for (const std::size_t drive : {0U, 1U}) {
    const DISK_INFO_EX disk = DiskNow(session(), drive);
    const Observation before = ObserveAll(session(), false);
    EXPECT_THAT(Eject(session(), disk.id, disk.lastKnownState), FailsWith(LDM_E_VOLUME_IN_USE));
    EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
    EXPECT_FALSE(Need(lab().bed().TrayOpen(lab().bed().disks()[drive].id)));
  }
  Need(guest->agent().Shell(
      "kill $(cat /tmp/user) && while kill -0 $(cat /tmp/user) 2>/dev/null; do :; done"));
  Need(guest->agent().Shell("umount /mnt/cd"));
  for (const std::size_t drive : {0U, 1U}) {
    const DISK_INFO_EX disk = DiskNow(session(), drive);
    EXPECT_THAT(Eject(session(), disk.id, disk.lastKnownState), Succeeds());
    EXPECT_TRUE(Need(lab().bed().TrayOpen(lab().bed().disks()[drive].id)));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, EjectInUse, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
