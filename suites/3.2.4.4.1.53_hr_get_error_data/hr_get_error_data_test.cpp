// HrGetErrorData of IVolumeClient (3.2.4.4.1.53) and IVolumeClient3 (3.2.4.4.3.56).
#include "suites/support/conformance_test.hpp"

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

// Values of the method's text; the IDL does not have them.
constexpr DWORD kNoRemove = 0x20000;   // ERRFLAG_NOREMOVE
constexpr DWORD kIgnoreTag = 0x40000;  // ERRFLAG_IGNORETAG

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

}  // namespace
}  // namespace dmrp::suites
