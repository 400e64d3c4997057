// A small server for tests with other implementations: an echo interface, one that needs privacy, and the
// endpoint mapper. Prints its port, then serves until its standard input ends.
//
// Echo interface 11112222-3333-4444-0102-030405060708 v1.0: opnum 0 answers the stub, opnum 1 who called.
#include "protocol/rpc/endpoint_mapper.hpp"

#include <iostream>
#include <string>

namespace {

using namespace dmrp;
using namespace dmrp::rpc;

constexpr SyntaxId kEcho{{0x11112222, 0x3333, 0x4444, {1, 2, 3, 4, 5, 6, 7, 8}}, 1, 0};
constexpr SyntaxId kPrivateEcho{{0x11112222, 0x3333, 0x4444, {1, 2, 3, 4, 5, 6, 7, 9}}, 0, 0};

Bytes Text(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

tl::expected<Bytes, std::uint32_t> Serve(const CallContext& call, Bytes stub) {
  if (call.opnum == 0) {
    return stub;
  }
  if (call.opnum == 1) {
    return Text(call.domain + "|" + call.user + "|" + std::string(ToString(call.auth_level)) + "|" +
                std::string(ToString(call.auth_type)));
  }
  return tl::unexpected(nca_s_op_rng_error);
}

}  // namespace

int main() {
  auto hash = HashPassword("dmrp-Admin-1");
  if (!hash) {
    return 1;
  }
  IoPool pool;
  ServerOptions options;
  options.accounts = MakeAccountStore({{"dmrp-admin", "DMRP", *hash, {"Administrators"}}});
  options.allow_anonymous = true;
  Server server(pool, options);
  auto map = std::make_shared<EndpointMap>();
  server.Register(kEcho, {.handler = Serve});
  server.Register(kPrivateEcho, {.handler = Serve, .minimum_level = AuthLevel::kPrivacy});
  server.Register(kEndpointMapper, MakeEndpointMapper(map));
  auto endpoint = server.Listen({"127.0.0.1", 0});
  if (!endpoint) {
    std::cerr << endpoint.error().ToString() << '\n';
    return 1;
  }
  map->Add({.interface = kEcho, .port = endpoint->port, .annotation = "echo"});
  std::cout << endpoint->port << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return server.Stop(std::chrono::seconds(5)) ? 0 : 1;
}
