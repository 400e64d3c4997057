// EnumAccessPath (3.2.4.4.1.61), EnumAccessPathForVolume (.62), AddAccessPath (.63), DeleteAccessPath (.64)
// and their twins of IVolumeClient3 (3.2.4.4.3.64 to .67), with COUNTED_STRING (2.2.19): volumes mounted in
// folders, on the wire and in the folder's reparse point.
#include "suites/support/mounted_folders.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class AccessPaths : public MountedFolderTest, public ::testing::WithParamInterface<LetterSetup> {
 protected:
  void SetUp() override { StartWithFolders(); }
  Session& session() { return SessionOf(GetParam().revision); }
  [[nodiscard]] bool third() const { return GetParam().revision == Revision::kIVolumeClient3; }
  /// The volume that gets mounted.
  LdmObjectId volume() { return Storage(session(), GetParam().place).id; }
  LdmObjectId host() { return Storage(session(), kNtfsHost).id; }
};

// The mount point is there when the reply comes: EnumAccessPath and EnumAccessPathForVolume list it with both
// volumes, and the folder leads to the volume's name.
TEST_P(AccessPaths, MountAVolumeInAFolder) {
  Checks("DMRP-1502", "DMRP-1506", "DMRP-1507", "DMRP-1508", "DMRP-1480", "DMRP-1483", "DMRP-1485",
         "DMRP-1486", "DMRP-1487", "DMRP-1488", third() ? "DMRP-1854" : "DMRP-1502",
         third() ? "DMRP-1849" : "DMRP-1480");
  Checks("DMRP-0120", "DMRP-0121", "DMRP-0122", "DMRP-0123", "DMRP-0124");
  ASSERT_THAT(Paths(session())->paths, IsEmpty());

  ASSERT_THAT(Add(session(), OnHost(u"empty"), volume()), Succeeds());

  const auto paths = Paths(session());
  ASSERT_THAT(paths, Succeeds());
  ASSERT_THAT(paths->paths, SizeIs(1));
  const COUNTED_STRING& path = paths->paths.front();
  EXPECT_EQ(path.sourceId, host());
  EXPECT_EQ(path.targetId, volume());
  ASSERT_TRUE(path.sstring);
  EXPECT_TRUE(path.sstring->ends_with(u'\0')) << "the path ends in a null";
  EXPECT_EQ(path.sstring->find(u'\0'), path.sstring->size() - 1) << "one null, at the end";
  EXPECT_EQ(FolderOf(path), u"empty");

  Checks("DMRP-1490", "DMRP-1494", "DMRP-1496", "DMRP-1497", "DMRP-1498", "DMRP-1499",
         third() ? "DMRP-1851" : "DMRP-1490", third() ? "DMRP-1853" : "DMRP-1494");
  const auto of_volume = PathsOf(session(), volume());
  ASSERT_THAT(of_volume, Succeeds());
  EXPECT_THAT(of_volume->paths, ElementsAre(path));
}

// What ntfs-3g's tools find in the folder is the mount point of exactly this volume, and nothing once it was
// deleted; the folder stays.
TEST_P(AccessPaths, AreReparsePointsOfTheFolder) {
  Checks("DMRP-1506", "DMRP-1507", "DMRP-0124");
  const std::string guid = VolumeGuid(session(), volume());
  ASSERT_EQ(ReparsePointOf(kNtfsHost, "data/old"), std::nullopt);
  ASSERT_THAT(Add(session(), OnHost(u"data\\old"), volume()), Succeeds());
  EXPECT_EQ(ToHex(ReparsePointOf(kNtfsHost, "data/old").value_or(Bytes())), ToHex(MountPointOf(guid)));

  Checks("DMRP-1514", "DMRP-1515", "DMRP-1516");
  ASSERT_THAT(Delete(session(), volume(), OnHost(u"data\\old")), Succeeds());
  EXPECT_EQ(ReparsePointOf(kNtfsHost, "data/old"), std::nullopt);
  EXPECT_THAT(Add(session(), OnHost(u"data\\old"), volume()), Succeeds()) << "the folder is still there";
}

