// The server side: listeners, interfaces, dispatch.
//
//   Server server(pool, {.accounts = MakeAccountStore({...})});
//   server.Register(kInterface, {.handler = [](const CallContext& call, Bytes stub) { ... }});
//   Result<Endpoint> endpoint = server.Listen({"127.0.0.1", 0});
#pragma once

#include "protocol/rpc/accounts.hpp"
#include "protocol/rpc/frame.hpp"
#include "protocol/rpc/io_pool.hpp"
#include "protocol/rpc/types.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace dmrp::rpc {

/// Work that a handler puts off until its reply is on the way. Thread-safe.
class AfterReply {
 public:
  void Add(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  /// What was added since the last call, in its order.
  std::vector<std::function<void()>> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(work_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> work_;
};

/// What a handler knows of a call.
struct CallContext {
  SyntaxId interface{};
  std::uint16_t opnum = 0;
  std::optional<Guid> object{};  ///< the object UUID: in DCOM the IPID
  AuthType auth_type = AuthType::kNone;
  AuthLevel auth_level = AuthLevel::kNone;  ///< of the request's own security context
  std::string user{};                 ///< the account's name; empty for anonymous and unauthenticated callers
  std::string domain{};               ///< as the client sent it
  std::vector<std::string> groups{};  ///< of the account
  bool anonymous = true;              ///< no identity was proven
  Endpoint local{};                   ///< the address the client reached
  Endpoint peer{};
  std::uint64_t connection_id = 0;  ///< as in Frame::connection_id
  std::uint32_t call_id = 0;
  std::stop_token cancelled{};  ///< co_cancel, orphaned, loss of the connection, or the server's stop
  std::shared_ptr<AfterReply> after_reply{};  ///< null where nobody replies, as in tests of handlers

  /// Runs `work` on a worker thread when the reply has been handed to the connection, or the connection is
  /// lost; at once where nobody replies.
  void Afterwards(std::function<void()> work) const {
    if (after_reply != nullptr) {
      after_reply->Add(std::move(work));
    } else {
      work();
    }
  }
};

/// Serves one call: the reply's stub, or the status of a fault. Runs on a worker thread and may block.
using Handler = std::function<tl::expected<Bytes, std::uint32_t>(const CallContext& call, Bytes stub)>;

/// Decides whether a call may reach its handler: 0, or the status of the fault to answer. Quick.
using AccessCheck = std::function<std::uint32_t(const CallContext& call)>;

/// One served interface.
struct Interface {
  Handler handler{};
  /// Calls below this level end in `denied_status`. Interfaces on one port may differ (the endpoint mapper
  /// and ServerAlive2 must be open where activation is not); per-opnum rules belong in access_check.
  AuthLevel minimum_level = AuthLevel::kNone;
  std::uint32_t denied_status = ERROR_ACCESS_DENIED;
  AccessCheck access_check{};
};

/// Answers for interfaces that were not registered, at bind time; nullopt rejects the presentation context.
using InterfaceResolver = std::function<std::optional<Interface>(const SyntaxId& interface)>;

/// Told why a peer was refused or cut off: failed logons, broken PDUs, limits, time-outs. The peer itself
/// learns less. Called from the runtime's threads; must not block.
using TroubleObserver =
    std::function<void(std::uint64_t connection_id, const Endpoint& peer, const std::string& reason)>;

/// Bounds of what peers can make a server keep. A peer that exceeds one is refused or disconnected.
struct ServerLimits {
  std::size_t connections = 256;
  std::size_t contexts_per_connection = 64;       ///< presentation contexts
  std::size_t auth_contexts_per_connection = 32;  ///< security contexts
  std::size_t calls_per_connection = 64;          ///< being executed or reassembled
  std::size_t request_size = 4U << 20U;           ///< reassembled stub octets; above: fault 5, and close
  std::size_t workers = 64;                       ///< handler threads, made on demand
  std::size_t queued_calls = 1024;                ///< waiting for a worker; above: nca_s_server_too_busy
  std::size_t unsent_octets = 64U << 20U;         ///< replies a slow client has not read
};

struct ServerOptions {
  std::shared_ptr<const AccountStore> accounts{};  ///< null: nobody can log on
  bool allow_anonymous = false;  ///< accept NTLM's anonymous logon (callers without identity)
  bool offer_spnego = true;
  bool offer_ntlm = true;
  bool multiplexing = true;    ///< agree to CONC_MPX
  bool header_signing = true;  ///< agree to PFC_SUPPORT_HEADER_SIGN
  bool require_valid_verification_trailer =
      true;  ///< a trailer that is found and contradicts the PDU: fault 5
  std::uint16_t max_fragment = 5840;
  std::size_t send_fragment = 0;  ///< stub octets per reply fragment at most; 0: as many as fit
  // Names in the NTLM challenge.
  std::string netbios_computer = "DMRP-SERVER";
  std::string netbios_domain = "DMRP";
  std::string dns_computer{};       ///< left out when empty
  std::string dns_domain{};         ///< left out when empty
  bool challenge_timestamp = true;  ///< its presence obliges clients to send a MIC
  bool tcp_keep_alive = true;
  std::chrono::milliseconds handshake_timeout{
      30'000};  ///< from accept to the first bind, and for each security exchange
  std::chrono::milliseconds idle_timeout{0};      ///< without any PDU and any call; 0: never
  std::chrono::milliseconds stop_timeout{5'000};  ///< what the destructor gives Stop
  ServerLimits limits{};
  FrameObserver frame_observer{};
  TroubleObserver trouble_observer{};
};

/// Serves interfaces on any number of TCP ports. All members may be called from any thread.
class Server {
 public:
  explicit Server(IoPool& pool, ServerOptions options = {});
  /// Stops with options.stop_timeout.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Replaces the interface of that id, if any. Contexts that are already bound keep what they have.
  void Register(const SyntaxId& interface, Interface entry);
  void Unregister(const SyntaxId& interface);
  /// Asked for interfaces that are not registered.
  void SetResolver(InterfaceResolver resolver);

  /// Opens a port (0: any free one) on a numeric address. Answers what was bound.
  Result<Endpoint> Listen(const Endpoint& endpoint);

  /// Closes the listeners and waits for calls to end: no port is open when it returns. Calls that are still
  /// running at the deadline see their stop token set and their connection closed, and are then waited for:
  /// handlers must heed the token. kTimeout tells that some had to be cut off. Idempotent. Not from a handler
  /// or an I/O thread, which it waits for.
  Result<void> Stop(std::chrono::milliseconds timeout);

  /// Closes a connection at once.
  void Disconnect(std::uint64_t connection_id);
  [[nodiscard]] std::size_t connection_count() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dmrp::rpc
