#include "suites/support/run.hpp"

#include "suites/support/lab.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::suites {

namespace {
// GoogleTest runs one test with all of its parameters before the next: as many labs as a suite has parameters
// have to be kept for each to be used again. A guest takes some hundred mebibytes of memory.
constexpr std::size_t kMostSharedLabs = 16;

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
  DropShared();
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
  const auto kept = std::ranges::find(shared_, key, &SharedLab::key);
  if (kept == shared_.end()) return nullptr;
  auto lab = std::move(kept->lab);
  shared_.erase(kept);
  return lab;
}

void Run::Keep(std::string key, std::shared_ptr<Lab> lab) {
  shared_.push_front({std::move(key), std::move(lab)});
  if (shared_.size() > kMostSharedLabs) shared_.pop_back();
}

}  // namespace dmrp::suites
