// The object of the class that serves IDMRemoteServer.
#pragma once

#include "protocol/dcom/object.hpp"
#include "protocol/dcom/runtime.hpp"
#include "reference_server/daemon/volume_client_object.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace dmrp::server {

/// How servers of other machines are started.
struct RemoteSettings {
  Guid class_id;                                ///< class of the disk management server, there as here
  std::uint16_t port = 0;                       ///< of their activators
  std::optional<rpc::Credentials> credentials;  ///< who we are to them; nothing: as the runtime's
  rpc::AuthLevel level = rpc::AuthLevel::kIntegrity;
  std::chrono::milliseconds deadline{10'000};  ///< for the activation
};

/// The machine that a RemoteComputerName names ([MS-DMRP] 3.2.4.4.5.1): "\\server", "server", a DNS name or
/// an address, up to its null. kMalformed for anything else.
Result<std::string> ParseComputerName(std::u16string_view name);

/// IDMRemoteServer as DCOM sees it. After CreateRemoteObject the object has the volume interfaces of the
/// server that was started on the other machine too: calls on them go there, and replies come back, octet by
/// octet (4.2). They need the same rights as on this server; CreateRemoteObject only a name ([MS-DMRP] 2.1).
class RemoteServerObject final : public dcom::Object {
 public:
  RemoteServerObject(std::shared_ptr<const ObjectSettings> settings,
                     std::shared_ptr<const RemoteSettings> remote);
  ~RemoteServerObject() override;

  dcom::Dispatch QueryInterface(const Guid& iid) override;
  /// Gives the other server's object back.
  void OnUnreferenced(dcom::Unreferenced why) override;

 private:
  class Connection;
  std::shared_ptr<const ObjectSettings> settings_;
  std::shared_ptr<Connection> connection_;
};

}  // namespace dmrp::server
