// Every kind of change to a group, cut off at every write of every disk: the group loads as before or as
// after, the same on all disks. Sectors between two barriers of a disk may also reach it in any order.
#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include <algorithm>
#include <map>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

/// A group open on journalled disks.
struct OpenGroup {
  explicit OpenGroup(Disks& disks) {
    std::vector<Member> members;
    for (MemoryDevice& disk : disks) {
      devices.emplace_back(disk, devices.size(), journal);
      members.push_back(Opened(devices.back()));
    }
    auto loaded = DiskGroup::Load(members);
    EXPECT_TRUE(loaded) << loaded.error().ToString();
    group.emplace(std::move(*loaded));
    EXPECT_TRUE(journal.empty());
  }
  std::vector<JournalEntry> journal;
  std::deque<JournalDevice> devices;
  std::optional<DiskGroup> group;
};

struct Scenario {
  std::string name;
  std::vector<DiskShape> shapes;
  std::function<void(Database&)> prepare;  ///< one transaction that is not looked at
  std::function<void(Database&)> change;   ///< the one that is
  bool rename = false;                     ///< the headers change too
};

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

std::vector<ObjectId> AllDisks(const Database& database) {
  std::vector<ObjectId> ids;
  for (const DiskRecord& disk : database.disks) ids.push_back(disk.id);
  return ids;
}

constexpr std::uint64_t kBlocks = 2048;

void AddConcat(Database& database) {
  AddVolume(database, VolumeShape::kConcat, AllDisks(database), 0, kBlocks);
}

std::vector<Scenario> Scenarios() {
  const DiskShape mbr{};
  const DiskShape gpt{.gpt = true};
  const DiskShape large{.bytesPerSector = 4096};
  const auto nothing = [](Database&) {};
  const auto add = [](VolumeShape shape) {
    return [shape](Database& database) { AddVolume(database, shape, AllDisks(database), 4096, kBlocks); };
  };
  const auto remove = [](Database& database) { database.EraseVolume(database.volumes.front().id); };
  const auto grow = [](Database& database) {
    database.volumes.front().size += 128 * database.disks.size();
    for (SubdiskRecord& subdisk : database.subdisks) {
      subdisk.size += 128;
      if (subdisk.offset != 0) subdisk.offset = subdisk.offset / kBlocks * (kBlocks + 128);
    }
  };
  const auto everything = [=](Database& database) {
    remove(database);
    AddVolume(database, VolumeShape::kMirror, AllDisks(database), 9000, kBlocks);
    for (DiskRecord& disk : database.disks) disk.flags |= kDiskReserved;
  };
  const auto many = [](Database& database) {
    for (std::uint64_t i = 0; i < 8; ++i) {
      AddVolume(database, VolumeShape::kConcat, AllDisks(database), 20000 + i * 256, 256);
    }
  };
  return {
      {"SimpleOnOneDisk", {mbr}, nothing, AddConcat},
      {"SpannedOverTwo", {mbr, mbr}, nothing, AddConcat},
      {"StripedOverThree", {mbr, gpt, mbr}, nothing, add(VolumeShape::kStripe)},
      {"MirroredOverThree", {mbr, mbr, mbr}, nothing, add(VolumeShape::kMirror)},
      {"Raid5OverThree", {mbr, gpt, gpt}, AddConcat, add(VolumeShape::kRaid5)},
      {"LargeSectors", {large, large}, AddConcat, add(VolumeShape::kStripe)},
      {"MixedSectors", {mbr, large}, AddConcat, add(VolumeShape::kMirror)},
      {"Remove", {mbr, mbr, mbr}, AddConcat, remove},
      {"Grow", {mbr, mbr}, AddConcat, grow},
      {"RemoveAndAdd", {mbr, mbr, mbr}, AddConcat, everything},
      {"RemoveAndAddOnLargeSectors", {large, large, large}, AddConcat, everything},
      {"ManyRecords", {mbr, mbr}, nothing, many},
      {"RemoveMany",
       {mbr, mbr},
       many,
       [](Database& database) {
         while (database.volumes.size() > 1) database.EraseVolume(database.volumes.back().id);
       }},
      {"Rename", {mbr, gpt}, AddConcat, [](Database& database) { database.group.name = "OtherDg0"; }, true},
  };
}

