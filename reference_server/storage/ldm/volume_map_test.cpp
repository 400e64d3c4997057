// Volumes read through the map, where a file system that Windows made tells whether it is right.
#include "reference_server/storage/ldm/group_test_support.hpp"
#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include <fstream>

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

/// A volume as a file that goes with the object.
class VolumeFile {
 public:
  explicit VolumeFile(const Bytes& octets) : device_({.sizeBytes = octets.size()}) {
    device_.Poke(0, octets);
    image_.emplace(device_);
  }
  [[nodiscard]] std::string Path() const { return image_->Path().string(); }

 private:
  MemoryDevice device_;
  std::optional<ScratchImage> image_;
};

Bytes WholeVolume(const VolumeMap& map) {
  Bytes octets(map.length);
  const auto done = ReadVolume(map, 0, octets);
  EXPECT_TRUE(done) << done.error().ToString();
  return octets;
}

void ExpectConsistentNtfs(const Bytes& volume) {
  const VolumeFile file(volume);
  EXPECT_THAT(RunTool("ntfsinfo -m " + file.Path()), testing::HasSubstr("Volume Version: 3.1"));
  EXPECT_THAT(RunTool("ntfsfix -n " + file.Path()), testing::HasSubstr("was processed successfully"));
}

class WindowsVolumesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (WindowsDisks().empty()) GTEST_SKIP() << "the disks of a Windows host are not at hand";
    for (const auto& [name, disk] : WindowsDisks()) disks_.push_back(disk);
  }
  DiskGroup Loaded() { return Must(DiskGroup::Load(OpenAll(disks_))); }

  Disks disks_;
};

TEST_F(WindowsVolumesTest, HoldAConsistentFileSystemWhenReadThroughTheMap) {
  const DiskGroup group = Loaded();
  for (const VolumeRecord& volume : group.Current().volumes) {
    SCOPED_TRACE(volume.name);
    const VolumeMap map = Must(MapVolume(group, volume.id));
    EXPECT_EQ(map.health, VolumeHealth::kHealthy);
    ExpectConsistentNtfs(WholeVolume(map));
  }
}

TEST_F(WindowsVolumesTest, ARaid5VolumeIsWholeWithoutAnyOneOfItsColumns) {
  const DiskGroup group = Loaded();
  const auto raid = std::ranges::find(group.Current().volumes, kVolumeRaid5, &VolumeRecord::type);
  ASSERT_NE(raid, group.Current().volumes.end());
  const VolumeMap map = Must(MapVolume(group, raid->id));
  const MapPlex& plex = map.plexes.at(0);
  const Bytes whole = WholeVolume(map);
  std::vector<Bytes> columns;
  for (const MapColumn& column : plex.columns) {
    ASSERT_TRUE(ReadColumn(column, 0, columns.emplace_back(column.length)));
  }
  for (std::size_t lost = 0; lost < columns.size(); ++lost) {
    std::vector<Bytes> left = columns;
    left[lost].assign(left[lost].size(), std::byte{0});
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (i == lost) continue;
      for (std::size_t at = 0; at < left[lost].size(); ++at) left[lost][at] ^= columns[i][at];
    }
    Bytes rebuilt;
    while (rebuilt.size() < map.length) {
      const ColumnRange range = Locate(plex, rebuilt.size(), map.length - rebuilt.size());
      const auto from = left[range.column].begin() + static_cast<std::ptrdiff_t>(range.offset);
      rebuilt.insert(rebuilt.end(), from, from + static_cast<std::ptrdiff_t>(range.length));
    }
    EXPECT_EQ(rebuilt == whole, true) << "without column " << lost;
  }
}

TEST_F(WindowsVolumesTest, AVolumeTellsWhichOfItsDisksAreAway) {
  disks_.pop_front();
  const DiskGroup group = Loaded();
  const auto absent = group.MissingDisks();
  ASSERT_EQ(absent.size(), 1u);
  int hit = 0;
  for (const VolumeRecord& volume : group.Current().volumes) {
    const VolumeMap map = Must(MapVolume(group, volume.id));
    for (const MapPlex& plex : map.plexes) {
      for (const MapColumn& column : plex.columns) {
        for (const MapExtent& extent : column.extents) {
          EXPECT_EQ(extent.device == nullptr, extent.disk == absent[0]);
          if (extent.disk != absent[0]) continue;
          ++hit;
          EXPECT_EQ(extent.health, Health::kMissing);
          EXPECT_NE(map.health, VolumeHealth::kHealthy);
        }
      }
    }
  }
  EXPECT_EQ(hit, 1);
}

