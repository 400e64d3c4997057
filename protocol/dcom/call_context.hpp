// What the server side of a call knows about the call.
#pragma once

#include "dmrp/dcom_interfaces/types.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/rpc/server.hpp"

#include <cstdint>

namespace dmrp::dcom {

class Runtime;

/// COMVERSION ([MS-DCOM] 2.2.11).
using wire::COMVERSION;

/// The version of this runtime, that of Windows XP and later.
inline constexpr COMVERSION kComVersion{.MajorVersion = 5, .MinorVersion = 7};

/// One incoming ORPC call. Caller, protection, addresses, connection and cancellation are the members of
/// rpc::CallContext (user, domain, groups, anonymous, auth_type, auth_level, local, peer, connection_id,
/// cancelled); a value made by default describes a call from nobody, for tests of handlers.
struct CallContext : rpc::CallContext {
  Guid causality_id;  ///< to be handed on in calls that this call causes (CallOptions::causality_id)
  COMVERSION client_version = kComVersion;  ///< the caller's COMVERSION
  Guid iid;                                 ///< the interface called; null during activation
  Guid ipid;                                ///< the interface pointer called; null during activation
  std::uint64_t oid = 0;                    ///< the object called; 0 during activation
  Runtime* runtime = nullptr;  ///< the runtime that serves the call; null only in tests of handlers
};

}  // namespace dmrp::dcom
