#include "protocol/rpc/server_session.hpp"

#include "protocol/rpc/verification_trailer.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::rpc {
namespace {

constexpr std::size_t kResponseHead = 24;
constexpr std::size_t kTokenSize = 16;
constexpr std::size_t kTrailerAlignment = 16;  // On request and response, from the start of the stub.
constexpr std::uint64_t kOwnFeatures = kFeatureSecurityMultiplexing | kFeatureKeepOnOrphan;
/// What a peer may exceed the agreed fragment size by: trailer and token, as some count the size without
/// them.
constexpr std::size_t kFragmentSlack = 64;

}  // namespace

ServerSession::ServerSession(Host& host, const ServerOptions& options, NtlmAcceptorOptions ntlm,
                             NtlmEnvironment environment, Endpoint local, Endpoint peer,
                             std::uint64_t connection_id)
    : host_(host),
      options_(options),
      ntlm_(std::move(ntlm)),
      environment_(std::move(environment)),
      local_(std::move(local)),
      peer_(std::move(peer)),
      connection_id_(connection_id) {}

bool ServerSession::settled() const {
  return bound_ && std::ranges::none_of(auth_contexts_, [](const auto& entry) {
           return entry.second.state == AuthContext::State::kNegotiating;
         });
}

void ServerSession::Close(std::string reason) {
  if (closed_) {
    return;
  }
  closed_ = true;
  CancelAll();
  host_.Close(std::move(reason));
}

void ServerSession::CancelAll() {
  receiving_.reset();
  for (auto& [ticket, call] : calls_) {
    call.stop.request_stop();
  }
}

void ServerSession::OnPdu(Bytes pdu) {
  if (closed_) {
    return;
  }
  auto layout = ParseLayout(pdu);
  if (!layout) {
    if (host_.observing()) {
      host_.Observe(pdu, {});
    }
    return Close(layout.error().message);
  }
  const Header& header = layout->header;
  const auto type = static_cast<PacketType>(header.type);
  const Bytes raw = host_.observing() ? pdu : Bytes{};
  auto observe = [&](std::span<const std::byte> clear) {
    if (host_.observing()) {
      host_.Observe(raw, clear);
    }
  };

  const bool is_bind = type == PacketType::kBind || type == PacketType::kAlterContext;
  if (header.version != 5 || header.minor > 1 || header.big_endian()) {
    observe({});
    if (is_bind) {
      SendNak(header.call_id, header.big_endian() ? kNakUnspecified : kNakProtocolVersion);
    }
    return Close(fmt::format("protocol version {}.{}, data representation 0x{:02x}", header.version,
                             header.minor, header.data_rep[0]));
  }
  if (!bound_ && type != PacketType::kBind) {
    observe({});
    SendFault(header.call_id, 0, nca_s_proto_error, false);
    return Close(fmt::format("PDU type {} before bind", header.type));
  }
  if (is_bind || type == PacketType::kAuth3) {
    observe({});
    return type == PacketType::kAuth3 ? OnAuth3(*layout, pdu)
                                      : OnBind(*layout, pdu, type == PacketType::kAlterContext);
  }
  if (type != PacketType::kRequest && type != PacketType::kCoCancel && type != PacketType::kOrphaned) {
    observe({});
    SendFault(header.call_id, 0, nca_s_proto_error, false);
    return Close(fmt::format("PDU type {} is not a client's", header.type));
  }
  if (pdu.size() > max_fragment_ + kFragmentSlack) {
    observe({});
    SendFault(header.call_id, 0, nca_s_proto_error, false);
    return Close(fmt::format("fragment of {} octets, agreed are {}", pdu.size(), max_fragment_));
  }
  AuthContext* auth = nullptr;
  if (auto refusal = Unprotect(*layout, pdu, auth)) {
    observe({});
    if (type == PacketType::kRequest || refusal->close) {
      const auto head = ParseRequest(raw.empty() ? pdu : raw, header.flags);
      SendFault(header.call_id, head && type == PacketType::kRequest ? head->context_id : 0, refusal->status,
                false);
    }
    if (refusal->close) {
      Close(std::move(refusal->reason));
    }
    return;
  }
  if (type != PacketType::kRequest) {
    observe({});
    return OnCancel(header.call_id, type == PacketType::kOrphaned);
  }
  const std::size_t pad = layout->trailer ? layout->trailer->pad_length : 0;
  const auto body = std::span<const std::byte>(pdu).first(layout->body_end - pad);
  if (auto head = ParseRequest(body, header.flags)) {
    observe(body.subspan(head->stub_begin));
  } else {
    observe({});
  }
  OnRequest(*layout, body, auth);
}

