#include "protocol/rpc/spnego.hpp"

#include "protocol/rpc/handshake.hpp"
#include "protocol/rpc/octets.hpp"
#include "protocol/rpc/vectors.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::rpc {
namespace {

using ::testing::HasSubstr;

Bytes Raw(std::string_view hex) { return FromHex(hex).value(); }

/// A slice of a recorded PDU: its security token.
Bytes TokenOf(std::string_view hex, std::size_t offset) {
  const Bytes pdu = Raw(hex);
  return {pdu.begin() + static_cast<std::ptrdiff_t>(offset), pdu.end()};
}

TEST(SpnegoTokens, ReadsSambasInitialToken) {
  const auto token = ParseNegTokenInit(TokenOf(vectors::kSambaBind, 0x7c));
  ASSERT_TRUE(token) << token.error().ToString();
  ASSERT_EQ(token->mechanisms.size(), 1U);
  EXPECT_TRUE(std::ranges::equal(token->mechanisms[0], NtlmMechanism()));
  EXPECT_TRUE(std::ranges::equal(token->mechanism_list, NtlmMechanismList()));
  EXPECT_TRUE(LooksLikeNtlm(token->token.value()));
  // The token that names NTLM alone has one form.
  EXPECT_EQ(ToHex(EncodeNegTokenInit(*token->token)), ToHex(TokenOf(vectors::kSambaBind, 0x7c)));
}

TEST(SpnegoTokens, WritesWhatItReads) {
  for (const Bytes& token : {TokenOf(vectors::kSambaBindAck, 0x5c), TokenOf(vectors::kSambaAlter, 0x50),
                             TokenOf(vectors::kSambaAlterResp, 0x40)}) {
    const auto parsed = ParseNegTokenResp(token);
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    EXPECT_EQ(ToHex(EncodeNegTokenResp(*parsed)), ToHex(token));
  }
}

TEST(SpnegoTokens, RefuseEveryCut) {
  const Bytes init = TokenOf(vectors::kSambaBind, 0x7c);
  for (std::size_t size = 0; size < init.size(); ++size) {
    EXPECT_FALSE(ParseNegTokenInit(std::span(init).first(size))) << size;
  }
  const Bytes response = TokenOf(vectors::kSambaAlter, 0x50);
  for (std::size_t size = 0; size < response.size(); ++size) {
    EXPECT_FALSE(ParseNegTokenResp(std::span(response).first(size))) << size;
  }
}

TEST(SpnegoTokens, RefuseIndefiniteAndHugeLengths) {
  EXPECT_FALSE(ParseNegTokenResp(Raw("a180 3080 0000 0000")));
  EXPECT_FALSE(ParseNegTokenResp(Raw("a184ffffffff 3000")));
  EXPECT_FALSE(ParseNegTokenResp(Raw("a1850000000002 3000")));
  EXPECT_TRUE(ParseNegTokenResp(Raw("a102 3000")));
  EXPECT_FALSE(ParseNegTokenResp(Raw("a107 3005 a0030a0104"))) << "negState 4";
}

/// A client of its own making against our server's side.
class SpnegoServer : public ::testing::Test {
 protected:
  SpnegoServer() {
    options_.netbios_computer = "SERVER";
    options_.netbios_domain = "DOMAIN";
    client_.emplace(Credentials{.user = "User", .domain = "Domain", .password = "Password"}, "cifs/Server",
                    NtlmEnvironment::System());
  }
  void Open() { server_.emplace(AuthType::kSpnego, options_, accounts_.get(), NtlmEnvironment::System()); }

  /// An initial token that offers Kerberos before NTLM, with a token that only Kerberos would understand.
  static Bytes KerberosFirst() {
    return Raw(
        "602f06062b0601050502a0253023a0193017 06092a864886f712010202 060a2b06010401823702020a"
        "a206 0404 deadbeef");
  }

  NtlmAcceptorOptions options_;
  std::shared_ptr<const AccountStore> accounts_ =
      MakeAccountStore({{"User", "Domain", HashPassword("Password").value(), {}}});
  std::optional<NtlmInitiator> client_;
  std::optional<ServerHandshake> server_;
};

TEST_F(SpnegoServer, IgnoresTheOptimisticTokenOfAnotherMechanism) {
  Open();
  auto first = server_->Next(KerberosFirst());
  ASSERT_TRUE(first) << first.error().ToString();
  auto chosen = ParseNegTokenResp(first->token);
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->state, NegState::kAcceptIncomplete);
  EXPECT_TRUE(std::ranges::equal(chosen->mechanism.value(), NtlmMechanism()));
  EXPECT_FALSE(chosen->token);

