#include "protocol/rpc/spnego.hpp"

#include "protocol/rpc/octets.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace dmrp::rpc {
namespace {

constexpr std::uint8_t kSequence = 0x30;
constexpr std::uint8_t kOctetString = 0x04;
constexpr std::uint8_t kOid = 0x06;
constexpr std::uint8_t kEnumerated = 0x0A;
constexpr std::uint8_t kApplication0 = 0x60;
constexpr std::uint8_t kContext0 = 0xA0;
constexpr std::size_t kMaxMechanisms = 16;

template <std::size_t N>
constexpr std::array<std::byte, N> Octets(const std::uint8_t (&values)[N]) {
  std::array<std::byte, N> out{};
  std::transform(values, values + N, out.begin(), [](std::uint8_t value) { return std::byte{value}; });
  return out;
}

constexpr auto kNtlmList =
    Octets({0x30, 0x0c, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a});
constexpr auto kSpnegoOid = Octets({0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02});

/// One element: its tag, its content, and the whole of it.
struct Element {
  std::uint8_t tag = 0;
  std::span<const std::byte> content;
  std::span<const std::byte> whole;
};

Result<Element> TakeElement(std::span<const std::byte>& rest) {
  OctetReader reader(rest);
  Element element;
  element.tag = reader.U8();
  std::size_t length = reader.U8();
  if (length >= 0x80) {
    const std::size_t octets = length & 0x7FU;
    if (octets == 0 || octets > 4) {
      return Fail(ErrorKind::kMalformed, fmt::format("SPNEGO: a length of {} octets", octets));
    }
    length = 0;
    for (std::size_t i = 0; i < octets; ++i) {
      length = length << 8U | reader.U8();
    }
  }
  element.content = reader.Octets(length);
  if (reader.failed()) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("SPNEGO: element 0x{:02x} of {} octets is cut off", element.tag, length));
  }
  element.whole = rest.first(reader.offset());
  rest = rest.subspan(reader.offset());
  return element;
}

Result<Element> TakeElement(std::span<const std::byte>& rest, std::uint8_t tag) {
  auto element = TakeElement(rest);
  if (element && element->tag != tag) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("SPNEGO: element 0x{:02x}, expected 0x{:02x}", element->tag, tag));
  }
  return element;
}

Result<Bytes> OnlyOctetString(std::span<const std::byte> content) {
  auto element = TakeElement(content, kOctetString);
  if (!element) {
    return tl::unexpected(element.error());
  }
  return Bytes(element->content.begin(), element->content.end());
}

void PutElement(OctetWriter& writer, std::uint8_t tag, std::span<const std::byte> content) {
  writer.U8(tag);
  const std::size_t length = content.size();
  if (length < 0x80) {
    writer.U8(static_cast<std::uint8_t>(length));
  } else if (length < 0x100) {
    writer.U8(0x81);
    writer.U8(static_cast<std::uint8_t>(length));
  } else {
    writer.U8(0x82);
    writer.U8(static_cast<std::uint8_t>(length >> 8U));
    writer.U8(static_cast<std::uint8_t>(length & 0xFFU));
  }
  writer.Octets(content);
}

Bytes Wrapped(std::uint8_t tag, std::span<const std::byte> content) {
  OctetWriter writer;
  PutElement(writer, tag, content);
  return writer.Take();
}

}  // namespace

std::span<const std::byte> NtlmMechanism() { return std::span<const std::byte>(kNtlmList).subspan(2); }
std::span<const std::byte> NtlmMechanismList() { return kNtlmList; }

bool LooksLikeSpnego(std::span<const std::byte> token) {
  if (token.empty()) {
    return false;
  }
  const auto first = std::to_integer<std::uint8_t>(token[0]);
  return first == kApplication0 || first == kContext0 || first == kContext0 + 1;
}

