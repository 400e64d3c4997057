#include "reference_server/objects/revision_view.hpp"

namespace dmrp::server {

DISK_INFO ToDiskInfo(const DISK_INFO_EX& disk) {
  DISK_INFO info;
  info.id = disk.id;
  info.length = disk.length;
  info.freeBytes = disk.freeBytes;
  info.bytesPerTrack = disk.bytesPerTrack;
  info.bytesPerCylinder = disk.bytesPerCylinder;
  info.bytesPerSector = disk.bytesPerSector;
  info.regionCount = disk.regionCount;
  info.dflags = disk.dflags & DISK_AUDIO_CD;
  info.deviceType = disk.deviceType;
  info.deviceState = disk.deviceState;
  info.busType = disk.busType;
  info.attributes = disk.attributes;
  info.isUpgradeable = disk.isUpgradeable;
  info.portNumber = disk.portNumber;
  info.targetNumber = disk.targetNumber;
  info.lunNumber = disk.lunNumber;
  info.lastKnownState = disk.lastKnownState;
  info.taskId = disk.taskId;
  info.name = disk.name;
  info.vendor = disk.vendor;
  info.dgid = disk.dgid;
  info.adapterName = disk.adapterName;
  info.dgName = disk.dgName;
  return info;
}

REGION_INFO ToRegionInfo(const REGION_INFO_EX& region) {
  REGION_INFO info;
  info.id = region.id;
  info.diskId = region.diskId;
  info.volId = region.volId;
  info.fsId = region.fsId;
  info.start = region.start;
  info.length = region.length;
  info.regionType = region.regionType;
  if (region.mbr) {
    info.partitionType = region.mbr->partitionType;
    info.isActive = region.mbr->isActive;
  }
  info.status = region.status;
  info.lastKnownState = region.lastKnownState;
  info.taskId = region.taskId;
  info.rflags = region.rflags & ~REGION_HIDDEN;
  info.currentPartitionNumber = region.currentPartitionNumber;
  return info;
}

}  // namespace dmrp::server
