// The verification trailer behind request stubs ([MS-RPCE] 2.2.2.13).
#pragma once

#include "protocol/rpc/types.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace dmrp::rpc {

/// The third command: fields of the PDU header that are signed this way.
struct VerificationHeader2 {
  std::uint8_t packet_type = 0;
  std::array<std::uint8_t, 4> data_rep{0x10, 0, 0, 0};
  std::uint32_t call_id = 0;
  std::uint16_t context_id = 0;
  std::uint16_t opnum = 0;
  friend bool operator==(const VerificationHeader2&, const VerificationHeader2&) = default;
};

struct VerificationTrailer {
  std::optional<std::uint32_t> bitmask;  ///< bit 0: the client supports header signing
  struct PContext {
    SyntaxId abstract;
    SyntaxId transfer;
  };
  std::optional<PContext> pcontext;
  std::optional<VerificationHeader2> header2;
  bool unknown_required = false;  ///< a command that must be processed but is not known
};

/// Pads `stub` to 4 and appends the trailer.
void AppendVerificationTrailer(Bytes& stub, const VerificationTrailer& trailer);

/// A trailer found at the end of a stub, and where its signature begins. Anything that does not parse through
/// to its last command is taken for ordinary stub data.
struct FoundVerificationTrailer {
  VerificationTrailer trailer;
  std::size_t offset = 0;
};
std::optional<FoundVerificationTrailer> FindVerificationTrailer(std::span<const std::byte> stub);

}  // namespace dmrp::rpc
