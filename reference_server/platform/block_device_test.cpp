#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/memory_device.hpp"
#include "reference_server/platform/recording_device.hpp"

#include <cerrno>
#include <filesystem>
#include <limits>

#include <gtest/gtest.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

Bytes Pattern(std::size_t size, int seed) {
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i)
    data[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(seed));
  return data;
}

TEST(Geometry, ComputesTrackCylinderAndCount) {
  const DiskGeometry geometry{.sizeBytes = 102400ULL * 512};
  EXPECT_EQ(geometry.BytesPerTrack(), 32256U);
  EXPECT_EQ(geometry.BytesPerCylinder(), 8225280U);
  EXPECT_EQ(geometry.Cylinders(), 6U);
  EXPECT_FALSE(IsValid({.sizeBytes = kMiB, .bytesPerSector = 768}));
  EXPECT_FALSE(IsValid({.sizeBytes = kMiB, .bytesPerSector = 8192}));
  EXPECT_TRUE(IsValid({.sizeBytes = kMiB, .bytesPerSector = 2048}));
}

TEST(BlockDevice, RefusesWhatLeavesTheDisk) {
  MemoryDevice device({.sizeBytes = kMiB});
  Bytes buffer(1024);
  EXPECT_EQ(device.Read(kMiB - 512, std::span<std::byte>(buffer)).error().kind, ErrorKind::kLimit);
  EXPECT_EQ(device.Read(std::numeric_limits<std::uint64_t>::max() - 100, 512).error().kind,
            ErrorKind::kLimit);
  EXPECT_EQ(device.Write(kMiB, buffer).error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(device.Read(kMiB - 1024, std::span<std::byte>(buffer)));
}

TEST(BlockDevice, WritesWholeSectorsOnly) {
  MemoryDevice device({.sizeBytes = kMiB, .bytesPerSector = 4096});
  EXPECT_EQ(device.Write(512, Bytes(4096)).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(device.Write(4096, Bytes(512)).error().kind, ErrorKind::kUsage);
  EXPECT_TRUE(device.Write(4096, Bytes(4096)));
  device.SetReadOnly(true);
  EXPECT_EQ(device.Write(4096, Bytes(4096)).error().kind, ErrorKind::kDenied);
}

TEST(MemoryDevice, ReadsBackAcrossBlocksAndCopiesAreSnapshots) {
  MemoryDevice device({.sizeBytes = std::uint64_t{3} << 40});
  const std::uint64_t far = (std::uint64_t{3} << 40) - 8192;
  const Bytes data = Pattern(6144, 1);
  ASSERT_TRUE(device.Write(far + 512, data));
  const MemoryDevice before = device;
  ASSERT_TRUE(device.Write(far + 512, Pattern(512, 9)));
  MemoryDevice snapshot = before;
  EXPECT_EQ(snapshot.Read(far + 512, data.size()).value(), data);
  EXPECT_EQ(device.Read(far + 512, 512).value(), Pattern(512, 9));
  EXPECT_EQ(device.Read(0, 16).value(), Bytes(16));
}

TEST(ImageDevice, KeepsWhatWasWrittenAndTheDeclaredGeometry) {
  const auto path =
      std::filesystem::temp_directory_path() / ("image_device_test." + std::to_string(::getpid()));
  const DiskGeometry geometry{.sizeBytes = kMiB, .bytesPerSector = 4096, .sectorsPerTrack = 17, .heads = 15};
  {
    auto image = CreateImage(path, geometry);
    ASSERT_TRUE(image) << image.error().ToString();
    ASSERT_TRUE((*image)->Write(8192, Pattern(4096, 3)));
    ASSERT_TRUE((*image)->Flush());
  }
  auto again =
      OpenImage(path, {.sizeBytes = 0, .bytesPerSector = 4096, .sectorsPerTrack = 17, .heads = 15}, false);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->Geometry(), geometry);
  EXPECT_TRUE((*again)->ReadOnly());
  EXPECT_EQ((*again)->Read(8192, 4096).value(), Pattern(4096, 3));
  EXPECT_EQ((*again)->Write(0, Bytes(4096)).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(OpenImage(path, {.sizeBytes = 2 * kMiB}, false).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(OpenImage(path / "absent", {}, false).error().kind, ErrorKind::kSystem);
  std::filesystem::remove(path);
}

TEST(RecordingDevice, CutsWritesIntoSectorsAndFailsOnOrder) {
  MemoryDevice inner({.sizeBytes = kMiB});
  RecordingDevice device(inner);
  ASSERT_TRUE(device.Write(1024, Pattern(1024, 5)));
  ASSERT_TRUE(device.Flush());
  ASSERT_EQ(device.Writes().size(), 3U);
  EXPECT_EQ(device.Writes()[1].offset, 1536U);
  EXPECT_TRUE(device.Writes()[2].barrier);
  device.FailAfter(1);
  EXPECT_EQ(device.Write(0, Pattern(1024, 6)).error().status, static_cast<std::uint32_t>(EIO));
  EXPECT_EQ(inner.Read(0, 512).value(), Pattern(512, 6));
  EXPECT_EQ(inner.Read(512, 512).value(), Bytes(512));
}

}  // namespace
}  // namespace dmrp::server
