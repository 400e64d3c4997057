// What the server keeps in its registry for its clients: SetDontShow and GetDontShow (3.2.4.4.1.48, .49,
// 3.2.4.4.3.51, .52), QueryChangePartitionNumbers and DeletePartitionNumberInfoFromRegistry (3.2.4.4.1.46,
// .47, 3.2.4.4.3.49, .50).
#include "harness/guest/guest.hpp"
#include "suites/support/conformance_test.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::suites {
namespace {

constexpr const char* kHiveInGuest = "/system/WINNT/system32/config/system";
constexpr std::uint32_t kHiveLimit = 4U << 20U;
constexpr std::string_view kKey = "ControlSet001\\Services\\dmio\\Partition Info";

// Runs hivexsh on a copy of the guest's hive and answers what it prints; with `write` the hive is put back.
Result<std::string> InHive(Lab& lab, const std::string& script, bool write) {
  harness::AgentClient& agent = lab.bed().guest()->agent();
  auto octets = agent.ReadFile(kHiveInGuest, 0, kHiveLimit);
  if (!octets) return octets;
  const auto file = std::filesystem::temp_directory_path() / fmt::format("dmrp-settings-{}.hive", ::getpid());
  const auto commands = std::filesystem::path(file.string() + ".commands");
  std::ofstream(file, std::ios::binary) << *octets;
  std::ofstream(commands) << script;
  FILE* pipe =
      popen(fmt::format("hivexsh {} -f '{}' '{}' 2>&1", write ? "-w" : "", commands.string(), file.string())
                .c_str(),
            "r");
  std::string text;
  for (int c = pipe == nullptr ? EOF : std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    text.push_back(static_cast<char>(c));
  }
  const bool failed = pipe == nullptr || pclose(pipe) != 0;
  std::ifstream changed(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(changed), {}};
  std::filesystem::remove(file);
  std::filesystem::remove(commands);
  if (failed) return Fail(ErrorKind::kSystem, "hivexsh: " + text);
  if (write) {
    const std::string aside = std::string(kHiveInGuest) + ".edited";
    if (auto written = agent.WriteFile(aside, content); !written) return tl::unexpected(written.error());
    if (auto moved = agent.Shell(fmt::format("mv -f {} {}", aside, kHiveInGuest)); !moved) return moved;
  }
  return text;
}

// As Windows keeps them: two REG_DWORD values (notes 172 and 173).
Result<void> WritePartitionNumbers(Lab& lab, int before, int after) {
  auto done = InHive(lab,
                     fmt::format("cd \\ControlSet001\\Services\nadd dmio\ncd dmio\nadd Partition Info\n"
                                 "cd Partition Info\nsetval 2\nOldPartitionNumber\ndword:{}\n"
                                 "NewPartitionNumber\ndword:{}\ncommit\n",
                                 before, after),
                     true);
  return done ? Result<void>() : tl::unexpected(done.error());
}

// Whether the hive still has any of the two values.
Result<bool> HasPartitionNumbers(Lab& lab) {
  auto text = InHive(lab, fmt::format("cd \\{}\nlsval\n", kKey), false);
  if (!text) {
    // No such key: no values either.
    return text.error().message.find("not found") != std::string::npos ? Result<bool>(false)
                                                                       : tl::unexpected(text.error());
  }
  return text->find("PartitionNumber") != std::string::npos;
}

class Settings : public RevisionTest {
 protected:
  void SetUp() override { Start({kMbr512}); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  Session& other() { return SessionOf(third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3); }
  Outcome<SetDontShowReply> Set(Session& session, bool value) {
    return session.Call<SetDontShowReply>(session.interface(), "SetDontShow",
                                          SetDontShowRequest{.bSetNoShow = value});
  }
  bool Get(Session& session) {
    const auto reply =
        session.Call<GetDontShowReply>(session.interface(), "GetDontShow", GetDontShowRequest{});
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return reply->bGetNoShow;
  }
  std::pair<std::int32_t, std::int32_t> Numbers(Session& session) {
    const auto reply = session.Call<QueryChangePartitionNumbersReply>(
        session.interface(), "QueryChangePartitionNumbers", QueryChangePartitionNumbersRequest{});
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return {reply->oldPartitionNumber, reply->newPartitionNumber};
  }
  Outcome<DeletePartitionNumberInfoFromRegistryReply> Delete(Session& session) {
    return session.Call<DeletePartitionNumberInfoFromRegistryReply>(
        session.interface(), "DeletePartitionNumberInfoFromRegistry",
        DeletePartitionNumberInfoFromRegistryRequest{});
  }
  void RestartServer() {
    NeedsCapability("restart");
    lab().ForgetClients();
    Need(lab().bed().Restart());
    lab().monitor().ServerRestarted();
    Need(lab().FindDisks());
  }
};

// The wizard is enabled until a client disables it; what one client sets, every client of either interface
// gets.
TEST_P(Settings, KeepWhetherToShowTheWizard) {
  Checks("DMRP-1356", "DMRP-1357", "DMRP-1359", "DMRP-1360", "DMRP-1361", "DMRP-1362", "DMRP-1363",
         "DMRP-1367", "DMRP-1368", third() ? "DMRP-1814" : "DMRP-1357", third() ? "DMRP-1815" : "DMRP-1357",
         third() ? "DMRP-1816" : "DMRP-1357", third() ? "DMRP-1817" : "DMRP-1363",
         third() ? "DMRP-1818" : "DMRP-1363", third() ? "DMRP-1819" : "DMRP-1363");
  EXPECT_FALSE(Get(session())) << "by default the wizard is enabled";
  EXPECT_FALSE(Get(other()));
  for (const bool value : {true, true, false, true}) {
    ASSERT_THAT(Set(session(), value), Succeeds());
    EXPECT_EQ(Get(session()), value);
    EXPECT_EQ(Get(other()), value) << "seen through the other interface";
  }
  ASSERT_THAT(Set(other(), false), Succeeds());
  EXPECT_FALSE(Get(session()));
}

// It is on persistent storage: a server that is started anew still has it.
TEST_P(Settings, OutliveTheServer) {
  Checks("DMRP-1358", "DMRP-1366", third() ? "DMRP-1815" : "DMRP-1358", third() ? "DMRP-1818" : "DMRP-1366");
  for (const bool value : {true, false}) {
    ASSERT_THAT(Set(session(), value), Succeeds());
    RestartServer();
    EXPECT_EQ(Get(session()), value);
  }
}

// Without a conversion of the boot disk there is nothing to report, and nothing to delete is no error.
TEST_P(Settings, HaveNoPartitionNumbersAtFirst) {
  Checks("DMRP-1344", "DMRP-1348", "DMRP-1349", "DMRP-1350", "DMRP-1351", "DMRP-1354",
         third() ? "DMRP-1810" : "DMRP-1344", third() ? "DMRP-1811" : "DMRP-1344",
         third() ? "DMRP-1812" : "DMRP-1351", third() ? "DMRP-1813" : "DMRP-1351");
  EXPECT_EQ(Numbers(session()), std::pair(0, 0));
  EXPECT_THAT(Delete(session()), Succeeds());
  EXPECT_EQ(Numbers(session()), std::pair(0, 0));
}

// What the registry has is reported, over restarts too, and deleted for good: seen by a reader of hives.
TEST_P(Settings, ReportAndDeleteTheRegistrysPartitionNumbers) {
  Checks("DMRP-1347", "DMRP-1348", "DMRP-1349", "DMRP-1352", "DMRP-1353", third() ? "DMRP-1811" : "DMRP-1347",
         third() ? "DMRP-1813" : "DMRP-1352");
  GuestOrSkip();
  // So that there is a hive.
  ASSERT_THAT(Set(session(), true), Succeeds());
  Need(WritePartitionNumbers(lab(), 3, 1));
  ASSERT_TRUE(Need(HasPartitionNumbers(lab())));
  EXPECT_EQ(Numbers(session()), std::pair(3, 1));
  EXPECT_EQ(Numbers(other()), std::pair(3, 1));
  RestartServer();
  EXPECT_EQ(Numbers(session()), std::pair(3, 1));
  ASSERT_THAT(Delete(session()), Succeeds());
  EXPECT_FALSE(Need(HasPartitionNumbers(lab())));
  EXPECT_EQ(Numbers(session()), std::pair(0, 0));
  RestartServer();
  EXPECT_EQ(Numbers(session()), std::pair(0, 0));
}

INSTANTIATE_TEST_SUITE_P(Both, Settings, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
