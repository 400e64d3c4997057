#include "protocol/rpc/loopback.hpp"
#include "protocol/rpc/pdu.hpp"

#include <atomic>
#include <future>
#include <thread>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dmrp::rpc {
namespace {

using ::testing::HasSubstr;

class Calls : public Loopback {};

TEST_F(Calls, FragmentsOfOddSizesBothWays) {
  for (std::size_t fragment : {1U, 3U, 17U, 1000U}) {
    options_.send_fragment = fragment + 2;
    options_.max_fragment = 2048;
    Serve();
    for (const Security& security : {Security{}, Private()}) {
      auto client = Connect({.security = security, .send_fragment = fragment});
      for (std::size_t size : {0U, 1U, 2U, 16U, 999U, 5001U}) {
        auto reply = client->Call(kEcho, kOpEcho, Pattern(size));
        ASSERT_TRUE(reply) << reply.error().ToString();
        EXPECT_EQ(*reply, Pattern(size));
      }
    }
  }
}

TEST_F(Calls, NoFragmentExceedsTheAgreedSize) {
  std::atomic<std::size_t> largest{0};
  auto observe = [&](const Frame& frame) {
    std::size_t seen = largest;
    while (frame.octets.size() > seen && !largest.compare_exchange_weak(seen, frame.octets.size())) {
    }
  };
  Serve();
  auto client = Connect({.security = Private(), .max_fragment = 2100, .frame_observer = observe});
  EXPECT_EQ(client->Call(kEcho, kOpEcho, Pattern(20'000)), Pattern(20'000));
  EXPECT_EQ(client->negotiated().max_fragment, 2096);
  EXPECT_LE(largest, 2096U);
  EXPECT_GT(largest, 2000U);
}

TEST_F(Calls, ManyAtOnceOverSeveralConnections) {
  Serve();
  std::vector<std::shared_ptr<ClientConnection>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(
        Connect({.security = Secured(i % 2 == 0 ? AuthType::kNtlm : AuthType::kSpnego,
                                     i % 3 == 0 ? AuthLevel::kIntegrity : AuthLevel::kPrivacy)}));
  }
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 4; ++round) {
        const Bytes stub = Pattern(static_cast<std::size_t>(1 + i * 397 + round));
        auto reply =
            clients[static_cast<std::size_t>(i % 8)]->Call(i % 5 == 0 ? kOther : kEcho, kOpEcho, stub);
        if (reply && *reply == stub) {
          ++good;
        }
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good, 256);
}

TEST_F(Calls, OneConnectionRunsCallsSideBySide) {
  Serve();
  auto client = ConnectPrivately();
  Signal held;
  client->CallAsync(kEcho, kOpHold, Text("held"), std::nullopt, {}, [&](Result<Bytes> reply) {
    EXPECT_TRUE(reply);
    held.Set();
  });
  ASSERT_TRUE(started_.Await());
  EXPECT_TRUE(client->negotiated().multiplexing);
  auto reply = client->Call(kEcho, kOpEcho, Text("overtakes"));
  ASSERT_TRUE(reply) << reply.error().ToString();
  release_.Set();
  EXPECT_TRUE(held.Await());
}

TEST_F(Calls, WithoutTheServersConsentCallsQueueUp) {
  options_.multiplexing = false;
  Serve();
  std::atomic<int> requests{0};
  auto client = Connect({.security = Private(), .frame_observer = [&](const Frame& frame) {
                           requests +=
                               frame.packet_type == static_cast<std::uint8_t>(PacketType::kRequest) ? 1 : 0;
                         }});
  Signal held;
  Signal second;
  Signal third;
  client->CallAsync(kEcho, kOpHold, {}, std::nullopt, {}, [&](const Result<Bytes>&) {
    EXPECT_EQ(requests, 1) << "nothing else is sent before the reply";
    held.Set();
  });
  client->CallAsync(kEcho, kOpEcho, {}, std::nullopt, {}, [&](const Result<Bytes>& reply) {
    EXPECT_TRUE(reply);
    second.Set();
  });
  client->CallAsync(kOther, kOpEcho, {}, std::nullopt, {}, [&](const Result<Bytes>& reply) {
    EXPECT_TRUE(reply);
    third.Set();
  });
  ASSERT_TRUE(started_.Await());
  EXPECT_FALSE(client->negotiated().multiplexing);
  release_.Set();
  EXPECT_TRUE(held.Await());
  EXPECT_TRUE(second.Await());
  EXPECT_TRUE(third.Await());
}

