// The storage objects of [MS-DMRP] 3.2.1.1 as values. Each carries the structure that the later revision of
// the protocol sends; what IVolumeClient sends is derived from it (revision_view.hpp).
#pragma once

#include "dmrp/interfaces/types.hpp"

#include <string>
#include <variant>
#include <vector>

namespace dmrp::server {

struct DiskObject {
  DISK_INFO_EX info;
  std::string key;  ///< what the platform calls the device; stable while the device is attached
};

struct RegionObject {
  REGION_INFO_EX info;
};

struct FileSystemObject {
  FILE_SYSTEM_INFO info;
  std::string identity;  ///< serial number or UUID on the medium; another value means it was formatted anew
  /// The volume is being formatted: what is found on it next is this file system, whatever its identity.
  bool in_the_making = false;
};

struct DriveLetterObject {
  DRIVE_LETTER_INFO info;
  LdmObjectId object_id = 0;  ///< the structure on the wire has no identifier of the letter itself
};

/// A dynamic volume (VOLUMETYPE_VM) or an FT volume (VOLUMETYPE_FT); its members are the regions whose volId
/// it is.
struct VolumeObject {
  VOLUME_INFO info;
  std::string key;  ///< what storage knows the volume by; stays over changes of its members
};

using StorageObject =
    std::variant<DiskObject, RegionObject, FileSystemObject, DriveLetterObject, VolumeObject>;

[[nodiscard]] LdmObjectId IdOf(const StorageObject& object);
[[nodiscard]] LONGLONG LastKnownStateOf(const StorageObject& object);
void SetId(StorageObject& object, LdmObjectId id);
void SetLastKnownState(StorageObject& object, LONGLONG state);

/// The identifiers through which an object refers to other objects (the disk of a region, the file system of
/// a region, ...), for rewriting them in place.
[[nodiscard]] std::vector<LdmObjectId*> References(StorageObject& object);

/// "region 17", for messages.
[[nodiscard]] std::string Describe(const StorageObject& object);

/// True for REGION_FREE and REGION_EXTENDED_FREE.
[[nodiscard]] inline bool IsFree(REGIONTYPE type) {
  return type == REGION_FREE || type == REGION_EXTENDED_FREE;
}

}  // namespace dmrp::server
