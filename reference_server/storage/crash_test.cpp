// Every operation, cut off at every write boundary: the disk reads as before or as after, for us and for
// libfdisk. Sectors between two barriers may also reach the medium in any order.
#include "reference_server/platform/recording_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/operations.hpp"

#include <functional>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

/// What a client can see of a layout; which copy of a GPT holds is not part of it.
std::string Essence(const DiskLayout& layout) {
  std::string text = fmt::format("{} {:08x} {} ", static_cast<int>(layout.style),
                                 layout.style == PartitionStyle::kMbr ? layout.mbrSignature : 0,
                                 layout.gptDiskId.ToString());
  for (const Region& region : layout.regions) {
    text +=
        fmt::format("[{} {}+{} {:02x} {} {} {}]", RegionKindName(region.kind), region.start, region.length,
                    region.mbrType, region.active, region.gptType.ToString(), region.gptId.ToString());
  }
  return text;
}

struct Scenario {
  std::string name;
  DiskGeometry geometry;
  std::function<void(MemoryDevice&)> prepare;
  std::function<StorageResult<Change>(BlockDevice&)> run;
};

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

StorageResult<Change> CreateAt(BlockDevice& device, RegionKind kind, std::size_t index, std::uint64_t skip,
                               std::uint64_t length) {
  std::vector<Region> free;
  for (const Region& region : LayoutOf(device).regions) {
    if (region.kind == (kind == RegionKind::kLogical ? RegionKind::kExtendedFree : RegionKind::kFree)) {
      free.push_back(region);
    }
  }
  return CreatePartition(device, {.kind = kind,
                                  .freeRegion = free.at(index).start,
                                  .start = static_cast<std::int64_t>(free.at(index).start + skip),
                                  .length = static_cast<std::int64_t>(length)});
}

std::uint64_t NthStart(BlockDevice& device, RegionKind kind, std::size_t index) {
  std::vector<std::uint64_t> starts;
  for (const Region& region : LayoutOf(device).regions) {
    if (region.kind == kind) starts.push_back(region.start);
  }
  return starts.at(index);
}

StorageResult<Change> DeleteNth(BlockDevice& device, RegionKind kind, std::size_t index) {
  return DeletePartition(device, kind, NthStart(device, kind, index));
}

void MakeMbr(MemoryDevice& device) { ASSERT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kMbr})); }
void MakeGptDisk(MemoryDevice& device) {
  ASSERT_TRUE(InitializeStyle(device, {.style = PartitionStyle::kGpt}));
}
void MakeDrives(MemoryDevice& device) {
  MakeMbr(device);
  ASSERT_TRUE(CreateAt(device, RegionKind::kPrimary, 0, 0, kMiB));
  ASSERT_TRUE(CreateAt(device, RegionKind::kExtended, 0, 0, 40 * kMiB));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(CreateAt(device, RegionKind::kLogical, 0, 0, 2 * kMiB));
}
void MakeGptPartitions(MemoryDevice& device) {
  MakeGptDisk(device);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(CreateAt(device, RegionKind::kPrimary, 0, 0, 2 * kMiB));
}
void Break(MemoryDevice& device, std::uint64_t offset) { device.Poke(offset, Bytes(8, std::byte{0xFF})); }

