#include "protocol/dcom/object_table.hpp"

#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/status.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

/// Interfaces whose binding stays acceptable; a bound only against an owner that exports without end.
constexpr std::size_t kMaxKnownInterfaces = 65536;

std::uint32_t SaturatingAdd(std::uint32_t value, std::uint32_t more) {
  return value > std::numeric_limits<std::uint32_t>::max() - more ? std::numeric_limits<std::uint32_t>::max()
                                                                  : value + more;
}

std::uint32_t SaturatingSubtract(std::uint32_t value, std::uint32_t less) {
  return value > less ? value - less : 0;
}

}  // namespace

std::uint64_t RandomId() {
  std::uint64_t id = 0;
  while (id == 0) {
    const auto octets = Guid::Random().ToBytes();
    // The octets that carry a GUID's version and variant are left out.
    for (const std::size_t i : {0, 1, 2, 3, 4, 5, 10, 11}) {
      id = id << 8U | std::to_integer<std::uint64_t>(octets[i]);
    }
  }
  return id;
}

ObjectTable::Lease::~Lease() {
  dispatch_ = nullptr;
  if (table_ != nullptr) table_->EndCall(entry_);
}

std::uint64_t ObjectTable::Lease::oid() const { return entry_->oid; }

std::optional<rpc::AuthLevel> ObjectTable::Lease::minimum_call_level() const {
  return entry_->options.minimum_call_level;
}

Result<STDOBJREF> ObjectTable::Export(const std::shared_ptr<Object>& object, const Guid& iid,
                                      std::uint32_t public_refs, const ObjectOptions& options,
                                      TimePoint now) {
  if (!object) return Fail(ErrorKind::kUsage, "Export of no object");
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Entry> entry;
  const auto known = oids_.find(object.get());
  if (known != oids_.end()) {
    entry = objects_.at(known->second);
  } else {
    if (objects_.size() >= limits_.objects) {
      return Fail(ErrorKind::kLimit, fmt::format("{} objects are exported, the limit", objects_.size()));
    }
    entry = std::make_shared<Entry>();
    entry->oid = RandomId();
    entry->object = object;
    entry->options = options;
  }
  entry->last_use = now;
  auto reference = AddInterface(entry, iid, public_refs);
  if (reference && known == oids_.end()) {
    oids_.emplace(object.get(), entry->oid);
    objects_.emplace(entry->oid, entry);
  }
  return reference;
}

Result<STDOBJREF> ObjectTable::AddInterface(const std::shared_ptr<Entry>& entry, const Guid& iid,
                                            std::uint32_t refs) {
  auto known = entry->ipids.find(iid);
  if (known == entry->ipids.end()) {
    Dispatch dispatch;
    if (iid == IID_IUnknown) {
      dispatch = [](CallContext&, std::uint16_t, std::span<const std::byte>) -> DispatchResult {
        return tl::unexpected(nca_s_op_rng_error);  // its methods never travel
      };
    } else {
      dispatch = entry->object->QueryInterface(iid);
    }
    if (!dispatch) {
      return Fail(ErrorKind::kFault, fmt::format("the object has no interface {}", iid.ToString()),
                  E_NOINTERFACE);
    }
    if (entry->ipids.size() >= limits_.interfaces_per_object) {
      return Fail(ErrorKind::kLimit,
                  fmt::format("{} interfaces of one object are exported, the limit", entry->ipids.size()));
    }
    const Guid ipid = Guid::Random();
    known = entry->ipids.emplace(iid, ipid).first;
    interfaces_[ipid] = Interface{iid, entry, std::move(dispatch), 0, {}};
    if (known_iids_.size() < kMaxKnownInterfaces) known_iids_.insert(iid);
  }
  Interface& interface = interfaces_.at(known->second);
  interface.public_refs = SaturatingAdd(interface.public_refs, refs);
  return STDOBJREF{.flags = entry->options.no_ping ? SORF_NOPING : 0,
                   .cPublicRefs = refs,
                   .oxid = oxid_,
                   .oid = entry->oid,
                   .ipid = known->second};
}

