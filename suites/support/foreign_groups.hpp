// Disk groups of other machines: made and filled before the target sees them, and what became of their
// volumes and data.
//
//   StartSharedWith(ScenarioKey(), GroupRequests(group));
//   const harness::DynamicLayout made = GroupsOnDisk();
//   ...
//   EXPECT_THAT(DataProblems(made.groups[0].guid, Readable(made.groups[0])), IsEmpty());
#pragma once

#include "suites/support/dynamic_volumes.hpp"
#include "suites/support/task_end.hpp"

#include <functional>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::suites {

/// A group, and which of its disks the target gets.
struct ForeignGroup {
  std::string_view name;         ///< part of test names
  std::string description;       ///< of its disks and volumes, JSON as harness/disks/ldm_image.py takes it
  std::set<std::size_t> away{};  ///< indices of disks that are made but not attached

  friend void PrintTo(const ForeignGroup& group, std::ostream* out) { *out << group.name; }
};

/// One volume of each layout on four disks, MBR and GPT, with letters and without.
extern const ForeignGroup kForeignComplete;
/// The same without its last disk: mirror and RAID-5 lack a member, the stripe set is no more.
extern const ForeignGroup kForeignIncomplete;
/// Disks of both sector sizes and both tables.
extern const ForeignGroup kForeignMixed;
/// A mirror whose second disk has an older database.
extern const ForeignGroup kForeignStale;
/// A transaction that makes a mirror was cut off behind its commit point.
extern const ForeignGroup kForeignOpen;
/// In the format of Windows Server 2003.
extern const ForeignGroup kForeign2003;

/// That many MBR disks with a spanned volume of that many members, which takes the disks in turn, and a
/// mirror on the last two.
ForeignGroup GroupOfManyDisks(std::size_t disks, std::size_t members);

/// Requests for its disks, in their order, without those that are away. Each volume holds a pattern that its
/// GUID tells; those with a letter have a FAT file system in front of it.
std::vector<BedDiskRequest> GroupRequests(const ForeignGroup& group);
/// A request for that disk of the group, as it was made.
BedDiskRequest GroupDisk(const ForeignGroup& group, std::size_t index);

/// The octets of a text with its terminating null: a dgid.
Bytes TerminatedOctets(std::string_view text);
/// The label of the file system on the volume of that drive letter.
std::string LabelOfVolume(char letter);

class ForeignGroupTest : public DynamicTest {
 protected:
  /// What differs from the patterns that the volumes were made with, read by independent readers from the
  /// disks as members of that group. Volumes that cannot be read are named too.
  std::vector<std::string> DataProblems(const Guid& group,
                                        const std::vector<harness::DynamicVolume>& volumes);
  /// The same, read through the devices that the target's machine has for its volumes; nothing where the
  /// target shows no machine.
  std::vector<std::string> DeviceProblems(Session& session,
                                          const std::vector<harness::DynamicVolume>& volumes);
  /// The device of a volume in the target's machine, "/dev/mapper/...".
  std::string DevicePath(Session& session, LdmObjectId volume);

  /// What the disks hold in the harness's reading alone, which knows stale members and open transactions.
  GroupImages CopyGroups();
};

/// The volumes of a group all of whose members' octets are on disks that are there, or can be computed.
std::vector<harness::DynamicVolume> Readable(const harness::DynamicGroup& group);
/// Whether a part of the volume lies on a disk that is not there.
bool LacksMember(const harness::DynamicGroup& group, const harness::DynamicVolume& volume);
/// What VOLUME_INFO::status has to be for a volume whose disks are as in `group`, with nothing to bring in
/// step.
VOLUMESTATUS StatusOf(const harness::DynamicGroup& group, const harness::DynamicVolume& volume);
VOLUMELAYOUT LayoutOnWire(harness::DynamicVolumeType type);
/// The object of that volume: no two volumes of these groups have the same length. Null: there is none.
const VOLUME_INFO* ObjectOf(const StorageView& view, const harness::DynamicVolume& volume);
/// The drive letter in its record; 0: none.
char LetterOf(const harness::DynamicVolume& volume);

}  // namespace dmrp::suites
