#include "suites/support/ft_sets.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/ft/machine_ft_record.hpp"
#include "harness/guest/guest.hpp"
#include "harness/layout/volume_pattern.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>

#include <fmt/format.h>

namespace dmrp::suites {

// What was made for a machine, as long as a test may want to compare with it.
struct FtTest::Made {
  explicit Made(std::filesystem::path where) : folder(std::move(where)) {}
  ~Made() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  std::filesystem::path folder;
  harness::FtDisks disks;
};

const harness::FtDisks& FtTest::made() const { return made_->disks; }

std::vector<BedDiskRequest> FtTest::MakeSets(const std::string& description,
                                             std::vector<BedDiskRequest> more) {
  std::string pattern = (std::filesystem::temp_directory_path() / "dmrp-ft-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    Need(Result<void>(Fail(ErrorKind::kSystem, "no folder for the disks of FT sets")));
  }
  auto made = std::make_shared<Made>(pattern);
  made->disks = Need(harness::MakeFtDisks(description, made->folder));
  made_ = made;
  std::vector<BedDiskRequest> requests;
  for (const harness::FtDisk& disk : made->disks.disks) {
    requests.push_back({disk.image.spec, harness::ContentsOf(disk.image.path)});
  }
  std::ranges::move(more, std::back_inserter(requests));
  return requests;
}

void FtTest::InstallRecord() {
  Need(harness::InstallFtRecord(lab().bed(), made().value));
  lab().ForgetClients();
  Need(lab().bed().Restart());
  lab().monitor().ServerRestarted();
  Need(lab().FindDisks());
}

void FtTest::StartSets(const std::string& description, std::vector<BedDiskRequest> more) {
  NeedsCapability("execute");
  StartWith(MakeSets(description, std::move(more)), {.system_disk = true});
  InstallRecord();
}

void FtTest::StartSharedSets(const std::string& description, std::vector<BedDiskRequest> more) {
  NeedsCapability("execute");
  std::shared_ptr<Lab> kept = Run::Current().Reuse(description);
  const bool fresh = kept == nullptr;
  if (fresh) {
    kept = Need(Lab::Start(Run::Current(), MakeSets(description, std::move(more)), {.system_disk = true}));
  }
  Run::Current().Keep(description, std::move(kept));
  StartSharedWith(description, {});
  if (fresh) {
    InstallRecord();
    lab().once = made_;
  }
  made_ = std::any_cast<std::shared_ptr<const Made>>(lab().once);
}

std::size_t FtTest::DiskNamed(std::string_view name) const {
  const auto found = std::ranges::find(made().disks, name, &harness::FtDisk::name);
  return static_cast<std::size_t>(found - made().disks.begin());
}

std::vector<VOLUME_INFO> FtTest::SetsNow(Session& session) {
  const auto reply = session.FTEnumVolumes();
  EXPECT_THAT(reply, Succeeds());
  return reply.value.ftVolumeList;
}

VOLUME_INFO FtTest::SetNow(Session& session) {
  const auto sets = SetsNow(session);
  return sets.empty() ? VOLUME_INFO{} : sets.front();
}

std::vector<REGION_INFO_EX> FtTest::PartitionsNow(Session& session, std::string_view disk) {
  std::vector<REGION_INFO_EX> partitions = RegionsNow(session, DiskNamed(disk));
  std::erase_if(partitions, [](const REGION_INFO_EX& region) { return harness::IsFree(region); });
  return partitions;
}

VOLUME_INFO FtTest::AwaitStatus(Session& session, VOLUMESTATUS status) {
  VOLUME_INFO now = SetNow(session);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (now.status != status && std::chrono::steady_clock::now() < deadline) {
    const std::uint64_t mark = session.sink().Count();
    now = SetNow(session);
    if (now.status == status) break;
    // The server may tell of the change before this looks: a short wait finds it at the next look.
    session.sink().WaitFor([&](const ReceivedObject& object) { return object.type == DMNOTIFY_VOLUME_INFO; },
                           std::chrono::seconds(2), mark);
    now = SetNow(session);
  }
  EXPECT_EQ(now.status, status);
  return now;
}

Outcome<FTDeleteVolumeReply> FtTest::Delete(Session& session, LdmObjectId volume, std::int64_t state,
                                            bool force) {
  FTDeleteVolumeRequest request;
  request.volumeId = volume;
  request.force = force;
  request.volumeLastKnownState = state;
  return session.Change<FTDeleteVolumeReply>(session.interface(), "FTDeleteVolume", request);
}

Outcome<FTBreakMirrorReply> FtTest::Break(Session& session, LdmObjectId volume, std::int64_t state,
                                          bool force) {
  FTBreakMirrorRequest request;
  request.volumeId = volume;
  request.volumeLastKnownState = state;
  request.bForce = force;
  return session.Change<FTBreakMirrorReply>(session.interface(), "FTBreakMirror", request);
}

Outcome<FTResyncMirrorReply> FtTest::Resync(Session& session, LdmObjectId volume, std::int64_t state) {
  FTResyncMirrorRequest request;
  request.volumeId = volume;
  request.volumeLastKnownState = state;
  return session.Change<FTResyncMirrorReply>(session.interface(), "FTResyncMirror", request);
}

Outcome<FTRegenerateParityStripeReply> FtTest::Regenerate(Session& session, LdmObjectId volume,
                                                          std::int64_t state) {
  FTRegenerateParityStripeRequest request;
  request.volumeId = volume;
  request.volumeLastKnownState = state;
  return session.Change<FTRegenerateParityStripeReply>(session.interface(), "FTRegenerateParityStripe",
                                                       request);
}

namespace {

template <typename Request>
Request Fill(const FtReplacementRequest& from) {
  Request request;
  request.volumeId = from.volumeId;
  request.volumeLastKnownState = from.volumeLastKnownState;
  request.oldMemberId = from.oldMemberId;
  request.oldMemberLastKnownState = from.oldMemberLastKnownState;
  request.newRegionId = from.newRegionId;
  request.newRegionLastKnownState = from.newRegionLastKnownState;
  request.flags = from.flags;
  return request;
}

}  // namespace

Outcome<FTReplaceMirrorPartitionReply> FtTest::ReplaceMirror(Session& session,
                                                             const FtReplacementRequest& request) {
  return session.Change<FTReplaceMirrorPartitionReply>(session.interface(), "FTReplaceMirrorPartition",
                                                       Fill<FTReplaceMirrorPartitionRequest>(request));
}

Outcome<FTReplaceParityStripePartitionReply> FtTest::ReplaceParity(Session& session,
                                                                   const FtReplacementRequest& request) {
  return session.Change<FTReplaceParityStripePartitionReply>(
      session.interface(), "FTReplaceParityStripePartition",
      Fill<FTReplaceParityStripePartitionRequest>(request));
}

FtReplacementRequest FtTest::RequestFor(Session& session, const REGION_INFO_EX& partition) {
  const VOLUME_INFO set = SetNow(session);
  return {.volumeId = set.id,
          .volumeLastKnownState = set.lastKnownState,
          .newRegionId = partition.id,
          .newRegionLastKnownState = partition.lastKnownState};
}

harness::FtRecord FtTest::RecordNow() {
  auto record = Need(harness::ReadFtRecord(lab().bed()));
  if (!record)
    Need(Result<void>(Fail(ErrorKind::kSystem, "the machine's registry has no record of FT sets")));
  EXPECT_THAT(record->problems, ::testing::IsEmpty());
  return *record;
}

std::map<std::uint32_t, std::filesystem::path> FtTest::ImagesNow(
    std::vector<std::shared_ptr<ImageCopy>>& copies) {
  std::map<std::uint32_t, std::filesystem::path> images;
  const auto snapshots = Need(lab().bed().SnapshotAll());
  const std::vector<BedDisk> all = lab().bed().disks();
  for (const auto& [id, path] : snapshots) {
    const auto found = std::ranges::find(all, id, &BedDisk::id);
    copies.push_back(std::make_shared<ImageCopy>(path, 512));
    const auto index = static_cast<std::size_t>(found - all.begin());
    if (index < made().disks.size()) images.emplace(made().disks[index].signature, path);
  }
  return images;
}

Bytes FtTest::DataMade(std::string_view type) {
  std::map<std::uint32_t, std::filesystem::path> images;
  for (const harness::FtDisk& disk : made().disks) images.emplace(disk.signature, disk.image.path);
  const auto record = Need(harness::FtRecord::Decode(made().value));
  const harness::FtRecordSet* set = record.Find(type);
  const auto view = harness::AsVolume(*set, images);
  return Need(harness::ReadThroughMembers(view.group, view.volume, 0, view.volume.size));
}

harness::FtVolumeView FtTest::ViewNow(std::string_view type,
                                      std::vector<std::shared_ptr<ImageCopy>>& copies) {
  const harness::FtRecord record = RecordNow();
  const harness::FtRecordSet* set = record.Find(type);
  if (set == nullptr) Need(Result<void>(Fail(ErrorKind::kSystem, "the record has no such set")));
  return harness::AsVolume(*set, ImagesNow(copies));
}

namespace {

Result<std::vector<std::string>> Redundancy(const harness::FtVolumeView& view) {
  auto problems = harness::CheckMirrorLegsEqual(view.group, view.volume);
  const bool complete = std::ranges::all_of(view.group.disks, [](const auto& disk) { return disk.present; });
  if (!problems || !complete) return problems;
  auto rows = harness::CheckParity(view.group, view.volume);
  if (rows) std::ranges::move(*rows, std::back_inserter(*problems));
  return rows ? problems : rows;
}

}  // namespace

std::vector<std::string> FtTest::RedundancyProblems(std::string_view type) {
  std::vector<std::shared_ptr<ImageCopy>> copies;
  return Need(Redundancy(ViewNow(type, copies)));
}

std::vector<std::string> FtTest::DataProblems(std::string_view type) {
  std::vector<std::shared_ptr<ImageCopy>> copies;
  const auto view = ViewNow(type, copies);
  std::vector<std::string> problems = Need(Redundancy(view));
  const Bytes now = Need(harness::ReadThroughMembers(view.group, view.volume, 0, view.volume.size));
  const Bytes then = DataMade(type);
  if (now != then) {
    const auto at = std::ranges::mismatch(now, then).in1 - now.begin();
    problems.push_back(fmt::format("octet {} of the set is not what it was", at));
  }
  return problems;
}

namespace {

// The set is the one device of the machine that stands on others and that none stands on.
constexpr std::string_view kMountSet =
    "set -e; for d in /sys/block/*; do if [ -n \"$(ls $d/slaves)\" ] && [ -z \"$(ls $d/holders)\" ]; then "
    "n=${d##*/}; fi; done; mkdir -p /tmp/held; mount -t vfat /dev/$n /tmp/held; ";

}  // namespace

void FtTest::WriteFile() {
  Need(lab().bed().guest()->agent().Shell(fmt::format(
      "{}dd if=/dev/urandom of=/tmp/held/written bs=64k count=32 2>/dev/null; umount /tmp/held", kMountSet)));
}

void FtTest::HoldFileOpen() {
  harness::AgentClient& agent = lab().bed().guest()->agent();
  Need(agent.Shell(std::string(kMountSet)));
  held_.emplace(Need(harness::HeldFile::Hold(agent, "/tmp/held/file", harness::HeldFile::Use::kReadWrite)));
}

void FtTest::LetGo() {
  if (!held_) return;
  held_.reset();
  Need(lab().bed().guest()->agent().Shell("umount -l /tmp/held || true"));
}

void FtTest::ExpectFailed(const TASK_INFO& tinfo, HRESULT result) {
  EXPECT_EQ(tinfo.status, REQ_FAILED);
  EXPECT_EQ(tinfo.error, result);
}

namespace {

// The description's list continues with `more` where there is any.
std::string Comma(std::string_view more) { return more.empty() ? "" : fmt::format(", {}", more); }

}  // namespace

std::string MirrorOf(std::string_view member_a, std::string_view member_b, std::string_view more_disks,
                     std::string_view of_disk_b) {
  return fmt::format(
      R"({{"disks": [{{"name": "a", "size": "40M"}}, {{"name": "b", "size": "48M"{}}}{}],
"sets": [{{"type": "mirror", "letter": "E", "filesystem": "fat", "label": "HELD",
"members": [{{"disk": "a", "size": "16M"{}}}, {{"disk": "b", "size": "16M"{}}}]}}]}})",
      Comma(of_disk_b), Comma(more_disks), Comma(member_a), Comma(member_b));
}

std::string ParityOf(std::string_view member_a, std::string_view member_c, std::string_view more_disks,
                     std::string_view of_disk_c) {
  return fmt::format(
      R"({{"disks": [{{"name": "a", "size": "40M"}}, {{"name": "b", "size": "48M"}}, {{"name": "c", "size": "56M"{}}}{}],
"sets": [{{"type": "parity", "letter": "E", "filesystem": "fat", "label": "HELD",
"members": [{{"disk": "a", "size": "8M"{}}}, {{"disk": "b", "size": "8M"}}, {{"disk": "c", "size": "8M"{}}}]}}]}})",
      Comma(of_disk_c), Comma(more_disks), Comma(member_a), Comma(member_c));
}

}  // namespace dmrp::suites
