#include "protocol/base/fault_codes.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp {
namespace {

constexpr FaultCode kCodes[] = {
#define DMRP_FAULT(name, value, meaning) {#name, value, meaning},
#include "protocol/base/fault_codes.inc"
#undef DMRP_FAULT
#define DMRP_HRESULT(name, value, meaning) {#name, value, meaning},
#include "protocol/base/com_codes.inc"
#undef DMRP_HRESULT
};

}  // namespace

const FaultCode* FindFaultCode(std::uint32_t status) {
  const auto* found = std::ranges::find(kCodes, status, &FaultCode::value);
  return found == std::end(kCodes) ? nullptr : found;
}

std::string FaultName(std::uint32_t status) {
  const FaultCode* code = FindFaultCode(status);
  return code == nullptr ? fmt::format("{:#010x}", status) : fmt::format("{} ({:#010x})", code->name, status);
}

}  // namespace dmrp
