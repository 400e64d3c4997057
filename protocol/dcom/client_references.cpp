#include "dmrp/dcom_interfaces/proxy.hpp"
#include "protocol/dcom/activation_properties.hpp"
#include "protocol/dcom/client.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/resolver_calls.hpp"
#include "protocol/dcom/status.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

// How a client comes to references: activation ([MS-DCOM] 3.2.4.1.1) and unmarshaling (3.2.4.1.2).

namespace dmrp::dcom {
namespace {

constexpr std::uint16_t kResolverPort = 135;
constexpr std::uint32_t kImpersonationIdentify = 2;
constexpr std::uint32_t kClsctxRemoteServer = 0x10;
/// From this minor version on servers have IRemoteSCMActivator and ServerAlive2 ([MS-DCOM] 2.2.11).
constexpr std::uint16_t kMinorWithScmActivator = 6;

std::vector<rpc::Endpoint> EndpointsOf(const DualStringArray& bindings) {
  std::vector<rpc::Endpoint> endpoints;
  for (const StringBinding& binding : bindings.string_bindings) {
    if (binding.wTowerId != kTowerTcp) continue;
    if (const auto address = binding.Split()) {
      endpoints.push_back({address->host, address->port == 0 ? kResolverPort : address->port});
    }
  }
  return endpoints;
}

std::optional<Bytes> OctetsOf(std::optional<wire::MInterfacePointer>& pointer) {
  if (!pointer) return std::nullopt;
  return std::move(pointer->abData);
}

tl::unexpected<Error> ActivationFailure(const std::string& operation, Error error) {
  error.message = operation + ": " + error.message;
  return tl::unexpected(std::move(error));
}

}  // namespace

Result<Client::Alive> Client::AskAlive(const rpc::Endpoint& server) {
  auto connection = connector_.Connect(server, {});
  if (!connection) return tl::unexpected(connection.error());
  const wire::IObjectExporterProxy resolver(PlainInvoker(*connection, wire::kIObjectExporter, std::nullopt));
  auto reply = resolver.ServerAlive2();
  if (!reply) {
    constexpr COMVERSION kBeforeServerAlive2{.MajorVersion = 5, .MinorVersion = 1};
    if (reply.error().kind == ErrorKind::kFault && reply.error().status == nca_s_op_rng_error) {
      return Alive{kBeforeServerAlive2, std::nullopt};
    }
    return tl::unexpected(reply.error());
  }
  if (reply->result != ERROR_SUCCESS) return FailStatus("ServerAlive2", reply->result);
  Alive alive{reply->pComVersion, std::nullopt};
  if (reply->ppdsaOrBindings) {
    auto bindings = DualStringArray::FromWire(*reply->ppdsaOrBindings);
    if (!bindings) return tl::unexpected(bindings.error());
    alive.bindings = std::move(*bindings);
  }
  return alive;
}

Result<ServerInfo> Client::ServerAlive2(const rpc::Endpoint& server) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  auto alive = AskAlive({server.host, server.port == 0 ? kResolverPort : server.port});
  if (!alive) return tl::unexpected(alive.error());
  return ServerInfo{alive->version, alive->bindings.value_or(DualStringArray{})};
}

Result<Activation> Client::Activate(const ActivationRequest& request) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  const rpc::Endpoint server{request.server.host,
                             request.server.port == 0 ? kResolverPort : request.server.port};
  const std::string operation =
      fmt::format("activation of {} on {}", request.clsid.ToString(), server.ToString());
  const auto& credentials = request.credentials ? request.credentials : options_.credentials;

  COMVERSION version = options_.version;
  ActivationRequest effective = request;
  if (request.server_alive_first) {
    auto alive = AskAlive(server);
    if (!alive) return ActivationFailure(operation, std::move(alive.error()));
    version.MinorVersion = std::min(version.MinorVersion, alive->version.MinorVersion);
  }
  version = request.version.value_or(version);
  if (effective.method == ActivationMethod::kAutomatic) {
    effective.method = version.MinorVersion >= kMinorWithScmActivator
                           ? ActivationMethod::kRemoteCreateInstance
                           : ActivationMethod::kRemoteActivation;
  }
  const rpc::AuthLevel level =
      request.auth_level.value_or(std::max(options_.auth_level, rpc::AuthLevel::kIntegrity));
  auto connection = connector_.Connect(server, connector_.SecurityFor(credentials, level, server.host));
  if (!connection) return ActivationFailure(operation, std::move(connection.error()));
  auto reply = CallActivator(effective, *connection, version);
  if (!reply) return ActivationFailure(operation, std::move(reply.error()));
  if ((reply->status & 0x80000000U) != 0) return FailStatus(operation, reply->status);

  Activation activation;
  activation.server_version = reply->exporter.version;
  activation.authn_hint = reply->exporter.authn_hint;
  activation.oxid_bindings = reply->exporter.bindings;
  reply->exporter.credentials = credentials;
  reply->exporter.version.MinorVersion = std::min(version.MinorVersion, reply->exporter.version.MinorVersion);
  const auto exporter =
      Remember(std::move(reply->exporter), IdentityOf(credentials), ResolverFor({server}, credentials));
  for (std::size_t i = 0; i < request.iids.size(); ++i) {
    const auto adopt = [&]() -> Result<ObjectRef> {
      if (i >= reply->results.size() || i >= reply->pointers.size()) {
        return Fail(ErrorKind::kMalformed, operation + ": fewer results than interfaces asked for");
      }
      if ((reply->results[i] & 0x80000000U) != 0) {
        return FailStatus(operation + ", interface " + request.iids[i].ToString(), reply->results[i]);
      }
      if (!reply->pointers[i]) return Fail(ErrorKind::kMalformed, operation + ": success without a pointer");
      auto objref = DecodeObjref(*reply->pointers[i]);
      if (!objref) return tl::unexpected(objref.error());
      const STDOBJREF* std = objref->Standard();
      if (std == nullptr) return Fail(ErrorKind::kUnsupported, operation + ": a custom-marshaled reference");
      if (std->oxid == exporter->description().oxid) return Adopt(exporter, *std, request.iids[i], {});
      return UnmarshalRemote(*objref, request.iids[i], {});
    };
    activation.interfaces.push_back(adopt());
  }
  return activation;
}

