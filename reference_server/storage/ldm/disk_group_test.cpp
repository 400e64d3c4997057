// Groups: which copy counts, who is a member, what changes on disk.
#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class LdmGroupTest : public testing::Test {
 protected:
  void SetUp() override {
    disks_ = MakeGroup({{}, {}, {.gpt = true}});
    const Database before = Load().Current();
    for (const DiskRecord& disk : before.disks) ids_.push_back(disk.id);
    Change([&](Database& next) { volume_ = AddVolume(next, VolumeShape::kRaid5, ids_, 0, 1280); });
  }
  DiskGroup Load() {
    auto group = DiskGroup::Load(OpenAll(disks_));
    if (!group) throw std::runtime_error(group.error().ToString());
    return std::move(*group);
  }
  CommitReport Change(const std::function<void(Database&)>& edit) {
    DiskGroup group = Load();
    Database next = group.Current();
    edit(next);
    auto report = group.Commit(next, kTestTime);
    if (!report) throw std::runtime_error(report.error().ToString());
    return *report;
  }
  void SetHint(const std::string& hint) {
    Change([&](Database& next) { next.FindVolume(volume_)->hint = hint; });
  }
  std::vector<CopyState> States() {
    const auto group = DiskGroup::Inspect(OpenAll(disks_));
    std::vector<CopyState> states;
    if (!group) return states;
    for (const CopyReport& copy : group->Copies()) states.push_back(copy.state);
    return states;
  }

  Disks disks_;
  std::vector<ObjectId> ids_;
  ObjectId volume_ = 0;
};

TEST_F(LdmGroupTest, AStaleCopyIsReplacedWhole) {
  const MemoryDevice old = disks_[1];
  SetHint("E:");
  SetHint("F:");
  disks_[1] = old;
  EXPECT_THAT(States(), testing::ElementsAre(CopyState::kCurrent, CopyState::kStale, CopyState::kCurrent));
  EXPECT_EQ(Load().Current().FindVolume(volume_)->hint, "F:");
  EXPECT_THAT(States(), testing::Each(CopyState::kCurrent));
  EXPECT_EQ(ConfigOf(Opened(disks_[0])), ConfigOf(Opened(disks_[1])));
}

TEST_F(LdmGroupTest, InspectingWritesNothingAndRefusesToChange) {
  const MemoryDevice old = disks_[1];
  SetHint("E:");
  disks_[1] = old;
  auto group = DiskGroup::Inspect(OpenAll(disks_));
  ASSERT_TRUE(group);
  EXPECT_EQ(group->Current().FindVolume(volume_)->hint, "E:");
  EXPECT_EQ(group->Commit(group->Current()).error().kind, ErrorKind::kUsage);
  EXPECT_THAT(States(), testing::Contains(CopyState::kStale));
}

TEST_F(LdmGroupTest, ADamagedCopyIsReplacedByAGoodOne) {
  const Member member = Opened(disks_[0]);
  disks_[0].Poke(member.RelativeOffset(member.Config().start) + 5 * kSlotBytes, Bytes(8));
  EXPECT_EQ(States().front(), CopyState::kDamaged);
  EXPECT_THAT(Load().Members(), SizeIs(3));
  EXPECT_THAT(States(), testing::Each(CopyState::kCurrent));
}

TEST_F(LdmGroupTest, ASingleDamagedCopyIsAnErrorThatNamesTheSlot) {
  const Member member = Opened(disks_[0]);
  disks_[0].Poke(member.RelativeOffset(member.Config().start) + 9 * kSlotBytes, Bytes(8));
  const auto group = DiskGroup::Load({Opened(disks_[0])});
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().kind, ErrorKind::kMalformed);
  EXPECT_THAT(group.error().message, HasSubstr("slot 9"));
}

