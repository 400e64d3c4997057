// CreatePartition of both revisions: each listed check by itself, and the limits of a free region.
#include "suites/support/conformance_test.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

// Disk 0 has a primary, an extended partition with a logical drive, and free space; disk 1 is another one
// with free space.
constexpr std::string_view kTable = R"(label: dos
label-id: 0x5eed0003
start=2048, size=16384, type=7
start=20480, size=40960, type=f
start=22528, size=8192, type=7
)";

struct Broken {
  const char* name;
  const char* id;  ///< of the rule that refuses it
  std::function<void(REGION_SPEC& spec, const StorageView& view, LdmObjectId other_disk)> spoil;
};

const REGION_INFO_EX& OfType(const StorageView& view, LdmObjectId disk, REGIONTYPE type) {
  for (const REGION_INFO_EX& region : view.RegionsOf(disk)) {
    if (region.regionType == type) {
      return region;
    }
  }
  return view.RegionsOf(disk).front();
}

class CreatePartitionRefuses : public ConformanceTest,
                               public ::testing::WithParamInterface<std::tuple<Revision, Broken>> {
 protected:
  void SetUp() override {
    StartSharedWith("two-mbr-disks", {{kBlank.Spec(), Table(std::string(kTable))}, {kMbr512e.Spec(), {}}});
  }
};

// A request that is right but for one thing is refused at once: objects, notifications and disk are as
// before.
TEST_P(CreatePartitionRefuses, Because) {
  const auto& [revision, broken] = GetParam();
  Checks(broken.id, "DMRP-0611", "DMRP-0495", "DMRP-1560", "DMRP-0606");
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  const REGION_INFO_EX free = FreeRegion(session, 0, MiB(4));
  REGION_SPEC spec = Spec(free, REGION_PRIMARY, free.start, MiB(2));
  broken.spoil(spec, before.view, lab().DiskId(1));

  EXPECT_THAT(session.CreatePartition(spec), Refused());

  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

const std::vector<Broken>& BrokenRequests() {
  using View = StorageView;
  static const std::vector<Broken> kBroken = {
      {"DiskZero", "DMRP-0607", [](REGION_SPEC& s, const View&, LdmObjectId) { s.diskId = 0; }},
      {"DiskMinusOne", "DMRP-0607", [](REGION_SPEC& s, const View&, LdmObjectId) { s.diskId = -1; }},
      {"DiskIsARegion", "DMRP-0607", [](REGION_SPEC& s, const View&, LdmObjectId) { s.diskId = s.regionId; }},
      {"RegionZero", "DMRP-0608", [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionId = 0; }},
      {"RegionUnknown", "DMRP-0608",
       [](REGION_SPEC& s, const View&, LdmObjectId) {
         s.regionId = std::numeric_limits<LdmObjectId>::max();
       }},
      {"RegionIsADisk", "DMRP-0608", [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionId = s.diskId; }},
      {"StateOneBelow", "DMRP-0608", [](REGION_SPEC& s, const View&, LdmObjectId) { --s.lastKnownState; }},
      {"StateOneAbove", "DMRP-0496", [](REGION_SPEC& s, const View&, LdmObjectId) { ++s.lastKnownState; }},
      {"StateFarOff", "DMRP-0496",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.lastKnownState += std::int64_t{1} << 32; }},
      {"RegionOfAnotherDisk", "DMRP-0609",
       [](REGION_SPEC& s, const View&, LdmObjectId other) { s.diskId = other; }},
      {"UsedRegion", "DMRP-0612",
       [](REGION_SPEC& s, const View& v, LdmObjectId) {
         s = Spec(OfType(v, s.diskId, REGION_PRIMARY), REGION_PRIMARY, 2048 * 512, MiB(2));
       }},
      {"StartBeforeTheRegion", "DMRP-0612",
       [](REGION_SPEC& s, const View& v, LdmObjectId) {
         s.start = OfType(v, s.diskId, REGION_PRIMARY).start;
       }},
      {"StartAtTheEndOfTheRegion", "DMRP-0612",
       [](REGION_SPEC& s, const View& v, LdmObjectId) {
         const REGION_INFO_EX& free = *v.FindRegion(s.regionId);
         s.start = free.start + free.length;
       }},
      {"StartBeyondTheDisk", "DMRP-0612",
       [](REGION_SPEC& s, const View& v, LdmObjectId) { s.start = v.FindDisk(s.diskId)->length; }},
      {"StartNegative", "DMRP-0612", [](REGION_SPEC& s, const View&, LdmObjectId) { s.start = -512; }},
      {"StartNearOverflow", "DMRP-0612",
       [](REGION_SPEC& s, const View&, LdmObjectId) {
         s.start = std::numeric_limits<std::int64_t>::max() - 511;
       }},
      {"LengthZero", "DMRP-0612", [](REGION_SPEC& s, const View&, LdmObjectId) { s.length = 0; }},
      {"LengthNegative", "DMRP-0612", [](REGION_SPEC& s, const View&, LdmObjectId) { s.length = -512; }},
      {"LengthBeyondTheRegion", "DMRP-0612",
       [](REGION_SPEC& s, const View& v, LdmObjectId) { s.length = 2 * v.FindDisk(s.diskId)->length; }},
      {"LengthNearOverflow", "DMRP-0612",
       [](REGION_SPEC& s, const View&, LdmObjectId) {
         s.length = std::numeric_limits<std::int64_t>::max() - 511;
       }},
      {"TypeUnknown", "DMRP-0612",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_UNKNOWN; }},
      {"TypeFree", "DMRP-0612", [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_FREE; }},
      {"TypeSubdisk", "DMRP-0612",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_SUBDISK; }},
      {"TypeUndefined", "DMRP-0612",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = static_cast<REGIONTYPE>(77); }},
      {"SecondExtended", "DMRP-0612",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_EXTENDED; }},
      {"LogicalOutsideOfTheExtended", "DMRP-0612",
       [](REGION_SPEC& s, const View&, LdmObjectId) { s.regionType = REGION_LOGICAL; }},
      {"PrimaryInsideOfTheExtended", "DMRP-0612",
       [](REGION_SPEC& s, const View& v, LdmObjectId) {
         const REGION_INFO_EX& inside = OfType(v, s.diskId, REGION_EXTENDED_FREE);
         s = Spec(inside, REGION_PRIMARY, inside.start, inside.length);
       }},
  };
  return kBroken;
}

