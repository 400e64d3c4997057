// GetVolumeDeviceName of IVolumeClient4 (3.2.4.4.4.2): it is about dynamic volumes only.
#include "suites/support/drive_letters.hpp"
#include "suites/support/dynamic_volumes.hpp"

#include <limits>
#include <set>

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

class DeviceNameOfVolumes : public DynamicTest {};

// The name of a device of the kernel, with its terminating null: one for each volume, the same each time.
TEST_F(DeviceNameOfVolumes, IsThatOfTheKernel) {
  Checks("DMRP-1868", "DMRP-1869", "DMRP-1873", "DMRP-1875", "DMRP-1876", "DMRP-1877", "DMRP-1878",
         "DMRP-1879");
  StartDynamic(2);
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const auto name_of = [&](LdmObjectId id) {
    GetVolumeDeviceNameRequest request;
    request._volumeId = id;
    return session.Call<GetVolumeDeviceNameReply>(kIVolumeClient4, "GetVolumeDeviceName", request);
  };
  std::set<std::u16string> names;
  for (const std::size_t shape : {0U, 3U}) {
    const VOLUME_INFO volume = Make(session, ShapesOfEachLayout()[shape]);
    const Observation before = ObserveAll(session, false);
    const auto reply = name_of(volume.id);
    ASSERT_THAT(reply, Succeeds());
    const std::u16string& name = reply->pwszVolumeDevice;
    ASSERT_FALSE(name.empty());
    EXPECT_EQ(name.find(u'\0'), name.size() - 1) << "one null, at the end";
    EXPECT_TRUE(name.starts_with(u"\\Device\\")) << ToUtf8(name);
    EXPECT_GT(name.size(), std::u16string_view(u"\\Device\\").size() + 1);
    EXPECT_TRUE(names.insert(name).second) << "a name of its own";
    EXPECT_EQ(name_of(volume.id)->pwszVolumeDevice, name) << "the same a second time";
    EXPECT_THAT(ObserveAll(session, false), Unchanged(before));
  }
}

}  // namespace
}  // namespace dmrp::suites
