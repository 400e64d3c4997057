#include "protocol/dcom/activation_properties.hpp"
#include "protocol/dcom/exporter_services.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/orpc.hpp"
#include "protocol/dcom/status.hpp"

#include <utility>

namespace dmrp::dcom {
namespace {

/// References handed out for each interface, as Windows does.
constexpr std::uint32_t kRefsOfActivation = 5;
/// RemoteActivation's Mode that asks for the class object ([MS-DCOM] 3.1.2.5.2.3.1).
constexpr std::uint32_t kModeGetClassObject = 0xFFFFFFFF;

wire::HRESULT Hresult(std::uint32_t status) { return static_cast<wire::HRESULT>(status); }

/// What a factory's failure answers.
std::uint32_t StatusOf(const Error& error) {
  if ((error.status & 0x80000000U) != 0) return error.status;
  return error.kind == ErrorKind::kDenied ? E_ACCESSDENIED : E_FAIL;
}

}  // namespace

Exporter::Activated Exporter::Activate(CallContext& call, const Guid& clsid, std::span<const Guid> iids,
                                       bool class_object) {
  Activated activated;
  const auto fail = [&](std::uint32_t status) {
    activated.status = status;
    activated.interfaces.assign(iids.size(), {});
    return activated;
  };
  const auto entry = FindClass(clsid);
  // An unknown class is asked for with the general level, so that it cannot be told from a known one below
  // it.
  const rpc::AuthLevel needed = (entry ? entry->options.minimum_activation_level : std::nullopt)
                                    .value_or(options_.minimum_activation_level);
  if (call.auth_level < needed) return fail(E_ACCESSDENIED);
  if (!IsCompatible(options_.version, call.client_version)) return fail(RPC_E_VERSION_MISMATCH);
  if (!entry) return fail(REGDB_E_CLASSNOTREG);
  if (entry->options.may_activate && !entry->options.may_activate(call)) return fail(E_ACCESSDENIED);
  if (iids.empty() || iids.size() > options_.limits.interfaces_per_request) return fail(E_INVALIDARG);

  std::shared_ptr<Object> object;
  if (class_object) {
    object = std::make_shared<ClassObject>(*this, *entry);
  } else {
    auto made = entry->factory(call);
    if (!made) return fail(StatusOf(made.error()));
    if (*made == nullptr) return fail(E_FAIL);
    object = std::move(*made);
  }
  std::size_t failures = 0;
  for (const Guid& iid : iids) {
    auto objref =
        Export(object, iid, kRefsOfActivation,
               {.minimum_call_level = entry->options.minimum_call_level, .no_ping = false}, call.local.host);
    Activated::Interface& interface = activated.interfaces.emplace_back();
    if (objref) {
      interface.objref = std::move(*objref);
    } else {
      interface.status = StatusOf(objref.error());
      ++failures;
    }
  }
  if (failures == iids.size()) return fail(activated.interfaces.front().status);
  if (failures != 0) activated.status = CO_S_NOTALLINTERFACES;
  return activated;
}

std::uint32_t Exporter::ActivationService::RemoteActivation(CallContext& call,
                                                            const wire::RemoteActivationRequest& request,
                                                            wire::RemoteActivationReply& reply) {
  call.causality_id = request.ORPCthis.cid;
  call.client_version = request.ORPCthis.version;
  Activated activated;
  if (request.pwszObjectName || request.pObjectStorage) {
    activated.status = E_NOTIMPL;  // persistent objects
    activated.interfaces.resize(request.pIIDs.size());
  } else {
    activated = exporter_.Activate(call, request.Clsid, request.pIIDs, request.Mode == kModeGetClassObject);
  }
  reply.phr = Hresult(activated.status);
  for (Activated::Interface& interface : activated.interfaces) {
    reply.pResults.push_back(Hresult(interface.status));
    auto& pointer = reply.ppInterfaceData.emplace_back();
    if (interface.objref) pointer = wire::MInterfacePointer{std::move(*interface.objref)};
  }
  if ((activated.status & 0x80000000U) != 0) return ERROR_SUCCESS;
  reply.pOxid = exporter_.oxid_;
  reply.ppdsaOxidBindings = exporter_.addresses()->Exporter(call.local.host).ToWire();
  reply.pipidRemUnknown = exporter_.rem_unknown_ipid_;
  reply.pAuthnHint = static_cast<std::uint32_t>(exporter_.AuthnHint());
  reply.pServerVersion = exporter_.options_.version;
  return ERROR_SUCCESS;
}

wire::HRESULT Exporter::ActivationService::RemoteGetClassObject(
    CallContext& call, const wire::RemoteGetClassObjectRequest& request,
    wire::RemoteGetClassObjectReply& reply) {
  return Hresult(Activate(call, request.orpcthis, request.pActProperties, true, reply.ppActProperties));
}

wire::HRESULT Exporter::ActivationService::RemoteCreateInstance(
    CallContext& call, const wire::RemoteCreateInstanceRequest& request,
    wire::RemoteCreateInstanceReply& reply) {
  if (request.pUnkOuter) return Hresult(CLASS_E_NOAGGREGATION);
  return Hresult(Activate(call, request.orpcthis, request.pActProperties, false, reply.ppActProperties));
}

std::uint32_t Exporter::ActivationService::Activate(CallContext& call, const wire::ORPCTHIS& header,
                                                    const std::optional<wire::MInterfacePointer>& properties,
                                                    bool class_object,
                                                    std::optional<wire::MInterfacePointer>& answer) {
  if (!IsCompatible(exporter_.options_.version, header.version)) return RPC_E_VERSION_MISMATCH;
  if (!properties) return E_INVALIDARG;
  auto in = DecodeActivationPropertiesIn(properties->abData);
  if (!in) return in.error().status;
  if (in->instance) return E_NOTIMPL;  // persistent objects
  call.causality_id = header.cid;
  call.client_version = in->instantiation.clientCOMVersion;
  const std::vector<Guid> iids = in->instantiation.pIID.value_or(std::vector<Guid>{});
  Activated activated = exporter_.Activate(call, in->instantiation.classId, iids, class_object);
  if ((activated.status & 0x80000000U) != 0) return activated.status;

  ActivationPropertiesOut out;
  out.props_out.piid = iids;
  auto& results = out.props_out.phresults.emplace();
  auto& pointers = out.props_out.ppIntfData.emplace();
  for (Activated::Interface& interface : activated.interfaces) {
    results.push_back(Hresult(interface.status));
    auto& pointer = pointers.emplace_back();
    if (interface.objref) pointer = wire::MInterfacePointer{std::move(*interface.objref)};
  }
  out.scm_reply.remoteReply = wire::customREMOTE_REPLY_SCM_INFO{
      .Oxid = exporter_.oxid_,
      .pdsaOxidBindings = exporter_.addresses()->Exporter(call.local.host).ToWire(),
      .ipidRemUnknown = exporter_.rem_unknown_ipid_,
      .authnHint = static_cast<std::uint32_t>(exporter_.AuthnHint()),
      .serverVersion = exporter_.options_.version};
  auto encoded = EncodeActivationProperties(out);
  if (!encoded) return E_FAIL;
  answer = wire::MInterfacePointer{std::move(*encoded)};
  return activated.status;
}

Dispatch Exporter::ClassObject::QueryInterface(const Guid& iid) {
  if (iid != IID_IClassFactory) return nullptr;
  return [this](CallContext& call, std::uint16_t opnum, std::span<const std::byte> stub) {
    return Serve(call, opnum, stub);
  };
}

DispatchResult Exporter::ClassObject::Serve(CallContext& call, std::uint16_t opnum,
                                            std::span<const std::byte> stub) {
  constexpr std::uint16_t kCreateInstance = 3;
  constexpr std::uint16_t kLockServer = 4;
  ndr::Reader reader(stub);
  ndr::Writer writer;
  if (opnum == kCreateInstance) {
    Guid iid;
    reader.Get(iid, "IClassFactory.CreateInstance.riid");
    if (!reader.ok()) return tl::unexpected(RPC_X_BAD_STUB_DATA);
    std::uint32_t status = S_OK;
    std::optional<Bytes> objref;
    auto made = class_.factory(call);
    if (made && *made != nullptr) {
      auto exported = exporter_.Export(
          *made, iid, kRefsOfActivation,
          {.minimum_call_level = class_.options.minimum_call_level, .no_ping = false}, call.local.host);
      if (exported) {
        objref = std::move(*exported);
      } else {
        status = StatusOf(exported.error());
      }
    } else {
      status = made ? E_FAIL : StatusOf(made.error());
    }
    writer.PutInterfacePointer(objref);
    writer.Put(Hresult(status));
  } else if (opnum == kLockServer) {
    std::int32_t lock = 0;
    reader.Get(lock, "IClassFactory.LockServer.fLock");
    if (!reader.ok()) return tl::unexpected(RPC_X_BAD_STUB_DATA);
    // The process that registered the class decides how long it serves it.
    writer.Put(Hresult(S_OK));
  } else {
    return tl::unexpected(nca_s_op_rng_error);
  }
  auto reply = std::move(writer).Take();
  if (!reply) return tl::unexpected(E_FAIL);
  return std::move(*reply);
}

}  // namespace dmrp::dcom
