// Interfaces that the runtime itself speaks, as RPC binds them.
#pragma once

#include "dmrp/dcom_interfaces/method_table.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/ndr/interface_info.hpp"
#include "protocol/rpc/types.hpp"

namespace dmrp::dcom {

inline constexpr Guid IID_IUnknown{0, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};
inline constexpr Guid IID_IClassFactory{1, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};

/// The abstract syntax of an ORPC interface: its IID, version 0.0 ([MS-DCOM] 2.2).
[[nodiscard]] constexpr rpc::SyntaxId SyntaxOf(const Guid& iid) { return {iid, 0, 0}; }
[[nodiscard]] constexpr rpc::SyntaxId SyntaxOf(const InterfaceInfo& info) {
  return {info.iid, info.version_major, info.version_minor};
}

}  // namespace dmrp::dcom
