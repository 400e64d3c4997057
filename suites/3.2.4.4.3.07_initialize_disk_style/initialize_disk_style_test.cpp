// IVolumeClient3::InitializeDiskStyle (3.2.4.4.3.7).
#include "suites/support/watched_operation.hpp"

#include <functional>
#include <limits>
#include <set>
#include <vector>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

struct StyleSetup {
  DiskKind kind;
  PARTITIONSTYLE style;
};

class InitializeDiskStyle : public ConformanceTest, public ::testing::WithParamInterface<StyleSetup> {
 protected:
  void SetUp() override { StartShared(ScenarioKey(), {GetParam().kind}); }
  Session& session() { return SessionOf(Revision::kIVolumeClient3); }
  const WatchedDiskOperation& Initialized() {
    return Once([this] {
      WatchedDiskOperation seen;
      const DISK_INFO_EX blank = DiskNow(session());
      static_cast<WatchedOperation&>(seen) = Need(Watch(
          lab(), session(),
          [&] { return session().InitializeDiskStyle(blank.id, GetParam().style, blank.lastKnownState); },
          [&] {
            if (target().Can("images")) seen.table_after = LayoutOf();
          }));
      return seen;
    });
  }
  const harness::DiskLayout& Table() {
    NeedsCapability("images");
    return Initialized().table_after.value();
  }
};

// The disk gets an empty partition table and a signature, of the kind that style names.
TEST_P(InitializeDiskStyle, WritesAnEmptyTableOfTheStyle) {
  Checks("DMRP-1573", "DMRP-1574", "DMRP-1578",
         GetParam().style == PARTITIONSTYLE_GPT ? "DMRP-1580" : "DMRP-1579", "DMRP-1581");
  const harness::DiskLayout& layout = Table();
  EXPECT_THAT(layout.problems, IsEmpty());
  if (GetParam().style == PARTITIONSTYLE_GPT) {
    EXPECT_EQ(layout.style, harness::TableStyle::kGpt);
    ASSERT_TRUE(layout.disk_guid);
    EXPECT_FALSE(layout.disk_guid->IsNull());
    // A Microsoft reserved partition is part of the style, not a user's partition.
    for (const auto& partition : layout.partitions) {
      EXPECT_EQ(partition.gpt_type->ToString(), "e3c9e316-0b5c-4db8-817d-f92df00215ae") << ToText(layout);
    }
  } else {
    EXPECT_EQ(layout.style, harness::TableStyle::kMbr);
    EXPECT_THAT(layout.partitions, IsEmpty());
    ASSERT_TRUE(layout.signature);
    EXPECT_NE(*layout.signature, 0U);
  }
}

TEST_P(InitializeDiskStyle, FillsTheTaskInfo) {
  Checks("DMRP-1582", "DMRP-1583", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  const TASK_INFO& task = Initialized().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_EQ(task.status, REQ_COMPLETED);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.createTime, 0);
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.tflag, 0U);
}

// The disk object is modified for its changed status: its style and identity are those on disk.
TEST_P(InitializeDiskStyle, ModifiesTheDiskObject) {
  Checks("DMRP-1584", "DMRP-0194", "DMRP-0195",
         GetParam().style == PARTITIONSTYLE_GPT ? "DMRP-0197" : "DMRP-0196", "DMRP-0531");
  const LdmObjectId id = lab().DiskId(0);
  EXPECT_THAT(Initialized().notified.at(Revision::kIVolumeClient3),
              Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, id)));
  ASSERT_NE(Initialized().after.FindDisk(id), nullptr);
  const DISK_INFO_EX& after = *Initialized().after.FindDisk(id);
  const harness::DiskLayout& layout = Table();
  EXPECT_GT(after.lastKnownState, Initialized().before.FindDisk(id)->lastKnownState);
  EXPECT_EQ(after.partitionStyle, GetParam().style);
  EXPECT_EQ(after.deviceState & DEVICESTATE_NOSIG, 0U);
  if (GetParam().style == PARTITIONSTYLE_GPT) {
    ASSERT_TRUE(after.gpt);
    EXPECT_EQ(after.gpt->diskId, layout.disk_guid);
  } else {
    ASSERT_TRUE(after.mbr);
    EXPECT_EQ(after.mbr->signature, layout.signature);
  }
  EXPECT_THAT(Initialized().after.RegionsOf(id), Contains(::testing::Truly([](const REGION_INFO_EX& region) {
                return region.regionType == REGION_FREE && region.length > 0;
              })));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, InitializeDiskStyle,
    ::testing::Values(StyleSetup{kBlank, PARTITIONSTYLE_MBR}, StyleSetup{kBlank, PARTITIONSTYLE_GPT},
                      StyleSetup{kBlank4Kn, PARTITIONSTYLE_MBR}, StyleSetup{kBlank4Kn, PARTITIONSTYLE_GPT},
                      StyleSetup{kBlankIde, PARTITIONSTYLE_GPT}, StyleSetup{kBlankUsb, PARTITIONSTYLE_GPT},
                      StyleSetup{kBlank3TiB, PARTITIONSTYLE_GPT}),
    [](const auto& info) {
      return std::string(info.param.kind.name) +
             (info.param.style == PARTITIONSTYLE_GPT ? "_ToGpt" : "_ToMbr");
    });