std::optional<ServerSession::Refusal> ServerSession::Unprotect(const PduLayout& layout, Bytes& pdu,
                                                               AuthContext*& auth) {
  const Header& header = layout.header;
  const bool request = header.type == static_cast<std::uint8_t>(PacketType::kRequest);
  auto violation = [](std::string reason) { return Refusal{nca_s_proto_error, std::move(reason), true}; };
  if (!layout.trailer) {
    return std::nullopt;
  }
  auto found = auth_contexts_.find(layout.trailer->context_id);
  if (found == auth_contexts_.end()) {
    return violation("unknown security context");
  }
  auth = &found->second;
  if (auth->state == AuthContext::State::kNegotiating) {
    return violation("a request before the security exchange has ended");
  }
  if (auth->type != layout.trailer->type || auth->level != layout.trailer->level) {
    return violation("the trailer's provider or level is not the security context's");
  }
  if (auth->state == AuthContext::State::kFailed) {
    // Answered as often as asked: the client may try another security context.
    return Refusal{ERROR_ACCESS_DENIED, "a request on a security context that failed", false};
  }
  if (!auth->protects()) {
    return std::nullopt;
  }
  std::size_t body_begin = kHeaderSize;
  if (request) {
    body_begin += 8 + ((header.flags & kObjectUuid) != 0 ? 16U : 0U);
  }
  if (body_begin > layout.body_end) {
    return violation("the request ends in its head");
  }
  const auto whole = std::span(pdu);
  if (!auth->handshake->session().Unprotect(whole.first(layout.token_begin), body_begin, layout.body_end,
                                            auth->seals(), whole.subspan(layout.token_begin))) {
    return Refusal{RPC_S_SEC_PKG_ERROR, "wrong signature or sequence number", true};
  }
  if (layout.trailer->pad_length > layout.body_end - body_begin) {
    return violation("more padding than stub");
  }
  return std::nullopt;
}