  auto second = server_->Next(EncodeNegTokenResp({.token = client_->Negotiate()}));
  ASSERT_TRUE(second) << second.error().ToString();
  auto challenge = ParseNegTokenResp(second->token);
  ASSERT_TRUE(challenge);
  auto last = server_->Next(EncodeNegTokenResp({.token = client_->Authenticate(*challenge->token).value()}));
  ASSERT_TRUE(last) << last.error().ToString();
  EXPECT_TRUE(last->complete);
  EXPECT_EQ(server_->identity().user, "User");
  EXPECT_EQ(ParseNegTokenResp(last->token)->state, NegState::kAcceptCompleted);
}

TEST_F(SpnegoServer, DemandsTheMechListMicOfAClientThatSentAMic) {
  Open();
  auto step = server_->Next(EncodeNegTokenInit(client_->Negotiate()));
  ASSERT_TRUE(step);
  const Bytes authenticate = client_->Authenticate(*ParseNegTokenResp(step->token)->token).value();
  auto last = server_->Next(EncodeNegTokenResp({.token = authenticate}));
  ASSERT_FALSE(last);
  EXPECT_THAT(last.error().message, HasSubstr("mechListMIC is missing"));
  EXPECT_FALSE(server_->Next(EncodeNegTokenResp({.token = authenticate})))
      << "a failed exchange stays failed";
}

TEST_F(SpnegoServer, TakesACopyOfTheTokenForNoMic) {
  options_.timestamp = false;
  Open();
  auto step = server_->Next(EncodeNegTokenInit(client_->Negotiate()));
  ASSERT_TRUE(step);
  const Bytes authenticate = client_->Authenticate(*ParseNegTokenResp(step->token)->token).value();
  auto last = server_->Next(EncodeNegTokenResp({.token = authenticate, .mech_list_mic = authenticate}));
  ASSERT_TRUE(last) << last.error().ToString();
  EXPECT_FALSE(ParseNegTokenResp(last->token)->mech_list_mic);
}

TEST_F(SpnegoServer, RefusesAClientWithoutNtlm) {
  Open();
  Bytes token = KerberosFirst();
  token[token.size() - 9] ^= std::byte{1};
  auto step = server_->Next(token);
  ASSERT_FALSE(step);
  EXPECT_EQ(step.error().kind, ErrorKind::kDenied);
}

TEST(SpnegoClient, RefusesARejectionAndAForeignMechanism) {
  const Security security{.type = AuthType::kSpnego,
                          .level = AuthLevel::kPrivacy,
                          .credentials = {.user = "User", .domain = "Domain", .password = "Password"},
                          .target_name = ""};
  ClientHandshake rejected(security, false, NtlmEnvironment::System());
  rejected.Start();
  EXPECT_EQ(rejected.Next(EncodeNegTokenResp({.state = NegState::kReject})).error().kind, ErrorKind::kDenied);
  ClientHandshake foreign(security, false, NtlmEnvironment::System());
  foreign.Start();
  EXPECT_EQ(foreign
                .Next(EncodeNegTokenResp(
                    {.state = NegState::kAcceptIncomplete, .mechanism = Raw("06092a864886f712010202")}))
                .error()
                .kind,
            ErrorKind::kDenied);
}

TEST(SpnegoClient, RefusesAServerThatDoesNotProveTheMechList) {
  const Security security{.type = AuthType::kSpnego,
                          .level = AuthLevel::kPrivacy,
                          .credentials = {.user = "User", .domain = "Domain", .password = "Password"},
                          .target_name = ""};
  ClientHandshake client(security, false, NtlmEnvironment::System());
  const Bytes init = client.Start();
  auto accounts = MakeAccountStore({{"User", "Domain", HashPassword("Password").value(), {}}});
  ServerHandshake server(AuthType::kSpnego, NtlmAcceptorOptions{}, accounts.get(), NtlmEnvironment::System());
  auto challenge = server.Next(init);
  ASSERT_TRUE(challenge);
  ASSERT_TRUE(client.Next(challenge->token));
  auto done = client.Next(EncodeNegTokenResp({.state = NegState::kAcceptCompleted}));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("mechListMIC"));
}

}  // namespace
}  // namespace dmrp::rpc
