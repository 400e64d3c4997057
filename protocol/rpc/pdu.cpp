#include "protocol/rpc/pdu.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace dmrp::rpc {
namespace {

constexpr Guid kFeaturePrefix{0x6cb71c2c, 0x9812, 0x4540, {}};

/// A failed reader's error, naming where it stopped.
tl::unexpected<Error> Short(std::string_view what, const OctetReader& reader) {
  return Fail(
      ErrorKind::kMalformed,
      fmt::format("{}: the PDU ends in a field that begins at or after offset {}", what, reader.offset()));
}

}  // namespace

Result<Header> ParseHeader(std::span<const std::byte> octets) {
  if (octets.size() < kHeaderSize) {
    return Fail(ErrorKind::kMalformed, fmt::format("PDU header: {} octets, expected 16", octets.size()));
  }
  OctetReader reader(octets);
  Header header;
  header.version = reader.U8();
  header.minor = reader.U8();
  header.type = reader.U8();
  header.flags = reader.U8();
  for (auto& octet : header.data_rep) {
    octet = reader.U8();
  }
  header.frag_length = reader.U16();
  header.auth_length = reader.U16();
  header.call_id = reader.U32();
  if (header.big_endian()) {
    header.frag_length = __builtin_bswap16(header.frag_length);
    header.auth_length = __builtin_bswap16(header.auth_length);
    header.call_id = __builtin_bswap32(header.call_id);
  }
  return header;
}

Result<PduLayout> ParseLayout(std::span<const std::byte> octets) {
  auto header = ParseHeader(octets);
  if (!header) {
    return tl::unexpected(header.error());
  }
  PduLayout layout;
  layout.header = *header;
  if (header->frag_length != octets.size()) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("PDU frag_length {} of {} octets", header->frag_length, octets.size()));
  }
  layout.body_end = octets.size();
  layout.token_begin = octets.size();
  if (header->auth_length == 0) {
    return layout;
  }
  if (header->auth_length + kTrailerSize > octets.size() - kHeaderSize) {
    return Fail(ErrorKind::kMalformed, fmt::format("PDU auth_length {} exceeds the fragment of {} octets",
                                                   header->auth_length, octets.size()));
  }
  layout.token_begin = octets.size() - header->auth_length;
  layout.body_end = layout.token_begin - kTrailerSize;
  OctetReader reader(octets.subspan(layout.body_end, kTrailerSize));
  SecTrailer trailer;
  trailer.type = reader.U8();
  trailer.level = reader.U8();
  trailer.pad_length = reader.U8();
  reader.Skip(1);
  trailer.context_id = reader.U32();
  if (trailer.pad_length > layout.body_end - kHeaderSize) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("sec_trailer auth_pad_length {} exceeds the body of {} octets",
                            trailer.pad_length, layout.body_end - kHeaderSize));
  }
  layout.trailer = trailer;
  return layout;
}

Result<BindBody> ParseBind(std::span<const std::byte> pdu) {
  OctetReader reader(pdu);
  reader.Skip(kHeaderSize);
  BindBody body;
  body.max_xmit = reader.U16();
  body.max_recv = reader.U16();
  body.association_group = reader.U32();
  const unsigned count = reader.U8();
  reader.Skip(3);
  for (unsigned i = 0; i < count && !reader.failed(); ++i) {
    PresentationContext context;
    context.id = reader.U16();
    const unsigned transfers = reader.U8();
    reader.Skip(1);
    context.abstract = reader.Syntax();
    for (unsigned k = 0; k < transfers && !reader.failed(); ++k) {
      context.transfers.push_back(reader.Syntax());
    }
    body.contexts.push_back(std::move(context));
  }
  if (reader.failed()) {
    return Short("bind", reader);
  }
  return body;
}

