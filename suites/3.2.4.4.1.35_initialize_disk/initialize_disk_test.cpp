// IVolumeClient::InitializeDisk (3.2.4.4.1.35) and IVolumeClient3::InitializeDiskEx (3.2.4.4.3.38).
#include "suites/support/dynamic_volumes.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Case {
  Revision revision = Revision::kIVolumeClient3;
  DiskKind kind;
  PARTITIONSTYLE style = PARTITIONSTYLE_MBR;
};

struct Initialization : WatchedDynamicOperation {
  std::optional<harness::DiskLayout> table;  ///< after the reply; none without images
  std::vector<std::string> broken;           ///< invariants of the on-disk format, after the reply
};

class InitializeDisk : public DynamicTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartShared(ScenarioKey(), {GetParam().kind}); }
  Session& session() { return SessionOf(GetParam().revision); }
  [[nodiscard]] bool first() const { return GetParam().revision == Revision::kIVolumeClient; }
  [[nodiscard]] bool gpt() const { return GetParam().style == PARTITIONSTYLE_GPT; }
  // Disk 0 becomes dynamic.
  const Initialization& Initialized() {
    return Once([this] {
      const DISK_INFO_EX disk = DiskNow(session());
      Initialization seen;
      static_cast<WatchedDynamicOperation&>(seen) = Watch(session(), [&] {
        return DynamicTest::InitializeDisk(session(), disk.id, disk.lastKnownState, GetParam().style);
      });
      if (target().Can("images")) {
        seen.table = LayoutOf();
        seen.broken = BrokenInvariants({0});
      }
      return seen;
    });
  }
  const std::vector<ReceivedObject>& Told() { return Initialized().notified.at(GetParam().revision); }
};

// The disk gets an empty partition table of the style and a signature, and is converted: independent readers
// find it as the only member of a group without volumes, all of whose structures are sound.
TEST_P(InitializeDisk, ConvertsTheDisk) {
  if (first()) {
    Checks("DMRP-1109", "DMRP-1113", "DMRP-1114", "DMRP-1115", "DMRP-1117");
  } else {
    Checks("DMRP-1708", "DMRP-1709", "DMRP-1713", gpt() ? "DMRP-1715" : "DMRP-1714", "DMRP-1716", "DMRP-1717",
           "DMRP-1719");
  }
  NeedsCapability("images");
  const harness::DynamicLayout& found = GroupsAfter(Initialized());
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_THAT(found.groups[0].disks, SizeIs(1));
  EXPECT_THAT(found.groups[0].volumes, IsEmpty());
  EXPECT_THAT(Initialized().broken, IsEmpty());
  const harness::DiskLayout& layout = Initialized().table.value();
  EXPECT_EQ(layout.style, gpt() ? harness::TableStyle::kGpt : harness::TableStyle::kMbr);
  if (gpt()) {
    ASSERT_TRUE(layout.disk_guid);
    EXPECT_FALSE(layout.disk_guid->IsNull());
  } else {
    ASSERT_TRUE(layout.signature);
    EXPECT_NE(*layout.signature, 0U);
  }
}

TEST_P(InitializeDisk, FillsTheTaskInfo) {
  Checks(first() ? "DMRP-1116" : "DMRP-1718", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  ExpectCompleted(Initialized().tinfo);
}

TEST_P(InitializeDisk, SendsTheCompletionNotification) {
  Checks(first() ? "DMRP-1118" : "DMRP-1720", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(session(), Initialized().tinfo, Initialized().marks.at(GetParam().revision));
}

// The disk is the same object, of another type and in a group that bears the name and identifier on disk.
TEST_P(InitializeDisk, ModifiesTheDiskObject) {
  if (first()) {
    Checks("DMRP-1119", "DMRP-0531", "DMRP-0158", "DMRP-0160");
  } else {
    Checks("DMRP-1721", "DMRP-0531", "DMRP-0211", "DMRP-0213");
  }
  NeedsCapability("images");
  const LdmObjectId id = lab().DiskId(0);
  EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, id)));
  ASSERT_NE(Initialized().after.FindDisk(id), nullptr) << "the disk is another object";
  const DISK_INFO_EX& before = *Initialized().before.FindDisk(id);
  const DISK_INFO_EX& after = *Initialized().after.FindDisk(id);
  EXPECT_GT(after.lastKnownState, before.lastKnownState);
  EXPECT_EQ(after.deviceType, static_cast<DWORD>(DEVICETYPE_VM));
  EXPECT_EQ(after.deviceState & (DEVICESTATE_NOSIG | DEVICESTATE_UNCLAIMED | DEVICESTATE_MISSING), 0U);
  const harness::DynamicLayout& found = GroupsAfter(Initialized());
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_EQ(harness::Text(after.dgName), found.groups[0].name);
  ASSERT_TRUE(after.dgid);
  std::string group(reinterpret_cast<const char*>(after.dgid->data()), after.dgid->size());
  if (group.ends_with('\0')) group.pop_back();
  EXPECT_EQ(group, found.groups[0].guid.ToString());
}

