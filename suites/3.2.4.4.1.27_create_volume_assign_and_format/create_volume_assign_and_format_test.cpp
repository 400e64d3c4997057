// CreateVolumeAssignAndFormat (3.2.4.4.1.27, 3.2.4.4.3.27), and what CreateVolumeAssignAndFormatEx
// (3.2.4.4.1.28, 3.2.4.4.3.28) shares with it.
#include "harness/guest/guest.hpp"
#include "suites/support/volume_makers.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <sstream>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

// A method, and the volume that it is asked for. All layouts come through both revisions and both methods
// taken together.
struct Made {
  VolumeMaker maker;
  std::size_t shape = 0;  ///< of ShapesOfEachLayout
  std::int32_t file_system = FSTYPE_FAT;

  friend void PrintTo(const Made& made, std::ostream* out) {
    PrintTo(made.maker, out);
    *out << "_" << ShapesOfEachLayout()[made.shape].name << "_" << FileSystemName(made.file_system);
  }
};

struct Operation : WatchedDynamicOperation {
  char16_t letter = 0;
  TASK_INFO end;                           ///< the task at last
  VOLUME_INFO settled;                     ///< the volume then
  std::optional<FILE_SYSTEM_INFO> object;  ///< its file system then
  FileSystemOnDisk file_system;            ///< as readers find it on the members then
};

class CreateVolumeAssignAndFormat : public VolumeMakerTest, public ::testing::WithParamInterface<Made> {
 protected:
  void SetUp() override { StartScenario(3); }
  static const VolumeMaker& maker() { return GetParam().maker; }
  Session& session() { return SessionOf(maker().revision); }
  static const VolumeShape& shape() {
    static const std::vector<VolumeShape> kShapes = ShapesOfEachLayout();
    return kShapes[GetParam().shape];
  }
  static bool Redundant() {
    return shape().layout == VOLUMELAYOUT_MIRROR || shape().layout == VOLUMELAYOUT_RAID5;
  }

  const Operation& Done() {
    return Once([this] {
      Operation seen;
      const MakeVolumeRequest request = Right(session(), shape(), GetParam().file_system);
      seen.letter = request.letter;
      static_cast<WatchedDynamicOperation&>(seen) =
          Watch(session(), [&] { return MakeWith(maker(), request); });
      const std::uint64_t mark = seen.marks.at(maker().revision);
      seen.end = EndOf(session(), seen.tinfo, mark);
      seen.settled = SettledVolume(session(), seen.tinfo.storageId, mark);
      const StorageView view = Need(session().View());
      if (const FILE_SYSTEM_INFO* object = view.FileSystemOf(seen.tinfo.storageId)) seen.object = *object;
      if (target().Can("images")) {
        const GroupImages images = GroupImagesNow();
        seen.file_system =
            FileSystemOnMembers(images.layout.groups.at(0), images.layout.groups.at(0).volumes.at(0));
      }
      return seen;
    });
  }
};

// When the reply comes the volume is on the disks as volumeSpec and diskList say.
TEST_P(CreateVolumeAssignAndFormat, MakesTheVolume) {
  Checks("DMRP-0959", "DMRP-0960", "DMRP-0961", "DMRP-0962", "DMRP-0965",
         maker().One("DMRP-0953", "DMRP-1644", "DMRP-0989", "DMRP-1648"),
         maker().One("DMRP-0959", "DMRP-1645", "DMRP-0990", "DMRP-1649"));
  const harness::DynamicLayout& found = GroupsAfter(Done());
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  ASSERT_THAT(found.groups[0].volumes, SizeIs(1));
  const harness::DynamicVolume& volume = found.groups[0].volumes[0];
  EXPECT_EQ(volume.type, TypeOnDisk(shape().layout));
  EXPECT_EQ(volume.size, static_cast<std::uint64_t>(shape().length));
  std::map<std::string, std::uint64_t> lengths;
  for (const harness::DynamicPlex& plex : volume.plexes) {
    for (const harness::DynamicExtent& extent : plex.extents) lengths[extent.disk] += extent.length;
  }
  std::map<std::string, std::uint64_t> asked;
  for (const auto& [index, length] : shape().members) {
    asked["Disk" + std::to_string(index + 1)] = static_cast<std::uint64_t>(length);
  }
  EXPECT_EQ(lengths, asked);
}

