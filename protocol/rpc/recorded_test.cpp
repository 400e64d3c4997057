// Recorded exchanges with other implementations, octet for octet.
#include "protocol/rpc/octets.hpp"
#include "protocol/rpc/session_test_host.hpp"
#include "protocol/rpc/vectors.hpp"
#include "protocol/rpc/verification_trailer.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace dmrp::rpc {
namespace {

Bytes Raw(std::string_view hex) { return FromHex(hex).value(); }
std::string Hex(std::span<const std::byte> octets) { return ToHex(octets); }

constexpr Guid kIRemUnknown{0x00000131, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};

class Recorded : public ::testing::Test {
 protected:
  void Open(std::uint16_t port) {
    options_.accounts = MakeAccountStore({{"User", "Domain", HashPassword("Password").value(), {}}});
    session_.emplace(host_, options_,
                     NtlmAcceptorOptions{.netbios_computer = "Server",
                                         .netbios_domain = "Domain",
                                         .dns_computer = "",
                                         .dns_domain = "",
                                         .unasked_flags = kNtlmVersion | kNtlm56},
                     FixedEnvironment(), Endpoint{"127.0.0.1", port}, Endpoint{"127.0.0.1", 1}, 1);
  }
  Bytes Take() {
    if (host_.sent.empty()) {
      return {};
    }
    Bytes pdu = std::move(host_.sent.front());
    host_.sent.erase(host_.sent.begin());
    return pdu;
  }
  /// The bind_ack as recorded, but for the fragment sizes: impacket's limit of 4280 is respected here.
  static Bytes ExpectedBindAck() {
    Bytes ack = Raw(vectors::kImpacketBindAck);
    for (std::size_t offset : {16U, 18U}) {
      ack[offset] = std::byte{0xb8};
      ack[offset + 1] = std::byte{0x10};
    }
    return ack;
  }
  static Bytes AtIntegrity(std::string_view hex) {
    Bytes pdu = Raw(hex);
    const std::size_t token = OctetReader(std::span(pdu).subspan(10)).U16();
    pdu[pdu.size() - token - kTrailerSize + 1] = std::byte{5};
    return pdu;
  }

