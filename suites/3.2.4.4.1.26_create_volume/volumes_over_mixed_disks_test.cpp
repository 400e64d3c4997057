// Volumes whose members lie on disks of different sectors, tables and sizes: made (3.2.4.4.1.26), mirrored
// (3.2.4.4.1.32), split (3.2.4.4.1.34), with a column replaced (3.2.4.4.1.42).
#include "suites/support/volume_data.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kSeed = 26;

struct MixedDisk {
  const char* spec;
  PARTITIONSTYLE style;
};

// Disks 0 to 3. The last is as disk 2 is: what a column can be made anew on.
constexpr MixedDisk kDisks[] = {{"size=64M", PARTITIONSTYLE_MBR},
                                {"size=72M", PARTITIONSTYLE_GPT},
                                {"size=80M,sector=4096", PARTITIONSTYLE_GPT},
                                {"size=88M,sector=4096", PARTITIONSTYLE_MBR}};

class VolumesOverMixedDisks : public VolumeDataTest {
 protected:
  // A GPT is asked for with InitializeDiskEx.
  void SetUp() override {
    std::vector<BedDiskRequest> disks;
    for (const MixedDisk& disk : kDisks) disks.push_back({harness::ParseDiskSpec(disk.spec).value(), {}});
    StartWith(std::move(disks));
    for (std::size_t i = 0; i < std::size(kDisks); ++i) {
      const DISK_INFO_EX disk = DiskNow(session(), i);
      const auto reply = InitializeDisk(session(), disk.id, disk.lastKnownState, kDisks[i].style);
      [&] { ASSERT_THAT(reply, Succeeds()) << kDisks[i].spec; }();
    }
  }
  Session& session() { return SessionOf(Revision::kIVolumeClient3); }
  // The only volume on the disks has that type and what was written to it, and every structure is sound.
  void ExpectOnDisk(harness::DynamicVolumeType type, std::uint64_t seed) {
    const GroupImages now = GroupImagesNow();
    EXPECT_THAT(now.layout.problems, IsEmpty());
    ASSERT_THAT(now.layout.groups, SizeIs(1));
    ASSERT_THAT(now.layout.groups[0].volumes, SizeIs(1));
    const harness::DynamicVolume& volume = now.layout.groups[0].volumes[0];
    EXPECT_EQ(volume.type, type);
    EXPECT_THAT(PatternProblemsOnDisk(now.layout.groups[0], volume, seed), IsEmpty());
  }
};

// Each layout over disks of both sectors.
TEST_F(VolumesOverMixedDisks, AreMadeInEachLayout) {
  Checks("DMRP-0959", "DMRP-0041", "DMRP-0046", "DMRP-0048");
  const VolumeShape shapes[] = {
      {"SimpleOnGpt4Kn", VOLUMELAYOUT_SIMPLE, {{2, MiB(16)}}, MiB(16)},
      {"Spanned", VOLUMELAYOUT_SPANNED, {{3, MiB(8)}, {0, MiB(12)}, {2, MiB(9)}}, MiB(29)},
      {"Striped", VOLUMELAYOUT_STRIPE, {{1, MiB(8)}, {2, MiB(8)}, {3, MiB(8)}}, MiB(24)},
      {"Mirrored", VOLUMELAYOUT_MIRROR, {{0, MiB(8)}, {2, MiB(8)}}, MiB(8)},
      {"Raid5", VOLUMELAYOUT_RAID5, {{0, MiB(8)}, {1, MiB(8)}, {2, MiB(8)}, {3, MiB(8)}}, MiB(24)},
  };
  std::uint64_t seed = kSeed;
  for (const VolumeShape& shape : shapes) {
    SCOPED_TRACE(shape.name);
    const VOLUME_INFO volume = Make(session(), shape);
    EXPECT_EQ(volume.layout, shape.layout);
    EXPECT_EQ(volume.length, shape.length);
    WritePattern(session(), volume.id, ++seed);
    ExpectOnDisk(TypeOnDisk(shape.layout), seed);
    ASSERT_THAT(DeleteVolume(session(), volume.id, VolumeNow(session(), volume.id).lastKnownState),
                Succeeds());
  }
  EXPECT_THAT(BrokenInvariants({}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// A volume on a GPT disk gets its copy on one of 4096-octet sectors, which is a volume by itself later.
TEST_F(VolumesOverMixedDisks, GetAMirrorThatIsSplitAgain) {
  Checks("DMRP-1054", "DMRP-1055", "DMRP-1093", "DMRP-1096");
  const LdmObjectId volume = Make(session(), {"Simple", VOLUMELAYOUT_SIMPLE, {{1, MiB(16)}}, MiB(16)}).id;
  WritePattern(session(), volume, kSeed);
  const std::uint64_t mark = session().sink().Count();
  ASSERT_THAT(session().Change<AddMirrorReply>(session().interface(), "AddMirror",
                                               MirrorRequest(session(), volume, 3)),
              Succeeds());
  AwaitHealthy(session(), volume, mark);
  ExpectOnDisk(harness::DynamicVolumeType::kMirrored, kSeed);
  WritePattern(session(), volume, kSeed + 1);
  ASSERT_THAT(session().Change<SplitMirrorReply>(session().interface(), "SplitMirror",
                                                 SplitRequest(session(), volume, lab().DiskId(3))),
              Succeeds());
  const std::vector<VOLUME_INFO> halves = VolumesNow(session());
  ASSERT_THAT(halves, SizeIs(2));
  for (const VOLUME_INFO& half : halves) {
    EXPECT_EQ(half.layout, VOLUMELAYOUT_SIMPLE);
    EXPECT_EQ(half.status, VOLUME_STATUS_HEALTHY);
    EXPECT_THAT(PatternProblems(half.id, kSeed + 1), IsEmpty());
  }
  const GroupImages now = GroupImagesNow();
  for (const harness::DynamicVolume& half : now.layout.groups.at(0).volumes) {
    EXPECT_THAT(PatternProblemsOnDisk(now.layout.groups[0], half, kSeed + 1), IsEmpty());
  }
  EXPECT_THAT(BrokenInvariants({}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// The column of a disk of 512-octet sectors is made anew on one of 4096.
TEST_F(VolumesOverMixedDisks, GetAColumnOfOtherSectors) {
  Checks("DMRP-1241", "DMRP-1244", "DMRP-0041");
  NeedsCapability("attach");
  const VolumeShape shape{"Raid5", VOLUMELAYOUT_RAID5, {{0, MiB(8)}, {1, MiB(8)}, {2, MiB(8)}}, MiB(16)};
  const LdmObjectId volume = Make(session(), shape).id;
  WritePattern(session(), volume, kSeed);
  const LdmObjectId new_disk = lab().DiskId(3);
  PullDisk(session(), 1, volume, VOLUME_STATUS_FAILED_REDUNDANCY);
  WritePattern(session(), volume, kSeed + 1);
  const std::uint64_t mark = session().sink().Count();
  ASSERT_THAT(session().Change<ReplaceRaid5ColumnReply>(session().interface(), "ReplaceRaid5Column",
                                                        ColumnRequest(session(), volume, new_disk)),
              Succeeds());
  AwaitHealthy(session(), volume, mark);
  ExpectOnDisk(harness::DynamicVolumeType::kRaid5, kSeed + 1);
  EXPECT_THAT(PatternProblems(volume, kSeed + 1), IsEmpty());
}

}  // namespace
}  // namespace dmrp::suites
