// Media that users put into drives and take out of them (3.2.6.7, 3.2.6.8), and file systems that other
// programs make and label (3.2.6.4).
#include "harness/guest/guest.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

namespace dmrp::suites {
namespace {

using ::testing::Contains;

struct Drive {
  const char* name;
  const char* spec;    ///< the drive with its first medium
  const char* medium;  ///< another one, for it
};

class MediaEvents : public ConformanceTest, public ::testing::WithParamInterface<Drive> {
 protected:
  void SetUp() override {
    NeedsCapability("media");
    NeedsCapability("uevents");
    StartWith({{harness::ParseDiskSpec(GetParam().spec).value(), {}}});
    first_ = &SessionOf(Revision::kIVolumeClient);
    third_ = &SessionOf(Revision::kIVolumeClient3);
    drive_ = lab().bed().disks()[0].id;
    disk_ = lab().DiskId(0);
  }
  // Waits until the disk has been modified as told; the objects notified from `mark` on.
  std::vector<ReceivedObject> AwaitDisk(Session& session, std::uint64_t mark, bool medium) {
    const auto fits = [&](const ReceivedObject& object) {
      return object.type == DMNOTIFY_DISK_INFO && object.action == LDMACTION_MODIFIED && object.id == disk_ &&
             ((object.disk->deviceState & DEVICESTATE_NO_MEDIA) == 0) == medium;
    };
    EXPECT_TRUE(session.sink().WaitFor(fits, target().notification_timeout, mark))
        << "no DMNOTIFY_DISK_INFO/LDMACTION_MODIFIED came";
    return session.sink().Objects(mark);
  }
  // Where the frame stands among the others.
  static std::ptrdiff_t At(const std::vector<ReceivedObject>& objects, DMNOTIFY_INFO_TYPE type,
                           LDMACTION action, LdmObjectId id) {
    return std::ranges::find_if(objects, harness::Action(type, action, id)) - objects.begin();
  }

