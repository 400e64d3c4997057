#include "suites/support/dynamic_volumes.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace dmrp::suites {

namespace {

// What a set of a few mebibytes may take to bring its members in step, on a busy machine.
constexpr std::chrono::seconds kLongestSynchronisation{120};
// A server may note at any time that members are in step: the disks are looked at again until no transaction
// is open, for at most this long.
constexpr std::chrono::seconds kLongestTransaction{5};

}  // namespace

std::vector<VolumeShape> ShapesOfEachLayout() {
  return {
      {"Simple", VOLUMELAYOUT_SIMPLE, {{0, MiB(16)}}, MiB(16)},
      {"Spanned", VOLUMELAYOUT_SPANNED, {{0, MiB(8)}, {1, MiB(12)}}, MiB(20)},
      {"Striped", VOLUMELAYOUT_STRIPE, {{0, MiB(8)}, {1, MiB(8)}}, MiB(16)},
      {"Mirrored", VOLUMELAYOUT_MIRROR, {{0, MiB(8)}, {1, MiB(8)}}, MiB(8)},
      {"Raid5", VOLUMELAYOUT_RAID5, {{0, MiB(8)}, {1, MiB(8)}, {2, MiB(8)}}, MiB(16)},
  };
}

harness::DynamicVolumeType TypeOnDisk(VOLUMELAYOUT layout) {
  switch (layout) {
    case VOLUMELAYOUT_SPANNED:
      return harness::DynamicVolumeType::kSpanned;
    case VOLUMELAYOUT_MIRROR:
      return harness::DynamicVolumeType::kMirrored;
    case VOLUMELAYOUT_STRIPE:
      return harness::DynamicVolumeType::kStriped;
    case VOLUMELAYOUT_RAID5:
      return harness::DynamicVolumeType::kRaid5;
    default:
      return harness::DynamicVolumeType::kSimple;
  }
}

namespace {

std::vector<BedDiskRequest> BlankDisks(std::size_t count) {
  std::vector<BedDiskRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    requests.push_back({harness::ParseDiskSpec(fmt::format("size={}M", 64 + 8 * i)).value(), {}});
  }
  return requests;
}

}  // namespace

void DynamicTest::StartDynamic(std::size_t disks, std::size_t dynamic) {
  StartWith(BlankDisks(disks));
  MakeDynamic(dynamic);
}

void DynamicTest::StartSharedDynamic(std::size_t disks) {
  StartSharedWith(fmt::format("{}-dynamic-disks", disks), BlankDisks(disks));
  MakeDynamic(disks);
}

void DynamicTest::StartSharedDynamic(std::size_t disks, const std::string& key) {
  StartSharedWith(key, BlankDisks(disks));
  if (!lab().once.has_value()) MakeDynamic(disks);
}

void DynamicTest::StartScenario(std::size_t disks) { StartSharedDynamic(disks, ScenarioKey()); }

void DynamicTest::MakeDynamic(std::size_t count) {
  Session& session = SessionOf(Revision::kIVolumeClient3);
  for (std::size_t i = 0; i < count; ++i) {
    const DISK_INFO_EX disk = DiskNow(session, i);
    if (disk.deviceType == static_cast<DWORD>(DEVICETYPE_VM)) continue;
    const auto reply = InitializeDisk(session, disk.id, disk.lastKnownState);
    if (!reply.succeeded()) {
      Need(Result<void>(Fail(ErrorKind::kSystem, "no dynamic disk to test with: " + reply.call.text)));
    }
  }
}

Outcome<InitializeDiskReply> DynamicTest::InitializeDisk(Session& session, LdmObjectId disk,
                                                         std::int64_t state, PARTITIONSTYLE style) {
  if (session.revision() == Revision::kIVolumeClient) {
    InitializeDiskRequest request;
    request.diskId = disk;
    request.diskLastKnownState = state;
    return session.Change<InitializeDiskReply>(session.interface(), "InitializeDisk", request);
  }
  InitializeDiskExRequest request;
  request.diskId = disk;
  request.style = style;
  request.diskLastKnownState = state;
  const auto reply = session.Change<InitializeDiskExReply>(session.interface(), "InitializeDiskEx", request);
  Outcome<InitializeDiskReply> same;
  same.call = reply.call;
  same.error = reply.error;
  same.value = {reply.value.tinfo, reply.value.result};
  return same;
}

