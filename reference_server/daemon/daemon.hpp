#pragma once

#include "protocol/dcom/runtime.hpp"
#include "reference_server/daemon/config.hpp"
#include "reference_server/daemon/device_watcher.hpp"
#include "reference_server/daemon/log.hpp"
#include "reference_server/methods/disk_source.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/platform/file_watch.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace dmrp::server {

/// The work that shuts the machine down, or why it cannot be (ServerOptions::prepare_shutdown).
using PrepareShutdown = std::function<Result<std::function<void()>>()>;

/// A running disk management server: its disks, its objects, its ports. Stops when destroyed.
class Daemon {
 public:
  /// Enumerates the disks, opens the ports and serves. `log` must outlive the daemon. `prepare_shutdown` is
  /// what ShutDownSystem asks; without it the machine stays up whatever the configuration says.
  static Result<std::unique_ptr<Daemon>> Start(const Config& config, Log& log,
                                               PrepareShutdown prepare_shutdown = {});
  /// The same over disks of the caller's, which must outlive the daemon; for tests.
  static Result<std::unique_ptr<Daemon>> Start(const Config& config, Log& log, DiskSource& source);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  [[nodiscard]] rpc::Endpoint resolver_endpoint() const;
  [[nodiscard]] rpc::Endpoint exporter_endpoint() const;
  [[nodiscard]] DiskManagementServer& server() { return *server_; }

 private:
  explicit Daemon(Log& log, PrepareShutdown prepare_shutdown = {})
      : log_(log), prepare_shutdown_(std::move(prepare_shutdown)) {}
  Result<void> Run(const Config& config, DiskSource& source, bool watch);
  void WatchDevices();
  void WatchRegistry(const std::filesystem::path& registry);
  Result<std::shared_ptr<NotificationSink>> ConnectSink(dcom::CallContext& call, const Bytes& objref,
                                                        rpc::AuthLevel level);

  Log& log_;
  PrepareShutdown prepare_shutdown_;
  std::unique_ptr<DiskSource> own_source_;
  VolumeHost* volumes_ = nullptr;  ///< of the source, while it tells of changes
  std::shared_ptr<DiskManagementServer> server_;
  std::unique_ptr<dcom::Runtime> runtime_;
  std::unique_ptr<DeviceWatcher> watcher_;
  std::unique_ptr<FileWatch> node_watch_;      // volumes that other programs write
  std::unique_ptr<FileWatch> registry_watch_;  // letters that other programs change
};

}  // namespace dmrp::server
