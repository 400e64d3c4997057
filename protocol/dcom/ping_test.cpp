// Pings and collection between two runtimes, on clocks that the test moves.
#include "protocol/dcom/runtime.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/dcom/test_objects.hpp"

#include <gtest/gtest.h>

namespace dmrp::dcom {
namespace {

using namespace testing;
using namespace std::chrono_literals;

class Pings : public ::testing::Test {
 protected:
  void SetUp() override {
    Options server_options = ServerOptions();
    server_options.clock = server_clock.function();
    server_options.minimum_resolver_level = rpc::AuthLevel::kIntegrity;
    server = StartRuntime(server_options);
    Options client_options = ClientOptions();
    client_options.clock = client_clock.function();
    client = StartRuntime(client_options);
    ASSERT_NE(server, nullptr);
    ASSERT_NE(client, nullptr);
    server->RegisterClass(kEchoClass, [this](CallContext&) -> Result<std::shared_ptr<Object>> {
      return objects.emplace_back(MakeEcho());
    });
  }
  ObjectRef Activate() {
    return client->Activate(*server->resolver_endpoint(), kEchoClass, IID_IEcho).value();
  }
  void ClientPasses(std::chrono::seconds time) {
    client_clock.Advance(time);
    client->Tick();
  }
  void ServerPasses(std::chrono::seconds time) {
    server_clock.Advance(time);
    server->Tick();
  }

