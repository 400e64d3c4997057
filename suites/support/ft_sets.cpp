#include "suites/support/ft_sets.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/ft/machine_ft_record.hpp"
#include "harness/guest/guest.hpp"
#include "harness/layout/volume_pattern.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <set>

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
  std::set<char> changed;  // the letters of sets that tests took
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

void FtTest::TearDown() {
  LetGo();
  ConformanceTest::TearDown();
  if (own_machine_) Run::Current().Reuse(key_).reset();
}

void FtTest::StartSets(const std::string& description, std::vector<BedDiskRequest> more) {
  StartUnder("a machine of one test", description, std::move(more));
  GiveMachineUp();
}

void FtTest::StartSharedSets(const std::string& description, std::vector<BedDiskRequest> more) {
  StartUnder(description, description, std::move(more));
}

namespace {

// What tests with one parameter, of whatever suite, have in common on machines of a description.
std::string KeyOf(const std::string& description, const std::string& scenario) {
  return description + scenario.substr(std::min(scenario.size(), scenario.find('/')));
}

}  // namespace

void FtTest::StartOwnSet(const std::string& description, char letter, std::vector<BedDiskRequest> more) {
  const std::string key = KeyOf(description, ScenarioKey());
  if (auto kept = Run::Current().Reuse(key)) {
    const auto made = std::any_cast<std::shared_ptr<Made>>(kept->once);
    if (!made->changed.contains(letter)) Run::Current().Keep(key, std::move(kept));
  }
  StartUnder(key, description, std::move(more));
  made_->changed.insert(letter);
  // What tests before saw of the disks will be no longer true.
  lab().last_images.clear();
  Use(letter);
}

void FtTest::StartWithSet(const std::string& description, char letter, std::vector<BedDiskRequest> more) {
  StartUnder(KeyOf(description, ScenarioKey()), description, std::move(more));
  Use(letter);
}

void FtTest::StartUnder(const std::string& key, const std::string& description,
                        std::vector<BedDiskRequest> more) {
  NeedsCapability("execute");
  key_ = key;
  std::shared_ptr<Lab> kept = Run::Current().Reuse(key);
  const bool fresh = kept == nullptr;
  if (fresh) {
    kept = Need(Lab::Start(Run::Current(), MakeSets(description, std::move(more)), {.system_disk = true}));
  }
  Run::Current().Keep(key, std::move(kept));
  StartSharedWith(key, {});
  if (fresh) {
    InstallRecord();
    lab().once = made_;
  }
  made_ = std::any_cast<std::shared_ptr<Made>>(lab().once);
}

void FtTest::Use(char letter) {
  const auto found = std::ranges::find(made().sets, letter, &harness::FtMadeSet::letter);
  ASSERT_NE(found, made().sets.end()) << "no set with the letter " << letter;
  set_ = static_cast<std::size_t>(found - made().sets.begin());
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
  if (set_id_ == 0 && MadeSet().letter != 0) {
    const auto letters = session.EnumDriveLetters();
    EXPECT_THAT(letters, Succeeds());
    const auto found = std::ranges::find(letters->driveLetterList, static_cast<char16_t>(MadeSet().letter),
                                         &DRIVE_LETTER_INFO::letter);
    if (found != letters->driveLetterList.end()) set_id_ = found->storageId;
  }
  const auto sets = SetsNow(session);
  const auto found = std::ranges::find(sets, set_id_, &VOLUME_INFO::id);
  return found == sets.end() ? VOLUME_INFO{} : *found;
}

const harness::FtMadeSet& FtTest::MadeSet() const { return made().sets.at(set_); }

