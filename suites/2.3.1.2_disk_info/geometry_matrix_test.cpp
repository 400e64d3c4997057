// DISK_INFO (2.3.1.2) and DISK_INFO_EX (2.5.1.2) of every disk and drive in vms/geometries.toml: a few of
// them in each run, all with ci/certify --full.
#include "harness/disks/geometry_matrix.hpp"

#include "harness/guest/guest.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <map>
#include <regex>

namespace dmrp::suites {
namespace {

using harness::DiskMedia;
using harness::MatrixRow;
using ::testing::Contains;

struct MatrixCase {
  MatrixRow row;
  Revision revision;

  friend void PrintTo(const MatrixCase& each, std::ostream* out) {
    *out << harness::ToString(each.revision) << ", " << ToText(each.row.spec);
  }
};

std::vector<MatrixCase> Cases() {
  std::vector<MatrixCase> cases;
  const auto rows = harness::ChosenMatrix();
  // Without rows GoogleTest fails the suite for having no instances.
  for (const MatrixRow& row : rows ? *rows : std::vector<MatrixRow>()) {
    cases.push_back({row, Revision::kIVolumeClient});
    cases.push_back({row, Revision::kIVolumeClient3});
  }
  return cases;
}

using Constants = std::map<std::string, std::uint32_t>;

const Constants& Buses() {
  static const Constants kNames = {{"UNKNOWN", BUSTYPE_UNKNOWN}, {"IDE", BUSTYPE_IDE}, {"SCSI", BUSTYPE_SCSI},
                                   {"FIBRE", BUSTYPE_FIBRE},     {"USB", BUSTYPE_USB}, {"SSA", BUSTYPE_SSA},
                                   {"1394", BUSTYPE_1394}};
  return kNames;
}
const Constants& Types() {
  static const Constants kNames = {{"UNKNOWN", DEVICETYPE_UNKNOWN},     {"VM", DEVICETYPE_VM},
                                   {"REMOVABLE", DEVICETYPE_REMOVABLE}, {"CDROM", DEVICETYPE_CDROM},
                                   {"FDISK", DEVICETYPE_FDISK},         {"DVD", DEVICETYPE_DVD}};
  return kNames;
}
const Constants& States() {
  static const Constants kNames = {{"HEALTHY", DEVICESTATE_HEALTHY},     {"NO_MEDIA", DEVICESTATE_NO_MEDIA},
                                   {"NOSIG", DEVICESTATE_NOSIG},         {"BAD", DEVICESTATE_BAD},
                                   {"NOT_READY", DEVICESTATE_NOT_READY}, {"FAILING", DEVICESTATE_FAILING}};
  return kNames;
}
const Constants& Styles() {
  static const Constants kNames = {
      {"UNKNOWN", PARTITIONSTYLE_UNKNOWN}, {"MBR", PARTITIONSTYLE_MBR}, {"GPT", PARTITIONSTYLE_GPT}};
  return kNames;
}

std::vector<std::uint32_t> Values(const Constants& constants, const std::vector<std::string>& names) {
  std::vector<std::uint32_t> values;
  for (const std::string& name : names) {
    values.push_back(constants.at(name));
  }
  return values;
}

class GeometryMatrix : public ConformanceTest, public ::testing::WithParamInterface<MatrixCase> {
 protected:
  void SetUp() override { StartSharedWith("matrix-" + row().spec.name, {{row().spec, {}}}); }
  [[nodiscard]] const MatrixRow& row() const { return GetParam().row; }
  [[nodiscard]] bool third() const { return GetParam().revision == Revision::kIVolumeClient3; }
  [[nodiscard]] bool cd() const { return row().spec.media == DiskMedia::kCdrom; }
  Session& session() { return SessionOf(GetParam().revision); }

