#include "reference_server/methods/server.hpp"

#include "reference_server/methods/encapsulation.hpp"
#include "reference_server/objects/reconcile.hpp"

#include <utility>

namespace dmrp::server {

DiskManagementServer::DiskManagementServer(DiskSource& source, ServerOptions options)
    : log_(std::move(options.log)),
      connect_sink_(std::move(options.connect_sink)),
      prepare_shutdown_(std::move(options.prepare_shutdown)),
      model_(std::move(options.model)),
      registry_(options.registry ? Registry(std::move(*options.registry)) : Registry()),
      mounts_(registry_),
      inventory_(source, mounts_, registry_, registry_.Path().value_or(std::filesystem::path()), log_),
      tasks_(model_) {
  if (const auto content = registry_.Read(); !content) {
    Log("the registry is not usable: " + content.error().ToString());
    const auto aside = registry_.SetAside();
    Log(aside ? "it is kept as " + aside->string() + "; a fresh one takes its place"
              : aside.error().ToString());
  }
  model_.Commit(model_.BeginOperation(), InitialDriveLetters());
}

void DiskManagementServer::Refresh() { Refresh(model_.BeginOperation()); }

void DiskManagementServer::Refresh(const StorageModel::Operation& operation) {
  ObservedSystem observed = inventory_.ObserveAll();
  if (FinishEncapsulation(*this)) {
    observed = inventory_.ObserveAll();
  }
  model_.Commit(operation, ReconcileSystem(*model_.State(), observed.disks, observed.volumes));
}

Result<std::function<void()>> DiskManagementServer::PrepareShutdown() const {
  if (!prepare_shutdown_) {
    return Fail(ErrorKind::kUnsupported, "this server does not shut down its machine");
  }
  return prepare_shutdown_();
}

void DiskManagementServer::RegistryChanged() {
  const auto operation = model_.BeginOperation();
  const std::uint64_t before = registry_.ForeignChanges();
  if (const auto content = registry_.Read(); !content) {
    // A program that rewrites the file shows this for a moment; its next write calls again.
    Log("the registry cannot be read now: " + content.error().ToString());
    return;
  }
  if (registry_.ForeignChanges() != before) {
    Refresh(operation);
  }
}

void DiskManagementServer::Log(const std::string& text) const {
  if (log_) {
    log_(text);
  }
}

}  // namespace dmrp::server
