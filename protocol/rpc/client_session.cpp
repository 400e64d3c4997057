#include "protocol/rpc/client_session.hpp"

#include "protocol/rpc/verification_trailer.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::rpc {
namespace {

constexpr std::size_t kResponseHead = 24;
constexpr std::size_t kTokenSize = 16;
constexpr std::size_t kTrailerAlignment = 16;
constexpr std::uint64_t kOwnFeatures = kFeatureSecurityMultiplexing | kFeatureKeepOnOrphan;
constexpr std::size_t kFragmentSlack = 64;
/// Call ids whose late replies are still known to be nobody's.
constexpr std::size_t kMaxAbandoned = 1024;

Error MakeError(ErrorKind kind, std::string message, std::uint32_t status = 0) {
  return Error{kind, status, std::move(message)};
}

template <typename T>
T Or(const std::optional<T>& wanted, T usual) {
  return wanted.value_or(usual);
}

}  // namespace

ClientSession::ClientSession(Host& host, const ConnectOptions& options, NtlmEnvironment environment)
    : host_(host), options_(options), environment_(std::move(environment)) {}

bool ClientSession::protects() const { return options_.security.level >= AuthLevel::kCall; }

AuthLevel ClientSession::wire_level() const {
  return options_.security.level == AuthLevel::kCall ? AuthLevel::kPacket : options_.security.level;
}

std::uint64_t ClientSession::Submit(Request request) {
  const std::uint64_t ticket = next_ticket_++;
  if (state_ == State::kClosed || state_ == State::kDraining) {
    request.done(tl::unexpected(end_));
    return ticket;
  }
  queue_.emplace_back(ticket, std::move(request));
  Pump();
  return ticket;
}

void ClientSession::Pump() {
  if (pumping_) {
    return;
  }  // A done callback submits: the outer loop takes it.
  pumping_ = true;
  for (std::size_t i = 0; i < queue_.size();) {
    if (state_ == State::kFresh) {
      StartBind(queue_[i].second.interface);
      break;
    }
    if (state_ != State::kBound) {
      break;
    }
    auto& [ticket, request] = queue_[i];
    const bool misplaced = request.misbehaviour.context_id.has_value();
    const auto context = contexts_.find(request.interface);
    if (context == contexts_.end() && !misplaced) {
      if (!exchange_ && (negotiated_.multiplexing || in_flight_.empty())) {
        StartAlter(request.interface);
      }
      ++i;
      continue;
    }
    if (request.bind_only) {
      auto done = std::move(request.done);
      queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
      done(Bytes{});
      i = 0;
      continue;
    }
    if (!negotiated_.multiplexing && (!in_flight_.empty() || exchange_)) {
      break;
    }
    auto taken = std::move(queue_[i]);
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
    SendRequest(taken.first, std::move(taken.second));
  }
  pumping_ = false;
}

void ClientSession::StartBind(const SyntaxId& interface) {
  state_ = State::kBinding;
  Bytes token;
  if (options_.security.type != AuthType::kNone && options_.security.level > AuthLevel::kNone) {
    handshake_.emplace(options_.security, options_.raw_ntlm_in_spnego, environment_);
    token = handshake_->Start();
  }
  Exchange exchange;
  exchange.call_id = next_call_id_++;
  exchange.contexts.push_back({next_context_++, interface, {kNdr20}});
  if (options_.offer_ndr64) {
    exchange.contexts.push_back({next_context_++, interface, {kNdr64}});
  }
  if (options_.negotiate_features) {
    exchange.contexts.push_back({next_context_++, interface, {FeatureSyntax(kOwnFeatures)}});
  }
  exchange_ = std::move(exchange);
  SendExchange(PacketType::kBind, token, true);
}

void ClientSession::StartAlter(const SyntaxId& interface) {
  Exchange exchange;
  exchange.call_id = next_call_id_++;
  exchange.contexts.push_back({next_context_++, interface, {kNdr20}});
  exchange_ = std::move(exchange);
  SendExchange(PacketType::kAlterContext, {}, false);
}

