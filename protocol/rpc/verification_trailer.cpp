#include "protocol/rpc/verification_trailer.hpp"

#include "protocol/rpc/octets.hpp"

#include <algorithm>

namespace dmrp::rpc {
namespace {

constexpr std::uint64_t kSignature = 0x7136F4027113E38AU;  // 8a e3 13 71 02 f4 36 71
constexpr std::uint16_t kBitmask = 1;
constexpr std::uint16_t kPContext = 2;
constexpr std::uint16_t kHeader2 = 3;
constexpr std::uint16_t kCommandMask = 0x3FFF;
constexpr std::uint16_t kLast = 0x4000;
constexpr std::uint16_t kMustProcess = 0x8000;
constexpr std::size_t kMaxTrailer = 512;

std::optional<VerificationTrailer> ParseCommands(std::span<const std::byte> octets) {
  OctetReader reader(octets);
  VerificationTrailer trailer;
  while (true) {
    const std::uint16_t command = reader.U16();
    const std::uint16_t length = reader.U16();
    auto data = reader.Octets(length);
    if (reader.failed()) {
      return std::nullopt;
    }
    OctetReader fields(data);
    switch (command & kCommandMask) {
      case kBitmask:
        trailer.bitmask = fields.U32();
        break;
      case kPContext: {
        const SyntaxId abstract = fields.Syntax();
        trailer.pcontext = VerificationTrailer::PContext{abstract, fields.Syntax()};
        break;
      }
      case kHeader2: {
        VerificationHeader2 header;
        header.packet_type = fields.U8();
        fields.Skip(3);
        for (auto& octet : header.data_rep) {
          octet = fields.U8();
        }
        header.call_id = fields.U32();
        header.context_id = fields.U16();
        header.opnum = fields.U16();
        trailer.header2 = header;
        break;
      }
      default:
        trailer.unknown_required = trailer.unknown_required || (command & kMustProcess) != 0;
        break;
    }
    if (fields.failed()) {
      return std::nullopt;
    }
    if ((command & kLast) != 0) {
      return trailer;
    }
  }
}

}  // namespace

void AppendVerificationTrailer(Bytes& stub, const VerificationTrailer& trailer) {
  int left = (trailer.bitmask ? 1 : 0) + (trailer.pcontext ? 1 : 0) + (trailer.header2 ? 1 : 0);
  if (left == 0) {
    return;
  }
  OctetWriter writer;
  writer.Octets(stub);
  writer.AlignTo(4);
  writer.U64(kSignature);
  auto command = [&](std::uint16_t kind, std::uint16_t length) {
    writer.U16(static_cast<std::uint16_t>(kind | (--left == 0 ? kLast : 0)));
    writer.U16(length);
  };
  if (trailer.bitmask) {
    command(kBitmask, 4);
    writer.U32(*trailer.bitmask);
  }
  if (trailer.pcontext) {
    command(kPContext, 40);
    writer.Syntax(trailer.pcontext->abstract);
    writer.Syntax(trailer.pcontext->transfer);
  }
  if (trailer.header2) {
    command(kHeader2, 16);
    writer.U8(trailer.header2->packet_type);
    writer.Fill(3);
    for (auto octet : trailer.header2->data_rep) {
      writer.U8(octet);
    }
    writer.U32(trailer.header2->call_id);
    writer.U16(trailer.header2->context_id);
    writer.U16(trailer.header2->opnum);
  }
  stub = writer.Take();
}

std::optional<FoundVerificationTrailer> FindVerificationTrailer(std::span<const std::byte> stub) {
  if (stub.size() < 12) {
    return std::nullopt;
  }
  const std::size_t lowest = stub.size() > kMaxTrailer ? (stub.size() - kMaxTrailer) & ~std::size_t{3} : 0;
  for (std::size_t offset = (stub.size() - 12) & ~std::size_t{3};; offset -= 4) {
    if (OctetReader(stub.subspan(offset)).U64() == kSignature) {
      if (auto trailer = ParseCommands(stub.subspan(offset + 8))) {
        return FoundVerificationTrailer{*trailer, offset};
      }
    }
    if (offset <= lowest) {
      return std::nullopt;
    }
  }
}

}  // namespace dmrp::rpc
