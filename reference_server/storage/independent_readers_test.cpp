// Tables that we write, read by libfdisk, parted and sgdisk; tables that sfdisk, sgdisk and parted write,
// read by us.
#include "reference_server/platform/image_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/operations.hpp"

#include <algorithm>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

struct Shape {
  std::string name;
  DiskGeometry geometry;
};

void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  struct Heads {
    std::uint32_t heads, sectors;
  };
  for (const std::uint32_t sector : {512U, 4096U}) {
    for (const Heads heads : {Heads{255, 63}, Heads{64, 32}, Heads{16, 63}, Heads{15, 17}, Heads{240, 63}}) {
      for (const auto& [size, text] :
           std::vector<std::pair<std::uint64_t, std::string>>{{8 * kMiB, "8MiB"},
                                                              {100 * kMiB + 12288, "100MiBodd"},
                                                              {9 * kGiB, "9GiB"},
                                                              {3 * kTiB, "3TiB"}}) {
        shapes.push_back({fmt::format("s{}_h{}_t{}_{}", sector, heads.heads, heads.sectors, text),
                          {.sizeBytes = size,
                           .bytesPerSector = sector,
                           .sectorsPerTrack = heads.sectors,
                           .heads = heads.heads}});
      }
    }
  }
  return shapes;
}

/// One line a partition as `parted -m` prints it in octets: start and length.
std::vector<std::pair<std::uint64_t, std::uint64_t>> ReadWithParted(const std::filesystem::path& image,
                                                                    const DiskGeometry& geometry) {
  const std::string text = RunTool(fmt::format("PARTED_SECTOR_SIZE={} parted -ms {} unit B print",
                                               geometry.bytesPerSector, image.string()));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    unsigned long long number = 0, start = 0, last = 0, length = 0;
    if (std::sscanf(text.c_str() + at, "%llu:%lluB:%lluB:%lluB:", &number, &start, &last, &length) == 4) {
      found.emplace_back(start, length);
    }
    at = end + 1;
  }
  std::ranges::sort(found);
  return found;
}

class IndependentReadersTest : public testing::TestWithParam<Shape> {
 protected:
  void Judge(const MemoryDevice& device, bool with_parted) {
    MemoryDevice copy = device;
    const DiskLayout layout = LayoutOf(copy);
    EXPECT_TRUE(layout.anomalies.empty()) << layout.anomalies.front().message;
    const ScratchImage image(device);
    int problems = 0;
    const SeenTable seen = ReadWithLibfdisk(image.Path(), device.Geometry(), &problems);
    EXPECT_EQ(seen, AsSeen(layout)) << RegionsText(layout);
    EXPECT_EQ(problems, 0) << RegionsText(layout);
    if (!with_parted) return;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ours;
    for (const Region& region : layout.regions) {
      if (!IsFree(region.kind)) ours.emplace_back(region.start, region.length);
    }
    std::ranges::sort(ours);
    EXPECT_EQ(ReadWithParted(image.Path(), device.Geometry()), ours) << RegionsText(layout);
    if (layout.style == PartitionStyle::kGpt && device.Geometry().bytesPerSector == 512) {
      EXPECT_THAT(RunTool("sgdisk -v " + image.Path().string()), testing::HasSubstr("No problems found"));
    }
  }

  /// Creates, deletes and activates at random, seeded by the shape, and has the result judged each time.
  void Churn(MemoryDevice& device, int steps) {
    std::mt19937_64 random(std::hash<std::string>{}(GetParam().name));
    const std::uint64_t sector = device.Geometry().bytesPerSector;
    for (int step = 0; step < steps; ++step) {
      const DiskLayout layout = LayoutOf(device);
      const Region& region = layout.regions.at(random() % layout.regions.size());
      if (IsFree(region.kind)) {
        const std::uint64_t sectors = region.length / sector;
        const std::uint64_t skip = random() % 3 == 0 ? random() % sectors : 0;
        const std::uint64_t length = 1 + random() % (sectors - skip);
        RegionKind kind = RegionKind::kPrimary;
        if (region.kind == RegionKind::kExtendedFree) {
          kind = RegionKind::kLogical;
        } else if (layout.style == PartitionStyle::kMbr && random() % 2 == 0) {
          kind = RegionKind::kExtended;
        }
        const CreateRequest request{.kind = kind,
                                    .freeRegion = region.start,
                                    .start = static_cast<std::int64_t>(region.start + skip * sector),
                                    .length = static_cast<std::int64_t>(length * sector)};
        const auto change = CreatePartition(device, request);
        if (change) {
          EXPECT_EQ(change->region.start, region.start + skip * sector);
          EXPECT_EQ(change->region.length, length * sector);
          EXPECT_EQ(change->region.kind, kind);
          const std::uint64_t ebr = change->region.kind == RegionKind::kExtended
                                        ? device.Geometry().BytesPerTrack()
                                        : 0;  // the first track of an extended partition is never free
          EXPECT_LE(change->after.FreeBytes() + ebr, change->before.FreeBytes());
        } else {
          EXPECT_THAT(change.error().code,
                      testing::AnyOf(StorageErrorCode::kTableFull, StorageErrorCode::kExtendedExists,
                                     StorageErrorCode::kTooSmall))
              << change.error().ToString();
        }
      } else if (random() % 3 == 0 && region.kind == RegionKind::kPrimary &&
                 layout.style == PartitionStyle::kMbr) {
        EXPECT_TRUE(MarkActive(device, region.start));
      } else if (random() % 2 == 0) {
        const auto change = DeletePartition(device, region.kind, region.start);
        EXPECT_TRUE(change || change.error().code == StorageErrorCode::kExtendedNotEmpty)
            << change.error().ToString();
      }
      Judge(device, false);
      if (HasFailure()) return;
    }
    Judge(device, true);
  }
};

