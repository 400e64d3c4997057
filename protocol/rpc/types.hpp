// The vocabulary of the RPC runtime: what clients, servers and their users speak about.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/fault_codes.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace dmrp::rpc {

/// Protection of calls, by rising strength ([MS-RPCE] 2.2.1.1.8).
enum class AuthLevel : std::uint8_t {
  kNone = 1,
  kConnect = 2,    ///< the handshake only; calls travel without a trailer
  kCall = 3,       ///< treated as kPacket
  kPacket = 4,     ///< signed, as kIntegrity
  kIntegrity = 5,  ///< every PDU signed
  kPrivacy = 6,    ///< every PDU signed, stubs encrypted
};

/// The security provider of a connection ([MS-RPCE] 2.2.1.1.7).
enum class AuthType : std::uint8_t {
  kNone = 0,
  kSpnego = 9,  ///< NTLM negotiated by SPNEGO (or a raw NTLM token in its place)
  kNtlm = 10,   ///< bare NTLM
};

/// "none", "connect", "call", "packet", "integrity", "privacy".
std::string_view ToString(AuthLevel level);
/// "none", "spnego", "ntlm".
std::string_view ToString(AuthType type);

/// An interface or transfer syntax: UUID and version ([C706] 12.6.3.1 p_syntax_id_t).
struct SyntaxId {
  Guid uuid{};
  std::uint16_t major = 0;
  std::uint16_t minor = 0;

  /// "d2d79df5-3400-11d0-b40b-00aa005ff586 v0.0".
  [[nodiscard]] std::string ToString() const;
  friend auto operator<=>(const SyntaxId&, const SyntaxId&) = default;
};

/// NDR version 2.0, the only transfer syntax of DCOM.
inline constexpr SyntaxId kNdr20{
    {0x8a885d04, 0x1ceb, 0x11c9, {0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60}}, 2, 0};
/// NDR64 version 1.0; refused by our server, offered by our client on demand.
inline constexpr SyntaxId kNdr64{
    {0x71710533, 0xbeba, 0x4937, {0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c, 0xcc, 0x36}}, 1, 0};
/// The endpoint mapper, version 3.0.
inline constexpr SyntaxId kEndpointMapper{
    {0xe1af8308, 0x5d1f, 0x11c9, {0x91, 0xa4, 0x08, 0x00, 0x2b, 0x14, 0xa0, 0xfa}}, 3, 0};

/// A TCP address: a numeric IPv4/IPv6 address or a host name, and a port in host order.
struct Endpoint {
  std::string host{};
  std::uint16_t port = 0;

  /// "10.9.0.7:135", "[::1]:135".
  [[nodiscard]] std::string ToString() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// Who a client says it is. UTF-8.
struct Credentials {
  std::string user{};
  std::string domain{};
  std::string password{};
  std::string workstation{};  ///< sent for information; may be empty
  bool anonymous = false;     ///< authenticate as nobody: user and response empty
};

/// How a client secures a connection.
struct Security {
  AuthType type = AuthType::kNone;
  AuthLevel level = AuthLevel::kNone;
  Credentials credentials{};
  std::string
      target_name{};  ///< service principal put into the NTLM response, e.g. "RPCSS/host"; may be empty
  bool header_signing = true;  ///< offer PFC_SUPPORT_HEADER_SIGN
};

}  // namespace dmrp::rpc

template <>
struct std::hash<dmrp::rpc::SyntaxId> {
  std::size_t operator()(const dmrp::rpc::SyntaxId& id) const noexcept {
    return std::hash<dmrp::Guid>{}(id.uuid) ^
           ((std::size_t{id.major} << 16 | id.minor) * 0x9E3779B97F4A7C15U);
  }
};
