// Every generated type by a number that stays when the IDL grows, for fuzzing.
#pragma once

#include "dmrp/dcom_interfaces/codec.hpp"
#include "dmrp/dcom_interfaces/fields.hpp"
#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/fields.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace dmrp::testing {

/// FNV-1a folded to 16 bits.
constexpr std::uint16_t TypeNumber(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return static_cast<std::uint16_t>(hash ^ hash >> 16);
}

/// Calls visitor.operator()<T>(name) for each structure, request and reply of all interfaces.
template <typename Visitor>
void ForEachWireType(Visitor&& visitor) {
  const auto message = [&]<typename Request, typename Reply>(const char* name) {
    visitor.template operator()<Request>(std::string(name) + "Request");
    visitor.template operator()<Reply>(std::string(name) + "Reply");
  };
  const auto structure = [&]<typename T>(const char* name) {
    visitor.template operator()<T>(std::string(name));
  };
  ForEachMethod(message);
  ForEachStruct(structure);
  dcom::wire::ForEachMethod(message);
  dcom::wire::ForEachStruct(structure);
}

}  // namespace dmrp::testing
