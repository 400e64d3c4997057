// Who may do what: levels, accounts, and calls that a correct client never makes.
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/orpc.hpp"
#include "protocol/dcom/runtime.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/dcom/test_objects.hpp"

#include <optional>
#include <stop_token>
#include <thread>

#include <gtest/gtest.h>

namespace dmrp::dcom {
namespace {

using namespace testing;

std::unique_ptr<Runtime> StartEchoServer(Options options, ClassOptions class_options = {}) {
  auto server = StartRuntime(std::move(options));
  if (server) {
    server->RegisterClass(
        kEchoClass, [](CallContext&) -> Result<std::shared_ptr<Object>> { return MakeEcho(); },
        std::move(class_options));
  }
  return server;
}

Result<ObjectRef> ActivateEcho(Runtime& client, const Runtime& server) {
  return client.Activate(*server.resolver_endpoint(), kEchoClass, IID_IEcho);
}

ActivationRequest EchoRequest(const Runtime& server) {
  ActivationRequest request;
  request.server = *server.resolver_endpoint();
  request.clsid = kEchoClass;
  request.iids = {IID_IEcho};
  return request;
}

TEST(Access, AWrongPasswordIsDenied) {
  const auto server = StartEchoServer(ServerOptions());
  Options options = ClientOptions();
  options.credentials->password = "wrong";
  const auto client = StartRuntime(options);
  EXPECT_EQ(FailureOf(ActivateEcho(*client, *server)).kind, ErrorKind::kDenied);
}

TEST(Access, SpnegoServesAsWellAsBareNtlm) {
  const auto server = StartEchoServer(ServerOptions());
  Options options = ClientOptions();
  options.auth_type = rpc::AuthType::kSpnego;
  const auto client = StartRuntime(options);
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho(*client, *server));
  EXPECT_TRUE(echo.Call(3, {}));
  ASSERT_OK_AND_ASSIGN(connection, echo.Connection());
  EXPECT_EQ(connection->security().type, rpc::AuthType::kSpnego);
}

TEST(Access, ActivationBelowTheMinimumLevelIsDenied) {
  const auto server = StartEchoServer(ServerOptions());
  const auto client = StartRuntime(ClientOptions());
  for (const auto level : {rpc::AuthLevel::kNone, rpc::AuthLevel::kConnect, rpc::AuthLevel::kPacket}) {
    for (const auto method : {ActivationMethod::kRemoteCreateInstance, ActivationMethod::kRemoteActivation}) {
      ActivationRequest request = EchoRequest(*server);
      request.auth_level = level;
      request.method = method;
      const Error error = FailureOf(client->Activate(request));
      EXPECT_EQ(error.kind, ErrorKind::kDenied) << error.ToString();
      EXPECT_EQ(error.status, ERROR_ACCESS_DENIED);
    }
  }
}

TEST(Access, ALegacyServerTakesActivationAtConnectLevel) {
  Options options = ServerOptions();
  options.minimum_activation_level = options.minimum_call_level = rpc::AuthLevel::kConnect;
  options.auth_level = rpc::AuthLevel::kConnect;
  const auto server = StartEchoServer(options);
  const auto client = StartRuntime(ClientOptions());
  ActivationRequest request = EchoRequest(*server);
  request.auth_level = rpc::AuthLevel::kConnect;
  ASSERT_OK_AND_ASSIGN(activation, client->Activate(request));
  EXPECT_EQ(activation.authn_hint, rpc::AuthLevel::kConnect);
  ASSERT_OK_AND_ASSIGN(echo, activation.interfaces.front());
  CallOptions call;
  call.auth_level = rpc::AuthLevel::kConnect;
  EXPECT_TRUE(echo.Call(3, {}, call));
  call.auth_level = rpc::AuthLevel::kNone;
  EXPECT_EQ(FailureOf(echo.Call(3, {}, call)).kind, ErrorKind::kDenied);
}

TEST(Access, CallsBelowTheMinimumLevelAreDenied) {
  const auto server = StartEchoServer(ServerOptions());
  const auto client = StartRuntime(ClientOptions());
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho(*client, *server));
  for (const auto level : {rpc::AuthLevel::kNone, rpc::AuthLevel::kConnect, rpc::AuthLevel::kPacket}) {
    CallOptions call;
    call.auth_level = level;
    const Error error = FailureOf(echo.Call(3, {}, call));
    EXPECT_EQ(error.kind, ErrorKind::kDenied) << error.ToString();
    EXPECT_EQ(error.status, ERROR_ACCESS_DENIED);
    const Error query = FailureOf(echo.QueryInterface(IID_IOther, call));
    EXPECT_EQ(query.status, E_ACCESSDENIED) << "IRemUnknown's own code";
  }
  for (const auto level : {rpc::AuthLevel::kIntegrity, rpc::AuthLevel::kPrivacy}) {
    CallOptions call;
    call.auth_level = level;
    EXPECT_TRUE(echo.Call(3, {}, call));
  }
}

