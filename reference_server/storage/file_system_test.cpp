// File systems that mkfs.fat and mkntfs make, described from their octets.
#include "reference_server/storage/file_system.hpp"

#include "reference_server/platform/image_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/little_endian.hpp"

#include <fstream>
#include <random>
#include <regex>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kStart = 63 * 512;

class FileSystemTest : public testing::Test {
 protected:
  /// Makes a volume with a tool and puts it into a disk behind the first track.
  static MemoryDevice Make(std::uint64_t size, const std::string& command) {
    const ScratchImage volume{MemoryDevice({.sizeBytes = size})};
    RunTool(fmt::format("{} {}", command, volume.Path().string()));
    auto image = OpenImage(volume.Path(), {}, false);
    EXPECT_TRUE(image);
    MemoryDevice device({.sizeBytes = size + kStart});
    for (std::uint64_t at = 0; at < size; at += kMiB) {
      const Bytes part = (*image)->Read(at, static_cast<std::size_t>(std::min(kMiB, size - at))).value();
      if (part != Bytes(part.size())) device.Poke(kStart + at, part);
    }
    return device;
  }
  static FileSystemDescription Describe(MemoryDevice& device) {
    auto description = DescribeFileSystem(device, kStart, device.Geometry().sizeBytes - kStart);
    EXPECT_TRUE(description) << description.error().ToString();
    return description.value_or(FileSystemDescription{});
  }
};

TEST_F(FileSystemTest, NothingIsUnknown) {
  MemoryDevice device({.sizeBytes = kMiB});
  EXPECT_EQ(Describe(device), FileSystemDescription{});
}

TEST_F(FileSystemTest, FatByItsNumberOfClusters) {
  MemoryDevice fat12 = Make(4 * kMiB, "mkfs.fat -F 12 -s 4 -n FLOPPY");
  EXPECT_EQ(Describe(fat12).type, FileSystemType::kFat12);
  EXPECT_EQ(Describe(fat12).allocationUnitSize, 2048U);
  EXPECT_EQ(Describe(fat12).label, u"FLOPPY");
  EXPECT_GT(Describe(fat12).totalAllocationUnits, 2000U);
  EXPECT_EQ(Describe(fat12).availableAllocationUnits, Describe(fat12).totalAllocationUnits);

  MemoryDevice fat16 = Make(64 * kMiB, "mkfs.fat -F 16 -s 4");
  EXPECT_EQ(Describe(fat16).type, FileSystemType::kFat16);
  EXPECT_EQ(Describe(fat16).label, u"");

  MemoryDevice fat32 = Make(64 * kMiB, "mkfs.fat -F 32 -s 1 -n 'BIG DISK'");
  EXPECT_EQ(Describe(fat32).type, FileSystemType::kFat32);
  EXPECT_EQ(Describe(fat32).allocationUnitSize, 512U);
  EXPECT_EQ(Describe(fat32).label, u"BIG DISK");
  // The root directory takes a cluster.
  EXPECT_EQ(Describe(fat32).availableAllocationUnits + 1, Describe(fat32).totalAllocationUnits);
}

TEST_F(FileSystemTest, FreeClustersOfFatComeFromTheTableWhereNoHintIs) {
  MemoryDevice fat12 = Make(4 * kMiB, "mkfs.fat -F 12 -s 4");
  const std::uint64_t all = Describe(fat12).totalAllocationUnits;
  const Bytes boot = fat12.Read(kStart, 512).value();
  const std::uint64_t table = kStart + LoadLe<std::uint16_t>(boot, 14) * 512ULL;
  // Clusters 2 and 3 are the three octets from 3 on.
  fat12.Poke(table + 3, Bytes{std::byte{0x03}, std::byte{0xF0}, std::byte{0xFF}});
  EXPECT_EQ(Describe(fat12).availableAllocationUnits, all - 2);

  MemoryDevice fat32 = Make(64 * kMiB, "mkfs.fat -F 32 -s 1");
  const std::uint64_t free = Describe(fat32).availableAllocationUnits;
  fat32.Poke(kStart + 512, Bytes(512));  // FSInfo
  EXPECT_EQ(Describe(fat32).availableAllocationUnits, free);
}

