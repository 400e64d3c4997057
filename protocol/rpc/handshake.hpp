// The legs of a security exchange as an RPC connection carries them: bare NTLM, SPNEGO around NTLM, or raw
// NTLM under SPNEGO's auth type ([MS-RPCE] 3.3.1.5.2.1, [MS-SPNG] 3.1.5.1, 3.2.5.1).
#pragma once

#include "protocol/rpc/ntlm.hpp"
#include "protocol/rpc/spnego.hpp"
#include "protocol/rpc/types.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

namespace dmrp::rpc {

/// One leg's outcome.
struct HandshakeStep {
  Bytes token;            ///< to send; may be empty
  bool complete = false;  ///< this side needs no further token
};

class ClientHandshake {
 public:
  ClientHandshake(const Security& security, bool raw_ntlm_in_spnego, NtlmEnvironment environment);

  /// The token of the bind.
  Bytes Start();
  /// The answer to a token of the server. kDenied when the server rejects or proves not to know the session.
  Result<HandshakeStep> Next(std::span<const std::byte> token);
  /// The last token is not answered, so it travels in auth3; otherwise in alter_context.
  [[nodiscard]] bool last_leg_unanswered() const { return !spnego_; }
  /// Once complete.
  [[nodiscard]] NtlmSession& session() { return ntlm_.session(); }

 private:
  bool spnego_;
  bool authenticated_ = false;
  NtlmInitiator ntlm_;
};

class ServerHandshake {
 public:
  ServerHandshake(AuthType type, NtlmAcceptorOptions options, const AccountStore* accounts,
                  NtlmEnvironment environment);

  /// The answer to a token of the client.
  Result<HandshakeStep> Next(std::span<const std::byte> token);
  // Once complete.
  [[nodiscard]] NtlmSession& session() { return ntlm_.session(); }
  [[nodiscard]] const NtlmIdentity& identity() const { return identity_; }

 private:
  Result<HandshakeStep> NextNtlm(std::span<const std::byte> token);
  Result<HandshakeStep> NextSpnego(std::span<const std::byte> token);

  enum class Form { kUnknown, kNtlm, kSpnego };
  enum class State { kStart, kChallenged, kComplete, kFailed };

  AuthType type_;
  Form form_ = Form::kUnknown;
  State state_ = State::kStart;
  bool first_choice_ = true;  // NTLM led the client's list.
  Bytes mechanism_list_;
  NtlmAcceptor ntlm_;
  NtlmIdentity identity_;
};

}  // namespace dmrp::rpc
