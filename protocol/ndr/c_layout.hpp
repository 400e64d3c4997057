// What the generated codecs of C memory layouts are made of.
#pragma once

#include "protocol/ndr/array.hpp"
#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

namespace dmrp::ndr {

/// The pointer size of the machine whose memory a structure is laid out for.
enum class Pointers { k32Bit, k64Bit };

constexpr std::size_t OctetsOf(Pointers pointers) { return pointers == Pointers::k32Bit ? 4 : 8; }

/// The elements of an array, little-endian, without count and without alignment; nothing for a null pointer.
inline void AppendArray(Writer& writer, const std::optional<Bytes>& octets) {
  if (octets) writer.PutBytes(*octets);
}
inline void AppendArray(Writer& writer, const std::optional<std::u16string>& text) {
  if (!text) return;
  for (const char16_t unit : *text) {
    writer.Put(static_cast<std::byte>(unit & 0xFF));
    writer.Put(static_cast<std::byte>(unit >> 8));
  }
}

/// The reverse; no elements give a null pointer.
inline void TakeArray(Reader& reader, std::optional<Bytes>& octets, std::size_t count, const char* field) {
  octets.reset();
  if (count != 0) octets = reader.GetBytes(count, field);
}
inline void TakeArray(Reader& reader, std::optional<std::u16string>& text, std::size_t count,
                      const char* field) {
  text.reset();
  if (count == 0) return;
  if (count > reader.remaining() / 2) {
    reader.Fail(field, std::to_string(count) + " characters do not fit the " +
                           std::to_string(reader.remaining()) + " octets left");
    return;
  }
  text.emplace();
  text->reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t low = 0;
    std::uint8_t high = 0;
    reader.Get(low, field);
    reader.Get(high, field);
    text->push_back(static_cast<char16_t>(low | high << 8));
  }
  if (text->back() != u'\0') reader.AddAnomaly(field, "string without terminating null");
}

/// An enumeration in its C form of 32 bits. A value beyond 16 bits is an error, one without a name an
/// anomaly.
template <typename Enum>
void GetEnum32(Reader& reader, Enum& value, const char* field) {
  std::uint32_t bits = 0;
  reader.Get(bits, field);
  if (bits > 0xFFFF) {
    reader.Fail(field, std::to_string(bits) + " is no value of the enumeration");
    bits = 0;
  }
  value = static_cast<Enum>(bits);
  if (reader.ok() && NameOf(value).empty()) {
    reader.AddAnomaly(field, std::to_string(bits) + " is no value of the enumeration");
  }
}

}  // namespace dmrp::ndr
