// IDMRemoteServer between two servers, on the loopback interface.
#include "reference_server/daemon/remote_server_object.hpp"

#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/proxy.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/daemon/daemon.hpp"
#include "reference_server/platform/image_device.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using namespace std::chrono_literals;

TEST(ComputerName, IsAUncNameADnsNameOrAnAddress) {
  using namespace std::string_literals;
  EXPECT_EQ(ParseComputerName(u"server\0"s).value(), "server");
  EXPECT_EQ(ParseComputerName(u"\\\\server\0"s).value(), "server");
  EXPECT_EQ(ParseComputerName(u"example.microsoft.com\0\0"s).value(), "example.microsoft.com");
  EXPECT_EQ(ParseComputerName(u"135.5.33.19\0x"s).value(), "135.5.33.19");
  for (const auto& wrong : {u""s, u"\0"s, u"server"s, u"\\\\\0"s, u"\\\\server\\share\0"s, u"two words\0"s,
                            std::u16string(256, u'a') + u'\0', u"\xD800\0"s}) {
    EXPECT_FALSE(ParseComputerName(wrong).has_value()) << ToUtf8(wrong);
  }
}

class RemoteServerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "dmrp-remote-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    log = Log::Open(folder / "log", LogLevel::kDebug).value();
    there = StartDaemon("there.img", 48U << 20U, 0);
    ASSERT_NE(there, nullptr);
    here = StartDaemon("here.img", 64U << 20U, there->resolver_endpoint().port);
    ASSERT_NE(here, nullptr);
    runtime = MakeRuntime("dmrp-admin", "dmrp-Admin-1");
  }
  void TearDown() override {
    runtime.reset();
    here.reset();
    there.reset();
    std::filesystem::remove_all(folder);
  }

  std::unique_ptr<Daemon> StartDaemon(const std::string& image, std::uint64_t size,
                                      std::uint16_t remote_port) {
    DiskGeometry geometry;
    geometry.sizeBytes = size;
    EXPECT_TRUE(CreateImage(folder / image, geometry).has_value());
    Config config;
    config.images = {(folder / image).string()};
    config.listen = "127.0.0.1";
    config.resolver_port = 0;
    config.remote_port = remote_port;
    config.remote_deadline = 5s;
    for (const auto& [user, password, group] : {std::tuple("dmrp-admin", "dmrp-Admin-1", "Administrators"),
                                                std::tuple("dmrp-server", "dmrp-Server-1", "Administrators"),
                                                std::tuple("dmrp-user", "dmrp-User-1", "Users")}) {
      config.accounts.push_back(
          {.user = user, .domain = "", .nt_hash = rpc::HashPassword(password).value(), .groups = {group}});
    }
    auto started = Daemon::Start(config, *log);
    EXPECT_TRUE(started.has_value()) << (started ? "" : started.error().ToString());
    return started ? std::move(*started) : nullptr;
  }

  static std::unique_ptr<dcom::Runtime> MakeRuntime(const std::string& user, const std::string& password) {
    dcom::Options options;
    options.credentials = rpc::Credentials{
        .user = user, .domain = "DMRP", .password = password, .workstation = "TEST", .anonymous = false};
    return dcom::Runtime::Start(options).value();
  }

  Result<dcom::ObjectRef> Activate(dcom::Runtime& as) {
    return as.Activate(here->resolver_endpoint(), kDefaultRemoteServerClass, IID_IDMRemoteServer);
  }
  static HRESULT Create(const dcom::ObjectRef& object, std::u16string name) {
    name.append(2, u'\0');
    const auto reply =
        IDMRemoteServerProxy(object.Caller()).CreateRemoteObject({.RemoteComputerName = std::move(name)});
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().ToString());
    return reply ? reply->result : E_FAIL;
  }
  // CreateRemoteObject("127.0.0.1") with ten characters and `count` for cMax.
  static Bytes NameStub(std::uint32_t count) {
    Bytes stub;
    const auto put = [&stub](std::uint32_t value, int octets) {
      for (int i = 0; i < octets; ++i) {
        stub.push_back(static_cast<std::byte>(value >> (8 * i)));
      }
    };
    put(count, 4);
    put(10, 4);
    for (const char c : std::string("127.0.0.1")) {
      put(static_cast<unsigned char>(c), 2);
    }
    put(0, 2);
    return stub;
  }
  static LONGLONG FirstDiskLength(const dcom::ObjectRef& object) {
    const auto reply = IVolumeClient3Proxy(object.Caller()).EnumDisksEx();
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().ToString());
    return reply && !reply->diskList.empty() ? reply->diskList.front().length : 0;
  }

  std::filesystem::path folder;
  std::unique_ptr<Log> log;
  std::unique_ptr<Daemon> there;
  std::unique_ptr<Daemon> here;
  std::unique_ptr<dcom::Runtime> runtime;
};

