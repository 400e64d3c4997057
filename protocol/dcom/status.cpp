#include "protocol/dcom/status.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

constexpr std::pair<std::uint32_t, std::uint32_t> kNcaToWin32[] = {
    {nca_s_op_rng_error, RPC_S_PROCNUM_OUT_OF_RANGE},
    {nca_s_unk_if, RPC_S_UNKNOWN_IF},
    {nca_s_proto_error, RPC_S_PROTOCOL_ERROR},
    {nca_s_server_too_busy, RPC_S_SERVER_TOO_BUSY},
    {nca_s_fault_cancel, RPC_S_CALL_CANCELLED},
    {nca_s_fault_invalid_tag, RPC_X_BAD_STUB_DATA},
    {nca_s_fault_invalid_bound, RPC_X_BAD_STUB_DATA},
    {nca_invalid_pres_context_id, RPC_S_UNKNOWN_IF},
    {nca_unsupported_authn_level, RPC_S_UNKNOWN_AUTHN_SERVICE},
    {nca_s_fault_unspec, RPC_S_CALL_FAILED},
};

}  // namespace

std::uint32_t ToHresult(std::uint32_t status) {
  if (status == 0 || (status & 0x80000000U) != 0) return status;
  const auto* mapped =
      std::ranges::find(kNcaToWin32, status, &std::pair<std::uint32_t, std::uint32_t>::first);
  if (mapped != std::end(kNcaToWin32)) status = mapped->second;
  if (status > 0xFFFF) status = RPC_S_CALL_FAILED;
  return 0x80070000U | status;
}

tl::unexpected<Error> FailStatus(std::string_view operation, std::uint32_t status) {
  const bool denied = ToHresult(status) == E_ACCESSDENIED || status == RPC_E_ACCESS_DENIED;
  return Fail(denied ? ErrorKind::kDenied : ErrorKind::kFault,
              fmt::format("{}: the peer answered {}", operation, FaultName(status)), status);
}

}  // namespace dmrp::dcom
