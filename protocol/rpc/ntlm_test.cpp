#include "protocol/rpc/ntlm.hpp"

#include "protocol/rpc/octets.hpp"
#include "protocol/rpc/session_test_host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::rpc {
namespace {

using ::testing::HasSubstr;

std::string Hex(std::span<const std::byte> octets) {
  std::string text = ToHex(octets);
  std::erase(text, ' ');
  return text;
}
Bytes Raw(std::string_view hex) { return FromHex(hex).value(); }
Key16 AsKey(std::string_view hex) {
  Key16 key{};
  std::ranges::copy(Raw(hex), key.begin());
  return key;
}

// [MS-NLMP] 4.2.4.
constexpr std::uint32_t kVectorFlags = 0xe28a8233;
constexpr std::string_view kBlob =
    "01010000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e0001000c0053006500"
    "72007600"
    "650072000000000000000000";
const Key16 kExportedKey = AsKey("55555555555555555555555555555555");

TEST(NtlmVectors, ResponseAndSessionKeys) {
  const NtHash hash = HashPassword("Password").value();
  const Key16 owf = NtOwfV2(hash, u"User", u"Domain");
  EXPECT_EQ(Hex(owf), "0c868a403bfd7a93a3001ef22ef02e3f");
  const Bytes challenge = Raw("0123456789abcdef");
  const Key16 proof = NtProof(owf, challenge, Raw(kBlob));
  EXPECT_EQ(Hex(proof), "68cd0ab851e51c96aabc927bebef6a1c");
  const Key16 base = HmacMd5(owf, {proof});
  EXPECT_EQ(Hex(base), "8de40ccadbc14a82f15cb0ad0de95ca3");
  EXPECT_EQ(Hex(HmacMd5(owf, {challenge, Raw("aaaaaaaaaaaaaaaa")})), "86c35097ac9cec102554764a57cccc19");
  EXPECT_EQ(Hex(Rc4Once(base, kExportedKey)), "c5dad2544fc9799094ce1ce90bc9d03e");
}

TEST(NtlmVectors, SigningAndSealingKeys) {
  const auto client = NtlmSession::DeriveKeys(kExportedKey, kVectorFlags, true);
  EXPECT_EQ(Hex(client.sign), "4788dc861b4782f35d43fd98fe1a2d39");
  EXPECT_EQ(Hex(client.seal), "59f600973cc4960a25480a7c196e4c58");
  const auto server = NtlmSession::DeriveKeys(kExportedKey, kVectorFlags, false);
  EXPECT_EQ(Hex(server.sign), "d04d6f10741041d1d246d64188d7a8ad");
  EXPECT_EQ(Hex(server.seal), "9355f3a957c1583d25c4c2f11e40390e");
}

TEST(NtlmVectors, SealedMessageInBothDirections) {
  struct Case {
    NtlmSession::Side side;
    std::string_view sealed;
    std::string_view token;
  };
  for (const Case& each : {Case{NtlmSession::Side::kClient, "54e50165bf1936dc996020c1811b0f06fb5f",
                                "010000007fb38ec5c55d497600000000"},
                           Case{NtlmSession::Side::kServer, "160871b730ba74e946c453d7465b54278dd0",
                                "01000000b298b847ce7c580700000000"}}) {
    Bytes message = Utf16Octets(u"Plaintext");
    NtlmSession session(each.side, kExportedKey, kVectorFlags);
    const Key16 token = session.Protect(message, 0, message.size(), true);
    EXPECT_EQ(Hex(message), each.sealed);
    EXPECT_EQ(Hex(token), each.token);

    const auto other =
        each.side == NtlmSession::Side::kClient ? NtlmSession::Side::kServer : NtlmSession::Side::kClient;
    NtlmSession receiver(other, kExportedKey, kVectorFlags);
    EXPECT_TRUE(receiver.Unprotect(message, 0, message.size(), true, token));
    EXPECT_EQ(message, Utf16Octets(u"Plaintext"));
  }
}

TEST(NtlmSession, RefusesChangedAndRepeatedMessages) {
  NtlmSession sender(NtlmSession::Side::kClient, kExportedKey, kVectorFlags);
  NtlmSession receiver(NtlmSession::Side::kServer, kExportedKey, kVectorFlags);
  Bytes message = Raw("00112233");
  const Key16 token = sender.Protect(message, 0, 4, false);
  Bytes changed = message;
  changed[2] ^= std::byte{1};
  NtlmSession copy = receiver;
  EXPECT_FALSE(copy.Unprotect(changed, 0, 4, false, token));
  EXPECT_TRUE(receiver.Unprotect(message, 0, 4, false, token));
  EXPECT_FALSE(receiver.Unprotect(message, 0, 4, false, token));
  EXPECT_FALSE(copy.Unprotect(message, 0, 4, false, Bytes(8)));
}

TEST(NtlmSession, WeakerKeysUseFewerOctets) {
  const auto full = NtlmSession::DeriveKeys(kExportedKey, kNtlm128, true);
  const auto medium = NtlmSession::DeriveKeys(kExportedKey, kNtlm56, true);
  const auto weak = NtlmSession::DeriveKeys(kExportedKey, 0, true);
  EXPECT_NE(full.seal, medium.seal);
  EXPECT_NE(medium.seal, weak.seal);
  EXPECT_EQ(full.sign, weak.sign);
}

TEST(UpperCase, MapsBeyondAscii) { EXPECT_EQ(UpperCase(u"aZ09 ä ÿ я ǆ ß"), u"AZ09 Ä Ÿ Я Ǆ ß"); }

/// The three messages between an initiator and an acceptor.
class NtlmExchange : public ::testing::Test {
 protected:
  Result<NtlmIdentity> Run(const std::function<void(Bytes&)>& change = {}) {
    initiator_.emplace(credentials_, "cifs/Server", NtlmEnvironment::System());
    acceptor_.emplace(options_, accounts_.get(), NtlmEnvironment::System());
    auto challenge = acceptor_->Challenge(initiator_->Negotiate());
    if (!challenge) {
      return tl::unexpected(challenge.error());
    }
    auto authenticate = initiator_->Authenticate(*challenge);
    if (!authenticate) {
      return tl::unexpected(authenticate.error());
    }
    if (change) {
      change(*authenticate);
    }
    return acceptor_->Authenticate(*authenticate);
  }

