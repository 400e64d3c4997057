#include "protocol/rpc/loopback.hpp"

#include <gmock/gmock.h>

namespace dmrp::rpc {
namespace {

using ::testing::HasSubstr;

struct Combination {
  AuthType type;
  AuthLevel level;
  bool raw = false;
};

class EveryLevel : public Loopback, public ::testing::WithParamInterface<Combination> {};

TEST_P(EveryLevel, CallsCarryTheIdentity) {
  Serve();
  const auto [type, level, raw] = GetParam();
  auto client = Connect({.security = Secured(type, level), .raw_ntlm_in_spnego = raw});
  for (const SyntaxId& interface : {kEcho, kOther, kEcho}) {
    auto reply = client->Call(interface, kOpIdentity, {});
    ASSERT_TRUE(reply) << reply.error().ToString();
    const std::string level_name(ToString(level == AuthLevel::kCall ? AuthLevel::kPacket : level));
    const std::string wanted =
        level == AuthLevel::kNone
            ? "||none|none|anonymous||"
            : "DMRP|dmrp-admin|" + level_name + "|" + std::string(ToString(type)) + "|known|Administrators|";
    EXPECT_EQ(AsText(*reply), wanted);
  }
  for (std::size_t size : {1U, 15U, 16U, 17U, 5000U, 60'001U}) {
    auto reply = client->Call(kEcho, kOpEcho, Pattern(size));
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_EQ(*reply, Pattern(size));
  }
  auto fault = client->Call(kEcho, kOpCount, {});
  ASSERT_FALSE(fault);
  EXPECT_EQ(fault.error().status, nca_s_op_rng_error);
  // The sequence numbers still agree.
  EXPECT_TRUE(client->Call(kEcho, kOpEcho, {}));
  EXPECT_EQ(client->negotiated().header_signing, level >= AuthLevel::kCall);
}

INSTANTIATE_TEST_SUITE_P(Security, EveryLevel,
                         ::testing::Values(Combination{AuthType::kNone, AuthLevel::kNone},
                                           Combination{AuthType::kNtlm, AuthLevel::kConnect},
                                           Combination{AuthType::kNtlm, AuthLevel::kCall},
                                           Combination{AuthType::kNtlm, AuthLevel::kPacket},
                                           Combination{AuthType::kNtlm, AuthLevel::kIntegrity},
                                           Combination{AuthType::kNtlm, AuthLevel::kPrivacy},
                                           Combination{AuthType::kSpnego, AuthLevel::kConnect},
                                           Combination{AuthType::kSpnego, AuthLevel::kPacket},
                                           Combination{AuthType::kSpnego, AuthLevel::kIntegrity},
                                           Combination{AuthType::kSpnego, AuthLevel::kPrivacy},
                                           Combination{AuthType::kSpnego, AuthLevel::kPrivacy, true}),
                         [](const auto& info) {
                           return std::string(ToString(info.param.type)) + "_" +
                                  std::string(ToString(info.param.level)) + (info.param.raw ? "_raw" : "");
                         });

class SecurityPolicy : public Loopback {};

TEST_F(SecurityPolicy, WrongPasswordIsDeniedWithNtlm) {
  Serve();
  Security security = Private();
  security.credentials.password = "guess";
  auto client = Connect({.security = security});
  // auth3 has no answer: the first request gets it.
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto reply = client->Call(kEcho, kOpEcho, {});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, ErrorKind::kFault);
    EXPECT_EQ(reply.error().status, ERROR_ACCESS_DENIED) << reply.error().ToString();
  }
  ExpectAlive();
}

TEST_F(SecurityPolicy, TheServersOwnLogSaysWhyALogonFailed) {
  std::mutex mutex;
  std::vector<std::string> reasons;
  Signal told;
  options_.trouble_observer = [&](std::uint64_t, const Endpoint& peer, const std::string& reason) {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(peer.host, "127.0.0.1");
    reasons.push_back(reason);
    told.Set();
  };
  Serve();
  Security security = Private();
  security.credentials.password = "guess";
  EXPECT_FALSE(Connect({.security = security})->Call(kEcho, kOpEcho, {}));
  ASSERT_TRUE(told.Await());
  const std::lock_guard lock(mutex);
  EXPECT_THAT(reasons.at(0), HasSubstr("wrong password for DMRP\\dmrp-admin"));
}

TEST_F(SecurityPolicy, WrongPasswordAtConnectLevelIsDeniedToo) {
  Serve();
  Security security = Secured(AuthType::kNtlm, AuthLevel::kConnect);
  security.credentials.password = "guess";
  auto reply = Connect({.security = security})->Call(kEcho, kOpEcho, {});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().status, ERROR_ACCESS_DENIED);
}

TEST_F(SecurityPolicy, WrongPasswordIsDeniedWithSpnego) {
  Serve();
  Security security = Secured(AuthType::kSpnego, AuthLevel::kPrivacy);
  security.credentials.password = "guess";
  auto reply = Connect({.security = security})->Call(kEcho, kOpEcho, {});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kDenied);
  EXPECT_EQ(reply.error().status, ERROR_ACCESS_DENIED) << reply.error().ToString();
}

