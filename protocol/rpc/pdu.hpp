// PDUs of the connection-oriented protocol ([C706] 12.6, [MS-RPCE] 2.2.2): parsing and building, without
// state.
#pragma once

#include "protocol/rpc/octets.hpp"
#include "protocol/rpc/types.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::rpc {

enum class PacketType : std::uint8_t {
  kRequest = 0,
  kResponse = 2,
  kFault = 3,
  kBind = 11,
  kBindAck = 12,
  kBindNak = 13,
  kAlterContext = 14,
  kAlterContextResp = 15,
  kAuth3 = 16,
  kShutdown = 17,
  kCoCancel = 18,
  kOrphaned = 19,
};

inline constexpr std::uint8_t kFirstFrag = 0x01;
inline constexpr std::uint8_t kLastFrag = 0x02;
inline constexpr std::uint8_t kSupportHeaderSign = 0x04;  ///< on bind, bind_ack, alter_context(_resp)
inline constexpr std::uint8_t kConcMpx = 0x10;
inline constexpr std::uint8_t kDidNotExecute = 0x20;
inline constexpr std::uint8_t kMaybe = 0x40;
inline constexpr std::uint8_t kObjectUuid = 0x80;

inline constexpr std::size_t kHeaderSize = 16;
inline constexpr std::size_t kTrailerSize = 8;
inline constexpr std::size_t kMinFragment = 2048;
inline constexpr std::size_t kMaxFragment = 5840;  ///< [MS-RPCE] over TCP

/// The first 16 octets of every PDU.
struct Header {
  std::uint8_t version = 5;
  std::uint8_t minor = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = kFirstFrag | kLastFrag;
  std::array<std::uint8_t, 4> data_rep{0x10, 0, 0, 0};
  std::uint16_t frag_length = 0;
  std::uint16_t auth_length = 0;
  std::uint32_t call_id = 0;

  [[nodiscard]] bool big_endian() const { return (data_rep[0] & 0xF0U) == 0; }
};

/// Reads a header; lengths and call id by the sender's byte order. Only the number of octets can be wrong.
Result<Header> ParseHeader(std::span<const std::byte> octets);

/// The security trailer before a token ([MS-RPCE] 2.2.2.11).
struct SecTrailer {
  std::uint8_t type = 0;
  std::uint8_t level = 0;
  std::uint8_t pad_length = 0;
  std::uint32_t context_id = 0;
};

/// Where the parts of a PDU lie.
struct PduLayout {
  Header header{};
  std::size_t body_begin = kHeaderSize;  ///< first octet after the header
  std::size_t body_end = 0;              ///< end of the body, padding included
  std::optional<SecTrailer> trailer{};
  std::size_t token_begin = 0;  ///< the token reaches to the end of the PDU
};

/// Checks a whole PDU's lengths. `octets` must be exactly frag_length long.
Result<PduLayout> ParseLayout(std::span<const std::byte> octets);

struct PresentationContext {
  std::uint16_t id = 0;
  SyntaxId abstract{};
  std::vector<SyntaxId> transfers{};
};

/// bind and alter_context.
struct BindBody {
  std::uint16_t max_xmit = 0;
  std::uint16_t max_recv = 0;
  std::uint32_t association_group = 0;
  std::vector<PresentationContext> contexts{};
};

enum class ContextVerdict : std::uint16_t {
  kAcceptance = 0,
  kUserRejection = 1,
  kProviderRejection = 2,
  kNegotiateAck = 3
};

inline constexpr std::uint16_t kReasonNone = 0;
inline constexpr std::uint16_t kReasonAbstractSyntax = 1;
inline constexpr std::uint16_t kReasonTransferSyntaxes = 2;
inline constexpr std::uint16_t kReasonLocalLimit = 3;

struct ContextResult {
  std::uint16_t verdict = 0;  ///< a ContextVerdict
  std::uint16_t reason = 0;   ///< with kNegotiateAck: the feature bits
  SyntaxId transfer{};
};

/// bind_ack and alter_context_resp.
struct BindAckBody {
  std::uint16_t max_xmit = 0;
  std::uint16_t max_recv = 0;
  std::uint32_t association_group = 0;
  std::string secondary_address{};
  std::vector<ContextResult> results{};
};

