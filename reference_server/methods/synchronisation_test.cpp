#include "reference_server/methods/synchronisation.hpp"

#include "reference_server/methods/dynamic_volumes_test_support.hpp"

namespace dmrp::server {
namespace {

class SynchronisationTest : public DynamicVolumesTest {
 protected:
  std::string NameOnDevices(LdmObjectId id) {
    const auto operation = server->model().BeginOperation();
    const auto state = server->model().State();
    return server->inventory().groups().FindVolume(state->FindAs<VolumeObject>(id)->key)->name;
  }
  HRESULT Await(const std::string& name) {
    const auto worked = AwaitSynchronisation(*server, 0, {name}).work([](unsigned) {}, {});
    return worked ? 0 : worked.error().hr;
  }
};

TEST_F(SynchronisationTest, IsDoneWhereNoMemberIsBeingMadeWhole) {
  EXPECT_EQ(Await(NameOnDevices(Make(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB}))), 0);
}

TEST_F(SynchronisationTest, FailsWhenTheVolumeGoesOffline) {
  const std::string name = NameOnDevices(Make(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB}));
  std::filesystem::remove(folder / "a.img");
  server->Refresh();
  EXPECT_EQ(Await(name), LDM_E_TASK_IOERROR);
}

TEST_F(SynchronisationTest, HasNothingLeftToDoForADeletedVolume) {
  const LdmObjectId id = Make(VOLUMELAYOUT_SIMPLE, 8 * kMiB, {8 * kMiB});
  const std::string name = NameOnDevices(id);
  ASSERT_EQ(Delete(id), 0);
  EXPECT_EQ(Await(name), 0);
}

}  // namespace
}  // namespace dmrp::server
