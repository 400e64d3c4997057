// Activation, QueryInterface, references and errors between two runtimes on the loopback interface.
#include "protocol/dcom/runtime.hpp"

#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/dcom/test_objects.hpp"
#include "protocol/rpc/endpoint_mapper.hpp"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::dcom {
namespace {

using namespace testing;

class RuntimeTest : public ::testing::Test {
 protected:
  void StartServer(Options options, ClassOptions class_options = {}) {
    server = StartRuntime(std::move(options));
    ASSERT_NE(server, nullptr);
    server->RegisterClass(
        kEchoClass,
        [this](CallContext& call) -> Result<std::shared_ptr<Object>> {
          const std::lock_guard lock(mutex);
          activator = call;
          last_object = MakeEcho();
          return last_object;
        },
        std::move(class_options));
  }
  void SetUp() override {
    StartServer(ServerOptions());
    client = StartRuntime(ClientOptions());
    ASSERT_NE(client, nullptr);
  }
  ActivationRequest Request(std::vector<Guid> iids = {IID_IEcho}) const {
    ActivationRequest request;
    request.server = *server->resolver_endpoint();
    request.clsid = kEchoClass;
    request.iids = std::move(iids);
    return request;
  }
  Result<ObjectRef> ActivateEcho() {
    return client->Activate(*server->resolver_endpoint(), kEchoClass, IID_IEcho);
  }
  std::shared_ptr<TestObject> LastObject() {
    const std::lock_guard lock(mutex);
    return last_object;
  }
  CallContext Activator() {
    const std::lock_guard lock(mutex);
    return activator;
  }

  std::mutex mutex;
  std::shared_ptr<TestObject> last_object;
  CallContext activator;
  std::unique_ptr<Runtime> server;
  std::unique_ptr<Runtime> client;
};

TEST_F(RuntimeTest, RemoteCreateInstanceGivesACallableObject) {
  ActivationRequest request = Request();
  request.method = ActivationMethod::kRemoteCreateInstance;
  ASSERT_OK_AND_ASSIGN(activation, client->Activate(request));
  ASSERT_EQ(activation.interfaces.size(), 1U);
  ASSERT_OK_AND_ASSIGN(echo, activation.interfaces.front());
  ASSERT_OK_AND_ASSIGN(reply, echo.Call(3, Octets({1, 2, 3, 4})));
  EXPECT_EQ(reply, Octets({1, 2, 3, 4, 0, 0, 0, 0}));
  EXPECT_EQ(activation.server_version, kComVersion);
  EXPECT_EQ(activation.authn_hint, rpc::AuthLevel::kPrivacy);
  EXPECT_EQ(Activator().user, "admin");
  EXPECT_EQ(Activator().auth_level, rpc::AuthLevel::kPrivacy);
}

TEST_F(RuntimeTest, RemoteActivationGivesACallableObject) {
  ActivationRequest request = Request({IID_IEcho, IID_IOther});
  request.method = ActivationMethod::kRemoteActivation;
  ASSERT_OK_AND_ASSIGN(activation, client->Activate(request));
  ASSERT_EQ(activation.interfaces.size(), 2U);
  for (const auto& interface : activation.interfaces) {
    ASSERT_TRUE(interface) << interface.error().ToString();
    ASSERT_OK_AND_ASSIGN(reply, interface->Call(3, Octets({7})));
    EXPECT_EQ(reply, Octets({7, 0, 0, 0, 0, 0, 0, 0}));
  }
}

TEST_F(RuntimeTest, ServerAliveTellsVersionAndBindings) {
  ASSERT_OK_AND_ASSIGN(info, client->ServerAlive2(*server->resolver_endpoint()));
  EXPECT_EQ(info.version, kComVersion);
  ASSERT_EQ(info.resolver_bindings.string_bindings.size(), 1U);
  EXPECT_EQ(info.resolver_bindings.string_bindings.front().Split(),
            (HostPort{"127.0.0.1", server->resolver_endpoint()->port}));
  ASSERT_EQ(info.resolver_bindings.security_bindings.size(), 2U);
  EXPECT_EQ(info.resolver_bindings.security_bindings[0].wAuthnSvc, 10);
}

TEST_F(RuntimeTest, InterfacesOfOneObjectAreReachedFromEachOther) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  ASSERT_OK_AND_ASSIGN(other, echo.QueryInterface(IID_IOther));
  EXPECT_EQ(other.oid(), echo.oid());
  EXPECT_NE(other.ipid(), echo.ipid());
  ASSERT_OK_AND_ASSIGN(reply, other.Call(3, Octets({9, 9, 9, 9})));
  EXPECT_EQ(reply, Octets({9, 9, 9, 9, 0, 0, 0, 0}));
  ASSERT_OK_AND_ASSIGN(back, other.QueryInterface(IID_IEcho));
  EXPECT_EQ(back.ipid(), echo.ipid());
  ASSERT_OK_AND_ASSIGN(unknown, other.QueryInterface(IID_IUnknown));
  EXPECT_EQ(unknown.oid(), echo.oid());
  const Error error = FailureOf(unknown.Call(0, {}));
  EXPECT_EQ(error.status, nca_s_op_rng_error);
}

