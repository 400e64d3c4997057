// SplitMirror (3.2.4.4.1.34, 3.2.4.4.3.37).
#include "harness/guest/guest.hpp"
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/volume_data.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t kSeed = 34;

// What is asked for besides the mirror: which half goes, and what stands for the letter.
struct Half {
  const char* name;
  std::size_t disk;  ///< of the bed: 0 or 1
  std::optional<char16_t> no_letter;
};

class SplitMirrorTest : public VolumeDataTest {
 protected:
  static const VolumeShape& Mirror() {
    static const VolumeShape kMirror = ShapesOfEachLayout()[3];
    return kMirror;
  }
  // A request for the half on the bed's disk of that number.
  SplitMirrorRequest Ask(Session& session, LdmObjectId mirror, std::size_t index) {
    return SplitRequest(session, mirror, lab().DiskId(index));
  }
  static Outcome<SplitMirrorReply> Split(Session& session, const SplitMirrorRequest& request) {
    return session.Change<SplitMirrorReply>(session.interface(), "SplitMirror", request);
  }
};

struct SplitOperation : WatchedDynamicOperation {
  VOLUME_INFO mirror;                 ///< before
  LdmObjectId disk = 0;               ///< that the half lies on
  char16_t kept_letter = 0;           ///< of the mirror
  char16_t asked_letter = 0;          ///< for the other volume; 0: none
  LdmObjectId made = 0;               ///< the other volume
  Guid guid;                          ///< of the mirror, in its record
  std::vector<std::string> labels;    ///< of the file systems on the disks
  std::vector<std::string> problems;  ///< of the pattern, on the disks
};

using Case = std::tuple<Revision, Half>;

// A mirror with a file system, a letter and a pattern is split.
class SplitMirror : public SplitMirrorTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartScenario(3); }
  Session& session() { return SessionOf(Asked()); }
  [[nodiscard]] static Revision Asked() { return std::get<0>(GetParam()); }
  [[nodiscard]] static const Half& half() { return std::get<1>(GetParam()); }

  const SplitOperation& Done() {
    return Once([this] { return SplitNow(); });
  }
  SplitOperation SplitNow() {
    SplitOperation seen;
    seen.mirror = Make(session(), Mirror());
    FormatVolume(session(), seen.mirror.id, u"HALVES");
    seen.kept_letter = GiveLetter(session(), seen.mirror.id).letter;
    if (lab().bed().guest() != nullptr) WritePattern(session(), seen.mirror.id, kSeed);
    if (target().Can("images")) seen.guid = GroupsOnDisk().groups.at(0).volumes.at(0).guid;
    seen.mirror = VolumeNow(session(), seen.mirror.id);
    SplitMirrorRequest request = Ask(session(), seen.mirror.id, half().disk);
    seen.disk = request.diskId;
    if (half().no_letter) {
      request.letter = *half().no_letter;
      request.letterLastKnownState = 0x123456789;
    } else {
      const DRIVE_LETTER_INFO free = FreeLetter(session());
      request.letter = seen.asked_letter = free.letter;
      request.letterLastKnownState = free.lastKnownState;
    }
    static_cast<WatchedDynamicOperation&>(seen) = Watch(session(), [&] { return Split(session(), request); });
    for (const VOLUME_INFO& volume : *seen.after.volumes) {
      if (volume.id != seen.mirror.id) seen.made = volume.id;
    }
    if (target().Can("images")) LookAtTheData(seen);
    return seen;
  }
  void LookAtTheData(SplitOperation& seen) {
    const GroupImages images = GroupImagesNow();
    const harness::DynamicGroup& group = images.layout.groups.at(0);
    for (const harness::DynamicVolume& volume : group.volumes) {
      const harness::DynamicExtent& extent = volume.plexes.at(0).extents.at(0);
      seen.labels.push_back(Need(harness::ReadFileSystem(group.FindDisk(extent.disk)->image,
                                                         extent.start.value_or(0), extent.length))
                                .label);
      if (lab().bed().guest() == nullptr) continue;
      const auto problems = PatternProblemsOnDisk(group, volume, kSeed);
      seen.problems.insert(seen.problems.end(), problems.begin(), problems.end());
    }
  }
};

