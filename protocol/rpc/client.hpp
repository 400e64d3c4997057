// The client side of a connection.
//
//   IoPool pool;
//   auto connection = ClientConnection::Connect(pool, {"10.9.0.7", 135}, {.security = ...});
//   if (!connection) return tl::unexpected(connection.error());
//   Result<Bytes> reply = (*connection)->Call(interface, opnum, stub);
#pragma once

#include "protocol/rpc/frame.hpp"
#include "protocol/rpc/io_pool.hpp"
#include "protocol/rpc/types.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

namespace dmrp::rpc {

/// What a correct client never does. Each member breaks one rule of the wire and nothing else; the rest of
/// the request stays right, so that a server's answer can be blamed on that one thing.
struct Misbehaviour {
  std::optional<std::uint16_t> context_id{};       ///< a presentation context id of the test's choice
  std::optional<std::uint32_t> alloc_hint{};       ///< in place of the octets still to come
  std::optional<std::uint16_t> frag_length{};      ///< a header that lies about the PDU's length
  std::optional<std::uint16_t> auth_length{};      ///< a header that lies about the token's length
  std::optional<std::uint8_t> auth_pad_length{};   ///< a trailer that lies about its padding
  std::optional<AuthLevel> trailer_level{};        ///< a level other than the one negotiated
  std::optional<AuthType> trailer_type{};          ///< a provider other than the one negotiated
  std::optional<std::uint32_t> auth_context_id{};  ///< a security context that was never made
  std::optional<std::uint8_t> rpc_version{};       ///< a protocol version other than 5
  std::optional<std::uint8_t> packet_type{};       ///< a PTYPE other than request
  std::optional<std::uint8_t>
      first_data_rep{};                    ///< first octet of the data representation, 0x00 = big-endian
  std::optional<std::uint32_t> call_id{};  ///< e.g. a repeated one; the reply is awaited under this id
  std::optional<std::size_t> stop_after_fragments{};  ///< send only this many fragments of the request
  std::optional<std::size_t> truncate_to{};           ///< send only this many octets of the last PDU
  bool corrupt_signature = false;                     ///< flip one bit of the last fragment's checksum
  bool corrupt_sealed_stub = false;  ///< flip one bit of the last fragment's body after signing
  bool wrong_sequence = false;       ///< a sequence number one too high
  bool omit_trailer = false;         ///< no signature where one is due
  bool omit_first_flag = false;      ///< no PFC_FIRST_FRAG on the first fragment
  bool change_opnum_midway = false;  ///< later fragments name another opnum
  bool repeat_first_flag = false;    ///< PFC_FIRST_FRAG on every fragment
  bool omit_padding = false;         ///< the trailer is not aligned
};

/// One call's choices.
struct CallOptions {
  std::optional<std::chrono::milliseconds>
      timeout{};             ///< for the whole call, binding included; default the connection's
  std::stop_token cancel{};  ///< a stop request sends co_cancel; see cancel_grace
  /// After co_cancel the call may still finish; it is given up (with an orphaned PDU) after this time.
  std::chrono::milliseconds cancel_grace{2000};
  Misbehaviour misbehaviour{};
};

/// One connection's choices.
struct ConnectOptions {
  Security security{};
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds call_timeout{60'000};
  std::string local_address{};  ///< numeric address to connect from; empty: the system's choice
  std::uint16_t max_fragment =
      5840;                        ///< proposed in bind, for both directions; a multiple of 8, at least 2048
  std::size_t send_fragment = 0;   ///< stub octets per request fragment at most; 0: as many as fit
  bool multiplexing = true;        ///< offer CONC_MPX; without the server's consent calls queue up
  bool negotiate_features = true;  ///< propose the bind-time features ([MS-RPCE] 3.3.1.5.3)
  bool offer_ndr64 = false;        ///< propose NDR64 beside NDR20
  bool verification_trailer =
      false;  ///< send verification trailers as Samba's client does ([MS-RPCE] 2.2.2.13)
  bool raw_ntlm_in_spnego = false;  ///< auth type 9 with a raw NTLM token ([MS-SPNG] note 8)
  bool tcp_keep_alive = true;
  std::uint32_t association_group = 0;  ///< a group to join; 0: a new one
  std::size_t max_reply = 64U << 20U;   ///< reassembled reply stubs above this are refused with kLimit
  FrameObserver frame_observer{};
};

/// One TCP connection with its presentation contexts and its security context. All members may be called from
/// any thread. Errors: kFault with the status of a fault or the reason of a refused bind; kDenied when the
/// handshake failed; kUnavailable when the peer is not there or went away; kTimeout; kMalformed when the peer
/// broke the protocol, which also closes the connection.
class ClientConnection {
 public:
  using Done = std::function<void(Result<Bytes>)>;

  /// Opens the TCP connection. Nothing is sent before the first call or Bind.
  static Result<std::shared_ptr<ClientConnection>> Connect(IoPool& pool, const Endpoint& peer,
                                                           ConnectOptions options = {});
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  /// Negotiates a presentation context for `interface` (and the security context, the first time). Calls do
  /// this by themselves.
  Result<void> Bind(const SyntaxId& interface, const CallOptions& options = {});

  /// Calls `opnum` of `interface` and waits for the reply's stub. Must not be called from a frame observer or
  /// from a Done callback.
  Result<Bytes> Call(const SyntaxId& interface, std::uint16_t opnum, Bytes stub,
                     std::optional<Guid> object = std::nullopt, const CallOptions& options = {});
  /// The same without waiting: `done` is called once, from an I/O thread.
  void CallAsync(const SyntaxId& interface, std::uint16_t opnum, Bytes stub, std::optional<Guid> object,
                 const CallOptions& options, Done done);

  /// Closes the connection; calls in flight end with kUnavailable. Idempotent.
  void Close();
  [[nodiscard]] bool IsOpen() const;

  [[nodiscard]] const Endpoint& local() const;
  [[nodiscard]] const Endpoint& peer() const;
  [[nodiscard]] std::uint64_t id() const;  ///< as in Frame::connection_id
  [[nodiscard]] const Security& security() const;

  /// What the handshake settled; zeros and false before the first bind.
  struct Negotiated {
    std::uint16_t max_fragment = 0;
    std::uint32_t association_group = 0;
    std::uint64_t features = 0;  ///< bind-time feature bits that the server accepted
    bool multiplexing = false;
    bool header_signing = false;
    std::string secondary_address{};
  };
  [[nodiscard]] Negotiated negotiated() const;

  // Raw access, for tests of the other side.

  /// Sends octets as they are, between PDUs of ordinary calls.
  Result<void> SendOctets(Bytes octets);
  /// The next PDU that belongs to no call in flight, whole and as received.
  Result<Bytes> ReceivePdu(std::chrono::milliseconds timeout);
  /// Waits until the peer has closed the connection: kTimeout if it does not.
  Result<void> AwaitClose(std::chrono::milliseconds timeout);

 private:
  class Impl;
  explicit ClientConnection(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace dmrp::rpc
