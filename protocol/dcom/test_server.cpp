// A server for tests in other languages: the echo class of test_objects.hpp on a given address.
//
//   dcom_test_server ADDRESS RESOLVER_PORT [MINIMUM_LEVEL]
//
// Prints "ready RESOLVER_PORT EXPORTER_PORT" and serves until its standard input ends.
#include "protocol/dcom/runtime.hpp"
#include "protocol/dcom/test_objects.hpp"

#include <charconv>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>

int main(int argc, char** argv) {
  using namespace dmrp;
  using namespace dmrp::dcom;
  const auto number = [&](int index, int otherwise) {
    int value = otherwise;
    if (index < argc) {
      const std::string_view text = argv[index];
      std::from_chars(text.data(), text.data() + text.size(), value);
    }
    return value;
  };
  Options options = dcom::testing::ServerOptions();
  options.listen_address = argc > 1 ? argv[1] : "127.0.0.1";
  options.resolver_port = static_cast<std::uint16_t>(number(2, 0));
  options.minimum_activation_level = options.minimum_call_level = static_cast<rpc::AuthLevel>(number(3, 5));
  auto runtime = Runtime::Start(options);
  if (!runtime) {
    std::fprintf(stderr, "%s\n", runtime.error().ToString().c_str());
    return 1;
  }
  (*runtime)->RegisterClass(
      dcom::testing::kEchoClass, [](CallContext& call) -> Result<std::shared_ptr<Object>> {
        auto object = dcom::testing::MakeEcho();
        object->With(
            dcom::testing::IID_ISink,
            // Calls operation 3 of the sink that the caller passes, with four octets.
            [](CallContext& inner, std::uint16_t opnum, std::span<const std::byte> stub) -> DispatchResult {
              if (opnum != 3) return tl::unexpected(nca_s_op_rng_error);
              ndr::Reader reader(stub);
              std::optional<Bytes> sink;
              reader.GetInterfacePointer(sink, "sink");
              if (!reader.ok() || !sink) return tl::unexpected(RPC_X_BAD_STUB_DATA);
              std::int32_t result = 0;
              CallOptions call_options;
              call_options.causality_id = inner.causality_id;
              auto reference = inner.runtime->Unmarshal(*sink, dcom::testing::IID_ISink, call_options);
              if (!reference) {
                std::fprintf(stderr, "%s\n", reference.error().ToString().c_str());
                result = static_cast<std::int32_t>(0x80004005);
              } else if (auto called = reference->Call(3, dcom::testing::Octets({1, 2, 3, 4}), call_options);
                         !called) {
                std::fprintf(stderr, "%s\n", called.error().ToString().c_str());
                result = static_cast<std::int32_t>(0x80004005);
              }
              ndr::Writer writer;
              writer.Put(result);
              return std::move(writer).Take().value();
            });
        std::printf("activated by %s\\%s at level %d\n", call.domain.c_str(), call.user.c_str(),
                    static_cast<int>(call.auth_level));
        std::fflush(stdout);
        return object;
      });
  std::printf("ready %d %d\n", (*runtime)->resolver_endpoint()->port, (*runtime)->exporter_endpoint()->port);
  std::fflush(stdout);
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return 0;
}
