// What suites about dynamic disks and volumes share: disks that are made dynamic through the protocol,
// volumes on them, and the groups as independent readers find them on the images.
#pragma once

#include "harness/layout/dynamic_layout.hpp"
#include "suites/support/watched_operation.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dmrp::suites {

/// A volume to make: layout, and how many bytes of which of the bed's disks.
struct VolumeShape {
  std::string_view name;  ///< part of test names
  VOLUMELAYOUT layout = VOLUMELAYOUT_SIMPLE;
  std::vector<std::pair<std::size_t, std::int64_t>> members;  ///< the bed's disk, bytes on it
  std::int64_t length = 0;                                    ///< bytes of the volume

  friend void PrintTo(const VolumeShape& shape, std::ostream* out) { *out << shape.name; }
};

/// One shape of each layout that needs at most three disks.
std::vector<VolumeShape> ShapesOfEachLayout();

/// The groups on the disks, with copies of the disks to read the volumes' octets from.
struct GroupImages {
  harness::DynamicLayout layout;
  std::vector<std::shared_ptr<ImageCopy>> copies;
};

/// An operation with the groups that were on the disks right after its reply; none without images.
struct WatchedDynamicOperation : WatchedOperation {
  harness::DynamicLayout on_disk;
};

class DynamicTest : public ConformanceTest {
 protected:
  /// Starts the target with blank disks and makes the first `dynamic` of them dynamic; MBR.
  void StartDynamic(std::size_t disks, std::size_t dynamic);
  void StartDynamic(std::size_t disks) { StartDynamic(disks, disks); }
  /// Dynamic disks without volumes, for tests that change nothing; shared as StartShared tells.
  void StartSharedDynamic(std::size_t disks);
  /// The same for refusals that need more than blank disks: what the first test of `key` made there (Once)
  /// stays as it is.
  void StartSharedDynamic(std::size_t disks, const std::string& key);
  /// Dynamic disks for what the tests of this suite do Once.
  void StartScenario(std::size_t disks);

  /// InitializeDisk through IVolumeClient, InitializeDiskEx through IVolumeClient3. The two replies are told
  /// apart by type only.
  Outcome<InitializeDiskReply> InitializeDisk(Session& session, LdmObjectId disk, std::int64_t state,
                                              PARTITIONSTYLE style = PARTITIONSTYLE_MBR);
  Outcome<UninitializeDiskReply> UninitializeDisk(Session& session, LdmObjectId disk, std::int64_t state);
  Outcome<CreateVolumeReply> CreateVolume(Session& session, const CreateVolumeRequest& request);
  Outcome<DeleteVolumeReply> DeleteVolume(Session& session, LdmObjectId volume, std::int64_t state,
                                          bool force = false);

  /// Does an operation as suites::Watch tells, with a look at the groups on the disks.
  template <typename Act>
  WatchedDynamicOperation Watch(Session& session, Act act) {
    WatchedDynamicOperation seen;
    static_cast<WatchedOperation&>(seen) = Need(suites::Watch(lab(), session, std::move(act), [&] {
      if (target().Can("images")) seen.on_disk = GroupsOnDisk();
    }));
    return seen;
  }

  /// Requests with the current states of the objects that they name. For a volume of that shape;
  CreateVolumeRequest RequestFor(Session& session, const VolumeShape& shape);
  /// for a copy of all of a volume on the bed's disk of that number;
  AddMirrorRequest MirrorRequest(Session& session, LdmObjectId volume, std::size_t index);
  /// for the half of a mirror on a disk to become a volume of its own, without a letter;
  SplitMirrorRequest SplitRequest(Session& session, LdmObjectId mirror, LdmObjectId disk);
  /// for the column that a RAID-5 volume lacks, on a disk.
  ReplaceRaid5ColumnRequest ColumnRequest(Session& session, LdmObjectId volume, LdmObjectId disk);
  /// Makes the volume and waits until it is healthy, or ends the test as undecided.
  VOLUME_INFO Make(Session& session, const VolumeShape& shape);
  /// Waits until the volume is told to be healthy, in a notification after `mark`; undecided when it is not.
  VOLUME_INFO AwaitHealthy(Session& session, LdmObjectId id, std::uint64_t mark);
  std::vector<VOLUME_INFO> VolumesNow(Session& session);
  /// The volume as enumerated; a value with id 0 when it is not listed.
  VOLUME_INFO VolumeNow(Session& session, LdmObjectId id);

  /// The groups that an operation left on the disks; the test ends as not exercised where the target shows no
  /// images.
  const harness::DynamicLayout& GroupsAfter(const WatchedDynamicOperation& operation);
  /// What independent readers find on copies of those of the bed's disks (all, if empty) that are dynamic;
  /// undecided when they disagree.
  harness::DynamicLayout GroupsOnDisk(const std::vector<std::size_t>& disks = {});
  GroupImages GroupImagesNow(const std::vector<std::size_t>& disks = {});
  /// Copies of all disks of the bed, kept in `copies`; those asked for (all, if empty), to be read.
  std::vector<harness::DynamicImage> CopyImages(const std::vector<std::size_t>& disks,
                                                std::vector<std::shared_ptr<ImageCopy>>& copies);
  /// The findings of the checker of the on-disk format's invariants.
  std::vector<std::string> BrokenInvariants(const std::vector<std::size_t>& disks,
                                            const harness::LdmCheckOptions& options = {});

  /// Waits for the completion notification that has to come after the reply (3.2.4.3), and says whether it
  /// came with the values of a finished task.
  void ExpectCompletion(Session& session, const TASK_INFO& tinfo, std::uint64_t mark);

 private:
  /// Makes those of the first disks dynamic that are not.
  void MakeDynamic(std::size_t count);
};

/// "healthy simple volume of 16777216 bytes" and the like: what readers on disk and the wire both tell.
harness::DynamicVolumeType TypeOnDisk(VOLUMELAYOUT layout);

}  // namespace dmrp::suites
