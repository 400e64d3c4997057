// Initialize of IVolumeClient (3.2.4.4.1.54) and IVolumeClient3 (3.2.4.4.3.57).
#include "protocol/dcom/runtime.hpp"
#include "suites/support/client_test.hpp"

#include <algorithm>
#include <set>

namespace dmrp::suites {
namespace {

using ::testing::Contains;

constexpr std::uint32_t kFlagsFirst = SYSFLAG_SERVER | SYSFLAG_ALPHA | SYSFLAG_SYSPART_SECURE |
                                      SYSFLAG_NEC_98 | SYSFLAG_LAPTOP | SYSFLAG_WOLFPACK;
constexpr std::uint32_t kFlagsThird =
    kFlagsFirst | SYSFLAG_NO_DYNAMIC | SYSFLAG_IA64 | SYSFLAG_UNINSTALL_VALID | SYSFLAG_DYNAMIC_1394;

class Initialize : public ClientTest {
 protected:
  Session& Uninitialized(std::string name = "new client") { return Client(std::move(name), false); }
};

// Success returns a new id, the version of the IDL and the flags; each client's id is its own, the version is
// the same.
TEST_P(Initialize, ReturnsIdVersionAndFlags) {
  Checks(third() ? "DMRP-1830" : "DMRP-1422", "DMRP-1432", "DMRP-1435", "DMRP-1436", "DMRP-1437", "DMRP-1438",
         third() ? "DMRP-1834" : "DMRP-1419", "DMRP-0501");
  const auto one = Uninitialized("one").Initialize();
  const auto two = Uninitialized("two").Initialize();
  ASSERT_THAT(one, Succeeds());
  ASSERT_THAT(two, Succeeds());
  EXPECT_NE(one->clientId, 0);
  EXPECT_NE(two->clientId, 0);
  EXPECT_NE(one->clientId, two->clientId);
  EXPECT_EQ(one->ulIDLVersion, two->ulIDLVersion);
  EXPECT_EQ(one->pdwFlags, two->pdwFlags);
}

// pdwFlags has defined bits only.
TEST_P(Initialize, ReturnsDefinedFlagsOnly) {
  Checks(third() ? "DMRP-1835" : "DMRP-1420", "DMRP-0023");
  const auto reply = Uninitialized().Initialize();
  ASSERT_THAT(reply, Succeeds());
  EXPECT_EQ(reply->pdwFlags & ~(third() ? kFlagsThird : kFlagsFirst), 0U) << std::hex << reply->pdwFlags;
}

// From the reply on the client is in the list: it is notified, and every method is open to it.
TEST_P(Initialize, RegistersTheClient) {
  Checks("DMRP-1431", "DMRP-1439", "DMRP-1433", "DMRP-0505", "DMRP-0506", "DMRP-1421",
         third() ? "DMRP-1836" : "DMRP-1421");
  Session& client = Uninitialized();
  ASSERT_THAT(client.Initialize(), Succeeds());
  const LdmObjectId made = Change();
  EXPECT_TRUE(client.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made),
                                    target().notification_timeout));
  EXPECT_THAT(client.EnumDisks(), Succeeds());
  EXPECT_THAT(client.EnumDiskRegions(lab().DiskId(0)), Succeeds());
}

// A client that has not called Initialize gets no notifications.
TEST_P(Initialize, IsNeededForNotifications) {
  Checks("DMRP-0506", "DMRP-1431");
  Session& silent = Uninitialized("silent");
  Session& listening = Client("listening");
  const LdmObjectId made = Change();
  ASSERT_TRUE(listening.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made),
                                       target().notification_timeout));
  EXPECT_EQ(silent.sink().Count(), 0U);
}

// The server takes a reference to the IDMNotify of the object given, by exactly that interface id, and calls
// nothing else.
TEST_P(Initialize, AsksForIDMNotify) {
  Checks("DMRP-1434", "DMRP-0010", "DMRP-0247", "DMRP-1418", third() ? "DMRP-1833" : "DMRP-1418");
  Session& client = Uninitialized();
  // Given as IUnknown, the server has to ask for the interface itself.
  constexpr Guid kIUnknown{0, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};
  InitializeRequest request;
  request.notificationInterface = Need(client.host().runtime().Export(client.shared_sink(), kIUnknown));
  request.cRemote = 1;
  ASSERT_THAT(client.Initialize(request), Succeeds());
  const LdmObjectId made = Change();
  ASSERT_TRUE(client.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made),
                                    target().notification_timeout));
  EXPECT_THAT(client.sink().InterfacesAsked(), Contains(IID_IDMNotify));
  EXPECT_THAT(client.sink().StrangeOpnums(), ::testing::IsEmpty());
}