TEST_F(RuntimeTest, AskingForAnUnsupportedInterfaceAnswersENoInterface) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  const Error error = FailureOf(echo.QueryInterface(IID_INowhere));
  EXPECT_EQ(error.kind, ErrorKind::kFault);
  EXPECT_EQ(error.status, E_NOINTERFACE);
}

TEST_F(RuntimeTest, TwoActivationsGiveTwoObjects) {
  ASSERT_OK_AND_ASSIGN(first, ActivateEcho());
  ASSERT_OK_AND_ASSIGN(second, ActivateEcho());
  EXPECT_NE(first.oid(), second.oid());
  EXPECT_EQ(first.oxid(), second.oxid());
  EXPECT_EQ(server->statistics().exported_objects, 2U);
}

TEST_F(RuntimeTest, DroppingTheLastReferenceReleasesTheObject) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  ASSERT_OK_AND_ASSIGN(other, echo.QueryInterface(IID_IOther));
  ObjectRef copy = echo;
  const auto object = LastObject();
  echo.Reset();
  other.Reset();
  ASSERT_TRUE(copy.Call(3, Octets({1})));
  EXPECT_EQ(object->unreferenced.count(), 0);
  copy.Reset();
  ASSERT_TRUE(object->unreferenced.Wait());
  EXPECT_EQ(object->why(), Unreferenced::kReleased);
  EXPECT_EQ(server->statistics().exported_objects, 0U);
  EXPECT_EQ(server->statistics().exported_interfaces, 0U);
  EXPECT_EQ(client->statistics().held_interfaces, 0U);
}

TEST_F(RuntimeTest, ReferencesAreCountedAsTheyAreTakenAndGivenBack) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  EXPECT_EQ(echo.PublicRefs(), 5U);
  ASSERT_TRUE(echo.AddRef(3));
  EXPECT_EQ(echo.PublicRefs(), 8U);
  ASSERT_TRUE(echo.ReleaseRefs(7));
  ASSERT_TRUE(echo.Call(3, {})) << "one reference is left";
  ASSERT_TRUE(echo.ReleaseRefs(1));
  const Error error = FailureOf(echo.Call(3, {}));
  EXPECT_EQ(error.kind, ErrorKind::kFault);
  EXPECT_EQ(error.status, RPC_E_DISCONNECTED);
  ASSERT_TRUE(LastObject()->unreferenced.Wait());
  EXPECT_EQ(LastObject()->why(), Unreferenced::kReleased);
  EXPECT_EQ(FailureOf(echo.AddRef(1)).status, CO_E_OBJNOTREG);
  EXPECT_EQ(FailureOf(echo.QueryInterface(IID_IOther)).status, RPC_E_INVALID_OBJECT);
}

TEST_F(RuntimeTest, ReleasingMoreThanIsHeldStopsAtZero) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  ASSERT_TRUE(echo.ReleaseRefs(4'000'000'000U));
  EXPECT_EQ(FailureOf(echo.Call(3, {})).status, RPC_E_DISCONNECTED);
  ASSERT_TRUE(echo.ReleaseRefs(1)) << "unknown interface pointers are ignored";
}

TEST_F(RuntimeTest, PrivateReferencesKeepAnObjectToo) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  RawCall add;
  // REMINTERFACEREF with one private reference, to IRemUnknown::RemAddRef.
  ndr::Writer writer;
  writer.Put(std::uint16_t{1});
  writer.Put(std::uint32_t{1});
  writer.Put(echo.ipid());
  writer.Put(std::uint32_t{0});
  writer.Put(std::uint32_t{1});
  add.stub = std::move(writer).Take().value();
  add.iid = wire::IID_IRemUnknown;
  add.ipid = server->rem_unknown_ipid();
  add.opnum = wire::opnum::IRemUnknown::RemAddRef;
  ASSERT_TRUE(echo.CallRaw(add));
  ASSERT_TRUE(echo.ReleaseRefs(5));
  EXPECT_TRUE(echo.Call(3, {}));
  ASSERT_TRUE(echo.ReleaseRefs(0, 1));
  EXPECT_EQ(FailureOf(echo.Call(3, {})).status, RPC_E_DISCONNECTED);
}