TEST_F(Calls, TheObjectUuidArrives) {
  Serve();
  const Guid object = Guid::Random();
  auto reply = ConnectPrivately()->Call(kEcho, kOpIdentity, {}, object);
  ASSERT_TRUE(reply);
  EXPECT_THAT(AsText(*reply), HasSubstr(object.ToString()));
}

TEST_F(Calls, HandlersMayCallBackWhileTheyServe) {
  Serve();
  server_->Register(kOther,
                    {.handler = [this](const CallContext&, Bytes stub) -> tl::expected<Bytes, std::uint32_t> {
                      auto inner = ConnectPrivately()->Call(kEcho, kOpEcho, std::move(stub));
                      if (!inner) {
                        return tl::unexpected(RPC_S_CALL_FAILED);
                      }
                      return *inner;
                    }});
  auto reply = ConnectPrivately()->Call(kOther, 0, Text("through"));
  ASSERT_TRUE(reply) << reply.error().ToString();
  EXPECT_EQ(AsText(*reply), "through");
}

TEST_F(Calls, WorkPutOffRunsWhenTheReplyIsOnTheWay) {
  Serve();
  Signal replied;
  Signal ran;
  server_->Register(
      kOther, {.handler = [&](const CallContext& call, Bytes stub) -> tl::expected<Bytes, std::uint32_t> {
        call.Afterwards([&] {
          if (replied.Await()) {
            ran.Set();
          }
        });
        return stub;
      }});
  ASSERT_TRUE(ConnectPrivately()->Call(kOther, 0, Text("x")));
  EXPECT_FALSE(ran.Await(0ms));
  replied.Set();
  EXPECT_TRUE(ran.Await());
}

TEST_F(Calls, FaultsCarryTheirStatus) {
  Serve();
  auto client = ConnectPrivately();
  auto expect = [&](const Result<Bytes>& reply, std::uint32_t status) {
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, ErrorKind::kFault) << reply.error().ToString();
    EXPECT_EQ(reply.error().status, status) << reply.error().ToString();
  };
  expect(client->Call(kEcho, kOpCount, {}), nca_s_op_rng_error);
  expect(client->Call(kEcho, kOpBadStub, {}), RPC_X_BAD_STUB_DATA);
  expect(client->Call(kEcho, kOpThrow, {}), nca_s_fault_unspec);
  expect(client->Call(kAbsent, 0, {}), RPC_S_UNKNOWN_IF);
  expect(client->Call(kEcho, 0, {}, std::nullopt, {.misbehaviour = {.context_id = 77}}), nca_s_unk_if);
  EXPECT_TRUE(client->Call(kEcho, kOpEcho, {}));
}

TEST_F(Calls, AResolverAnswersForUnregisteredInterfaces) {
  Serve();
  server_->SetResolver([](const SyntaxId& id) -> std::optional<Interface> {
    if (id != kAbsent) {
      return std::nullopt;
    }
    return Interface{
        .handler = [](const CallContext& call, const Bytes&) { return Text(call.interface.ToString()); }};
  });
  auto client = ConnectPrivately();
  auto reply = client->Call(kAbsent, 0, {});
  ASSERT_TRUE(reply) << reply.error().ToString();
  EXPECT_EQ(AsText(*reply), kAbsent.ToString());
  server_->Unregister(kOther);
  EXPECT_EQ(client->Call(kOther, 0, {}).error().status, RPC_S_UNKNOWN_IF);
}

TEST_F(Calls, CancelReachesTheHandlerAndEndsTheCall) {
  Serve();
  auto client = ConnectPrivately();
  std::stop_source stop;
  auto reply = std::async(std::launch::async, [&] {
    return client->Call(kEcho, kOpWait, {}, std::nullopt, {.cancel = stop.get_token()});
  });
  ASSERT_TRUE(started_.Await());
  stop.request_stop();
  EXPECT_TRUE(cancelled_.Await());
  auto result = reply.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().status, nca_s_fault_cancel);
  EXPECT_TRUE(client->Call(kEcho, kOpEcho, {}));
}

