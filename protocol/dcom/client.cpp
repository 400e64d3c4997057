#include "protocol/dcom/client.hpp"

#include "dmrp/dcom_interfaces/proxy.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/orpc.hpp"
#include "protocol/dcom/resolver_calls.hpp"
#include "protocol/dcom/status.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

/// References asked for at once, so that handing one on needs no call.
constexpr std::uint32_t kRefsPerQuery = 5;
/// What giving references back to a peer that hangs may cost.
constexpr std::chrono::milliseconds kReleaseTimeout{2000};
constexpr std::size_t kMaxReleasesPerCall = 0x7FFF;

ndr::Invoker RemUnknownInvoker(RemoteExporter& exporter, const CallOptions& options) {
  return [&exporter, options](std::uint16_t opnum, Bytes stub) {
    return exporter.Call(wire::IID_IRemUnknown, exporter.description().rem_unknown_ipid, opnum, stub,
                         options);
  };
}

}  // namespace

std::string Client::IdentityOf(const std::optional<rpc::Credentials>& credentials) {
  if (!credentials) return "-";
  if (credentials->anonymous) return "anonymous";
  return fmt::format("{}\\{}:{}", credentials->domain, credentials->user,
                     std::hash<std::string>{}(credentials->password));
}

InterfaceRecord::~InterfaceRecord() {
  if (const auto owner = client.lock()) owner->Drop(*this);
}

Client::Client(rpc::IoPool& pool, const Options& options, Runtime& runtime, Exporter* local)
    : pool_(pool), options_(options), runtime_(runtime), local_(local), connector_(pool, options) {}

Client::Admission::Admission(Client& client) : client_(client) {
  const std::lock_guard lock(client_.mutex_);
  admitted_ = !client_.stopping_;
  if (admitted_) ++client_.operations_;
}

Client::Admission::~Admission() {
  if (!admitted_) return;
  const std::lock_guard lock(client_.mutex_);
  if (--client_.operations_ == 0) client_.idle_.notify_all();
}

tl::unexpected<Error> Client::Stopped() { return Fail(ErrorKind::kUnavailable, "the runtime has stopped"); }

std::shared_ptr<RemoteExporter> Client::KnownExporter(std::uint64_t oxid, const std::string& identity) {
  const std::lock_guard lock(mutex_);
  const auto found = exporters_.find({oxid, identity});
  return found == exporters_.end() ? nullptr : found->second.lock();
}

std::shared_ptr<RemoteExporter> Client::Remember(RemoteExporter::Description description,
                                                 const std::string& identity,
                                                 std::shared_ptr<RemoteResolver> resolver) {
  const std::lock_guard lock(mutex_);
  std::erase_if(exporters_, [](const auto& item) { return item.second.expired(); });
  auto& slot = exporters_[{description.oxid, identity}];
  auto exporter = slot.lock();
  if (!exporter) {
    exporter = std::make_shared<RemoteExporter>(connector_, std::move(description), std::move(resolver));
    slot = exporter;
  }
  return exporter;
}

std::shared_ptr<RemoteResolver> Client::ResolverFor(std::vector<rpc::Endpoint> endpoints,
                                                    const std::optional<rpc::Credentials>& credentials) {
  std::string key = IdentityOf(credentials);
  for (const rpc::Endpoint& endpoint : endpoints) key += " " + endpoint.ToString();
  const TimePoint now = Now();
  const std::lock_guard lock(mutex_);
  auto& slot = resolvers_[key];
  if (!slot) slot = std::make_shared<RemoteResolver>(connector_, std::move(endpoints), credentials, now);
  return slot;
}