  Session* first_ = nullptr;
  Session* third_ = nullptr;
  std::string drive_;
  LdmObjectId disk_ = 0;
};

// What was on the medium is enumerated and leaves the list first, then the disk is modified; all clients are
// told. A new medium is told the other way round: the disk, then what lies on it.
TEST_P(MediaEvents, AreFollowedInTheirOrder) {
  Checks("DMRP-1914", "DMRP-1915", "DMRP-1916", "DMRP-1917", "DMRP-1918", "DMRP-1919", "DMRP-1920",
         "DMRP-1921", "DMRP-1888");
  const StorageView before = Need(third_->View());
  const auto regions = before.RegionsOf(disk_);
  ASSERT_FALSE(regions.empty());
  std::uint64_t mark = third_->sink().Count();
  std::uint64_t mark_first = first_->sink().Count();

  Need(lab().bed().RemoveMedium(drive_));

  auto objects = AwaitDisk(*third_, mark, false);
  AwaitDisk(*first_, mark_first, false);
  const auto disk_at = At(objects, DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk_);
  for (const REGION_INFO_EX& region : regions) {
    EXPECT_LT(At(objects, DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id), disk_at) << ToText(region);
    if (const FILE_SYSTEM_INFO* system = before.FileSystemOf(region.id)) {
      EXPECT_LT(At(objects, DMNOTIFY_FS_INFO, LDMACTION_DELETED, system->id), disk_at) << ToText(*system);
    }
  }
  const StorageView empty = Need(third_->View());
  EXPECT_TRUE(empty.RegionsOf(disk_).empty());
  EXPECT_NE(empty.FindDisk(disk_)->deviceState & DEVICESTATE_NO_MEDIA, 0U);
  EXPECT_GT(empty.FindDisk(disk_)->lastKnownState, before.FindDisk(disk_)->lastKnownState);

  mark = third_->sink().Count();
  mark_first = first_->sink().Count();
  const harness::DiskSpec medium = harness::ParseDiskSpec(GetParam().medium).value();
  Need(lab().bed().InsertMedium(drive_, {medium, {}}));

  AwaitDisk(*first_, mark_first, true);
  AwaitDisk(*third_, mark, true);
  const StorageView after = Need(third_->View());
  objects = third_->sink().Objects(mark);
  const auto arrived_at = At(objects, DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk_);
  ASSERT_FALSE(after.RegionsOf(disk_).empty());
  for (const REGION_INFO_EX& region : after.RegionsOf(disk_)) {
    const auto at = At(objects, DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id);
    EXPECT_GT(at, arrived_at) << ToText(region);
    EXPECT_LT(at, std::ssize(objects)) << "no frame about " << ToText(region);
    EXPECT_EQ(before.FindRegion(region.id), nullptr) << "the id of another medium's region";
    if (const FILE_SYSTEM_INFO* system = after.FileSystemOf(region.id)) {
      EXPECT_LT(At(objects, DMNOTIFY_FS_INFO, LDMACTION_CREATED, system->id), std::ssize(objects));
    }
  }
  EXPECT_EQ(after.FindDisk(disk_)->length, static_cast<std::int64_t>(medium.size));
}

INSTANTIATE_TEST_SUITE_P(
    Drives, MediaEvents,
    ::testing::Values(Drive{"Cd", "size=24M,media=cdrom,filesystem=iso9660,volume=FIRST",
                            "size=32M,media=cdrom,filesystem=iso9660,volume=SECOND"},
                      Drive{"Dvd", "size=760M,media=cdrom,filesystem=udf,volume=FIRST",
                            "size=800M,media=cdrom,filesystem=udf,volume=SECOND"},
                      Drive{"Removable", "size=24M,media=removable,filesystem=fat16,volume=FIRST",
                            "size=32M,media=removable,label=mbr"},
                      Drive{"UsbStick", "size=24M,bus=usb,media=removable,filesystem=fat16,volume=FIRST",
                            "size=32M,bus=usb,media=removable,filesystem=fat32,volume=SECOND"}),
    [](const auto& info) { return std::string(info.param.name); });

class LetterEvents : public ConformanceTest {
 protected:
  void SetUp() override {
    NeedsCapability("execute");
    NeedsCapability("uevents");
    StartWith({{kBlank.Spec(), Table("label: dos\nstart=2048, size=65536, type=7\n")}});
    GuestOrSkip();
    first_ = &SessionOf(Revision::kIVolumeClient);
    third_ = &SessionOf(Revision::kIVolumeClient3);
    node_ = "/dev/" + lab().bed().guest()->disks().at(0).guest_device + "1";
  }
  LdmObjectId Partition() {
    const auto regions = RegionsNow(*third_);
    return std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType)->id;
  }

  /// A letter that is free in `view`, given to a partition of it.
  char16_t GiveALetter(LdmObjectId partition, const StorageView& view) {
    [&] { ASSERT_TRUE(view.letters); }();
    const auto free = std::ranges::find(*view.letters, false, &DRIVE_LETTER_INFO::isUsed);
    [&] { ASSERT_NE(free, view.letters->end()) << "no letter is free"; }();
    const auto given = third_->Change<AssignDriveLetterReply>(
        kIVolumeClient3, "AssignDriveLetter",
        AssignDriveLetterRequest{.letter = free->letter,
                                 .forceOption = 0,
                                 .letterLastKnownState = free->lastKnownState,
                                 .storageId = partition,
                                 .storageLastKnownState = view.FindRegion(partition)->lastKnownState});
    [&] { ASSERT_THAT(given, Succeeds()); }();
    return free->letter;
  }