// In the end the file system of fsSpec is on it, where the volume's octets lie on the members; the volume is
// healthy, its copies are equal and its parity adds up.
TEST_P(CreateVolumeAssignAndFormat, FormatsTheVolume) {
  Checks("DMRP-0968", maker().One("DMRP-0968", "DMRP-1645", "DMRP-0990", "DMRP-1649"));
  NeedsCapability("images");
  EXPECT_EQ(FsTypeOf(Done().file_system), GetParam().file_system) << Done().file_system.account;
  EXPECT_EQ(Done().file_system.label, "MADE");
  EXPECT_EQ(Done().file_system.unit, GetParam().file_system == FSTYPE_NTFS ? 1024U : 4096U);
  EXPECT_THAT(Done().file_system.problems, IsEmpty()) << Done().file_system.account;
  ASSERT_TRUE(Done().object);
  EXPECT_THAT(Disagreements(*Done().object, Done().file_system), IsEmpty()) << ToText(*Done().object);
  EXPECT_THAT(BrokenInvariants({0, 1, 2}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// A fresh id, REQ_STARTED or REQ_COMPLETED, the new volume as storageId, the rest zero.
TEST_P(CreateVolumeAssignAndFormat, FillsTheTaskInfo) {
  Checks("DMRP-0969", "DMRP-0970", "DMRP-0971",
         maker().One("DMRP-0541", "DMRP-0542", "DMRP-0543", "DMRP-0544"));
  const TASK_INFO& task = Done().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_TRUE(task.status == REQ_STARTED || task.status == REQ_COMPLETED) << ToText(task);
  EXPECT_EQ(Done().before.FindVolume(task.storageId), nullptr);
  EXPECT_NE(Done().after.FindVolume(task.storageId), nullptr);
  EXPECT_EQ(task.createTime, 0);
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.tflag, 0U);
}

TEST_P(CreateVolumeAssignAndFormat, SendsTheCompletionNotification) {
  Checks("DMRP-0972", "DMRP-0573", maker().One("DMRP-0541", "DMRP-0542", "DMRP-0543", "DMRP-0544"));
  EXPECT_EQ(Done().end.status, REQ_COMPLETED);
  EXPECT_EQ(Done().end.error, 0);
  ExpectCompletion(session(), Done().end, Done().marks.at(maker().revision));
}

// Volume and regions are created, the disks and their free space modified, before the reply.
TEST_P(CreateVolumeAssignAndFormat, NotifiesTheVolumeAndItsRegions) {
  Checks("DMRP-0974", "DMRP-0975", "DMRP-0976", "DMRP-0977");
  const LdmObjectId id = Done().tinfo.storageId;
  const StorageView& before = Done().before;
  const StorageView& after = Done().after;
  ASSERT_NE(after.FindVolume(id), nullptr);
  EXPECT_EQ(after.FindVolume(id)->layout, shape().layout);
  EXPECT_EQ(after.FindVolume(id)->length, shape().length);
  EXPECT_EQ(after.FindVolume(id)->memberCount, shape().members.size());
  for (const auto& [revision, told] : Done().notified) {
    SCOPED_TRACE(harness::ToString(revision));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, id)));
    EXPECT_THAT(after.RegionsOfVolume(id), SizeIs(shape().members.size()));
    for (const REGION_INFO_EX& region : after.RegionsOfVolume(id)) {
      EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
      EXPECT_EQ(before.FindRegion(region.id), nullptr);
      EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, region.diskId)));
      EXPECT_EQ(before.FindDisk(region.diskId)->freeBytes - after.FindDisk(region.diskId)->freeBytes,
                region.length);
      EXPECT_TRUE(std::ranges::any_of(told,
                                      [&](const ReceivedObject& object) {
                                        const REGION_INFO_EX* free = before.FindRegion(object.id);
                                        return object.type == DMNOTIFY_REGION_INFO && free != nullptr &&
                                               harness::IsFree(*free) && free->diskId == region.diskId;
                                      }))
          << "no frame about the free region of disk " << region.diskId;
    }
  }
}

