// CreatePartitionAssignAndFormatEx (3.2.4.4.1.5, 3.2.4.4.3.5): the mount point, in which it differs from
// CreatePartitionAssignAndFormat. What they share is tested with that method.
#include "harness/guest/guest.hpp"
#include "suites/support/mounted_folders.hpp"
#include "suites/support/partition_makers.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

constexpr std::uint64_t kHostStart = 1U << 20U;
constexpr std::uint64_t kHostLength = 32U << 20U;

class CreatePartitionAssignAndFormatEx : public MakerTest {
 protected:
  // Disk 0: an NTFS volume with the empty folders "folder" and "data/deep", a letter, and free space behind
  // it.
  void SetUp() override {
    StartWith({{harness::ParseDiskSpec("size=128M").value(),
                Volumes("label: dos\nlabel-id: 0x5eed0005\nstart=2048, size=65536, type=7\n",
                        {{kHostStart, kHostLength, "mkntfs -q -F -Q -p 2048 -H 255 -S 63 -L HOST"}})}});
    host_ = RegionAt(session(), kHostStart);
    Need(GuestOrSkip().agent().Shell("mkdir -p /prepare && ntfs-3g " + DeviceOf(host_) +
                                         " /prepare && mkdir -p /prepare/folder /prepare/data/deep && "
                                         "echo file > /prepare/plain && umount /prepare",
                                     std::chrono::seconds(30)));
    // By now the server may have heard that somebody wrote there.
    ASSERT_THAT(session().RefreshFileSys(), Succeeds());
    host_ = RegionAt(session(), kHostStart);
    const DRIVE_LETTER_INFO letter = FreeLetter();
    AssignDriveLetterRequest request;
    request.letter = letter.letter;
    request.letterLastKnownState = letter.lastKnownState;
    request.storageId = host_.id;
    request.storageLastKnownState = host_.lastKnownState;
    ASSERT_THAT(session().Change<AssignDriveLetterReply>(session().interface(), "AssignDriveLetter", request),
                Succeeds());
    letter_ = letter.letter;
  }

  // "Z:\folder" with its null.
  [[nodiscard]] std::u16string On(std::u16string_view folder) const {
    std::u16string path = {letter_, u':', u'\\'};
    path += folder;
    path.push_back(u'\0');
    return path;
  }
  MakeRequest WithFolder(std::u16string_view folder) {
    MakeRequest request = Right(MiB(16));
    request.AccessPath = On(folder);
    request.dwFlags = CREATE_ASSIGN_ACCESS_PATH;
    return request;
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

  REGION_INFO_EX host_;
  char16_t letter_ = 0;
};

// With the flag the new partition is mounted in the folder, and has its letter and its file system too; the
// mount point is there when the reply comes, while the formatting still runs.
TEST_P(CreatePartitionAssignAndFormatEx, MountsThePartitionInTheFolder) {
  Checks("DMRP-0654", "DMRP-0655", "DMRP-0649", "DMRP-0651", third() ? "DMRP-1567" : "DMRP-0649",
         third() ? "DMRP-1569" : "DMRP-0651", third() ? "DMRP-1566" : "DMRP-0653");
  for (const std::u16string_view folder :
       {std::u16string_view(u"folder"), std::u16string_view(u"data\\deep")}) {
    SCOPED_TRACE(ToUtf8(folder));
    const MakeRequest request = WithFolder(folder);
    const std::uint64_t mark = session().sink().Count();
    const auto reply = Make(request);
    ASSERT_THAT(reply, StartsTask());
    const LdmObjectId made = reply->tinfo.storageId;
    EXPECT_THAT(FoldersOf(made), ::testing::ElementsAre(std::u16string(folder)));
    EXPECT_EQ(LettersOf(made), std::string(1, static_cast<char>(request.letter)));
    ASSERT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
    SettledRegion(session(), made, mark);
    EXPECT_THAT(FoldersOf(made), ::testing::ElementsAre(std::u16string(folder))) << "after the formatting";
    EXPECT_EQ(OnDisk(MadeRegion(reply)).label, "MADE");
  }
  EXPECT_THAT(OnDisk(host_).problems, IsEmpty());
}

// A folder without a letter.
TEST_P(CreatePartitionAssignAndFormatEx, MountsAPartitionWithoutALetter) {
  Checks("DMRP-0654", "DMRP-0636");
  MakeRequest request = WithFolder(u"folder");
  request.letter = u'\0';
  request.letterLastKnownState = 0;
  const auto reply = Make(request);
  ASSERT_THAT(reply, StartsTask());
  EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
  EXPECT_THAT(FoldersOf(reply->tinfo.storageId), ::testing::ElementsAre(u"folder"));
  EXPECT_EQ(LettersOf(reply->tinfo.storageId), "");
}

// Without the flag AccessPath has no effect, whatever it says.
TEST_P(CreatePartitionAssignAndFormatEx, IgnoresThePathWithoutTheFlag) {
  Checks("DMRP-0651", third() ? "DMRP-1569" : "DMRP-0651", third() ? "DMRP-1566" : "DMRP-0653", "DMRP-0521");
  for (const std::u16string& path :
       {On(u"folder"), On(u"no such folder"), std::u16string(u"nonsense\0", 9)}) {
    MakeRequest request = WithFolder(u"folder");
    request.AccessPath = path;
    request.dwFlags = 0;
    const auto reply = Make(request);
    ASSERT_THAT(reply, StartsTask());
    EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
    EXPECT_THAT(FoldersOf(reply->tinfo.storageId), IsEmpty());
  }
}

// A path without its terminating null, an empty one and one that names no folder make the call fail; nothing
// is mounted or formatted.
TEST_P(CreatePartitionAssignAndFormatEx, FailsWithAPathThatNamesNoFolder) {
  Checks("DMRP-0649", third() ? "DMRP-1567" : "DMRP-0649", "DMRP-0655", third() ? "DMRP-1565" : "DMRP-0652");
  std::u16string unterminated = On(u"folder");
  unterminated.pop_back();
  for (const std::u16string& path :
       {unterminated, std::u16string(), std::u16string(1, u'\0'), On(u"no such folder"), On(u"plain"),
        std::u16string(u"folder\0", 7), std::u16string(u"1:\\folder\0", 10)}) {
    SCOPED_TRACE(ToUtf8(path));
    MakeRequest request = WithFolder(u"folder");
    request.AccessPath = path;
    const auto before = RegionsOfType(session(), REGION_PRIMARY);
    const auto reply = Make(request);
    EXPECT_THAT(reply, Refused());
    for (const REGION_INFO_EX& region : RegionsOfType(session(), REGION_PRIMARY)) {
      EXPECT_THAT(FoldersOf(region.id), IsEmpty());
      if (std::ranges::find(before, region.id, &REGION_INFO_EX::id) == before.end()) {
        EXPECT_EQ(FsTypeOf(OnDisk(region)), FSTYPE_UNKNOWN);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, CreatePartitionAssignAndFormatEx,
                         ::testing::Values(Maker{Revision::kIVolumeClient, true},
                                           Maker{Revision::kIVolumeClient3, true}),
                         MakerName());

}  // namespace
}  // namespace dmrp::suites
