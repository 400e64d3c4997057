// AddAccessPath and DeleteAccessPath of both revisions: each check and each reason of 2.2.1 by itself.
#include "harness/guest/guest.hpp"
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/mounted_folders.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <functional>
#include <limits>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using namespace std::string_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Codes = std::vector<HRESULT>;

/// A path that cannot be mounted at; the host's letter stands for '?'.
struct BadPath {
  const char* name;
  const char* id;
  std::u16string path;  ///< with its null
  Codes add;            ///< what AddAccessPath may say of the protocol's own codes
  Codes remove;         ///< likewise DeleteAccessPath
};

std::u16string Z(std::u16string_view text) { return std::u16string(text) + u'\0'; }

const std::vector<BadPath>& BadPaths() {
  static const Codes kNames = {LDM_E_INVALID_NAME, LDM_E_INVALID_PATH};
  static const Codes kNoFolder = {LDM_E_INVALID_PATH, LDM_E_FILE_NOT_FOUND};
  static const Codes kNotThere = {LDM_E_INVALID_PATH, LDM_E_FILE_NOT_FOUND, LDM_E_NOT_DRIVE_PATH};
  static const Codes kNoName = {LDM_E_INVALID_NAME, LDM_E_INVALID_PATH, LDM_E_FILE_NOT_FOUND,
                                LDM_E_NOT_DRIVE_PATH};
  static const std::vector<BadPath> kPaths = {
      {"FolderThatDoesNotExist", "DMRP-0028", Z(u"?:\\missing"), {LDM_E_INVALID_PATH}, kNotThere},
      {"FolderInAMissingFolder", "DMRP-0028", Z(u"?:\\missing\\folder"), {LDM_E_INVALID_PATH}, kNotThere},
      {"FolderInAFile", "DMRP-0028", Z(u"?:\\plain\\folder"), kNoFolder, kNotThere},
      {"File", "DMRP-0028", Z(u"?:\\plain"), kNames, kNotThere},
      {"FolderWithAFile", "DMRP-0028", Z(u"?:\\full"), {LDM_E_DIR_NOT_EMPTY}, {LDM_E_NOT_DRIVE_PATH}},
      {"FolderWithAFolder", "DMRP-0028", Z(u"?:\\data"), {LDM_E_DIR_NOT_EMPTY}, {LDM_E_NOT_DRIVE_PATH}},
      {"Star", "DMRP-0028", Z(u"?:\\a*b"), kNames, kNoName},
      {"Less", "DMRP-0028", Z(u"?:\\<"), kNames, kNoName},
      {"Pipe", "DMRP-0028", Z(u"?:\\a|b"), kNames, kNoName},
      {"Control", "DMRP-0028", Z(u"?:\\a\x07"), kNames, kNoName},
      {"Empty", "DMRP-1502", Z(u""), kNames, kNoName},
      {"OnlyALetter",
       "DMRP-1502",
       Z(u"?:"),
       {LDM_E_INVALID_NAME, LDM_E_INVALID_PATH, LDM_E_MOUNTPOINT_BUSY, LDM_E_DIR_NOT_EMPTY},
       kNoName},
      {"Root",
       "DMRP-1502",
       Z(u"?:\\"),
       {LDM_E_INVALID_NAME, LDM_E_INVALID_PATH, LDM_E_MOUNTPOINT_BUSY, LDM_E_DIR_NOT_EMPTY},
       kNoName},
      {"UnknownVolume", "DMRP-1502", Z(u"\\\\?\\Volume{5eed0061-0000-4000-8000-000000000000}\\empty"), kNames,
       kNotThere},
      {"VeryLong", "DMRP-1502", Z(u"?:\\" + std::u16string(33000, u'x')), kNames, kNoName},
      {"ParentOfTheRoot", "DMRP-1502", Z(u"?:\\..\\empty"), kNames, kNoName},
      // 2.2.19 and the methods' parameter tables: the count includes a null at the end.
      {"WithoutANull", "DMRP-1501", u"?:\\empty", kNames, kNoName},
      {"WithANullInside", "DMRP-1501", u"?:\\emp\0ty\0"s, kNames, kNoName},
  };
  return kPaths;
}