TEST(Access, AClassMayBeOpenToEverybodyWhileOthersAreNot) {
  ClassOptions open;
  open.minimum_activation_level = open.minimum_call_level = rpc::AuthLevel::kNone;
  const auto server = StartEchoServer(ServerOptions(), open);
  server->RegisterClass(IID_INowhere,
                        [](CallContext&) -> Result<std::shared_ptr<Object>> { return MakeEcho(); });
  Options options = ClientOptions();
  options.credentials.reset();
  const auto client = StartRuntime(options);
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho(*client, *server));
  EXPECT_TRUE(echo.Call(3, {}));
  ASSERT_OK_AND_ASSIGN(other, echo.QueryInterface(IID_IOther));
  EXPECT_TRUE(other.Call(3, {}));
  const Error error = FailureOf(client->Activate(*server->resolver_endpoint(), IID_INowhere, IID_IEcho));
  EXPECT_EQ(error.status, E_ACCESSDENIED);

  // An object of the closed class stays closed to IRemUnknown as well.
  const auto admin = StartRuntime(ClientOptions());
  ASSERT_OK_AND_ASSIGN(closed, admin->Activate(*server->resolver_endpoint(), IID_INowhere, IID_IEcho));
  CallOptions unprotected;
  unprotected.auth_level = rpc::AuthLevel::kNone;
  EXPECT_EQ(FailureOf(closed.QueryInterface(IID_IOther, unprotected)).status, E_ACCESSDENIED);
}

TEST(Access, TheClassDecidesWhoMayActivate) {
  ClassOptions picky;
  picky.may_activate = [](const CallContext& call) { return call.user == "server"; };
  const auto server = StartEchoServer(ServerOptions(), picky);
  const auto client = StartRuntime(ClientOptions());
  const Error error = FailureOf(ActivateEcho(*client, *server));
  EXPECT_EQ(error.kind, ErrorKind::kDenied);
  EXPECT_EQ(error.status, E_ACCESSDENIED);
  ActivationRequest request = EchoRequest(*server);
  request.credentials = kServerAccount;
  ASSERT_OK_AND_ASSIGN(activation, client->Activate(request));
  EXPECT_TRUE(activation.interfaces.front());
}

TEST(Access, CredentialsOfAnActivationStayWithItsObjects) {
  std::string caller;
  std::mutex mutex;
  const auto server = StartRuntime(ServerOptions());
  server->RegisterClass(kEchoClass, [&](CallContext&) -> Result<std::shared_ptr<Object>> {
    auto object = std::make_shared<TestObject>();
    object->With(IID_IEcho, [&](CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub) {
      const std::lock_guard lock(mutex);
      caller = call.user;
      return Echo(call, opnum, stub);
    });
    return object;
  });
  const auto client = StartRuntime(ClientOptions());
  ActivationRequest request = EchoRequest(*server);
  ASSERT_OK_AND_ASSIGN(as_admin, client->Activate(request));
  request.credentials = kServerAccount;
  ASSERT_OK_AND_ASSIGN(as_server, client->Activate(request));
  ASSERT_TRUE(as_server.interfaces.front()->Call(3, {}));
  EXPECT_EQ(caller, "server");
  ASSERT_TRUE(as_admin.interfaces.front()->Call(3, {}));
  EXPECT_EQ(caller, "admin");
}

