// References that a client passes to a server, and calls in both directions at once.
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/runtime.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/dcom/test_objects.hpp"

#include <thread>

#include <gtest/gtest.h>

namespace dmrp::dcom {
namespace {

using namespace testing;

Bytes PointerStub(const std::optional<Bytes>& objref) {
  ndr::Writer writer;
  writer.PutInterfacePointer(objref);
  return std::move(writer).Take().value();
}

Bytes ResultStub(std::uint32_t hresult) {
  ndr::Writer writer;
  writer.Put(hresult);
  return std::move(writer).Take().value();
}

std::uint32_t ResultOf(const Result<Bytes>& reply) {
  if (!reply) return reply.error().status;
  ndr::Reader reader(*reply);
  std::uint32_t hresult = 0;
  reader.Get(hresult, "HRESULT");
  return hresult;
}

OBJREF Decoded(const Bytes& octets) { return DecodeObjref(octets).value(); }

/// The server's class has two operations on IEcho: 3 takes a sink, calls it at once and keeps it; 4 calls the
/// sink that was kept.
class Callbacks : public ::testing::Test {
 protected:
  void Start(Options server_options, Options client_options) {
    server = StartRuntime(std::move(server_options));
    client = StartRuntime(std::move(client_options));
    ASSERT_NE(server, nullptr);
    ASSERT_NE(client, nullptr);
    ClassOptions class_options;
    class_options.minimum_activation_level = class_options.minimum_call_level = rpc::AuthLevel::kNone;
    server->RegisterClass(
        kEchoClass,
        [this](CallContext&) -> Result<std::shared_ptr<Object>> {
          auto object = std::make_shared<TestObject>();
          object->With(IID_IEcho,
                       [this](CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub) {
                         return Serve(call, opnum, stub);
                       });
          return object;
        },
        class_options);
    auto activated = client->Activate(*server->resolver_endpoint(), kEchoClass, IID_IEcho);
    ASSERT_TRUE(activated) << activated.error().ToString();
    object = std::move(*activated);
    sink = std::make_shared<TestObject>();
    sink->With(IID_ISink,
               [this](CallContext& call, std::uint16_t, std::span<const std::byte>) -> DispatchResult {
                 {
                   const std::lock_guard lock(mutex);
                   sink_call = call;
                 }
                 sink_called.Set();
                 return ResultStub(S_OK);
               });
    sink->With(IID_IOther, Echo);
  }
  void Start() { Start(ServerOptions(), ClientOptions()); }

  DispatchResult Serve(CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub) {
    CallOptions options;
    options.causality_id = call.causality_id;
    {
      const std::lock_guard lock(mutex);
      server_call = call;
    }
    if (opnum == 3) {
      ndr::Reader reader(stub);
      std::optional<Bytes> pointer;
      reader.GetInterfacePointer(pointer, "sink");
      if (!reader.ok()) return tl::unexpected(RPC_X_BAD_STUB_DATA);
      if (!pointer) return ResultStub(E_INVALIDARG);
      auto reference = call.runtime->Unmarshal(*pointer, IID_ISink, options, policy);
      if (!reference) {
        const std::lock_guard lock(mutex);
        failure = reference.error();
        return ResultStub(E_FAIL);
      }
      const std::lock_guard lock(mutex);
      kept = *reference;
      if (policy == CallbackPolicy::kLazy) return ResultStub(S_OK);
    }
    ObjectRef target;
    {
      const std::lock_guard lock(mutex);
      target = kept;
    }
    auto reply = target.Call(3, {}, options);
    if (!reply) {
      const std::lock_guard lock(mutex);
      failure = reply.error();
      return ResultStub(E_FAIL);
    }
    return ResultStub(S_OK);
  }
  Result<Bytes> PassSink() {
    auto pointer = client->Export(sink, IID_ISink);
    if (!pointer) return pointer;
    return object.Call(3, PointerStub(*pointer));
  }
  CallContext SinkCall() {
    const std::lock_guard lock(mutex);
    return sink_call;
  }
  Error Failure() {
    const std::lock_guard lock(mutex);
    return failure;
  }