Result<NegTokenInit> ParseNegTokenInit(std::span<const std::byte> token) {
  auto outer = TakeElement(token);
  if (!outer) {
    return tl::unexpected(outer.error());
  }
  std::span<const std::byte> rest = outer->content;
  if (outer->tag == kApplication0) {
    auto oid = TakeElement(rest, kOid);
    if (!oid) {
      return tl::unexpected(oid.error());
    }
    if (!std::ranges::equal(oid->whole, kSpnegoOid)) {
      return Fail(ErrorKind::kMalformed, "SPNEGO: the initial token names another mechanism");
    }
    auto choice = TakeElement(rest, kContext0);
    if (!choice) {
      return tl::unexpected(choice.error());
    }
    rest = choice->content;
  } else if (outer->tag != kContext0) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("SPNEGO: element 0x{:02x} is no initial token", outer->tag));
  }
  auto sequence = TakeElement(rest, kSequence);
  if (!sequence) {
    return tl::unexpected(sequence.error());
  }
  rest = sequence->content;
  NegTokenInit parsed;
  while (!rest.empty()) {
    auto member = TakeElement(rest);
    if (!member) {
      return tl::unexpected(member.error());
    }
    std::span<const std::byte> content = member->content;
    if (member->tag == kContext0) {
      auto list = TakeElement(content, kSequence);
      if (!list) {
        return tl::unexpected(list.error());
      }
      parsed.mechanism_list.assign(list->whole.begin(), list->whole.end());
      std::span<const std::byte> oids = list->content;
      while (!oids.empty() && parsed.mechanisms.size() < kMaxMechanisms) {
        auto oid = TakeElement(oids, kOid);
        if (!oid) {
          return tl::unexpected(oid.error());
        }
        parsed.mechanisms.emplace_back(oid->whole.begin(), oid->whole.end());
      }
    } else if (member->tag == kContext0 + 2) {
      auto octets = OnlyOctetString(content);
      if (!octets) {
        return tl::unexpected(octets.error());
      }
      parsed.token = std::move(*octets);
    } else if (member->tag == kContext0 + 3 || member->tag == kContext0 + 4) {
      // NegTokenInit2 has hints (a SEQUENCE) in 3 and the MIC in 4.
      if (auto octets = OnlyOctetString(content)) {
        parsed.mech_list_mic = std::move(*octets);
      }
    }
  }
  if (parsed.mechanisms.empty()) {
    return Fail(ErrorKind::kMalformed, "SPNEGO: no mechanism is offered");
  }
  return parsed;
}

Result<NegTokenResp> ParseNegTokenResp(std::span<const std::byte> token) {
  auto outer = TakeElement(token, kContext0 + 1);
  if (!outer) {
    return tl::unexpected(outer.error());
  }
  std::span<const std::byte> rest = outer->content;
  auto sequence = TakeElement(rest, kSequence);
  if (!sequence) {
    return tl::unexpected(sequence.error());
  }
  rest = sequence->content;
  NegTokenResp parsed;
  while (!rest.empty()) {
    auto member = TakeElement(rest);
    if (!member) {
      return tl::unexpected(member.error());
    }
    std::span<const std::byte> content = member->content;
    if (member->tag == kContext0) {
      auto state = TakeElement(content, kEnumerated);
      if (!state) {
        return tl::unexpected(state.error());
      }
      if (state->content.size() != 1 || std::to_integer<unsigned>(state->content[0]) > 3) {
        return Fail(ErrorKind::kMalformed, "SPNEGO: negState is none of 0 to 3");
      }
      parsed.state = static_cast<NegState>(state->content[0]);
    } else if (member->tag == kContext0 + 1) {
      auto oid = TakeElement(content, kOid);
      if (!oid) {
        return tl::unexpected(oid.error());
      }
      parsed.mechanism = Bytes(oid->whole.begin(), oid->whole.end());
    } else if (member->tag == kContext0 + 2 || member->tag == kContext0 + 3) {
      auto octets = OnlyOctetString(content);
      if (!octets) {
        return tl::unexpected(octets.error());
      }
      (member->tag == kContext0 + 2 ? parsed.token : parsed.mech_list_mic) = std::move(*octets);
    }
  }
  return parsed;
}

Bytes EncodeNegTokenInit(std::span<const std::byte> ntlm_token) {
  OctetWriter members;
  PutElement(members, kContext0, NtlmMechanismList());
  PutElement(members, kContext0 + 2, Wrapped(kOctetString, ntlm_token));
  OctetWriter inner;
  inner.Octets(kSpnegoOid);
  PutElement(inner, kContext0, Wrapped(kSequence, members.bytes()));
  return Wrapped(kApplication0, inner.bytes());
}

Bytes EncodeNegTokenResp(const NegTokenResp& token) {
  OctetWriter members;
  if (token.state) {
    PutElement(members, kContext0, Wrapped(kEnumerated, std::array{static_cast<std::byte>(*token.state)}));
  }
  if (token.mechanism) {
    PutElement(members, kContext0 + 1, *token.mechanism);
  }
  if (token.token) {
    PutElement(members, kContext0 + 2, Wrapped(kOctetString, *token.token));
  }
  if (token.mech_list_mic) {
    PutElement(members, kContext0 + 3, Wrapped(kOctetString, *token.mech_list_mic));
  }
  return Wrapped(kContext0 + 1, Wrapped(kSequence, members.bytes()));
}

}  // namespace dmrp::rpc
