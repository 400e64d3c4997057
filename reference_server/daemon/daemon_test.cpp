// The server over the wire: activation, calls, callbacks and access, on the loopback interface.
#include "reference_server/daemon/daemon.hpp"

#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/proxy.hpp"
#include "dmrp/interfaces/skeleton.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/daemon/volume_client_object.hpp"
#include "reference_server/platform/image_device.hpp"

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using namespace std::chrono_literals;

constexpr LONGLONG kMiB = 1 << 20;

rpc::Account MakeAccount(std::string user, std::string password, std::vector<std::string> groups) {
  return {.user = std::move(user),
          .domain = "",
          .nt_hash = rpc::HashPassword(password).value(),
          .groups = std::move(groups)};
}

// A client's IDMNotify: keeps what it is told, and can withhold its answers.
class Sink final : public dcom::Object, public IDMNotifyHandler {
 public:
  explicit Sink(Revision revision) : revision_(revision) {}

  dcom::Dispatch QueryInterface(const Guid& iid) override {
    if (iid != IID_IDMNotify) {
      return {};
    }
    return [this](dcom::CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub) {
      return DispatchIDMNotify(*this, call, opnum, stub);
    };
  }

  HRESULT ObjectsChanged(dcom::CallContext& call, const ObjectsChangedRequest& request,
                         ObjectsChangedReply& /*reply*/) override {
    const auto read = ReadNotifications(request.ByteStream, revision_);
    std::unique_lock lock(mutex_);
    caller_ = call.user;
    errors_ += read.errors.size();
    items_.insert(items_.end(), read.items.begin(), read.items.end());
    ++calls_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    return 0;
  }

  std::vector<Notification> Take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(items_, {});
  }
  bool AwaitCalls(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return calls_ >= count; });
  }
  void Hold(bool held) {
    const std::scoped_lock lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  std::string caller() {
    const std::scoped_lock lock(mutex_);
    return caller_;
  }
  std::size_t errors() {
    const std::scoped_lock lock(mutex_);
    return errors_;
  }

 private:
  const Revision revision_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Notification> items_;
  std::string caller_;
  std::size_t errors_ = 0;
  int calls_ = 0;
  bool held_ = false;
};

// One client process: its runtime, its object at the server, its sink.
struct Client {
  std::unique_ptr<dcom::Runtime> runtime;
  dcom::ObjectRef object;
  std::shared_ptr<Sink> sink;

