#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <cstdint>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace dmrp::ndr {
namespace {

using namespace std::string_literals;

Bytes Hex(const char* text) { return FromHex(text).value(); }

TEST(NdrWriter, AlignsEachIntegerToItsSizeWithZeros) {
  Writer writer;
  writer.Put(std::uint8_t{0x11});
  writer.Put(std::int16_t{-2});
  writer.Put(std::uint32_t{0x01020304});
  writer.Put(true);
  writer.Put(std::int64_t{-1});
  writer.Put(u'A');
  EXPECT_EQ(ToHex(*std::move(writer).Take()), "1100feff 04030201 01000000 00000000 ffffffff ffffffff 4100");
}

TEST(NdrWriter, GuidsAreFourAligned) {
  Writer writer;
  writer.Put(std::uint16_t{1});
  writer.Put(Guid::Parse("00112233-4455-6677-8899-aabbccddeeff").value());
  EXPECT_EQ(ToHex(*std::move(writer).Take()), "01000000 33221100 55447766 8899aabb ccddeeff");
}

TEST(NdrWriter, ReferentsCountUpInFours) {
  Writer writer;
  writer.PutReferent(true);
  writer.PutReferent(false);
  writer.PutReferent(true);
  EXPECT_EQ(ToHex(*std::move(writer).Take()), "00000200 00000000 04000200");
}

TEST(NdrWriter, InterfacePointersCarryTheirLengthTwice) {
  Writer writer;
  writer.PutInterfacePointer(Hex("4d454f5701"));
  writer.PutInterfacePointer(std::nullopt);
  EXPECT_EQ(ToHex(*std::move(writer).Take()), "00000200 05000000 05000000 4d454f57 01000000 00000000");
}

TEST(NdrWriter, FirstErrorStays) {
  Writer writer;
  writer.PutString(u"no end", "T.name");
  writer.Fail("T.other", "later");
  const Result<Bytes> octets = std::move(writer).Take();
  ASSERT_FALSE(octets.has_value());
  EXPECT_EQ(octets.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(octets.error().message, "T.name at offset 0: a string without its terminating null");
}

TEST(NdrWriter, CountsMustFitTheirType) {
  Writer writer;
  writer.PutCount<std::uint16_t>(0x10000, "T.count");
  EXPECT_FALSE(writer.ok());
}

TEST(NdrReader, ReadsBothByteOrders) {
  const Bytes stream = Hex("01000203 04050607 08090a0b 0c0d0e0f 00112233 44556677 8899aabb ccddeeff");
  for (const ByteOrder order : {ByteOrder::kLittle, ByteOrder::kBig}) {
    Reader reader(stream, order);
    std::uint8_t small = 0;
    std::uint16_t word = 0;
    std::uint64_t wide = 0;
    Guid guid;
    reader.Get(small, "small");
    reader.Get(word, "word");
    reader.Get(wide, "wide");
    reader.Get(guid, "guid");
    EXPECT_EQ(small, 1);
    const bool little = order == ByteOrder::kLittle;
    EXPECT_EQ(word, little ? 0x0302 : 0x0203);
    EXPECT_EQ(wide, little ? 0x0f0e0d0c0b0a0908u : 0x08090a0b0c0d0e0fu);
    EXPECT_EQ(guid.ToString(),
              little ? "33221100-5544-7766-8899-aabbccddeeff" : "00112233-4455-6677-8899-aabbccddeeff");
    EXPECT_EQ(reader.remaining(), 0u);
  }
}

TEST(NdrReader, ErrorNamesFieldAndOffsetAndStays) {
  const Bytes stream = Hex("0100");
  Reader reader(stream);
  std::uint16_t word = 0;
  std::uint32_t wide = 77;
  reader.Get(word, "T.word");
  reader.Get(wide, "T.wide");
  reader.Get(word, "T.later");
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error()->kind, ErrorKind::kMalformed);
  EXPECT_EQ(reader.error()->status, RPC_X_BAD_STUB_DATA);
  EXPECT_EQ(reader.error()->message, "T.wide at offset 2: needs 2 octets, 0 left");
  EXPECT_EQ(wide, 0u);
  EXPECT_EQ(word, 0u);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(NdrReader, BooleansOtherThanZeroAndOneAreTrueAndNoted) {
  const Bytes stream = Hex("000102");
  Reader reader(stream);
  bool value = true;
  reader.Get(value, "T.a");
  EXPECT_FALSE(value);
  reader.Get(value, "T.b");
  EXPECT_TRUE(value);
  EXPECT_TRUE(reader.anomalies().empty());
  reader.Get(value, "T.c");
  EXPECT_TRUE(value);
  ASSERT_EQ(reader.anomalies().size(), 1u);
  EXPECT_EQ(reader.anomalies()[0], (Anomaly{"T.c", 3, "boolean 2 is neither 0 nor 1"}));
}

TEST(NdrReader, MaxCountMustFitWhatIsLeft) {
  const Bytes stream = Hex("03000000 0000 0000 0000");
  Reader fits(stream);
  EXPECT_EQ(fits.GetConformance(2, "T.a"), 3u);
  Reader exceeds(stream);
  EXPECT_EQ(exceeds.GetConformance(3, "T.a"), 0u);
  EXPECT_EQ(exceeds.error()->message, "T.a at offset 4: max_count 3 does not fit the 6 octets left");
}

TEST(NdrReader, StringsAreVaryingArrays) {
  std::u16string text;
  const Bytes good = Hex("05000000 00000000 03000000 41004200 0000");
  Reader reader(good);
  reader.GetString(text, "T.s");
  EXPECT_EQ(text, u"AB\0"s);
  EXPECT_TRUE(reader.anomalies().empty());

  const auto error = [&](const char* hex) {
    const Bytes stream = Hex(hex);
    Reader bad(stream);
    bad.GetString(text, "T.s");
    return bad.ok() ? std::string() : bad.error()->message;
  };
  EXPECT_EQ(error("05000000 01000000 03000000 41004200 0000"),
            "T.s at offset 12: varying array that starts at 1");
  EXPECT_EQ(error("02000000 00000000 03000000 41004200 0000"),
            "T.s at offset 12: actual count 3 exceeds max_count 2");
  EXPECT_EQ(error("ffffffff 00000000 ffffffff 41004200 0000"),
            "T.s at offset 12: actual count 4294967295 does not fit the octets left");

  const Bytes open = Hex("01000000 00000000 01000000 4100");
  Reader unterminated(open);
  unterminated.GetString(text, "T.s");
  EXPECT_TRUE(unterminated.ok());
  EXPECT_EQ(unterminated.anomalies().at(0).text, "string without terminating null");
}

TEST(NdrReader, InterfacePointerLengthsMustAgree) {
  const Bytes stream = Hex("00000200 04000000 05000000 4d454f57");
  Reader reader(stream);
  std::optional<Bytes> objref;
  reader.GetInterfacePointer(objref, "T.p");
  EXPECT_FALSE(reader.ok());
  EXPECT_FALSE(objref.has_value());
}

TEST(NdrReader, AnomaliesAreCountedButNotKeptWithoutEnd) {
  const Bytes stream(1000, std::byte{2});
  Reader reader(stream);
  bool value = false;
  for (int i = 0; i < 1000; ++i) reader.Get(value, "T.b");
  EXPECT_EQ(reader.anomalies().size(), Reader::kMaxAnomalies);
  EXPECT_EQ(reader.anomaly_count(), 1000u);
}

}  // namespace
}  // namespace dmrp::ndr
