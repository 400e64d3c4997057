#include "protocol/rpc/handshake.hpp"

#include <algorithm>

namespace dmrp::rpc {

ClientHandshake::ClientHandshake(const Security& security, bool raw_ntlm_in_spnego,
                                 NtlmEnvironment environment)
    : spnego_(security.type == AuthType::kSpnego && !raw_ntlm_in_spnego),
      ntlm_(security.credentials, security.target_name, std::move(environment)) {}

Bytes ClientHandshake::Start() {
  Bytes negotiate = ntlm_.Negotiate();
  return spnego_ ? EncodeNegTokenInit(negotiate) : negotiate;
}

Result<HandshakeStep> ClientHandshake::Next(std::span<const std::byte> token) {
  if (!spnego_) {
    auto authenticate = ntlm_.Authenticate(token);
    if (!authenticate) {
      return tl::unexpected(authenticate.error());
    }
    return HandshakeStep{std::move(*authenticate), true};
  }
  auto parsed = ParseNegTokenResp(token);
  if (!parsed) {
    return tl::unexpected(parsed.error());
  }
  if (parsed->state == NegState::kReject) {
    return Fail(ErrorKind::kDenied, "SPNEGO: the server rejects NTLM");
  }
  if (!authenticated_) {
    if (parsed->mechanism && !std::ranges::equal(*parsed->mechanism, NtlmMechanism())) {
      return Fail(ErrorKind::kDenied, "SPNEGO: the server chose a mechanism that was not offered");
    }
    if (!parsed->token) {
      return Fail(ErrorKind::kMalformed, "SPNEGO: the server sent no challenge");
    }
    auto authenticate = ntlm_.Authenticate(*parsed->token);
    if (!authenticate) {
      return tl::unexpected(authenticate.error());
    }
    authenticated_ = true;
    NegTokenResp reply;
    reply.token = std::move(*authenticate);
    if (ntlm_.sent_mic()) {
      const Key16 mic = ntlm_.session().SignMechList(NtlmMechanismList());
      reply.mech_list_mic = Bytes(mic.begin(), mic.end());
    }
    return HandshakeStep{EncodeNegTokenResp(reply), false};
  }
  if (parsed->state != NegState::kAcceptCompleted) {
    return Fail(ErrorKind::kDenied, "SPNEGO: the server did not complete the exchange");
  }
  if (ntlm_.sent_mic() && (!parsed->mech_list_mic ||
                           !ntlm_.session().VerifyMechList(NtlmMechanismList(), *parsed->mech_list_mic))) {
    return Fail(ErrorKind::kDenied, "SPNEGO: the server's mechListMIC is missing or wrong");
  }
  return HandshakeStep{{}, true};
}

ServerHandshake::ServerHandshake(AuthType type, NtlmAcceptorOptions options, const AccountStore* accounts,
                                 NtlmEnvironment environment)
    : type_(type), ntlm_(std::move(options), accounts, std::move(environment)) {}

Result<HandshakeStep> ServerHandshake::Next(std::span<const std::byte> token) {
  if (form_ == Form::kUnknown) {
    if (LooksLikeNtlm(token)) {
      form_ = Form::kNtlm;
    } else if (type_ == AuthType::kSpnego && LooksLikeSpnego(token)) {
      form_ = Form::kSpnego;
    } else {
      return Fail(ErrorKind::kMalformed, "security token: neither NTLM nor SPNEGO");
    }
  }
  auto step = form_ == Form::kNtlm ? NextNtlm(token) : NextSpnego(token);
  if (!step) {
    state_ = State::kFailed;
  }
  return step;
}

Result<HandshakeStep> ServerHandshake::NextNtlm(std::span<const std::byte> token) {
  if (state_ == State::kStart) {
    auto challenge = ntlm_.Challenge(token);
    if (!challenge) {
      return tl::unexpected(challenge.error());
    }
    state_ = State::kChallenged;
    return HandshakeStep{std::move(*challenge), false};
  }
  if (state_ != State::kChallenged) {
    return Fail(ErrorKind::kMalformed, "security token after the last leg");
  }
  auto identity = ntlm_.Authenticate(token);
  if (!identity) {
    return tl::unexpected(identity.error());
  }
  identity_ = std::move(*identity);
  state_ = State::kComplete;
  return HandshakeStep{{}, true};
}

Result<HandshakeStep> ServerHandshake::NextSpnego(std::span<const std::byte> token) {
  NegTokenResp reply;
  Bytes inner;
  std::optional<Bytes> mic;
  if (mechanism_list_.empty()) {
    auto init = ParseNegTokenInit(token);
    if (!init) {
      return tl::unexpected(init.error());
    }
    auto ours = std::ranges::find_if(
        init->mechanisms, [](const Bytes& oid) { return std::ranges::equal(oid, NtlmMechanism()); });
    if (ours == init->mechanisms.end()) {
      return Fail(ErrorKind::kDenied, "SPNEGO: the client does not offer NTLM");
    }
    mechanism_list_ = std::move(init->mechanism_list);
    first_choice_ = ours == init->mechanisms.begin();
    reply.mechanism = Bytes(NtlmMechanism().begin(), NtlmMechanism().end());
    if (!first_choice_ || !init->token) {
      // The optimistic token is another mechanism's.
      reply.state = NegState::kAcceptIncomplete;
      return HandshakeStep{EncodeNegTokenResp(reply), false};
    }
    inner = std::move(*init->token);
  } else {
    auto response = ParseNegTokenResp(token);
    if (!response) {
      return tl::unexpected(response.error());
    }
    if (!response->token) {
      return Fail(ErrorKind::kMalformed, "SPNEGO: no token of the mechanism");
    }
    inner = std::move(*response->token);
    mic = std::move(response->mech_list_mic);
    // Windows 2000 repeats the token in the place of the MIC.
    if (mic == inner) {
      mic.reset();
    }
    if (state_ == State::kStart) {
      reply.mechanism = Bytes(NtlmMechanism().begin(), NtlmMechanism().end());
    }
  }
  auto step = NextNtlm(inner);
  if (!step) {
    return step;
  }
  if (!step->complete) {
    reply.state = NegState::kAcceptIncomplete;
    reply.token = std::move(step->token);
    return HandshakeStep{EncodeNegTokenResp(reply), false};
  }
  if (mic) {
    if (!ntlm_.session().VerifyMechList(mechanism_list_, *mic)) {
      return Fail(ErrorKind::kDenied, "SPNEGO: the client's mechListMIC is wrong");
    }
    const Key16 own = ntlm_.session().SignMechList(mechanism_list_);
    reply.mech_list_mic = Bytes(own.begin(), own.end());
  } else if (ntlm_.received_mic() && first_choice_) {
    return Fail(ErrorKind::kDenied, "SPNEGO: the client's mechListMIC is missing");
  }
  reply.state = NegState::kAcceptCompleted;
  return HandshakeStep{EncodeNegTokenResp(reply), true};
}

}  // namespace dmrp::rpc