void ClientSession::SendExchange(PacketType type, std::span<const std::byte> token, bool first) {
  exchange_->type = type;
  BindBody body;
  body.max_xmit = options_.max_fragment;
  body.max_recv = options_.max_fragment;
  body.association_group = first ? options_.association_group : negotiated_.association_group;
  body.contexts = exchange_->contexts;
  std::uint8_t flags = kFirstFrag | kLastFrag;
  if (first && options_.multiplexing) {
    flags |= kConcMpx;
  }
  if (first && handshake_ && protects() && options_.security.header_signing) {
    flags |= kSupportHeaderSign;
  }
  std::optional<TrailerSpec> trailer;
  if (!token.empty()) {
    trailer = TrailerSpec{.type = static_cast<std::uint8_t>(options_.security.type),
                          .level = static_cast<std::uint8_t>(wire_level()),
                          .context_id = auth_context_id_};
  }
  host_.Send(EncodePdu(type, flags, exchange_->call_id, EncodeBindBody(body), trailer, token), {});
}

void ClientSession::SendRequest(std::uint64_t ticket, Request request) {
  const Misbehaviour& odd = request.misbehaviour;
  const std::uint32_t call_id = odd.call_id ? *odd.call_id : next_call_id_++;
  const auto known = contexts_.find(request.interface);
  const std::uint16_t context_id =
      Or(odd.context_id, known == contexts_.end() ? std::uint16_t{0} : known->second);
  Bytes stub = std::move(request.stub);

  if (options_.verification_trailer && handshake_ && protects()) {
    VerificationTrailer trailer;
    if (!sent_first_request_) {
      trailer.bitmask = options_.security.header_signing ? 1 : 0;
      trailer.pcontext = VerificationTrailer::PContext{request.interface, kNdr20};
    }
    if (!negotiated_.header_signing) {
      VerificationHeader2 header;
      header.call_id = call_id;
      header.context_id = context_id;
      header.opnum = request.opnum;
      trailer.header2 = header;
    }
    AppendVerificationTrailer(stub, trailer);
  }
  sent_first_request_ = true;

  const bool protect = handshake_ && protects() && !odd.omit_trailer;
  const std::size_t head = kHeaderSize + 8 + (request.object ? 16U : 0U);
  std::size_t room = negotiated_.max_fragment - head;
  if (protect) {
    room = (room - kTrailerSize - kTokenSize) & ~(kTrailerAlignment - 1);
  }
  if (options_.send_fragment != 0) {
    room = std::min(room, options_.send_fragment);
  }

  const auto type = static_cast<PacketType>(Or(odd.packet_type, std::uint8_t{0}));
  const std::uint16_t opnum = request.opnum;
  const std::optional<Guid> object = request.object;
  const Misbehaviour rules = odd;
  if (auto other = in_flight_.find(call_id); other != in_flight_.end()) {
    auto done = std::move(other->second.request.done);
    in_flight_.erase(other);
    done(Fail(ErrorKind::kUsage, fmt::format("another call took call id {} on purpose", call_id)));
  }
  in_flight_.emplace(call_id, InFlight{ticket, std::move(request), {}, false});

  const std::span<const std::byte> all(stub);
  std::size_t sent = 0;
  std::size_t fragments = 0;
  do {
    const auto part = all.subspan(sent, std::min(room, all.size() - sent));
    const bool last = sent + part.size() == all.size();
    const bool final = last || rules.stop_after_fragments == fragments + 1;
    std::uint8_t flags = object ? kObjectUuid : 0;
    if ((fragments == 0 || rules.repeat_first_flag) && !rules.omit_first_flag) {
      flags |= kFirstFrag;
    }
    if (last) {
      flags |= kLastFrag;
    }
    const std::uint16_t number = fragments > 0 && rules.change_opnum_midway ? opnum + 1 : opnum;
    const Bytes body = EncodeRequestBody(Or(rules.alloc_hint, static_cast<std::uint32_t>(all.size() - sent)),
                                         context_id, number, object, part);
    std::optional<TrailerSpec> trailer;
    const Key16 blank{};
    if (protect) {
      trailer = TrailerSpec{.type = static_cast<std::uint8_t>(Or(rules.trailer_type, options_.security.type)),
                            .level = static_cast<std::uint8_t>(Or(rules.trailer_level, wire_level())),
                            .context_id = Or(rules.auth_context_id, auth_context_id_),
                            .align = rules.omit_padding ? std::size_t{1} : kTrailerAlignment,
                            .align_origin = head};
    }
    Bytes pdu = EncodePdu(type, flags, call_id, body, trailer,
                          protect ? std::span<const std::byte>(blank) : std::span<const std::byte>{});
    auto set16 = [&](std::size_t offset, std::uint16_t value) {
      pdu[offset] = static_cast<std::byte>(value & 0xFFU);
      pdu[offset + 1] = static_cast<std::byte>(value >> 8U);
    };
    if (rules.rpc_version) {
      pdu[0] = static_cast<std::byte>(*rules.rpc_version);
    }
    if (rules.first_data_rep) {
      pdu[4] = static_cast<std::byte>(*rules.first_data_rep);
    }
    if (rules.frag_length && final) {
      set16(8, *rules.frag_length);
    }
    if (rules.auth_length && final) {
      set16(10, *rules.auth_length);
    }
    if (protect) {
      const std::size_t token_begin = pdu.size() - kTokenSize;
      const std::size_t body_end = token_begin - kTrailerSize;
      if (rules.auth_pad_length) {
        pdu[body_end + 2] = static_cast<std::byte>(*rules.auth_pad_length);
      }
      NtlmSession& session = handshake_->session();
      if (rules.wrong_sequence && final) {
        session.SkipSentSequence(1);
      }
      const Key16 token = session.Protect(std::span(pdu).first(token_begin), head, body_end, seals());
      std::ranges::copy(token, pdu.begin() + static_cast<std::ptrdiff_t>(token_begin));
      if (rules.corrupt_signature && final) {
        pdu[token_begin + 4] ^= std::byte{1};
      }
      if (rules.corrupt_sealed_stub && final && body_end > head) {
        pdu[head] ^= std::byte{1};
      }
    }
    if (rules.truncate_to && final && *rules.truncate_to < pdu.size()) {
      pdu.resize(*rules.truncate_to);
    }
    host_.Send(std::move(pdu), part);
    sent += part.size();
    ++fragments;
    if (final) {
      break;
    }
  } while (true);
}

