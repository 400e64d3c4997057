// Disks that Windows Server 2003 R2 wrote: read, and written back octet for octet.
#include "reference_server/storage/ldm/copy_state.hpp"
#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include <algorithm>
#include <map>

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

class WindowsDisksTest : public testing::Test {
 protected:
  void SetUp() override {
    if (WindowsDisks().empty()) {
      GTEST_SKIP() << "no disks of Windows here: DMRP_LDM_FIXTURES names a folder or an archive of *.img";
    }
    for (const auto& [name, disk] : WindowsDisks()) disks_.push_back(disk);
  }

  Disks disks_;
};

TEST_F(WindowsDisksTest, HeadersAndTocsAreWrittenBackOctetForOctet) {
  for (MemoryDevice& disk : disks_) {
    const auto opened = OpenMember(disk);
    ASSERT_TRUE(opened) << opened.error().ToString();
    const Member& member = opened->value();
    EXPECT_THAT(member.faults, testing::IsEmpty());
    EXPECT_EQ(*SerializePrivateHeader(member.header), *disk.Read(6 * 512, 512));
    EXPECT_EQ(*SerializePrivateHeader(member.header), *disk.Read(member.RelativeOffset(2047), 512));
    EXPECT_EQ(member.header.sequence, 5U);
    for (const std::uint64_t at : {1, 2, 2045, 2046}) {
      const Bytes sector = *disk.Read(member.RelativeOffset(at), 512);
      const auto toc = ParseTocBlock(sector);
      ASSERT_TRUE(toc) << toc.error().ToString();
      EXPECT_EQ(*SerializeTocBlock(*toc), sector);
      EXPECT_EQ(toc->sequence, at == 1 || at == 2046 ? 5U : 4U);
    }
  }
}

TEST_F(WindowsDisksTest, EveryRecordIsWrittenBackOctetForOctet) {
  std::map<std::size_t, std::size_t> kinds;
  for (MemoryDevice& disk : disks_) {
    const Member member = Opened(disk);
    const Bytes octets = ConfigOf(member);
    const auto table = ConfigTable::Parse(octets);
    ASSERT_TRUE(table) << table.error().ToString();
    EXPECT_EQ(*SerializeVmdb(table->Header()), Bytes(octets.begin(), octets.begin() + 512));
    // A fresh database, with each record put where it was, is the same.
    auto again = ConfigTable::Make(table->Header());
    const auto scan = table->Scan();
    ASSERT_TRUE(scan) << scan.error().ToString();
    EXPECT_TRUE(scan->remnants.empty());
    Bytes rebuilt(again->Octets().begin(), again->Octets().end());
    for (const PlacedRecord& one : scan->records) {
      ++kinds[one.stored.record.index()];
      auto lone = ConfigTable::Make(table->Header());
      const auto stored = lone->Store(one.stored.record, one.stored.status, one.placement.groupNumber);
      ASSERT_EQ(stored->slots.size(), one.placement.slots.size()) << Describe(one.stored.record);
      for (std::size_t i = 0; i < stored->slots.size(); ++i) {
        // All but the slot's own number.
        const auto from = lone->Octets().subspan(stored->slots[i] * kSlotBytes, kSlotBytes);
        const auto to = rebuilt.begin() + static_cast<std::ptrdiff_t>(one.placement.slots[i] * kSlotBytes);
        std::copy(from.begin() + 8, from.end(), to + 8);
      }
    }
    EXPECT_TRUE(rebuilt == octets);
  }
  EXPECT_EQ(kinds[0], 10U);
  EXPECT_EQ(kinds[1], 100U);
  EXPECT_EQ(kinds[2], 60U);
  EXPECT_EQ(kinds[3], 70U);
  EXPECT_EQ(kinds[4], 120U);
}

TEST_F(WindowsDisksTest, LogsAreWrittenBackOctetForOctet) {
  for (MemoryDevice& disk : disks_) {
    const Member member = Opened(disk);
    const Bytes octets = *disk.Read(member.RelativeOffset(member.Log().start), member.Log().size * 512);
    const auto log = LogRegion::Parse(octets);
    ASSERT_TRUE(log) << log.error().ToString();
    ASSERT_EQ(log->Pages().size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(SerializeLogPage(log->Pages()[i]),
                Bytes(octets.begin() + static_cast<std::ptrdiff_t>(i * 512),
                      octets.begin() + static_cast<std::ptrdiff_t>(i * 512 + 512)));
    }
    EXPECT_EQ(log->Pages()[0].entries[0],
              (LogEntry{.status = LogStatus::kCommit, .first = 1132, .second = 1133, .recoverSequence = 0}));
  }
}