Result<ObjectRef> Client::Adopt(const std::shared_ptr<RemoteExporter>& exporter, const STDOBJREF& std,
                                const Guid& iid, const CallOptions& options) {
  STDOBJREF reference = std;
  if (reference.cPublicRefs == 0) {
    // A reference that came without any has to be added to before it is used (3.2.4.1.2).
    const wire::IRemUnknownProxy rem_unknown(RemUnknownInvoker(*exporter, options));
    auto added = rem_unknown.RemAddRef({{{reference.ipid, kRefsPerQuery, 0}}});
    if (!added) return tl::unexpected(added.error());
    const auto status =
        static_cast<std::uint32_t>(added->pResults.empty() ? added->result : added->pResults.front());
    if (status != S_OK) return FailStatus("RemAddRef", status);
    reference.cPublicRefs = kRefsPerQuery;
  }
  auto record = std::make_shared<InterfaceRecord>();
  record->iid = iid;
  record->std = reference;
  record->exporter = exporter;
  const auto& resolver = exporter->resolver();
  const bool pinged = (reference.flags & SORF_NOPING) == 0 && resolver != nullptr;
  {
    const std::lock_guard lock(mutex_);
    auto& slot = exporter->records[reference.ipid];
    if (const auto known = slot.lock()) {
      const std::lock_guard record_lock(known->mutex);
      known->std.cPublicRefs += reference.cPublicRefs;
      return ObjectRef(known);
    }
    slot = record;
    ++held_interfaces_;
    if (pinged) {
      record->resolver = resolver;
      resolver->Hold(reference.oid);
    }
    record->client = weak_from_this();
  }
  if (on_new_work) on_new_work();
  return ObjectRef(std::move(record));
}

void Client::Drop(InterfaceRecord& record) {
  if (record.local) {
    if (local_ != nullptr) {
      local_->table().Release(record.std.ipid, record.std.cPublicRefs, 0, {}, Now());
    }
    return;
  }
  if (record.resolver) record.resolver->Drop(record.std.oid);
  if (!record.exporter) return;
  {
    const std::lock_guard lock(mutex_);
    --held_interfaces_;
    const auto slot = record.exporter->records.find(record.std.ipid);
    if (slot != record.exporter->records.end() && slot->second.expired())
      record.exporter->records.erase(slot);
  }
  QueueRelease(record.exporter, record.std.ipid, record.std.cPublicRefs);
}

void Client::QueueRelease(std::shared_ptr<RemoteExporter> exporter, const Guid& ipid,
                          std::uint32_t public_refs) {
  if (public_refs == 0) return;
  const TimePoint due = Now() + options_.timers.release_delay;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    auto [slot, fresh] = releases_.try_emplace(std::move(exporter));
    if (fresh) slot->second.due = due;
    slot->second.references.push_back({ipid, public_refs, 0});
  }
  if (on_new_work) on_new_work();
}

void Client::FlushReleases(bool everything, TimePoint now) {
  std::vector<std::pair<std::shared_ptr<RemoteExporter>, Releases>> due;
  {
    const std::lock_guard lock(mutex_);
    for (auto item = releases_.begin(); item != releases_.end();) {
      if (everything || item->second.due <= now) {
        due.emplace_back(item->first, std::move(item->second));
        item = releases_.erase(item);
      } else {
        ++item;
      }
    }
  }
  for (auto& [exporter, releases] : due) {
    // Nobody waits for the answer, and a peer that went away has nothing to be given back.
    if (!exporter->MayBeReached()) continue;
    CallOptions options;
    options.timeout = kReleaseTimeout;
    const wire::IRemUnknownProxy rem_unknown(RemUnknownInvoker(*exporter, options));
    for (std::size_t i = 0; i < releases.references.size(); i += kMaxReleasesPerCall) {
      const auto begin = releases.references.begin() + static_cast<std::ptrdiff_t>(i);
      const auto count = std::min(kMaxReleasesPerCall, releases.references.size() - i);
      (void)rem_unknown.RemRelease({{begin, begin + static_cast<std::ptrdiff_t>(count)}});
    }
  }
}

void Client::Work(TimePoint now) {
  const Admission admission(*this);
  if (!admission) return;
  FlushReleases(false, now);
  std::vector<std::shared_ptr<RemoteResolver>> resolvers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, resolver] : resolvers_) resolvers.push_back(resolver);
  }
  for (const auto& resolver : resolvers) resolver->PingIfDue(now, options_.timers.ping_period);
}

TimePoint Client::NextWork() const {
  const std::lock_guard lock(mutex_);
  TimePoint next = TimePoint::max();
  for (const auto& [exporter, releases] : releases_) next = std::min(next, releases.due);
  for (const auto& [key, resolver] : resolvers_)
    next = std::min(next, resolver->Due(options_.timers.ping_period));
  return next;
}

