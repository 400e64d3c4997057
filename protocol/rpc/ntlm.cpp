#include "protocol/rpc/ntlm.hpp"

#include "protocol/rpc/octets.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::rpc {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignature = "NTLMSSP\0"sv;
constexpr std::size_t kMicOffset = 72;
constexpr std::size_t kPayloadWithMic = 88;
constexpr std::uint32_t kMicPresent = 2;  // In the Flags attribute.

/// What the client asks for, and the most that the server grants.
constexpr std::uint32_t kClientFlags = kNtlmUnicode | kNtlmRequestTarget | kNtlmSign | kNtlmSeal | kNtlmNtlm |
                                       kNtlmAlwaysSign | kNtlmExtendedSessionSecurity | kNtlmVersion |
                                       kNtlm128 | kNtlmKeyExchange | kNtlm56;
constexpr std::uint32_t kServerFlags = kClientFlags;

/// Windows' version field: 6.1 build 7601, NTLM revision 15.
void PutVersion(OctetWriter& writer) {
  writer.U8(6);
  writer.U8(1);
  writer.U16(7601);
  writer.Fill(3);
  writer.U8(15);
}

/// Collects payload fields and their descriptors.
class PayloadWriter {
 public:
  explicit PayloadWriter(std::size_t begin) : begin_(begin) {}

  void Field(OctetWriter& head, std::span<const std::byte> value) {
    head.U16(static_cast<std::uint16_t>(value.size()));
    head.U16(static_cast<std::uint16_t>(value.size()));
    head.U32(static_cast<std::uint32_t>(begin_ + payload_.size()));
    payload_.insert(payload_.end(), value.begin(), value.end());
  }
  [[nodiscard]] const Bytes& payload() const { return payload_; }

 private:
  std::size_t begin_;
  Bytes payload_;
};

/// Checks signature and type; the reader stands behind them.
Result<OctetReader> Open(std::span<const std::byte> message, std::uint32_t type) {
  OctetReader reader(message);
  auto signature = reader.Octets(kSignature.size());
  const std::uint32_t found = reader.U32();
  if (reader.failed() || !std::ranges::equal(signature, AsOctets(kSignature)) || found != type) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("NTLM: {} octets are no message of type {}", message.size(), type));
  }
  return reader;
}

/// A field descriptor, and what it points at.
std::span<const std::byte> Field(OctetReader& reader, std::span<const std::byte> message,
                                 std::size_t head_end, bool& ok, std::size_t& lowest) {
  const std::size_t length = reader.U16();
  reader.Skip(2);
  const std::size_t offset = reader.U32();
  if (length == 0) {
    return {};
  }
  if (offset < head_end || offset > message.size() || length > message.size() - offset) {
    ok = false;
    return {};
  }
  lowest = std::min(lowest, offset);
  return message.subspan(offset, length);
}

std::u16string Text(std::span<const std::byte> octets) {
  std::u16string text;
  OctetReader reader(octets);
  while (reader.left() >= 2) {
    text.push_back(reader.U16());
  }
  return text;
}

const AvPair* Find(const std::vector<AvPair>& pairs, std::uint16_t id) {
  auto found = std::ranges::find(pairs, id, &AvPair::id);
  return found == pairs.end() ? nullptr : &*found;
}

AvPair TextPair(std::uint16_t id, std::string_view text) {
  auto converted = ToUtf16(text);
  return {id, converted ? Utf16Octets(*converted) : Bytes{}};
}

}  // namespace

bool LooksLikeNtlm(std::span<const std::byte> token) {
  return token.size() >= kSignature.size() &&
         std::ranges::equal(token.first(kSignature.size()), AsOctets(kSignature));
}

Result<std::vector<AvPair>> ParseAvPairs(std::span<const std::byte> octets) {
  OctetReader reader(octets);
  std::vector<AvPair> pairs;
  while (true) {
    const std::uint16_t id = reader.U16();
    auto value = reader.Octets(reader.U16());
    if (reader.failed()) {
      return Fail(ErrorKind::kMalformed, fmt::format("NTLM target info: cut off at offset {} of {}",
                                                     reader.offset(), octets.size()));
    }
    if (id == kAvEol) {
      return pairs;
    }
    pairs.push_back({id, Bytes(value.begin(), value.end())});
  }
}

Bytes EncodeAvPairs(const std::vector<AvPair>& pairs) {
  OctetWriter writer;
  for (const auto& pair : pairs) {
    writer.U16(pair.id);
    writer.U16(static_cast<std::uint16_t>(pair.value.size()));
    writer.Octets(pair.value);
  }
  writer.U32(0);
  return writer.Take();
}

