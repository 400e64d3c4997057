#include "protocol/rpc/client_session.hpp"

#include "protocol/rpc/session_test_host.hpp"
#include "protocol/rpc/vectors.hpp"

#include <gtest/gtest.h>

namespace dmrp::rpc {
namespace {

constexpr SyntaxId kInterface{{1, 2, 3, {4}}, 0, 0};

class ClientSide : public ::testing::Test {
 protected:
  std::uint64_t Submit(Misbehaviour misbehaviour = {}) {
    ClientSession::Request request;
    request.interface = kInterface;
    request.misbehaviour = misbehaviour;
    request.done = [this](Result<Bytes> result) { results_.push_back(std::move(result)); };
    return session_.Submit(std::move(request));
  }
  void Accept(bool features = true) {
    BindAckBody ack{.max_xmit = 5840, .max_recv = 5840, .association_group = 1, .secondary_address = "135"};
    ack.results.push_back({0, 0, kNdr20});
    ack.results.push_back(features ? ContextResult{3, 3, {}} : ContextResult{2, 2, {}});
    session_.OnPdu(
        EncodePdu(PacketType::kBindAck, kFirstFrag | kLastFrag | kConcMpx, 1, EncodeBindAckBody(ack)));
  }
  void Respond(std::uint32_t call_id, std::uint8_t flags, std::string_view text) {
    session_.OnPdu(
        EncodePdu(PacketType::kResponse, flags, call_id, EncodeResponseBody(0, 0, 0, AsOctets(text))));
  }

  ConnectOptions options_;
  FakeClientHost host_;
  ClientSession session_{host_, options_, FixedEnvironment()};
  std::vector<Result<Bytes>> results_;
};

TEST_F(ClientSide, DropsTheLateReplyOfAnAbandonedCall) {
  const std::uint64_t ticket = Submit();
  Accept();
  session_.Abandon(ticket, Error{ErrorKind::kTimeout, 0, ""});
  ASSERT_EQ(results_.size(), 1U);
  Submit();
  Respond(2, kFirstFrag, "late");
  Respond(3, kFirstFrag | kLastFrag, "good");
  Respond(2, kLastFrag, "later");
  EXPECT_TRUE(host_.unmatched.empty());
  ASSERT_EQ(results_.size(), 2U);
  EXPECT_EQ(results_[1].value().size(), 4U);
  // Its id means nothing afterwards.
  Respond(2, kFirstFrag | kLastFrag, "stray");
  EXPECT_EQ(host_.unmatched.size(), 1U);
}

TEST_F(ClientSide, JoinsRepliesThatInterleave) {
  Submit();
  Submit();
  Accept();
  Respond(2, kFirstFrag, "a");
  Respond(3, kFirstFrag, "x");
  Respond(3, kLastFrag, "y");
  Respond(2, 0, "b");
  Respond(2, kLastFrag, "c");
  ASSERT_EQ(results_.size(), 2U);
  EXPECT_EQ(ToHex(*results_[0]), "7879");
  EXPECT_EQ(ToHex(*results_[1]), "616263");
}

TEST_F(ClientSide, RefusesReplyFragmentsOutOfOrder) {
  Submit();
  Accept();
  Respond(2, kLastFrag, "no first");
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_EQ(results_[0].error().kind, ErrorKind::kMalformed);
  EXPECT_TRUE(host_.closed);
}

TEST_F(ClientSide, RefusesRepliesAboveItsLimit) {
  options_.max_reply = 5;
  Submit();
  Accept();
  Respond(2, kFirstFrag, "12345");
  EXPECT_TRUE(results_.empty());
  Respond(2, kLastFrag, "6");
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_EQ(results_[0].error().kind, ErrorKind::kLimit);
}

TEST_F(ClientSide, TakesARefusalOfTheFeaturesForNone) {
  Submit();
  Accept(false);
  EXPECT_EQ(session_.negotiated().features, 0U);
  Respond(2, kFirstFrag | kLastFrag, "");
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_TRUE(results_[0]);
}

TEST_F(ClientSide, OpensNoNewCallsAfterShutdown) {
  Submit();
  Accept();
  session_.OnPdu(EncodePdu(PacketType::kShutdown, kFirstFrag | kLastFrag, 0, {}));
  Submit();
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_EQ(results_[0].error().kind, ErrorKind::kUnavailable);
  EXPECT_FALSE(host_.closed) << "the call in flight may still end";
  Respond(2, kFirstFrag | kLastFrag, "done");
  EXPECT_TRUE(results_.at(1));
  EXPECT_TRUE(host_.closed);
}

TEST_F(ClientSide, ANakEndsEverythingWithItsReason) {
  Submit();
  Submit();
  session_.OnPdu(
      EncodePdu(PacketType::kBindNak, kFirstFrag | kLastFrag, 1, EncodeBindNakBody({.reason = 4})));
  ASSERT_EQ(results_.size(), 2U);
  EXPECT_EQ(results_[0].error().kind, ErrorKind::kFault);
  EXPECT_EQ(results_[0].error().status, 4U);
}

TEST_F(ClientSide, UnderstandsARecordedFault) {
  Submit();
  Submit();
  Accept();
  session_.OnPdu(FromHex(vectors::kOpRangeFault).value());
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_EQ(results_[0].error().status, nca_s_op_rng_error);
}

/// A secured client must not take what is not signed.
class SecuredClientSide : public ::testing::Test {};

TEST_F(SecuredClientSide, RefusesAnUnsignedReply) {
  ConnectOptions options;
  options.negotiate_features = false;
  options.security = {.type = AuthType::kNtlm,
                      .level = AuthLevel::kPrivacy,
                      .credentials = {.user = "User", .domain = "Domain", .password = "Password"},
                      .target_name = "cifs/Server"};
  FakeClientHost host;
  ClientSession session(host, options, FixedEnvironment());
  std::optional<Result<Bytes>> result;
  ClientSession::Request request;
  request.interface = kInterface;
  request.done = [&](Result<Bytes> ended) { result = std::move(ended); };
  session.Submit(std::move(request));
  Bytes ack = FromHex(vectors::kImpacketBindAck).value();
  ack[0x40] = std::byte{1};  // The security context's id, our client's choice.
  ack[0x41] = std::byte{0};
  ack[0x42] = std::byte{0};
  session.OnPdu(ack);
  ASSERT_EQ(host.sent.size(), 3U) << "bind, auth3, request";
  EXPECT_EQ(host.sent[1][2], std::byte{16});
  session.OnPdu(EncodePdu(PacketType::kResponse, kFirstFrag | kLastFrag, 2, EncodeResponseBody(0, 0, 0, {})));
  ASSERT_TRUE(result);
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().kind, ErrorKind::kMalformed);
  EXPECT_TRUE(host.closed);
}

}  // namespace
}  // namespace dmrp::rpc
