// The client's side of one connection, without input and output: calls and octets in, octets and results out.
// One thread at a time.
#pragma once

#include "protocol/rpc/client.hpp"
#include "protocol/rpc/handshake.hpp"
#include "protocol/rpc/pdu.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace dmrp::rpc {

class ClientSession {
 public:
  /// What a session asks of its socket.
  class Host {
   public:
    virtual ~Host() = default;
    virtual void Send(Bytes octets, std::span<const std::byte> clear_stub) = 0;
    /// A PDU that belongs to no call.
    virtual void Unmatched(Bytes pdu) = 0;
    /// The session is over; close the socket once everything sent so far is out.
    virtual void Close(const Error& reason) = 0;
    [[nodiscard]] virtual bool observing() const = 0;
    virtual void Observe(std::span<const std::byte> pdu, std::span<const std::byte> clear_stub) = 0;
  };

  struct Request {
    SyntaxId interface{};
    std::uint16_t opnum = 0;
    std::optional<Guid> object{};
    Bytes stub{};
    bool bind_only = false;  ///< done once the presentation context is there
    Misbehaviour misbehaviour{};
    ClientConnection::Done done{};
  };

  ClientSession(Host& host, const ConnectOptions& options, NtlmEnvironment environment);

  /// Takes a call on; `done` may come before Submit returns. Answers the call's ticket.
  std::uint64_t Submit(Request request);
  /// Asks for the call's end: drops it when it was not sent, else sends co_cancel and goes on waiting.
  void Cancel(std::uint64_t ticket);
  /// Gives the call up with `error`: its reply, should it come, is dropped.
  void Abandon(std::uint64_t ticket, Error error);
  /// Takes one PDU as the framer cut it.
  void OnPdu(Bytes pdu);
  /// The connection is gone: everything ends with `error`.
  void OnClosed(Error error);

  [[nodiscard]] ClientConnection::Negotiated negotiated() const { return negotiated_; }
  /// What a call is waiting for, for messages about time-outs.
  [[nodiscard]] std::string Awaiting(std::uint64_t ticket) const;

 private:
  enum class State { kFresh, kBinding, kBound, kDraining, kClosed };

  struct InFlight {
    std::uint64_t ticket = 0;
    Request request{};
    Bytes reply{};
    bool started = false;
  };
  struct Exchange {  // The bind or alter_context that is being answered.
    std::uint32_t call_id = 0;
    std::vector<PresentationContext> contexts{};
    PacketType type = PacketType::kBind;
  };

  void Pump();
  void StartBind(const SyntaxId& interface);
  void StartAlter(const SyntaxId& interface);
  void SendExchange(PacketType type, std::span<const std::byte> token, bool first);
  void SendRequest(std::uint64_t ticket, Request request);
  void OnBindAck(const PduLayout& layout, std::span<const std::byte> pdu);
  void OnBindNak(std::span<const std::byte> pdu);
  void OnResponse(const PduLayout& layout, std::span<const std::byte> body);
  void OnFault(const PduLayout& layout, std::span<const std::byte> body);
  void OnExchangeFault(const FaultBody& fault);
  /// Verifies and decrypts; an error ends the connection.
  Result<void> Unprotect(const PduLayout& layout, Bytes& pdu);
  void TakeResults(const BindAckBody& ack);
  void FinishInFlight(std::map<std::uint32_t, InFlight>::iterator entry, Result<Bytes> result);
  void Fatal(Error error);
  [[nodiscard]] bool protects() const;
  [[nodiscard]] bool seals() const { return options_.security.level == AuthLevel::kPrivacy; }
  [[nodiscard]] AuthLevel wire_level() const;

  Host& host_;
  const ConnectOptions& options_;
  NtlmEnvironment environment_;

  State state_ = State::kFresh;
  ClientConnection::Negotiated negotiated_;
  std::optional<ClientHandshake> handshake_;
  bool secured_ = false;
  std::optional<Exchange> exchange_;
  std::map<SyntaxId, std::uint16_t> contexts_;
  std::uint16_t next_context_ = 0;
  std::uint32_t next_call_id_ = 1;
  std::uint32_t auth_context_id_ = 1;
  std::uint64_t next_ticket_ = 1;
  bool sent_first_request_ = false;
  std::deque<std::pair<std::uint64_t, Request>> queue_;
  std::map<std::uint32_t, InFlight> in_flight_;
  std::set<std::uint32_t> abandoned_;
  Error end_;
  bool pumping_ = false;
};

}  // namespace dmrp::rpc