/// The story of a group: imported, mirrored, split, merged with another one, changed there.
TEST_F(WindowsVolumesTest, AreImportedMirroredSplitAndMergedWithTheirDataWhole) {
  const auto find = [](const Database& database, std::string_view name) {
    const auto found = std::ranges::find(database.volumes, name, &VolumeRecord::name);
    EXPECT_NE(found, database.volumes.end()) << name;
    return found == database.volumes.end() ? ObjectId{0} : found->id;
  };
  const auto bytes_of = [](const DiskGroup& group, ObjectId volume) {
    return WholeVolume(Must(MapVolume(group, volume)));
  };
  DiskGroup group = Must(ImportGroup(OpenAll(disks_), 0x12345678));
  ExpectSound(group);
  ExpectLdmtoolAgrees(group);
  std::map<Guid, Bytes> contents;
  for (const VolumeRecord& volume : group.Current().volumes)
    contents[volume.guid] = bytes_of(group, volume.id);

  // A mirror on a disk that joins.
  MemoryDevice joining({.sizeBytes = 60 * kMiB});
  Must(InitializeStyle(joining, {.style = PartitionStyle::kMbr}));
  auto converted = Must(ConvertDisk(joining, &group, {}));
  group = std::move(converted.group);
  const ObjectId volume = find(group.Current(), "Volume1");
  auto mirrored = Must(AddMirror(group.Current(), SpacesOf(group), volume, converted.disk));
  ASSERT_TRUE(group.Commit(std::move(mirrored.after)));
  ExpectSound(group);
  ExpectLdmtoolAgrees(group);
  const VolumeMap map = Must(MapVolume(group, volume));
  ASSERT_EQ(map.plexes.size(), 2u);
  const MapExtent& copy = map.plexes[1].columns[0].extents[0];
  ASSERT_TRUE(copy.device->Write(copy.diskOffset, contents[map.guid]));
  ASSERT_TRUE(group.Commit(Must(MarkPlex(group.Current(), map.plexes[1].plex, Health::kHealthy))));

  // Split again: two volumes with the same data.
  auto split = Must(SplitMirror(group.Current(), volume, converted.disk));
  ASSERT_TRUE(group.Commit(std::move(split.after)));
  ExpectSound(group);
  ExpectLdmtoolAgrees(group);
  const Guid split_guid = group.Current().FindVolume(split.volume)->guid;
  contents[split_guid] = contents[map.guid];
  EXPECT_EQ(bytes_of(group, split.volume) == contents[map.guid], true);
  ExpectConsistentNtfs(bytes_of(group, split.volume));

  // Merged into a group of ours, where some names are taken.
  MemoryGroup ours(3);
  const ObjectId own = ours.Make(VolumeLayout::kStriped, ours.disks, 4096);
  std::vector<Member> members = group.Members();
  const DiskGroup foreign = Must(DiskGroup::Inspect(members));
  const MergePlan plan = Must(PlanMerge(ours.Now(), foreign, {}));
  EXPECT_EQ(plan.foreignDisks.size(), 11u);
  for (const MergedVolume& one : plan.volumes) {
    EXPECT_TRUE(one.related);
    EXPECT_FALSE(one.deleted || one.redundancyDeleted || one.stale);
  }
  const auto done = Merge(*ours.group, foreign, plan);
  ASSERT_TRUE(done) << done.error().ToString();
  EXPECT_EQ(ours.Now().disks.size(), 14u);
  EXPECT_EQ(ours.group->MissingDisks().size(), 0u);
  ExpectSound(*ours.group);
  ExpectLdmtoolAgrees(*ours.group);
  std::vector<Member> all = ours.group->Members();
  DiskGroup merged = Must(DiskGroup::Load(std::move(all)));
  for (const auto& [guid, octets] : contents) {
    const VolumeRecord* record = merged.Current().FindVolume(guid);
    ASSERT_NE(record, nullptr) << guid.ToString();
    SCOPED_TRACE(record->name);
    EXPECT_EQ(bytes_of(merged, record->id) == octets, true);
  }
  EXPECT_NE(merged.Current().FindVolume(own), nullptr);

  // Deletion and creation on it.
  const ObjectId raid =
      merged.Current()
          .FindVolume(std::ranges::find(merged.Current().volumes, kVolumeRaid5, &VolumeRecord::type)->id)
          ->id;
  std::vector<MemberRequest> freed;
  for (const SubdiskRecord* one : merged.Current().SubdisksOf(merged.Current().PlexesOf(raid)[0]->id)) {
    freed.push_back({.disk = one->diskId, .blocks = one->size});
  }
  ASSERT_TRUE(merged.Commit(Must(DeleteVolume(merged.Current(), raid))));
  auto made = Must(
      CreateVolume(merged.Current(), SpacesOf(merged), {.layout = VolumeLayout::kStriped, .members = freed}));
  ASSERT_TRUE(merged.Commit(std::move(made.after)));
  ExpectSound(merged);
  ExpectLdmtoolAgrees(merged);
}

TEST(LocateTest, WalksStripesAndLeftSymmetricParity) {
  MapPlex stripe{.layout = PlexLayout::kStripe, .stripeBytes = 65536, .columns = std::vector<MapColumn>(3)};
  ColumnRange range = Locate(stripe, 65536 * 4 + 100, 1 << 20);
  EXPECT_EQ(range.column, 1u);
  EXPECT_EQ(range.offset, 65536u + 100);
  EXPECT_EQ(range.length, 65536u - 100);
  MapPlex raid{.layout = PlexLayout::kRaid5, .stripeBytes = 65536, .columns = std::vector<MapColumn>(3)};
  // Rows of units: D0 D1 P / D3 P D2 / P D4 D5.
  const std::vector<std::pair<std::size_t, std::uint64_t>> wanted{{0, 0}, {1, 0}, {2, 1},
                                                                  {0, 1}, {1, 2}, {2, 2}};
  for (std::size_t unit = 0; unit < wanted.size(); ++unit) {
    range = Locate(raid, unit * 65536, 512);
    EXPECT_EQ(range.column, wanted[unit].first) << unit;
    EXPECT_EQ(range.offset, wanted[unit].second * 65536) << unit;
  }
  EXPECT_EQ(ParityColumn(raid, 0), 2u);
  EXPECT_EQ(ParityColumn(raid, 2 * 65536), 0u);
}

}  // namespace
}  // namespace dmrp::server::ldm
