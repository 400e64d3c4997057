// The statuses that a call can fail with below its method's own result: in fault PDUs, and as error_status_t
// of the object resolver ([C706] appendix N, [MS-ERREF] 2.1, 2.2). Their one list; HRESULTs of COM are
// constants of dmrp/hresult.hpp and dcom/status.hpp, which have a type of their own for them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dmrp {

#define DMRP_FAULT(name, value, meaning) inline constexpr std::uint32_t name = value;
#include "protocol/base/fault_codes.inc"
#undef DMRP_FAULT

/// A status with the name of its specification and, in this project's words, its meaning.
struct FaultCode {
  std::string_view name;
  std::uint32_t value = 0;
  std::string_view meaning;
};

/// The code of that status, an HRESULT of COM too; nullptr for an unknown one.
const FaultCode* FindFaultCode(std::uint32_t status);

/// "nca_s_op_rng_error (0x1c010002)", or only the number when the status has no name.
std::string FaultName(std::uint32_t status);

}  // namespace dmrp
