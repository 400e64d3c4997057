#include "dmrp/dcom_interfaces/codec.hpp"
#include "dmrp/dcom_interfaces/method_table.hpp"
#include "protocol/idlc/vectors.hpp"
#include "protocol/idlc/wire_compare.hpp"
#include "protocol/ndr/type_serialization.hpp"

#include <span>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::dcom::wire {
namespace {

using dmrp::testing::DecodeAll;
using dmrp::testing::EncodedHex;
using dmrp::testing::InOurHand;
using dmrp::testing::Octets;

const Guid kTestClass = Guid::Parse("0f0e0d0c-0b0a-0908-0706-050403020100").value();
const Guid kIUnknown = Guid::Parse("00000000-0000-0000-c000-000000000046").value();
const Guid kRemUnknownIpid = Guid::Parse("a0000001-0000-4000-8000-000000000001").value();
constexpr std::uint64_t kOxid = 0x0807060504030201;

/// Octets of an OBJREF_CUSTOM before its object data ([MS-DCOM] 2.2.18.6), and of the data before its
/// CustomHeader.
constexpr std::size_t kCustomObjref = 48;
constexpr std::size_t kActivationBlob = 8;

/// The serialized parts of an activation blob: the header, then the properties that it lists.
std::vector<std::span<const std::byte>> Parts(const MInterfacePointer& objref, CustomHeader& header) {
  const auto parts = std::span(objref.abData).subspan(kCustomObjref + kActivationBlob);
  header = ndr::DeserializeType<CustomHeader>(parts).value();
  std::vector<std::span<const std::byte>> result{parts.first(header.headerSize)};
  std::size_t offset = header.headerSize;
  for (const DWORD size : *header.pSizes) {
    result.push_back(parts.subspan(offset, size));
    offset += size;
  }
  EXPECT_EQ(offset, parts.size());
  EXPECT_EQ(offset, header.totalSize);
  return result;
}

TEST(RecordedStubs, RemoteActivationRequest) {
  const Bytes stub = Octets(vectors::kRemoteActivationRequest);
  const auto request = DecodeAll<RemoteActivationRequest>(stub);
  EXPECT_EQ(request.ORPCthis.version, (COMVERSION{5, 7}));
  ASSERT_TRUE(request.ORPCthis.extensions && request.ORPCthis.extensions->extent);
  EXPECT_TRUE(request.ORPCthis.extensions->extent->empty());
  EXPECT_EQ(request.Clsid, kTestClass);
  EXPECT_FALSE(request.pwszObjectName.has_value());
  EXPECT_FALSE(request.pObjectStorage.has_value());
  EXPECT_EQ(request.ClientImpLevel, 2u);
  EXPECT_EQ(request.pIIDs, std::vector<Guid>{kIUnknown});
  EXPECT_EQ(request.aRequestedProtseqs, std::vector<std::uint16_t>{7});
  EXPECT_EQ(EncodedHex(request), ToHex(InOurHand(stub, {0x1c, 0x28, 0x54}, {{0x6e, 2}})));
}

TEST(RecordedStubs, RemoteActivationReply) {
  const Bytes stub = Octets(vectors::kRemoteActivationReply);
  const auto reply = DecodeAll<RemoteActivationReply>(stub);
  EXPECT_EQ(reply.pOxid, kOxid);
  ASSERT_TRUE(reply.ppdsaOxidBindings.has_value());
  EXPECT_EQ(reply.ppdsaOxidBindings->wSecurityOffset, 19);
  EXPECT_EQ(reply.ppdsaOxidBindings->aStringArray.size(), 23u);
  EXPECT_EQ(reply.pipidRemUnknown, kRemUnknownIpid);
  EXPECT_EQ(reply.pAuthnHint, 6u);
  EXPECT_EQ(reply.pServerVersion, (COMVERSION{5, 7}));
  ASSERT_EQ(reply.ppInterfaceData.size(), 1u);
  EXPECT_EQ(reply.ppInterfaceData[0]->abData.size(), 100u);
  EXPECT_EQ(reply.pResults, std::vector<HRESULT>{0});
  EXPECT_EQ(EncodedHex(reply), ToHex(InOurHand(stub, {0x10, 0x6c})));
}

TEST(RecordedStubs, ResolverCalls) {
  const Bytes alive = Octets(vectors::kServerAlive2Reply);
  const auto alive_reply = DecodeAll<ServerAlive2Reply>(alive);
  EXPECT_EQ(alive_reply.pComVersion, (COMVERSION{5, 7}));
  EXPECT_EQ(alive_reply.ppdsaOrBindings->aStringArray.size(), 16u);
  EXPECT_EQ(EncodedHex(alive_reply), ToHex(InOurHand(alive, {4})));

  const Bytes resolve = Octets(vectors::kResolveOxid2Request);
  const auto resolve_request = DecodeAll<ResolveOxid2Request>(resolve);
  EXPECT_EQ(resolve_request.pOxid, kOxid);
  EXPECT_EQ(resolve_request.arRequestedProtseqs, std::vector<std::uint16_t>{7});
  EXPECT_EQ(EncodedHex(resolve_request), ToHex(InOurHand(resolve, {}, {{10, 2}})));

  const Bytes resolved = Octets(vectors::kResolveOxid2Reply);
  const auto resolve_reply = DecodeAll<ResolveOxid2Reply>(resolved);
  EXPECT_EQ(resolve_reply.pipidRemUnknown, kRemUnknownIpid);
  EXPECT_EQ(resolve_reply.pComVersion, (COMVERSION{5, 7}));
  EXPECT_EQ(resolve_reply.result, 0u);
  EXPECT_EQ(EncodedHex(resolve_reply), ToHex(InOurHand(resolved, {0})));

  const Bytes ping = Octets(vectors::kComplexPingRequest);
  const auto ping_request = DecodeAll<ComplexPingRequest>(ping);
  EXPECT_EQ(ping_request.pSetId, 0u);
  EXPECT_EQ(ping_request.AddToSet, std::vector<OID>{0x1817161514131211});
  EXPECT_TRUE(ping_request.DelFromSet.empty());
  EXPECT_EQ(EncodedHex(ping_request), ToHex(InOurHand(ping, {0x10}, {{0x0e, 2}})));

  const Bytes pinged = Octets(vectors::kComplexPingReply);
  const auto ping_reply = DecodeAll<ComplexPingReply>(pinged);
  EXPECT_EQ(ping_reply.pSetId, 0x7877767574737271u);
  EXPECT_EQ(EncodedHex(ping_reply), ToHex(pinged));

  EXPECT_EQ(EncodedHex(SimplePingRequest{0x7877767574737271}), "71727374 75767778");
  EXPECT_EQ(EncodedHex(SimplePingReply{}), "00000000");
}

TEST(RecordedStubs, EndpointMapper) {
  const Bytes map = Octets(vectors::kEptMapRequest);
  const auto request = DecodeAll<ept_mapRequest>(map);
  ASSERT_TRUE(request.obj.has_value());
  ASSERT_TRUE(request.map_tower.has_value());
  EXPECT_EQ(request.map_tower->tower_octet_string.size(), 75u);
  EXPECT_EQ(request.max_towers, 1u);
  EXPECT_EQ(EncodedHex(request), ToHex(InOurHand(map, {0x00, 0x14}, {{0x6b, 1}})));

  const Bytes mapped = Octets(vectors::kEptMapReply);
  const auto reply = DecodeAll<ept_mapReply>(mapped);
  ASSERT_EQ(reply.ITowers.size(), 1u);
  EXPECT_EQ(reply.ITowers[0]->tower_octet_string.size(), 75u);
  EXPECT_EQ(reply.max_towers, 1u);
  EXPECT_EQ(EncodedHex(reply), ToHex(InOurHand(mapped, {0x24})));
}

TEST(RecordedStubs, RemoteCreateInstanceRequest) {
  const Bytes stub = Octets(vectors::kRemoteCreateInstanceRequest);
  const auto request = DecodeAll<RemoteCreateInstanceRequest>(stub);
  EXPECT_EQ(request.orpcthis.flags, 1u);
  EXPECT_FALSE(request.pUnkOuter.has_value());
  ASSERT_TRUE(request.pActProperties.has_value());
  EXPECT_EQ(EncodedHex(request), ToHex(InOurHand(stub, {0x24})));

  CustomHeader header;
  const auto parts = Parts(*request.pActProperties, header);
  EXPECT_EQ(header.totalSize, 360u);
  EXPECT_EQ(header.headerSize, 152u);
  EXPECT_EQ(header.destCtx, 2u);
  EXPECT_EQ(*header.pSizes, (std::vector<DWORD>{88, 40, 32, 48}));
  ASSERT_EQ(header.pclsid->size(), 4u);
  EXPECT_EQ((*header.pclsid)[0].ToString(), "000001ab-0000-0000-c000-000000000046");
  EXPECT_EQ(ToHex(*ndr::SerializeType(header)),
            ToHex(InOurHand({parts[0].begin(), parts[0].end()}, {0x34, 0x38}, {{0x0c, 4}})));

  const auto instantiation = ndr::DeserializeType<InstantiationInfoData>(parts[1]).value();
  EXPECT_EQ(instantiation.classId, kTestClass);
  EXPECT_EQ(*instantiation.pIID, std::vector<Guid>{kIUnknown});
  EXPECT_EQ(instantiation.clientCOMVersion, (COMVERSION{5, 7}));
  // impacket's private header leaves out the padding; ours counts it ([MS-RPCE] 2.2.6.2).
  Bytes ours = InOurHand({parts[1].begin(), parts[1].end()}, {0x34}, {{0x0c, 4}, {0x54, 4}});
  ours[0x08] = std::byte{0x48};
  EXPECT_EQ(ToHex(*ndr::SerializeType(instantiation)), ToHex(ours));

  const auto context = ndr::DeserializeType<ActivationContextInfoData>(parts[2]).value();
  EXPECT_EQ(context, ActivationContextInfoData{});
  const auto location = ndr::DeserializeType<LocationInfoData>(parts[3]).value();
  EXPECT_EQ(location, LocationInfoData{});
  const auto scm = ndr::DeserializeType<ScmRequestInfoData>(parts[4]).value();
  ASSERT_TRUE(scm.remoteRequest.has_value());
  EXPECT_EQ(scm.remoteRequest->ClientImpLevel, 0u);
  EXPECT_EQ(*scm.remoteRequest->pRequestedProtseqs, std::vector<std::uint16_t>{7});
}

TEST(RecordedStubs, RemoteCreateInstanceReply) {
  const Bytes stub = Octets(vectors::kRemoteCreateInstanceReply);
  const auto reply = DecodeAll<RemoteCreateInstanceReply>(stub);
  EXPECT_EQ(reply.result, 0);
  ASSERT_TRUE(reply.ppActProperties.has_value());
  EXPECT_EQ(EncodedHex(reply), ToHex(InOurHand(stub, {0x08})));

  CustomHeader header;
  const auto parts = Parts(*reply.ppActProperties, header);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(ToHex(*ndr::SerializeType(header)), ToHex(parts[0]));

  const auto props = ndr::DeserializeType<PropsOutInfo>(parts[1]).value();
  EXPECT_EQ(*props.piid, std::vector<Guid>{kIUnknown});
  EXPECT_EQ(*props.phresults, std::vector<HRESULT>{0});
  ASSERT_EQ(props.ppIntfData->size(), 1u);
  EXPECT_EQ((*props.ppIntfData)[0]->abData.size(), 100u);
  EXPECT_EQ(ToHex(*ndr::SerializeType(props)), ToHex(parts[1]));

  const auto scm = ndr::DeserializeType<ScmReplyInfoData>(parts[2]).value();
  ASSERT_TRUE(scm.remoteReply.has_value());
  EXPECT_EQ(scm.remoteReply->Oxid, kOxid);
  EXPECT_EQ(scm.remoteReply->ipidRemUnknown, kRemUnknownIpid);
  EXPECT_EQ(scm.remoteReply->authnHint, 6u);
  EXPECT_EQ(scm.remoteReply->pdsaOxidBindings->aStringArray.size(), 23u);
  EXPECT_EQ(ToHex(*ndr::SerializeType(scm)), ToHex(parts[2]));
}

TEST(RecordedStubs, RemQueryInterface) {
  const Bytes request_stub = Octets(
      "020000a0 00000040 80000000 00000002 01000000 0100cece 01000000 d2985613 373a264d 99dfe2bb 6ae3ac61");
  const auto request = DecodeAll<RemQueryInterfaceRequest>(request_stub);
  EXPECT_EQ(request.cRefs, 1u);
  EXPECT_EQ(request.iids, std::vector<Guid>{Guid::Parse("135698d2-3a37-4d26-99df-e2bb6ae3ac61").value()});
  EXPECT_EQ(EncodedHex(request), ToHex(InOurHand(request_stub, {}, {{0x16, 2}})));

  const Bytes reply_stub = Octets(
      "00000200 01000000 00000000 00000000 00000000 05000000 01020304 05060708 11121314 15161718 030000a0 "
      "00000040"
      "80000000 00000003 00000000");
  const auto reply = DecodeAll<RemQueryInterfaceReply>(reply_stub);
  ASSERT_EQ(reply.ppQIResults.size(), 1u);
  EXPECT_EQ(reply.ppQIResults[0].std.cPublicRefs, 5u);
  EXPECT_EQ(reply.ppQIResults[0].std.oxid, kOxid);
  EXPECT_EQ(EncodedHex(reply), ToHex(reply_stub));
}

TEST(Extents, SizesAreRoundedUp) {
  ORPCTHAT that;
  ORPC_EXTENT extent;
  extent.size = 3;
  extent.data.assign(8, std::byte{7});
  that.extensions.emplace().size = 1;
  that.extensions->extent = {extent, std::nullopt};
  EXPECT_EQ(
      EncodedHex(that),
      "00000000 00000200 01000000 00000000 04000200 02000000 08000200 00000000 08000000 00000000 00000000 "
      "00000000 00000000 03000000 07070707 07070707");
  EXPECT_EQ(DecodeAll<ORPCTHAT>(Octets(EncodedHex(that))), that);
}

TEST(TypeSerialization, RefusesForeignHeaders) {
  const Bytes good = *ndr::SerializeType(LocationInfoData{});
  EXPECT_TRUE(ndr::DeserializeType<LocationInfoData>(good).has_value());
  for (const std::size_t offset : {0u, 1u, 2u, 8u}) {
    Bytes bad = good;
    bad[offset] = std::byte{0x99};
    EXPECT_EQ(ndr::DeserializeType<LocationInfoData>(bad).error().kind, ErrorKind::kMalformed) << offset;
  }
  EXPECT_FALSE(ndr::UnwrapSerializedType(std::span(good).first(15)).has_value());
}

TEST(MethodTable, InheritedMethodsKeepTheirNumbers) {
  EXPECT_EQ(kIRemUnknown2.methods.size(), 4u);
  EXPECT_EQ(kIRemUnknown2.Find("RemQueryInterface")->opnum, 3);
  EXPECT_EQ(kIRemUnknown2.Find("RemQueryInterface2")->opnum, 6);
  EXPECT_EQ(kIRemoteSCMActivator.Find("RemoteCreateInstance")->opnum, 4);
  EXPECT_TRUE(kIRemoteSCMActivator.Find(std::uint16_t{0})->reserved);
  EXPECT_FALSE(kIObjectExporter.object);
  EXPECT_TRUE(kIRemUnknown.object);
  EXPECT_EQ(kepmapper.version_major, 3);
}

}  // namespace
}  // namespace dmrp::dcom::wire