TEST(Access, AnonymousCallersAreAPolicy) {
  Options anonymous = ClientOptions();
  anonymous.credentials = rpc::Credentials{};
  anonymous.credentials->anonymous = true;
  const auto client = StartRuntime(anonymous);
  const auto strict = StartEchoServer(ServerOptions());
  EXPECT_EQ(FailureOf(ActivateEcho(*client, *strict)).kind, ErrorKind::kDenied);

  Options options = ServerOptions();
  options.allow_anonymous = true;
  const auto server = StartRuntime(options);
  std::optional<CallContext> activator;
  server->RegisterClass(kEchoClass, [&](CallContext& call) -> Result<std::shared_ptr<Object>> {
    activator = call;
    return MakeEcho();
  });
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho(*client, *server));
  ASSERT_TRUE(activator);
  EXPECT_TRUE(activator->anonymous);
  EXPECT_EQ(activator->user, "");
  EXPECT_TRUE(echo.Call(3, {}));
}

TEST(Access, CallsEndWithTheirDeadlineOrWhenTheyAreCancelled) {
  Event started;
  Event ended;
  const auto server = StartRuntime(ServerOptions());
  server->RegisterClass(kEchoClass, [&](CallContext&) -> Result<std::shared_ptr<Object>> {
    auto object = std::make_shared<TestObject>();
    object->With(IID_IEcho,
                 [&](CallContext& call, std::uint16_t, std::span<const std::byte>) -> DispatchResult {
                   Event stopped;
                   const std::stop_callback on_stop(call.cancelled, [&] { stopped.Set(); });
                   started.Set();
                   const bool was_stopped = stopped.Wait();
                   ended.Set();
                   return tl::unexpected(was_stopped ? nca_s_fault_cancel : E_FAIL);
                 });
    return object;
  });
  const auto client = StartRuntime(ClientOptions());
  ASSERT_OK_AND_ASSIGN(object, ActivateEcho(*client, *server));
  CallOptions options;
  options.timeout = std::chrono::milliseconds(200);
  EXPECT_EQ(FailureOf(object.Call(3, {}, options)).kind, ErrorKind::kTimeout);
  EXPECT_TRUE(ended.Wait()) << "the server learns that nobody waits any more";

  std::stop_source cancel;
  options.timeout.reset();
  options.cancel = cancel.get_token();
  const std::jthread canceller([&] {
    if (started.Wait(2)) cancel.request_stop();
  });
  const Error error = FailureOf(object.Call(3, {}, options));
  EXPECT_EQ(error.status, nca_s_fault_cancel) << error.ToString();
  EXPECT_TRUE(ended.Wait(2));
}

TEST(Access, ResolutionAndPingsMayBeRefusedWithoutProtection) {
  Options options = ServerOptions();
  options.minimum_resolver_level = rpc::AuthLevel::kIntegrity;
  const auto server = StartEchoServer(options);
  Options nobody = ClientOptions();
  nobody.credentials.reset();
  const auto client = StartRuntime(nobody);
  ASSERT_OK_AND_ASSIGN(connection, client->Connect(*server->resolver_endpoint()));
  for (const std::uint16_t opnum :
       {wire::opnum::IObjectExporter::SimplePing, wire::opnum::IObjectExporter::ResolveOxid,
        wire::opnum::IObjectExporter::ResolveOxid2, wire::opnum::IObjectExporter::ComplexPing}) {
    EXPECT_EQ(FailureOf(connection->Call(SyntaxOf(wire::kIObjectExporter), opnum, Bytes(64))).status,
              ERROR_ACCESS_DENIED);
  }
  EXPECT_TRUE(
      connection->Call(SyntaxOf(wire::kIObjectExporter), wire::opnum::IObjectExporter::ServerAlive, {}));
  EXPECT_TRUE(client->ServerAlive2(*server->resolver_endpoint()));
}

