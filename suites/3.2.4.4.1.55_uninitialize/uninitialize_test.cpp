// Uninitialize of IVolumeClient (3.2.4.4.1.55) and IVolumeClient3 (3.2.4.4.3.58).
#include "harness/guest/guest.hpp"
#include "suites/support/client_test.hpp"

#include <memory>
#include <vector>

namespace dmrp::suites {
namespace {

class Uninitialize : public ClientTest {};

// The client leaves the list: no notification reaches it any more, others are notified on.
TEST_P(Uninitialize, EndsNotifications) {
  Checks("DMRP-1451", "DMRP-0506", "DMRP-1837", "DMRP-1446", "DMRP-1453");
  Session& leaving = Client("leaving");
  Session& staying = Client("staying");
  ASSERT_THAT(leaving.Uninitialize(), Succeeds());
  const std::uint64_t mark = leaving.sink().Count();
  const LdmObjectId made = Change();
  ASSERT_TRUE(staying.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made),
                                     target().notification_timeout));
  EXPECT_EQ(leaving.sink().Count(), mark);
}

// The saved reference to the client's IDMNotify is released.
TEST_P(Uninitialize, ReleasesTheClientsInterface) {
  Checks("DMRP-1452", "DMRP-1434");
  Session& leaving = Client("leaving");
  ASSERT_FALSE(leaving.sink().WaitUnreferenced(std::chrono::milliseconds(0))) << "held while registered";
  ASSERT_THAT(leaving.Uninitialize(), Succeeds());
  EXPECT_EQ(leaving.sink().WaitUnreferenced(target().notification_timeout), dcom::Unreferenced::kReleased);
}

// A client that is not in the list is refused: one that never called Initialize, and one that left already.
TEST_P(Uninitialize, RefusesAnUnknownClient) {
  Checks("DMRP-1449", "DMRP-1450", "DMRP-1837", "DMRP-1446");
  EXPECT_THAT(Client("never initialized", false).Uninitialize(), Refused());
  Session& twice = Client("twice");
  ASSERT_THAT(twice.Uninitialize(), Succeeds());
  EXPECT_THAT(twice.Uninitialize(), Refused());
}

// A refused Uninitialize has no effect on others.
TEST_P(Uninitialize, LeavesOtherClientsAloneWhenRefused) {
  Checks("DMRP-1450");
  Session& other = Client("other");
  ASSERT_THAT(Client("never initialized", false).Uninitialize(), Refused());
  const LdmObjectId made = Change();
  EXPECT_TRUE(other.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made),
                                   target().notification_timeout));
}

// Messages after Uninitialize are ignored: whatever answer they get, nothing changes, and others hear of
// nothing.
TEST_P(Uninitialize, IsTheLastMessageThatHasAnEffect) {
  Checks("DMRP-1448");
  Session& client = Client("client");
  Session& other = SessionOf(Revision::kIVolumeClient3);
  const REGION_INFO_EX free = FreeRegion(client);
  ASSERT_THAT(client.Uninitialize(), Succeeds());
  const Observation before = ObserveAll(other);
  EXPECT_THAT(client.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(4))), FaultsOrRefuses());
  EXPECT_THAT(ObserveAll(other), Unchanged(before));
}

// After Uninitialize the client can begin again, as a new client.
TEST_P(Uninitialize, AllowsANewBeginning) {
  Checks("DMRP-0506", "DMRP-0503");
  Session& client = Client("client");
  const LdmObjectId before = client.client_id();
  ASSERT_THAT(client.Uninitialize(), Succeeds());
  const auto again = client.Initialize();
  if (!again.succeeded()) {
    GTEST_SKIP() << "messages after Uninitialize may be ignored";
  }
  EXPECT_NE(again->clientId, before);
  const LdmObjectId made = Change();
  EXPECT_TRUE(client.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made),
                                    target().notification_timeout));
}

// The server may remember for a while a client whose machine is gone.
class UninitializeOfALostClient : public ClientTest {
 protected:
  void SetUp() override { Start({kMbr512}); }
};

// It does not hold up the others: changes go on, and they are told of them.
TEST_P(UninitializeOfALostClient, HappensByItself) {
  Checks("DMRP-1454");
  auto doomed = Need(lab().NewHost(*target().Find(harness::Role::kAdministrator)));
  auto lost = Need(doomed->Open({.revision = GetParam(), .name = "lost", .account = {}, .auth_level = {}}));
  ASSERT_TRUE(lost->initialized());
  Session& other = Client("other");
  lab().monitor().Unwatch(lost->sink());
  doomed->Crash();
  const auto start = std::chrono::steady_clock::now();
  const LdmObjectId first = Change();
  EXPECT_TRUE(other.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, first),
                                   target().notification_timeout));
  const LdmObjectId second = Change(MiB(8));
  EXPECT_TRUE(other.sink().WaitFor(harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, second),
                                   target().notification_timeout));
  EXPECT_LT(std::chrono::steady_clock::now() - start, target().call_timeout);
  EXPECT_THAT(other.Uninitialize(), Succeeds()) << "the others leave in order";
}

INSTANTIATE_TEST_SUITE_P(Both, Uninitialize, kBothRevisions, RevisionName());
INSTANTIATE_TEST_SUITE_P(Both, UninitializeOfALostClient, kBothRevisions, RevisionName());

class SilentClients : public ConformanceTest {};

// A client that says nothing any more, though its machine still answers, is collected by the ping rules of
// DCOM: the server lets go of its IDMNotify without having had to call it. One that pings stays.
TEST_F(SilentClients, AreCollected) {
  Checks("DMRP-1454", "DMRP-0506");
  Start({kMbr512});
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) {
    GTEST_SKIP() << "the target's ping period is its own, and may be minutes";
  }
  lab().ForgetClients();
  Need(guest->StopServer());
  Need(guest->StartServer({"--ping-period", "1"}));
  lab().monitor().ServerRestarted();
  const harness::ClientHostOptions usual =
      Need(lab().NewHost(*target().Find(harness::Role::kAdministrator)))->options();
  const auto host_with = [&](std::chrono::seconds period) {
    harness::ClientHostOptions options = usual;
    options.ping_period = period;
    return Need(ClientHost::Start(std::move(options), lab().monitor_pointer(), Run::Current().history()));
  };
  auto silent_host = host_with(std::chrono::hours(1));
  auto lively_host = host_with(std::chrono::seconds(1));
  std::vector<std::unique_ptr<Session>> silent;
  std::vector<std::unique_ptr<Session>> lively;
  for (const Revision revision : {Revision::kIVolumeClient, Revision::kIVolumeClient3}) {
    silent.push_back(
        Need(silent_host->Open({.revision = revision, .name = "silent", .account = {}, .auth_level = {}})));
    lively.push_back(
        Need(lively_host->Open({.revision = revision, .name = "lively", .account = {}, .auth_level = {}})));
    ASSERT_TRUE(silent.back()->initialized());
    ASSERT_TRUE(lively.back()->initialized());
    lab().monitor().Unwatch(silent.back()->sink());
  }
  for (const auto& client : silent) {
    EXPECT_EQ(client->sink().WaitUnreferenced(std::chrono::seconds(15)), dcom::Unreferenced::kReleased);
    EXPECT_FALSE(client->CallRaw(client->interface(), 3, {}).answered()) << "its object went with it";
  }
  for (const auto& client : lively) {
    EXPECT_THAT(client->RescanDisks(), Succeeds());
    EXPECT_FALSE(client->sink().WaitUnreferenced(std::chrono::milliseconds(0))) << "this one pings";
  }
}

}  // namespace
}  // namespace dmrp::suites
