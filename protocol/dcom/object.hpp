// Objects that peers may call: what a server's classes and a client's callback sinks implement.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dcom/call_context.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace dmrp::dcom {

/// A reply's stub behind ORPCTHAT (out-parameters and HRESULT), or the status of a fault.
using DispatchResult = tl::expected<Bytes, std::uint32_t>;

/// Serves the calls of one interface. `stub` holds the in-parameters behind ORPCTHIS; it may be followed by
/// octets of no meaning. Runs on a worker thread, several calls at a time, and may block and call out.
using Dispatch =
    std::function<DispatchResult(CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub)>;

/// Why an object is no longer referenced from outside.
enum class Unreferenced {
  kReleased,    ///< the last reference was released
  kClientGone,  ///< no client kept it alive by pings, so those that held it are taken for dead
  kRevoked,     ///< this side withdrew it, or the runtime stopped
};

/// A set of interfaces under one identity (one OID). The runtime keeps it alive while peers hold references.
class Object {
 public:
  virtual ~Object() = default;

  /// The function that serves `iid`, an empty one when the object lacks that interface. Asked once for each
  /// interface of an exported object, under a lock of the runtime, so it must not call the runtime. IUnknown
  /// is served by the runtime and never asked for.
  virtual Dispatch QueryInterface(const Guid& iid) = 0;

  /// Called once, from a thread of the runtime, after the last call on the object has returned.
  virtual void OnUnreferenced(Unreferenced /*why*/) {}
};

/// Makes one object for one activation. The error's status is what the activation answers when it is an
/// HRESULT; otherwise kDenied answers E_ACCESSDENIED and every other kind E_FAIL.
using ClassFactory = std::function<Result<std::shared_ptr<Object>>(CallContext& call)>;

}  // namespace dmrp::dcom
