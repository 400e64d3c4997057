#include "protocol/dmrp/hresult.hpp"

#include "protocol/base/fault_codes.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace dmrp {
namespace {

#define DMRP_HRESULT(name, value, meaning) HresultInfo{#name, static_cast<HRESULT>(value##u), meaning},
constexpr auto kLdmResults = std::to_array<HresultInfo>({
#include "protocol/dmrp/ldm_codes.inc"
});
constexpr auto kComResults = std::to_array<HresultInfo>({
#include "protocol/base/com_codes.inc"
});
#undef DMRP_HRESULT

template <typename Table, typename Key>
const HresultInfo* FindBy(const Table& table, Key HresultInfo::* member, const Key& key) {
  const auto found = std::ranges::find(table, key, member);
  return found == table.end() ? nullptr : &*found;
}

template <typename Info>
std::string Text(const Info* info, std::uint32_t value) {
  return info ? fmt::format("{} ({:#010x}): {}", info->name, value, info->meaning)
              : fmt::format("{:#010x}", value);
}

}  // namespace

std::span<const HresultInfo> LdmResults() { return kLdmResults; }

const HresultInfo* FindHresult(HRESULT value) {
  const HresultInfo* info = FindBy(kLdmResults, &HresultInfo::value, value);
  return info ? info : FindBy(kComResults, &HresultInfo::value, value);
}

const HresultInfo* FindHresult(std::string_view name) {
  const HresultInfo* info = FindBy(kLdmResults, &HresultInfo::name, name);
  return info ? info : FindBy(kComResults, &HresultInfo::name, name);
}

std::string HresultName(HRESULT value) {
  const HresultInfo* info = FindHresult(value);
  return info ? std::string(info->name) : fmt::format("{:#010x}", static_cast<std::uint32_t>(value));
}

std::string HresultText(HRESULT value) { return Text(FindHresult(value), static_cast<std::uint32_t>(value)); }

std::string FaultText(std::uint32_t status) {
  const FaultCode* code = FindFaultCode(status);
  return code ? Text(code, status) : HresultText(static_cast<HRESULT>(status));
}

}  // namespace dmrp