TEST_F(WindowsDisksTest, ThePrivateRegionsHaveNoFindings) {
  for (MemoryDevice& disk : disks_) {
    const auto findings = CheckMember(Opened(disk));
    ASSERT_TRUE(findings) << findings.error().ToString();
    EXPECT_THAT(*findings, testing::IsEmpty());
  }
}

TEST_F(WindowsDisksTest, TheGroupIsLoadedWholeAndNothingIsWritten) {
  std::vector<JournalEntry> journal;
  std::deque<JournalDevice> devices;
  std::vector<Member> members;
  for (MemoryDevice& disk : disks_) {
    devices.emplace_back(disk, devices.size(), journal);
    members.push_back(Opened(devices.back()));
  }
  auto group = DiskGroup::Load(members);
  ASSERT_TRUE(group) << group.error().ToString();
  const Database& database = group->Current();
  EXPECT_EQ(database.group.name, "Red-nzv8x6obywgDg0");
  EXPECT_EQ(database.disks.size(), 10U);
  EXPECT_EQ(database.committedTransaction, 1133U);
  EXPECT_EQ(database.Style(), Convention::k2003);
  EXPECT_THAT(group->MissingDisks(), testing::IsEmpty());
  for (const CopyReport& copy : group->Copies()) EXPECT_EQ(copy.state, CopyState::kCurrent) << copy.text;
  std::map<std::string, std::pair<std::uint64_t, std::string>> volumes;
  for (const VolumeRecord& one : database.volumes) volumes[one.name] = {one.size, one.hint.value_or("")};
  EXPECT_EQ(volumes["Volume1"].first, 96256U);
  EXPECT_EQ(volumes["Volume1"].second, "E:");
  EXPECT_EQ(volumes["Raid1"].second, "I:");
  EXPECT_EQ(volumes.size(), 6U);
  EXPECT_EQ(database.FreeVolumeName(), "Volume5");
  EXPECT_EQ(database.FreeDiskName(), "Disk11");

  const auto report = group->Commit(database, kTestTime);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_FALSE(report->written);
  EXPECT_EQ(report->transaction, 1133U);
  EXPECT_TRUE(journal.empty());
}

TEST_F(WindowsDisksTest, AChangeToTheGroupKeepsEveryOtherRecordAsItWas) {
  auto group = DiskGroup::Load(OpenAll(disks_));
  ASSERT_TRUE(group);
  Database next = group->Current();
  const SlotScan before = *ConfigTable::Parse(ConfigOf(group->Members().front()))->Scan();
  next.FindVolume(1057)->hint = "X:";
  const auto report = group->Commit(next, kTestTime);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->transaction, 1134U);
  const SlotScan after = *ConfigTable::Parse(ConfigOf(group->Members().front()))->Scan();
  std::map<ObjectId, PlacedRecord> old_records;
  for (const PlacedRecord& one : before.records) old_records[IdOf(one.stored.record)] = one;
  std::size_t changed = 0;
  for (const PlacedRecord& one : after.records) {
    const PlacedRecord& old = old_records.at(IdOf(one.stored.record));
    if (one.stored.record == old.stored.record && one.placement == old.placement) continue;
    ++changed;
    EXPECT_EQ(IdOf(one.stored.record), 1057U);
    EXPECT_EQ(one.placement.groupNumber, 72U);
  }
  EXPECT_EQ(changed, 1U);
  for (MemoryDevice& disk : disks_) {
    const auto findings = CheckMember(Opened(disk));
    EXPECT_THAT(*findings, testing::IsEmpty());
  }
}

TEST_F(WindowsDisksTest, AnyThreeDisksGiveTheGroupWithTheOthersMissing) {
  std::vector<Member> some;
  for (const std::size_t i : {1, 4, 8}) some.push_back(Opened(disks_[i]));
  const auto group = DiskGroup::Inspect(some);
  ASSERT_TRUE(group) << group.error().ToString();
  EXPECT_EQ(group->MissingDisks().size(), 7U);
  EXPECT_EQ(group->Members().size(), 3U);
}

}  // namespace
}  // namespace dmrp::server::ldm
