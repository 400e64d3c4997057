// The messages that HrGetErrorData gives, for every code of 2.2.1 (3.2.4.4.1.53).
#include "reference_server/methods/methods_test_support.hpp"

#include <array>

#include <gmock/gmock.h>

namespace dmrp::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<HRESULT> CodesThatServersReturn() {
  std::vector<HRESULT> codes;
  for (const HresultInfo& info : LdmResults()) {
    codes.push_back(info.value);
  }
  for (const HRESULT general :
       {E_FAIL, E_INVALIDARG, E_NOTIMPL, E_POINTER, E_ACCESSDENIED, E_OUTOFMEMORY, RPC_E_DISCONNECTED}) {
    codes.push_back(general);
  }
  return codes;
}

class ErrorMessages : public MethodsTest {
 protected:
  std::vector<std::optional<std::u16string>> Texts(HRESULT hr, DWORD flags) {
    HrGetErrorDataReply reply;
    reply.pdwStoredFlags = 0;
    const HRESULT result = client->HrGetErrorData(late_call, {.hr = hr, .dwFlags = flags}, reply);
    EXPECT_EQ(result, reply.prgszw.empty() ? S_FALSE : S_OK);
    EXPECT_EQ(reply.pdwStoredFlags, 0U);
    return {reply.prgszw.begin(), reply.prgszw.end()};
  }
};

TEST_F(ErrorMessages, EveryCodeIsExplainedStoredAndFiltered) {
  constexpr std::uint64_t kAnotherClient = 0xFFFFFFFF;
  const auto codes = CodesThatServersReturn();
  ASSERT_GT(codes.size(), 240U);
  for (const HRESULT hr : codes) {
    SCOPED_TRACE(HresultName(hr));
    const std::u16string message = MessageFor({hr, "the reason"});
    EXPECT_GT(message.size(), 5U);
    EXPECT_EQ(message.find(u'\0'), message.size() - 1);
    server->model().errors().Record(kAnotherClient, hr, message);
  }
  for (const HRESULT hr : codes) {
    SCOPED_TRACE(HresultName(hr));
    const std::optional<std::u16string> message = MessageFor({hr, "the reason"});
    EXPECT_THAT(Texts(hr, 0), IsEmpty()) << "produced by another client's request";
    EXPECT_THAT(Texts(hr, ERRFLAG_IGNORETAG | ERRFLAG_NOREMOVE), ElementsAre(message));
    EXPECT_THAT(Texts(hr, ERRFLAG_IGNORETAG), ElementsAre(message));
    EXPECT_THAT(Texts(hr, ERRFLAG_IGNORETAG), IsEmpty()) << "deleted from the store";
  }
}

TEST_F(ErrorMessages, ACodeOfNoListIsExplainedByTheReasonOrItsNumber) {
  const auto unknown = static_cast<HRESULT>(0x8BADF00DU);
  EXPECT_EQ(MessageFor({unknown, "why"}), std::u16string(u"why\0", 4));
  EXPECT_EQ(MessageFor({unknown, ""}), std::u16string(u"0x8badf00d\0", 11));
}

// The reply of an asynchronous task is long gone when it fails.
TEST_F(ErrorMessages, ATaskThatFailsLeavesItsMessage) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(16 * kMiB).result, 0);
  late_call.after_reply = std::make_shared<rpc::AfterReply>();
  const REGION_INFO_EX region = Region(REGION_PRIMARY);
  FormatRequest request;
  request.storageId = region.id;
  request.storageLastKnownState = region.lastKnownState;
  request.fsSpec.fsType = FSTYPE_FAT;
  FormatReply reply;
  ASSERT_EQ(client->Format(late_call, request, reply), 0);
  std::filesystem::remove(folder / "a.img");
  for (const auto& work : late_call.after_reply->Take()) {
    work();
  }
  const TASK_INFO end = sink->AwaitEnd(reply.tinfo.id);
  ASSERT_EQ(end.status, REQ_FAILED);
  const std::optional<std::u16string> message = MessageFor({end.error, "the reason"});
  EXPECT_THAT(Texts(end.error, 0), ElementsAre(message));
}

}  // namespace
}  // namespace dmrp::server