class AccessPathRefuses : public MountedFolderTest,
                          public ::testing::WithParamInterface<std::tuple<Revision, BadPath>> {
 protected:
  void SetUp() override { StartWithFolders(); }
};

// Neither is anything mounted there nor anything unmounted; objects and disks stay as they are.
TEST_P(AccessPathRefuses, Because) {
  const auto& [revision, bad] = GetParam();
  Session& session = SessionOf(revision);
  const bool third = revision == Revision::kIVolumeClient3;
  std::u16string path = bad.path;
  if (path.starts_with(u'?')) path[0] = host_letter();
  const LdmObjectId volume = Storage(session, kLogicalTarget).id;
  const Observation before = ObserveAll(session);

  Checks(bad.id, "DMRP-1502", "DMRP-1508", third ? "DMRP-1854" : "DMRP-1506");
  EXPECT_THAT(Add(session, path, volume), RefusedAs(bad.add));

  Checks(std::string(bad.id) == "DMRP-1501" ? "DMRP-1509" : "DMRP-1510", "DMRP-1516",
         third ? "DMRP-1856" : "DMRP-1510");
  EXPECT_THAT(Delete(session, volume, path), RefusedAs(bad.remove));

  EXPECT_THAT(Paths(session)->paths, IsEmpty());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, AccessPathRefuses,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(BadPaths())),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

class AccessPathConditions : public MountedFolderTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartWithFolders(); }
  Session& session() { return SessionOf(GetParam()); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  LdmObjectId IdOf(const Place& place) { return Storage(session(), place).id; }
};

// What names no volume, partition or logical drive can neither be mounted nor unmounted, nor has it mount
// points.
TEST_P(AccessPathConditions, RefuseWhatIsNoVolume) {
  Checks("DMRP-1503", "DMRP-1505", "DMRP-1511", "DMRP-1513", "DMRP-1491", "DMRP-1493");
  ASSERT_THAT(Add(session(), OnHost(u"second"), IdOf(kLogicalTarget)), Succeeds());
  std::vector<LdmObjectId> ids = {0, -1, std::numeric_limits<LdmObjectId>::max(), lab().DiskId(0)};
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    if (harness::IsFree(region) || region.regionType == REGION_EXTENDED) ids.push_back(region.id);
  }
  const Observation before = ObserveAll(session());
  for (const LdmObjectId id : ids) {
    EXPECT_THAT(Add(session(), OnHost(u"empty"), id), Refused()) << "id " << id;
    EXPECT_THAT(Delete(session(), id, OnHost(u"second")), Refused()) << "id " << id;
    EXPECT_THAT(PathsOf(session(), id), Refused()) << "id " << id;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  EXPECT_THAT(Paths(session())->paths, SizeIs(1));
}

// A file system without reparse points has no mounted folders.
TEST_P(AccessPathConditions, RefuseAFatVolumeAsHost) {
  Checks("DMRP-0028", "DMRP-1502", "DMRP-1510");
  const std::u16string path = {fat_letter(), u':', u'\\', u'e', u'm', u'p', u't', u'y', u'\0'};
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Add(session(), path, IdOf(kLogicalTarget)), RefusedAs(Codes{LDM_E_INVALID_FS}));
  EXPECT_THAT(Delete(session(), IdOf(kLogicalTarget), path),
              RefusedAs(Codes{LDM_E_INVALID_FS, LDM_E_NOT_DRIVE_PATH}));
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// A letter that leads nowhere leads to no folder.
TEST_P(AccessPathConditions, RefuseALetterThatIsFree) {
  Checks("DMRP-0028", "DMRP-1502", "DMRP-1510");
  std::u16string path = OnHost(u"empty");
  path[0] = FreeLetter(session());
  EXPECT_THAT(Add(session(), path, IdOf(kLogicalTarget)),
              RefusedAs(Codes{LDM_E_INVALID_PATH, LDM_E_INVALID_NAME}));
  EXPECT_THAT(Delete(session(), IdOf(kLogicalTarget), path),
              RefusedAs(Codes{LDM_E_INVALID_PATH, LDM_E_INVALID_NAME, LDM_E_NOT_DRIVE_PATH}));
}