void ServerSession::OnBind(const PduLayout& layout, std::span<const std::byte> pdu, bool alter) {
  const Header& header = layout.header;
  auto refuse = [&](std::uint16_t nak, std::uint32_t fault, std::string reason) {
    if (alter) {
      SendFault(header.call_id, 0, fault, false);
    } else {
      SendNak(header.call_id, nak);
    }
    Close(std::move(reason));
  };
  if (!alter && bound_) {
    SendFault(header.call_id, 0, nca_s_proto_error, false);
    return Close("a second bind");
  }
  const std::size_t pad = layout.trailer ? layout.trailer->pad_length : 0;
  auto body = ParseBind(pdu.first(layout.body_end - pad));
  if (!body) {
    return refuse(kNakUnspecified, nca_s_proto_error, body.error().message);
  }

  std::uint16_t fragment = max_fragment_;
  if (!alter) {
    const std::size_t wanted =
        std::min<std::size_t>({body->max_xmit, body->max_recv, options_.max_fragment, kMaxFragment});
    fragment = static_cast<std::uint16_t>(std::max(kMinFragment, wanted) & ~std::size_t{7});
    auto group = host_.JoinGroup(body->association_group);
    if (!group) {
      return refuse(kNakUnspecified, nca_s_proto_error,
                    fmt::format("unknown association group 0x{:x}", body->association_group));
    }
    group_ = *group;
  }

  // The security leg first: a refused one must leave no presentation context behind.
  Bytes token;
  if (layout.trailer) {
    auto answer = Authenticate(layout, pdu.subspan(layout.token_begin), alter);
    if (!answer) {
      return;
    }
    token = std::move(*answer);
  }
  const bool bare = auth_contexts_.empty();

  BindAckBody ack;
  ack.max_xmit = fragment;
  ack.max_recv = fragment;
  ack.association_group = group_;
  if (!alter) {
    ack.secondary_address = std::to_string(local_.port);
  }
  std::size_t accepted = 0;
  for (const auto& proposed : body->contexts) {
    ack.results.push_back(Negotiate(proposed, bare, accepted));
  }

  std::uint8_t flags = kFirstFrag | kLastFrag;
  if ((header.flags & kSupportHeaderSign) != 0 && options_.header_signing && layout.trailer) {
    header_signing_ = true;
    flags |= kSupportHeaderSign;
  }
  if (!alter) {
    multiplexing_ = options_.multiplexing && (header.flags & kConcMpx) != 0;
    if (multiplexing_) {
      flags |= kConcMpx;
    }
    max_fragment_ = fragment;
    bound_ = true;
  }
  std::optional<TrailerSpec> trailer;
  if (layout.trailer) {
    trailer = TrailerSpec{.type = layout.trailer->type,
                          .level = layout.trailer->level,
                          .context_id = layout.trailer->context_id};
  }
  host_.Send(EncodePdu(alter ? PacketType::kAlterContextResp : PacketType::kBindAck, flags, header.call_id,
                       EncodeBindAckBody(ack), token.empty() ? std::nullopt : trailer, token),
             {});
}

ContextResult ServerSession::Negotiate(const PresentationContext& proposed, bool bare,
                                       std::size_t& accepted) {
  const auto provider = static_cast<std::uint16_t>(ContextVerdict::kProviderRejection);
  if (proposed.transfers.size() == 1) {
    if (auto features = FeaturesOf(proposed.transfers.front())) {
      features_ = *features & kOwnFeatures;
      return {static_cast<std::uint16_t>(ContextVerdict::kNegotiateAck),
              static_cast<std::uint16_t>(features_),
              {}};
    }
  }
  auto entry = host_.FindInterface(proposed.abstract);
  if (!entry) {
    return {provider, kReasonAbstractSyntax, {}};
  }
  if (std::ranges::find(proposed.transfers, kNdr20) == proposed.transfers.end()) {
    return {provider, kReasonTransferSyntaxes, {}};
  }
  auto known = contexts_.find(proposed.id);
  if (known != contexts_.end()) {
    if (known->second.interface != proposed.abstract) {
      return {provider, kReasonNone, {}};
    }
  } else if (contexts_.size() >= options_.limits.contexts_per_connection) {
    return {provider, kReasonLocalLimit, {}};
  } else {
    contexts_.emplace(proposed.id, BoundContext{proposed.abstract, std::move(*entry), bare});
  }
  ++accepted;
  return {static_cast<std::uint16_t>(ContextVerdict::kAcceptance), kReasonNone, kNdr20};
}