  [[nodiscard]] IVolumeClient3Proxy Late() const { return IVolumeClient3Proxy(object.Caller()); }
};

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "dmrp-daemon-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    DiskGeometry geometry;
    geometry.sizeBytes = 64U << 20U;
    ASSERT_TRUE(CreateImage(folder / "a.img", geometry).has_value());

    config.images = {(folder / "a.img").string(), (folder / "b.img").string()};
    config.listen = "127.0.0.1";
    config.resolver_port = 0;
    config.notification_deadline = 5s;
    config.accounts = {MakeAccount("dmrp-admin", "dmrp-Admin-1", {"Administrators"}),
                       MakeAccount("dmrp-operator", "dmrp-Operator-1", {"backup operators"}),
                       MakeAccount("dmrp-user", "dmrp-User-1", {"Users"})};
    log = Log::Open(folder / "log", LogLevel::kDebug).value();
    auto started = Daemon::Start(config, *log);
    ASSERT_TRUE(started.has_value()) << started.error().ToString();
    daemon = std::move(*started);
  }
  void TearDown() override {
    daemon.reset();
    std::filesystem::remove_all(folder);
  }

  // A client's runtime, which accepts callbacks of the server's account.
  static std::unique_ptr<dcom::Runtime> MakeRuntime(const std::string& user, const std::string& password) {
    dcom::Options options;
    options.credentials = rpc::Credentials{
        .user = user, .domain = "DMRP", .password = password, .workstation = "TEST", .anonymous = false};
    options.accounts = rpc::MakeAccountStore({MakeAccount("dmrp-server", "dmrp-Server-1", {})});
    auto runtime = dcom::Runtime::Start(std::move(options));
    EXPECT_TRUE(runtime.has_value());
    return std::move(*runtime);
  }

  Result<dcom::ObjectRef> Activate(dcom::Runtime& runtime, const Guid& iid) {
    return runtime.Activate(daemon->resolver_endpoint(), config.class_id, iid);
  }

  Client Connect(const Guid& iid = IID_IVolumeClient3) {
    Client client;
    client.runtime = MakeRuntime("dmrp-admin", "dmrp-Admin-1");
    auto object = Activate(*client.runtime, iid);
    EXPECT_TRUE(object.has_value()) << (object ? "" : object.error().ToString());
    client.object = object.value_or(dcom::ObjectRef());
    return client;
  }

  // Connects and calls Initialize on the interface.
  Client Join(const Guid& iid = IID_IVolumeClient3) {
    Client client = Connect(iid);
    const bool early = iid == IID_IVolumeClient;
    client.sink = std::make_shared<Sink>(early ? Revision::kIVolumeClient : Revision::kIVolumeClient3);
    auto exported = client.runtime->Export(client.sink, IID_IDMNotify);
    EXPECT_TRUE(exported.has_value());
    const InitializeRequest request{.notificationInterface = *exported, .cRemote = 1};
    const auto reply = early ? IVolumeClientProxy(client.object.Caller()).Initialize(request)
                             : client.Late().Initialize(request);
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().ToString());
    EXPECT_EQ(reply ? reply->result : E_FAIL, 0);
    return client;
  }

  static DISK_INFO_EX Disk(const Client& client) {
    const auto reply = client.Late().EnumDisksEx();
    EXPECT_TRUE(reply.has_value() && reply->result == 0 && !reply->diskList.empty());
    return reply ? reply->diskList.at(0) : DISK_INFO_EX{};
  }
  static std::vector<REGION_INFO_EX> Regions(const Client& client) {
    const auto reply = client.Late().EnumDiskRegionsEx({.diskId = Disk(client).id});
    return reply ? reply->regionList : std::vector<REGION_INFO_EX>{};
  }
  static HRESULT InitializeDisk(const Client& client) {
    const DISK_INFO_EX disk = Disk(client);
    const auto reply = client.Late().InitializeDiskStyle(
        {.diskId = disk.id, .style = PARTITIONSTYLE_MBR, .diskLastKnownState = disk.lastKnownState});
    return reply ? reply->result : E_FAIL;
  }
  static REGION_SPEC Spec(const REGION_INFO_EX& region, REGIONTYPE type, LONGLONG length) {
    return {.regionId = region.id,
            .regionType = type,
            .diskId = region.diskId,
            .start = region.start,
            .length = length,
            .lastKnownState = region.lastKnownState};
  }

  std::filesystem::path folder;
  Config config;
  std::unique_ptr<Log> log;
  std::unique_ptr<Daemon> daemon;
};

TEST_F(DaemonTest, CreatesAndDeletesAPartitionAndNotifiesBeforeItReplies) {
  const Client client = Join();
  ASSERT_EQ(InitializeDisk(client), 0);
  EXPECT_EQ(client.sink->Take().size(), 2U);
  EXPECT_EQ(client.sink->caller(), "dmrp-server");

  const auto free = Regions(client).at(0);
  const auto created = client.Late().CreatePartition({.partitionSpec = Spec(free, REGION_PRIMARY, 8 * kMiB)});
  ASSERT_TRUE(created.has_value());
  ASSERT_EQ(created->result, 0);
  const auto frames = client.sink->Take();
  ASSERT_EQ(frames.size(), 4U);
  EXPECT_EQ(frames[0].type(), DMNOTIFY_DISK_INFO);
  EXPECT_EQ(frames[1].action, LDMACTION_CREATED);
  EXPECT_EQ(std::get<REGION_INFO_EX>(frames[1].object).id, created->tinfo.storageId);

  const auto made = Regions(client).at(0);
  EXPECT_EQ(std::get<REGION_INFO_EX>(frames[1].object), made);
  const auto deleted =
      client.Late().DeletePartition({.partitionSpec = Spec(made, REGION_PRIMARY, made.length)});
  ASSERT_TRUE(deleted.has_value());
  EXPECT_EQ(deleted->result, 0);
  EXPECT_EQ(client.sink->Take().size(), 4U);
  EXPECT_EQ(Regions(client).size(), 1U);
  EXPECT_EQ(client.sink->errors(), 0U);
}

