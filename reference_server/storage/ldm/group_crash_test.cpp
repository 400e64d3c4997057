// Operations on whole disks, cut off at their writes: each disk is what it was or what it shall be, and the
// groups load, after recovery, as one of the states that are named.
#include "reference_server/storage/ldm/group_test_support.hpp"
#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include <functional>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

struct Scenario {
  std::string name;
  std::function<Disks()> prepare;
  /// Runs on the devices, in the order of the disks.
  std::function<void(std::vector<JournalDevice>&)> run;
  /// States besides those before and after that a cut may leave.
  std::size_t between = 0;
};

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

Guid OursOf(const std::vector<Member>& members) { return members.front().header.groupGuid; }

std::vector<Member> MembersOf(std::span<BlockDevice* const> devices) {
  std::vector<Member> members;
  for (BlockDevice* device : devices) {
    auto member = Must(OpenMember(*device), "OpenMember");
    if (member) members.push_back(std::move(*member));
  }
  return members;
}

std::vector<BlockDevice*> Pointers(std::vector<JournalDevice>& devices) {
  std::vector<BlockDevice*> pointers;
  for (JournalDevice& device : devices) pointers.push_back(&device);
  return pointers;
}

/// The group of the first member, with what a cut left brought to an end.
std::optional<DiskGroup> Recovered(std::vector<Member> members) {
  if (members.empty()) return std::nullopt;
  const Guid ours = OursOf(members);
  std::vector<Member> foreign;
  std::vector<Member> own;
  for (Member& member : members) {
    (member.header.groupGuid == ours ? own : foreign).push_back(std::move(member));
  }
  DiskGroup group = Must(DiskGroup::Load(std::move(own)), "Load");
  const auto resumed = ResumeGroup(group, foreign);
  EXPECT_TRUE(resumed) << resumed.error().ToString();
  return group;
}

/// What the disks are and what their groups hold once they were loaded.
std::string StateOf(Disks disks) {
  std::vector<BlockDevice*> devices;
  for (MemoryDevice& disk : disks) devices.push_back(&disk);
  std::string text;
  auto group = Recovered(MembersOf(devices));
  for (BlockDevice* device : devices) text += RegionsText(LayoutOf(*device)) + "\n";
  if (!group) return text;
  text += Essence(group->Current());
  for (const ObjectId disk : group->MissingDisks()) text += fmt::format("missing {}\n", disk);
  std::map<Guid, std::vector<Member>> others;
  for (Member& member : MembersOf(devices)) {
    if (member.header.groupGuid != group->Current().group.guid) {
      others[member.header.groupGuid].push_back(std::move(member));
    }
  }
  for (auto& [guid, members] : others) {
    const DiskGroup other = Must(DiskGroup::Load(std::move(members)), "Load");
    text += "other " + Essence(other.Current());
  }
  return text;
}

Disks BasicAndMembers(PartitionStyle style, bool partitions) {
  MemoryGroup lab(2);
  lab.Make(VolumeLayout::kMirrored, lab.disks, 4 * kMiBBlocks);
  MemoryDevice& basic = lab.AddBasicDisk({.bytes = 200 * kMiB, .style = style});
  for (int i = 0; partitions && i < 2; ++i) {
    const Region free = FreeRegion(LayoutOf(basic));
    Must(CreatePartition(basic, {.freeRegion = free.start,
                                 .start = static_cast<std::int64_t>(free.start),
                                 .length = static_cast<std::int64_t>(5 * kMiB)}));
  }
  return {*lab.devices[0], *lab.devices[1], basic};
}

Disks TwoGroups() {
  MemoryGroup ours(2);
  ours.Make(VolumeLayout::kStriped, ours.disks, 4 * kMiBBlocks);
  MemoryGroup other(2, "OTHERDg0");
  other.Make(VolumeLayout::kMirrored, other.disks, 4 * kMiBBlocks);
  return {*ours.devices[0], *ours.devices[1], *other.devices[0], *other.devices[1]};
}

