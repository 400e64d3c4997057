#include "protocol/dcom/pinger.hpp"

#include "dmrp/dcom_interfaces/proxy.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/resolver_calls.hpp"
#include "protocol/dcom/status.hpp"

#include <algorithm>
#include <iterator>

namespace dmrp::dcom {
namespace {

/// Objects named in one ping at most, far below what 16 bits count.
constexpr std::size_t kMaxOidsPerPing = 8192;
/// What a dead peer may cost.
constexpr std::chrono::milliseconds kPingTimeout{5000};

}  // namespace

void RemoteResolver::Hold(std::uint64_t oid) {
  const std::lock_guard lock(mutex_);
  ++oids_[oid];
}

void RemoteResolver::Drop(std::uint64_t oid) {
  const std::lock_guard lock(mutex_);
  const auto found = oids_.find(oid);
  if (found != oids_.end() && --found->second == 0) oids_.erase(found);
}

void RemoteResolver::Disconnect() {
  const std::lock_guard lock(mutex_);
  connection_.reset();
}

std::size_t RemoteResolver::held() const {
  const std::lock_guard lock(mutex_);
  return oids_.size();
}

TimePoint RemoteResolver::Due(std::chrono::seconds period) const {
  const std::lock_guard lock(mutex_);
  return last_ping_ + period;
}

void RemoteResolver::PingIfDue(TimePoint now, std::chrono::seconds period) {
  const std::lock_guard ping_lock(ping_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (now - last_ping_ < period) return;
    last_ping_ = now;
    if (oids_.empty() && in_set_.empty()) return;
  }
  const auto status = Ping();
  // The server restarted or dropped the set: start over with everything.
  if (status && *status == OR_INVALID_SET) {
    {
      const std::lock_guard lock(mutex_);
      setid_ = 0;
      sequence_ = 0;
      in_set_.clear();
      if (oids_.empty()) return;
    }
    (void)Ping();
  }
}

Result<std::uint32_t> RemoteResolver::Ping() {
  wire::ComplexPingRequest request;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [oid, references] : oids_) {
      if (request.AddToSet.size() < kMaxOidsPerPing && !in_set_.contains(oid))
        request.AddToSet.push_back(oid);
    }
    for (const std::uint64_t oid : in_set_) {
      if (request.DelFromSet.size() < kMaxOidsPerPing && !oids_.contains(oid))
        request.DelFromSet.push_back(oid);
    }
    request.pSetId = setid_;
    request.SequenceNum = static_cast<std::uint16_t>(sequence_ + 1);
  }
  auto connection = Connection();
  if (!connection) return tl::unexpected(connection.error());
  ++pings_sent_;
  const wire::IObjectExporterProxy resolver(PlainInvoker(*connection, wire::kIObjectExporter, kPingTimeout));
  if (request.pSetId != 0 && request.AddToSet.empty() && request.DelFromSet.empty()) {
    auto reply = resolver.SimplePing({request.pSetId});
    if (!reply) return tl::unexpected(reply.error());
    return reply->result;
  }
  auto reply = resolver.ComplexPing(request);
  if (!reply) return tl::unexpected(reply.error());
  // OR_INVALID_OID: some of the objects are gone; the rest was added, and their calls will tell.
  if (reply->result == ERROR_SUCCESS || reply->result == OR_INVALID_OID) {
    const std::lock_guard lock(mutex_);
    setid_ = reply->pSetId;
    sequence_ = request.SequenceNum;
    in_set_.insert(request.AddToSet.begin(), request.AddToSet.end());
    for (const std::uint64_t oid : request.DelFromSet) in_set_.erase(oid);
  }
  return reply->result;
}

Result<std::shared_ptr<rpc::ClientConnection>> RemoteResolver::Connection() {
  {
    const std::lock_guard lock(mutex_);
    if (connection_ && connection_->IsOpen()) return connection_;
    connection_.reset();
  }
  const rpc::AuthLevel level = std::max(connector_.options().auth_level, rpc::AuthLevel::kIntegrity);
  Error last{ErrorKind::kUnavailable, RPC_S_SERVER_UNAVAILABLE,
             "the reference names no TCP address of a resolver"};
  for (const rpc::Endpoint& endpoint : endpoints_) {
    auto made = connector_.Connect(endpoint, connector_.SecurityFor(credentials_, level, endpoint.host),
                                   kPingTimeout);
    if (made) {
      const std::lock_guard lock(mutex_);
      connection_ = *made;
      return connection_;
    }
    last = std::move(made.error());
  }
  return tl::unexpected(std::move(last));
}

Result<RemoteExporter::Description> RemoteResolver::Resolve(std::uint64_t oxid, const COMVERSION& version) {
  auto connection = Connection();
  if (!connection) return tl::unexpected(connection.error());
  const wire::IObjectExporterProxy resolver(PlainInvoker(*connection, wire::kIObjectExporter, std::nullopt));
  std::optional<wire::DUALSTRINGARRAY> bindings;
  RemoteExporter::Description description;
  description.oxid = oxid;
  description.version = version;
  description.credentials = credentials_;
  std::uint32_t status = ERROR_SUCCESS;
  std::uint32_t hint = 0;
  auto reply = resolver.ResolveOxid2({oxid, {kTowerTcp}});
  if (reply) {
    status = reply->result;
    bindings = std::move(reply->ppdsaOxidBindings);
    description.rem_unknown_ipid = reply->pipidRemUnknown;
    hint = reply->pAuthnHint;
    description.version.MinorVersion = std::min(version.MinorVersion, reply->pComVersion.MinorVersion);
  } else if (reply.error().kind == ErrorKind::kFault && reply.error().status == nca_s_op_rng_error) {
    auto older = resolver.ResolveOxid({oxid, {kTowerTcp}});
    if (!older) return tl::unexpected(older.error());
    status = older->result;
    bindings = std::move(older->ppdsaOxidBindings);
    description.rem_unknown_ipid = older->pipidRemUnknown;
    hint = older->pAuthnHint;
    description.version.MinorVersion = 1;
  } else {
    return tl::unexpected(reply.error());
  }
  if (status != ERROR_SUCCESS) return FailStatus("ResolveOxid2", status);
  if (!bindings) return Fail(ErrorKind::kMalformed, "ResolveOxid2 succeeded without bindings");
  auto parsed = DualStringArray::FromWire(*bindings);
  if (!parsed) return tl::unexpected(parsed.error());
  description.bindings = std::move(*parsed);
  description.authn_hint = HintToLevel(hint);
  return description;
}

}  // namespace dmrp::dcom