TEST_F(DaemonTest, TellsClientsOfBothRevisions) {
  const Client late = Join();
  const Client early = Join(IID_IVolumeClient);
  ASSERT_EQ(InitializeDisk(late), 0);
  EXPECT_EQ(late.sink->Take().size(), 2U);
  const auto frames = early.sink->Take();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<DISK_INFO>(frames[0].object));
  EXPECT_TRUE(std::holds_alternative<REGION_INFO>(frames[1].object));
}

TEST_F(DaemonTest, ASinkThatWithholdsItsAnswerHoldsTheReplyBack) {
  const Client client = Join();
  const Client slow = Join();
  slow.sink->Hold(true);
  std::atomic<bool> replied = false;
  std::thread caller([&] {
    InitializeDisk(client);
    replied = true;
  });
  EXPECT_TRUE(slow.sink->AwaitCalls(1));
  EXPECT_TRUE(client.sink->AwaitCalls(1));
  EXPECT_FALSE(replied);
  slow.sink->Hold(false);
  caller.join();
  EXPECT_TRUE(replied);
}

TEST_F(DaemonTest, AClientThatDiedIsDroppedAndTheOthersAreServedOn) {
  const Client client = Join();
  {
    // Its runtime goes without a word to the server, as when a process is killed.
    Client dead = Join();
    dead.sink->Hold(true);
    std::thread caller([&] { EXPECT_EQ(InitializeDisk(client), 0); });
    EXPECT_TRUE(dead.sink->AwaitCalls(1));
    caller.join();  // returns when the deadline has passed
    dead.sink->Hold(false);
  }
  client.sink->Take();
  const auto free = Regions(client).at(0);
  const auto start = std::chrono::steady_clock::now();
  const auto created = client.Late().CreatePartition({.partitionSpec = Spec(free, REGION_PRIMARY, kMiB)});
  ASSERT_TRUE(created.has_value());
  EXPECT_EQ(created->result, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 4s);
  EXPECT_EQ(client.sink->Take().size(), 4U);
}

TEST_F(DaemonTest, AllInterfacesAreViewsOfOneObject) {
  const Client client = Join();
  for (const Guid& iid : {IID_IVolumeClient, IID_IVolumeClient2, IID_IVolumeClient4}) {
    EXPECT_TRUE(client.object.QueryInterface(iid).has_value());
  }
  EXPECT_FALSE(client.object.QueryInterface(IID_IDMRemoteServer).has_value());
  const auto early = client.object.QueryInterface(IID_IVolumeClient);
  const auto again = IVolumeClientProxy(early->Caller()).Uninitialize();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->result, 0) << "Initialize was called on IVolumeClient3 of the same object";
}

TEST_F(DaemonTest, MessagesAfterUninitializeAreRefusedWithWellFormedReplies) {
  const Client client = Join();
  ASSERT_EQ(client.Late().Uninitialize()->result, 0);
  const auto disks = client.Late().EnumDisksEx();
  ASSERT_TRUE(disks.has_value()) << disks.error().ToString();
  EXPECT_EQ(disks->result, RPC_E_DISCONNECTED);
  EXPECT_TRUE(disks->diskList.empty());
  EXPECT_EQ(client.Late().Uninitialize()->result, LDM_E_NORECORD);
}

