// CreateVolumeAssignAndFormatEx (3.2.4.4.1.28, 3.2.4.4.3.28): the mount point, in which it differs from
// CreateVolumeAssignAndFormat. What they share is tested with that method.
#include "harness/guest/guest.hpp"
#include "harness/layout/reparse_point_reader.hpp"
#include "suites/support/mounted_folders.hpp"
#include "suites/support/prepared_volumes.hpp"
#include "suites/support/volume_makers.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kHostStart = 1U << 20U;
constexpr std::uint64_t kHostLength = 32U << 20U;
const VolumeShape kShape{"Striped", VOLUMELAYOUT_STRIPE, {{1, MiB(8)}, {2, MiB(8)}}, MiB(16)};

class CreateVolumeAssignAndFormatEx : public VolumeMakerTest, public ::testing::WithParamInterface<Revision> {
 protected:
  // Disk 0: basic, an NTFS volume with the empty folders "folder" and "data/deep" and a letter; disks 1 and
  // 2: dynamic.
  void SetUp() override {
    const BedDiskRequest blank{harness::ParseDiskSpec("size=64M").value(), {}};
    StartWith({{harness::ParseDiskSpec("size=48M").value(),
                Volumes("label: dos\nlabel-id: 0x5eed0028\nstart=2048, size=65536, type=7\n",
                        {{kHostStart, kHostLength, "mkntfs -q -F -Q -p 2048 -H 255 -S 63 -L HOST"}})},
               blank,
               blank});
    const std::string device = "/dev/" + GuestOrSkip().disks().at(0).guest_device + "1";
    Need(GuestOrSkip().agent().Shell("mkdir -p /prepare && ntfs-3g " + device +
                                         " /prepare && mkdir -p /prepare/folder /prepare/data/deep && "
                                         "echo file > /prepare/plain && umount /prepare",
                                     std::chrono::seconds(30)));
    // By now the server may have heard that somebody wrote there.
    ASSERT_THAT(session().RefreshFileSys(), Succeeds());
    for (const std::size_t index : {1U, 2U}) {
      const DISK_INFO_EX disk = DiskNow(session(), index);
      ASSERT_THAT(InitializeDisk(session(), disk.id, disk.lastKnownState), Succeeds());
    }
    for (const REGION_INFO_EX& region : RegionsNow(session(), 0)) {
      if (region.regionType == REGION_PRIMARY) host_ = region;
    }
    const DRIVE_LETTER_INFO letter = FreeLetter(session());
    AssignDriveLetterRequest request;
    request.letter = letter_ = letter.letter;
    request.letterLastKnownState = letter.lastKnownState;
    request.storageId = host_.id;
    request.storageLastKnownState = host_.lastKnownState;
    ASSERT_THAT(session().Change<AssignDriveLetterReply>(session().interface(), "AssignDriveLetter", request),
                Succeeds());
  }
  Session& session() { return SessionOf(GetParam()); }
  [[nodiscard]] static bool third() { return GetParam() == Revision::kIVolumeClient3; }

  // "Z:\folder" with its null.
  [[nodiscard]] std::u16string On(std::u16string_view folder) const {
    std::u16string path = {letter_, u':', u'\\'};
    path += folder;
    path.push_back(u'\0');
    return path;
  }
  MakeVolumeRequest WithFolder(std::u16string_view folder) {
    MakeVolumeRequest request = Right(session(), kShape);
    request.AccessPath = On(folder);
    request.dwFlags = CREATE_ASSIGN_ACCESS_PATH;
    return request;
  }
  Outcome<MadeVolume> MakeEx(const MakeVolumeRequest& request) {
    return MakeWith({GetParam(), true}, request);
  }
  // The folders in which a volume is mounted.
  std::vector<std::u16string> FoldersOf(LdmObjectId volume) {
    const auto reply =
        session().Call<EnumAccessPathReply>(session().interface(), "EnumAccessPath", EnumAccessPathRequest{});
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    std::vector<std::u16string> folders;
    for (const COUNTED_STRING& path : reply->paths) {
      if (path.targetId == volume) folders.push_back(FolderOf(path));
    }
    return folders;
  }
  // The reparse point of a folder of the host; nothing when it has none.
  std::optional<Bytes> ReparsePointOf(const std::string& folder) {
    const ImageCopy copy(Need(lab().bed().Snapshot(lab().bed().disks().at(0).id)), 512);
    return Need(harness::ReadReparsePoint(copy.path(), kHostStart, kHostLength, folder));
  }

