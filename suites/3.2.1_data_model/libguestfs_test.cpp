// Basic disks, and a disk group merged from two, as libguestfs finds them: partitions, volumes, file systems
// and the volumes' octets are those that the clients' methods made and list.
#include "harness/disks/geometry_matrix.hpp"
#include "harness/guest/sha256.hpp"
#include "harness/layout/guestfs_reader.hpp"
#include "harness/layout/volume_pattern.hpp"
#include "suites/support/disk_group_merge.hpp"
#include "suites/support/formatting.hpp"
#include "suites/support/partition_layout.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class Libguestfs : public MergeTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
  LdmObjectId MakePartition(std::size_t disk, REGIONTYPE type, std::int64_t length,
                            REGIONTYPE in = REGION_FREE) {
    const REGION_INFO_EX free = FreeRegion(session(), disk, length, in);
    const auto made = session().CreatePartition(Spec(free, type, free.start, length));
    [&] { ASSERT_THAT(made, Succeeds()); }();
    const auto regions = RegionsNow(session(), disk);
    const auto found = std::ranges::find_if(regions, [&](const REGION_INFO_EX& region) {
      return region.start == free.start && region.regionType == type;
    });
    [&] { ASSERT_NE(found, regions.end()); }();
    return found->id;
  }
  void FormatPartition(std::size_t disk, LdmObjectId id, const FILE_SYSTEM_INFO& spec) {
    const auto regions = RegionsNow(session(), disk);
    const auto region = std::ranges::find(regions, id, &REGION_INFO_EX::id);
    [&] { ASSERT_NE(region, regions.end()); }();
    const std::uint64_t mark = session().sink().Count();
    const auto reply = session().Format(FormatOf(*region, spec));
    [&] { ASSERT_THAT(reply, StartsTask()); }();
    EXPECT_EQ(AwaitTask(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  }
  void MergeForeignGroup() {
    DiskMergeQueryRequest question;
    question.dgid = ForeignId(session());
    for (const harness::DynamicMember& disk : ForeignNow().disks) {
      question.diskList.push_back(lab().DiskId(kForeign + question.diskList.size()));
      EXPECT_TRUE(disk.present);
    }
    const auto told = Query(session(), question);
    [&] { ASSERT_THAT(told, Succeeds()); }();
    [&] { ASSERT_THAT(Merge(session(), Confirm(question, told.value)), Succeeds()); }();
  }
};

// Every subdisk on a disk of the group, by place.
std::vector<harness::OctetRun> SubdisksOn(const harness::DynamicGroup& group, const std::string& disk) {
  std::vector<harness::OctetRun> runs;
  for (const harness::DynamicVolume& volume : group.volumes) {
    for (const harness::DynamicPlex& plex : volume.plexes) {
      for (const harness::DynamicExtent& extent : plex.extents) {
        if (extent.disk == disk) runs.push_back({extent.start.value_or(0), extent.length});
      }
    }
  }
  std::ranges::sort(runs);
  return runs;
}

std::string GuestfsTypeOf(const FILE_SYSTEM_INFO& system) {
  return system.fsType == FSTYPE_NTFS ? "ntfs" : "vfat";
}

// One look at everything: the appliance and its programs take a minute without hardware acceleration.
TEST_P(Libguestfs, FindsWhatClientsMadeAndList) {
  NeedsCapability("images");
  std::vector<BedDiskRequest> requests = Disks(GroupRequests(kForeignComplete));
  const std::size_t mbr = requests.size();
  const std::size_t gpt = mbr + 1;
  requests.push_back({harness::ParseDiskSpec("size=64M,label=mbr").value(), {}});
  requests.push_back({harness::ParseDiskSpec("size=60M,label=gpt").value(), {}});
  StartWith(std::move(requests));
  for (const std::size_t disk : {mbr, gpt}) {
    FormatPartition(disk, MakePartition(disk, REGION_PRIMARY, MiB(8)),
                    FileSystemSpec(FSTYPE_NTFS, 4096, u"NTFS \u00fc"));
    FormatPartition(disk, MakePartition(disk, REGION_PRIMARY, MiB(9)),
                    FileSystemSpec(FSTYPE_FAT, 2048, u"SECOND"));
  }
  MakePartition(mbr, REGION_EXTENDED, MiB(24));
  FormatPartition(mbr, MakePartition(mbr, REGION_LOGICAL, MiB(10), REGION_EXTENDED_FREE),
                  FileSystemSpec(FSTYPE_FAT, 4096, u"LOGICAL"));
  MakeOurs(session());
  MergeForeignGroup();

  const Observation now = ObserveAll(session());
  std::vector<std::filesystem::path> images;
  std::vector<harness::DynamicImage> dynamic;
  for (std::size_t i = 0; i < lab().bed().disks().size(); ++i) {
    const BedDisk& disk = lab().bed().disks().at(i);
    images.push_back(now.images.at(disk.id)->path());
    if (i != kBasic && i < mbr) dynamic.push_back({images.back(), disk.spec.logical_sector});
  }
  const harness::GuestfsObservation seen = Need(harness::ReadWithLibguestfs(images));

  Checks("DMRP-0612", "DMRP-0896", "DMRP-0522");
  for (const std::size_t disk : {mbr, gpt}) {
    const std::vector<REGION_INFO_EX>& regions = now.view.RegionsOf(lab().DiskId(disk));
    const harness::GuestfsDisk& found = seen.disks.at(disk);
    EXPECT_THAT(Disagreements(regions, found.layout), IsEmpty());
    std::size_t formatted = 0;
    for (const REGION_INFO_EX& region : regions) {
      const FILE_SYSTEM_INFO* system = now.view.FileSystemOf(region.id);
      if (system == nullptr) continue;
      SCOPED_TRACE(ToText(region));
      const harness::DiskPartition* partition = found.layout.FindAt(static_cast<std::uint64_t>(region.start));
      ASSERT_NE(partition, nullptr);
      ASSERT_TRUE(found.file_systems.contains(partition->number));
      EXPECT_EQ(found.file_systems.at(partition->number).type, GuestfsTypeOf(*system));
      EXPECT_EQ(found.file_systems.at(partition->number).label, LabelOf(*system));
      ++formatted;
    }
    EXPECT_EQ(formatted, disk == mbr ? 3U : 2U);
  }

  Checks("DMRP-1208", "DMRP-1209", "DMRP-1218", "DMRP-0932");
  const harness::DynamicObservation groups = Need(harness::ObserveDynamic(dynamic));
  EXPECT_THAT(groups.dissents, IsEmpty());
  ASSERT_THAT(groups.layout.groups, SizeIs(1)) << "one group is left";
  const harness::DynamicGroup& group = groups.layout.groups[0];
  for (const harness::DynamicMember& disk : group.disks) {
    const auto place = static_cast<std::size_t>(std::ranges::find(images, disk.image) - images.begin());
    if (seen.disks.at(place).layout.style != harness::TableStyle::kMbr) continue;
    EXPECT_EQ(seen.disks.at(place).kernel_partitions, SubdisksOn(group, disk.name)) << disk.name;
  }
  ASSERT_THAT(seen.volumes, SizeIs(group.volumes.size()));
  ASSERT_TRUE(now.view.volumes);
  EXPECT_THAT(*now.view.volumes, SizeIs(group.volumes.size()));
  for (const harness::GuestfsVolume& volume : seen.volumes) {
    SCOPED_TRACE(volume.name);
    EXPECT_EQ(volume.group, group.name);
    const harness::DynamicVolume* expected = group.FindVolume(volume.name);
    ASSERT_NE(expected, nullptr);
    EXPECT_EQ(volume.type, expected->type);
    EXPECT_EQ(volume.size, expected->size);
    EXPECT_EQ(volume.hint, expected->hint.value_or(""));
    const Bytes octets = Need(harness::ReadThroughMembers(group, *expected, 0, expected->size));
    EXPECT_EQ(volume.sha256, harness::Sha256({reinterpret_cast<const char*>(octets.data()), octets.size()}));
    const VOLUME_INFO* listed = ObjectOf(now.view, *expected);
    ASSERT_NE(listed, nullptr);
    EXPECT_EQ(LayoutOnWire(volume.type), listed->layout);
    EXPECT_EQ(volume.size, static_cast<std::uint64_t>(listed->length));
    if (const FILE_SYSTEM_INFO* system = now.view.FileSystemOf(listed->id);
        system != nullptr && system->fsType != FSTYPE_UNKNOWN) {
      EXPECT_EQ(volume.file_system.type, GuestfsTypeOf(*system));
      EXPECT_EQ(volume.file_system.label, LabelOf(*system));
    } else {
      EXPECT_EQ(volume.file_system.type, "");
    }
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Libguestfs);
INSTANTIATE_TEST_SUITE_P(Full, Libguestfs,
                         ::testing::ValuesIn(harness::TakesEveryRow()
                                                 ? std::vector<Revision>{Revision::kIVolumeClient3}
                                                 : std::vector<Revision>{}),
                         RevisionName());

}  // namespace
}  // namespace dmrp::suites
