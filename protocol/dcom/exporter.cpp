#include "protocol/dcom/exporter.hpp"

#include "dmrp/dcom_interfaces/skeleton.hpp"
#include "protocol/dcom/exporter_services.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/orpc.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/rpc/endpoint_mapper.hpp"

#include <algorithm>
#include <utility>

namespace dmrp::dcom {

Exporter::Exporter(const Options& options, Runtime& runtime)
    : options_(options),
      runtime_(runtime),
      oxid_(RandomId()),
      rem_unknown_ipid_(Guid::Random()),
      table_(oxid_, options.limits),
      lowest_call_level_(options.minimum_call_level),
      lowest_activation_level_(options.minimum_activation_level),
      resolver_service_(std::make_unique<ResolverService>(*this)),
      activation_service_(std::make_unique<ActivationService>(*this)),
      rem_unknown_service_(std::make_unique<RemUnknownService>(*this)) {}

Exporter::~Exporter() { Stop(); }

Result<std::unique_ptr<Exporter>> Exporter::Start(rpc::IoPool& pool, const Options& options,
                                                  Runtime& runtime) {
  std::unique_ptr<Exporter> exporter(new Exporter(options, runtime));
  if (auto listening = exporter->Listen(pool); !listening) return tl::unexpected(listening.error());
  return exporter;
}

Result<void> Exporter::Listen(rpc::IoPool& pool) {
  rpc::ServerOptions server_options;
  server_options.accounts = options_.accounts;
  server_options.allow_anonymous = options_.allow_anonymous;
  server_options.netbios_computer = options_.computer_name;
  server_options.netbios_domain = options_.domain_name;
  server_options.limits = options_.rpc_limits;
  server_options.frame_observer = options_.frame_observer;
  resolver_server_ = std::make_unique<rpc::Server>(pool, server_options);
  object_server_ = std::make_unique<rpc::Server>(pool, server_options);

  // The object listener comes first: its port stands in what the resolver answers.
  object_server_->SetResolver([this](const rpc::SyntaxId& syntax) -> std::optional<rpc::Interface> {
    if (syntax.major != 0 || syntax.minor != 0) return std::nullopt;
    if (syntax.uuid != wire::IID_IRemUnknown && syntax.uuid != wire::IID_IRemUnknown2 &&
        !table_.KnowsInterface(syntax.uuid)) {
      return std::nullopt;
    }
    return rpc::Interface{
        .handler = [this](const rpc::CallContext& call, Bytes stub) { return ServeOrpc(call, stub); }};
  });
  auto exporter = object_server_->Listen({options_.listen_address, options_.exporter_port});
  if (!exporter) return tl::unexpected(exporter.error());
  exporter_endpoint_ = *exporter;

  const auto set_addresses = [&](std::uint16_t resolver_port) {
    const std::lock_guard lock(mutex_);
    addresses_ = std::make_shared<const Addresses>(options_, resolver_port, exporter_endpoint_.port);
  };
  set_addresses(options_.resolver_port.value_or(0));

  const auto serve = [this](auto& service, auto dispatch) {
    return [this, &service, dispatch](const rpc::CallContext& call, Bytes stub) {
      CallContext context = MakeContext(call);
      return dispatch(service, context, call.opnum, std::span<const std::byte>(stub),
                      ndr::ByteOrder::kLittle);
    };
  };
  resolver_server_->Register(
      SyntaxOf(wire::kIObjectExporter),
      {.handler = serve(*resolver_service_, wire::DispatchIObjectExporter),
       .access_check = [this](const rpc::CallContext& call) -> std::uint32_t {
         const bool open = call.opnum == wire::opnum::IObjectExporter::ServerAlive ||
                           call.opnum == wire::opnum::IObjectExporter::ServerAlive2;
         return open || call.auth_level >= options_.minimum_resolver_level ? 0 : ERROR_ACCESS_DENIED;
       }});
  const auto may_activate = [this](const rpc::CallContext& call) -> std::uint32_t {
    if (call.auth_level < LowestActivationLevel()) return ERROR_ACCESS_DENIED;
    return options_.access_check ? options_.access_check(call) : 0;
  };
  resolver_server_->Register(
      SyntaxOf(wire::kIActivation),
      {.handler = serve(*activation_service_, wire::DispatchIActivation), .access_check = may_activate});
  resolver_server_->Register(SyntaxOf(wire::kIRemoteSCMActivator),
                             {.handler = serve(*activation_service_, wire::DispatchIRemoteSCMActivator),
                              .access_check = may_activate});
  auto map = std::make_shared<rpc::EndpointMap>();
  for (const rpc::SyntaxId& interface : options_.mapped_interfaces) {
    map->Add({.interface = interface, .port = exporter_endpoint_.port});
  }
  resolver_server_->Register(rpc::kEndpointMapper, rpc::MakeEndpointMapper(std::move(map)));
  auto resolver = resolver_server_->Listen({options_.listen_address, *options_.resolver_port});
  if (!resolver) return tl::unexpected(resolver.error());
  resolver_endpoint_ = *resolver;
  set_addresses(resolver->port);
  return {};
}

void Exporter::Stop() {
  // Calls in progress see their stop token and are waited for.
  constexpr std::chrono::milliseconds kStopTimeout{2000};
  if (resolver_server_) (void)resolver_server_->Stop(kStopTimeout);
  if (object_server_) (void)object_server_->Stop(kStopTimeout);
}

void Exporter::RegisterClass(const Guid& clsid, ClassFactory factory, ClassOptions options) {
  const std::lock_guard lock(mutex_);
  lowest_call_level_ =
      std::min(lowest_call_level_, options.minimum_call_level.value_or(options_.minimum_call_level));
  lowest_activation_level_ = std::min(
      lowest_activation_level_, options.minimum_activation_level.value_or(options_.minimum_activation_level));
  classes_.insert_or_assign(clsid, Class{std::move(factory), std::move(options)});
}

void Exporter::UnregisterClass(const Guid& clsid) {
  const std::lock_guard lock(mutex_);
  classes_.erase(clsid);
}

std::optional<Exporter::Class> Exporter::FindClass(const Guid& clsid) const {
  const std::lock_guard lock(mutex_);
  const auto found = classes_.find(clsid);
  if (found == classes_.end()) return std::nullopt;
  return found->second;
}

std::shared_ptr<const Addresses> Exporter::addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

rpc::AuthLevel Exporter::LowestCallLevel() const {
  const std::lock_guard lock(mutex_);
  return lowest_call_level_;
}

rpc::AuthLevel Exporter::LowestActivationLevel() const {
  const std::lock_guard lock(mutex_);
  return lowest_activation_level_;
}

rpc::AuthLevel Exporter::AuthnHint() const {
  return std::max(options_.auth_level, options_.minimum_call_level);
}

CallContext Exporter::MakeContext(const rpc::CallContext& call) {
  CallContext context;
  static_cast<rpc::CallContext&>(context) = call;
  context.runtime = &runtime_;
  return context;
}

Result<Bytes> Exporter::Export(const std::shared_ptr<Object>& object, const Guid& iid,
                               std::uint32_t public_refs, const ObjectTable::ObjectOptions& options,
                               const std::string& arrival) {
  if (options.minimum_call_level) {
    const std::lock_guard lock(mutex_);
    lowest_call_level_ = std::min(lowest_call_level_, *options.minimum_call_level);
  }
  auto reference = table_.Export(object, iid, public_refs, options, Now());
  if (!reference) return tl::unexpected(reference.error());
  return EncodeObjref(
      {.iid = iid,
       .u_objref = OBJREF_STANDARD{.std = *reference, .saResAddr = addresses()->Resolver(arrival)}});
}

DispatchResult Exporter::ServeOrpc(const rpc::CallContext& call, std::span<const std::byte> stub) {
  wire::ORPCTHIS header;
  const auto parameters = StripHeader(stub, header);
  if (!parameters) return tl::unexpected(RPC_X_BAD_STUB_DATA);
  const Guid& iid = call.interface.uuid;
  const bool rem_unknown = iid == wire::IID_IRemUnknown || iid == wire::IID_IRemUnknown2;
  const Guid ipid = call.object.value_or(Guid{});

  // The order of [MS-DCOM] 3.1.1.5.4. The interface is looked up first only for the level that its object
  // asks for.
  const auto lease = rem_unknown ? std::nullopt : table_.BeginCall(ipid, Now());
  if (!IsCompatible(options_.version, header.version)) return tl::unexpected(RPC_E_VERSION_MISMATCH);
  const rpc::AuthLevel needed =
      rem_unknown
          ? LowestCallLevel()
          : (lease ? lease->minimum_call_level() : std::nullopt).value_or(options_.minimum_call_level);
  if (call.auth_level < needed) return tl::unexpected(rem_unknown ? E_ACCESSDENIED : ERROR_ACCESS_DENIED);
  if (options_.access_check) {
    if (const std::uint32_t status = options_.access_check(call); status != 0) return tl::unexpected(status);
  }
  if (header.flags != 0) return tl::unexpected(RPC_E_INVALID_HEADER);

  CallContext context = MakeContext(call);
  context.causality_id = header.cid;
  context.client_version = header.version;
  context.iid = iid;
  context.ipid = ipid;
  DispatchResult reply;
  if (rem_unknown) {
    if (ipid != rem_unknown_ipid_) return tl::unexpected(RPC_E_DISCONNECTED);
    reply = iid == wire::IID_IRemUnknown2
                ? wire::DispatchIRemUnknown2(*rem_unknown_service_, context, call.opnum, *parameters)
                : wire::DispatchIRemUnknown(*rem_unknown_service_, context, call.opnum, *parameters);
  } else {
    if (!lease) return tl::unexpected(RPC_E_DISCONNECTED);
    if (lease->iid() != iid) return tl::unexpected(RPC_E_INVALID_IPID);
    context.oid = lease->oid();
    reply = lease->dispatch()(context, call.opnum, *parameters);
  }
  if (!reply) return reply;
  auto whole = PrependHeader(wire::ORPCTHAT{}, *reply);
  if (!whole) return tl::unexpected(E_FAIL);
  return std::move(*whole);
}

}  // namespace dmrp::dcom