void ClientSession::Cancel(std::uint64_t ticket) {
  for (auto& [call_id, call] : in_flight_) {
    if (call.ticket == ticket) {
      host_.Send(EncodePdu(PacketType::kCoCancel, kFirstFrag | kLastFrag, call_id, {}), {});
      return;
    }
  }
  Abandon(ticket, MakeError(ErrorKind::kFault, "call cancelled before it was sent", nca_s_fault_cancel));
}

void ClientSession::Abandon(std::uint64_t ticket, Error error) {
  for (auto entry = queue_.begin(); entry != queue_.end(); ++entry) {
    if (entry->first == ticket) {
      auto done = std::move(entry->second.done);
      queue_.erase(entry);
      done(tl::unexpected(std::move(error)));
      return;
    }
  }
  for (auto entry = in_flight_.begin(); entry != in_flight_.end(); ++entry) {
    if (entry->second.ticket != ticket) {
      continue;
    }
    abandoned_.insert(entry->first);
    if (abandoned_.size() > kMaxAbandoned) {
      abandoned_.erase(abandoned_.begin());
    }
    host_.Send(EncodePdu(PacketType::kOrphaned, kFirstFrag | kLastFrag, entry->first, {}), {});
    const bool keep = (negotiated_.features & kFeatureKeepOnOrphan) != 0;
    if (!keep && state_ == State::kBound) {
      // Without the feature the connection is not to be used further ([MS-RPCE] 3.3.1.5.10).
      state_ = State::kDraining;
      end_ = MakeError(ErrorKind::kUnavailable, "the connection ended after an orphaned call");
      auto left = std::move(queue_);
      queue_.clear();
      for (auto& [other, request] : left) {
        request.done(tl::unexpected(end_));
      }
    }
    return FinishInFlight(entry, tl::unexpected(std::move(error)));
  }
}

void ClientSession::FinishInFlight(std::map<std::uint32_t, InFlight>::iterator entry, Result<Bytes> result) {
  auto done = std::move(entry->second.request.done);
  in_flight_.erase(entry);
  done(std::move(result));
  if (state_ == State::kDraining && in_flight_.empty()) {
    return Fatal(end_);
  }
  Pump();
}

