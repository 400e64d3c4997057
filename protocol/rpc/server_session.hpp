// The server's side of one connection, without input and output: octets in, octets and calls out. One thread
// at a time.
#pragma once

#include "protocol/rpc/handshake.hpp"
#include "protocol/rpc/pdu.hpp"
#include "protocol/rpc/server.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

namespace dmrp::rpc {

class ServerSession {
 public:
  /// What a session asks of its server and its socket.
  class Host {
   public:
    virtual ~Host() = default;
    virtual std::optional<Interface> FindInterface(const SyntaxId& id) = 0;
    /// The group to use, a new one when `requested` is 0; nullopt when the requested one is not known.
    virtual std::optional<std::uint32_t> JoinGroup(std::uint32_t requested) = 0;
    /// Sends a whole PDU. `clear_stub` is filled only while observing() is true.
    virtual void Send(Bytes pdu, std::span<const std::byte> clear_stub) = 0;
    /// Runs the handler elsewhere; it comes back as Reply(ticket, ...).
    virtual void Dispatch(std::uint64_t ticket, Interface entry, CallContext call, Bytes stub) = 0;
    /// Closes the connection once everything sent so far is out.
    virtual void Close(std::string reason) = 0;
    /// Something was refused that does not end the connection.
    virtual void Refused(std::string reason) = 0;
    [[nodiscard]] virtual bool observing() const = 0;
    virtual void Observe(std::span<const std::byte> pdu, std::span<const std::byte> clear_stub) = 0;
  };

  /// `options` must outlive the session.
  ServerSession(Host& host, const ServerOptions& options, NtlmAcceptorOptions ntlm,
                NtlmEnvironment environment, Endpoint local, Endpoint peer, std::uint64_t connection_id);

  /// Takes one PDU as the framer cut it.
  void OnPdu(Bytes pdu);
  /// Ends a dispatched call. Unknown tickets (orphaned calls) are ignored.
  void Reply(std::uint64_t ticket, tl::expected<Bytes, std::uint32_t> result);
  /// Sets every call's stop token: the connection is gone.
  void CancelAll();

  [[nodiscard]] std::size_t calls() const { return calls_.size() + (receiving_ ? 1U : 0U); }
  [[nodiscard]] bool closed() const { return closed_; }
  /// A bind was accepted and no security exchange is half done.
  [[nodiscard]] bool settled() const;
  /// New requests are refused with nca_s_server_too_busy from now on.
  void RefuseCalls() { refusing_ = true; }

 private:
  struct AuthContext {
    std::uint8_t type = 0;
    std::uint8_t level = 0;
    enum class State { kNegotiating, kReady, kFailed } state = State::kNegotiating;
    std::unique_ptr<ServerHandshake> handshake;

    [[nodiscard]] bool protects() const { return level >= static_cast<std::uint8_t>(AuthLevel::kCall); }
    [[nodiscard]] bool seals() const { return level == static_cast<std::uint8_t>(AuthLevel::kPrivacy); }
  };
  struct BoundContext {
    SyntaxId interface;
    Interface entry;
    bool bare =
        false;  // Negotiated while the connection had no security context: requests may come without one.
  };
  struct Call {
    std::uint64_t ticket = 0;
    std::uint32_t call_id = 0;
    std::uint16_t context_id = 0;
    std::uint16_t opnum = 0;
    std::optional<Guid> object;
    AuthContext* auth = nullptr;  // Null: unauthenticated.
    std::uint32_t auth_context_id = 0;
    Bytes stub;
    bool maybe = false;
    std::uint8_t cancel_count = 0;
    std::stop_source stop;
  };

  void OnBind(const PduLayout& layout, std::span<const std::byte> pdu, bool alter);
  void OnAuth3(const PduLayout& layout, std::span<const std::byte> pdu);
  void OnRequest(const PduLayout& layout, std::span<const std::byte> pdu, AuthContext* auth);
  void OnCancel(std::uint32_t call_id, bool orphaned);
  void FinishRequest(Call call);
  /// Runs one leg. An error has already been answered.
  Result<Bytes> Authenticate(const PduLayout& layout, std::span<const std::byte> token, bool alter);
  ContextResult Negotiate(const PresentationContext& proposed, bool bare, std::size_t& accepted);
  /// How a PDU whose security is not right is answered.
  struct Refusal {
    std::uint32_t status = 0;
    std::string reason;
    bool close = false;
  };
  /// Finds the security context of a request, cancel or orphaned PDU, verifies the PDU and decrypts it.
  std::optional<Refusal> Unprotect(const PduLayout& layout, Bytes& pdu, AuthContext*& auth);
  [[nodiscard]] std::uint32_t CheckVerificationTrailer(const Call& call, Bytes& stub) const;
  void SendFault(std::uint32_t call_id, std::uint16_t context_id, std::uint32_t status, bool executed,
                 std::uint8_t cancel_count = 0);
  void SendNak(std::uint32_t call_id, std::uint16_t reason);
  void SendResponse(const Call& call, std::span<const std::byte> stub);
  void Close(std::string reason);

  Host& host_;
  const ServerOptions& options_;
  NtlmAcceptorOptions ntlm_;
  NtlmEnvironment environment_;
  Endpoint local_;
  Endpoint peer_;
  std::uint64_t connection_id_;

  bool bound_ = false;
  bool closed_ = false;
  bool refusing_ = false;
  bool header_signing_ = false;
  bool multiplexing_ = false;
  std::uint64_t features_ = 0;
  std::uint16_t max_fragment_ = kMinFragment;
  std::uint32_t group_ = 0;
  std::map<std::uint16_t, BoundContext> contexts_;
  std::map<std::uint32_t, AuthContext> auth_contexts_;
  std::optional<Call> receiving_;
  std::map<std::uint64_t, Call> calls_;
  std::uint64_t next_ticket_ = 1;
};

}  // namespace dmrp::rpc
