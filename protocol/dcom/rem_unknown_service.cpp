#include "protocol/dcom/exporter_services.hpp"
#include "protocol/dcom/status.hpp"

#include <algorithm>

namespace dmrp::dcom {
namespace {

constexpr std::uint32_t kRefsOfMarshaledPointer = 5;

wire::HRESULT Hresult(std::uint32_t status) { return static_cast<wire::HRESULT>(status); }

/// Whom private references are counted for.
std::string IdentityOf(const CallContext& call) { return call.domain + "\\" + call.user; }

}  // namespace

bool Exporter::RemUnknownService::MayTouch(const CallContext& call, const Guid& ipid) const {
  const auto own = exporter_.table_.MinimumCallLevel(ipid);
  return call.auth_level >= own.value_or(exporter_.options_.minimum_call_level);
}

wire::HRESULT Exporter::RemUnknownService::RemQueryInterface(CallContext& call,
                                                             const wire::RemQueryInterfaceRequest& request,
                                                             wire::RemQueryInterfaceReply& reply) {
  if (!MayTouch(call, request.ripid)) return Hresult(E_ACCESSDENIED);
  std::uint32_t overall = E_NOINTERFACE;
  for (const Guid& iid : request.iids) {
    wire::REMQIRESULT& result = reply.ppQIResults.emplace_back();
    auto reference = exporter_.table_.QueryInterface(request.ripid, iid, request.cRefs, exporter_.Now());
    if (reference) {
      result.std = *reference;
      overall = S_OK;
    } else {
      result.hResult = Hresult(reference.error());
      if (reference.error() == RPC_E_INVALID_OBJECT) overall = RPC_E_INVALID_OBJECT;
    }
  }
  return Hresult(overall);
}

wire::HRESULT Exporter::RemUnknownService::RemAddRef(CallContext& call, const wire::RemAddRefRequest& request,
                                                     wire::RemAddRefReply& reply) {
  for (const wire::REMINTERFACEREF& item : request.InterfaceRefs) {
    std::uint32_t status = S_OK;
    // Private references belong to an identity, so a caller without one cannot have any.
    if (!MayTouch(call, item.ipid) || (item.cPrivateRefs != 0 && call.anonymous)) {
      status = E_ACCESSDENIED;
    } else {
      status = exporter_.table_.AddRef(item.ipid, item.cPublicRefs, item.cPrivateRefs, IdentityOf(call),
                                       exporter_.Now());
    }
    reply.pResults.push_back(Hresult(status));
  }
  return Hresult(S_OK);
}

wire::HRESULT Exporter::RemUnknownService::RemRelease(CallContext& call,
                                                      const wire::RemReleaseRequest& request,
                                                      wire::RemReleaseReply& /*reply*/) {
  for (const wire::REMINTERFACEREF& item : request.InterfaceRefs) {
    if (!MayTouch(call, item.ipid)) return Hresult(E_ACCESSDENIED);
    const std::uint32_t private_refs = call.anonymous ? 0 : item.cPrivateRefs;
    exporter_.table_.Release(item.ipid, item.cPublicRefs, private_refs, IdentityOf(call), exporter_.Now());
  }
  return Hresult(S_OK);
}

wire::HRESULT Exporter::RemUnknownService::RemQueryInterface2(CallContext& call,
                                                              const wire::RemQueryInterface2Request& request,
                                                              wire::RemQueryInterface2Reply& reply) {
  if (!MayTouch(call, request.ripid)) return Hresult(E_ACCESSDENIED);
  std::uint32_t overall = E_NOINTERFACE;
  for (const Guid& iid : request.iids) {
    auto reference =
        exporter_.table_.QueryInterface(request.ripid, iid, kRefsOfMarshaledPointer, exporter_.Now());
    if (!reference) {
      if (reference.error() == RPC_E_INVALID_OBJECT) overall = RPC_E_INVALID_OBJECT;
      reply.phr.push_back(Hresult(reference.error()));
      reply.ppMIF.emplace_back();
      continue;
    }
    overall = S_OK;
    reply.phr.push_back(Hresult(S_OK));
    const OBJREF objref{
        .iid = iid,
        .u_objref = OBJREF_STANDARD{.std = *reference,
                                    .saResAddr = exporter_.addresses()->Resolver(call.local.host)}};
    reply.ppMIF.emplace_back(wire::MInterfacePointer{EncodeObjref(objref)});
  }
  return Hresult(overall);
}

}  // namespace dmrp::dcom
