// Interface identifiers (1.9) and the interfaces of the server object (2.6, 3.1.3, 3.2.4.4).
#include "protocol/rpc/client.hpp"
#include "suites/support/conformance_test.hpp"

#include <array>

namespace dmrp::suites {
namespace {

struct Asked {
  const InterfaceInfo* interface;
  const char* id;
};

const std::array kVolumeInterfaces{Asked{&kIVolumeClient, "DMRP-0005"}, Asked{&kIVolumeClient2, "DMRP-0006"},
                                   Asked{&kIVolumeClient3, "DMRP-0007"},
                                   Asked{&kIVolumeClient4, "DMRP-0008"}};

class Interfaces : public ConformanceTest, public ::testing::WithParamInterface<Asked> {
 protected:
  void SetUp() override { StartShared("one-mbr-disk", {kMbr512}); }
};

// The server object has the interface under the identifier printed for it: it can be activated for it and
// asked for it.
TEST_P(Interfaces, IsReachedByItsIdentifier) {
  Checks(GetParam().id, "DMRP-0257");
  auto host = Need(lab().Host());
  EXPECT_TRUE(host->Activate(GetParam().interface->iid)) << "activation";
  for (const Asked& from : kVolumeInterfaces) {
    auto object = host->Activate(from.interface->iid);
    ASSERT_TRUE(object) << object.error().ToString();
    auto other = object->QueryInterface(GetParam().interface->iid);
    EXPECT_TRUE(other) << from.interface->name << " to " << GetParam().interface->name << ": "
                       << other.error().ToString();
  }
}

// Each interface is bound at version 0.0.
TEST_P(Interfaces, BindsAtVersionZero) {
  Checks(GetParam().id);
  auto host = Need(lab().Host());
  auto object = Need(host->Activate(GetParam().interface->iid));
  auto connection = Need(object.Connection());
  EXPECT_TRUE(connection->Bind({GetParam().interface->iid, 0, 0}));
  auto other = connection->Bind({GetParam().interface->iid, 7, 0});
  EXPECT_FALSE(other) << "version 7.0 of " << GetParam().interface->name << " was accepted";
}

INSTANTIATE_TEST_SUITE_P(All, Interfaces, ::testing::ValuesIn(kVolumeInterfaces),
                         [](const auto& info) { return std::string(info.param.interface->name); });

class ServerObject : public ConformanceTest {
 protected:
  void SetUp() override { StartShared("one-mbr-disk", {kMbr512}); }
};

// Where IVolumeClient4 is, the three others are too, on the same object.
TEST_F(ServerObject, HasAllVolumeInterfacesBesideIVolumeClient4) {
  Checks("DMRP-0243");
  auto object = Need(lab().Host())->Activate(IID_IVolumeClient4);
  if (!object) {
    GTEST_SKIP() << "the target has no IVolumeClient4";
  }
  for (const Asked& other : kVolumeInterfaces) {
    auto reference = object->QueryInterface(other.interface->iid);
    ASSERT_TRUE(reference) << other.interface->name;
    EXPECT_EQ(reference->oid(), object->oid()) << other.interface->name << " is of another object";
  }
}

// An interface that the object lacks is answered by E_NOINTERFACE.
TEST_F(ServerObject, LacksOtherInterfaces) {
  Checks("DMRP-0257");
  auto object = Need(Need(lab().Host())->Activate(IID_IVolumeClient3));
  auto other = object.QueryInterface(IID_IDMNotify);
  ASSERT_FALSE(other) << "IDMNotify is the client's";
  EXPECT_EQ(other.error().status, 0x80004002U) << other.error().ToString();
}

// Having Initialize called on one interface, the object's other ones are of the same client.
TEST_F(ServerObject, IsOneClientOverAllInterfaces) {
  Checks("DMRP-0256", "DMRP-0257");
  Session& session =
      Open({.revision = Revision::kIVolumeClient3, .name = "client", .account = {}, .auth_level = {}});
  ASSERT_TRUE(session.initialized());
  EXPECT_THAT(session.Call<EnumDisksReply>(kIVolumeClient, "EnumDisks", EnumDisksRequest{}), Succeeds());
  EXPECT_THAT(session.RefreshEx(), Succeeds());
}

}  // namespace
}  // namespace dmrp::suites