std::vector<Scenario> Scenarios() {
  const DiskGeometry plain{.sizeBytes = 64 * kMiB};
  const DiskGeometry large_sectors{.sizeBytes = 64 * kMiB, .bytesPerSector = 4096};
  const auto nothing = [](MemoryDevice&) {};
  const auto initialize = [](PartitionStyle style) {
    return [style](BlockDevice& device) { return InitializeStyle(device, {.style = style}); };
  };
  const auto create = [](RegionKind kind, std::size_t index, std::uint64_t skip, std::uint64_t length) {
    return [=](BlockDevice& device) { return CreateAt(device, kind, index, skip, length); };
  };
  const auto remove = [](RegionKind kind, std::size_t index) {
    return [=](BlockDevice& device) { return DeleteNth(device, kind, index); };
  };
  const auto stale_ebr = [](MemoryDevice& device) {
    MakeDrives(device);
    for (int i = 0; i < 3; ++i)
      ASSERT_TRUE(DeleteNth(device, RegionKind::kLogical, 2 - static_cast<std::size_t>(i)));
    ASSERT_TRUE(DeleteNth(device, RegionKind::kExtended, 0));
  };
  return {
      {"SignatureOnBlank", plain, nothing, [](BlockDevice& d) { return WriteSignature(d, {}); }},
      {"SignatureAgain", plain, MakeMbr, [](BlockDevice& d) { return WriteSignature(d, {}); }},
      {"BlankToGpt", plain, nothing, initialize(PartitionStyle::kGpt)},
      {"BlankToGpt4096", large_sectors, nothing, initialize(PartitionStyle::kGpt)},
      {"MbrToGpt", plain, MakeMbr, initialize(PartitionStyle::kGpt)},
      {"GptToMbr", plain, MakeGptDisk, initialize(PartitionStyle::kMbr)},
      {"GptToGpt", plain, MakeGptDisk, initialize(PartitionStyle::kGpt)},
      {"CreatePrimary", plain, MakeMbr, create(RegionKind::kPrimary, 0, 0, 5 * kMiB)},
      {"CreatePrimary4096", large_sectors, MakeMbr, create(RegionKind::kPrimary, 0, 0, 5 * kMiB)},
      {"CreateExtended", plain, MakeMbr, create(RegionKind::kExtended, 0, 0, 20 * kMiB)},
      {"CreateExtendedOverOldChain", plain, stale_ebr, create(RegionKind::kExtended, 0, kMiB, 20 * kMiB)},
      {"CreateFirstLogical", plain,
       [](MemoryDevice& device) {
         MakeMbr(device);
         ASSERT_TRUE(CreateAt(device, RegionKind::kExtended, 0, 0, 20 * kMiB));
       },
       create(RegionKind::kLogical, 0, 0, 5 * kMiB)},
      {"CreateFirstLogicalInTheMiddle", plain,
       [](MemoryDevice& device) {
         MakeMbr(device);
         ASSERT_TRUE(CreateAt(device, RegionKind::kExtended, 0, 0, 20 * kMiB));
       },
       create(RegionKind::kLogical, 0, 6 * kMiB, 5 * kMiB)},
      {"CreateLastLogical", plain, MakeDrives, create(RegionKind::kLogical, 0, 0, 5 * kMiB)},
      {"CreateLogicalBetween", plain,
       [](MemoryDevice& device) {
         MakeDrives(device);
         ASSERT_TRUE(DeleteNth(device, RegionKind::kLogical, 1));
       },
       create(RegionKind::kLogical, 0, 512, kMiB)},
      {"DeletePrimary", plain, MakeDrives, remove(RegionKind::kPrimary, 0)},
      {"DeleteFirstLogical", plain, MakeDrives, remove(RegionKind::kLogical, 0)},
      {"DeleteMiddleLogical", plain, MakeDrives, remove(RegionKind::kLogical, 1)},
      {"DeleteLastLogical", plain, MakeDrives, remove(RegionKind::kLogical, 2)},
      {"DeleteExtended", plain,
       [](MemoryDevice& device) {
         MakeMbr(device);
         ASSERT_TRUE(CreateAt(device, RegionKind::kExtended, 0, 0, 20 * kMiB));
       },
       remove(RegionKind::kExtended, 0)},
      {"MarkActive", plain,
       [](MemoryDevice& device) {
         MakeMbr(device);
         for (int i = 0; i < 2; ++i) ASSERT_TRUE(CreateAt(device, RegionKind::kPrimary, 0, 0, kMiB));
         ASSERT_TRUE(MarkActive(device, device.Geometry().BytesPerTrack()));
       },
       [](BlockDevice& device) { return MarkActive(device, device.Geometry().BytesPerTrack() + kMiB); }},
      {"TypeOfPrimary", plain, MakeDrives,
       [](BlockDevice& d) {
         return SetPartitionType(d, d.Geometry().BytesPerTrack(), FileSystemType::kFat12);
       }},
      {"TypeOfMiddleLogical", plain, MakeDrives,
       [](BlockDevice& d) {
         return SetPartitionType(d, NthStart(d, RegionKind::kLogical, 1), FileSystemType::kFat32);
       }},
      {"ReplaceSignature", plain, MakeDrives, [](BlockDevice& d) { return ReplaceIdentity(d, {}); }},
      {"CreateInGpt", plain, MakeGptPartitions, create(RegionKind::kPrimary, 0, 0, 5 * kMiB)},
      {"CreateInGpt4096", large_sectors, MakeGptPartitions, create(RegionKind::kPrimary, 0, 0, 5 * kMiB)},
      {"DeleteInGpt", plain, MakeGptPartitions, remove(RegionKind::kPrimary, 1)},
      {"ReplaceGuid", plain, MakeGptPartitions, [](BlockDevice& d) { return ReplaceIdentity(d, {}); }},
      {"CreateInGptWithoutPrimary", plain,
       [](MemoryDevice& device) {
         MakeGptPartitions(device);
         Break(device, 512);
       },
       create(RegionKind::kPrimary, 0, 0, 5 * kMiB)},
      {"DeleteInGptWithBadPrimaryEntries", plain,
       [](MemoryDevice& device) {
         MakeGptPartitions(device);
         Break(device, 1024 + 32);
       },
       remove(RegionKind::kPrimary, 1)},
      {"CreateInGptWithoutBackup", plain,
       [](MemoryDevice& device) {
         MakeGptPartitions(device);
         Break(device, device.Geometry().sizeBytes - 512);
       },
       create(RegionKind::kPrimary, 0, 0, 5 * kMiB)},
  };
}

