#include "suites/support/run.hpp"

#include "suites/support/lab.hpp"

#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::suites {

namespace {
Run* current = nullptr;

std::string Environment(const char* name, std::string fallback) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::move(fallback) : value;
}
}  // namespace

Result<std::unique_ptr<Run>> Run::Start() {
  std::unique_ptr<Run> run(new Run);
  auto target = harness::TargetFromEnvironment();
  if (!target) return tl::unexpected(target.error());
  run->target_ = *std::move(target);
  run->directory_ = std::filesystem::absolute(Environment("DMRP_RUN_DIR", "out/local"));
  const std::string shard = Environment("GTEST_SHARD_INDEX", "0");
  auto history = harness::History::Create(run->directory_ / "history" /
                                          fmt::format("conformance-{}-{}.jsonl", shard, getpid()));
  if (!history) return tl::unexpected(history.error());
  run->history_ = *std::move(history);
  return run;
}

Run::~Run() {
  shared_.reset();
  if (current == this) current = nullptr;
}

Run& Run::Current() {
  if (current == nullptr) std::abort();
  return *current;
}

void Run::SetCurrent(Run* run) { current = run; }

Result<harness::TestBedFactory*> Run::Beds() {
  if (!beds_) {
    auto beds = harness::TestBedFactory::Create(target_, directory_ / "images" / std::to_string(getpid()));
    if (!beds) return tl::unexpected(beds.error());
    beds_ = *std::move(beds);
  }
  return beds_.get();
}

std::shared_ptr<Lab> Run::Reuse(const std::string& key) {
  if (shared_ && shared_key_ == key) return std::exchange(shared_, nullptr);
  shared_.reset();
  return nullptr;
}

void Run::Keep(std::string key, std::shared_ptr<Lab> lab) {
  shared_key_ = std::move(key);
  shared_ = std::move(lab);
}

}  // namespace dmrp::suites
