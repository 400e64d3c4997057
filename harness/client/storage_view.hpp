// What a client sees of a server's storage: disks and regions of both revisions in one form, volumes, file
// systems and drive letters.
//
// IVolumeClient's DISK_INFO and REGION_INFO hold less than IVolumeClient3's structures of the same purpose;
// widened, the missing members have their default values and PARTITIONSTYLE_UNKNOWN stands where the style is
// not told.
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "protocol/dmrp/notification.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

/// "IVolumeClient", "IVolumeClient3".
std::string_view ToString(Revision revision);

DISK_INFO_EX Widen(const DISK_INFO& disk);
/// partitionType and isActive become the members of `mbr`.
REGION_INFO_EX Widen(const REGION_INFO& region);
/// What IVolumeClient tells of a disk.
DISK_INFO Narrow(const DISK_INFO_EX& disk);
/// What IVolumeClient tells of a region; partitionType and isActive are 0 for one without `mbr`.
REGION_INFO Narrow(const REGION_INFO_EX& region);

/// "\device\Harddisk1" without the terminating null; empty for a null pointer.
std::string Text(const std::optional<std::u16string>& counted);

/// Everything that the enumerations of one client returned, taken together.
struct StorageView {
  Revision seen_through = Revision::kIVolumeClient3;
  std::vector<DISK_INFO_EX> disks;                             ///< in the order of the reply
  std::map<LdmObjectId, std::vector<REGION_INFO_EX>> regions;  ///< by disk, in the order of the reply
  /// EnumLocalFileSystems, in the order of the reply; nothing where the server refuses the call.
  std::optional<std::vector<FILE_SYSTEM_INFO>> file_systems = {};
  /// EnumDriveLetters, likewise.
  std::optional<std::vector<DRIVE_LETTER_INFO>> letters = {};
  /// EnumVolumes (dynamic volumes), likewise; FTEnumVolumes (FT sets) behind it.
  std::optional<std::vector<VOLUME_INFO>> volumes = {};
  /// By volume, as EnumVolumeMembers and FTEnumLogicalDiskMembers tell them; volumes that refused are
  /// missing.
  std::map<LdmObjectId, std::vector<LdmObjectId>> members = {};

  [[nodiscard]] const DISK_INFO_EX* FindDisk(LdmObjectId id) const;
  [[nodiscard]] const REGION_INFO_EX* FindRegion(LdmObjectId id) const;
  /// The regions of that disk, none if it is not there.
  [[nodiscard]] const std::vector<REGION_INFO_EX>& RegionsOf(LdmObjectId disk) const;
  [[nodiscard]] const FILE_SYSTEM_INFO* FindFileSystem(LdmObjectId id) const;
  /// The file system of that volume, partition or logical drive.
  [[nodiscard]] const FILE_SYSTEM_INFO* FileSystemOf(LdmObjectId storage) const;
  /// The drive letter of that character, in either case.
  [[nodiscard]] const DRIVE_LETTER_INFO* FindLetter(char16_t letter) const;

  [[nodiscard]] const VOLUME_INFO* FindVolume(LdmObjectId id) const;
  /// The regions that name that volume as theirs, by disk and start.
  [[nodiscard]] std::vector<REGION_INFO_EX> RegionsOfVolume(LdmObjectId volume) const;

  friend bool operator==(const StorageView&, const StorageView&) = default;
};

/// One object that differs between two views.
struct ObjectDifference {
  DMNOTIFY_INFO_TYPE type = DMNOTIFY_UNKNOWN_INFO;
  LDMACTION action = LDMACTION_UNKNOWN;
  LdmObjectId id = 0;             ///< of a drive letter: see LetterId
  std::int64_t state_before = 0;  ///< lastKnownState; 0 for an object that was not there
  std::int64_t state_after = 0;   ///< likewise
  bool contents_changed = false;  ///< for LDMACTION_MODIFIED: a member besides lastKnownState differs
  std::string text;               ///< "REGION 7 MODIFIED: length 1024 -> 512"

  friend bool operator==(const ObjectDifference&, const ObjectDifference&) = default;
};

/// Which objects were created, deleted and modified from `before` to `after`. File systems, drive letters and
/// volumes are compared where both views have them.
std::vector<ObjectDifference> Compare(const StorageView& before, const StorageView& after);

/// Drive letters have no LdmObjectId (2.2.14): what stands in its place is the code of the capital letter.
LdmObjectId LetterId(char16_t letter);

/// Points in which the enumerations of one view contradict each other, one sentence each: counts, free space,
/// and identifiers that lead from one object to another. A view is taken in several calls, so that a change
/// between them shows as a contradiction too.
std::vector<std::string> Contradictions(const StorageView& view);

/// "length 1024 -> 512, lastKnownState 3 -> 4"; empty for equal ones.
std::string DifferenceText(const DISK_INFO_EX& before, const DISK_INFO_EX& after);
std::string DifferenceText(const REGION_INFO_EX& before, const REGION_INFO_EX& after);
std::string DifferenceText(const FILE_SYSTEM_INFO& before, const FILE_SYSTEM_INFO& after);
std::string DifferenceText(const DRIVE_LETTER_INFO& before, const DRIVE_LETTER_INFO& after);
std::string DifferenceText(const VOLUME_INFO& before, const VOLUME_INFO& after);

bool IsFree(const REGION_INFO_EX& region);

}  // namespace dmrp::harness
