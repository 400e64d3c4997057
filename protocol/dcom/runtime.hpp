// DCOM over TCP, both ends of the wire ([MS-DCOM]): activation, OXID resolution, references, pings,
// callbacks.
//
// A server:
//   auto runtime = Runtime::Start({.accounts = ..., .listen_address = "10.9.0.7", .resolver_port = 135});
//   (*runtime)->RegisterClass(clsid, [](CallContext& call) { return MakeObject(call); });
// A client that passes a callback:
//   auto runtime = Runtime::Start({.credentials = ..., .accounts = ...});
//   Result<ObjectRef> object = (*runtime)->Activate({.server = {"10.9.0.7", 135}, .clsid = ..., .iids =
//   {iid}}); Result<Bytes> sink = (*runtime)->Export(std::make_shared<Sink>(), IID_IDMNotify);
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dcom/dual_string_array.hpp"
#include "protocol/dcom/object.hpp"
#include "protocol/dcom/object_ref.hpp"
#include "protocol/rpc/accounts.hpp"
#include "protocol/rpc/frame.hpp"
#include "protocol/rpc/server.hpp"
#include "protocol/rpc/types.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::dcom {

using TimePoint = std::chrono::steady_clock::time_point;

/// When a reference that came from a peer is resolved ([MS-DCOM] 3.2.4.1.2).
enum class CallbackPolicy {
  kEager,  ///< while it is unmarshaled, whose failure fails Unmarshal
  kLazy,   ///< by the first call, so that a peer that cannot be reached back may still call us
};

/// Periods of the ping protocol ([MS-DCOM] 3.1.2.2, 3.2.2).
struct Timers {
  std::chrono::seconds ping_period{120};  ///< client: how often living references are pinged
  std::chrono::seconds set_timeout{360};  ///< server: silence after which a ping set is dropped
  std::chrono::seconds grace{360};        ///< server: how long an object lives without ping set and call
  std::chrono::milliseconds release_delay{50};  ///< client: releases within this time travel together
};

/// Bounds of what peers can make the runtime keep. A request that would exceed one is refused.
struct Limits {
  std::size_t objects = 65536;
  std::size_t interfaces_per_object = 256;
  std::size_t ping_sets = 4096;
  std::size_t oids_per_set = 65536;
  std::size_t interfaces_per_request = 0x8000;  ///< [MS-DCOM] 2.2.28.1 MAX_REQUESTED_INTERFACES
  std::size_t protseqs_per_request = 0x8000;    ///< [MS-DCOM] 2.2.28.1 MAX_REQUESTED_PROTSEQS
};

/// How this side is to be reached, as clients know it: in string bindings, in the order of the list.
struct Advertised {
  std::string host;                 ///< a name or a numeric address
  std::uint16_t exporter_port = 0;  ///< the port as seen from outside; 0: the exporter's own
};

