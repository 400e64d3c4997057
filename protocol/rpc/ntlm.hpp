// The NTLM handshake, both sides: NTLMv2 with extended session security ([MS-NLMP] 2.2.1, 3.1, 3.2).
#pragma once

#include "protocol/rpc/accounts.hpp"
#include "protocol/rpc/ntlm_session.hpp"
#include "protocol/rpc/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::rpc {

/// An attribute of target info ([MS-NLMP] 2.2.2.1).
struct AvPair {
  std::uint16_t id = 0;
  Bytes value{};
};
inline constexpr std::uint16_t kAvEol = 0;
inline constexpr std::uint16_t kAvNbComputerName = 1;
inline constexpr std::uint16_t kAvNbDomainName = 2;
inline constexpr std::uint16_t kAvDnsComputerName = 3;
inline constexpr std::uint16_t kAvDnsDomainName = 4;
inline constexpr std::uint16_t kAvFlags = 6;
inline constexpr std::uint16_t kAvTimestamp = 7;
inline constexpr std::uint16_t kAvTargetName = 9;
inline constexpr std::uint16_t kAvChannelBindings = 10;

/// Reads pairs up to the end-of-list one. Octets behind it are legal; a missing one is kMalformed.
Result<std::vector<AvPair>> ParseAvPairs(std::span<const std::byte> octets);
Bytes EncodeAvPairs(const std::vector<AvPair>& pairs);

struct NtlmNegotiate {
  std::uint32_t flags = 0;
};
struct NtlmChallenge {
  std::uint32_t flags = 0;
  std::span<const std::byte> server_challenge{};  ///< 8 octets
  std::span<const std::byte> target_info{};
};
struct NtlmAuthenticate {
  std::uint32_t flags = 0;
  std::span<const std::byte> lm_response{};
  std::span<const std::byte> nt_response{};
  std::u16string domain{};
  std::u16string user{};
  std::u16string workstation{};
  std::span<const std::byte> encrypted_key{};
  bool has_mic_field = false;  ///< the payload leaves room for a MIC at offset 72
};

// Parsers of the three messages; errors are kMalformed. Spans point into the message.
Result<NtlmNegotiate> ParseNtlmNegotiate(std::span<const std::byte> message);
Result<NtlmChallenge> ParseNtlmChallenge(std::span<const std::byte> message);
Result<NtlmAuthenticate> ParseNtlmAuthenticate(std::span<const std::byte> message);
/// Whether a token begins as an NTLM message does.
bool LooksLikeNtlm(std::span<const std::byte> token);

/// The client's side.
class NtlmInitiator {
 public:
  NtlmInitiator(Credentials credentials, std::string target_name, NtlmEnvironment environment);

  /// The NEGOTIATE message.
  Bytes Negotiate();
  /// The AUTHENTICATE message that answers a CHALLENGE. kDenied when the server offers less than NTLMv2 with
  /// extended session security.
  Result<Bytes> Authenticate(std::span<const std::byte> challenge);
  /// After Authenticate.
  [[nodiscard]] NtlmSession& session() { return *session_; }
  [[nodiscard]] bool sent_mic() const { return sent_mic_; }

 private:
  Credentials credentials_;
  std::string target_name_;
  NtlmEnvironment environment_;
  Bytes negotiate_;
  std::optional<NtlmSession> session_;
  bool sent_mic_ = false;
};

/// Who logged on.
struct NtlmIdentity {
  std::string user{};    ///< the account's spelling; empty for anonymous
  std::string domain{};  ///< as sent
  std::vector<std::string> groups{};
  bool anonymous = false;
};

/// What the server's side puts into its challenge and whom it lets in.
struct NtlmAcceptorOptions {
  std::string netbios_computer{};
  std::string netbios_domain{};
  std::string dns_computer{};
  std::string dns_domain{};
  bool timestamp = true;
  bool allow_anonymous = false;
  std::uint32_t unasked_flags = kNtlmVersion;  ///< set in CHALLENGE though the client did not ask for them
};

/// The server's side. The error of a refused logon is kDenied; its message is for the server's own log and
/// must not reach the peer.
class NtlmAcceptor {
 public:
  NtlmAcceptor(NtlmAcceptorOptions options, const AccountStore* accounts, NtlmEnvironment environment);

  /// The CHALLENGE message that answers a NEGOTIATE.
  Result<Bytes> Challenge(std::span<const std::byte> negotiate);
  /// Checks an AUTHENTICATE message.
  Result<NtlmIdentity> Authenticate(std::span<const std::byte> message);
  /// After Authenticate.
  [[nodiscard]] NtlmSession& session() { return *session_; }
  [[nodiscard]] bool received_mic() const { return received_mic_; }

 private:
  Result<void> OpenSession(std::span<const std::byte> message, const NtlmAuthenticate& parsed,
                           const Key16& key_exchange_key, bool mic_due);

  NtlmAcceptorOptions options_;
  const AccountStore* accounts_;
  NtlmEnvironment environment_;
  Bytes negotiate_;
  Bytes challenge_;
  std::array<std::byte, 8> server_challenge_{};
  std::optional<NtlmSession> session_;
  bool received_mic_ = false;
};

}  // namespace dmrp::rpc
