// What the server does with peers that break the protocol, on purpose and by name.
#include "protocol/rpc/loopback.hpp"
#include "protocol/rpc/pdu.hpp"
#include "protocol/rpc/vectors.hpp"

#include <random>

#include <gmock/gmock.h>

namespace dmrp::rpc {
namespace {

using ::testing::HasSubstr;

struct Breach {
  const char* name;
  Misbehaviour misbehaviour;
  std::uint32_t status;  ///< of the fault that answers
  bool closes;
  std::size_t size = 3000;  ///< stub octets, in fragments of 1000
};

void PrintTo(const Breach& breach, std::ostream* out) { *out << breach.name; }

class Hostile : public Loopback {};
class EveryBreach : public Loopback, public ::testing::WithParamInterface<Breach> {};

TEST_P(EveryBreach, IsAnsweredAsTheRulesSay) {
  Serve();
  const Breach& breach = GetParam();
  auto client = Connect({.security = Private(), .send_fragment = 992});
  ASSERT_TRUE(client->Call(kEcho, kOpEcho, Text("well behaved")));
  auto reply = client->Call(kEcho, kOpEcho, Pattern(breach.size), std::nullopt,
                            {.timeout = 5s, .misbehaviour = breach.misbehaviour});
  ASSERT_FALSE(reply);
  if (breach.status != 0) {
    EXPECT_EQ(reply.error().kind, ErrorKind::kFault) << reply.error().ToString();
    EXPECT_EQ(reply.error().status, breach.status) << reply.error().ToString();
  } else {
    EXPECT_EQ(reply.error().kind, ErrorKind::kUnavailable) << reply.error().ToString();
  }
  if (breach.closes) {
    EXPECT_TRUE(client->AwaitClose(10s));
  } else {
    EXPECT_TRUE(client->Call(kEcho, kOpEcho, Text("well behaved again")));
  }
  ExpectAlive();
}

INSTANTIATE_TEST_SUITE_P(
    Requests, EveryBreach,
    ::testing::Values(
        Breach{"CorruptSignature", {.corrupt_signature = true}, RPC_S_SEC_PKG_ERROR, true},
        Breach{"CorruptSealedStub", {.corrupt_sealed_stub = true}, RPC_S_SEC_PKG_ERROR, true},
        Breach{"WrongSequence", {.wrong_sequence = true}, RPC_S_SEC_PKG_ERROR, true},
        Breach{"OmitTrailer", {.omit_trailer = true}, ERROR_ACCESS_DENIED, false},
        Breach{"OtherLevelInTrailer", {.trailer_level = AuthLevel::kIntegrity}, nca_s_proto_error, true},
        Breach{"OtherProviderInTrailer", {.trailer_type = AuthType::kSpnego}, nca_s_proto_error, true},
        Breach{"UnknownSecurityContext", {.auth_context_id = 4711}, nca_s_proto_error, true},
        Breach{"UnknownContext", {.context_id = 500}, nca_s_unk_if, false},
        Breach{"MorePaddingThanStub", {.auth_pad_length = 36}, nca_s_proto_error, true, 20},
        Breach{"MorePaddingThanBody", {.auth_pad_length = 200}, 0, true, 20},
        Breach{"OmitFirstFlag", {.omit_first_flag = true}, nca_s_proto_error, true},
        Breach{"RepeatFirstFlag", {.repeat_first_flag = true}, nca_s_proto_error, true},
        Breach{"ChangeOpnumMidway", {.change_opnum_midway = true}, nca_s_proto_error, true},
        Breach{"ServersPduType", {.packet_type = 2}, nca_s_proto_error, true},
        Breach{"UnknownPduType", {.packet_type = 77}, nca_s_proto_error, true},
        Breach{"OtherVersion", {.rpc_version = 4}, 0, true},
        Breach{"BigEndian", {.frag_length = 0x4000, .first_data_rep = 0}, 0, true, 16},
        Breach{"FragLengthBelowHeader", {.frag_length = 15}, 0, true},
        Breach{"AuthLengthBeyondFragment", {.auth_length = 60'000}, 0, true}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(Hostile, OddPaddingAndHintsAreLegal) {
  Serve();
  auto client = ConnectPrivately();
  for (const Misbehaviour& odd : {Misbehaviour{.alloc_hint = 0}, Misbehaviour{.alloc_hint = 0xFFFFFFFF},
                                  Misbehaviour{.omit_padding = true}}) {
    auto reply = client->Call(kEcho, kOpEcho, Pattern(6001), std::nullopt, {.misbehaviour = odd});
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_EQ(*reply, Pattern(6001));
  }
}

TEST_F(Hostile, ARequestThatStopsMidwayIsOrphanedWithItsTimeOut) {
  Serve();
  auto client = Connect({.security = Private(), .send_fragment = 992});
  auto reply = client->Call(kEcho, kOpEcho, Pattern(5000), std::nullopt,
                            {.timeout = 100ms, .misbehaviour = {.stop_after_fragments = 2}});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kTimeout);
  EXPECT_EQ(client->Call(kEcho, kOpEcho, Pattern(5000)), Pattern(5000));
}

TEST_F(Hostile, ACutPduHoldsUpOnlyItsConnection) {
  Serve();
  auto client = ConnectPrivately();
  auto reply = client->Call(kEcho, kOpEcho, Pattern(100), std::nullopt,
                            {.timeout = 100ms, .misbehaviour = {.truncate_to = 30}});
  ASSERT_FALSE(reply);
  ExpectAlive();
}

TEST_F(Hostile, ACallIdInUseIsAViolation) {
  Serve();
  auto client = ConnectPrivately();
  Signal ended;
  client->CallAsync(kEcho, kOpWait, {}, std::nullopt, {.misbehaviour = {.call_id = 50}},
                    [&](const Result<Bytes>& reply) {
                      EXPECT_FALSE(reply);
                      ended.Set();
                    });
  ASSERT_TRUE(started_.Await());
  auto reply = client->Call(kEcho, kOpEcho, {}, std::nullopt, {.misbehaviour = {.call_id = 50}});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().status, nca_s_proto_error);
  EXPECT_TRUE(ended.Await());
  EXPECT_TRUE(client->AwaitClose(10s));
}

/// A connection on which only octets of the test's are sent.
class Octets : public Loopback {
 protected:
  void Open() {
    Serve();
    raw_ = Connect();
  }
  Bytes Exchange(Bytes octets) {
    EXPECT_TRUE(raw_->SendOctets(std::move(octets)));
    auto pdu = raw_->ReceivePdu(10s);
    EXPECT_TRUE(pdu) << pdu.error().ToString();
    return pdu.value_or(Bytes(kHeaderSize));
  }
  static Bytes Bind(std::uint8_t context_count = 1, SyntaxId interface = kEcho) {
    BindBody body{.max_xmit = 5840, .max_recv = 5840};
    for (std::uint8_t i = 0; i < context_count; ++i) {
      body.contexts.push_back({i, interface, {kNdr20}});
    }
    return EncodePdu(PacketType::kBind, 3, 1, EncodeBindBody(body));
  }
  static Bytes Request(std::uint32_t call_id, std::uint8_t flags = 3, std::span<const std::byte> stub = {},
                       std::uint16_t opnum = kOpEcho) {
    return EncodePdu(PacketType::kRequest, flags, call_id, EncodeRequestBody(0, 0, opnum, {}, stub));
  }
  static PacketType TypeOf(const Bytes& pdu) { return static_cast<PacketType>(pdu[2]); }

  std::shared_ptr<ClientConnection> raw_;
};

TEST_F(Octets, ARequestBeforeTheBindIsAProtocolError) {
  Open();
  const Bytes answer = Exchange(Request(1));
  EXPECT_EQ(TypeOf(answer), PacketType::kFault);
  EXPECT_EQ(ParseFault(answer)->status, nca_s_proto_error);
  EXPECT_NE(std::to_integer<unsigned>(answer[3]) & kDidNotExecute, 0U);
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Octets, ASecondBindIsAProtocolError) {
  Open();
  EXPECT_EQ(TypeOf(Exchange(Bind())), PacketType::kBindAck);
  EXPECT_EQ(ParseFault(Exchange(Bind()))->status, nca_s_proto_error);
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Octets, ABindOfAnotherVersionIsRefusedWithOurs) {
  Open();
  Bytes bind = Bind();
  bind[0] = std::byte{6};
  const Bytes answer = Exchange(bind);
  ASSERT_EQ(TypeOf(answer), PacketType::kBindNak);
  EXPECT_EQ(ParseBindNak(answer)->reason, kNakProtocolVersion);
  EXPECT_EQ(ParseBindNak(answer)->versions, (std::vector<std::array<std::uint8_t, 2>>{{5, 0}}));
}

TEST_F(Octets, AnUnknownAuthTypeIsRefused) {
  Open();
  BindBody body{.max_xmit = 5840, .max_recv = 5840};
  body.contexts.push_back({0, kEcho, {kNdr20}});
  const Bytes answer =
      Exchange(EncodePdu(PacketType::kBind, 3, 1, EncodeBindBody(body),
                         TrailerSpec{.type = 16, .level = 6, .context_id = 1}, Text("token")));
  ASSERT_EQ(TypeOf(answer), PacketType::kBindNak);
  EXPECT_EQ(ParseBindNak(answer)->reason, kNakAuthType);
}

TEST_F(Octets, ARequestBeforeTheLastLegIsAProtocolError) {
  Serve();
  server_->Register({{0x00000131, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}}, 0, 0},
                    {.handler = [](const CallContext&, Bytes stub) { return stub; }});
  raw_ = Connect();
  EXPECT_EQ(TypeOf(Exchange(FromHex(vectors::kImpacketBind).value())), PacketType::kBindAck);
  EXPECT_EQ(ParseFault(Exchange(FromHex(vectors::kSealedRequest).value()))->status, nca_s_proto_error);
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Octets, ContextsAboveTheLimitAreRejectedOneByOne) {
  options_.limits.contexts_per_connection = 4;
  Open();
  const auto ack = ParseBindAck(Exchange(Bind(6)));
  ASSERT_TRUE(ack);
  ASSERT_EQ(ack->results.size(), 6U);
  EXPECT_EQ(ack->results[3].verdict, 0);
  EXPECT_EQ(ack->results[4].verdict, 2);
  EXPECT_EQ(ack->results[4].reason, kReasonLocalLimit);
}

TEST_F(Octets, AContextIdDoesNotChangeItsInterface) {
  Open();
  Exchange(Bind());
  BindBody body{.max_xmit = 5840, .max_recv = 5840};
  body.contexts.push_back({0, kOther, {kNdr20}});
  body.contexts.push_back({0, kEcho, {kNdr20}});
  const auto ack = ParseBindAck(Exchange(EncodePdu(PacketType::kAlterContext, 3, 2, EncodeBindBody(body))));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->results.at(0).verdict, 2);
  EXPECT_EQ(ack->results.at(1).verdict, 0);
  EXPECT_TRUE(ack->secondary_address.empty());
}

TEST_F(Octets, OnlyKnownFeaturesAreAcknowledged) {
  Open();
  BindBody body{.max_xmit = 5840, .max_recv = 5840};
  body.contexts.push_back({0, kEcho, {FeatureSyntax(0xFF)}});
  const auto ack = ParseBindAck(Exchange(EncodePdu(PacketType::kBind, 3, 1, EncodeBindBody(body))));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->results.at(0).verdict, 3);
  EXPECT_EQ(ack->results.at(0).reason, 3);
}

