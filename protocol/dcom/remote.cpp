#include "protocol/dcom/remote.hpp"

#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/orpc.hpp"
#include "protocol/dcom/status.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::dcom {

Result<std::shared_ptr<rpc::ClientConnection>> Connector::Connect(
    const rpc::Endpoint& peer, rpc::Security security, std::optional<std::chrono::milliseconds> timeout) {
  rpc::ConnectOptions connect;
  connect.security = std::move(security);
  connect.connect_timeout = std::min(options_.connect_timeout, timeout.value_or(options_.connect_timeout));
  connect.call_timeout = options_.call_timeout;
  connect.local_address = options_.local_address;
  connect.frame_observer = options_.frame_observer;
  auto connection = rpc::ClientConnection::Connect(pool_, peer, std::move(connect));
  if (!connection) return connection;
  const std::lock_guard lock(mutex_);
  if (closed_) {
    (*connection)->Close();
    return Fail(ErrorKind::kUnavailable, "the runtime has stopped");
  }
  std::erase_if(connections_, [](const auto& known) { return known.expired(); });
  connections_.push_back(*connection);
  return connection;
}

void Connector::CloseAll() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& known : connections_) {
    if (const auto connection = known.lock()) connection->Close();
  }
}

rpc::Security Connector::SecurityFor(const std::optional<rpc::Credentials>& credentials,
                                     const std::vector<SecurityBinding>& supported, rpc::AuthLevel level,
                                     const std::string& host) const {
  const auto supports = [&](rpc::AuthType type) {
    return std::ranges::find(supported, static_cast<std::uint16_t>(type), &SecurityBinding::wAuthnSvc) !=
           supported.end();
  };
  rpc::Security security = SecurityFor(credentials, level, host);
  if (security.type == rpc::AuthType::kNone || supports(security.type)) return security;
  for (const rpc::AuthType other : {rpc::AuthType::kNtlm, rpc::AuthType::kSpnego}) {
    if (supports(other)) {
      security.type = other;
      return security;
    }
  }
  return {};
}

rpc::Security Connector::SecurityFor(const std::optional<rpc::Credentials>& credentials, rpc::AuthLevel level,
                                     const std::string& host) const {
  if (!credentials || options_.auth_type == rpc::AuthType::kNone || level == rpc::AuthLevel::kNone) return {};
  return {.type = options_.auth_type,
          .level = level,
          .credentials = *credentials,
          .target_name = "RPCSS/" + host,
          .header_signing = true};
}

Result<std::shared_ptr<rpc::ClientConnection>> RemoteExporter::Connection(
    std::optional<rpc::AuthLevel> level, std::optional<std::chrono::milliseconds> timeout) {
  const rpc::AuthLevel wanted =
      level.value_or(std::max(connector_.options().auth_level, description_.authn_hint));
  const std::lock_guard lock(mutex_);
  auto& connection = connections_[wanted];
  if (connection && connection->IsOpen()) return connection;
  connection.reset();
  Error last{ErrorKind::kUnavailable, RPC_S_SERVER_UNAVAILABLE,
             fmt::format("exporter {:016x} announced no TCP address", description_.oxid)};
  for (const StringBinding& binding : description_.bindings.string_bindings) {
    if (binding.wTowerId != kTowerTcp) continue;
    const auto address = binding.Split();
    if (!address) continue;
    constexpr std::uint16_t kMapperPort = 135;
    const rpc::Endpoint peer{address->host, address->port == 0 ? kMapperPort : address->port};
    auto made =
        connector_.Connect(peer,
                           connector_.SecurityFor(description_.credentials,
                                                  description_.bindings.security_bindings, wanted, peer.host),
                           timeout);
    if (made) {
      unreachable_ = false;
      connection = *made;
      return connection;
    }
    last = std::move(made.error());
  }
  unreachable_ = true;
  return tl::unexpected(std::move(last));
}

void RemoteExporter::Disconnect() {
  const std::lock_guard lock(mutex_);
  connections_.clear();
}

bool RemoteExporter::MayBeReached() const {
  const std::lock_guard lock(mutex_);
  if (unreachable_) return false;
  const auto is_open = [](const auto& item) { return item.second && item.second->IsOpen(); };
  return connections_.empty() || std::ranges::any_of(connections_, is_open);
}

Result<Bytes> RemoteExporter::Call(const Guid& iid, const Guid& ipid, std::uint16_t opnum,
                                   std::span<const std::byte> stub, const CallOptions& options) {
  auto connection = Connection(options.auth_level, options.timeout);
  if (!connection) return tl::unexpected(connection.error());
  const wire::ORPCTHIS header{.version = description_.version,
                              .flags = 0,
                              .reserved1 = 0,
                              .cid = options.causality_id ? *options.causality_id : Guid::Random(),
                              .extensions = {}};
  auto request = PrependHeader(header, stub);
  if (!request) return tl::unexpected(request.error());
  rpc::CallOptions rpc_options;
  rpc_options.timeout = options.timeout;
  rpc_options.cancel = options.cancel;
  auto reply = (*connection)->Call(SyntaxOf(iid), opnum, std::move(*request), ipid, rpc_options);
  if (!reply) {
    Error error = std::move(reply.error());
    if (error.kind == ErrorKind::kFault) {
      return FailStatus(fmt::format("operation {} of interface {}", opnum, iid.ToString()), error.status);
    }
    return tl::unexpected(std::move(error));
  }
  wire::ORPCTHAT that;
  auto parameters = StripHeader(*reply, that);
  if (!parameters) return tl::unexpected(parameters.error());
  return Bytes(parameters->begin(), parameters->end());
}

}  // namespace dmrp::dcom
