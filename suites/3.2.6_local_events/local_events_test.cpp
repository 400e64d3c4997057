// Local events (3.2.6): disks that come and go and partitions that others make, without any client's doing.
#include "harness/guest/guest.hpp"
#include "suites/support/conformance_test.hpp"
#include "suites/support/partition_layout.hpp"

#include <algorithm>
#include <fstream>

#include <unistd.h>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

class LocalEvents : public ConformanceTest {
 protected:
  void SetUp() override {
    NeedsCapability("attach");
    NeedsCapability("detach");
    NeedsCapability("uevents");
    Start({kMbr512});
    first_ = &Open({.revision = Revision::kIVolumeClient, .name = "first", .account = {}, .auth_level = {}});
    third_ = &Open({.revision = Revision::kIVolumeClient3, .name = "third", .account = {}, .auth_level = {}});
  }
  // A disk with one partition.
  static BedDiskRequest OtherDisk() {
    return {harness::ParseDiskSpec("size=48M").value(),
            Table("label: dos\nstart=2048, size=32768, type=7\n")};
  }
  std::optional<ReceivedObject> DiskEvent(Session& session, LDMACTION action, std::uint64_t mark) {
    return session.sink().WaitFor(harness::Action(DMNOTIFY_DISK_INFO, action), target().notification_timeout,
                                  mark);
  }
  // Waits until regions of a disk have been notified as told.
  bool RegionEvent(Session& session, LDMACTION action, LdmObjectId disk, std::uint64_t mark) {
    return session.sink()
        .WaitFor(
            [&](const ReceivedObject& object) {
              return object.type == DMNOTIFY_REGION_INFO && object.action == action && object.region &&
                     object.region->diskId == disk && object.region->regionType == REGION_PRIMARY;
            },
            target().notification_timeout, mark)
        .has_value();
  }
  Session* first_ = nullptr;
  Session* third_ = nullptr;
};

// A new disk is added to the list under an id that was never seen, and every client is told.
TEST_F(LocalEvents, ANewDiskIsAddedAndNotified) {
  Checks("DMRP-1889", "DMRP-1890", "DMRP-1892", "DMRP-0499", "DMRP-1888");
  const StorageView before = Need(third_->View());
  Need(lab().bed().Attach(OtherDisk()));
  const auto seen = DiskEvent(*third_, LDMACTION_CREATED, 0);
  ASSERT_TRUE(seen) << "no DMNOTIFY_DISK_INFO/LDMACTION_CREATED came";
  EXPECT_EQ(before.FindDisk(seen->id), nullptr);
  EXPECT_EQ(before.FindRegion(seen->id), nullptr);
  const auto other = DiskEvent(*first_, LDMACTION_CREATED, 0);
  ASSERT_TRUE(other) << "the client of IVolumeClient was not told";
  EXPECT_EQ(other->id, seen->id);
  const StorageView after = Need(third_->View());
  EXPECT_NE(after.FindDisk(seen->id), nullptr);
  EXPECT_EQ(after.disks.size(), before.disks.size() + 1);
}

// Then its regions are enumerated and notified; they are those on the disk.
TEST_F(LocalEvents, ItsRegionsFollow) {
  Checks("DMRP-1893", "DMRP-1895", "DMRP-1896");
  Need(lab().bed().Attach(OtherDisk()));
  const auto disk = DiskEvent(*third_, LDMACTION_CREATED, 0);
  ASSERT_TRUE(disk);
  EXPECT_TRUE(RegionEvent(*third_, LDMACTION_CREATED, disk->id, 0)) << "no region frame";
  EXPECT_TRUE(RegionEvent(*first_, LDMACTION_CREATED, disk->id, 0)) << "no region frame for IVolumeClient";
  const auto objects = third_->sink().Objects();
  auto disk_at =
      std::ranges::find_if(objects, harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_CREATED, disk->id));
  auto region_at = std::ranges::find_if(objects, [&](const ReceivedObject& object) {
    return object.region && object.region->diskId == disk->id;
  });
  EXPECT_LT(disk_at - objects.begin(), region_at - objects.begin()) << "the disk comes first";
  EXPECT_THAT(Disagreements(third_->EnumDiskRegions(disk->id).value.regions, LayoutOf(1)), IsEmpty());
}

// LastKnownState of the new object is one that methods accept.
TEST_F(LocalEvents, TheNewDisksStateIsAccepted) {
  Checks("DMRP-1891");
  Need(lab().bed().Attach({harness::ParseDiskSpec("size=48M").value(), {}}));
  const auto disk = DiskEvent(*third_, LDMACTION_CREATED, 0);
  ASSERT_TRUE(disk);
  EXPECT_THAT(third_->InitializeDiskStyle(disk->id, PARTITIONSTYLE_MBR,
                                          third_->View()->FindDisk(disk->id)->lastKnownState),
              Succeeds());
}

