// Local event "file system change" (3.2.6.4): another program of the guest formats a volume, or changes its
// label.
#include "harness/guest/guest.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

constexpr std::uint64_t kStart = 1U << 20U;
constexpr std::uint64_t kLength = 64U << 20U;

// How another program formats and labels.
struct Tools {
  const char* name;
  std::int32_t type;
  const char* format;  ///< in front of the device
  const char* label;   ///< program; the device and the label follow
};

class FileSystemChange : public FormatTest, public ::testing::WithParamInterface<Tools> {
 protected:
  void SetUp() override { NeedsCapability("uevents"); }
  // The volume was formatted with that command, or is raw.
  void StartWithVolume(const std::string& command) {
    StartWith({{harness::ParseDiskSpec(kOnPrimary.spec).value(),
                Volumes(kFormatTable, {{kStart, kLength, command}})}});
    first_ = &Open({.revision = Revision::kIVolumeClient, .name = "first", .account = {}, .auth_level = {}});
    third_ = &Open({.revision = Revision::kIVolumeClient3, .name = "third", .account = {}, .auth_level = {}});
    region_ = RegionAt(*third_, kStart);
    device_ = DeviceOf(region_);
  }
  std::optional<ReceivedObject> Frame(Session& client, const harness::NotificationSink::Predicate& fits,
                                      std::uint64_t mark = 0) {
    return client.sink().WaitFor(fits, target().notification_timeout, mark);
  }
  // The frame that tells of the volume's new file system, as it is once the program is done with it.
  std::optional<ReceivedObject> Created(Session& client) {
    return Frame(client, [&](const ReceivedObject& object) {
      return object.action == LDMACTION_CREATED && object.file_system &&
             object.file_system->storageId == region_.id && object.file_system->fsType == GetParam().type;
    });
  }

  Session* first_ = nullptr;
  Session* third_ = nullptr;
  REGION_INFO_EX region_;
  std::string device_;
};

// Another program formats a raw volume: a new object, told to every client; the old one is removed, and told
// too.
TEST_P(FileSystemChange, AFormatByAnotherProgramMakesANewObject) {
  Checks("DMRP-1907", "DMRP-1908", "DMRP-1909", "DMRP-1910", "DMRP-0499");
  StartWithVolume("");
  const auto old = FileSystemOf(*third_, region_.id);
  Need(GuestOrSkip().agent().Shell(std::string(GetParam().format) + " " + device_ + " 2>&1"));
  const auto created = Created(*third_);
  ASSERT_TRUE(created) << "no DMNOTIFY_FS_INFO/LDMACTION_CREATED came";
  ASSERT_TRUE(Created(*first_)) << "the client of IVolumeClient was not told";
  if (old) {
    EXPECT_NE(created->id, old->id) << "the id is not new";
    for (Session* client : {first_, third_}) {
      EXPECT_TRUE(Frame(*client, harness::Action(DMNOTIFY_FS_INFO, LDMACTION_DELETED, old->id)))
          << client->name();
    }
  }
  const auto now = FileSystemOf(*third_, region_.id);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->id, created->id);
  EXPECT_THAT(Disagreements(*now, OnDisk(region_)), IsEmpty()) << ToText(*now);
  EXPECT_EQ(RegionNow(*third_, region_.id).fsId, now->id);
}

// The same where a file system was before.
TEST_P(FileSystemChange, AFormatByAnotherProgramReplacesTheOldObject) {
  Checks("DMRP-1907", "DMRP-1908", "DMRP-1909", "DMRP-1910", "DMRP-0083", "DMRP-0490");
  StartWithVolume(GetParam().type == FSTYPE_NTFS ? "mkfs.fat -F 16 -s 4 -n OLD" : "mkntfs -q -F -Q -L OLD");
  const auto old = FileSystemOf(*third_, region_.id);
  ASSERT_TRUE(old);
  ASSERT_EQ(LabelOf(*old), "OLD");
  Need(GuestOrSkip().agent().Shell(std::string(GetParam().format) + " " + device_ + " 2>&1"));
  ASSERT_TRUE(Created(*third_)) << "no DMNOTIFY_FS_INFO/LDMACTION_CREATED came";
  for (Session* client : {first_, third_}) {
    EXPECT_TRUE(Frame(*client, harness::Action(DMNOTIFY_FS_INFO, LDMACTION_DELETED, old->id)))
        << client->name();
  }
  const auto list = third_->EnumLocalFileSystems();
  ASSERT_THAT(list, Succeeds());
  EXPECT_EQ(std::ranges::count(list->fileSystemList, old->id, &FILE_SYSTEM_INFO::id), 0);
  EXPECT_EQ(std::ranges::count(list->fileSystemList, region_.id, &FILE_SYSTEM_INFO::storageId), 1);
}

// Another program changes the label: the object is modified, with the new label, for every client.
TEST_P(FileSystemChange, ALabelChangedByAnotherProgramIsNotified) {
  Checks("DMRP-1911", "DMRP-0088", "DMRP-0092", "DMRP-0531");
  StartWithVolume(GetParam().type == FSTYPE_NTFS ? "mkntfs -q -F -Q -L BEFORE"
                                                 : "mkfs.fat -F 16 -s 4 -n BEFORE");
  const auto before = FileSystemOf(*third_, region_.id);
  ASSERT_TRUE(before);
  ASSERT_EQ(LabelOf(*before), "BEFORE");
  Need(GuestOrSkip().agent().Shell(std::string(GetParam().label) + " " + device_ + " AFTER 2>&1"));
  for (Session* client : {first_, third_}) {
    const auto modified = Frame(*client, [&](const ReceivedObject& object) {
      return object.action == LDMACTION_MODIFIED && object.file_system && object.id == before->id &&
             LabelOf(*object.file_system) == "AFTER";
    });
    ASSERT_TRUE(modified) << client->name() << ": no DMNOTIFY_FS_INFO/LDMACTION_MODIFIED with the new label";
    EXPECT_GT(modified->lastKnownState, before->lastKnownState);
  }
  const auto after = FileSystemOf(*third_, region_.id);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->id, before->id);
  EXPECT_EQ(LabelOf(*after), "AFTER");
}

INSTANTIATE_TEST_SUITE_P(
    Programs, FileSystemChange,
    ::testing::Values(Tools{"Fat", FSTYPE_FAT, "mkfs.fat -F 16 -s 4 -n MADE", "fatlabel"},
                      Tools{"Ntfs", FSTYPE_NTFS, "mkntfs -q -F -Q -L MADE", "ntfslabel"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace dmrp::suites
