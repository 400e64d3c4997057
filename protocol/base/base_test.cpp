#include "protocol/base/error.hpp"
#include "protocol/base/fault_codes.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp {
namespace {

using ::testing::HasSubstr;

TEST(Guid, ParsesAndPrintsTheTextForm) {
  const auto guid = Guid::Parse("{135698D2-3A37-4d26-99DF-E2BB6AE3AC61}");
  ASSERT_TRUE(guid);
  EXPECT_EQ(guid->ToString(), "135698d2-3a37-4d26-99df-e2bb6ae3ac61");
}

TEST(Guid, PacketFormIsLittleEndianInItsFirstThreeFields) {
  const auto guid = Guid::Parse("135698d2-3a37-4d26-99df-e2bb6ae3ac61");
  ASSERT_TRUE(guid);
  const auto bytes = guid->ToBytes();
  EXPECT_EQ(ToHex(bytes), "d2985613 373a264d 99dfe2bb 6ae3ac61");
  EXPECT_EQ(Guid::FromBytes(bytes), *guid);
}

TEST(Guid, RefusesOtherTextAndNamesIt) {
  for (const char* text : {"", "135698d2", "135698d2-3a37-4d26-99df-e2bb6ae3ac6g",
                           "135698d2+3a37-4d26-99df-e2bb6ae3ac61", "{135698d2-3a37-4d26-99df-e2bb6ae3ac61"}) {
    const auto guid = Guid::Parse(text);
    ASSERT_FALSE(guid) << text;
    EXPECT_EQ(guid.error().kind, ErrorKind::kMalformed);
    EXPECT_THAT(guid.error().message, HasSubstr(text));
  }
}

TEST(Guid, RandomOnesDifferAndAreVersion4) {
  const Guid first = Guid::Random();
  EXPECT_NE(first, Guid::Random());
  EXPECT_EQ(first.Data3 >> 12, 4);
  EXPECT_EQ(first.Data4[0] >> 6, 2);
}

TEST(Text, Utf16RoundTripsThroughUtf8) {
  const std::u16string text = u"Gr\u00f6\u00dfe \u20ac \U0001F4BE";
  const auto back = ToUtf16(ToUtf8(text));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, text);
}

TEST(Text, UnpairedSurrogateIsShownAsReplacementCharacter) {
  const char16_t unpaired[] = {u'a', 0xD800, u'b', 0};
  EXPECT_EQ(ToUtf8(unpaired),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(Text, BadUtf8NamesItsOffset) {
  for (const char* text : {"ab\xff", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xe2\x82"}) {
    const auto result = ToUtf16(text);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, HasSubstr("offset 2"));
  }
}

TEST(Text, HexRoundTrips) {
  const auto bytes = FromHex("05000b03 1000\n0000ff");
  ASSERT_TRUE(bytes);
  EXPECT_EQ(ToHex(*bytes), "05000b03 10000000 ff");
  EXPECT_FALSE(FromHex("0"));
  EXPECT_FALSE(FromHex("0x"));
}

TEST(Error, TextNamesKindAndFaultStatus) {
  EXPECT_EQ((Error{ErrorKind::kFault, 0x1C010002, "opnum 200"}).ToString(), "Fault 0x1C010002: opnum 200");
  EXPECT_EQ(FailErrno("open /x", 2).value().status, 2U);
}

TEST(FaultCodes, HaveNamesAndMeanings) {
  EXPECT_EQ(FaultName(nca_s_op_rng_error), "nca_s_op_rng_error (0x1c010002)");
  EXPECT_EQ(FaultName(ERROR_ACCESS_DENIED), "ERROR_ACCESS_DENIED (0x00000005)");
  EXPECT_EQ(FaultName(0x80010108), "RPC_E_DISCONNECTED (0x80010108)") << "HRESULTs travel in faults too";
  EXPECT_EQ(FaultName(0x12345678), "0x12345678");
  ASSERT_NE(FindFaultCode(RPC_X_BAD_STUB_DATA), nullptr);
  EXPECT_EQ(FindFaultCode(RPC_X_BAD_STUB_DATA)->meaning, "the stub received bad data");
  EXPECT_EQ(FindFaultCode(0x12345678), nullptr);
}

}  // namespace
}  // namespace dmrp
