// What is known of an interface without knowing its types: the shape of the generated method tables.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace dmrp {

/// An interface pointer on the wire: the octets of its OBJREF ([MS-DCOM] 2.2.18), or nullopt for NULL.
using InterfacePointer = std::optional<Bytes>;

/// One parameter as the IDL declares it.
struct ParamInfo {
  std::string_view name;
  std::string_view type;  ///< as written in the IDL, "DISK_INFO_EX **"
  bool in = false;
  bool out = false;
};

/// One operation of an interface.
struct MethodInfo {
  std::string_view name;
  std::uint16_t opnum = 0;
  bool reserved = false;  ///< a number that is kept but never called; refused like an unknown one
  std::span<const ParamInfo> params;
};

/// One interface with its operations in the order of their numbers, inherited ones included, IUnknown's
/// excluded.
struct InterfaceInfo {
  std::string_view name;
  Guid iid;
  std::uint16_t version_major = 0;
  std::uint16_t version_minor = 0;
  bool object = false;  ///< an ORPC interface: ORPCTHIS and ORPCTHAT stand before the stubs
  std::span<const MethodInfo> methods;

  /// The operation with this number, reserved ones included; nullptr when there is none.
  [[nodiscard]] constexpr const MethodInfo* Find(std::uint16_t opnum) const {
    for (const MethodInfo& method : methods) {
      if (method.opnum == opnum) return &method;
    }
    return nullptr;
  }
  /// The operation with this name; nullptr when there is none.
  [[nodiscard]] constexpr const MethodInfo* Find(std::string_view method_name) const {
    for (const MethodInfo& method : methods) {
      if (method.name == method_name) return &method;
    }
    return nullptr;
  }
};

}  // namespace dmrp
