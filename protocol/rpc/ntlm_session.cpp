#include "protocol/rpc/ntlm_session.hpp"

#include "protocol/rpc/octets.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include <nettle/hmac.h>
#include <nettle/md4.h>
#include <nettle/md5.h>
#include <nettle/memops.h>
#include <rpc/upcase_table.hpp>
#include <sys/random.h>

namespace dmrp::rpc {
namespace {

using std::chrono::duration_cast;

const std::uint8_t* Raw(std::span<const std::byte> octets) {
  return reinterpret_cast<const std::uint8_t*>(octets.data());
}
std::uint8_t* MutableRaw(std::span<std::byte> octets) {
  return reinterpret_cast<std::uint8_t*>(octets.data());
}

/// A key derivation constant; its terminating zero is part of it.
std::span<const std::byte> Magic(std::string_view with_nul) { return AsOctets(with_nul); }

std::array<std::byte, 4> Little32(std::uint32_t value) {
  return {static_cast<std::byte>(value & 0xFFU), static_cast<std::byte>(value >> 8U & 0xFFU),
          static_cast<std::byte>(value >> 16U & 0xFFU), static_cast<std::byte>(value >> 24U)};
}

}  // namespace

NtlmEnvironment NtlmEnvironment::System() {
  NtlmEnvironment environment;
  environment.random = [](std::span<std::byte> out) {
    while (!out.empty()) {
      const ssize_t got = getrandom(out.data(), out.size(), 0);
      if (got < 0 && errno != EINTR) {
        std::abort();
      }  // Without random numbers there is no security to offer.
      if (got > 0) {
        out = out.subspan(static_cast<std::size_t>(got));
      }
    }
  };
  environment.filetime = [] {
    constexpr std::uint64_t kUnixEpoch = 116444736000000000U;
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return kUnixEpoch +
           static_cast<std::uint64_t>(
               duration_cast<std::chrono::duration<std::int64_t, std::ratio<1, 10'000'000>>>(since).count());
  };
  return environment;
}

Bytes Utf16Octets(std::u16string_view text) {
  OctetWriter writer;
  for (char16_t unit : text) {
    writer.U16(unit);
  }
  return writer.Take();
}

std::u16string UpperCase(std::u16string_view text) {
  std::u16string upper(text);
  for (char16_t& unit : upper) {
    if (unit >= u'a' && unit <= u'z') {
      unit = static_cast<char16_t>(unit - u'a' + u'A');
    } else if (unit >= 0x80) {
      auto found = std::lower_bound(kUpcase.begin(), kUpcase.end(), unit,
                                    [](const auto& pair, char16_t code) { return pair.first < code; });
      if (found != kUpcase.end() && found->first == unit) {
        unit = found->second;
      }
    }
  }
  return upper;
}

Key16 HmacMd5(std::span<const std::byte> key, std::initializer_list<std::span<const std::byte>> parts) {
  hmac_md5_ctx context;
  hmac_md5_set_key(&context, key.size(), Raw(key));
  for (auto part : parts) {
    hmac_md5_update(&context, part.size(), Raw(part));
  }
  Key16 digest;
  hmac_md5_digest(&context, digest.size(), MutableRaw(digest));
  return digest;
}

Key16 Md5(std::initializer_list<std::span<const std::byte>> parts) {
  md5_ctx context;
  md5_init(&context);
  for (auto part : parts) {
    md5_update(&context, part.size(), Raw(part));
  }
  Key16 digest;
  md5_digest(&context, digest.size(), MutableRaw(digest));
  return digest;
}

Key16 Rc4Once(std::span<const std::byte> key, std::span<const std::byte, 16> data) {
  arcfour_ctx stream;
  arcfour_set_key(&stream, key.size(), Raw(key));
  Key16 out;
  arcfour_crypt(&stream, data.size(), MutableRaw(out), Raw(data));
  return out;
}

bool EqualInConstantTime(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && memeql_sec(a.data(), b.data(), a.size()) == 1;
}

Result<NtHash> HashPassword(std::string_view password) {
  auto text = ToUtf16(password);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const Bytes octets = Utf16Octets(*text);
  md4_ctx context;
  md4_init(&context);
  md4_update(&context, octets.size(), Raw(octets));
  NtHash hash;
  md4_digest(&context, hash.size(), MutableRaw(hash));
  return hash;
}

Key16 NtOwfV2(const NtHash& hash, std::u16string_view user, std::u16string_view domain) {
  return HmacMd5(hash, {Utf16Octets(UpperCase(user)), Utf16Octets(domain)});
}

Key16 NtProof(const Key16& owf, std::span<const std::byte> server_challenge,
              std::span<const std::byte> blob) {
  return HmacMd5(owf, {server_challenge, blob});
}

NtlmSession::Keys NtlmSession::DeriveKeys(const Key16& exported_key, std::uint32_t flags,
                                          bool client_to_server) {
  using namespace std::string_view_literals;
  const auto sign_magic = client_to_server
                              ? Magic("session key to client-to-server signing key magic constant\0"sv)
                              : Magic("session key to server-to-client signing key magic constant\0"sv);
  const auto seal_magic = client_to_server
                              ? Magic("session key to client-to-server sealing key magic constant\0"sv)
                              : Magic("session key to server-to-client sealing key magic constant\0"sv);
  std::size_t strength = 5;
  if ((flags & kNtlm128) != 0) {
    strength = 16;
  } else if ((flags & kNtlm56) != 0) {
    strength = 7;
  }
  Keys keys;
  keys.sign = Md5({exported_key, sign_magic});
  keys.seal = Md5({std::span<const std::byte>(exported_key).first(strength), seal_magic});
  return keys;
}

NtlmSession::NtlmSession(Side side, const Key16& exported_key, std::uint32_t flags)
    : exported_key_(exported_key), flags_(flags) {
  sent_.keys = DeriveKeys(exported_key, flags, side == Side::kClient);
  received_.keys = DeriveKeys(exported_key, flags, side == Side::kServer);
  sent_.Restart();
  received_.Restart();
}

void NtlmSession::Direction::Restart() { arcfour_set_key(&stream, keys.seal.size(), Raw(keys.seal)); }

void NtlmSession::Direction::Crypt(std::span<std::byte> data) {
  if (!data.empty()) {
    arcfour_crypt(&stream, data.size(), MutableRaw(data), Raw(data));
  }
}

Key16 NtlmSession::Direction::Token(std::span<const std::byte> hmac, bool key_exchange) {
  std::array<std::byte, 8> checksum{};
  std::copy_n(hmac.begin(), checksum.size(), checksum.begin());
  if (key_exchange) {
    Crypt(checksum);
  }
  Key16 token{};
  token[0] = std::byte{1};
  std::copy(checksum.begin(), checksum.end(), token.begin() + 4);
  const auto number = Little32(sequence);
  std::copy(number.begin(), number.end(), token.begin() + 12);
  ++sequence;
  return token;
}

Key16 NtlmSession::Protect(std::span<std::byte> pdu, std::size_t body_begin, std::size_t body_end,
                           bool seal) {
  const Key16 hmac = HmacMd5(sent_.keys.sign, {Little32(sent_.sequence), pdu});
  if (seal) {
    sent_.Crypt(pdu.subspan(body_begin, body_end - body_begin));
  }
  return sent_.Token(hmac, (flags_ & kNtlmKeyExchange) != 0);
}

bool NtlmSession::Unprotect(std::span<std::byte> pdu, std::size_t body_begin, std::size_t body_end, bool seal,
                            std::span<const std::byte> token) {
  if (seal) {
    received_.Crypt(pdu.subspan(body_begin, body_end - body_begin));
  }
  const Key16 hmac = HmacMd5(received_.keys.sign, {Little32(received_.sequence), pdu});
  const Key16 expected = received_.Token(hmac, (flags_ & kNtlmKeyExchange) != 0);
  // Old Windows leaves undefined octets after the signature within auth_length.
  return token.size() >= expected.size() && EqualInConstantTime(token.first(expected.size()), expected);
}

Key16 NtlmSession::SignMechList(std::span<const std::byte> message) {
  const Key16 hmac = HmacMd5(sent_.keys.sign, {Little32(sent_.sequence), message});
  const Key16 token = sent_.Token(hmac, (flags_ & kNtlmKeyExchange) != 0);
  sent_.Restart();
  return token;
}

bool NtlmSession::VerifyMechList(std::span<const std::byte> message, std::span<const std::byte> token) {
  const Key16 hmac = HmacMd5(received_.keys.sign, {Little32(received_.sequence), message});
  const Key16 expected = received_.Token(hmac, (flags_ & kNtlmKeyExchange) != 0);
  received_.Restart();
  return EqualInConstantTime(token, expected);
}

}  // namespace dmrp::rpc