Result<Bytes> ServerSession::Authenticate(const PduLayout& layout, std::span<const std::byte> token,
                                          bool alter) {
  const Header& header = layout.header;
  const SecTrailer& trailer = *layout.trailer;
  auto refuse = [&](std::uint16_t nak, std::uint32_t fault, std::string reason, bool close) -> Result<Bytes> {
    if (alter) {
      SendFault(header.call_id, 0, fault, false);
    } else {
      SendNak(header.call_id, nak);
    }
    if (close || !alter) {
      Close(reason);
    } else {
      host_.Refused(reason);
    }
    return Fail(ErrorKind::kDenied, std::move(reason));
  };
  const bool offered =
      (trailer.type == static_cast<std::uint8_t>(AuthType::kNtlm) && options_.offer_ntlm) ||
      (trailer.type == static_cast<std::uint8_t>(AuthType::kSpnego) && options_.offer_spnego);
  if (!offered) {
    return refuse(kNakAuthType, ERROR_ACCESS_DENIED, fmt::format("auth type {}", trailer.type), false);
  }
  if (trailer.level < static_cast<std::uint8_t>(AuthLevel::kConnect) ||
      trailer.level > static_cast<std::uint8_t>(AuthLevel::kPrivacy)) {
    return refuse(kNakAuthType, nca_unsupported_authn_level, fmt::format("auth level {}", trailer.level),
                  false);
  }
  auto found = auth_contexts_.find(trailer.context_id);
  if (found == auth_contexts_.end()) {
    if (auth_contexts_.size() >= options_.limits.auth_contexts_per_connection) {
      return refuse(kNakLocalLimit, nca_s_server_too_busy, "too many security contexts", true);
    }
    AuthContext fresh;
    fresh.type = trailer.type;
    fresh.level = trailer.level;
    fresh.handshake = std::make_unique<ServerHandshake>(static_cast<AuthType>(trailer.type), ntlm_,
                                                        options_.accounts.get(), environment_);
    found = auth_contexts_.emplace(trailer.context_id, std::move(fresh)).first;
  }
  AuthContext& context = found->second;
  if (context.type != trailer.type || context.level != trailer.level ||
      context.state != AuthContext::State::kNegotiating) {
    return refuse(kNakUnspecified, nca_s_proto_error,
                  "a leg of a security exchange that has ended or differs", true);
  }
  auto step = context.handshake->Next(token);
  if (!step) {
    context.state = AuthContext::State::kFailed;
    return refuse(kNakInvalidChecksum, ERROR_ACCESS_DENIED, step.error().message, false);
  }
  if (step->complete) {
    context.state = AuthContext::State::kReady;
  }
  return std::move(step->token);
}

void ServerSession::OnAuth3(const PduLayout& layout, std::span<const std::byte> pdu) {
  // Never answered: what is wrong shows on the first request.
  if (!layout.trailer) {
    return Close("auth3 without a token");
  }
  auto found = auth_contexts_.find(layout.trailer->context_id);
  if (found == auth_contexts_.end() || found->second.state != AuthContext::State::kNegotiating ||
      found->second.type != layout.trailer->type || found->second.level != layout.trailer->level) {
    return Close("auth3 for no security exchange in progress");
  }
  auto step = found->second.handshake->Next(pdu.subspan(layout.token_begin));
  if (!step) {
    host_.Refused(step.error().message);
  }
  found->second.state = step && step->complete ? AuthContext::State::kReady : AuthContext::State::kFailed;
}

void ServerSession::OnRequest(const PduLayout& layout, std::span<const std::byte> pdu, AuthContext* auth) {
  const Header& header = layout.header;
  auto head = ParseRequest(pdu, header.flags);
  if (!head) {
    SendFault(header.call_id, 0, nca_s_proto_error, false);
    return Close(head.error().message);
  }
  auto violation = [&](std::string reason) {
    SendFault(header.call_id, head->context_id, nca_s_proto_error, false);
    Close(std::move(reason));
  };
  const bool first = (header.flags & kFirstFrag) != 0;
  if (first) {
    if (receiving_) {
      return violation("a new request before the last fragment of another");
    }
    const bool running = std::ranges::any_of(
        calls_, [&](const auto& entry) { return entry.second.call_id == header.call_id; });
    if (running) {
      return violation(fmt::format("call id {} is in use", header.call_id));
    }
    Call call;
    call.ticket = next_ticket_++;
    call.call_id = header.call_id;
    call.context_id = head->context_id;
    call.opnum = head->opnum;
    call.object = head->object;
    call.auth = auth;
    call.auth_context_id = layout.trailer ? layout.trailer->context_id : 0;
    call.maybe = (header.flags & kMaybe) != 0;
    receiving_ = std::move(call);
  } else if (!receiving_ || receiving_->call_id != header.call_id) {
    return violation("a later fragment without its first");
  } else if (receiving_->context_id != head->context_id || receiving_->opnum != head->opnum ||
             receiving_->object != head->object || receiving_->auth != auth) {
    return violation("fragments of one request differ in their heads");
  }
  const auto part = pdu.subspan(head->stub_begin);
  if (receiving_->stub.size() + part.size() > options_.limits.request_size) {
    SendFault(header.call_id, head->context_id, ERROR_ACCESS_DENIED, false);
    return Close(fmt::format("a request above {} octets", options_.limits.request_size));
  }
  receiving_->stub.insert(receiving_->stub.end(), part.begin(), part.end());
  if ((header.flags & kLastFrag) == 0) {
    return;
  }
  Call call = std::move(*receiving_);
  receiving_.reset();
  FinishRequest(std::move(call));
}