// The letter is given after the volume was made and before the reply.
TEST_P(CreateVolumeAssignAndFormat, AssignsTheLetter) {
  Checks("DMRP-0966", "DMRP-0967", "DMRP-0978");
  const LdmObjectId id = Done().tinfo.storageId;
  const DRIVE_LETTER_INFO* letter = Done().after.FindLetter(Done().letter);
  ASSERT_NE(letter, nullptr);
  EXPECT_TRUE(letter->isUsed);
  EXPECT_EQ(letter->storageId, id);
  EXPECT_GT(letter->lastKnownState, Done().before.FindLetter(Done().letter)->lastKnownState);
  for (const auto& [revision, told] : Done().notified) {
    SCOPED_TRACE(harness::ToString(revision));
    const auto created =
        std::ranges::find_if(told, harness::Action(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, id));
    const auto given = std::ranges::find_if(
        told, harness::Action(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(Done().letter)));
    ASSERT_NE(given, told.end());
    EXPECT_LT(created - told.begin(), given - told.begin());
  }
  EXPECT_EQ(LettersOf(session(), id), std::string(1, static_cast<char>(Done().letter)));
}

// The file system object is there when the reply comes; the volume is told to be at rest when the formatting
// has finished.
TEST_P(CreateVolumeAssignAndFormat, CreatesTheFileSystemAndModifiesTheVolumeAtTheEnd) {
  Checks("DMRP-0979", "DMRP-0980", "DMRP-0968");
  const LdmObjectId id = Done().tinfo.storageId;
  const FILE_SYSTEM_INFO* file_system = Done().after.FileSystemOf(id);
  ASSERT_NE(file_system, nullptr);
  EXPECT_EQ(Done().before.FindFileSystem(file_system->id), nullptr);
  for (const auto& [revision, told] : Done().notified) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_CREATED, file_system->id)));
  }
  EXPECT_EQ(Done().settled.status, VOLUME_STATUS_HEALTHY);
  EXPECT_EQ(Done().settled.vflags & VOLUME_FORMAT_IN_PROGRESS, 0U);
  EXPECT_EQ(Done().settled.taskId, 0);
  EXPECT_EQ(Done().settled.fsId, file_system->id) << "the object is another one";
}

constexpr VolumeMaker kPlain1{Revision::kIVolumeClient, false};
constexpr VolumeMaker kPlain3{Revision::kIVolumeClient3, false};
constexpr VolumeMaker kEx1{Revision::kIVolumeClient, true};
constexpr VolumeMaker kEx3{Revision::kIVolumeClient3, true};

INSTANTIATE_TEST_SUITE_P(Methods, CreateVolumeAssignAndFormat,
                         ::testing::Values(Made{kPlain1, 0, FSTYPE_NTFS}, Made{kPlain1, 3, FSTYPE_FAT},
                                           Made{kPlain1, 4, FSTYPE_FAT}, Made{kPlain3, 1, FSTYPE_NTFS},
                                           Made{kPlain3, 4, FSTYPE_NTFS}, Made{kEx1, 2, FSTYPE_FAT},
                                           Made{kEx1, 3, FSTYPE_NTFS}, Made{kEx3, 0, FSTYPE_FAT},
                                           Made{kEx3, 2, FSTYPE_NTFS}),
                         [](const auto& info) { return ::testing::PrintToString(info.param); });

