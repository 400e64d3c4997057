// The client's side of a connection, fed any octets as a server's answers. The first octet chooses the
// security and what is called.
#include "protocol/rpc/session_test_host.hpp"

using namespace dmrp;
using namespace dmrp::rpc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const unsigned choice = data[0];
  ConnectOptions options;
  options.max_reply = 1U << 16U;
  options.offer_ndr64 = (choice & 8U) != 0;
  if ((choice & 3U) != 0) {
    options.security = {.type = (choice & 1U) != 0 ? AuthType::kNtlm : AuthType::kSpnego,
                        .level = (choice & 4U) != 0 ? AuthLevel::kPrivacy : AuthLevel::kConnect,
                        .credentials = {.user = "User", .domain = "Domain", .password = "Password"},
                        .target_name = "cifs/Server"};
  }
  FakeClientHost host;
  ClientSession session(host, options, FixedEnvironment());
  int ended = 0;
  std::vector<std::uint64_t> tickets;
  auto submit = [&](std::uint32_t interface, std::size_t stub) {
    ClientSession::Request request;
    request.interface = {{interface, 0, 0, {}}, 0, 0};
    request.stub = Bytes(stub);
    request.done = [&ended](const Result<Bytes>&) { ++ended; };
    tickets.push_back(session.Submit(std::move(request)));
  };
  submit(1, 10);
  submit(1, 9000);
  submit(2, 0);
  PduFramer framer;
  framer.Feed({reinterpret_cast<const std::byte*>(data + 1), size - 1});
  while (!host.closed) {
    auto pdu = framer.Next();
    if (!pdu || !*pdu) {
      break;
    }
    session.OnPdu(std::move(**pdu));
    if ((choice & 16U) != 0) {
      session.Cancel(tickets.back());
    }
    if ((choice & 32U) != 0) {
      session.Abandon(tickets.front(), Error{});
    }
    host.sent.clear();
    host.unmatched.clear();
  }
  session.OnClosed(Error{});
  // Every call ends exactly once, whatever the server says.
  if (ended != 3) {
    __builtin_trap();
  }
  return 0;
}