TEST_F(FileSystemTest, NtfsWithItsLabelAndItsBitmap) {
  MemoryDevice ntfs = Make(64 * kMiB, "mkntfs -q -F -Q -c 1024 -p 63 -H 255 -S 63 -L 'Daten ä'");
  const FileSystemDescription description = Describe(ntfs);
  EXPECT_EQ(description.type, FileSystemType::kNtfs);
  EXPECT_EQ(description.allocationUnitSize, 1024U);
  EXPECT_EQ(description.label, u"Daten ä");
  // mkntfs leaves the last sector to the copy of the boot sector.
  EXPECT_EQ(description.totalAllocationUnits, 64 * kMiB / 1024 - 1);

  const ScratchImage copy{ntfs};
  const std::string info = RunTool(fmt::format(
      "dd if={0} of={0}.v bs=512 skip=63 status=none; ntfsinfo -m -f {0}.v; rm {0}.v", copy.Path().string()));
  std::smatch free;
  ASSERT_TRUE(std::regex_search(info, free, std::regex("Free Clusters: ([0-9]+)"))) << info;
  EXPECT_EQ(std::to_string(description.availableAllocationUnits), free[1].str());
}

TEST_F(FileSystemTest, ADamagedNtfsIsDescribedAsFarAsItsBootSectorGoes) {
  MemoryDevice ntfs = Make(16 * kMiB, "mkntfs -q -F -Q -c 4096 -L Data");
  const std::uint64_t table = LoadLe<std::uint64_t>(ntfs.Read(kStart, 512).value(), 48) * 4096;
  ntfs.Poke(kStart + table + 3 * 1024 + 510, Bytes(2, std::byte{0x99}));  // a fixup of $Volume
  ntfs.Poke(kStart + table + 6 * 1024, Bytes(4));                         // the mark of $Bitmap
  const FileSystemDescription description = Describe(ntfs);
  EXPECT_EQ(description.type, FileSystemType::kNtfs);
  EXPECT_EQ(description.label, u"");
  EXPECT_EQ(description.availableAllocationUnits, 0U);
}

TEST_F(FileSystemTest, OpticalMediaByTheirDescriptors) {
  MemoryDevice device({.sizeBytes = kStart + kMiB});
  const auto descriptor = [&](std::uint32_t index, std::string_view id) {
    device.Poke(kStart + (16 + index) * 2048 + 1, std::as_bytes(std::span(id)));
  };
  device.Poke(kStart + 16 * 2048, Bytes(1, std::byte{1}));
  descriptor(0, "CD001");
  device.Poke(kStart + 16 * 2048 + 129, Bytes(1, std::byte{8}));   // 2048, little-endian
  device.Poke(kStart + 16 * 2048 + 80, Bytes(1, std::byte{200}));  // sectors
  const std::string_view label = "MY_DISC                         ";
  device.Poke(kStart + 16 * 2048 + 40, std::as_bytes(std::span(label)));
  const FileSystemDescription iso = Describe(device);
  EXPECT_EQ(iso.type, FileSystemType::kCdfs);
  EXPECT_EQ(iso.label, u"MY_DISC");
  EXPECT_EQ(iso.totalAllocationUnits, 200U);
  descriptor(1, "BEA01");
  descriptor(2, "NSR02");
  EXPECT_EQ(Describe(device).type, FileSystemType::kUdf);
}

TEST_F(FileSystemTest, AWholeMediumWithoutATableIsOneRegion) {
  const ScratchImage volume{MemoryDevice({.sizeBytes = 4 * kMiB})};
  RunTool(fmt::format("mkfs.fat -F 12 {}", volume.Path().string()));
  auto image = OpenImage(volume.Path(), {}, false);
  ASSERT_TRUE(image);
  const DiskLayout layout = LayoutOf(**image);
  EXPECT_EQ(layout.style, PartitionStyle::kUnknown);
  EXPECT_EQ(RegionsText(layout), "Whole 0+4194304");
}

TEST_F(FileSystemTest, RandomDamageNeverReadsOutOfBounds) {
  const std::vector<MemoryDevice> originals{Make(4 * kMiB, "mkfs.fat -F 12 -s 4 -n A"),
                                            Make(40 * kMiB, "mkfs.fat -F 32 -s 1 -n B"),
                                            Make(16 * kMiB, "mkntfs -q -F -Q -c 4096 -L C")};
  std::mt19937 random(7);
  for (int round = 0; round < 400; ++round) {
    MemoryDevice device = originals[static_cast<std::size_t>(round) % originals.size()];
    for (int i = 0; i < 4; ++i) {
      device.Poke(kStart + random() % 90, Bytes(1, static_cast<std::byte>(random())));
      device.Poke(kStart + 4 * 4096 + random() % 8192, Bytes(1, static_cast<std::byte>(random())));
    }
    EXPECT_TRUE(DescribeFileSystem(device, kStart, device.Geometry().sizeBytes - kStart));
  }
}

}  // namespace
}  // namespace dmrp::server