void ServerSession::FinishRequest(Call call) {
  auto refuse = [&](std::uint32_t status) { SendFault(call.call_id, call.context_id, status, false); };
  auto bound = contexts_.find(call.context_id);
  if (bound == contexts_.end()) {
    return refuse(nca_s_unk_if);
  }
  if (call.auth == nullptr && !auth_contexts_.empty() && !bound->second.bare) {
    // At level connect requests come without a trailer.
    auto connect =
        std::ranges::find_if(auth_contexts_, [](const auto& entry) { return !entry.second.protects(); });
    if (connect == auth_contexts_.end()) {
      return refuse(ERROR_ACCESS_DENIED);
    }
    if (connect->second.state == AuthContext::State::kNegotiating) {
      return refuse(nca_s_proto_error);
    }
    if (connect->second.state == AuthContext::State::kFailed) {
      return refuse(ERROR_ACCESS_DENIED);
    }
    call.auth = &connect->second;
  }
  if (refusing_ || calls_.size() >= options_.limits.calls_per_connection) {
    return refuse(nca_s_server_too_busy);
  }
  if (const std::uint32_t status = CheckVerificationTrailer(call, call.stub); status != 0) {
    return refuse(status);
  }

  CallContext context;
  context.interface = bound->second.interface;
  context.opnum = call.opnum;
  context.object = call.object;
  context.local = local_;
  context.peer = peer_;
  context.connection_id = connection_id_;
  context.call_id = call.call_id;
  context.cancelled = call.stop.get_token();
  if (call.auth != nullptr) {
    const NtlmIdentity& identity = call.auth->handshake->identity();
    context.auth_type = static_cast<AuthType>(call.auth->type);
    context.auth_level = static_cast<AuthLevel>(call.auth->level);
    context.user = identity.user;
    context.domain = identity.domain;
    context.groups = identity.groups;
    context.anonymous = identity.anonymous;
  }
  const Interface& entry = bound->second.entry;
  if (context.auth_level < entry.minimum_level) {
    return refuse(entry.denied_status);
  }
  if (entry.access_check) {
    if (const std::uint32_t status = entry.access_check(context); status != 0) {
      return refuse(status);
    }
  }
  Bytes stub = std::move(call.stub);
  const std::uint64_t ticket = call.ticket;
  calls_.emplace(ticket, std::move(call));
  host_.Dispatch(ticket, entry, std::move(context), std::move(stub));
}

std::uint32_t ServerSession::CheckVerificationTrailer(const Call& call, Bytes& stub) const {
  auto found = FindVerificationTrailer(stub);
  if (!found) {
    return 0;
  }
  if (options_.require_valid_verification_trailer) {
    const VerificationTrailer& trailer = found->trailer;
    VerificationHeader2 expected;
    expected.call_id = call.call_id;
    expected.context_id = call.context_id;
    expected.opnum = call.opnum;
    const bool header_signing_lost =
        trailer.bitmask && (*trailer.bitmask & 1U) != 0 && options_.header_signing && !header_signing_;
    const bool other_interface =
        trailer.pcontext && (trailer.pcontext->abstract != contexts_.at(call.context_id).interface ||
                             trailer.pcontext->transfer != kNdr20);
    const bool other_header = trailer.header2 && *trailer.header2 != expected;
    if (header_signing_lost || other_interface || other_header || trailer.unknown_required) {
      return ERROR_ACCESS_DENIED;
    }
  }
  stub.resize(found->offset);
  return 0;
}

