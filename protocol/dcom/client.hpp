// The outgoing side: activation, unmarshaling, calls, and what they leave to be given back.
#pragma once

#include "protocol/dcom/exporter.hpp"
#include "protocol/dcom/pinger.hpp"
#include "protocol/dcom/remote.hpp"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::dcom {

/// All members may be called from any thread.
class Client : public std::enable_shared_from_this<Client> {
 public:
  /// `local` serves references to this process's own objects; null when nothing is exported.
  Client(rpc::IoPool& pool, const Options& options, Runtime& runtime, Exporter* local);

  Result<Activation> Activate(const ActivationRequest& request);
  Result<ServerInfo> ServerAlive2(const rpc::Endpoint& server);
  Result<ObjectRef> Unmarshal(std::span<const std::byte> objref, const Guid& iid, const CallOptions& options,
                              CallbackPolicy policy);

  Result<ObjectRef> QueryInterface(const std::shared_ptr<InterfaceRecord>& record, const Guid& iid,
                                   const CallOptions& options);
  Result<Bytes> Call(const std::shared_ptr<InterfaceRecord>& record, std::uint16_t opnum, Bytes stub,
                     const CallOptions& options);
  Result<Bytes> CallRaw(const std::shared_ptr<InterfaceRecord>& record, const RawCall& call);
  Result<void> AddRef(const std::shared_ptr<InterfaceRecord>& record, std::uint32_t public_refs);
  Result<void> ReleaseRefs(const std::shared_ptr<InterfaceRecord>& record, std::uint32_t public_refs,
                           std::uint32_t private_refs);
  Result<std::shared_ptr<rpc::ClientConnection>> ConnectionOf(const std::shared_ptr<InterfaceRecord>& record,
                                                              std::optional<rpc::AuthLevel> level);

  /// The last copy of a reference went.
  void Drop(InterfaceRecord& record);

  /// Sends releases that are due, and pings.
  void Work(TimePoint now);
  /// When Work has something to do next.
  [[nodiscard]] TimePoint NextWork() const;
  /// Told whenever NextWork may have come closer.
  std::function<void()> on_new_work;

  /// Gives every reference back to peers that are connected, closes the connections and waits for calls to
  /// end.
  void Stop(bool give_back);

  [[nodiscard]] Connector& connector() { return connector_; }
  void Count(Statistics& statistics) const;

 private:
  /// Admits an operation unless the client stops; Stop waits for those admitted.
  class Admission {
   public:
    explicit Admission(Client& client);
    ~Admission();
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;
    explicit operator bool() const { return admitted_; }

   private:
    Client& client_;
    bool admitted_ = false;
  };
  static tl::unexpected<Error> Stopped();
  /// One key for each identity that connections are made with.
  static std::string IdentityOf(const std::optional<rpc::Credentials>& credentials);

  struct ActivatorReply {
    std::uint32_t status = 0;
    RemoteExporter::Description exporter;
    std::vector<std::uint32_t> results;
    std::vector<std::optional<Bytes>> pointers;
  };
  Result<ActivatorReply> CallActivator(const ActivationRequest& request,
                                       const std::shared_ptr<rpc::ClientConnection>& connection,
                                       const COMVERSION& version);
  /// COMVERSION and security of a resolver; one that is too old for ServerAlive2 is of version 5.1.
  struct Alive {
    COMVERSION version;
    std::optional<DualStringArray> bindings;
  };
  Result<Alive> AskAlive(const rpc::Endpoint& server);

  TimePoint Now() const { return options_.clock ? options_.clock() : std::chrono::steady_clock::now(); }
  std::shared_ptr<RemoteExporter> KnownExporter(std::uint64_t oxid, const std::string& identity);
  std::shared_ptr<RemoteExporter> Remember(RemoteExporter::Description description,
                                           const std::string& identity,
                                           std::shared_ptr<RemoteResolver> resolver);
  std::shared_ptr<RemoteResolver> ResolverFor(std::vector<rpc::Endpoint> endpoints,
                                              const std::optional<rpc::Credentials>& credentials);
  /// Takes a reference over, whose public references now belong to this side.
  Result<ObjectRef> Adopt(const std::shared_ptr<RemoteExporter>& exporter, const STDOBJREF& std,
                          const Guid& iid, const CallOptions& options);
  Result<ObjectRef> UnmarshalLocal(const STDOBJREF& std, const Guid& objref_iid, const Guid& iid);
  Result<ObjectRef> UnmarshalRemote(const OBJREF& objref, const Guid& iid, const CallOptions& options);
  /// The reference itself, or what a lazy one stands for, resolved now if need be.
  Result<std::shared_ptr<InterfaceRecord>> Resolved(const std::shared_ptr<InterfaceRecord>& record,
                                                    const CallOptions& options);
  Result<Bytes> CallLocal(const STDOBJREF& std, const Guid& iid, std::uint16_t opnum, const Bytes& stub,
                          const CallOptions& options);
  void FlushReleases(bool everything, TimePoint now);
  void QueueRelease(std::shared_ptr<RemoteExporter> exporter, const Guid& ipid, std::uint32_t public_refs);

  rpc::IoPool& pool_;
  const Options& options_;
  Runtime& runtime_;
  Exporter* const local_;
  Connector connector_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t operations_ = 0;
  bool stopping_ = false;
  std::map<std::pair<std::uint64_t, std::string>, std::weak_ptr<RemoteExporter>> exporters_;
  std::map<std::string, std::shared_ptr<RemoteResolver>> resolvers_;
  struct Releases {
    TimePoint due;
    std::vector<wire::REMINTERFACEREF> references;
  };
  std::map<std::shared_ptr<RemoteExporter>, Releases> releases_;
  std::size_t held_interfaces_ = 0;
};

}  // namespace dmrp::dcom
