#include "suites/support/recorder.hpp"

#include "suites/requirements/catalogue.hpp"

#include <cstdio>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

namespace dmrp::suites {

namespace {

Recorder* current = nullptr;

// The lines of a GoogleTest message behind "Expected:" or "Actual:".
std::string Part(const std::string& message, std::string_view label) {
  const auto at = message.find(label);
  if (at == std::string::npos) return {};
  auto begin = at + label.size();
  while (begin < message.size() && message[begin] == ' ') ++begin;
  auto end = message.find("\n  Actual:", begin);
  if (end == std::string::npos) end = message.size();
  return message.substr(begin, end - begin);
}

}  // namespace

Recorder& Recorder::Current() {
  if (current == nullptr) std::abort();
  return *current;
}

void Recorder::SetCurrent(Recorder* recorder) { current = recorder; }

void Recorder::OpenGroup(std::vector<std::string> requirements) {
  // Assertions before the first ids belong to them too.
  if (groups_.size() == 1 && groups_.front().requirements.empty()) {
    groups_.front().requirements = std::move(requirements);
  } else {
    groups_.push_back({std::move(requirements), {}});
  }
}

void Recorder::OnTestStart(const ::testing::TestInfo& test) {
  test_ = fmt::format("{}.{}", test.test_suite_name(), test.name());
  groups_.clear();
  environment_.clear();
  monitor_failures_ = 0;
  skip_reason_.clear();
  note_.clear();
  history_->SetTest(test_);
  history_->Write("test", {{"event", "start"},
                           {"test", test_},
                           {"file", test.file() == nullptr ? "" : test.file()},
                           {"line", test.line()}});
}

void Recorder::OnTestPartResult(const ::testing::TestPartResult& part) {
  const std::string message = part.message() == nullptr ? "" : part.message();
  if (part.skipped()) {
    skip_reason_ = message;
    return;
  }
  if (!part.failed()) return;
  if (message.find(kMonitorMark) != std::string::npos) {
    ++monitor_failures_;
    return;
  }
  const std::string place = fmt::format("{}:{}: {}", part.file_name() == nullptr ? "?" : part.file_name(),
                                        part.line_number(), message);
  if (message.find(kEnvironmentMark) != std::string::npos) {
    environment_.push_back(place);
    return;
  }
  if (groups_.empty()) groups_.emplace_back();
  groups_.back().failures.push_back(note_.empty() ? place : place + "\n  call    " + note_);
  for (const std::string& id : groups_.back().requirements) {
    if (const Requirement* rule = Catalogue::Bundled().Find(id)) {
      fmt::print(stderr, "  VIOLATED  {} ({}, {}): {}\n", rule->section, rule->level, rule->id,
                 rule->statement);
    }
  }
  if (!note_.empty()) fmt::print(stderr, "  call      {}\n", note_);
  fmt::print(stderr, "  again     ./ci/certify --test '{}'\n", test_);
}

void Recorder::WriteGroup(const Group& group, bool environment_failed, bool skipped) {
  if (group.requirements.empty()) return;
  nlohmann::json record{{"test", test_}, {"requirements", group.requirements}};
  if (!group.failures.empty()) {
    const Requirement* rule = Catalogue::Bundled().Find(group.requirements.front());
    record["outcome"] = environment_failed ? "undecided" : "fail";
    record["statement"] = rule == nullptr ? "" : rule->ToString();
    record["accepted"] = Part(group.failures.front(), "Expected:");
    record["actual"] = Part(group.failures.front(), "Actual:");
    record["blame"] = environment_failed ? "environment" : "target";
    record["detail"] = group.failures;
  } else if (environment_failed) {
    record["outcome"] = "undecided";
    record["blame"] = "environment";
    record["detail"] = environment_;
  } else if (skipped) {
    return;
  } else {
    record["outcome"] = "pass";
  }
  history_->Write("check", std::move(record));
}

void Recorder::OnTestEnd(const ::testing::TestInfo& test) {
  const bool skipped = test.result()->Skipped();
  bool own_failure = false;
  std::set<std::string> requirements;
  for (const Group& group : groups_) {
    WriteGroup(group, !environment_.empty(), skipped);
    own_failure = own_failure || !group.failures.empty();
    requirements.insert(group.requirements.begin(), group.requirements.end());
  }
  nlohmann::json record{{"event", "end"},
                        {"test", test_},
                        {"file", test.file() == nullptr ? "" : test.file()},
                        {"line", test.line()},
                        {"requirements", requirements},
                        {"outcome", skipped                   ? "skipped"
                                    : test.result()->Passed() ? "passed"
                                                              : "failed"},
                        {"seconds", static_cast<double>(test.result()->elapsed_time()) / 1000.0},
                        {"own_failure", own_failure},
                        {"monitor_failures", monitor_failures_}};
  if (skipped) record["reason"] = skip_reason_;
  if (!environment_.empty()) record["environment"] = environment_;
  history_->Write("test", std::move(record));
  history_->SetTest({});
}

void ThrowOnFatal::OnTestPartResult(const ::testing::TestPartResult& part) {
  if (part.type() == ::testing::TestPartResult::kFatalFailure ||
      part.type() == ::testing::TestPartResult::kSkip) {
    throw ::testing::AssertionException(part);
  }
}

}  // namespace dmrp::suites