class CreateVolumeAssignAndFormatChecks : public VolumeMakerTest,
                                          public ::testing::WithParamInterface<VolumeMaker> {
 protected:
  Session& session() { return SessionOf(GetParam().revision); }
  // Octets that the guest has read from the bed's disk so far.
  std::uint64_t ReadSoFar(std::size_t disk) {
    const std::string& id = lab().bed().disks().at(disk).id;
    for (const harness::AttachedDisk& attached : GuestOrSkip().disks()) {
      if (attached.id != id) continue;
      // Fields of Documentation/block/stat.rst.
      std::istringstream stat(
          Need(GuestOrSkip().agent().ReadFile("/sys/block/" + attached.guest_device + "/stat")));
      std::uint64_t reads = 0;
      std::uint64_t merged = 0;
      std::uint64_t sectors = 0;
      stat >> reads >> merged >> sectors;
      return sectors * 512;
    }
    [&] { FAIL() << kEnvironmentMark << "the guest has no disk " << id; }();
    throw std::logic_error("unreachable");
  }
};

// A null and a space ask for no letter, whatever its state; the volume is formatted all the same: quickly
// when quickFormat is 1, with a look at every sector when it is 0.
TEST_P(CreateVolumeAssignAndFormatChecks, FormatsWithoutALetterQuicklyOrFully) {
  StartDynamic(2);
  GuestOrSkip();
  Checks(GetParam().One("DMRP-0951", "DMRP-1646", "DMRP-0983", "DMRP-1650"), "DMRP-0956",
         GetParam().One("DMRP-0952", "DMRP-1647", "DMRP-0987", "DMRP-1652"));
  const auto letters = Need(session().View()).letters;
  for (const char16_t none : {u'\0', u' '}) {
    SCOPED_TRACE(static_cast<unsigned>(none));
    const bool quick = none == u'\0';
    MakeVolumeRequest request =
        Right(session(), {"Striped", VOLUMELAYOUT_STRIPE, {{0, MiB(8)}, {1, MiB(8)}}, MiB(16)});
    request.letter = none;
    request.letterLastKnownState = 0x123456789;
    request.quickFormat = quick;
    const std::uint64_t mark = session().sink().Count();
    const std::vector<std::uint64_t> before = {ReadSoFar(0), ReadSoFar(1)};
    const auto reply = MakeWith(GetParam(), request);
    ASSERT_THAT(reply, StartsTask());
    ASSERT_EQ(EndOf(session(), reply->tinfo, mark).status, REQ_COMPLETED);
    EXPECT_EQ(LabelOf(*Need(session().View()).FileSystemOf(reply->tinfo.storageId)), "MADE");
    for (const std::size_t disk : {0U, 1U}) {
      const std::uint64_t read = ReadSoFar(disk) - before[disk];
      const auto whole = static_cast<std::uint64_t>(MiB(8));
      if (quick) {
        EXPECT_LT(read, whole) << "a quick format read the whole member on disk " << disk;
      } else {
        EXPECT_GE(read, whole - whole / 64) << "a full format left sectors of disk " << disk << " out";
      }
    }
  }
  EXPECT_EQ(Need(session().View()).letters, letters) << "letters changed";
}