// A null notificationInterface is refused, and the client stays unknown.
TEST_P(Initialize, RefusesANullInterface) {
  Checks("DMRP-1425", "DMRP-1430", third() ? "DMRP-1830" : "DMRP-1422");
  Session& client = Uninitialized();
  EXPECT_THAT(client.Initialize(InitializeRequest{.notificationInterface = {}, .cRemote = 1}), Refused());
  EXPECT_THAT(client.Uninitialize(), Refused()) << "a refused client is not in the list";
}

// A second Initialize of the same client is refused; the first registration goes on, one notification for
// each change.
TEST_P(Initialize, RefusesASecondCall) {
  Checks("DMRP-1429", "DMRP-1430");
  Session& client = Uninitialized();
  ASSERT_THAT(client.Initialize(), Succeeds());
  EXPECT_THAT(client.Initialize(), Refused());
  const LdmObjectId made = Change();
  ASSERT_TRUE(client.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made),
                                    target().notification_timeout));
  const auto objects = client.sink().Objects();
  EXPECT_EQ(std::ranges::count_if(objects, harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made)),
            1);
}

// The same object is the same client, whichever of its interfaces is used.
TEST_P(Initialize, RefusesASecondCallThroughTheOtherRevision) {
  Checks("DMRP-1429");
  Session& client = Uninitialized();
  ASSERT_THAT(client.Initialize(), Succeeds());
  InitializeRequest request;
  request.notificationInterface = Need(client.host().runtime().Export(client.shared_sink(), IID_IDMNotify));
  request.cRemote = 1;
  EXPECT_THAT(client.Call<InitializeReply>(third() ? kIVolumeClient : kIVolumeClient3, "Initialize", request),
              Refused());
}

// An object that has no IDMNotify: refused, or registered without notifications; either way the server goes
// on.
TEST_P(Initialize, ToleratesAnObjectWithoutIDMNotify) {
  Checks("DMRP-1418", third() ? "DMRP-1833" : "DMRP-1418");
  Session& client = Uninitialized("without IDMNotify");
  constexpr Guid kIUnknown{0, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};
  client.sink().DenyInterface();
  InitializeRequest request;
  request.notificationInterface = Need(client.host().runtime().Export(client.shared_sink(), kIUnknown));
  request.cRemote = 1;
  // Not through the session: the rule monitor would wait for notifications that cannot come.
  EXPECT_TRUE(client.Call<InitializeReply>(client.interface(), "Initialize", request).answered());
  EXPECT_NE(Change(), 0);
  EXPECT_EQ(client.sink().Count(), 0U);
}

// A sink that answers with an error is the client's trouble: the server serves everybody on.
TEST_P(Initialize, ToleratesASinkThatFails) {
  Checks("DMRP-0480", "DMRP-0528");
  Session& failing = Uninitialized("failing");
  failing.sink().AnswerWith(static_cast<HRESULT>(0x80004005U));
  ASSERT_THAT(failing.Initialize(), Succeeds());
  Session& other = Client("other");
  const LdmObjectId first = Change();
  EXPECT_TRUE(other.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, first),
                                   target().notification_timeout));
  const LdmObjectId second = Change(MiB(8));
  EXPECT_TRUE(other.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, second),
                                   target().notification_timeout));
}

// Messages before Initialize may be ignored, so any answer will do; the server lives on and changes nothing.
TEST_P(Initialize, MayBePrecededByOtherMessages) {
  Checks("DMRP-1424");
  Session& early = Uninitialized("early");
  EXPECT_TRUE(early.EnumDisks().answered());
  EXPECT_THAT(early.Initialize(), Succeeds());
  EXPECT_THAT(early.EnumDisks(), Succeeds());
}

// Ids of clients are never given again, and no client's id is one of an object.
TEST_P(Initialize, NeverGivesAClientIdAgain) {
  Checks("DMRP-0503", "DMRP-0502", "DMRP-0501", "DMRP-0043");
  std::set<LdmObjectId> ids;
  for (int i = 0; i < 20; ++i) {
    Session& client = Uninitialized("client " + std::to_string(i));
    const auto reply = client.Initialize();
    ASSERT_THAT(reply, Succeeds());
    EXPECT_TRUE(ids.insert(reply->clientId).second) << reply->clientId;
    if (i % 2 == 0) {
      EXPECT_THAT(client.Uninitialize(), Succeeds());
    }
  }
  Session& viewer = SessionOf(GetParam());
  const StorageView view = Need(viewer.View());
  for (LdmObjectId id : ids) {
    EXPECT_EQ(view.FindDisk(id), nullptr);
    EXPECT_EQ(view.FindRegion(id), nullptr);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, Initialize, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