// Two simple volumes of the mirror's length, one on each disk. The one on the other disk is the mirror's own
// record; nothing in the database says that the two belong together.
TEST_P(SplitMirror, MakesTwoSimpleVolumesOnDisk) {
  Checks("DMRP-1087", "DMRP-1093", "DMRP-1096", "DMRP-1098", "DMRP-1704", "DMRP-1705");
  const harness::DynamicLayout& found = GroupsAfter(Done());
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  ASSERT_THAT(found.groups[0].volumes, SizeIs(2));
  std::vector<std::string> disks;
  for (const harness::DynamicVolume& volume : found.groups[0].volumes) {
    EXPECT_EQ(volume.type, harness::DynamicVolumeType::kSimple) << volume.name;
    EXPECT_EQ(volume.size, static_cast<std::uint64_t>(Mirror().length)) << volume.name;
    ASSERT_THAT(volume.plexes, SizeIs(1));
    ASSERT_THAT(volume.plexes[0].extents, SizeIs(1));
    disks.push_back(volume.plexes[0].extents[0].disk);
    EXPECT_EQ(volume.guid == Done().guid, disks.back() == (half().disk == 0 ? "Disk2" : "Disk1"))
        << volume.name << " on " << disks.back();
  }
  EXPECT_THAT(disks, UnorderedElementsAre("Disk1", "Disk2"));
  EXPECT_THAT(BrokenInvariants({0, 1, 2}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// Both volumes hold what the mirror held, its file system and every octet of the pattern, at their places.
TEST_P(SplitMirror, LeavesTheDataInBoth) {
  Checks("DMRP-1093", "DMRP-1096");
  NeedsCapability("images");
  EXPECT_THAT(Done().labels, ::testing::ElementsAre("HALVES", "HALVES"));
  EXPECT_THAT(Done().problems, IsEmpty());
}

// What is written to one of them later does not come to the other.
TEST_P(SplitMirror, MakesThemIndependent) {
  Checks("DMRP-1096", "DMRP-1093");
  GuestOrSkip();
  EXPECT_THAT(PatternProblems(Done().made, kSeed), IsEmpty());
  WritePattern(session(), Done().made, kSeed + 1);
  EXPECT_THAT(PatternProblems(Done().mirror.id, kSeed), IsEmpty());
  WritePattern(session(), Done().mirror.id, kSeed + 2);
  EXPECT_THAT(PatternProblems(Done().made, kSeed + 1), IsEmpty());
  WritePattern(session(), Done().mirror.id, kSeed);
  WritePattern(session(), Done().made, kSeed);
}

TEST_P(SplitMirror, FillsTheTaskInfo) {
  Checks("DMRP-1099", "DMRP-1100", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Done().tinfo);
}

TEST_P(SplitMirror, SendsTheCompletionNotification) {
  Checks("DMRP-1101", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(session(), Done().tinfo, Done().marks.at(Asked()));
}

// The mirror's id and letter stay with the half that was not named; the other one has an id of its own, and
// the letter asked for, or none. State numbers mean nothing without a letter.
TEST_P(SplitMirror, KeepsIdAndLetterOfTheMirror) {
  Checks("DMRP-1085", "DMRP-1706", "DMRP-1097", "DMRP-1086", "DMRP-1707", "DMRP-1090");
  ASSERT_NE(Done().made, 0);
  EXPECT_EQ(Done().before.FindVolume(Done().made), nullptr);
  EXPECT_EQ(Done().before.FindDisk(Done().made), nullptr);
  EXPECT_EQ(Done().before.FindRegion(Done().made), nullptr);
  EXPECT_EQ(LettersOf(session(), Done().mirror.id), std::string(1, static_cast<char>(Done().kept_letter)));
  const std::string asked(Done().asked_letter == 0 ? 0 : 1, static_cast<char>(Done().asked_letter));
  EXPECT_EQ(LettersOf(session(), Done().made), asked);
}

// The old object is modified, a new one created; both are simple now.
TEST_P(SplitMirror, ModifiesTheVolumeAndCreatesTheOther) {
  Checks("DMRP-1102", "DMRP-1103", "DMRP-0457", "DMRP-0529");
  for (const auto& [revision, told] : Done().notified) {
    SCOPED_TRACE(harness::ToString(revision));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, Done().mirror.id)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, Done().made)));
  }
  for (const LdmObjectId id : {Done().mirror.id, Done().made}) {
    ASSERT_NE(Done().after.FindVolume(id), nullptr);
    const VOLUME_INFO& volume = *Done().after.FindVolume(id);
    EXPECT_EQ(volume.layout, VOLUMELAYOUT_SIMPLE);
    EXPECT_EQ(volume.memberCount, 1U);
    EXPECT_EQ(volume.length, Mirror().length);
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(volume.type, VOLUMETYPE_VM);
  }
  EXPECT_GT(Done().after.FindVolume(Done().mirror.id)->lastKnownState, Done().mirror.lastKnownState);
}