TEST_F(Calls, ACancelledCallThatDoesNotEndIsGivenUp) {
  Serve();
  auto client = ConnectPrivately();
  std::stop_source stop;
  auto reply = std::async(std::launch::async, [&] {
    return client->Call(kEcho, kOpHold, {}, std::nullopt, {.cancel = stop.get_token(), .cancel_grace = 50ms});
  });
  ASSERT_TRUE(started_.Await());
  stop.request_stop();
  auto result = reply.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().status, nca_s_fault_cancel);
  release_.Set();
  // The late answer is dropped and the connection, which negotiated to survive orphans, goes on.
  EXPECT_TRUE(client->Call(kEcho, kOpEcho, {}));
}

TEST_F(Calls, ATimeOutSaysWhatWasAwaitedAndOrphansTheCall) {
  Serve();
  auto client = ConnectPrivately();
  auto reply = client->Call(kEcho, kOpWait, {}, std::nullopt, {.timeout = 100ms});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kTimeout);
  EXPECT_THAT(reply.error().message, HasSubstr("the reply of " + kEcho.ToString() + " opnum 1"));
  EXPECT_TRUE(cancelled_.Await()) << "orphaned stops the handler";
  EXPECT_TRUE(client->Call(kEcho, kOpEcho, {}));
}

TEST_F(Calls, WithoutTheFeatureAnOrphanEndsTheConnection) {
  Serve();
  auto client = Connect({.security = Private(), .negotiate_features = false});
  EXPECT_FALSE(client->Call(kEcho, kOpWait, {}, std::nullopt, {.timeout = 100ms}));
  EXPECT_TRUE(client->AwaitClose(10s));
  EXPECT_EQ(client->Call(kEcho, kOpEcho, {}).error().kind, ErrorKind::kUnavailable);
}

TEST_F(Calls, AServerThatNeverAnswersTheBindMeetsTheDeadline) {
  // A listener of the system's that nobody serves: the connection stands, the bind is never answered.
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(listen(listener, 1), 0);
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  endpoint_ = {"127.0.0.1", ntohs(address.sin_port)};
  auto reply = Connect()->Call(kEcho, kOpEcho, {}, std::nullopt, {.timeout = 100ms});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kTimeout);
  EXPECT_THAT(reply.error().message, HasSubstr("the answer to bind"));
  close(listener);
  auto refused = ClientConnection::Connect(pool_, endpoint_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
}

TEST_F(Calls, APeerThatDiesMidCallIsNoticedOnBothSides) {
  Serve();
  auto client = ConnectPrivately();
  Signal ended;
  client->CallAsync(kEcho, kOpWait, {}, std::nullopt, {}, [&](const Result<Bytes>& reply) {
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, ErrorKind::kUnavailable);
    ended.Set();
  });
  ASSERT_TRUE(started_.Await());
  client->Close();
  EXPECT_TRUE(ended.Await());
  EXPECT_TRUE(cancelled_.Await()) << "the handler learns that its client is gone";
  EXPECT_TRUE(AwaitConnections(0));
  EXPECT_FALSE(client->IsOpen());
}

TEST_F(Calls, ADisconnectedClientLearnsIt) {
  Serve();
  auto client = ConnectPrivately();
  std::atomic<std::uint64_t> id{0};
  server_->Register(kOther, {.handler = [&](const CallContext& call, Bytes stub) {
                      id = call.connection_id;
                      return stub;
                    }});
  ASSERT_TRUE(client->Call(kOther, 0, {}));
  server_->Disconnect(id);
  EXPECT_TRUE(client->AwaitClose(10s));
  EXPECT_EQ(client->Call(kEcho, kOpEcho, {}).error().kind, ErrorKind::kUnavailable);
}

