// A server over image files, without the network, for the tests of the methods.
#pragma once

#include "dmrp/interfaces/method_table.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/image_disk_source.hpp"
#include "reference_server/methods/volume_client.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/storage/ldm/disk_group.hpp"

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::server {

inline constexpr std::uint64_t kDiskSize = 64U << 20U;
inline constexpr LONGLONG kMiB = 1 << 20;

/// Image files whose partitions can be made busy.
class TestDiskSource final : public DiskSource {
 public:
  explicit TestDiskSource(std::vector<ImageSpec> images) : images_(std::move(images)) {}

  std::vector<DeviceInfo> Scan() override { return images_.Scan(); }
  Result<std::unique_ptr<BlockDevice>> Open(const DeviceInfo& device, bool writable) override {
    if (opens_left && device.name == opens_left->first && opens_left->second-- <= 0) {
      return FailErrno("open " + device.name, ENXIO);
    }
    return images_.Open(device, writable);
  }
  Result<void> PublishLayout(const DeviceInfo& /*device*/, const DiskLayout& /*layout*/) override {
    ++published;
    return {};
  }
  PartitionUse Mounts(const DeviceInfo& /*device*/, std::uint64_t start) override {
    PartitionUse use;
    if (busy_start == start) {
      use.mountPoints = {mount_point};
    }
    return use;
  }
  Result<PartitionUse> Use(const DeviceInfo& device, std::uint64_t start) override {
    return Mounts(device, start);
  }
  std::filesystem::path VolumeNode(const DeviceInfo& device, std::uint64_t start) override {
    return images_.VolumeNode(device, start);
  }
  Result<PartitionUse> ReleaseByForce(const DeviceInfo& device, std::uint64_t start) override {
    if (clings) {
      return Fail(ErrorKind::kUnavailable, "the file system stays writable");
    }
    busy_start.reset();
    return Use(device, start);
  }
  VolumeHost& Volumes() override { return images_.Volumes(); }
  Result<void> Eject(const DeviceInfo& device) override { return images_.Eject(device); }
  Result<void> RescanBuses() override {
    ++rescans;
    return {};
  }

  std::optional<std::pair<std::string, int>> opens_left;  // how often a disk still answers
  std::optional<std::uint64_t> busy_start;
  bool clings = false;  // what is busy cannot be taken by force either
  std::string mount_point = "/mnt/data";
  int published = 0;
  int rescans = 0;

 private:
  ImageDiskSource images_;
};

/// A client's sink that keeps every notification. While an asynchronous task runs, `items` is to be looked at
/// only after AwaitEnd.
class RecordingSink final : public NotificationSink {
 public:
  explicit RecordingSink(Revision revision) : revision_(revision) {}
  void ObjectsChanged(std::shared_ptr<const Bytes> stream, Deadline /*deadline*/, Done done) override {
    const auto read = ReadNotifications(*stream, revision_);
    EXPECT_TRUE(read.errors.empty());
    {
      const std::scoped_lock lock(mutex_);
      items.insert(items.end(), read.items.begin(), read.items.end());
      changed_.notify_all();
    }
    done(0);
  }

  /// Waits for the final notification of a task: the first that says neither REQ_STARTED nor
  /// REQ_IN_PROGRESS.
  TASK_INFO AwaitEnd(LdmObjectId task_id) {
    return AwaitTask(task_id, [](const TASK_INFO& task) {
      return task.status != REQ_STARTED && task.status != REQ_IN_PROGRESS;
    });
  }
  /// Waits for a notification of the task that satisfies `wanted`.
  TASK_INFO AwaitTask(LdmObjectId task_id, const std::function<bool(const TASK_INFO&)>& wanted) {
    return AwaitAnyTask([&](const TASK_INFO& task) { return task.id == task_id && wanted(task); });
  }
  /// The same of any task.
  TASK_INFO AwaitAnyTask(const std::function<bool(const TASK_INFO&)>& wanted) {
    TASK_INFO found;
    const auto seen = [&] {
      for (const Notification& item : items) {
        const auto* task = std::get_if<TASK_INFO>(&item.object);
        if (task != nullptr && wanted(*task)) {
          found = *task;
          return true;
        }
      }
      return false;
    };
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30), seen)) << "no such notification of a task";
    return found;
  }

  std::vector<Notification> items;

 private:
  const Revision revision_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

