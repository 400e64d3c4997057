// Status values of DCOM that this runtime sends and understands ([MS-DCOM] 2.2.2, [MS-ERREF] 2.1, 2.2).
#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace dmrp::dcom {

// Win32 codes, as fault status or as error_status_t of the resolver.
inline constexpr std::uint32_t ERROR_SUCCESS = 0;
inline constexpr std::uint32_t ERROR_ACCESS_DENIED = 0x00000005;
inline constexpr std::uint32_t OR_INVALID_OXID = 0x00000776;
inline constexpr std::uint32_t OR_INVALID_OID = 0x00000777;
inline constexpr std::uint32_t OR_INVALID_SET = 0x00000778;
inline constexpr std::uint32_t RPC_S_SERVER_UNAVAILABLE = 0x000006BA;
inline constexpr std::uint32_t RPC_S_PROCNUM_OUT_OF_RANGE = 0x000006D1;
inline constexpr std::uint32_t RPC_X_BAD_STUB_DATA = 0x000006F7;
inline constexpr std::uint32_t NCA_S_OP_RNG_ERROR = 0x1C010002;

// HRESULTs, as fault status or at the end of a response.
inline constexpr std::uint32_t S_OK = 0;
inline constexpr std::uint32_t CO_S_NOTALLINTERFACES = 0x00080012;
inline constexpr std::uint32_t E_NOTIMPL = 0x80004001;
inline constexpr std::uint32_t E_NOINTERFACE = 0x80004002;
inline constexpr std::uint32_t E_FAIL = 0x80004005;
inline constexpr std::uint32_t E_ACCESSDENIED = 0x80070005;
inline constexpr std::uint32_t E_INVALIDARG = 0x80070057;
inline constexpr std::uint32_t RPC_E_INVALID_DATA = 0x8001000F;
inline constexpr std::uint32_t RPC_E_DISCONNECTED = 0x80010108;
inline constexpr std::uint32_t RPC_E_VERSION_MISMATCH = 0x80010110;
inline constexpr std::uint32_t RPC_E_INVALID_HEADER = 0x80010111;
inline constexpr std::uint32_t RPC_E_INVALID_IPID = 0x80010113;
inline constexpr std::uint32_t RPC_E_INVALID_OBJECT = 0x80010114;
inline constexpr std::uint32_t RPC_E_INVALID_OBJREF = 0x8001011D;
inline constexpr std::uint32_t CO_E_OBJNOTREG = 0x800401FB;
inline constexpr std::uint32_t REGDB_E_CLASSNOTREG = 0x80040154;
inline constexpr std::uint32_t CLASS_E_NOAGGREGATION = 0x80040110;

/// The HRESULT that a fault status or a resolver status means to a caller: HRESULTs stay, nca_s_* codes
/// become their Win32 code first ([MS-RPCE] 3.1.1.5.5), Win32 codes become 0x80070000 | code.
[[nodiscard]] std::uint32_t ToHresult(std::uint32_t status);

/// "0x80010108 (RPC_E_DISCONNECTED)"; the number alone when no name is known.
[[nodiscard]] std::string StatusText(std::uint32_t status);

/// A kFault error about `operation`, or kDenied when the status means a refused access.
[[nodiscard]] tl::unexpected<Error> FailStatus(std::string_view operation, std::uint32_t status);

}  // namespace dmrp::dcom
