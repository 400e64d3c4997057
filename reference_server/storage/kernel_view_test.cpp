// What we tell the kernel about partitions is what the kernel finds when it reads the table itself.
#include "reference_server/platform/device_scanner.hpp"
#include "reference_server/platform/loop_device_test_support.hpp"
#include "reference_server/platform/partition_use.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/operations.hpp"

#include <gmock/gmock.h>
#include <linux/fs.h>
#include <sys/mount.h>

namespace dmrp::server {
namespace {

class KernelViewTest : public LoopDeviceTest {
 protected:
  std::unique_ptr<BlockDevice> Open() {
    auto device =
        OpenLinuxDevice(node_, {.writable = true, .geometry = {.sizeBytes = std::uint64_t{16} << 20}});
    EXPECT_TRUE(device);
    return device ? std::move(*device) : nullptr;
  }
  static Region Add(BlockDevice& device, RegionKind kind, std::uint64_t length) {
    const Region free = FreeRegion(
        LayoutOf(device), kind == RegionKind::kLogical ? RegionKind::kExtendedFree : RegionKind::kFree);
    const auto change = CreatePartition(device, {.kind = kind,
                                                 .freeRegion = free.start,
                                                 .start = static_cast<std::int64_t>(free.start),
                                                 .length = static_cast<std::int64_t>(length)});
    EXPECT_TRUE(change) << change.error().ToString();
    return change ? change->region : Region{};
  }
  /// Whether this kernel reads tables at all: it is asked about one that sfdisk wrote.
  bool KernelReadsTables() {
    RunTool("printf 'label: dos\\n2048,2048,7\\n' | sfdisk -q --no-reread --no-tell-kernel " + node_);
    const bool reads = ::ioctl(loop_.Get(), BLKRRPART) == 0 && !KernelPartitions(name_).empty();
    RunTool("dd if=/dev/zero bs=512 count=1 conv=fsync status=none of=" + node_);
    return ::ioctl(loop_.Get(), BLKRRPART) == 0 && reads;
  }
  void ExpectTheKernelToAgree(BlockDevice& device) {
    const auto wanted = KernelPartitionsOf(LayoutOf(device), device.Geometry());
    ASSERT_EQ(::ioctl(loop_.Get(), BLKRRPART), 0) << std::strerror(errno);
    EXPECT_EQ(KernelPartitions(name_), wanted) << RegionsText(LayoutOf(device));
    ASSERT_TRUE(SyncKernelPartitions(node_, name_, {}));
    ASSERT_TRUE(SyncKernelPartitions(node_, name_, wanted));
    EXPECT_EQ(KernelPartitions(name_), wanted);
  }
};

TEST_F(KernelViewTest, OfMbrDisks) {
  if (!KernelReadsTables()) GTEST_SKIP() << "this kernel reads no partition tables";
  const auto device = Open();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(WriteSignature(*device, {}));
  const Region first = Add(*device, RegionKind::kPrimary, kMiB);
  Add(*device, RegionKind::kExtended, 10 * kMiB);
  const Region drive = Add(*device, RegionKind::kLogical, kMiB);
  Add(*device, RegionKind::kLogical, kMiB);
  Add(*device, RegionKind::kLogical, 2 * kMiB);
  ExpectTheKernelToAgree(*device);
  ASSERT_TRUE(DeletePartition(*device, RegionKind::kPrimary, first.start));
  ASSERT_TRUE(DeletePartition(*device, RegionKind::kLogical, drive.start));
  ExpectTheKernelToAgree(*device);
}

TEST_F(KernelViewTest, OfGptDisks) {
  if (!KernelReadsTables()) GTEST_SKIP() << "this kernel reads no partition tables";
  const auto device = Open();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(InitializeStyle(*device, {.style = PartitionStyle::kGpt}));
  const Region first = Add(*device, RegionKind::kPrimary, kMiB);
  Add(*device, RegionKind::kPrimary, 2 * kMiB);
  ASSERT_TRUE(DeletePartition(*device, RegionKind::kPrimary, first.start));
  ExpectTheKernelToAgree(*device);
}

TEST_F(KernelViewTest, AMountedPartitionIsInUseAndItsNeighboursCanChangeNevertheless) {
  if (!MayChangeKernelPartitions()) GTEST_SKIP() << "the kernel takes no partitions from us here";
  const auto device = Open();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(WriteSignature(*device, {}));
  const Region mounted = Add(*device, RegionKind::kPrimary, 4 * kMiB);
  const Region other = Add(*device, RegionKind::kPrimary, kMiB);
  ASSERT_TRUE(SyncKernelPartitions(node_, name_, KernelPartitionsOf(LayoutOf(*device), device->Geometry())));
  const std::string name = PartitionNameAt(name_, mounted.start).value();
  RunTool("mkfs.ext4 -q -F /dev/" + name);
  const std::string point = (std::filesystem::temp_directory_path() / ("kernel_view_test." + name)).string();
  std::filesystem::create_directories(point);
  if (::mount(("/dev/" + name).c_str(), point.c_str(), "ext4", 0, nullptr) != 0) {
    const int error = errno;
    std::filesystem::remove(point);
    GTEST_SKIP() << "no ext4 mounts here: " << std::strerror(error);
  }
  auto use = FindUse(name);
  ASSERT_TRUE(use);
  EXPECT_THAT(use->mountPoints, testing::ElementsAre(point));
  EXPECT_TRUE(use->claimed);

  const auto change = DeletePartition(*device, RegionKind::kPrimary, other.start);
  ASSERT_TRUE(change);
  const auto wanted = KernelPartitionsOf(change->after, device->Geometry());
  EXPECT_TRUE(SyncKernelPartitions(node_, name_, wanted));
  EXPECT_EQ(KernelPartitions(name_), wanted);
  EXPECT_EQ(SyncKernelPartitions(node_, name_, {}).error().status, static_cast<std::uint32_t>(EBUSY));

  const auto released = ReleaseByForce(name);
  EXPECT_TRUE(released && !released->InUse())
      << (released ? released->ToString() : released.error().ToString());
  EXPECT_TRUE(SyncKernelPartitions(node_, name_, {}));
  std::filesystem::remove(point);
}

}  // namespace
}  // namespace dmrp::server