void Client::Stop(bool give_back) {
  std::vector<std::pair<std::shared_ptr<RemoteExporter>, wire::REMINTERFACEREF>> held;
  // A record must not die under the lock, as its end takes it.
  std::vector<std::shared_ptr<InterfaceRecord>> records;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    if (!give_back) {
      stopping_ = true;
      releases_.clear();
    }
    for (const auto& [key, weak] : exporters_) {
      const auto exporter = weak.lock();
      if (!exporter) continue;
      for (const auto& [ipid, weak_record] : exporter->records) {
        const auto& record = records.emplace_back(weak_record.lock());
        if (!record) continue;
        const std::lock_guard record_lock(record->mutex);
        held.push_back({exporter, {ipid, std::exchange(record->std.cPublicRefs, 0), 0}});
      }
    }
  }
  for (const auto& [exporter, reference] : held)
    QueueRelease(exporter, reference.ipid, reference.cPublicRefs);
  FlushReleases(true, Now());
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  connector_.CloseAll();
  std::vector<std::shared_ptr<RemoteExporter>> exporters;
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return operations_ == 0; });
  releases_.clear();
  // References may outlive the runtime, and what they refer to with them; the connections must not.
  for (const auto& [key, weak] : exporters_) {
    if (auto& exporter = exporters.emplace_back(weak.lock())) exporter->Disconnect();
  }
  for (const auto& [key, resolver] : resolvers_) resolver->Disconnect();
  resolvers_.clear();
}

void Client::Count(Statistics& statistics) const {
  const std::lock_guard lock(mutex_);
  statistics.held_interfaces = held_interfaces_;
  for (const auto& [key, resolver] : resolvers_) {
    statistics.pinged_objects += resolver->held();
    statistics.pings_sent += resolver->pings_sent();
  }
}

Result<ObjectRef> Client::QueryInterface(const std::shared_ptr<InterfaceRecord>& reference, const Guid& iid,
                                         const CallOptions& options) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  const auto record = Resolved(reference, options);
  if (!record) return tl::unexpected(record.error());
  if ((*record)->iid == iid) return ObjectRef(*record);
  STDOBJREF std;
  {
    const std::lock_guard lock((*record)->mutex);
    std = (*record)->std;
  }
  if ((*record)->local) {
    std.cPublicRefs = 0;  // they stay with the reference asked
    return UnmarshalLocal(std, Guid{}, iid);
  }
  const std::shared_ptr<RemoteExporter> exporter = (*record)->exporter;
  std::vector<std::shared_ptr<InterfaceRecord>> known;  // not to die under the lock, as their end takes it
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [ipid, weak] : exporter->records) known.push_back(weak.lock());
  }
  for (const auto& other : known) {
    if (other && other->iid == iid && other->std.oid == std.oid) return ObjectRef(other);
  }
  const wire::IRemUnknownProxy rem_unknown(RemUnknownInvoker(*exporter, options));
  auto reply = rem_unknown.RemQueryInterface({std.ipid, kRefsPerQuery, {iid}});
  if (!reply) return tl::unexpected(reply.error());
  const std::string operation = "RemQueryInterface for " + iid.ToString();
  if (reply->ppQIResults.empty()) return FailStatus(operation, static_cast<std::uint32_t>(reply->result));
  const wire::REMQIRESULT& result = reply->ppQIResults.front();
  if (result.hResult < 0) return FailStatus(operation, static_cast<std::uint32_t>(result.hResult));
  return Adopt(exporter, result.std, iid, options);
}

Result<Bytes> Client::Call(const std::shared_ptr<InterfaceRecord>& reference, std::uint16_t opnum, Bytes stub,
                           const CallOptions& options) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  const auto record = Resolved(reference, options);
  if (!record) return tl::unexpected(record.error());
  const InterfaceRecord& target = **record;
  if (target.local) return CallLocal(target.std, target.iid, opnum, stub, options);
  return target.exporter->Call(target.iid, target.std.ipid, opnum, stub, options);
}

Result<Bytes> Client::CallRaw(const std::shared_ptr<InterfaceRecord>& reference, const RawCall& call) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  const auto record = Resolved(reference, {});
  if (!record) return tl::unexpected(record.error());
  auto connection = ConnectionOf(*record, call.auth_level);
  if (!connection) return tl::unexpected(connection.error());
  const Guid iid = call.iid.value_or((*record)->iid);
  const Guid ipid = call.ipid.value_or((*record)->std.ipid);
  Bytes stub;
  if (call.send_orpcthis) {
    ndr::Writer writer;
    Encode(writer, call.version);
    writer.Put(call.flags);
    writer.Put(call.reserved1);
    writer.Put(call.causality_id ? *call.causality_id : Guid::Random());
    writer.PutReferent(call.extensions.has_value());
    if (call.extensions) writer.PutBytes(*call.extensions);
    writer.PutBytes(call.stub);
    auto built = std::move(writer).Take();
    if (!built) return built;
    stub = std::move(*built);
  } else {
    stub = call.stub;
  }
  auto reply = (*connection)
                   ->Call(SyntaxOf(iid), call.opnum, std::move(stub),
                          call.send_object_uuid ? std::optional(ipid) : std::nullopt, call.rpc);
  if (!reply && reply.error().kind == ErrorKind::kFault) return FailStatus("raw call", reply.error().status);
  return reply;
}

