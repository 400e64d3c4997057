// Names for what is kept in caches.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nettle/sha2.h>

namespace dmrp::harness {

/// The SHA-256 of a text, in hexadecimal digits.
inline std::string Sha256(std::string_view text) {
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, text.size(), reinterpret_cast<const std::uint8_t*>(text.data()));
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context, digest.size(), digest.data());
  std::string hex;
  for (const auto octet : digest) {
    hex += fmt::format("{:02x}", octet);
  }
  return hex;
}

}  // namespace dmrp::harness