// A mount point that was deleted is listed no more; others stay.
TEST_P(AccessPaths, AreDeletedOneByOne) {
  Checks("DMRP-1510", "DMRP-1514", "DMRP-1515", "DMRP-1516", "DMRP-1483", "DMRP-1494",
         third() ? "DMRP-1856" : "DMRP-1510");
  ASSERT_THAT(Add(session(), OnHost(u"empty"), volume()), Succeeds());
  ASSERT_THAT(Add(session(), OnHost(u"second"), volume()), Succeeds());
  ASSERT_THAT(PathsOf(session(), volume())->paths, SizeIs(2));

  ASSERT_THAT(Delete(session(), volume(), OnHost(u"empty")), Succeeds());

  const auto left = PathsOf(session(), volume());
  ASSERT_THAT(left, Succeeds());
  ASSERT_THAT(left->paths, SizeIs(1));
  EXPECT_EQ(FolderOf(left->paths.front()), u"second");
  ASSERT_THAT(Delete(session(), volume(), OnHost(u"second")), Succeeds());
  EXPECT_THAT(Paths(session())->paths, IsEmpty());
}

// The path that an enumeration tells is one that DeleteAccessPath takes.
TEST_P(AccessPaths, AreDeletedByThePathThatIsListed) {
  Checks("DMRP-0124", "DMRP-1514", "DMRP-1485");
  ASSERT_THAT(Add(session(), OnHost(u"empty"), volume()), Succeeds());
  const auto paths = Paths(session());
  ASSERT_THAT(paths->paths, SizeIs(1));
  ASSERT_THAT(Delete(session(), paths->paths.front().targetId, paths->paths.front().sstring.value_or(u"")),
              Succeeds());
  EXPECT_THAT(Paths(session())->paths, IsEmpty());
}

// A backslash at the end, another case and characters beyond ASCII name the same folders that NTFS has.
TEST_P(AccessPaths, FollowTheNamesOfFolders) {
  Checks("DMRP-1506", "DMRP-1514", "DMRP-0124", "DMRP-1501", "DMRP-1509");
  for (const auto& [added, deleted, listed] :
       {std::tuple(u"empty\\", u"empty", u"empty"), std::tuple(u"EMPTY", u"Empty\\", u"empty"),
        std::tuple(u"\u00dcber", u"\u00dcber", u"\u00dcber"),
        std::tuple(u"Data\\OLD\\", u"data\\old", u"data\\old")}) {
    ASSERT_THAT(Add(session(), OnHost(added), volume()), Succeeds());
    const auto paths = Paths(session());
    ASSERT_THAT(paths->paths, SizeIs(1));
    // As it was given, or as the directory has it.
    EXPECT_TRUE(FolderOf(paths->paths.front()) == listed ||
                FolderOf(paths->paths.front()) == FolderOf({.sourceId = 0, .targetId = 0, .sstring = added}))
        << paths.call.text;
    ASSERT_THAT(Delete(session(), volume(), OnHost(deleted)), Succeeds());
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, AccessPaths,
                         ::testing::Values(LetterSetup{Revision::kIVolumeClient, kLogicalTarget},
                                           LetterSetup{Revision::kIVolumeClient3, kLogicalTarget},
                                           LetterSetup{Revision::kIVolumeClient, kFatHost},
                                           LetterSetup{Revision::kIVolumeClient3, kNtfsLogical},
                                           LetterSetup{Revision::kIVolumeClient3, kGptTarget}),
                         LetterSetupName());

class AccessPathsOfMany : public MountedFolderTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartWithFolders(); }
  Session& session() { return SessionOf(GetParam()); }
  LdmObjectId IdOf(const Place& place) { return Storage(session(), place).id; }
  static std::vector<std::u16string> Folders(const std::vector<COUNTED_STRING>& paths) {
    std::vector<std::u16string> folders;
    for (const COUNTED_STRING& path : paths) folders.push_back(FolderOf(path));
    return folders;
  }
};

