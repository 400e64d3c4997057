#include "protocol/rpc/client.hpp"
#include "protocol/rpc/server.hpp"

#include <gtest/gtest.h>

namespace dmrp::rpc {
namespace {

constexpr SyntaxId kEcho{{0x11112222, 0x3333, 0x4444, {1, 2, 3, 4, 5, 6, 7, 8}}, 1, 0};

TEST(Loopback, EchoAtPrivacy) {
  IoPool pool;
  auto hash = HashPassword("Password");
  Server server(pool, {.accounts = MakeAccountStore({{"User", "Domain", *hash, {}}})});
  server.Register(kEcho, {.handler = [](const CallContext&, Bytes stub) { return stub; }});
  auto endpoint = server.Listen({"127.0.0.1", 0});
  ASSERT_TRUE(endpoint) << endpoint.error().ToString();
  for (auto type : {AuthType::kNtlm, AuthType::kSpnego}) {
    auto client =
        ClientConnection::Connect(pool, *endpoint,
                                  {.security = {.type = type,
                                                .level = AuthLevel::kPrivacy,
                                                .credentials = {"User", "Domain", "Password", "", false},
                                                .target_name = ""}});
    ASSERT_TRUE(client) << client.error().ToString();
    for (std::size_t size : {0U, 1U, 100U, 100000U}) {
      auto reply = (*client)->Call(kEcho, 3, Bytes(size, std::byte{7}));
      ASSERT_TRUE(reply) << reply.error().ToString();
      EXPECT_EQ(*reply, Bytes(size, std::byte{7}));
    }
  }
}

}  // namespace
}  // namespace dmrp::rpc
