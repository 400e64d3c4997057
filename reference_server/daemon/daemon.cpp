#include "reference_server/daemon/daemon.hpp"

#include "dmrp/interfaces/method_table.hpp"
#include "reference_server/daemon/callback_sink.hpp"
#include "reference_server/daemon/remote_server_object.hpp"
#include "reference_server/daemon/volume_client_object.hpp"
#include "reference_server/methods/image_disk_source.hpp"
#include "reference_server/methods/linux_disk_source.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// How often drives with removable media are looked at.
constexpr std::uint32_t kMediaPollMilliseconds = 2000;

Result<std::unique_ptr<DiskSource>> MakeSource(const Config& config) {
  if (config.images.empty()) {
    return std::make_unique<LinuxDiskSource>();
  }
  std::vector<ImageSpec> images;
  for (const std::string& text : config.images) {
    auto image = ImageSpec::Parse(text);
    if (!image) {
      return tl::unexpected(image.error());
    }
    images.push_back(std::move(*image));
  }
  return std::make_unique<ImageDiskSource>(std::move(images));
}

dcom::Options RuntimeOptions(const Config& config) {
  dcom::Options options;
  options.credentials = config.callback;
  options.auth_level = config.callback_level;
  options.call_timeout = config.notification_deadline;
  options.accounts = rpc::MakeAccountStore(config.accounts);
  options.allow_anonymous = config.allow_anonymous;
  options.minimum_activation_level = config.activation_level;
  options.minimum_call_level = config.call_level;
  options.listen_address = config.listen;
  options.resolver_port = config.resolver_port;
  options.exporter_port = config.exporter_port;
  options.advertised = config.advertise;
  options.timers.ping_period = config.ping_period;
  options.timers.set_timeout = 3 * config.ping_period;
  options.timers.grace = 3 * config.ping_period;
  options.computer_name = config.computer;
  options.domain_name = config.domain;
  return options;
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::Start(const Config& config, Log& log,
                                              PrepareShutdown prepare_shutdown) {
  auto source = MakeSource(config);
  if (!source) {
    return tl::unexpected(source.error());
  }
  std::unique_ptr<Daemon> daemon(new Daemon(log, std::move(prepare_shutdown)));
  daemon->own_source_ = std::move(*source);
  if (auto running = daemon->Run(config, *daemon->own_source_, config.images.empty()); !running) {
    return tl::unexpected(running.error());
  }
  return daemon;
}

Result<std::unique_ptr<Daemon>> Daemon::Start(const Config& config, Log& log, DiskSource& source) {
  std::unique_ptr<Daemon> daemon(new Daemon(log));
  if (auto running = daemon->Run(config, source, false); !running) {
    return tl::unexpected(running.error());
  }
  return daemon;
}

Daemon::~Daemon() {
  registry_watch_.reset();
  node_watch_.reset();
  watcher_.reset();
  if (runtime_ != nullptr) {
    runtime_.reset();
    log_.Write(LogLevel::kInfo, "stopped");
  }
  if (volumes_ != nullptr) {
    volumes_->OnChange({});
  }
}

rpc::Endpoint Daemon::resolver_endpoint() const {
  return runtime_->resolver_endpoint().value_or(rpc::Endpoint{});
}

rpc::Endpoint Daemon::exporter_endpoint() const {
  return runtime_->exporter_endpoint().value_or(rpc::Endpoint{});
}

Result<void> Daemon::Run(const Config& config, DiskSource& source, bool watch) {
  const auto warn = [this](const std::string& text) { log_.Write(LogLevel::kWarning, text); };
  ServerOptions options;
  options.model.notification_deadline = config.notification_deadline;
  options.model.log = warn;
  options.log = [this](const std::string& text) { log_.Write(LogLevel::kInfo, text); };
  options.prepare_shutdown = prepare_shutdown_;
  options.connect_sink = [this, level = config.callback_level](dcom::CallContext& call, const Bytes& objref) {
    return ConnectSink(call, objref, level);
  };
  if (!config.registry.empty()) {
    options.registry = config.registry;
  }
  server_ = std::make_shared<DiskManagementServer>(source, std::move(options));
  // Before the first enumeration, so that nothing that changes in between is missed.
  if (watch) {
    WatchDevices();
    volumes_ = &source.Volumes();
    volumes_->OnChange([this] { server_->Refresh(); });
  }
  if (!config.registry.empty()) {
    WatchRegistry(config.registry);
  }
  if (config.accounts.empty()) {
    warn("no accounts are configured: nobody can log on");
  }
  server_->Refresh();

  auto runtime = dcom::Runtime::Start(RuntimeOptions(config));
  if (!runtime) {
    return tl::unexpected(runtime.error());
  }
  runtime_ = std::move(*runtime);
  auto settings = std::make_shared<ObjectSettings>();
  settings->managers = config.managers;
  settings->log_call = [this](const std::string& text) { log_.Write(LogLevel::kInfo, text); };
  dcom::ClassOptions class_options;
  class_options.may_activate = [settings](const dcom::CallContext& call) {
    return MayManage(call, settings->managers);
  };
  runtime_->RegisterClass(
      config.class_id,
      [server = server_, settings](dcom::CallContext& /*call*/) -> Result<std::shared_ptr<dcom::Object>> {
        return std::make_shared<VolumeClientObject>(server, settings);
      },
      class_options);
  auto remote = std::make_shared<RemoteSettings>();
  remote->class_id = config.class_id;
  remote->port = config.remote_port;
  remote->level = std::max(config.callback_level, rpc::AuthLevel::kIntegrity);
  remote->deadline = config.remote_deadline;
  if (!config.remote.user.empty()) {
    remote->credentials = config.remote;
  }
  runtime_->RegisterClass(
      config.remote_class_id,
      [settings, remote](dcom::CallContext& /*call*/) -> Result<std::shared_ptr<dcom::Object>> {
        return std::make_shared<RemoteServerObject>(settings, remote);
      },
      std::move(class_options));
  log_.Write(LogLevel::kInfo, fmt::format("serving class {} with {} disks", config.class_id.ToString(),
                                          server_->model().State()->Disks().size()));
  return {};
}

void Daemon::WatchDevices() {
  const auto warn = [this](const std::string& text) { log_.Write(LogLevel::kWarning, text); };
  const auto refresh = [this] { server_->Refresh(); };
  if (auto watcher = DeviceWatcher::Start(refresh, warn)) {
    watcher_ = std::move(*watcher);
  } else {
    warn("device events are not watched: " + watcher.error().ToString());
  }
  if (auto watch = FileWatch::StartOnBlockDevices("/dev", refresh, warn)) {
    node_watch_ = std::move(*watch);
  } else {
    warn("volumes that other programs format or label are not noticed: " + watch.error().ToString());
  }
  if (auto polling = EnableMediaPolling(kMediaPollMilliseconds); !polling) {
    warn("media changes are not polled for: " + polling.error().ToString());
  }
}

void Daemon::WatchRegistry(const std::filesystem::path& registry) {
  const auto warn = [this](const std::string& text) { log_.Write(LogLevel::kWarning, text); };
  std::error_code error;
  std::filesystem::create_directories(registry.parent_path(), error);
  if (auto watch = FileWatch::Start(registry, [this] { server_->RegistryChanged(); }, warn)) {
    registry_watch_ = std::move(*watch);
  } else {
    warn("letters that other programs change are not noticed: " + watch.error().ToString());
  }
}

Result<std::shared_ptr<NotificationSink>> Daemon::ConnectSink(dcom::CallContext& call, const Bytes& objref,
                                                              rpc::AuthLevel level) {
  dcom::CallOptions options;
  options.causality_id = call.causality_id;
  options.auth_level = level;
  auto notify = call.runtime->Unmarshal(objref, IID_IDMNotify, options);
  if (!notify) {
    return tl::unexpected(notify.error());
  }
  return std::make_shared<CallbackSink>(std::move(*notify));
}

}  // namespace dmrp::server
