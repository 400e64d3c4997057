// GetMaxAdjustedFreeSpace of IVolumeClient2 (3.2.4.4.2.1) and IVolumeClient3 (3.2.4.4.3.34).
#include "suites/support/conformance_test.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

// Through the interface that goes with the session's revision.
Outcome<GetMaxAdjustedFreeSpaceReply> Ask(Session& session, LdmObjectId disk) {
  const InterfaceInfo& interface =
      session.revision() == Revision::kIVolumeClient ? kIVolumeClient2 : kIVolumeClient3;
  return session.Call<GetMaxAdjustedFreeSpaceReply>(interface, "GetMaxAdjustedFreeSpace",
                                                    GetMaxAdjustedFreeSpaceRequest{.diskId = disk});
}

class GetMaxAdjustedFreeSpace : public DiskKindTest {
 protected:
  std::int64_t Largest() {
    const auto reply = Ask(session(), lab().DiskId(0));
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return reply->maxAdjustedFreeSpace;
  }
  // The longest free region and the answer fit together: not above what is free, and enough for the largest
  // partition that can be made.
  void ExpectBounds() {
    const std::int64_t largest = Largest();
    EXPECT_GE(largest, 0);
    EXPECT_LE(largest, disk().freeBytes);
    std::int64_t accepted = 0;
    for (const REGION_INFO_EX& region : RegionsNow(session())) {
      if (region.regionType == REGION_FREE) accepted = std::max(accepted, region.length);
    }
    EXPECT_GE(largest, accepted);
  }
  // A partition in the middle, so that a gap stays on either side.
  void Fragment() {
    const REGION_INFO_EX free = FreeRegion(session(), 0, MiB(7));
    const std::int64_t sector = disk().bytesPerSector;
    ASSERT_THAT(session().CreatePartition(
                    Spec(free, REGION_PRIMARY, free.start + MiB(2), MiB(1) / sector * sector + sector)),
                Succeeds());
  }
};

// On an empty, a fragmented and a full disk the amount lies between the largest partition that can be made
// and all free space; a partition of just that length can be made where one region has it.
TEST_P(GetMaxAdjustedFreeSpace, IsWhatAPartitionCanGet) {
  Checks("DMRP-1525", "DMRP-1526", "DMRP-1527", "DMRP-1528", third() ? "DMRP-1694" : "DMRP-1521",
         third() ? "DMRP-1695" : "DMRP-1521");
  ExpectBounds();
  Fragment();
  ExpectBounds();
  for (int round = 0; round < 2; ++round) {
    const std::int64_t largest = Largest();
    const auto regions = RegionsNow(session());
    const auto region = std::ranges::find_if(regions, [&](const REGION_INFO_EX& candidate) {
      return candidate.regionType == REGION_FREE && candidate.length >= largest;
    });
    ASSERT_NE(region, regions.end()) << largest << " bytes are in no one region";
    ASSERT_THAT(session().CreatePartition(Spec(*region, REGION_PRIMARY, region->start, largest)), Succeeds());
    ExpectBounds();
  }
  EXPECT_EQ(Largest(), 0) << "the disk is full";
}

// Handling the call changes nothing and notifies nobody.
TEST_P(GetMaxAdjustedFreeSpace, ChangesNothing) {
  Checks("DMRP-1529");
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Ask(session(), lab().DiskId(0)), Succeeds());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GetMaxAdjustedFreeSpace,
                         ::testing::ValuesIn(Setups({kMbrOddChs, kMbr4Kn, kGpt})), SetupName());

class MaxAdjustedFreeSpace : public RevisionTest {};

// Space that no entry of the table is left for is not available to a partition; that of an extended partition
// is.
TEST_P(MaxAdjustedFreeSpace, HeedsAFullTable) {
  Checks("DMRP-1525", "DMRP-1526");
  StartSharedWith("full-mbr", {{kBlank.Spec(), Table("label: dos\nstart=2048, size=2048, type=7\n"
                                                     "start=4096, size=2048, type=7\n"
                                                     "start=6144, size=2048, type=7\n"
                                                     "start=8192, size=16384, type=5\n")}});
  const auto reply = Ask(session(), lab().DiskId(0));
  ASSERT_THAT(reply, Succeeds());
  std::int64_t inside = 0;
  for (const REGION_INFO_EX& region : RegionsNow(session())) {
    if (region.regionType == REGION_EXTENDED_FREE) inside = std::max(inside, region.length);
  }
  EXPECT_GE(reply->maxAdjustedFreeSpace, inside);
  EXPECT_LE(reply->maxAdjustedFreeSpace, DiskNow(session()).freeBytes);
}

// An id that names no disk is refused, and nothing happens.
TEST_P(MaxAdjustedFreeSpace, RefusesWhatIsNoDisk) {
  const bool third = GetParam() == Revision::kIVolumeClient3;
  Checks("DMRP-1522", "DMRP-1524", third ? "DMRP-1694" : "DMRP-1521", third ? "DMRP-1695" : "DMRP-1521");
  StartShared("one-mbr-disk", {kMbr512});
  const Observation before = ObserveAll(session());
  for (const LdmObjectId wrong :
       {LdmObjectId{0}, lab().DiskId(0) + 1'000'000, before.view.RegionsOf(lab().DiskId(0)).front().id}) {
    EXPECT_THAT(Ask(session(), wrong), Refused());
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, MaxAdjustedFreeSpace, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