TEST_F(Calls, StopLetsRunningCallsEnd) {
  Serve();
  auto client = ConnectPrivately();
  auto reply = std::async(std::launch::async, [&] { return client->Call(kEcho, kOpHold, Text("last")); });
  ASSERT_TRUE(started_.Await());
  auto stopped = std::async(std::launch::async, [&] { return server_->Stop(10s); });
  release_.Set();
  EXPECT_TRUE(stopped.get());
  auto result = reply.get();
  ASSERT_TRUE(result) << result.error().ToString();
  EXPECT_EQ(AsText(*result), "last");
  EXPECT_FALSE(ClientConnection::Connect(pool_, endpoint_));
  EXPECT_EQ(server_->connection_count(), 0U);
}

TEST_F(Calls, StopCutsOffCallsAtItsDeadline) {
  Serve();
  auto client = ConnectPrivately();
  auto reply = std::async(std::launch::async, [&] { return client->Call(kEcho, kOpWait, {}); });
  ASSERT_TRUE(started_.Await());
  auto stopped = server_->Stop(50ms);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kTimeout);
  EXPECT_TRUE(cancelled_.Await());
  EXPECT_FALSE(reply.get());
}

TEST_F(Calls, AssociationGroupsAreSharedByConnectionsAndDieWithThem) {
  Serve();
  auto first = Connect();
  ASSERT_TRUE(first->Bind(kEcho));
  const std::uint32_t group = first->negotiated().association_group;
  EXPECT_NE(group, 0U);
  auto second = Connect({.association_group = group});
  ASSERT_TRUE(second->Bind(kEcho));
  EXPECT_EQ(second->negotiated().association_group, group);
  EXPECT_FALSE(Connect({.association_group = group + 1})->Bind(kEcho));
  auto stranger = Connect({.local_address = "127.0.0.2", .association_group = group});
  EXPECT_EQ(stranger->local().host, "127.0.0.2");
  EXPECT_FALSE(stranger->Bind(kEcho)) << "a group belongs to one address";
  first->Close();
  second->Close();
  ASSERT_TRUE(AwaitConnections(0));
  auto late = Connect({.association_group = group})->Bind(kEcho);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::kFault);
}

TEST_F(Calls, Ndr64IsRefusedBesideNdr20) {
  Serve();
  auto client = Connect({.offer_ndr64 = true});
  EXPECT_TRUE(client->Call(kEcho, kOpEcho, {}));
  EXPECT_EQ(client->negotiated().features, 3U);
  EXPECT_EQ(client->negotiated().secondary_address, std::to_string(endpoint_.port));
}

TEST_F(Calls, AConnectionWithoutAuthenticationIsNotUpgradedByOthers) {
  Serve();
  auto bare = Connect();
  auto secured = ConnectPrivately();
  ASSERT_TRUE(secured->Call(kEcho, kOpEcho, {}));
  EXPECT_THAT(AsText(*bare->Call(kEcho, kOpIdentity, {})), HasSubstr("|none|"));
}

TEST_F(Calls, ObserversSeeEveryPduWithTheStubInClear) {
  std::mutex mutex;
  std::vector<std::pair<std::uint8_t, Bytes>> seen;
  options_.frame_observer = [&](const Frame& frame) {
    const std::lock_guard lock(mutex);
    seen.emplace_back(frame.packet_type | (frame.direction == Frame::Direction::kSent ? 0x80 : 0),
                      Bytes(frame.clear_stub.begin(), frame.clear_stub.end()));
    EXPECT_EQ(frame.local->port, endpoint_.port);
    EXPECT_EQ(frame.octets.size(), ParseHeader(frame.octets)->frag_length);
  };
  Serve();
  ASSERT_TRUE(ConnectPrivately()->Call(kEcho, kOpEcho, Text("secret")));
  ASSERT_TRUE(AwaitConnections(0));
  const std::lock_guard lock(mutex);
  const std::vector<std::pair<std::uint8_t, Bytes>> wanted{
      {11, {}}, {0x80 | 12, {}}, {16, {}}, {0, Text("secret")}, {0x80 | 2, Text("secret")}};
  EXPECT_EQ(seen, wanted);
}

}  // namespace
}  // namespace dmrp::rpc