Result<NtlmNegotiate> ParseNtlmNegotiate(std::span<const std::byte> message) {
  auto reader = Open(message, 1);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  // Domain and workstation may be missing; neither matters.
  const NtlmNegotiate parsed{reader->U32()};
  if (reader->failed()) {
    return Fail(ErrorKind::kMalformed, "NTLM NEGOTIATE: no flags");
  }
  return parsed;
}

Result<NtlmChallenge> ParseNtlmChallenge(std::span<const std::byte> message) {
  auto reader = Open(message, 2);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  NtlmChallenge parsed;
  bool ok = true;
  std::size_t lowest = message.size();
  Field(*reader, message, 32, ok, lowest);
  parsed.flags = reader->U32();
  parsed.server_challenge = reader->Octets(8);
  if (reader->failed()) {
    return Fail(ErrorKind::kMalformed, "NTLM CHALLENGE: cut off before offset 32");
  }
  if (reader->left() >= 16) {
    reader->Skip(8);
    parsed.target_info = Field(*reader, message, 48, ok, lowest);
  }
  if (!ok) {
    return Fail(ErrorKind::kMalformed, "NTLM CHALLENGE: a field lies outside the message");
  }
  return parsed;
}

Result<NtlmAuthenticate> ParseNtlmAuthenticate(std::span<const std::byte> message) {
  constexpr std::size_t kHead = 64;
  auto reader = Open(message, 3);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  NtlmAuthenticate parsed;
  bool ok = true;
  std::size_t lowest = message.size();
  parsed.lm_response = Field(*reader, message, kHead, ok, lowest);
  parsed.nt_response = Field(*reader, message, kHead, ok, lowest);
  parsed.domain = Text(Field(*reader, message, kHead, ok, lowest));
  parsed.user = Text(Field(*reader, message, kHead, ok, lowest));
  parsed.workstation = Text(Field(*reader, message, kHead, ok, lowest));
  parsed.encrypted_key = Field(*reader, message, kHead, ok, lowest);
  parsed.flags = reader->U32();
  if (reader->failed()) {
    return Fail(ErrorKind::kMalformed, "NTLM AUTHENTICATE: cut off before offset 64");
  }
  if (!ok) {
    return Fail(ErrorKind::kMalformed, "NTLM AUTHENTICATE: a field lies outside the message");
  }
  parsed.has_mic_field = lowest >= kPayloadWithMic;
  return parsed;
}

NtlmInitiator::NtlmInitiator(Credentials credentials, std::string target_name, NtlmEnvironment environment)
    : credentials_(std::move(credentials)),
      target_name_(std::move(target_name)),
      environment_(std::move(environment)) {}

Bytes NtlmInitiator::Negotiate() {
  OctetWriter writer;
  writer.Octets(AsOctets(kSignature));
  writer.U32(1);
  writer.U32(kClientFlags | (credentials_.anonymous ? kNtlmAnonymous : 0));
  for (int field = 0; field < 2; ++field) {
    writer.U32(0);
    writer.U32(40);
  }
  PutVersion(writer);
  negotiate_ = writer.Take();
  return negotiate_;
}

