// The two revisions of the protocol: which one a call came through, and what that one may be used for.
#pragma once

#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/types.hpp"
#include "protocol/dcom/call_context.hpp"
#include "protocol/dmrp/notification.hpp"

namespace dmrp::server {

[[nodiscard]] inline Revision RevisionOf(const dcom::CallContext& call) {
  return call.iid == IID_IVolumeClient || call.iid == IID_IVolumeClient2 ? Revision::kIVolumeClient
                                                                         : Revision::kIVolumeClient3;
}

/// IVolumeClient and IVolumeClient2 must not be used with GPT disks ([MS-DMRP] 1.3).
[[nodiscard]] inline bool MayUse(Revision revision, const DISK_INFO_EX& disk) {
  return revision == Revision::kIVolumeClient3 || disk.partitionStyle != PARTITIONSTYLE_GPT;
}

}  // namespace dmrp::server