std::shared_ptr<ObjectTable::Entry> ObjectTable::EntryOf(const Guid& ipid) const {
  const auto found = interfaces_.find(ipid);
  return found == interfaces_.end() ? nullptr : found->second.object.lock();
}

std::optional<ObjectTable::Lease> ObjectTable::BeginCall(const Guid& ipid, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto entry = EntryOf(ipid);
  if (!entry) return std::nullopt;
  const Interface& interface = interfaces_.at(ipid);
  ++entry->calls;
  entry->last_use = now;
  return Lease(this, entry, interface.dispatch, interface.iid);
}

void ObjectTable::EndCall(const std::shared_ptr<Entry>& entry) {
  Endings endings;
  {
    const std::lock_guard lock(mutex_);
    --entry->calls;
    if (entry->calls == 0 && entry->ended)
      endings.objects.emplace_back(std::move(entry->object), *entry->ended);
  }
  Announce(std::move(endings));
}

bool ObjectTable::KnowsInterface(const Guid& iid) const {
  const std::lock_guard lock(mutex_);
  return known_iids_.contains(iid);
}

tl::expected<STDOBJREF, std::uint32_t> ObjectTable::QueryInterface(const Guid& ipid, const Guid& iid,
                                                                   std::uint32_t refs, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto entry = EntryOf(ipid);
  if (!entry) return tl::unexpected(RPC_E_INVALID_OBJECT);
  entry->last_use = now;
  auto reference = AddInterface(entry, iid, refs);
  if (!reference) return tl::unexpected(E_NOINTERFACE);
  return *reference;
}

std::uint32_t ObjectTable::AddRef(const Guid& ipid, std::uint32_t public_refs, std::uint32_t private_refs,
                                  const std::string& identity, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto entry = EntryOf(ipid);
  if (!entry) return CO_E_OBJNOTREG;
  entry->last_use = now;
  Interface& interface = interfaces_.at(ipid);
  interface.public_refs = SaturatingAdd(interface.public_refs, public_refs);
  if (private_refs != 0) {
    std::uint32_t& refs = interface.private_refs[identity];
    refs = SaturatingAdd(refs, private_refs);
  }
  return S_OK;
}

void ObjectTable::Release(const Guid& ipid, std::uint32_t public_refs, std::uint32_t private_refs,
                          const std::string& identity, TimePoint now) {
  Endings endings;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = EntryOf(ipid);
    if (!entry) return;
    entry->last_use = now;
    const auto found = interfaces_.find(ipid);
    Interface& interface = found->second;
    interface.public_refs = SaturatingSubtract(interface.public_refs, public_refs);
    const auto held = interface.private_refs.find(identity);
    if (held != interface.private_refs.end()) {
      held->second = SaturatingSubtract(held->second, private_refs);
      if (held->second == 0) interface.private_refs.erase(held);
    }
    if (interface.public_refs != 0 || !interface.private_refs.empty()) return;
    entry->ipids.erase(interface.iid);
    endings.garbage.push_back(std::move(interface.dispatch));
    interfaces_.erase(found);
    if (entry->ipids.empty()) End(entry, Unreferenced::kReleased, endings);
  }
  Announce(std::move(endings));
}

std::optional<std::pair<std::uint32_t, std::uint32_t>> ObjectTable::References(const Guid& ipid) const {
  const std::lock_guard lock(mutex_);
  const auto found = interfaces_.find(ipid);
  if (found == interfaces_.end()) return std::nullopt;
  std::uint32_t private_refs = 0;
  for (const auto& [identity, refs] : found->second.private_refs) {
    private_refs = SaturatingAdd(private_refs, refs);
  }
  return std::pair{found->second.public_refs, private_refs};
}

std::optional<rpc::AuthLevel> ObjectTable::MinimumCallLevel(const Guid& ipid) const {
  const std::lock_guard lock(mutex_);
  const auto entry = EntryOf(ipid);
  return entry ? entry->options.minimum_call_level : std::nullopt;
}

