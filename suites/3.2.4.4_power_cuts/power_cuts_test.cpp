// Calls that are cut off at each of their writes: the disk reads as it was before or as it is after the call,
// judged on the image that each prefix of the writes leaves. Partition tables are read by libfdisk, dynamic
// volumes by the harness's reader of the format, which takes the records of an open transaction as they
// count.
#include "harness/disks/write_log.hpp"
#include "harness/guest/guest.hpp"
#include "harness/layout/image_diff.hpp"
#include "suites/support/dynamic_volumes.hpp"
#include "suites/support/task_end.hpp"

#include <algorithm>
#include <functional>

#include <nlohmann/json.hpp>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

// What a reader tells of an image.
struct DiskState {
  std::string text;  ///< all that a power cut must leave old or new
  std::vector<std::string> problems;

  friend bool operator==(const DiskState& one, const DiskState& other) { return one.text == other.text; }
};

class PowerCuts : public DynamicTest {
 protected:
  void NeedsTheWrites() {
    if (target().kind != harness::TargetKind::kBundled) {
      GTEST_SKIP() << "the writes of this target cannot be recorded";
    }
  }
  void Begin(const DiskKind& kind, std::string_view table = {}) {
    NeedsTheWrites();
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
    const ImageCopy cut(before.path().string() + ".cut", sector_);
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
    Judge(before, after, cut, log);
    std::error_code ignored;
    std::filesystem::remove(log_file, ignored);
  }
  /// What the images are judged by; the partition table, unless a test says otherwise.
  virtual DiskState StateOf(const std::filesystem::path& image) {
    const auto layout = Need(harness::ReadLayout(harness::LayoutReader::kLibfdisk, image, sector_));
    nlohmann::json table = ToJson(layout);
    table.erase("problems");
    return {table.dump(), layout.problems};
  }
  [[nodiscard]] std::uint32_t sector() const { return sector_; }