TEST(Access, TheAccessCheckRefusesActivationsAndCalls) {
  std::atomic<std::uint32_t> answer = 0;
  Options options = ServerOptions();
  options.access_check = [&](const rpc::CallContext&) { return answer.load(); };
  const auto server = StartEchoServer(options);
  const auto client = StartRuntime(ClientOptions());
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho(*client, *server));
  answer = ERROR_ACCESS_DENIED;
  EXPECT_EQ(FailureOf(echo.Call(3, {})).kind, ErrorKind::kDenied);
  EXPECT_EQ(FailureOf(ActivateEcho(*client, *server)).kind, ErrorKind::kDenied);
}

/// A server, a client, and a reference to make wrong calls through.
class RawCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    server = StartEchoServer(ServerOptions());
    client = StartRuntime(ClientOptions());
    auto activated = ActivateEcho(*client, *server);
    ASSERT_TRUE(activated) << activated.error().ToString();
    echo = std::move(*activated);
    call.opnum = 3;
    call.stub = Octets({1, 2, 3, 4});
  }
  std::uint32_t StatusOfCall() { return FailureOf(echo.CallRaw(call)).status; }

  std::unique_ptr<Runtime> server;
  std::unique_ptr<Runtime> client;
  ObjectRef echo;
  RawCall call;
};

TEST_F(RawCalls, ARightOneGoesThrough) {
  ASSERT_OK_AND_ASSIGN(reply, echo.CallRaw(call));
  EXPECT_EQ(reply, Octets({0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0})) << "ORPCTHAT, octets, S_OK";
}

TEST_F(RawCalls, AHigherVersionIsRefusedAndALowerOneIsNot) {
  call.version = {5, 8};
  EXPECT_EQ(StatusOfCall(), RPC_E_VERSION_MISMATCH);
  call.version = {6, 1};
  EXPECT_EQ(StatusOfCall(), RPC_E_VERSION_MISMATCH);
  call.version = {5, 1};
  EXPECT_TRUE(echo.CallRaw(call));
}

TEST_F(RawCalls, FlagsMustBeZero) {
  call.flags = 1;
  EXPECT_EQ(StatusOfCall(), RPC_E_INVALID_HEADER);
  call.version = {5, 8};
  EXPECT_EQ(StatusOfCall(), RPC_E_VERSION_MISMATCH) << "the version is looked at first";
}

TEST_F(RawCalls, AnUnknownInterfacePointerIsDisconnected) {
  call.ipid = Guid::Random();
  EXPECT_EQ(StatusOfCall(), RPC_E_DISCONNECTED);
  call.flags = 1;
  EXPECT_EQ(StatusOfCall(), RPC_E_INVALID_HEADER) << "the header is looked at first";
  call.flags = 0;
  call.ipid.reset();
  call.send_object_uuid = false;
  EXPECT_EQ(StatusOfCall(), RPC_E_DISCONNECTED);
}

TEST_F(RawCalls, AnInterfacePointerOfAnotherInterfaceIsInvalid) {
  ASSERT_OK_AND_ASSIGN(other, echo.QueryInterface(IID_IOther));
  call.ipid = other.ipid();
  EXPECT_EQ(StatusOfCall(), RPC_E_INVALID_IPID);
  call.iid = IID_IOther;
  EXPECT_TRUE(echo.CallRaw(call));
}

