// DUALSTRINGARRAY ([MS-DCOM] 2.2.19): where an object exporter or resolver is reached, and with which
// security.
#pragma once

#include "dmrp/dcom_interfaces/types.hpp"
#include "protocol/base/error.hpp"
#include "protocol/dcom/packed.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::dcom {

/// Tower id of TCP (ncacn_ip_tcp), [MS-DCOM] 2.2.19.3.
inline constexpr std::uint16_t kTowerTcp = 0x0007;
/// What wAuthzSvc must be, [MS-DCOM] 2.2.19.4.
inline constexpr std::uint16_t kAuthzNone = 0xFFFF;

/// A network address and port taken out of a string binding.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;  ///< 0: the binding names none

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// STRINGBINDING ([MS-DCOM] 2.2.19.3).
struct StringBinding {
  std::uint16_t wTowerId = kTowerTcp;
  std::u16string aNetworkAddr;  ///< "host" or "host[port]", without the terminating null

  /// Splits "host[port]" at its last bracket; nothing when the port is no number of 1..65535.
  [[nodiscard]] std::optional<HostPort> Split() const;
  /// A TCP binding to `host`, with "[port]" behind it unless `port` is 0.
  static StringBinding Tcp(std::string_view host, std::uint16_t port = 0);

  friend bool operator==(const StringBinding&, const StringBinding&) = default;
};

/// SECURITYBINDING ([MS-DCOM] 2.2.19.4).
struct SecurityBinding {
  std::uint16_t wAuthnSvc = 0;  ///< 9 SPNEGO, 10 NTLM, 0 call without security
  std::u16string aPrincName;    ///< without the terminating null

  friend bool operator==(const SecurityBinding&, const SecurityBinding&) = default;
};

/// The two lists of a DUALSTRINGARRAY, in the order of the wire.
struct DualStringArray {
  std::vector<StringBinding> string_bindings;
  std::vector<SecurityBinding> security_bindings;

  /// Both lists with their terminators.
  [[nodiscard]] wire::DUALSTRINGARRAY ToWire() const;
  /// kMalformed when an entry has no end or wSecurityOffset lies outside.
  static Result<DualStringArray> FromWire(const wire::DUALSTRINGARRAY& wire);

  /// The packet form (no max_count in front) as it stands inside an OBJREF.
  void Write(PackedWriter& writer) const;
  static Result<DualStringArray> Read(PackedReader& reader);

  friend bool operator==(const DualStringArray&, const DualStringArray&) = default;
};

}  // namespace dmrp::dcom
