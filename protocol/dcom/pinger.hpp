// Keeps remote objects alive: one ping set for each resolver ([MS-DCOM] 3.2.2, 3.2.6.1).
#pragma once

#include "protocol/dcom/remote.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace dmrp::dcom {

/// The resolver that guards a group of remote objects, and this side's ping set there. All members may be
/// called from any thread.
class RemoteResolver {
 public:
  /// `endpoints` are tried in order.
  RemoteResolver(Connector& connector, std::vector<rpc::Endpoint> endpoints,
                 std::optional<rpc::Credentials> credentials, TimePoint now)
      : connector_(connector),
        endpoints_(std::move(endpoints)),
        credentials_(std::move(credentials)),
        last_ping_(now) {}

  /// One more, or one less, reference of this side to an object.
  void Hold(std::uint64_t oid);
  void Drop(std::uint64_t oid);

  /// Pings if the period has passed since the last time and there is anything to say.
  void PingIfDue(TimePoint now, std::chrono::seconds period);

  /// Lets go of the connection, which borrows the runtime's threads; for its end.
  void Disconnect();

  [[nodiscard]] std::size_t held() const;
  [[nodiscard]] std::uint64_t pings_sent() const { return pings_sent_; }
  /// When the next ping is due.
  [[nodiscard]] TimePoint Due(std::chrono::seconds period) const;

  /// Resolves an OXID here ([MS-DCOM] 3.2.4.1.2): ResolveOxid2, or ResolveOxid with an older server.
  Result<RemoteExporter::Description> Resolve(std::uint64_t oxid, const COMVERSION& version);

  [[nodiscard]] const std::optional<rpc::Credentials>& credentials() const { return credentials_; }

 private:
  /// The resolver's own status, or an error when it could not be asked.
  Result<std::uint32_t> Ping();
  Result<std::shared_ptr<rpc::ClientConnection>> Connection();

  Connector& connector_;
  const std::vector<rpc::Endpoint> endpoints_;
  const std::optional<rpc::Credentials> credentials_;
  std::atomic<std::uint64_t> pings_sent_ = 0;

  std::mutex ping_mutex_;  ///< one ping at a time; never taken with mutex_ held
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::uint32_t> oids_;  ///< references by object
  std::set<std::uint64_t> in_set_;               ///< what the server's set holds
  std::uint64_t setid_ = 0;
  std::uint16_t sequence_ = 0;
  TimePoint last_ping_;
  std::shared_ptr<rpc::ClientConnection> connection_;
};

}  // namespace dmrp::dcom
