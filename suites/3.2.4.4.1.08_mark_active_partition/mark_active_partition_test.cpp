// MarkActivePartition of IVolumeClient (3.2.4.4.1.8) and IVolumeClient3 (3.2.4.4.3.8).
#include "suites/support/conformance_test.hpp"
#include "suites/support/partition_layout.hpp"

#include <algorithm>
#include <functional>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kTwoPrimaries = R"(label: dos
start=2048, size=16384, type=7
start=20480, size=16384, type=7
)";

class MarkActivePartition : public RevisionTest {
 protected:
  void SetUp() override { StartWith({{kBlank.Spec(), Table(std::string(kTwoPrimaries))}}); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  REGION_INFO_EX Primary(std::size_t number) {
    std::vector<REGION_INFO_EX> primaries;
    for (const REGION_INFO_EX& region : RegionsNow(session())) {
      if (region.regionType == REGION_PRIMARY) {
        primaries.push_back(region);
      }
    }
    return primaries.at(number);
  }
  Outcome<MarkActivePartitionReply> Mark(std::size_t number) {
    const REGION_INFO_EX region = Primary(number);
    return session().MarkActivePartition(region.id, region.lastKnownState);
  }
  static long Active(const harness::DiskLayout& layout) {
    return std::ranges::count(layout.partitions, true, &harness::DiskPartition::active);
  }
};

// The partition's entry gets the boot indicator: what a BIOS looks for.
TEST_P(MarkActivePartition, SetsTheBootIndicator) {
  Checks("DMRP-0689", "DMRP-0240", "DMRP-1585", "DMRP-0685", "DMRP-0691");
  ASSERT_EQ(Active(LayoutOf()), 0);
  ASSERT_THAT(Mark(1), Succeeds());
  const harness::DiskLayout layout = LayoutOf();
  EXPECT_EQ(Active(layout), 1);
  EXPECT_TRUE(layout.FindAt(static_cast<std::uint64_t>(Primary(1).start))->active) << ToText(layout);
}

// Whatever was active before is so no more: at most one partition of a disk is active.
TEST_P(MarkActivePartition, ClearsTheFormerOne) {
  Checks("DMRP-0690", "DMRP-0695");
  ASSERT_THAT(Mark(0), Succeeds());
  const std::uint64_t mark = session().sink().Count();
  const REGION_INFO_EX former = Primary(0);
  ASSERT_THAT(Mark(1), Succeeds());
  const harness::DiskLayout layout = LayoutOf();
  EXPECT_EQ(Active(layout), 1);
  EXPECT_FALSE(layout.FindAt(static_cast<std::uint64_t>(former.start))->active);
  EXPECT_THAT(session().sink().Objects(mark),
              Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, former.id)));
  const REGION_INFO_EX now = Primary(0);
  EXPECT_FALSE(now.mbr->isActive);
  EXPECT_GT(now.lastKnownState, former.lastKnownState);
}

TEST_P(MarkActivePartition, FillsTheTaskInfo) {
  Checks("DMRP-0692", "DMRP-0693", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  const auto reply = Mark(0);
  ASSERT_THAT(reply, Succeeds());
  EXPECT_NE(reply->tinfo.id, 0);
  EXPECT_EQ(reply->tinfo.status, REQ_COMPLETED);
  EXPECT_EQ(reply->tinfo.error, 0);
  EXPECT_EQ(reply->tinfo.createTime, 0);
  EXPECT_EQ(reply->tinfo.percentComplete, 0U);
  EXPECT_EQ(reply->tinfo.tflag, 0U);
}

// The region object is modified for its flag, and notified before the reply.
TEST_P(MarkActivePartition, ModifiesTheRegionObject) {
  Checks("DMRP-0694", third() ? "DMRP-0229" : "DMRP-0171", "DMRP-0531");
  const REGION_INFO_EX before = Primary(0);
  const std::uint64_t mark = session().sink().Count();
  ASSERT_THAT(Mark(0), Succeeds());
  EXPECT_THAT(session().sink().Objects(mark),
              Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, before.id)));
  const REGION_INFO_EX after = Primary(0);
  EXPECT_TRUE(after.mbr->isActive);
  EXPECT_GT(after.lastKnownState, before.lastKnownState);
  EXPECT_THAT(Disagreements(RegionsNow(session()), LayoutOf()), IsEmpty());
}

// A partition that is active already stays so: the call succeeds, no object has a change to tell of, and the
// disk stays as it is.
TEST_P(MarkActivePartition, TellsNothingWhereNothingChanges) {
  Checks("DMRP-0436", "DMRP-0689", "DMRP-0690", "DMRP-0685");
  ASSERT_THAT(Mark(1), Succeeds());
  const Observation before = ObserveAll(session());
  const std::uint64_t mark = session().sink().Count();
  ASSERT_THAT(Mark(1), Succeeds());
  EXPECT_THAT(session().sink().Objects(mark),
              Not(Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, Primary(1).id))));
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, MarkActivePartition, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  std::function<void(LdmObjectId& id, std::int64_t& state, const StorageView& view)> spoil;
};

class MarkActivePartitionRefuses : public ConformanceTest,
                                   public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// regionId has to name a region, and the state to be its current one.
TEST_P(MarkActivePartitionRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks("DMRP-0686", "DMRP-0688", "DMRP-1585", "DMRP-0685", "DMRP-0495", "DMRP-0496");
  StartSharedWith("two-primaries", {{kBlank.Spec(), Table(std::string(kTwoPrimaries))}});
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  const auto& regions = before.view.RegionsOf(lab().DiskId(0));
  auto primary = std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
  ASSERT_NE(primary, regions.end());
  LdmObjectId id = primary->id;
  std::int64_t state = primary->lastKnownState;
  wrong.spoil(id, state, before.view);
  EXPECT_THAT(session.MarkActivePartition(id, state), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, MarkActivePartitionRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"RegionZero", [](LdmObjectId& id, std::int64_t&, const StorageView&) { id = 0; }},
            Wrong{"RegionUnknown",
                  [](LdmObjectId& id, std::int64_t&, const StorageView&) { id += 1'000'000; }},
            Wrong{"RegionIsADisk",
                  [](LdmObjectId& id, std::int64_t& state, const StorageView& view) {
                    id = view.disks.front().id;
                    state = view.disks.front().lastKnownState;
                  }},
            Wrong{"StateOneBelow", [](LdmObjectId&, std::int64_t& state, const StorageView&) { --state; }},
            Wrong{"StateOneAbove", [](LdmObjectId&, std::int64_t& state, const StorageView&) { ++state; }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
