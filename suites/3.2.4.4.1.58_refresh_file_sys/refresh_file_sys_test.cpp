// RefreshFileSys (3.2.4.4.1.58, 3.2.4.4.3.61): file systems that changed without the server's knowledge are
// found. They are changed through the whole disk's device, which no event of the volume tells of.
#include "harness/guest/guest.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <fstream>

#include <unistd.h>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

constexpr std::uint64_t kStart = 1U << 20U;
constexpr std::uint64_t kLength = 64U << 20U;
// What mkfs.fat writes at the front of such a volume: boot sector, both tables, root directory.
constexpr std::size_t kFront = 256U << 10U;

class RefreshFileSys : public FormatRevisionTest {
 protected:
  static std::string Fat(const std::string& label) { return "mkfs.fat --invariant -F 16 -s 4 -n " + label; }
  void StartWithFat(const std::string& command) {
    StartWith({{harness::ParseDiskSpec(kOnPrimary.spec).value(),
                Volumes(kFormatTable, {{kStart, kLength, command}})}});
    region_ = RegionAt(session(), kStart);
  }
  // The front of a volume as that program makes it.
  Bytes Front(const std::string& command) {
    const auto file = std::filesystem::temp_directory_path() / ("dmrp-refresh-" + std::to_string(getpid()));
    std::ofstream(file).close();
    std::filesystem::resize_file(file, kStart + kLength + (80U << 20U));
    Need(Volumes("label: dos\nstart=2048, size=131072, type=6\n", {{kStart, kLength, command}})(file));
    Bytes front(kFront);
    std::ifstream image(file, std::ios::binary);
    image.seekg(kStart);
    image.read(reinterpret_cast<char*>(front.data()), static_cast<std::streamsize>(front.size()));
    std::filesystem::remove(file);
    return front;
  }
  void Overwrite(const Bytes& front) {
    Need(lab().bed().Overwrite(lab().bed().disks().at(0).id, kStart, front, false));
  }
  // A frame of that action about a file system of the volume.
  std::optional<ReceivedObject> Frame(Session& client, LDMACTION action, std::uint64_t mark) {
    return client.sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.type == DMNOTIFY_FS_INFO && object.action == action && object.file_system &&
                 (action == LDMACTION_DELETED || object.file_system->storageId == region_.id);
        },
        target().notification_timeout, mark);
  }

  REGION_INFO_EX region_;
};