Result<Client::ActivatorReply> Client::CallActivator(const ActivationRequest& request,
                                                     const std::shared_ptr<rpc::ClientConnection>& connection,
                                                     const COMVERSION& version) {
  const wire::ORPCTHIS header{
      .version = version, .flags = 0, .reserved1 = 0, .cid = Guid::Random(), .extensions = {}};
  ActivatorReply answer;
  const auto describe = [&](std::uint64_t oxid, const std::optional<wire::DUALSTRINGARRAY>& bindings,
                            const Guid& rem_unknown, std::uint32_t hint,
                            const COMVERSION& server_version) -> Result<void> {
    if (!bindings) return Fail(ErrorKind::kMalformed, "a successful activation without OXID bindings");
    auto parsed = DualStringArray::FromWire(*bindings);
    if (!parsed) return tl::unexpected(parsed.error());
    answer.exporter.oxid = oxid;
    answer.exporter.bindings = std::move(*parsed);
    answer.exporter.rem_unknown_ipid = rem_unknown;
    answer.exporter.authn_hint = HintToLevel(hint);
    answer.exporter.version = server_version;
    return {};
  };
  const auto unsigned_results = [](const std::vector<wire::HRESULT>& results) {
    return std::vector<std::uint32_t>(results.begin(), results.end());
  };

  if (request.method == ActivationMethod::kRemoteActivation) {
    const wire::IActivationProxy activator(PlainInvoker(connection, wire::kIActivation, request.timeout));
    auto reply = activator.RemoteActivation({.ORPCthis = header,
                                             .Clsid = request.clsid,
                                             .pwszObjectName = {},
                                             .pObjectStorage = {},
                                             .ClientImpLevel = kImpersonationIdentify,
                                             .Mode = 0,
                                             .pIIDs = request.iids,
                                             .aRequestedProtseqs = {kTowerTcp}});
    if (!reply) return tl::unexpected(reply.error());
    if (reply->result != ERROR_SUCCESS) return FailStatus("RemoteActivation", reply->result);
    answer.status = static_cast<std::uint32_t>(reply->phr);
    answer.results = unsigned_results(reply->pResults);
    for (auto& pointer : reply->ppInterfaceData) answer.pointers.push_back(OctetsOf(pointer));
    if (reply->phr < 0) return answer;
    auto described = describe(reply->pOxid, reply->ppdsaOxidBindings, reply->pipidRemUnknown,
                              reply->pAuthnHint, reply->pServerVersion);
    if (!described) return tl::unexpected(described.error());
    return answer;
  }

  ActivationPropertiesIn in;
  in.instantiation.classId = request.clsid;
  in.instantiation.classCtx = kClsctxRemoteServer;
  in.instantiation.pIID = request.iids;
  in.instantiation.clientCOMVersion = version;
  in.scm_request.remoteRequest = wire::customREMOTE_REQUEST_SCM_INFO{
      .ClientImpLevel = kImpersonationIdentify, .pRequestedProtseqs = std::vector<std::uint16_t>{kTowerTcp}};
  auto properties = EncodeActivationProperties(in);
  if (!properties) return tl::unexpected(properties.error());
  const wire::IRemoteSCMActivatorProxy activator(
      PlainInvoker(connection, wire::kIRemoteSCMActivator, request.timeout));
  std::optional<wire::MInterfacePointer> out;
  if (request.method == ActivationMethod::kRemoteGetClassObject) {
    auto reply = activator.RemoteGetClassObject({header, wire::MInterfacePointer{std::move(*properties)}});
    if (!reply) return tl::unexpected(reply.error());
    answer.status = static_cast<std::uint32_t>(reply->result);
    out = std::move(reply->ppActProperties);
  } else {
    auto reply =
        activator.RemoteCreateInstance({header, {}, wire::MInterfacePointer{std::move(*properties)}});
    if (!reply) return tl::unexpected(reply.error());
    answer.status = static_cast<std::uint32_t>(reply->result);
    out = std::move(reply->ppActProperties);
  }
  if ((answer.status & 0x80000000U) != 0) return answer;
  if (!out) return Fail(ErrorKind::kMalformed, "a successful activation without properties");
  auto decoded = DecodeActivationPropertiesOut(out->abData);
  if (!decoded) return tl::unexpected(decoded.error());
  if (!decoded->scm_reply.remoteReply || !decoded->props_out.phresults || !decoded->props_out.ppIntfData) {
    return Fail(ErrorKind::kMalformed, "a successful activation without results");
  }
  answer.results = unsigned_results(*decoded->props_out.phresults);
  for (auto& pointer : *decoded->props_out.ppIntfData) answer.pointers.push_back(OctetsOf(pointer));
  const auto& scm = *decoded->scm_reply.remoteReply;
  auto described =
      describe(scm.Oxid, scm.pdsaOxidBindings, scm.ipidRemUnknown, scm.authnHint, scm.serverVersion);
  if (!described) return tl::unexpected(described.error());
  return answer;
}