struct Options {
  // Outgoing calls.
  /// Who we are to others. None: calls travel without security.
  std::optional<rpc::Credentials> credentials;
  rpc::AuthType auth_type = rpc::AuthType::kNtlm;
  /// Of ORPC calls. Activation, resolution and pings use this or kIntegrity, whichever is higher.
  rpc::AuthLevel auth_level = rpc::AuthLevel::kPrivacy;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds call_timeout{60'000};
  /// The version this side announces; lower ones make it an older peer.
  COMVERSION version = kComVersion;

  // Incoming calls.
  std::shared_ptr<const rpc::AccountStore> accounts;  ///< null: nobody can log on
  bool allow_anonymous = false;                       ///< NTLM's anonymous logon
  /// Below these levels activations and ORPC calls are refused; classes and exports may set their own.
  rpc::AuthLevel minimum_activation_level = rpc::AuthLevel::kIntegrity;
  rpc::AuthLevel minimum_call_level = rpc::AuthLevel::kIntegrity;
  /// Below this level ResolveOxid(2) and pings are refused; kNone for peers older than XP SP2.
  rpc::AuthLevel minimum_resolver_level = rpc::AuthLevel::kNone;
  /// Refuses a call with the status it returns, 0 to let it pass; asked for activations and ORPC calls before
  /// the minimum levels of classes and exports.
  rpc::AccessCheck access_check;

  // Addresses.
  std::string listen_address = "127.0.0.1";  ///< numeric
  /// Port of resolver, activator and endpoint mapper. 0: any free one. nullopt: none, and nothing can be
  /// exported. Peers other than this runtime look for it on 135 only.
  std::optional<std::uint16_t> resolver_port = 0;
  std::uint16_t exporter_port = 0;     ///< 0: any free one
  std::vector<Advertised> advertised;  ///< empty: the address that a client reached
  /// Write "host[port]" into resolver addresses when the resolver's port is not 135. An extension between
  /// peers of this runtime; no other reads it.
  bool resolver_port_in_bindings = true;
  std::string local_address;  ///< numeric address that outgoing connections come from

  /// Interfaces that the endpoint mapper names the exporter's port for. DCOM clients do not ask for any.
  std::vector<rpc::SyntaxId> mapped_interfaces;

  Timers timers;
  Limits limits;
  CallbackPolicy callback_policy = CallbackPolicy::kEager;
  rpc::FrameObserver frame_observer;
  rpc::ServerLimits rpc_limits;
  std::string computer_name = "DMRP-SERVER";  ///< NetBIOS name in NTLM challenges
  std::string domain_name = "DMRP";           ///< NetBIOS domain in NTLM challenges
  unsigned io_threads = 2;
  /// The clock that timers read; the system's by default. With another one nothing happens by itself: the
  /// owner moves the clock and calls Tick().
  std::function<TimePoint()> clock;
};

/// A class's own rules.
struct ClassOptions {
  std::optional<rpc::AuthLevel> minimum_activation_level;  ///< default Options::minimum_activation_level
  std::optional<rpc::AuthLevel> minimum_call_level;  ///< of its objects; default Options::minimum_call_level
  /// E_ACCESSDENIED unless it returns true; asked before the factory.
  std::function<bool(const CallContext& call)> may_activate;
};

struct ExportOptions {
  std::optional<rpc::AuthLevel> minimum_call_level;  ///< default Options::minimum_call_level
  std::uint32_t public_refs = 5;
  bool no_ping = false;  ///< SORF_NOPING: the object lives until it is released or revoked
  /// An address of this machine that the receiver reaches, named first after the advertised ones: the local
  /// address of a connection to it.
  std::string arrival;
};

enum class ActivationMethod {
  kAutomatic,             ///< RemoteCreateInstance from COMVERSION 5.6 on, RemoteActivation below
  kRemoteCreateInstance,  ///< IRemoteSCMActivator opnum 4
  kRemoteActivation,      ///< IActivation opnum 0
  kRemoteGetClassObject,  ///< IRemoteSCMActivator opnum 3: the class object
};

struct ActivationRequest {
  rpc::Endpoint server;  ///< host and resolver port; port 0 means 135
  Guid clsid;
  std::vector<Guid> iids;
  ActivationMethod method = ActivationMethod::kAutomatic;
  bool server_alive_first = true;     ///< ask ServerAlive2 for the server's version before
  std::optional<COMVERSION> version;  ///< ORPCTHIS and client version; default negotiated
  std::optional<rpc::AuthLevel> auth_level;
  std::optional<rpc::Credentials> credentials;  ///< for this server, kept for its objects; default Options'
  std::optional<std::chrono::milliseconds> timeout;
};

/// What an activation brought.
struct Activation {
  std::vector<Result<ObjectRef>>
      interfaces;  ///< one for each iid asked, in that order; E_NOINTERFACE per entry
  COMVERSION server_version;
  rpc::AuthLevel authn_hint = rpc::AuthLevel::kNone;
  DualStringArray oxid_bindings;
};

/// What ServerAlive2 answers.
struct ServerInfo {
  COMVERSION version;
  DualStringArray resolver_bindings;
};

/// Counts of what is kept, for tests and diagnosis.
struct Statistics {
  std::size_t exported_objects = 0;
  std::size_t exported_interfaces = 0;
  std::size_t ping_sets = 0;        ///< sets that peers made here
  std::size_t held_interfaces = 0;  ///< references to remote interfaces
  std::size_t pinged_objects = 0;   ///< remote objects in this side's own ping sets
  std::uint64_t pings_sent = 0;
};

/// All members may be called from any thread, Activate, Unmarshal and calls also from dispatch functions.
class Runtime {
 public:
  /// Opens the listeners. kSystem when a port cannot be bound.
  static Result<std::unique_ptr<Runtime>> Start(Options options);
  /// Withdraws everything exported, gives every reference back (while peers answer), closes the connections.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Ends at once, as a process that is killed: nothing is given back, peers see their connections close. For
  /// tests of how peers deal with that. Only destruction is left afterwards; references fail with
  /// kUnavailable.
  void Abandon();

  // Server side.

  /// Replaces the class of that id, if any; its objects stay.
  void RegisterClass(const Guid& clsid, ClassFactory factory, ClassOptions options = {});
  void UnregisterClass(const Guid& clsid);

  /// Marshals a reference to an interface of `object` as OBJREF octets, for one receiver. Exporting an object
  /// again keeps its identity. E_NOINTERFACE (kFault) when the object lacks `iid`.
  Result<Bytes> Export(const std::shared_ptr<Object>& object, const Guid& iid,
                       const ExportOptions& options = {});
  /// Withdraws an object: later calls end with RPC_E_DISCONNECTED.
  void Revoke(const std::shared_ptr<Object>& object);

  // Client side.

  Result<Activation> Activate(const ActivationRequest& request);
  /// One interface of a new object, on the resolver port 135 or `server`'s.
  Result<ObjectRef> Activate(const rpc::Endpoint& server, const Guid& clsid, const Guid& iid);
  Result<ServerInfo> ServerAlive2(const rpc::Endpoint& server);

  /// Takes over a marshaled reference and asks it for `iid` if it is of another interface. A reference to an
  /// object of this runtime is called directly, without the network.
  Result<ObjectRef> Unmarshal(std::span<const std::byte> objref, const Guid& iid,
                              const CallOptions& options = {});
  Result<ObjectRef> Unmarshal(std::span<const std::byte> objref, const Guid& iid, const CallOptions& options,
                              CallbackPolicy policy);

  /// A connection to any port of any peer, secured as outgoing calls are unless said otherwise: for tests.
  Result<std::shared_ptr<rpc::ClientConnection>> Connect(
      const rpc::Endpoint& peer, std::optional<rpc::Security> security = std::nullopt);

  // State.

  [[nodiscard]] std::optional<rpc::Endpoint> resolver_endpoint() const;
  [[nodiscard]] std::optional<rpc::Endpoint> exporter_endpoint() const;
  [[nodiscard]] std::uint64_t oxid() const;
  /// The IPID of this exporter's IRemUnknown.
  [[nodiscard]] Guid rem_unknown_ipid() const;
  [[nodiscard]] Statistics statistics() const;

  /// Does what is due at the clock's time (pings, releases, collection) and waits until it is done. Runs by
  /// itself unless Options::clock is set.
  void Tick();

 private:
  class Impl;
  friend class ObjectRef;
  explicit Runtime(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace dmrp::dcom