  REGION_INFO_EX host_;
  char16_t letter_ = 0;
};

// With the flag the new volume is mounted in the folder when the reply comes, has its letter too, and in the
// end its file system.
TEST_P(CreateVolumeAssignAndFormatEx, MountsTheVolumeInTheFolder) {
  Checks("DMRP-0991", "DMRP-0992", "DMRP-0984", "DMRP-0988", "DMRP-0990", third() ? "DMRP-1653" : "DMRP-0988",
         third() ? "DMRP-1649" : "DMRP-0990", third() ? "DMRP-1648" : "DMRP-0989");
  for (const std::u16string_view folder :
       {std::u16string_view(u"folder"), std::u16string_view(u"data\\deep")}) {
    SCOPED_TRACE(ToUtf8(folder));
    MakeVolumeRequest request = WithFolder(folder);
    // The second one without a letter.
    if (folder != u"folder") request.letter = u'\0';
    const std::uint64_t mark = session().sink().Count();
    const auto reply = MakeEx(request);
    ASSERT_THAT(reply, StartsTask());
    const LdmObjectId made = reply->tinfo.storageId;
    EXPECT_THAT(FoldersOf(made), ElementsAre(std::u16string(folder)));
    EXPECT_EQ(LettersOf(session(), made),
              request.letter == 0 ? "" : std::string(1, static_cast<char>(request.letter)));
    ASSERT_EQ(EndOf(session(), reply->tinfo, mark).status, REQ_COMPLETED);
    SettledVolume(session(), made, mark);
    EXPECT_THAT(FoldersOf(made), ElementsAre(std::u16string(folder))) << "after the formatting";
    EXPECT_EQ(LabelOf(*Need(session().View()).FileSystemOf(made)), "MADE");
    EXPECT_EQ(ReparsePointOf(folder == u"folder" ? "folder" : "data/deep"),
              MountPointOf(VolumeGuid(session(), made)));
  }
}

// Without the flag AccessPath has no effect, whatever it says.
TEST_P(CreateVolumeAssignAndFormatEx, IgnoresThePathWithoutTheFlag) {
  Checks("DMRP-0985", "DMRP-0988", "DMRP-0990", third() ? "DMRP-1651" : "DMRP-0985",
         third() ? "DMRP-1653" : "DMRP-0988", third() ? "DMRP-1649" : "DMRP-0990");
  for (const std::u16string& path :
       {On(u"folder"), On(u"no such folder"), std::u16string(u"nonsense\0", 9)}) {
    MakeVolumeRequest request = WithFolder(u"folder");
    request.AccessPath = path;
    request.dwFlags = 0;
    const std::uint64_t mark = session().sink().Count();
    const auto reply = MakeEx(request);
    ASSERT_THAT(reply, StartsTask());
    EXPECT_EQ(EndOf(session(), reply->tinfo, mark).status, REQ_COMPLETED);
    EXPECT_THAT(FoldersOf(reply->tinfo.storageId), IsEmpty());
  }
  EXPECT_EQ(ReparsePointOf("folder"), std::nullopt);
}

// A path without its terminating null, an empty one and one that names no folder make the call fail; nothing
// is mounted or formatted.
TEST_P(CreateVolumeAssignAndFormatEx, FailsWithAPathThatNamesNoFolder) {
  Checks("DMRP-0984", "DMRP-0991", "DMRP-0992", "DMRP-0989", third() ? "DMRP-1648" : "DMRP-0989");
  std::u16string unterminated = On(u"folder");
  unterminated.pop_back();
  for (const std::u16string& path :
       {unterminated, std::u16string(), std::u16string(1, u'\0'), On(u"no such folder"), On(u"plain"),
        std::u16string(u"folder\0", 7), std::u16string(u"1:\\folder\0", 10)}) {
    SCOPED_TRACE(ToUtf8(path));
    MakeVolumeRequest request = WithFolder(u"folder");
    request.AccessPath = path;
    EXPECT_THAT(MakeEx(request), Refused());
    const StorageView view = Need(session().View());
    for (const VOLUME_INFO& volume : *view.volumes) {
      EXPECT_THAT(FoldersOf(volume.id), IsEmpty());
      const FILE_SYSTEM_INFO* file_system = view.FileSystemOf(volume.id);
      EXPECT_TRUE(file_system == nullptr || file_system->fsType == FSTYPE_UNKNOWN) << ToText(volume);
    }
  }
  EXPECT_EQ(ReparsePointOf("folder"), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Both, CreateVolumeAssignAndFormatEx, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