// The region on the disk named goes over to the new volume: the same object, modified.
TEST_P(SplitMirror, ModifiesTheRegion) {
  Checks("DMRP-1104", "DMRP-0528");
  std::size_t moved = 0;
  for (const REGION_INFO_EX& region : Done().before.RegionsOfVolume(Done().mirror.id)) {
    const REGION_INFO_EX* now = Done().after.FindRegion(region.id);
    ASSERT_NE(now, nullptr) << ToText(region);
    EXPECT_EQ(now->start, region.start);
    EXPECT_EQ(now->length, region.length);
    if (region.diskId != Done().disk) {
      EXPECT_EQ(now->volId, Done().mirror.id);
      continue;
    }
    ++moved;
    EXPECT_EQ(now->volId, Done().made);
    EXPECT_GT(now->lastKnownState, region.lastKnownState);
    for (const auto& [revision, told] : Done().notified) {
      EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, region.id)));
    }
  }
  EXPECT_EQ(moved, 1U);
}

// The letter is told to be in use by the new volume, and so is the file system that it leads to.
TEST_P(SplitMirror, ModifiesTheLetterAndCreatesTheFileSystem) {
  Checks("DMRP-1105", "DMRP-1106", "DMRP-1097", "DMRP-0532");
  const FILE_SYSTEM_INFO* file_system = Done().after.FileSystemOf(Done().made);
  ASSERT_NE(file_system, nullptr);
  EXPECT_EQ(Done().before.FindFileSystem(file_system->id), nullptr);
  EXPECT_EQ(file_system->fsType, FSTYPE_FAT);
  EXPECT_EQ(LabelOf(*file_system), "HALVES");
  EXPECT_EQ(Done().after.FindVolume(Done().made)->fsId, file_system->id);
  for (const auto& [revision, told] : Done().notified) {
    SCOPED_TRACE(harness::ToString(revision));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_CREATED, file_system->id)));
    if (Done().asked_letter == 0) continue;
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED,
                                        harness::LetterId(Done().asked_letter))));
  }
  if (Done().asked_letter == 0) return;
  const DRIVE_LETTER_INFO* letter = Done().after.FindLetter(Done().asked_letter);
  ASSERT_NE(letter, nullptr);
  EXPECT_TRUE(letter->isUsed);
  EXPECT_EQ(letter->storageId, Done().made);
  EXPECT_GT(letter->lastKnownState, Done().before.FindLetter(Done().asked_letter)->lastKnownState);
}

