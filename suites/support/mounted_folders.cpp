#include "suites/support/mounted_folders.hpp"

#include "harness/guest/guest.hpp"
#include "harness/layout/reparse_point_reader.hpp"
#include "protocol/base/text.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <algorithm>
#include <any>
#include <cctype>

#include <fmt/format.h>

namespace dmrp::suites {

namespace {

constexpr std::uint64_t kHostStart = 2048;
constexpr std::uint64_t kFatStart = 20480;
constexpr std::uint64_t kNtfsLogicalStart = 61440;
constexpr std::uint64_t kVolumeSectors = 16384;
constexpr std::string_view kGptTable = R"(label: gpt
start=2048, size=16384, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
)";

std::string NtfsAt(std::uint64_t sector) {
  return fmt::format("mkntfs -q -F -Q -c 512 -s 512 -p {} -H 255 -S 63", sector);
}

// $1: the guest's disk.
constexpr std::string_view kMakeFolders = R"(
mkdir -p /tmp/volume
for part in 1 6; do
  mount -t ntfs-3g /dev/$1$part /tmp/volume
  (cd /tmp/volume && mkdir empty second Über data data/old full && echo text > full/file && echo text > plain)
  umount /tmp/volume
done
mount -t vfat /dev/${1}2 /tmp/volume
mkdir /tmp/volume/empty
umount /tmp/volume
sync
)";

struct HostLetters {
  char16_t host = 0;
  char16_t fat = 0;
};

}  // namespace

void MountedFolderTest::StartWithFolders() {
  NeedsCapability("execute");
  NeedsCapability("images");
  StartSharedWith(
      "mounted-folders",
      {{kBlank.Spec(), Volumes(FourVolumes(0x5eed0061, {7, 6, 7, 7}),
                               {{kHostStart * 512, kVolumeSectors * 512, NtfsAt(kHostStart)},
                                {kFatStart * 512, kVolumeSectors * 512, "mkfs.fat"},
                                {kNtfsLogicalStart * 512, kVolumeSectors * 512, NtfsAt(kNtfsLogicalStart)}})},
       {kGpt.Spec(), Table(std::string(kGptTable))}});
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) {
    GTEST_SKIP() << "needs a machine in which folders can be made";
  }
  // Not Once: that would credit other tests with the first one's calls.
  if (!lab().once.has_value()) {
    Need(
        guest->agent().Shell(fmt::format("set -e -- {}\n{}", guest->disks().at(0).guest_device, kMakeFolders),
                             std::chrono::seconds(30)));
    FreeAllLetters();
    Session& session = SessionOf(Revision::kIVolumeClient3);
    const HostLetters letters{FreeLetter(session, 0), FreeLetter(session, 1)};
    Give(session, letters.host, kNtfsHost);
    Give(session, letters.fat, kFatHost);
    lab().once = letters;
  }
  const auto letters = std::any_cast<HostLetters>(lab().once);
  host_letter_ = letters.host;
  fat_letter_ = letters.fat;
  KeepLetters({host_letter_, fat_letter_});
  LettersAreOurs();
}

void MountedFolderTest::TearDown() {
  if (host_letter_ != 0 && !HasFailure()) {
    Session& session = SessionOf(Revision::kIVolumeClient3);
    const auto left = Paths(session);
    [&] { ASSERT_THAT(left, Succeeds()); }();
    for (const COUNTED_STRING& path : left->paths) {
      const auto deleted = Delete(session, path.targetId, path.sstring.value_or(u""));
      [&] { ASSERT_THAT(deleted, Succeeds()); }();
    }
    if (changed_) lab().last_images.clear();
  }
  DriveLetterTest::TearDown();
}

std::u16string MountedFolderTest::OnHost(std::u16string_view folder) const {
  std::u16string path = {host_letter_, u':', u'\\'};
  path += folder;
  path += u'\0';
  return path;
}

