#pragma once

#include "protocol/base/error.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace dmrp {

/// A GUID ([MS-DTYP] 2.3.4): on the wire and on disk u32, u16, u16 little-endian, then 8 octets.
struct Guid {
  std::uint32_t Data1 = 0;
  std::uint16_t Data2 = 0;
  std::uint16_t Data3 = 0;
  std::array<std::uint8_t, 8> Data4{};

  /// Parses "d2d79df5-3400-11d0-b40b-00aa005ff586", any case, with or without braces.
  static Result<Guid> Parse(std::string_view text);
  /// The 16 octets of the little-endian packet form.
  static Guid FromBytes(std::span<const std::byte, 16> bytes);
  /// A version 4 GUID from the operating system's random numbers.
  static Guid Random();

  [[nodiscard]] std::array<std::byte, 16> ToBytes() const;
  /// Lower case, no braces.
  [[nodiscard]] std::string ToString() const;
  [[nodiscard]] bool IsNull() const { return *this == Guid{}; }

  friend auto operator<=>(const Guid&, const Guid&) = default;
};

}  // namespace dmrp

template <>
struct std::hash<dmrp::Guid> {
  std::size_t operator()(const dmrp::Guid& guid) const noexcept;
};