TEST_F(DaemonTest, AClientThatReleasesItsObjectIsToldNothing) {
  const Client client = Join();
  Client leaving = Join();
  leaving.object.Reset();
  // The release travels in the background; it has arrived when only one object is left.
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (daemon->server().model().ClientCount() > 1 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  ASSERT_EQ(InitializeDisk(client), 0);
  EXPECT_TRUE(leaving.sink->Take().empty());
}

TEST_F(DaemonTest, RefusesANullNotificationInterface) {
  const Client client = Connect();
  const auto reply = client.Late().Initialize({.notificationInterface = std::nullopt, .cRemote = 1});
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->result, E_POINTER);
}

TEST_F(DaemonTest, BackupOperatorsManage) {
  const auto runtime = MakeRuntime("dmrp-operator", "dmrp-Operator-1");
  const auto object = Activate(*runtime, IID_IVolumeClient3);
  ASSERT_TRUE(object.has_value()) << object.error().ToString();
  const auto disks = IVolumeClient3Proxy(object->Caller()).EnumDisksEx();
  ASSERT_TRUE(disks.has_value());
  EXPECT_EQ(disks->diskList.size(), 1U);
}

TEST_F(DaemonTest, OtherUsersMayNotActivate) {
  const auto runtime = MakeRuntime("dmrp-user", "dmrp-User-1");
  const auto object = Activate(*runtime, IID_IVolumeClient3);
  ASSERT_FALSE(object.has_value());
  EXPECT_EQ(object.error().kind, ErrorKind::kDenied) << object.error().ToString();
}

TEST_F(DaemonTest, StrangersAreNotLetIn) {
  const auto runtime = MakeRuntime("dmrp-admin", "wrong");
  EXPECT_FALSE(Activate(*runtime, IID_IVolumeClient3).has_value());
}

TEST_F(DaemonTest, RefusesEveryOperationOfACallerWithoutRightsBeforeItReadsTheParameters) {
  const auto settings = std::make_shared<ObjectSettings>();
  settings->managers = config.managers;
  VolumeClientObject object(
      std::shared_ptr<DiskManagementServer>(&daemon->server(), [](DiskManagementServer*) {}), settings);
  dcom::CallContext call;
  call.user = "dmrp-user";
  call.groups = {"Users"};
  call.anonymous = false;
  for (const Guid& iid : {IID_IVolumeClient, IID_IVolumeClient2, IID_IVolumeClient3, IID_IVolumeClient4}) {
    const auto dispatch = object.QueryInterface(iid);
    for (std::uint16_t opnum = 0; opnum < 90; ++opnum) {
      const auto reply = dispatch(call, opnum, {});
      ASSERT_FALSE(reply.has_value());
      EXPECT_EQ(reply.error(), static_cast<std::uint32_t>(E_ACCESSDENIED));
    }
  }
  call.groups = {"Users", "BACKUP OPERATORS"};
  EXPECT_TRUE(object.QueryInterface(IID_IVolumeClient3)(call, 3, {}).has_value());
  call.anonymous = true;
  EXPECT_FALSE(object.QueryInterface(IID_IVolumeClient3)(call, 3, {}).has_value());
}

TEST_F(DaemonTest, LogsEachCallWithCallerMethodAndResult) {
  Client client = Connect();
  ASSERT_TRUE(client.Late().EnumDisksEx().has_value());
  daemon.reset();
  std::ifstream file(folder / "log");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(text.find("user=DMRP\\dmrp-admin"), std::string::npos);
  EXPECT_NE(text.find("IVolumeClient3::EnumDisksEx result=S_OK"), std::string::npos);
  EXPECT_NE(text.find("stopped"), std::string::npos);
}

}  // namespace
}  // namespace dmrp::server