Result<Bytes> NtlmInitiator::Authenticate(std::span<const std::byte> challenge) {
  auto parsed = ParseNtlmChallenge(challenge);
  if (!parsed) {
    return tl::unexpected(parsed.error());
  }
  constexpr std::uint32_t kNeeded = kNtlmUnicode | kNtlmExtendedSessionSecurity;
  if ((parsed->flags & kNeeded) != kNeeded) {
    return Fail(ErrorKind::kDenied,
                fmt::format("NTLM: the server's flags 0x{:08x} lack UNICODE or EXTENDED_SESSIONSECURITY",
                            parsed->flags));
  }
  const std::uint32_t flags = (parsed->flags & kClientFlags) | kNtlmVersion |
                              (parsed->flags & kNtlmTargetInfo) |
                              (credentials_.anonymous ? kNtlmAnonymous : 0);

  auto user = ToUtf16(credentials_.user);
  auto domain = ToUtf16(credentials_.domain);
  auto workstation = ToUtf16(credentials_.workstation);
  auto hash = HashPassword(credentials_.password);
  if (!user || !domain || !workstation || !hash) {
    return Fail(ErrorKind::kUsage, "NTLM: credentials are not UTF-8");
  }

  Bytes nt_response;
  Bytes lm_response;
  Key16 key_exchange_key{};
  if (credentials_.anonymous) {
    user->clear();
    domain->clear();
    lm_response.resize(1);
  } else {
    auto pairs = ParseAvPairs(parsed->target_info);
    if (!pairs) {
      return tl::unexpected(pairs.error());
    }
    std::uint64_t time = environment_.filetime();
    if (const AvPair* stamp = Find(*pairs, kAvTimestamp); stamp != nullptr && stamp->value.size() == 8) {
      time = OctetReader(stamp->value).U64();
      sent_mic_ = true;
      std::erase_if(*pairs, [](const AvPair& pair) { return pair.id == kAvFlags; });
      pairs->push_back({kAvFlags, Bytes{std::byte{kMicPresent}, std::byte{0}, std::byte{0}, std::byte{0}}});
    }
    pairs->push_back({kAvChannelBindings, Bytes(16)});
    pairs->push_back(TextPair(kAvTargetName, target_name_));
    std::array<std::byte, 8> client_challenge{};
    environment_.random(client_challenge);
    OctetWriter blob;
    blob.U16(0x0101);
    blob.Fill(6);
    blob.U64(time);
    blob.Octets(client_challenge);
    blob.U32(0);
    blob.Octets(EncodeAvPairs(*pairs));
    blob.U32(0);
    const Key16 owf = NtOwfV2(*hash, *user, *domain);
    const Key16 proof = NtProof(owf, parsed->server_challenge, blob.bytes());
    nt_response.assign(proof.begin(), proof.end());
    nt_response.insert(nt_response.end(), blob.bytes().begin(), blob.bytes().end());
    if (sent_mic_) {
      lm_response.resize(24);
    } else {
      const Key16 lm = HmacMd5(owf, {parsed->server_challenge, client_challenge});
      lm_response.assign(lm.begin(), lm.end());
      lm_response.insert(lm_response.end(), client_challenge.begin(), client_challenge.end());
    }
    key_exchange_key = HmacMd5(owf, {proof});
  }

  Key16 exported_key = key_exchange_key;
  Bytes encrypted_key;
  if ((flags & kNtlmKeyExchange) != 0) {
    environment_.random(exported_key);
    const Key16 encrypted = Rc4Once(key_exchange_key, exported_key);
    encrypted_key.assign(encrypted.begin(), encrypted.end());
  }

  OctetWriter writer;
  PayloadWriter payload(kPayloadWithMic);
  writer.Octets(AsOctets(kSignature));
  writer.U32(3);
  payload.Field(writer, lm_response);
  payload.Field(writer, nt_response);
  payload.Field(writer, Utf16Octets(*domain));
  payload.Field(writer, Utf16Octets(*user));
  payload.Field(writer, Utf16Octets(*workstation));
  payload.Field(writer, encrypted_key);
  writer.U32(flags);
  PutVersion(writer);
  writer.Fill(16);
  writer.Octets(payload.payload());
  Bytes message = writer.Take();
  if (sent_mic_) {
    const Key16 mic = HmacMd5(exported_key, {negotiate_, challenge, message});
    std::ranges::copy(mic, message.begin() + kMicOffset);
  }
  session_.emplace(NtlmSession::Side::kClient, exported_key, flags);
  return message;
}

NtlmAcceptor::NtlmAcceptor(NtlmAcceptorOptions options, const AccountStore* accounts,
                           NtlmEnvironment environment)
    : options_(std::move(options)), accounts_(accounts), environment_(std::move(environment)) {}

Result<Bytes> NtlmAcceptor::Challenge(std::span<const std::byte> negotiate) {
  auto parsed = ParseNtlmNegotiate(negotiate);
  if (!parsed) {
    return tl::unexpected(parsed.error());
  }
  if ((parsed->flags & kNtlmUnicode) == 0) {
    return Fail(ErrorKind::kDenied,
                fmt::format("NTLM: the client's flags 0x{:08x} lack UNICODE", parsed->flags));
  }
  negotiate_.assign(negotiate.begin(), negotiate.end());
  environment_.random(server_challenge_);

  std::uint32_t flags = (parsed->flags & kServerFlags) | options_.unasked_flags;
  if ((parsed->flags & kNtlmRequestTarget) != 0) {
    flags |= kNtlmTargetServer;
  }
  std::vector<AvPair> pairs{TextPair(kAvNbDomainName, options_.netbios_domain),
                            TextPair(kAvNbComputerName, options_.netbios_computer)};
  if (!options_.dns_domain.empty()) {
    pairs.push_back(TextPair(kAvDnsDomainName, options_.dns_domain));
  }
  if (!options_.dns_computer.empty()) {
    pairs.push_back(TextPair(kAvDnsComputerName, options_.dns_computer));
  }
  if (options_.timestamp) {
    OctetWriter stamp;
    stamp.U64(environment_.filetime());
    pairs.push_back({kAvTimestamp, stamp.Take()});
  }
  flags |= kNtlmTargetInfo;

  OctetWriter writer;
  PayloadWriter payload(56);
  writer.Octets(AsOctets(kSignature));
  writer.U32(2);
  payload.Field(writer, TextPair(0, options_.netbios_computer).value);
  writer.U32(flags);
  writer.Octets(server_challenge_);
  writer.Fill(8);
  payload.Field(writer, EncodeAvPairs(pairs));
  PutVersion(writer);
  writer.Octets(payload.payload());
  challenge_ = writer.Take();
  return challenge_;
}