// A folder in which another volume is mounted already keeps that one.
TEST_P(AccessPathConditions, RefuseAFolderThatIsAMountPoint) {
  Checks("DMRP-0028", "DMRP-1502");
  ASSERT_THAT(Add(session(), OnHost(u"empty"), IdOf(kLogicalTarget)), Succeeds());
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Add(session(), OnHost(u"empty"), IdOf(kFatHost)), RefusedAs(Codes{LDM_E_INVALID_PATH}));
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  EXPECT_THAT(PathsOf(session(), IdOf(kFatHost))->paths, IsEmpty());
  EXPECT_THAT(PathsOf(session(), IdOf(kLogicalTarget))->paths, SizeIs(1));
}

// A folder behind a mount point lies on the mounted volume, which here has no file system.
TEST_P(AccessPathConditions, RefuseAFolderBehindAMountPoint) {
  Checks("DMRP-0028", "DMRP-1502");
  ASSERT_THAT(Add(session(), OnHost(u"empty"), IdOf(kLogicalTarget)), Succeeds());
  EXPECT_THAT(Add(session(), OnHost(u"empty\\folder"), IdOf(kFatHost)),
              RefusedAs(Codes{LDM_E_INVALID_PATH, LDM_E_INVALID_FS}));
}

// The mount point of one volume is not deleted in the name of another.
TEST_P(AccessPathConditions, RefuseToDeleteTheMountPointOfAnotherVolume) {
  Checks("DMRP-0028", "DMRP-1510", "DMRP-1514");
  ASSERT_THAT(Add(session(), OnHost(u"empty"), IdOf(kLogicalTarget)), Succeeds());
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Delete(session(), IdOf(kFatHost), OnHost(u"empty")), RefusedAs(Codes{LDM_E_NOT_DRIVE_PATH}));
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  EXPECT_THAT(PathsOf(session(), IdOf(kLogicalTarget))->paths, SizeIs(1));
}

// A folder in which nothing is mounted is no drive path.
TEST_P(AccessPathConditions, RefuseToDeleteAPlainFolder) {
  Checks("DMRP-0028", "DMRP-1510");
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Delete(session(), IdOf(kLogicalTarget), OnHost(u"second")),
              RefusedAs(Codes{LDM_E_NOT_DRIVE_PATH}));
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// A volume that cannot be written keeps its folders as they are.
TEST_P(AccessPathConditions, RefuseAHostThatCannotBeWritten) {
  Checks("DMRP-0028", "DMRP-1502", "DMRP-1510", "DMRP-1508", "DMRP-1516");
  ASSERT_THAT(Add(session(), OnHost(u"empty"), IdOf(kLogicalTarget)), Succeeds());
  harness::AgentClient& agent = lab().bed().guest()->agent();
  const std::string device = lab().bed().guest()->disks().at(0).guest_device;
  const auto set = [&](const char* mode) {
    Need(agent.Shell(fmt::format("blockdev --set{0} /dev/{1} && blockdev --set{0} /dev/{1}1", mode, device)));
    // So that the server does not tell of it some time later, beside another call.
    ASSERT_THAT(session().Refresh(), Succeeds());
  };
  set("ro");
  const auto added = Add(session(), OnHost(u"second"), IdOf(kFatHost));
  const auto deleted = Delete(session(), IdOf(kLogicalTarget), OnHost(u"empty"));
  set("rw");
  EXPECT_THAT(added, RefusedAs(Codes{LDM_E_WRITE_PROTECTED, LDM_E_RDONLY, LDM_E_NOACCESS}));
  EXPECT_THAT(deleted,
              RefusedAs(Codes{LDM_E_DELETE_NOACCESS, LDM_E_WRITE_PROTECTED, LDM_E_RDONLY, LDM_E_NOACCESS}));
  EXPECT_THAT(Paths(session())->paths, SizeIs(1));
}