REGION_INFO_EX FtTest::MemberNow(Session& session, std::size_t place) {
  const harness::FtMadeMember& member = MadeSet().members.at(place);
  const auto partitions = PartitionsNow(session, member.disk);
  const auto found =
      std::ranges::find(partitions, static_cast<std::int64_t>(member.start), &REGION_INFO_EX::start);
  return found == partitions.end() ? REGION_INFO_EX{} : *found;
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

Bytes FtTest::DataMade(std::string_view type, std::uint16_t group) {
  std::map<std::uint32_t, std::filesystem::path> images;
  for (const harness::FtDisk& disk : made().disks) images.emplace(disk.signature, disk.image.path);
  const auto record = Need(harness::FtRecord::Decode(made().value));
  const harness::FtRecordSet* set = record.Find(type, group);
  const auto view = harness::AsVolume(*set, images);
  return Need(harness::ReadThroughMembers(view.group, view.volume, 0, view.volume.size));
}

const harness::FtRecordSet* FtTest::SetIn(const harness::FtRecord& record) const {
  // Numbers of groups may change with every set that goes; the places of members do not.
  const auto lies_here = [this](const harness::FtRecordMember& member) {
    return std::ranges::any_of(MadeSet().members, [&](const harness::FtMadeMember& made_member) {
      const harness::FtDisk* disk = made().Find(made_member.disk);
      return disk != nullptr && disk->signature == member.partition.signature &&
             made_member.start == member.partition.start;
    });
  };
  const auto found = std::ranges::find_if(record.sets, [&](const harness::FtRecordSet& set) {
    return std::ranges::any_of(set.members, lies_here);
  });
  return found == record.sets.end() ? nullptr : &*found;
}

harness::FtVolumeView FtTest::ViewNow(std::vector<std::shared_ptr<ImageCopy>>& copies) {
  const harness::FtRecord record = RecordNow();
  const harness::FtRecordSet* set = SetIn(record);
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

std::vector<std::string> FtTest::RedundancyProblems() {
  std::vector<std::shared_ptr<ImageCopy>> copies;
  return Need(Redundancy(ViewNow(copies)));
}

std::vector<std::string> FtTest::DataProblems() {
  std::vector<std::shared_ptr<ImageCopy>> copies;
  const auto view = ViewNow(copies);
  std::vector<std::string> problems = Need(Redundancy(view));
  const Bytes now = Need(harness::ReadThroughMembers(view.group, view.volume, 0, view.volume.size));
  const Bytes then = DataMade(MadeSet().type, MadeSet().group);
  if (now != then) {
    const auto at = std::ranges::mismatch(now, then).in1 - now.begin();
    problems.push_back(fmt::format("octet {} of the set is not what it was", at));
  }
  return problems;
}

void FtTest::ExpectOnDisk(Session& session, std::string_view disk, const REGION_INFO_EX& partition,
                          std::optional<std::uint8_t> type) {
  const harness::DiskLayout layout = LayoutOf(DiskNamed(disk));
  const harness::DiskPartition* found = layout.FindAt(static_cast<std::uint64_t>(partition.start));
  EXPECT_EQ(found == nullptr ? std::nullopt : found->mbr_type, type) << ToText(partition);
  EXPECT_EQ(layout.partitions.size(), PartitionsNow(session, disk).size());
}

void FtTest::ExpectMadeWhole(Session& session) {
  AwaitStatus(session, VOLUME_STATUS_HEALTHY);
  const harness::FtRecord record = RecordNow();
  const harness::FtRecordSet* set = SetIn(record);
  ASSERT_NE(set, nullptr);
  EXPECT_EQ(set->state, 0U) << ToText(*set);
  for (const auto& member : set->members) EXPECT_EQ(member.state, 0U) << ToText(*set);
  EXPECT_THAT(DataProblems(), ::testing::IsEmpty());
}

std::string FtTest::MountSet() const {
  // Of the devices that stand on others and that none stands on, the one with the set's label.
  return fmt::format(
      "set -e; n=; for d in /sys/block/*; do if [ -n \"$(ls $d/slaves)\" ] && [ -z \"$(ls $d/holders)\" ] && "
      "[ \"$(dd if=/dev/${{d##*/}} bs=1 skip=43 count=5 2>/dev/null)\" = SET_{} ]; then n=${{d##*/}}; fi; "
      "done; mkdir -p /tmp/held; mount -t vfat /dev/$n /tmp/held; ",
      MadeSet().letter);
}

void FtTest::WriteFile() {
  Need(lab().bed().guest()->agent().Shell(
      fmt::format("{}dd if=/dev/urandom of=/tmp/held/written bs=64k count=32 2>/dev/null; umount /tmp/held",
                  MountSet())));
}

void FtTest::HoldFileOpen() {
  harness::AgentClient& agent = lab().bed().guest()->agent();
  Need(agent.Shell(MountSet()));
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

std::string SetsOn(std::string_view disks, const std::vector<FtPlannedSet>& sets) {
  const auto comma = [](std::string_view more) { return more.empty() ? "" : fmt::format(", {}", more); };
  std::string text;
  char letter = 'E';
  for (const FtPlannedSet& set : sets) {
    std::string members;
    for (std::size_t place = 0; place < set.disks.size(); ++place) {
      members +=
          fmt::format(R"({}{{"disk": "{}", "size": "{}"{}{}}})", place == 0 ? "" : ", ", set.disks[place],
                      set.type == "mirror" ? "12M" : "8M", place == 0 ? comma(set.first) : "",
                      place + 1 == set.disks.size() ? comma(set.last) : "");
    }
    text += fmt::format(
        R"({0}{{"type": "{1}", "letter": "{2}", "filesystem": "fat", "label": "SET_{2}", "members": [{3}]}})",
        text.empty() ? "" : ",\n", set.type, letter++, members);
  }
  return fmt::format("{{\"disks\": [{}],\n\"sets\": [{}]}}", disks, text);
}

std::string MirrorsAndParity() {
  const FtPlannedSet mirror{"mirror", {"a", "b"}};
  return SetsOn(R"({"name": "a", "size": "56M"}, {"name": "b", "size": "64M"}, {"name": "c", "size": "24M"})",
                {mirror, mirror, mirror, {"parity", {"a", "b", "c"}}});
}

}  // namespace dmrp::suites
