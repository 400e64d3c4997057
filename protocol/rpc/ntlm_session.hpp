// NTLM's digests, keys and message protection ([MS-NLMP] 3.3.2, 3.4), extended session security only.
#pragma once

#include "protocol/rpc/accounts.hpp"
#include "protocol/rpc/types.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include <nettle/arcfour.h>

namespace dmrp::rpc {

using Key16 = std::array<std::byte, 16>;

// NEGOTIATE flags ([MS-NLMP] 2.2.2.5).
inline constexpr std::uint32_t kNtlmUnicode = 0x00000001;
inline constexpr std::uint32_t kNtlmRequestTarget = 0x00000004;
inline constexpr std::uint32_t kNtlmSign = 0x00000010;
inline constexpr std::uint32_t kNtlmSeal = 0x00000020;
inline constexpr std::uint32_t kNtlmNtlm = 0x00000200;
inline constexpr std::uint32_t kNtlmAnonymous = 0x00000800;
inline constexpr std::uint32_t kNtlmAlwaysSign = 0x00008000;
inline constexpr std::uint32_t kNtlmTargetServer = 0x00020000;
inline constexpr std::uint32_t kNtlmExtendedSessionSecurity = 0x00080000;
inline constexpr std::uint32_t kNtlmIdentify = 0x00100000;
inline constexpr std::uint32_t kNtlmTargetInfo = 0x00800000;
inline constexpr std::uint32_t kNtlmVersion = 0x02000000;
inline constexpr std::uint32_t kNtlm128 = 0x20000000;
inline constexpr std::uint32_t kNtlmKeyExchange = 0x40000000;
inline constexpr std::uint32_t kNtlm56 = 0x80000000;

/// Where NTLM takes its random octets and the time from; tests put fixed values in.
struct NtlmEnvironment {
  std::function<void(std::span<std::byte>)> random;
  std::function<std::uint64_t()> filetime;  ///< 100 ns since 1601

  /// The operating system's.
  static NtlmEnvironment System();
};

/// Octets of UTF-16LE.
Bytes Utf16Octets(std::u16string_view text);
/// Unicode's simple upper-case mapping of the Basic Multilingual Plane.
std::u16string UpperCase(std::u16string_view text);

Key16 HmacMd5(std::span<const std::byte> key, std::initializer_list<std::span<const std::byte>> parts);
Key16 Md5(std::initializer_list<std::span<const std::byte>> parts);
/// RC4 with a fresh stream.
Key16 Rc4Once(std::span<const std::byte> key, std::span<const std::byte, 16> data);
bool EqualInConstantTime(std::span<const std::byte> a, std::span<const std::byte> b);

/// NTOWFv2: `domain` exactly as sent, the user is upper-cased here.
Key16 NtOwfV2(const NtHash& hash, std::u16string_view user, std::u16string_view domain);
/// NTProofStr over the server's challenge and the blob ("temp").
Key16 NtProof(const Key16& owf, std::span<const std::byte> server_challenge, std::span<const std::byte> blob);

/// The keys of an established NTLM session and the state of its two directions. Every protected message, in
/// each direction, is one step of that direction's sequence number and RC4 stream, so calls must come in the
/// order of the wire.
class NtlmSession {
 public:
  enum class Side { kClient, kServer };

  NtlmSession(Side side, const Key16& exported_key, std::uint32_t flags);

  /// Protects a PDU before its token: `pdu` runs from the header through the sec_trailer, the body
  /// [body_begin, body_end) within it is encrypted when `seal`. Answers the token.
  Key16 Protect(std::span<std::byte> pdu, std::size_t body_begin, std::size_t body_end, bool seal);
  /// The reverse, decrypting in place; false when the token is not right.
  [[nodiscard]] bool Unprotect(std::span<std::byte> pdu, std::size_t body_begin, std::size_t body_end,
                               bool seal, std::span<const std::byte> token);

  /// A signature over a message of its own, and its check: SPNEGO's mechListMIC. Both restart that
  /// direction's RC4 stream afterwards and leave the sequence number at its next value ([MS-SPNG] 3.3.5.1).
  Key16 SignMechList(std::span<const std::byte> message);
  [[nodiscard]] bool VerifyMechList(std::span<const std::byte> message, std::span<const std::byte> token);

  /// Moves the next sent sequence number: to misbehave on purpose.
  void SkipSentSequence(std::uint32_t count) { sent_.sequence += count; }

  [[nodiscard]] const Key16& exported_key() const { return exported_key_; }
  [[nodiscard]] std::uint32_t flags() const { return flags_; }

  /// The keys of one direction.
  struct Keys {
    Key16 sign{};
    Key16 seal{};
  };
  static Keys DeriveKeys(const Key16& exported_key, std::uint32_t flags, bool client_to_server);

 private:
  struct Direction {
    Keys keys;
    arcfour_ctx stream{};
    std::uint32_t sequence = 0;

    void Restart();
    void Crypt(std::span<std::byte> data);
    Key16 Token(std::span<const std::byte> hmac, bool key_exchange);
  };

  Key16 exported_key_;
  std::uint32_t flags_;
  Direction sent_;
  Direction received_;
};

}  // namespace dmrp::rpc
