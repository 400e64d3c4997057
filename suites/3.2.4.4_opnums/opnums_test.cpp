// Operation numbers (3.1.4, 3.2.4.4): what is reserved or beyond the table is refused, stubs that are cut are
// too, and nothing else happens.
#include "protocol/dmrp/hresult.hpp"
#include "protocol/rpc/types.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

struct Number {
  const InterfaceInfo* interface;
  std::uint16_t opnum;
};

std::vector<Number> ReservedNumbers() {
  std::vector<Number> numbers;
  for (const InterfaceInfo* interface : {&kIVolumeClient, &kIVolumeClient3}) {
    for (const MethodInfo& method : interface->methods) {
      if (method.reserved) {
        numbers.push_back({interface, method.opnum});
      }
    }
  }
  return numbers;
}

std::vector<Number> NumbersBeyond() {
  std::vector<Number> numbers;
  for (const InterfaceInfo* interface :
       {&kIVolumeClient, &kIVolumeClient2, &kIVolumeClient3, &kIVolumeClient4}) {
    const auto last = std::ranges::max(interface->methods, {}, &MethodInfo::opnum).opnum;
    for (std::uint16_t opnum : {static_cast<std::uint16_t>(last + 1), static_cast<std::uint16_t>(last + 100),
                                std::uint16_t{0xFFFF}}) {
      numbers.push_back({interface, opnum});
    }
  }
  return numbers;
}

std::string NumberName(const ::testing::TestParamInfo<Number>& info) {
  return std::string(info.param.interface->name) + "_" + std::to_string(info.param.opnum);
}

class Opnums : public ConformanceTest, public ::testing::WithParamInterface<Number> {
 protected:
  void SetUp() override { StartShared("one-mbr-disk", {kMbr512}); }
  // Sends the number with an empty stub and with one of noise.
  void ExpectRefusal() {
    Session& session = SessionOf(Revision::kIVolumeClient3);
    const Observation before = ObserveAll(session);
    EXPECT_THAT(session.CallRaw(*GetParam().interface, GetParam().opnum, {}), FaultsOrRefuses());
    EXPECT_THAT(session.CallRaw(*GetParam().interface, GetParam().opnum, Bytes(256, std::byte{0x5A})),
                FaultsOrRefuses());
    EXPECT_THAT(ObserveAll(session), Unchanged(before));
  }
};

class ReservedOpnum : public Opnums {};

// Numbers in the gaps of the table are not used over the wire.
TEST_P(ReservedOpnum, IsRefusedWithoutEffect) {
  Checks("DMRP-0264", GetParam().interface == &kIVolumeClient ? "DMRP-0580" : "DMRP-1532");
  ExpectRefusal();
}

INSTANTIATE_TEST_SUITE_P(Gaps, ReservedOpnum, ::testing::ValuesIn(ReservedNumbers()), NumberName);

class OpnumBeyondTheTable : public Opnums {};

TEST_P(OpnumBeyondTheTable, IsRefusedWithoutEffect) {
  Checks("DMRP-0266");
  ExpectRefusal();
}

INSTANTIATE_TEST_SUITE_P(Beyond, OpnumBeyondTheTable, ::testing::ValuesIn(NumbersBeyond()), NumberName);

struct Table {
  const InterfaceInfo* interface;
  const char* id;
};

class MethodTable : public ConformanceTest, public ::testing::WithParamInterface<Table> {
 protected:
  void SetUp() override { StartShared("one-mbr-disk", {kMbr512}); }
};

