// CreatePartitionAssignAndFormat (3.2.4.4.1.4, 3.2.4.4.3.4), and what CreatePartitionAssignAndFormatEx
// (3.2.4.4.1.5, 3.2.4.4.3.5) shares with it: what accepted calls do.
#include "harness/guest/guest.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/partition_layout.hpp"
#include "suites/support/partition_makers.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CreatePartitionAssignAndFormat : public MakerTest {
 protected:
  void SetUp() override { Start({kMbr512}); }

  // Waits for the end of the task that a reply started.
  void Finish(const Outcome<MadePartition>& reply, std::uint64_t mark) {
    [&] { ASSERT_THAT(reply, StartsTask()); }();
    const TASK_INFO end = EndOf(session(), reply->tinfo);
    [&] { ASSERT_EQ(end.status, REQ_COMPLETED) << ToText(end); }();
    SettledRegion(session(), reply->tinfo.storageId, mark);
  }
};

// One call, with what there is to see before it, at its reply and when the formatting is finished.
struct Making {
  MakeRequest request;
  std::vector<REGION_INFO_EX> regions_before;
  std::optional<harness::DiskLayout> table_before;  ///< none without images
  TASK_INFO tinfo{};
  std::optional<harness::DiskLayout> table_after;                ///< right after the reply
  REGION_INFO_EX region;                                         ///< likewise
  DRIVE_LETTER_INFO letter;                                      ///< likewise
  std::map<Revision, std::vector<ReceivedObject>> before_reply;  ///< by the client of that revision
  TASK_INFO end{};
  REGION_INFO_EX at_rest;
  std::optional<FILE_SYSTEM_INFO> file_system;
  std::optional<FileSystemOnDisk> on_disk;
  std::string letters;  ///< of the partition, in the end
};

class OneCreatePartitionAssignAndFormat : public CreatePartitionAssignAndFormat {
 protected:
  void SetUp() override { StartShared(ScenarioKey(), {kMbr512}); }

  const Making& Made() {
    return Once([this] {
      Making seen;
      const bool images = target().Can("images");
      Session& other = SessionOf(third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3);
      seen.regions_before = RegionsNow(session());
      if (images) seen.table_before = LayoutOf();
      seen.request = Right();
      const std::map<Session*, std::uint64_t> marks = {{&session(), session().sink().Count()},
                                                       {&other, other.sink().Count()}};
      const auto reply = Make(seen.request);
      [&] { ASSERT_THAT(reply, StartsTask()); }();
      seen.tinfo = reply->tinfo;
      if (images) seen.table_after = LayoutOf();
      seen.region = MadeRegion(reply);
      seen.letter = LetterNow(seen.request.letter);
      seen.end = EndOf(session(), reply->tinfo);
      seen.at_rest = SettledRegion(session(), seen.region.id, marks.at(&session()));
      for (const auto& [client, mark] : marks) {
        auto& objects = seen.before_reply[client->revision()];
        for (const harness::ReceivedNotification& notification : client->sink().All()) {
          if (notification.number <= mark || notification.received > reply.call.replied) continue;
          objects.insert(objects.end(), notification.objects.begin(), notification.objects.end());
        }
      }
      seen.file_system = FileSystemOf(session(), seen.region.id);
      if (images) seen.on_disk = OnDisk(seen.region);
      seen.letters = LettersOf(seen.region.id);
      return seen;
    });
  }
};