  void CheckKind(const DISK_INFO_EX& info);
  void CheckSize(const DISK_INFO_EX& info);
  void CheckIdentity(const DISK_INFO_EX& info);
};

// busType, deviceType, deviceState and attributes are those of the drive and of the medium in it.
void GeometryMatrix::CheckKind(const DISK_INFO_EX& info) {
  Checks(third() ? "DMRP-0189" : "DMRP-0143", third() ? "DMRP-0187" : "DMRP-0141",
         third() ? "DMRP-0188" : "DMRP-0142", third() ? "DMRP-0190" : "DMRP-0144");
  EXPECT_THAT(Values(Buses(), row().bus), Contains(info.busType));
  EXPECT_THAT(Values(Types(), row().type), Contains(info.deviceType));
  // DISK_INFO cannot name a GPT: what state such a disk is in is the server's to say there.
  if (third() || row().spec.label != harness::DiskLabel::kGpt) {
    EXPECT_THAT(Values(States(), row().state), Contains(info.deviceState));
  }
  if (row().spec.medium) {
    EXPECT_EQ((info.attributes & DEVICEATTR_RDONLY) != 0, row().spec.read_only || cd());
  }
  EXPECT_EQ(info.attributes & ~std::uint32_t{DEVICEATTR_RDONLY | DEVICEATTR_NTMS}, 0U);
}

// length is the disk's size in bytes, whole or in whole cylinders; sectors, tracks and cylinders are whole.
void GeometryMatrix::CheckSize(const DISK_INFO_EX& info) {
  Checks(third() ? "DMRP-0180" : "DMRP-0134", third() ? "DMRP-0184" : "DMRP-0138",
         third() ? "DMRP-0182" : "DMRP-0136", third() ? "DMRP-0183" : "DMRP-0137",
         third() ? "DMRP-0181" : "DMRP-0135");
  if (!row().spec.medium) {
    EXPECT_EQ(info.length, 0);
    return;
  }
  const auto size = static_cast<std::int64_t>(row().spec.size);
  EXPECT_EQ(info.bytesPerSector, row().spec.logical_sector);
  ASSERT_NE(info.bytesPerTrack, 0U);
  EXPECT_EQ(info.bytesPerTrack % info.bytesPerSector, 0U);
  ASSERT_NE(info.bytesPerCylinder, 0U);
  EXPECT_EQ(info.bytesPerCylinder % info.bytesPerTrack, 0U);
  EXPECT_TRUE(info.length == size || info.length == size - size % info.bytesPerCylinder)
      << info.length << " of " << size;
  EXPECT_GE(info.freeBytes, 0);
  EXPECT_LE(info.freeBytes, info.length);
  if (row().spec.geometry) {
    EXPECT_EQ(info.bytesPerTrack, row().spec.geometry->sectors * info.bytesPerSector);
    EXPECT_EQ(info.bytesPerCylinder, row().spec.geometry->heads * info.bytesPerTrack);
  }
}

// Names, the place on the bus, and the identity that the disk's own table holds.
void GeometryMatrix::CheckIdentity(const DISK_INFO_EX& info) {
  Checks(third() ? "DMRP-0209" : "DMRP-0156", third() ? "DMRP-0198" : "DMRP-0146",
         third() ? "DMRP-0199" : "DMRP-0147", third() ? "DMRP-0200" : "DMRP-0148");
  EXPECT_TRUE(std::regex_match(harness::Text(info.name),
                               std::regex(R"(\\{1,2}device\\(harddisk|cdrom|floppy)\d+)", std::regex::icase)))
      << harness::Text(info.name);
  if (const auto& address = lab().bed().disks().at(0).address) {
    EXPECT_EQ(info.portNumber, address->port);
    EXPECT_EQ(info.targetNumber, address->target);
    EXPECT_EQ(info.lunNumber, address->lun);
  }
  if (!third()) {
    return;
  }
  Checks("DMRP-0194", "DMRP-0195", "DMRP-0214");
  EXPECT_THAT(Values(Styles(), row().style), Contains(std::uint32_t(info.partitionStyle)));
  EXPECT_TRUE(std::regex_match(
      harness::Text(info.devInstId),
      std::regex(R"(\\\\\?\\[^\\]+#\{[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\})",
                 std::regex::icase)))
      << harness::Text(info.devInstId);
  if (row().spec.label == harness::DiskLabel::kNone || row().spec.damage != harness::DiskDamage::kNone) {
    return;
  }
  Checks(row().spec.label == harness::DiskLabel::kGpt ? "DMRP-0197" : "DMRP-0196");
  const harness::DiskLayout layout = LayoutOf();
  if (info.mbr) {
    EXPECT_EQ(info.mbr->signature, layout.signature);
  }
  if (info.gpt) {
    EXPECT_EQ(info.gpt->diskId, layout.disk_guid);
  }
}

TEST_P(GeometryMatrix, IsShownAsItIs) {
  const DISK_INFO_EX info = DiskNow(session());
  CheckKind(info);
  CheckSize(info);
  CheckIdentity(info);
  // Whatever its table, the disk can be asked for its regions, and the rule monitor looks at their order.
  EXPECT_THAT(session().EnumDiskRegions(info.id), Succeeds());
}

INSTANTIATE_TEST_SUITE_P(Rows, GeometryMatrix, ::testing::ValuesIn(Cases()),
                         [](const ::testing::TestParamInfo<MatrixCase>& each) {
                           std::string name = std::string(harness::ToString(each.param.revision)) + "_" +
                                              each.param.row.spec.name;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace dmrp::suites