// What was free on the uninitialized disk is gone, what is free on the dynamic one is new; together with the
// disk it is told before the reply.
TEST_P(InitializeDisk, ReplacesTheRegionObjects) {
  if (first()) {
    Checks("DMRP-1120", "DMRP-1121", "DMRP-0529", "DMRP-0530");
  } else {
    Checks("DMRP-1722", "DMRP-1723", "DMRP-0529", "DMRP-0530");
  }
  NeedsCapability("images");
  const auto& told = Told();
  const std::vector<REGION_INFO_EX>& before = Initialized().before.RegionsOf(lab().DiskId(0));
  const std::vector<REGION_INFO_EX>& after = Initialized().after.RegionsOf(lab().DiskId(0));
  for (const REGION_INFO_EX& region : before) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
    for (const REGION_INFO_EX& now : after) EXPECT_NE(now.id, region.id);
  }
  std::int64_t free = 0;
  for (const REGION_INFO_EX& region : after) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
    if (harness::IsFree(region)) free += region.length;
  }
  const harness::DynamicLayout& found = GroupsAfter(Initialized());
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_GT(free, 0);
  EXPECT_LE(free, static_cast<std::int64_t>(found.groups[0].disks.at(0).data_length));
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const DiskKind& kind : {kBlank, kBlank4Kn, kMbr512, kBlankIde, kBlank3TiB}) {
    cases.push_back({Revision::kIVolumeClient, kind, PARTITIONSTYLE_MBR});
    cases.push_back({Revision::kIVolumeClient3, kind, PARTITIONSTYLE_MBR});
    cases.push_back({Revision::kIVolumeClient3, kind, PARTITIONSTYLE_GPT});
  }
  // An MBR disk of 3 TiB leaves nothing to convert behind its end, and is no disk of this test.
  std::erase_if(cases, [](const Case& each) {
    return each.kind.name == kBlank3TiB.name && each.style == PARTITIONSTYLE_MBR;
  });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Kinds, InitializeDisk, ::testing::ValuesIn(Cases()), [](const auto& info) {
  return std::string(harness::ToString(info.param.revision)) + "_" + std::string(info.param.kind.name) +
         (info.param.style == PARTITIONSTYLE_GPT ? "_ToGpt" : "_ToMbr");
});

// Every disk of the machine joins one group; its members know each other.
class InitializeDiskInAGroup : public DynamicTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(InitializeDiskInAGroup, AddsTheDiskToTheGroupThatIsThere) {
  Checks("DMRP-1114", "DMRP-1716", "DMRP-0158", "DMRP-0211");
  StartDynamic(3, 0);
  Session& session = SessionOf(GetParam());
  for (std::size_t i = 0; i < 3; ++i) {
    const DISK_INFO_EX disk = DiskNow(session, i);
    ASSERT_THAT(DynamicTest::InitializeDisk(session, disk.id, disk.lastKnownState), Succeeds());
    std::vector<std::size_t> members;
    for (std::size_t k = 0; k <= i; ++k) members.push_back(k);
    EXPECT_THAT(BrokenInvariants(members, {.degraded = false, .complete = true, .data = true}), IsEmpty());
  }
  const harness::DynamicLayout found = GroupsOnDisk();
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_THAT(found.groups[0].disks, SizeIs(3));
  EXPECT_EQ(DiskNow(session, 0).dgid, DiskNow(session, 2).dgid);
}

INSTANTIATE_TEST_SUITE_P(Both, InitializeDiskInAGroup, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  std::function<void(LdmObjectId& disk, std::int64_t& state, const StorageView& view)> spoil;
};

class InitializeDiskRefuses : public DynamicTest,
                              public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// An id that names no disk and a state that is not its current one: refused, the disk is untouched.
TEST_P(InitializeDiskRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  if (revision == Revision::kIVolumeClient) {
    Checks("DMRP-1109", "DMRP-1110", "DMRP-1112", "DMRP-0495");
  } else {
    Checks("DMRP-1709", "DMRP-1710", "DMRP-1712", "DMRP-0495");
  }
  StartShared("blank-and-mbr", {kBlank, kMbr512e});
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  LdmObjectId disk = lab().DiskId(0);
  std::int64_t state = before.view.FindDisk(disk)->lastKnownState;
  wrong.spoil(disk, state, before.view);
  EXPECT_THAT(DynamicTest::InitializeDisk(session, disk, state), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, InitializeDiskRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"DiskZero", [](LdmObjectId& disk, std::int64_t&, const StorageView&) { disk = 0; }},
            Wrong{"DiskUnknown", [](LdmObjectId& disk, std::int64_t&,
                                    const StorageView&) { disk = std::numeric_limits<LdmObjectId>::max(); }},
            Wrong{"DiskIsARegion",
                  [](LdmObjectId& disk, std::int64_t&, const StorageView& view) {
                    for (const auto& [id, regions] : view.regions) {
                      if (!regions.empty()) disk = regions.front().id;
                    }
                  }},
            Wrong{"StateOneBelow", [](LdmObjectId&, std::int64_t& state, const StorageView&) { --state; }},
            Wrong{"StateOneAbove", [](LdmObjectId&, std::int64_t& state, const StorageView&) { ++state; }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
