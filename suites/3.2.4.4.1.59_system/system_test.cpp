// SecureSystemPartition (3.2.4.4.1.59, 3.2.4.4.3.62) and ShutDownSystem (3.2.4.4.1.60, 3.2.4.4.3.63).
#include "harness/guest/guest.hpp"
#include "suites/support/conformance_test.hpp"

#include <cstdio>
#include <fstream>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

class SecureSystemPartition : public RevisionTest {
 protected:
  std::uint32_t Flags() {
    auto host = Need(lab().Host());
    auto session =
        Need(host->Open({.revision = GetParam(), .initialize = false, .account = {}, .auth_level = {}}));
    const auto reply = session->Initialize();
    EXPECT_THAT(reply, Succeeds());
    EXPECT_THAT(session->Uninitialize(), Succeeds());
    return reply->pdwFlags;
  }
};

// Where the system supports it, two calls turn SYSFLAG_SYSPART_SECURE on and off; where it does not, both
// fail and the flag stays as it is.
TEST_P(SecureSystemPartition, TogglesOrFails) {
  if (GetParam() == Revision::kIVolumeClient) {
    Checks("DMRP-1472", "DMRP-1473", "DMRP-1474");
  } else {
    Checks("DMRP-1845", "DMRP-1846", "DMRP-1472", "DMRP-1473", "DMRP-1474");
  }
  StartShared("one-mbr-disk", {kMbr512});
  const auto secure = [&] { return (Flags() & SYSFLAG_SYSPART_SECURE) != 0; };
  const bool before = secure();
  const auto call = [&] {
    return session().Call<SecureSystemPartitionReply>(session().interface(), "SecureSystemPartition",
                                                      SecureSystemPartitionRequest{});
  };
  const auto first = call();
  ASSERT_TRUE(first.answered()) << first.call.text;
  EXPECT_EQ(secure(), first.succeeded() ? !before : before);
  const auto second = call();
  ASSERT_TRUE(second.answered()) << second.call.text;
  EXPECT_EQ(second.succeeded(), first.succeeded());
  EXPECT_EQ(secure(), before);
}

INSTANTIATE_TEST_SUITE_P(Both, SecureSystemPartition, kBothRevisions, RevisionName());

class ShutDownSystem : public RevisionTest {};

// The reply comes, then the machine goes down and the server with it, in order: what programs had written is
// on the disk and the file system on it is closed.
TEST_P(ShutDownSystem, AnswersAndThenTakesTheMachineDown) {
  if (GetParam() == Revision::kIVolumeClient) {
    Checks("DMRP-1476", "DMRP-1477", "DMRP-1478", "DMRP-1479");
  } else {
    Checks("DMRP-1847", "DMRP-1848", "DMRP-1476", "DMRP-1477", "DMRP-1478", "DMRP-1479");
  }
  NeedsCapability("execute");
  StartWith({{harness::ParseDiskSpec("size=64M,filesystem=fat32").value(), {}}});
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) {
    GTEST_SKIP() << "nobody but a guest's hypervisor can tell that a machine went down";
  }
  const std::filesystem::path image = guest->disks().at(0).image.path;
  Need(guest->agent().Shell("mkdir -p /mnt/data && mount -t vfat /dev/" + guest->disks().at(0).guest_device +
                            " /mnt/data && echo written-before-the-shutdown > /mnt/data/note.txt"));
  lab().ForgetClients();
  auto host = Need(lab().NewHost(*target().Find(harness::Role::kAdministrator)));
  auto client = Need(host->Open({.revision = GetParam(), .name = "client", .account = {}, .auth_level = {}}));
  lab().monitor().Unwatch(client->sink());
  auto connection = Need(Need(client->Interface(client->interface().iid)).Connection());

  const auto reply =
      client->Call<ShutDownSystemReply>(client->interface(), "ShutDownSystem", ShutDownSystemRequest{});

  ASSERT_THAT(reply, Succeeds());
  const std::string end = Need(guest->WaitEnd(std::chrono::seconds(20)));
  EXPECT_TRUE(end == "guest-reset" || end == "guest-shutdown") << end;
  EXPECT_TRUE(connection->AwaitClose(target().notification_timeout)) << "the server is still there";
  connection.reset();  // before the runtime that it belongs to
  host->Crash();
  FILE* pipe = popen(fmt::format("fsck.fat -n '{}' 2>&1", image.string()).c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text.push_back(static_cast<char>(c));
  EXPECT_EQ(pclose(pipe), 0) << text;
  EXPECT_EQ(text.find("Dirty bit"), std::string::npos) << text;
  std::ifstream file(image, std::ios::binary);
  const std::string octets((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(octets.find("written-before-the-shutdown"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Both, ShutDownSystem, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