TEST_F(LdmGroupTest, CopiesThatClaimTheSameTransactionAndDifferAreAnError) {
  const Disks before = disks_;
  DiskGroup one = *DiskGroup::Load({Opened(disks_[0])});
  Database next = one.Current();
  next.FindVolume(volume_)->hint = "E:";
  ASSERT_TRUE(one.Commit(next));
  DiskGroup other = *DiskGroup::Load({Opened(disks_[1])});
  next = other.Current();
  next.FindVolume(volume_)->hint = "F:";
  ASSERT_TRUE(other.Commit(next));
  const auto group = DiskGroup::Load(OpenAll(disks_));
  ASSERT_FALSE(group);
  EXPECT_THAT(group.error().message, HasSubstr("same transaction"));
}

TEST_F(LdmGroupTest, MissingDisksAreNamedAndComeBack) {
  std::vector<Member> two{Opened(disks_[0]), Opened(disks_[2])};
  DiskGroup group = *DiskGroup::Load(two);
  EXPECT_THAT(group.MissingDisks(), testing::ElementsAre(ids_[1]));
  EXPECT_EQ(group.MemberOf(ids_[1]), nullptr);
  Database next = group.Current();
  next.FindDisk(ids_[1])->flags |= kDiskDetached;
  ASSERT_TRUE(group.Commit(next));
  ASSERT_TRUE(group.Readmit(Opened(disks_[1])));
  EXPECT_THAT(group.MissingDisks(), IsEmpty());
  EXPECT_EQ(group.Readmit(Opened(disks_[1])).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(ConfigOf(Opened(disks_[0])), ConfigOf(Opened(disks_[1])));
  next = group.Current();
  next.FindDisk(ids_[1])->flags = 0;
  ASSERT_TRUE(group.Commit(next));
  EXPECT_THAT(States(), testing::Each(CopyState::kCurrent));
}

TEST_F(LdmGroupTest, ADiskWithTheGuidOfAnotherIsLeftAlone) {
  MemoryDevice clone = disks_[1];
  std::vector<Member> members = OpenAll(disks_);
  members.push_back(Opened(clone));
  const auto group = DiskGroup::Load(members);
  ASSERT_TRUE(group);
  EXPECT_THAT(group->Members(), SizeIs(3));
  EXPECT_EQ(group->Copies()[3].state, CopyState::kDuplicateDisk);
}

TEST_F(LdmGroupTest, ADiskJoinsAndLeaves) {
  DiskGroup group = Load();
  MemoryDevice fresh({.sizeBytes = 20 * kMiB});
  Database next = group.Current();
  const NewDisk disk = PrepareDisk(fresh, {}, next);
  ASSERT_TRUE(group.AddMember(disk));
  WriteDynamicTable(fresh, disk.header, false);
  // Cut off here, the group does not know the disk.
  {
    std::vector<Member> members = OpenAll(disks_);
    members.push_back(Opened(fresh));
    EXPECT_EQ(DiskGroup::Inspect(members)->Copies()[3].state, CopyState::kUnknownDisk);
  }
  ASSERT_TRUE(group.Commit(next));
  EXPECT_EQ(ConfigOf(Opened(fresh)), ConfigOf(Opened(disks_[0])));
  EXPECT_THAT(*CheckMember(Opened(fresh)), IsEmpty());
  next = group.Current();
  ASSERT_TRUE(next.Erase(next.disks.back().id));
  const auto report = group.Commit(next);
  ASSERT_TRUE(report);
  ASSERT_THAT(report->removed, SizeIs(1));
  EXPECT_EQ(report->removed.front().device, &fresh);
  EXPECT_THAT(group.Members(), SizeIs(3));
}

TEST_F(LdmGroupTest, ADiskOfAnotherGroupIsTakenOver) {
  Disks others = MakeGroup({{}}, Convention::k2008);
  Member foreign = Opened(others[0]);
  const std::uint64_t sequence = foreign.header.sequence;
  DiskGroup group = Load();
  EXPECT_EQ(group.TakeOver(foreign).error().kind, ErrorKind::kUsage);
  Database next = group.Current();
  DiskRecord& record = next.disks.emplace_back();
  record.id = next.TakeId();
  record.name = next.FreeDiskName();
  record.guid = foreign.header.diskGuid;
  record.flags = kDiskMergeRequired;
  ASSERT_TRUE(group.Commit(next));
  EXPECT_THAT(group.MissingDisks(), SizeIs(1));

  std::vector<JournalEntry> journal;
  MemoryDevice scratch = others[0];
  JournalDevice device(scratch, 0, journal);
  DiskGroup for_journal = Load();
  ASSERT_TRUE(for_journal.TakeOver(Opened(device)));
  MemoryDevice cut = others[0];
  bool is_ours = false;
  for (const JournalEntry& entry : journal) {
    if (entry.barrier) continue;
    cut.Poke(entry.offset, entry.data);
    const Member member = Opened(cut);
    const bool ours = member.header.groupGuid == group.Current().group.guid;
    EXPECT_FALSE(is_ours && !ours);
    is_ours = ours;
    if (!ours) continue;
    std::vector<Member> members = OpenAll(disks_);
    members.push_back(member);
    EXPECT_EQ(DiskGroup::Inspect(members)->Copies()[3].state, CopyState::kCurrent);
  }
  EXPECT_TRUE(is_ours);

  ASSERT_TRUE(group.TakeOver(foreign));
  const Member taken = Opened(others[0]);
  EXPECT_EQ(taken.header.groupName, "TestDg0");
  EXPECT_EQ(taken.header.sequence, sequence + 1);
  EXPECT_THAT(*CheckMember(taken), IsEmpty());
}

TEST_F(LdmGroupTest, ARenamedGroupHasItsNameEverywhere) {
  DiskGroup group = Load();
  ASSERT_TRUE(group.Rename("OtherDg0"));
  for (MemoryDevice& disk : disks_) {
    EXPECT_EQ(Opened(disk).header.groupName, "OtherDg0");
    EXPECT_THAT(*CheckMember(Opened(disk)), IsEmpty());
  }
  EXPECT_EQ(Load().Current().group.name, "OtherDg0");
  EXPECT_EQ(group.Rename(std::string(31, 'x')).error().kind, ErrorKind::kMalformed);
}

TEST_F(LdmGroupTest, AdoptingAGroupChangesItsHeadersOnly) {
  const Bytes before = ConfigOf(Opened(disks_[0]));
  DiskGroup group = Load();
  ASSERT_TRUE(group.RewriteHeaders(0x1234, kTestTime + 5));
  for (MemoryDevice& disk : disks_) {
    EXPECT_EQ(Opened(disk).header.hostSignature, 0x1234U);
    EXPECT_EQ(Opened(disk).header.time, kTestTime + 5);
    EXPECT_EQ(ConfigOf(Opened(disk)), before);
  }
}

TEST_F(LdmGroupTest, DirtyObjectsOutliveALoad) {
  DiskGroup group = Load();
  ASSERT_TRUE(group.SetLogEntry(LogStatus::kDirty, volume_));
  ASSERT_THAT(Load().LogEntries(), SizeIs(1));
  SetHint("E:");
  EXPECT_EQ(Load().LogEntries().front().first, volume_);
  DiskGroup again = Load();
  ASSERT_TRUE(again.SetLogEntry(LogStatus::kNone, volume_));
  EXPECT_THAT(Load().LogEntries(), IsEmpty());
}

TEST_F(LdmGroupTest, WhatBreaksAnInvariantIsNotWritten) {
  DiskGroup group = Load();
  const Bytes before = ConfigOf(group.Members().front());
  const auto refused = [&](const std::function<void(Database&)>& edit) {
    Database next = group.Current();
    edit(next);
    const auto report = group.Commit(next);
    return report ? "committed" : report.error().message;
  };
  EXPECT_THAT(refused([&](Database& d) { d.FindVolume(volume_)->size += 1; }), HasSubstr("holds"));
  EXPECT_THAT(refused([&](Database& d) { d.subdisks[0].start = 1 << 20; }), HasSubstr("public region"));
  EXPECT_THAT(refused([&](Database& d) { d.Erase(d.subdisks[0].id); }), HasSubstr("column"));
  EXPECT_THAT(refused([&](Database& d) { d.Erase(ids_[0]); }), HasSubstr("is no disk"));
  EXPECT_THAT(refused([&](Database& d) { d.group.guid = Guid::Random(); }), HasSubstr("identity"));
  EXPECT_THAT(refused([&](Database& d) {
                for (std::uint64_t i = 0; i < 1200; ++i) {
                  AddVolume(d, VolumeShape::kConcat, {ids_[0]}, 1280 + i, 1);
                  d.volumes.back().hint = std::string(200, 'x');  // three slots
                }
              }),
              HasSubstr("full"));
  EXPECT_EQ(ConfigOf(group.Members().front()), before);
  EXPECT_EQ(Load().Current(), group.Current());
}

TEST_F(LdmGroupTest, VersionsOfARecordTakeTheLowestFreeSlotsAndANewNumber) {
  const auto place = [&] {
    const auto table = ConfigTable::Parse(ConfigOf(Opened(disks_[0])));
    const auto scan = table->Scan();
    for (const PlacedRecord& one : scan->records) {
      if (IdOf(one.stored.record) == volume_) return one.placement;
    }
    return Placement{};
  };
  const Placement first = place();
  SetHint("E:");
  const Placement second = place();
  SetHint("F:");
  const Placement third = place();
  SetHint("G:");
  const Placement fourth = place();
  // The slots of a version are free only after the transaction that replaces it.
  EXPECT_LT(second.slots, first.slots);
  EXPECT_LT(second.slots, third.slots);
  EXPECT_EQ(fourth.slots, second.slots);
  EXPECT_EQ(second.groupNumber + 1, third.groupNumber);
}

TEST_F(LdmGroupTest, DisksThatGetASubdiskAreRewrittenAsServer2003Does) {
  const Database before = Load().Current();
  Change([&](Database& next) { AddVolume(next, VolumeShape::kConcat, {ids_[1]}, 4096, 128); });
  const Database after = Load().Current();
  EXPECT_EQ(after.FindDisk(ids_[0])->commitTransaction, before.FindDisk(ids_[0])->commitTransaction);
  EXPECT_EQ(after.FindDisk(ids_[1])->commitTransaction, after.committedTransaction);
}

TEST_F(LdmGroupTest, DisksOfTwoGroupsAreNoGroup) {
  Disks others = MakeGroup({{}});
  EXPECT_EQ(DiskGroup::Load({Opened(disks_[0]), Opened(others[0])}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(DiskGroup::Load({}).error().kind, ErrorKind::kUsage);
}

TEST(LdmDatabaseTest, IdsAndNamesAreTheNextFreeOnes) {
  Database database = Database::ForNewGroup("TestDg0", Guid::Random());
  EXPECT_EQ(database.group.id, 1025U);
  EXPECT_EQ(database.TakeId(), 1027U);
  EXPECT_EQ(database.TakeId(), 1029U);
  EXPECT_EQ(database.NextTransaction(), 1030U);
  EXPECT_EQ(database.FreeVolumeNumber(), 5U);
  for (const char* name : {"Volume1", "Volume3", "Stripe1"}) {
    VolumeRecord volume;
    volume.name = name;
    volume.volumeNumber = 5 + database.volumes.size();
    database.volumes.push_back(volume);
  }
  EXPECT_EQ(database.FreeVolumeName(), "Volume2");
  EXPECT_EQ(database.FreeVolumeName(kStripePrefix), "Stripe2");
  EXPECT_EQ(database.FreeVolumeNumber(), 8U);
  EXPECT_EQ(database.FreePlexName("Volume1"), "Volume1-01");
  EXPECT_EQ(Database::ForNewGroup("NewDg0", Guid::Random(), Convention::k2008).FreeVolumeNumber(), 1U);
  for (std::uint64_t number = 5; number <= 255; ++number) {
    VolumeRecord volume;
    volume.volumeNumber = number;
    database.volumes.push_back(volume);
  }
  EXPECT_EQ(database.FreeVolumeNumber(), std::nullopt);
}

TEST(LdmDatabaseTest, EachBrokenInvariantIsNamed) {
  Disks disks = MakeGroup({{}, {}, {}});
  DiskGroup group = *DiskGroup::Load(OpenAll(disks));
  Database good = group.Current();
  std::vector<ObjectId> ids;
  for (const DiskRecord& disk : good.disks) ids.push_back(disk.id);
  AddVolume(good, VolumeShape::kConcat, {ids[0], ids[1]}, 0, 128);
  AddVolume(good, VolumeShape::kRaid5, ids, 256, 256);
  good.UpdateCounts();
  ASSERT_TRUE(good.Check()) << good.Check().error().message;
  const auto broken = [&](const std::function<void(Database&)>& edit) {
    Database database = good;
    edit(database);
    const auto checked = database.Check();
    return checked ? std::string("good") : checked.error().message;
  };
  EXPECT_THAT(broken([](Database& d) { d.disks[0].id = 0; }), HasSubstr("id 0"));
  EXPECT_THAT(broken([](Database& d) { d.disks[2].id = d.disks[1].id; }), HasSubstr("id is used twice"));
  EXPECT_THAT(broken([](Database& d) { d.disks[1].name = d.disks[0].name; }),
              HasSubstr("name is used twice"));
  EXPECT_THAT(broken([](Database& d) { d.disks[1].name = "\n"; }), HasSubstr("printable"));
  EXPECT_THAT(broken([](Database& d) { d.disks[1].guid = d.disks[0].guid; }), HasSubstr("guid"));
  EXPECT_THAT(broken([](Database& d) { d.disks[1].commitTransaction = 1 << 30; }),
              HasSubstr("commitTransaction"));
  EXPECT_THAT(broken([](Database& d) { d.group.name = std::string(31, 'x'); }), HasSubstr("longer than 30"));
  EXPECT_THAT(broken([](Database& d) { d.volumes[0].guid = {}; }), HasSubstr("guid"));
  EXPECT_THAT(broken([](Database& d) { d.volumes[0].type = "odd"; }), HasSubstr("type"));
  EXPECT_THAT(broken([](Database& d) { d.volumes[0].updateId = 9; }), HasSubstr("updateId"));
  EXPECT_THAT(broken([](Database& d) { d.volumes[0].plexCount = 2; }), HasSubstr("plexCount"));
  EXPECT_THAT(broken([](Database& d) { d.volumes[1].type = kVolumeGeneric; }), HasSubstr("layout 3"));
  EXPECT_THAT(broken([](Database& d) { d.plexes[0].volumeId = 1; }), HasSubstr("has 0 plexes"));
  EXPECT_THAT(broken([](Database& d) { d.plexes[0].subdiskCount = 3; }), HasSubstr("subdiskCount"));
  EXPECT_THAT(broken([](Database& d) { d.plexes[1].stripe.reset(); }), HasSubstr("stripe"));
  EXPECT_THAT(broken([](Database& d) { d.plexes[1].stripe->columns = 33; }), HasSubstr("columns"));
  EXPECT_THAT(broken([](Database& d) { d.plexes[1].stripe->size = 96; }), HasSubstr("whole stripes"));
  EXPECT_THAT(broken([](Database& d) { d.subdisks[1].offset += 1; }), HasSubstr("offset"));
  EXPECT_THAT(broken([](Database& d) { d.subdisks[3].column = 3; }), HasSubstr("column 3"));
  EXPECT_THAT(broken([](Database& d) { d.subdisks[3].size = 128; }), HasSubstr("columns of"));
  EXPECT_THAT(broken([](Database& d) { d.subdisks[0].size = 0; }), HasSubstr("size 0"));
  EXPECT_THAT(broken([](Database& d) { d.subdisks[2].start = 100; }), HasSubstr("lies in"));
  EXPECT_THAT(broken([](Database& d) { d.subdisks[2].diskId = 5; }), HasSubstr("is no disk"));
}

}  // namespace
}  // namespace dmrp::server::ldm
