// dmrp_conformance: judges a server by the rules of the Disk Management Remote Protocol.
//
// GoogleTest's own options choose tests and shards. DMRP_TARGET names a target file, DMRP_RUN_DIR the folder
// that takes the record of the run.
#include "harness/guest/network.hpp"
#include "suites/support/recorder.hpp"
#include "suites/support/run.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

constexpr int kUsageError = 254;
constexpr int kInternalError = 255;
constexpr const char* kHelp =
    "dmrp_conformance: judges a server by the rules of the Disk Management Remote Protocol.\n"
    "ci/certify runs it, in several processes, and makes the report of what it records.\n\n"
    "Environment:\n"
    "  DMRP_TARGET=FILE       the target file of the server to judge; without it, the bundled server\n"
    "  DMRP_RUN_DIR=FOLDER    takes the record of the run, captures and images of failed tests\n"
    "  DMRP_FULL=1            take every row and every pair of the tests' tables\n\n"
    "Exit status: 0 all tests passed, 1 some failed, 254 usage, 255 no guest can be started.\n";

nlohmann::json TargetJson(const dmrp::harness::Target& target) {
  nlohmann::json failures = nlohmann::json::array();
  for (const auto& failure : target.known_failures) {
    failures.push_back({{"requirement", failure.requirement},
                        {"test", failure.test},
                        {"reason", failure.reason},
                        {"expires", fmt::format("{:04}-{:02}-{:02}", static_cast<int>(failure.expires.year()),
                                                static_cast<unsigned>(failure.expires.month()),
                                                static_cast<unsigned>(failure.expires.day()))}});
  }
  return {{"name", target.name},
          {"kind", dmrp::harness::ToString(target.kind)},
          {"file", target.file.string()},
          {"host", target.host},
          {"port", target.port},
          {"clsid", target.class_id.ToString()},
          {"profile", target.profile},
          {"capabilities", target.capabilities},
          {"known_failures", std::move(failures)}};
}

}  // namespace

int main(int argc, char** argv) {
  using dmrp::suites::Recorder;
  using dmrp::suites::Run;
  std::signal(SIGPIPE, SIG_IGN);
  bool listing = false;
  for (int i = 1; i < argc; ++i) listing = listing || std::string(argv[i]).starts_with("--gtest_list_tests");
  auto target = dmrp::harness::TargetFromEnvironment();
  if (!target) {
    fmt::print(stderr, "dmrp_conformance: {}\n", target.error().ToString());
    return kUsageError;
  }
  if (!listing && target->kind == dmrp::harness::TargetKind::kBundled) {
    if (auto entered = dmrp::harness::EnterNamespace(argc, argv); !entered) {
      fmt::print(stderr, "dmrp_conformance: {}\n", entered.error().ToString());
      return kInternalError;
    }
  }
  ::testing::InitGoogleMock(&argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "--help") {
    fmt::print("\n{}", kHelp);  // GoogleTest has listed its options
    return 0;
  }
  if (argc > 1) {
    fmt::print(stderr, "dmrp_conformance: {} is no option of GoogleTest; --help lists them\n", argv[1]);
    return kUsageError;
  }
  if (listing) return RUN_ALL_TESTS();
  auto run = Run::Start();
  if (!run) {
    fmt::print(stderr, "dmrp_conformance: {}\n", run.error().ToString());
    return kUsageError;
  }
  Run::SetCurrent(run->get());
  const char* shard = std::getenv("GTEST_SHARD_INDEX");
  nlohmann::json start{{"event", "start"},
                       {"program", "dmrp_conformance"},
                       {"shard", shard == nullptr ? "0" : shard},
                       {"target", TargetJson((*run)->target())}};
  (*run)->history()->Write("run", std::move(start));

  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  auto recorder = std::make_unique<Recorder>((*run)->history());
  Recorder::SetCurrent(recorder.get());
  listeners.Append(recorder.release());
  // Last: it throws.
  listeners.Append(std::make_unique<dmrp::suites::ThrowOnFatal>().release());

  const int status = RUN_ALL_TESTS();
  const bool none = ::testing::UnitTest::GetInstance()->test_to_run_count() == 0;
  (*run)->DropShared();
  (*run)->history()->Write("run", {{"event", "end"}, {"status", status}});
  if (none) fmt::print(stderr, "dmrp_conformance: the selection matches no test\n");
  return none ? kUsageError : status;
}