// The partition is made where and as asked for, has the letter, and in the end the file system of fsSpec.
TEST_P(OneCreatePartitionAssignAndFormat, MakesPartitionLetterAndFileSystem) {
  Checks("DMRP-0632", "DMRP-0633", One("DMRP-0625", "DMRP-1562", "DMRP-0652", "DMRP-1565"),
         One("DMRP-0632", "DMRP-1563", "DMRP-0653", "DMRP-1566"));
  NeedsCapability("images");
  const MakeRequest& request = Made().request;
  const REGION_INFO_EX& region = Made().region;
  const harness::DiskLayout& after = Made().table_after.value();
  const auto added = Added(Made().table_before.value(), after);
  ASSERT_THAT(added, SizeIs(1)) << ToText(after);
  EXPECT_EQ(static_cast<std::int64_t>(added.front().start), region.start);
  EXPECT_NEAR(static_cast<double>(region.start), static_cast<double>(request.partitionSpec.start), 8225280);
  EXPECT_NEAR(static_cast<double>(region.length), static_cast<double>(request.partitionSpec.length), 8225280);

  Checks("DMRP-0634", "DMRP-0635", "DMRP-0644");
  const DRIVE_LETTER_INFO& letter = Made().letter;
  EXPECT_TRUE(letter.isUsed);
  EXPECT_EQ(letter.storageId, region.id);
  EXPECT_GT(letter.lastKnownState, request.letterLastKnownState);

  Checks("DMRP-0636", "DMRP-0645", "DMRP-0646");
  ASSERT_EQ(Made().end.status, REQ_COMPLETED) << ToText(Made().end);
  const FileSystemOnDisk& disk = Made().on_disk.value();
  EXPECT_EQ(FsTypeOf(disk), FSTYPE_NTFS) << disk.account;
  EXPECT_EQ(disk.label, "MADE");
  EXPECT_EQ(disk.unit, 1024U);
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
  const auto& object = Made().file_system;
  ASSERT_TRUE(object);
  EXPECT_THAT(Disagreements(*object, disk), IsEmpty()) << ToText(*object);
  EXPECT_EQ(Made().letters, std::string(1, static_cast<char>(request.letter)));
}

// The other file systems, in the free space of an extended partition and as primaries.
TEST_P(CreatePartitionAssignAndFormat, MakesLogicalDrivesAndOtherFileSystems) {
  Checks("DMRP-0632", "DMRP-0636", "DMRP-0618", One("DMRP-0632", "DMRP-1563", "DMRP-0653", "DMRP-1566"));
  const REGION_INFO_EX free = FreeRegion(session());
  ASSERT_THAT(session().CreatePartition(Spec(free, REGION_EXTENDED, free.start, free.length)), Succeeds());
  std::uint64_t mark = session().sink().Count();
  MakeRequest request = Right(MiB(16), REGION_LOGICAL);
  request.fsSpec = FileSystemSpec(FSTYPE_FAT, 2048, u"LOGICAL");
  auto reply = Make(request);
  Finish(reply, mark);
  const REGION_INFO_EX fat = MadeRegion(reply);
  EXPECT_EQ(fat.regionType, REGION_LOGICAL);
  mark = session().sink().Count();
  request = Right(MiB(36), REGION_LOGICAL);
  request.fsSpec = FileSystemSpec(FSTYPE_FAT32, 512, u"LOGICAL 32");
  reply = Make(request);
  Finish(reply, mark);
  const REGION_INFO_EX fat32 = MadeRegion(reply);
  const auto disks = OnDisk({fat, fat32});
  EXPECT_EQ(FsTypeOf(disks[0]), FSTYPE_FAT) << disks[0].account;
  EXPECT_EQ(disks[0].label, "LOGICAL");
  EXPECT_THAT(disks[0].problems, IsEmpty()) << disks[0].account;
  EXPECT_EQ(FsTypeOf(disks[1]), FSTYPE_FAT32) << disks[1].account;
  EXPECT_EQ(disks[1].label, "LOGICAL 32");
  EXPECT_THAT(disks[1].problems, IsEmpty()) << disks[1].account;
  EXPECT_THAT(Disagreements(RegionsNow(session()), LayoutOf()), IsEmpty());
}

// A letter may be given in either case.
TEST_P(CreatePartitionAssignAndFormat, TakesLettersInEitherCase) {
  Checks("DMRP-0623", "DMRP-0075");
  MakeRequest request = Right();
  const char16_t capital = request.letter;
  request.letter = static_cast<char16_t>(harness::LetterId(capital) - u'A' + u'a');
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Make(request);
  Finish(reply, mark);
  EXPECT_EQ(LettersOf(reply->tinfo.storageId), std::string(1, static_cast<char>(harness::LetterId(capital))));
}

