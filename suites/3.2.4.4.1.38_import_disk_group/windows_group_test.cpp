// The disk group of a Windows Server 2003 R2 in the hands of the target: it is imported (3.2.4.4.1.38), its
// simple volume gets a mirror (3.2.4.4.1.32) that is split off again (3.2.4.4.1.34), and another machine
// merges the group with its own (3.2.4.4.1.40). At each step libldm and the harness's reader tell the same,
// and the volumes hold, octet for octet, what Windows wrote.
#include "harness/disks/dynamic_disks.hpp"
#include "harness/layout/volume_pattern.hpp"
#include "protocol/base/octets.hpp"
#include "suites/support/disk_group_merge.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kPiece = MiB(4);

// Windows' disks, unpacked for as long as the value lives.
class WindowsDisks {
 public:
  static Result<std::shared_ptr<WindowsDisks>> Unpack() {
    auto disks = std::make_shared<WindowsDisks>();
    std::string folder = (std::filesystem::temp_directory_path() / "dmrp-windows-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) return FailErrno("make a folder for disks", errno);
    disks->folder_ = folder;
    auto set = harness::UnpackWindowsDisks(folder);
    if (!set) return tl::unexpected(set.error());
    disks->set_ = *std::move(set);
    std::vector<harness::DynamicImage> images;
    for (const harness::DynamicDisk& disk : disks->set_.disks) images.push_back({disk.image.path});
    auto layout = harness::ReadDynamicLayout(harness::DynamicReader::kLibldm, images);
    if (!layout) return tl::unexpected(layout.error());
    disks->group_ = layout->groups.at(0);
    return disks;
  }
  WindowsDisks() = default;
  ~WindowsDisks() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  WindowsDisks(const WindowsDisks&) = delete;
  WindowsDisks& operator=(const WindowsDisks&) = delete;

  [[nodiscard]] const harness::DynamicDiskSet& set() const { return set_; }
  /// What libldm tells of them.
  [[nodiscard]] const harness::DynamicGroup& group() const { return group_; }

 private:
  std::filesystem::path folder_;
  harness::DynamicDiskSet set_;
  harness::DynamicGroup group_;
};

// Where `volume` of a group does not hold what `original` of another one holds; empty: nowhere.
Result<std::vector<std::string>> Differing(const harness::DynamicGroup& now,
                                           const harness::DynamicVolume& volume,
                                           const harness::DynamicGroup& before,
                                           const harness::DynamicVolume& original) {
  const auto one = harness::VolumeMembers::Open(before, original);
  if (!one) return tl::unexpected(one.error());
  const auto other = harness::VolumeMembers::Open(now, volume);
  if (!other) return tl::unexpected(other.error());
  std::vector<std::string> differing;
  for (std::uint64_t at = 0; at < original.size; at += kPiece) {
    const std::uint64_t length = std::min(kPiece, original.size - at);
    const auto was = one->Read(at, length);
    if (!was) return tl::unexpected(was.error());
    for (std::size_t leg = 0; leg < volume.plexes.size(); ++leg) {
      const auto is = volume.plexes.size() == 1 ? other->Read(at, length) : other->ReadLeg(leg, at, length);
      if (!is) return tl::unexpected(is.error());
      if (SameOctets(*was, *is)) continue;
      const auto place = std::ranges::mismatch(*was, *is).in1;
      differing.push_back(fmt::format("{} copy {} differs from octet {} on", volume.name, leg,
                                      at + static_cast<std::uint64_t>(place - was->begin())));
    }
  }
  return differing;
}

class WindowsGroup : public MergeTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override {
    if (!harness::WindowsDisksArchive()) {
      GTEST_SKIP() << "the disks of Windows are not here: DMRP_LDM_FIXTURES names their archive";
    }
    NeedsCapability("images");
    windows_ = Need(WindowsDisks::Unpack());
  }
  Session& session() { return SessionOf(GetParam()); }
  const harness::DynamicGroup& Before() { return windows_->group(); }
  [[nodiscard]] std::vector<BedDiskRequest> Requests() const {
    std::vector<BedDiskRequest> requests;
    for (const harness::DynamicDisk& disk : windows_->set().disks) {
      requests.push_back({disk.image.spec, harness::ContentsOf(disk.image.path)});
    }
    return requests;
  }
  // The one volume of Windows that lies on a single disk.
  const harness::DynamicVolume& Simple() {
    const auto found = std::ranges::find(Before().volumes, harness::DynamicVolumeType::kSimple,
                                         &harness::DynamicVolume::type);
    [&] { ASSERT_NE(found, Before().volumes.end()); }();
    return *found;
  }
  // The group with that GUID holds each of Windows' volumes, of the type that it has there now, or as it was.
  void ExpectVolumes(const GroupImages& now, const Guid& group, harness::DynamicVolumeType type_of_simple) {
    EXPECT_THAT(now.layout.problems, IsEmpty());
    const harness::DynamicGroup* found = now.layout.FindGroup(group);
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(found->at_rest.value_or(false));
    for (const harness::DynamicVolume& original : Before().volumes) {
      const auto volume = std::ranges::find(found->volumes, original.guid, &harness::DynamicVolume::guid);
      ASSERT_NE(volume, found->volumes.end()) << original.name;
      const bool simple = original.guid == Simple().guid;
      EXPECT_EQ(volume->type, simple ? type_of_simple : original.type) << original.name;
      EXPECT_EQ(volume->size, original.size) << original.name;
      EXPECT_EQ(volume->hint, original.hint) << original.name;
      EXPECT_THAT(Need(Differing(*found, *volume, Before(), original)), IsEmpty()) << original.name;
    }
  }
  // Every volume of Windows is healthy, and has its letter and its NTFS.
  void ExpectOnline() {
    const StorageView view = Need(session().View());
    for (const harness::DynamicVolume& original : Before().volumes) {
      SCOPED_TRACE(original.name);
      const auto letter = static_cast<char16_t>(LetterOf(original));
      const DRIVE_LETTER_INFO* used = view.FindLetter(letter);
      ASSERT_NE(used, nullptr);
      ASSERT_TRUE(used->isUsed);
      const VOLUME_INFO* volume = view.FindVolume(used->storageId);
      ASSERT_NE(volume, nullptr);
      EXPECT_EQ(volume->length, static_cast<std::int64_t>(original.size));
      EXPECT_EQ(volume->status, VOLUME_STATUS_HEALTHY);
      const FILE_SYSTEM_INFO* system = view.FileSystemOf(volume->id);
      ASSERT_NE(system, nullptr);
      EXPECT_EQ(system->fsType, FSTYPE_NTFS);
    }
  }
  LdmObjectId SimpleNow() {
    return Need(session().View()).FindLetter(static_cast<char16_t>(LetterOf(Simple())))->storageId;
  }

