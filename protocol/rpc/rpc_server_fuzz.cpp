// The server's side of a connection, fed any octets. The environment is that of the recorded exchanges, so
// that the seeds get through authentication.
#include "protocol/rpc/session_test_host.hpp"

using namespace dmrp;
using namespace dmrp::rpc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const ServerOptions options = [] {
    ServerOptions made;
    made.accounts = MakeAccountStore({{"User", "Domain", HashPassword("Password").value(), {}}});
    made.allow_anonymous = true;
    made.limits.request_size = 1U << 16U;
    made.limits.contexts_per_connection = 8;
    return made;
  }();
  FakeServerHost host;
  host.knows = [](const SyntaxId& id) { return (id.uuid.Data4[7] & 1U) == 0; };
  ServerSession session(host, options,
                        {.netbios_computer = "Server",
                         .netbios_domain = "Domain",
                         .dns_computer = "",
                         .dns_domain = "",
                         .unasked_flags = kNtlmVersion | kNtlm56},
                        FixedEnvironment(), {"127.0.0.1", 135}, {"127.0.0.1", 1}, 1);
  PduFramer framer;
  framer.Feed({reinterpret_cast<const std::byte*>(data), size});
  while (!host.closed) {
    auto pdu = framer.Next();
    if (!pdu || !*pdu) {
      break;
    }
    session.OnPdu(std::move(**pdu));
    for (auto& call : host.dispatched) {
      if (call.call.opnum % 4 == 1) {
        session.Reply(call.ticket, tl::unexpected(RPC_X_BAD_STUB_DATA));
      } else if (call.call.opnum % 4 != 2) {
        session.Reply(call.ticket, std::move(call.stub));
      }
    }
    host.dispatched.clear();
    host.sent.clear();
    host.observed.clear();
    host.clear.clear();
  }
  session.CancelAll();
  return 0;
}