INSTANTIATE_TEST_SUITE_P(Both, CreatePartitionRefuses,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(BrokenRequests())),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

// A disk that cannot be written: the call fails, and the objects stay as they are.
class CreatePartitionOnReadOnly : public RevisionTest {};

TEST_P(CreatePartitionOnReadOnly, Fails) {
  Checks("DMRP-1560", "DMRP-0606", "DMRP-0612");
  StartShared("read-only", {kReadOnly});
  const Observation before = ObserveAll(session());
  const REGION_INFO_EX free = FreeRegion(session());
  EXPECT_THAT(session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(8))), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, CreatePartitionOnReadOnly, kBothRevisions, RevisionName());

// A request of which another client's change made the state stale is refused, though it was right when it was
// prepared.
class CreatePartitionRace : public RevisionTest {};

TEST_P(CreatePartitionRace, RefusesWhatAnotherClientOvertook) {
  Checks("DMRP-0608", "DMRP-0496", "DMRP-0495");
  Start({kMbr512});
  const REGION_INFO_EX free = FreeRegion(session());
  Session& other =
      Open({.revision = Revision::kIVolumeClient3, .name = "other", .account = {}, .auth_level = {}});
  ASSERT_THAT(other.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(8))), Succeeds());
  const Observation before = ObserveAll(session());

  EXPECT_THAT(session().CreatePartition(Spec(free, REGION_PRIMARY, free.start + MiB(16), MiB(8))), Refused());

  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, CreatePartitionRace, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