// The count of characters before the path is not that of the array: the call is malformed and does nothing.
TEST_P(AccessPathConditions, RefuseACountThatDiffersFromTheArray) {
  Checks("DMRP-1501", "DMRP-1509");
  const std::u16string path = OnHost(u"empty");
  const Observation before = ObserveAll(session());
  for (const std::int32_t count :
       {std::int32_t{0}, std::int32_t{-1}, static_cast<std::int32_t>(path.size()) - 1,
        static_cast<std::int32_t>(path.size()) + 1}) {
    Bytes add;
    auto put = [](Bytes& stub, std::uint64_t value, int size) {
      for (int i = 0; i < size; ++i) stub.push_back(static_cast<std::byte>(value >> (8 * i)));
    };
    auto put_path = [&](Bytes& stub) {
      put(stub, static_cast<std::uint32_t>(count), 4);
      put(stub, path.size(), 4);
      for (const char16_t c : path) put(stub, c, 2);
    };
    put_path(add);
    while (add.size() % 8 != 0) add.push_back({});
    put(add, static_cast<std::uint64_t>(IdOf(kLogicalTarget)), 8);
    EXPECT_THAT(session().CallRaw(session().interface(), third() ? 77 : 80, std::move(add)),
                FaultsOrRefuses())
        << "count " << count;
    Bytes remove;
    put(remove, static_cast<std::uint64_t>(IdOf(kLogicalTarget)), 8);
    put_path(remove);
    EXPECT_THAT(session().CallRaw(session().interface(), third() ? 78 : 81, std::move(remove)),
                FaultsOrRefuses())
        << "count " << count;
  }
  EXPECT_THAT(Paths(session())->paths, IsEmpty());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(One, AccessPathConditions, ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient3)),
                         RevisionName());

// Removable media can leave with the folder: they have no mounted folders.
class AccessPathsOfRemovableMedia : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(AccessPathsOfRemovableMedia, AreRefused) {
  Checks("DMRP-0028", "DMRP-1502");
  NeedsCapability("media");
  StartSharedWith(
      "removable-host",
      {{kMbr512.Spec(), Table("label: dos\nlabel-id: 0x5eed0062\nstart=2048, size=16384, type=7\n")},
       {harness::ParseDiskSpec("size=84M,bus=usb,media=removable").value(),
        Volumes("label: dos\nlabel-id: 0x5eed0064\nstart=2048, size=16384, type=7\n",
                {{2048 * 512, 16384 * 512, "mkntfs -q -F -Q -s 512 -p 2048 -H 255 -S 63"}})}});
  Session& session = SessionOf(GetParam());
  LdmObjectId host = 0;
  for (const REGION_INFO_EX& region : RegionsNow(session, 1)) {
    if (region.fsId != 0) host = region.id;
  }
  ASSERT_NE(host, 0) << "the removable disk shows no volume";
  const LdmObjectId target = Storage(session, kPrimary).id;
  LettersAreOurs();
  const char16_t letter = FreeLetter(session);
  const REGION_INFO_EX region = *Need(session.View()).FindRegion(host);
  ASSERT_THAT(Assign(session, Prepare(session, letter, region, FORCE_OPERATION)), Succeeds());
  AddAccessPathRequest request;
  request.path = {letter, u':', u'\\', u'e', u'm', u'p', u't', u'y', u'\0'};
  request.targetId = target;
  EXPECT_THAT(session.Change<AddAccessPathReply>(session.interface(), "AddAccessPath", request),
              RefusedAs(Codes{LDM_E_MEDIA_DOESNT_SUPPORT_MOUNT_POINTS, LDM_E_INVALID_PATH}));
}

INSTANTIATE_TEST_SUITE_P(Both, AccessPathsOfRemovableMedia, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
