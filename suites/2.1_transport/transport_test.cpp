// Transport and security settings (1.5, 2.1), and the common data types as the wire carries them (2.2).
#include "protocol/dcom/dual_string_array.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

class Transport : public ConformanceTest {};

// Messages travel over DCOM, which uses RPC over TCP: activation, OXID resolution and calls work on
// ncacn_ip_tcp, and the server offers no protocol that is none.
TEST_F(Transport, IsDcomOverTcp) {
  Checks("DMRP-0001", "DMRP-0011");
  StartShared("one-mbr-disk", {kMbr512});
  auto host = Need(lab().Host());
  dcom::ActivationRequest request;
  request.server = lab().bed().server();
  request.clsid = target().class_id;
  request.iids = {IID_IVolumeClient3};
  auto activation = Need(host->runtime().Activate(request));
  ASSERT_FALSE(activation.oxid_bindings.string_bindings.empty());
  EXPECT_TRUE(std::ranges::any_of(activation.oxid_bindings.string_bindings, [](const auto& binding) {
    return binding.wTowerId == 7;
  })) << "no binding of tower 7, ncacn_ip_tcp";
  EXPECT_THAT(SessionOf(Revision::kIVolumeClient3).EnumDisks(), Succeeds());
}

// Any set of authentication levels is allowed; what is accepted once is accepted again.
class AuthenticationLevel : public ConformanceTest, public ::testing::WithParamInterface<rpc::AuthLevel> {};

TEST_P(AuthenticationLevel, IsAcceptedOrRefusedEachTime) {
  Checks("DMRP-0012");
  StartShared("one-mbr-disk", {kMbr512});
  int accepted = 0;
  for (int i = 0; i < 2; ++i) {
    auto host = Need(lab().NewHost(*target().Find(harness::Role::kAdministrator), GetParam()));
    auto session = host->Open(
        {.revision = Revision::kIVolumeClient3, .name = "client", .account = {}, .auth_level = GetParam()});
    accepted += session && (*session)->EnumDisks().succeeded() ? 1 : 0;
  }
  EXPECT_TRUE(accepted == 0 || accepted == 2);
  if (GetParam() == rpc::AuthLevel::kPrivacy) {
    EXPECT_EQ(accepted, 2) << "the level that everybody has to offer";
  }
}

INSTANTIATE_TEST_SUITE_P(All, AuthenticationLevel,
                         ::testing::Values(rpc::AuthLevel::kConnect, rpc::AuthLevel::kPacket,
                                           rpc::AuthLevel::kIntegrity, rpc::AuthLevel::kPrivacy),
                         [](const auto& info) { return std::string(rpc::ToString(info.param)); });

class WireTypes : public RevisionTest {};

// Replies decode with the widths and alignments of NDR 2.0 and leave nothing over; values beyond 32 bits
// survive.
TEST_P(WireTypes, DecodeWithoutAnythingLeftOver) {
  Checks("DMRP-0022", "DMRP-0042", "DMRP-0466", "DMRP-0004",
         GetParam() == Revision::kIVolumeClient3 ? "DMRP-0178" : "DMRP-0132",
         GetParam() == Revision::kIVolumeClient3 ? "DMRP-0218" : "DMRP-0162", "DMRP-0103");
  Start({kGpt3TiB, kMbr512});
  const auto disks = session().EnumDisks();
  ASSERT_THAT(disks, Succeeds());
  EXPECT_TRUE(disks.call.anomalies.empty());
  EXPECT_EQ(disks.call.trailing, 0U);
  EXPECT_TRUE(std::ranges::any_of(disks.value.disks, [](const DISK_INFO_EX& disk) {
    return disk.length > MiB(1) * 1024 * 1024 * 2;
  })) << "a length beyond 32 bits";
  for (const DISK_INFO_EX& disk : disks.value.disks) {
    const auto regions = session().EnumDiskRegions(disk.id);
    ASSERT_THAT(regions, Succeeds());
    EXPECT_TRUE(regions.call.anomalies.empty());
    EXPECT_EQ(regions.call.trailing, 0U);
  }
  const REGION_INFO_EX free = FreeRegion(session(), 1);
  const auto made = session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(4)));
  ASSERT_THAT(made, Succeeds());
  EXPECT_TRUE(made.call.anomalies.empty());
  EXPECT_EQ(made.call.trailing, 0U);
}

INSTANTIATE_TEST_SUITE_P(Both, WireTypes, kBothRevisions, RevisionName());

// Output arrays belong to the caller and are made anew for each call: thousands of calls do not make the
// server grow without bound or fail.
TEST_F(Transport, OutputArraysAreReleased) {
  Checks("DMRP-0025");
  StartShared("one-mbr-disk", {kMbr512});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const auto first = session.EnumDisks();
  ASSERT_THAT(first, Succeeds());
  for (int i = 0; i < 200; ++i) {
    const auto again = session.EnumDisks();
    ASSERT_THAT(again, Succeeds()) << "call " << i;
    ASSERT_EQ(again.value.disks, first.value.disks) << "call " << i;
  }
}

}  // namespace
}  // namespace dmrp::suites
