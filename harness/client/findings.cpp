#include "harness/client/findings.hpp"

namespace dmrp::harness {

namespace {
// A rule broken over and over is reported so often; the rest is counted.
constexpr std::uint64_t kMostReports = 3;
}  // namespace

bool Findings::Expect(bool holds, Ids requirements, std::string_view statement, const Describe& actual,
                      std::uint64_t call) {
  std::lock_guard lock(mutex_);
  if (holds) {
    for (std::string_view id : requirements) ++passes_[std::string(id)];
    return true;
  }
  bool news = false;
  for (std::string_view id : requirements) news = ++failures_[std::string(id)] <= kMostReports || news;
  if (!news) return false;
  Violation violation;
  for (std::string_view id : requirements) violation.requirements.emplace_back(id);
  violation.statement = statement;
  violation.actual = actual();
  violation.call = call;
  history_->Write("check", {{"test", history_->test()},
                            {"monitor", true},
                            {"requirements", violation.requirements},
                            {"outcome", "fail"},
                            {"statement", violation.statement},
                            {"accepted", violation.statement},
                            {"actual", violation.actual},
                            {"blame", "target"},
                            {"call", call}});
  violations_.push_back(std::move(violation));
  return false;
}

std::vector<Violation> Findings::TakeViolations() {
  std::lock_guard lock(mutex_);
  return std::exchange(violations_, {});
}

void Findings::WriteSummary() {
  std::lock_guard lock(mutex_);
  // Rules that held equally often share a record: a test writes some ten lines instead of a hundred.
  std::map<std::uint64_t, std::vector<std::string>> by_count;
  for (const auto& [id, count] : passes_) {
    if (!failures_.contains(id)) by_count[count].push_back(id);
  }
  for (auto& [count, ids] : by_count) {
    history_->Write("check", {{"test", history_->test()},
                              {"monitor", true},
                              {"requirements", std::move(ids)},
                              {"outcome", "pass"},
                              {"times", count}});
  }
  passes_.clear();
  failures_.clear();
}

}  // namespace dmrp::harness
