#include "protocol/rpc/pdu.hpp"

#include "protocol/rpc/vectors.hpp"

#include <gtest/gtest.h>

namespace dmrp::rpc {
namespace {

Bytes Raw(std::string_view hex) { return FromHex(hex).value(); }

TEST(PduFramer, CutsAStreamThatArrivesOctetByOctet) {
  Bytes stream = Raw(vectors::kImpacketBind);
  const Bytes second = Raw(vectors::kOpRangeFault);
  stream.insert(stream.end(), second.begin(), second.end());
  PduFramer framer;
  std::vector<Bytes> pdus;
  for (std::byte octet : stream) {
    framer.Feed({&octet, 1});
    while (auto pdu = framer.Next().value()) {
      pdus.push_back(std::move(*pdu));
    }
  }
  EXPECT_EQ(pdus, (std::vector<Bytes>{Raw(vectors::kImpacketBind), second}));
  EXPECT_EQ(framer.buffered(), 0U);
}

TEST(PduFramer, RefusesLengthsBelowAHeader) {
  for (unsigned length : {0U, 15U}) {
    Bytes pdu = Raw(vectors::kOpRangeFault);
    pdu[8] = static_cast<std::byte>(length);
    PduFramer framer;
    framer.Feed(pdu);
    auto next = framer.Next();
    ASSERT_FALSE(next) << length;
    EXPECT_EQ(next.error().kind, ErrorKind::kMalformed);
  }
}

TEST(Pdu, ParsersRefuseEveryCut) {
  const Bytes bind = Raw(vectors::kFeatureBind);
  for (std::size_t size = 0; size < bind.size(); ++size) {
    EXPECT_FALSE(ParseBind(std::span(bind).first(size))) << size;
  }
  const Bytes ack = Raw(vectors::kFeatureBindAck);
  for (std::size_t size = 0; size < ack.size(); ++size) {
    EXPECT_FALSE(ParseBindAck(std::span(ack).first(size))) << size;
  }
}

TEST(Pdu, WritesWhatItReads) {
  const Bytes bind = Raw(vectors::kFeatureBind);
  const auto body = ParseBind(bind);
  ASSERT_TRUE(body);
  EXPECT_EQ(ToHex(EncodePdu(PacketType::kBind, 3, 2, EncodeBindBody(*body))), ToHex(bind));
  EXPECT_EQ(FeaturesOf(body->contexts.at(2).transfers.at(0)), 3U);
  EXPECT_EQ(FeatureSyntax(3), body->contexts.at(2).transfers.at(0));
  EXPECT_FALSE(FeaturesOf(kNdr20));
  const Bytes ack = Raw(vectors::kFeatureBindAck);
  EXPECT_EQ(ToHex(EncodePdu(PacketType::kBindAck, 3, 2, EncodeBindAckBody(*ParseBindAck(ack)))), ToHex(ack));
}

TEST(Pdu, LayoutRefusesTokensAndPaddingThatDoNotFit) {
  const Bytes good = Raw(vectors::kSealedRequest);
  ASSERT_TRUE(ParseLayout(good));
  EXPECT_EQ(ParseLayout(good)->trailer->context_id, 0x1357fU);
  Bytes token = good;
  token[10] = static_cast<std::byte>(good.size() - kHeaderSize - kTrailerSize + 1);
  EXPECT_FALSE(ParseLayout(token));
  Bytes padding = good;
  padding[good.size() - 24 + 2] = std::byte{200};
  EXPECT_FALSE(ParseLayout(padding));
  EXPECT_FALSE(ParseLayout(std::span(good).first(good.size() - 1)));
}

}  // namespace
}  // namespace dmrp::rpc
