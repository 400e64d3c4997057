// CreatePartition, DeletePartition and InitializeDiskStyle, cut off at each of their writes: the disk reads
// as it was before or as it is after the call, judged by libfdisk on the image that each prefix of the writes
// leaves.
#include "harness/disks/write_log.hpp"
#include "harness/guest/guest.hpp"
#include "harness/layout/image_diff.hpp"
#include "suites/support/conformance_test.hpp"

#include <functional>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class PowerCuts : public ConformanceTest {
 protected:
  void Begin(const DiskKind& kind, std::string_view table = {}) {
    if (target().kind != harness::TargetKind::kBundled) {
      GTEST_SKIP() << "the writes of this target cannot be recorded";
    }
    harness::PrepareImage prepare;
    if (!table.empty()) {
      prepare = Table(std::string(table));
    }
    StartWith({{kind.Spec(), std::move(prepare)}});
    sector_ = kind.Spec().logical_sector;
  }
  Session& session() { return SessionOf(Revision::kIVolumeClient3); }
  DISK_INFO_EX disk() { return DiskNow(session()); }
  REGION_INFO_EX RegionAt(std::int64_t start, REGIONTYPE type) {
    for (const REGION_INFO_EX& region : RegionsNow(session())) {
      if (region.start == start && region.regionType == type) {
        return region;
      }
    }
    [&] { FAIL() << "no such region at " << start; }();
    throw std::logic_error("unreachable");
  }

  /// Makes the change with all writes recorded, then looks at the disk of each moment.
  void CutEverywhere(const std::function<void()>& change) {
    harness::TestBed& bed = lab().bed();
    harness::Guest& guest = *bed.guest();
    const std::string id = bed.disks().at(0).id;
    const ImageCopy before(Need(bed.Snapshot(id)), sector_);
    const std::filesystem::path log_file = before.path().string() + ".log";
    Need(guest.StartWriteLog(id, log_file));
    change();
    if (HasFailure()) {
      return;
    }
    Need(guest.agent().Shell("sync"));
    Need(guest.ClearFaults(id));
    const ImageCopy after(Need(bed.Snapshot(id)), sector_);
    const auto log = Need(harness::WriteLog::Read(log_file));
    Judge(before, after, log);
    std::error_code ignored;
    std::filesystem::remove(log_file, ignored);
  }

 private:
  void Judge(const ImageCopy& before, const ImageCopy& after, const harness::WriteLog& log) {
    const harness::DiskLayout old_layout = Read(before.path());
    const harness::DiskLayout new_layout = Read(after.path());
    ASSERT_FALSE(old_layout.SameTable(new_layout)) << "the call changed nothing: " << ToText(new_layout);
    EXPECT_THAT(new_layout.problems, IsEmpty());
    const std::filesystem::path cut = before.path().string() + ".cut";
    std::string states;
    for (std::size_t count = 0; count <= log.writes().size(); ++count) {
      if (count > 0 && log.writes()[count - 1].length == 0) {
        continue;  // a flush alone changes nothing
      }
      Need(harness::CopySparse(before.path(), cut));
      Need(log.Replay(count, cut));
      const harness::DiskLayout layout = Read(cut);
      const bool is_old = layout.SameTable(old_layout);
      states += is_old ? 'o' : 'n';
      EXPECT_TRUE(is_old || layout.SameTable(new_layout))
          << "after " << count << " of " << log.writes().size() << " writes the disk holds neither "
          << ToText(old_layout) << " nor " << ToText(new_layout) << " but " << ToText(layout);
    }
    EXPECT_EQ(states.find("no"), std::string::npos) << "once it is done it stays done: " << states;
    const auto difference = Need(harness::CompareImages(cut, after.path(), sector_));
    EXPECT_TRUE(difference.identical()) << "all writes together: " << difference.Summary();
    std::error_code ignored;
    std::filesystem::remove(cut, ignored);
    RecordProperty("states", states);
    JudgeLost(before, log, old_layout, new_layout);
  }
  // What the disk has not been told to flush it may write in any order: each such write is lost once,
  // although later ones came through.
  void JudgeLost(const ImageCopy& before, const harness::WriteLog& log, const harness::DiskLayout& old_layout,
                 const harness::DiskLayout& new_layout) {
    const std::filesystem::path cut = before.path().string() + ".cut";
    std::size_t cases = 0;
    for (std::size_t count = 1; count <= log.writes().size(); ++count) {
      for (const std::size_t lost : log.Losable(count)) {
        Need(harness::CopySparse(before.path(), cut));
        Need(log.Replay(count, cut, lost));
        const harness::DiskLayout layout = Read(cut);
        EXPECT_TRUE(layout.SameTable(old_layout) || layout.SameTable(new_layout))
            << "after " << count << " writes without write " << lost
            << ", which no flush followed, the disk holds "
            << "neither " << ToText(old_layout) << " nor " << ToText(new_layout) << " but " << ToText(layout);
        ++cases;
      }
    }
    std::error_code ignored;
    std::filesystem::remove(cut, ignored);
    RecordProperty("lost", static_cast<int>(cases));
  }
  harness::DiskLayout Read(const std::filesystem::path& image) {
    return Need(harness::ReadLayout(harness::LayoutReader::kLibfdisk, image, sector_));
  }

  std::uint32_t sector_ = 512;
};

// Primary partitions from 1 and 9 MiB, logical drives from 18 and 26 MiB.
constexpr std::string_view kMbrTable =
    "label: dos\nlabel-id: 0x12345678\nstart=2048, size=8192, type=7\nstart=18432, size=8192, type=6\n"
    "start=34816, size=65536, type=f\nstart=36864, size=8192, type=7\nstart=53248, size=8192, type=7\n";