// Where nothing changed, nothing is changed or notified.
TEST_P(RefreshFileSys, FindsNothingWhereNothingChanged) {
  Checks("DMRP-1467", "DMRP-1469", "DMRP-1471", third() ? "DMRP-1843" : "DMRP-1467",
         third() ? "DMRP-1844" : "DMRP-1468");
  StartWithFat(Fat("CALM"));
  const Observation before = ObserveAll(session());
  ASSERT_THAT(session().RefreshFileSys(), Succeeds());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// A label that another program wrote: the object keeps its id, shows the label, and every client is told.
TEST_P(RefreshFileSys, FindsALabelThatChanged) {
  Checks("DMRP-1468", "DMRP-1469", "DMRP-1470", "DMRP-1471", "DMRP-0088", "DMRP-0092",
         third() ? "DMRP-1844" : "DMRP-1468");
  StartWithFat(Fat("BEFORE"));
  Session& other = Open({.revision = third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3,
                         .name = "other",
                         .account = {},
                         .auth_level = {}});
  const auto before = FileSystemOf(session(), region_.id);
  ASSERT_TRUE(before);
  ASSERT_EQ(LabelOf(*before), "BEFORE");
  const std::uint64_t mark = session().sink().Count();
  Overwrite(Front(Fat("AFTER")));
  ASSERT_THAT(session().RefreshFileSys(), Succeeds());
  const auto after = FileSystemOf(session(), region_.id);
  ASSERT_TRUE(after);
  EXPECT_EQ(LabelOf(*after), "AFTER");
  EXPECT_EQ(after->id, before->id) << "its attributes changed, not the file system";
  EXPECT_GT(after->lastKnownState, before->lastKnownState);
  for (Session* client : {&session(), &other}) {
    const auto frame = Frame(*client, LDMACTION_MODIFIED, client == &other ? 0 : mark);
    ASSERT_TRUE(frame) << client->name() << ": no DMNOTIFY_FS_INFO/LDMACTION_MODIFIED";
    EXPECT_EQ(LabelOf(*frame->file_system), "AFTER");
  }
  EXPECT_THAT(Disagreements(*after, OnDisk(region_)), IsEmpty());
}

// A file system where there was none: the enumeration shows it after the call.
TEST_P(RefreshFileSys, FindsAFileSystemThatAppeared) {
  Checks("DMRP-1468", "DMRP-1469", "DMRP-1470", third() ? "DMRP-1844" : "DMRP-1469");
  StartWithFat("");
  const auto before = FileSystemOf(session(), region_.id);
  const std::uint64_t mark = session().sink().Count();
  Overwrite(Front(Fat("NEWBORN")));
  ASSERT_THAT(session().RefreshFileSys(), Succeeds());
  const auto after = FileSystemOf(session(), region_.id);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->fsType, FSTYPE_FAT);
  EXPECT_EQ(LabelOf(*after), "NEWBORN");
  EXPECT_TRUE(session().sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.type == DMNOTIFY_FS_INFO && object.file_system && object.id == after->id &&
               object.action != LDMACTION_DELETED;
      },
      target().notification_timeout, mark));
  if (before && before->id != after->id) {
    EXPECT_TRUE(Frame(session(), LDMACTION_DELETED, mark))
        << "the object of the raw volume went without a word";
  }
  EXPECT_THAT(Disagreements(*after, OnDisk(region_)), IsEmpty());
}

// A file system that was wiped is not shown any more.
TEST_P(RefreshFileSys, FindsAFileSystemThatIsGone) {
  Checks("DMRP-1468", "DMRP-1469", "DMRP-1470", third() ? "DMRP-1844" : "DMRP-1469");
  StartWithFat(Fat("DOOMED"));
  const std::uint64_t mark = session().sink().Count();
  Overwrite(Bytes(kFront));
  ASSERT_THAT(session().RefreshFileSys(), Succeeds());
  const auto after = FileSystemOf(session(), region_.id);
  EXPECT_TRUE(!after || after->fsType == FSTYPE_UNKNOWN) << ToText(*after);
  EXPECT_TRUE(
      session().sink().WaitFor([&](const ReceivedObject& object) { return object.type == DMNOTIFY_FS_INFO; },
                               target().notification_timeout, mark));
}

// Free space that a file took is told after the call.
TEST_P(RefreshFileSys, FindsFreeSpaceThatWasTaken) {
  Checks("DMRP-0085", "DMRP-1469", third() ? "DMRP-1844" : "DMRP-1469");
  StartWithFat(Fat("SPACE"));
  const auto before = FileSystemOf(session(), region_.id);
  ASSERT_TRUE(before);
  const std::string device = DeviceOf(region_);
  constexpr std::int64_t kTaken = 5 << 20;
  Need(GuestOrSkip().agent().Shell(
      "mkdir -p /taken && mount -t vfat " + device +
      " /taken && dd if=/dev/zero of=/taken/file bs=1M count=5 2>&1 && umount /taken"));
  ASSERT_THAT(session().RefreshFileSys(), Succeeds());
  const auto after = FileSystemOf(session(), region_.id);
  ASSERT_TRUE(after);
  EXPECT_EQ(before->availableAllocationUnits - after->availableAllocationUnits,
            kTaken / before->allocationUnitSize);
  EXPECT_EQ(after->totalAllocationUnits, before->totalAllocationUnits);
  EXPECT_THAT(Disagreements(*after, OnDisk(region_)), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, RefreshFileSys, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
