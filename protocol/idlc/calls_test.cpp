// From a proxy's method over the stubs into a handler's method and back.
#include "dmrp/dcom_interfaces/skeleton.hpp"
#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/proxy.hpp"
#include "dmrp/interfaces/skeleton.hpp"
#include "protocol/dcom/call_context.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp {
namespace {

constexpr HRESULT kNotImplemented = static_cast<HRESULT>(0x80004001u);

class OneDisk : public DiskManagementHandler {
 public:
  HRESULT EnumDisksEx(dcom::CallContext& /*context*/, const EnumDisksExRequest& /*request*/,
                      EnumDisksExReply& reply) override {
    reply.diskList.emplace_back().id = 5;
    return 0;
  }
  HRESULT EnumDiskRegionsEx(dcom::CallContext& /*context*/, const EnumDiskRegionsExRequest& request,
                            EnumDiskRegionsExReply& reply) override {
    reply.regionList.resize(static_cast<std::size_t>(request.diskId));
    // The arm is missing, so this reply has no encoding.
    reply.regionList.front().partitionStyle = PARTITIONSTYLE_GPT;
    return 0;
  }
  HRESULT InitializeDiskStyle(dcom::CallContext& context, const InitializeDiskStyleRequest& request,
                              InitializeDiskStyleReply& reply) override {
    reply.tinfo.storageId = request.diskId;
    reply.tinfo.clientID = static_cast<LdmObjectId>(context.oid);
    return request.style == PARTITIONSTYLE_GPT ? 0 : kNotImplemented;
  }
};

class Calls : public ::testing::Test {
 protected:
  IVolumeClient3Proxy proxy_{[this](std::uint16_t opnum, Bytes stub) -> Result<Bytes> {
                               opnums_.push_back(opnum);
                               const auto reply = DispatchIVolumeClient3(handler_, context_, opnum, stub);
                               if (!reply) return Fail(ErrorKind::kFault, "fault", reply.error());
                               Bytes octets = *reply;
                               octets.resize(octets.size() + trailing_);
                               return octets;
                             },
                             [this](const MethodInfo& method, const std::vector<ndr::Anomaly>& anomalies) {
                               for (const ndr::Anomaly& anomaly : anomalies) {
                                 noted_.push_back(std::string(method.name) + " " + anomaly.field);
                               }
                             }};
  OneDisk handler_;
  dcom::CallContext context_;
  std::vector<std::uint16_t> opnums_;
  std::vector<std::string> noted_;
  std::size_t trailing_ = 0;
};

TEST_F(Calls, ReachTheMethodOfTheirNumberAndReturnItsReply) {
  const Result<EnumDisksExReply> disks = proxy_.EnumDisksEx();
  ASSERT_TRUE(disks.has_value()) << disks.error().ToString();
  ASSERT_EQ(disks->diskList.size(), 1u);
  EXPECT_EQ(disks->diskList[0].id, 5);
  EXPECT_EQ(opnums_, std::vector<std::uint16_t>{3});
}

TEST_F(Calls, CarryArgumentsContextAndResult) {
  context_.oid = 77;
  InitializeDiskStyleRequest request;
  request.diskId = 9;
  request.style = PARTITIONSTYLE_MBR;
  const Result<InitializeDiskStyleReply> reply = proxy_.InitializeDiskStyle(request);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->tinfo.storageId, 9);
  EXPECT_EQ(reply->tinfo.clientID, 77);
  EXPECT_EQ(reply->result, kNotImplemented);
}

TEST_F(Calls, MethodsThatNobodyImplementsAnswerNotImplemented) {
  const Result<EnumVolumesReply> reply = proxy_.EnumVolumes();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->result, kNotImplemented);
  EXPECT_TRUE(reply->LdmVolumeList.empty());
}

TEST_F(Calls, OctetsBehindTheReplyAreLegal) {
  trailing_ = 12;
  EXPECT_TRUE(proxy_.EnumDisksEx().has_value());
}

TEST_F(Calls, ReplyWithoutAnEncodingIsAFault) {
  EnumDiskRegionsExRequest request;
  request.diskId = 1;
  EXPECT_EQ(proxy_.EnumDiskRegionsEx(request).error().status, 0x80004005u);
}

TEST_F(Calls, RequestWithoutAnEncodingIsNotSent) {
  EncapsulateDiskExRequest request;
  request.affectedDiskList.emplace_back().partitionStyle = PARTITIONSTYLE_MBR;
  const Result<EncapsulateDiskExReply> reply = proxy_.EncapsulateDiskEx(request);
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().kind, ErrorKind::kUsage);
  EXPECT_TRUE(opnums_.empty());
}

TEST_F(Calls, AnomaliesOfARepliesAreReported) {
  const IVolumeClient3Proxy proxy(
      [](std::uint16_t, Bytes) { return FromHex("02000000 00000000 00000000"); },
      [this](const MethodInfo& method, const std::vector<ndr::Anomaly>& anomalies) {
        noted_.push_back(std::string(method.name) + ": " + anomalies.at(0).text);
      });
  EXPECT_TRUE(proxy.EnumDisksEx().has_value());
  EXPECT_EQ(noted_, std::vector<std::string>{"EnumDisksEx: null pointer, but its count says 2"});
}

TEST_F(Calls, BadStubsAndUnknownNumbersAreFaults) {
  EXPECT_EQ(DispatchIVolumeClient3(handler_, context_, 9, Bytes(8)).error(), 0x6F7u);
  for (const std::uint16_t opnum : {std::uint16_t{0}, std::uint16_t{2}, std::uint16_t{12}, std::uint16_t{60},
                                    std::uint16_t{79}, std::uint16_t{0xFFFF}}) {
    EXPECT_EQ(DispatchIVolumeClient3(handler_, context_, opnum, {}).error(), 0x1C010002u) << opnum;
  }
}

TEST_F(Calls, BothRevisionsReachOneHandlerByTheirOwnNumbers) {
  const auto third = DispatchIVolumeClient3(handler_, context_, opnum::IVolumeClient3::EnumTasks, Bytes(4));
  const auto first = DispatchIVolumeClient(handler_, context_, opnum::IVolumeClient::EnumTasks, Bytes(4));
  ASSERT_TRUE(third && first);
  EXPECT_EQ(*third, *first);
  EXPECT_EQ(DispatchIVolumeClient4(handler_, context_, 3, {}).value(), FromHex("01400080").value());
}

TEST_F(Calls, RequestsOfBigEndianPeersAreUnderstood) {
  const Bytes stub = FromHex("0000000000000009 0002 000000000000 0000000000000001").value();
  const auto reply = DispatchIVolumeClient3(handler_, context_, opnum::IVolumeClient3::InitializeDiskStyle,
                                            stub, ndr::ByteOrder::kBig);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(ToHex(std::span(*reply).last(4)), "00000000");
}

TEST(DcomCalls, InheritedMethodsReachTheSameHandler) {
  dcom::wire::RemUnknownHandler handler;
  dcom::CallContext context;
  const Bytes stub = FromHex("0000 0000 00000000").value();
  EXPECT_EQ(DispatchIRemUnknown(handler, context, 5, stub).value(), FromHex("01400080").value());
  EXPECT_EQ(DispatchIRemUnknown2(handler, context, 5, stub).value(), FromHex("01400080").value());
  EXPECT_EQ(DispatchIRemUnknown(handler, context, 6, stub).error(), 0x1C010002u);
}

}  // namespace
}  // namespace dmrp