 private:
  std::shared_ptr<WindowsDisks> windows_;
};

TEST_P(WindowsGroup, IsImportedMirroredSplitAndMerged) {
  // A blank disk comes along: none of Windows has room for a copy.
  std::vector<BedDiskRequest> disks = Requests();
  const std::size_t blank = disks.size();
  disks.push_back({harness::ParseDiskSpec("size=64M").value(), {}});
  StartWith(std::move(disks));
  Checks("DMRP-1161", "DMRP-1162", "DMRP-1171", "DMRP-1172");
  ImportDiskGroupRequest import;
  import.dgid = DiskNow(session()).dgid.value_or(Bytes());
  std::uint64_t mark = session().sink().Count();
  const auto imported =
      session().Change<ImportDiskGroupReply>(session().interface(), "ImportDiskGroup", import);
  ASSERT_THAT(imported, Succeeds());
  ASSERT_EQ(AwaitTask(session(), imported->tinfo, mark).status, REQ_COMPLETED);
  ExpectOnline();
  ExpectVolumes(GroupImagesNow(), Before().guid, harness::DynamicVolumeType::kSimple);
  if (HasFailure()) return;

  Checks("DMRP-1054", "DMRP-1055", "DMRP-0041");
  const DISK_INFO_EX disk = DiskNow(session(), blank);
  ASSERT_THAT(InitializeDisk(session(), disk.id, disk.lastKnownState), Succeeds());
  const LdmObjectId simple = SimpleNow();
  mark = session().sink().Count();
  ASSERT_THAT(session().Change<AddMirrorReply>(session().interface(), "AddMirror",
                                               MirrorRequest(session(), simple, blank)),
              Succeeds());
  EXPECT_EQ(AwaitHealthy(session(), simple, mark).layout, VOLUMELAYOUT_MIRROR);
  ExpectVolumes(GroupImagesNow(), Before().guid, harness::DynamicVolumeType::kMirrored);
  if (HasFailure()) return;

  Checks("DMRP-1093", "DMRP-1096");
  ASSERT_THAT(session().Change<SplitMirrorReply>(session().interface(), "SplitMirror",
                                                 SplitRequest(session(), simple, lab().DiskId(blank))),
              Succeeds());
  ExpectOnline();
  const GroupImages split = GroupImagesNow();
  ExpectVolumes(split, Before().guid, harness::DynamicVolumeType::kSimple);
  const harness::DynamicGroup& group = split.layout.groups.at(0);
  EXPECT_THAT(group.volumes, SizeIs(Before().volumes.size() + 1));
  for (const harness::DynamicVolume& volume : group.volumes) {
    const auto is_new = [&](const harness::DynamicVolume& each) { return each.guid == volume.guid; };
    if (std::ranges::any_of(Before().volumes, is_new)) continue;
    EXPECT_EQ(volume.type, harness::DynamicVolumeType::kSimple);
    EXPECT_THAT(Need(Differing(group, volume, Before(), Simple())), IsEmpty()) << "the half split off";
  }
  EXPECT_THAT(BrokenInvariants({}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
  if (HasFailure()) return;

  Checks("DMRP-1208", "DMRP-1209", "DMRP-1217", "DMRP-1218");
  std::vector<BedDiskRequest> moved;
  for (const auto& copy : split.copies) {
    const auto size = std::filesystem::file_size(copy->path());
    moved.push_back(
        {harness::ParseDiskSpec(fmt::format("size={}", size)).value(), harness::ContentsOf(copy->path())});
  }
  StartWith(Disks(std::move(moved)));
  const VOLUME_INFO ours = MakeOurs(session());
  DiskMergeQueryRequest question;
  question.dgid = ForeignId(session());
  for (std::size_t i = kForeign; i < lab().bed().disks().size(); ++i) {
    question.diskList.push_back(lab().DiskId(i));
  }
  const auto told = Query(session(), question);
  ASSERT_THAT(told, Succeeds());
  ASSERT_THAT(Merge(session(), Confirm(question, told.value)), Succeeds());
  ExpectOnline();
  EXPECT_EQ(VolumeNow(session(), ours.id), ours) << "our own volume stays as it is";
  const GroupImages merged = GroupImagesNow();
  ASSERT_THAT(merged.layout.groups, SizeIs(1)) << "one group is left";
  EXPECT_NE(merged.layout.groups[0].guid, Before().guid) << "and that is ours";
  EXPECT_THAT(merged.layout.groups[0].volumes, SizeIs(Before().volumes.size() + 2));
  ExpectVolumes(merged, merged.layout.groups[0].guid, harness::DynamicVolumeType::kSimple);
  std::vector<std::size_t> members{kOwn};
  for (std::size_t i = kForeign; i < lab().bed().disks().size(); ++i) members.push_back(i);
  EXPECT_THAT(BrokenInvariants(members, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(One, WindowsGroup, ::testing::Values(Revision::kIVolumeClient3), RevisionName());

}  // namespace
}  // namespace dmrp::suites
