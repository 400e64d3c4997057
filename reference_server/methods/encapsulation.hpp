// GetEncapsulateDiskInfo(Ex) and EncapsulateDisk(Ex) ([MS-DMRP] 3.2.4.4.1.44, .45, 3.2.4.4.3.47, .48).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

#include <cstdint>
#include <vector>

namespace dmrp::server {

/// What converting some basic disks would involve.
struct EncapsulationInfo {
  std::uint32_t flags = 0;               ///< ENCAP_INFO_*
  std::vector<DiskObject> disks;         ///< to be converted together, those asked for first
  std::vector<std::uint32_t> diskFlags;  ///< CONTAINS_* and PARTITION_NUMBER_CHANGE, one for each disk
  std::vector<VolumeObject> volumes;     ///< FT volumes on the disks
  std::vector<RegionObject> regions;     ///< of the disks, without free ones
};

/// Conditions that keep the conversion from being done are flags; only a call that fails its validation, or
/// names a disk that is no basic fixed disk, is refused.
Outcome<EncapsulationInfo> GetEncapsulateDiskInfo(DiskManagementServer& server, Revision revision,
                                                  const std::vector<DISK_SPEC>& specs);

/// What EncapsulateDisk(Ex) is given, as far as it counts.
struct EncapsulationRequest {
  struct Disk {
    LdmObjectId id = 0;
    LONGLONG lastKnownState = 0;
  };
  std::vector<Disk> disks;
  std::vector<LdmObjectId> volumes;
};

/// Makes basic disks dynamic; their partitions become simple volumes where they lie, with letter, name and
/// file system. Nothing is written unless all disks can be converted. `flags` is encapInfoFlags, `validated`
/// as for CreateVolume.
Outcome<LdmObjectId> EncapsulateDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     Revision revision, const EncapsulationRequest& request,
                                     std::uint32_t& flags, bool& validated);

/// Finishes the conversion of disks with FT sets that was cut short, by a power cut or by a disk that failed:
/// the members that still lie on basic disks follow, the members of each set become one volume, and the sets
/// leave their record. Nothing is done while a member is away or in use. True when something was changed.
bool FinishEncapsulation(DiskManagementServer& server);

}  // namespace dmrp::server