  ManualClock server_clock;
  ManualClock client_clock;
  std::vector<std::shared_ptr<TestObject>> objects;
  std::unique_ptr<Runtime> server;
  std::unique_ptr<Runtime> client;
};

TEST_F(Pings, ALivingClientKeepsItsObjects) {
  const ObjectRef echo = Activate();
  for (int i = 0; i < 10; ++i) {
    ClientPasses(120s);
    ServerPasses(120s);
  }
  EXPECT_EQ(client->statistics().pings_sent, 10U);
  EXPECT_EQ(client->statistics().pinged_objects, 1U);
  EXPECT_EQ(server->statistics().ping_sets, 1U);
  EXPECT_FALSE(objects[0]->why());
  EXPECT_TRUE(echo.Call(3, {}));
}

TEST_F(Pings, NothingIsSentBeforeThePeriodIsOver) {
  const ObjectRef echo = Activate();
  ClientPasses(119s);
  EXPECT_EQ(client->statistics().pings_sent, 0U);
  ClientPasses(1s);
  EXPECT_EQ(client->statistics().pings_sent, 1U);
  ClientPasses(119s);
  EXPECT_EQ(client->statistics().pings_sent, 1U);
}

TEST_F(Pings, AClientThatFallsSilentIsTakenForDead) {
  const ObjectRef echo = Activate();
  ClientPasses(120s);
  ServerPasses(359s);
  EXPECT_FALSE(objects[0]->why());
  ServerPasses(1s);
  EXPECT_EQ(objects[0]->why(), Unreferenced::kClientGone);
  EXPECT_EQ(server->statistics().exported_objects, 0U);
  EXPECT_EQ(FailureOf(echo.Call(3, {})).status, RPC_E_DISCONNECTED);
}

TEST_F(Pings, AClientThatNeverPingedIsTakenForDeadToo) {
  const ObjectRef echo = Activate();
  ServerPasses(359s);
  EXPECT_FALSE(objects[0]->why());
  ServerPasses(1s);
  EXPECT_EQ(objects[0]->why(), Unreferenced::kClientGone);
}

TEST_F(Pings, ReleasesTravelTogetherOnceTheyAreDue) {
  ObjectRef first = Activate();
  ObjectRef second = Activate();
  ObjectRef third = Activate();
  first.Reset();
  second.Reset();
  EXPECT_EQ(server->statistics().exported_objects, 3U);
  ClientPasses(1s);
  EXPECT_EQ(server->statistics().exported_objects, 1U);
  EXPECT_EQ(objects[0]->why(), Unreferenced::kReleased);
  EXPECT_EQ(objects[1]->why(), Unreferenced::kReleased);
  EXPECT_FALSE(objects[2]->why());
  EXPECT_EQ(client->statistics().pinged_objects, 1U);
}

TEST_F(Pings, ASetFollowsWhatTheClientHolds) {
  ObjectRef first = Activate();
  const ObjectRef second = Activate();
  // Second references, so that neither object ends with its release.
  ASSERT_TRUE(server->Export(objects[0], IID_IEcho));
  ClientPasses(120s);
  first.Reset();
  ClientPasses(120s);
  // The first object has left the set, so it is collected; the second stays as long as its pings come.
  ServerPasses(359s);
  ClientPasses(120s);
  EXPECT_FALSE(objects[0]->why());
  ServerPasses(1s);
  EXPECT_EQ(objects[0]->why(), Unreferenced::kClientGone);
  EXPECT_FALSE(objects[1]->why());
  EXPECT_EQ(client->statistics().pings_sent, 3U);
}

TEST_F(Pings, AForgottenSetIsMadeAgain) {
  const ObjectRef echo = Activate();
  ClientPasses(120s);
  // Calls keep the object alive while its set is dropped.
  for (int i = 0; i < 2; ++i) {
    server_clock.Advance(180s);
    ASSERT_TRUE(echo.Call(3, {}));
  }
  server->Tick();
  EXPECT_EQ(server->statistics().ping_sets, 0U);
  ASSERT_FALSE(objects[0]->why());
  ClientPasses(120s);
  EXPECT_EQ(server->statistics().ping_sets, 1U);
  ServerPasses(300s);
  ClientPasses(120s);
  ServerPasses(300s);
  EXPECT_FALSE(objects[0]->why()) << "the new set holds the object";
}

TEST_F(Pings, AKilledClientGivesNothingBackAndIsMissedByItsPings) {
  const ObjectRef echo = Activate();
  ASSERT_TRUE(echo.Call(3, {}));
  ClientPasses(120s);
  client->Abandon();
  EXPECT_EQ(FailureOf(echo.Call(3, {})).kind, ErrorKind::kUnavailable);
  client.reset();
  ServerPasses(359s);
  EXPECT_FALSE(objects[0]->why());
  ServerPasses(1s);
  EXPECT_EQ(objects[0]->why(), Unreferenced::kClientGone);
}

TEST_F(Pings, AServerThatDiedDoesNotStopTheClient) {
  const ObjectRef echo = Activate();
  ClientPasses(120s);
  server.reset();
  ClientPasses(120s);
  EXPECT_EQ(FailureOf(echo.Call(3, {})).kind, ErrorKind::kUnavailable);
}

TEST(PingsByThemselves, RunOnTheSystemsClockWithoutAnyTick) {
  Options server_options = ServerOptions();
  server_options.timers.set_timeout = server_options.timers.grace = 2s;
  const auto server = StartRuntime(server_options);
  const auto kept = MakeEcho();
  const auto left = MakeEcho();
  server->RegisterClass(kEchoClass, [&](CallContext& call) -> Result<std::shared_ptr<Object>> {
    return call.user == "admin" ? kept : left;
  });
  Options pinging = ClientOptions();
  pinging.timers.ping_period = 1s;
  const auto client = StartRuntime(pinging);
  Options silent = ServerOptions();
  silent.timers.ping_period = 1h;
  const auto dead = StartRuntime(silent);
  ASSERT_OK_AND_ASSIGN(held, client->Activate(*server->resolver_endpoint(), kEchoClass, IID_IEcho));
  ASSERT_OK_AND_ASSIGN(lost, dead->Activate(*server->resolver_endpoint(), kEchoClass, IID_IEcho));
  ASSERT_TRUE(left->unreferenced.Wait());
  EXPECT_EQ(left->why(), Unreferenced::kClientGone);
  EXPECT_FALSE(kept->why());
  EXPECT_TRUE(held.Call(3, {}));
  EXPECT_EQ(FailureOf(lost.Call(3, {})).status, RPC_E_DISCONNECTED);
}

}  // namespace
}  // namespace dmrp::dcom
