// Every structure and every message of every method survives the wire, and no mutilation of its octets does
// harm.
#include "dmrp/dcom_interfaces/codec.hpp"
#include "dmrp/dcom_interfaces/fields.hpp"
#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/fields.hpp"
#include "protocol/idlc/arbitrary.hpp"

#include <gtest/gtest.h>

namespace dmrp {
namespace {

constexpr int kRounds = 20;

template <typename T>
Bytes Encoded(const T& value) {
  ndr::Writer writer;
  Encode(writer, value);
  Result<Bytes> octets = std::move(writer).Take();
  EXPECT_TRUE(octets.has_value()) << octets.error().ToString();
  return octets.value_or(Bytes{});
}

/// Decodes from a copy whose end is the end of its allocation, so that the sanitizers see any overrun.
template <typename T>
bool Decodes(std::span<const std::byte> octets) {
  const Bytes copy(octets.begin(), octets.end());
  ndr::Reader reader(copy);
  T value;
  Decode(reader, value);
  return reader.ok();
}

template <typename T>
void CheckRoundTrip(const std::string& name) {
  SCOPED_TRACE(name);
  for (int round = 0; round < kRounds; ++round) {
    testing::Arbitrary arbitrary(name + std::to_string(round));
    const T value = arbitrary.Make<T>();
    Bytes octets = Encoded(value);

    ndr::Reader reader(octets);
    T decoded = arbitrary.Make<T>();  // whatever was there before must not show through
    Decode(reader, decoded);
    ASSERT_TRUE(reader.ok()) << reader.error()->ToString();
    EXPECT_EQ(reader.remaining(), 0u);
    EXPECT_TRUE(reader.anomalies().empty()) << reader.anomalies()[0].field << reader.anomalies()[0].text;
    EXPECT_EQ(decoded, value);
    EXPECT_EQ(Encoded(decoded), octets);

    for (std::size_t size = 0; size < octets.size(); ++size) {
      EXPECT_FALSE(Decodes<T>(std::span(octets).first(size))) << "cut at " << size << " of " << octets.size();
    }
    for (std::size_t i = 0; round == 0 && i < octets.size(); ++i) {
      const std::byte original = std::exchange(octets[i], std::byte{0xFF});
      Decodes<T>(octets);
      octets[i] = original;
    }
    octets.insert(octets.end(), 3, std::byte{0xEE});
    EXPECT_TRUE(Decodes<T>(octets)) << "with octets behind the stub";
  }
}

TEST(RoundTrip, EveryStructureOfTheDiskInterfaces) {
  ForEachStruct([]<typename T>(const char* name) { CheckRoundTrip<T>(name); });
}

TEST(RoundTrip, EveryMessageOfTheDiskInterfaces) {
  int methods = 0;
  ForEachMethod([&]<typename Request, typename Reply>(const char* name) {
    CheckRoundTrip<Request>(std::string(name) + "Request");
    CheckRoundTrip<Reply>(std::string(name) + "Reply");
    ++methods;
  });
  // 64 of IVolumeClient, 1, 8 that IVolumeClient3 has alone (GetMaxAdjustedFreeSpace is IVolumeClient2's), 2,
  // 1 and 1.
  EXPECT_EQ(methods, 77);
}

TEST(RoundTrip, EveryStructureOfTheDcomInterfaces) {
  dcom::wire::ForEachStruct([]<typename T>(const char* name) { CheckRoundTrip<T>(name); });
}

TEST(RoundTrip, EveryMessageOfTheDcomInterfaces) {
  dcom::wire::ForEachMethod([]<typename Request, typename Reply>(const char* name) {
    CheckRoundTrip<Request>(std::string(name) + "Request");
    CheckRoundTrip<Reply>(std::string(name) + "Reply");
  });
}

}  // namespace
}  // namespace dmrp