Outcome<UninitializeDiskReply> DynamicTest::UninitializeDisk(Session& session, LdmObjectId disk,
                                                             std::int64_t state) {
  UninitializeDiskRequest request;
  request.diskId = disk;
  request.diskLastKnownState = state;
  return session.Change<UninitializeDiskReply>(session.interface(), "UninitializeDisk", request);
}

Outcome<CreateVolumeReply> DynamicTest::CreateVolume(Session& session, const CreateVolumeRequest& request) {
  return session.Change<CreateVolumeReply>(session.interface(), "CreateVolume", request);
}

Outcome<DeleteVolumeReply> DynamicTest::DeleteVolume(Session& session, LdmObjectId volume, std::int64_t state,
                                                     bool force) {
  DeleteVolumeRequest request;
  request.volumeId = volume;
  request.force = force;
  request.volumeLastKnownState = state;
  return session.Change<DeleteVolumeReply>(session.interface(), "DeleteVolume", request);
}

CreateVolumeRequest DynamicTest::RequestFor(Session& session, const VolumeShape& shape) {
  CreateVolumeRequest request;
  request.volumeSpec.layout = shape.layout;
  request.volumeSpec.length = shape.length;
  for (const auto& [index, length] : shape.members) {
    const DISK_INFO_EX disk = DiskNow(session, index);
    DISK_SPEC spec;
    spec.diskId = disk.id;
    spec.length = length;
    spec.lastKnownState = disk.lastKnownState;
    request.diskList.push_back(spec);
  }
  return request;
}

AddMirrorRequest DynamicTest::MirrorRequest(Session& session, LdmObjectId volume, std::size_t index) {
  const VOLUME_INFO now = VolumeNow(session, volume);
  const DISK_INFO_EX disk = DiskNow(session, index);
  AddMirrorRequest request;
  request.volumeId = volume;
  request.volumeLastKnownState = now.lastKnownState;
  request.diskSpec.diskId = disk.id;
  request.diskSpec.length = now.length;
  request.diskSpec.lastKnownState = disk.lastKnownState;
  return request;
}

SplitMirrorRequest DynamicTest::SplitRequest(Session& session, LdmObjectId mirror, LdmObjectId disk) {
  const StorageView view = Need(session.View());
  SplitMirrorRequest request;
  request.volumeId = mirror;
  request.volumeLastKnownState = view.FindVolume(mirror)->lastKnownState;
  request.diskId = disk;
  request.diskLastKnownState = view.FindDisk(disk)->lastKnownState;
  return request;
}

ReplaceRaid5ColumnRequest DynamicTest::ColumnRequest(Session& session, LdmObjectId volume, LdmObjectId disk) {
  const StorageView view = Need(session.View());
  ReplaceRaid5ColumnRequest request;
  request.volumeId = volume;
  request.volumeLastKnownState = view.FindVolume(volume)->lastKnownState;
  request.newDiskId = disk;
  request.diskLastKnownState = view.FindDisk(disk)->lastKnownState;
  return request;
}

VOLUME_INFO DynamicTest::Make(Session& session, const VolumeShape& shape) {
  const std::uint64_t mark = session.sink().Count();
  const auto reply = CreateVolume(session, RequestFor(session, shape));
  const VOLUME_INFO volume = reply.succeeded() ? VolumeNow(session, reply->tinfo.storageId) : VOLUME_INFO{};
  if (volume.id == 0) {
    Need(Result<void>(Fail(ErrorKind::kSystem, "no volume to test with: " + reply.call.text)));
  }
  return AwaitHealthy(session, volume.id, mark);
}

VOLUME_INFO DynamicTest::AwaitHealthy(Session& session, LdmObjectId id, std::uint64_t mark) {
  const VOLUME_INFO volume = VolumeNow(session, id);
  if (volume.status == VOLUME_STATUS_HEALTHY) return volume;
  const auto healthy = session.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.type == DMNOTIFY_VOLUME_INFO && object.id == id && object.volume &&
               object.volume->status == VOLUME_STATUS_HEALTHY;
      },
      kLongestSynchronisation, mark);
  if (!healthy) {
    Need(Result<void>(Fail(ErrorKind::kTimeout, "the volume did not become healthy: " + ToText(volume))));
  }
  return VolumeNow(session, id);
}

