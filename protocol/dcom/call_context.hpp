// What the server side of a call knows about the call.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/rpc/server.hpp"

#include <cstdint>

namespace dmrp::dcom {

class Runtime;

/// COMVERSION ([MS-DCOM] 2.2.11).
struct ComVersion {
  std::uint16_t MajorVersion = 5;
  std::uint16_t MinorVersion = 7;

  friend auto operator<=>(const ComVersion&, const ComVersion&) = default;
};

/// One incoming ORPC call. Caller, protection, addresses, connection and cancellation are the members of
/// rpc::CallContext (user, domain, groups, anonymous, auth_type, auth_level, local, peer, connection_id,
/// cancelled); a value made by default describes a call from nobody, for tests of handlers.
struct CallContext : rpc::CallContext {
  Guid causality_id;           ///< to be handed on in calls that this call causes (CallOptions::causality_id)
  ComVersion client_version;   ///< the caller's COMVERSION
  Guid iid;                    ///< the interface called; null during activation
  Guid ipid;                   ///< the interface pointer called; null during activation
  std::uint64_t oid = 0;       ///< the object called; 0 during activation
  Runtime* runtime = nullptr;  ///< the runtime that serves the call; null only in tests of handlers
};

}  // namespace dmrp::dcom
