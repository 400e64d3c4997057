// Activation, QueryInterface, references and errors between two runtimes on the loopback interface.
#include "protocol/dcom/runtime.hpp"

#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/dcom/test_objects.hpp"

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

}  // namespace
}  // namespace dmrp::dcom
