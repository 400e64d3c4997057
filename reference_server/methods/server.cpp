#include "reference_server/methods/server.hpp"

#include "reference_server/objects/reconcile.hpp"

#include <utility>

namespace dmrp::server {

DiskManagementServer::DiskManagementServer(DiskSource& source, ServerOptions options)
    : log_(std::move(options.log)),
      connect_sink_(std::move(options.connect_sink)),
      prepare_shutdown_(std::move(options.prepare_shutdown)),
      model_(std::move(options.model)),
      inventory_(source, log_) {}

void DiskManagementServer::Refresh() { Refresh(model_.BeginOperation()); }

void DiskManagementServer::Refresh(const StorageModel::Operation& operation) {
  model_.Commit(operation, ReconcileSystem(*model_.State(), inventory_.ObserveAll()));
}

Result<std::function<void()>> DiskManagementServer::PrepareShutdown() const {
  if (!prepare_shutdown_) {
    return Fail(ErrorKind::kUnsupported, "this server does not shut down its machine");
  }
  return prepare_shutdown_();
}

void DiskManagementServer::Log(const std::string& text) const {
  if (log_) {
    log_(text);
  }
}

}  // namespace dmrp::server
