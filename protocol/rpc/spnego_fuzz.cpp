// SPNEGO tokens, alone and as the legs of an exchange; verification trailers and towers ride along.
#include "protocol/rpc/endpoint_mapper.hpp"
#include "protocol/rpc/handshake.hpp"
#include "protocol/rpc/session_test_host.hpp"
#include "protocol/rpc/verification_trailer.hpp"

using namespace dmrp;
using namespace dmrp::rpc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> token(reinterpret_cast<const std::byte*>(data), size);
  if (auto parsed = ParseNegTokenResp(token)) {
    // What was read can be written, and reads the same.
    auto again = ParseNegTokenResp(EncodeNegTokenResp(*parsed));
    if (!again || again->token != parsed->token || again->state != parsed->state) {
      __builtin_trap();
    }
  }
  (void)ParseNegTokenInit(token);
  (void)FindVerificationTrailer(token);
  (void)ParseEptMapReply(token);
  if (auto tower = ParseTower(token)) {
    if (ParseTower(EncodeTower(*tower)) != *tower) {
      __builtin_trap();
    }
  }
  static const auto accounts = MakeAccountStore({{"User", "Domain", HashPassword("Password").value(), {}}});
  ServerHandshake server(AuthType::kSpnego,
                         {.netbios_computer = "Server",
                          .netbios_domain = "Domain",
                          .dns_computer = "",
                          .dns_domain = "",
                          .unasked_flags = kNtlmVersion | kNtlm56},
                         accounts.get(), FixedEnvironment());
  // Two legs, cut where the first token says it ends.
  std::size_t first = size;
  if (size > 4 && data[1] == 0x82) {
    first = std::min(size, std::size_t{4} + (std::size_t{data[2]} << 8U | data[3]));
  }
  if (size > 2 && data[1] < 0x80) {
    first = std::min(size, std::size_t{2} + data[1]);
  }
  (void)server.Next(token.first(first));
  (void)server.Next(token.subspan(first));
  ClientHandshake client({.type = AuthType::kSpnego,
                          .level = AuthLevel::kPrivacy,
                          .credentials = {.user = "User", .domain = "Domain", .password = "Password"},
                          .target_name = ""},
                         false, FixedEnvironment());
  client.Start();
  (void)client.Next(token.first(first));
  (void)client.Next(token.subspan(first));
  return 0;
}