  Credentials credentials_{"user", "DOMAIN", "Password", "WS", false};
  NtlmAcceptorOptions options_{.netbios_computer = "SERVER",
                               .netbios_domain = "DOMAIN",
                               .dns_computer = "server.example",
                               .dns_domain = "example"};
  std::shared_ptr<const AccountStore> accounts_ =
      MakeAccountStore({{"User", "Domain", HashPassword("Password").value(), {"Administrators"}}});
  std::optional<NtlmInitiator> initiator_;
  std::optional<NtlmAcceptor> acceptor_;
};

TEST_F(NtlmExchange, AgreesOnTheSessionKeyAndNamesTheAccount) {
  auto identity = Run();
  ASSERT_TRUE(identity) << identity.error().ToString();
  EXPECT_EQ(identity->user, "User");
  EXPECT_EQ(identity->domain, "DOMAIN");
  EXPECT_EQ(identity->groups, std::vector<std::string>{"Administrators"});
  EXPECT_FALSE(identity->anonymous);
  EXPECT_EQ(initiator_->session().exported_key(), acceptor_->session().exported_key());
  EXPECT_TRUE(acceptor_->received_mic());
}

TEST_F(NtlmExchange, WithoutTimestampThereIsNoMic) {
  options_.timestamp = false;
  auto identity = Run();
  ASSERT_TRUE(identity) << identity.error().ToString();
  EXPECT_FALSE(initiator_->sent_mic());
  EXPECT_FALSE(acceptor_->received_mic());
}

TEST_F(NtlmExchange, RefusesAWrongPassword) {
  credentials_.password = "password";
  auto identity = Run();
  ASSERT_FALSE(identity);
  EXPECT_EQ(identity.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(identity.error().message, HasSubstr("wrong password"));
}

TEST_F(NtlmExchange, RefusesAnUnknownUserAndAForeignDomain) {
  credentials_.user = "nobody";
  EXPECT_THAT(Run().error().message, HasSubstr("no account"));
  credentials_ = {"user", "ELSEWHERE", "Password", "", false};
  EXPECT_THAT(Run().error().message, HasSubstr("no account"));
}

TEST_F(NtlmExchange, RefusesAChangedMic) {
  auto identity = Run([](Bytes& message) { message[72] ^= std::byte{1}; });
  ASSERT_FALSE(identity);
  EXPECT_THAT(identity.error().message, HasSubstr("MIC"));
}

TEST_F(NtlmExchange, TheMicCoversTheFlags) {
  EXPECT_FALSE(Run([](Bytes& message) { message[63] ^= std::byte{0x80}; }));
}

TEST_F(NtlmExchange, RefusesNtlmVersion1) {
  auto identity = Run([](Bytes& message) { message[20] = std::byte{24}; });
  ASSERT_FALSE(identity);
  EXPECT_THAT(identity.error().message, HasSubstr("not NTLMv2"));
}

TEST_F(NtlmExchange, RefusesAClientWithoutExtendedSessionSecurity) {
  auto identity = Run([](Bytes& message) { message[62] &= std::byte{0xF7}; });
  ASSERT_FALSE(identity);
  EXPECT_EQ(identity.error().kind, ErrorKind::kDenied);
}

TEST_F(NtlmExchange, AnonymousIsAMatterOfPolicy) {
  credentials_ = {.anonymous = true};
  auto refused = Run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kDenied);
  options_.allow_anonymous = true;
  auto identity = Run();
  ASSERT_TRUE(identity) << identity.error().ToString();
  EXPECT_TRUE(identity->anonymous);
  EXPECT_TRUE(identity->user.empty());
  EXPECT_EQ(initiator_->session().exported_key(), acceptor_->session().exported_key());
}

TEST_F(NtlmExchange, AcceptsAResponseMadeWithAnEmptyDomain) {
  // The client computes with an empty domain and then names one; no MIC covers the message.
  accounts_ = MakeAccountStore({{"User", "", HashPassword("Password").value(), {}}});
  options_.timestamp = false;
  credentials_.domain = "";
  auto identity = Run([](Bytes& message) { std::copy_n(message.begin() + 36, 8, message.begin() + 28); });
  ASSERT_TRUE(identity) << identity.error().ToString();
  EXPECT_EQ(identity->domain, "user");
}

TEST(NtlmMessages, RefuseCutAndMisplacedFields) {
  EXPECT_FALSE(ParseNtlmNegotiate(Raw("4e544c4d53535000 01000000 0000")));
  EXPECT_FALSE(ParseNtlmChallenge(Raw("4e544c4d53535000 02000000 0000")));
  EXPECT_FALSE(ParseNtlmNegotiate(Raw("4e544c4d53535000 03000000 00000000")));
  NtlmInitiator initiator({"u", "d", "p", "", false}, "", FixedEnvironment());
  initiator.Negotiate();
  NtlmAcceptor acceptor(
      {.netbios_computer = "S", .netbios_domain = "D", .dns_computer = "", .dns_domain = ""}, nullptr,
      FixedEnvironment());
  NtlmInitiator sender({"u", "d", "p", "", false}, "", FixedEnvironment());
  const Bytes challenge = acceptor.Challenge(sender.Negotiate()).value();
  const Bytes message = sender.Authenticate(challenge).value();
  for (std::size_t size = 0; size < message.size(); ++size) {
    // Every field that a cut reaches is noticed.
    EXPECT_FALSE(ParseNtlmAuthenticate(std::span(message).first(size))) << size;
  }
  EXPECT_TRUE(ParseNtlmAuthenticate(message));
}

TEST(AccountStore, FindsWithoutCaseAndByDomain) {
  auto store = MakeAccountStore({{"Ann", "A", {}, {}}, {"ann", "B", {}, {"g"}}, {"Local", "", {}, {}}});
  EXPECT_EQ(store->Find("ANN", "b")->groups, std::vector<std::string>{"g"});
  EXPECT_EQ(store->Find("ann", "")->domain, "A");
  EXPECT_EQ(store->Find("ann", ".")->domain, "A");
  EXPECT_FALSE(store->Find("ann", "C"));
  EXPECT_TRUE(store->Find("local", "anything"));
  EXPECT_FALSE(store->Find("", ""));
}

}  // namespace
}  // namespace dmrp::rpc
