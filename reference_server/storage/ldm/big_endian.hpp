// Field access for LDM structures: big-endian integers, zero-padded text, GUIDs, the sum of octets.
#pragma once

#include "protocol/base/guid.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dmrp::server::ldm {

/// The big-endian integer at `offset`; the caller has checked that it lies inside.
template <std::unsigned_integral T>
[[nodiscard]] T LoadBe(std::span<const std::byte> from, std::size_t offset) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>((static_cast<unsigned long long>(value) << 8) |
                           std::to_integer<unsigned long long>(from[offset + i]));
  }
  return value;
}

template <std::unsigned_integral T>
void StoreBe(std::span<std::byte> into, std::size_t offset, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) {
    into[offset + i] = static_cast<std::byte>(value);
    if constexpr (sizeof(T) > 1) value = static_cast<T>(value >> 8);
  }
}

/// The text in a field up to its first zero; kMalformed when something stands behind that.
Result<std::string> LoadText(std::span<const std::byte> field, std::string_view name);
/// Stores text, padded with zeros; kLimit when it is longer than `limit` or the field.
Result<void> StoreText(std::span<std::byte> field, std::string_view text, std::size_t limit,
                       std::string_view name);
/// The GUID in a text field.
Result<Guid> LoadGuidText(std::span<const std::byte> field, std::string_view name);

/// 16 octets in the order of the text form, unlike Guid::FromBytes.
[[nodiscard]] Guid GuidFromNetworkOrder(std::span<const std::byte, 16> octets);
void StoreGuidNetworkOrder(std::span<std::byte, 16> into, const Guid& guid);

/// The checksum of PRIVHEAD and TOCBLOCK: the sum of all octets, the four at `skip` taken as zero.
[[nodiscard]] std::uint32_t OctetSum(std::span<const std::byte> octets, std::size_t skip);
[[nodiscard]] bool IsZero(std::span<const std::byte> octets);
[[nodiscard]] bool HasMagic(std::span<const std::byte> octets, std::string_view magic);

}  // namespace dmrp::server::ldm
