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
#include <memory>
#include <set>

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

  /// Makes the change with all writes to all disks recorded, then looks at the disks of each moment.
  void CutEverywhere(const std::function<void()>& change) {
    harness::TestBed& bed = lab().bed();
    harness::Guest& guest = *bed.guest();
    std::vector<std::string> ids;
    for (const BedDisk& disk : bed.disks()) ids.push_back(disk.id);
    std::vector<Recorded> disks(ids.size());
    const auto before = Need(bed.SnapshotAll());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      Recorded& disk = disks[i];
      disk.before = std::make_shared<ImageCopy>(before.at(ids[i]), sector_);
      disk.cut = std::make_shared<ImageCopy>(disk.before->path().string() + ".cut", sector_);
      Need(guest.StartWriteLog(ids[i], LogOf(disk)));
    }
    change();
    if (HasFailure()) {
      return;
    }
    Need(guest.agent().Shell("sync"));
    for (const std::string& id : ids) Need(guest.ClearFaults(id));
    const auto after = Need(bed.SnapshotAll());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      disks[i].after = std::make_shared<ImageCopy>(after.at(ids[i]), sector_);
      disks[i].log = Need(harness::WriteLog::Read(LogOf(disks[i])));
    }
    if (disks.size() == 1) {
      Judge(disks.front());
    } else {
      JudgeTogether(disks);
    }
    for (const Recorded& disk : disks) {
      std::error_code ignored;
      std::filesystem::remove(LogOf(disk), ignored);
    }
  }
  /// What the images of all disks are judged by; the partition table of the one disk, unless a test says
  /// otherwise.
  virtual DiskState StateOf(const std::vector<std::filesystem::path>& images) {
    const auto layout = Need(harness::ReadLayout(harness::LayoutReader::kLibfdisk, images.at(0), sector_));
    nlohmann::json table = ToJson(layout);
    table.erase("problems");
    return {table.dump(), layout.problems};
  }
  [[nodiscard]] std::uint32_t sector() const { return sector_; }

 private:
  struct Recorded {
    std::shared_ptr<ImageCopy> before, after;
    std::shared_ptr<ImageCopy> cut;  // the disk of the moment that is looked at
    harness::WriteLog log;
  };
  static std::filesystem::path LogOf(const Recorded& disk) { return disk.before->path().string() + ".log"; }
  // The disk as its first `count` writes leave it, without the one numbered `lost`.
  void PutBack(const Recorded& disk, std::size_t count, std::optional<std::size_t> lost = std::nullopt) {
    Need(harness::CopySparse(disk.before->path(), disk.cut->path()));
    Need(disk.log.Replay(count, disk.cut->path(), lost));
  }
  // What all writes leave is the disk as it is.
  void ExpectComplete(const Recorded& disk) {
    const auto difference = Need(harness::CompareImages(disk.cut->path(), disk.after->path(), sector_));
    EXPECT_TRUE(difference.identical()) << "all writes together: " << difference.Summary();
  }
  void Judge(const Recorded& disk) {
    const harness::WriteLog& log = disk.log;
    const DiskState old_state = StateOf({disk.before->path()});
    const DiskState new_state = StateOf({disk.after->path()});
    ASSERT_NE(old_state.text, new_state.text) << "the call changed nothing";
    EXPECT_THAT(new_state.problems, IsEmpty());
    std::string states;
    for (std::size_t count = 0; count <= log.writes().size(); ++count) {
      if (count > 0 && log.writes()[count - 1].length == 0) {
        continue;  // a flush alone changes nothing
      }
      PutBack(disk, count);
      const DiskState state = StateOf({disk.cut->path()});
      states += state == old_state ? 'o' : 'n';
      EXPECT_TRUE(state == old_state || state == new_state)
          << "after " << count << " of " << log.writes().size() << " writes the disk holds neither "
          << old_state.text << " nor " << new_state.text << " but " << state.text;
    }
    EXPECT_EQ(states.find("no"), std::string::npos) << "once it is done it stays done: " << states;
    ExpectComplete(disk);
    RecordProperty("states", states);
    JudgeLost(disk, old_state, new_state);
  }
  // What the disk has not been told to flush it may write in any order: each such write is lost once,
  // although later ones came through.
  void JudgeLost(const Recorded& disk, const DiskState& old_state, const DiskState& new_state) {
    const harness::WriteLog& log = disk.log;
    std::size_t cases = 0;
    for (std::size_t count = 1; count <= log.writes().size(); ++count) {
      for (const std::size_t lost : log.Losable(count)) {
        PutBack(disk, count, lost);
        const DiskState state = StateOf({disk.cut->path()});
        EXPECT_TRUE(state == old_state || state == new_state)
            << "after " << count << " writes without write " << lost
            << ", which no flush followed, the disk holds neither " << old_state.text << " nor "
            << new_state.text << " but " << state.text;
        ++cases;
      }
    }
    RecordProperty("lost", static_cast<int>(cases));
  }
  // No log tells which disk was written first: wherever one was cut, the other may have had nothing, about as
  // much, or everything of its own.
  void JudgeTogether(const std::vector<Recorded>& disks) {
    const auto images = [&](auto image) {
      std::vector<std::filesystem::path> paths;
      for (const Recorded& disk : disks) paths.push_back((disk.*image)->path());
      return paths;
    };
    const DiskState old_state = StateOf(images(&Recorded::before));
    const DiskState new_state = StateOf(images(&Recorded::after));
    ASSERT_NE(old_state.text, new_state.text) << "the call changed nothing";
    EXPECT_THAT(new_state.problems, IsEmpty());
    const Recorded& one = disks.at(0);
    const Recorded& other = disks.at(1);
    const std::size_t all = other.log.writes().size();
    std::size_t cases = 0;
    for (std::size_t count = 0; count <= one.log.writes().size(); ++count) {
      const std::size_t same = std::min(count, all);
      for (const std::size_t others :
           std::set<std::size_t>{0, same - (same > 0), same, std::min(same + 1, all), all}) {
        PutBack(one, count);
        PutBack(other, others);
        const DiskState state = StateOf(images(&Recorded::cut));
        EXPECT_TRUE(state == old_state || state == new_state)
            << "after " << count << " writes of " << one.log.writes().size() << " to one disk and " << others
            << " of " << all << " to the other the disks hold neither " << old_state.text << " nor "
            << new_state.text << " but " << state.text;
        ++cases;
      }
    }
    EXPECT_EQ(StateOf(images(&Recorded::cut)), new_state);
    for (const Recorded& disk : disks) ExpectComplete(disk);
    RecordProperty("cases", static_cast<int>(cases));
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

// Changes to the volumes of a group, and to the tables of its disks.
class PowerCutOfDynamicDisks : public PowerCuts {
 protected:
  // So many disks, dynamic ones unless told otherwise.
  void BeginDynamic(std::size_t disks = 1, bool dynamic = true) {
    NeedsTheWrites();
    StartDynamic(disks, dynamic ? disks : 0);
  }
  static VolumeShape Shape(std::int64_t length) {
    return {"Simple", VOLUMELAYOUT_SIMPLE, {{0, length}}, length};
  }
  static VolumeShape Striped() {
    return {"Striped", VOLUMELAYOUT_STRIPE, {{0, MiB(4)}, {1, MiB(4)}}, MiB(8)};
  }
  // Grows the simple volume by 4 MiB of that disk.
  void Grow(const VOLUME_INFO& volume, std::size_t index) {
    GrowVolumeRequest request;
    request.volumeId = volume.id;
    request.volumeSpec.layout = VOLUMELAYOUT_SPANNED;
    request.volumeSpec.length = volume.length + MiB(4);
    request.volumeSpec.lastKnownState = volume.lastKnownState;
    const DISK_INFO_EX disk = DiskNow(session(), index);
    DISK_SPEC spec;
    spec.diskId = disk.id;
    spec.length = MiB(4);
    spec.lastKnownState = disk.lastKnownState;
    request.diskList.push_back(spec);
    EXPECT_THAT(session().Change<GrowVolumeReply>(session().interface(), "GrowVolume", request), Succeeds());
  }
  // The groups with their volumes. What leads to an LDM disk is the partition table: it is basic without, and
  // may get another empty table then.
  DiskState StateOf(const std::vector<std::filesystem::path>& images) override {
    static constexpr std::uint8_t kLdmPartition = 0x42;
    DiskState state;
    std::vector<harness::DynamicImage> dynamic;
    for (const std::filesystem::path& image : images) {
      const harness::DiskLayout layout =
          Need(harness::ReadLayout(harness::LayoutReader::kLibfdisk, image, sector()));
      state.problems.insert(state.problems.end(), layout.problems.begin(), layout.problems.end());
      const bool ldm = std::ranges::any_of(layout.partitions,
                                           [](const auto& each) { return each.mbr_type == kLdmPartition; });
      state.text += ldm ? "dynamic: " : "basic: ";
      if (ldm) dynamic.push_back({image, sector()});
    }
    if (dynamic.empty()) return state;
    const auto read = Need(harness::ReadDynamicLayout(harness::DynamicReader::kLdmLayout, dynamic));
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
  BeginDynamic(1, /*dynamic=*/false);
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
  CutEverywhere([&] { Grow(volume, 0); });
}

TEST_F(PowerCutOfDynamicDisks, LeavesAVolumeOnTwoDisksMadeOrNot) {
  Checks("DMRP-0932", "DMRP-0938");
  BeginDynamic(2);
  CutEverywhere([&] { EXPECT_THAT(CreateVolume(session(), RequestFor(session(), Striped())), Succeeds()); });
}

TEST_F(PowerCutOfDynamicDisks, LeavesAVolumeOnTwoDisksThereOrGone) {
  Checks("DMRP-1032", "DMRP-1033");
  BeginDynamic(2);
  const VOLUME_INFO volume = Make(session(), Striped());
  CutEverywhere([&] { EXPECT_THAT(DeleteVolume(session(), volume.id, volume.lastKnownState), Succeeds()); });
}

TEST_F(PowerCutOfDynamicDisks, LeavesAVolumeAsItWasOrGrownOntoAnotherDisk) {
  Checks("DMRP-1013", "DMRP-1017");
  BeginDynamic(2);
  const VOLUME_INFO volume = Make(session(), Shape(MiB(9)));
  CutEverywhere([&] { Grow(volume, 1); });
}

}  // namespace
}  // namespace dmrp::suites