Result<NtlmIdentity> NtlmAcceptor::Authenticate(std::span<const std::byte> message) {
  if (challenge_.empty()) {
    return Fail(ErrorKind::kMalformed, "NTLM: AUTHENTICATE before CHALLENGE");
  }
  auto parsed = ParseNtlmAuthenticate(message);
  if (!parsed) {
    return tl::unexpected(parsed.error());
  }
  if ((parsed->flags & kNtlmExtendedSessionSecurity) == 0) {
    return Fail(ErrorKind::kDenied, "NTLM: the client refuses EXTENDED_SESSIONSECURITY");
  }
  const std::string user = ToUtf8(parsed->user);
  const std::string domain = ToUtf8(parsed->domain);
  if (parsed->user.empty() && parsed->nt_response.empty()) {
    if (!options_.allow_anonymous) {
      return Fail(ErrorKind::kDenied, "NTLM: anonymous logon is not allowed");
    }
    if (auto opened = OpenSession(message, *parsed, Key16{}, false); !opened) {
      return tl::unexpected(opened.error());
    }
    return NtlmIdentity{.user = {}, .domain = domain, .groups = {}, .anonymous = true};
  }
  constexpr std::size_t kBlobHead = 28;  // Up to the attribute pairs.
  if (parsed->nt_response.size() < 16 + kBlobHead) {
    return Fail(ErrorKind::kDenied,
                fmt::format("NTLM: an NT response of {} octets is not NTLMv2, user {}\\{}",
                            parsed->nt_response.size(), domain, user));
  }
  auto account = accounts_ == nullptr ? std::nullopt : accounts_->Find(user, domain);
  if (!account) {
    return Fail(ErrorKind::kDenied, fmt::format("NTLM: no account {}\\{}", domain, user));
  }
  const auto proof = parsed->nt_response.first(16);
  const auto blob = parsed->nt_response.subspan(16);
  // The client may have computed the response with an empty domain ([MS-NLMP] 3.2.5.1.2).
  Key16 owf = NtOwfV2(account->nt_hash, parsed->user, parsed->domain);
  if (!EqualInConstantTime(NtProof(owf, server_challenge_, blob), proof)) {
    owf = NtOwfV2(account->nt_hash, parsed->user, u"");
    if (!EqualInConstantTime(NtProof(owf, server_challenge_, blob), proof)) {
      return Fail(ErrorKind::kDenied, fmt::format("NTLM: wrong password for {}\\{}", domain, user));
    }
  }
  auto pairs = ParseAvPairs(blob.subspan(kBlobHead));
  if (!pairs) {
    return tl::unexpected(pairs.error());
  }
  const AvPair* av_flags = Find(*pairs, kAvFlags);
  const bool mic_due = av_flags != nullptr && av_flags->value.size() == 4 &&
                       (OctetReader(av_flags->value).U32() & kMicPresent) != 0;
  if (auto opened = OpenSession(message, *parsed, HmacMd5(owf, {proof}), mic_due); !opened) {
    return tl::unexpected(opened.error());
  }
  return NtlmIdentity{
      .user = account->user, .domain = domain, .groups = std::move(account->groups), .anonymous = false};
}

Result<void> NtlmAcceptor::OpenSession(std::span<const std::byte> message, const NtlmAuthenticate& parsed,
                                       const Key16& key_exchange_key, bool mic_due) {
  Key16 exported_key = key_exchange_key;
  if ((parsed.flags & kNtlmKeyExchange) != 0) {
    if (parsed.encrypted_key.size() != 16) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("NTLM AUTHENTICATE: session key of {} octets, expected 16",
                              parsed.encrypted_key.size()));
    }
    exported_key = Rc4Once(key_exchange_key, parsed.encrypted_key.first<16>());
  }
  if (mic_due) {
    if (!parsed.has_mic_field) {
      return Fail(ErrorKind::kDenied, "NTLM: the promised MIC is missing");
    }
    Bytes zeroed(message.begin(), message.end());
    std::fill_n(zeroed.begin() + kMicOffset, 16, std::byte{0});
    const Key16 mic = HmacMd5(exported_key, {negotiate_, challenge_, zeroed});
    if (!EqualInConstantTime(mic, message.subspan(kMicOffset, 16))) {
      return Fail(ErrorKind::kDenied, "NTLM: the MIC is wrong");
    }
    received_mic_ = true;
  }
  session_.emplace(NtlmSession::Side::kServer, exported_key, parsed.flags);
  return {};
}

}  // namespace dmrp::rpc
