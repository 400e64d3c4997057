// The object of the class that serves IDMRemoteServer.
#pragma once

#include "protocol/dcom/object.hpp"
#include "reference_server/daemon/volume_client_object.hpp"

#include <memory>

namespace dmrp::server {

/// IDMRemoteServer as DCOM sees it. CreateRemoteObject is not implemented yet and answers E_NOTIMPL; callers
/// that may not manage disks are refused with the fault E_ACCESSDENIED, as on the volume interfaces.
class RemoteServerObject final : public dcom::Object {
 public:
  explicit RemoteServerObject(std::shared_ptr<const ObjectSettings> settings)
      : settings_(std::move(settings)) {}

  dcom::Dispatch QueryInterface(const Guid& iid) override;

 private:
  std::shared_ptr<const ObjectSettings> settings_;
};

}  // namespace dmrp::server