std::string ClientSession::Awaiting(std::uint64_t ticket) const {
  for (const auto& [call_id, call] : in_flight_) {
    if (call.ticket == ticket) {
      return fmt::format("the reply of {} opnum {} (call id {}, {} octets of it received)",
                         call.request.interface.ToString(), call.request.opnum, call_id, call.reply.size());
    }
  }
  for (const auto& [waiting, request] : queue_) {
    if (waiting != ticket) {
      continue;
    }
    if (exchange_) {
      return fmt::format("the answer to {} before opnum {} of {} could be sent",
                         exchange_->type == PacketType::kBind ? "bind" : "alter_context", request.opnum,
                         request.interface.ToString());
    }
    return fmt::format("the end of an earlier call, to send opnum {} of {}", request.opnum,
                       request.interface.ToString());
  }
  return "nothing";
}

void ClientSession::Fatal(Error error) {
  if (state_ == State::kClosed) {
    return;
  }
  host_.Close(error);  // First: whoever sees a call fail must see the connection closed.
  OnClosed(std::move(error));
}

void ClientSession::OnClosed(Error error) {
  if (state_ == State::kClosed) {
    return;
  }
  state_ = State::kClosed;
  end_ = std::move(error);
  exchange_.reset();
  auto queued = std::move(queue_);
  auto running = std::move(in_flight_);
  queue_.clear();
  in_flight_.clear();
  for (auto& [call_id, call] : running) {
    call.request.done(tl::unexpected(end_));
  }
  for (auto& [ticket, request] : queued) {
    request.done(tl::unexpected(end_));
  }
}

void ClientSession::OnPdu(Bytes pdu) {
  if (state_ == State::kClosed) {
    return;
  }
  const Bytes raw = pdu;
  auto observe = [&](std::span<const std::byte> clear) {
    if (host_.observing()) {
      host_.Observe(raw, clear);
    }
  };
  auto layout = ParseLayout(pdu);
  if (!layout) {
    observe({});
    return Fatal(layout.error());
  }
  const Header& header = layout->header;
  if (header.version != 5 || header.big_endian()) {
    observe({});
    return Fatal(
        MakeError(ErrorKind::kMalformed, fmt::format("PDU of version {} and data representation 0x{:02x}",
                                                     header.version, header.data_rep[0])));
  }
  const auto type = static_cast<PacketType>(header.type);
  const bool of_call = type == PacketType::kResponse || type == PacketType::kFault;
  std::span<const std::byte> body = std::span<const std::byte>(pdu).first(layout->body_end);
  if (of_call) {
    if (pdu.size() > options_.max_fragment + kFragmentSlack) {
      observe({});
      return Fatal(MakeError(ErrorKind::kMalformed, fmt::format("fragment of {} octets, proposed were {}",
                                                                pdu.size(), options_.max_fragment)));
    }
    if (auto checked = Unprotect(*layout, pdu); !checked) {
      observe({});
      return Fatal(checked.error());
    }
    if (layout->trailer) {
      body = body.first(body.size() - layout->trailer->pad_length);
    }
  }
  if (type == PacketType::kResponse && body.size() >= kResponseHead) {
    observe(body.subspan(kResponseHead));
  } else {
    observe({});
  }

  if (of_call && abandoned_.contains(header.call_id)) {
    if (type == PacketType::kFault || (header.flags & kLastFrag) != 0) {
      abandoned_.erase(header.call_id);
    }
    return;
  }
  const bool of_exchange = exchange_ && exchange_->call_id == header.call_id;
  if (of_exchange && (type == PacketType::kBindAck || type == PacketType::kAlterContextResp)) {
    return OnBindAck(*layout, pdu);
  }
  if (of_exchange && type == PacketType::kBindNak) {
    return OnBindNak(body);
  }
  if (type == PacketType::kResponse && in_flight_.contains(header.call_id)) {
    return OnResponse(*layout, body);
  }
  if (type == PacketType::kFault && (of_exchange || in_flight_.contains(header.call_id))) {
    return OnFault(*layout, body);
  }
  if (type == PacketType::kShutdown) {
    if (state_ == State::kBound) {
      state_ = State::kDraining;
      end_ = MakeError(ErrorKind::kUnavailable, "the server asked to shut the connection down");
      auto left = std::move(queue_);
      queue_.clear();
      for (auto& [ticket, request] : left) {
        request.done(tl::unexpected(end_));
      }
      if (in_flight_.empty()) {
        Fatal(end_);
      }
    }
    return;
  }
  host_.Unmatched(raw);
}