class MethodsTest : public testing::Test {
 protected:
  // Two disks, a.img and b.img, empty; without a file yet: a third disk c.img, a removable disk
  // removable.img.
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "dmrp-methods-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    std::vector<ImageSpec> images;
    std::vector<std::string> names = {"a.img", "b.img", "c.img", "removable.img,removable"};
    names.insert(names.end(), more_images.begin(), more_images.end());
    for (const std::string& name : names) {
      images.push_back(ImageSpec::Parse((folder / name).string()).value());
    }
    MakeFile("a.img");
    MakeFile("b.img");
    source = std::make_unique<TestDiskSource>(std::move(images));
    ServerOptions options;
    options.connect_sink = [this](dcom::CallContext& call,
                                  const Bytes& objref) -> Result<std::shared_ptr<NotificationSink>> {
      if (objref.empty()) {
        return Fail(ErrorKind::kUnavailable, "nobody there");
      }
      last_sink = std::make_shared<RecordingSink>(call.iid == IID_IVolumeClient ? Revision::kIVolumeClient
                                                                                : Revision::kIVolumeClient3);
      return last_sink;
    };
    options.prepare_shutdown = [this]() -> Result<std::function<void()>> {
      if (shutdown_refusal) {
        return tl::unexpected(*shutdown_refusal);
      }
      return [this] { ++shutdowns; };
    };
    server = std::make_shared<DiskManagementServer>(*source, std::move(options));
    server->Refresh();
    early_call.iid = IID_IVolumeClient;
    late_call.iid = IID_IVolumeClient3;
    client = std::make_unique<VolumeClient>(server);
    early_client = std::make_unique<VolumeClient>(server);
    early_sink = Join(*early_client, early_call);
    sink = Join(*client, late_call);
  }

  void TearDown() override { std::filesystem::remove_all(folder); }

  // The letters that the records of dynamic volumes note on a disk, in the order of their making.
  std::vector<std::optional<std::string>> RecordedLetters(const std::string& file) {
    const auto device = OpenImage(folder / file, {}, false).value();
    std::vector<ldm::Member> members;
    members.push_back(ldm::OpenMember(*device).value().value());
    const auto group = ldm::DiskGroup::Inspect(std::move(members)).value();
    std::vector<std::optional<std::string>> letters;
    for (const ldm::VolumeRecord& volume : group.Current().volumes) {
      letters.push_back(volume.hint);
    }
    return letters;
  }
  void MakeFile(const std::string& name, std::uint64_t size = kDiskSize) {
    DiskGeometry geometry;
    geometry.sizeBytes = size;
    ASSERT_TRUE(CreateImage(folder / name, geometry).has_value());
  }

  std::shared_ptr<RecordingSink> Join(VolumeClient& joining, dcom::CallContext& call) {
    InitializeReply reply;
    EXPECT_EQ(joining.Initialize(call, {.notificationInterface = Bytes(1), .cRemote = 1}, reply), 0);
    return last_sink;
  }

  std::vector<DISK_INFO_EX> Disks() {
    EnumDisksExReply reply;
    EXPECT_EQ(client->EnumDisksEx(late_call, {}, reply), 0);
    return reply.diskList;
  }
  DISK_INFO_EX Disk(std::size_t index = 0) { return Disks().at(index); }

  std::vector<REGION_INFO_EX> Regions(LdmObjectId disk_id) {
    EnumDiskRegionsExReply reply;
    EXPECT_EQ(client->EnumDiskRegionsEx(late_call, {.diskId = disk_id, .numRegions = 77}, reply), 0);
    return reply.regionList;
  }
  // The first region of a type on the first disk.
  REGION_INFO_EX Region(REGIONTYPE type) {
    for (const REGION_INFO_EX& region : Regions(Disk().id)) {
      if (region.regionType == type) {
        return region;
      }
    }
    ADD_FAILURE() << "no region of type " << type;
    return {};
  }

  HRESULT InitializeDisk(PARTITIONSTYLE style, std::size_t index = 0) {
    const DISK_INFO_EX disk = Disk(index);
    InitializeDiskStyleReply reply;
    return client->InitializeDiskStyle(
        late_call, {.diskId = disk.id, .style = style, .diskLastKnownState = disk.lastKnownState}, reply);
  }

  static REGION_SPEC Spec(const REGION_INFO_EX& region, REGIONTYPE type, LONGLONG start, LONGLONG length) {
    return {.regionId = region.id,
            .regionType = type,
            .diskId = region.diskId,
            .start = start,
            .length = length,
            .lastKnownState = region.lastKnownState};
  }
  static REGION_SPEC Spec(const REGION_INFO_EX& region) {
    return Spec(region, region.regionType, region.start, region.length);
  }

  // Makes a partition at the front of the first free region.
  CreatePartitionReply MakePartition(LONGLONG length, REGIONTYPE type = REGION_PRIMARY) {
    const REGION_INFO_EX free = Region(type == REGION_LOGICAL ? REGION_EXTENDED_FREE : REGION_FREE);
    CreatePartitionReply reply;
    reply.result =
        client->CreatePartition(late_call, {.partitionSpec = Spec(free, type, free.start, length)}, reply);
    return reply;
  }

  // Everything a client can see, for comparing before and after.
  struct View {
    std::vector<DISK_INFO_EX> disks;
    std::vector<std::vector<REGION_INFO_EX>> regions;
    std::size_t frames = 0;
    std::string first_mebibyte;
    bool operator==(const View&) const = default;
  };
  View Look() {
    View view;
    view.disks = Disks();
    for (const DISK_INFO_EX& disk : view.disks) {
      view.regions.push_back(Regions(disk.id));
    }
    view.frames = sink->items.size() + early_sink->items.size();
    std::ifstream file(folder / "a.img", std::ios::binary);
    view.first_mebibyte.resize(static_cast<std::size_t>(kMiB));
    file.read(view.first_mebibyte.data(), kMiB);
    return view;
  }

  // "disk* region+": kind and action of each notification of the later revision since the last call.
  std::string TakeFrames() {
    std::string text;
    for (const Notification& item : std::exchange(sink->items, {})) {
      static const char* const kKinds[] = {"unknown", "disk", "volume", "region",
                                           "task",    "dl",   "fs",     "system"};
      static const char* const kActions[] = {"?", "+", "-", "*", "!"};
      text += text.empty() ? "" : " ";
      text += std::string(kKinds[item.type()]) + kActions[item.action];
    }
    return text;
  }

  std::vector<std::string> more_images;  // names of further disks without a file, to be set before SetUp
  std::filesystem::path folder;
  std::optional<Error> shutdown_refusal;
  int shutdowns = 0;
  std::unique_ptr<TestDiskSource> source;
  std::shared_ptr<DiskManagementServer> server;
  dcom::CallContext early_call;
  dcom::CallContext late_call;
  std::unique_ptr<VolumeClient> client;        // Initialize on IVolumeClient3
  std::unique_ptr<VolumeClient> early_client;  // Initialize on IVolumeClient
  std::shared_ptr<RecordingSink> last_sink;
  std::shared_ptr<RecordingSink> early_sink;
  std::shared_ptr<RecordingSink> sink;
};

}  // namespace dmrp::server