inline constexpr std::uint16_t kNakUnspecified = 0;
inline constexpr std::uint16_t kNakTemporaryCongestion = 1;
inline constexpr std::uint16_t kNakLocalLimit = 2;
inline constexpr std::uint16_t kNakProtocolVersion = 4;
inline constexpr std::uint16_t kNakAuthType = 8;
inline constexpr std::uint16_t kNakInvalidChecksum = 9;

struct BindNakBody {
  std::uint16_t reason = 0;
  std::vector<std::array<std::uint8_t, 2>> versions{{5, 0}};
};

struct RequestHead {
  std::uint32_t alloc_hint = 0;
  std::uint16_t context_id = 0;
  std::uint16_t opnum = 0;
  std::optional<Guid> object{};
  std::size_t stub_begin = 0;  ///< from the start of the PDU
};

struct ResponseHead {
  std::uint32_t alloc_hint = 0;
  std::uint16_t context_id = 0;
  std::uint8_t cancel_count = 0;
  std::size_t stub_begin = 0;
};

struct FaultBody {
  std::uint32_t alloc_hint = 0x20;
  std::uint16_t context_id = 0;
  std::uint8_t cancel_count = 0;
  std::uint8_t flags = 0;
  std::uint32_t status = 0;
};

// Parsers take the PDU up to body_end (offsets in messages count from the PDU's start). Errors are
// kMalformed.
Result<BindBody> ParseBind(std::span<const std::byte> pdu);
Result<BindAckBody> ParseBindAck(std::span<const std::byte> pdu);
Result<BindNakBody> ParseBindNak(std::span<const std::byte> pdu);
Result<RequestHead> ParseRequest(std::span<const std::byte> pdu, std::uint8_t flags);
Result<ResponseHead> ParseResponse(std::span<const std::byte> pdu);
Result<FaultBody> ParseFault(std::span<const std::byte> pdu);

/// What EncodePdu puts between body and token.
struct TrailerSpec {
  std::uint8_t type = 0;
  std::uint8_t level = 0;
  std::uint32_t context_id = 0;
  std::size_t align = 4;         ///< pad the body so that the trailer is aligned ...
  std::size_t align_origin = 0;  ///< ... counted from this offset of the PDU
};

/// Header, body, then trailer and token when given; lengths are filled in. The body follows the header.
Bytes EncodePdu(PacketType type, std::uint8_t flags, std::uint32_t call_id, std::span<const std::byte> body,
                const std::optional<TrailerSpec>& trailer = std::nullopt,
                std::span<const std::byte> token = {});

Bytes EncodeBindBody(const BindBody& body);
Bytes EncodeBindAckBody(const BindAckBody& body);
Bytes EncodeBindNakBody(const BindNakBody& body);
Bytes EncodeFaultBody(const FaultBody& body);
/// The head and the stub of a request fragment; the object UUID also needs kObjectUuid in the flags.
Bytes EncodeRequestBody(std::uint32_t alloc_hint, std::uint16_t context_id, std::uint16_t opnum,
                        const std::optional<Guid>& object, std::span<const std::byte> stub);
Bytes EncodeResponseBody(std::uint32_t alloc_hint, std::uint16_t context_id, std::uint8_t cancel_count,
                         std::span<const std::byte> stub);

/// The transfer syntax that proposes bind-time features ([MS-RPCE] 3.3.1.5.3), and the reverse.
SyntaxId FeatureSyntax(std::uint64_t features);
std::optional<std::uint64_t> FeaturesOf(const SyntaxId& transfer);
inline constexpr std::uint64_t kFeatureSecurityMultiplexing = 0x01;
inline constexpr std::uint64_t kFeatureKeepOnOrphan = 0x02;

/// Cuts a stream into PDUs by frag_length.
class PduFramer {
 public:
  void Feed(std::span<const std::byte> octets) {
    buffer_.insert(buffer_.end(), octets.begin(), octets.end());
  }
  /// The next whole PDU, nullopt while it is incomplete, kMalformed when its length is below a header's.
  Result<std::optional<Bytes>> Next();
  [[nodiscard]] std::size_t buffered() const { return buffer_.size() - begin_; }

 private:
  Bytes buffer_;
  std::size_t begin_ = 0;
};

}  // namespace dmrp::rpc
