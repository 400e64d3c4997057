// Reference counts, ping sets and collection, without a network and with time passed in.
#include "protocol/dcom/object_table.hpp"

#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/dcom/test_objects.hpp"

#include <set>

#include <gtest/gtest.h>

namespace dmrp::dcom {
namespace {

using namespace testing;
using namespace std::chrono_literals;

constexpr std::uint64_t kOxid = 0x0102030405060708;

class ObjectTableTest : public ::testing::Test {
 protected:
  STDOBJREF Export(const std::shared_ptr<TestObject>& object, const Guid& iid = IID_IEcho,
                   std::uint32_t refs = 5) {
    return table.Export(object, iid, refs, {}, now).value();
  }
  void Pass(std::chrono::seconds time) {
    now += time;
    table.Collect(timers, now);
  }

  TimePoint now{1h};
  Timers timers;
  Limits limits;
  ObjectTable table{kOxid, limits};
  std::shared_ptr<TestObject> object = MakeEcho();
};

TEST_F(ObjectTableTest, ExportingAgainKeepsIdentityAndAddsReferences) {
  const STDOBJREF first = Export(object);
  const STDOBJREF second = Export(object, IID_IEcho, 2);
  const STDOBJREF other = Export(object, IID_IOther);
  EXPECT_EQ(first.oxid, kOxid);
  EXPECT_EQ(first.cPublicRefs, 5U);
  EXPECT_EQ(second.ipid, first.ipid);
  EXPECT_EQ(other.oid, first.oid);
  EXPECT_NE(other.ipid, first.ipid);
  EXPECT_EQ(table.References(first.ipid), (std::pair{7U, 0U}));
  EXPECT_NE(Export(MakeEcho()).oid, first.oid);
  const auto none = table.Export(object, IID_INowhere, 1, {}, now);
  EXPECT_EQ(FailureOf(none).status, E_NOINTERFACE);
}

TEST_F(ObjectTableTest, AnObjectEndsWithItsLastInterface) {
  const STDOBJREF echo = Export(object);
  const STDOBJREF other = table.QueryInterface(echo.ipid, IID_IOther, 1, now).value();
  table.Release(echo.ipid, 5, 0, {}, now);
  EXPECT_FALSE(table.References(echo.ipid));
  EXPECT_FALSE(object->why());
  const STDOBJREF again = table.QueryInterface(other.ipid, IID_IEcho, 1, now).value();
  EXPECT_NE(again.ipid, echo.ipid) << "a pointer that ended does not come back";
  table.Release(again.ipid, 1, 0, {}, now);
  table.Release(other.ipid, 1, 0, {}, now);
  EXPECT_EQ(object->why(), Unreferenced::kReleased);
  EXPECT_EQ(object->unreferenced.count(), 1);
  EXPECT_EQ(table.counts().objects, 0U);
}

TEST_F(ObjectTableTest, PrivateReferencesBelongToTheirIdentity) {
  const STDOBJREF echo = Export(object);
  ASSERT_EQ(table.AddRef(echo.ipid, 0, 2, "alice", now), S_OK);
  ASSERT_EQ(table.AddRef(echo.ipid, 0, 1, "bob", now), S_OK);
  EXPECT_EQ(table.References(echo.ipid), (std::pair{5U, 3U}));
  table.Release(echo.ipid, 5, 3, "bob", now);
  EXPECT_EQ(table.References(echo.ipid), (std::pair{0U, 2U})) << "bob had only one";
  table.Release(echo.ipid, 0, 2, "mallory", now);
  EXPECT_EQ(table.References(echo.ipid), (std::pair{0U, 2U}));
  table.Release(echo.ipid, 0, 2, "alice", now);
  EXPECT_EQ(object->why(), Unreferenced::kReleased);
}

TEST_F(ObjectTableTest, CountsStopAtTheirLimits) {
  const STDOBJREF echo = Export(object);
  ASSERT_EQ(table.AddRef(echo.ipid, 0xFFFFFFFF, 0, {}, now), S_OK);
  EXPECT_EQ(table.References(echo.ipid)->first, 0xFFFFFFFFU);
  EXPECT_EQ(table.AddRef(Guid::Random(), 1, 0, {}, now), CO_E_OBJNOTREG);
  EXPECT_EQ(table.QueryInterface(Guid::Random(), IID_IEcho, 1, now).error(), RPC_E_INVALID_OBJECT);
}

TEST_F(ObjectTableTest, TheEndIsAnnouncedAfterTheLastCall) {
  const STDOBJREF echo = Export(object);
  {
    const auto first = table.BeginCall(echo.ipid, now);
    {
      const auto second = table.BeginCall(echo.ipid, now);
      ASSERT_TRUE(first && second);
      table.Release(echo.ipid, 5, 0, {}, now);
      EXPECT_FALSE(table.BeginCall(echo.ipid, now)) << "no new calls";
    }
    EXPECT_EQ(object->unreferenced.count(), 0);
  }
  EXPECT_EQ(object->unreferenced.count(), 1);
}

TEST_F(ObjectTableTest, AnObjectWithoutPingsLivesForTheGracePeriod) {
  const STDOBJREF echo = Export(object);
  Pass(359s);
  EXPECT_FALSE(object->why());
  EXPECT_TRUE(table.BeginCall(echo.ipid, now)) << "and a call starts the period again";
  Pass(359s);
  EXPECT_FALSE(object->why());
  Pass(1s);
  EXPECT_EQ(object->why(), Unreferenced::kClientGone);
  EXPECT_FALSE(table.BeginCall(echo.ipid, now));
}

TEST_F(ObjectTableTest, ACallInProgressIsNotCollected) {
  const STDOBJREF echo = Export(object);
  {
    const auto call = table.BeginCall(echo.ipid, now);
    Pass(1000s);
    EXPECT_FALSE(object->why());
  }
  Pass(1s);
  EXPECT_EQ(object->why(), Unreferenced::kClientGone);
}

TEST_F(ObjectTableTest, PingsKeepAnObjectAliveUntilTheyCease) {
  const STDOBJREF echo = Export(object);
  std::uint64_t set = 0;
  ASSERT_EQ(table.ComplexPing(set, 1, std::array{echo.oid}, {}, now), ERROR_SUCCESS);
  EXPECT_NE(set, 0U);
  for (int i = 0; i < 20; ++i) {
    Pass(300s);
    ASSERT_EQ(table.SimplePing(set, now), ERROR_SUCCESS);
  }
  EXPECT_FALSE(object->why());
  Pass(359s);
  EXPECT_FALSE(object->why());
  Pass(1s);
  EXPECT_EQ(object->why(), Unreferenced::kClientGone);
  EXPECT_EQ(table.SimplePing(set, now), OR_INVALID_SET);
  EXPECT_EQ(table.counts().ping_sets, 0U);
}

TEST_F(ObjectTableTest, OneLivingSetIsEnough) {
  const STDOBJREF echo = Export(object);
  std::uint64_t dying = 0;
  std::uint64_t living = 0;
  ASSERT_EQ(table.ComplexPing(dying, 1, std::array{echo.oid}, {}, now), ERROR_SUCCESS);
  ASSERT_EQ(table.ComplexPing(living, 1, std::array{echo.oid}, {}, now), ERROR_SUCCESS);
  EXPECT_NE(dying, living);
  for (int i = 0; i < 4; ++i) {
    Pass(200s);
    ASSERT_EQ(table.SimplePing(living, now), ERROR_SUCCESS);
  }
  EXPECT_EQ(table.counts().ping_sets, 1U);
  EXPECT_FALSE(object->why());
}

TEST_F(ObjectTableTest, AnObjectTakenOutOfItsSetHasTheGracePeriodLeft) {
  const STDOBJREF echo = Export(object);
  std::uint64_t set = 0;
  ASSERT_EQ(table.ComplexPing(set, 1, std::array{echo.oid}, {}, now), ERROR_SUCCESS);
  Pass(300s);
  ASSERT_EQ(table.ComplexPing(set, 2, {}, std::array{echo.oid}, now), ERROR_SUCCESS);
  Pass(359s);
  EXPECT_FALSE(object->why());
  Pass(1s);
  EXPECT_EQ(object->why(), Unreferenced::kClientGone);
}

TEST_F(ObjectTableTest, AnOlderPingDoesNothingAndAnEqualOneIsExecuted) {
  const STDOBJREF echo = Export(object);
  std::uint64_t set = 0;
  ASSERT_EQ(table.ComplexPing(set, 5, {}, {}, now), ERROR_SUCCESS);
  ASSERT_EQ(table.ComplexPing(set, 4, std::array{echo.oid}, {}, now), ERROR_SUCCESS);
  Pass(300s);
  ASSERT_EQ(table.SimplePing(set, now), ERROR_SUCCESS);
  Pass(60s);
  EXPECT_EQ(object->why(), Unreferenced::kClientGone) << "the add of the older ping did not count";

  const auto second = MakeEcho();
  const STDOBJREF pinged = Export(second);
  ASSERT_EQ(table.ComplexPing(set, 5, std::array{pinged.oid}, {}, now), ERROR_SUCCESS);
  Pass(300s);
  ASSERT_EQ(table.SimplePing(set, now), ERROR_SUCCESS);
  Pass(300s);
  EXPECT_FALSE(second->why());
}

TEST_F(ObjectTableTest, UnknownSetsAndObjectsAreReported) {
  const STDOBJREF echo = Export(object);
  std::uint64_t set = 77;
  EXPECT_EQ(table.ComplexPing(set, 1, {}, {}, now), OR_INVALID_SET);
  EXPECT_EQ(table.SimplePing(77, now), OR_INVALID_SET);
  set = 0;
  EXPECT_EQ(table.ComplexPing(set, 1, std::array<std::uint64_t, 2>{99, echo.oid}, {}, now), ERROR_SUCCESS)
      << "a new set passes over unknown objects";
  EXPECT_EQ(table.ComplexPing(set, 2, std::array<std::uint64_t, 1>{99}, {}, now), OR_INVALID_OID);
  EXPECT_EQ(table.ComplexPing(set, 3, {}, std::array<std::uint64_t, 1>{99}, now), ERROR_SUCCESS);
}

TEST_F(ObjectTableTest, LimitsHold) {
  Limits small;
  small.objects = 1;
  small.interfaces_per_object = 1;
  small.ping_sets = 1;
  small.oids_per_set = 1;
  ObjectTable tight(kOxid, small);
  const STDOBJREF echo = tight.Export(object, IID_IEcho, 1, {}, now).value();
  EXPECT_EQ(FailureOf(tight.Export(MakeEcho(), IID_IEcho, 1, {}, now)).kind, ErrorKind::kLimit);
  EXPECT_EQ(FailureOf(tight.Export(object, IID_IOther, 1, {}, now)).kind, ErrorKind::kLimit);
  std::uint64_t set = 0;
  ASSERT_EQ(tight.ComplexPing(set, 1, std::array{echo.oid}, {}, now), ERROR_SUCCESS);
  std::uint64_t another = 0;
  EXPECT_EQ(tight.ComplexPing(another, 1, {}, {}, now), nca_s_server_too_busy);
}

TEST_F(ObjectTableTest, NoPingObjectsLiveUntilReleased) {
  const STDOBJREF echo =
      table.Export(object, IID_IEcho, 1, {.minimum_call_level = {}, .no_ping = true}, now).value();
  EXPECT_EQ(echo.flags, SORF_NOPING);
  Pass(100'000s);
  EXPECT_FALSE(object->why());
  table.Release(echo.ipid, 1, 0, {}, now);
  EXPECT_EQ(object->why(), Unreferenced::kReleased);
}

TEST_F(ObjectTableTest, InterfacesStayKnownAfterTheirObjects) {
  EXPECT_FALSE(table.KnowsInterface(IID_IEcho));
  const STDOBJREF echo = Export(object);
  table.Release(echo.ipid, 5, 0, {}, now);
  EXPECT_TRUE(table.KnowsInterface(IID_IEcho));
}

TEST(RandomId, IsNeverZeroAndNeverRepeats) {
  std::set<std::uint64_t> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(RandomId());
  EXPECT_EQ(ids.size(), 1000U);
  EXPECT_FALSE(ids.contains(0));
}

}  // namespace
}  // namespace dmrp::dcom
