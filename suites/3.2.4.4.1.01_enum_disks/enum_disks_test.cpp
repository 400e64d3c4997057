// IVolumeClient::EnumDisks (3.2.4.4.1.1) and IVolumeClient3::EnumDisksEx (3.2.4.4.3.1).
#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <set>

namespace dmrp::suites {
namespace {

class EnumDisks : public RevisionTest {
 protected:
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
};

// The call succeeds with 0 or another HRESULT that is no error, and the reply carries the array, its count
// and the outcome.
TEST_P(EnumDisks, SucceedsWithAnArray) {
  Checks(third() ? "DMRP-1538" : "DMRP-0583", third() ? "DMRP-1544" : "DMRP-0589",
         third() ? "DMRP-1546" : "DMRP-0591");
  StartShared("three-disks", {kMbr512, kMbr512e, kGpt4Kn});

  const auto reply = session().EnumDisks();

  EXPECT_THAT(reply, Succeeds());
  EXPECT_FALSE(reply.value.disks.empty());
}

// All disks of the machine are listed, and nothing else: of a target whose disks we know, exactly these.
TEST_P(EnumDisks, ListsEachDiskOfTheMachineOnce) {
  Checks(third() ? "DMRP-1541" : "DMRP-0586", third() ? "DMRP-1545" : "DMRP-0590", "DMRP-0482", "DMRP-0492");
  StartShared("three-disks", {kMbr512, kMbr512e, kGpt4Kn});

  const auto reply = session().EnumDisks();

  ASSERT_THAT(reply, Succeeds());
  std::set<LdmObjectId> ids;
  for (const DISK_INFO_EX& disk : reply.value.disks) {
    ids.insert(disk.id);
  }
  EXPECT_EQ(ids.size(), reply.value.disks.size()) << "an id appears twice";
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(ids.contains(lab().DiskId(i)));
  }
  if (target().kind != harness::TargetKind::kAddress) {
    EXPECT_EQ(reply.value.disks.size(), 3U);
  }
}

// Each entry is filled with the data of its disk: members that identify it agree with what was attached.
TEST_P(EnumDisks, FillsEachEntryWithItsDisksData) {
  Checks(third() ? "DMRP-1543" : "DMRP-0588");
  StartShared("three-disks", {kMbr512, kMbr512e, kGpt4Kn});

  const auto reply = session().EnumDisks();

  ASSERT_THAT(reply, Succeeds());
  for (std::size_t i = 0; i < 3; ++i) {
    const DISK_INFO_EX disk = DiskNow(session(), i);
    const harness::DiskSpec& spec = lab().bed().disks()[i].spec;
    EXPECT_EQ(disk.bytesPerSector, spec.logical_sector);
    EXPECT_LE(disk.length, static_cast<std::int64_t>(spec.size));
    EXPECT_GT(disk.length, static_cast<std::int64_t>(spec.size) - std::int64_t{disk.bytesPerCylinder});
    EXPECT_FALSE(harness::Text(disk.name).empty());
  }
}

// Enumerating is no change: objects, LastKnownState and notifications stay as they were.
TEST_P(EnumDisks, LeavesTheObjectListUntouched) {
  Checks(third() ? "DMRP-1547" : "DMRP-0592");
  StartShared("three-disks", {kMbr512, kMbr512e, kGpt4Kn});
  Session& watcher = SessionOf(third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3);
  const Observation before = ObserveAll(watcher);

  ASSERT_THAT(session().EnumDisks(), Succeeds());

  EXPECT_THAT(ObserveAll(watcher), Unchanged(before));
}

// An identifier names a disk for the whole session of the server: the same one for every client and both
// revisions.
TEST_P(EnumDisks, ShowsTheSameIdentifiersToEveryClient) {
  Checks("DMRP-0488", "DMRP-0489", third() ? "DMRP-0179" : "DMRP-0133", "DMRP-0042");
  StartShared("three-disks", {kMbr512, kMbr512e, kGpt4Kn});
  Session& other = Open({.revision = third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3,
                         .name = "other client",
                         .account = std::nullopt,
                         .auth_level = std::nullopt});

  const auto mine = session().EnumDisks();
  const auto theirs = other.EnumDisks();

  ASSERT_THAT(mine, Succeeds());
  ASSERT_THAT(theirs, Succeeds());
  ASSERT_EQ(mine.value.disks.size(), theirs.value.disks.size());
  for (const DISK_INFO_EX& disk : mine.value.disks) {
    auto found = std::ranges::find(theirs.value.disks, disk.id, &DISK_INFO_EX::id);
    ASSERT_NE(found, theirs.value.disks.end())
        << "disk " << disk.id << " has another id for the other client";
    EXPECT_EQ(harness::Narrow(*found), harness::Narrow(disk));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, EnumDisks, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
