// References to interfaces of remote objects: what a client holds.
//
//   Result<ObjectRef> volume_client = runtime->Activate("10.9.0.7", clsid, iid);
//   Result<ObjectRef> other = volume_client->QueryInterface(IID_IVolumeClient3);
//   IVolumeClient3Proxy proxy(other->Caller());
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dcom/call_context.hpp"
#include "protocol/rpc/client.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

namespace dmrp::dcom {

/// One outgoing ORPC call's choices.
struct CallOptions {
  /// The causality id to send; a fresh one by default. A call made while serving another hands on that one's.
  std::optional<Guid> causality_id;
  std::optional<std::chrono::milliseconds> timeout;  ///< default Options::call_timeout of the runtime
  std::stop_token cancel;                            ///< a stop request cancels the call at the server too
  std::optional<rpc::AuthLevel> auth_level;  ///< default: the higher of the runtime's and the server's hint
};

/// A call as a test wants it, right or wrong. Whatever is not set is what a correct call would send.
struct RawCall {
  std::optional<Guid> iid;       ///< the interface to bind; default that of the reference
  std::optional<Guid> ipid;      ///< the object UUID; default that of the reference
  bool send_object_uuid = true;  ///< false: no object UUID in the request at all
  std::uint16_t opnum = 0;
  Bytes stub;                        ///< the in-parameters
  bool send_orpcthis = true;         ///< false: `stub` is the whole stub
  COMVERSION version = kComVersion;  ///< ORPCTHIS.version
  std::uint32_t flags = 0;           ///< ORPCTHIS.flags
  std::uint32_t reserved1 = 0;       ///< ORPCTHIS.reserved1
  std::optional<Guid> causality_id;
  /// What follows the 32 octets of ORPCTHIS when set, which also makes the extensions pointer non-null.
  std::optional<Bytes> extensions;
  std::optional<rpc::AuthLevel> auth_level;
  rpc::CallOptions rpc;  ///< time-out and misbehaviour one layer down
};

class Client;            // private to the runtime
struct InterfaceRecord;  // private to the runtime

/// A reference to one interface of one remote object. Copies share the reference; when the last copy goes,
/// the reference is given back to the server (RemRelease, in the background, several at once). While any copy
/// lives, the object is pinged. A reference does not outlive its runtime: calls then end with kUnavailable.
///
/// All members may be called from any thread. Errors of calls: kFault with the fault's status (ORPC's own
/// errors are HRESULTs, such as RPC_E_DISCONNECTED), kDenied, kUnavailable, kTimeout, kMalformed.
class ObjectRef {
 public:
  /// The empty reference.
  ObjectRef() = default;
  explicit ObjectRef(std::shared_ptr<InterfaceRecord> record) : record_(std::move(record)) {}

  explicit operator bool() const { return record_ != nullptr; }

  [[nodiscard]] Guid iid() const;
  [[nodiscard]] Guid ipid() const;
  [[nodiscard]] std::uint64_t oid() const;
  [[nodiscard]] std::uint64_t oxid() const;

  /// Another interface of the same object: RemQueryInterface, unless this side holds it already. kFault with
  /// status E_NOINTERFACE when the object lacks it.
  [[nodiscard]] Result<ObjectRef> QueryInterface(const Guid& iid, const CallOptions& options = {}) const;

  /// Calls the method and answers its out-parameters and HRESULT, without ORPCTHAT.
  [[nodiscard]] Result<Bytes> Call(std::uint16_t opnum, Bytes stub, const CallOptions& options = {}) const;

  /// Call() in the form that generated proxies take.
  [[nodiscard]] std::function<Result<Bytes>(std::uint16_t opnum, Bytes stub)> Caller(
      CallOptions options = {}) const;

  /// Sends a call as described and answers the reply's stub as it came, ORPCTHAT included.
  [[nodiscard]] Result<Bytes> CallRaw(const RawCall& call) const;

  /// Takes `public_refs` more references from the server (RemAddRef), for hand-made releases in tests.
  [[nodiscard]] Result<void> AddRef(std::uint32_t public_refs) const;
  /// Gives `public_refs` and `private_refs` back at once (RemRelease), whatever was taken, for tests.
  [[nodiscard]] Result<void> ReleaseRefs(std::uint32_t public_refs, std::uint32_t private_refs = 0) const;
  /// The references that this side holds on the interface, as it counts them.
  [[nodiscard]] std::uint32_t PublicRefs() const;

  /// The connection that calls of this reference use, made if need be: for tests of the RPC layer below.
  [[nodiscard]] Result<std::shared_ptr<rpc::ClientConnection>> Connection(
      std::optional<rpc::AuthLevel> auth_level = std::nullopt) const;

  /// Gives this copy up.
  void Reset() { record_.reset(); }

 private:
  friend class Client;
  friend class Runtime;
  std::shared_ptr<InterfaceRecord> record_;
};

}  // namespace dmrp::dcom