// A letter that another volume has stays there, and what is not given its letter is not formatted.
TEST_P(CreateVolumeAssignAndFormatChecks, DoesNotFormatWithoutTheLetter) {
  Checks("DMRP-0966", "DMRP-0968");
  StartDynamic(2);
  const VOLUME_INFO owner = Make(session(), {"Simple", VOLUMELAYOUT_SIMPLE, {{0, MiB(8)}}, MiB(8)});
  const DRIVE_LETTER_INFO taken = GiveLetter(session(), owner.id);
  MakeVolumeRequest request = Right(session(), {"Simple", VOLUMELAYOUT_SIMPLE, {{1, MiB(8)}}, MiB(8)});
  request.letter = taken.letter;
  request.letterLastKnownState = LetterNow(session(), taken.letter).lastKnownState;
  const std::uint64_t mark = session().sink().Count();
  const auto reply = MakeWith(GetParam(), request);
  EXPECT_TRUE(reply.refused() ||
              (reply.succeeded() && EndOf(session(), reply->tinfo, mark).status == REQ_FAILED))
      << reply.call.text;
  EXPECT_EQ(LettersOf(session(), owner.id), std::string(1, static_cast<char>(taken.letter)));
  for (const VOLUME_INFO& volume : VolumesNow(session())) {
    if (volume.id == owner.id) continue;
    const FILE_SYSTEM_INFO* file_system = Need(session().View()).FileSystemOf(volume.id);
    EXPECT_TRUE(file_system == nullptr || file_system->fsType == FSTYPE_UNKNOWN);
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, CreateVolumeAssignAndFormatChecks, kAllVolumeMakers, VolumeMakerName());

// What needs slow or fragmented disks, through one method of each revision.
class CreateVolumeAssignAndFormatAtLength : public CreateVolumeAssignAndFormatChecks {};

// The reply does not wait for the formatting: volume, letter and file system object are there, the task runs
// and its frames tell how far it is.
TEST_P(CreateVolumeAssignAndFormatAtLength, RepliesBeforeTheFormattingIsDone) {
  Checks("DMRP-0973", "DMRP-0534", "DMRP-0565", "DMRP-0569", "DMRP-0570", "DMRP-0572", "DMRP-0109",
         GetParam().One("DMRP-0541", "DMRP-0542", "DMRP-0543", "DMRP-0544"));
  StartDynamic(1);
  MakeVolumeRequest request = Right(session(), {"Long", VOLUMELAYOUT_SIMPLE, {{0, MiB(40)}}, MiB(40)});
  request.quickFormat = false;
  harness::DiskThrottle throttle;
  throttle.bytes_per_second = 8U << 20U;
  const std::string disk = lab().bed().disks().at(0).id;
  Need(GuestOrSkip().SetThrottle(disk, throttle));
  const std::uint64_t mark = session().sink().Count();
  const auto reply = MakeWith(GetParam(), request);
  ASSERT_THAT(reply, StartsTask());
  if (reply->tinfo.status != REQ_STARTED) GTEST_SKIP() << "the target formats before it replies, as it may";
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  ASSERT_THAT(tasks->taskList, SizeIs(1));
  EXPECT_EQ(tasks->taskList.front().id, reply->tinfo.id);
  const VOLUME_INFO volume = VolumeNow(session(), reply->tinfo.storageId);
  EXPECT_EQ(volume.status, VOLUME_STATUS_FORMATTING);
  EXPECT_NE(volume.vflags & VOLUME_FORMAT_IN_PROGRESS, 0U);
  EXPECT_NE(volume.fsId, 0);
  EXPECT_EQ(LettersOf(session(), volume.id), std::string(1, static_cast<char>(request.letter)));
  ASSERT_TRUE(session().sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.task && object.id == reply->tinfo.id && object.task->percentComplete >= 20;
      },
      kFormatLimit, mark))
      << "no progress was told";
  Need(GuestOrSkip().ClearFaults(disk));
  EXPECT_EQ(EndOf(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  std::uint32_t percent = 0;
  for (const ReceivedObject& object : session().sink().Objects(mark)) {
    if (!object.task || object.id != reply->tinfo.id || IsFinal(object.task->status)) continue;
    EXPECT_EQ(object.action, LDMACTION_MODIFIED);
    EXPECT_EQ(object.task->error, 0);
    EXPECT_GE(object.task->percentComplete, percent);
    EXPECT_LE(object.task->percentComplete, 100U);
    percent = object.task->percentComplete;
    if (percent > 0) {
      EXPECT_EQ(object.task->type, PROGRESS_FORMAT);
    }
  }
  const VOLUME_INFO settled = SettledVolume(session(), volume.id, mark);
  EXPECT_EQ(settled.status, VOLUME_STATUS_HEALTHY);
}

// With needContiguous a member is one region; a fragmented disk has none that is long enough.
TEST_P(CreateVolumeAssignAndFormatAtLength, KeepsAMemberInOnePieceWhenAsked) {
  Checks("DMRP-0963", "DMRP-0964");
  StartDynamic(1);
  const std::int64_t wanted = FragmentDisk(session(), 0);
  const VolumeShape shape{"Long", VOLUMELAYOUT_SIMPLE, {{0, wanted}}, wanted};
  MakeVolumeRequest request = Right(session(), shape);
  request.diskList[0].needContiguous = true;
  const Observation before = ObserveAll(session());
  EXPECT_THAT(MakeWith(GetParam(), request), Refused());
  EXPECT_EQ(VolumesNow(session()), *before.view.volumes);
  request = Right(session(), shape);
  request.diskList[0].needContiguous = false;
  const std::uint64_t mark = session().sink().Count();
  const auto reply = MakeWith(GetParam(), request);
  if (!reply.succeeded()) {
    EXPECT_THAT(reply, Refused());
    return;
  }
  EXPECT_GT(VolumeNow(session(), reply->tinfo.storageId).memberCount, 1U);
  EXPECT_EQ(EndOf(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  EXPECT_THAT(BrokenInvariants({0}), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Methods, CreateVolumeAssignAndFormatAtLength, ::testing::Values(kPlain1, kEx3),
                         VolumeMakerName());

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(MakeVolumeRequest& request)> spoil;
};

class CreateVolumeAssignAndFormatRefuses
    : public VolumeMakerTest,
      public ::testing::WithParamInterface<std::tuple<VolumeMaker, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(CreateVolumeAssignAndFormatRefuses, Because) {
  const auto& [maker, wrong] = GetParam();
  Checks(wrong.id, "DMRP-0958", maker.One("DMRP-0953", "DMRP-1644", "DMRP-0989", "DMRP-1648"),
         maker.One("DMRP-0958", "DMRP-1645", "DMRP-0990", "DMRP-1649"));
  StartSharedDynamic(3);
  Session& session = SessionOf(maker.revision);
  const Observation before = ObserveAll(session);
  MakeVolumeRequest request = Right(session, ShapesOfEachLayout()[1]);
  wrong.spoil(request);
  EXPECT_THAT(MakeWith(maker, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

using R = MakeVolumeRequest;

INSTANTIATE_TEST_SUITE_P(
    Methods, CreateVolumeAssignAndFormatRefuses,
    ::testing::Combine(
        kAllVolumeMakers,
        ::testing::Values(
            Wrong{"NoDisk", "DMRP-0954", [](R& r) { r.diskList.clear(); }},
            Wrong{"FirstDiskUnknown", "DMRP-0955",
                  [](R& r) { r.diskList[0].diskId = std::numeric_limits<LdmObjectId>::max(); }},
            Wrong{"LastDiskZero", "DMRP-0955", [](R& r) { r.diskList[1].diskId = 0; }},
            Wrong{"FirstStateOneBelow", "DMRP-0955", [](R& r) { --r.diskList[0].lastKnownState; }},
            Wrong{"LastStateOneAbove", "DMRP-0955", [](R& r) { ++r.diskList[1].lastKnownState; }},
            Wrong{"LetterIsADigit", "DMRP-0956", [](R& r) { r.letter = u'7'; }},
            Wrong{"LetterIsNotOfTheAlphabet", "DMRP-0956", [](R& r) { r.letter = u'\u00C9'; }},
            Wrong{"LetterStateOneBelow", "DMRP-0956", [](R& r) { --r.letterLastKnownState; }},
            Wrong{"LetterStateOneAbove", "DMRP-0956", [](R& r) { ++r.letterLastKnownState; }},
            Wrong{"LayoutUndefined", "DMRP-0960",
                  [](R& r) { r.volumeSpec.layout = static_cast<VOLUMELAYOUT>(7); }},
            Wrong{"LengthZero", "DMRP-0960", [](R& r) { r.volumeSpec.length = 0; }},
            Wrong{"MoreThanTheDiskHas", "DMRP-0961",
                  [](R& r) {
                    r.diskList[0].length = MiB(4096);
                    r.volumeSpec.length = MiB(4096) + r.diskList[1].length;
                  }},
            Wrong{"FileSystemUnknown", "DMRP-0968", [](R& r) { r.fsSpec.fsType = 77; }})),
    [](const auto& info) {
      return ::testing::PrintToString(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
