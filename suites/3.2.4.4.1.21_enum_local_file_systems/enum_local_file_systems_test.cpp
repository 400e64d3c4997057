// EnumLocalFileSystems (3.2.4.4.1.21, 3.2.4.4.3.21) and FILE_SYSTEM_INFO (2.2.15) over file systems that
// other programs made.
#include "harness/guest/guest.hpp"
#include "suites/support/formatting.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

constexpr std::uint64_t kMiB = 1U << 20U;

// One volume of each kind, the last one without a file system.
const std::vector<PreparedVolume>& Prepared() {
  static const std::vector<PreparedVolume> kVolumes = {
      {1 * kMiB, 8 * kMiB, "mkfs.fat -F 12 -s 8 -n TWELVE"},
      {10 * kMiB, 32 * kMiB, "mkfs.fat -F 16 -s 4 -n 'SIXTEEN NR'"},
      {45 * kMiB, 40 * kMiB, "mkfs.fat -F 32 -s 1 -n THIRTYTWO"},
      {90 * kMiB, 24 * kMiB, "mkntfs -q -F -Q -c 2048 -L 'Äpfel & ßirnen'"},
      {115 * kMiB, 24 * kMiB, "mkntfs -q -F -Q -C -c 4096"},
      {140 * kMiB, 8 * kMiB, "mkfs.fat -F 12 -s 8"},
      {150 * kMiB, 8 * kMiB, ""},
  };
  return kVolumes;
}

BedDiskRequest PreparedDisk() {
  std::string script = "label: dos\nlabel-id: 0x5eed0021\n";
  auto line = [&](std::uint64_t start, std::uint64_t length, const char* type) {
    script += "start=" + std::to_string(start / 512) + ", size=" + std::to_string(length / 512) +
              ", type=" + type + "\n";
  };
  const auto& volumes = Prepared();
  line(volumes[0].start, volumes[0].length, "1");
  line(volumes[1].start, volumes[1].length, "6");
  line(volumes[2].start, volumes[2].length, "b");
  line(89 * kMiB, 75 * kMiB, "f");
  for (std::size_t i = 3; i < volumes.size(); ++i) line(volumes[i].start, volumes[i].length, "7");
  return {harness::ParseDiskSpec("size=168M").value(), Volumes(script, volumes)};
}

class EnumLocalFileSystems : public FormatRevisionTest {
 protected:
  void SetUp() override { StartSharedWith("prepared-file-systems", {PreparedDisk()}); }
  std::vector<FILE_SYSTEM_INFO> List() {
    const auto reply = session().EnumLocalFileSystems();
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return reply->fileSystemList;
  }
  std::vector<REGION_INFO_EX> Partitions() {
    std::vector<REGION_INFO_EX> partitions;
    for (const PreparedVolume& volume : Prepared()) {
      partitions.push_back(RegionAt(session(), static_cast<std::int64_t>(volume.start)));
    }
    return partitions;
  }
};

// All file systems are listed and nothing else: one object per partition, which names it and is named by it.
TEST_P(EnumLocalFileSystems, ListsEachFileSystemOnce) {
  Checks("DMRP-0871", "DMRP-0874", "DMRP-0875", "DMRP-0876", "DMRP-0868", "DMRP-0081", "DMRP-0082",
         "DMRP-0083", "DMRP-0487", third() ? "DMRP-1630" : "DMRP-0868", third() ? "DMRP-1631" : "DMRP-0871");
  const auto list = List();
  std::vector<LdmObjectId> storages;
  for (const FILE_SYSTEM_INFO& file_system : list) storages.push_back(file_system.storageId);
  for (const REGION_INFO_EX& partition : Partitions()) {
    EXPECT_EQ(std::ranges::count(storages, partition.id), 1) << ToText(partition);
    EXPECT_NE(partition.fsId, 0) << ToText(partition);
    auto object = std::ranges::find(list, partition.fsId, &FILE_SYSTEM_INFO::id);
    ASSERT_NE(object, list.end()) << ToText(partition);
    EXPECT_EQ(object->storageId, partition.id);
  }
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    if (harness::IsFree(region) || region.regionType == REGION_EXTENDED) {
      EXPECT_EQ(std::ranges::count(storages, region.id), 0) << "no file system is here: " << ToText(region);
    }
  }
}

// Type, label, sizes and free space are those that independent readers find on the disk.
TEST_P(EnumLocalFileSystems, TellsWhatIsOnTheDisk) {
  Checks("DMRP-0873", "DMRP-0084", "DMRP-0085", "DMRP-0086", "DMRP-0087", "DMRP-0090", "DMRP-0091",
         "DMRP-0092");
  const auto partitions = Partitions();
  const auto on_disk = OnDisk(partitions);
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    SCOPED_TRACE(Prepared()[i].command);
    const auto object = FileSystemOf(session(), partitions[i].id);
    ASSERT_TRUE(object);
    if (Prepared()[i].command.empty()) {
      EXPECT_EQ(object->fsType, FSTYPE_UNKNOWN) << "nothing was formatted: " << ToText(*object);
      continue;
    }
    EXPECT_THAT(Disagreements(*object, on_disk[i]), IsEmpty()) << ToText(*object) << "\n"
                                                               << on_disk[i].account;
    EXPECT_TRUE(!object->label || object->label->empty() || object->label->back() == u'\0');
  }
}

// taskId is 0 while nothing is at work, the state a number that stays while nothing changes.
TEST_P(EnumLocalFileSystems, IsAtRestWhileNothingHappens) {
  Checks("DMRP-0088", "DMRP-0089");
  const auto first = List();
  for (const FILE_SYSTEM_INFO& file_system : first) EXPECT_EQ(file_system.taskId, 0) << ToText(file_system);
  EXPECT_EQ(List(), first);
}

// The list of storage objects stays as it is.
TEST_P(EnumLocalFileSystems, ChangesNothing) {
  Checks("DMRP-0877");
  const Observation before = ObserveAll(session());
  List();
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// Both revisions show the same objects.
TEST_P(EnumLocalFileSystems, ShowsTheSameThroughBothRevisions) {
  Checks("DMRP-0488", "DMRP-1631");
  const auto other =
      SessionOf(third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3).EnumLocalFileSystems();
  ASSERT_THAT(other, Succeeds());
  EXPECT_EQ(other->fileSystemList, List());
}

INSTANTIATE_TEST_SUITE_P(Both, EnumLocalFileSystems, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