class LdmCrashTest : public testing::TestWithParam<Scenario> {
 protected:
  void SetUp() override {
    base_ = MakeGroup(GetParam().shapes);
    {
      OpenGroup open(base_);
      Database next = open.group->Current();
      GetParam().prepare(next);
      ASSERT_TRUE(open.group->Commit(next, kTestTime));
      before_ = Essence(open.group->Current());
    }
    Disks target = base_;
    OpenGroup open(target);
    Database next = open.group->Current();
    GetParam().change(next);
    const auto report = GetParam().rename ? open.group->Rename(next.group.name, kTestTime + 1)
                                          : open.group->Commit(next, kTestTime + 1);
    ASSERT_TRUE(report) << report.error().ToString();
    ASSERT_TRUE(report->written);
    after_ = Essence(open.group->Current());
    journal_ = open.journal;
    ASSERT_NE(before_, after_);
    ASSERT_TRUE(journal_.back().barrier);
    for (MemoryDevice& disk : target) {
      const auto findings = CheckMember(Opened(disk));
      EXPECT_THAT(*findings, testing::IsEmpty());
    }
  }

  /// Loads what a crash left; all disks must agree afterwards. The state, or what went wrong.
  /// When no disk failed, each copy has all that it needs in itself.
  static std::string Recover(Disks& disks, bool a_disk_failed = false) {
    // In whatever order the disks are found.
    const auto seen = DiskGroup::Inspect(OpenAll(disks));
    std::vector<Member> members = OpenAll(disks);
    std::reverse(members.begin(), members.end());
    auto group = DiskGroup::Load(members);
    if (!group) return group.error().ToString();
    if (!seen || Essence(seen->Current()) != Essence(group->Current()))
      return "the order of the disks matters";
    for (const CopyReport& copy : group->Copies()) {
      if (!a_disk_failed && (copy.state == CopyState::kDamaged || copy.state == CopyState::kStale)) {
        return "a copy needs another: " + copy.text;
      }
    }
    if (group->Members().size() != disks.size()) return "a disk was left out";
    const std::string state = Essence(group->Current());
    const Bytes config(group->ConfigImage().begin(), group->ConfigImage().end());
    for (const Member& member : OpenAll(disks)) {
      Bytes own = ConfigOf(member);
      own.resize(config.size());
      if (own != config) return "the disks differ";
      if (const auto findings = CheckMember(member); !findings->empty()) return findings->front();
    }
    const auto again = DiskGroup::Inspect(OpenAll(disks));
    if (!again || Essence(again->Current()) != state) return "loads differently the second time";
    for (const CopyReport& copy : again->Copies()) {
      if (copy.state != CopyState::kCurrent) return "not at rest: " + copy.text;
    }
    return state;
  }

  /// Recovery writes too: cut it off in the middle, once, and recover again.
  std::string RecoverInterrupted(const Disks& crashed, std::mt19937& random) {
    Disks disks = crashed;
    std::vector<JournalEntry> journal;
    {
      Disks scratch = crashed;
      std::deque<JournalDevice> devices;
      std::vector<Member> members;
      for (MemoryDevice& disk : scratch) {
        devices.emplace_back(disk, devices.size(), journal);
        members.push_back(Opened(devices.back()));
      }
      const auto loaded = DiskGroup::Load(members);
      if (!loaded) return loaded.error().ToString();
    }
    const std::size_t cut = journal.empty() ? 0 : random() % journal.size();
    for (std::size_t i = 0; i < cut; ++i) {
      if (!journal[i].barrier) disks[journal[i].disk].Poke(journal[i].offset, journal[i].data);
    }
    return Recover(disks);
  }

  Disks base_;
  std::vector<JournalEntry> journal_;
  std::string before_;
  std::string after_;
};

TEST_P(LdmCrashTest, LoadsAsBeforeOrAfterAtEveryWriteOfEveryDisk) {
  std::mt19937 random(1);
  Disks disks = base_;
  bool switched = false;
  std::size_t boundary = 0;
  for (const JournalEntry& entry : journal_) {
    ++boundary;
    if (entry.barrier) continue;
    disks[entry.disk].Poke(entry.offset, entry.data);
    Disks crashed = disks;
    const std::string state = Recover(crashed);
    ASSERT_TRUE(state == before_ || state == after_)
        << "after write " << boundary << " of " << journal_.size() << ": " << state << "\nbefore " << before_
        << "\nafter " << after_;
    EXPECT_FALSE(switched && state == before_) << "went back after write " << boundary;
    switched = switched || state == after_;
    // Every third time, for the time it takes.
    if (boundary % 3 != 0) continue;
    ASSERT_EQ(RecoverInterrupted(disks, random), state) << "recovery cut off, after write " << boundary;
  }
  EXPECT_TRUE(switched);
}

