// Comparing our octets with recorded ones, for tests.
#pragma once

#include "protocol/base/text.hpp"
#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::testing {

/// The octets of a hexadecimal dump without the first `skip` ones.
inline Bytes Octets(std::string_view hex, std::size_t skip = 0) {
  Bytes octets = FromHex(hex).value();
  octets.erase(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(skip));
  return octets;
}

/// What our writer would have sent: its own referent identifiers at these offsets, in this order, and zeros
/// as padding.
inline Bytes InOurHand(Bytes octets, std::initializer_list<std::size_t> referents,
                       std::initializer_list<std::pair<std::size_t, std::size_t>> paddings = {}) {
  std::uint32_t referent = 0x00020000;
  for (const std::size_t offset : referents) {
    for (std::size_t i = 0; i < 4; ++i) octets.at(offset + i) = static_cast<std::byte>(referent >> (8 * i));
    referent += 4;
  }
  for (const auto& [first, count] : paddings) {
    for (std::size_t i = first; i < first + count; ++i) octets.at(i) = std::byte{0};
  }
  return octets;
}

template <typename T>
T DecodeAll(std::span<const std::byte> octets) {
  ndr::Reader reader(octets);
  T value;
  Decode(reader, value);
  EXPECT_TRUE(reader.ok()) << reader.error()->ToString();
  EXPECT_EQ(reader.remaining(), 0u);
  for (const ndr::Anomaly& anomaly : reader.anomalies())
    ADD_FAILURE() << anomaly.field << ": " << anomaly.text;
  return value;
}

template <typename T>
std::string EncodedHex(const T& value) {
  ndr::Writer writer;
  Encode(writer, value);
  const Result<Bytes> octets = std::move(writer).Take();
  return octets ? ToHex(*octets) : octets.error().ToString();
}

}  // namespace dmrp::testing