class CrashTest : public testing::TestWithParam<Scenario> {
 protected:
  void SetUp() override {
    base_ = MemoryDevice(GetParam().geometry);
    GetParam().prepare(base_);
    before_ = Essence(LayoutOf(base_));
    MemoryDevice target = base_;
    RecordingDevice recorder(target);
    const auto change = GetParam().run(recorder);
    ASSERT_TRUE(change) << change.error().ToString();
    writes_ = recorder.Writes();
    after_ = Essence(change->after);
    ASSERT_NE(before_, after_);
    ASSERT_TRUE(writes_.back().barrier) << "the last write is not flushed";
  }

  MemoryDevice base_{DiskGeometry{}};
  std::vector<RecordedWrite> writes_;
  std::string before_;
  std::string after_;
};

TEST_P(CrashTest, ReadsAsBeforeOrAfterAtEveryWriteBoundary) {
  MemoryDevice disk = base_;
  bool switched = false;
  SeenTable before_seen = ReadWithLibfdisk(ScratchImage(base_).Path(), disk.Geometry());
  MemoryDevice final_disk = base_;
  for (const RecordedWrite& write : writes_) {
    if (!write.barrier) final_disk.Poke(write.offset, write.data);
  }
  const SeenTable after_seen = ReadWithLibfdisk(ScratchImage(final_disk).Path(), disk.Geometry());
  std::size_t boundary = 0;
  for (const RecordedWrite& write : writes_) {
    if (write.barrier) continue;
    disk.Poke(write.offset, write.data);
    ++boundary;
    const std::string now = Essence(LayoutOf(disk));
    ASSERT_TRUE(now == before_ || now == after_)
        << "after write " << boundary << " at " << write.offset << "\n"
        << now << "\nbefore " << before_ << "\nafter " << after_;
    EXPECT_FALSE(switched && now == before_) << "went back after write " << boundary;
    switched = switched || now == after_;
    const SeenTable seen = ReadWithLibfdisk(ScratchImage(disk).Path(), disk.Geometry());
    // libfdisk refuses EBRs that hold no drive as faulty only in words; what it lists must be one of the two.
    EXPECT_TRUE(seen == before_seen || seen == after_seen)
        << "libfdisk after write " << boundary << " at " << write.offset << ": " << seen.label << " "
        << seen.partitions.size() << " partitions, before " << before_seen.partitions.size() << ", after "
        << after_seen.partitions.size();
  }
  EXPECT_EQ(Essence(LayoutOf(disk)), after_);
}

TEST_P(CrashTest, ReadsAsBeforeOrAfterWhenSectorsBetweenBarriersArriveInAnyOrder) {
  std::mt19937 random(20030324);
  for (int round = 0; round < 40; ++round) {
    MemoryDevice disk = base_;
    std::vector<const RecordedWrite*> pending;
    for (const RecordedWrite& write : writes_) {
      if (!write.barrier) {
        pending.push_back(&write);
        continue;
      }
      MemoryDevice cut = disk;
      for (const RecordedWrite* one : pending) {
        if (random() % 2 == 0) cut.Poke(one->offset, one->data);
      }
      const std::string now = Essence(LayoutOf(cut));
      ASSERT_TRUE(now == before_ || now == after_) << now << "\nbefore " << before_ << "\nafter " << after_;
      for (const RecordedWrite* one : pending) disk.Poke(one->offset, one->data);
      pending.clear();
    }
  }
}

TEST_P(CrashTest, ADeviceThatFailsGivesAnErrorAndOneOfTheTwoStates) {
  std::uint64_t sectors = 0;
  for (const RecordedWrite& write : writes_) sectors += write.barrier ? 0 : 1;
  for (std::uint64_t limit = 0; limit < sectors; ++limit) {
    MemoryDevice disk = base_;
    RecordingDevice device(disk);
    device.FailAfter(limit);
    const auto change = GetParam().run(device);
    ASSERT_FALSE(change);
    EXPECT_EQ(change.error().code, StorageErrorCode::kIoError);
    // Identities are random, so that a retry differs from after_; before_ it must be until it is not.
    const DiskLayout now = LayoutOf(disk);
    if (Essence(now) == before_) continue;
    EXPECT_EQ(now.BlockingAnomaly(), nullptr) << limit;
    MemoryDevice again = disk;
    EXPECT_NE(now.style, PartitionStyle::kUnknown) << limit;
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, CrashTest, testing::ValuesIn(Scenarios()),
                         [](const auto& scenario) { return scenario.param.name; });

}  // namespace
}  // namespace dmrp::server