Result<ObjectRef> Client::Unmarshal(std::span<const std::byte> octets, const Guid& iid,
                                    const CallOptions& options, CallbackPolicy policy) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  auto objref = DecodeObjref(octets);
  if (!objref) return tl::unexpected(objref.error());
  const STDOBJREF* std = objref->Standard();
  if (std == nullptr)
    return Fail(ErrorKind::kUnsupported, "a custom-marshaled reference", RPC_E_INVALID_OBJREF);
  if (local_ != nullptr && std->oxid == local_->oxid()) return UnmarshalLocal(*std, objref->iid, iid);
  if (policy == CallbackPolicy::kEager) return UnmarshalRemote(*objref, iid, options);
  auto record = std::make_shared<InterfaceRecord>();
  record->client = weak_from_this();
  record->iid = iid.IsNull() ? objref->iid : iid;
  record->std = *std;
  record->unresolved = std::move(*objref);
  return ObjectRef(std::move(record));
}

Result<ObjectRef> Client::UnmarshalLocal(const STDOBJREF& std, const Guid& objref_iid, const Guid& iid) {
  ObjectTable& table = local_->table();
  auto record = std::make_shared<InterfaceRecord>();
  record->local = true;
  if (iid.IsNull() || iid == objref_iid) {
    if (!table.References(std.ipid)) return FailStatus("a reference to a local object", RPC_E_DISCONNECTED);
    record->iid = objref_iid;
    record->std = std;
  } else {
    auto reference = table.QueryInterface(std.ipid, iid, 1, Now());
    if (!reference) return FailStatus("QueryInterface for " + iid.ToString(), reference.error());
    record->iid = iid;
    record->std = *reference;
    if (std.cPublicRefs != 0) table.Release(std.ipid, std.cPublicRefs, 0, {}, Now());
  }
  record->client = weak_from_this();
  return ObjectRef(std::move(record));
}

Result<ObjectRef> Client::UnmarshalRemote(const OBJREF& objref, const Guid& iid, const CallOptions& options) {
  const STDOBJREF& std = *objref.Standard();
  const std::string identity = IdentityOf(options_.credentials);
  auto exporter = KnownExporter(std.oxid, identity);
  if (!exporter) {
    Error last{ErrorKind::kUnavailable, RPC_S_SERVER_UNAVAILABLE, "the reference names no TCP address"};
    for (const rpc::Endpoint& endpoint : EndpointsOf(*objref.ResolverAddress())) {
      auto alive = AskAlive(endpoint);
      if (!alive) {
        last = std::move(alive.error());
        continue;
      }
      // A resolver that announces no security provider is called without.
      const bool secure = !alive->bindings || !alive->bindings->security_bindings.empty();
      const auto resolver = ResolverFor({endpoint}, secure ? options_.credentials : std::nullopt);
      COMVERSION version = options_.version;
      version.MinorVersion = std::min(version.MinorVersion, alive->version.MinorVersion);
      auto description = resolver->Resolve(std.oxid, version);
      if (!description) {
        last = std::move(description.error());
        break;
      }
      exporter = Remember(std::move(*description), identity, resolver);
      break;
    }
    if (!exporter) {
      last.message = fmt::format("resolving OXID {:016x}: {}", std.oxid, last.message);
      return tl::unexpected(std::move(last));
    }
  }
  auto reference = Adopt(exporter, std, objref.iid, options);
  if (!reference || iid.IsNull() || iid == objref.iid) return reference;
  return QueryInterface(reference->record_, iid, options);
}

Result<std::shared_ptr<InterfaceRecord>> Client::Resolved(const std::shared_ptr<InterfaceRecord>& record,
                                                          const CallOptions& options) {
  const std::lock_guard resolving(record->resolving);
  if (!record->unresolved) return record;
  if (record->target) return record->target;
  auto reference = UnmarshalRemote(*record->unresolved, record->iid, options);
  if (!reference) return tl::unexpected(reference.error());
  record->target = reference->record_;
  return record->target;
}

}  // namespace dmrp::dcom