 private:
  void Judge(const ImageCopy& before, const ImageCopy& after, const ImageCopy& cut,
             const harness::WriteLog& log) {
    const DiskState old_state = StateOf(before.path());
    const DiskState new_state = StateOf(after.path());
    ASSERT_NE(old_state.text, new_state.text) << "the call changed nothing";
    EXPECT_THAT(new_state.problems, IsEmpty());
    std::string states;
    for (std::size_t count = 0; count <= log.writes().size(); ++count) {
      if (count > 0 && log.writes()[count - 1].length == 0) {
        continue;  // a flush alone changes nothing
      }
      Need(harness::CopySparse(before.path(), cut.path()));
      Need(log.Replay(count, cut.path()));
      const DiskState state = StateOf(cut.path());
      states += state == old_state ? 'o' : 'n';
      EXPECT_TRUE(state == old_state || state == new_state)
          << "after " << count << " of " << log.writes().size() << " writes the disk holds neither "
          << old_state.text << " nor " << new_state.text << " but " << state.text;
    }
    EXPECT_EQ(states.find("no"), std::string::npos) << "once it is done it stays done: " << states;
    const auto difference = Need(harness::CompareImages(cut.path(), after.path(), sector_));
    EXPECT_TRUE(difference.identical()) << "all writes together: " << difference.Summary();
    RecordProperty("states", states);
    JudgeLost(before, cut, log, old_state, new_state);
  }
  // What the disk has not been told to flush it may write in any order: each such write is lost once,
  // although later ones came through.
  void JudgeLost(const ImageCopy& before, const ImageCopy& cut, const harness::WriteLog& log,
                 const DiskState& old_state, const DiskState& new_state) {
    std::size_t cases = 0;
    for (std::size_t count = 1; count <= log.writes().size(); ++count) {
      for (const std::size_t lost : log.Losable(count)) {
        Need(harness::CopySparse(before.path(), cut.path()));
        Need(log.Replay(count, cut.path(), lost));
        const DiskState state = StateOf(cut.path());
        EXPECT_TRUE(state == old_state || state == new_state)
            << "after " << count << " writes without write " << lost
            << ", which no flush followed, the disk holds neither " << old_state.text << " nor "
            << new_state.text << " but " << state.text;
        ++cases;
      }
    }
    RecordProperty("lost", static_cast<int>(cases));
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

// Changes to the only disk of a group: its volumes, and its table.
class PowerCutOfDynamicDisks : public PowerCuts {
 protected:
  // `dynamic`: or an empty basic disk.
  void BeginDynamic(bool dynamic = true) {
    NeedsTheWrites();
    StartDynamic(1, dynamic ? 1 : 0);
  }
  VolumeShape Shape(std::int64_t length) const {
    return {"Simple", VOLUMELAYOUT_SIMPLE, {{0, length}}, length};
  }
  // The groups with their volumes. What leads to an LDM disk is the partition table: it is basic without, and
  // may get another empty table then.
  DiskState StateOf(const std::filesystem::path& image) override {
    const harness::DiskLayout layout =
        Need(harness::ReadLayout(harness::LayoutReader::kLibfdisk, image, sector()));
    DiskState state{"basic: ", layout.problems};
    static constexpr std::uint8_t kLdmPartition = 0x42;
    if (std::ranges::none_of(layout.partitions,
                             [](const auto& each) { return each.mbr_type == kLdmPartition; })) {
      return state;
    }
    state.text = "dynamic: ";
    const auto read =
        Need(harness::ReadDynamicLayout(harness::DynamicReader::kLdmLayout, {{image, sector()}}));
    const nlohmann::json account = ToJson(read);
    for (const nlohmann::json& group : account.at("groups")) {
      state.text += group.at("guid").dump() + group.at("volumes").dump();
    }
    state.problems.insert(state.problems.end(), read.problems.begin(), read.problems.end());
    return state;
  }
};

TEST_F(PowerCutOfDynamicDisks, LeavesADiskBasicOrDynamic) {
  Checks("DMRP-1716", "DMRP-1717");
  BeginDynamic(false);
  CutEverywhere([&] {
    const DISK_INFO_EX now = disk();
    EXPECT_THAT(InitializeDisk(session(), now.id, now.lastKnownState), Succeeds());
  });
}

TEST_F(PowerCutOfDynamicDisks, LeavesADiskDynamicOrBasic) {
  Checks("DMRP-1128", "DMRP-1129");
  BeginDynamic();
  CutEverywhere([&] {
    const DISK_INFO_EX now = disk();
    const std::uint64_t mark = session().sink().Count();
    const auto reply = UninitializeDisk(session(), now.id, now.lastKnownState);
    ASSERT_THAT(reply, Succeeds());
    EXPECT_EQ(AwaitTask(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  });
}

TEST_F(PowerCutOfDynamicDisks, LeavesAVolumeMadeOrNot) {
  Checks("DMRP-0932", "DMRP-0938");
  BeginDynamic();
  CutEverywhere(
      [&] { EXPECT_THAT(CreateVolume(session(), RequestFor(session(), Shape(MiB(9)))), Succeeds()); });
}

TEST_F(PowerCutOfDynamicDisks, LeavesAVolumeThereOrGone) {
  Checks("DMRP-1032", "DMRP-1033");
  BeginDynamic();
  const VOLUME_INFO volume = Make(session(), Shape(MiB(9)));
  Make(session(), Shape(MiB(5)));
  CutEverywhere([&] { EXPECT_THAT(DeleteVolume(session(), volume.id, volume.lastKnownState), Succeeds()); });
}

TEST_F(PowerCutOfDynamicDisks, LeavesAVolumeAsItWasOrGrown) {
  Checks("DMRP-1013", "DMRP-1017");
  BeginDynamic();
  const VOLUME_INFO volume = Make(session(), Shape(MiB(9)));
  CutEverywhere([&] {
    GrowVolumeRequest request;
    request.volumeId = volume.id;
    request.volumeSpec.layout = VOLUMELAYOUT_SPANNED;
    request.volumeSpec.length = MiB(9 + 4);
    request.volumeSpec.lastKnownState = volume.lastKnownState;
    DISK_SPEC spec;
    spec.diskId = disk().id;
    spec.length = MiB(4);
    spec.lastKnownState = disk().lastKnownState;
    request.diskList.push_back(spec);
    EXPECT_THAT(session().Change<GrowVolumeReply>(session().interface(), "GrowVolume", request), Succeeds());
  });
}

}  // namespace
}  // namespace dmrp::suites