TEST_F(RuntimeTest, InterfacesAreAnsweredOneByOneByBothActivators) {
  for (const auto method : {ActivationMethod::kRemoteCreateInstance, ActivationMethod::kRemoteActivation}) {
    ActivationRequest request = Request({IID_INowhere, IID_IEcho});
    request.method = method;
    ASSERT_OK_AND_ASSIGN(activation, client->Activate(request));
    ASSERT_EQ(activation.interfaces.size(), 2U);
    EXPECT_EQ(FailureOf(activation.interfaces[0]).status, E_NOINTERFACE);
    ASSERT_TRUE(activation.interfaces[1]);
    EXPECT_TRUE(activation.interfaces[1]->Call(3, {}));

    request.iids = {IID_INowhere};
    EXPECT_EQ(FailureOf(client->Activate(request)).status, E_NOINTERFACE);
    request.iids = {};
    EXPECT_EQ(FailureOf(client->Activate(request)).status, E_INVALIDARG);
  }
}

TEST_F(RuntimeTest, AnUnknownClassIsNotRegistered) {
  for (const auto method : {ActivationMethod::kRemoteCreateInstance, ActivationMethod::kRemoteActivation,
                            ActivationMethod::kRemoteGetClassObject}) {
    ActivationRequest request = Request();
    request.method = method;
    request.clsid = IID_INowhere;
    const Error error = FailureOf(client->Activate(request));
    EXPECT_EQ(error.kind, ErrorKind::kFault);
    EXPECT_EQ(error.status, REGDB_E_CLASSNOTREG);
  }
  server->UnregisterClass(kEchoClass);
  EXPECT_EQ(FailureOf(ActivateEcho()).status, REGDB_E_CLASSNOTREG);
}

TEST_F(RuntimeTest, AFactorysFailureIsTheActivationsResult) {
  server->RegisterClass(kEchoClass, [](CallContext&) -> Result<std::shared_ptr<Object>> {
    return Fail(ErrorKind::kSystem, "no room", 0x8007000E);
  });
  EXPECT_EQ(FailureOf(ActivateEcho()).status, 0x8007000EU);
  server->RegisterClass(kEchoClass, [](CallContext&) -> Result<std::shared_ptr<Object>> {
    return Fail(ErrorKind::kDenied, "not you");
  });
  const Error error = FailureOf(ActivateEcho());
  EXPECT_EQ(error.kind, ErrorKind::kDenied);
  EXPECT_EQ(error.status, E_ACCESSDENIED);
}

TEST_F(RuntimeTest, AClassObjectMakesInstances) {
  ActivationRequest request = Request({IID_IClassFactory});
  request.method = ActivationMethod::kRemoteGetClassObject;
  ASSERT_OK_AND_ASSIGN(activation, client->Activate(request));
  ASSERT_OK_AND_ASSIGN(factory, activation.interfaces.front());
  ndr::Writer iid;
  iid.Put(IID_IOther);
  ASSERT_OK_AND_ASSIGN(reply, factory.Call(3, std::move(iid).Take().value()));
  ndr::Reader reader(reply);
  std::optional<Bytes> pointer;
  reader.GetInterfacePointer(pointer, "ppvObject");
  ASSERT_TRUE(pointer);
  ASSERT_OK_AND_ASSIGN(other, client->Unmarshal(*pointer, IID_IOther));
  EXPECT_TRUE(other.Call(3, {}));
  ASSERT_OK_AND_ASSIGN(locked, factory.Call(4, Octets({1, 0, 0, 0})));
  EXPECT_EQ(locked, Octets({0, 0, 0, 0}));
  EXPECT_EQ(FailureOf(factory.Call(5, {})).status, nca_s_op_rng_error);
}

TEST_F(RuntimeTest, ARevokedObjectIsDisconnected) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  server->Revoke(LastObject());
  ASSERT_TRUE(LastObject()->unreferenced.Wait());
  EXPECT_EQ(LastObject()->why(), Unreferenced::kRevoked);
  EXPECT_EQ(FailureOf(echo.Call(3, {})).status, RPC_E_DISCONNECTED);
}

TEST_F(RuntimeTest, StoppingTheServerRevokesItsObjectsAndFailsCallsClearly) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  const auto object = LastObject();
  server.reset();
  ASSERT_TRUE(object->unreferenced.Wait());
  EXPECT_EQ(object->why(), Unreferenced::kRevoked);
  EXPECT_EQ(FailureOf(echo.Call(3, {})).kind, ErrorKind::kUnavailable);
}