// A disk that was disconnected leaves the list with all that lies on it, and its frame comes after those of
// its regions.
TEST_F(LocalEvents, ARemovedDiskIsDeletedAndNotified) {
  Checks("DMRP-1897", "DMRP-1898", "DMRP-1899", "DMRP-1901", "DMRP-1902", "DMRP-0499");
  const BedDisk attached = Need(lab().bed().Attach(OtherDisk()));
  const auto disk = DiskEvent(*third_, LDMACTION_CREATED, 0);
  ASSERT_TRUE(disk);
  ASSERT_TRUE(RegionEvent(*third_, LDMACTION_CREATED, disk->id, 0));
  const auto regions = third_->EnumDiskRegions(disk->id).value.regions;
  const std::uint64_t mark = third_->sink().Count();
  const std::uint64_t mark_first = first_->sink().Count();

  Need(lab().bed().Detach(attached.id));

  const auto gone = DiskEvent(*third_, LDMACTION_DELETED, mark);
  ASSERT_TRUE(gone) << "no DMNOTIFY_DISK_INFO/LDMACTION_DELETED came";
  EXPECT_EQ(gone->id, disk->id);
  EXPECT_TRUE(DiskEvent(*first_, LDMACTION_DELETED, mark_first))
      << "the client of IVolumeClient was not told";
  const auto objects = third_->sink().Objects(mark);
  auto disk_at =
      std::ranges::find_if(objects, harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_DELETED, disk->id));
  for (const REGION_INFO_EX& region : regions) {
    auto region_at =
        std::ranges::find_if(objects, harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id));
    ASSERT_NE(region_at, objects.end()) << "no frame about region " << region.id;
    EXPECT_LT(region_at - objects.begin(), disk_at - objects.begin()) << "regions come before the disk";
  }
  const StorageView after = Need(third_->View());
  EXPECT_EQ(after.FindDisk(disk->id), nullptr);
  for (const REGION_INFO_EX& region : regions) {
    EXPECT_EQ(after.FindRegion(region.id), nullptr);
  }
  EXPECT_THAT(third_->EnumDiskRegions(disk->id), Refused()) << "the id names nothing any more";
}

// A disk that the guest's bus driver has let go of is still plugged in: no event brings it back, only a scan
// of the buses does, through either interface.
TEST_F(LocalEvents, OnlyARescanOfTheBusesFindsADiskThatTheDriverLetGo) {
  Checks("DMRP-1462");
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) {
    GTEST_SKIP() << "only a guest's driver can be told to let go of a disk";
  }
  const std::string device = guest->disks().at(0).guest_device;
  for (Session* session : {first_, third_}) {
    const std::uint64_t mark = session->sink().Count();
    Need(guest->agent().Shell("echo 1 > /sys/block/" + device + "/device/delete"));
    ASSERT_TRUE(DiskEvent(*session, LDMACTION_DELETED, mark))
        << "the server did not notice that the disk is gone";
    const std::uint64_t gone = session->sink().Count();
    ASSERT_THAT(session->RescanDisks(), Succeeds());
    EXPECT_TRUE(DiskEvent(*session, LDMACTION_CREATED, gone)) << "the buses were not scanned";
  }
}

// Whatever the events told already, RescanDisks finds nothing more.
TEST_F(LocalEvents, ARescanAfterwardsFindsNothing) {
  Checks("DMRP-1464");
  Need(lab().bed().Attach(OtherDisk()));
  ASSERT_TRUE(DiskEvent(*third_, LDMACTION_CREATED, 0));
  ASSERT_THAT(third_->RescanDisks(), Succeeds());
  const Observation before = ObserveAll(*third_, false);
  ASSERT_THAT(third_->RescanDisks(), Succeeds());
  EXPECT_THAT(ObserveAll(*third_, false), Unchanged(before));
}

// Another program changed the partitioning of a disk: the regions are enumerated anew and the clients told.
TEST_F(LocalEvents, ForeignPartitioningIsFollowed) {
  Checks("DMRP-1903", "DMRP-1905", "DMRP-1906");
  const auto image = lab().bed().disks()[0];
  const auto file = std::filesystem::temp_directory_path() / ("dmrp-foreign-" + std::to_string(getpid()));
  std::ofstream(file).close();
  std::filesystem::resize_file(file, image.spec.size);
  Need(Table("label: dos\nlabel-id: 0x5eed0063\nstart=4096, size=32768, type=7\n")(file));
  Bytes table(512);
  std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(table.data()), 512);
  std::filesystem::remove(file);
  const std::uint64_t mark = third_->sink().Count();
  const std::uint64_t mark_first = first_->sink().Count();

  Need(lab().bed().Overwrite(image.id, 0, table, true));

  EXPECT_TRUE(RegionEvent(*third_, LDMACTION_CREATED, lab().DiskId(0), mark)) << "no frame of the new region";
  EXPECT_TRUE(RegionEvent(*first_, LDMACTION_CREATED, lab().DiskId(0), mark_first));
  const auto regions = RegionsNow(*third_);
  EXPECT_THAT(regions, Contains(HasRegion(REGION_PRIMARY, 4096 * 512, 32768 * 512)));
  EXPECT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
}

}  // namespace
}  // namespace dmrp::suites