std::uint32_t ObjectTable::ComplexPing(std::uint64_t& setid, std::uint16_t sequence,
                                       std::span<const std::uint64_t> add,
                                       std::span<const std::uint64_t> remove, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const bool made = setid == 0;
  if (made) {
    if (sets_.size() >= limits_.ping_sets) return nca_s_server_too_busy;
    setid = RandomId();
    sets_[setid].sequence = sequence;
  }
  const auto found = sets_.find(setid);
  if (found == sets_.end()) return OR_INVALID_SET;
  PingSet& set = found->second;
  // An older ping overtaken on the way; an equal number must be executed, some clients never count.
  if (set.sequence > sequence) return ERROR_SUCCESS;
  set.sequence = sequence;
  set.last_ping = now;
  std::uint32_t status = ERROR_SUCCESS;
  for (const std::uint64_t oid : add) {
    const auto object = objects_.find(oid);
    if (object == objects_.end()) {
      if (!made) status = OR_INVALID_OID;
      continue;
    }
    if (set.oids.size() >= limits_.oids_per_set) return nca_s_server_too_busy;
    if (set.oids.insert(oid).second) ++object->second->sets;
  }
  for (const std::uint64_t oid : remove) {
    if (set.oids.erase(oid) == 0) continue;
    const auto object = objects_.find(oid);
    if (object == objects_.end()) continue;
    --object->second->sets;
    object->second->last_use = now;
  }
  return status;
}

std::uint32_t ObjectTable::SimplePing(std::uint64_t setid, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto found = sets_.find(setid);
  if (found == sets_.end()) return OR_INVALID_SET;
  found->second.last_ping = now;
  return ERROR_SUCCESS;
}

void ObjectTable::Collect(const Timers& timers, TimePoint now) {
  Endings endings;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(sets_, [&](const auto& item) {
      const PingSet& set = item.second;
      if (now - set.last_ping < timers.set_timeout) return false;
      for (const std::uint64_t oid : set.oids) {
        const auto object = objects_.find(oid);
        if (object != objects_.end()) --object->second->sets;
      }
      return true;
    });
    std::vector<std::shared_ptr<Entry>> dead;
    for (const auto& [oid, entry] : objects_) {
      if (entry->sets == 0 && entry->calls == 0 && !entry->options.no_ping &&
          now - entry->last_use >= timers.grace) {
        dead.push_back(entry);
      }
    }
    for (const auto& entry : dead) End(entry, Unreferenced::kClientGone, endings);
  }
  Announce(std::move(endings));
}

void ObjectTable::Revoke(const std::shared_ptr<Object>& object) {
  Endings endings;
  {
    const std::lock_guard lock(mutex_);
    const auto known = oids_.find(object.get());
    if (known != oids_.end()) End(objects_.at(known->second), Unreferenced::kRevoked, endings);
  }
  Announce(std::move(endings));
}

void ObjectTable::RevokeAll() {
  Endings endings;
  {
    const std::lock_guard lock(mutex_);
    while (!objects_.empty()) End(objects_.begin()->second, Unreferenced::kRevoked, endings);
    sets_.clear();
  }
  Announce(std::move(endings));
}

void ObjectTable::End(const std::shared_ptr<Entry>& ending, Unreferenced why, Endings& endings) {
  const std::shared_ptr<Entry> entry = ending;  // `ending` may lie inside the map it is erased from
  for (const auto& [iid, ipid] : entry->ipids) {
    const auto found = interfaces_.find(ipid);
    endings.garbage.push_back(std::move(found->second.dispatch));
    interfaces_.erase(found);
  }
  entry->ipids.clear();
  oids_.erase(entry->object.get());
  objects_.erase(entry->oid);
  for (auto& [setid, set] : sets_) set.oids.erase(entry->oid);
  entry->ended = why;
  if (entry->calls == 0) endings.objects.emplace_back(std::move(entry->object), why);
}

void ObjectTable::Announce(Endings endings) {
  for (auto& [object, why] : endings.objects) object->OnUnreferenced(why);
}

ObjectTable::Counts ObjectTable::counts() const {
  const std::lock_guard lock(mutex_);
  return {objects_.size(), interfaces_.size(), sets_.size()};
}

}  // namespace dmrp::dcom