TEST_F(RuntimeTest, AReferenceThatOutlivesItsRuntimeFailsClearly) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  const auto object = LastObject();
  client.reset();
  ASSERT_TRUE(object->unreferenced.Wait()) << "a client that ends gives its references back";
  EXPECT_EQ(object->why(), Unreferenced::kReleased);
  EXPECT_EQ(FailureOf(echo.Call(3, {})).kind, ErrorKind::kUnavailable);
  EXPECT_EQ(FailureOf(ObjectRef().Call(3, {})).kind, ErrorKind::kUsage);
}

TEST_F(RuntimeTest, OlderVersionsSettleOnTheLowerOneAndOnRemoteActivation) {
  Options options = ServerOptions();
  options.version = {5, 4};
  StartServer(options);
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  EXPECT_TRUE(echo.Call(3, {}));
  EXPECT_EQ(Activator().client_version, (COMVERSION{5, 4}));

  ActivationRequest request = Request();
  request.version = COMVERSION{5, 5};
  EXPECT_EQ(FailureOf(client->Activate(request)).status, RPC_E_VERSION_MISMATCH);
}

TEST_F(RuntimeTest, AdvertisedNamesStandFirstAndCarryTheirPorts) {
  Options options = ServerOptions();
  options.advertised = {{"disks.example.org", 40135}, {"127.0.0.1", 0}};
  options.resolver_port_in_bindings = false;
  StartServer(options);
  ASSERT_OK_AND_ASSIGN(info, client->ServerAlive2(*server->resolver_endpoint()));
  ASSERT_EQ(info.resolver_bindings.string_bindings.size(), 2U);
  EXPECT_EQ(info.resolver_bindings.string_bindings[0], StringBinding::Tcp("disks.example.org"));
  EXPECT_EQ(info.resolver_bindings.string_bindings[1], StringBinding::Tcp("127.0.0.1"));
}

TEST_F(RuntimeTest, AClientTriesTheAdvertisedAddressesInOrder) {
  Options options = ServerOptions();
  // Port 1 of the loopback address refuses connections.
  options.advertised = {{"127.0.0.1", 1}, {"127.0.0.2", 0}};
  options.listen_address = "0.0.0.0";
  server = StartRuntime(options);
  ASSERT_NE(server, nullptr);
  server->RegisterClass(kEchoClass,
                        [](CallContext&) -> Result<std::shared_ptr<class Object>> { return MakeEcho(); });
  ActivationRequest request = Request();
  request.server.host = "127.0.0.1";
  ASSERT_OK_AND_ASSIGN(activation, client->Activate(request));
  ASSERT_EQ(activation.oxid_bindings.string_bindings.size(), 2U);
  EXPECT_EQ(activation.oxid_bindings.string_bindings[0], StringBinding::Tcp("127.0.0.1", 1));
  EXPECT_EQ(activation.oxid_bindings.string_bindings[1],
            StringBinding::Tcp("127.0.0.2", server->exporter_endpoint()->port));
  ASSERT_OK_AND_ASSIGN(echo, activation.interfaces.front());
  EXPECT_TRUE(echo.Call(3, {}));
}

TEST_F(RuntimeTest, ActivatingWhereNobodyListensIsUnavailable) {
  EXPECT_EQ(FailureOf(client->Activate({"127.0.0.1", 1}, kEchoClass, IID_IEcho)).kind,
            ErrorKind::kUnavailable);
}

TEST_F(RuntimeTest, TheEndpointMapperNamesTheExportersPort) {
  Options options = ServerOptions();
  options.mapped_interfaces = {SyntaxOf(IID_IEcho)};
  StartServer(options);
  ASSERT_OK_AND_ASSIGN(connection, client->Connect(*server->resolver_endpoint(), rpc::Security{}));
  ASSERT_OK_AND_ASSIGN(ports, rpc::AskEndpointMapper(*connection, SyntaxOf(IID_IEcho)));
  EXPECT_EQ(ports, std::vector<std::uint16_t>{server->exporter_endpoint()->port});
  ASSERT_OK_AND_ASSIGN(none, rpc::AskEndpointMapper(*connection, SyntaxOf(IID_IOther)));
  EXPECT_TRUE(none.empty());
}

TEST_F(RuntimeTest, ManyThreadsShareOneObject) {
  ASSERT_OK_AND_ASSIGN(echo, ActivateEcho());
  std::vector<std::jthread> threads;
  std::atomic<int> failures = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, reference = echo] {
      for (int call = 0; call < 25; ++call) {
        const Bytes stub = Octets({call, 1, 2, 3});
        const auto reply = reference.Call(3, stub);
        if (!reply || !std::equal(stub.begin(), stub.end(), reply->begin())) ++failures;
        const auto other = reference.QueryInterface(IID_IOther);
        if (!other || !other->Call(3, stub)) ++failures;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace dmrp::dcom