TEST_F(RemoteServerTest, LeadsToTheServerOfTheOtherMachine) {
  auto object = Activate(*runtime).value();
  EXPECT_EQ(object.QueryInterface(IID_IVolumeClient3).error().status,
            static_cast<std::uint32_t>(E_NOINTERFACE));
  ASSERT_EQ(Create(object, u"\\\\127.0.0.1"), 0);
  for (const Guid& iid : {IID_IVolumeClient, IID_IVolumeClient2, IID_IVolumeClient3, IID_IVolumeClient4}) {
    EXPECT_TRUE(object.QueryInterface(iid).has_value()) << iid.ToString();
  }
  auto volumes = object.QueryInterface(IID_IVolumeClient3).value();
  object.Reset();
  EXPECT_EQ(FirstDiskLength(volumes), 48 << 20);
}

TEST_F(RemoteServerTest, IsWhatItIsOnceItLeadsSomewhere) {
  auto object = Activate(*runtime).value();
  ASSERT_EQ(Create(object, u"127.0.0.1"), 0);
  EXPECT_EQ(Create(object, u"127.0.0.1"), HresultFromWin32(1247));
}

TEST_F(RemoteServerTest, AFailureLeavesItAsItWas) {
  auto object = Activate(*runtime).value();
  EXPECT_EQ(Create(object, u""), E_INVALIDARG);
  EXPECT_LT(Create(object, u"nowhere.invalid"), 0);
  EXPECT_EQ(object.QueryInterface(IID_IVolumeClient3).error().status,
            static_cast<std::uint32_t>(E_NOINTERFACE));
  EXPECT_EQ(Create(object, u"127.0.0.1"), 0);
}

TEST_F(RemoteServerTest, TakesEitherCountOfTheName) {
  for (const std::uint32_t count : {10U, 9U}) {
    auto object = Activate(*runtime).value();
    const auto reply = object.Call(3, NameStub(count));
    ASSERT_TRUE(reply.has_value()) << reply.error().ToString();
    EXPECT_EQ(*reply, Bytes(4));
  }
}

TEST_F(RemoteServerTest, StartsNothingForUsers) {
  auto users = MakeRuntime("dmrp-user", "dmrp-User-1");
  EXPECT_EQ(Activate(*users).error().kind, ErrorKind::kDenied);
}

// Whoever is handed a reference may name a machine; what is on that machine's disks is for managers alone.
TEST_F(RemoteServerTest, AsksForLessThanTheVolumeInterfaces) {
  auto settings = std::make_shared<ObjectSettings>();
  settings->managers = {"Administrators"};
  auto remote = std::make_shared<RemoteSettings>();
  remote->class_id = kDefaultServerClass;
  remote->port = there->resolver_endpoint().port;
  RemoteServerObject object(settings, remote);
  dcom::CallContext user;
  user.runtime = runtime.get();
  user.groups = {"Users"};
  user.anonymous = true;
  const auto create = object.QueryInterface(IID_IDMRemoteServer);
  EXPECT_EQ(create(user, 3, NameStub(10)).error(), static_cast<std::uint32_t>(E_ACCESSDENIED));
  user.anonymous = false;
  EXPECT_EQ(create(user, 3, NameStub(10)).value(), Bytes(4));
  const auto volumes = object.QueryInterface(IID_IVolumeClient3);
  ASSERT_TRUE(volumes);
  for (std::uint16_t opnum = 3; opnum < 90; ++opnum) {
    EXPECT_EQ(volumes(user, opnum, {}).error(), static_cast<std::uint32_t>(E_ACCESSDENIED));
  }
  object.OnUnreferenced(dcom::Unreferenced::kReleased);
  EXPECT_FALSE(object.QueryInterface(IID_IVolumeClient4));
  user.groups = {"Administrators"};
  EXPECT_EQ(volumes(user, 3, {}).error(), static_cast<std::uint32_t>(RPC_E_DISCONNECTED));
}

}  // namespace
}  // namespace dmrp::server
