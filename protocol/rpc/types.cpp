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

std::string FaultName(std::uint32_t status) {
  std::string_view name;
  switch (status) {
#define DMRP_NAME(code) \
  case code:            \
    name = #code;       \
    break;
    DMRP_NAME(nca_s_fault_invalid_tag)
    DMRP_NAME(nca_s_fault_invalid_bound)
    DMRP_NAME(nca_s_fault_cancel)
    DMRP_NAME(nca_s_fault_unspec)
    DMRP_NAME(nca_s_fault_context_mismatch)
    DMRP_NAME(nca_invalid_pres_context_id)
    DMRP_NAME(nca_unsupported_authn_level)
    DMRP_NAME(nca_invalid_checksum)
    DMRP_NAME(nca_s_op_rng_error)
    DMRP_NAME(nca_s_unk_if)
    DMRP_NAME(nca_s_proto_error)
    DMRP_NAME(nca_s_server_too_busy)
    DMRP_NAME(ERROR_ACCESS_DENIED)
    DMRP_NAME(RPC_S_UNKNOWN_IF)
    DMRP_NAME(RPC_S_SERVER_UNAVAILABLE)
    DMRP_NAME(RPC_S_CALL_FAILED)
    DMRP_NAME(RPC_S_PROTOCOL_ERROR)
    DMRP_NAME(RPC_S_UNSUPPORTED_TRANS_SYN)
    DMRP_NAME(RPC_S_PROCNUM_OUT_OF_RANGE)
    DMRP_NAME(RPC_X_BAD_STUB_DATA)
    DMRP_NAME(RPC_S_SEC_PKG_ERROR)
    DMRP_NAME(ept_s_not_registered)
#undef DMRP_NAME
    default:
      return fmt::format("0x{:08x}", status);
  }
  return fmt::format("{} (0x{:08x})", name, status);
}

}  // namespace dmrp::rpc
