// The record of a run: everything that happened, in order, as JSON lines. Reports and checkers read nothing
// else.
//
//   auto history = History::Create(run_dir / "history" / "shard0.jsonl");
//   (*history)->Write("log", {{"source", "guest"}, {"text", line}});
//
// docs/run-history.md lists the kinds of records and their members.
#pragma once

#include "protocol/base/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace dmrp::harness {

/// Appends records to one file. All members may be called from any thread; a record is on its way to the
/// operating system when Write returns, so that a crash loses none.
class History {
 public:
  using Clock = std::chrono::steady_clock;

  /// Opens the file, and makes its folder.
  static Result<std::shared_ptr<History>> Create(const std::filesystem::path& file);
  /// Writes nowhere; for unit tests and for sessions that nobody records.
  static std::shared_ptr<History> Discarding();

  /// Adds "t" (seconds since the record began) and "kind" to `members` and appends the line.
  void Write(std::string_view kind, nlohmann::json members);
  /// The same for something that happened at `when`.
  void WriteAt(Clock::time_point when, std::string_view kind, nlohmann::json members);

  /// The running test's name; calls and notifications are recorded under it.
  void SetTest(std::string name);
  [[nodiscard]] std::string test() const;

  /// Numbers of calls and frames, from 1, without gaps.
  std::uint64_t NextCall();
  /// The number of the last call; 0 before the first.
  [[nodiscard]] std::uint64_t LastCall() const;
  std::uint64_t NextFrame();

  [[nodiscard]] double Seconds(Clock::time_point when) const;

 private:
  History() = default;
  const Clock::time_point start_ = Clock::now();
  mutable std::mutex mutex_;
  std::ofstream file_;
  std::string test_;
  std::uint64_t last_call_ = 0;
  std::uint64_t last_frame_ = 0;
};

}  // namespace dmrp::harness
