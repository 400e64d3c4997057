#include "protocol/dcom/status.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
    {ERROR_ACCESS_DENIED, "ERROR_ACCESS_DENIED"},
    {OR_INVALID_OXID, "OR_INVALID_OXID"},
    {OR_INVALID_OID, "OR_INVALID_OID"},
    {OR_INVALID_SET, "OR_INVALID_SET"},
    {RPC_S_SERVER_UNAVAILABLE, "RPC_S_SERVER_UNAVAILABLE"},
    {RPC_S_PROCNUM_OUT_OF_RANGE, "RPC_S_PROCNUM_OUT_OF_RANGE"},
    {RPC_X_BAD_STUB_DATA, "RPC_X_BAD_STUB_DATA"},
    {NCA_S_OP_RNG_ERROR, "nca_s_op_rng_error"},
    {0x1C010003, "nca_s_unk_if"},
    {0x1C01000B, "nca_s_proto_error"},
    {0x1C00000D, "nca_s_fault_cancel"},
    {0x1C010014, "nca_s_server_too_busy"},
    {0x00000721, "RPC_S_SEC_PKG_ERROR"},
    {0x80080005, "CO_E_SERVER_EXEC_FAILURE"},
    {0x80040111, "CLASS_E_CLASSNOTAVAILABLE"},
    {0x80010105, "RPC_E_SERVERFAULT"},
    {0x80010112, "RPC_E_INVALID_EXTENSION"},
    {0x8001011B, "RPC_E_ACCESS_DENIED"},
    {0x800401FD, "CO_E_OBJNOTCONNECTED"},
    {CO_S_NOTALLINTERFACES, "CO_S_NOTALLINTERFACES"},
    {E_NOTIMPL, "E_NOTIMPL"},
    {E_NOINTERFACE, "E_NOINTERFACE"},
    {E_FAIL, "E_FAIL"},
    {E_ACCESSDENIED, "E_ACCESSDENIED"},
    {E_INVALIDARG, "E_INVALIDARG"},
    {RPC_E_INVALID_DATA, "RPC_E_INVALID_DATA"},
    {RPC_E_DISCONNECTED, "RPC_E_DISCONNECTED"},
    {RPC_E_VERSION_MISMATCH, "RPC_E_VERSION_MISMATCH"},
    {RPC_E_INVALID_HEADER, "RPC_E_INVALID_HEADER"},
    {RPC_E_INVALID_IPID, "RPC_E_INVALID_IPID"},
    {RPC_E_INVALID_OBJECT, "RPC_E_INVALID_OBJECT"},
    {RPC_E_INVALID_OBJREF, "RPC_E_INVALID_OBJREF"},
    {CO_E_OBJNOTREG, "CO_E_OBJNOTREG"},
    {REGDB_E_CLASSNOTREG, "REGDB_E_CLASSNOTREG"},
    {CLASS_E_NOAGGREGATION, "CLASS_E_NOAGGREGATION"},
};

constexpr std::pair<std::uint32_t, std::uint32_t> kNcaToWin32[] = {
    {0x1C010002, RPC_S_PROCNUM_OUT_OF_RANGE},
    {0x1C010003, 0x000006B5},
    {0x1C01000B, 0x000006C0},
    {0x1C010014, 0x000006BB},
    {0x1C00000D, 0x0000071A},
    {0x1C000006, RPC_X_BAD_STUB_DATA},
    {0x1C000007, RPC_X_BAD_STUB_DATA},
    {0x1C00001C, 0x000006B5},
    {0x1C00001D, 0x000006D3},
    {0x1C000012, 0x000006BE},
};

}  // namespace

std::uint32_t ToHresult(std::uint32_t status) {
  if (status == 0 || (status & 0x80000000U) != 0) return status;
  const auto* mapped =
      std::ranges::find(kNcaToWin32, status, &std::pair<std::uint32_t, std::uint32_t>::first);
  if (mapped != std::end(kNcaToWin32)) status = mapped->second;
  constexpr std::uint32_t kRpcCallFailed = 0x6BE;
  if (status > 0xFFFF) status = kRpcCallFailed;
  return 0x80070000U | status;
}

std::string StatusText(std::uint32_t status) {
  const auto* named = std::ranges::find(kNames, status, &std::pair<std::uint32_t, std::string_view>::first);
  if (named == std::end(kNames)) return fmt::format("0x{:08x}", status);
  return fmt::format("0x{:08x} ({})", status, named->second);
}

tl::unexpected<Error> FailStatus(std::string_view operation, std::uint32_t status) {
  const bool denied = ToHresult(status) == E_ACCESSDENIED || status == 0x8001011B;
  return Fail(denied ? ErrorKind::kDenied : ErrorKind::kFault,
              fmt::format("{}: the peer answered {}", operation, StatusText(status)), status);
}

}  // namespace dmrp::dcom