Result<BindAckBody> ParseBindAck(std::span<const std::byte> pdu) {
  OctetReader reader(pdu);
  reader.Skip(kHeaderSize);
  BindAckBody body;
  body.max_xmit = reader.U16();
  body.max_recv = reader.U16();
  body.association_group = reader.U32();
  auto address = reader.Octets(reader.U16());
  body.secondary_address.assign(reinterpret_cast<const char*>(address.data()), address.size());
  if (!body.secondary_address.empty() && body.secondary_address.back() == '\0') {
    body.secondary_address.pop_back();
  }
  reader.AlignTo(4);
  const unsigned count = reader.U8();
  reader.Skip(3);
  for (unsigned i = 0; i < count && !reader.failed(); ++i) {
    ContextResult result;
    result.verdict = reader.U16();
    result.reason = reader.U16();
    result.transfer = reader.Syntax();
    body.results.push_back(result);
  }
  if (reader.failed()) {
    return Short("bind_ack", reader);
  }
  return body;
}

Result<BindNakBody> ParseBindNak(std::span<const std::byte> pdu) {
  OctetReader reader(pdu);
  reader.Skip(kHeaderSize);
  BindNakBody body;
  body.reason = reader.U16();
  body.versions.clear();
  if (reader.failed()) {
    return Short("bind_nak", reader);
  }
  // Some servers end after the reason.
  const unsigned count = reader.left() > 0 ? reader.U8() : 0;
  for (unsigned i = 0; i < count && reader.left() >= 2; ++i) {
    const std::uint8_t major = reader.U8();
    body.versions.push_back({major, reader.U8()});
  }
  return body;
}

Result<RequestHead> ParseRequest(std::span<const std::byte> pdu, std::uint8_t flags) {
  OctetReader reader(pdu);
  reader.Skip(kHeaderSize);
  RequestHead head;
  head.alloc_hint = reader.U32();
  head.context_id = reader.U16();
  head.opnum = reader.U16();
  if ((flags & kObjectUuid) != 0) {
    head.object = reader.Uuid();
  }
  if (reader.failed()) {
    return Short("request", reader);
  }
  head.stub_begin = reader.offset();
  return head;
}

Result<ResponseHead> ParseResponse(std::span<const std::byte> pdu) {
  OctetReader reader(pdu);
  reader.Skip(kHeaderSize);
  ResponseHead head;
  head.alloc_hint = reader.U32();
  head.context_id = reader.U16();
  head.cancel_count = reader.U8();
  reader.Skip(1);
  if (reader.failed()) {
    return Short("response", reader);
  }
  head.stub_begin = reader.offset();
  return head;
}

Result<FaultBody> ParseFault(std::span<const std::byte> pdu) {
  OctetReader reader(pdu);
  reader.Skip(kHeaderSize);
  FaultBody body;
  body.alloc_hint = reader.U32();
  body.context_id = reader.U16();
  body.cancel_count = reader.U8();
  body.flags = reader.U8();
  body.status = reader.U32();
  if (reader.failed()) {
    return Short("fault", reader);
  }
  return body;
}

Bytes EncodePdu(PacketType type, std::uint8_t flags, std::uint32_t call_id, std::span<const std::byte> body,
                const std::optional<TrailerSpec>& trailer, std::span<const std::byte> token) {
  OctetWriter writer;
  writer.U8(5);
  writer.U8(0);
  writer.U8(static_cast<std::uint8_t>(type));
  writer.U8(flags);
  writer.U32(0x10);
  writer.U16(0);
  writer.U16(static_cast<std::uint16_t>(token.size()));
  writer.U32(call_id);
  writer.Octets(body);
  if (trailer) {
    const std::size_t unpadded = writer.size();
    writer.AlignTo(trailer->align, trailer->align_origin);
    const std::size_t pad = writer.size() - unpadded;
    writer.U8(trailer->type);
    writer.U8(trailer->level);
    writer.U8(static_cast<std::uint8_t>(pad));
    writer.U8(0);
    writer.U32(trailer->context_id);
    writer.Octets(token);
  }
  writer.SetU16(8, static_cast<std::uint16_t>(writer.size()));
  return writer.Take();
}

Bytes EncodeBindBody(const BindBody& body) {
  OctetWriter writer;
  writer.U16(body.max_xmit);
  writer.U16(body.max_recv);
  writer.U32(body.association_group);
  writer.U8(static_cast<std::uint8_t>(body.contexts.size()));
  writer.Fill(3);
  for (const auto& context : body.contexts) {
    writer.U16(context.id);
    writer.U8(static_cast<std::uint8_t>(context.transfers.size()));
    writer.U8(0);
    writer.Syntax(context.abstract);
    for (const auto& transfer : context.transfers) {
      writer.Syntax(transfer);
    }
  }
  return writer.Take();
}

