// The server role ([MS-DMRP] 3.2) without the network: what all its activated objects share.
#pragma once

#include "protocol/dcom/call_context.hpp"
#include "reference_server/methods/disk_inventory.hpp"
#include "reference_server/methods/disk_source.hpp"
#include "reference_server/methods/task_runner.hpp"
#include "reference_server/objects/storage_model.hpp"
#include "reference_server/platform/registry.hpp"
#include "reference_server/storage/mount_manager.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace dmrp::server {

/// Makes a sink of the interface pointer that a client passed to Initialize (its OBJREF octets).
using SinkConnector =
    std::function<Result<std::shared_ptr<NotificationSink>>(dcom::CallContext& call, const Bytes& objref)>;

struct ServerOptions {
  StorageModelOptions model;
  SinkConnector connect_sink;
  /// The hive file with the server's registry; nothing: the registry lives in memory.
  std::optional<std::filesystem::path> registry;
  /// The work that shuts the machine down, or why it cannot be; null: it never can.
  std::function<Result<std::function<void()>>()> prepare_shutdown;
  /// Told about refused calls, failing clients and unreadable disks; null for silence.
  std::function<void(const std::string&)> log;
};

/// Storage objects, clients, tasks, and the disks behind them. All members may be called from any thread; the
/// inventory only under the model's operation lock.
class DiskManagementServer {
 public:
  DiskManagementServer(DiskSource& source, ServerOptions options);

  /// Compares the list of storage objects with the system and notifies the differences: start-up (3.2.3.1),
  /// Refresh (3.2.4.4.1.56) and local events (3.2.6).
  void Refresh();
  /// The same under an operation that has begun.
  void Refresh(const StorageModel::Operation& operation);
  /// Called when the file of the registry changed: refreshes if another program changed it
  /// (3.2.6.5, 3.2.6.6).
  void RegistryChanged();

  [[nodiscard]] StorageModel& model() { return model_; }
  [[nodiscard]] DiskInventory& inventory() { return inventory_; }
  [[nodiscard]] TaskRunner& tasks() { return tasks_; }
  /// Both under the model's operation lock only.
  [[nodiscard]] Registry& registry() { return registry_; }
  [[nodiscard]] MountManager& mounts() { return mounts_; }
  [[nodiscard]] const SinkConnector& connect_sink() const { return connect_sink_; }
  /// As ServerOptions::prepare_shutdown.
  [[nodiscard]] Result<std::function<void()>> PrepareShutdown() const;

  /// A number that tells one activated object from all others.
  std::uint64_t NewClientTag() { return next_tag_.fetch_add(1); }
  void Log(const std::string& text) const;

 private:
  std::function<void(const std::string&)> log_;
  SinkConnector connect_sink_;
  std::function<Result<std::function<void()>>()> prepare_shutdown_;
  StorageModel model_;
  Registry registry_;
  MountManager mounts_;
  DiskInventory inventory_;
  std::atomic<std::uint64_t> next_tag_{1};
  TaskRunner tasks_;  // the last member: its threads use the others
};

}  // namespace dmrp::server