Outcome<AddAccessPathReply> MountedFolderTest::Add(Session& session, std::u16string path,
                                                   LdmObjectId target) {
  AddAccessPathRequest request;
  request.path = std::move(path);
  request.targetId = target;
  return Noted(session.Change<AddAccessPathReply>(session.interface(), "AddAccessPath", request));
}

Outcome<DeleteAccessPathReply> MountedFolderTest::Delete(Session& session, LdmObjectId volume,
                                                         std::u16string path) {
  DeleteAccessPathRequest request;
  request.volumeId = volume;
  request.path = std::move(path);
  return Noted(session.Change<DeleteAccessPathReply>(session.interface(), "DeleteAccessPath", request));
}

Outcome<EnumAccessPathReply> MountedFolderTest::Paths(Session& session, std::int32_t count) {
  EnumAccessPathRequest request;
  request.lCount = count;
  return session.Call<EnumAccessPathReply>(session.interface(), "EnumAccessPath", request);
}

Outcome<EnumAccessPathForVolumeReply> MountedFolderTest::PathsOf(Session& session, LdmObjectId volume,
                                                                 std::int32_t count) {
  EnumAccessPathForVolumeRequest request;
  request.VolumeId = volume;
  request.lCount = count;
  return session.Call<EnumAccessPathForVolumeReply>(session.interface(), "EnumAccessPathForVolume", request);
}

std::optional<Bytes> MountedFolderTest::ReparsePointOf(const Place& host, std::string_view folder) {
  const REGION_INFO_EX region = Storage(SessionOf(Revision::kIVolumeClient3), host);
  const BedDisk disk = lab().bed().disks().at(host.disk);
  const ImageCopy copy(Need(lab().bed().Snapshot(disk.id)), disk.spec.logical_sector);
  return Need(harness::ReadReparsePoint(copy.path(), static_cast<std::uint64_t>(region.start),
                                        static_cast<std::uint64_t>(region.length), folder));
}

std::u16string FolderOf(const COUNTED_STRING& path) {
  std::u16string text = path.sstring.value_or(u"");
  if (text.ends_with(u'\0')) text.pop_back();
  if (text.size() >= 2 && text[1] == u':') {
    text.erase(0, 2);
  } else if (text.starts_with(u"\\\\?\\Volume{") || text.starts_with(u"\\??\\Volume{")) {
    text.erase(0, std::min(text.find(u'}'), text.size() - 1) + 1);
  }
  const std::size_t first = text.find_first_not_of(u'\\');
  const std::size_t last = text.find_last_not_of(u'\\');
  return first == std::u16string::npos ? std::u16string() : text.substr(first, last - first + 1);
}

Bytes MountPointOf(std::string_view guid) {
  const std::u16string target = ToUtf16(fmt::format("\\??\\Volume{{{}}}\\", guid)).value_or(std::u16string());
  Bytes bytes;
  auto put = [&](std::uint32_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
  };
  const auto length = static_cast<std::uint32_t>(2 * target.size());
  put(0xA0000003, 4);   // IO_REPARSE_TAG_MOUNT_POINT
  put(length + 12, 2);  // four counts and two nulls besides the name
  put(0, 2);            // reserved
  put(0, 2);            // offset of the substitute name
  put(length, 2);
  put(length + 2, 2);  // offset of the print name, which is empty
  put(0, 2);
  for (const char16_t c : target) put(c, 2);
  put(0, 4);
  return bytes;
}

std::string VolumeGuid(Session& session, LdmObjectId volume) {
  GetVolumeMountNameRequest request;
  request.volumeId = volume;
  const auto reply =
      session.Call<GetVolumeMountNameReply>(session.interface(), "GetVolumeMountName", request);
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  const std::u16string& name = reply->mountName;
  const std::size_t from = name.find(u'{');
  const std::size_t to = name.find(u'}');
  if (from == std::u16string::npos || to == std::u16string::npos || to < from) return {};
  std::string guid = ToUtf8(std::u16string_view(name).substr(from + 1, to - from - 1));
  std::ranges::transform(guid, guid.begin(), [](unsigned char c) { return std::tolower(c); });
  return guid;
}

}  // namespace dmrp::suites
