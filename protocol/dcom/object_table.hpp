// What an object exporter keeps ([MS-DCOM] 3.1.1.1, 3.1.2.1): objects, interface pointers, their references,
// and the ping sets that keep them alive. No network in here; time is passed in.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/dcom/object.hpp"
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/runtime.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace dmrp::dcom {

/// A random number that is not 0, for OXIDs, OIDs and SETIDs.
[[nodiscard]] std::uint64_t RandomId();

/// All members may be called from any thread. Status answers are HRESULTs or OR_* codes, S_OK = 0.
class ObjectTable {
 public:
  struct ObjectOptions {
    std::optional<rpc::AuthLevel> minimum_call_level;
    bool no_ping = false;
  };

 private:
  struct Entry;

 public:
  /// A call in progress: while it lives, the object does, and its end is not announced.
  class Lease {
   public:
    Lease(Lease&& other) noexcept
        : table_(std::exchange(other.table_, nullptr)),
          entry_(std::move(other.entry_)),
          dispatch_(std::move(other.dispatch_)),
          iid_(other.iid_) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease();

    [[nodiscard]] const Dispatch& dispatch() const { return dispatch_; }
    [[nodiscard]] const Guid& iid() const { return iid_; }
    [[nodiscard]] std::uint64_t oid() const;
    [[nodiscard]] std::optional<rpc::AuthLevel> minimum_call_level() const;

   private:
    friend class ObjectTable;
    Lease(ObjectTable* table, std::shared_ptr<Entry> entry, Dispatch dispatch, const Guid& iid)
        : table_(table), entry_(std::move(entry)), dispatch_(std::move(dispatch)), iid_(iid) {}

    ObjectTable* table_;
    std::shared_ptr<Entry> entry_;
    Dispatch dispatch_;
    Guid iid_;
  };

  ObjectTable(std::uint64_t oxid, const Limits& limits) : oxid_(oxid), limits_(limits) {}
  ObjectTable(const ObjectTable&) = delete;
  ObjectTable& operator=(const ObjectTable&) = delete;

  /// Adds `public_refs` references to an interface of `object`, whose options count at its first export only.
  /// kFault with E_NOINTERFACE; kLimit.
  Result<STDOBJREF> Export(const std::shared_ptr<Object>& object, const Guid& iid, std::uint32_t public_refs,
                           const ObjectOptions& options, TimePoint now);

  /// The interface pointer to call, none when it is unknown. Touches the object.
  std::optional<Lease> BeginCall(const Guid& ipid, TimePoint now);

  /// Whether any interface with this id was ever exported: its presentation context stays acceptable, so that
  /// a late call gets RPC_E_DISCONNECTED and not a refused bind.
  [[nodiscard]] bool KnowsInterface(const Guid& iid) const;

  /// RemQueryInterface for one interface: RPC_E_INVALID_OBJECT for an unknown `ipid`, E_NOINTERFACE.
  tl::expected<STDOBJREF, std::uint32_t> QueryInterface(const Guid& ipid, const Guid& iid, std::uint32_t refs,
                                                        TimePoint now);
  /// RemAddRef for one interface; private references are counted for `identity`. CO_E_OBJNOTREG.
  std::uint32_t AddRef(const Guid& ipid, std::uint32_t public_refs, std::uint32_t private_refs,
                       const std::string& identity, TimePoint now);
  /// RemRelease for one interface: never below 0, unknown ones ignored.
  void Release(const Guid& ipid, std::uint32_t public_refs, std::uint32_t private_refs,
               const std::string& identity, TimePoint now);
  /// Public and private references of an interface pointer; nullopt when it is unknown.
  [[nodiscard]] std::optional<std::pair<std::uint32_t, std::uint32_t>> References(const Guid& ipid) const;
  /// The call level that the object behind `ipid` asks for by itself.
  [[nodiscard]] std::optional<rpc::AuthLevel> MinimumCallLevel(const Guid& ipid) const;

  /// ComplexPing; `setid` 0 makes a set and is replaced. OR_INVALID_SET, OR_INVALID_OID.
  std::uint32_t ComplexPing(std::uint64_t& setid, std::uint16_t sequence, std::span<const std::uint64_t> add,
                            std::span<const std::uint64_t> remove, TimePoint now);
  std::uint32_t SimplePing(std::uint64_t setid, TimePoint now);

  /// Drops sets that were silent for `timers.set_timeout`, then objects that neither a set nor a call kept
  /// alive for `timers.grace`.
  void Collect(const Timers& timers, TimePoint now);
  void Revoke(const std::shared_ptr<Object>& object);
  void RevokeAll();

  struct Counts {
    std::size_t objects = 0;
    std::size_t interfaces = 0;
    std::size_t ping_sets = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Interface {
    Guid iid;
    std::weak_ptr<Entry> object;
    Dispatch dispatch;
    std::uint32_t public_refs = 0;
    std::map<std::string, std::uint32_t> private_refs;  ///< by identity of the client
  };
  struct Entry {
    std::uint64_t oid = 0;
    std::shared_ptr<Object> object;
    ObjectOptions options;
    std::map<Guid, Guid> ipids;  ///< by IID
    std::size_t sets = 0;
    std::size_t calls = 0;
    TimePoint last_use;
    std::optional<Unreferenced> ended;  ///< set once no interface is left
  };
  struct PingSet {
    std::uint16_t sequence = 0;
    TimePoint last_ping;
    std::unordered_set<std::uint64_t> oids;
  };
  /// What is finished outside the lock: notifications, and functions whose destruction may call back in here.
  struct Endings {
    std::vector<std::pair<std::shared_ptr<Object>, Unreferenced>> objects;
    std::vector<Dispatch> garbage;
  };

  Result<STDOBJREF> AddInterface(const std::shared_ptr<Entry>& entry, const Guid& iid, std::uint32_t refs);
  std::shared_ptr<Entry> EntryOf(const Guid& ipid) const;
  /// Takes the object out of the table; it is announced by the caller, or by its last call.
  void End(const std::shared_ptr<Entry>& entry, Unreferenced why, Endings& endings);
  static void Announce(Endings endings);
  void EndCall(const std::shared_ptr<Entry>& entry);

  const std::uint64_t oxid_;
  const Limits limits_;
  mutable std::mutex mutex_;
  std::unordered_map<Guid, Interface> interfaces_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Entry>> objects_;
  std::unordered_map<const Object*, std::uint64_t> oids_;
  std::unordered_map<std::uint64_t, PingSet> sets_;
  std::unordered_set<Guid> known_iids_;
};

}  // namespace dmrp::dcom