Result<void> ClientSession::Unprotect(const PduLayout& layout, Bytes& pdu) {
  const Header& header = layout.header;
  const bool due = handshake_ && secured_ && protects();
  if (!layout.trailer) {
    // Faults may come bare ([MS-RPCE] leaves it open, Samba sends them so).
    if (due && header.type == static_cast<std::uint8_t>(PacketType::kResponse)) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("response to call id {} without a signature", header.call_id));
    }
    return {};
  }
  if (!handshake_ || !secured_) {
    return Fail(ErrorKind::kMalformed, "a signature on an unsecured connection");
  }
  if (!protects()) {
    return {};
  }
  const SecTrailer& trailer = *layout.trailer;
  if (trailer.type != static_cast<std::uint8_t>(options_.security.type) ||
      trailer.level != static_cast<std::uint8_t>(wire_level()) || trailer.context_id != auth_context_id_) {
    return Fail(ErrorKind::kMalformed, fmt::format("a security trailer of type {}, level {}, context {}",
                                                   trailer.type, trailer.level, trailer.context_id));
  }
  if (layout.body_end < kResponseHead || trailer.pad_length > layout.body_end - kResponseHead) {
    return Fail(ErrorKind::kMalformed, "a PDU that ends in its head");
  }
  const auto whole = std::span(pdu);
  if (!handshake_->session().Unprotect(whole.first(layout.token_begin), kResponseHead, layout.body_end,
                                       seals(), whole.subspan(layout.token_begin))) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("wrong signature or sequence number on the reply to call id {}", header.call_id));
  }
  return {};
}

void ClientSession::OnBindAck(const PduLayout& layout, std::span<const std::byte> pdu) {
  auto ack = ParseBindAck(pdu.first(layout.body_end));
  if (!ack) {
    return Fatal(ack.error());
  }
  if (ack->results.size() != exchange_->contexts.size()) {
    return Fatal(
        MakeError(ErrorKind::kMalformed, fmt::format("bind_ack: {} results for {} contexts",
                                                     ack->results.size(), exchange_->contexts.size())));
  }
  if (exchange_->type == PacketType::kBind) {
    const std::size_t fragment = std::min(ack->max_recv, options_.max_fragment);
    if (fragment < 256) {
      return Fatal(
          MakeError(ErrorKind::kMalformed, fmt::format("bind_ack: max_recv_frag {}", ack->max_recv)));
    }
    negotiated_.max_fragment = static_cast<std::uint16_t>(fragment & ~std::size_t{7});
    negotiated_.association_group = ack->association_group;
    negotiated_.multiplexing = options_.multiplexing && (layout.header.flags & kConcMpx) != 0;
    negotiated_.header_signing = handshake_ && options_.security.header_signing && protects() &&
                                 (layout.header.flags & kSupportHeaderSign) != 0;
    negotiated_.secondary_address = ack->secondary_address;
  }
  if (handshake_ && !secured_) {
    if (!layout.trailer) {
      return Fatal(MakeError(ErrorKind::kDenied, "the server answered the bind without a security token"));
    }
    auto step = handshake_->Next(pdu.subspan(layout.token_begin));
    if (!step) {
      return Fatal(step.error());
    }
    if (!step->complete) {
      return SendExchange(PacketType::kAlterContext, step->token, false);
    }
    if (handshake_->last_leg_unanswered()) {
      const TrailerSpec trailer{.type = static_cast<std::uint8_t>(options_.security.type),
                                .level = static_cast<std::uint8_t>(wire_level()),
                                .context_id = auth_context_id_};
      host_.Send(EncodePdu(PacketType::kAuth3, kFirstFrag | kLastFrag, exchange_->call_id, Bytes(4), trailer,
                           step->token),
                 {});
    }
    secured_ = true;
  }
  TakeResults(*ack);
}

