// Names and meanings of result codes, for servers that return them and for people who read them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dmrp {

/// A method's result ([MS-ERREF] 2.1): negative values are failures.
using HRESULT = std::int32_t;

#define DMRP_HRESULT(name, value, meaning) inline constexpr HRESULT name = static_cast<HRESULT>(value##u);
#include "protocol/base/com_codes.inc"
#include "protocol/dmrp/ldm_codes.inc"
#undef DMRP_HRESULT

/// Whether a result means success: the failure bit is clear.
constexpr bool Succeeded(HRESULT result) { return result >= 0; }
constexpr bool Failed(HRESULT result) { return result < 0; }

/// The HRESULT of a Win32 error code ([MS-ERREF] 2.1.2); 0 stays S_OK.
constexpr HRESULT HresultFromWin32(std::uint32_t code) {
  return code == 0 ? HRESULT{0} : static_cast<HRESULT>((code & 0xFFFFu) | 0x80070000u);
}

/// One code with its name and, in this project's words, its meaning.
struct HresultInfo {
  std::string_view name;
  HRESULT value = 0;
  std::string_view meaning;
};

/// All codes of [MS-DMRP] 2.2.1, in the order of the specification.
std::span<const HresultInfo> LdmResults();

/// The code with this value, from [MS-DMRP] 2.2.1 or from COM; nullptr for an unknown one.
const HresultInfo* FindHresult(HRESULT value);
/// The code with this name; nullptr for an unknown one.
const HresultInfo* FindHresult(std::string_view name);

/// "LDM_E_NOENT", or "0x81234567" when the value has no name.
std::string HresultName(HRESULT value);
/// "LDM_E_NOENT (0xc1000043): the object is no longer in the disk group".
std::string HresultText(HRESULT value);

/// The same for the status of a fault, which may be an nca_s_* code, a Win32 code or an HRESULT:
/// "nca_s_op_rng_error (0x1c010002): no operation of this number".
std::string FaultText(std::uint32_t status);

}  // namespace dmrp
