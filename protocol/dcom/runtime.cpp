#include "protocol/dcom/runtime.hpp"

#include "protocol/dcom/client.hpp"
#include "protocol/dcom/exporter.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace dmrp::dcom {

class Runtime::Impl {
 public:
  explicit Impl(Options given)
      : options(std::move(given)), pool(std::make_unique<rpc::IoPool>(options.io_threads)) {}

  Result<void> Start(Runtime& runtime) {
    if (options.resolver_port) {
      auto started = Exporter::Start(*pool, options, runtime);
      if (!started) return tl::unexpected(started.error());
      exporter = std::move(*started);
    }
    client = std::make_shared<Client>(*pool, options, runtime, exporter.get());
    if (options.clock) return {};
    client->on_new_work = [this] {
      const std::lock_guard lock(mutex);
      woken = true;
      wake.notify_one();
    };
    worker = std::jthread([this](const std::stop_token& stop) { Work(stop); });
    return {};
  }

  void Stop(bool give_back) {
    if (client && !give_back) client->connector().CloseAll();
    if (worker.joinable()) {
      worker.request_stop();
      worker.join();
    }
    if (client) client->Stop(give_back);
    if (exporter) {
      exporter->Stop();
      exporter->table().RevokeAll();
    }
    // References that handlers and objects held are gone now, and with them everything that borrows the pool.
    client.reset();
    exporter.reset();
    pool.reset();
  }

  void Tick(TimePoint now) {
    client->Work(now);
    if (exporter) exporter->table().Collect(options.timers, now);
  }

  TimePoint Now() const { return options.clock ? options.clock() : std::chrono::steady_clock::now(); }

  const Options options;
  std::unique_ptr<rpc::IoPool> pool;
  std::unique_ptr<Exporter> exporter;
  std::shared_ptr<Client> client;

 private:
  void Work(const std::stop_token& stop) {
    using std::chrono::milliseconds;
    // Collection need not be exact, only well within the periods.
    const milliseconds collection =
        std::clamp<milliseconds>(std::min<milliseconds>(options.timers.set_timeout, options.timers.grace) / 8,
                                 milliseconds(10), milliseconds(5000));
    while (!stop.stop_requested()) {
      const TimePoint next = std::min(client->NextWork(), Now() + collection);
      {
        std::unique_lock lock(mutex);
        wake.wait_until(lock, stop, next, [this] { return woken; });
        woken = false;
      }
      if (!stop.stop_requested()) Tick(Now());
    }
  }

  std::mutex mutex;
  std::condition_variable_any wake;
  bool woken = false;
  std::jthread worker;
};

Runtime::Runtime(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Runtime>> Runtime::Start(Options options) {
  std::unique_ptr<Runtime> runtime(new Runtime(std::make_shared<Impl>(std::move(options))));
  if (auto started = runtime->impl_->Start(*runtime); !started) return tl::unexpected(started.error());
  return runtime;
}

Runtime::~Runtime() { impl_->Stop(true); }

void Runtime::Abandon() { impl_->Stop(false); }

void Runtime::RegisterClass(const Guid& clsid, ClassFactory factory, ClassOptions options) {
  if (impl_->exporter) impl_->exporter->RegisterClass(clsid, std::move(factory), std::move(options));
}

void Runtime::UnregisterClass(const Guid& clsid) {
  if (impl_->exporter) impl_->exporter->UnregisterClass(clsid);
}

Result<Bytes> Runtime::Export(const std::shared_ptr<Object>& object, const Guid& iid,
                              const ExportOptions& options) {
  if (!impl_->exporter) return Fail(ErrorKind::kUsage, "Export from a runtime without a resolver port");
  return impl_->exporter->Export(
      object, iid, options.public_refs,
      {.minimum_call_level = options.minimum_call_level, .no_ping = options.no_ping}, options.arrival);
}

void Runtime::Revoke(const std::shared_ptr<Object>& object) {
  if (impl_->exporter) impl_->exporter->table().Revoke(object);
}

Result<Activation> Runtime::Activate(const ActivationRequest& request) {
  return impl_->client->Activate(request);
}

Result<ObjectRef> Runtime::Activate(const rpc::Endpoint& server, const Guid& clsid, const Guid& iid) {
  ActivationRequest request;
  request.server = server;
  request.clsid = clsid;
  request.iids = {iid};
  auto activation = Activate(request);
  if (!activation) return tl::unexpected(std::move(activation.error()));
  return std::move(activation->interfaces.front());
}

Result<ServerInfo> Runtime::ServerAlive2(const rpc::Endpoint& server) {
  return impl_->client->ServerAlive2(server);
}

Result<ObjectRef> Runtime::Unmarshal(std::span<const std::byte> objref, const Guid& iid,
                                     const CallOptions& options) {
  return Unmarshal(objref, iid, options, impl_->options.callback_policy);
}

Result<ObjectRef> Runtime::Unmarshal(std::span<const std::byte> objref, const Guid& iid,
                                     const CallOptions& options, CallbackPolicy policy) {
  return impl_->client->Unmarshal(objref, iid, options, policy);
}

Result<std::shared_ptr<rpc::ClientConnection>> Runtime::Connect(const rpc::Endpoint& peer,
                                                                std::optional<rpc::Security> security) {
  Connector& connector = impl_->client->connector();
  return connector.Connect(peer, security ? std::move(*security)
                                          : connector.SecurityFor(impl_->options.credentials,
                                                                  impl_->options.auth_level, peer.host));
}

std::optional<rpc::Endpoint> Runtime::resolver_endpoint() const {
  if (!impl_->exporter) return std::nullopt;
  return impl_->exporter->resolver_endpoint();
}

std::optional<rpc::Endpoint> Runtime::exporter_endpoint() const {
  if (!impl_->exporter) return std::nullopt;
  return impl_->exporter->exporter_endpoint();
}

std::uint64_t Runtime::oxid() const { return impl_->exporter ? impl_->exporter->oxid() : 0; }

Guid Runtime::rem_unknown_ipid() const {
  return impl_->exporter ? impl_->exporter->rem_unknown_ipid() : Guid{};
}

Statistics Runtime::statistics() const {
  Statistics statistics;
  if (impl_->exporter) {
    const auto counts = impl_->exporter->table().counts();
    statistics.exported_objects = counts.objects;
    statistics.exported_interfaces = counts.interfaces;
    statistics.ping_sets = counts.ping_sets;
  }
  impl_->client->Count(statistics);
  return statistics;
}

void Runtime::Tick() { impl_->Tick(impl_->Now()); }

}  // namespace dmrp::dcom
