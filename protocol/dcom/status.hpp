// Status values of DCOM that this runtime sends and understands ([MS-DCOM] 2.2.2, [MS-ERREF] 2.1, 2.2).
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/fault_codes.hpp"

#include <cstdint>
#include <string_view>

namespace dmrp::dcom {

inline constexpr std::uint32_t ERROR_SUCCESS = 0;
// HRESULTs, as fault status or at the end of a response.
#define DMRP_HRESULT(name, value, meaning) inline constexpr std::uint32_t name = value;
#include "protocol/base/com_codes.inc"
#undef DMRP_HRESULT

/// The HRESULT that a fault status or a resolver status means to a caller: HRESULTs stay, nca_s_* codes
/// become their Win32 code first ([MS-RPCE] 3.1.1.5.5), Win32 codes become 0x80070000 | code.
[[nodiscard]] std::uint32_t ToHresult(std::uint32_t status);

/// A kFault error about `operation`, or kDenied when the status means a refused access.
[[nodiscard]] tl::unexpected<Error> FailStatus(std::string_view operation, std::uint32_t status);

}  // namespace dmrp::dcom
