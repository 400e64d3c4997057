// HrGetErrorData of IVolumeClient (3.2.4.4.1.53) and IVolumeClient3 (3.2.4.4.3.56).
#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <map>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

// Values of the method's text; the IDL does not have them.
constexpr DWORD kNoRemove = 0x20000;   // ERRFLAG_NOREMOVE
constexpr DWORD kIgnoreTag = 0x40000;  // ERRFLAG_IGNORETAG

// Whether the code is one of 2.2.1.
bool LdmName(HRESULT hr) {
  return std::ranges::any_of(LdmResults(), [&](const HresultInfo& info) { return info.value == hr; });
}

class HrGetErrorData : public RevisionTest {
 protected:
  void SetUp() override { Start({kMbr512}); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  Session& Client(std::string name) {
    return Open({.revision = GetParam(), .name = std::move(name), .account = {}, .auth_level = {}});
  }
  // Makes the server refuse something and answers the code.
  static HRESULT Fail(Session& client) {
    MarkActivePartitionRequest request;
    request.regionId = -1;
    const auto reply =
        client.Call<MarkActivePartitionReply>(client.interface(), "MarkActivePartition", request);
    EXPECT_THAT(reply, Refused());
    return reply->result;
  }
};

// The call succeeds, with as many messages as the server has, none included; the flags are 0, for none are
// defined.
TEST_P(HrGetErrorData, ReturnsMessagesAndNoFlags) {
  Checks("DMRP-1826", "DMRP-1401", "DMRP-1829", "DMRP-1400", "DMRP-1405", "DMRP-1412", "DMRP-1413",
         "DMRP-1414", "DMRP-1416");
  Session& client = Client("client");
  const HRESULT hr = Fail(client);
  const auto reply = client.HrGetErrorData(hr, 0);
  ASSERT_THAT(reply, Succeeds());
  EXPECT_EQ(reply->pdwStoredFlags, 0U);
}

// Each message has a buffer of its own with a terminating null, and no pointer of the array is null.
TEST_P(HrGetErrorData, TerminatesEachMessage) {
  Checks("DMRP-1409", "DMRP-1411");
  Session& client = Client("client");
  const HRESULT hr = Fail(client);
  Fail(client);
  const auto reply = client.HrGetErrorData(hr, 0);
  ASSERT_THAT(reply, Succeeds());
  for (const auto& message : reply->prgszw) {
    ASSERT_TRUE(message) << "a null pointer in the array";
    EXPECT_EQ(message->find(u'\0'), message->size() - 1);
  }
}

// All combinations of the two flags are understood, undefined ones ignored.
TEST_P(HrGetErrorData, KnowsItsFlags) {
  Checks("DMRP-1828", "DMRP-1399", "DMRP-0024");
  Session& client = Client("client");
  const HRESULT hr = Fail(client);
  for (DWORD flags : {kNoRemove, kNoRemove | kIgnoreTag, kIgnoreTag, DWORD{0}, DWORD{0x80000001}}) {
    const auto reply = client.HrGetErrorData(hr, flags);
    EXPECT_THAT(reply, Succeeds()) << std::hex << flags;
    EXPECT_EQ(reply->pdwStoredFlags, 0U);
  }
}

// Without ERRFLAG_NOREMOVE the messages are deleted from the store, with it they stay.
TEST_P(HrGetErrorData, RemovesUnlessToldNotTo) {
  Checks("DMRP-1415");
  Session& client = Client("client");
  const HRESULT hr = Fail(client);
  const auto kept = client.HrGetErrorData(hr, kNoRemove);
  const auto taken = client.HrGetErrorData(hr, 0);
  const auto gone = client.HrGetErrorData(hr, 0);
  ASSERT_THAT(kept, Succeeds());
  ASSERT_THAT(taken, Succeeds());
  ASSERT_THAT(gone, Succeeds());
  EXPECT_EQ(kept->prgszw, taken->prgszw) << "kept ones are the same the second time";
  EXPECT_THAT(gone->prgszw, IsEmpty());
}

// Without ERRFLAG_IGNORETAG another client's messages are filtered out.
TEST_P(HrGetErrorData, KeepsClientsApart) {
  Checks("DMRP-1408");
  Session& failing = Client("failing");
  Session& other = Client("other");
  const HRESULT hr = Fail(failing);
  const auto filtered = other.HrGetErrorData(hr, kNoRemove);
  ASSERT_THAT(filtered, Succeeds());
  EXPECT_THAT(filtered->prgszw, IsEmpty());
  const auto mine = failing.HrGetErrorData(hr, kNoRemove);
  const auto all = other.HrGetErrorData(hr, kNoRemove | kIgnoreTag);
  ASSERT_THAT(mine, Succeeds());
  ASSERT_THAT(all, Succeeds());
  EXPECT_EQ(all->prgszw, mine->prgszw) << "with ERRFLAG_IGNORETAG they are given to everybody";
}

// A code that nobody got has no messages.
TEST_P(HrGetErrorData, HasNothingForACodeThatNobodyGot) {
  Checks("DMRP-1405", "DMRP-1413");
  Session& client = Client("client");
  const auto reply = client.HrGetErrorData(static_cast<HRESULT>(0x8BADF00DU), kIgnoreTag);
  ASSERT_THAT(reply, Succeeds());
  EXPECT_THAT(reply->prgszw, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, HrGetErrorData, kBothRevisions, RevisionName());

class ErrorTexts : public RevisionTest {
 protected:
  void SetUp() override {
    NeedsCapability("error-texts");
    StartWith(
        {{kBlank.Spec(), Table("label: dos\nstart=2048, size=2048, type=7\nstart=4096, size=2048, type=7\n"
                               "start=6144, size=2048, type=7\nstart=8192, size=16384, type=5\n"
                               "start=10240, size=2048, type=7\n")},
         {kMbr512.Spec(), {}},
         {kReadOnly.Spec(), {}}});
  }
  // The session's client gets every refusal that a disk with a full table can give.
  std::map<HRESULT, std::string> ProvokeRefusals() {
    std::map<HRESULT, std::string> refusals;
    const auto refused = [&](const auto& outcome) {
      EXPECT_THAT(outcome, Refused());
      refusals.emplace(outcome->result, outcome.call.text);
    };
    const auto regions = RegionsNow(session());
    const auto of_type = [&](REGIONTYPE type) {
      return *std::ranges::find(regions, type, &REGION_INFO_EX::regionType);
    };
    const REGION_INFO_EX primary = of_type(REGION_PRIMARY);
    const REGION_INFO_EX extended = of_type(REGION_EXTENDED);
    const REGION_INFO_EX free = of_type(REGION_FREE);
    const REGION_INFO_EX inside = of_type(REGION_EXTENDED_FREE);
    const REGION_INFO_EX elsewhere = FreeRegion(session(), 1);
    const REGION_INFO_EX readonly = FreeRegion(session(), 2);
    const auto create = [&](const REGION_INFO_EX& region, auto spoil) {
      REGION_SPEC spec = Spec(region, REGION_PRIMARY, region.start, MiB(1));
      spoil(spec);
      refused(session().CreatePartition(spec));
    };
    create(elsewhere, [](REGION_SPEC& spec) { spec.diskId += 1'000'000; });
    create(elsewhere, [](REGION_SPEC& spec) { spec.regionId += 1'000'000; });
    create(elsewhere, [](REGION_SPEC& spec) { ++spec.lastKnownState; });
    create(elsewhere, [&](REGION_SPEC& spec) { spec.diskId = primary.diskId; });
    create(elsewhere, [](REGION_SPEC& spec) { spec.regionType = REGION_FREE; });
    create(elsewhere, [](REGION_SPEC& spec) { spec.length = -1; });
    create(elsewhere, [](REGION_SPEC& spec) { spec.length = MiB(100'000); });
    create(elsewhere, [](REGION_SPEC& spec) { ++spec.start; });
    create(inside, [](REGION_SPEC&) {});
    create(primary, [](REGION_SPEC&) {});
    create(free, [](REGION_SPEC&) {});
    create(free, [](REGION_SPEC& spec) { spec.regionType = REGION_EXTENDED; });
    create(readonly, [](REGION_SPEC&) {});
    refused(session().DeletePartition(SpecOf(extended)));
    REGION_SPEC shorter = SpecOf(primary);
    --shorter.length;
    refused(session().DeletePartition(shorter));
    refused(session().MarkActivePartition(extended.id, extended.lastKnownState));
    refused(session().Call<EjectReply>(
        session().interface(), "Eject",
        EjectRequest{.diskId = lab().DiskId(0), .diskLastKnownState = DiskNow(session()).lastKnownState}));
    refused(session().GetTaskDetail(-1));
    refused(session().Initialize());
    return refusals;
  }
};

// For every code that a refused call answered there is a text that explains it, another one for each code of
// the specification.
TEST_P(ErrorTexts, ExplainEveryCode) {
  Checks("DMRP-1405", "DMRP-1406", "DMRP-1409", "DMRP-1411");
  const auto refusals = ProvokeRefusals();
  EXPECT_GE(refusals.size(), 10U) << "refusals that differ";
  std::map<std::u16string, HRESULT> known;
  for (const auto& [hr, call] : refusals) {
    const auto reply = session().HrGetErrorData(hr, 0);
    ASSERT_THAT(reply, Succeeds());
    ASSERT_FALSE(reply->prgszw.empty()) << HresultText(hr) << " has no text; it was answered to " << call;
    for (const auto& text : reply->prgszw) {
      ASSERT_TRUE(text);
      EXPECT_GT(text->size(), 2U) << HresultText(hr);
    }
    if (LdmName(hr)) {
      const auto [other, fresh] = known.emplace(*reply->prgszw.front(), hr);
      EXPECT_TRUE(fresh) << HresultText(hr) << " and " << HresultText(other->second) << " share a text";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, ErrorTexts, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