TEST_F(Octets, SecurityContextsAboveTheLimitAreRefused) {
  options_.limits.auth_contexts_per_connection = 2;
  Open();
  Bytes pdu = FromHex(vectors::kImpacketBind).value();
  auto with_context = [&](std::uint8_t id, std::uint8_t type) {
    pdu[76] = std::byte{id};
    pdu[2] = std::byte{type};
    return pdu;
  };
  EXPECT_EQ(TypeOf(Exchange(with_context(1, 11))), PacketType::kBindAck);
  EXPECT_EQ(TypeOf(Exchange(with_context(2, 14))), PacketType::kAlterContextResp);
  EXPECT_EQ(ParseFault(Exchange(with_context(3, 14)))->status, nca_s_server_too_busy);
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Octets, RequestsAboveTheLimitEndInAFaultAndAClose) {
  options_.limits.request_size = 10'000;
  Open();
  Exchange(Bind());
  ASSERT_TRUE(raw_->SendOctets(Request(2, kFirstFrag, Pattern(5000))));
  ASSERT_TRUE(raw_->SendOctets(Request(2, 0, Pattern(5000))));
  EXPECT_EQ(ParseFault(Exchange(Request(2, 0, Pattern(1))))->status, ERROR_ACCESS_DENIED);
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Octets, CallsAboveTheLimitAreRefusedAsBusy) {
  options_.limits.calls_per_connection = 2;
  Open();
  Exchange(Bind());
  ASSERT_TRUE(raw_->SendOctets(Request(2, 3, {}, kOpWait)));
  ASSERT_TRUE(raw_->SendOctets(Request(3, 3, {}, kOpWait)));
  EXPECT_EQ(ParseFault(Exchange(Request(4)))->status, nca_s_server_too_busy);
  // Orphaning one makes room.
  ASSERT_TRUE(raw_->SendOctets(EncodePdu(PacketType::kOrphaned, 3, 2, {})));
  EXPECT_EQ(TypeOf(Exchange(Request(5))), PacketType::kResponse);
}

