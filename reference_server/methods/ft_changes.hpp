// The methods that change FT sets ([MS-DMRP] 3.2.4.4.1.12 to .17).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

namespace dmrp::server {

/// Deletes the set and the partitions of its members.
Outcome<void> DeleteFtVolume(DiskManagementServer& server, const StorageModel::Operation& operation,
                             const FTDeleteVolumeRequest& request);

/// Makes two partitions of a mirror; the letter goes to the one that is whole.
Outcome<void> BreakFtMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                            const FTBreakMirrorRequest& request);

/// Begin to make the redundant data of a mirror, of a parity set, whole again; return when that has begun.
Outcome<void> ResyncFtMirror(DiskManagementServer& server, const StorageModel::Operation& operation,
                             const FTResyncMirrorRequest& request);
Outcome<void> RegenerateFtParity(DiskManagementServer& server, const StorageModel::Operation& operation,
                                 const FTRegenerateParityStripeRequest& request);

/// What FTReplaceMirrorPartition and FTReplaceParityStripePartition ask for. oldMemberId and
/// oldMemberLastKnownState are not looked at (3.2.4.4.1.16).
struct FtReplacement {
  LdmObjectId volumeId = 0;
  LONGLONG volumeLastKnownState = 0;
  LdmObjectId newRegionId = 0;
  LONGLONG newRegionLastKnownState = 0;
  DWORD flags = 0;
};

/// Puts a partition into the place of the member that failed and begins to rebuild it. `type` is that of the
/// sets that the method is for.
Outcome<void> ReplaceFtMember(DiskManagementServer& server, const StorageModel::Operation& operation,
                              ft::FtType type, const FtReplacement& request);

}  // namespace dmrp::server
