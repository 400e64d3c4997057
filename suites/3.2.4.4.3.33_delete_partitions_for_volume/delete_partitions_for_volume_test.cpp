// IVolumeClient3::DeletePartitionsForVolume (3.2.4.4.3.33).
#include "suites/support/retained_partitions.hpp"

#include <algorithm>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class DeletePartitionsForVolume : public RetainedTest, public ::testing::WithParamInterface<RetainedCase> {
 protected:
  void SetUp() override { StartRetained(GetParam()); }
  const RetainedChange& Deleted() {
    return Once([this] {
      VOLUME_INFO volume = MakeVolume(GetParam());
      const auto made = CreateEntries(volume.id, volume.lastKnownState, GetParam().active);
      [&] { ASSERT_THAT(made, Succeeds()); }();
      volume = VolumeNow(third(), volume.id);
      return Change(volume.id, [&] { return DeleteEntries(volume.id, volume.lastKnownState); });
    });
  }
};

// No entry of the tables has offset and length of a member any more.
TEST_P(DeletePartitionsForVolume, DeletesTheEntryOfEachMember) {
  Checks("DMRP-1681", "DMRP-1685", "DMRP-1686", "DMRP-1687", "DMRP-1689");
  const std::vector<REGION_INFO_EX> members = Deleted().seen.before.RegionsOfVolume(Deleted().volume);
  ASSERT_THAT(members, SizeIs(GetParam().layout == VOLUMELAYOUT_MIRROR ? 2 : 1));
  for (const REGION_INFO_EX& member : members) {
    EXPECT_NE(EntryOf(member, Deleted().tables_before), nullptr) << ToText(member);
    EXPECT_EQ(EntryOf(member, Deleted().tables_after), nullptr) << ToText(member);
  }
  EXPECT_THAT(Deleted().broken, IsEmpty());
}

// The volume stays, with what it holds.
TEST_P(DeletePartitionsForVolume, LeavesVolumeAndData) {
  Checks("DMRP-1686", "DMRP-1691");
  EXPECT_THAT(Deleted().data_problems, IsEmpty());
  const harness::DynamicLayout& found = Deleted().on_disk;
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_THAT(found.groups[0].volumes, SizeIs(GetParam().behind_another ? 2 : 1));
}

TEST_P(DeletePartitionsForVolume, FillsTheTaskInfo) {
  Checks("DMRP-1688", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Deleted().seen.tinfo);
}

TEST_P(DeletePartitionsForVolume, SendsTheCompletionNotification) {
  Checks("DMRP-1690", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(third(), Deleted().seen.tinfo, Deleted().seen.marks.at(Revision::kIVolumeClient3));
}

TEST_P(DeletePartitionsForVolume, ModifiesVolumeAndDisks) {
  Checks("DMRP-1691", "DMRP-1692", "DMRP-0531", "DMRP-0532", "DMRP-0061");
  ExpectModified(Deleted(), false);
  for (const REGION_INFO_EX& member : Deleted().seen.after.RegionsOfVolume(Deleted().volume)) {
    if (!member.mbr) continue;
    EXPECT_FALSE(member.mbr->isActive) << ToText(member);
  }
}

INSTANTIATE_TEST_SUITE_P(Volumes, DeletePartitionsForVolume, ::testing::ValuesIn(RetainedCases()),
                         [](const auto& info) { return std::string(info.param.name); });

class DeletePartitionsForVolumes : public RetainedTest {
 protected:
  VOLUME_INFO MakeRetained(bool active) {
    const VOLUME_INFO volume = Make(third(), {"One", VOLUMELAYOUT_SIMPLE, {{0, MiB(8)}}, MiB(8)});
    [&] { ASSERT_THAT(CreateEntries(volume.id, volume.lastKnownState, active), Succeeds()); }();
    return VolumeNow(third(), volume.id);
  }
};

// The entries of other volumes stay as they are, active ones too.
TEST_F(DeletePartitionsForVolumes, LeavesThoseOfOtherVolumes) {
  Checks("DMRP-1686", "DMRP-1685");
  StartRetainedAlone();
  const VOLUME_INFO first = MakeRetained(false);
  const VOLUME_INFO second = MakeRetained(true);
  const VOLUME_INFO now = VolumeNow(third(), first.id);
  ASSERT_THAT(DeleteEntries(first.id, now.lastKnownState), Succeeds());
  const auto tables = Tables();
  const StorageView view = Need(third().View());
  EXPECT_EQ(EntryOf(view.RegionsOfVolume(first.id).at(0), tables), nullptr);
  const harness::DiskPartition* other = EntryOf(view.RegionsOfVolume(second.id).at(0), tables);
  ASSERT_NE(other, nullptr);
  EXPECT_TRUE(other->active);
  EXPECT_NE(view.FindVolume(second.id)->vflags & static_cast<DWORD>(VOLUME_HAS_RETAIN_PARTITION), 0U);
  // A volume that is deleted takes its entry along.
  ASSERT_THAT(DeleteVolume(third(), second.id, VolumeNow(third(), second.id).lastKnownState), Succeeds());
  EXPECT_THAT(LayoutOf(0).partitions, SizeIs(1));
  EXPECT_THAT(BrokenInvariants({0, 1}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

TEST_F(DeletePartitionsForVolumes, RefusesWhatIsNoVolumeOrAStaleState) {
  Checks("DMRP-1682", "DMRP-1684", "DMRP-0495", "DMRP-1681");
  StartRetainedAlone();
  const VOLUME_INFO volume = MakeRetained(true);
  const Observation before = ObserveAll(third());
  const LdmObjectId region = before.view.RegionsOfVolume(volume.id).front().id;
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), region, lab().DiskId(0)}) {
    EXPECT_THAT(DeleteEntries(id, volume.lastKnownState), Refused()) << id;
  }
  for (const std::int64_t state : {volume.lastKnownState - 1, volume.lastKnownState + 1}) {
    EXPECT_THAT(DeleteEntries(volume.id, state), Refused()) << state;
  }
  EXPECT_THAT(ObserveAll(third()), Unchanged(before));
}

}  // namespace
}  // namespace dmrp::suites
