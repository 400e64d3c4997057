// AssignDriveLetter of both revisions: each listed check by itself.
#include "suites/support/drive_letters.hpp"

namespace dmrp::suites {
namespace {

std::vector<BrokenLetterRequest> BrokenRequests() {
  auto broken = BrokenLetterRequests("DMRP-0838", "DMRP-0839", "DMRP-0496");
  const auto region = [](REGIONTYPE type) {
    return [type](LetterRequest& request, const LetterScene& scene) {
      for (const REGION_INFO_EX& each : scene.view.RegionsOf(scene.disk)) {
        if (each.regionType != type) continue;
        request.storageId = each.id;
        request.storageLastKnownState = each.lastKnownState;
        return;
      }
      [&] { FAIL() << "no region of type " << NameOf(type); }();
    };
  };
  broken.push_back({"StorageIsFreeSpace", "DMRP-0839", region(REGION_FREE)});
  broken.push_back({"StorageIsFreeSpaceOfTheExtended", "DMRP-0839", region(REGION_EXTENDED_FREE)});
  broken.push_back({"StorageIsTheExtended", "DMRP-0839", region(REGION_EXTENDED)});
  return broken;
}

class AssignDriveLetterRefuses
    : public DriveLetterTest,
      public ::testing::WithParamInterface<std::tuple<Revision, BrokenLetterRequest>> {
 protected:
  void SetUp() override { StartLetters(); }
};

// A request that is right but for one thing is refused at once, forced or not: objects, notifications,
// letters and disks are as before.
TEST_P(AssignDriveLetterRefuses, Because) {
  const auto& [revision, broken] = GetParam();
  Checks(broken.id, "DMRP-0841", "DMRP-0495", "DMRP-0837", "DMRP-1621");
  Session& session = SessionOf(revision);
  const REGION_INFO_EX storage = Storage(session, kPrimary);
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    LetterRequest request = Prepare(session, FreeLetter(session), storage, force);
    const Observation before = ObserveAll(session, force == NO_FORCE_OPERATION);
    broken.spoil(request, {.view = before.view, .disk = lab().DiskId(0)});

    EXPECT_THAT(Assign(session, request), Refused());

    EXPECT_THAT(ObserveAll(session, force == NO_FORCE_OPERATION), Unchanged(before));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, AssignDriveLetterRefuses,
                         ::testing::Combine(kBothRevisions, ::testing::ValuesIn(BrokenRequests())),
                         BrokenLetterRequestName());

class AssignDriveLetterConflict : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartLetters(); }
  Session& session() { return SessionOf(GetParam()); }
};

// A letter that another volume has is not taken away from it, with force neither: force is about volumes in
// use.
TEST_P(AssignDriveLetterConflict, RefusesALetterThatIsTaken) {
  Checks("DMRP-0844", "DMRP-0028", "DMRP-0837");
  const char16_t letter = FreeLetter(session());
  Give(session(), letter, kLogical);
  for (const std::uint32_t force : {NO_FORCE_OPERATION, FORCE_OPERATION}) {
    const Observation before = ObserveAll(session(), false);
    EXPECT_THAT(Assign(session(), Prepare(session(), letter, Storage(session(), kPrimary), force)),
                RefusedAs(std::vector{LDM_E_MOUNTPOINT_BUSY}));
    EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
  }
}

// A request that another client's change overtook is refused as stale, though it was right when it was
// prepared.
TEST_P(AssignDriveLetterConflict, RefusesWhatAnotherClientOvertook) {
  Checks("DMRP-0838", "DMRP-0495", "DMRP-0496", "DMRP-0028");
  const char16_t letter = FreeLetter(session());
  const LetterRequest prepared = Prepare(session(), letter, Storage(session(), kPrimary));
  Session& other = SessionOf(GetParam() == Revision::kIVolumeClient ? Revision::kIVolumeClient3
                                                                    : Revision::kIVolumeClient);
  Give(other, letter, kLogical);
  Take(other, letter, kLogical);
  const Observation before = ObserveAll(session(), false);
  EXPECT_THAT(Assign(session(), prepared), RefusedAs(std::vector{LDM_E_OBJECT_STALED}));
  EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
}

// tinfo of a refused call, where it has an id at all, is that of a failed task.
TEST_P(AssignDriveLetterConflict, TellsTheFailureInTheTaskInfo) {
  Checks("DMRP-0848", "DMRP-0849", "DMRP-0557");
  LetterRequest request = Prepare(session(), FreeLetter(session()), Storage(session(), kPrimary));
  --request.letterLastKnownState;
  const auto reply = Assign(session(), request);
  ASSERT_THAT(reply, Refused());
  if (reply->tinfo.id != 0) {
    EXPECT_EQ(reply->tinfo.status, REQ_FAILED);
    EXPECT_LT(reply->tinfo.error, 0);
    EXPECT_EQ(reply->tinfo.tflag, 0U);
    EXPECT_EQ(reply->tinfo.createTime, 0);
  } else {
    EXPECT_EQ(reply->tinfo, TASK_INFO{});
  }
}

INSTANTIATE_TEST_SUITE_P(Both, AssignDriveLetterConflict, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
