// The incoming side: one listener for resolver and activator, one for exported objects.
#pragma once

#include "dmrp/dcom_interfaces/handler.hpp"
#include "protocol/dcom/addresses.hpp"
#include "protocol/dcom/object_table.hpp"
#include "protocol/dcom/runtime.hpp"
#include "protocol/rpc/server.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace dmrp::dcom {

/// Serves IObjectExporter, IActivation, IRemoteSCMActivator, IRemUnknown(2) and every exported interface. All
/// members may be called from any thread.
class Exporter {
 public:
  /// Opens the listeners.
  static Result<std::unique_ptr<Exporter>> Start(rpc::IoPool& pool, const Options& options, Runtime& runtime);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  /// Refuses further calls and waits for those that run.
  void Stop();

  void RegisterClass(const Guid& clsid, ClassFactory factory, ClassOptions options);
  void UnregisterClass(const Guid& clsid);

  /// OBJREF octets of one more reference; see Runtime::Export.
  Result<Bytes> Export(const std::shared_ptr<Object>& object, const Guid& iid, std::uint32_t public_refs,
                       const ObjectTable::ObjectOptions& options, const std::string& arrival);

  [[nodiscard]] ObjectTable& table() { return table_; }
  [[nodiscard]] const ObjectTable& table() const { return table_; }
  [[nodiscard]] std::uint64_t oxid() const { return oxid_; }
  [[nodiscard]] const Guid& rem_unknown_ipid() const { return rem_unknown_ipid_; }
  [[nodiscard]] const rpc::Endpoint& resolver_endpoint() const { return resolver_endpoint_; }
  [[nodiscard]] const rpc::Endpoint& exporter_endpoint() const { return exporter_endpoint_; }

 private:
  class ResolverService;
  class ActivationService;
  class RemUnknownService;
  class ClassObject;

  struct Class {
    ClassFactory factory;
    ClassOptions options;
  };
  /// What an activation produced, before it takes the form of either activator.
  struct Activated {
    struct Interface {
      std::uint32_t status = 0;
      std::optional<Bytes> objref;
    };
    std::uint32_t status = 0;  ///< HRESULT
    std::vector<Interface> interfaces;
  };

  Exporter(const Options& options, Runtime& runtime);
  Result<void> Listen(rpc::IoPool& pool);
  TimePoint Now() const { return options_.clock ? options_.clock() : std::chrono::steady_clock::now(); }
  CallContext MakeContext(const rpc::CallContext& call);
  std::shared_ptr<const Addresses> addresses() const;
  std::optional<Class> FindClass(const Guid& clsid) const;
  /// The lowest call level that any object may have asked for.
  rpc::AuthLevel LowestCallLevel() const;
  rpc::AuthLevel LowestActivationLevel() const;
  rpc::AuthLevel AuthnHint() const;

  Activated Activate(CallContext& call, const Guid& clsid, std::span<const Guid> iids, bool class_object);
  DispatchResult ServeOrpc(const rpc::CallContext& call, std::span<const std::byte> stub);

  const Options options_;
  Runtime& runtime_;
  const std::uint64_t oxid_;
  const Guid rem_unknown_ipid_;
  ObjectTable table_;
  rpc::Endpoint resolver_endpoint_;
  rpc::Endpoint exporter_endpoint_;

  mutable std::mutex mutex_;
  std::unordered_map<Guid, Class> classes_;
  rpc::AuthLevel lowest_call_level_;
  rpc::AuthLevel lowest_activation_level_;
  std::shared_ptr<const Addresses> addresses_;

  std::unique_ptr<ResolverService> resolver_service_;
  std::unique_ptr<ActivationService> activation_service_;
  std::unique_ptr<RemUnknownService> rem_unknown_service_;
  std::unique_ptr<rpc::Server> resolver_server_;
  std::unique_ptr<rpc::Server> object_server_;
};

}  // namespace dmrp::dcom
