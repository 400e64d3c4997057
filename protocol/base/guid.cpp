#include "protocol/base/guid.hpp"

#include <cstring>
#include <random>

#include <fmt/format.h>

namespace dmrp {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<Guid> Guid::Parse(std::string_view text) {
  const std::string_view whole = text;
  const auto bad = [&] {
    return Fail(ErrorKind::kMalformed,
                fmt::format("GUID '{}': expected 8-4-4-4-12 hexadecimal digits", whole));
  };
  if (text.size() == 38 && text.front() == '{' && text.back() == '}') text = text.substr(1, 36);
  if (text.size() != 36) return bad();
  std::array<std::uint8_t, 16> digits{};
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return bad();
      continue;
    }
    const int value = HexDigit(text[i]);
    if (value < 0) return bad();
    digits[nibble / 2] = static_cast<std::uint8_t>(digits[nibble / 2] << 4 | value);
    ++nibble;
  }
  Guid guid;
  guid.Data1 = static_cast<std::uint32_t>(digits[0]) << 24 | static_cast<std::uint32_t>(digits[1]) << 16 |
               static_cast<std::uint32_t>(digits[2]) << 8 | digits[3];
  guid.Data2 = static_cast<std::uint16_t>(digits[4] << 8 | digits[5]);
  guid.Data3 = static_cast<std::uint16_t>(digits[6] << 8 | digits[7]);
  std::memcpy(guid.Data4.data(), digits.data() + 8, 8);
  return guid;
}

Guid Guid::FromBytes(std::span<const std::byte, 16> bytes) {
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  Guid guid;
  guid.Data1 = at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24;
  guid.Data2 = static_cast<std::uint16_t>(at(4) | at(5) << 8);
  guid.Data3 = static_cast<std::uint16_t>(at(6) | at(7) << 8);
  std::memcpy(guid.Data4.data(), bytes.data() + 8, 8);
  return guid;
}

Guid Guid::Random() {
  std::random_device source;
  Guid guid;
  guid.Data1 = source();
  const std::uint32_t middle = source();
  guid.Data2 = static_cast<std::uint16_t>(middle);
  guid.Data3 = static_cast<std::uint16_t>((middle >> 16 & 0x0FFF) | 0x4000);
  for (auto& octet : guid.Data4) octet = static_cast<std::uint8_t>(source());
  guid.Data4[0] = static_cast<std::uint8_t>((guid.Data4[0] & 0x3F) | 0x80);
  return guid;
}

std::array<std::byte, 16> Guid::ToBytes() const {
  std::array<std::byte, 16> bytes{};
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(Data1 >> 8 * i);
  for (std::size_t i = 0; i < 2; ++i) bytes[4 + i] = static_cast<std::byte>(Data2 >> 8 * i);
  for (std::size_t i = 0; i < 2; ++i) bytes[6 + i] = static_cast<std::byte>(Data3 >> 8 * i);
  std::memcpy(bytes.data() + 8, Data4.data(), 8);
  return bytes;
}

std::string Guid::ToString() const {
  return fmt::format("{:08x}-{:04x}-{:04x}-{:02x}{:02x}-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}", Data1, Data2,
                     Data3, Data4[0], Data4[1], Data4[2], Data4[3], Data4[4], Data4[5], Data4[6], Data4[7]);
}

}  // namespace dmrp

std::size_t std::hash<dmrp::Guid>::operator()(const dmrp::Guid& guid) const noexcept {
  const auto bytes = guid.ToBytes();
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}