  CallbackPolicy policy = CallbackPolicy::kEager;
  std::mutex mutex;
  CallContext server_call;
  CallContext sink_call;
  Error failure;
  ObjectRef kept;
  std::unique_ptr<Runtime> server;
  std::unique_ptr<Runtime> client;
  ObjectRef object;
  std::shared_ptr<TestObject> sink;
  Event sink_called;
};

TEST_F(Callbacks, TheServerCallsBackWhileTheClientWaits) {
  Start();
  const Guid causality{0xca05a111, 1, 2, {3}};
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  CallOptions options;
  options.causality_id = causality;
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(pointer), options)), S_OK);
  EXPECT_EQ(sink_called.count(), 1);
  EXPECT_EQ(SinkCall().user, "server") << "the server authenticates as itself";
  EXPECT_EQ(SinkCall().auth_level, rpc::AuthLevel::kPrivacy);
  EXPECT_EQ(SinkCall().causality_id, causality);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(server_call.user, "admin");
  EXPECT_EQ(server_call.causality_id, causality);
}

TEST_F(Callbacks, TheServerCallsBackLater) {
  Start();
  ASSERT_EQ(ResultOf(PassSink()), S_OK);
  EXPECT_EQ(ResultOf(object.Call(4, {})), S_OK);
  EXPECT_EQ(sink_called.count(), 2);
}

TEST_F(Callbacks, SpnegoServesBothWays) {
  Options server_options = ServerOptions();
  Options client_options = ClientOptions();
  server_options.auth_type = client_options.auth_type = rpc::AuthType::kSpnego;
  Start(server_options, client_options);
  EXPECT_EQ(ResultOf(PassSink()), S_OK);
  EXPECT_EQ(SinkCall().auth_type, rpc::AuthType::kSpnego);
}

TEST_F(Callbacks, TheReferenceMayBeOfAnotherInterfaceOfTheSink) {
  Start();
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_IUnknown));
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(pointer))), S_OK);
  EXPECT_EQ(sink_called.count(), 1);
  const auto none = std::make_shared<TestObject>();
  none->With(IID_IOther, Echo);
  ASSERT_OK_AND_ASSIGN(wrong, client->Export(none, IID_IOther));
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(wrong))), E_FAIL);
  EXPECT_EQ(Failure().status, E_NOINTERFACE);
}

TEST_F(Callbacks, ANullReferenceReachesTheObjectAsSuch) {
  Start();
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(std::nullopt))), E_INVALIDARG);
}

TEST_F(Callbacks, DroppingTheReferenceReleasesTheSink) {
  Start();
  ASSERT_EQ(ResultOf(PassSink()), S_OK);
  EXPECT_EQ(client->statistics().exported_objects, 1U);
  {
    const std::lock_guard lock(mutex);
    kept.Reset();
  }
  ASSERT_TRUE(sink->unreferenced.Wait());
  EXPECT_EQ(sink->why(), Unreferenced::kReleased);
  EXPECT_EQ(client->statistics().exported_objects, 0U);
}

TEST_F(Callbacks, APeerWithoutAccountsIsCalledWithoutSecurity) {
  Options nobody = ClientOptions();
  nobody.accounts = nullptr;
  nobody.minimum_call_level = rpc::AuthLevel::kNone;
  Start(ServerOptions(), nobody);
  EXPECT_EQ(ResultOf(PassSink()), S_OK);
  EXPECT_EQ(SinkCall().auth_level, rpc::AuthLevel::kNone);
  EXPECT_EQ(SinkCall().user, "");
}

TEST_F(Callbacks, AServerThatTheClientDoesNotKnowCannotResolveTheSink) {
  Options client_options = ClientOptions();
  client_options.accounts = rpc::MakeAccountStore({});
  Start(ServerOptions(), client_options);
  EXPECT_EQ(ResultOf(PassSink()), E_FAIL);
  EXPECT_EQ(Failure().kind, ErrorKind::kDenied) << Failure().ToString();
  EXPECT_EQ(sink_called.count(), 0);
}