constexpr std::int64_t kFirstLogical = std::int64_t{36864} * 512;
constexpr std::int64_t kSecondLogical = std::int64_t{53248} * 512;
constexpr std::string_view kGptTable =
    "label: gpt\nstart=2048, size=8192, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
    "start=18432, size=8192, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n";

class PowerCutOfCreatePartition : public PowerCuts {
 protected:
  void Create(REGIONTYPE free, REGIONTYPE type) {
    CutEverywhere([&] {
      const REGION_INFO_EX region = FreeRegion(session(), 0, MiB(4), free);
      EXPECT_THAT(session().CreatePartition(Spec(region, type, region.start, MiB(4))), Succeeds());
    });
  }
};

TEST_F(PowerCutOfCreatePartition, LeavesAPrimaryPartitionOfAnMbrDiskMadeOrNot) {
  Checks("DMRP-0612", "DMRP-0613");
  Begin(kMbr512, "label: dos\nlabel-id: 0x12345678\nstart=18432, size=8192, type=6\n");
  Create(REGION_FREE, REGION_PRIMARY);
}

TEST_F(PowerCutOfCreatePartition, LeavesAnExtendedPartitionMadeOrNot) {
  Checks("DMRP-0612", "DMRP-0613");
  Begin(kMbr512, "label: dos\nlabel-id: 0x12345678\nstart=18432, size=8192, type=6\n");
  Create(REGION_FREE, REGION_EXTENDED);
}

TEST_F(PowerCutOfCreatePartition, LeavesALogicalDriveMadeOrNot) {
  Checks("DMRP-0612", "DMRP-0613");
  Begin(kMbr512, kMbrTable);
  Create(REGION_EXTENDED_FREE, REGION_LOGICAL);
}

TEST_F(PowerCutOfCreatePartition, LeavesAPartitionOfAGptDiskMadeOrNot) {
  Checks("DMRP-1560", "DMRP-0613");
  Begin(kGpt, kGptTable);
  Create(REGION_FREE, REGION_PRIMARY);
}

TEST_F(PowerCutOfCreatePartition, LeavesAPartitionOfAGptDiskOf4096OctetSectorsMadeOrNot) {
  Checks("DMRP-1560", "DMRP-0613");
  Begin(kGpt4Kn);
  Create(REGION_FREE, REGION_PRIMARY);
}

class PowerCutOfDeletePartition : public PowerCuts {
 protected:
  void Delete(std::int64_t start, REGIONTYPE type) {
    const REGION_INFO_EX victim = RegionAt(start, type);
    CutEverywhere([&] { EXPECT_THAT(session().DeletePartition(SpecOf(victim)), Succeeds()); });
  }
};

TEST_F(PowerCutOfDeletePartition, LeavesAPrimaryPartitionThereOrGone) {
  Checks("DMRP-0665", "DMRP-0666");
  Begin(kMbr512, kMbrTable);
  Delete(MiB(1), REGION_PRIMARY);
}

TEST_F(PowerCutOfDeletePartition, LeavesTheFirstLogicalDriveThereOrGone) {
  Checks("DMRP-0665", "DMRP-0666");
  Begin(kMbr512, kMbrTable);
  Delete(kFirstLogical, REGION_LOGICAL);
}

TEST_F(PowerCutOfDeletePartition, LeavesTheLastLogicalDriveThereOrGone) {
  Checks("DMRP-0665", "DMRP-0666");
  Begin(kMbr512, kMbrTable);
  Delete(kSecondLogical, REGION_LOGICAL);
}

TEST_F(PowerCutOfDeletePartition, LeavesAPartitionOfAGptDiskThereOrGone) {
  Checks("DMRP-1570", "DMRP-0666");
  Begin(kGpt, kGptTable);
  Delete(MiB(1), REGION_PRIMARY);
}

class PowerCutOfInitializeDiskStyle : public PowerCuts {
 protected:
  void Initialize(const DiskKind& kind, PARTITIONSTYLE style) {
    Begin(kind);
    CutEverywhere([&] {
      const DISK_INFO_EX now = disk();
      EXPECT_THAT(session().InitializeDiskStyle(now.id, style, now.lastKnownState), Succeeds());
    });
  }
};

TEST_F(PowerCutOfInitializeDiskStyle, LeavesABlankDiskBlankOrWithAnMbr) {
  Checks("DMRP-1573", "DMRP-1579");
  Initialize(kBlank, PARTITIONSTYLE_MBR);
}

TEST_F(PowerCutOfInitializeDiskStyle, LeavesABlankDiskBlankOrWithAGpt) {
  Checks("DMRP-1573", "DMRP-1580");
  Initialize(kBlank, PARTITIONSTYLE_GPT);
}

TEST_F(PowerCutOfInitializeDiskStyle, LeavesABlankDiskOf4096OctetSectorsBlankOrWithAGpt) {
  Checks("DMRP-1573", "DMRP-1580");
  Initialize(kBlank4Kn, PARTITIONSTYLE_GPT);
}

TEST_F(PowerCutOfInitializeDiskStyle, LeavesAnEmptyMbrDiskSoOrWithAGpt) {
  Checks("DMRP-1573", "DMRP-1580");
  Initialize(kMbr512, PARTITIONSTYLE_GPT);
}

TEST_F(PowerCutOfInitializeDiskStyle, LeavesAnEmptyGptDiskSoOrWithAnMbr) {
  Checks("DMRP-1573", "DMRP-1579");
  Initialize(kGpt, PARTITIONSTYLE_MBR);
}

}  // namespace
}  // namespace dmrp::suites