  ServerOptions options_;
  FakeServerHost host_;
  std::optional<ServerSession> session_;
};

TEST_F(Recorded, ImpacketAtPrivacy) {
  Open(49664);
  session_->OnPdu(Raw(vectors::kImpacketBind));
  EXPECT_EQ(Hex(Take()), Hex(ExpectedBindAck()));
  session_->OnPdu(Raw(vectors::kImpacketAuth3));
  EXPECT_TRUE(host_.sent.empty());
  session_->OnPdu(Raw(vectors::kSealedRequest));
  ASSERT_EQ(host_.dispatched.size(), 1U) << host_.closed.value_or("");
  const auto& call = host_.dispatched[0];
  EXPECT_EQ(Hex(call.stub), Hex(Raw(vectors::kSealedRequestClear)));
  EXPECT_EQ(call.call.interface.uuid, kIRemUnknown);
  EXPECT_EQ(call.call.opnum, 3);
  EXPECT_EQ(call.call.object.value().ToString(), "a0000001-0000-4000-8000-000000000001");
  EXPECT_EQ(call.call.user, "User");
  EXPECT_EQ(call.call.domain, "Domain");
  EXPECT_EQ(call.call.auth_level, AuthLevel::kPrivacy);
  EXPECT_EQ(call.call.auth_type, AuthType::kNtlm);
  EXPECT_EQ(Hex(host_.clear.back()), Hex(Raw(vectors::kSealedRequestClear)));
  session_->Reply(call.ticket, Raw(vectors::kSealedResponseClear));
  EXPECT_EQ(Hex(Take()), Hex(Raw(vectors::kSealedResponse)));
}

TEST_F(Recorded, ImpacketAtIntegrity) {
  Open(49664);
  session_->OnPdu(AtIntegrity(vectors::kImpacketBind));
  Take();
  session_->OnPdu(AtIntegrity(vectors::kImpacketAuth3));
  Bytes request = AtIntegrity(vectors::kSealedRequest);
  std::ranges::copy(Raw(vectors::kSealedRequestClear), request.begin() + 40);
  std::ranges::copy(Raw("01000000ebb8d21bd84c4ef300000000"), request.end() - 16);
  session_->OnPdu(request);
  ASSERT_EQ(host_.dispatched.size(), 1U) << host_.closed.value_or("");
  EXPECT_EQ(Hex(host_.dispatched[0].stub), Hex(Raw(vectors::kSealedRequestClear)));
  session_->Reply(host_.dispatched[0].ticket, Raw(vectors::kSealedResponseClear));
  Bytes response = AtIntegrity(vectors::kSealedResponse);
  const Bytes clear = Raw(vectors::kSealedResponseClear);
  std::fill(response.begin() + 24, response.begin() + 24 + 80, std::byte{0});
  std::ranges::copy(clear, response.begin() + 24);
  std::ranges::copy(Raw("01000000f356a2cfb6579cee00000000"), response.end() - 16);
  EXPECT_EQ(Hex(Take()), Hex(response));
}

TEST_F(Recorded, TheClientsSideOfTheSealedCall) {
  Key16 key{};
  key.fill(std::byte{0x55});
  NtlmSession client(NtlmSession::Side::kClient, key, 0xe0888235);
  Bytes pdu = Raw(vectors::kSealedRequest);
  std::ranges::copy(Raw(vectors::kSealedRequestClear), pdu.begin() + 40);
  const std::size_t token_begin = pdu.size() - 16;
  const Key16 token = client.Protect(std::span(pdu).first(token_begin), 40, token_begin - 8, true);
  std::ranges::copy(token, pdu.begin() + static_cast<std::ptrdiff_t>(token_begin));
  EXPECT_EQ(Hex(pdu), Hex(Raw(vectors::kSealedRequest)));

  Bytes response = Raw(vectors::kSealedResponse);
  const std::size_t end = response.size() - 16;
  const Bytes received(response.begin() + static_cast<std::ptrdiff_t>(end), response.end());
  EXPECT_TRUE(client.Unprotect(std::span(response).first(end), 24, end - 8, true, received));
  const Bytes clear = Raw(vectors::kSealedResponseClear);
  EXPECT_EQ(Hex(std::span(response).subspan(24, clear.size())), Hex(clear));
}

TEST_F(Recorded, SambaWithSpnegoAndHeaderSigning) {
  Open(135);
  session_->OnPdu(Raw(vectors::kSambaBind));
  EXPECT_EQ(Hex(Take()), Hex(Raw(vectors::kSambaBindAck)));
  session_->OnPdu(Raw(vectors::kSambaAlter));
  EXPECT_EQ(Hex(Take()), Hex(Raw(vectors::kSambaAlterResp)));
  session_->OnPdu(Raw(vectors::kSambaRequest));
  ASSERT_EQ(host_.dispatched.size(), 1U) << host_.closed.value_or("");
  EXPECT_EQ(Hex(host_.clear.back()), Hex(Raw(vectors::kSambaRequestClear)));
  // The verification trailer agrees with the PDU and is taken off.
  EXPECT_EQ(Hex(host_.dispatched[0].stub), "01000000");
  EXPECT_EQ(host_.dispatched[0].call.opnum, 40);
  EXPECT_EQ(host_.dispatched[0].call.domain, "DOMAIN");
  EXPECT_EQ(host_.dispatched[0].call.auth_type, AuthType::kSpnego);
}

TEST_F(Recorded, AChangedMechListMicIsRefused) {
  Open(135);
  session_->OnPdu(Raw(vectors::kSambaBind));
  Take();
  Bytes alter = Raw(vectors::kSambaAlter);
  alter[alter.size() - 6] ^= std::byte{1};
  session_->OnPdu(alter);
  const Bytes answer = Take();
  ASSERT_GE(answer.size(), 28U);
  EXPECT_EQ(answer[2], std::byte{3});
  EXPECT_EQ(ParseFault(answer)->status, ERROR_ACCESS_DENIED);
  session_->OnPdu(Raw(vectors::kSambaRequest));
  EXPECT_TRUE(host_.dispatched.empty());
}

TEST_F(Recorded, AContextBoundBeforeTheSecurityStaysOpenAndALaterOneDoesNot) {
  Open(135);
  session_->OnPdu(Raw(vectors::kFeatureBind));
  Take();
  Bytes alter = Raw(vectors::kImpacketBind);
  alter[2] = std::byte{14};
  alter[28] = std::byte{5};
  session_->OnPdu(alter);
  Take();
  session_->OnPdu(Raw(vectors::kImpacketAuth3));
  auto request = [](std::uint32_t call_id, std::uint16_t context) {
    return EncodePdu(PacketType::kRequest, kFirstFrag | kLastFrag, call_id,
                     EncodeRequestBody(0, context, 1, {}, {}));
  };
  session_->OnPdu(request(10, 0));
  ASSERT_EQ(host_.dispatched.size(), 1U);
  EXPECT_EQ(host_.dispatched[0].call.auth_level, AuthLevel::kNone);
  EXPECT_TRUE(host_.dispatched[0].call.anonymous);
  session_->OnPdu(request(11, 5));
  EXPECT_EQ(host_.dispatched.size(), 1U);
  EXPECT_EQ(ParseFault(Take())->status, ERROR_ACCESS_DENIED);
  EXPECT_FALSE(host_.closed);
}

TEST_F(Recorded, FeaturesAndNdr64InOneBind) {
  Open(49664);
  session_->OnPdu(Raw(vectors::kFeatureBind));
  EXPECT_EQ(Hex(Take()), Hex(Raw(vectors::kFeatureBindAck)));
}

TEST_F(Recorded, OpnumOutOfRange) {
  Open(49664);
  session_->OnPdu(Raw(vectors::kFeatureBind));
  Take();
  session_->OnPdu(
      EncodePdu(PacketType::kRequest, kFirstFrag | kLastFrag, 3, EncodeRequestBody(0, 0, 99, {}, {})));
  ASSERT_EQ(host_.dispatched.size(), 1U);
  session_->Reply(host_.dispatched[0].ticket, tl::unexpected(nca_s_op_rng_error));
  EXPECT_EQ(Hex(Take()), Hex(Raw(vectors::kOpRangeFault)));
}

TEST(VerificationTrailer, ReadsAndWritesSambas) {
  const Bytes clear = Raw(vectors::kSambaRequestClear);
  auto found = FindVerificationTrailer(clear);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->offset, 4U);
  EXPECT_EQ(found->trailer.bitmask, 1U);
  EXPECT_EQ(found->trailer.pcontext.value().abstract, kEndpointMapper);
  EXPECT_EQ(found->trailer.pcontext.value().transfer, kNdr20);
  EXPECT_FALSE(found->trailer.header2);
  Bytes built = Raw("01");
  AppendVerificationTrailer(built, found->trailer);
  EXPECT_EQ(Hex(built), Hex(clear));
}

TEST(VerificationTrailer, IsNotFoundInOrdinaryOrCutStubs) {
  EXPECT_FALSE(FindVerificationTrailer({}));
  EXPECT_FALSE(FindVerificationTrailer(Bytes(4096)));
  const Bytes clear = Raw(vectors::kSambaRequestClear);
  EXPECT_FALSE(FindVerificationTrailer(std::span(clear).first(clear.size() - 4)));
}

}  // namespace
}  // namespace dmrp::rpc
