// NTLM messages from either side. The first octet chooses whose.
#include "protocol/rpc/handshake.hpp"
#include "protocol/rpc/session_test_host.hpp"

using namespace dmrp;
using namespace dmrp::rpc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::span<const std::byte> message(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  static const auto accounts = MakeAccountStore({{"User", "Domain", HashPassword("Password").value(), {}}});
  if (data[0] % 2 == 0) {
    NtlmInitiator initiator({"User", "Domain", "Password", "", false}, "cifs/Server", FixedEnvironment());
    initiator.Negotiate();
    (void)initiator.Authenticate(message);
  } else {
    NtlmInitiator initiator({"User", "Domain", "Password", "", false}, "cifs/Server", FixedEnvironment());
    NtlmAcceptor acceptor(
        {.netbios_computer = "Server", .netbios_domain = "Domain", .dns_computer = "", .dns_domain = ""},
        accounts.get(), FixedEnvironment());
    (void)acceptor.Challenge(message);
    (void)acceptor.Challenge(initiator.Negotiate());
    (void)acceptor.Authenticate(message);
  }
  return 0;
}