TEST_P(IndependentReadersTest, AgreeOnMbrDisks) {
  MemoryDevice device(GetParam().geometry);
  ASSERT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kMbr}));
  Churn(device, 25);
}

TEST_P(IndependentReadersTest, AgreeOnGptDisks) {
  MemoryDevice device(GetParam().geometry);
  ASSERT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kGpt, .microsoftReserved = true}));
  Churn(device, 12);
}

INSTANTIATE_TEST_SUITE_P(Shapes, IndependentReadersTest, testing::ValuesIn(Shapes()),
                         [](const auto& shape) { return shape.param.name; });

class ForeignTablesTest : public testing::Test {
 protected:
  static DiskLayout Read(const ScratchImage& image, const DiskGeometry& geometry) {
    auto device = OpenImage(image.Path(), geometry, false);
    EXPECT_TRUE(device);
    return LayoutOf(**device);
  }
};

TEST_F(ForeignTablesTest, ReadsWhatSfdiskWrites) {
  const DiskGeometry geometry{.sizeBytes = 200 * kMiB};
  const ScratchImage image{MemoryDevice(geometry)};
  RunTool(fmt::format(
      "printf 'label: dos\\nlabel-id: 0x92b2f8eb\\n2048,20480,7,*\\n,204800,5\\n,40960,6\\n,40960,b\\n,"
      "20480,7\\n' | sed 's/^,40960,6$/start=,size=40960,type=6/' | sfdisk -q {}",
      image.Path().string()));
  const DiskLayout layout = Read(image, geometry);
  EXPECT_EQ(layout.mbrSignature, 0x92B2F8EBU);
  EXPECT_TRUE(layout.anomalies.empty());
  EXPECT_EQ(AsSeen(layout), ReadWithLibfdisk(image.Path(), geometry));
  EXPECT_TRUE(layout.regions.at(1).active) << RegionsText(layout);
}

TEST_F(ForeignTablesTest, ReadsAndChangesWhatPartedWrites) {
  const DiskGeometry geometry{.sizeBytes = 200 * kMiB};
  const ScratchImage image{MemoryDevice(geometry)};
  RunTool(
      fmt::format("parted -s {} mklabel msdos mkpart primary 1MiB 20MiB mkpart extended 20MiB 180MiB "
                  "mkpart logical 21MiB 60MiB mkpart logical 61MiB 90MiB mkpart logical 120MiB 150MiB",
                  image.Path().string()));
  DiskLayout layout = Read(image, geometry);
  EXPECT_EQ(AsSeen(layout), ReadWithLibfdisk(image.Path(), geometry));
  auto device = OpenImage(image.Path(), geometry, true);
  ASSERT_TRUE(device);
  ASSERT_TRUE(DeletePartition(**device, RegionKind::kLogical, 61 * kMiB));
  const Region gap = FreeRegion(LayoutOf(**device), RegionKind::kExtendedFree);
  const auto change = CreatePartition(**device, {.kind = RegionKind::kLogical,
                                                 .freeRegion = gap.start,
                                                 .start = static_cast<std::int64_t>(gap.start),
                                                 .length = static_cast<std::int64_t>(gap.length)});
  ASSERT_TRUE(change) << change.error().ToString();
  EXPECT_EQ(AsSeen(change->after), ReadWithLibfdisk(image.Path(), geometry));
  EXPECT_EQ(ReadWithParted(image.Path(), geometry).size(), 5U);
}

TEST_F(ForeignTablesTest, ReadsNamesAttributesAndTypesThatSgdiskWrites) {
  const DiskGeometry geometry{.sizeBytes = 200 * kMiB};
  const ScratchImage image{MemoryDevice(geometry)};
  RunTool(
      fmt::format("sgdisk -a 1 -n 1:34:65535 -t 1:0C01 -c '1:Microsoft reserved partition' "
                  "-n 5:70000:90000 -t 5:0700 -A 5:set:63 -c '5:Größe 漢字' {}",
                  image.Path().string()));
  const DiskLayout layout = Read(image, geometry);
  EXPECT_TRUE(layout.anomalies.empty());
  EXPECT_EQ(AsSeen(layout), ReadWithLibfdisk(image.Path(), geometry));
  const Region* data = layout.FindPartition(70000 * 512);
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(data->gptAttributes, std::uint64_t{1} << 63);
  EXPECT_EQ(data->gptName, u"Größe 漢字");
  EXPECT_EQ(data->number, 2U);
  EXPECT_EQ(data->kernelNumber, 5U);
}

}  // namespace
}  // namespace dmrp::server
