// The interfaces that every exporter serves, on the generated skeletons.
#pragma once

#include "dmrp/dcom_interfaces/handler.hpp"
#include "protocol/dcom/exporter.hpp"

#include <string>

namespace dmrp::dcom {

/// IObjectExporter ([MS-DCOM] 3.1.2.5.1).
class Exporter::ResolverService : public wire::IObjectExporterHandler {
 public:
  explicit ResolverService(Exporter& exporter) : exporter_(exporter) {}

  std::uint32_t ResolveOxid(CallContext& call, const wire::ResolveOxidRequest& request,
                            wire::ResolveOxidReply& reply) override;
  std::uint32_t ResolveOxid2(CallContext& call, const wire::ResolveOxid2Request& request,
                             wire::ResolveOxid2Reply& reply) override;
  std::uint32_t SimplePing(CallContext& call, const wire::SimplePingRequest& request,
                           wire::SimplePingReply& reply) override;
  std::uint32_t ComplexPing(CallContext& call, const wire::ComplexPingRequest& request,
                            wire::ComplexPingReply& reply) override;
  std::uint32_t ServerAlive(CallContext& call, const wire::ServerAliveRequest& request,
                            wire::ServerAliveReply& reply) override;
  std::uint32_t ServerAlive2(CallContext& call, const wire::ServerAlive2Request& request,
                             wire::ServerAlive2Reply& reply) override;

 private:
  Exporter& exporter_;
};

/// IActivation and IRemoteSCMActivator ([MS-DCOM] 3.1.2.5.2).
class Exporter::ActivationService : public wire::IActivationHandler, public wire::IRemoteSCMActivatorHandler {
 public:
  explicit ActivationService(Exporter& exporter) : exporter_(exporter) {}

  std::uint32_t RemoteActivation(CallContext& call, const wire::RemoteActivationRequest& request,
                                 wire::RemoteActivationReply& reply) override;
  wire::HRESULT RemoteGetClassObject(CallContext& call, const wire::RemoteGetClassObjectRequest& request,
                                     wire::RemoteGetClassObjectReply& reply) override;
  wire::HRESULT RemoteCreateInstance(CallContext& call, const wire::RemoteCreateInstanceRequest& request,
                                     wire::RemoteCreateInstanceReply& reply) override;

 private:
  std::uint32_t Activate(CallContext& call, const wire::ORPCTHIS& header,
                         const std::optional<wire::MInterfacePointer>& properties, bool class_object,
                         std::optional<wire::MInterfacePointer>& answer);

  Exporter& exporter_;
};

/// IRemUnknown and IRemUnknown2 ([MS-DCOM] 3.1.1.5.6, 3.1.1.5.7).
class Exporter::RemUnknownService : public wire::RemUnknownHandler {
 public:
  explicit RemUnknownService(Exporter& exporter) : exporter_(exporter) {}

  wire::HRESULT RemQueryInterface(CallContext& call, const wire::RemQueryInterfaceRequest& request,
                                  wire::RemQueryInterfaceReply& reply) override;
  wire::HRESULT RemAddRef(CallContext& call, const wire::RemAddRefRequest& request,
                          wire::RemAddRefReply& reply) override;
  wire::HRESULT RemRelease(CallContext& call, const wire::RemReleaseRequest& request,
                           wire::RemReleaseReply& reply) override;
  wire::HRESULT RemQueryInterface2(CallContext& call, const wire::RemQueryInterface2Request& request,
                                   wire::RemQueryInterface2Reply& reply) override;

 private:
  bool MayTouch(const CallContext& call, const Guid& ipid) const;

  Exporter& exporter_;
};

/// The class object that RemoteGetClassObject hands out: IClassFactory with CreateInstance (opnum 3, an IID
/// in, an interface pointer out) and LockServer (opnum 4).
class Exporter::ClassObject : public Object, public std::enable_shared_from_this<Exporter::ClassObject> {
 public:
  ClassObject(Exporter& exporter, Class entry) : exporter_(exporter), class_(std::move(entry)) {}

  Dispatch QueryInterface(const Guid& iid) override;

 private:
  DispatchResult Serve(CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub);

  Exporter& exporter_;
  Class class_;
};

}  // namespace dmrp::dcom
