// The well-known port, as peers of other makes use it: no port stands in any resolver address.
//
// Runs itself in a user and network namespace of its own, where port 135 is free and may be bound.
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/runtime.hpp"
#include "protocol/dcom/test_objects.hpp"

#include <cstdlib>

#include <gtest/gtest.h>
#include <unistd.h>

namespace dmrp::dcom {
namespace {

using namespace testing;

TEST(Port135, AddressesWithoutPortAreDialledThere) {
  Options server_options = ServerOptions();
  server_options.listen_address = "127.0.0.1";
  server_options.resolver_port = 135;
  const auto server = StartRuntime(server_options);
  Options client_options = ClientOptions();
  client_options.listen_address = "127.0.0.2";
  client_options.resolver_port = 135;
  const auto client = StartRuntime(client_options);
  ASSERT_NE(server, nullptr);
  ASSERT_NE(client, nullptr);

  Event called;
  auto sink = std::make_shared<TestObject>();
  sink->With(IID_ISink, [&](CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub) {
    called.Set();
    return Echo(call, opnum, stub);
  });
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  ASSERT_OK_AND_ASSIGN(objref, DecodeObjref(pointer));
  EXPECT_EQ(objref.ResolverAddress()->string_bindings,
            std::vector<StringBinding>{StringBinding::Tcp("127.0.0.2")});

  ASSERT_OK_AND_ASSIGN(reference, server->Unmarshal(pointer, IID_ISink));
  EXPECT_TRUE(reference.Call(3, {}));
  EXPECT_EQ(called.count(), 1);

  server->RegisterClass(kEchoClass,
                        [](CallContext&) -> Result<std::shared_ptr<Object>> { return MakeEcho(); });
  ASSERT_OK_AND_ASSIGN(info, client->ServerAlive2({"127.0.0.1", 0}));
  EXPECT_EQ(info.resolver_bindings.string_bindings,
            std::vector<StringBinding>{StringBinding::Tcp("127.0.0.1")});
  ASSERT_OK_AND_ASSIGN(echo, client->Activate({"127.0.0.1", 0}, kEchoClass, IID_IEcho));
  EXPECT_TRUE(echo.Call(3, {}));
}

TEST(Port135, TwoRuntimesCannotShareOneAddress) {
  Options options = ServerOptions();
  options.resolver_port = 135;
  const auto first = StartRuntime(options);
  const auto second = Runtime::Start(options);
  EXPECT_EQ(FailureOf(second).kind, ErrorKind::kSystem);
}

}  // namespace
}  // namespace dmrp::dcom

int main(int argc, char** argv) {
  constexpr const char* kInside = "DMRP_TEST_IN_NAMESPACE";
  if (std::getenv(kInside) == nullptr) {
    setenv(kInside, "1", 1);
    std::vector<char*> arguments;
    for (const char* word : {"unshare", "-rn", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""}) {
      arguments.push_back(const_cast<char*>(word));
    }
    arguments.insert(arguments.end(), argv, argv + argc);
    arguments.push_back(nullptr);
    execvp(arguments.front(), arguments.data());
    std::perror("unshare");
    return 1;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
