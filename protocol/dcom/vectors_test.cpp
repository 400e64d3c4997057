// What this runtime reads and writes against recorded exchanges.
#include "protocol/dcom/vectors.hpp"

#include "dmrp/dcom_interfaces/codec.hpp"
#include "protocol/dcom/activation_properties.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/orpc.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/dcom/test_objects.hpp"

#include <gtest/gtest.h>

namespace dmrp::dcom {
namespace {

using testing::FailureOf;
using testing::Octets;

Bytes Hex(std::string_view text) { return FromHex(text).value(); }

const Guid kClass = Guid::Parse("0f0e0d0c-0b0a-0908-0706-050403020100").value();
const Guid kCausality = Guid::Parse("c0c1c2c3-c4c5-c6c7-c8c9-cacbcccdcecf").value();
const Guid kIVolumeClient3 = Guid::Parse("135698d2-3a37-4d26-99df-e2bb6ae3ac61").value();
Guid Ipid(std::uint32_t first) {
  return {first, 0, 0x4000, {0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(first)}};
}
constexpr std::uint64_t kOxid = 0x0807060504030201;
constexpr std::uint64_t kOid = 0x1817161514131211;

const SecurityBinding kNtlm{.wAuthnSvc = 10, .aPrincName = {}};
const DualStringArray kResolver{{StringBinding::Tcp("127.0.0.1")}, {kNtlm}};
const DualStringArray kExporter{{StringBinding::Tcp("127.0.0.1", 49664)}, {kNtlm}};
const OBJREF kObjref{
    .iid = IID_IUnknown,
    .u_objref = OBJREF_STANDARD{
        .std = {.flags = 0, .cPublicRefs = 5, .oxid = kOxid, .oid = kOid, .ipid = Ipid(0xa0000002)},
        .saResAddr = kResolver}};

template <typename T>
Bytes Encoded(const T& value) {
  ndr::Writer writer;
  Encode(writer, value);
  return std::move(writer).Take().value();
}

template <typename T>
T Decoded(std::span<const std::byte> octets) {
  ndr::Reader reader(octets);
  T value;
  Decode(reader, value);
  EXPECT_TRUE(reader.ok()) << reader.error()->ToString();
  return value;
}

/// `recorded` with the octets replaced that nobody prescribes: padding and referent identifiers.
Bytes Normalised(Bytes recorded, std::initializer_list<std::pair<std::size_t, Bytes>> changes) {
  for (const auto& [offset, octets] : changes)
    std::copy(octets.begin(), octets.end(), recorded.begin() + static_cast<std::ptrdiff_t>(offset));
  return recorded;
}
const Bytes kPad2(2);
const Bytes kFirstReferent = Octets({0, 0, 2, 0});

TEST(Vectors, V5RemoteCreateInstanceRequestIsRead) {
  const auto request = Decoded<wire::RemoteCreateInstanceRequest>(Hex(vectors::kV5Request));
  EXPECT_EQ(request.orpcthis.version, kComVersion);
  EXPECT_EQ(request.orpcthis.flags, 1U);
  EXPECT_EQ(request.orpcthis.cid, kCausality);
  EXPECT_FALSE(request.pUnkOuter);
  ASSERT_TRUE(request.pActProperties);
  const auto in = DecodeActivationPropertiesIn(request.pActProperties->abData);
  ASSERT_TRUE(in) << in.error().ToString();
  EXPECT_EQ(in->instantiation.classId, kClass);
  EXPECT_EQ(in->instantiation.pIID, std::vector<Guid>{IID_IUnknown});
  EXPECT_EQ(in->instantiation.clientCOMVersion, kComVersion);
  EXPECT_FALSE(in->context.pIFDClientCtx);
  EXPECT_FALSE(in->instance);
  ASSERT_TRUE(in->scm_request.remoteRequest);
  EXPECT_EQ(in->scm_request.remoteRequest->pRequestedProtseqs, std::vector<std::uint16_t>{kTowerTcp});
}

TEST(Vectors, V6RemoteCreateInstanceResponseIsWrittenAndRead) {
  ActivationPropertiesOut out;
  out.props_out.piid = std::vector<Guid>{IID_IUnknown};
  out.props_out.phresults = std::vector<wire::HRESULT>{0};
  out.props_out.ppIntfData =
      std::vector<std::optional<wire::MInterfacePointer>>{wire::MInterfacePointer{EncodeObjref(kObjref)}};
  out.scm_reply.remoteReply = wire::customREMOTE_REPLY_SCM_INFO{.Oxid = kOxid,
                                                                .pdsaOxidBindings = kExporter.ToWire(),
                                                                .ipidRemUnknown = Ipid(0xa0000001),
                                                                .authnHint = 6,
                                                                .serverVersion = kComVersion};
  ASSERT_OK_AND_ASSIGN(properties, EncodeActivationProperties(out));
  wire::RemoteCreateInstanceReply reply;
  reply.ppActProperties = wire::MInterfacePointer{properties};
  const Bytes recorded = Hex(vectors::kV6Response);
  EXPECT_EQ(ToHex(Encoded(reply)), ToHex(recorded));

  const auto read = Decoded<wire::RemoteCreateInstanceReply>(recorded);
  ASSERT_TRUE(read.ppActProperties);
  ASSERT_OK_AND_ASSIGN(decoded, DecodeActivationPropertiesOut(read.ppActProperties->abData));
  EXPECT_EQ(decoded, out);
}

TEST(Vectors, V6ObjrefIsWrittenAndRead) {
  const Bytes recorded = Hex(vectors::kV6Response);
  const auto octets = std::span(recorded).subspan(0x108, 100);
  EXPECT_EQ(ToHex(EncodeObjref(kObjref)), ToHex(octets));
  ASSERT_OK_AND_ASSIGN(decoded, DecodeObjref(octets));
  EXPECT_EQ(decoded, kObjref);
}

TEST(Vectors, V7RemQueryInterfaceIsWrittenAndRead) {
  const wire::ORPCTHIS header{
      .version = kComVersion, .flags = 0, .reserved1 = 0, .cid = kCausality, .extensions = {}};
  const wire::RemQueryInterfaceRequest request{Ipid(0xa0000002), 1, {kIVolumeClient3}};
  ASSERT_OK_AND_ASSIGN(stub, PrependHeader(header, Encoded(request)));
  EXPECT_EQ(ToHex(stub), ToHex(Normalised(Hex(vectors::kV7Request), {{0x36, kPad2}})));

  wire::RemQueryInterfaceReply reply;
  reply.ppQIResults = {{0, {0, 5, kOxid, kOid, Ipid(0xa0000003)}}};
  ASSERT_OK_AND_ASSIGN(answer, PrependHeader(wire::ORPCTHAT{}, Encoded(reply)));
  EXPECT_EQ(ToHex(answer), ToHex(Hex(vectors::kV7Response)));

  wire::ORPCTHAT that;
  const Bytes recorded = Hex(vectors::kV7Response);
  ASSERT_OK_AND_ASSIGN(parameters, StripHeader(recorded, that));
  EXPECT_EQ(Decoded<wire::RemQueryInterfaceReply>(parameters), reply);
}

TEST(Vectors, V9InitializeRequestCarriesTheClientsReference) {
  const Bytes recorded = Hex(vectors::kV9Request);
  wire::ORPCTHIS header;
  ASSERT_OK_AND_ASSIGN(parameters, StripHeader(recorded, header));
  EXPECT_EQ(header.cid, kCausality);
  ndr::Reader reader(parameters);
  std::optional<Bytes> pointer;
  reader.GetInterfacePointer(pointer, "notificationInterface");
  ASSERT_TRUE(pointer);
  ASSERT_OK_AND_ASSIGN(objref, DecodeObjref(*pointer));
  const OBJREF expected{
      .iid = IID_IUnknown,
      .u_objref = OBJREF_STANDARD{.std = {0, 5, 0x8887868584838281, 0x9897969594939291,
                                          Guid::Parse("b0000001-0000-4000-8000-0000000000b1").value()},
                                  .saResAddr = DualStringArray{{StringBinding::Tcp("192.0.2.10")}, {kNtlm}}}};
  EXPECT_EQ(objref, expected);

  ndr::Writer writer;
  writer.PutInterfacePointer(EncodeObjref(expected));
  writer.Put(std::uint32_t{0});
  ASSERT_OK_AND_ASSIGN(written, PrependHeader(header, std::move(writer).Take().value()));
  EXPECT_EQ(ToHex(written), ToHex(Normalised(recorded, {{0x20, kFirstReferent}, {0x92, kPad2}})));
}

TEST(Vectors, V10ObjectsChangedRequestIsOrpcthisAndParameters) {
  const Bytes recorded = Hex(vectors::kV10Request);
  wire::ORPCTHIS header;
  ASSERT_OK_AND_ASSIGN(parameters, StripHeader(recorded, header));
  EXPECT_EQ(parameters.size(), recorded.size() - 32);
  ASSERT_OK_AND_ASSIGN(written, PrependHeader(header, parameters));
  EXPECT_EQ(ToHex(written), ToHex(recorded));
}

TEST(Vectors, V11RemoteActivationIsReadAndAnswered) {
  const auto request = Decoded<wire::RemoteActivationRequest>(Hex(vectors::kV11Request));
  ASSERT_TRUE(request.ORPCthis.extensions) << "an extension array without extensions";
  EXPECT_EQ(request.Clsid, kClass);
  EXPECT_EQ(request.ClientImpLevel, 2U);
  EXPECT_EQ(request.pIIDs, std::vector<Guid>{IID_IUnknown});
  EXPECT_EQ(request.aRequestedProtseqs, std::vector<std::uint16_t>{kTowerTcp});

  wire::RemoteActivationReply reply;
  reply.pOxid = kOxid;
  reply.ppdsaOxidBindings = kExporter.ToWire();
  reply.pipidRemUnknown = Ipid(0xa0000001);
  reply.pAuthnHint = 6;
  reply.pServerVersion = kComVersion;
  reply.ppInterfaceData = {wire::MInterfacePointer{EncodeObjref(kObjref)}};
  reply.pResults = {0};
  EXPECT_EQ(ToHex(Encoded(reply)), ToHex(Hex(vectors::kV11Response)));
  EXPECT_EQ(Decoded<wire::RemoteActivationReply>(Hex(vectors::kV11Response)), reply);
}

TEST(Vectors, V12ResolverCallsAreWrittenAndRead) {
  wire::ServerAlive2Reply alive;
  alive.pComVersion = kComVersion;
  alive.ppdsaOrBindings = kResolver.ToWire();
  EXPECT_EQ(ToHex(Encoded(alive)), ToHex(Hex(vectors::kV12ServerAlive2Response)));

  EXPECT_EQ(ToHex(Encoded(wire::ResolveOxid2Request{kOxid, {kTowerTcp}})),
            ToHex(Normalised(Hex(vectors::kV12ResolveOxid2Request), {{10, kPad2}})));
  wire::ResolveOxid2Reply resolved;
  resolved.ppdsaOxidBindings = kExporter.ToWire();
  resolved.pipidRemUnknown = Ipid(0xa0000001);
  resolved.pAuthnHint = 6;
  resolved.pComVersion = kComVersion;
  EXPECT_EQ(ToHex(Encoded(resolved)), ToHex(Hex(vectors::kV12ResolveOxid2Response)));
  EXPECT_EQ(DualStringArray::FromWire(*resolved.ppdsaOxidBindings).value(), kExporter);

  EXPECT_EQ(ToHex(Encoded(wire::ComplexPingRequest{0, 0, {kOid}, {}})),
            ToHex(Normalised(Hex(vectors::kV12ComplexPingRequest), {{14, kPad2}, {16, kFirstReferent}})));
  EXPECT_EQ(ToHex(Encoded(wire::ComplexPingReply{0x7877767574737271, 0, 0})),
            ToHex(Hex(vectors::kV12ComplexPingResponse)));
}

TEST(DualStringArrays, TheSmallestHasTwoTerminatorsInEachHalf) {
  PackedWriter writer;
  DualStringArray{}.Write(writer);
  const Bytes octets = std::move(writer).Take();
  EXPECT_EQ(octets, Octets({4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  PackedReader reader(octets);
  EXPECT_EQ(DualStringArray::Read(reader).value(), DualStringArray{});
}

TEST(DualStringArrays, ListsMayLackTheirTerminators) {
  wire::DUALSTRINGARRAY wire{.wSecurityOffset = 3, .aStringArray = {7, u'a', 0, 10, 0xFFFF, 0}};
  const DualStringArray expected{{StringBinding::Tcp("a")}, {kNtlm}};
  EXPECT_EQ(DualStringArray::FromWire(wire).value(), expected);
}

TEST(DualStringArrays, BrokenOnesAreMalformed) {
  const std::vector<wire::DUALSTRINGARRAY> broken = {
      {.wSecurityOffset = 5, .aStringArray = {0, 0, 0, 0}},        // offset behind the end
      {.wSecurityOffset = 2, .aStringArray = {7, u'a', 0, 0}},     // the string runs into the security list
      {.wSecurityOffset = 0, .aStringArray = {10}},                // no wAuthzSvc
      {.wSecurityOffset = 0, .aStringArray = {10, 0xFFFF, u'a'}},  // no end of the name
  };
  for (const auto& wire : broken)
    EXPECT_EQ(FailureOf(DualStringArray::FromWire(wire)).kind, ErrorKind::kMalformed);
  const Bytes cut = Octets({4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0});
  PackedReader reader(cut);
  EXPECT_EQ(FailureOf(DualStringArray::Read(reader)).kind, ErrorKind::kMalformed);
}

TEST(StringBindings, HostAndPortAreTakenApart) {
  EXPECT_EQ(StringBinding::Tcp("host", 135).Split(), (HostPort{"host", 135}));
  EXPECT_EQ(StringBinding::Tcp("host").Split(), (HostPort{"host", 0}));
  EXPECT_EQ(StringBinding::Tcp("fe80::1", 49664).Split(), (HostPort{"fe80::1", 49664}));
  for (const char16_t* text :
       {u"", u"[135]", u"host[0]", u"host[65536]", u"host[x]", u"host[12", u"host[]"}) {
    EXPECT_FALSE((StringBinding{kTowerTcp, text}).Split()) << ToUtf8(text);
  }
}

TEST(Objrefs, EveryKindSurvivesTheWire) {
  const auto standard = std::get<OBJREF_STANDARD>(kObjref.u_objref);
  const std::vector<OBJREF> objrefs = {
      kObjref,
      {kIVolumeClient3, OBJREF_HANDLER{standard.std, kClass, standard.saResAddr}},
      {kIVolumeClient3, OBJREF_CUSTOM{kClass, 0, Octets({1, 2, 3})}},
      {kIVolumeClient3, OBJREF_EXTENDED{standard.std, standard.saResAddr, kClass, Octets({1, 2, 3})}},
  };
  for (const OBJREF& objref : objrefs) {
    const Bytes octets = EncodeObjref(objref);
    ASSERT_OK_AND_ASSIGN(decoded, DecodeObjref(octets));
    EXPECT_EQ(decoded, objref);
    const bool custom = std::holds_alternative<OBJREF_CUSTOM>(objref.u_objref);
    for (std::size_t size = 0; size < octets.size(); ++size) {
      const auto cut = DecodeObjref(std::span(octets).first(size));
      if (custom && size >= 48) continue;  // its data ends where the octets do
      if (!custom && std::holds_alternative<OBJREF_EXTENDED>(objref.u_objref) && size >= octets.size() - 5)
        continue;
      EXPECT_EQ(FailureOf(cut).status, RPC_E_INVALID_OBJREF) << size;
    }
  }
}

TEST(Objrefs, SignatureAndFlagsAreChecked) {
  Bytes octets = EncodeObjref(kObjref);
  octets[0] = std::byte{0};
  EXPECT_EQ(FailureOf(DecodeObjref(octets)).status, RPC_E_INVALID_OBJREF);
  for (const int flags : {0, 3, 5, 16}) {
    octets = EncodeObjref(kObjref);
    octets[4] = static_cast<std::byte>(flags);
    EXPECT_EQ(FailureOf(DecodeObjref(octets)).status, RPC_E_INVALID_OBJREF) << flags;
  }
}

TEST(ActivationProperties, WhatIsWrittenIsRead) {
  ActivationPropertiesIn in;
  in.instantiation.classId = kClass;
  in.instantiation.pIID = std::vector<Guid>{IID_IUnknown, kIVolumeClient3};
  in.scm_request.remoteRequest =
      wire::customREMOTE_REQUEST_SCM_INFO{2, std::vector<std::uint16_t>{kTowerTcp}};
  in.instance = wire::InstanceInfoData{
      .fileName = std::u16string(u"C:\\a\0", 5), .mode = 1, .ifdROT = {}, .ifdStg = {}};
  ASSERT_OK_AND_ASSIGN(octets, EncodeActivationProperties(in));
  ASSERT_OK_AND_ASSIGN(decoded, DecodeActivationPropertiesIn(octets));
  EXPECT_EQ(decoded, in);
  EXPECT_EQ(FailureOf(DecodeActivationPropertiesOut(octets)).status, E_INVALIDARG);
  for (std::size_t size = 0; size < octets.size(); ++size) {
    EXPECT_EQ(FailureOf(DecodeActivationPropertiesIn(std::span(octets).first(size))).kind,
              ErrorKind::kMalformed)
        << size;
  }
}

TEST(ActivationProperties, RequiredOnesMustBeThere) {
  // V5 with the class of one property after the other replaced by one that nobody knows.
  const Bytes stub = Hex(vectors::kV5Request);
  for (const std::size_t offset : {0xacU, 0xccU, 0xdcU}) {
    Bytes octets(stub.begin() + 0x30, stub.end());
    octets[offset - 0x30] = std::byte{0xEE};
    const Error error = FailureOf(DecodeActivationPropertiesIn(octets));
    EXPECT_EQ(error.status, E_INVALIDARG);
    EXPECT_NE(error.message.find("missing"), std::string::npos) << error.message;
  }
}

TEST(Status, FaultsFoldIntoHresults) {
  EXPECT_EQ(ToHresult(0), S_OK);
  EXPECT_EQ(ToHresult(RPC_E_DISCONNECTED), RPC_E_DISCONNECTED);
  EXPECT_EQ(ToHresult(ERROR_ACCESS_DENIED), E_ACCESSDENIED);
  EXPECT_EQ(ToHresult(OR_INVALID_OXID), 0x80070776U);
  EXPECT_EQ(ToHresult(nca_s_op_rng_error), 0x800706D1U);
  EXPECT_EQ(ToHresult(0x1C010003), 0x800706B5U);
  EXPECT_EQ(ToHresult(0x1C0FFFFF), 0x800706BEU);
}

}  // namespace
}  // namespace dmrp::dcom
