// SPNEGO tokens ([MS-SPNG] 2.2, RFC 4178 4.2): the few DER productions that NTLM needs.
#pragma once

#include "protocol/rpc/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace dmrp::rpc {

/// The DER of the NTLM mechanism's object identifier, tag included.
std::span<const std::byte> NtlmMechanism();

/// The DER of a MechTypeList that names NTLM alone: what a mechListMIC of ours covers.
std::span<const std::byte> NtlmMechanismList();

struct NegTokenInit {
  std::vector<Bytes> mechanisms{};  ///< each with its tag, by preference
  Bytes mechanism_list{};           ///< the MechTypeList as received, tag included
  std::optional<Bytes> token{};
  std::optional<Bytes> mech_list_mic{};
};

enum class NegState : std::uint8_t {
  kAcceptCompleted = 0,
  kAcceptIncomplete = 1,
  kReject = 2,
  kRequestMic = 3
};

struct NegTokenResp {
  std::optional<NegState> state{};
  std::optional<Bytes> mechanism{};  ///< with its tag
  std::optional<Bytes> token{};
  std::optional<Bytes> mech_list_mic{};
};

/// A token beginning as SPNEGO's do: 0x60, 0xa0 or 0xa1.
bool LooksLikeSpnego(std::span<const std::byte> token);

// Errors are kMalformed. At most 16 mechanisms are read; lengths must be definite.
Result<NegTokenInit> ParseNegTokenInit(std::span<const std::byte> token);
Result<NegTokenResp> ParseNegTokenResp(std::span<const std::byte> token);

/// An initial token that offers NTLM alone.
Bytes EncodeNegTokenInit(std::span<const std::byte> ntlm_token);
Bytes EncodeNegTokenResp(const NegTokenResp& token);

}  // namespace dmrp::rpc