DiskGroup GroupOf(std::vector<JournalDevice>& devices, std::size_t first, std::size_t count) {
  const std::vector<BlockDevice*> all = Pointers(devices);
  return Must(DiskGroup::Load(MembersOf(std::span(all).subspan(first, count))), "Load");
}

void JoinThird(std::vector<JournalDevice>& devices) {
  const DiskGroup group = GroupOf(devices, 0, 2);
  Must(ConvertDisk(devices[2], &group, {}), "ConvertDisk");
}

std::vector<Scenario> Scenarios() {
  const auto blank = [](PartitionStyle style) {
    return [style] {
      Disks disks;
      disks.emplace_back(DiskGeometry{.sizeBytes = 200 * kMiB});
      Must(InitializeStyle(disks[0], {.style = style, .microsoftReserved = true}));
      return disks;
    };
  };
  const auto found = [](std::vector<JournalDevice>& devices) {
    Must(ConvertDisk(devices[0], nullptr, {.groupName = "TESTDg0"}), "ConvertDisk");
  };
  const auto joined = [](PartitionStyle style) {
    return [style] {
      MemoryGroup lab({{}, {}, {.bytes = 200 * kMiB, .style = style}});
      lab.Make(VolumeLayout::kMirrored, {lab.disks[0], lab.disks[1]}, 4 * kMiBBlocks);
      return Disks{*lab.devices[0], *lab.devices[1], *lab.devices[2]};
    };
  };
  const auto leave = [](std::vector<JournalDevice>& devices) {
    DiskGroup group = GroupOf(devices, 0, 3);
    const ObjectId disk = group.Current().disks.back().id;
    Must(UnconvertDisk(std::move(group), disk), "UnconvertDisk");
  };
  const auto mirror = [](bool retained) {
    return [retained] {
      MemoryGroup lab({{}, {.bytes = 200 * kMiB, .style = PartitionStyle::kGpt}});
      const ObjectId volume = lab.Make(VolumeLayout::kMirrored, lab.disks, 4 * kMiBBlocks);
      if (retained) {
        EXPECT_TRUE(CreatePartitionsForVolume(*lab.group, volume, true));
      }
      return Disks{*lab.devices[0], *lab.devices[1]};
    };
  };
  return {
      {"FoundOnMbr", blank(PartitionStyle::kMbr), found},
      {"FoundOnGpt", blank(PartitionStyle::kGpt), found},
      {"JoinEmptyMbr", [] { return BasicAndMembers(PartitionStyle::kMbr, false); }, JoinThird},
      {"JoinEmptyGpt", [] { return BasicAndMembers(PartitionStyle::kGpt, false); }, JoinThird},
      {"EncapsulateMbr", [] { return BasicAndMembers(PartitionStyle::kMbr, true); }, JoinThird},
      {"EncapsulateGpt", [] { return BasicAndMembers(PartitionStyle::kGpt, true); }, JoinThird},
      // The disk is basic, its record still there.
      {"LeaveMbr", joined(PartitionStyle::kMbr), leave, 1},
      {"LeaveGpt", joined(PartitionStyle::kGpt), leave, 1},
      {"LeaveLast",
       [] {
         MemoryGroup lab(1);
         return Disks{*lab.devices[0]};
       },
       [](std::vector<JournalDevice>& devices) {
         DiskGroup group = GroupOf(devices, 0, 1);
         const ObjectId disk = group.Current().disks.back().id;
         Must(UnconvertDisk(std::move(group), disk), "UnconvertDisk");
       }},
      {"CreatePartitions", mirror(false),
       [](std::vector<JournalDevice>& devices) {
         DiskGroup group = GroupOf(devices, 0, 2);
         ASSERT_TRUE(CreatePartitionsForVolume(group, group.Current().volumes[0].id, true));
       }},
      {"DeletePartitions", mirror(true),
       [](std::vector<JournalDevice>& devices) {
         DiskGroup group = GroupOf(devices, 0, 2);
         ASSERT_TRUE(DeletePartitionsForVolume(group, group.Current().volumes[0].id));
       }},
      // As after, with the last transaction begun anew under a later number.
      {"Merge", TwoGroups,
       [](std::vector<JournalDevice>& devices) {
         DiskGroup ours = GroupOf(devices, 0, 2);
         const DiskGroup foreign = GroupOf(devices, 2, 2);
         const MergePlan plan = Must(PlanMerge(ours.Current(), foreign, {}));
         const auto done = Merge(ours, foreign, plan);
         ASSERT_TRUE(done) << done.error().ToString();
       },
       1},
  };
}