TEST_F(RawCalls, IRemUnknownHasOneInterfacePointerPerExporter) {
  call.iid = wire::IID_IRemUnknown;
  call.opnum = wire::opnum::IRemUnknown::RemRelease;
  EXPECT_EQ(StatusOfCall(), RPC_E_DISCONNECTED) << "called with the object's own pointer";
  call.ipid = server->rem_unknown_ipid();
  call.stub = Octets({0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_TRUE(echo.CallRaw(call));
  call.opnum = wire::opnum::IRemUnknown2::RemQueryInterface2;
  EXPECT_EQ(StatusOfCall(), nca_s_op_rng_error) << "an operation of IRemUnknown2 alone";
  call.opnum = 2;
  EXPECT_EQ(StatusOfCall(), nca_s_op_rng_error);
}

TEST_F(RawCalls, IRemUnknown2AnswersMarshaledPointers) {
  call.iid = wire::IID_IRemUnknown2;
  call.ipid = server->rem_unknown_ipid();
  call.opnum = wire::opnum::IRemUnknown2::RemQueryInterface2;
  ndr::Writer writer;
  Encode(writer, wire::RemQueryInterface2Request{echo.ipid(), {IID_IOther, IID_INowhere}});
  call.stub = std::move(writer).Take().value();
  ASSERT_OK_AND_ASSIGN(octets, echo.CallRaw(call));
  wire::ORPCTHAT that;
  ASSERT_OK_AND_ASSIGN(parameters, StripHeader(octets, that));
  ndr::Reader reader(parameters);
  wire::RemQueryInterface2Reply reply;
  Decode(reader, reply);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reply.result, 0);
  EXPECT_EQ(reply.phr, (std::vector<std::int32_t>{0, static_cast<std::int32_t>(E_NOINTERFACE)}));
  ASSERT_EQ(reply.ppMIF.size(), 2U);
  EXPECT_FALSE(reply.ppMIF[1]);
  ASSERT_TRUE(reply.ppMIF[0]);
  ASSERT_OK_AND_ASSIGN(other, client->Unmarshal(reply.ppMIF[0]->abData, IID_IOther));
  EXPECT_TRUE(other.Call(3, {}));
}

TEST_F(RawCalls, AnUnknownOperationIsOutOfRange) {
  call.opnum = 77;
  EXPECT_EQ(StatusOfCall(), nca_s_op_rng_error);
}

TEST_F(RawCalls, AnInterfaceThatNobodyExportsIsRefusedWhileBinding) {
  call.iid = IID_INowhere;
  EXPECT_EQ(FailureOf(echo.CallRaw(call)).kind, ErrorKind::kFault);
}

TEST_F(RawCalls, ExtensionsAreSteppedOver) {
  // ORPC_EXTENT_ARRAY: size 1, reserved 0, array id; two ids of which one is null; an extent of 5 octets
  // in 8.
  ndr::Writer writer;
  writer.Put(std::uint32_t{1});
  writer.Put(std::uint32_t{0});
  writer.Put(std::uint32_t{4});
  writer.Put(std::uint32_t{2});
  writer.Put(std::uint32_t{8});
  writer.Put(std::uint32_t{0});
  writer.Put(std::uint32_t{8});
  writer.Put(kEchoClass);
  writer.Put(std::uint32_t{5});
  writer.PutBytes(Octets({1, 2, 3, 4, 5, 6, 7, 8}));
  call.extensions = std::move(writer).Take().value();
  ASSERT_OK_AND_ASSIGN(reply, echo.CallRaw(call));
  EXPECT_EQ(reply, Octets({0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0}));
  call.extensions = Octets({1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255});
  EXPECT_EQ(StatusOfCall(), RPC_X_BAD_STUB_DATA);
}

TEST_F(RawCalls, AStubWithoutAWholeOrpcthisIsBad) {
  call.send_orpcthis = false;
  for (const std::size_t size : {0U, 1U, 31U}) {
    call.stub = Bytes(size);
    EXPECT_EQ(StatusOfCall(), RPC_X_BAD_STUB_DATA) << size;
  }
}

TEST_F(RawCalls, CutActivationsAreRefusedAndTheServerLives) {
  ASSERT_OK_AND_ASSIGN(connection, client->Connect(*server->resolver_endpoint()));
  // The shortest request that decodes has 80 octets.
  for (std::size_t size = 0; size < 80; size += 7) {
    EXPECT_FALSE(connection->Call(SyntaxOf(wire::kIActivation), wire::opnum::IActivation::RemoteActivation,
                                  Bytes(size)));
  }
  const Error error = FailureOf(connection->Call(SyntaxOf(wire::kIActivation), 1, {}));
  EXPECT_EQ(error.status, nca_s_op_rng_error);
  EXPECT_TRUE(ActivateEcho(*client, *server));
}

}  // namespace
}  // namespace dmrp::dcom