TEST_F(SecurityPolicy, AnInterfaceRefusesLevelsBelowItsMinimum) {
  Serve();
  server_->Register(kOther, {.handler = [](const CallContext&, Bytes stub) { return stub; },
                             .minimum_level = AuthLevel::kIntegrity,
                             .denied_status = 0x80070005});
  for (auto [level, allowed] : {std::pair{AuthLevel::kNone, false}, std::pair{AuthLevel::kConnect, false},
                                std::pair{AuthLevel::kPacket, false}, std::pair{AuthLevel::kIntegrity, true},
                                std::pair{AuthLevel::kPrivacy, true}}) {
    auto client =
        Connect({.security = level == AuthLevel::kNone ? Security{} : Secured(AuthType::kNtlm, level)});
    EXPECT_TRUE(client->Call(kEcho, kOpEcho, {}));
    auto reply = client->Call(kOther, kOpEcho, {});
    EXPECT_EQ(reply.has_value(), allowed) << ToString(level);
    if (!reply) {
      EXPECT_EQ(reply.error().status, 0x80070005U);
    }
  }
}

TEST_F(SecurityPolicy, AccessCheckDecidesPerCall) {
  Serve();
  server_->Register(kOther, {.handler = [](const CallContext&, Bytes stub) { return stub; },
                             .access_check = [](const CallContext& call) -> std::uint32_t {
                               return call.opnum == 5 || call.auth_level >= AuthLevel::kPacket ? 0 : 0x1234;
                             }});
  auto client = Connect();
  EXPECT_TRUE(client->Call(kOther, 5, {}));
  EXPECT_EQ(client->Call(kOther, 4, {}).error().status, 0x1234U);
  EXPECT_TRUE(ConnectPrivately()->Call(kOther, 4, {}));
}

TEST_F(SecurityPolicy, AnonymousLogonIsAMatterOfPolicy) {
  Security security = Private();
  security.credentials = {.anonymous = true};
  Serve();
  auto refused = Connect({.security = security})->Call(kEcho, kOpEcho, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, ERROR_ACCESS_DENIED);

  options_.allow_anonymous = true;
  Serve();
  auto reply = Connect({.security = security})->Call(kEcho, kOpIdentity, {});
  ASSERT_TRUE(reply) << reply.error().ToString();
  EXPECT_EQ(AsText(*reply), "||privacy|ntlm|anonymous||");
}

TEST_F(SecurityPolicy, AProviderThatIsNotOfferedIsRefusedInTheBind) {
  options_.offer_spnego = false;
  Serve();
  auto reply =
      Connect({.security = Secured(AuthType::kSpnego, AuthLevel::kPrivacy)})->Call(kEcho, kOpEcho, {});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(reply.error().message, HasSubstr("reason 8"));
  EXPECT_TRUE(ConnectPrivately()->Call(kEcho, kOpEcho, {}));
}

TEST_F(SecurityPolicy, HeaderSigningIsAgreedOnlyWhenBothWantIt) {
  options_.header_signing = false;
  Serve();
  auto client = ConnectPrivately();
  EXPECT_TRUE(client->Call(kEcho, kOpEcho, Text("x")));
  EXPECT_FALSE(client->negotiated().header_signing);
}

TEST_F(SecurityPolicy, VerificationTrailersAreCheckedAndTakenOff) {
  for (bool header_signing : {true, false}) {
    options_.header_signing = header_signing;
    Serve();
    Security security = Private();
    security.header_signing = header_signing;
    auto client = Connect({.security = security, .verification_trailer = true});
    for (int call = 0; call < 3; ++call) {
      auto reply = client->Call(kEcho, kOpEcho, Text("12345678"));
      ASSERT_TRUE(reply) << reply.error().ToString();
      EXPECT_EQ(AsText(*reply), "12345678");
    }
  }
}

TEST_F(SecurityPolicy, AVerificationTrailerThatContradictsTheRequestIsRefused) {
  // The client's trailer says that header signing was offered, which somebody on the way took out of the
  // bind.
  Serve();
  Security security = Private();
  security.header_signing = false;
  auto client = Connect({.security = security});
  Bytes stub = Text("12345678");
  const Bytes trailer = FromHex("8ae31371 02f43671 01400400 01000000").value();
  stub.insert(stub.end(), trailer.begin(), trailer.end());
  auto reply = client->Call(kEcho, kOpEcho, stub);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().status, ERROR_ACCESS_DENIED);
}

TEST_F(SecurityPolicy, WithoutAStoreNobodyLogsOn) {
  options_.accounts = nullptr;
  Serve();
  EXPECT_EQ(ConnectPrivately()->Call(kEcho, kOpEcho, {}).error().status, ERROR_ACCESS_DENIED);
  EXPECT_TRUE(Connect()->Call(kEcho, kOpEcho, {}));
}

}  // namespace
}  // namespace dmrp::rpc