void ServerSession::OnCancel(std::uint32_t call_id, bool orphaned) {
  if (orphaned && receiving_ && receiving_->call_id == call_id) {
    receiving_.reset();
    return;
  }
  for (auto entry = calls_.begin(); entry != calls_.end(); ++entry) {
    Call& call = entry->second;
    if (call.call_id != call_id) {
      continue;
    }
    ++call.cancel_count;
    call.stop.request_stop();
    if (orphaned) {
      calls_.erase(entry);
    }
    return;
  }
}

void ServerSession::Reply(std::uint64_t ticket, tl::expected<Bytes, std::uint32_t> result) {
  auto found = calls_.find(ticket);
  if (found == calls_.end()) {
    return;
  }
  const Call call = std::move(found->second);
  calls_.erase(found);
  if (closed_ || call.maybe) {
    return;
  }
  if (!result) {
    const std::uint32_t status = result.error();
    const bool executed =
        status != nca_s_op_rng_error && status != nca_s_unk_if && status != nca_s_server_too_busy;
    return SendFault(call.call_id, call.context_id, status, executed, call.cancel_count);
  }
  SendResponse(call, *result);
}

void ServerSession::SendResponse(const Call& call, std::span<const std::byte> stub) {
  const bool protect = call.auth != nullptr && call.auth->protects();
  std::size_t room = max_fragment_ - kResponseHead;
  if (protect) {
    room = (room - kTrailerSize - kTokenSize) & ~(kTrailerAlignment - 1);
  }
  if (options_.send_fragment != 0) {
    room = std::min(room, options_.send_fragment);
  }
  std::size_t sent = 0;
  do {
    const auto part = stub.subspan(sent, std::min(room, stub.size() - sent));
    std::uint8_t flags = 0;
    if (sent == 0) {
      flags |= kFirstFrag;
    }
    if (sent + part.size() == stub.size()) {
      flags |= kLastFrag;
    }
    const auto hint = static_cast<std::uint32_t>(stub.size() - sent);
    const Bytes body = EncodeResponseBody(hint, call.context_id, call.cancel_count, part);
    Bytes pdu;
    if (protect) {
      const TrailerSpec trailer{.type = call.auth->type,
                                .level = call.auth->level,
                                .context_id = call.auth_context_id,
                                .align = kTrailerAlignment,
                                .align_origin = kResponseHead};
      const Key16 blank{};
      pdu = EncodePdu(PacketType::kResponse, flags, call.call_id, body, trailer, blank);
      const std::size_t token_begin = pdu.size() - kTokenSize;
      const Key16 token = call.auth->handshake->session().Protect(
          std::span(pdu).first(token_begin), kResponseHead, token_begin - kTrailerSize, call.auth->seals());
      std::ranges::copy(token, pdu.begin() + static_cast<std::ptrdiff_t>(token_begin));
    } else {
      pdu = EncodePdu(PacketType::kResponse, flags, call.call_id, body);
    }
    host_.Send(std::move(pdu), part);
    sent += part.size();
  } while (sent < stub.size());
}

void ServerSession::SendFault(std::uint32_t call_id, std::uint16_t context_id, std::uint32_t status,
                              bool executed, std::uint8_t cancel_count) {
  FaultBody body;
  body.context_id = context_id;
  body.status = status;
  body.cancel_count = cancel_count;
  std::uint8_t flags = kFirstFrag | kLastFrag;
  if (!executed) {
    flags |= kDidNotExecute;
  }
  host_.Send(EncodePdu(PacketType::kFault, flags, call_id, EncodeFaultBody(body)), {});
}

void ServerSession::SendNak(std::uint32_t call_id, std::uint16_t reason) {
  BindNakBody body;
  body.reason = reason;
  host_.Send(EncodePdu(PacketType::kBindNak, kFirstFrag | kLastFrag, call_id, EncodeBindNakBody(body)), {});
}

}  // namespace dmrp::rpc
