// REGION_INFO (2.3.1.3) and REGION_INFO_EX (2.5.1.3): members against partition tables made with independent
// tools.
#include "suites/support/conformance_test.hpp"
#include "suites/support/partition_layout.hpp"

#include <algorithm>
#include <set>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

// One partition for each of several type bytes; logical drives carry what the four entries cannot.
constexpr std::string_view kTypes = R"(label: dos
start=2048, size=2048, type=1
start=4096, size=2048, type=4, bootable
start=6144, size=2048, type=a
start=8192, size=65536, type=5
start=10240, size=2048, type=b
start=14336, size=2048, type=42
start=18432, size=2048, type=7
start=22528, size=2048, type=12
start=26624, size=2048, type=83
)";

class MbrRegionInfo : public RevisionTest {
 protected:
  void SetUp() override { StartSharedWith("type-bytes", {{kBlank.Spec(), Table(std::string(kTypes))}}); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
};

// partitionType is the byte found on disk, listed in the specification or not.
TEST_P(MbrRegionInfo, HasTheTypeByteOnDisk) {
  Checks(third() ? "DMRP-0228" : "DMRP-0170", "DMRP-0130");
  const auto regions = RegionsNow(session());
  ASSERT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
  std::multiset<std::uint32_t> types;
  for (const REGION_INFO_EX& region : regions) {
    if (!harness::IsFree(region)) {
      types.insert(region.mbr->partitionType);
    }
  }
  EXPECT_EQ(types, (std::multiset<std::uint32_t>{0x01, 0x04, 0x05, 0x07, 0x0A, 0x0B, 0x12, 0x42, 0x83}));
}

// isActive is the boot indicator.
TEST_P(MbrRegionInfo, HasTheBootIndicatorOnDisk) {
  Checks(third() ? "DMRP-0229" : "DMRP-0171");
  const auto regions = RegionsNow(session());
  EXPECT_EQ(std::ranges::count_if(
                regions, [](const REGION_INFO_EX& region) { return region.mbr && region.mbr->isActive; }),
            1);
  EXPECT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
}

// Start and length are those of the table's entries.
TEST_P(MbrRegionInfo, HasThePlaceOnDisk) {
  Checks(third() ? "DMRP-0223" : "DMRP-0167", third() ? "DMRP-0224" : "DMRP-0168",
         third() ? "DMRP-0225" : "DMRP-0169");
  EXPECT_THAT(Disagreements(RegionsNow(session()), LayoutOf()), IsEmpty());
}

// rflags has defined bits only, and none of them is true of these partitions; status is one of REGIONSTATUS,
// and fine.
TEST_P(MbrRegionInfo, HasNoFlagsWithoutReason) {
  Checks(third() ? "DMRP-0236" : "DMRP-0175", third() ? "DMRP-0233" : "DMRP-0172", "DMRP-0038", "DMRP-0023");
  constexpr std::uint32_t kNeverHere =
      REGION_FORMAT_IN_PROGRESS | REGION_IS_SYSTEM_PARTITION | REGION_HAS_PAGEFILE | REGION_HAD_BOOT_INI;
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    EXPECT_EQ(region.rflags & kNeverHere, 0U) << ToText(region);
    EXPECT_EQ(region.status, REGIONSTATUS_OK) << ToText(region);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, MbrRegionInfo, kBothRevisions, RevisionName());

constexpr std::string_view kGptTypes = R"(label: gpt
label-id: 0FC63DAF-8483-4772-8E79-3D69D8477D00
start=2048, size=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI system partition"
start=4096, size=2048, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name="Microsoft reserved partition"
start=6144, size=2048, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name="Größe und 値", attrs="GUID:63 GUID:60"
start=8192, size=2048, type=5808C8AA-7E8F-42E0-85D2-E1E90434CFB3
start=10240, size=2048, type=AF9B60A0-1431-4F62-BC68-3311714A69AD
start=12288, size=2048, type=DE94BBA4-06D1-4D40-A16A-BFD50179D6AC, name="recovery", attrs="RequiredPartition"
)";

class GptRegionInfo : public ConformanceTest {
 protected:
  void SetUp() override { StartSharedWith("gpt-types", {{kBlank.Spec(), Table(std::string(kGptTypes))}}); }
  Session& session() { return SessionOf(Revision::kIVolumeClient3); }
};

// Type, identity and attributes of each entry are those on disk.
TEST_F(GptRegionInfo, HasTheEntrysTypeIdentityAndAttributes) {
  Checks("DMRP-0230", "DMRP-0231", "DMRP-0232", "DMRP-0227", "DMRP-0226", "DMRP-0177");
  const auto regions = RegionsNow(session());
  EXPECT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
  for (const REGION_INFO_EX& region : regions) {
    EXPECT_EQ(region.partitionStyle, PARTITIONSTYLE_GPT) << ToText(region);
  }
}

// name is the entry's name, null-terminated, characters beyond ASCII included.
TEST_F(GptRegionInfo, HasTheEntrysName) {
  Checks("DMRP-0239", "DMRP-0238");
  const auto regions = RegionsNow(session());
  auto named = std::ranges::find(regions, std::int64_t{6144} * 512, &REGION_INFO_EX::start);
  ASSERT_NE(named, regions.end());
  EXPECT_EQ(harness::Text(named->name), "Größe und 値");
  EXPECT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
}

// Every region that is no free space is one of the entries, with its number.
TEST_F(GptRegionInfo, NumbersPartitions) {
  Checks("DMRP-0237", "DMRP-0225", "DMRP-0223", "DMRP-0224");
  const harness::DiskLayout layout = LayoutOf();
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    if (harness::IsFree(region)) {
      continue;
    }
    const auto* partition = layout.FindAt(static_cast<std::uint64_t>(region.start));
    ASSERT_NE(partition, nullptr) << ToText(region);
    EXPECT_EQ(region.currentPartitionNumber, partition->number) << ToText(region);
  }
}

}  // namespace
}  // namespace dmrp::suites