TEST_F(Callbacks, AServerWithoutCredentialsIsHeldToTheSinksLevel) {
  Options server_options = ServerOptions();
  server_options.credentials.reset();
  Start(server_options, ClientOptions());
  EXPECT_EQ(ResultOf(PassSink()), E_FAIL);
  EXPECT_EQ(Failure().kind, ErrorKind::kDenied) << Failure().ToString();
  ExportOptions open;
  open.minimum_call_level = rpc::AuthLevel::kNone;
  const auto open_sink = std::make_shared<TestObject>();
  open_sink->With(IID_ISink,
                  [this](CallContext&, std::uint16_t, std::span<const std::byte>) -> DispatchResult {
                    sink_called.Set();
                    return ResultStub(S_OK);
                  });
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(open_sink, IID_ISink, open));
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(pointer))), S_OK);
  EXPECT_EQ(sink_called.count(), 1);
}

TEST_F(Callbacks, EagerResolutionFailsTheCallAndLazyTheCallback) {
  Start();
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  OBJREF unreachable = Decoded(pointer);
  auto& standard = std::get<OBJREF_STANDARD>(unreachable.u_objref);
  standard.saResAddr.string_bindings = {StringBinding::Tcp("127.0.0.1", 1)};
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(unreachable)))), E_FAIL);
  EXPECT_EQ(Failure().kind, ErrorKind::kUnavailable) << Failure().ToString();

  policy = CallbackPolicy::kLazy;
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(unreachable)))), S_OK);
  EXPECT_EQ(ResultOf(object.Call(4, {})), E_FAIL);
  EXPECT_EQ(Failure().kind, ErrorKind::kUnavailable) << Failure().ToString();

  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(pointer))), S_OK);
  EXPECT_EQ(ResultOf(object.Call(4, {})), S_OK);
  EXPECT_EQ(sink_called.count(), 1);
}

TEST_F(Callbacks, TheResolversAddressesAreTriedInOrder) {
  Start();
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  OBJREF objref = Decoded(pointer);
  auto& bindings = std::get<OBJREF_STANDARD>(objref.u_objref).saResAddr.string_bindings;
  bindings.insert(bindings.begin(),
                  {StringBinding{0x001f, u"http[593]"}, StringBinding::Tcp("127.0.0.1", 1)});
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(objref)))), S_OK);
}

TEST_F(Callbacks, AnUnknownOxidIsReportedAsSuch) {
  Start();
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  OBJREF forged = Decoded(pointer);
  std::get<OBJREF_STANDARD>(forged.u_objref).std.oxid ^= 1;
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(forged)))), E_FAIL);
  EXPECT_EQ(Failure().status, OR_INVALID_OXID) << Failure().ToString();
}

TEST_F(Callbacks, AForgedInterfacePointerFailsAtItsFirstCall) {
  Start();
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  OBJREF forged = Decoded(pointer);
  std::get<OBJREF_STANDARD>(forged.u_objref).std.ipid = Guid::Random();
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(forged)))), E_FAIL);
  // The sink's interface is not bound by anybody else, so the pointer alone is wrong.
  EXPECT_EQ(Failure().status, RPC_E_DISCONNECTED) << Failure().ToString();
}

TEST_F(Callbacks, GarbageInPlaceOfAReferenceIsRefused) {
  Start();
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(Octets({1, 2, 3})))), E_FAIL);
  EXPECT_EQ(Failure().status, RPC_E_INVALID_OBJREF);
}

TEST_F(Callbacks, AReferenceWithoutReferencesIsAddedToFirst) {
  Start();
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  OBJREF objref = Decoded(pointer);
  std::get<OBJREF_STANDARD>(objref.u_objref).std.cPublicRefs = 0;
  ASSERT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(objref)))), S_OK);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(kept.PublicRefs(), 5U);
}

