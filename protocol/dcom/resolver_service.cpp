#include "protocol/dcom/exporter_services.hpp"
#include "protocol/dcom/status.hpp"

#include <algorithm>

namespace dmrp::dcom {
namespace {

/// The part of `bindings` that a client asked for; this side has TCP alone.
wire::DUALSTRINGARRAY ForProtocols(DualStringArray bindings, const std::vector<std::uint16_t>& protseqs) {
  std::erase_if(bindings.string_bindings, [&](const StringBinding& binding) {
    return std::ranges::find(protseqs, binding.wTowerId) == protseqs.end();
  });
  return bindings.ToWire();
}

}  // namespace

std::uint32_t Exporter::ResolverService::ResolveOxid(CallContext& call,
                                                     const wire::ResolveOxidRequest& request,
                                                     wire::ResolveOxidReply& reply) {
  if (request.arRequestedProtseqs.size() > exporter_.options_.limits.protseqs_per_request) {
    return RPC_X_BAD_STUB_DATA;
  }
  if (request.pOxid != exporter_.oxid_) return OR_INVALID_OXID;
  reply.ppdsaOxidBindings =
      ForProtocols(exporter_.addresses()->Exporter(call.local.host), request.arRequestedProtseqs);
  reply.pipidRemUnknown = exporter_.rem_unknown_ipid_;
  reply.pAuthnHint = static_cast<std::uint32_t>(exporter_.AuthnHint());
  return ERROR_SUCCESS;
}

std::uint32_t Exporter::ResolverService::ResolveOxid2(CallContext& call,
                                                      const wire::ResolveOxid2Request& request,
                                                      wire::ResolveOxid2Reply& reply) {
  wire::ResolveOxidReply older;
  const std::uint32_t status = ResolveOxid(call, {request.pOxid, request.arRequestedProtseqs}, older);
  reply.ppdsaOxidBindings = std::move(older.ppdsaOxidBindings);
  reply.pipidRemUnknown = older.pipidRemUnknown;
  reply.pAuthnHint = older.pAuthnHint;
  reply.pComVersion = exporter_.options_.version;
  return status;
}

std::uint32_t Exporter::ResolverService::SimplePing(CallContext& /*call*/,
                                                    const wire::SimplePingRequest& request,
                                                    wire::SimplePingReply& /*reply*/) {
  return exporter_.table_.SimplePing(request.pSetId, exporter_.Now());
}

std::uint32_t Exporter::ResolverService::ComplexPing(CallContext& /*call*/,
                                                     const wire::ComplexPingRequest& request,
                                                     wire::ComplexPingReply& reply) {
  reply.pSetId = request.pSetId;
  return exporter_.table_.ComplexPing(reply.pSetId, request.SequenceNum, request.AddToSet, request.DelFromSet,
                                      exporter_.Now());
}

std::uint32_t Exporter::ResolverService::ServerAlive(CallContext& /*call*/,
                                                     const wire::ServerAliveRequest& /*request*/,
                                                     wire::ServerAliveReply& /*reply*/) {
  return ERROR_SUCCESS;
}

std::uint32_t Exporter::ResolverService::ServerAlive2(CallContext& call,
                                                      const wire::ServerAlive2Request& /*request*/,
                                                      wire::ServerAlive2Reply& reply) {
  reply.pComVersion = exporter_.options_.version;
  reply.ppdsaOrBindings = exporter_.addresses()->Resolver(call.local.host).ToWire();
  return ERROR_SUCCESS;
}

}  // namespace dmrp::dcom