void ClientSession::TakeResults(const BindAckBody& ack) {
  const Exchange exchange = std::move(*exchange_);
  exchange_.reset();
  state_ = State::kBound;
  std::vector<std::pair<SyntaxId, ContextResult>> refused;
  for (std::size_t i = 0; i < ack.results.size(); ++i) {
    const ContextResult& result = ack.results[i];
    const PresentationContext& context = exchange.contexts[i];
    if (FeaturesOf(context.transfers.front())) {
      // Servers without features reject this as a transfer syntax that they do not know.
      if (result.verdict == static_cast<std::uint16_t>(ContextVerdict::kNegotiateAck)) {
        negotiated_.features = result.reason & kOwnFeatures;
      }
    } else if (context.transfers.front() == kNdr20) {
      if (result.verdict == static_cast<std::uint16_t>(ContextVerdict::kAcceptance)) {
        contexts_[context.abstract] = context.id;
      } else {
        refused.emplace_back(context.abstract, result);
      }
    }
  }
  for (const auto& [interface, result] : refused) {
    std::uint32_t status = RPC_S_CALL_FAILED;
    if (result.reason == kReasonAbstractSyntax) {
      status = RPC_S_UNKNOWN_IF;
    }
    if (result.reason == kReasonTransferSyntaxes) {
      status = RPC_S_UNSUPPORTED_TRANS_SYN;
    }
    std::deque<std::pair<std::uint64_t, Request>> left;
    std::vector<ClientConnection::Done> failed;
    for (auto& entry : queue_) {
      if (entry.second.interface == interface && !entry.second.misbehaviour.context_id) {
        failed.push_back(std::move(entry.second.done));
      } else {
        left.push_back(std::move(entry));
      }
    }
    queue_ = std::move(left);
    for (auto& done : failed) {
      done(Fail(ErrorKind::kFault,
                fmt::format("the server refuses interface {}: result {}, reason {}", interface.ToString(),
                            result.verdict, result.reason),
                status));
    }
  }
  Pump();
}

void ClientSession::OnBindNak(std::span<const std::byte> pdu) {
  auto nak = ParseBindNak(pdu);
  if (!nak) {
    return Fatal(nak.error());
  }
  const bool denied = handshake_ && (nak->reason == kNakAuthType || nak->reason == kNakInvalidChecksum);
  Fatal(MakeError(denied ? ErrorKind::kDenied : ErrorKind::kFault,
                  fmt::format("the server refused the bind with reason {}", nak->reason), nak->reason));
}

void ClientSession::OnResponse(const PduLayout& layout, std::span<const std::byte> body) {
  auto entry = in_flight_.find(layout.header.call_id);
  auto head = ParseResponse(body);
  if (!head) {
    return Fatal(head.error());
  }
  InFlight& call = entry->second;
  const bool first = (layout.header.flags & kFirstFrag) != 0;
  if (first == call.started) {
    return Fatal(MakeError(ErrorKind::kMalformed, fmt::format("response fragments of call id {} out of order",
                                                              layout.header.call_id)));
  }
  call.started = true;
  const auto part = body.subspan(head->stub_begin);
  if (call.reply.size() + part.size() > options_.max_reply) {
    return Fatal(MakeError(ErrorKind::kLimit, fmt::format("reply above {} octets", options_.max_reply)));
  }
  call.reply.insert(call.reply.end(), part.begin(), part.end());
  if ((layout.header.flags & kLastFrag) != 0) {
    Bytes reply = std::move(call.reply);
    FinishInFlight(entry, std::move(reply));
  }
}

void ClientSession::OnFault(const PduLayout& layout, std::span<const std::byte> body) {
  auto fault = ParseFault(body);
  if (!fault) {
    return Fatal(fault.error());
  }
  if (exchange_ && exchange_->call_id == layout.header.call_id) {
    return OnExchangeFault(*fault);
  }
  auto entry = in_flight_.find(layout.header.call_id);
  const bool executed = (layout.header.flags & kDidNotExecute) == 0;
  FinishInFlight(entry,
                 Fail(ErrorKind::kFault,
                      fmt::format("{} opnum {}: fault {}{}", entry->second.request.interface.ToString(),
                                  entry->second.request.opnum, FaultName(fault->status),
                                  executed ? "" : ", not executed"),
                      fault->status));
}

void ClientSession::OnExchangeFault(const FaultBody& fault) {
  const bool handshake = handshake_ && !secured_;
  const bool denied =
      handshake && (fault.status == ERROR_ACCESS_DENIED || fault.status == RPC_S_SEC_PKG_ERROR);
  const std::string what =
      fmt::format("the server answered {} with fault {}",
                  handshake ? "the security exchange" : "alter_context", FaultName(fault.status));
  Fatal(MakeError(denied ? ErrorKind::kDenied : ErrorKind::kFault, what, fault.status));
}

}  // namespace dmrp::rpc
