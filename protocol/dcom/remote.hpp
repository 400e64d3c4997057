// Remote exporters and resolvers as a client keeps them ([MS-DCOM] 3.2.1), and the references it holds.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/dcom/dual_string_array.hpp"
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/runtime.hpp"
#include "protocol/rpc/client.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::dcom {

class Client;
class RemoteExporter;
class RemoteResolver;

/// Opens connections for a runtime and keeps track of them.
class Connector {
 public:
  Connector(rpc::IoPool& pool, const Options& options) : pool_(pool), options_(options) {}

  Result<std::shared_ptr<rpc::ClientConnection>> Connect(
      const rpc::Endpoint& peer, rpc::Security security,
      std::optional<std::chrono::milliseconds> timeout = {});
  /// Closes every connection made here and refuses new ones.
  void CloseAll();

  /// How to secure calls to a peer that supports `supported`, ordered as it prefers; an empty list, or nobody
  /// to log on as, means without security.
  [[nodiscard]] rpc::Security SecurityFor(const std::optional<rpc::Credentials>& credentials,
                                          const std::vector<SecurityBinding>& supported, rpc::AuthLevel level,
                                          const std::string& host) const;
  /// The same for a resolver or activator, which announces nothing beforehand.
  [[nodiscard]] rpc::Security SecurityFor(const std::optional<rpc::Credentials>& credentials,
                                          rpc::AuthLevel level, const std::string& host) const;
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  rpc::IoPool& pool_;
  const Options& options_;
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::weak_ptr<rpc::ClientConnection>> connections_;
};

/// An object exporter of another process: where its objects are called.
class RemoteExporter {
 public:
  struct Description {
    std::uint64_t oxid = 0;
    DualStringArray bindings;
    Guid rem_unknown_ipid;
    rpc::AuthLevel authn_hint = rpc::AuthLevel::kNone;
    COMVERSION version = kComVersion;  ///< the lower of both sides
    std::optional<rpc::Credentials> credentials;
  };

  /// `resolver` guards its objects.
  RemoteExporter(Connector& connector, Description description, std::shared_ptr<RemoteResolver> resolver)
      : connector_(connector), description_(std::move(description)), resolver_(std::move(resolver)) {}

  [[nodiscard]] const Description& description() const { return description_; }
  [[nodiscard]] const std::shared_ptr<RemoteResolver>& resolver() const { return resolver_; }

  /// The connection for calls at `level` (default: what both sides want at least); made if there is none
  /// open.
  Result<std::shared_ptr<rpc::ClientConnection>> Connection(
      std::optional<rpc::AuthLevel> level, std::optional<std::chrono::milliseconds> timeout = {});
  /// Lets go of the connections, which borrow the runtime's threads; for its end.
  void Disconnect();
  /// False once the exporter could not be reached, or broke its connections, and nothing reached it since.
  [[nodiscard]] bool MayBeReached() const;

  /// An ORPC call: ORPCTHIS before `stub`, ORPCTHAT off the reply.
  Result<Bytes> Call(const Guid& iid, const Guid& ipid, std::uint16_t opnum, std::span<const std::byte> stub,
                     const CallOptions& options);

  /// References by interface pointer, so that the same one is held once. Guarded by Client's mutex.
  std::map<Guid, std::weak_ptr<InterfaceRecord>> records;

 private:
  Connector& connector_;
  const Description description_;
  const std::shared_ptr<RemoteResolver> resolver_;
  mutable std::mutex mutex_;
  std::map<rpc::AuthLevel, std::shared_ptr<rpc::ClientConnection>> connections_;
  bool unreachable_ = false;
};

/// A reference to one interface, shared by the copies of an ObjectRef.
struct InterfaceRecord {
  ~InterfaceRecord();

  std::weak_ptr<Client> client;

  mutable std::mutex mutex;  ///< guards the members below
  Guid iid;
  STDOBJREF std;                             ///< cPublicRefs: what is held
  std::shared_ptr<RemoteExporter> exporter;  ///< null: of this process, or not resolved yet
  std::shared_ptr<RemoteResolver> resolver;  ///< null: not pinged
  bool local = false;

  std::mutex resolving;                     ///< taken first: one thread at a time resolves a lazy reference
  std::optional<OBJREF> unresolved;         ///< of a lazy reference
  std::shared_ptr<InterfaceRecord> target;  ///< what a lazy reference turned out to be
};

}  // namespace dmrp::dcom
