#include "harness/layout/guest_volumes.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/guest/guest_fixture.hpp"

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class GuestVolumes : public GuestTest {
 protected:
  /// Makes a group, attaches its disks and reads them.
  void Attach(Guest& guest, const DynamicDiskSet& set) {
    std::vector<DynamicImage> images;
    for (const DynamicDisk& disk : set.disks) {
      auto attached = guest.AttachDisk(disk.image);
      ASSERT_TRUE(attached.has_value()) << attached.error().ToString();
      devices_.push_back(attached->guest_device);
      images.push_back({disk.image.path, disk.image.spec.logical_sector});
    }
    const auto seen = ObserveDynamic(images);
    ASSERT_TRUE(seen.has_value()) << seen.error().ToString();
    ASSERT_THAT(seen->layout.groups, SizeIs(1));
    group_ = seen->layout.groups[0];
    // Partitions appear a moment after their disk.
    ASSERT_TRUE(guest.agent().Shell("udevadm settle 2>/dev/null || true").has_value());
  }
  static DynamicDiskSet Made(std::string_view description) {
    auto set = MakeDynamicDisks(description, factory_->directory());
    EXPECT_TRUE(set.has_value()) << set.error().ToString();
    return set.value_or(DynamicDiskSet{});
  }
  std::vector<std::string> KernelDissents(Guest& guest, std::size_t index) {
    const auto kernel = ReadKernelPartitions(guest.agent(), devices_.at(index));
    if (!kernel) return {kernel.error().ToString()};
    auto dissents = Dissents(group_, group_.disks.at(index).name, *kernel);
    for (const std::string& complaint : kernel->complaints) dissents.push_back(complaint);
    return dissents;
  }

  std::vector<std::string> devices_;
  DynamicGroup group_;
};

TEST_F(GuestVolumes, KernelSeesTheSubdisksOfEveryMbrDisk) {
  Guest guest = Started(Bare());
  Attach(guest, Made("foreign-all-2003"));
  ASSERT_THAT(devices_, SizeIs(3));
  for (std::size_t i = 0; i < devices_.size(); ++i) EXPECT_THAT(KernelDissents(guest, i), IsEmpty()) << i;
  const auto first = ReadKernelPartitions(guest.agent(), devices_[0]);
  EXPECT_THAT(first->partitions, SizeIs(4));
}

TEST_F(GuestVolumes, KernelReadsWhatLibldmCannot) {
  Guest guest = Started(Bare());
  Attach(guest, Made("foreign-oem"));
  EXPECT_THAT(KernelDissents(guest, 0), IsEmpty());
}

/// The parser looks for PRIVHEAD at octet 3072, whatever the sectors: such disks are for other witnesses.
TEST_F(GuestVolumes, KernelKnowsNoDatabaseInLargeSectors) {
  Guest guest = Started(Bare());
  Attach(guest, Made("foreign-simple-4kn"));
  EXPECT_THAT(KernelDissents(guest, 0), Not(IsEmpty()));
  const auto kernel = ReadKernelPartitions(guest.agent(), devices_[0]);
  ASSERT_TRUE(kernel.has_value()) << kernel.error().ToString();
  ASSERT_THAT(kernel->partitions, SizeIs(1)) << "the entry of type 42 as it stands in the table";
  EXPECT_EQ(kernel->partitions[0].start, 63 * 4096U);
}

TEST_F(GuestVolumes, KernelRefusesAnOpenTransaction) {
  Guest guest = Started(Bare());
  Attach(guest, Made("foreign-rollback"));
  EXPECT_THAT(KernelDissents(guest, 0), Not(IsEmpty()));
}

/// libldm lays the volumes out for device-mapper: a driver of another hand than the arithmetic of
/// volume_pattern.hpp.
TEST_F(GuestVolumes, PatternThroughDeviceMapperLiesWhereTheMembersSay) {
  Guest guest = Started(Bare());
  const DynamicDiskSet set = Made("foreign-all");
  Attach(guest, set);
  const auto loaded = guest.agent().Shell(
      "for m in dm_mod dm_mirror raid1 raid456 dm_raid; do modprobe $m 2>/dev/null; done; ldmtool create all",
      std::chrono::milliseconds(60'000));
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  const VolumePattern pattern{.seed = 11};
  for (const DynamicVolume& volume : group_.volumes) {
    SCOPED_TRACE(volume.name);
    const std::string path = fmt::format("/dev/mapper/ldm_vol_{}_{}", group_.name, volume.name);
    const OctetAccess device = DeviceInGuest(guest.agent(), path);
    const auto written = pattern.Write(device, 0, volume.size / 512);
    ASSERT_TRUE(written.has_value()) << written.error().ToString();
    const auto checked = pattern.Check(device, 0, volume.size / 512);
    ASSERT_TRUE(checked.has_value()) << checked.error().ToString();
    EXPECT_THAT(*checked, IsEmpty());
  }
  auto frozen = guest.FreezeDisks();
  ASSERT_TRUE(frozen.has_value()) << frozen.error().ToString();
  for (const DynamicVolume& volume : group_.volumes) {
    SCOPED_TRACE(volume.name);
    auto members = VolumeMembers::Open(group_, volume);
    ASSERT_TRUE(members.has_value()) << members.error().ToString();
    const auto found = pattern.Check(AccessTo(*members), 0, volume.size / 512);
    ASSERT_TRUE(found.has_value()) << found.error().ToString();
    EXPECT_THAT(*found, IsEmpty());
    EXPECT_THAT(members->CheckMirrorLegsEqual().value(), IsEmpty());
    EXPECT_THAT(members->CheckParity().value(), IsEmpty());
  }
}

TEST_F(GuestVolumes, DeviceEndsWhereItEnds) {
  Guest guest = Started(Bare());
  Attach(guest, Made("foreign-simple"));
  const OctetAccess device = DeviceInGuest(guest.agent(), "/dev/" + devices_[0]);
  EXPECT_THAT(device.read((64 << 20) - 512, 512).value(), SizeIs(512));
  EXPECT_EQ(device.read(64 << 20, 512).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(device.write(65 << 20, Bytes(512)).error().kind, ErrorKind::kFault);
  EXPECT_FALSE(ReadKernelPartitions(guest.agent(), "sdz").has_value());
}

}  // namespace
}  // namespace dmrp::harness
