// IVolumeClient3::CreatePartitionsForVolume (3.2.4.4.3.32).
#include "suites/support/retained_partitions.hpp"

#include <algorithm>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Guid kLdmData{0xAF9B60A0, 0x1431, 0x4F62, {0xBC, 0x68, 0x33, 0x11, 0x71, 0x4A, 0x69, 0xAD}};

class CreatePartitionsForVolume : public RetainedTest, public ::testing::WithParamInterface<RetainedCase> {
 protected:
  void SetUp() override { StartRetained(GetParam()); }
  const RetainedChange& Created() {
    return Once([this] {
      const VOLUME_INFO volume = MakeVolume(GetParam());
      return Change(volume.id,
                    [&] { return CreateEntries(volume.id, volume.lastKnownState, GetParam().active); });
    });
  }
  std::vector<REGION_INFO_EX> Members() { return Created().seen.after.RegionsOfVolume(Created().volume); }
};

// Each member of the volume is an entry of the table of its disk, of its offset and length; the entry is
// active if that was asked for. All that was in the table before is still covered.
TEST_P(CreatePartitionsForVolume, MakesAnEntryForEachMember) {
  Checks("DMRP-1663", "DMRP-1664", "DMRP-1668", "DMRP-1669", "DMRP-1670", "DMRP-1673", "DMRP-1675",
         GetParam().active ? "DMRP-1671" : "DMRP-1672");
  const std::vector<REGION_INFO_EX> members = Members();
  ASSERT_THAT(members, SizeIs(GetParam().layout == VOLUMELAYOUT_MIRROR ? 2 : 1));
  for (const REGION_INFO_EX& member : members) {
    EXPECT_EQ(EntryOf(member, Created().tables_before), nullptr) << "an entry before the call";
    const harness::DiskPartition* entry = EntryOf(member, Created().tables_after);
    ASSERT_NE(entry, nullptr) << ToText(member);
    if (GetParam().style == PARTITIONSTYLE_GPT) {
      EXPECT_EQ(entry->gpt_type, kLdmData);
    } else {
      EXPECT_EQ(entry->mbr_type, 0x42);
      EXPECT_EQ(entry->active, GetParam().active);
    }
  }
  for (const harness::DiskLayout& table : Created().tables_after) {
    EXPECT_LE(std::ranges::count(table.partitions, true, &harness::DiskPartition::active), 1);
  }
  EXPECT_THAT(Created().broken, IsEmpty());
}

// The entry is one more way to the volume: its place in the group and its octets stay.
TEST_P(CreatePartitionsForVolume, LeavesVolumeAndData) {
  Checks("DMRP-1670", "DMRP-1677");
  EXPECT_THAT(Created().data_problems, IsEmpty());
  const harness::DynamicLayout& found = Created().on_disk;
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_THAT(found.groups[0].volumes, SizeIs(GetParam().behind_another ? 2 : 1));
}

TEST_P(CreatePartitionsForVolume, FillsTheTaskInfo) {
  Checks("DMRP-1674", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Created().seen.tinfo);
}

TEST_P(CreatePartitionsForVolume, SendsTheCompletionNotification) {
  Checks("DMRP-1676", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(third(), Created().seen.tinfo, Created().seen.marks.at(Revision::kIVolumeClient3));
}

// Volume and disks are told to be modified before the reply; the volume's flag and the members' say what the
// tables have.
TEST_P(CreatePartitionsForVolume, ModifiesVolumeAndDisks) {
  Checks("DMRP-1677", "DMRP-1678", "DMRP-0531", "DMRP-0532", "DMRP-0061");
  ExpectModified(Created(), true);
  for (const REGION_INFO_EX& member : Members()) {
    if (GetParam().style == PARTITIONSTYLE_GPT) continue;
    ASSERT_TRUE(member.mbr);
    EXPECT_EQ(member.mbr->isActive, GetParam().active) << ToText(member);
  }
}

INSTANTIATE_TEST_SUITE_P(Volumes, CreatePartitionsForVolume, ::testing::ValuesIn(RetainedCases()),
                         [](const auto& info) { return std::string(info.param.name); });

class CreatePartitionsForVolumes : public RetainedTest {
 protected:
  VOLUME_INFO MakeOne() { return Make(third(), {"One", VOLUMELAYOUT_SIMPLE, {{0, MiB(8)}}, MiB(8)}); }
  Outcome<CreatePartitionsForVolumeReply> CreateFor(const VOLUME_INFO& volume, bool active) {
    return CreateEntries(volume.id, VolumeNow(third(), volume.id).lastKnownState, active);
  }
};

// What is active is one entry of the table, the newest that was to be; and what has no room in a table of
// four entries is not made at all.
TEST_F(CreatePartitionsForVolumes, ShareOneTable) {
  Checks("DMRP-1671", "DMRP-1672", "DMRP-1669", "DMRP-1664", "DMRP-1676", "DMRP-0564");
  StartRetainedAlone();
  std::vector<VOLUME_INFO> volumes;
  for (int i = 0; i < 4; ++i) volumes.push_back(MakeOne());
  ASSERT_THAT(CreateFor(volumes[1], true), Succeeds());
  ASSERT_THAT(CreateFor(volumes[2], true), Succeeds());
  const auto full = Tables();
  const StorageView view = Need(third().View());
  const auto member = [&](std::size_t number) { return view.RegionsOfVolume(volumes[number].id).at(0); };
  ASSERT_NE(EntryOf(member(1), full), nullptr);
  ASSERT_NE(EntryOf(member(2), full), nullptr);
  EXPECT_FALSE(EntryOf(member(1), full)->active);
  EXPECT_TRUE(EntryOf(member(2), full)->active);
  EXPECT_FALSE(member(1).mbr->isActive);
  EXPECT_TRUE(member(2).mbr->isActive);
  // An entry in front of the first, two, and one behind them: the fourth volume would need a fifth.
  const std::uint64_t mark = third().sink().Count();
  const auto refused = CreateFor(volumes[3], false);
  EXPECT_THAT(refused, Refused());
  EXPECT_EQ(refused->tinfo.status, REQ_FAILED);
  EXPECT_EQ(refused->tinfo.error, refused->result);
  ExpectCompletion(third(), refused->tinfo, mark);
  EXPECT_TRUE(Tables().at(0).SameTable(full.at(0)));
  EXPECT_EQ(VolumeNow(third(), volumes[3].id).vflags & static_cast<DWORD>(VOLUME_HAS_RETAIN_PARTITION), 0U);
  EXPECT_THAT(BrokenInvariants({0, 1}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// What names no dynamic volume, or a volume that has changed since; nothing happens.
TEST_F(CreatePartitionsForVolumes, AreNotMadeForWhatIsNoVolumeOrAStaleState) {
  Checks("DMRP-1665", "DMRP-1667", "DMRP-0495", "DMRP-1664");
  StartRetainedAlone();
  const VOLUME_INFO volume = MakeOne();
  const Observation before = ObserveAll(third());
  const LdmObjectId region = before.view.RegionsOfVolume(volume.id).front().id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(0)}) {
    EXPECT_THAT(CreateEntries(id, volume.lastKnownState, false), Refused()) << id;
  }
  for (const std::int64_t state : {volume.lastKnownState - 1, volume.lastKnownState + 1}) {
    EXPECT_THAT(CreateEntries(volume.id, state, true), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(third()), Unchanged(before));
}

}  // namespace
}  // namespace dmrp::suites