// A null and a space ask for no letter; the partition is formatted all the same.
TEST_P(CreatePartitionAssignAndFormat, MakesPartitionsWithoutALetter) {
  Checks("DMRP-0636", "DMRP-0632");
  for (const char16_t none : {u'\0', u' '}) {
    SCOPED_TRACE(static_cast<unsigned>(none));
    const auto before = Letters();
    MakeRequest request = Right(MiB(16));
    request.letter = none;
    request.letterLastKnownState = 0;
    const std::uint64_t mark = session().sink().Count();
    const auto reply = Make(request);
    Finish(reply, mark);
    EXPECT_EQ(Letters(), before) << "letters changed";
    EXPECT_EQ(OnDisk(MadeRegion(reply)).label, "MADE");
  }
}

// Every change of the list is notified before the reply: disk, new region, free region, letter, file system;
// the partition comes before its letter. The region's rest follows when the formatting is finished.
TEST_P(OneCreatePartitionAssignAndFormat, NotifiesEveryChange) {
  Checks("DMRP-0641", "DMRP-0642", "DMRP-0643", "DMRP-0644", "DMRP-0645", "DMRP-0528", "DMRP-0532");
  const MakeRequest& request = Made().request;
  const LdmObjectId made = Made().tinfo.storageId;
  const LdmObjectId letter = harness::LetterId(request.letter);
  ASSERT_THAT(Made().before_reply, SizeIs(2));
  for (const auto& [revision, before_reply] : Made().before_reply) {
    SCOPED_TRACE(harness::ToString(revision));
    EXPECT_THAT(before_reply, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, lab().DiskId(0))));
    EXPECT_THAT(before_reply, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made)));
    EXPECT_THAT(before_reply, Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, letter)));
    EXPECT_TRUE(std::ranges::any_of(before_reply, [&](const ReceivedObject& object) {
      return object.type == DMNOTIFY_REGION_INFO && object.id == request.partitionSpec.regionId &&
             (object.action == LDMACTION_MODIFIED || object.action == LDMACTION_DELETED);
    })) << "nothing about the free region";
    EXPECT_TRUE(std::ranges::any_of(before_reply, [&](const ReceivedObject& object) {
      return object.action == LDMACTION_CREATED && object.file_system &&
             object.file_system->storageId == made;
    })) << "nothing about the file system";
    const auto region_at =
        std::ranges::find_if(before_reply, harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made));
    const auto letter_at =
        std::ranges::find_if(before_reply, harness::Action(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, letter));
    EXPECT_LT(region_at - before_reply.begin(), letter_at - before_reply.begin());
  }
  Checks("DMRP-0646", "DMRP-0573");
  EXPECT_EQ(Made().end.status, REQ_COMPLETED);
  const REGION_INFO_EX& after = Made().at_rest;
  EXPECT_EQ(after.rflags & REGION_FORMAT_IN_PROGRESS, 0U);
  EXPECT_EQ(after.taskId, 0);
}

// tinfo: a fresh id, REQ_STARTED or REQ_COMPLETED, the new region as storageId, the rest zero.
TEST_P(OneCreatePartitionAssignAndFormat, FillsTheTaskInfo) {
  Checks("DMRP-0637", "DMRP-0638", "DMRP-0639", One("DMRP-0535", "DMRP-0536", "DMRP-0537", "DMRP-0538"));
  const auto& before = Made().regions_before;
  const TASK_INFO& task = Made().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_EQ(std::ranges::count(before, task.storageId, &REGION_INFO_EX::id), 0) << "the region is not new";
  EXPECT_EQ(Made().region.regionType, REGION_PRIMARY);
  EXPECT_EQ(task.createTime, 0);
  EXPECT_TRUE(task.clientID == 0 || task.clientID == session().client_id()) << task.clientID;
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.type, PROGRESS_UNKNOWN);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.tflag, 0U);
}

