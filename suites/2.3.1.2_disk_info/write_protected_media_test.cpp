// Media that say that they are read-only: the disk shows it, and no method writes to them.
#include "suites/support/formatting.hpp"

#include <algorithm>
#include <tuple>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

struct Medium {
  const char* name;
  const char* spec;
  const char* table;  ///< script for sfdisk; null: the medium is as the spec says
};

class WriteProtectedMedia : public FormatTest,
                            public ::testing::WithParamInterface<std::tuple<Revision, Medium>> {
 protected:
  void SetUp() override {
    NeedsCapability("media");
    StartSharedWith(std::string("write-protected-") + medium().name,
                    {{harness::ParseDiskSpec(medium().spec).value(),
                      medium().table == nullptr ? harness::PrepareImage() : Table(medium().table)}});
  }
  Session& session() { return SessionOf(std::get<0>(GetParam())); }
  [[nodiscard]] bool third() const { return std::get<0>(GetParam()) == Revision::kIVolumeClient3; }
  [[nodiscard]] const Medium& medium() const { return std::get<1>(GetParam()); }
  /// What lies on the medium, without its free space.
  std::vector<REGION_INFO_EX> Used() {
    auto regions = RegionsNow(session());
    std::erase_if(regions, [](const REGION_INFO_EX& region) { return region.regionType == REGION_FREE; });
    return regions;
  }
};

// DISK_INFO.attributes has the bit, with the medium's content in the list as ever.
TEST_P(WriteProtectedMedia, AreShownAsReadOnly) {
  EXPECT_THAT(Used(), Not(IsEmpty()));
  Checks(third() ? "DMRP-0190" : "DMRP-0144");
  EXPECT_EQ(DiskNow(session()).attributes, std::uint32_t{DEVICEATTR_RDONLY});
}

// Formatting comes to nothing, quick or full, forced or not.
TEST_P(WriteProtectedMedia, AreNotFormatted) {
  Checks("DMRP-0892", "DMRP-0443", third() ? "DMRP-1634" : "DMRP-0892");
  const Observation before = ObserveAll(session());
  for (const REGION_INFO_EX& region : Used()) {
    for (const bool quick : {true, false}) {
      for (const bool force : {false, true}) {
        ExpectFails(session(), FormatOf(RegionNow(session(), region.id),
                                        FileSystemSpec(FSTYPE_FAT, 512, u"WRITTEN"), quick, force));
      }
    }
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  for (const REGION_INFO_EX& region : Used()) {
    EXPECT_NE(OnDisk(region).label, "WRITTEN");
  }
}

// Neither are partitions made, deleted or marked, nor is the table written anew.
TEST_P(WriteProtectedMedia, KeepTheirTable) {
  Checks("DMRP-0606", "DMRP-0612", "DMRP-1560");
  const Observation before = ObserveAll(session());
  const DISK_INFO_EX disk = DiskNow(session());
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    if (region.regionType == REGION_FREE) {
      EXPECT_THAT(session().CreatePartition(Spec(region, REGION_PRIMARY, region.start, MiB(1))), Refused());
    } else {
      EXPECT_THAT(session().DeletePartition(SpecOf(region), true), Refused());
      EXPECT_THAT(session().MarkActivePartition(region.id, region.lastKnownState), Refused());
    }
  }
  EXPECT_THAT(session().WriteSignature(disk.id, disk.lastKnownState), Refused());
  if (third()) {
    for (const PARTITIONSTYLE style : {PARTITIONSTYLE_MBR, PARTITIONSTYLE_GPT}) {
      EXPECT_THAT(session().InitializeDiskStyle(disk.id, style, disk.lastKnownState), Refused());
    }
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, WriteProtectedMedia,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Medium{"Floppy", "bus=floppy,read-only=yes,filesystem=fat12", nullptr},
            Medium{"RemovableMbr", "size=76M,media=removable,read-only=yes",
                   "label: dos\nstart=2048, size=16384, type=6\nstart=20480, size=16384, type=7\n"},
            Medium{"UsbStick", "size=24M,bus=usb,media=removable,read-only=yes,filesystem=fat16", nullptr},
            Medium{"Cd", "size=24M,media=cdrom,filesystem=iso9660", nullptr})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
