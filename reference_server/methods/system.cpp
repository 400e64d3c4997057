// VolumeClient: what concerns the machine as a whole ([MS-DMRP] 3.2.4.4.1.59, .60).
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/volume_client.hpp"

#include <utility>

namespace dmrp::server {

// Neither Linux nor the machines it runs on can put the system partition out of reach (step 1: "if
// supported").
HRESULT VolumeClient::SecureSystemPartition(dcom::CallContext& /*call*/,
                                            const SecureSystemPartitionRequest& /*request*/,
                                            SecureSystemPartitionReply& /*reply*/) {
  return Report("SecureSystemPartition",
                Refusal{LDM_E_NOSUPPORT, "the system cannot secure its system partition"});
}

HRESULT VolumeClient::ShutDownSystem(dcom::CallContext& call, const ShutDownSystemRequest& /*request*/,
                                     ShutDownSystemReply& /*reply*/) {
  auto work = server_->PrepareShutdown();
  if (!work) {
    return Report("ShutDownSystem", Refusal{LDM_E_FAILED_SHUTDOWN, work.error().ToString()});
  }
  server_->Log("the machine shuts down at the request of " + (call.user.empty() ? "a client" : call.user));
  // An operation that is running ends first: its disk would be left in the middle of it.
  call.Afterwards([server = server_, work = *std::move(work)] {
    const auto operation = server->model().BeginOperation();
    work();
  });
  return 0;
}

}  // namespace dmrp::server