// Several volumes, several hosts: all mount points are listed, and each volume has its own only.
TEST_P(AccessPathsOfMany, DoNotMix) {
  Checks("DMRP-1483", "DMRP-1487", "DMRP-1494", "DMRP-1498", "DMRP-0121", "DMRP-0122", "DMRP-1853");
  const char16_t other = FreeLetter(session());
  Give(session(), other, kNtfsLogical);
  const std::u16string on_other = {other, u':', u'\\', u'e', u'm', u'p', u't', u'y', u'\0'};
  const LdmObjectId first = IdOf(kLogicalTarget);
  const LdmObjectId second = IdOf(kFatHost);
  ASSERT_THAT(Add(session(), OnHost(u"empty"), first), Succeeds());
  ASSERT_THAT(Add(session(), on_other, first), Succeeds());
  ASSERT_THAT(Add(session(), OnHost(u"second"), second), Succeeds());

  const auto all = Paths(session());
  ASSERT_THAT(all, Succeeds());
  EXPECT_THAT(Folders(all->paths), UnorderedElementsAre(u"empty", u"empty", u"second"));
  const auto of_first = PathsOf(session(), first);
  ASSERT_THAT(of_first, Succeeds());
  EXPECT_THAT(Folders(of_first->paths), UnorderedElementsAre(u"empty", u"empty"));
  EXPECT_THAT(of_first->paths, Each(::testing::Field(&COUNTED_STRING::targetId, first)));
  std::vector<LdmObjectId> sources;
  for (const COUNTED_STRING& path : of_first->paths) sources.push_back(path.sourceId);
  EXPECT_THAT(sources, UnorderedElementsAre(IdOf(kNtfsHost), IdOf(kNtfsLogical)));
  const auto of_second = PathsOf(session(), second);
  ASSERT_THAT(of_second, Succeeds());
  EXPECT_THAT(Folders(of_second->paths), ElementsAre(u"second"));
  EXPECT_THAT(PathsOf(session(), IdOf(kNtfsLogical))->paths, IsEmpty()) << "a host is not mounted anywhere";
}

// A mount point of one interface is one of the other: listed the same, and deleted by it.
TEST_P(AccessPathsOfMany, AreThoseOfBothInterfaces) {
  Checks("DMRP-1850", "DMRP-1852", "DMRP-1855", "DMRP-1857");
  Session& other = SessionOf(GetParam() == Revision::kIVolumeClient ? Revision::kIVolumeClient3
                                                                    : Revision::kIVolumeClient);
  const LdmObjectId volume = IdOf(kLogicalTarget);
  ASSERT_THAT(Add(session(), OnHost(u"empty"), volume), Succeeds());
  EXPECT_EQ(Paths(other)->paths, Paths(session())->paths);
  EXPECT_EQ(PathsOf(other, volume)->paths, PathsOf(session(), volume)->paths);
  ASSERT_THAT(Delete(other, volume, OnHost(u"empty")), Succeeds());
  EXPECT_THAT(Paths(session())->paths, IsEmpty());
}

// A host without a letter keeps its mount points; they are listed all the same.
TEST_P(AccessPathsOfMany, StayWhenTheHostLosesItsLetter) {
  Checks("DMRP-1483", "DMRP-0124");
  const LdmObjectId volume = IdOf(kLogicalTarget);
  ASSERT_THAT(Add(session(), OnHost(u"empty"), volume), Succeeds());
  Take(session(), host_letter(), kNtfsHost);
  const auto paths = Paths(session());
  ASSERT_THAT(paths, Succeeds());
  ASSERT_THAT(paths->paths, SizeIs(1));
  EXPECT_EQ(paths->paths.front().sourceId, IdOf(kNtfsHost));
  EXPECT_EQ(FolderOf(paths->paths.front()), u"empty");
  Give(session(), host_letter(), kNtfsHost);
}

// lCount means nothing on input.
TEST_P(AccessPathsOfMany, IgnoreTheCountThatComesIn) {
  Checks("DMRP-1487", "DMRP-1498", "DMRP-0521");
  const LdmObjectId volume = IdOf(kLogicalTarget);
  ASSERT_THAT(Add(session(), OnHost(u"empty"), volume), Succeeds());
  for (const std::int32_t count : {1, 1000, -1}) {
    const auto all = Paths(session(), count);
    ASSERT_THAT(all, Succeeds());
    EXPECT_THAT(all->paths, SizeIs(1)) << "count " << count;
    const auto own = PathsOf(session(), volume, count);
    ASSERT_THAT(own, Succeeds());
    EXPECT_THAT(own->paths, SizeIs(1)) << "count " << count;
  }
}

// Looking changes no object.
TEST_P(AccessPathsOfMany, ChangeNothingWhenListed) {
  Checks("DMRP-1489", "DMRP-1500");
  ASSERT_THAT(Add(session(), OnHost(u"empty"), IdOf(kLogicalTarget)), Succeeds());
  const Observation before = ObserveAll(session());
  ASSERT_THAT(Paths(session()), Succeeds());
  ASSERT_THAT(PathsOf(session(), IdOf(kLogicalTarget)), Succeeds());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, AccessPathsOfMany, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