TEST_F(Callbacks, HandlerAndExtendedReferencesServeAsStandardOnes) {
  Start();
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink));
  const auto standard = std::get<OBJREF_STANDARD>(Decoded(pointer).u_objref);
  const OBJREF handler{IID_ISink, OBJREF_HANDLER{standard.std, Guid::Random(), standard.saResAddr}};
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(handler)))), S_OK);
  const OBJREF extended{IID_ISink,
                        OBJREF_EXTENDED{standard.std, standard.saResAddr, Guid::Random(), Octets({1})}};
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(EncodeObjref(extended)))), S_OK);
  EXPECT_EQ(sink_called.count(), 2);
}

TEST_F(Callbacks, ReferencesMarkedNoPingAreNotPinged) {
  Start();
  ExportOptions options;
  options.no_ping = true;
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(sink, IID_ISink, options));
  EXPECT_EQ(Decoded(pointer).Standard()->flags, SORF_NOPING);
  ASSERT_EQ(ResultOf(object.Call(3, PointerStub(pointer))), S_OK);
  EXPECT_EQ(server->statistics().held_interfaces, 1U);
  EXPECT_EQ(server->statistics().pinged_objects, 0U);
}

TEST_F(Callbacks, AServersOwnObjectComesBackAsItself) {
  Start();
  auto own = std::make_shared<TestObject>();
  std::optional<rpc::Endpoint> peer;
  own->With(IID_ISink, [&](CallContext& call, std::uint16_t, std::span<const std::byte>) -> DispatchResult {
    peer = call.peer;
    sink_called.Set();
    return ResultStub(S_OK);
  });
  own->With(IID_IOther, Echo);
  ASSERT_OK_AND_ASSIGN(pointer, server->Export(own, IID_IOther));
  ASSERT_EQ(ResultOf(object.Call(3, PointerStub(pointer))), S_OK) << Failure().ToString();
  EXPECT_EQ(sink_called.count(), 1);
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->host, "") << "no network was used";
  {
    const std::lock_guard lock(mutex);
    kept.Reset();
  }
  EXPECT_TRUE(own->unreferenced.Wait());
}

TEST_F(Callbacks, CallsMayNestManyLevelsDeep) {
  Start();
  constexpr int kDepth = 12;
  // Each side answers a call of depth n by a call of depth n+1 on the other.
  auto deep_sink = std::make_shared<TestObject>();
  std::atomic<int> depth = 0;
  deep_sink->With(IID_ISink,
                  [&](CallContext& call, std::uint16_t, std::span<const std::byte>) -> DispatchResult {
                    if (++depth >= kDepth) return ResultStub(S_OK);
                    auto pointer = client->Export(deep_sink, IID_ISink);
                    if (!pointer) return ResultStub(E_FAIL);
                    CallOptions options;
                    options.causality_id = call.causality_id;
                    return ResultStub(ResultOf(object.Call(3, PointerStub(*pointer), options)));
                  });
  ASSERT_OK_AND_ASSIGN(pointer, client->Export(deep_sink, IID_ISink));
  EXPECT_EQ(ResultOf(object.Call(3, PointerStub(pointer))), S_OK) << Failure().ToString();
  EXPECT_EQ(depth, kDepth);
}

TEST_F(Callbacks, ManyCallbacksAtOnceDoNotStarve) {
  Start();
  std::vector<std::jthread> threads;
  std::atomic<int> failures = 0;
  for (int i = 0; i < 24; ++i) {
    threads.emplace_back([&] {
      for (int call = 0; call < 4; ++call) {
        if (ResultOf(PassSink()) != S_OK) ++failures;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(failures, 0) << Failure().ToString();
  EXPECT_EQ(sink_called.count(), 96);
}

TEST_F(Callbacks, ACallbackToAClientThatEndedIsUnavailable) {
  Start();
  ASSERT_EQ(ResultOf(PassSink()), S_OK);
  ObjectRef target;
  {
    const std::lock_guard lock(mutex);
    target = kept;
  }
  object.Reset();
  client.reset();
  EXPECT_EQ(FailureOf(target.Call(3, {})).kind, ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace dmrp::dcom
