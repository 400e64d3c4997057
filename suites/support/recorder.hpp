// Writes what tests check and find into the run's history.
#pragma once

#include "harness/client/history.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::suites {

/// Marks of failures that do not count against the rules that the test names.
inline constexpr std::string_view kMonitorMark = "[rule monitor] ";
inline constexpr std::string_view kEnvironmentMark = "[environment] ";

/// Listens to GoogleTest. A test's ids come in groups: an assertion that fails counts against the group
/// opened last.
class Recorder : public ::testing::EmptyTestEventListener {
 public:
  explicit Recorder(std::shared_ptr<harness::History> history) : history_(std::move(history)) {}

  /// The rules that the assertions from here on check.
  void OpenGroup(std::vector<std::string> requirements);
  /// Names the call that the next assertions are about, for messages.
  void Note(std::string text) { note_ = std::move(text); }

  void OnTestStart(const ::testing::TestInfo& test) override;
  void OnTestPartResult(const ::testing::TestPartResult& part) override;
  void OnTestEnd(const ::testing::TestInfo& test) override;

  /// The recorder of this process, set by main().
  static Recorder& Current();
  static void SetCurrent(Recorder* recorder);

 private:
  struct Group {
    std::vector<std::string> requirements;
    std::vector<std::string> failures;
  };
  void WriteGroup(const Group& group, bool environment_failed, bool skipped);

  std::shared_ptr<harness::History> history_;
  std::string test_;
  std::vector<Group> groups_;
  std::vector<std::string> environment_;
  std::size_t monitor_failures_ = 0;
  std::string skip_reason_;
  std::string note_;
};

/// Ends a test at its first fatal failure or skip, wherever in the helpers below the test body it happens.
class ThrowOnFatal : public ::testing::EmptyTestEventListener {
 public:
  void OnTestPartResult(const ::testing::TestPartResult& part) override;
};

}  // namespace dmrp::suites
