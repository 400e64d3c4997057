// GetVolumeDeviceName of IVolumeClient4 (3.2.4.4.4.2): it is about dynamic volumes only.
#include "suites/support/drive_letters.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

class GetVolumeDeviceName : public DriveLetterTest {
 protected:
  void SetUp() override { StartLetters(); }
  Outcome<GetVolumeDeviceNameReply> DeviceName(LdmObjectId id) {
    GetVolumeDeviceNameRequest request;
    request._volumeId = id;
    return SessionOf(Revision::kIVolumeClient3)
        .Call<GetVolumeDeviceNameReply>(kIVolumeClient4, "GetVolumeDeviceName", request);
  }
};

// Disks, partitions and numbers that name nothing are refused.
TEST_F(GetVolumeDeviceName, RefusesWhatIsNoDynamicVolume) {
  Checks("DMRP-1871", "DMRP-1872", "DMRP-1869", "DMRP-1879");
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const Observation before = ObserveAll(session);
  for (const LdmObjectId id :
       {LdmObjectId{0}, LdmObjectId{-1}, std::numeric_limits<LdmObjectId>::max(), lab().DiskId(0),
        Storage(session, kPrimary).id, Storage(session, kLogical).id, Storage(session, kGptPartition).id}) {
    EXPECT_THAT(DeviceName(id), Refused()) << "id " << id;
  }
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

}  // namespace
}  // namespace dmrp::suites