Bytes EncodeBindAckBody(const BindAckBody& body) {
  OctetWriter writer;
  writer.U16(body.max_xmit);
  writer.U16(body.max_recv);
  writer.U32(body.association_group);
  if (body.secondary_address.empty()) {
    writer.U16(0);
  } else {
    writer.U16(static_cast<std::uint16_t>(body.secondary_address.size() + 1));
    writer.Octets(AsOctets(body.secondary_address));
    writer.U8(0);
  }
  writer.AlignTo(4);  // The body begins at offset 16, so its own alignment is the PDU's.
  writer.U8(static_cast<std::uint8_t>(body.results.size()));
  writer.Fill(3);
  for (const auto& result : body.results) {
    writer.U16(result.verdict);
    writer.U16(result.reason);
    writer.Syntax(result.transfer);
  }
  return writer.Take();
}

Bytes EncodeBindNakBody(const BindNakBody& body) {
  OctetWriter writer;
  writer.U16(body.reason);
  writer.U8(static_cast<std::uint8_t>(body.versions.size()));
  for (const auto& version : body.versions) {
    writer.U8(version[0]);
    writer.U8(version[1]);
  }
  return writer.Take();
}

Bytes EncodeFaultBody(const FaultBody& body) {
  OctetWriter writer;
  writer.U32(body.alloc_hint);
  writer.U16(body.context_id);
  writer.U8(body.cancel_count);
  writer.U8(body.flags);
  writer.U32(body.status);
  writer.U32(0);
  return writer.Take();
}

Bytes EncodeRequestBody(std::uint32_t alloc_hint, std::uint16_t context_id, std::uint16_t opnum,
                        const std::optional<Guid>& object, std::span<const std::byte> stub) {
  OctetWriter writer;
  writer.U32(alloc_hint);
  writer.U16(context_id);
  writer.U16(opnum);
  if (object) {
    writer.Uuid(*object);
  }
  writer.Octets(stub);
  return writer.Take();
}

Bytes EncodeResponseBody(std::uint32_t alloc_hint, std::uint16_t context_id, std::uint8_t cancel_count,
                         std::span<const std::byte> stub) {
  OctetWriter writer;
  writer.U32(alloc_hint);
  writer.U16(context_id);
  writer.U8(cancel_count);
  writer.U8(0);
  writer.Octets(stub);
  return writer.Take();
}

SyntaxId FeatureSyntax(std::uint64_t features) {
  SyntaxId id{kFeaturePrefix, 1, 0};
  for (auto& octet : id.uuid.Data4) {
    octet = static_cast<std::uint8_t>(features & 0xFFU);
    features >>= 8U;
  }
  return id;
}

std::optional<std::uint64_t> FeaturesOf(const SyntaxId& transfer) {
  Guid prefix = transfer.uuid;
  prefix.Data4 = {};
  if (prefix != kFeaturePrefix || transfer.major != 1) {
    return std::nullopt;
  }
  std::uint64_t features = 0;
  for (auto octet = transfer.uuid.Data4.rbegin(); octet != transfer.uuid.Data4.rend(); ++octet) {
    features = features << 8U | *octet;
  }
  return features;
}

Result<std::optional<Bytes>> PduFramer::Next() {
  auto rest = std::span<const std::byte>(buffer_).subspan(begin_);
  if (rest.size() < kHeaderSize) {
    return std::nullopt;
  }
  auto header = ParseHeader(rest);
  if (!header) {
    return tl::unexpected(header.error());
  }
  if (header->frag_length < kHeaderSize) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("PDU frag_length {}, below the header's 16", header->frag_length));
  }
  if (rest.size() < header->frag_length) {
    return std::nullopt;
  }
  Bytes pdu(rest.begin(), rest.begin() + header->frag_length);
  begin_ += header->frag_length;
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = 0;
  } else if (begin_ > (1U << 16U)) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  return pdu;
}

}  // namespace dmrp::rpc
