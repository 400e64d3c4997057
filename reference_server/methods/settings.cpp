// VolumeClient: what the server keeps in its registry for its clients ([MS-DMRP] 3.2.4.4.1.46 to .49).
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/volume_client.hpp"
#include "reference_server/storage/server_settings.hpp"

namespace dmrp::server {
namespace {

Refusal RegistryRefusal(const Error& error) { return {LDM_E_VB_SYS, error.ToString()}; }

}  // namespace

HRESULT VolumeClient::SetDontShow(dcom::CallContext& /*call*/, const SetDontShowRequest& request,
                                  SetDontShowReply& /*reply*/) {
  const auto operation = server_->model().BeginOperation();
  if (auto saved = WriteDontShow(server_->registry(), request.bSetNoShow); !saved) {
    return Report("SetDontShow", RegistryRefusal(saved.error()));
  }
  return 0;
}

HRESULT VolumeClient::GetDontShow(dcom::CallContext& /*call*/, const GetDontShowRequest& /*request*/,
                                  GetDontShowReply& reply) {
  const auto operation = server_->model().BeginOperation();
  const auto saved = ReadDontShow(server_->registry());
  if (!saved) {
    return Report("GetDontShow", RegistryRefusal(saved.error()));
  }
  reply.bGetNoShow = *saved;
  return 0;
}

HRESULT VolumeClient::QueryChangePartitionNumbers(dcom::CallContext& /*call*/,
                                                  const QueryChangePartitionNumbersRequest& /*request*/,
                                                  QueryChangePartitionNumbersReply& reply) {
  const auto operation = server_->model().BeginOperation();
  const auto change = ReadPartitionNumberChange(server_->registry());
  if (!change) {
    return Report("QueryChangePartitionNumbers", RegistryRefusal(change.error()));
  }
  if (*change) {
    reply.oldPartitionNumber = static_cast<std::int32_t>((*change)->oldNumber);
    reply.newPartitionNumber = static_cast<std::int32_t>((*change)->newNumber);
  }
  return 0;
}

HRESULT VolumeClient::DeletePartitionNumberInfoFromRegistry(
    dcom::CallContext& /*call*/, const DeletePartitionNumberInfoFromRegistryRequest& /*request*/,
    DeletePartitionNumberInfoFromRegistryReply& /*reply*/) {
  const auto operation = server_->model().BeginOperation();
  if (auto deleted = DeletePartitionNumberChange(server_->registry()); !deleted) {
    return Report("DeletePartitionNumberInfoFromRegistry", RegistryRefusal(deleted.error()));
  }
  return 0;
}

}  // namespace dmrp::server