std::vector<VOLUME_INFO> DynamicTest::VolumesNow(Session& session) {
  const auto reply = session.EnumVolumes();
  EXPECT_THAT(reply, Succeeds());
  return reply.value.LdmVolumeList;
}

VOLUME_INFO DynamicTest::VolumeNow(Session& session, LdmObjectId id) {
  for (const VOLUME_INFO& volume : VolumesNow(session)) {
    if (volume.id == id) return volume;
  }
  return {};
}

std::vector<harness::DynamicImage> DynamicTest::CopyImages(const std::vector<std::size_t>& disks,
                                                           std::vector<std::shared_ptr<ImageCopy>>& copies) {
  const std::vector<BedDisk> all = lab().bed().disks();
  std::vector<std::size_t> wanted = disks;
  if (wanted.empty()) {
    for (std::size_t i = 0; i < all.size(); ++i) wanted.push_back(i);
  }
  const auto snapshots = Need(lab().bed().SnapshotAll());
  std::vector<harness::DynamicImage> images;
  for (const auto& [id, path] : snapshots) {
    const BedDisk* disk = lab().bed().Find(id);
    copies.push_back(std::make_shared<ImageCopy>(path, disk->spec.logical_sector));
    const bool asked = std::ranges::any_of(wanted, [&](std::size_t index) { return all.at(index).id == id; });
    if (asked) images.push_back({path, disk->spec.logical_sector});
  }
  return images;
}

const harness::DynamicLayout& DynamicTest::GroupsAfter(const WatchedDynamicOperation& operation) {
  NeedsCapability("images");
  return operation.on_disk;
}

harness::DynamicLayout DynamicTest::GroupsOnDisk(const std::vector<std::size_t>& disks) {
  return GroupImagesNow(disks).layout;
}

GroupImages DynamicTest::GroupImagesNow(const std::vector<std::size_t>& disks) {
  const auto deadline = std::chrono::steady_clock::now() + kLongestTransaction;
  for (;;) {
    std::vector<std::shared_ptr<ImageCopy>> copies;
    const auto images = CopyImages(disks, copies);
    const auto observation = Need(harness::ObserveDynamic(images));
    // Readers may differ in the middle of a transaction, as one that notes the end of a rebuild.
    if (!observation.dissents.empty() && std::chrono::steady_clock::now() < deadline) continue;
    Run::Current().history()->Write("disk", {{"test", Run::Current().history()->test()},
                                             {"disk", "all"},
                                             {"when", "observed"},
                                             {"layout", ToJson(observation)}});
    if (!observation.dissents.empty()) {
      Need(Result<void>(Fail(ErrorKind::kSystem, fmt::format("the readers disagree: {}",
                                                             fmt::join(observation.dissents, "; ")))));
    }
    return {observation.layout, std::move(copies)};
  }
}

std::vector<std::string> DynamicTest::BrokenInvariants(const std::vector<std::size_t>& disks,
                                                       const harness::LdmCheckOptions& options) {
  const auto deadline = std::chrono::steady_clock::now() + kLongestTransaction;
  for (;;) {
    std::vector<std::shared_ptr<ImageCopy>> copies;
    const auto findings = Need(harness::CheckLdmInvariants(CopyImages(disks, copies), options));
    const bool open = std::ranges::any_of(
        findings, [](const auto& finding) { return finding.number == harness::kInvariantOfRest; });
    if (open && std::chrono::steady_clock::now() < deadline) continue;
    std::vector<std::string> texts;
    for (const auto& finding : findings) {
      texts.push_back(fmt::format("I{:02} {}: {}", finding.number, finding.image, finding.text));
    }
    return texts;
  }
}

void DynamicTest::ExpectCompletion(Session& session, const TASK_INFO& tinfo, std::uint64_t mark) {
  const auto told = session.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.type == DMNOTIFY_TASK_INFO && object.id == tinfo.id && object.task &&
               object.task->status != REQ_STARTED && object.task->status != REQ_IN_PROGRESS;
      },
      target().notification_timeout, mark);
  ASSERT_TRUE(told) << "no completion notification of task " << tinfo.id;
  EXPECT_EQ(told->action, LDMACTION_MODIFIED);
  EXPECT_EQ(told->task->status, tinfo.error < 0 ? REQ_FAILED : REQ_COMPLETED);
  EXPECT_EQ(told->task->error, tinfo.error);
}

}  // namespace dmrp::suites