// quickFormat TRUE is quick and FALSE reads every sector of the partition, in all four methods; what
// IVolumeClient's own text says of Ex is the reverse of all the others and only recorded.
TEST_P(CreatePartitionAssignAndFormat, FormatsQuicklyOrFully) {
  GuestOrSkip();
  const bool stated_in_reverse = GetParam().ex && !third();
  Checks(One("DMRP-0624", "DMRP-1564", "DMRP-0650", "DMRP-1568"));
  bool reads_all[2] = {false, false};
  for (const bool quick : {true, false}) {
    MakeRequest request = Right(MiB(20));
    request.quickFormat = quick;
    const Traffic before = TrafficOf();
    const std::uint64_t mark = session().sink().Count();
    const auto reply = Make(request);
    Finish(reply, mark);
    const auto length = static_cast<std::uint64_t>(request.partitionSpec.length);
    reads_all[quick ? 1 : 0] = TrafficOf().read - before.read >= length - length / 64;
  }
  EXPECT_NE(reads_all[0], reads_all[1]) << "both values do the same";
  if (!stated_in_reverse) {
    EXPECT_TRUE(reads_all[0]) << "quickFormat FALSE left sectors out";
    EXPECT_FALSE(reads_all[1]) << "quickFormat TRUE read the whole partition";
  }
}

// The reply does not wait for the formatting: partition, letter and file system object are there, the task
// runs.
TEST_P(CreatePartitionAssignAndFormat, RepliesBeforeTheFormattingIsDone) {
  Checks("DMRP-0640", "DMRP-0534", "DMRP-0569", One("DMRP-0535", "DMRP-0536", "DMRP-0537", "DMRP-0538"));
  harness::DiskThrottle throttle;
  throttle.bytes_per_second = 8U << 20U;
  Need(GuestOrSkip().SetThrottle(lab().bed().disks().at(0).id, throttle));
  MakeRequest request = Right(MiB(32));
  // Full in all methods but IVolumeClient's Ex, where either reading makes one of both values full.
  request.quickFormat = false;
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Make(request);
  ASSERT_THAT(reply, StartsTask());
  if (reply->tinfo.status != REQ_STARTED) GTEST_SKIP() << "the target formats before it replies, as it may";
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  ASSERT_THAT(tasks->taskList, SizeIs(1));
  EXPECT_EQ(tasks->taskList.front().id, reply->tinfo.id);
  const REGION_INFO_EX region = MadeRegion(reply);
  EXPECT_NE(region.rflags & REGION_FORMAT_IN_PROGRESS, 0U);
  EXPECT_TRUE(FileSystemOf(session(), region.id));
  EXPECT_EQ(LettersOf(region.id), std::string(1, static_cast<char>(request.letter)));
  Need(GuestOrSkip().ClearFaults(lab().bed().disks().at(0).id));
  EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
  SettledRegion(session(), region.id, mark);
  EXPECT_EQ(OnDisk(region).label, "MADE");
}

INSTANTIATE_TEST_SUITE_P(Methods, OneCreatePartitionAssignAndFormat, kAllMakers, MakerName());
INSTANTIATE_TEST_SUITE_P(Methods, CreatePartitionAssignAndFormat, kAllMakers, MakerName());

// GPT disks, which IVolumeClient3 alone knows.
class CreatePartitionAssignAndFormatOnGpt : public MakerTest {};

TEST_P(CreatePartitionAssignAndFormatOnGpt, MakesPartitionLetterAndFileSystem) {
  Checks("DMRP-0632", "DMRP-0634", "DMRP-0636", One("DMRP-0632", "DMRP-1563", "DMRP-0653", "DMRP-1566"));
  Start({kGpt});
  const std::uint64_t mark = session().sink().Count();
  const MakeRequest request = Right();
  const auto reply = Make(request);
  ASSERT_THAT(reply, StartsTask());
  EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
  SettledRegion(session(), reply->tinfo.storageId, mark);
  const REGION_INFO_EX region = MadeRegion(reply);
  const FileSystemOnDisk disk = OnDisk(region);
  EXPECT_EQ(disk.label, "MADE");
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
  EXPECT_EQ(LettersOf(region.id), std::string(1, static_cast<char>(request.letter)));
  EXPECT_THAT(Disagreements(RegionsNow(session()), LayoutOf()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Methods, CreatePartitionAssignAndFormatOnGpt,
                         ::testing::Values(Maker{Revision::kIVolumeClient3, false},
                                           Maker{Revision::kIVolumeClient3, true}),
                         MakerName());

}  // namespace
}  // namespace dmrp::suites
