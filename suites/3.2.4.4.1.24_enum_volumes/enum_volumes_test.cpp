// EnumVolumes (3.2.4.4.1.24, 3.2.4.4.3.24) and EnumVolumeMembers (3.2.4.4.1.25, 3.2.4.4.3.25) on a machine
// whose disks are all basic: no partition is a volume of theirs.
#include "suites/support/drive_letters.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class BasicDisksHaveNoVolumes : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartLetters(); }
  Session& session() { return SessionOf(GetParam()); }
  Outcome<EnumVolumesReply> EnumVolumes(std::uint32_t count = 0) {
    EnumVolumesRequest request;
    request.volumeCount = count;
    return session().Call<EnumVolumesReply>(session().interface(), "EnumVolumes", request);
  }
  Outcome<EnumVolumeMembersReply> Members(LdmObjectId volume) {
    EnumVolumeMembersRequest request;
    request.volumeId = volume;
    return session().Call<EnumVolumeMembersReply>(session().interface(), "EnumVolumeMembers", request);
  }
};

// Partitions, logical drives and disks are no dynamic volumes, with a letter neither.
TEST_P(BasicDisksHaveNoVolumes, ListsNone) {
  Checks("DMRP-0907", "DMRP-0904", "DMRP-0911", "DMRP-0912", "DMRP-1638", "DMRP-1639");
  Give(session(), FreeLetter(session()), kPrimary);
  const auto reply = EnumVolumes();
  ASSERT_THAT(reply, Succeeds());
  EXPECT_THAT(reply->LdmVolumeList, IsEmpty());
}

// volumeCount means nothing on input.
TEST_P(BasicDisksHaveNoVolumes, IgnoresTheCountThatComesIn) {
  Checks("DMRP-0911", "DMRP-0521");
  for (const std::uint32_t count : {1U, 1000U, 0xFFFFFFFFU}) {
    const auto reply = EnumVolumes(count);
    ASSERT_THAT(reply, Succeeds());
    EXPECT_THAT(reply->LdmVolumeList, IsEmpty()) << "count " << count;
  }
}

// Looking changes nothing.
TEST_P(BasicDisksHaveNoVolumes, ChangesNothing) {
  Checks("DMRP-0913", "DMRP-0924");
  const Observation before = ObserveAll(session());
  ASSERT_THAT(EnumVolumes(), Succeeds());
  ASSERT_THAT(Members(Storage(session(), kPrimary).id), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// What names no dynamic volume has no members.
TEST_P(BasicDisksHaveNoVolumes, RefusesMembersOfAnythingElse) {
  Checks("DMRP-0915", "DMRP-0917", "DMRP-0914", "DMRP-1640");
  for (const LdmObjectId id :
       {LdmObjectId{0}, LdmObjectId{-1}, std::numeric_limits<LdmObjectId>::max(), lab().DiskId(0),
        Storage(session(), kPrimary).id, Storage(session(), kLogical).id}) {
    const auto reply = Members(id);
    EXPECT_THAT(reply, Refused()) << "id " << id;
    EXPECT_THAT(reply->memberList, IsEmpty()) << "id " << id;
  }
}

INSTANTIATE_TEST_SUITE_P(Both, BasicDisksHaveNoVolumes, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
