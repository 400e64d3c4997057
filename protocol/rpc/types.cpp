#include "protocol/rpc/types.hpp"

#include <fmt/format.h>

namespace dmrp::rpc {

std::string_view ToString(AuthLevel level) {
  switch (level) {
    case AuthLevel::kNone:
      return "none";
    case AuthLevel::kConnect:
      return "connect";
    case AuthLevel::kCall:
      return "call";
    case AuthLevel::kPacket:
      return "packet";
    case AuthLevel::kIntegrity:
      return "integrity";
    case AuthLevel::kPrivacy:
      return "privacy";
  }
  return "unknown";
}

std::string_view ToString(AuthType type) {
  switch (type) {
    case AuthType::kNone:
      return "none";
    case AuthType::kSpnego:
      return "spnego";
    case AuthType::kNtlm:
      return "ntlm";
  }
  return "unknown";
}

std::string SyntaxId::ToString() const { return fmt::format("{} v{}.{}", uuid.ToString(), major, minor); }

std::string Endpoint::ToString() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

}  // namespace dmrp::rpc