  Session* first_ = nullptr;
  Session* third_ = nullptr;
  std::string node_;
};

// A disk that goes frees the letter of its volume before it leaves the list; when it comes back, the mount
// database knows the volume, and the letter leads to it again.
TEST_F(LetterEvents, ADiskTakesItsLetterAlongAndBringsItBack) {
  Checks("DMRP-1894", "DMRP-1895", "DMRP-1896", "DMRP-1900", "DMRP-1901", "DMRP-1902");
  NeedsCapability("attach");
  NeedsCapability("detach");
  const BedDiskRequest request{harness::ParseDiskSpec("size=48M").value(),
                               Table("label: dos\nlabel-id: 0x5eed0077\nstart=2048, size=32768, type=7\n")};
  const auto arrive = [&]() -> std::pair<std::string, LdmObjectId> {
    const std::uint64_t mark = third_->sink().Count();
    const BedDisk disk = Need(lab().bed().Attach(request));
    const auto partition = third_->sink().WaitFor(
        [](const ReceivedObject& object) {
          return object.type == DMNOTIFY_REGION_INFO && object.action == LDMACTION_CREATED &&
                 object.region->regionType == REGION_PRIMARY;
        },
        target().notification_timeout, mark);
    EXPECT_TRUE(partition) << "no region came with the disk";
    return {disk.id, partition ? partition->id : 0};
  };
  const auto is_letter = [](const ReceivedObject& object) {
    return object.type == DMNOTIFY_DL_INFO && object.action == LDMACTION_MODIFIED;
  };
  auto [disk, partition] = arrive();
  const StorageView before = Need(third_->View());
  const char16_t letter = GiveALetter(partition, before);

  std::uint64_t mark = third_->sink().Count();
  Need(lab().bed().Detach(disk));
  ASSERT_TRUE(third_->sink().WaitFor(harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_DELETED),
                                     target().notification_timeout, mark));
  const auto objects = third_->sink().Objects(mark);
  const auto letter_at = std::ranges::find_if(objects, is_letter);
  ASSERT_NE(letter_at, objects.end()) << "no frame about the letter";
  EXPECT_LT(letter_at - objects.begin(),
            std::ranges::find_if(objects, harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_DELETED)) -
                objects.begin());
  const StorageView gone = Need(third_->View());
  EXPECT_FALSE(gone.FindLetter(letter)->isUsed);
  EXPECT_EQ(gone.FileSystemOf(partition), nullptr);

  mark = third_->sink().Count();
  std::tie(disk, partition) = arrive();
  EXPECT_TRUE(third_->sink().WaitFor(is_letter, target().notification_timeout, mark))
      << "the letter is not back";
  const StorageView back = Need(third_->View());
  EXPECT_TRUE(back.FindLetter(letter)->isUsed);
  EXPECT_EQ(back.FindLetter(letter)->storageId, partition);
  EXPECT_NE(back.FileSystemOf(partition), nullptr);
}

// Another program deletes the partition of a volume: the letter is free in the same breath, and the file
// system gone.
TEST_F(LetterEvents, ALetterGoesWithItsPartition) {
  Checks("DMRP-1903", "DMRP-1904", "DMRP-1905", "DMRP-1906");
  const StorageView before = Need(third_->View());
  const LdmObjectId partition = Partition();
  const char16_t letter = GiveALetter(partition, before);
  const std::uint64_t mark = third_->sink().Count();

  Need(lab().bed().guest()->agent().Shell("sfdisk --delete " + node_.substr(0, node_.size() - 1) + " 1"));

  ASSERT_TRUE(third_->sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, partition),
                                     target().notification_timeout, mark));
  const auto freed = [](const ReceivedObject& object) {
    return object.type == DMNOTIFY_DL_INFO && object.action == LDMACTION_MODIFIED;
  };
  EXPECT_TRUE(third_->sink().WaitFor(freed, target().notification_timeout, mark));
  const StorageView after = Need(third_->View());
  EXPECT_FALSE(after.FindLetter(letter)->isUsed);
  EXPECT_EQ(after.FileSystemOf(partition), nullptr);
}

}  // namespace
}  // namespace dmrp::suites