// maySwitchStyle tells whether the style can change: an empty disk changes back and forth.
class SwitchStyle : public ConformanceTest {};

TEST_F(SwitchStyle, WorksOnAnEmptyDiskThatSaysSo) {
  Checks("DMRP-0193", "DMRP-1573", "DMRP-1584");
  Start({kMbr512});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  EXPECT_TRUE(DiskNow(session).maySwitchStyle) << "an empty MBR disk";
  ASSERT_THAT(
      session.InitializeDiskStyle(DiskNow(session).id, PARTITIONSTYLE_GPT, DiskNow(session).lastKnownState),
      Succeeds());
  EXPECT_EQ(LayoutOf().style, harness::TableStyle::kGpt);
  EXPECT_TRUE(DiskNow(session).maySwitchStyle) << "an empty GPT disk";
  ASSERT_THAT(
      session.InitializeDiskStyle(DiskNow(session).id, PARTITIONSTYLE_MBR, DiskNow(session).lastKnownState),
      Succeeds());
  EXPECT_EQ(LayoutOf().style, harness::TableStyle::kMbr);
}

TEST_F(SwitchStyle, IsRefusedOnADiskWithPartitions) {
  Checks("DMRP-0193", "DMRP-1577");
  Start({kMbr512});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const REGION_INFO_EX free = FreeRegion(session);
  ASSERT_THAT(session.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(8))), Succeeds());
  EXPECT_FALSE(DiskNow(session).maySwitchStyle);
  const Observation before = ObserveAll(session);
  EXPECT_THAT(
      session.InitializeDiskStyle(DiskNow(session).id, PARTITIONSTYLE_GPT, DiskNow(session).lastKnownState),
      Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

// Every initialized disk gets a signature or GUID of its own.
TEST_F(SwitchStyle, GivesEachDiskAnIdentityOfItsOwn) {
  Checks("DMRP-1578", "DMRP-0196", "DMRP-0197");
  Start({kBlank, kBlank4Kn});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  std::set<Guid> guids;
  for (std::size_t i = 0; i < 2; ++i) {
    const DISK_INFO_EX disk = DiskNow(session, i);
    ASSERT_THAT(session.InitializeDiskStyle(disk.id, PARTITIONSTYLE_GPT, disk.lastKnownState), Succeeds());
    guids.insert(LayoutOf(i).disk_guid.value_or(Guid{}));
  }
  EXPECT_EQ(guids.size(), 2U);
}

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(InitializeDiskStyleRequest& request, const StorageView& view)> spoil;
};

class InitializeDiskStyleRefuses : public ConformanceTest, public ::testing::WithParamInterface<Wrong> {};

// An id that names no disk, a stale state, a style that is none: refused, and the disk is untouched.
TEST_P(InitializeDiskStyleRefuses, Because) {
  Checks(GetParam().id, "DMRP-1577", "DMRP-1574", "DMRP-0495");
  StartShared("blank-and-mbr", {kBlank, kMbr512e});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const Observation before = ObserveAll(session);
  InitializeDiskStyleRequest request;
  request.diskId = lab().DiskId(0);
  request.style = PARTITIONSTYLE_GPT;
  request.diskLastKnownState = before.view.FindDisk(request.diskId)->lastKnownState;
  GetParam().spoil(request, before.view);
  EXPECT_THAT(session.InitializeDiskStyle(request.diskId, request.style, request.diskLastKnownState),
              Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    All, InitializeDiskStyleRefuses,
    ::testing::Values(
        Wrong{"DiskZero", "DMRP-1575",
              [](InitializeDiskStyleRequest& r, const StorageView&) { r.diskId = 0; }},
        Wrong{"DiskUnknown", "DMRP-1575",
              [](InitializeDiskStyleRequest& r, const StorageView&) {
                r.diskId = std::numeric_limits<LdmObjectId>::max();
              }},
        Wrong{"DiskIsARegion", "DMRP-1575",
              [](InitializeDiskStyleRequest& r, const StorageView& view) {
                for (const auto& [disk, regions] : view.regions) {
                  if (!regions.empty()) {
                    r.diskId = regions.front().id;
                  }
                }
              }},
        Wrong{"StateOneBelow", "DMRP-1575",
              [](InitializeDiskStyleRequest& r, const StorageView&) { --r.diskLastKnownState; }},
        Wrong{"StateOneAbove", "DMRP-0496",
              [](InitializeDiskStyleRequest& r, const StorageView&) { ++r.diskLastKnownState; }},
        Wrong{"StyleUnknown", "DMRP-1573",
              [](InitializeDiskStyleRequest& r, const StorageView&) { r.style = PARTITIONSTYLE_UNKNOWN; }},
        Wrong{"StyleUndefined", "DMRP-1573",
              [](InitializeDiskStyleRequest& r, const StorageView&) {
                r.style = static_cast<PARTITIONSTYLE>(3);
              }}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace dmrp::suites
