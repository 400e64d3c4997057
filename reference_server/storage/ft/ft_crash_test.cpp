// Every operation, cut at every write: the record is one write (a renamed file,
// platform/replace_file_test.cpp), each sector of a disk another one. What is there then reads as the old set
// or as the new one, and after Mend the types go with it.
#include "reference_server/platform/recording_device.hpp"
#include "reference_server/storage/ft/ft_test_support.hpp"

#include <functional>

#include <gtest/gtest.h>

namespace dmrp::server::ft {
namespace {

struct Operation {
  std::string name;
  std::function<void(FtSystem&)> prepare;
  std::function<StorageResult<FtChange>(const DiskRegistry&, std::span<const FtDisk>)> begin;
};

void MakeMirror(FtSystem& system) {
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}}, 'E');
  system.AddSet(FtType::kStripe, {{0, kMiB}, {2, kMiB}}, 'S');
}
void MakeDriveMirror(FtSystem& system) {
  for (std::size_t disk = 0; disk < 2; ++disk) system.AddPartition(disk, 20 * kMiB, RegionKind::kExtended);
  system.AddSet(FtType::kMirror, {{0, 4 * kMiB}, {1, 4 * kMiB}}, 'E', RegionKind::kLogical);
}
void MakeParity(FtSystem& system) {
  system.AddSet(FtType::kStripeWithParity, {{0, 4 * kMiB}, {1, 4 * kMiB}, {2, 4 * kMiB}}, 'F');
}
void OrphanFirst(FtSystem& system) {
  const auto change = OrphanMember(system.record, system.Present(), 0, 0);
  ASSERT_TRUE(change);
  system.Take(*change);
}

std::vector<Operation> Operations() {
  const auto then = [](auto... steps) { return [=](FtSystem& system) { (steps(system), ...); }; };
  const auto spare = [](FtSystem& system) { system.AddPartition(3, 5 * kMiB); };
  return {
      {"DeleteMirror", MakeMirror, [](const auto& r, auto d) { return DeleteSet(r, d, 0); }},
      {"DeleteDrives", MakeDriveMirror, [](const auto& r, auto d) { return DeleteSet(r, d, 0); }},
      {"DeleteParity", MakeParity, [](const auto& r, auto d) { return DeleteSet(r, d, 0); }},
      {"Break", MakeMirror,
       [](const auto& r, auto d) -> StorageResult<FtChange> { return BreakMirror(r, d, 0); }},
      {"BreakDrives", MakeDriveMirror,
       [](const auto& r, auto d) -> StorageResult<FtChange> { return BreakMirror(r, d, 0); }},
      {"ResyncOrphan", then(MakeMirror, OrphanFirst),
       [](const auto& r, auto d) { return ResyncMirror(r, d, 0); }},
      {"ResyncWhole", MakeMirror, [](const auto& r, auto d) { return ResyncMirror(r, d, 0); }},
      {"RegenerateOrphan", then(MakeParity, OrphanFirst),
       [](const auto& r, auto d) { return RegenerateParityStripe(r, d, 0); }},
      {"Orphan", MakeParity, [](const auto& r, auto d) { return OrphanMember(r, d, 0, 2); }},
      {"ReplaceInMirror", then(MakeMirror, OrphanFirst, spare),
       [](const auto& r, auto d) { return ReplaceMember(r, d, 0, {3, kFirst}); }},
      {"ReplaceInDrives", then(MakeDriveMirror, OrphanFirst, spare),
       [](const auto& r, auto d) { return ReplaceMember(r, d, 0, {3, kFirst}); }},
      {"ReplaceInParity", then(MakeParity, OrphanFirst, spare),
       [](const auto& r, auto d) { return ReplaceMember(r, d, 0, {3, kFirst}); }},
  };
}

/// What a user would say there is: sets with their members and states, without what the types look like.
std::string Sets(FtSystem& system) {
  std::string text;
  for (FtVolume& volume : ReadFtSets(system.record, system.Present()).volumes) {
    EXPECT_EQ(volume.BlockingProblem(), nullptr) << ToText(volume);
    for (FtMember& member : volume.members) member.partitionType = 0;
    text += ToText(volume) + "\n";
  }
  return text;
}

std::string Tables(FtSystem& system) {
  std::string text;
  for (MemoryDevice& disk : system.disks) {
    for (const Region& region : LayoutOf(disk).regions) {
      text += fmt::format("{}+{} {:02x}, ", region.start, region.length, region.mbrType);
    }
    text += "\n";
  }
  return text;
}

class FtCrash : public testing::TestWithParam<Operation> {};

TEST_P(FtCrash, EveryCutLeavesTheOldOrTheNewSet) {
  FtSystem before(4);
  GetParam().prepare(before);
  ASSERT_FALSE(HasFailure());
  const auto change = GetParam().begin(before.record, before.Present());
  ASSERT_TRUE(change) << change.error().ToString();

  FtSystem after = before;
  std::vector<std::pair<std::size_t, RecordedWrite>> writes;
  after.record = change->after;
  for (const PartitionChange& partition : change->partitions) {
    RecordingDevice recorder(after.disks[partition.disk]);
    const auto done = Apply(recorder, partition);
    ASSERT_TRUE(done) << done.error().ToString();
    for (const RecordedWrite& write : recorder.Writes()) {
      if (!write.barrier) writes.emplace_back(partition.disk, write);
    }
  }
  const std::string old_sets = Sets(before);
  const std::string new_sets = Sets(after);
  EXPECT_NE(old_sets, new_sets);
  EXPECT_TRUE(Mend(before.record, before.Present()).empty());
  EXPECT_TRUE(Mend(after.record, after.Present()).empty());
  EXPECT_TRUE(ReadFtSets(after.record, after.Present()).unclaimed.empty());

  // No write; the record; the record and the first write; ...
  for (std::size_t cut = 0; cut <= writes.size() + 1; ++cut) {
    FtSystem now = before;
    if (cut > 0) now.record = change->after;
    for (std::size_t i = 0; i + 1 < cut; ++i) {
      now.disks[writes[i].first].Poke(writes[i].second.offset, writes[i].second.data);
    }
    EXPECT_EQ(Sets(now), cut == 0 ? old_sets : new_sets) << "cut " << cut << " of " << writes.size() + 1;
    for (const PartitionChange& partition : Mend(now.record, now.Present())) {
      const auto mended = Apply(now.disks[partition.disk], partition);
      ASSERT_TRUE(mended) << mended.error().ToString();
    }
    EXPECT_TRUE(Mend(now.record, now.Present()).empty());
    EXPECT_EQ(Sets(now), cut == 0 ? old_sets : new_sets) << "mended after cut " << cut;
    if (cut == writes.size() + 1) {
      EXPECT_EQ(Tables(now), Tables(after));
    }
    // What is left of partitions that were to be deleted is known as such.
    std::size_t deleted = 0;
    for (const PartitionChange& partition : change->partitions) deleted += partition.type ? 0U : 1U;
    EXPECT_LE(ReadFtSets(now.record, now.Present()).unclaimed.size(), cut == 0 ? 0U : deleted);
    if (deleted == 0 && cut > 0) {
      EXPECT_EQ(Tables(now), Tables(after)) << "mended after cut " << cut;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, FtCrash, testing::ValuesIn(Operations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace dmrp::server::ft