INSTANTIATE_TEST_SUITE_P(Halves, SplitMirror,
                         ::testing::ValuesIn(Dealt<Half>({Half{"SecondWithALetter", 1, std::nullopt},
                                                          Half{"FirstWithANull", 0, u'\0'},
                                                          Half{"SecondWithASpace", 1, u' '}})),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

// While a program has a file of the mirror open.
class SplitMirrorInUse : public SplitMirrorTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartDynamic(2); }
  Session& session() { return SessionOf(GetParam()); }
};

// The call fails with LDM_E_VOLUME_IN_USE, whatever else stands in tinfo.error; with that code in it the
// mirror is split under its user, and the file is in both halves.
TEST_P(SplitMirrorInUse, AsksForTheForcingCode) {
  Checks("DMRP-1095", "DMRP-1087", "DMRP-1704");
  VOLUME_INFO mirror = Make(session(), Mirror());
  FormatVolume(session(), mirror.id, u"INUSE");
  const std::string device = DeviceOf(mirror.id);
  const harness::HeldFile held = HoldFile(mirror.id, "/held", "precious");
  ASSERT_THAT(session().RefreshFileSys(), Succeeds());
  mirror = VolumeNow(session(), mirror.id);
  const Observation before = ObserveAll(session(), false);
  for (const HRESULT in_value : {HRESULT{0}, LDM_E_OBJECT_STALED}) {
    SplitMirrorRequest request = Ask(session(), mirror.id, 1);
    request.tinfo.error = in_value;
    const auto refused = Split(session(), request);
    EXPECT_THAT(refused, FailsWith(LDM_E_VOLUME_IN_USE));
  }
  EXPECT_EQ(Need(session().View()).FindVolume(mirror.id)->layout, VOLUMELAYOUT_MIRROR);
  EXPECT_EQ(VolumesNow(session()), *before.view.volumes);
  ASSERT_THAT(GroupsOnDisk().groups.at(0).volumes, SizeIs(1));

  Checks("DMRP-1094", "DMRP-1096");
  SplitMirrorRequest request = Ask(session(), mirror.id, 1);
  request.tinfo.error = LDM_E_VOLUME_IN_USE;
  const auto reply = Split(session(), request);
  ASSERT_THAT(reply, Succeeds());
  ExpectCompleted(reply->tinfo);
  harness::AgentClient& agent = GuestOrSkip().agent();
  EXPECT_EQ(Need(agent.ReadFile("/held/file")), "precious\n");
  for (const VOLUME_INFO& volume : VolumesNow(session())) {
    EXPECT_EQ(volume.layout, VOLUMELAYOUT_SIMPLE);
    if (volume.id == mirror.id) continue;
    Need(agent.Shell("mkdir -p /half && mount -t vfat -o ro " + DeviceOf(volume.id) + " /half"));
    EXPECT_EQ(Need(agent.ReadFile("/half/file")), "precious\n");
    Need(agent.Shell("umount /half"));
  }
  EXPECT_THAT(GroupsOnDisk().groups.at(0).volumes, SizeIs(2));
}

INSTANTIATE_TEST_SUITE_P(Both, SplitMirrorInUse, kBothRevisions, RevisionName());

// What the refused requests are spoilt with.
struct Scene {
  VOLUME_INFO mirror;
  VOLUME_INFO simple;   ///< a simple volume on disk 0, with a letter
  char16_t letter = 0;  ///< that letter
  LdmObjectId mirrored_disk = 0;
};
struct Wrong {
  const char* name;
  const char* id;
  std::function<void(SplitMirrorRequest& request, const StorageView& view, const Scene& scene)> spoil;
};