class GroupCrashTest : public testing::TestWithParam<Scenario> {
 protected:
  void SetUp() override {
    base_ = GetParam().prepare();
    Disks target = base_;
    std::vector<JournalDevice> devices;
    for (std::size_t i = 0; i < target.size(); ++i) devices.emplace_back(target[i], i, journal_);
    GetParam().run(devices);
    before_ = StateOf(base_);
    // Transaction ids differ with the number of recoveries, so a state is what it is after one.
    after_ = StateOf(target);
    ASSERT_NE(before_, after_);
  }

  void Judge(const Disks& disks, std::size_t cut) {
    const std::string now = StateOf(disks);
    if (now == before_) {
      EXPECT_EQ(afters_, 0) << "went back at write " << cut;
    } else if (now == after_) {
      ++afters_;
    } else {
      others_.insert(now);
      ASSERT_LE(others_.size(), GetParam().between) << "after write " << cut << "\n"
                                                    << now << "\nbefore\n"
                                                    << before_ << "\nafter\n"
                                                    << after_;
    }
  }

  Disks base_;
  std::vector<JournalEntry> journal_;
  std::string before_;
  std::string after_;
  std::set<std::string> others_;
  int afters_ = 0;
};

TEST_P(GroupCrashTest, LeavesOneOfTheStatesAtEachWrite) {
  Disks disks = base_;
  for (std::size_t i = 0; i < journal_.size(); ++i) {
    const JournalEntry& entry = journal_[i];
    if (entry.barrier) continue;
    disks[entry.disk].Poke(entry.offset, entry.data);
    // Long runs between barriers are looked at here and there.
    const bool near =
        i + 2 >= journal_.size() || journal_[i + 1].barrier || journal_[i - (i > 0 ? 1 : 0)].barrier;
    if (!near && i % 211 != 0) continue;
    ASSERT_NO_FATAL_FAILURE(Judge(disks, i));
  }
  EXPECT_GT(afters_, 0);
}

TEST_P(GroupCrashTest, LeavesOneOfTheStatesWhenSectorsArriveInAnyOrder) {
  std::mt19937 random(20030324);
  Disks disks = base_;
  std::vector<const JournalEntry*> pending;
  for (std::size_t i = 0; i < journal_.size(); ++i) {
    if (!journal_[i].barrier) {
      pending.push_back(&journal_[i]);
      continue;
    }
    Disks cut = disks;
    for (const JournalEntry* one : pending) {
      if (random() % 2 == 0) cut[one->disk].Poke(one->offset, one->data);
    }
    ASSERT_NO_FATAL_FAILURE(Judge(cut, i));
    // A barrier is one of its own disk; the sectors of others go on waiting.
    std::erase_if(pending, [&](const JournalEntry* one) {
      if (one->disk != journal_[i].disk) return false;
      disks[one->disk].Poke(one->offset, one->data);
      return true;
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, GroupCrashTest, testing::ValuesIn(Scenarios()),
                         [](const auto& scenario) { return scenario.param.name; });

}  // namespace
}  // namespace dmrp::server::ldm