TEST_P(LdmCrashTest, LoadsAsBeforeOrAfterWhenSectorsBetweenBarriersArriveInAnyOrder) {
  std::mt19937 random(20030324);
  for (int round = 0; round < 6; ++round) {
    Disks durable = base_;
    std::map<std::size_t, std::vector<const JournalEntry*>> pending;
    for (const JournalEntry& entry : journal_) {
      if (!entry.barrier) {
        pending[entry.disk].push_back(&entry);
        continue;
      }
      Disks crashed = durable;
      for (const auto& [disk, entries] : pending) {
        for (const JournalEntry* one : entries) {
          if (random() % 2 == 0) crashed[disk].Poke(one->offset, one->data);
        }
      }
      const std::string state = Recover(crashed);
      ASSERT_TRUE(state == before_ || state == after_) << state;
      for (const JournalEntry* one : pending[entry.disk]) durable[entry.disk].Poke(one->offset, one->data);
      pending[entry.disk].clear();
    }
  }
}

class LdmFailingDiskTest : public LdmCrashTest {};

TEST_P(LdmFailingDiskTest, ADiskThatFailsAtAnyWriteIsReportedAndTheOthersGoOn) {
  const std::size_t victim = base_.size() - 1;
  std::uint64_t writes = 0;
  for (const JournalEntry& entry : journal_) writes += !entry.barrier && entry.disk == victim ? 1 : 0;
  for (std::uint64_t limit = 0; limit < writes; ++limit) {
    Disks disks = base_;
    OpenGroup open(disks);
    open.devices[victim].FailAfter(limit);
    Database next = open.group->Current();
    GetParam().change(next);
    const auto report = open.group->Commit(next, kTestTime + 1);
    ASSERT_TRUE(report) << report.error().ToString();
    ASSERT_EQ(report->failed.size(), 1U);
    EXPECT_EQ(report->failed.front().error.kind, ErrorKind::kSystem);
    EXPECT_EQ(open.group->Members().size(), disks.size() - 1);
    EXPECT_EQ(open.group->MissingDisks().size(), 1U);
    const std::string state = Essence(open.group->Current());
    // The disk comes back: its copy follows.
    ASSERT_EQ(Recover(disks, true), state) << "failed after " << limit;
  }
}

class LdmLastDiskTest : public LdmCrashTest {};

TEST_P(LdmLastDiskTest, TheLastDiskThatFailsIsAnErrorAndOneOfTheTwoStates) {
  std::uint64_t writes = 0;
  for (const JournalEntry& entry : journal_) writes += entry.barrier ? 0 : 1;
  for (std::uint64_t limit = 0; limit < writes; ++limit) {
    Disks disks = base_;
    OpenGroup open(disks);
    open.devices.front().FailAfter(limit);
    Database next = open.group->Current();
    GetParam().change(next);
    const auto report = open.group->Commit(next, kTestTime + 1);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind, ErrorKind::kUnavailable);
    EXPECT_EQ(open.group->Commit(next, kTestTime + 1).error().kind, ErrorKind::kUnavailable);
    auto loaded = DiskGroup::Load(OpenAll(disks));
    ASSERT_TRUE(loaded) << loaded.error().ToString();
    // The identities that the change makes are random: it is the old state or it has more records.
    const std::string state = Essence(loaded->Current());
    EXPECT_TRUE(state == before_ || loaded->Current().volumes.size() == 1) << state;
  }
}

std::string NameOf(const testing::TestParamInfo<Scenario>& scenario) { return scenario.param.name; }

/// Scenarios over one disk, or over several in one transaction.
std::vector<Scenario> ScenariosOver(bool several) {
  std::vector<Scenario> chosen = Scenarios();
  std::erase_if(chosen,
                [&](const Scenario& one) { return (one.shapes.size() > 1) != several || one.rename; });
  return chosen;
}

INSTANTIATE_TEST_SUITE_P(Changes, LdmCrashTest, testing::ValuesIn(Scenarios()), NameOf);
INSTANTIATE_TEST_SUITE_P(Changes, LdmFailingDiskTest, testing::ValuesIn(ScenariosOver(true)), NameOf);
INSTANTIATE_TEST_SUITE_P(Changes, LdmLastDiskTest, testing::ValuesIn(ScenariosOver(false)), NameOf);

}  // namespace
}  // namespace dmrp::server::ldm