class SplitMirrorRefuses : public SplitMirrorTest,
                           public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(SplitMirrorRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1092", "DMRP-1087", "DMRP-1704");
  StartSharedDynamic(3, "split-mirror-refusals");
  Session& session = SessionOf(revision);
  const Scene& scene = Once([&] {
    Scene made;
    made.mirror = Make(session, Mirror());
    made.simple = Make(session, ShapesOfEachLayout().front());
    made.letter = GiveLetter(session, made.simple.id).letter;
    return made;
  });
  const Observation before = ObserveAll(session);
  SplitMirrorRequest request = Ask(session, scene.mirror.id, 1);
  const DRIVE_LETTER_INFO free = FreeLetter(session);
  request.letter = free.letter;
  request.letterLastKnownState = free.lastKnownState;
  wrong.spoil(request, before.view, scene);
  EXPECT_THAT(Split(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

using R = SplitMirrorRequest;
using V = StorageView;

INSTANTIATE_TEST_SUITE_P(
    Both, SplitMirrorRefuses,
    ::testing::Combine(kBothRevisions,
                       ::testing::Values(
                           Wrong{"VolumeUnknown", "DMRP-1088",
                                 [](R& r, const V&, const Scene&) {
                                   r.volumeId = std::numeric_limits<LdmObjectId>::max();
                                 }},
                           Wrong{"VolumeIsADisk", "DMRP-1088",
                                 [](R& r, const V&, const Scene&) { r.volumeId = r.diskId; }},
                           Wrong{"VolumeIsARegion", "DMRP-1088",
                                 [](R& r, const V& view, const Scene& scene) {
                                   r.volumeId = view.RegionsOfVolume(scene.mirror.id).front().id;
                                 }},
                           Wrong{"VolumeStateOneBelow", "DMRP-1088",
                                 [](R& r, const V&, const Scene&) { --r.volumeLastKnownState; }},
                           Wrong{"VolumeStateOneAbove", "DMRP-1088",
                                 [](R& r, const V&, const Scene&) { ++r.volumeLastKnownState; }},
                           Wrong{"VolumeIsNoMirror", "DMRP-1093",
                                 [](R& r, const V& view, const Scene& scene) {
                                   r.volumeId = scene.simple.id;
                                   r.volumeLastKnownState = view.FindVolume(scene.simple.id)->lastKnownState;
                                   r.diskId = view.RegionsOfVolume(scene.simple.id).front().diskId;
                                   r.diskLastKnownState = view.FindDisk(r.diskId)->lastKnownState;
                                 }},
                           Wrong{"DiskUnknown", "DMRP-1089",
                                 [](R& r, const V&,
                                    const Scene&) { r.diskId = std::numeric_limits<LdmObjectId>::max(); }},
                           Wrong{"DiskIsTheVolume", "DMRP-1089",
                                 [](R& r, const V&, const Scene&) { r.diskId = r.volumeId; }},
                           Wrong{"DiskStateOneBelow", "DMRP-1089",
                                 [](R& r, const V&, const Scene&) { --r.diskLastKnownState; }},
                           Wrong{"DiskStateOneAbove", "DMRP-1089",
                                 [](R& r, const V&, const Scene&) { ++r.diskLastKnownState; }},
                           Wrong{"DiskIsNoPartOfTheMirror", "DMRP-1093",
                                 [](R& r, const V& view, const Scene& scene) {
                                   for (const DISK_INFO_EX& disk : view.disks) {
                                     const auto members = view.RegionsOfVolume(scene.mirror.id);
                                     if (std::ranges::find(members, disk.id, &REGION_INFO_EX::diskId) !=
                                         members.end())
                                       continue;
                                     r.diskId = disk.id;
                                     r.diskLastKnownState = disk.lastKnownState;
                                   }
                                 }},
                           Wrong{"LetterIsADigit", "DMRP-1090",
                                 [](R& r, const V&, const Scene&) { r.letter = u'7'; }},
                           Wrong{"LetterIsNotOfTheAlphabet", "DMRP-1090",
                                 [](R& r, const V&, const Scene&) { r.letter = u'\u00C9'; }},
                           Wrong{"LetterStateOneBelow", "DMRP-1090",
                                 [](R& r, const V&, const Scene&) { --r.letterLastKnownState; }},
                           Wrong{"LetterStateOneAbove", "DMRP-1090",
                                 [](R& r, const V&, const Scene&) { ++r.letterLastKnownState; }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

// A letter that another volume has cannot be assigned: it stays where it is.
class SplitMirrorWithALetterInUse : public SplitMirrorTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(SplitMirrorWithALetterInUse, LeavesTheLetterToItsVolume) {
  Checks("DMRP-1097", "DMRP-1105");
  StartDynamic(2);
  Session& session = SessionOf(GetParam());
  const VOLUME_INFO mirror = Make(session, Mirror());
  const VOLUME_INFO simple = Make(session, ShapesOfEachLayout().front());
  const DRIVE_LETTER_INFO taken = GiveLetter(session, simple.id);
  SplitMirrorRequest request = Ask(session, mirror.id, 1);
  request.letter = taken.letter;
  request.letterLastKnownState = taken.lastKnownState;
  EXPECT_THAT(Split(session, request), Refused());
  EXPECT_EQ(LettersOf(session, simple.id), std::string(1, static_cast<char>(taken.letter)));
}

INSTANTIATE_TEST_SUITE_P(Both, SplitMirrorWithALetterInUse, kBothRevisions, RevisionName());

// A mirror whose second disk is away. A target may split it, or refuse: what it held is there either way, in
// the volume with the half that is left, and a refusal leaves the mirror as it was.
class SplitDegradedMirror : public SplitMirrorTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(SplitDegradedMirror, KeepsWhatTheHalfThatIsLeftHolds) {
  Checks("DMRP-1093", "DMRP-1096", "DMRP-0041");
  NeedsCapability("attach");
  StartDynamic(3);
  Session& session = SessionOf(GetParam());
  const LdmObjectId mirror = Make(session, Mirror()).id;
  WritePattern(session, mirror, kSeed);
  PullDisk(session, 1, mirror, VOLUME_STATUS_FAILED_REDUNDANCY);
  const LdmObjectId left = lab().DiskId(0);
  LdmObjectId away = 0;
  for (const REGION_INFO_EX& region : Need(session.View()).RegionsOfVolume(mirror)) {
    if (region.diskId != left) away = region.diskId;
  }
  ASSERT_NE(away, 0) << "no missing disk holds the other half";
  for (const LdmObjectId disk : {away, left}) {
    SCOPED_TRACE(disk == away ? "the half that is away" : "the half that is left");
    const Observation before = ObserveAll(session);
    const auto reply = Split(session, SplitRequest(session, mirror, disk));
    if (!reply.succeeded()) {
      EXPECT_THAT(ObserveAll(session), Unchanged(before));
      EXPECT_EQ(VolumeNow(session, mirror).status, VOLUME_STATUS_FAILED_REDUNDANCY);
      EXPECT_THAT(PatternProblems(mirror, kSeed), IsEmpty());
      continue;
    }
    const StorageView view = Need(session.View());
    for (const VOLUME_INFO& volume : VolumesNow(session)) {
      EXPECT_EQ(volume.layout, VOLUMELAYOUT_SIMPLE);
      const std::vector<REGION_INFO_EX> members = view.RegionsOfVolume(volume.id);
      ASSERT_THAT(members, SizeIs(1));
      const bool whole = members.front().diskId == left;
      EXPECT_EQ(volume.status, whole ? VOLUME_STATUS_HEALTHY : VOLUME_STATUS_FAILED) << ToText(volume);
      if (!whole) continue;
      EXPECT_THAT(PatternProblems(volume.id, kSeed), IsEmpty());
    }
    break;  // there is no mirror any more
  }
}

INSTANTIATE_TEST_SUITE_P(One, SplitDegradedMirror, ::testing::Values(Revision::kIVolumeClient3),
                         RevisionName());

}  // namespace
}  // namespace dmrp::suites
