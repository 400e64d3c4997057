#pragma once

#include <concepts>
#include <cstddef>
#include <span>

namespace dmrp::server {

/// The little-endian integer at `offset`; the caller has checked that it lies inside.
template <std::unsigned_integral T>
[[nodiscard]] T LoadLe(std::span<const std::byte> from, std::size_t offset) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>((static_cast<unsigned long long>(value) << 8) |
                           static_cast<unsigned long long>(from[offset + i]));
  }
  return value;
}

template <std::unsigned_integral T>
void StoreLe(std::span<std::byte> into, std::size_t offset, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    into[offset + i] = static_cast<std::byte>(static_cast<unsigned long long>(value) >> (8 * i));
  }
}

}  // namespace dmrp::server