Result<void> Client::AddRef(const std::shared_ptr<InterfaceRecord>& reference, std::uint32_t public_refs) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  const auto resolved = Resolved(reference, {});
  if (!resolved) return tl::unexpected(resolved.error());
  InterfaceRecord& record = **resolved;
  const Guid ipid = record.std.ipid;
  const auto& exporter = record.exporter;
  std::uint32_t status = S_OK;
  if (exporter) {
    auto reply =
        wire::IRemUnknownProxy(RemUnknownInvoker(*exporter, {})).RemAddRef({{{ipid, public_refs, 0}}});
    if (!reply) return tl::unexpected(reply.error());
    status = static_cast<std::uint32_t>(reply->pResults.empty() ? reply->result : reply->pResults.front());
  } else {
    status = local_->table().AddRef(ipid, public_refs, 0, {}, Now());
  }
  if (status != S_OK) return FailStatus("RemAddRef", status);
  const std::lock_guard lock(record.mutex);
  record.std.cPublicRefs += public_refs;
  return {};
}

Result<void> Client::ReleaseRefs(const std::shared_ptr<InterfaceRecord>& reference, std::uint32_t public_refs,
                                 std::uint32_t private_refs) {
  const Admission admission(*this);
  if (!admission) return Stopped();
  const auto resolved = Resolved(reference, {});
  if (!resolved) return tl::unexpected(resolved.error());
  InterfaceRecord& record = **resolved;
  const Guid ipid = record.std.ipid;
  const auto& exporter = record.exporter;
  {
    const std::lock_guard lock(record.mutex);
    record.std.cPublicRefs -= std::min(record.std.cPublicRefs, public_refs);
  }
  if (!exporter) {
    local_->table().Release(ipid, public_refs, private_refs, {}, Now());
    return {};
  }
  auto reply = wire::IRemUnknownProxy(RemUnknownInvoker(*exporter, {}))
                   .RemRelease({{{ipid, public_refs, private_refs}}});
  if (!reply) return tl::unexpected(reply.error());
  if (reply->result != 0) return FailStatus("RemRelease", static_cast<std::uint32_t>(reply->result));
  return {};
}

Result<std::shared_ptr<rpc::ClientConnection>> Client::ConnectionOf(
    const std::shared_ptr<InterfaceRecord>& reference, std::optional<rpc::AuthLevel> level) {
  const auto record = Resolved(reference, {});
  if (!record) return tl::unexpected(record.error());
  if (!(*record)->exporter) {
    return Fail(ErrorKind::kUsage, "a reference to an object of this process has no connection");
  }
  return (*record)->exporter->Connection(level);
}

Result<Bytes> Client::CallLocal(const STDOBJREF& std, const Guid& iid, std::uint16_t opnum, const Bytes& stub,
                                const CallOptions& options) {
  if (local_ == nullptr) return FailStatus("call of a local object", RPC_E_DISCONNECTED);
  const auto lease = local_->table().BeginCall(std.ipid, Now());
  if (!lease) return FailStatus("call of a local object", RPC_E_DISCONNECTED);
  CallContext context;
  context.interface = SyntaxOf(iid);
  context.opnum = opnum;
  context.object = std.ipid;
  context.auth_level = rpc::AuthLevel::kPrivacy;
  context.anonymous = !options_.credentials;
  if (options_.credentials) {
    context.user = options_.credentials->user;
    context.domain = options_.credentials->domain;
  }
  context.cancelled = options.cancel;
  context.causality_id = options.causality_id ? *options.causality_id : Guid::Random();
  context.iid = iid;
  context.ipid = std.ipid;
  context.oid = std.oid;
  context.runtime = &runtime_;
  auto reply = lease->dispatch()(context, opnum, stub);
  if (!reply)
    return FailStatus(fmt::format("operation {} of interface {}", opnum, iid.ToString()), reply.error());
  return std::move(*reply);
}

}  // namespace dmrp::dcom
