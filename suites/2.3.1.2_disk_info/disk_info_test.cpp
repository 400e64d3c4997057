// DISK_INFO (2.3.1.2) and DISK_INFO_EX (2.5.1.2): each member against the disk that was attached.
#include "harness/guest/guest.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <regex>

namespace dmrp::suites {
namespace {

// All kinds are attached to one machine at a time; each test looks at the disk of its kind.
const std::vector<DiskKind>& Kinds() {
  static const std::vector<DiskKind> kKinds = {kMbr512, kMbrOddChs, kMbr4Kn, kGpt3TiB, kReadOnly,
                                               kBlank,  kMbrUsb,    kMbrIde, kGpt4Kn};
  return kKinds;
}

class DiskInfo : public DiskKindTest {
 protected:
  void SetUp() override { StartShared("disk-info", Kinds()); }
  [[nodiscard]] std::size_t Index() const {
    return static_cast<std::size_t>(std::ranges::find(Kinds(), kind().name, &DiskKind::name) -
                                    Kinds().begin());
  }
  [[nodiscard]] harness::DiskSpec Attached() { return lab().bed().disks()[Index()].spec; }
  DISK_INFO_EX disk() { return DiskNow(session(), Index()); }
};

// length is the disk's size in bytes, whole or in whole cylinders.
TEST_P(DiskInfo, LengthIsTheSizeOfTheDisk) {
  Checks(third() ? "DMRP-0180" : "DMRP-0134");
  const auto size = static_cast<std::int64_t>(Attached().size);
  const DISK_INFO_EX info = disk();
  EXPECT_TRUE(info.length == size || info.length == size - size % info.bytesPerCylinder)
      << info.length << " of " << size;
}

// freeBytes is the sum of the free regions, regionCount the number of all.
TEST_P(DiskInfo, CountsRegionsAndFreeBytes) {
  Checks(third() ? "DMRP-0181" : "DMRP-0135", third() ? "DMRP-0185" : "DMRP-0139");
  std::int64_t free = 0;
  const auto regions = RegionsNow(session(), Index());
  for (const REGION_INFO_EX& region : regions) {
    free += harness::IsFree(region) ? region.length : 0;
  }
  EXPECT_EQ(disk().freeBytes, free);
  EXPECT_EQ(disk().regionCount, regions.size());
}

// The geometry: sectors of the size attached, tracks of whole sectors, cylinders of whole tracks; a geometry
// that the disk's own table shows is taken.
TEST_P(DiskInfo, HasTheGeometry) {
  Checks(third() ? "DMRP-0184" : "DMRP-0138", third() ? "DMRP-0182" : "DMRP-0136",
         third() ? "DMRP-0183" : "DMRP-0137");
  const DISK_INFO_EX info = disk();
  EXPECT_EQ(info.bytesPerSector, Attached().logical_sector);
  ASSERT_NE(info.bytesPerTrack, 0U);
  EXPECT_EQ(info.bytesPerTrack % info.bytesPerSector, 0U);
  ASSERT_NE(info.bytesPerCylinder, 0U);
  EXPECT_EQ(info.bytesPerCylinder % info.bytesPerTrack, 0U);
  if (Attached().geometry) {
    EXPECT_EQ(info.bytesPerTrack, Attached().geometry->sectors * info.bytesPerSector);
    EXPECT_EQ(info.bytesPerCylinder, Attached().geometry->heads * info.bytesPerTrack);
  }
}

// A hard disk is a basic disk; it is no CD, and has none of the CD's flags.
TEST_P(DiskInfo, IsABasicDisk) {
  Checks(third() ? "DMRP-0187" : "DMRP-0141", third() ? "DMRP-0186" : "DMRP-0140",
         third() ? "DMRP-0215" : "DMRP-0161");
  const DISK_INFO_EX info = disk();
  if (kind().style == PARTITIONSTYLE_UNKNOWN) {
    EXPECT_TRUE(info.deviceType == DEVICETYPE_FDISK || info.deviceType == DEVICETYPE_UNKNOWN)
        << info.deviceType;
  } else {
    EXPECT_EQ(info.deviceType, std::uint32_t{DEVICETYPE_FDISK});
  }
  EXPECT_EQ(info.dflags & (DISK_AUDIO_CD | DISK_NEC98), 0U);
}

// deviceState: healthy with a signature, DEVICESTATE_NOSIG without.
TEST_P(DiskInfo, TellsTheStateOfTheDevice) {
  Checks(third() ? "DMRP-0188" : "DMRP-0142", "DMRP-0023");
  const DISK_INFO_EX info = disk();
  if (kind().style == PARTITIONSTYLE_UNKNOWN) {
    EXPECT_NE(info.deviceState & DEVICESTATE_NOSIG, 0U) << std::hex << info.deviceState;
  } else {
    EXPECT_NE(info.deviceState & DEVICESTATE_HEALTHY, 0U) << std::hex << info.deviceState;
    EXPECT_EQ(info.deviceState & DEVICESTATE_NOSIG, 0U) << std::hex << info.deviceState;
  }
  EXPECT_EQ(info.deviceState & ~0x3FFU, 0U);
}

// busType is that of the bus on which the disk was attached.
TEST_P(DiskInfo, NamesTheBus) {
  Checks(third() ? "DMRP-0189" : "DMRP-0143");
  switch (Attached().bus) {
    case harness::DiskBus::kVirtioScsi:
    case harness::DiskBus::kLsi:
      EXPECT_EQ(disk().busType, std::uint32_t{BUSTYPE_SCSI});
      break;
    case harness::DiskBus::kUsb:
      EXPECT_EQ(disk().busType, std::uint32_t{BUSTYPE_USB});
      break;
    case harness::DiskBus::kIde:
    case harness::DiskBus::kAhci:
      EXPECT_EQ(disk().busType, std::uint32_t{BUSTYPE_IDE});
      break;
    case harness::DiskBus::kNvme:
    case harness::DiskBus::kFloppy:
      EXPECT_EQ(disk().busType, std::uint32_t{BUSTYPE_UNKNOWN});
      break;
  }
}

// attributes says whether the disk can be written.
TEST_P(DiskInfo, TellsWhetherItIsReadOnly) {
  Checks(third() ? "DMRP-0190" : "DMRP-0144");
  EXPECT_EQ(disk().attributes, Attached().read_only ? std::uint32_t{DEVICEATTR_RDONLY} : 0U);
}

// Disks with other than 512-byte sectors cannot become dynamic, nor can disks that are not basic and healthy.
TEST_P(DiskInfo, TellsWhetherItCanBecomeDynamic) {
  Checks(third() ? "DMRP-0192" : "DMRP-0145");
  const DISK_INFO_EX info = disk();
  if (info.bytesPerSector != 512 || kind().style == PARTITIONSTYLE_UNKNOWN) {
    EXPECT_FALSE(info.isUpgradeable);
  }
}

// No request is at work, so no task is named; lastKnownState is a state that methods accept.
TEST_P(DiskInfo, HasNoTask) {
  Checks(third() ? "DMRP-0202" : "DMRP-0150", third() ? "DMRP-0201" : "DMRP-0149", "DMRP-0493");
  EXPECT_EQ(disk().taskId, 0);
  EXPECT_EQ(disk().lastKnownState, disk().lastKnownState) << "it stays while nothing happens";
}

// name is a device name such as \device\Harddisk1; vendor and adapter names are null-terminated texts.
TEST_P(DiskInfo, HasNames) {
  Checks(third() ? "DMRP-0209" : "DMRP-0156", third() ? "DMRP-0203" : "DMRP-0151",
         third() ? "DMRP-0210" : "DMRP-0157", third() ? "DMRP-0204" : "DMRP-0152",
         third() ? "DMRP-0212" : "DMRP-0159", third() ? "DMRP-0206" : "DMRP-0154",
         third() ? "DMRP-0205" : "DMRP-0153", third() ? "DMRP-0207" : "DMRP-0155");
  const DISK_INFO_EX info = disk();
  EXPECT_TRUE(std::regex_match(harness::Text(info.name), std::regex(R"(\\{1,2}[Dd]evice\\[Hh]arddisk\d+)")))
      << harness::Text(info.name);
  for (const auto& [member, text] :
       {std::pair{"name", info.name}, std::pair{"vendor", info.vendor},
        std::pair{"adapterName", info.adapterName}, std::pair{"dgName", info.dgName}}) {
    if (!text || text->empty()) {
      continue;
    }
    EXPECT_EQ(text->find(u'\0'), text->size() - 1) << member << " has one null, at its end";
  }
  EXPECT_FALSE(harness::Text(info.vendor).empty()) << "the disk has a model name";
  if (info.dgid && !info.dgid->empty()) {
    EXPECT_EQ(info.dgid->back(), std::byte{});
  }
  EXPECT_EQ(harness::Text(info.dgName), "") << "a basic disk is in no disk group";
}

INSTANTIATE_TEST_SUITE_P(Kinds, DiskInfo,
                         ::testing::ValuesIn(Setups({kMbr512, kMbrOddChs, kMbr4Kn, kGpt3TiB, kReadOnly,
                                                     kBlank, kMbrUsb, kMbrIde})),
                         SetupName());

class DiskInfoEx : public DiskInfo {};

// partitionStyle and the union's identity are those on disk.
TEST_P(DiskInfoEx, HasTheStyleAndIdentityOnDisk) {
  Checks("DMRP-0194", "DMRP-0195", "DMRP-0177",
         kind().style == PARTITIONSTYLE_GPT ? "DMRP-0197" : "DMRP-0196");
  const DISK_INFO_EX info = disk();
  const harness::DiskLayout layout = LayoutOf(Index());
  EXPECT_EQ(info.partitionStyle, kind().style);
  EXPECT_EQ(info.mbr.has_value(), info.partitionStyle == PARTITIONSTYLE_MBR);
  EXPECT_EQ(info.gpt.has_value(), info.partitionStyle == PARTITIONSTYLE_GPT);
  if (info.mbr) {
    EXPECT_EQ(info.mbr->signature, layout.signature);
  }
  if (info.gpt) {
    EXPECT_EQ(info.gpt->diskId, layout.disk_guid);
  }
}

// An MBR holds four partitions and more by its extended one, a GPT as many as its header says.
TEST_P(DiskInfoEx, TellsHowManyPartitionsItCanHave) {
  Checks("DMRP-0191");
  const DISK_INFO_EX info = disk();
  if (kind().style == PARTITIONSTYLE_MBR) {
    EXPECT_GE(info.maxPartitionCount, 4U);
  }
  if (kind().style == PARTITIONSTYLE_GPT) {
    EXPECT_EQ(info.maxPartitionCount, 128U) << "the entries of the GPT attached";
  }
}

// devInstId is the path of the device with its class GUID at the end.
TEST_P(DiskInfoEx, HasADeviceInstancePath) {
  Checks("DMRP-0214", "DMRP-0208");
  const std::string path = harness::Text(disk().devInstId);
  EXPECT_TRUE(std::regex_match(
      path, std::regex(R"(\\\\\?\\[^\\]+#\{53f56307-b6bf-11d0-94f2-00a0c91efb8b\})", std::regex::icase)))
      << path;
}

INSTANTIATE_TEST_SUITE_P(Kinds, DiskInfoEx,
                         ::testing::Values(Setup{Revision::kIVolumeClient3, kMbr512},
                                           Setup{Revision::kIVolumeClient3, kBlank},
                                           Setup{Revision::kIVolumeClient3, kGpt3TiB},
                                           Setup{Revision::kIVolumeClient3, kGpt4Kn}),
                         SetupName());

class DiskAddress : public RevisionTest {};

// Where the bus tells port, target and LUN, they are those of the device in its machine; names and paths are
// distinct.
TEST_P(DiskAddress, IsThatOfTheDevice) {
  const bool third = GetParam() == Revision::kIVolumeClient3;
  Checks(third ? "DMRP-0198" : "DMRP-0146", third ? "DMRP-0199" : "DMRP-0147",
         third ? "DMRP-0200" : "DMRP-0148", third ? "DMRP-0209" : "DMRP-0156");
  StartShared("two-mbr-disks-512", {kMbr512, kMbr512e});
  const DISK_INFO_EX one = DiskNow(session(), 0);
  const DISK_INFO_EX two = DiskNow(session(), 1);
  EXPECT_NE(harness::Text(one.name), harness::Text(two.name));
  if (third) {
    EXPECT_NE(harness::Text(one.devInstId), harness::Text(two.devInstId));
  }
  EXPECT_FALSE(one.portNumber == two.portNumber && one.targetNumber == two.targetNumber &&
               one.lunNumber == two.lunNumber)
      << "two disks at one address";
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) {
    return;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const DISK_INFO_EX disk = DiskNow(session(), i);
    // .../host2/target2:0:1/2:0:1:0
    const std::string link =
        Need(guest->agent().Shell("readlink -f /sys/block/" + guest->disks()[i].guest_device + "/device"));
    std::smatch match;
    ASSERT_TRUE(std::regex_search(link, match, std::regex(R"((\d+):(\d+):(\d+):(\d+)\s*$)"))) << link;
    EXPECT_EQ(disk.portNumber, std::stoi(match[1])) << link;
    EXPECT_EQ(disk.targetNumber, std::stoi(match[3])) << link;
    EXPECT_EQ(disk.lunNumber, std::stoi(match[4])) << link;
  }
}

INSTANTIATE_TEST_SUITE_P(Both, DiskAddress, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
