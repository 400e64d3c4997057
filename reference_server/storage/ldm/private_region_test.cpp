// The structures around the records, and disks on which some of them are bad.
#include "reference_server/storage/ldm/big_endian.hpp"
#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include <gmock/gmock.h>

namespace dmrp::server::ldm {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

PrivateHeader WindowsHeader() {
  PrivateHeader header = MakePrivateHeader({.sizeBytes = 102400 * 512},
                                           {.diskGuid = *Guid::Parse("d17c2c04-6afc-46c3-84b7-cdc2f3956c5c"),
                                            .publicSize = 96327,
                                            .privateStart = 100352,
                                            .hostSignature = 0xF33EF33E},
                                           0x01CD901CEB898E23);
  header.sequence = 5;
  header.groupGuid = *Guid::Parse("03c0c4fc-8b6f-402b-9431-4be2e5823b1c");
  header.groupName = "Red-nzv8x6obywgDg0";
  header.primaryTocAt = 1;
  header.secondaryTocAt = 0x7FE;
  return header;
}

TEST(LdmStructuresTest, AHeaderHasTheChecksumThatWindowsGaveIt) {
  const Bytes octets = *SerializePrivateHeader(WindowsHeader());
  EXPECT_EQ(LoadBe<std::uint32_t>(octets, 8), 0x3144U);
  EXPECT_EQ(*ParsePrivateHeader(octets), WindowsHeader());
}

TEST(LdmStructuresTest, ATocHasTheChecksumThatWindowsGaveIt) {
  TocBlock toc{.sequence = 5,
               .regions = {{.name = "config", .start = 0x11, .size = 0x5C9},
                           {.name = "log", .start = 0x5DA, .size = 0xE0}}};
  EXPECT_EQ(LoadBe<std::uint32_t>(*SerializeTocBlock(toc), 8), 0x08BAU);
  toc.sequence = 4;
  toc.regions.back().flags = kRegionDisabled;
  const Bytes octets = *SerializeTocBlock(toc);
  EXPECT_EQ(LoadBe<std::uint32_t>(octets, 8), 0x08C1U);
  EXPECT_EQ(*ParseTocBlock(octets), toc);
}

TEST(LdmStructuresTest, ADamagedOctetAnywhereIsNoticed) {
  const Bytes header = *SerializePrivateHeader(WindowsHeader());
  const Bytes toc = *SerializeTocBlock({.sequence = 1, .regions = {{.name = "config"}, {.name = "log"}}});
  for (std::size_t at = 0; at < kHeaderBytes; ++at) {
    Bytes broken = header;
    broken[at] ^= std::byte{1};
    EXPECT_FALSE(ParsePrivateHeader(broken)) << at;
    broken = toc;
    broken[at] ^= std::byte{1};
    EXPECT_FALSE(ParseTocBlock(broken)) << at;
  }
}

TEST(LdmStructuresTest, PublicRegionsEndWhereTheirVersionPutsIt) {
  const DiskGeometry windows{.sizeBytes = 102400 * 512};
  EXPECT_EQ(MbrPrivateStart(windows), 100352U);
  EXPECT_EQ(MbrPublicEnd(windows, 11), 96327U + 63U);
  EXPECT_EQ(MbrPublicEnd(windows, 12), 100352U);
  EXPECT_EQ(MbrPublicEnd({.sizeBytes = 5 * kMiB}, 11), MbrPrivateStart({.sizeBytes = 5 * kMiB}));
}

TEST(LdmStructuresTest, AVmdbReadsAsItWasWrittenAndOthersAreRefused) {
  const Vmdb vmdb{.slotCount = 68,
                  .status = VmdbStatus::kCommit,
                  .groupName = "TestDg0",
                  .groupGuid = Guid::Random(),
                  .committedTransaction = 7,
                  .pendingTransaction = 9,
                  .committed = {.volumes = 1, .plexes = 2, .subdisks = 3, .disks = 4, .unused = {5, 6, 7}},
                  .pending = {.volumes = 8},
                  .time = kTestTime};
  const Bytes octets = *SerializeVmdb(vmdb);
  EXPECT_EQ(*ParseVmdb(octets), vmdb);
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes broken = octets;
    broken[at] = static_cast<std::byte>(value);
    return ParseVmdb(broken);
  };
  EXPECT_EQ(with(0x15, 12).error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(with(0x11, 7).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(with(0x0B, 0x40).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(with(0x04, 0x40).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(with(0x0E, 0x04).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(with(0x1F0, 1).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(SerializeVmdb({.groupName = std::string(31, 'g')}).error().kind, ErrorKind::kLimit);
}

TEST(LdmStructuresTest, ALogKeepsTheLastCommitAndTheObjectsThatAreDirty) {
  LogRegion log = LogRegion::Make(1028);
  log.SetCommit(1028, 1030);
  log.SetCommit(1030, 1032);
  ASSERT_TRUE(log.SetObject(LogStatus::kDirty, 1091, 1030));
  ASSERT_TRUE(log.SetObject(LogStatus::kDirty, 1105, 1032));
  ASSERT_TRUE(log.SetObject(LogStatus::kNone, 1091, 0));
  const LogRegion again = *LogRegion::Parse(Bytes(log.Octets().begin(), log.Octets().end()));
  EXPECT_EQ(again.Pages(), log.Pages());
  ASSERT_EQ(again.ObjectEntries().size(), 1U);
  EXPECT_EQ(again.ObjectEntries().front().first, 1105U);
  EXPECT_EQ(again.Pages()[0].entries[0],
            (LogEntry{.status = LogStatus::kCommit, .first = 1030, .second = 1032}));
  EXPECT_EQ(again.Pages()[0].sequence, 5U);
  for (std::uint64_t object = 1; object < 2 * kLogEntriesPerPage - 1; ++object) {
    ASSERT_TRUE(log.SetObject(LogStatus::kDetach, object, 1)) << object;
  }
  EXPECT_EQ(log.SetObject(LogStatus::kDetach, 5000, 1).error().kind, ErrorKind::kLimit);
}

class LdmMemberTest : public testing::TestWithParam<DiskShape> {
 protected:
  void SetUp() override {
    disks_ = MakeGroup({GetParam()});
    member_.emplace(Opened(Disk()));
  }
  MemoryDevice& Disk() { return disks_.front(); }
  void Break(std::uint64_t offset) { Disk().Poke(offset + 0x20, Bytes(4, std::byte{0xEE})); }
  void BreakRelative(std::uint64_t sector) { Break(member_->RelativeOffset(sector)); }

  Disks disks_;
  std::optional<Member> member_;
};

TEST_P(LdmMemberTest, AFreshRegionHasNoFindings) {
  EXPECT_THAT(member_->faults, IsEmpty());
  EXPECT_THAT(*CheckMember(*member_), IsEmpty());
  EXPECT_EQ(member_->header.sequence, 1U);
  EXPECT_EQ(member_->gpt, GetParam().gpt);
}

TEST_P(LdmMemberTest, AnyGoodCopyOfTheHeaderWillDoAndTheOthersAreMended) {
  const std::vector<std::uint64_t> copies{member_->RelativeOffset(member_->header.primaryAt),
                                          member_->RelativeOffset(member_->header.backupAt),
                                          6 * member_->header.bytesPerSector};
  const MemoryDevice good = Disk();
  const std::size_t count = GetParam().gpt ? 2 : 3;
  for (std::size_t left = 0; left < count; ++left) {
    Disk() = good;
    for (std::size_t i = 0; i < count; ++i) {
      if (i != left) Break(copies[i]);
    }
    const Member opened = Opened(Disk());
    EXPECT_EQ(opened.header, member_->header);
    EXPECT_THAT(opened.faults, testing::SizeIs(count - 1));
    ASSERT_TRUE(DiskGroup::Load({opened}));
    EXPECT_THAT(*CheckMember(Opened(Disk())), IsEmpty());
  }
  for (std::size_t i = 0; i < count; ++i) Break(copies[i]);
  EXPECT_EQ(OpenMember(Disk()).error().kind, ErrorKind::kMalformed);
}

TEST_P(LdmMemberTest, AnyGoodCopyOfTheTocWillDoTheEarlierOneToo) {
  ASSERT_TRUE(UpdateHeader(*member_, member_->header));
  EXPECT_EQ(member_->header.sequence, 2U);
  EXPECT_EQ(Opened(Disk()).header, member_->header);
  EXPECT_THAT(*CheckMember(*member_), IsEmpty());
  BreakRelative(member_->header.primaryTocAt);
  EXPECT_EQ(Opened(Disk()).toc, member_->toc);
  BreakRelative(member_->header.secondaryTocAt);
  Member opened = Opened(Disk());
  EXPECT_EQ(opened.toc, member_->toc);
  ASSERT_TRUE(MendCopies(opened));
  EXPECT_THAT(*CheckMember(Opened(Disk())), IsEmpty());
  for (const std::uint64_t at : {member_->header.primaryTocAt, member_->header.secondaryTocAt})
    BreakRelative(at);
  const TocPair other = OtherTocPair({member_->header.primaryTocAt, member_->header.secondaryTocAt},
                                     member_->header.privateSize, member_->header.bytesPerSector);
  BreakRelative(other.first);
  BreakRelative(other.second);
  EXPECT_EQ(OpenMember(Disk()).error().kind, ErrorKind::kMalformed);
}

TEST_P(LdmMemberTest, HeadersAreTheOldOrTheNewAtEveryWriteOfAnUpdate) {
  std::vector<JournalEntry> journal;
  MemoryDevice scratch = Disk();
  JournalDevice device(scratch, 0, journal);
  Member member = Opened(device);
  PrivateHeader next = member.header;
  next.groupName = "OtherDg0";
  ASSERT_TRUE(UpdateHeader(member, next));
  MemoryDevice disk = Disk();
  bool switched = false;
  for (const JournalEntry& entry : journal) {
    if (entry.barrier) continue;
    disk.Poke(entry.offset, entry.data);
    const Member opened = Opened(disk);
    const bool is_new = opened.header.groupName == "OtherDg0";
    EXPECT_EQ(opened.header.sequence, is_new ? 2U : 1U);
    EXPECT_FALSE(switched && !is_new);
    switched = is_new;
  }
  EXPECT_TRUE(switched);
}

TEST_P(LdmMemberTest, EachDamageIsFound) {
  const MemoryDevice good = Disk();
  const auto config = [&](std::uint64_t octet) {
    return member_->RelativeOffset(member_->Config().start) + octet;
  };
  const std::vector<std::uint64_t> places{
      config(0x10),                                              // VMDB status
      config(200 * kSlotBytes + 4),                              // number of a slot
      config(200 * kSlotBytes + 40),                             // a free slot
      config(kFirstSlot * kSlotBytes + 0x20),                    // the group record
      member_->RelativeOffset(member_->Log().start) + 0x14,      // log page 0
      member_->RelativeOffset(member_->Log().start) + 3 * 512,   // behind the log
      member_->RelativeOffset(member_->header.privateSize - 4),  // nothing belongs there
      member_->RelativeOffset(member_->header.backupAt) + 0xF5,
      member_->RelativeOffset(member_->header.primaryTocAt) + 0x30,
  };
  for (const std::uint64_t place : places) {
    Disk() = good;
    Disk().Poke(place, Bytes(1, std::byte{0x77}));
    EXPECT_THAT(*CheckMember(Opened(Disk())), Not(IsEmpty())) << place;
  }
}

TEST_P(LdmMemberTest, AWipedRegionIsNoMember) {
  ASSERT_TRUE(WipePrivateRegion(*member_));
  EXPECT_EQ(OpenMember(Disk()).error().kind, ErrorKind::kMalformed);
  EXPECT_TRUE(IsZero(*Disk().Read(member_->RelativeOffset(0), kPrivateRegionBytes)));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, LdmMemberTest,
    testing::Values(DiskShape{}, DiskShape{.gpt = true}, DiskShape{.bytesPerSector = 4096},
                    DiskShape{.bytesPerSector = 4096, .gpt = true}, DiskShape{.bytesPerSector = 2048}),
    [](const auto& shape) {
      return std::string(shape.param.gpt ? "Gpt" : "Mbr") + std::to_string(shape.param.bytesPerSector);
    });

TEST(LdmMemberWithoutTableTest, ADiskWhoseTableDoesNotSaySoIsNotDynamic) {
  Disks disks = MakeGroup({{}});
  disks.front().Poke(0, Bytes(512));
  const auto member = OpenMember(disks.front());
  ASSERT_TRUE(member);
  EXPECT_FALSE(*member);
  const auto blank = MemoryDevice({.sizeBytes = kMiB / 2});
  MemoryDevice small = blank;
  EXPECT_FALSE(*OpenMember(small));
}

TEST(LdmMemberWithoutTableTest, ADiskCopiedToALargerOneIsFoundBySectorSix) {
  Disks disks = MakeGroup({{}});
  MemoryDevice larger({.sizeBytes = disks.front().Geometry().sizeBytes + 8 * kMiB});
  disks.front().ForEachStored(
      [&](std::uint64_t at, std::span<const std::byte> data) { larger.Poke(at, data); });
  EXPECT_EQ(Opened(larger).header, Opened(disks.front()).header);
}

}  // namespace
}  // namespace dmrp::server::ldm
