// What the always-on rule monitor found out, rule by rule.
//
//   findings.Expect(region.start >= end, {"DMRP-0599"}, "regions ascend by their start",
//                   [&] { return fmt::format("start {} behind {}", region.start, end); });
#pragma once

#include "harness/client/history.hpp"

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

/// A rule that did not hold.
struct Violation {
  std::vector<std::string> requirements;
  std::string statement;   ///< what was expected, in words
  std::string actual;      ///< what came
  std::uint64_t call = 0;  ///< number of the call in the history; 0: none
};

/// Gathers what was checked. All members may be called from any thread.
class Findings {
 public:
  using Describe = std::function<std::string()>;
  using Ids = std::initializer_list<std::string_view>;

  explicit Findings(std::shared_ptr<History> history) : history_(std::move(history)) {}

  /// Counts a pass for each id, or records a violation; `actual` is asked only then.
  bool Expect(bool holds, Ids requirements, std::string_view statement, const Describe& actual,
              std::uint64_t call = 0);

  /// Violations since the last time, to be reported by the running test.
  std::vector<Violation> TakeViolations();
  /// Writes one "check" record per rule that held, with the number of times, and forgets all counts.
  /// Violations are written when they are found.
  void WriteSummary();

 private:
  std::shared_ptr<History> history_;
  std::mutex mutex_;
  std::map<std::string, std::uint64_t, std::less<>> passes_;
  std::map<std::string, std::uint64_t, std::less<>> failures_;
  std::vector<Violation> violations_;
};

}  // namespace dmrp::harness