// Every number of the table is known, and its method built. Without parameters only those methods do anything
// that take none; all others fault, or refuse.
TEST_P(MethodTable, IsThereAsAWhole) {
  Checks(GetParam().id);
  Session& session = SessionOf(Revision::kIVolumeClient3);
  for (const MethodInfo& method : GetParam().interface->methods) {
    // Two that take no parameters end the session or the machine; they have suites of their own.
    const bool ends = method.name == "Uninitialize" || method.name == "ShutDownSystem";
    if (method.reserved || ends) continue;
    const auto reply = session.CallRaw(*GetParam().interface, method.opnum, {});
    if (reply.answered()) {
      EXPECT_NE(reply.value.result, E_NOTIMPL) << method.name;
    } else {
      EXPECT_EQ(reply.error->kind, ErrorKind::kFault) << method.name << ": " << reply.error->ToString();
      EXPECT_NE(reply.error->status, nca_s_op_rng_error) << method.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MethodTable,
                         ::testing::Values(Table{&kIVolumeClient, "DMRP-0258"},
                                           Table{&kIVolumeClient2, "DMRP-0259"},
                                           Table{&kIVolumeClient3, "DMRP-0260"},
                                           Table{&kIVolumeClient4, "DMRP-0261"}),
                         [](const auto& info) { return std::string(info.param.interface->name); });

// Each number reaches the method that the table names: known by what it answers.
class OpnumTable : public ConformanceTest {
 protected:
  void SetUp() override { StartShared("one-mbr-disk", {kMbr512}); }
};

TEST_F(OpnumTable, OfIVolumeClientStartsAtThree) {
  Checks("DMRP-0579", "DMRP-0582");
  Session& session = SessionOf(Revision::kIVolumeClient);
  const auto disks = session.CallRaw(kIVolumeClient, 3, {});
  ASSERT_TRUE(disks.answered());
  ndr::Reader reader(disks.value.stub);
  EnumDisksReply reply;
  Decode(reader, reply);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reply.result, 0);
  EXPECT_EQ(reply.diskList.size(), session.EnumDisks().value.disks.size());
  for (std::uint16_t opnum : {0, 1, 2}) {
    EXPECT_THAT(session.CallRaw(kIVolumeClient, opnum, {}), FaultsOrRefuses())
        << "IUnknown's, never on the wire";
  }
}

TEST_F(OpnumTable, OfIVolumeClient3StartsAtThree) {
  Checks("DMRP-1531", "DMRP-1536");
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const auto disks = session.CallRaw(kIVolumeClient3, 3, {});
  ASSERT_TRUE(disks.answered());
  ndr::Reader reader(disks.value.stub);
  EnumDisksExReply reply;
  Decode(reader, reply);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reply.result, 0);
  EXPECT_EQ(reply.diskList.size(), session.EnumDisks().value.disks.size());
  for (std::uint16_t opnum : {0, 1, 2}) {
    EXPECT_THAT(session.CallRaw(kIVolumeClient3, opnum, {}), FaultsOrRefuses())
        << "IUnknown's, never on the wire";
  }
}

TEST_F(OpnumTable, OfIVolumeClient2And4StartsAtThree) {
  Checks("DMRP-1517", "DMRP-1861");
  Session& session = SessionOf(Revision::kIVolumeClient3);
  // Their first method is reached: an answer or a complaint about the stub, but not an unknown number.
  GetMaxAdjustedFreeSpaceRequest request;
  request.diskId = lab().DiskId(0);
  EXPECT_TRUE(session.Call<GetMaxAdjustedFreeSpaceReply>(kIVolumeClient2, "GetMaxAdjustedFreeSpace", request)
                  .answered());
  EXPECT_THAT(session.RefreshEx(), Succeeds());
  EXPECT_THAT(session.CallRaw(kIVolumeClient2, 4, {}), FaultsOrRefuses());
}

// A stub that ends too early cannot be decoded: a fault of the RPC layer, and no effect.
class CutStub : public ConformanceTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(CutStub, IsRefusedWithoutEffect) {
  Checks("DMRP-0266");
  StartShared("one-mbr-disk", {kMbr512});
  Session& session = SessionOf(GetParam());
  const Observation before = ObserveAll(session);
  const REGION_INFO_EX free = FreeRegion(session);
  CreatePartitionRequest request;
  request.partitionSpec = Spec(free, REGION_PRIMARY, free.start, MiB(4));
  ndr::Writer writer;
  Encode(writer, request);
  const Bytes whole = *std::move(writer).Take();
  const std::uint16_t opnum = session.interface().Find("CreatePartition")->opnum;
  for (std::size_t octets = 0; octets + 4 < whole.size(); octets += 7) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets));
    EXPECT_THAT(session.CallRaw(session.interface(), opnum, cut), FaultsOrRefuses()) << octets << " octets";
  }
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, CutStub, kBothRevisions, RevisionName());

// Parameters that no rule names as used have no influence: undefined flag bits, in-values of counts.
class UnusedParameters : public RevisionTest {};

TEST_P(UnusedParameters, HaveNoInfluence) {
  Checks("DMRP-0521", "DMRP-0024");
  StartShared("one-mbr-disk", {kMbr512});
  const auto plain = session().HrGetErrorData(0, 0);
  const auto noisy = session().HrGetErrorData(0, 0xFFF00001U);
  ASSERT_THAT(plain, Succeeds());
  ASSERT_THAT(noisy, Succeeds());
  EXPECT_EQ(noisy.value.prgszw, plain.value.prgszw);
  const auto few = session().EnumDiskRegions(lab().DiskId(0), 0);
  const auto many = session().EnumDiskRegions(lab().DiskId(0), 0x7FFFFFFF);
  ASSERT_THAT(few, Succeeds());
  ASSERT_THAT(many, Succeeds());
  EXPECT_EQ(many.value.regions, few.value.regions);
}

INSTANTIATE_TEST_SUITE_P(Both, UnusedParameters, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
