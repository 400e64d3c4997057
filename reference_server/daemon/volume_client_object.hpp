#pragma once

#include "protocol/dcom/object.hpp"
#include "reference_server/methods/volume_client.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace dmrp::server {

/// True when the caller belongs to one of the groups that may manage disks; names compare without case.
[[nodiscard]] bool MayManage(const rpc::CallContext& call, const std::vector<std::string>& managers);

/// What every activated object is made with.
struct ObjectSettings {
  std::vector<std::string> managers;  ///< groups, see MayManage
  /// Told about each call: caller, interface, method, result, duration; null for silence.
  std::function<void(const std::string&)> log_call;
};

/// A VolumeClient as DCOM sees it: four interfaces of one object. Callers that may not manage disks are
/// refused with the fault E_ACCESSDENIED before their parameters are looked at, on every operation.
class VolumeClientObject final : public dcom::Object {
 public:
  VolumeClientObject(std::shared_ptr<DiskManagementServer> server,
                     std::shared_ptr<const ObjectSettings> settings);

  dcom::Dispatch QueryInterface(const Guid& iid) override;
  void OnUnreferenced(dcom::Unreferenced why) override;

 private:
  std::shared_ptr<VolumeClient> client_;
  std::shared_ptr<const ObjectSettings> settings_;
};

}  // namespace dmrp::server