TEST_F(Octets, APeerThatNeverBindsIsDisconnected) {
  options_.handshake_timeout = 50ms;
  Open();
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Octets, APeerThatStopsInTheHandshakeIsDisconnected) {
  options_.handshake_timeout = 50ms;
  Open();
  EXPECT_EQ(TypeOf(Exchange(FromHex(vectors::kImpacketBind).value())), PacketType::kBindAck);
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Octets, IdleConnectionsAreClosedWhenAsked) {
  options_.idle_timeout = 50ms;
  Open();
  Exchange(Bind());
  EXPECT_TRUE(raw_->AwaitClose(10s));
}

TEST_F(Hostile, ConnectionsAboveTheLimitAreClosedAtOnce) {
  options_.limits.connections = 2;
  Serve();
  auto first = Connect();
  auto second = Connect();
  ASSERT_TRUE(first->Call(kEcho, kOpEcho, {}));
  ASSERT_TRUE(second->Call(kEcho, kOpEcho, {}));
  auto third = Connect();
  EXPECT_TRUE(third->AwaitClose(10s));
  first->Close();
  ASSERT_TRUE(AwaitConnections(1));
  EXPECT_TRUE(Connect()->Call(kEcho, kOpEcho, {}));
}

TEST_F(Hostile, ABusyPoolRefusesCalls) {
  options_.limits.workers = 1;
  options_.limits.queued_calls = 1;
  Serve();
  auto client = ConnectPrivately();
  auto ignore = [](const Result<Bytes>&) {};
  client->CallAsync(kEcho, kOpHold, {}, std::nullopt, {}, ignore);
  ASSERT_TRUE(started_.Await());
  client->CallAsync(kEcho, kOpEcho, {}, std::nullopt, {}, ignore);
  EXPECT_EQ(client->Call(kEcho, kOpEcho, {}).error().status, nca_s_server_too_busy);
  release_.Set();
}

TEST_F(Hostile, SurvivesGarbage) {
  Serve();
  std::mt19937 random(1);
  const Bytes bind = FromHex(vectors::kImpacketBind).value();
  for (int round = 0; round < 60; ++round) {
    auto client = Connect();
    Bytes octets = round % 2 == 0 ? bind : Bytes(200);
    if (round % 2 == 1) {
      for (auto& octet : octets) {
        octet = static_cast<std::byte>(random());
      }
    } else {
      for (int i = 0; i < 6; ++i) {
        octets[random() % octets.size()] = static_cast<std::byte>(random());
      }
    }
    ASSERT_TRUE(client->SendOctets(octets));
    client->Close();
  }
  ExpectAlive();
  EXPECT_TRUE(AwaitConnections(0));
}

}  // namespace
}  // namespace dmrp::rpc
